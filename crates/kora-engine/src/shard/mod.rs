//! A shard: everything that lives in its slots, and the execution of what is asked of it.
//!
//! An ask that takes longer than a slice is suspended and goes on when the shard's turn comes again; meanwhile others
//! are served. Only what the same client asked of the same shard after it waits, so that a client's commands take
//! effect in the order it sent them.

mod attributes;
mod batch;
mod capture;
mod counting;
mod fields;
mod hashes;
mod insert;
mod journal;
mod keys;
mod memory;
mod multi_key;
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
mod shared_reads;
mod strings;
mod transfer;
mod upkeep;
mod vectors;
mod watches;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Generation;
use kora_keyspace::{Cause, KeyCounts, Keyspace, ResolvedKey};
use kora_resp::Words;
use kora_script::Interpreter;
use kora_vector::Work;

use self::batch::ExecutingBatch;
pub(crate) use self::capture::Capture;
use self::capture::GivenUp;
use self::counting::Counting;
use self::fields::Fields;
use self::insert::Insert;
use self::journal::Journal;
use self::memory::ToldMemory;
use self::multi_key::MultiKey;
pub use self::observers::Recorder;
pub(crate) use self::observers::ShardObservers;
use self::ownership::{Listing, Sweep};
use self::pipeline::Pipeline;
pub(crate) use self::queue::Origin;
use self::queue::{Queue, QueueStage};
use self::read_lease::Lease;
pub(crate) use self::read_lease::ReadLeases;
use self::replay::Replay;
pub use self::replay::ReplayFault;
use self::rewriting::Rewriting;
use self::scan::Scan;
pub(crate) use self::scripting::ScriptRun;
use self::scripting::Scripting;
pub(crate) use self::shared_reads::{SharedReader, SharedReads};
use self::transfer::Copying;
pub(crate) use self::transfer::{MovedData, MovedVector};
use self::upkeep::CHORE_PART;
use self::vectors::{Delete, Query};
use self::watches::{WATCHED_BYTES_PER_SLICE, WATCHED_KEY_WORK};
use crate::command::Message;
use crate::mail::{PartialReply, Question, ReplyId, RequestBody};
use crate::router::{Placement, ShardId};
use crate::setup::Setup;

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
    /// What all workers have heard of its memory.
    told_memory: ToldMemory,
    /// Its part of a snapshot that is being taken.
    capture: Option<Box<Capture>>,
    /// Values that left for another shard, or came from one, since that was asked last.
    transfers: Vec<u64>,
    /// Parts of collections whose capture was given up and is to be ended.
    given_up: Vec<GivenUp>,
    /// Runs scripts, from the first one on.
    interpreter: Option<Rc<Interpreter>>,
    /// Scripts have left much behind that is to be freed.
    has_script_garbage: bool,
    /// What scripts have published, until the worker sends it.
    messages: Vec<Arc<Message>>,
    /// A shard stays with its worker's thread: nothing in it is synchronised except leased collections (see `read_lease`).
    _not_send: std::marker::PhantomData<Rc<()>>,
}

/// An ask between two slices.
pub(crate) enum Unfinished {
    Insert(Insert),
    Delete(Delete),
    Query(Query),
    /// A query that waits until what has expired is deleted.
    Expiry(Arc<Question>, usize, u64),
    List(Listing),
    Count(Counting),
    Sweep(Sweep),
    Release {
        before: Generation,
        from: u32,
    },
    Scan(Scan),
    /// Keys still to be watched, as they are at a time.
    Watch(Words, u64),
    Pipeline(Box<Pipeline>),
    MultiKey(MultiKey),
    Fields(Box<Fields>),
    Copy(Box<Copying>),
    Rewriting(Box<Rewriting>),
    Batch(Box<ExecutingBatch>),
    Script(Box<Scripting>),
}

impl Unfinished {
    /// True if nothing else may happen on the shard before it is done.
    fn is_exclusive(&self) -> bool {
        match self {
            Unfinished::MultiKey(_) | Unfinished::Fields(_) | Unfinished::Copy(_) | Unfinished::Batch(_) => true,
            Unfinished::Rewriting(_) | Unfinished::Script(_) => true,
            Unfinished::Insert(insert) => insert.is_conditional(),
            Unfinished::Pipeline(pipeline) => pipeline.is_exclusive(),
            _ => false,
        }
    }
}

