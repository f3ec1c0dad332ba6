//! A shard: everything that lives in its slots, and the execution of what is asked of it.
//!
//! An ask that takes longer than a slice is suspended and goes on when the shard's turn comes again; meanwhile others
//! are served. Only what the same client asked of the same shard after it waits, so that a client's commands take
//! effect in the order it sent them.

mod acts;
mod attributes;
mod batch;
mod capture;
mod counting;
mod fields;
mod hashes;
mod journal;
mod keys;
mod lending;
mod observers;
mod ownership;
mod queue;
mod reading;
mod replay;
mod rewriting;
mod scan;
mod schema_text;
mod setting;
mod several;
mod strings;
mod transfer;
mod upkeep;
mod vectors;
mod watches;

use std::rc::Rc;
use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use kora_keyspace::catalog::Generation;
use kora_keyspace::{Cause, KeyCounts, Keyspace, Place};
use kora_vector::Work;

use self::acts::Acts;
use self::batch::Executing;
pub(crate) use self::capture::Capture;
use self::counting::Counting;
use self::fields::Fields;
use self::journal::Journal;
use self::lending::Lending;
pub(crate) use self::lending::Shelves;
pub use self::observers::Recorder;
pub(crate) use self::observers::ShardObservers;
use self::ownership::{Listing, Sweep};
pub(crate) use self::queue::Origin;
use self::queue::{Queue, Stage};
pub(crate) use self::reading::{Reader, Reading};
use self::replay::Replay;
pub use self::replay::ReplayFault;
use self::rewriting::Rewriting;
use self::scan::Scan;
use self::setting::Insert;
use self::several::Several;
use self::transfer::Copying;
pub(crate) use self::transfer::{Cargo, CarriedVector};
use self::upkeep::CHORE_PART;
use self::vectors::{Delete, Query};
use self::watches::{WATCHED_BYTES_PER_SLICE, WATCHED_KEY_WORK};
use crate::mail::{Ask, Part, Question, Ticket};
use crate::router::{Placement, ShardId};
use crate::setup::Setup;

/// One shard. Owned by one worker, and never leaves its thread, but for the collections while they are lent.
pub(crate) struct Shard {
    id: ShardId,
    placement: Placement,
    setup: Arc<Setup>,
    /// All its data.
    keyspace: Keyspace<ShardObservers>,
    lending: Lending,
    /// What random choices come from.
    draws: u64,
    /// Attempts that were ever made to let one of the collections go whose names are owned here.
    attempts: u64,
    queue: Queue,
    /// What is remembered while the data is loaded.
    replay: Box<Replay>,
    /// Its part of a snapshot that is being taken.
    capture: Option<Box<Capture>>,
    /// A shard stays with its worker's thread: nothing in it is synchronised but what is lent (see `lending`).
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
    Watch(IntoIter<Bytes>, u64),
    Acts(Box<Acts>),
    Several(Several),
    Fields(Box<Fields>),
    Copy(Box<Copying>),
    Rewriting(Box<Rewriting>),
    Batch(Box<Executing>),
}

impl Unfinished {
    /// True if nothing else may happen on the shard before it is done.
    fn is_exclusive(&self) -> bool {
        match self {
            Unfinished::Several(_) | Unfinished::Fields(_) | Unfinished::Copy(_) | Unfinished::Batch(_) => true,
            Unfinished::Rewriting(_) => true,
            Unfinished::Insert(insert) => insert.is_conditional(),
            Unfinished::Acts(acts) => acts.is_exclusive(),
            _ => false,
        }
    }
}

