//! A shard: everything that lives in its slots, and the execution of what is asked of it.
//!
//! An ask that takes longer than a slice is suspended and goes on when the shard's turn comes again; meanwhile others
//! are served. Only what the same client asked of the same shard after it waits, so that a client's commands take
//! effect in the order it sent them.

mod aliases;
mod asking;
mod attributes;
mod batch;
mod capture;
mod counting;
mod due_fields;
mod execute;
mod field_deadlines;
mod fields;
mod functions;
mod hashes;
mod insert;
mod journal;
mod keys;
mod library_text;
mod memory;
mod moving_sets;
mod multi_key;
mod notices;
mod observers;
mod ownership;
mod pipeline;
mod queue;
mod read_lease;
mod replay;
mod rewriting;
mod scan;
mod schema_text;
mod scripting;
mod searching;
mod searching_many;
mod set_elements;
mod shared_reads;
mod similar;
mod slot_wait;
mod strings;
mod task;
mod tracking;
mod transfer;
mod upkeep;
mod vector_sets;
mod vectors;
mod watches;
mod watching;

use std::rc::Rc;
use std::sync::Arc;

use kora_keyspace::{KeyCounts, Keyspace, ResolvedKey};
use kora_script::Interpreter;
use kora_vector::{Step, Work};

pub(crate) use self::capture::Capture;
use self::capture::GivenUp;
use self::journal::Journal;
use self::memory::ShardMemory;
pub use self::observers::Recorder;
pub(crate) use self::observers::ShardObservers;
use self::queue::{Queue, QueueStage};
use self::read_lease::Lease;
use self::replay::Replay;
pub use self::replay::ReplayFault;
pub(crate) use self::shared_reads::{SharedReader, SharedReads};
pub(crate) use self::task::Begun;
use self::task::Unfinished;
use crate::budgets::CHORE_PART;
use crate::claims::Claims;
use crate::command::Message;
use crate::leased::ReadLeases;
use crate::mail::{Origin, PartialReply, ReplyId, RequestBody};
use crate::router::{Placement, ShardId};
use crate::setup::Setup;
use crate::stats::Lookups;

/// One shard. Owned by one worker, and never leaves its thread, except the collections while they are leased.
pub(crate) struct Shard {
    id: ShardId,
    placement: Placement,
    setup: Arc<Setup>,
    /// All its data.
    keyspace: Keyspace<ShardObservers>,
    lease: Lease,
    /// What random choices come from.
    draws: u64,
    /// Attempts that were ever made to let one of the collections go whose names are owned here.
    attempts: u64,
    queue: Queue,
    /// What is remembered while the data is loaded.
    replay: Box<Replay>,
    /// What it tells of its memory, and what it knows of the limit.
    memory: ShardMemory,
    /// Its part of a snapshot that is being taken.
    capture: Option<Box<Capture>>,
    /// Values that left for another shard, or came from one, since that was asked last.
    transfers: Vec<u64>,
    /// Parts of collections whose capture was given up and is to be ended.
    given_up: Vec<GivenUp>,
    lookups: Lookups,
    /// Runs scripts, from the first one on.
    interpreter: Option<Rc<Interpreter>>,
    /// Runs functions, and holds what libraries keep.
    function_interpreter: Option<Rc<Interpreter>>,
    /// Scripts have left much behind that is to be freed.
    has_script_garbage: bool,
    /// What scripts have published, until the worker sends it.
    messages: Vec<Arc<Message>>,
    /// A shard stays with its worker's thread: nothing in it is synchronised except leased collections (see `read_lease`).
    _not_send: std::marker::PhantomData<Rc<()>>,
}

