//! The engines and clients of one seed, and the scheduler that decides who moves next.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

use kora_engine::{
    Catalog, CpuTime, Engine, EvictionPolicy, EvictionRules, Facts, GraphSettings, Host, LiveSettings, Placement,
    Progress, Scripts, Setup, mesh_ends,
};
use kora_log::simulated::SimulatedDisk;
use kora_mesh::{Armed, Budget, Durability};
use kora_tests::random::Random;
use kora_tests::rebuilt::Rebuilt;
use kora_tests::reply::Value;

use crate::command::{Command, Speaker, Victim};
use crate::connection::{Connection, Life, Surroundings, Woken};
use crate::history::{CLOCKS_DIFFER_US, History, names};
use crate::scenario::{Occurrence, Scenario};
use crate::storage::{self, Now, Storage};

/// Everything there is.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) history: History,
    setup: Arc<Setup>,
    engines: Vec<Worker>,
    /// What the engines hold, if their shards told of every change. None after a crash: what is loaded is not told.
    rebuilt: Option<Rebuilt>,
    /// The disk, in a world that has one.
    storage: Option<Storage>,
    pub(crate) crashes: usize,
    /// Snapshots that were completed before the last crash.
    saved: usize,
    /// Chance wills that a crash or a snapshot may be the next step.
    is_crash_due: bool,
    is_save_due: bool,
    /// Crashes that may still come in this run: none at quiet points, so that what is asked there is answered.
    crashes_left: usize,
    clients: Vec<Client>,
    /// Decides the schedule, and nothing of what is said.
    random: Random,
    clock: Clock,
    /// The last value given to a vector or an ECHO.
    unique: u64,
    connections: usize,
    steps: usize,
    /// The last steps, shown if something fails.
    trace: VecDeque<String>,
}

/// A worker: its engine, and whoever drives it.
struct Worker {
    engine: Engine,
    woken: Arc<Woken>,
    asleep: bool,
    /// It is not given any turn before this step.
    stalled_until: usize,
}

/// Whoever sits behind a connection, and connects again when it is closed.
struct Client {
    speaker: Speaker,
    connection: Option<Connection>,
    /// Commands to be said yet: chosen by chance, or given.
    left: usize,
    given: VecDeque<Command>,
    /// Steps are spread unevenly, so that some are slow.
    weight: usize,
}

/// A clock that goes on when somebody looks at it, so that a turn's budget is a number of looks.
struct Clock {
    us: Cell<u64>,
    /// How far it goes on with each look.
    tick_us: u64,
}

impl Clock {
    fn look(&self) -> u64 {
        self.us.get()
    }

    /// The true time of day.
    fn true_unix_us(&self) -> u64 {
        UNIX_US + self.look()
    }
}

impl Host for Clock {
    fn now_us(&self) -> u64 {
        self.us.set(self.us.get() + self.tick_us);
        self.us.get()
    }

    /// Workers look at it at different moments, and each gets another idea of the time.
    fn unix_us(&self) -> u64 {
        self.true_unix_us() - self.look() * 7919 % CLOCKS_DIFFER_US
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn cpu_us(&self) -> CpuTime {
        CpuTime::default()
    }

    fn release_memory(&self) {}

    fn thread_cpu_us(&self) -> u64 {
        self.us.get()
    }
}

/// Who moves next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    Turn(usize),
    Send(usize),
    ReadInput(usize),
    ReadOutput(usize),
    Wake(usize),
    Depart(usize),
    Arrive(usize),
    Confirm(usize),
    WriteLog,
    SyncLog,
    Save,
    Crash,
}

