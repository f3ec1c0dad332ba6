//! RENAME and RENAMENX of vector sets. A set leaves its key whole, whatever it holds; no vector is copied. What takes time is to
//! write it down under its new key, where a log is kept: in slices, and no other command runs on the shard meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_keyspace::{Cause, NEVER_MS};
use kora_mesh::{Gauge, SharedDeadline};
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::notices::Hint;
use super::task::{Begun, Task};
use crate::budgets::ELEMENT_WORK;
use crate::command::{NameError, TransferKind, vet_collection_name};
use crate::error::ClientError;
use crate::limits::{MOVED_SET_BYTES_MAX, SET_WAITS_MAX};
use crate::mail::PartialReply;
use crate::moved::{MovedData, MovedSet};

/// A set that leaves its key, between two slices.
struct LeavingSet {
    from: Bytes,
    to: Bytes,
    /// What else is wanted, if the new key is one of this shard's; else the set is handed over.
    here: Option<TransferKind>,
    now_ms: u64,
    /// Slices in which vectors were being set.
    waits: u32,
    landing: Option<LandingSet>,
}

/// A set that has its new key, of which not all vectors are told.
pub(super) struct LandingSet {
    schema: Arc<Schema>,
    /// Where to go on, if there is more.
    next: Option<u32>,
}

/// The same as a task, for a set that came from another shard.
struct Landing(LandingSet);

impl Shard {
    /// Begins to rename a set; `here` says how, if the new key is one of this shard's.
    pub(super) fn begin_moving_set(
        &mut self,
        (from, to): (Bytes, Bytes),
        here: Option<TransferKind>,
        now_ms: u64,
        work: &mut Work,
    ) -> Begun<PartialReply> {
        let leaving = LeavingSet {
            from,
            to,
            here,
            now_ms,
            waits: 0,
            landing: None,
        };
        self.run(leaving, work)
    }

    /// Takes in a set that came from another shard. The caller has seen that its key is free or gives way.
    pub(super) fn put_set(&mut self, key: &[u8], set: MovedSet, now_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        self.keyspace.begin_batch();
        let landing = self.begin_landing(key, set, now_ms);
        self.run(Landing(landing), work)
    }

    /// Gives a set its new key, in a batch that the caller has begun.
    pub(super) fn begin_landing(&mut self, key: &[u8], set: MovedSet, now_ms: u64) -> LandingSet {
        self.keyspace.note_landed(set.transfer);
        let place = self.resolve_live(key, now_ms);
        self.hint_at(place, Hint::of_transfer(&set.schema.name, key));
        self.clear_set(key, now_ms);
        self.keyspace.remove(place, Cause::Overwritten);
        let before = &set.schema;
        let schema = Arc::new(Schema {
            name: Bytes::copy_from_slice(key),
            generation: self.setup.catalog.next_generation(),
            dimension: before.dimension,
            graph: before.graph,
            made_by: before.made_by,
            label: before.label.clone(),
            name_bytes: Gauge::new(0),
            leaving: Gauge::new(0),
            deadline: SharedDeadline::new(),
        });
        self.keyspace.land_set(set.part, &schema);
        let deadline_ms = set.schema.deadline.end();
        if deadline_ms != NEVER_MS {
            self.keyspace.set_deadline(place, deadline_ms);
        }
        LandingSet { schema, next: Some(0) }
    }

    /// Tells some more vectors of a set that has landed.
    pub(super) fn tell_landed(&mut self, landing: &mut LandingSet, work: &mut Work) -> Step<()> {
        // To clients one key was renamed, and nothing was added.
        self.keyspace.observers_mut().is_landing = true;
        let of_one = ELEMENT_WORK + landing.schema.dimension as u64;
        while let Some(from) = landing.next {
            landing.next = self.keyspace.tell_vectors(&landing.schema, from, TOLD_AT_ONCE);
            work.spend(of_one * TOLD_AT_ONCE as u64);
            if work.is_spent() {
                break;
            }
        }
        self.keyspace.observers_mut().is_landing = false;
        match landing.next {
            Some(_) => Step::More,
            None => Step::Done(()),
        }
    }

    /// Something else gets the key of a vector set.
    pub(super) fn clear_set(&mut self, key: &[u8], now_ms: u64) {
        if self.setup.catalog.at(now_ms).holds_set(key) {
            self.keyspace.withdraw(key, Cause::Overwritten);
        }
    }

    /// True if this key is the name of a collection that is no vector set: it gives way to nothing.
    pub(super) fn is_spread_collection(&self, key: &[u8], now_ms: u64) -> bool {
        let catalog = self.setup.catalog.at(now_ms);
        catalog.holds(key) && !catalog.holds_set(key)
    }

    /// Why a set can't have this key, if it can't.
    fn refuse_key_of_set(&self, key: &[u8], now_ms: u64) -> Option<ClientError> {
        if let Err(error) = vet_collection_name(key) {
            return Some(error);
        }
        if let Some(error) = self.refuse_alias(key) {
            return Some(error);
        }
        self.is_spread_collection(key, now_ms)
            .then(|| ClientError::NameOfCollection { name: key.to_vec() })
    }

