//! The thing under test: one engine or several, turned round robin, and connections that speak bytes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use kora_engine::budgets::SLICE_WORK;
use kora_engine::{
    Admission, Catalog, CpuTime, Engine, Facts, GraphSettings, Host, LiveSettings, Placement, Progress, ReplyQueueId,
    Scripts, Session, Setup, Standing, mesh_ends,
};
use kora_mesh::Gauge;
use kora_resp::{Reader, ReaderLimits};
use kora_tests::rebuilt::Rebuilt;
use kora_tests::request::encode;
use kora_vector::hnsw::GRAPH_MIN;
use kora_vector::{Metric, Storage};

use crate::twin::SETTINGS;

/// All engines of one server.
pub(crate) struct Subject {
    engines: Vec<Engine>,
    /// What the engines hold, if their shards told of every change.
    rebuilt: Rebuilt,
    /// Requests so far.
    said: usize,
    clock: Clock,
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    worker: usize,
    reply_queue: ReplyQueueId,
}

/// What came back for one request.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) bytes: BytesMut,
    /// When the request was taken, in microseconds of Unix time.
    pub(crate) taken_us: u64,
    /// Sessions that were closed meanwhile.
    pub(crate) closed: Vec<u64>,
}

/// A clock that hardly moves.
struct Clock(Cell<u64>);

