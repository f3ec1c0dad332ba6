//! One index in process, one thread, that lives through replacement: `benches/churn.py` runs it.
//!
//! # Syntax
//! `churn ROWS DIMENSION METRIC STORAGE SCENARIO OPERATIONS LIVE`, a file of f32. It loads LIVE rows, does to them what the
//! scenario says, and prints at some points a line of `name=value`: the index that lived through it beside a fresh one of
//! the same vectors (see `beside`). As in a server, a thread touches pages before tables need them.

mod beside;
mod world;

use std::thread;

use kora_bench::read_floats;
use kora_vector::pages::make_pages;
use kora_vector::{Metric, Parameters, Storage};

use crate::world::{Replacing, World};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, rows, dimension, metric, storage, scenario, operations, live] = &arguments[..] else {
        panic!("churn ROWS DIMENSION METRIC STORAGE SCENARIO OPERATIONS LIVE");
    };
    let number = |text: &String| -> usize { text.parse().unwrap_or_else(|_| panic!("{text} is not a number")) };
    let parameters = Parameters {
        dimension: number(dimension),
        metric: Metric::parse(metric.as_bytes()).unwrap_or_else(|| panic!("no metric {metric}")),
        m: 16,
        ef_construction: 200,
        storage: Storage::parse(storage.as_bytes()).unwrap_or_else(|| panic!("no storage {storage}")),
        seed: 1,
    };
    thread::spawn(make_pages);
    let mut world = World::new(parameters, read_floats(rows), number(live));
    let operations = number(operations);
    let (scenario, drift) = scenario.split_once(':').unwrap_or((scenario, ""));
    if !drift.is_empty() {
        world.drift = drift.parse().unwrap_or_else(|_| panic!("{drift} is not a number"));
    }
    world.load();
    match scenario {
        "random" => at_points(&mut world, "random", operations, World::change_at_random),
        "order" => at_points(&mut world, "order", operations, World::replace_oldest),
        "drift" => at_points(&mut world, "drift", operations, World::move_a_little),
        "apart" => {
            world.replacing = Replacing::Apart;
            at_points(&mut world, "apart", operations, World::move_a_little);
        }
        "shrink" => delete_most(&mut world),
        "topic" => delete_topics(&mut world, operations),
        "reload" => reload(&mut world, operations),
        _ => panic!("no scenario {scenario}"),
    }
}

/// The same operation again and again, with a report here and there.
fn at_points(world: &mut World, name: &str, operations: usize, operate: fn(&mut World)) {
    world.forget_costs();
    for point in 1..=POINTS {
        (0..operations / POINTS).for_each(|_| operate(world));
        beside::report(world, name, point * (operations / POINTS), Some(operate));
    }
}

/// Nine in ten go.
fn delete_most(world: &mut World) {
    let deleted = world.live_count() * 9 / 10;
    (0..deleted).for_each(|_| world.remove_any());
    beside::report(world, "shrunk_at_once", deleted, None);
    world.rest();
    beside::report(world, "shrunk", deleted, None);
}

/// All that is near a vector goes, and comes back later.
fn delete_topics(world: &mut World, operations: usize) {
    world.forget_costs();
    let size = world.live_count() / 20;
    let rounds = (operations / size / 2).max(1);
    for round in 1..=rounds {
        let rows = world.remove_near_one(size);
        world.rest();
        if round == rounds {
            beside::report(world, "topic_gone", round * size, None);
        }
        rows.into_iter().for_each(|row| world.add(row));
    }
    beside::report(world, "topic_back", 2 * rounds * size, None);
}

/// All but one go and others come.
fn reload(world: &mut World, rounds: usize) {
    for round in 1..=rounds {
        while world.live_count() > 1 {
            world.remove_any();
        }
        world.rest();
        world.forget_costs();
        world.load();
        beside::report(world, "reload", round, None);
    }
}

/// Reports of a scenario.
const POINTS: usize = 5;
