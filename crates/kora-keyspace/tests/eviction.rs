//! What goes when memory is needed, and that what is counted stays what is there.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::{Catalog, GraphSettings, MadeBy, Schema};
use kora_keyspace::keys::Value;
use kora_keyspace::{EvictionChoice, EvictionPolicy, Keyspace, NEVER_MS, UseRule};
use kora_mesh::{Gauge, SharedDeadline};
use kora_values::StringValue;
use kora_vector::{Metric, Step, Storage, Work};

const START_MS: u64 = 1_796_000_000_000;

struct World {
    keyspace: Keyspace<()>,
    catalog: Arc<Catalog>,
    now_ms: u64,
    choice: EvictionChoice,
}

impl World {
    fn new(policy: EvictionPolicy) -> World {
        let catalog = Arc::new(Catalog::new(7));
        let mut keyspace = Keyspace::new(Arc::clone(&catalog), ());
        keyspace.set_use_rule(UseRule {
            counts: policy.counts_uses(),
            ..UseRule::default()
        });
        World {
            keyspace,
            catalog,
            now_ms: START_MS,
            choice: EvictionChoice { policy, samples: 5 },
        }
    }

    fn put(&mut self, key: &str, bytes: usize, deadline_ms: u64) {
        let place = self.keyspace.resolve_live(key.as_bytes(), self.now_ms);
        let value = Value::String(StringValue::new(&vec![7; bytes]));
        assert!(self.keyspace.put(place, value, Some(deadline_ms)).is_ok());
    }

    fn use_key(&mut self, key: &str) {
        let place = self.keyspace.resolve_live(key.as_bytes(), self.now_ms);
        assert!(self.keyspace.touch(place));
    }

    fn exists(&mut self, key: &str) -> bool {
        let place = self.keyspace.resolve_live(key.as_bytes(), self.now_ms);
        self.keyspace.exists(place)
    }

    fn create(&mut self, name: &str) -> Arc<Schema> {
        let schema = Arc::new(Schema {
            label: Bytes::new(),
            name: Bytes::copy_from_slice(name.as_bytes()),
            generation: self.catalog.next_generation(),
            dimension: 24,
            graph: GraphSettings {
                metric: Metric::L2,
                storage: Storage::F32,
                m: 4,
                ef_construction: 20,
                ef_search: 10,
                graph_min: 64,
            },
            made_by: MadeBy::Vecset,
            name_bytes: Gauge::new(0),
            leaving: Gauge::new(0),
            deadline: SharedDeadline::new(),
        });
        self.keyspace.create(&schema);
        schema
    }

    fn set_vector(&mut self, schema: &Arc<Schema>, number: usize, deadline_ms: u64) {
        let key = format!("{}:{number}", String::from_utf8_lossy(&schema.name));
        let vector: Vec<f32> = (0..24).map(|at| ((number * 31 + at * 17) % 101) as f32).collect();
        let mut insertion = self.keyspace.begin_vector(schema, Bytes::from(key), &vector);
        let mut work = Work::new(u64::MAX);
        let deadline = Some(deadline_ms);
        while self
            .keyspace
            .resume_vector(&mut insertion, deadline, self.now_ms, &mut work)
            == Step::More
        {}
        drop(insertion);
        self.keyspace.note_insertion_ended(schema);
    }

    fn evict(&mut self) -> bool {
        let is_gone = self.keyspace.evict(self.choice, self.now_ms);
        self.assert_sound();
        is_gone
    }

    fn rest(&mut self) {
        while self.keyspace.has_upkeep() {
            self.keyspace.keep_up(&mut Work::new(u64::MAX));
        }
        while self.keyspace.has_drops() {
            self.keyspace.free(&mut Work::new(u64::MAX));
        }
        while self.keyspace.give_back() {}
        self.assert_sound();
    }

    fn assert_sound(&self) {
        self.keyspace.assert_sound(self.keyspace.collections());
    }
}