impl Host for Clock {
    fn now_us(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    fn unix_us(&self) -> u64 {
        UNIX_US + self.0.get()
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn release_memory(&self) {}

    fn thread_cpu_us(&self) -> u64 {
        self.0.get()
    }

    fn cpu_us(&self) -> CpuTime {
        CpuTime::default()
    }
}

impl Subject {
    pub(crate) fn new(workers: usize, shards: usize, password: Option<&str>) -> Subject {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let live = LiveSettings {
            clients_max: Gauge::new(77),
            ..LiveSettings::default()
        };
        live.access.set_password(password);
        let setup = Arc::new(Setup {
            databases: kora_engine::Databases::new(16),
            placement: Placement::new(shards, workers),
            catalog: Arc::new(Catalog::new(1)),
            scripts: Arc::new(Scripts::new(shards, 1)),
            graph: DEFAULTS,
            live: Arc::new(live),
            durability: Arc::new(kora_mesh::Durability::new(workers)),
            slice_work: SLICE_WORK,
            settings: Box::new(settings.to_vec()),
            facts: Facts::default(),
        });
        let engines = mesh_ends(setup.placement, 4)
            .into_iter()
            .map(|mesh_end| Engine::new(mesh_end, Arc::clone(&setup)));
        let (rebuilt, mut engines) = (Rebuilt::new(setup.placement), engines.collect::<Vec<Engine>>());
        engines.iter_mut().for_each(|engine| rebuilt.follow(engine));
        Subject {
            engines,
            rebuilt,
            said: 0,
            clock: Clock(Cell::new(0)),
            connections: BTreeMap::new(),
        }
    }

    /// Returns when it came, in microseconds of Unix time.
    pub(crate) fn connect(&mut self, id: u64) -> u64 {
        let worker = id as usize % self.engines.len();
        let session = Session::new(id, address(id), LOCAL_ADDRESS.to_owned(), self.clock.now_us());
        let since_us = self.clock.unix_us();
        let reply_queue = self.engines[worker].connect(session);
        self.connections.insert(id, Connection { worker, reply_queue });
        since_us
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.clock.0.set(self.clock.0.get() + ms * 1000);
        // What has expired is reclaimed before it is counted.
        self.settle();
    }

    /// Says one request and waits for what follows.
    pub(crate) fn say(&mut self, id: u64, words: &[Vec<u8>]) -> Heard {
        // No millisecond ends between what happens by itself and what is said.
        if self.clock.0.get() % 1000 > 500 {
            self.clock.0.set(self.clock.0.get().next_multiple_of(1000));
            self.settle();
        }
        self.let_migrate(id);
        let Connection { worker, reply_queue } = self.connections[&id];
        let request = encode(words);
        let mut reader = Reader::new(ReaderLimits::default());
        let request = reader.read(&request).expect("a request").expect("a whole one");
        let mut parsed = self.engines[worker].parse(reply_queue, &request);
        let taken_us = loop {
            let now_us = self.clock.now_us();
            let taken_us = self.clock.unix_us();
            match self.engines[worker].submit(reply_queue, parsed, now_us, &self.clock) {
                Admission::Taken => break taken_us,
                Admission::Later(again) => parsed = *again,
            }
            self.settle();
        };
        self.settle();
        let _ = self.engines[worker].take_shutdown();
        let mut heard = Heard {
            bytes: BytesMut::new(),
            taken_us,
            closed: Vec::new(),
        };
        for (session, connection) in &self.connections {
            let engine = &mut self.engines[connection.worker];
            let mut bytes = BytesMut::new();
            let ready = engine.poll_replies(connection.reply_queue, Waker::noop());
            let standing = engine.drain(connection.reply_queue, &mut bytes);
            let is_closed_at_once = matches!(standing, Standing::Killed | Standing::Dropped { .. });
            assert_eq!(ready, !bytes.is_empty() || is_closed_at_once);
            match standing {
                Standing::Served { owed, .. } => assert!(!owed, "session {session} waits for ever"),
                Standing::Finished | Standing::Killed | Standing::Dropped { .. } => {
                    engine.disconnect(connection.reply_queue);
                    heard.closed.push(*session);
                }
            }
            if *session == id {
                heard.bytes = bytes;
            } else {
                assert!(bytes.is_empty(), "session {session} heard what it did not ask");
            }
        }
        self.connections.retain(|session, _| !heard.closed.contains(session));
        // What those who have gone watched is forgotten.
        self.settle();
        for engine in &mut self.engines {
            assert!(engine.is_quiet());
            engine.assert_sound();
        }
        self.said += 1;
        if self.said.is_multiple_of(COMPARED_EACH) {
            self.assert_rebuilt();
        }
        heard
    }

    /// # Panics
    /// If the engines hold anything of which their shards did not tell.
    pub(crate) fn assert_rebuilt(&self) {
        self.engines.iter().for_each(|engine| self.rebuilt.assert_equal(engine));
    }

    /// From time to time a client goes to another worker, and says there what it says.
    fn let_migrate(&mut self, id: u64) {
        let connection = self.connections.get_mut(&id).expect("only who is there speaks");
        let from = &mut self.engines[connection.worker];
        if self.clock.0.get().is_multiple_of(5) && from.may_depart(connection.reply_queue) {
            let migrating_client = from.depart(connection.reply_queue);
            connection.worker = (connection.worker + 1) % self.engines.len();
            connection.reply_queue = self.engines[connection.worker].take_in(migrating_client);
        }
    }

    /// Turns until nobody has anything to do.
    fn settle(&mut self) {
        let mut idle_rounds = 0;
        for _ in 0..TURNS_MAX {
            idle_rounds += 1;
            for engine in &mut self.engines {
                if engine.turn(&self.clock, 20) == Progress::Worked {
                    idle_rounds = 0;
                }
            }
            // In the first of them, somebody who found nothing to do may have sent what was submitted before.
            if idle_rounds == 2 {
                return;
            }
        }
        panic!("the engines work for ever");
    }
}

/// Where a session seems to come from.
pub(crate) fn address(id: u64) -> String {
    format!("10.0.0.1:{}", 1000 + id)
}

/// Where all of them come to.
pub(crate) const LOCAL_ADDRESS: &str = "10.0.0.2:6379";

/// What collections get that do not say otherwise.
pub(crate) const DEFAULTS: GraphSettings = GraphSettings {
    metric: Metric::Cosine,
    storage: Storage::F32,
    m: 8,
    ef_construction: 60,
    ef_search: 40,
    graph_min: GRAPH_MIN,
};

/// One command takes some hundred turns at the most, a FLUSHALL with all its slices.
const TURNS_MAX: usize = 100_000;

/// All data is compared each time that so many requests have been answered, and in the end.
const COMPARED_EACH: usize = 16;

/// The time of day at which the clock starts, in microseconds: some day in 2026.
const UNIX_US: u64 = 1_780_000_000_000_000;