impl Shard {
    pub(crate) fn new(id: ShardId, placement: Placement, setup: Arc<Setup>, shelves: Shelves) -> Shard {
        Shard {
            id,
            placement,
            keyspace: Keyspace::new(
                Arc::clone(&setup.catalog),
                ShardObservers::new(Journal::new(Arc::clone(&setup.durability), u32::from(id.0))),
            ),
            replay: Box::default(),
            capture: None,
            lending: Lending::new(id, shelves),
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
    pub(crate) fn enqueue(&mut self, origin: Origin, ticket: Ticket, ask: Ask, at_ms: u64) {
        self.queue.push(origin, ticket, ask, at_ms);
    }

    /// True if this client may have something done at once, before others that wait: nothing of its own waits, and nobody
    /// has the shard to himself.
    pub(crate) fn is_open_to(&self, origin: Origin) -> bool {
        self.queue.is_open_to(origin)
    }

    /// What was begun at once and takes longer goes on in its turn.
    pub(crate) fn suspend(&mut self, origin: Origin, ticket: Ticket, unfinished: Box<Unfinished>) {
        let is_exclusive = unfinished.is_exclusive();
        self.queue.admit(origin);
        self.queue.suspend(origin, ticket, unfinished, is_exclusive);
    }

    /// True if some ask waits.
    pub(crate) fn has_asks(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How many asks wait.
    pub(crate) fn queue_depth(&self) -> usize {
        self.queue.len()
    }

    /// True if there is something to free.
    pub(crate) fn has_drops(&self) -> bool {
        self.keyspace.has_drops() || self.keyspace.observers().watches.has_left()
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
    pub(crate) fn slice(&mut self) -> Option<(Origin, Ticket, Part)> {
        let (origin, ticket, stage) = self.queue.pop()?;
        if stage.is_long() {
            self.note_busy();
        }
        let outcome = match stage {
            Stage::Fresh(ask, at_ms) => self.begin(ask, origin, at_ms),
            Stage::Suspended(unfinished) => self.resume(*unfinished, origin),
        };
        match outcome {
            Ok(part) => {
                self.queue.finish(origin);
                Some((origin, ticket, part))
            }
            Err(unfinished) => {
                let is_exclusive = unfinished.is_exclusive();
                self.queue.suspend(origin, ticket, unfinished, is_exclusive);
                None
            }
        }
    }

    /// Frees what was dropped, for one slice.
    pub(crate) fn free(&mut self) {
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

    fn begin(&mut self, ask: Ask, origin: Origin, at_ms: u64) -> Result<Part, Box<Unfinished>> {
        match ask {
            Ask::Act(act) => self.act(&act.key, act.action, at_ms).map(Part::Reply),
            Ask::Acts(steps) => self.begin_acts(steps, origin, at_ms),
            Ask::Several(ask) => self.begin_several(ask, at_ms, 0),
            Ask::Transfer(transfer) => self.transfer(*transfer, at_ms),
            Ask::Lift(lift) => self.lift(*lift, at_ms),
            Ask::Land(landing) => self.land(*landing, at_ms),
            Ask::RandomKey => Ok(self.random_key(at_ms)),
            Ask::Watch(keys) => self.watch(keys.into_iter(), origin, at_ms),
            Ask::Unwatch => {
                self.keyspace.observers_mut().watches.unwatch(origin);
                Ok(Part::Done)
            }
            Ask::Batch(batch) => self.begin_batch(*batch, origin, at_ms),
            Ask::Set(setting) => self.set(*setting, at_ms),
            Ask::Delete(elements) => self.delete(Delete::new(elements, at_ms)),
            Ask::Vet(key) => {
                self.resolve_live(&key, at_ms);
                Ok(self.refuse_other_type(&key).map_or(Part::Done, Part::Refused))
            }
            Ask::Get(element) => Ok(self.get(&element, at_ms)),
            Ask::Holds(element) => Ok(self.holds(&element, at_ms)),
            Ask::Query { question, ef } => self.query(question, ef, at_ms),
            Ask::Create(proposal) => Ok(self.create(*proposal, at_ms)),
            Ask::Withdraw(name) => {
                self.resolve_live(&name, at_ms);
                Ok(self
                    .refuse_other_type(&name)
                    .map_or_else(|| self.withdraw(&name), Part::Refused))
            }
            Ask::Close(schema) => Ok(self.close(&schema)),
            Ask::Keep(name) => Ok(self.keep(&name)),
            Ask::WithdrawEmpty { schema, attempt } => Ok(self.withdraw_empty(&schema, attempt)),
            Ask::Release { name, generation } => {
                self.keyspace.drop_part(&name, generation, Cause::Dropped);
                Ok(Part::Done)
            }
            Ask::WithdrawBefore(before) => self.withdraw_before(Sweep::new(before)),
            Ask::ReleaseBefore(before) => self.release_before(before, 0),
            Ask::Describe(schema) => Ok(self.describe(&schema)),
            Ask::Sample { schema, random } => Ok(self.sample(&schema, random)),
            Ask::Count => self.count(Counting::new(at_ms)),
            Ask::List => self.list(Listing::new(at_ms)),
            Ask::Scan(ask) => self.scan(Scan::new(*ask, at_ms)),
            Ask::Clients { .. }
            | Ask::Kill { .. }
            | Ask::Stats
            | Ask::ResetStats
            | Ask::ChangeSubscriptions(_)
            | Ask::Publish(_)
            | Ask::Topics(_)
            | Ask::Drain => {
                unreachable!("asks to a worker are answered by the engine")
            }
        }
    }

    fn resume(&mut self, unfinished: Unfinished, origin: Origin) -> Result<Part, Box<Unfinished>> {
        match unfinished {
            Unfinished::Acts(acts) => self.do_acts(*acts, origin),
            Unfinished::Several(several) => self.do_several(several),
            Unfinished::Fields(fields) => self.do_fields(*fields).map(Part::Reply),
            Unfinished::Copy(copying) => self.copy(*copying),
            Unfinished::Rewriting(rewriting) => self.rewrite(rewriting).map(Part::Reply),
            Unfinished::Batch(batch) => self.resume_batch(*batch, origin),
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
    fn watch(&mut self, mut keys: IntoIter<Bytes>, origin: Origin, now_ms: u64) -> Result<Part, Box<Unfinished>> {
        let mut work = 0;
        while work < WATCHED_BYTES_PER_SLICE
            && let Some(key) = keys.next()
        {
            work += WATCHED_KEY_WORK + key.len();
            // What has expired already is not there: that it goes is no change.
            self.resolve_live(&key, now_ms);
            self.keyspace.drop_part_if_over(&key, now_ms);
            self.keyspace.observers_mut().watches.watch(origin, key);
        }
        match keys.as_slice() {
            [] => Ok(Part::Done),
            _ => Err(Box::new(Unfinished::Watch(keys, now_ms))),
        }
    }

    /// A key as it is at that time: what has expired is removed.
    fn resolve_live<'k>(&mut self, key: &'k [u8], now_ms: u64) -> Place<'k> {
        // The other half of the assertion in `router.rs`: the sender used the same function.
        debug_assert_eq!(self.placement.shard_of(key), self.id);
        self.keyspace.resolve_live(key, now_ms)
    }

    /// Lets go of all keys, and of all older collections: at once, or if some were made while the flush was on its way, some
    /// at a time.
    fn release_before(&mut self, before: Generation, from: u32) -> Result<Part, Box<Unfinished>> {
        match self.keyspace.flush(before, from) {
            None => Ok(Part::Done),
            Some(from) => Err(Box::new(Unfinished::Release { before, from })),
        }
    }
}