impl World {
    /// The words of the clients follow from the scripts' chance, the order of the steps from the schedule's.
    pub(crate) fn new(scenario: Scenario, mut scripts: Random, schedule: Random) -> World {
        let setup = new_setup(&scenario);
        if scenario.data_bytes_max.is_some() {
            let policies = [
                EvictionPolicy::AllKeysLru,
                EvictionPolicy::AllKeysLfu,
                EvictionPolicy::AllKeysRandom,
            ];
            let policy = policies[scripts.below(policies.len())];
            let mut rules = EvictionRules::default();
            rules.choice.policy = policy;
            rules.uses.counts = policy.counts_uses();
            setup.live.data_memory.set(scenario.data_bytes_max, rules);
        }
        let rebuilt = Rebuilt::new(setup.placement);
        let engines = new_engines(&scenario, &setup, Some(&rebuilt));
        let clients = (0..scenario.clients)
            .map(|_| Client {
                speaker: Speaker {
                    random: Random::new(scripts.any()),
                    only_reads: false,
                },
                connection: None,
                left: 0,
                given: VecDeque::new(),
                weight: 1,
            })
            .collect();
        let clock = Clock {
            us: Cell::new(0),
            tick_us: scenario.tick_us,
        };
        World {
            scenario,
            history: History::default(),
            setup,
            engines,
            rebuilt: Some(rebuilt),
            storage: None,
            crashes: 0,
            saved: 0,
            is_crash_due: false,
            is_save_due: false,
            crashes_left: 0,
            clients,
            random: schedule,
            clock,
            unique: 0,
            connections: 0,
            steps: 0,
            trace: VecDeque::new(),
        }
    }

    /// Puts a disk below it, which is empty: from now on everything is logged, and it may crash.
    pub(crate) fn with_disk(mut self) -> World {
        self.open(SimulatedDisk::new(), None);
        self
    }

    /// Loads what a disk holds into engines that are empty. If that is known, it must be what there was before.
    fn open(&mut self, disk: SimulatedDisk, before: Option<&Rebuilt>) {
        let at = self.now();
        let mut engines: Vec<&mut Engine> = self.engines.iter_mut().map(|worker| &mut worker.engine).collect();
        let mut storage = Storage::open(disk, &mut engines, &self.setup.durability, at);
        // All of them before one of them does anything: what has expired goes in the first turn, for all workers.
        for worker in &self.engines {
            worker.engine.assert_sound();
            if let Some(before) = before {
                before.assert_equal(&worker.engine);
            }
        }
        for worker in &mut self.engines {
            // It sees that loading has ended, before anything is said to it.
            let _ = worker.engine.turn(&self.clock, 0);
            storage.take_from(&mut worker.engine);
        }
        self.storage = Some(storage);
    }

    /// Snapshots that were completed.
    pub(crate) fn saved(&self) -> usize {
        self.saved + self.storage.as_ref().map_or(0, |storage| storage.saved)
    }

    fn now(&mut self) -> Now {
        Now {
            shards: self.scenario.shards as u32,
            unix_ms: self.clock.unix_us() / 1000,
            random: self.random.any(),
        }
    }

    /// The power goes and comes again, perhaps twice: what was safe on disk is loaded by new engines, and all connections are
    /// gone.
    pub(crate) fn crash(&mut self) {
        let storage = self.storage.take().expect("only worlds with a disk crash");
        let was_safe = !storage.is_behind();
        self.saved += storage.saved;
        let disk = storage.disk;
        for client in &mut self.clients {
            client.connection = None;
        }
        // If everything was safe, everything is there.
        let before = self.rebuilt.take().filter(|_| was_safe);
        for is_last in [self.random.percent(75), true] {
            self.crashes += 1;
            storage::crash(&disk, &mut self.random);
            self.setup = new_setup(&self.scenario);
            self.engines = new_engines(&self.scenario, &self.setup, None);
            self.open(disk.clone(), before.as_ref());
            if is_last {
                break;
            }
        }
    }

    /// Another schedule from here on.
    pub(crate) fn reschedule(&mut self, schedule: Random) {
        self.random = schedule;
    }

    /// Lets every client say so many commands by chance, until nobody has anything to do.
    pub(crate) fn run_by_chance(&mut self, commands: usize, only_reads: bool) {
        for client in &mut self.clients {
            client.left = commands;
            client.speaker.only_reads = only_reads;
        }
        self.crashes_left = CRASHES_PER_RUN_MAX;
        self.run();
        self.crashes_left = 0;
    }

