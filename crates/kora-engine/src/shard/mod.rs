//! A shard: everything that lives in its slots, and the execution of what is asked of it.
//!
//! An ask that takes longer than a slice is suspended and goes on when the shard's turn comes again; meanwhile others
//! are served. Only what the same client asked of the same shard after it waits, so that a client's commands take
//! effect in the order it sent them.

mod collection;
mod element_table;
mod graveyard;
mod held;
mod naming;
mod ownership;
mod queue;
mod scan;
mod slot_names;
mod ties;
mod upkeep;
mod vectors;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_vector::Work;

use self::collection::{Collection, Remains};
use self::graveyard::Graveyard;
use self::held::Held;
use self::ownership::{Listing, Sweep};
pub(crate) use self::queue::Origin;
use self::queue::{Queue, Stage};
use self::scan::Scan;
use self::upkeep::Upkeep;
use self::vectors::{Delete, Insert, Query};
use crate::catalog::Generation;
use crate::limits::SLICE_WORK;
use crate::mail::{Ask, Part, Ticket};
use crate::router::{Placement, ShardId};
use crate::setup::Setup;

/// One shard. Owned by one worker; never leaves its thread.
pub(crate) struct Shard {
    id: ShardId,
    placement: Placement,
    setup: Arc<Setup>,
    /// Invariant: at most one generation of a name, the newest that this shard has seen.
    collections: Held,
    /// The newest generation ever held.
    newest_held: Option<Generation>,
    /// Vectors in all collections held.
    live: usize,
    graveyard: Graveyard,
    upkeep: Upkeep,
    queue: Queue,
    /// A shard stays with its worker's thread: nothing in it is synchronised.
    _not_send: std::marker::PhantomData<Rc<()>>,
}

/// An ask between two slices.
pub(crate) enum Unfinished {
    Insert(Insert),
    Delete(Delete),
    Query(Query),
    List(Listing),
    Sweep(Sweep),
    Release { before: Generation, from: u32 },
    Scan(Scan),
}

impl Shard {
    pub(crate) fn new(id: ShardId, placement: Placement, setup: Arc<Setup>) -> Shard {
        Shard {
            id,
            placement,
            setup,
            collections: Held::default(),
            newest_held: None,
            live: 0,
            graveyard: Graveyard::default(),
            upkeep: Upkeep::new(),
            queue: Queue::default(),
            _not_send: std::marker::PhantomData,
        }
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    /// Takes an ask in; it is executed in [`Shard::slice`] when its client's turn comes.
    pub(crate) fn enqueue(&mut self, origin: Origin, ticket: Ticket, ask: Ask) {
        self.queue.push(origin, ticket, ask);
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

    /// Executes the next ask, for one slice; the answer, if that finished it.
    pub(crate) fn slice(&mut self) -> Option<(Origin, Ticket, Part)> {
        let (origin, ticket, stage) = self.queue.pop()?;
        let outcome = match stage {
            Stage::Fresh(ask) => self.begin(ask),
            Stage::Suspended(unfinished) => self.resume(*unfinished),
        };
        match outcome {
            Ok(part) => {
                self.queue.finish(origin);
                Some((origin, ticket, part))
            }
            Err(unfinished) => {
                self.queue.suspend(origin, ticket, unfinished);
                None
            }
        }
    }

    /// Frees what was dropped, for one slice.
    pub(crate) fn free(&mut self) {
        self.graveyard.dismantle(&mut Work::new(SLICE_WORK));
    }

    /// Vectors that are there.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Checks everything that must hold between two asks. For tests and the simulation.
    ///
    /// # Panics
    /// If something does not hold.
    pub(crate) fn assert_sound(&self) {
        self.collections.iter().for_each(Collection::assert_sound);
        assert_eq!(self.live, self.collections.iter().map(Collection::live).sum::<usize>());
        self.queue.assert_sound();
    }

    fn begin(&mut self, ask: Ask) -> Result<Part, Box<Unfinished>> {
        match ask {
            Ask::Set(setting) => self.set(*setting),
            Ask::Delete(elements) => self.delete(Delete::new(elements)),
            Ask::Get(element) => Ok(self.get(&element)),
            Ask::Holds(element) => Ok(self.holds(&element)),
            Ask::Query { question, ef } => self.query(question, ef),
            Ask::Create(proposal) => Ok(self.create(*proposal)),
            Ask::Withdraw(name) => Ok(self.withdraw(&name)),
            Ask::Release { name, generation } => Ok(self.release(&name, generation)),
            Ask::WithdrawBefore(before) => self.withdraw_before(Sweep::new(before)),
            Ask::ReleaseBefore(before) => self.release_before(before, 0),
            Ask::Describe(schema) => Ok(self.describe(&schema)),
            Ask::Count => Ok(Part::Count(self.live as u64)),
            Ask::List => self.list(Listing::default()),
            Ask::Scan(ask) => self.scan(Scan::new(*ask)),
            Ask::Clients { .. } | Ask::Kill { .. } | Ask::Stats => {
                unreachable!("asks to a worker are answered by the engine")
            }
        }
    }

    fn resume(&mut self, unfinished: Unfinished) -> Result<Part, Box<Unfinished>> {
        match unfinished {
            Unfinished::Insert(insert) => self.resume_set(insert),
            Unfinished::Delete(delete) => self.delete(delete),
            Unfinished::Query(query) => self.resume_query(query),
            Unfinished::List(listing) => self.list(listing),
            Unfinished::Release { before, from } => self.release_before(before, from),
            Unfinished::Sweep(sweep) => self.withdraw_before(sweep),
            Unfinished::Scan(scan) => self.scan(scan),
        }
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

    /// Lets go of all older collections: at once, or if some were made while the flush was on its way, some at a time.
    fn release_before(&mut self, before: Generation, from: u32) -> Result<Part, Box<Unfinished>> {
        if self.newest_held < Some(before) {
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

    fn detach(&mut self, name: &Bytes) {
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

/// Places of collections looked at in one slice of FLUSHALL.
const PLACES_PER_SLICE: u32 = 512;
