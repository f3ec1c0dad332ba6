use std::cell::Cell;
use std::task::Waker;

use bytes::BytesMut;
use kora_resp::{Reader, ReaderLimits};
use kora_vector::{Metric, Storage};

use super::*;
use crate::budgets::SLICE_WORK;
use crate::engine::{Admission, Standing};
use crate::router::Placement;
use crate::setup::{CpuTime, Facts, Setup, mesh_ends};
use kora_keyspace::catalog::{Catalog, GraphSettings};

/// A clock that is set by hand.
#[derive(Default)]
struct Clock {
    us: Cell<u64>,
    cpu_us: Cell<u64>,
}

impl Host for Clock {
    fn now_us(&self) -> u64 {
        self.us.get()
    }

    fn unix_us(&self) -> u64 {
        self.us.get()
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn release_memory(&self) {}

    fn thread_cpu_us(&self) -> u64 {
        self.cpu_us.get()
    }

    fn cpu_us(&self) -> CpuTime {
        CpuTime::default()
    }
}

/// Two workers with a shard each.
fn two_engines() -> [Engine; 2] {
    let setup = Arc::new(Setup {
        databases: crate::databases::Databases::new(16),
        placement: Placement::new(2, 2),
        catalog: Arc::new(Catalog::new(1)),
        scripts: Arc::new(crate::Scripts::new(2, 1)),
        graph: GraphSettings {
            metric: Metric::Cosine,
            storage: Storage::F32,
            m: 16,
            ef_construction: 200,
            ef_search: 100,
            graph_min: 512,
        },
        live: Arc::default(),
        durability: Arc::new(kora_mesh::Durability::new(2)),
        slice_work: SLICE_WORK,
        settings: Box::new(Vec::new()),
        facts: Facts::default(),
    });
    let engines = mesh_ends(setup.placement, 64)
        .into_iter()
        .map(|mesh_end| Engine::new(mesh_end, Arc::clone(&setup)));
    engines.collect::<Vec<Engine>>().try_into().ok().expect("two of them")
}

fn connect(engine: &mut Engine, id: u64) -> ReplyQueueId {
    engine.connect(Session::new(id, format!("10.0.0.1:{id}"), String::new(), 0))
}

fn say(engine: &mut Engine, reply_queue: ReplyQueueId, text: &str, clock: &Clock) {
    let bytes = format!("{text}\r\n");
    let mut reader = Reader::new(ReaderLimits::default());
    let request = reader.read(bytes.as_bytes()).unwrap().unwrap();
    let parsed = engine.parse(reply_queue, &request);
    let admission = engine.submit(reply_queue, parsed, clock.now_us(), clock);
    assert!(matches!(admission, Admission::Taken));
}

/// Lets both work until neither has anything to do.
fn settle([one, other]: &mut [Engine; 2], clock: &Clock) {
    for _ in 0..8 {
        let _ = one.turn(clock, 1000);
        let _ = other.turn(clock, 1000);
    }
}

fn heard(engine: &mut Engine, reply_queue: ReplyQueueId) -> (String, Standing) {
    let mut out = BytesMut::new();
    let _ = engine.poll_replies(reply_queue, Waker::noop());
    let standing = engine.drain(reply_queue, &mut out);
    (String::from_utf8(out.to_vec()).unwrap(), standing)
}

#[test]
fn whoever_arrives_between_two_looks_for_it_is_killed_all_the_same() {
    let (clock, mut engines) = (Clock::default(), two_engines());
    let victim = connect(&mut engines[0], 1);
    let killer = connect(&mut engines[1], 2);
    let migrating_client = engines[0].depart(victim);
    say(&mut engines[1], killer, "CLIENT KILL ID 1", &clock);
    // The one worker looks before it arrives there, the other when it has.
    let _ = engines[1].turn(&clock, 1000);
    let victim = engines[1].take_in(migrating_client);
    assert!(matches!(heard(&mut engines[1], victim).1, Standing::Served { .. }));
    settle(&mut engines, &clock);
    assert_eq!(heard(&mut engines[1], killer).0, ":1\r\n", "it counts once");
    assert_eq!(heard(&mut engines[1], victim).1, Standing::Killed);
}

#[test]
fn whoever_is_killed_on_its_way_is_closed_when_it_arrives() {
    let (clock, mut engines) = (Clock::default(), two_engines());
    let victim = connect(&mut engines[0], 1);
    let killer = connect(&mut engines[1], 2);
    let migrating_client = engines[0].depart(victim);
    say(&mut engines[1], killer, "CLIENT LIST", &clock);
    say(&mut engines[1], killer, "CLIENT KILL ID 1", &clock);
    settle(&mut engines, &clock);
    let (text, _) = heard(&mut engines[1], killer);
    assert!(text.contains("id=1 ") && text.ends_with(":1\r\n"), "{text}");
    let victim = engines[1].take_in(migrating_client);
    assert_eq!(heard(&mut engines[1], victim).1, Standing::Killed);
    engines[1].disconnect(victim);
    say(&mut engines[1], killer, "CLIENT LIST", &clock);
    settle(&mut engines, &clock);
    let (text, _) = heard(&mut engines[1], killer);
    assert!(!text.contains("id=1 "), "it is forgotten: {text}");
}

#[test]
fn a_client_is_drawn_to_where_its_commands_lead_unless_that_worker_is_busy() {
    let (clock, mut engines) = (Clock::default(), two_engines());
    clock.us.set(10 * LOAD_LOOK_US);
    let client = connect(&mut engines[0], 1);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let lies_on = |engine: &Engine, key: &str| {
        let placement = engine.setup.placement;
        placement.worker_of(placement.shard_of(key.as_bytes())).index()
    };
    let far = keys.into_iter().find(|key| lies_on(&engines[0], key) == 1).unwrap();
    let near = keys.into_iter().find(|key| lies_on(&engines[0], key) == 0).unwrap();
    let ask = |engines: &mut [Engine; 2], key: &str, times: u32| {
        for _ in 0..times {
            say(&mut engines[0], client, &format!("GET {key}"), &clock);
            settle(engines, &clock);
            heard(&mut engines[0], client);
        }
    };
    ask(&mut engines, far, DRAWN_COMMANDS - 1);
    assert_eq!(engines[0].migration_target(client), None, "not often enough");
    ask(&mut engines, near, 1);
    ask(&mut engines, far, DRAWN_COMMANDS - 1);
    assert_eq!(engines[0].migration_target(client), None, "not in a row");
    ask(&mut engines, far, 1);
    assert_eq!(engines[0].migration_target(client), Some(1));

    // Both have worked all the time since.
    clock.us.set(clock.us.get() + LOAD_LOOK_US);
    clock.cpu_us.set(clock.cpu_us.get() + LOAD_LOOK_US);
    settle(&mut engines, &clock);
    assert_eq!(engines[0].migration_target(client), None, "it is busy");
    clock.us.set(clock.us.get() + LOAD_LOOK_US);
    settle(&mut engines, &clock);
    assert_eq!(engines[0].migration_target(client), Some(1), "it has time again");

    say(&mut engines[0], client, "MULTI", &clock);
    assert_eq!(engines[0].migration_target(client), None, "in the middle of something");
    say(&mut engines[0], client, "DISCARD", &clock);
    settle(&mut engines, &clock);
    heard(&mut engines[0], client);
    say(&mut engines[0], client, &format!("WATCH {far}"), &clock);
    settle(&mut engines, &clock);
    heard(&mut engines[0], client);
    assert!(!engines[0].may_depart(client), "a shard knows it");
}

#[test]
fn those_that_have_left_for_good_are_forgotten_in_time() {
    let mut engines = two_engines();
    for id in 0..10 * DEPARTED_MIN as u64 {
        let reply_queue = connect(&mut engines[0], id);
        let migrating_client = engines[0].depart(reply_queue);
        let reply_queue = engines[1].take_in(migrating_client);
        if id > 9 {
            engines[1].disconnect(reply_queue);
        }
    }
    assert_eq!(engines[0].migrations.departed_from(0).count(), 10);
    assert!(engines[0].migrations.departed.len() <= DEPARTED_MIN);
}

#[test]
fn whoever_leaves_in_the_middle_of_a_command_is_forgotten_at_once() {
    let (clock, mut engines) = (Clock::default(), two_engines());
    let reply_queue = connect(&mut engines[0], 1);
    let migrating_client = engines[0].depart(reply_queue);
    let reply_queue = engines[1].take_in(migrating_client);
    assert_eq!(engines[0].migrations.departed_from(0).count(), 1);
    say(&mut engines[1], reply_queue, "DBSIZE", &clock);
    engines[1].disconnect(reply_queue);
    assert!(
        engines[1].reply_queues.find(reply_queue).is_some(),
        "an answer is to come"
    );
    assert_eq!(engines[0].migrations.departed_from(0).count(), 0);
    settle(&mut engines, &clock);
}