    /// Lets one client, on whichever worker, say these commands; returns their events.
    pub(crate) fn run_given(&mut self, commands: Vec<Command>) -> std::ops::Range<usize> {
        let start = self.history.events.len();
        // Whoever was killed or said QUIT comes back on another connection.
        self.clients[0].given = commands.into();
        self.run();
        start..self.history.events.len()
    }

    /// All clients leave, and nothing is left behind.
    pub(crate) fn end(&mut self) {
        for client in 0..self.clients.len() {
            if let Some(connection) = &mut self.clients[client].connection {
                connection.end();
            }
        }
        self.run();
        let left: Vec<String> = self.connections().map(Connection::show).collect();
        assert!(left.is_empty(), "a client that closes its side is let go: {left:?}");
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.setup.catalog
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.clients.iter().filter_map(|client| client.connection.as_ref())
    }

    fn run(&mut self) {
        let limit = self.steps + STEPS_MAX;
        while let Some(next) = self
            .choose()
            .or_else(|| self.look_for_memory())
            .or_else(|| self.end_rest())
        {
            self.steps += 1;
            assert!(self.steps < limit, "this does not end: {}", self.show());
            self.step(next);
            if self.steps.is_multiple_of(self.scenario.check_steps) {
                self.assert_sound();
            }
        }
        let waiting: Vec<String> = self
            .connections()
            .filter(|connection| !connection.is_at_rest())
            .map(Connection::show)
            .collect();
        assert!(waiting.is_empty(), "nobody can go on, but these wait: {waiting:#?}");
        for worker in &mut self.engines {
            assert!(worker.engine.is_quiet(), "everybody sleeps, so nothing is left to do");
        }
        self.assert_sound();
    }

    fn assert_sound(&self) {
        for worker in &self.engines {
            worker.engine.assert_sound();
            if let Some(rebuilt) = &self.rebuilt {
                rebuilt.assert_equal(&worker.engine);
            }
        }
    }

    /// What another worker's clients give back wakes nobody. In a server whoever waits for it looks again after a while; here
    /// when nothing else happens.
    fn look_for_memory(&mut self) -> Option<Move> {
        let now_us = self.clock.look();
        for (number, client) in self.clients.iter_mut().enumerate() {
            let Some(connection) = client.connection.as_mut().filter(|one| !one.is_migrating()) else {
                continue;
            };
            let engine = &mut self.engines[connection.worker].engine;
            connection.look_for_memory(engine, now_us);
            if connection.can_wake() {
                return Some(Move::Wake(number));
            }
        }
        None
    }

    /// A snapshot rests while clients ask. Nothing else happens: time goes on to the end of the first rest.
    fn end_rest(&mut self) -> Option<Move> {
        let now_us = self.clock.look();
        let engines = self.engines.iter().enumerate();
        let rests = engines.filter_map(|(number, worker)| Some((worker.engine.capture_rest_us(now_us)?, number)));
        let (rest_us, number) = rests.min()?;
        self.clock.us.set(now_us + rest_us);
        Some(Move::Turn(number))
    }