impl Shard {
    pub(crate) fn new(id: ShardId, placement: Placement, setup: Arc<Setup>, leases: ReadLeases) -> Shard {
        Shard {
            id,
            placement,
            keyspace: Keyspace::new(
                Arc::clone(&setup.catalog),
                ShardObservers::new(Journal::new(Arc::clone(&setup.durability), u32::from(id.0))),
            ),
            replay: Box::default(),
            told_memory: ToldMemory::default(),
            capture: None,
            transfers: Vec::new(),
            given_up: Vec::new(),
            interpreter: None,
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
    pub(crate) fn suspend(&mut self, origin: Origin, reply_id: ReplyId, unfinished: Box<Unfinished>) {
        let is_exclusive = unfinished.is_exclusive();
        self.queue.admit(origin);
        self.queue.suspend(origin, reply_id, unfinished, is_exclusive);
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
        self.keyspace.has_drops() || self.has_script_garbage() || self.keyspace.observers().watches.has_left()
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
        let outcome = match stage {
            QueueStage::Fresh(body, _) if self.queue.is_gone(origin) && body.only_reads() => Ok(body.unheard()),
            QueueStage::Fresh(body, at_ms) => self.begin(body, origin, at_ms),
            QueueStage::Suspended(unfinished) => self.resume(*unfinished, origin),
        };
        match outcome {
            Ok(part) => {
                self.queue.finish(origin);
                Some((origin, reply_id, part))
            }
            Err(unfinished) => {
                let is_exclusive = unfinished.is_exclusive();
                self.queue.suspend(origin, reply_id, unfinished, is_exclusive);
                None
            }
        }
    }

    /// Frees what was dropped, for one slice.
    pub(crate) fn free(&mut self) {
        if self.has_script_garbage() {
            return self.collect_scripts();
        }
        if self.keyspace.observers().watches.has_left() {
            return self.keyspace.observers_mut().watches.forget_left();
        }
        let mut work = Work::new(self.setup.slice_work.div_ceil(CHORE_PART));
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

    fn begin(&mut self, body: RequestBody, origin: Origin, at_ms: u64) -> Result<PartialReply, Box<Unfinished>> {
        match body {
            RequestBody::KeyOperation(operation) => self
                .operate(&operation.key, operation.action, at_ms)
                .map(PartialReply::Reply),
            RequestBody::Pipeline(steps) => self.begin_pipeline(steps, origin, at_ms),
            RequestBody::MultiKey(body) => self.begin_multi_key(body, at_ms, 0),
            RequestBody::Transfer(transfer) => self.transfer(*transfer, at_ms),
            RequestBody::TakeValue(take_value) => self.take_value(*take_value, at_ms),
            RequestBody::PutValue(put) => self.put_value(*put, at_ms),
            RequestBody::RandomKey => Ok(self.random_key(at_ms)),
            RequestBody::Watch(keys) => self.watch(keys, origin, at_ms),
            RequestBody::Leave => Ok(PartialReply::Done),
            RequestBody::Unwatch => {
                self.keyspace.observers_mut().watches.unwatch(origin);
                Ok(PartialReply::Done)
            }
            RequestBody::Script(body) => self.begin_script(*body, origin, at_ms),
            RequestBody::Batch(batch) => self.begin_batch(*batch, origin, at_ms),
            RequestBody::Set(setting) => self.set(*setting, at_ms),
            RequestBody::Delete(elements) => self.delete(Delete::new(elements, at_ms)),
            RequestBody::Vet(key) => {
                self.resolve_live(&key, at_ms);
                Ok(self
                    .refuse_other_type(&key)
                    .map_or(PartialReply::Done, PartialReply::Refused))
            }
            RequestBody::Get(element) => Ok(self.get(&element, at_ms)),
            RequestBody::Holds(element) => Ok(self.holds(&element, at_ms)),
            RequestBody::Query { question, ef } => self.query(question, ef, at_ms),
            RequestBody::Create(proposal) => Ok(self.create(*proposal, at_ms)),
            RequestBody::Withdraw(name) => {
                self.resolve_live(&name, at_ms);
                Ok(self
                    .refuse_other_type(&name)
                    .map_or_else(|| self.withdraw(&name), PartialReply::Refused))
            }
            RequestBody::Close(schema) => Ok(self.close(&schema)),
            RequestBody::Keep(name) => Ok(self.keep(&name)),
            RequestBody::WithdrawEmpty { schema, attempt } => Ok(self.withdraw_empty(&schema, attempt)),
            RequestBody::Release { name, generation } => {
                self.keyspace.drop_part(&name, generation, Cause::Dropped);
                Ok(PartialReply::Done)
            }
            RequestBody::WithdrawBefore(before) => self.withdraw_before(Sweep::new(before)),
            RequestBody::ReleaseBefore(before) => self.release_before(before, 0),
            RequestBody::Describe(schema) => Ok(self.describe(&schema)),
            RequestBody::Sample { schema, random } => Ok(self.sample(&schema, random)),
            RequestBody::Count => self.count(Counting::new(at_ms)),
            RequestBody::List => self.list(Listing::new(at_ms)),
            RequestBody::Scan(body) => self.scan(Scan::new(*body, at_ms)),
            RequestBody::Clients { .. }
            | RequestBody::Kill { .. }
            | RequestBody::Stats
            | RequestBody::ResetStats
            | RequestBody::ReleaseMemory
            | RequestBody::ChangeSubscriptions(_)
            | RequestBody::Publish(_)
            | RequestBody::Topics(_)
            | RequestBody::Drain => {
                unreachable!("asks to a worker are answered by the engine")
            }
        }
    }

    fn resume(&mut self, unfinished: Unfinished, origin: Origin) -> Result<PartialReply, Box<Unfinished>> {
        match unfinished {
            Unfinished::Pipeline(pipeline) => self.do_pipeline(*pipeline, origin),
            Unfinished::MultiKey(multi_key) => self.do_multi_key(multi_key),
            Unfinished::Fields(fields) => self.do_fields(*fields).map(PartialReply::Reply),
            Unfinished::Copy(copying) => self.copy(*copying),
            Unfinished::Rewriting(rewriting) => self.rewrite(rewriting).map(PartialReply::Reply),
            Unfinished::Batch(batch) => self.resume_batch(*batch, origin),
            Unfinished::Script(script) => self.resume_script(script, origin),
            Unfinished::Insert(insert) => self.resume_set(insert),
            Unfinished::Delete(delete) => self.delete(delete),
            Unfinished::Query(query) => self.resume_query(query),
            Unfinished::Expiry(question, ef, at_ms) => self.query(question, ef, at_ms),
            Unfinished::List(listing) => self.list(listing),
            Unfinished::Count(counting) => self.count(counting),
            Unfinished::Release { before, from } => self.release_before(before, from),
            Unfinished::Sweep(sweep) => self.withdraw_before(sweep),
            Unfinished::Scan(scan) => self.scan(scan),
            Unfinished::Watch(keys, now_ms) => self.watch(keys, origin, now_ms),
        }
    }

    /// From now on a client's next EXEC does nothing if one of these keys is changed before it.
    fn watch(&mut self, mut keys: Words, origin: Origin, now_ms: u64) -> Result<PartialReply, Box<Unfinished>> {
        let mut work = 0;
        while work < WATCHED_BYTES_PER_SLICE
            && let Some(key) = keys.take_next()
        {
            work += WATCHED_KEY_WORK + key.len();
            // What has expired already is not there: that it goes is no change.
            self.resolve_live(key, now_ms);
            self.keyspace.drop_part_if_over(key, now_ms);
            let key = Bytes::copy_from_slice(key);
            self.keyspace.observers_mut().watches.watch(origin, key);
        }
        match keys.is_empty() {
            true => Ok(PartialReply::Done),
            false => Err(Box::new(Unfinished::Watch(keys, now_ms))),
        }
    }

    /// A key as it is at that time: what has expired is removed.
    fn resolve_live<'k>(&mut self, key: &'k [u8], now_ms: u64) -> ResolvedKey<'k> {
        // The other half of the assertion in `router.rs`: the sender used the same function.
        debug_assert_eq!(self.placement.shard_of(key), self.id);
        self.keyspace.resolve_live(key, now_ms)
    }

    /// Lets go of all keys, and of all older collections: at once, or if some were made while the flush was on its way, some
    /// at a time.
    fn release_before(&mut self, before: Generation, from: u32) -> Result<PartialReply, Box<Unfinished>> {
        match self.keyspace.flush(before, from) {
            None => Ok(PartialReply::Done),
            Some(from) => Err(Box::new(Unfinished::Release { before, from })),
        }
    }
}