#[test]
fn everything_goes_in_the_end_under_a_policy_of_all_keys_and_memory_comes_back() {
    for policy in [
        EvictionPolicy::AllKeysLru,
        EvictionPolicy::AllKeysLfu,
        EvictionPolicy::AllKeysRandom,
    ] {
        let mut world = World::new(policy);
        let empty = world.keyspace.memory_use().bytes();
        for number in 0..300 {
            world.put(&format!("key {number}"), number * 3, NEVER_MS);
        }
        let (large, small) = (world.create("large"), world.create("small"));
        (0..200).for_each(|number| world.set_vector(&large, number, NEVER_MS));
        (0..10).for_each(|number| world.set_vector(&small, number, START_MS + 1_000_000));
        world.assert_sound();
        let mut gone = 0;
        while world.evict() {
            gone += 1;
            if gone % 100 == 0 {
                world.rest();
            }
        }
        assert_eq!((gone, world.keyspace.evicted()), (510, 510), "{policy:?}");
        world.rest();
        let left = world.keyspace.memory_use();
        assert!(left.keys_bytes < 200, "{left:?}");
        assert!(left.bytes() < empty + 8_000, "{left:?}");
    }
}

#[test]
fn only_what_expires_goes_under_a_volatile_policy_and_by_its_time_if_that_is_the_policy() {
    for policy in [
        EvictionPolicy::VolatileLru,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::VolatileRandom,
        EvictionPolicy::VolatileTtl,
    ] {
        let mut world = World::new(policy);
        let docs = world.create("docs");
        for number in 0..100 {
            let deadline_ms = START_MS + 1_000_000 + (number as u64 * 37 % 100) * 1_000;
            world.put(&format!("goes {number}"), 30, deadline_ms);
            world.put(&format!("stays {number}"), 30, NEVER_MS);
            world.set_vector(
                &docs,
                number,
                if number % 2 == 0 { deadline_ms + 500 } else { NEVER_MS },
            );
        }
        // A time that is moved on leaves its item where it stands.
        world.put("goes 0", 30, START_MS + 9_000_000);
        let mut last = 0;
        for gone in 0..150 {
            if policy == EvictionPolicy::VolatileTtl {
                let first_ms = world.keyspace.next_deadline_ms().expect("some expire");
                assert!(first_ms >= last || gone == 0);
                last = first_ms;
            }
            assert!(world.evict(), "{policy:?} after {gone}");
        }
        assert!(!world.evict());
        assert!((0..100).all(|number| world.exists(&format!("stays {number}"))));
        assert_eq!(world.keyspace.live(), 50);
    }
}

#[test]
fn what_was_used_lately_or_often_stays() {
    for policy in [EvictionPolicy::AllKeysLru, EvictionPolicy::AllKeysLfu] {
        let mut world = World::new(policy);
        let docs = world.create("docs");
        for number in 0..400 {
            world.put(&format!("key {number}"), 20, NEVER_MS);
            world.set_vector(&docs, number, NEVER_MS);
        }
        for _ in 0..20 {
            world.now_ms += 5_000;
            for number in 0..40 {
                world.use_key(&format!("key {number}"));
                assert!(
                    world
                        .keyspace
                        .use_vector(b"docs", number.to_string().as_bytes(), world.now_ms)
                        .is_some()
                );
            }
        }
        for _ in 0..600 {
            assert!(world.keyspace.evict(world.choice, world.now_ms));
        }
        world.assert_sound();
        let stayed = (0..40).filter(|number| world.exists(&format!("key {number}"))).count();
        let vectors = (0..40).filter(|number| world.exists(&format!("docs:{number}"))).count();
        assert!(
            stayed >= 39 && vectors >= 39,
            "{policy:?}: {stayed} keys and {vectors} vectors"
        );
    }
}

#[test]
fn a_small_collection_takes_less_with_each_vector_that_goes() {
    let mut world = World::new(EvictionPolicy::AllKeysLru);
    let docs = world.create("docs");
    (0..30).for_each(|number| world.set_vector(&docs, number, NEVER_MS));
    let before = world.keyspace.memory_use().collections_bytes;
    (0..15).for_each(|_| assert!(world.evict()));
    let after = world.keyspace.memory_use().collections_bytes;
    assert!(before - after >= 15 * 24 * 4, "{before} became {after}");
    let part = world.keyspace.part_of(&docs).expect("it is held");
    assert_eq!((part.live(), part.describe().slots), (15, 15));
}
