//! A whole server in one thread, driven by chance that a seed decides.
//!
//! 1. A seed chooses a world ([`scenario`]): workers, shards, a credit of one to four requests, collections, clients.
//! 2. The engines are the real ones. Their clock, their clients and whoever drives their turns are simulated
//!    ([`world`], [`connection`]): at each step chance picks an engine or a client that can move, and moves it. Engines
//!    and connections sleep when they may and move only when they were woken, so a lost wake-up ends in a world where
//!    nobody can move and somebody waits.
//! 3. Clients send real bytes and read real bytes. They write few keys in few collections, with unlike dimensions, drop
//!    and make collections again, query in all ways, vanish, kill each other and read slowly ([`command`]).
//! 4. Every reply is held against its command at once ([`replies`]): one reply for each, in order, of the right shape.
//!    At the end all of them are held against each other ([`keys`]): what was read must have been written, and what was
//!    written must not be lost.
//! 5. Every round ends at a quiet point: nobody owes anything, the graphs are sound, and an audit asks every shard
//!    whether it agrees with the others ([`audit`]).
//!
//! A failure prints the line that runs the same seed again. `SIMULATION_SEEDS=10000` runs more of them.

mod aliases;
mod audit;
mod command;
mod connection;
mod history;
mod keys;
mod replies;
mod scenario;
mod storage;
mod world;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use kora_tests::random::Random;
use kora_tests::reply::Value;

use crate::scenario::Scenario;
use crate::world::World;

#[test]
fn every_schedule_keeps_the_promises() {
    for_each_seed("every_schedule_keeps_the_promises", 200, |seed| {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let mut world = World::new(scenario, Random::new(random.any()), random);
        for _ in 0..world.scenario.rounds {
            world.run_by_chance(world.scenario.commands, false);
            world.check_kills();
            audit::run(&mut world);
            audit::clients(&mut world);
        }
        audit::flush(&mut world);
        world.end();
        keys::check(&world.history, &world.scenario);
        aliases::check(&world.history, &world.scenario);
    });
}

/// The same with a disk below and `appendfsync always`: the power goes at any step, once or twice in a row, and what was not
/// synced is there in part. What was acknowledged is there, and what was not is whole or not at all.
#[test]
fn what_was_acknowledged_survives_every_crash() {
    let (rounds, crashes, saved) = (Cell::new(0), Cell::new(0), Cell::new(0));
    for_each_seed("what_was_acknowledged_survives_every_crash", 200, |seed| {
        let mut random = Random::new(seed);
        let mut scenario = Scenario::new(&mut random);
        scenario.commands = scenario.commands.min(200);
        let mut world = World::new(scenario, Random::new(random.any()), random).with_disk();
        for _ in 0..world.scenario.rounds {
            world.run_by_chance(world.scenario.commands, false);
            audit::run(&mut world);
            world.crash();
            audit::run(&mut world);
        }
        world.end();
        keys::check(&world.history, &world.scenario);
        aliases::check(&world.history, &world.scenario);
        rounds.set(rounds.get() + world.scenario.rounds);
        crashes.set(crashes.get() + world.crashes);
        saved.set(saved.get() + world.saved());
    });
    // Not only at quiet points, and not only of the log.
    let (rounds, crashes, saved) = (rounds.get(), crashes.get(), saved.get());
    println!("{crashes} crashes, {rounds} of them first at quiet points; {saved} snapshots");
    assert!(rounds < 100 || (crashes > rounds * 3 / 2 && saved > rounds / 4));
}

#[test]
fn the_reply_to_a_query_does_not_depend_on_the_schedule() {
    for_each_seed("the_reply_to_a_query_does_not_depend_on_the_schedule", 40, |seed| {
        let replies = |schedule: u64| {
            let mut random = Random::new(seed);
            let mut scenario = Scenario::without_removals(&mut random);
            scenario.commands = scenario.commands.min(200);
            let mut world = World::new(scenario, Random::new(random.any()), random);
            world.run_by_chance(world.scenario.commands, false);
            // The same graphs until here; from here on another schedule, and only queries.
            world.reschedule(Random::new(schedule));
            let start = world.history.events.len();
            world.run_by_chance(100, true);
            let mut replies: Vec<(String, Option<Value>)> = world.history.events[start..]
                .iter()
                .filter(|event| matches!(event.command, command::Command::Query(_)))
                .map(|event| {
                    (
                        format!("{:?} {:?}", event.command, event.protocol),
                        event.reply().cloned(),
                    )
                })
                .collect();
            replies.sort_by(|one, two| one.0.cmp(&two.0));
            replies
        };
        let (one, two) = (replies(1), replies(2));
        assert!(!one.is_empty());
        assert_eq!(one, two);
    });
}

/// What was written may have been evicted, so replies are compared with their commands only. Counted memory is compared with a
/// recount at each look, and each command that waits for memory is answered.
#[test]
fn a_limit_holds_in_every_schedule_and_no_command_waits_for_ever() {
    let evicted = Cell::new(0);
    for_each_seed(
        "a_limit_holds_in_every_schedule_and_no_command_waits_for_ever",
        60,
        |seed| {
            let mut random = Random::new(seed);
            let mut scenario = Scenario::new(&mut random);
            let limit = 200_000 + 40_000 * scenario.shards as u64;
            scenario.data_bytes_max = Some(limit);
            let mut world = World::new(scenario, Random::new(random.any()), random);
            for _ in 0..world.scenario.rounds {
                world.run_by_chance(world.scenario.commands, false);
                let (gone, used) = world.memory();
                evicted.set(evicted.get() + gone);
                assert!(used <= limit + limit / 10, "{used} of {limit}");
            }
            world.end();
        },
    );
    assert!(evicted.get() > 0, "in some world something is evicted");
}

#[test]
fn a_seed_is_replayed_exactly() {
    let history = |seed| {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let mut world = World::new(scenario, Random::new(random.any()), random);
        world.run_by_chance(world.scenario.commands, false);
        let events = world.history.events.iter();
        let mut text: Vec<String> = events
            .map(|event| {
                format!(
                    "{} {:?} {} {:?}",
                    event.client, event.command, event.start, event.answer
                )
            })
            .collect();
        world.end();
        text.push(world.history.events.len().to_string());
        text
    };
    for seed in 1000..1010 {
        let (one, two) = (history(seed), history(seed));
        let difference = one.iter().zip(&two).find(|(one, two)| one != two);
        assert_eq!(difference, None, "seed {seed}");
    }
}

/// Runs the seeds, and those that found something once; `SEED` runs that one, `SIMULATION_SEEDS` so many.
fn for_each_seed(test: &str, count: u64, run: impl Fn(u64)) {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seeds, known) = match variable("SEED") {
        Some(seed) => (seed..seed + 1, &[][..]),
        None => (0..variable("SIMULATION_SEEDS").unwrap_or(count), &FOUND_SOMETHING[..]),
    };
    for seed in known.iter().copied().chain(seeds) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("SEED={seed} cargo test -p kora-tests --test simulation {test}");
            resume_unwind(panic);
        }
    }
}

/// Seeds that found something that the first few hundred do not. Where the scenarios change, a seed finds something else, and
/// goes.
const FOUND_SOMETHING: [u64; 0] = [];
