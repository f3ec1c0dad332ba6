//! Every command against a naive twin.
//!
//! 1. A seed makes a program: requests by three clients, right most of the time ([`generate`]).
//! 2. The program runs on real engines ([`subject`]), one or some, and on the twin ([`twin`]), which reads the requests
//!    by itself.
//! 3. Every reply must be the twin's, in the version that the client speaks, texts of errors included. Only queries are
//!    judged ([`twin`]'s `Asked`): what they return must be there, at the right distance, in order, and as many as there
//!    can be; and of all true neighbours nineteen in twenty must be found.
//! 4. A program that fails is made smaller as long as it still fails, and printed as one would type it.

mod compare;
mod generate;
mod name;
mod say;
mod subject;
mod twin;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use kora_engine::command::table;
use kora_tests::random::Random;
use kora_tests::reply::{Protocol, take};
use kora_tests::request::{typed, words};

use crate::generate::{Step, program};
use crate::name::Name;
use crate::subject::Subject;
use crate::twin::{Expected, Recall, Twin};

#[test]
fn the_model_knows_every_command_of_the_table() {
    let of_table: BTreeSet<&str> = table::all()
        .flat_map(|entry| std::iter::once(entry).chain(entry.subcommands))
        .map(|entry| entry.name)
        .collect();
    let of_model: BTreeSet<&str> = Name::ALL.into_iter().map(Name::text).collect();
    assert_eq!(of_table, of_model);
    assert_eq!(of_model.len(), Name::ALL.len(), "each is listed once");
}

#[test]
fn one_engine_answers_as_the_twin_does() {
    run_seeds(Server {
        workers: 1,
        shards: 1,
        password: None,
    });
}

#[test]
fn three_engines_answer_as_the_twin_does() {
    run_seeds(Server {
        workers: 3,
        shards: 5,
        password: None,
    });
}

#[test]
fn engines_with_a_password_answer_as_the_twin_does() {
    run_seeds(Server {
        workers: 2,
        shards: 2,
        password: Some("sesame"),
    });
}

/// What programs run on.
#[derive(Clone, Copy, Debug)]
struct Server {
    workers: usize,
    shards: usize,
    password: Option<&'static str>,
}

fn run_seeds(server: Server) {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match variable("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("MODEL_SEEDS").unwrap_or(SEEDS),
    };
    let mut total = Recall::default();
    silence_panics_of_engines();
    for seed in seeds {
        let program = program(Random::new(seed));
        match run_caught(server, &program) {
            Ok(recall) => {
                total.found += recall.found;
                total.wanted += recall.wanted;
            }
            Err(fault) => {
                let smaller = shrink(server, program);
                let fault = run_caught(server, &smaller).err().unwrap_or(fault);
                panic!(
                    "SEED={seed} {server:?}: {fault}\n{}",
                    smaller.iter().map(show).collect::<Vec<String>>().join("\n")
                );
            }
        }
    }
    println!("{server:?}: {total:?}");
    let recall = total.found as f64 / total.wanted.max(1) as f64;
    assert!(recall >= 0.95, "{recall} of the true neighbours were found");
}

/// Runs a program on both; what differs first, if anything does.
fn run(server: Server, program: &[Step]) -> Result<Recall, String> {
    let mut subject = Subject::new(server.workers, server.shards, server.password);
    let mut twin = Twin::new(server.shards, server.password);
    let mut sessions = 0;
    let mut total = Recall::default();
    for step in program {
        while twin.sessions.len() < CLIENTS {
            sessions += 1;
            let since_us = subject.connect(sessions);
            twin.connect(sessions, since_us);
        }
        let ids: Vec<u64> = twin.sessions.keys().copied().collect();
        let id = ids[step.client];
        let protocol_before = twin.sessions[&id].protocol;
        subject.wait(step.wait_ms);
        let heard = subject.say(id, &step.words);
        twin.now_us = heard.taken_us;
        let expected = twin.answer(id, &step.words);
        let protocol = twin
            .sessions
            .get(&id)
            .map_or(protocol_before, |session| session.protocol);
        let closed: Vec<u64> = ids.into_iter().filter(|id| !twin.sessions.contains_key(id)).collect();
        if heard.closed != closed {
            return Err(format!(
                "{} closed {:?} instead of {closed:?}",
                show(step),
                heard.closed
            ));
        }
        let recall = compare::compare(&expected, heard.bytes, protocol, server.shards)
            .map_err(|fault| format!("{} ({protocol:?}): {fault}", show(step)))?;
        total.found += recall.found;
        total.wanted += recall.wanted;
    }
    sessions += 1;
    subject.connect(sessions);
    walk(server, &mut subject, sessions, &mut twin)?;
    subject.assert_rebuilt();
    Ok(total)
}

/// Scans from the beginning to the end, a few keys at a time: each key that there is until the end must come, and nothing
/// that was not there at the beginning. The clock goes on meanwhile, so that a key may expire on the way.
fn walk(server: Server, subject: &mut Subject, id: u64, twin: &mut Twin) -> Result<(), String> {
    if let Some(password) = server.password {
        subject.say(id, &words(&format!("AUTH {password}")));
    }
    let (mut cursor, mut found, mut at_first) = (0, BTreeSet::new(), None);
    for _ in 0..WALK_STEPS_MAX {
        let mut heard = subject.say(id, &words(&format!("SCAN {cursor} COUNT 3")));
        twin.now_us = heard.taken_us;
        twin.settle();
        twin.go_to(0);
        let at_first = at_first.get_or_insert_with(|| twin.keys());
        let reply = take(&mut heard.bytes, Protocol::Two).ok_or("SCAN without a reply")?;
        let (next, keys) = compare::scan_parts(&reply).ok_or_else(|| format!("SCAN {cursor} answered {reply:?}"))?;
        found.extend(keys);
        if next == 0 {
            let there = twin.keys();
            return match there.is_subset(&found) && found.is_subset(at_first) {
                true => Ok(()),
                false => Err(format!("a scan found {found:?} of {at_first:?}, and {there:?} stayed")),
            };
        }
        cursor = next;
    }
    Err(format!("a scan does not end, and is at {cursor}"))
}

/// The same, with a panic of the engine as one more way to differ.
fn run_caught(server: Server, program: &[Step]) -> Result<Recall, String> {
    RUNS_PROGRAM.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(server, program)));
    RUNS_PROGRAM.set(false);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a text")))
    })
}

/// Making a program smaller runs it hundreds of times: what panics meanwhile is shown once, at the end.
fn silence_panics_of_engines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !RUNS_PROGRAM.get() {
                show(panic);
            }
        }));
    });
}

thread_local! {
    static RUNS_PROGRAM: Cell<bool> = const { Cell::new(false) };
}

/// Leaves steps out, many at first, then single ones, as long as it still fails.
fn shrink(server: Server, mut program: Vec<Step>) -> Vec<Step> {
    let mut size = program.len() / 2;
    while size > 0 {
        let mut start = 0;
        while start < program.len() {
            let mut smaller = program.clone();
            smaller.drain(start..(start + size).min(program.len()));
            if run_caught(server, &smaller).is_err() {
                program = smaller;
            } else {
                start += size;
            }
        }
        size /= 2;
    }
    program
}

fn show(step: &Step) -> String {
    format!(
        "client {} after {} ms: {}",
        step.client,
        step.wait_ms,
        typed(&step.words)
    )
}

/// Connected at any time.
const CLIENTS: usize = 3;

/// Far more than a scan of what a program leaves behind takes.
const WALK_STEPS_MAX: usize = 1000;

/// Programs on each server in an ordinary run.
const SEEDS: u64 = 300;
