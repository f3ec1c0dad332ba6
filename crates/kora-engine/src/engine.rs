//! Everything one worker knows: its shards, its connections' lines, and its end of the mesh.
//!
//! An engine is a synchronous state machine. Its driver (the server's event loop, a simulation) hands it requests
//! with [`Engine::submit`], lets it work with [`Engine::turn`], and takes replies out with [`Engine::drain`]. A turn
//! cannot wait, so it cannot wait for another worker.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use kora_mesh::{Port, WorkerId};
use kora_resp::{PrefixedRequest, Reply};

use crate::background_task::BackgroundTask;
use crate::claims::{ClaimBoard, Claims};
use crate::client_migration::{KillFlag, Migrations};
use crate::clients::Forgotten;
use crate::command::table::{self, Access, Parsed};
use crate::durable::Durable;
use crate::epochs::Epochs;
use crate::gather::Gather;
use crate::ledger::Ledger;
use crate::limits::DAY_LOOK_US;
use crate::mail::{Origin, ReplyId, Request, RequestBody, Response, Target};
use crate::maintenance::Maintenance;
use crate::pausing::Paused;
use crate::pubsub::PubSub;
use crate::reply_queue::{Presence, ReplyQueue, Taken};
use crate::reply_queues::{ReplyQueueId, ReplyQueues};
use crate::router::ShardId;
use crate::sampling::Sampling;
use crate::session::Session;
use crate::setup::{Host, MeshEnd, Setup};
use crate::shard::{Shard, SharedReader};
use crate::slow::Slow;
use crate::stats::{Recent, WorkerStats};
use crate::tracking::News;
use crate::under_way::UnderWay;

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
    /// Reads collections under other workers' leases.
    pub(crate) reader: SharedReader,
    pub(crate) reply_queues: ReplyQueues,
    /// What the connections hold of the memory.
    pub(crate) ledger: Ledger,
    /// What those hold that have not authenticated.
    pub(crate) strangers: Ledger,
    /// Requests to this worker itself, with their senders. Bounded by the clients' reply queues.
    pub(crate) worker_requests: VecDeque<(WorkerId, ReplyId, RequestBody)>,
    /// Slots whose long work goes on when its turn comes. Bounded by the clients' reply queues.
    pub(crate) unfinished: VecDeque<ReplyId>,
    /// Commands of transactions that were given up, a piece for each slice that frees them. What was held live before; it grows
    /// by nothing else.
    pub(crate) discarded: VecDeque<Vec<Parsed>>,
    /// Asks that follow from others and found no credit, for each worker. Bounded by the clients' lines.
    pub(crate) outboxes: Vec<VecDeque<Request>>,
    /// Connections whose command found no credit, in the order they came.
    pub(crate) credit_waiters: VecDeque<ReplyQueueId>,
    /// Connections whose command expects a reply for which there is no memory, in the order they came. Bounded by the
    /// connections.
    pub(crate) room_waiters: VecDeque<ReplyQueueId>,
    /// How many of them found room.
    pub(crate) rooms_given: u64,
    /// Connections whose command waits because of CLIENT PAUSE.
    pub(crate) paused: Paused,
    /// Commands under way that may set vectors.
    pub(crate) epochs: Epochs,
    /// What it does of its own accord. Bounded by the kinds of it.
    pub(crate) background_tasks: Vec<BackgroundTask>,
    /// What its connections subscribe to, and messages for them.
    pub(crate) pubsub: PubSub,
    /// Whose recall it samples.
    pub(crate) sampling: Sampling,
    /// Wakes the driver of the turns, while it sleeps.
    pub(crate) sleeper: Option<Waker>,
    /// Wake-up time of the armed timer, in milliseconds of Unix time: the next known expiry.
    pub(crate) alarm_ms: Option<u64>,
    /// A client's next reply has become ready in this turn.
    pub(crate) reply_is_ready: bool,
    /// Time spent on commands outside of turns since the last one.
    pub(crate) inline_us: u64,
    pub(crate) shutdown: bool,
    /// When the last turn began.
    pub(crate) turn_start_us: u64,
    /// When the last turn ended.
    pub(crate) turned_us: u64,
    /// When a command was last begun or answered outside of a turn.
    pub(crate) clock_us: u64,
    /// When the thread's CPU clock was last read.
    pub(crate) cpu_look: CpuLook,
    day: DayLook,
    pub(crate) stats: WorkerStats,
    /// What happened in the last seconds.
    pub(crate) recent: Recent,
    /// Commands that took long.
    pub(crate) slow: Slow,
    /// What its shards have to tell clients.
    pub(crate) news: News,
    /// Connections with CLIENT TRACKING.
    pub(crate) tracking_clients: usize,
    /// Clients of this worker that MONITOR.
    pub(crate) monitors: Vec<ReplyQueueId>,
    /// Where the clients of this worker are, by their ids.
    pub(crate) clients_by_id: BTreeMap<u64, ReplyQueueId>,
    /// What was counted elsewhere when a client last had it forgotten.
    pub(crate) forgotten: Forgotten,
    /// A request with the names of its database, while it is read.
    pub(crate) prefixed: PrefixedRequest,
    /// What there is to do beside what is asked.
    pub(crate) maintenance: Maintenance,
    /// Clients that went to other workers.
    pub(crate) migrations: Migrations,
    /// What it has to do with the disk.
    pub(crate) durable: Durable,
    /// What workers could evict when memory is needed.
    pub(crate) claims: Arc<ClaimBoard>,
    /// What the commands of its clients bring that are under way.
    pub(crate) under_way: Rc<UnderWay>,
    /// Connections whose command waits for memory. Bounded by the connections.
    pub(crate) memory_waiters: Vec<ReplyQueueId>,
    /// Bytes that the largest of these commands needs which were tried in this turn.
    pub(crate) memory_needed: u64,
    /// When a command was refused last because no shard has anything to evict.
    pub(crate) memory_refused_us: Option<u64>,
    /// Until when it was counted how long they wait.
    pub(crate) memory_waited_us: u64,
    /// The version of the rules of eviction that its shards apply.
    pub(crate) memory_rules_version: u64,
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
    /// It has its place in the reply queue.
    Taken,
    /// Not now: the connection is woken when it is worth trying again.
    Later(Box<Parsed>),
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
    pub fn new(mesh_end: MeshEnd, setup: Arc<Setup>) -> Engine {
        let (port, placement) = (mesh_end.port, setup.placement);
        let worker = port.worker();
        assert_eq!(
            port.workers(),
            placement.worker_count(),
            "the mesh and the placement agree"
        );
        let leases = mesh_end.leases;
        let board = Arc::clone(&mesh_end.claims);
        let new_shard = |id| {
            let claims = Claims::new(&board, id);
            Shard::new(id, placement, Arc::clone(&setup), Arc::clone(&leases), claims)
        };
        Engine {
            worker,
            shards: placement.shards_of(worker).map(new_shard).collect(),
            reader: SharedReader::new(worker, leases, Arc::clone(&mesh_end.loads)),
            reply_queues: ReplyQueues::default(),
            ledger: Ledger::new(&setup.live.client_memory, placement.worker_count()),
            strangers: Ledger::new(&setup.live.stranger_memory, placement.worker_count()),
            worker_requests: VecDeque::new(),
            unfinished: VecDeque::new(),
            discarded: VecDeque::new(),
            outboxes: (0..placement.worker_count()).map(|_| VecDeque::new()).collect(),
            credit_waiters: VecDeque::new(),
            room_waiters: VecDeque::new(),
            paused: Paused::default(),
            rooms_given: 0,
            epochs: Epochs::default(),
            background_tasks: Vec::new(),
            pubsub: PubSub::default(),
            sampling: Sampling::default(),
            sleeper: None,
            alarm_ms: None,
            reply_is_ready: false,
            inline_us: 0,
            shutdown: false,
            turn_start_us: 0,
            turned_us: 0,
            clock_us: 0,
            cpu_look: CpuLook::default(),
            day: DayLook::default(),
            prefixed: PrefixedRequest::default(),
            maintenance: Maintenance::default(),
            migrations: Migrations::new(mesh_end.loads),
            durable: Durable::default(),
            claims: Arc::clone(&board),
            under_way: Rc::new(UnderWay::new(&setup.live)),
            memory_waiters: Vec::new(),
            memory_needed: 0,
            memory_refused_us: None,
            memory_waited_us: 0,
            memory_rules_version: 0,
            forgotten: Forgotten::default(),
            recent: Recent::default(),
            slow: Slow::default(),
            news: News::default(),
            tracking_clients: 0,
            monitors: Vec::new(),
            clients_by_id: BTreeMap::new(),
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
    pub fn connect(&mut self, mut session: Session) -> ReplyQueueId {
        session.begin_as_default(&self.setup.live.access.users());
        self.stats.connections += 1;
        let account = self.ledger_of(&session).open();
        let client = session.id;
        let spare = self.reply_queues.spare.clone();
        let id = self
            .reply_queues
            .add(ReplyQueue::new(session, KillFlag::default(), account, spare));
        self.clients_by_id.insert(client, id);
        id
    }

    /// The connection has gone. Commands that it began are finished; their replies are dropped.
    pub fn disconnect(&mut self, reply_queue: ReplyQueueId) {
        if self.reply_queues.get(reply_queue).awaited_bytes.take().is_some() {
            self.room_waiters.retain(|waiter| *waiter != reply_queue);
        }
        self.reply_queues.get(reply_queue).set_presence(Presence::Gone);
        self.leave_shards(reply_queue);
        // The reply queue may be needed for longer; the worker from which the client migrated has to forget it now.
        self.reply_queues.get(reply_queue).kill_flag = KillFlag::default();
        let counter = self.stats.by_command.counter(UNKNOWN);
        self.forget_subscriptions(reply_queue);
        self.end_monitoring(reply_queue);
        let session = &mut self.reply_queues.get(reply_queue).session;
        self.clients_by_id.remove(&session.id);
        self.tracking_clients -= usize::from(session.end_tracking());
        self.forget_watched(reply_queue, counter);
        self.reply_queues.give_up_if_done(reply_queue);
        self.wake_room_waiters();
    }

    /// The client has gone: what it asked to read and no shard has begun is not read, and what takes several steps to read
    /// ends with the one that is under way. What changes data is done as if it were there.
    fn leave_shards(&mut self, id: ReplyQueueId) {
        let reply_queue = self.reply_queues.get(id);
        reply_queue.is_abandoned = true;
        if !reply_queue.is_waiting() {
            return;
        }
        let shards: Vec<ShardId> = self.setup.placement.shards().collect();
        let (missing, reply) = (shards.len(), Reply::Null);
        let taken = Taken::of_nothing(self.stats.by_command.counter(UNKNOWN), 0);
        let sequence = reply_queue.take_last_slot(Gather::AllDone { missing, reply }, taken);
        let requests = shards
            .into_iter()
            .map(|shard| (Target::Shard(shard), RequestBody::Leave));
        self.send(
            ReplyId {
                reply_queue: id.0,
                sequence,
            },
            requests.collect(),
        );
    }

    /// What a connection may say at the moment: its limits before it has authenticated are narrower.
    pub fn access(&mut self, reply_queue: ReplyQueueId) -> Access {
        self.reply_queues.get(reply_queue).session.access
    }

    /// The time when a command was last submitted, or when its answer was found if that was at once: for callers that submit
    /// many and must not keep others waiting.
    pub fn clock_us(&self) -> u64 {
        self.clock_us
    }

    /// Ends a connection whose bytes are no requests: the error takes its place behind the replies that are owed.
    pub fn refuse(&mut self, id: ReplyQueueId, error: &kora_resp::ProtocolError) {
        self.refuse_with(id, format!("ERR {error}"));
    }

    /// Ends a connection with this error.
    pub(crate) fn refuse_with(&mut self, id: ReplyQueueId, error: String) {
        let reply_queue = self.reply_queues.get(id);
        // Room is not looked for: this is the last slot that the reply queue gives out.
        let counter = self.stats.by_command.counter(UNKNOWN);
        let reply = Reply::Error(error);
        self.stats.note_refusal(counter, &reply);
        let taken = Taken::of_nothing(counter, 0);
        reply_queue.put_last_reply(reply, taken);
        reply_queue.set_presence(Presence::Leaving);
    }

    /// Closes a connection at once.
    pub fn cut(&mut self, id: ReplyQueueId) {
        self.reply_queues.get(id).set_presence(Presence::Killed);
    }

    /// The client has closed its side: it is sent what it is owed, then the connection is closed.
    pub fn finish(&mut self, id: ReplyQueueId) {
        let reply_queue = self.reply_queues.get(id);
        if reply_queue.presence() == Presence::Here {
            reply_queue.set_presence(Presence::Leaving);
        }
    }

    /// Whether a connection may go on submitting.
    pub fn is_served(&mut self, id: ReplyQueueId) -> bool {
        self.reply_queues.get(id).presence() == Presence::Here
    }

    /// Whether a connection subscribes to something: for its messages there is another limit than for replies.
    pub fn is_subscribed(&mut self, id: ReplyQueueId) -> bool {
        self.reply_queues.get(id).session.is_subscribed()
    }

    /// Bytes of what waits for a connection that it has not asked for: messages and invalidations.
    pub fn pushed_bytes(&mut self, id: ReplyQueueId) -> usize {
        self.reply_queues.get(id).pushed_bytes()
    }

    /// Encodes the replies that are ready and in order, and says how the connection stands.
    pub fn drain(&mut self, id: ReplyQueueId, out: &mut BytesMut) -> Standing {
        let bytes_max = self.spelled_bytes_max(id);
        self.reply_queues.get(id).drain(bytes_max, out);
        self.wake_room_waiters();
        self.standing(id)
    }

    /// How the connection stands, without taking replies out.
    pub fn standing(&mut self, id: ReplyQueueId) -> Standing {
        let reply_queue = self.reply_queues.get(id);
        match reply_queue.presence() {
            Presence::Killed => Standing::Killed,
            Presence::Dropped => Standing::Dropped {
                bytes: reply_queue.dropped_bytes,
            },
            Presence::Leaving if reply_queue.is_empty() => Standing::Finished,
            _ => Standing::Served {
                owed: !reply_queue.is_empty(),
                ready: reply_queue.has_ready(),
            },
        }
    }

    /// True if a reply is ready or the connection is to be closed at once. Otherwise `waker` is woken when one of them
    /// is true, or when a command that had to wait may be tried again.
    ///
    /// The end of the last owed reply of a closing connection is no event: the call that took the reply reported it (see
    /// [`Standing::Finished`]).
    pub fn poll_replies(&mut self, id: ReplyQueueId, waker: &Waker) -> bool {
        let reply_queue = self.reply_queues.get(id);
        reply_queue.set_waker(waker);
        reply_queue.has_ready() || matches!(reply_queue.presence(), Presence::Killed | Presence::Dropped)
    }

    /// True if a command of the connection waits to be tried again and nothing has happened yet that could let it
    /// succeed.
    pub fn is_blocked(&mut self, id: ReplyQueueId) -> bool {
        self.reply_queues.get(id).is_blocked()
    }

    /// Wakes all connections, for news that does not come from the engine.
    pub fn wake_connections(&mut self) {
        self.reply_queues
            .served_from(0)
            .for_each(|(_, reply_queue)| reply_queue.wake());
    }

    /// True if the connection is to be closed at once, whatever is ready.
    pub fn is_cut(&mut self, id: ReplyQueueId) -> bool {
        matches!(
            self.reply_queues.get(id).presence(),
            Presence::Killed | Presence::Dropped
        )
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

    /// True if this worker is idle: no reply is owed, nothing waits, everything dropped is freed.
    pub fn is_quiet(&mut self) -> bool {
        let owed = self
            .reply_queues
            .served_from(0)
            .any(|(_, reply_queue)| !reply_queue.is_empty());
        !owed
            && self.background_tasks.is_empty()
            && !self.has_work()
            && !self.port.has_mail()
            && self.outboxes.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn here(&self) -> Target {
        self.shards
            .first()
            .map_or(Target::Worker(self.worker), |shard| Target::Shard(shard.id()))
    }

    pub(crate) fn origin(&self, id: ReplyQueueId) -> Origin {
        Origin {
            worker: self.worker,
            reply_queue: id.0,
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