    fn choose(&mut self) -> Option<Move> {
        let mut moves: Vec<(Move, usize)> = Vec::new();
        for (number, worker) in self.engines.iter().enumerate() {
            let alarm = worker.engine.next_alarm_us(self.clock.look()) == Some(0);
            if !worker.asleep || worker.woken.is_up() || alarm {
                let stalled = worker.stalled_until > self.steps;
                moves.push((Move::Turn(number), if stalled { 0 } else { 3 }));
            }
        }
        for (number, client) in self.clients.iter().enumerate() {
            let weight = client.weight;
            let has_more = client.left > 0 || !client.given.is_empty();
            match &client.connection {
                None if has_more => moves.push((Move::Send(number), weight)),
                None => {}
                Some(connection) => {
                    if has_more && connection.ahead() < self.scenario.pipeline {
                        moves.push((Move::Send(number), weight));
                    }
                    if connection.can_read_input() {
                        moves.push((Move::ReadInput(number), weight));
                    }
                    if connection.can_read_output() {
                        moves.push((Move::ReadOutput(number), weight));
                    }
                    if connection.can_wake() {
                        moves.push((Move::Wake(number), weight));
                    }
                }
            }
        }
        moves.extend(self.travels(!moves.is_empty()));
        moves.extend(self.disk_moves(!moves.is_empty()));
        let total: usize = moves.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            // Only those who are stalled can go on, or nobody can.
            return moves.first().map(|(next, _)| *next);
        }
        let mut place = self.random.below(total);
        for (next, weight) in moves {
            if place < weight {
                return Some(next);
            }
            place -= weight;
        }
        unreachable!("the place is below the total of the weights")
    }

    /// Who may arrive at another worker, and while there is something else to do, who may set out.
    fn travels(&mut self, may_depart: bool) -> Vec<(Move, usize)> {
        let may_depart = may_depart && self.scenario.travels == Occurrence::Sometimes && self.engines.len() > 1;
        let mut moves = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            let Some(connection) = &client.connection else { continue };
            if connection.is_migrating() {
                moves.push((Move::Arrive(number), 1));
            } else if may_depart && connection.may_depart(&mut self.engines[connection.worker].engine) {
                moves.push((Move::Depart(number), 1));
            }
        }
        moves
    }

    /// What the disk may do next, and to it. A snapshot and a crash begin only while there is something else to do.
    fn disk_moves(&self, is_busy: bool) -> Vec<(Move, usize)> {
        let Some(storage) = &self.storage else {
            return Vec::new();
        };
        let durable = self.setup.durability.durable.get();
        let mut moves = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            if client
                .connection
                .as_ref()
                .is_some_and(|connection| connection.can_confirm(durable))
            {
                moves.push((Move::Confirm(number), client.weight));
            }
        }
        if storage.is_behind() {
            moves.extend([(Move::WriteLog, 2), (Move::SyncLog, 2)]);
        }
        if storage.is_saving() {
            moves.push((Move::Save, 2));
        }
        moves
            .into_iter()
            .chain(is_busy.then_some((Move::Crash, usize::from(self.is_crash_due && self.crashes_left > 0))))
            .chain((is_busy && !storage.is_saving()).then_some((Move::Save, usize::from(self.is_save_due))))
            .collect()
    }

    fn step(&mut self, next: Move) {
        if self.trace.len() == TRACE_STEPS {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{} {next:?}", self.steps));
        if self.random.below(300) == 0 {
            self.disturb();
        }
        match next {
            Move::Turn(worker) => self.turn(worker),
            Move::Send(client) => self.send(client),
            Move::ReadInput(client) => self.move_connection(client, Connection::read_input),
            Move::ReadOutput(client) => self.move_connection(client, Connection::read_output),
            Move::Wake(client) => self.move_connection(client, Connection::wake),
            Move::Depart(client) => {
                let to = self.random.below(self.engines.len());
                let connection = self.clients[client]
                    .connection
                    .as_mut()
                    .expect("only who is there leaves");
                connection.depart(&mut self.engines[connection.worker].engine, to);
            }
            Move::Arrive(client) => {
                let connection = self.clients[client].connection.as_mut().expect("it is on its way");
                connection.arrive(&mut self.engines[connection.worker].engine);
            }
            Move::Confirm(client) => self.move_connection(client, Connection::confirm),
            Move::WriteLog => self.storage.as_mut().expect("there is a disk").write(),
            Move::SyncLog => {
                let storage = self.storage.as_mut().expect("there is a disk");
                storage.write();
                storage.sync(&self.setup.durability);
            }
            Move::Save => self.save(),
            Move::Crash => {
                self.is_crash_due = false;
                self.crashes_left -= 1;
                self.crash();
            }
        }
        if let Some(storage) = &mut self.storage {
            self.engines
                .iter_mut()
                .for_each(|worker| storage.take_from(&mut worker.engine));
        }
    }

    /// A snapshot begins, or takes its next step.
    fn save(&mut self) {
        self.is_save_due = false;
        let at = self.now();
        let storage = self.storage.as_mut().expect("there is a disk");
        match storage.is_saving() {
            true => storage.go_on_saving(&self.setup.durability, at),
            false => storage.begin_save(self.engines.len(), &self.setup.durability),
        }
        // As a server rings its workers, which see by that what is to be done.
        for worker in &self.engines {
            Arc::clone(&worker.woken).wake();
        }
    }

    /// Somebody becomes slow, or quick again; time passes.
    fn disturb(&mut self) {
        self.is_crash_due |= self.random.percent(CRASH_PERCENT);
        self.is_save_due |= self.random.percent(SAVE_PERCENT);
        let worker = self.random.below(self.engines.len());
        self.engines[worker].stalled_until = self.steps + self.random.below(400);
        let client = self.random.below(self.clients.len());
        self.clients[client].weight = self.random.between(1, 20);
        self.clock
            .us
            .set(self.clock.look() + self.random.below(3_000_000) as u64);
    }

    fn turn(&mut self, number: usize) {
        let worker = &mut self.engines[number];
        worker.woken.take();
        worker.asleep = false;
        let budget_us = *self.random.pick(&[0, 1, 5, 50, 500]);
        let progress = worker.engine.turn(&self.clock, budget_us);
        // Whoever drives an engine asks to sleep when a turn found nothing; it may ask at any time.
        if progress == Progress::Idle || self.random.percent(20) {
            let waker = Waker::from(Arc::clone(&worker.woken));
            worker.asleep = worker.engine.park(&waker, || false) == Armed::Park;
        }
    }

    fn send(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.connection.is_none() {
            let worker = self.random.below(self.engines.len());
            let engine = &mut self.engines[worker].engine;
            let now_us = self.clock.now_us();
            self.connections += 1;
            client.connection = Some(Connection::new(self.connections, worker, engine, now_us));
        }
        let sessions = self.sessions(number);
        let client = &mut self.clients[number];
        let command = match client.given.pop_front() {
            Some(command) => command,
            None => {
                client.left -= 1;
                self.unique += 1;
                client.speaker.next(&self.scenario, self.unique, &sessions)
            }
        };
        self.trace.push_back(format!("  client {number} says {command:?}"));
        let connection = client.connection.as_mut().expect("connected above");
        connection.send(command, &self.scenario);
    }

    /// The sessions that there are, that of this client first.
    fn sessions(&self, client: usize) -> Vec<u64> {
        let own = self.clients[client].connection.iter();
        let all = own.chain(self.connections());
        all.map(|connection| connection.client as u64).collect()
    }

    fn move_connection(&mut self, number: usize, step: fn(&mut Connection, &mut Surroundings<'_>) -> Life) {
        let client = &mut self.clients[number];
        let connection = client.connection.as_mut().expect("only those who are there move");
        let leaves = self.random.below(1000) < self.scenario.leaves_per_mille;
        let engine = &mut self.engines[connection.worker].engine;
        let durability: &Durability = &self.setup.durability;
        let last_stamp = || durability.stamps.last();
        let answered = self.history.events.len();
        let life = if leaves {
            Life::Ends
        } else {
            step(
                connection,
                &mut Surroundings {
                    engine,
                    host: &self.clock,
                    scenario: &self.scenario,
                    history: &mut self.history,
                    random: &mut self.random,
                    names: &|| names(&self.scenario, &self.setup.catalog, self.clock.true_unix_us()),
                    unix_us: &|| self.clock.true_unix_us(),
                    last_stamp: self.storage.as_ref().map(|_| &last_stamp as &dyn Fn() -> u64),
                },
            )
        };
        for event in &self.history.events[answered..] {
            self.trace
                .push_back(format!("  taken from {number}: {:?}", event.command));
        }
        if life == Life::Ends {
            self.trace.push_back(format!("  client {number} goes"));
            let connection = client.connection.take().expect("it was there");
            connection.leave(engine);
        }
    }

    fn show(&self) -> String {
        let connections: Vec<String> = self.connections().map(Connection::show).collect();
        connections.join("\n")
    }

    /// Everybody whom a CLIENT KILL meant is gone: closed by it, or before.
    /// How many entries were evicted on all workers, and how much the data takes as they have told.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let evicted = self.engines.iter().map(|worker| worker.engine.evicted()).sum();
        (evicted, self.setup.live.data_memory.used.taken())
    }

    pub(crate) fn check_kills(&self) {
        for event in &self.history.events {
            if let (Command::Kill(id, Victim::Other), Some(Value::Integer(_))) = (&event.command, event.reply()) {
                let lives = self.connected().contains(id);
                assert!(!lives, "session {id} was to be killed and is still there: {event:?}");
            }
        }
    }

    /// The sessions that there are, but for that which says what is given.
    pub(crate) fn connected_others(&self) -> Vec<u64> {
        let own = self.clients[0].connection.as_ref().map(|own| own.client as u64);
        let mut sessions = self.connected();
        sessions.retain(|session| Some(*session) != own);
        sessions
    }

    /// The sessions that there are.
    pub(crate) fn connected(&self) -> Vec<u64> {
        let mut sessions: Vec<u64> = self.connections().map(|connection| connection.client as u64).collect();
        sessions.sort_unstable();
        sessions
    }
}

