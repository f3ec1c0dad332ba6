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
use kora_mesh::{Port, WorkerId};
use kora_resp::Reply;

use crate::chores::Chores;
use crate::clients::Forgotten;
use crate::command::Command;
use crate::command::table::{self, Access, Parsed};
use crate::durable::Durable;
use crate::eras::Eras;
use crate::errand::Errand;
use crate::ledger::Ledger;
use crate::limits::DAY_LOOK_US;
use crate::line::{Line, Presence, Taken};
use crate::lines::{LineId, Lines};
use crate::mail::{Ask, Request, Response, Target, Ticket};
use crate::pubsub::PubSub;
use crate::sampling::Sampling;
use crate::session::Session;
use crate::setup::{Berth, Host, Setup};
use crate::shard::{Origin, Reader, Shard};
use crate::stats::{Outcome, WorkerStats};
use crate::travel::{Mark, Travel};

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
    /// Reads what other workers have lent.
    pub(crate) reader: Reader,
    pub(crate) lines: Lines,
    /// What the connections hold of the memory.
    pub(crate) ledger: Ledger,
    /// What those hold that have not authenticated.
    pub(crate) strangers: Ledger,
    /// What this worker itself is asked, and by whom. Bounded by the clients' lines.
    pub(crate) worker_asks: VecDeque<(WorkerId, Ticket, Ask)>,
    /// Seats in which something took long and goes on when its turn comes. Bounded by the clients' lines.
    pub(crate) unfinished: VecDeque<Ticket>,
    /// Commands of transactions that were given up, to be freed in slices. What was held live before; it grows by nothing else.
    pub(crate) discarded: VecDeque<Vec<Parsed>>,
    /// Asks that follow from others and found no credit, for each worker. Bounded by the clients' lines.
    pub(crate) outboxes: Vec<VecDeque<Request>>,
    /// Connections whose command found no credit, in the order they came.
    pub(crate) credit_waiters: VecDeque<LineId>,
    /// Connections whose command expects a reply for which there is no memory, in the order they came. Bounded by the
    /// connections.
    pub(crate) room_waiters: VecDeque<LineId>,
    /// How many of them found room.
    pub(crate) rooms_given: u64,
    /// Commands under way that may set vectors.
    pub(crate) eras: Eras,
    /// What it does of its own accord. Bounded by the kinds of it.
    pub(crate) errands: Vec<Errand>,
    /// What its connections subscribe to, and messages for them.
    pub(crate) pubsub: PubSub,
    /// Whose recall it samples.
    pub(crate) sampling: Sampling,
    /// Wakes whoever drives the turns, while it sleeps.
    pub(crate) sleeper: Option<Waker>,
    /// When whoever sleeps wakes by himself, in milliseconds of Unix time: the next expiry that was known.
    pub(crate) alarm_ms: Option<u64>,
    /// A client's next reply has become ready in this turn.
    pub(crate) reply_is_ready: bool,
    /// Time spent on commands outside of turns since the last one.
    pub(crate) inline_us: u64,
    pub(crate) shutdown: bool,
    /// When the last turn ended.
    pub(crate) turned_us: u64,
    /// When a command was last begun or answered outside of a turn.
    pub(crate) clock_us: u64,
    /// When the thread's CPU clock was last read.
    pub(crate) cpu_look: CpuLook,
    day: DayLook,
    pub(crate) stats: WorkerStats,
    /// What was counted elsewhere when a client last had it forgotten.
    pub(crate) forgotten: Forgotten,
    /// What there is to do beside what is asked.
    pub(crate) chores: Chores,
    /// Clients that went to other workers.
    pub(crate) travel: Travel,
    /// What it has to do with the disk.
    pub(crate) durable: Durable,
    _not_send: PhantomData<Rc<()>>,
}

/// A reading of the thread's CPU clock.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct CpuLook {
    pub(crate) wall_us: u64,
    pub(crate) cpu_us: u64,
}

/// How far the time of day is from the host's clock.
#[derive(Clone, Copy, Default, Debug)]
struct DayLook {
    /// When to look again.
    again_us: u64,
    offset_us: i64,
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
        /// Some of them can be taken now: there were more than are encoded at once.
        ready: bool,
    },
    /// It is to be closed once what it was given is written: nothing more is owed to it.
    Finished,
    /// It is to be closed at once.
    Killed,
    /// It is to be closed at once, because clients held too much memory and this one the most.
    Dropped {
        /// What it held.
        bytes: usize,
    },
}