    /// Why a set of so many bytes can't move, if it can't: all of it would stand in the log at once.
    fn refuse_large_set(&self, schema: &Schema) -> Option<ClientError> {
        let is_told = self.setup.durability.told.has_directory.get() == 1;
        let part = self.keyspace.part_of(schema).filter(|_| is_told)?;
        let described = part.describe();
        let bytes =
            part.live() * schema.dimension * size_of::<f32>() + described.keys_bytes + described.attributes_bytes;
        let name = schema.name.to_vec();
        (bytes > MOVED_SET_BYTES_MAX).then(|| NameError::SetTooLarge { name, bytes }.into())
    }
}

impl LeavingSet {
    /// What is answered where there is nothing.
    fn nothing(&self) -> PartialReply {
        match self.here {
            None => PartialReply::Moved(None),
            Some(kind) if kind.may_miss() => PartialReply::Reply(Reply::Integer(0)),
            Some(_) => error(&ClientError::NoSuchKey),
        }
    }

    /// The set, if nothing is under way in it any more, or what is answered.
    fn find(&mut self, shard: &mut Shard) -> Step<Result<Arc<Schema>, PartialReply>> {
        // What has expired does not move.
        shard.keyspace.remove_due_vectors(self.now_ms);
        if shard.keyspace.has_due_vector(self.now_ms) {
            return Step::More;
        }
        let found = shard.setup.catalog.at(self.now_ms).find(&self.from);
        let found = found.filter(|schema| schema.set_form().is_some());
        let Some(schema) = found.filter(|schema| !shard.keyspace.withdraw_if_empty(schema)) else {
            return Step::Done(Err(self.nothing()));
        };
        if let Some(kind) = self.here {
            let place = shard.resolve_live(&self.to, self.now_ms);
            let is_taken = shard.keyspace.exists(place);
            if self.from == self.to {
                return Step::Done(Err(PartialReply::Reply(match kind {
                    TransferKind::Rename => Reply::ok(),
                    _ => Reply::Integer(0),
                })));
            }
            if is_taken && !kind.replaces() {
                return Step::Done(Err(PartialReply::Reply(Reply::Integer(0))));
            }
        }
        let refusal = shard.refuse_key_of_set(&self.to, self.now_ms);
        let refusal = refusal.or_else(|| shard.refuse_large_set(&schema));
        if let Some(refusal) = refusal {
            return Step::Done(Err(error(&refusal)));
        }
        if !shard.keyspace.part_of(&schema).is_some_and(|part| part.is_inserting()) {
            return Step::Done(Ok(schema));
        }
        self.waits += 1;
        // In a transaction or a script nothing else goes on meanwhile.
        match self.waits > SET_WAITS_MAX || shard.keyspace.is_in_batch() {
            true => Step::Done(Err(error(&ClientError::Said(
                "TRYAGAIN elements are being added to the vector set",
            )))),
            false => Step::More,
        }
    }
}

impl Task for LeavingSet {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        if self.landing.is_none() {
            let schema = match self.find(shard) {
                Step::More => return Step::More,
                Step::Done(Err(part)) => return Step::Done(part),
                Step::Done(Ok(schema)) => schema,
            };
            let transfer = shard.next_transfer();
            if self.here.is_some() {
                shard.keyspace.begin_batch();
                let place = shard.resolve_live(&self.to, self.now_ms);
                shard.hint_at(place, Hint::of_transfer(&self.from, &self.to));
            }
            let Some(part) = shard.keyspace.take_set(&schema, transfer) else {
                if self.here.is_some() {
                    shard.keyspace.end_batch();
                }
                return Step::Done(self.nothing());
            };
            let set = MovedSet { part, schema, transfer };
            if self.here.is_none() {
                shard.note_crossing(Some(transfer));
                return Step::Done(PartialReply::Moved(Some(MovedData::Set(Box::new(set)))));
            }
            self.landing = Some(shard.begin_landing(&self.to, set, self.now_ms));
        }
        if let Some(landing) = &mut self.landing
            && shard.tell_landed(landing, work) == Step::More
        {
            return Step::More;
        }
        shard.keyspace.end_batch();
        Step::Done(PartialReply::Reply(match self.here {
            Some(TransferKind::RenameIfAbsent | TransferKind::Move) => Reply::Integer(1),
            _ => Reply::ok(),
        }))
    }

    /// Until it begins others go on, for which it may wait.
    fn is_exclusive(&self) -> bool {
        self.landing.is_some()
    }
}

impl Task for Landing {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        let step = shard.tell_landed(&mut self.0, work);
        if step == Step::Done(()) {
            shard.keyspace.end_batch();
            return Step::Done(PartialReply::Moved(None));
        }
        Step::More
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

fn error(error: &ClientError) -> PartialReply {
    PartialReply::Reply(Reply::Error(error.to_string()))
}

/// Vectors told at once.
const TOLD_AT_ONCE: usize = 32;
