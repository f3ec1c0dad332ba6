//! The law that a snapshot stands on, as a property: entries captured at any times, and the whole log replayed over them,
//! make what there was at the end.

mod world;

use std::ops::ControlFlow;

use kora_log::record::{Cause, Deadline, Record, encode_vector, records};
use world::{Value, Wish, World, numbers, put_entry, put_field, wish};

#[test]
fn captured_at_any_time_and_replayed_it_is_what_there_was() {
    for seed in 0..4_000 {
        let (captured, log, wanted) = run(seed, |world, wish, out| world.execute(wish, out));
        let found = replay(&captured, &log);
        assert_eq!(found, wanted.seen(), "seed {seed}");
    }
}

/// The same with records that are not blind must fail, or the property says nothing.
#[test]
fn a_removal_that_is_not_logged_would_be_found() {
    let broken = (0..4_000).filter(|&seed| {
        let (captured, log, wanted) = run(seed, |world, wish, out| match wish {
            Wish::Delete(_) => world.execute(wish, &mut Vec::new()),
            _ => world.execute(wish, out),
        });
        replay(&captured, &log) != wanted.seen()
    });
    assert!(broken.count() > 40);
}

/// What a capture wrote, the log from its beginning on, and the world at the end.
fn run(seed: u64, mut execute: impl FnMut(&mut World, &Wish, &mut Vec<u8>)) -> (Vec<u8>, Vec<u8>, World) {
    let mut random = numbers(seed + 1);
    let mut world = World::default();
    for _ in 0..random() % 40 {
        let wish = wish(&mut random);
        execute(&mut world, &wish, &mut Vec::new());
    }
    let (mut captured, mut log) = (Vec::new(), Vec::new());
    let mut capture = Capture::default();
    loop {
        if capture.step(&world, &mut captured).is_break() {
            break;
        }
        for _ in 0..random() % 4 {
            let wish = wish(&mut random);
            execute(&mut world, &wish, &mut log);
        }
    }
    for _ in 0..random() % 20 {
        let wish = wish(&mut random);
        execute(&mut world, &wish, &mut log);
    }
    (captured, log, world)
}

fn replay(captured: &[u8], log: &[u8]) -> World {
    let mut found = World::default();
    for record in records(captured).chain(records(log)) {
        found.apply(&record.expect("we wrote it"));
    }
    found.seen()
}

/// Goes through a world that changes meanwhile, one entry at a time, and a hash field by field.
#[derive(Default)]
struct Capture {
    stage: u8,
    key: Option<Vec<u8>>,
    field: Option<Vec<u8>>,
    vector: Option<(u64, Vec<u8>)>,
    generation: Option<u64>,
}

impl Capture {
    fn step(&mut self, world: &World, out: &mut Vec<u8>) -> ControlFlow<()> {
        match self.stage {
            0 => {
                let next = world
                    .collections
                    .iter()
                    .find(|generation| self.generation.is_none_or(|last| **generation > last));
                let Some(&generation) = next else {
                    self.stage = 1;
                    return ControlFlow::Continue(());
                };
                self.generation = Some(generation);
                Record::Create {
                    generation,
                    collection: b"c",
                    schema: b"s",
                    deadline: Deadline::Never,
                }
                .encode(out);
            }
            1 => self.step_key(world, out),
            _ => {
                let next = world
                    .vectors
                    .iter()
                    .find(|(name, _)| self.vector.as_ref().is_none_or(|last| *name > last));
                let Some(((generation, name), (components, deadline))) = next else {
                    return ControlFlow::Break(());
                };
                let vector: Vec<f32> = kora_log::record::components(components).collect();
                encode_vector(out, (*generation, b"c"), name, &vector, *deadline);
                self.vector = Some((*generation, name.clone()));
            }
        }
        ControlFlow::Continue(())
    }

    fn step_key(&mut self, world: &World, out: &mut Vec<u8>) {
        if let (Some(key), Some(field)) = (&self.key, &self.field) {
            // In the middle of a hash, if it is still one.
            if let Some((Value::Hash(fields), _)) = world.keys.get(key)
                && let Some((name, value)) = fields.iter().find(|(name, _)| *name > field)
            {
                put_field(out, key, name, value);
                self.field = Some(name.clone());
                return;
            }
            self.field = None;
            return;
        }
        let next = world
            .keys
            .iter()
            .find(|(key, _)| self.key.as_ref().is_none_or(|last| *key > last));
        let Some((key, entry)) = next else {
            self.stage = 2;
            return;
        };
        match &entry.0 {
            Value::String(_) => put_entry(out, key, entry),
            Value::Hash(_) => {
                put_entry(out, key, &(Value::Hash(Default::default()), entry.1));
                self.field = Some(Vec::new());
            }
        }
        self.key = Some(key.clone());
    }
}

#[test]
fn causes_are_told_apart() {
    let mut out = Vec::new();
    for cause in [Cause::Command, Cause::Expired, Cause::Moved(7)] {
        Record::Gone { key: b"k", cause }.encode(&mut out);
    }
    assert_eq!(records(&out).filter(Result::is_ok).count(), 3);
}
