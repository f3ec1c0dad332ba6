//! Everything one worker knows: its shards, its connections' lines, and its end of the mesh.
//!
//! An engine is a synchronous state machine. Whoever drives it (the server's event loop, a simulation) hands it requests
//! with [`Engine::submit`], lets it work with [`Engine::turn`], and takes replies out with [`Engine::drain`]. A turn
//! cannot wait, so it cannot wait for another worker.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use kora_mesh::{Armed, Port, WorkerId};
use kora_resp::Reply;

use crate::answer::{Effect, answer};
use crate::command::table::{self, Access, Parsed};
use crate::gather::{Around, Next};
use crate::limits::{INLINE_BUDGET_US, REQUEST_BURST};
use crate::line::{Line, Presence};
use crate::lines::{LineId, Lines};
use crate::mail::{Request, Response, Target, Ticket};
use crate::plan::{self, Order, Route};
use crate::session::Session;
use crate::setup::{Berth, Host, Setup};
use crate::shard::{Origin, Shard};
use crate::stats::WorkerStats;

/// One worker's part of the server. It stays on the thread it was made on:
///
/// ```compile_fail
/// fn assert_send<T: Send>() {}
/// assert_send::<kora_engine::Engine>();
/// ```
pub struct Engine {
    pub(crate) worker: WorkerId,
    pub(crate) setup: Arc<Setup>,
    pub(crate) port: Port<Request, Response>,
    /// Invariant: `shards[i]` is shard `i * workers + worker`.
    pub(crate) shards: Vec<Shard>,
    pub(crate) lines: Lines,
    /// Requests of this worker's clients to this worker. Bounded by the clients' lines.
    local: VecDeque<Request>,
    /// Asks that follow from others and found no credit, for each worker. Bounded by the clients' lines.
    outboxes: Vec<VecDeque<Request>>,
    /// Connections whose command found no credit, in the order they came.
    credit_waiters: VecDeque<LineId>,
    /// Wakes whoever drives the turns, while it sleeps.
    sleeper: Option<Waker>,
    /// Where the next turn starts its round, so that nobody is always served first.
    round_start: usize,
    /// Time spent on commands outside of turns since the last one.
    inline_us: u64,
    shutdown: bool,
    pub(crate) stats: WorkerStats,
    _not_send: PhantomData<Rc<()>>,
}

/// Whether a turn found something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// It did; there may be more.
    Worked,
    /// There was nothing.
    Idle,
}

/// What became of a request.
#[must_use]
pub enum Admission {
    /// It has its place in the line.
    Taken,
    /// Not now: the connection is woken when it is worth trying again.
    Later(Parsed),
}

/// How it stands with a connection after its ready replies were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// All is well.
    Served {
        /// Replies that are still owed to it.
        owed: bool,
    },
    /// It is to be closed once what it was given is written: nothing more is owed to it.
    Finished,
    /// It is to be closed at once.
    Killed,
}

impl Engine {
    /// The engine of one worker, with all its shards.
    pub fn new(berth: Berth, setup: Arc<Setup>) -> Engine {
        let (port, placement) = (berth.port, setup.placement);
        let worker = port.worker();
        assert_eq!(
            port.workers(),
            placement.worker_count(),
            "the mesh and the placement agree"
        );
        let new_shard = |id| Shard::new(id, placement, Arc::clone(&setup));
        Engine {
            worker,
            shards: placement.shards_of(worker).map(new_shard).collect(),
            lines: Lines::default(),
            local: VecDeque::new(),
            outboxes: (0..placement.worker_count()).map(|_| VecDeque::new()).collect(),
            credit_waiters: VecDeque::new(),
            sleeper: None,
            round_start: 0,
            inline_us: 0,
            shutdown: false,
            stats: WorkerStats {
                worker: worker.index(),
                ..WorkerStats::default()
            },
            port,
            setup,
            _not_send: PhantomData,
        }
    }

    /// Takes a connection in.
    pub fn connect(&mut self, mut session: Session) -> LineId {
        if self.setup.password.is_none() {
            session.access = Access::Full;
        }
        self.stats.connections += 1;
        self.lines.add(Line::new(session))
    }

    /// The connection has gone. What it began is finished; nobody hears of it.
    pub fn disconnect(&mut self, line: LineId) {
        self.lines.line(line).set_presence(Presence::Gone);
        self.lines.give_up_if_done(line);
    }

    /// What a connection may say at the moment: its limits before it has authenticated are narrower.
    pub fn access(&mut self, line: LineId) -> Access {
        self.lines.line(line).session.access
    }

