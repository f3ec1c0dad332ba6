//! A keyspace that sees nothing but another one's outcomes becomes equal to it, whatever was done, and once more if it sees
//! each of them twice.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::{Catalog, GraphSettings, MadeBy, Schema};
use kora_keyspace::collections::VectorEnd;
use kora_keyspace::keys::Value;
use kora_keyspace::{Cause, Keyspace, NEVER_MS, Observer, Outcome, Sequence};
use kora_mesh::{Gauge, SharedDeadline};
use kora_values::{Database, StringValue};
use kora_vector::{Metric, Step, Storage, Work};
use proptest::prelude::*;

/// Applies what it sees to another keyspace, each outcome so many times.
struct Follower {
    rebuilt: Rc<RefCell<Keyspace<()>>>,
    times: usize,
    /// Whether a batch has begun and not ended.
    is_in_batch: bool,
    last: Sequence,
}

impl Observer for Follower {
    fn is_listening(&self) -> bool {
        true
    }

    fn see(&mut self, sequence: Sequence, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::BatchBegin => assert!(!std::mem::replace(&mut self.is_in_batch, true)),
            Outcome::BatchEnd => assert!(std::mem::take(&mut self.is_in_batch)),
            outcome => {
                assert!(sequence > self.last, "each change has a number of its own");
                self.last = sequence;
                for _ in 0..self.times {
                    self.rebuilt.borrow_mut().apply(outcome);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Put(u8, usize),
    Append(u8, usize),
    SetRange(u8, usize, usize),
    Increment(u8),
    SetFields(u8, u8, usize),
    RemoveField(u8, u8),
    IncrementField(u8, u8),
    /// Milliseconds from now, which may be none; 0 for no deadline.
    FieldDeadline(u8, u8, u64),
    SetFieldsUntil(u8, u8, Option<u64>),
    /// Of a hash with many fields, so that it is a table.
    Fill(u8, u64),
    Deadline(u8, u64),
    Remove(u8),
    Rename(u8, u8),
    SetVector(u8, u64),
    Wait(u64),
    Create(bool),
    Withdraw,
    ExpireCollection(u64),
    Move,
    SetAlias(u8, u8),
    RemoveAlias(u8),
    /// Of this database, or of all.
    Flush(Option<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let key = || 0_u8..6;
    let element = || 0_u8..40;
    prop_oneof![
        6 => (key(), 0_usize..1_500).prop_map(|(key, length)| Change::Put(key, length)),
        4 => (key(), 0_usize..700).prop_map(|(key, length)| Change::Append(key, length)),
        4 => (key(), 0_usize..2_000, 0_usize..300).prop_map(|(key, offset, length)| Change::SetRange(key, offset, length)),
        2 => key().prop_map(Change::Increment),
        6 => (key(), 0_u8..20, 0_usize..100).prop_map(|(key, field, length)| Change::SetFields(key, field, length)),
        3 => (key(), 0_u8..20).prop_map(|(key, field)| Change::RemoveField(key, field)),
        2 => (key(), 0_u8..20).prop_map(|(key, field)| Change::IncrementField(key, field)),
        6 => (key(), 0_u8..20, 0_u64..20).prop_map(|(key, field, ms)| Change::FieldDeadline(key, field, ms)),
        3 => (key(), 0_u8..20, proptest::option::of(0_u64..20)).prop_map(|(key, field, ms)| Change::SetFieldsUntil(key, field, ms)),
        1 => (key(), 0_u64..20).prop_map(|(key, ms)| Change::Fill(key, ms)),
        3 => (0_u8..46, 0_u64..40).prop_map(|(key, ms)| Change::Deadline(key, ms)),
        3 => (0_u8..46).prop_map(Change::Remove),
        2 => (key(), key()).prop_map(|(from, to)| Change::Rename(from, to)),
        8 => (element(), 0_u64..60).prop_map(|(element, ms)| Change::SetVector(element, ms)),
        3 => (1_u64..10).prop_map(Change::Wait),
        1 => any::<bool>().prop_map(Change::Create),
        1 => Just(Change::Withdraw),
        1 => (0_u64..60).prop_map(Change::ExpireCollection),
        1 => Just(Change::Move),
        1 => (0_u8..3, 0_u8..3).prop_map(|(alias, collection)| Change::SetAlias(alias, collection)),
        1 => (0_u8..3).prop_map(Change::RemoveAlias),
        1 => proptest::option::of(0_u8..3).prop_map(Change::Flush),
    ]
}

/// A keyspace with its time.
struct Subject {
    keyspace: Keyspace<Follower>,
    catalog: Arc<Catalog>,
    storage: Storage,
    now_ms: u64,
    transfers: u64,
}

/// Keys below this hold strings and hashes; from it on they are those of vectors.
const KEYS: u8 = 6;

fn key_of(number: u8) -> Vec<u8> {
    match number.checked_sub(KEYS) {
        // Every second one is of another database.
        None => database(number % 2).stored(format!("key {number}").as_bytes()),
        Some(element) => format!("set:{element}").into_bytes(),
    }
}

fn database(number: u8) -> Database {
    Database::new(usize::from(number)).expect("there are as many")
}

impl Subject {
    fn make(&mut self, change: Change) {
        let now_ms = self.now_ms;
        match change {
            Change::Put(key, length) => {
                let value = Value::String(StringValue::new(&vec![b'p'; length]));
                self.on(key, |keyspace, place| keyspace.put(place, value, None).is_ok());
            }
            Change::Append(key, length) => {
                let tail = vec![b'a'; length];
                self.on(key, |keyspace, place| keyspace.append(place, &tail, 1 << 20).is_ok());
            }
            Change::SetRange(key, offset, length) => {
                let part = vec![b's'; length];
                self.on(key, |keyspace, place| {
                    keyspace.set_range(place, offset, &part, 1 << 20).is_ok()
                });
            }
            Change::Increment(key) => {
                self.on(key, |keyspace, place| {
                    keyspace.increment(place, 3).is_ok() || keyspace.increment_float(place, b"0.5").is_ok()
                });
            }
            Change::SetFields(key, field, length) => {
                self.on(key, |keyspace, place| {
                    let set = keyspace.edit_hash_or_new(place, |edit| {
                        edit.set(&[field], &vec![b'f'; length]);
                        edit.set(&[field, 1], b"second")
                    });
                    set.is_ok()
                });
            }
            Change::RemoveField(key, field) => {
                self.on(key, |keyspace, place| {
                    keyspace.edit_hash(place, |edit| edit.remove(&[field])).is_ok()
                });
            }
            Change::IncrementField(key, field) => {
                self.on(key, |keyspace, place| {
                    let sum = keyspace.edit_hash_or_new(place, |edit| edit.increment(&[field], 7).is_ok());
                    sum.is_ok()
                });
            }
            Change::FieldDeadline(key, field, ms) => {
                let deadline_ms = if ms == 0 { NEVER_MS } else { now_ms + ms - 1 };
                self.on(key, |keyspace, place| {
                    keyspace
                        .edit_hash(place, |edit| edit.set_deadline(&[field], deadline_ms))
                        .is_ok()
                });
            }
            Change::SetFieldsUntil(key, field, ms) => {
                self.on(key, |keyspace, place| {
                    let set = keyspace.edit_hash_or_new(place, |edit| {
                        edit.set_with(&[field], b"until", ms.map(|ms| now_ms + ms));
                        edit.set(&[field, 2], b"gone again");
                        edit.remove(&[field, 2]) && field % 3 == 0 && edit.remove(&[field])
                    });
                    set.is_ok()
                });
            }
            Change::Fill(key, ms) => {
                self.on(key, |keyspace, place| {
                    let set = keyspace.edit_hash_or_new(place, |edit| {
                        for number in 0..600_u64 {
                            edit.set_with(&number.to_le_bytes(), b"many", Some(now_ms + ms + number % 3));
                        }
                    });
                    set.is_ok()
                });
            }
            Change::Deadline(key, ms) => {
                let deadline_ms = if ms == 0 { NEVER_MS } else { now_ms + ms - 1 };
                self.on(key, |keyspace, place| keyspace.set_deadline(place, deadline_ms));
            }
            Change::Remove(key) => {
                self.on(key, |keyspace, place| keyspace.remove(place, Cause::Command));
            }
            Change::Rename(from, to) => {
                self.transfers += 1;
                let transfer = self.transfers;
                let moved = self.on(from, |keyspace, place| keyspace.take(place, transfer));
                if let Some(moved) = moved {
                    self.keyspace.begin_batch();
                    self.keyspace.note_landed(transfer);
                    self.on(to, |keyspace, place| keyspace.put_moved(place, moved).is_ok());
                    self.keyspace.end_batch();
                }
            }
            Change::SetVector(element, ms) => self.set_vector(element, ms),
            Change::Wait(ms) => {
                self.now_ms += ms;
                self.keyspace.remove_due(self.now_ms);
            }
            Change::Create(stays) => self.create(stays),
            Change::Withdraw => drop(self.keyspace.withdraw(b"set", Cause::Command)),
            Change::ExpireCollection(ms) => {
                let place = self.keyspace.resolve_live(b"set", now_ms);
                self.keyspace.set_deadline(place, now_ms + ms);
            }
            Change::Move => self.move_collection(),
            Change::SetAlias(alias, collection) => {
                let generation = self.catalog.next_generation();
                self.keyspace.set_alias(&[b'l', alias], &[b'c', collection], generation);
            }
            Change::RemoveAlias(alias) => drop(self.keyspace.remove_alias(&[b'l', alias])),
            Change::Flush(number) => {
                let database = number.map(database);
                let is_meant = |name: &[u8]| database.is_none_or(|database| Database::of(name) == database);
                let before = self.catalog.next_generation();
                self.keyspace.remove_aliases_before(before, |_| true);
                let mut bucket = Some(0);
                while let Some(from) = bucket {
                    bucket = self.keyspace.withdraw_before(before, from, is_meant);
                }
                let mut place = Some(0);
                while let Some(from) = place {
                    place = self.keyspace.flush(before, database, from);
                }
            }
        }
    }

    fn on<R>(
        &mut self,
        key: u8,
        change: impl FnOnce(&mut Keyspace<Follower>, kora_keyspace::ResolvedKey<'_>) -> R,
    ) -> R {
        let key = key_of(key);
        let place = self.keyspace.resolve_live(&key, self.now_ms);
        change(&mut self.keyspace, place)
    }

    /// As a vector set is renamed, but to the name that it has.
    fn move_collection(&mut self) {
        let place = self.keyspace.resolve_live(b"set", self.now_ms);
        let Some(schema) = self.catalog.at(self.now_ms).find(b"set") else {
            return;
        };
        self.transfers += 1;
        self.keyspace.begin_batch();
        let part = self.keyspace.take_set(&schema, self.transfers);
        self.keyspace.note_landed(self.transfers);
        if let Some(part) = part {
            let next = Arc::new(Schema {
                name: schema.name.clone(),
                generation: self.catalog.next_generation(),
                dimension: schema.dimension,
                graph: schema.graph,
                made_by: schema.made_by,
                label: Bytes::from_static(b"moved"),
                name_bytes: Gauge::new(0),
                leaving: Gauge::new(0),
                deadline: SharedDeadline::new(),
            });
            self.keyspace.land_set(part, &next);
            self.keyspace.set_deadline(place, schema.deadline.end());
            let mut from = Some(0);
            while let Some(at) = from {
                from = self.keyspace.tell_vectors(&next, at, 3);
            }
        }
        self.keyspace.end_batch();
    }

    fn create(&mut self, stays: bool) {
        let place = self.keyspace.resolve_live(b"set", self.now_ms);
        if self.keyspace.exists(place) {
            return;
        }
        let schema = Arc::new(Schema {
            name: Bytes::from_static(b"set"),
            generation: self.catalog.next_generation(),
            dimension: 5,
            graph: GraphSettings {
                metric: Metric::L2,
                storage: self.storage,
                m: 4,
                ef_construction: 20,
                ef_search: 10,
                graph_min: 16,
            },
            made_by: if stays { MadeBy::Veccreate } else { MadeBy::Vecset },
            label: Bytes::new(),
            name_bytes: Gauge::new(0),
            leaving: Gauge::new(0),
            deadline: SharedDeadline::new(),
        });
        self.keyspace.create(&schema);
    }

    fn set_vector(&mut self, element: u8, ms: u64) {
        let key = key_of(KEYS + element);
        self.keyspace.resolve_live(&key, self.now_ms);
        let Some(schema) = self.catalog.at(self.now_ms).find(b"set") else {
            return;
        };
        let deadline_ms = match ms {
            0 => None,
            1..20 => Some(self.now_ms + ms - 1),
            _ => Some(NEVER_MS),
        };
        let vector = [1.0 / 3.0, 2.0, -0.7, f32::from(element), ms as f32];
        let mut insertion = self.keyspace.begin_vector(&schema, key.into(), &vector);
        let mut work = Work::new(u64::MAX);
        let end = self
            .keyspace
            .resume_vector(&mut insertion, deadline_ms, self.now_ms, &mut work);
        assert!(matches!(end, Step::Done(VectorEnd::Set { .. })));
        drop(insertion);
        self.keyspace.note_insertion_ended(&schema);
    }
}

fn follow(changes: Vec<Change>, times: usize, storage: Storage) {
    let new_catalog = || Arc::new(Catalog::new(7));
    let rebuilt = Rc::new(RefCell::new(Keyspace::new(new_catalog(), ())));
    let follower = Follower {
        rebuilt: Rc::clone(&rebuilt),
        times,
        is_in_batch: false,
        last: Sequence::default(),
    };
    let catalog = new_catalog();
    let mut subject = Subject {
        keyspace: Keyspace::new(Arc::clone(&catalog), follower),
        catalog,
        storage,
        now_ms: 1_000,
        transfers: 0,
    };
    subject.make(Change::Create(true));
    for change in changes {
        subject.make(change);
        let (keyspace, rebuilt) = (&subject.keyspace, rebuilt.borrow());
        keyspace.assert_sound(keyspace.collections());
        rebuilt.assert_sound(rebuilt.collections());
        keyspace.assert_equal(keyspace.collections(), &rebuilt);
        assert!(!keyspace.observers().is_in_batch, "each batch ends");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn outcomes_say_all(changes in prop::collection::vec(change(), 1..120)) {
        follow(changes, 1, Storage::F32);
    }

    #[test]
    fn an_outcome_seen_twice_is_one_seen_once(changes in prop::collection::vec(change(), 1..120)) {
        follow(changes, 2, Storage::F32);
    }

    #[test]
    fn vectors_that_are_not_kept_whole_are_rebuilt_bit_for_bit(changes in prop::collection::vec(change(), 1..60), kind in 1_usize..4) {
        follow(changes, 1, Storage::ALL[kind]);
    }
}