fn new_setup(scenario: &Scenario) -> Arc<Setup> {
    Arc::new(Setup {
        databases: kora_engine::Databases::new(16),
        placement: Placement::new(scenario.shards, scenario.workers),
        catalog: Arc::new(Catalog::new(1)),
        scripts: Arc::new(Scripts::new(scenario.shards, 1)),
        graph: GraphSettings {
            metric: scenario.metric,
            storage: kora_vector::Storage::F32,
            m: 4,
            ef_construction: 20,
            ef_search: 10,
            graph_min: scenario.graph_min,
        },
        live: Arc::new(LiveSettings {
            client_memory: Arc::new(Budget::new(scenario.client_bytes_max as u64)),
            ..LiveSettings::default()
        }),
        durability: Arc::new(Durability::new(scenario.workers)),
        slice_work: scenario.slice_work,
        settings: Box::new(Vec::new()),
        facts: Facts::default(),
    })
}

fn new_engines(scenario: &Scenario, setup: &Arc<Setup>, rebuilt: Option<&Rebuilt>) -> Vec<Worker> {
    let new_engine = |mesh_end| {
        let mut engine = Engine::new(mesh_end, Arc::clone(setup));
        if let Some(rebuilt) = rebuilt {
            rebuilt.follow(&mut engine);
        }
        engine
    };
    mesh_ends(setup.placement, scenario.credit)
        .into_iter()
        .map(|mesh_end| Worker {
            engine: new_engine(mesh_end),
            woken: Arc::new(Woken::default()),
            asleep: false,
            stalled_until: 0,
        })
        .collect()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}", self.scenario);
            for step in &self.trace {
                eprintln!("{step}");
            }
        }
    }
}

/// Steps of one run. The longest seen took a tenth of it; a livelock reaches it in some seconds.
const STEPS_MAX: usize = 2_000_000;

/// How often a disturbance, which comes once in 300 steps, is followed by a crash or a snapshot, in a world with a disk.
const CRASH_PERCENT: usize = 20;
const SAVE_PERCENT: usize = 40;

/// Crashes of one run. Engines that have been loaded sample recalls anew. In slices of one distance that takes longer than the
/// time between two crashes, so without a bound such a run does not end (seed 4569 of 30 November).
const CRASHES_PER_RUN_MAX: usize = 32;

/// Steps shown when something fails.
const TRACE_STEPS: usize = 60;

/// The time of day at which the clock starts, in microseconds: some day in 2026.
const UNIX_US: u64 = 1_780_000_000_000_000;