    /// Reads a request as a command.
    pub fn parse(&mut self, line: LineId, request: &kora_resp::Request<'_>) -> Parsed {
        table::parse(request, self.access(line))
    }

    /// Starts a command, or says that it must wait.
    pub fn submit(&mut self, id: LineId, parsed: Parsed, host: &dyn Host) -> Admission {
        let (order, route) = plan::needs(&parsed.command, self.setup.placement, &self.setup.catalog);
        let line = self.lines.line(id);
        let in_order = match order {
            Order::Any => true,
            Order::AfterQueries => !line.is_read_only(),
            Order::AfterAll => !line.is_waiting(),
        };
        if line.is_closed() || !line.has_room() || !in_order {
            line.block();
            return Admission::Later(parsed);
        }
        if !self.has_credit(route) {
            self.lines.line(id).block();
            self.credit_waiters.push_back(id);
            self.stats.credit_waits += 1;
            return Admission::Later(parsed);
        }
        self.stats.commands += 1;
        let now_us = host.now_us();
        let line = self.lines.line(id);
        line.session.last_us = now_us;
        if !parsed.name.is_empty() {
            line.session.last_command = parsed.name;
        }
        match answer(parsed.command, &mut line.session, &self.setup, now_us) {
            Ok((reply, effect)) => self.seat_answer(id, reply, effect),
            Err(command) => {
                let me = line.session.id;
                let next = plan::start(
                    command,
                    me,
                    self.here(),
                    &Around {
                        setup: &self.setup,
                        host,
                    },
                );
                self.take_seat(id, next);
                self.work_inline(now_us, host);
            }
        }
        Admission::Taken
    }

    /// Ends a connection whose bytes are no requests: the error takes its place behind the replies that are owed.
    pub fn refuse(&mut self, id: LineId, error: &kora_resp::ProtocolError) {
        let line = self.lines.line(id);
        // Room is not looked for: this is the last seat that the line gives out.
        line.seat_last_reply(Reply::Error(format!("ERR {error}")));
        line.set_presence(Presence::Leaving);
    }

    /// The client has closed its side: it is sent what it is owed, then the connection is closed.
    pub fn finish(&mut self, id: LineId) {
        let line = self.lines.line(id);
        if line.presence() == Presence::Here {
            line.set_presence(Presence::Leaving);
        }
    }

    /// Whether a connection may go on submitting.
    pub fn is_served(&mut self, id: LineId) -> bool {
        self.lines.line(id).presence() == Presence::Here
    }

    /// Encodes the replies that are ready and in order, until `out` holds `bytes_max`, and says how the connection
    /// stands.
    pub fn drain(&mut self, id: LineId, out: &mut BytesMut, bytes_max: usize) -> Standing {
        let line = self.lines.line(id);
        line.drain(out, bytes_max);
        match line.presence() {
            Presence::Killed => Standing::Killed,
            Presence::Leaving if line.is_empty() => Standing::Finished,
            _ => Standing::Served { owed: !line.is_empty() },
        }
    }

    /// True if the connection has something to do: a reply is ready, a command that had to wait may be tried again, or
    /// it is to be closed. Otherwise `waker` is woken when it has.
    pub fn poll_line(&mut self, id: LineId, waker: &Waker) -> bool {
        let line = self.lines.line(id);
        line.set_waker(waker);
        line.has_ready()
            || line.presence() == Presence::Killed
            || (line.presence() == Presence::Leaving && line.is_empty())
    }

    /// True if a command of the connection waits to be tried again and nothing has happened yet that could let it
    /// succeed.
    pub fn is_blocked(&mut self, id: LineId) -> bool {
        self.lines.line(id).is_blocked()
    }

    /// True once after a client has said SHUTDOWN.
    pub fn take_shutdown(&mut self) -> bool {
        std::mem::take(&mut self.shutdown)
    }

    /// One turn: takes replies, delivers what was staged, executes for about `budget_us`, delivers again.
    pub fn turn(&mut self, host: &dyn Host, budget_us: u64) -> Progress {
        self.port.disarm();
        self.sleeper = None;
        self.inline_us = 0;
        let start_us = host.now_us();
        let mut progress = self.take_replies(host);
        self.empty_outboxes();
        self.wake_credit_waiters();
        // Before anything is executed here, so that the other shards of a query work at the same time as ours.
        self.port.flush();
        if self.execute_for(start_us, budget_us, host) == Progress::Worked {
            progress = Progress::Worked;
        }
        self.port.flush();
        if progress == Progress::Worked {
            self.stats.turns += 1;
            self.stats.turn_us_max = self.stats.turn_us_max.max(host.now_us().saturating_sub(start_us));
        }
        progress
    }

