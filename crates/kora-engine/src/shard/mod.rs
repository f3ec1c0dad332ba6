//! A shard: everything that lives in its slots, and the execution of what is asked of it.
//!
//! An ask that takes longer than a slice is suspended and goes on when the shard's turn comes again; meanwhile others
//! are served. Only what the same client asked of the same shard after it waits, so that a client's commands take
//! effect in the order it sent them.

mod acts;
mod batch;
mod collection;
mod element_table;
mod elements;
mod few_elements;
mod fields;
mod graveyard;
mod hashes;
mod held;
mod key_table;
mod keys;
mod lending;
mod mortals;
mod naming;
mod ownership;
mod queue;
mod reading;
mod remains;
mod scan;
mod setting;
mod several;
mod slot_names;
mod strings;
mod ties;
mod transfer;
mod upkeep;
mod vectors;
mod watches;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use kora_vector::Work;

use self::acts::Acts;
use self::batch::Executing;
use self::collection::Collection;
use self::fields::Fields;
use self::graveyard::Graveyard;
use self::held::Held;
use self::key_table::KeyTable;
use self::lending::Collections;
pub(crate) use self::lending::Shelves;
use self::mortals::{Counting, Mortals};
use self::ownership::{Listing, Sweep};
pub(crate) use self::queue::Origin;
use self::queue::{Queue, Stage};
pub(crate) use self::reading::{Reader, Reading};
use self::remains::Remains;
use self::scan::Scan;
use self::setting::Insert;
use self::several::Several;
use self::transfer::Copying;
pub(crate) use self::transfer::{Cargo, CarriedVector};
use self::upkeep::{CHORE_PART, Upkeep};
use self::vectors::{Delete, Query};
use self::watches::Watches;
use crate::catalog::{Generation, MadeBy, Schema};
use crate::limits::KEYS_PER_SLICE;
use crate::mail::{Ask, Part, Question, Ticket};
use crate::router::{Placement, ShardId};
use crate::setup::Setup;

/// One shard. Owned by one worker, and never leaves its thread, but for the collections while they are lent.
pub(crate) struct Shard {
    id: ShardId,
    placement: Placement,
    setup: Arc<Setup>,
    /// Invariant: at most one generation of a name, the newest that this shard has seen.
    collections: Collections,
    /// Invariant: where a string or a hash is, no vector is of the same key, nor a collection of that name.
    keys: KeyTable,
    /// Collections that expire.
    mortals: Mortals,
    watches: Watches,
    /// What random choices come from.
    draws: u64,
    /// Keys that have expired and been reclaimed.
    expired: u64,
    /// Collections made by a first VECSET that may have no vector left. Bounded by the collections there are.
    emptied: BTreeMap<Generation, Arc<Schema>>,
    /// Attempts that were ever made to let one of the collections go whose names are owned here.
    attempts: u64,
    /// The newest generation ever held.
    newest_held: Option<Generation>,
    /// Vectors in all collections held.
    live: usize,
    graveyard: Graveyard,
    upkeep: Upkeep,
    /// Some vector was set or deleted, or some graph was grown, since that was forgotten.
    has_changed: bool,
    queue: Queue,
    /// A shard stays with its worker's thread: nothing in it is synchronised but what is lent (see `lending`).
    _not_send: std::marker::PhantomData<Rc<()>>,
}

/// What a shard counts of its strings and hashes.
pub(crate) struct KeyCounts {
    /// Those that are there, with those that have expired and are not reclaimed yet.
    pub(crate) keys: u64,
    /// Those that expire.
    pub(crate) expiring: u64,
    /// Those that have expired and been reclaimed.
    pub(crate) expired: u64,
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
    Batch(Box<Executing>),
}

impl Unfinished {
    /// True if nothing else may happen on the shard before it is done.
    fn is_exclusive(&self) -> bool {
        match self {
            Unfinished::Several(_) | Unfinished::Fields(_) | Unfinished::Copy(_) | Unfinished::Batch(_) => true,
            Unfinished::Insert(insert) => insert.is_conditional(),
            Unfinished::Acts(acts) => acts.is_exclusive(),
            _ => false,
        }
    }
}