impl Shard {
    pub(crate) fn new(
        id: ShardId,
        placement: Placement,
        setup: Arc<Setup>,
        leases: ReadLeases,
        claims: Claims,
    ) -> Shard {
        Shard {
            id,
            placement,
            keyspace: Keyspace::new(
                Arc::clone(&setup.catalog),
                ShardObservers::new(Journal::new(Arc::clone(&setup.durability), u32::from(id.0)), &setup),
            ),
            replay: Box::default(),
            memory: ShardMemory::new(claims),
            capture: None,
            transfers: Vec::new(),
            given_up: Vec::new(),
            lookups: Lookups::default(),
            interpreter: None,
            function_interpreter: None,
            has_script_garbage: false,
            messages: Vec::new(),
            lease: Lease::new(id, leases),
            draws: setup.catalog.hash_seed() ^ u64::from(id.0),
            attempts: 0,
            queue: Queue::default(),
            setup,
            _not_send: std::marker::PhantomData,
        }
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    /// Takes an ask in; it is executed in [`Shard::slice`] when its client's turn comes.
    pub(crate) fn enqueue(&mut self, origin: Origin, reply_id: ReplyId, body: RequestBody, at_ms: u64) {
        self.queue.push(origin, reply_id, body, at_ms);
    }

    /// True if a command of this client may run at once, before others that wait: none of its own waits, and no client has
    /// the shard to itself.
    pub(crate) fn is_open_to(&self, origin: Origin) -> bool {
        self.queue.is_open_to(origin)
    }

    /// What was begun at once and takes longer goes on in its turn.
    pub(crate) fn suspend(&mut self, origin: Origin, reply_id: ReplyId, task: Unfinished) {
        self.queue.admit(origin);
        self.queue.suspend(origin, reply_id, task);
    }

    /// True if some ask waits.
    pub(crate) fn has_requests(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How many asks wait.
    pub(crate) fn queue_depth(&self) -> usize {
        self.queue.len()
    }

    /// True if there is something to free.
    pub(crate) fn has_drops(&self) -> bool {
        let observers = self.keyspace.observers();
        let has_left = observers.watches.has_left() || observers.tracking.has_dropped();
        self.keyspace.has_drops() || self.has_script_garbage() || has_left
    }

    /// True if clients are to be told something.
    pub(crate) fn has_news(&self) -> bool {
        !self.messages.is_empty() || self.has_notices() || self.has_invalidations()
    }

    /// Its data, for what concerns the whole of it.
    pub(crate) fn keyspace(&self) -> &Keyspace<ShardObservers> {
        &self.keyspace
    }

    /// The same, to be changed.
    pub(crate) fn keyspace_mut(&mut self) -> &mut Keyspace<ShardObservers> {
        &mut self.keyspace
    }

    /// Executes the next ask, for one slice; the answer, if that finished it.
    pub(crate) fn slice(&mut self) -> Option<(Origin, ReplyId, PartialReply)> {
        let (origin, reply_id, stage) = self.queue.pop()?;
        if stage.is_long() {
            self.note_busy();
        }
        self.set_changer(Some(origin));
        let mut work = self.slice_work();
        let begun = match stage {
            QueueStage::Fresh(body, _) if self.queue.is_gone(origin) && body.only_reads() => {
                Begun::Done(body.unheard())
            }
            QueueStage::Fresh(body, at_ms) => self.execute(body, origin, at_ms, &mut work),
            QueueStage::Suspended(mut task) => match task.slice(self, &mut work) {
                Step::Done(part) => Begun::Done(part),
                Step::More => Begun::More(task),
            },
        };
        self.set_changer(None);
        match begun {
            Begun::Done(part) => {
                self.queue.finish(origin);
                Some((origin, reply_id, part))
            }
            Begun::More(task) => {
                self.queue.suspend(origin, reply_id, task);
                None
            }
        }
    }

    /// Counts of reads that found their key, and of others.
    pub(crate) fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Clients that watch keys.
    pub(crate) fn watchers(&self) -> u64 {
        self.keyspace.observers().watches.watchers()
    }

    /// Keys that clients watch, or watched a moment ago.
    pub(crate) fn watched_keys(&self) -> u64 {
        self.keyspace.observers().watches.watched_keys()
    }

    /// Frees what was dropped, for one slice.
    pub(crate) fn free(&mut self) {
        if self.has_script_garbage() {
            return self.collect_scripts();
        }
        let mut work = Work::new(self.setup.slice_work.div_ceil(CHORE_PART));
        if self.keyspace.observers().watches.has_left() {
            return self.keyspace.observers_mut().watches.forget_left(&mut work);
        }
        if self.keyspace.observers().tracking.has_dropped() {
            return self.keyspace.observers_mut().tracking.free(&mut work);
        }
        self.keyspace.free(&mut work);
    }

    /// Vectors that are there.
    pub(crate) fn live(&self) -> usize {
        self.keyspace.live()
    }

    /// What the entry of a key takes with what it holds; 0 if there is none.
    pub(crate) fn entry_bytes(&self, key: &[u8]) -> usize {
        let place = self.keyspace.place(key, 0);
        self.keyspace.keys().bytes_of(place).unwrap_or(0)
    }

    /// What there is beside vectors.
    pub(crate) fn key_counts(&self) -> KeyCounts {
        self.keyspace.key_counts()
    }

    /// True if something has expired that no command has asked for, and it may be removed now.
    pub(crate) fn has_due(&self, now_ms: u64) -> bool {
        self.keyspace.has_due(now_ms) && !self.queue.is_taken()
    }

    /// Removes some of that.
    pub(crate) fn remove_due(&mut self, now_ms: u64) {
        self.keyspace.remove_due(now_ms);
    }

    /// When the next key, vector or collection expires, in milliseconds of Unix time.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.keyspace.next_deadline_ms()
    }

    /// Checks everything that must hold between two asks. For tests and the simulation.
    ///
    /// # Panics
    /// If something does not hold.
    pub(crate) fn assert_sound(&self) {
        self.inspect_collections(|collections| self.keyspace.assert_sound(collections));
        self.queue.assert_sound();
        for name in self.keyspace.expiring_names() {
            assert!(self.owns_name(name), "only the owner of a name decides about it");
        }
    }

    /// Lets a closure see every change from now on.
    pub(crate) fn record(&mut self, recorder: Recorder) {
        self.keyspace.observers_mut().recorder = Some(recorder);
    }

    /// # Panics
    /// If the data is not equal to that of a keyspace that was rebuilt from its outcomes.
    pub(crate) fn assert_rebuilt(&self, rebuilt: &Keyspace<()>) {
        self.inspect_collections(|collections| self.keyspace.assert_equal(collections, rebuilt));
    }

    /// A key as it is at that time: what has expired is removed.
    fn resolve_live<'k>(&mut self, key: &'k [u8], now_ms: u64) -> ResolvedKey<'k> {
        // The other half of the assertion in `router.rs`: the sender used the same function.
        debug_assert_eq!(self.placement.shard_of(key), self.id);
        self.keyspace.resolve_live(key, now_ms)
    }
}