    /// Before whoever drives the turns sleeps: it is woken when there is something to do. `Stay` means there is already.
    /// `more` looks at everything else that may end the sleep, such as a stop flag.
    pub fn park(&mut self, waker: &Waker, more: impl FnOnce() -> bool) -> Armed {
        if self.port.has_staged() {
            self.port.flush();
        }
        let work = self.has_work();
        let armed = self.port.arm(waker, || work || more());
        if armed == Armed::Park {
            self.sleeper = Some(waker.clone());
        }
        armed
    }

    /// Checks everything that must hold between two turns. For tests and the simulation.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn assert_sound(&self) {
        for shard in &self.shards {
            shard.assert_sound();
        }
    }

    /// True if nothing is under way on this worker: nobody is owed a reply, nothing waits, everything dropped is freed.
    pub fn is_quiet(&mut self) -> bool {
        let owed = self.lines.served_from(0).any(|(_, line)| !line.is_empty());
        !owed && !self.has_work() && !self.port.has_mail() && self.outboxes.iter().all(VecDeque::is_empty)
    }

    fn has_work(&self) -> bool {
        !self.local.is_empty()
            || self
                .shards
                .iter()
                .any(|shard| shard.has_unfinished() || shard.has_remains())
    }

    fn here(&self) -> Target {
        self.shards
            .first()
            .map_or(Target::Worker(self.worker), |shard| Target::Shard(shard.id()))
    }

    fn seat_answer(&mut self, id: LineId, reply: Option<Reply>, effect: Effect) {
        let line = self.lines.line(id);
        if let Some(reply) = reply {
            line.seat_reply(reply);
        }
        match effect {
            Effect::None => {}
            Effect::Leave => line.set_presence(Presence::Leaving),
            Effect::Shutdown => {
                line.set_presence(Presence::Leaving);
                self.shutdown = true;
            }
        }
    }

    fn take_seat(&mut self, id: LineId, next: Next) {
        let line = self.lines.line(id);
        match next {
            Next::Reply(reply) => line.seat_reply(reply),
            Next::Wait(_) => unreachable!("a command waits for what it asked"),
            Next::Ask(gather, asks) => {
                let sequence = line.take_seat(gather);
                self.send(Ticket { line: id.0, sequence }, asks);
            }
        }
    }

    /// True if every worker that the route leads to can be sent a request now.
    fn has_credit(&self, route: Route) -> bool {
        let ready = |worker: WorkerId| {
            worker == self.worker || (self.outboxes[worker.index()].is_empty() && self.port.credit(worker) > 0)
        };
        match route {
            Route::Here => true,
            Route::One(shard) => ready(self.setup.placement.worker_of(shard)),
            Route::All => self.setup.workers().all(ready),
        }
    }

    fn send(&mut self, ticket: Ticket, asks: Vec<(Target, crate::mail::Ask)>) {
        for (target, ask) in asks {
            let request = Request { ticket, target, ask };
            let worker = match target {
                Target::Shard(shard) => self.setup.placement.worker_of(shard),
                Target::Worker(worker) => worker,
            };
            if worker == self.worker {
                self.local.push_back(request);
            } else if self.outboxes[worker.index()].is_empty() && self.port.credit(worker) > 0 {
                self.port.stage(worker, request);
            } else {
                self.outboxes[worker.index()].push_back(request);
            }
        }
    }

    /// Executes what this worker's own clients asked of it, outside of a turn: a lone command on the right worker then
    /// never leaves its connection's task. Where others are asked too, or time is up, the next turn does it.
    fn work_inline(&mut self, start_us: u64, host: &dyn Host) {
        let before_us = self.inline_us;
        while !self.port.has_staged() && self.inline_us < INLINE_BUDGET_US {
            let Some(request) = self.local.pop_front() else { break };
            self.execute_local(request, host);
            self.inline_us = before_us + host.now_us().saturating_sub(start_us);
        }
        if (self.has_work() || self.port.has_staged())
            && let Some(sleeper) = self.sleeper.take()
        {
            sleeper.wake();
        }
    }

    fn take_replies(&mut self, host: &dyn Host) -> Progress {
        let mut progress = Progress::Idle;
        for peer in self.port.peers() {
            while let Some(response) = self.port.take_reply(peer) {
                self.absorb(response, host);
                progress = Progress::Worked;
            }
        }
        progress
    }

    fn empty_outboxes(&mut self) {
        for worker in self.port.peers() {
            while self.port.credit(worker) > 0 {
                let Some(request) = self.outboxes[worker.index()].pop_front() else {
                    break;
                };
                self.port.stage(worker, request);
            }
        }
    }

    /// Lets as many connections try again as there is credit for.
    fn wake_credit_waiters(&mut self) {
        if self.credit_waiters.is_empty() {
            return;
        }
        let credit: usize = self.port.peers().map(|peer| self.port.credit(peer)).sum();
        for _ in 0..credit.min(self.credit_waiters.len()) {
            let Some(id) = self.credit_waiters.pop_front() else {
                break;
            };
            if let Some(line) = self.lines.find(id) {
                line.unblock();
            }
        }
    }

    /// Rounds over the peers, the own clients and suspended asks until nobody has anything or the time is up.
    fn execute_for(&mut self, start_us: u64, budget_us: u64, host: &dyn Host) -> Progress {
        let workers = self.outboxes.len();
        self.round_start = (self.round_start + 1) % workers;
        let mut progress = Progress::Idle;
        loop {
            let mut worked = false;
            for place in 0..workers {
                let worker = WorkerId::from_index((self.round_start + place) % workers);
                for _ in 0..REQUEST_BURST {
                    if !self.execute_next(worker, host) {
                        break;
                    }
                    worked = true;
                    if host.now_us().saturating_sub(start_us) >= budget_us {
                        return Progress::Worked;
                    }
                }
            }
            for shard in 0..self.shards.len() {
                worked |= self.execute_slice(shard, host);
                if host.now_us().saturating_sub(start_us) >= budget_us {
                    return Progress::Worked;
                }
            }
            if !worked {
                return progress;
            }
            progress = Progress::Worked;
        }
    }

    /// Executes the next request of one worker; false if it has none.
    fn execute_next(&mut self, worker: WorkerId, host: &dyn Host) -> bool {
        if worker == self.worker {
            let Some(request) = self.local.pop_front() else {
                return false;
            };
            self.execute_local(request, host);
            return true;
        }
        let Some(request) = self.port.take_request(worker) else {
            return false;
        };
        let origin = Origin {
            worker,
            line: request.ticket.line,
        };
        if let Some(response) = self.execute(origin, request, host) {
            self.port.answer(worker, response);
        }
        true
    }

    fn execute_local(&mut self, request: Request, host: &dyn Host) {
        let origin = Origin {
            worker: self.worker,
            line: request.ticket.line,
        };
        if let Some(response) = self.execute(origin, request, host) {
            self.absorb(response, host);
        }
    }

    fn execute(&mut self, origin: Origin, request: Request, host: &dyn Host) -> Option<Response> {
        let Request { ticket, target, ask } = request;
        let part = match target {
            Target::Worker(worker) => {
                assert_eq!(worker, self.worker, "a worker is asked what is its own");
                Some(self.answer_for_worker(ask, host))
            }
            Target::Shard(id) => {
                let shard = &mut self.shards[id.index() / self.outboxes.len()];
                assert_eq!(shard.id(), id, "a shard is asked on the worker that owns it");
                shard.accept(origin, ticket, ask)
            }
        };
        part.map(|part| Response {
            ticket,
            from: target,
            part,
        })
    }

    /// One slice of a shard: of a suspended ask, or else of what is to be freed.
    fn execute_slice(&mut self, shard: usize, host: &dyn Host) -> bool {
        let shard = &mut self.shards[shard];
        if !shard.has_unfinished() {
            let remains = shard.has_remains();
            if remains {
                shard.free();
            }
            return remains;
        }
        self.stats.slices += 1;
        let from = Target::Shard(shard.id());
        if let Some((origin, ticket, part)) = shard.slice() {
            let response = Response { ticket, from, part };
            if origin.worker == self.worker {
                self.absorb(response, host);
            } else {
                self.port.answer(origin.worker, response);
            }
        }
        true
    }

    /// Brings one part of an answer to its seat.
    fn absorb(&mut self, response: Response, host: &dyn Host) {
        let Response { ticket, from, part } = response;
        let id = LineId(ticket.line);
        let gather = self.lines.line(id).take_gather(ticket.sequence);
        let next = gather.absorb(
            from,
            part,
            &Around {
                setup: &self.setup,
                host,
            },
        );
        let line = self.lines.line(id);
        match next {
            Next::Wait(gather) => line.put_gather(ticket.sequence, gather),
            Next::Ask(gather, asks) => {
                line.put_gather(ticket.sequence, gather);
                self.send(ticket, asks);
            }
            Next::Reply(reply) => line.fill(ticket.sequence, reply),
        }
        self.lines.give_up_if_done(id);
    }
}