impl Engine {
    /// Bytes that the keys of this worker's shards hold, with what they hold.
    pub fn entry_bytes(&self) -> u64 {
        let bytes_of = |shard: &Shard| shard.keyspace().totals().entry_bytes;
        self.shards.iter().map(bytes_of).sum()
    }

    /// True if something was dropped that is not freed yet.
    pub fn has_drops(&self) -> bool {
        self.shards.iter().any(Shard::has_drops)
    }

    /// The engine of one worker, with all its shards.
    pub fn new(berth: Berth, setup: Arc<Setup>) -> Engine {
        let (port, placement) = (berth.port, setup.placement);
        let worker = port.worker();
        assert_eq!(
            port.workers(),
            placement.worker_count(),
            "the mesh and the placement agree"
        );
        let shelves = berth.shelves;
        let new_shard = |id| Shard::new(id, placement, Arc::clone(&setup), Arc::clone(&shelves));
        Engine {
            worker,
            shards: placement.shards_of(worker).map(new_shard).collect(),
            reader: Reader::new(worker, shelves, Arc::clone(&berth.loads)),
            lines: Lines::default(),
            ledger: Ledger::new(&setup.live.client_memory, placement.worker_count()),
            strangers: Ledger::new(&setup.live.stranger_memory, placement.worker_count()),
            worker_asks: VecDeque::new(),
            unfinished: VecDeque::new(),
            discarded: VecDeque::new(),
            outboxes: (0..placement.worker_count()).map(|_| VecDeque::new()).collect(),
            credit_waiters: VecDeque::new(),
            room_waiters: VecDeque::new(),
            rooms_given: 0,
            eras: Eras::default(),
            errands: Vec::new(),
            pubsub: PubSub::default(),
            sampling: Sampling::default(),
            sleeper: None,
            alarm_ms: None,
            reply_is_ready: false,
            inline_us: 0,
            shutdown: false,
            turned_us: 0,
            clock_us: 0,
            cpu_look: CpuLook::default(),
            day: DayLook::default(),
            chores: Chores::default(),
            travel: Travel::new(berth.loads),
            durable: Durable::default(),
            forgotten: Forgotten::default(),
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
        session.access = self.setup.first_access();
        self.stats.connections += 1;
        let account = self.ledger_of(&session).open();
        self.lines.add(Line::new(session, Mark::default(), account))
    }

    /// The connection has gone. What it began is finished; nobody hears of it.
    pub fn disconnect(&mut self, line: LineId) {
        if self.lines.line(line).awaited_bytes.take().is_some() {
            self.room_waiters.retain(|waiter| *waiter != line);
        }
        self.lines.line(line).set_presence(Presence::Gone);
        // The line may be needed for longer; whoever let the client go is to forget it now.
        self.lines.line(line).mark = Mark::default();
        let counter = self.stats.by_command.counter(UNKNOWN);
        self.forget_subscriptions(line);
        self.forget_watched(line, counter);
        self.lines.give_up_if_done(line);
        self.wake_room_waiters();
    }

    /// What a connection may say at the moment: its limits before it has authenticated are narrower.
    pub fn access(&mut self, line: LineId) -> Access {
        self.lines.line(line).session.access
    }

    /// Reads a request as a command.
    pub fn parse(&mut self, line: LineId, request: &kora_resp::Request<'_>) -> Parsed {
        let mut parsed = table::parse(request, self.access(line));
        if let Command::OnKey(key, _) = &parsed.command {
            parsed.slot = self.setup.placement.slot_of(key);
        }
        parsed
    }

    /// The time when a command was last submitted, or when its answer was found if that was at once: for whoever submits
    /// many and must not keep others waiting.
    pub fn clock_us(&self) -> u64 {
        self.clock_us
    }

    /// Ends a connection whose bytes are no requests: the error takes its place behind the replies that are owed.
    pub fn refuse(&mut self, id: LineId, error: &kora_resp::ProtocolError) {
        self.refuse_with(id, format!("ERR {error}"));
    }

    /// Ends a connection with this error.
    pub(crate) fn refuse_with(&mut self, id: LineId, error: String) {
        let line = self.lines.line(id);
        // Room is not looked for: this is the last seat that the line gives out.
        let counter = self.stats.by_command.counter(UNKNOWN);
        self.stats.by_command.count(counter, Outcome::Rejected, 0);
        let taken = Taken {
            counter,
            since_us: 0,
            bytes: 0,
            expected: 0,
            era: None,
        };
        line.seat_last_reply(Reply::Error(error), taken);
        line.set_presence(Presence::Leaving);
    }

    /// Closes a connection at once.
    pub fn cut(&mut self, id: LineId) {
        self.lines.line(id).set_presence(Presence::Killed);
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

    /// Whether a connection subscribes to something: for its messages there is another limit than for replies.
    pub fn is_subscribed(&mut self, id: LineId) -> bool {
        self.lines.line(id).session.is_subscribed()
    }

    /// Encodes the replies that are ready and in order, and says how the connection stands.
    pub fn drain(&mut self, id: LineId, out: &mut BytesMut) -> Standing {
        let bytes_max = self.spelled_bytes_max(id);
        self.lines.line(id).drain(bytes_max, out);
        self.wake_room_waiters();
        self.standing(id)
    }

    /// How the connection stands, without taking replies out.
    pub fn standing(&mut self, id: LineId) -> Standing {
        let line = self.lines.line(id);
        match line.presence() {
            Presence::Killed => Standing::Killed,
            Presence::Dropped => Standing::Dropped {
                bytes: line.dropped_bytes,
            },
            Presence::Leaving if line.is_empty() => Standing::Finished,
            _ => Standing::Served {
                owed: !line.is_empty(),
                ready: line.has_ready(),
            },
        }
    }

    /// True if a reply is ready or the connection is to be closed at once. Otherwise `waker` is woken when one of them
    /// is true, or when a command that had to wait may be tried again.
    ///
    /// That nothing more is owed to a connection that leaves is no event: it follows from a reply that was taken, and
    /// whoever took it was told (see [`Standing::Finished`]).
    pub fn poll_line(&mut self, id: LineId, waker: &Waker) -> bool {
        let line = self.lines.line(id);
        line.set_waker(waker);
        line.has_ready() || matches!(line.presence(), Presence::Killed | Presence::Dropped)
    }

    /// True if a command of the connection waits to be tried again and nothing has happened yet that could let it
    /// succeed.
    pub fn is_blocked(&mut self, id: LineId) -> bool {
        self.lines.line(id).is_blocked()
    }

    /// Wakes all connections: whoever serves them has something to tell that does not come from here.
    pub fn wake_connections(&mut self) {
        self.lines.served_from(0).for_each(|(_, line)| line.wake());
    }

    /// True if the connection is to be closed at once, whatever is ready.
    pub fn is_cut(&mut self, id: LineId) -> bool {
        matches!(self.lines.line(id).presence(), Presence::Killed | Presence::Dropped)
    }

    /// True once after a client has said SHUTDOWN.
    pub fn take_shutdown(&mut self) -> bool {
        std::mem::take(&mut self.shutdown)
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
        !owed
            && self.errands.is_empty()
            && !self.has_work()
            && !self.port.has_mail()
            && self.outboxes.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn here(&self) -> Target {
        self.shards
            .first()
            .map_or(Target::Worker(self.worker), |shard| Target::Shard(shard.id()))
    }

    pub(crate) fn origin(&self, id: LineId) -> Origin {
        Origin {
            worker: self.worker,
            line: id.0,
        }
    }

    /// The time of day that was when the host's clock stood there, in microseconds of Unix time.
    pub(crate) fn unix_us(&self, now_us: u64) -> u64 {
        now_us.saturating_add_signed(self.day.offset_us)
    }

    /// Looks at the time of day, if that has not been done for a while: it may have been set.
    pub(crate) fn look_at_day(&mut self, now_us: u64, host: &dyn Host) {
        if now_us >= self.day.again_us {
            self.day = DayLook {
                again_us: now_us + DAY_LOOK_US,
                offset_us: host.unix_us().cast_signed().wrapping_sub(now_us.cast_signed()),
            };
        }
    }
}

/// Where commands are counted that do not exist.
pub(crate) const UNKNOWN: &str = table::UNKNOWN.name;