impl Shard {
    pub(crate) fn new(id: ShardId, placement: Placement, setup: Arc<Setup>, shelves: Shelves) -> Shard {
        let hash_seed = setup.catalog.hash_seed();
        Shard {
            id,
            placement,
            setup,
            keys: KeyTable::new(hash_seed),
            mortals: Mortals::default(),
            watches: Watches::default(),
            draws: hash_seed ^ u64::from(id.0),
            expired: 0,
            collections: Collections::new(Held::new(hash_seed), id, shelves),
            emptied: BTreeMap::new(),
            attempts: 0,
            newest_held: None,
            live: 0,
            graveyard: Graveyard::default(),
            upkeep: Upkeep::new(),
            has_changed: false,
            queue: Queue::default(),
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
    pub(crate) fn has_remains(&self) -> bool {
        !self.graveyard.is_empty()
    }

    /// True if some collection may have lost its last vector.
    pub(crate) fn has_emptied(&self) -> bool {
        !self.emptied.is_empty()
    }

    /// A collection that may have lost its last vector.
    pub(crate) fn take_emptied(&mut self) -> Option<Arc<Schema>> {
        self.emptied.pop_first().map(|(_, schema)| schema)
    }

    /// Notes that a collection may have lost its last vector, if it goes with that.
    pub(crate) fn note_emptied(&mut self, schema: &Arc<Schema>) {
        if schema.made_by == MadeBy::Vecset {
            self.emptied.insert(schema.generation, Arc::clone(schema));
        }
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
        let mut work = Work::new(self.setup.slice_work.div_ceil(CHORE_PART));
        self.graveyard.dismantle(&mut self.keys, &mut work);
    }

    /// Vectors that are there.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// What there is beside vectors.
    pub(crate) fn key_counts(&self) -> KeyCounts {
        KeyCounts {
            keys: self.keys.len() as u64,
            expiring: self.keys.expiring() as u64,
            expired: self.expired,
        }
    }

    /// True if a key or a collection has expired that nobody has asked for, and it may be reclaimed now.
    pub(crate) fn has_due(&self, now_ms: u64) -> bool {
        (self.keys.has_due(now_ms) || self.mortals.has_due(now_ms)) && !self.queue.is_taken()
    }

    /// When the next key or collection expires, in milliseconds of Unix time.
    pub(crate) fn next_expiry_ms(&self) -> Option<u64> {
        let (key_ms, collection_ms) = (self.keys.next_expiry_ms(), self.mortals.next_end_ms());
        key_ms.into_iter().chain(collection_ms).min()
    }

    /// Checks everything that must hold between two asks. For tests and the simulation.
    ///
    /// # Panics
    /// If something does not hold.
    pub(crate) fn assert_sound(&self) {
        self.collections.inspect(|held| {
            held.iter().for_each(Collection::assert_sound);
            assert_eq!(self.live, held.iter().map(Collection::live).sum::<usize>());
        });
        self.queue.assert_sound();
        self.keys.assert_sound();
        if self.graveyard.is_empty() {
            self.collections.inspect(|held| {
                let is_held = |generation| held.iter().any(|one| one.schema().generation == generation);
                assert!(
                    self.keys.generations().all(is_held),
                    "what a dropped collection leaves among the keys goes with it"
                );
            });
        }
        self.assert_mortals_sound();
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
                self.watches.unwatch(origin);
                Ok(Part::Done)
            }
            Ask::Batch(batch) => self.begin_batch(*batch, origin, at_ms),
            Ask::Set(setting) => self.set(*setting, at_ms),
            Ask::Delete(elements) => self.delete(Delete::new(elements, at_ms)),
            Ask::Get(element) => Ok(self.get(&element, at_ms)),
            Ask::Holds(element) => Ok(self.holds(&element, at_ms)),
            Ask::Query { question, ef } => self.query(question, ef, at_ms),
            Ask::Create(proposal) => Ok(self.create(*proposal, at_ms)),
            Ask::Withdraw(name) => Ok(self.withdraw(&name)),
            Ask::Close(schema) => Ok(self.close(&schema)),
            Ask::Keep(name) => Ok(self.keep(&name)),
            Ask::WithdrawEmpty { schema, attempt } => Ok(self.withdraw_empty(&schema, attempt)),
            Ask::Release { name, generation } => Ok(self.release(&name, generation)),
            Ask::WithdrawBefore(before) => self.withdraw_before(Sweep::new(before)),
            Ask::ReleaseBefore(before) => self.release_before(before, 0),
            Ask::Describe(schema) => Ok(self.describe(&schema)),
            Ask::Sample { schema, random } => Ok(self.sample(&schema, random)),
            Ask::Count => self.count(Counting::new(at_ms)),
            Ask::List => self.list(Listing::new(at_ms)),
            Ask::Scan(ask) => self.scan(Scan::new(*ask, at_ms)),
            Ask::Clients { .. } | Ask::Kill { .. } | Ask::Stats | Ask::ResetStats | Ask::Drain => {
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
        for key in keys.by_ref().take(KEYS_PER_SLICE) {
            // What has expired already is not there: that it goes is no change.
            self.place(&key, now_ms);
            self.let_go_if_over(&key, now_ms);
            self.watches.watch(origin, key);
        }
        match keys.as_slice() {
            [] => Ok(Part::Done),
            _ => Err(Box::new(Unfinished::Watch(keys, now_ms))),
        }
    }

    /// Lets go of all keys at once, and whoever watches one of them hears of it.
    fn release_keys(&mut self) {
        for key in self.watches.keys() {
            if self.keys.find(self.keys.hash(&key), &key).is_some() {
                self.watches.note(&key);
            }
        }
        self.graveyard.bury_keys(self.keys.renew());
    }

    /// Lets go of a withdrawn collection at once; it is freed in slices.
    fn release(&mut self, name: &Bytes, generation: Generation) -> Part {
        if self
            .collections
            .get(name)
            .is_some_and(|collection| collection.schema().generation <= generation)
        {
            self.detach(name);
        }
        Part::Done
    }

    /// Lets go of all keys, and of all older collections: at once, or if some were made while the flush was on its way, some
    /// at a time.
    fn release_before(&mut self, before: Generation, from: u32) -> Result<Part, Box<Unfinished>> {
        if from == 0 {
            self.release_keys();
        }
        if self.newest_held < Some(before) {
            if !self.watches.is_empty() {
                let names = self
                    .collections
                    .iter()
                    .map(|collection| collection.schema().name.clone());
                let names: Vec<Bytes> = names.collect();
                names.iter().for_each(|name| self.note_vectors(name));
            }
            self.live = 0;
            self.graveyard.bury_all(self.collections.clear());
            return Ok(Part::Done);
        }
        let end = self.collections.places().min(from.saturating_add(PLACES_PER_SLICE));
        for place in from..end {
            let old = self.collections.at(place);
            let old = old.filter(|collection| collection.schema().generation < before);
            if let Some(name) = old.map(|collection| collection.schema().name.clone()) {
                self.detach(&name);
            }
        }
        if end == self.collections.places() {
            return Ok(Part::Done);
        }
        Err(Box::new(Unfinished::Release { before, from: end }))
    }

    /// Whoever watches the key of one of a collection's vectors hears that they go.
    fn note_vectors(&mut self, name: &[u8]) {
        let Some(collection) = self.collections.get(name).filter(|_| !self.watches.is_empty()) else {
            return;
        };
        for key in self.watches.keys() {
            let element = key.strip_prefix(name).and_then(|rest| rest.strip_prefix(b":"));
            if element.is_some_and(|element| collection.holds(element)) {
                self.watches.note(&key);
            }
        }
    }

    fn detach(&mut self, name: &Bytes) {
        self.note_vectors(name);
        if let Some(collection) = self.collections.remove(name) {
            self.live -= collection.live();
            self.graveyard.bury(collection.into_remains());
        }
    }

    fn graveyard_take(&mut self, remains: Option<Remains>) {
        if let Some(remains) = remains {
            self.graveyard.bury(remains);
        }
    }
}

/// Places of collections looked at in one slice of FLUSHALL or DBSIZE.
const PLACES_PER_SLICE: u32 = 512;
