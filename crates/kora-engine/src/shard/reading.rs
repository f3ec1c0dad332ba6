//! A query answered by whoever has it, from collections that their owner has lent: see `lending`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use kora_keyspace::collections::Resolved;
use kora_mesh::{Gauge, WorkerId};
use kora_vector::{Desk, Statistics, Work};

use super::lending::{Lent, Shelves};
use crate::mail::{Hits, Question};
use crate::router::ShardId;
use crate::setup::Setup;

/// What a worker needs to read what others have lent.
pub(crate) struct Reader {
    worker: WorkerId,
    shelves: Shelves,
    /// How busy all workers are, in thousandths of their time.
    loads: Arc<[Gauge]>,
    desk: RefCell<Desk>,
    parts_read: Cell<u64>,
}

impl Reader {
    pub(crate) fn new(worker: WorkerId, shelves: Shelves, loads: Arc<[Gauge]>) -> Reader {
        Reader {
            worker,
            shelves,
            loads,
            desk: RefCell::default(),
            parts_read: Cell::new(0),
        }
    }

    /// Parts of queries that were answered in place since that was forgotten.
    pub(crate) fn parts_read(&self) -> u64 {
        self.parts_read.get()
    }

    pub(crate) fn forget_parts_read(&self) {
        self.parts_read.set(0);
    }
}

/// A worker's way to read in place, for one command.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) reader: &'a Reader,
    /// When the command was taken from its connection, in milliseconds of Unix time.
    pub(crate) at_ms: u64,
}

impl Reading<'_> {
    /// What a shard would answer that holds one of so many parts. None if it has to be asked: its collections are not lent,
    /// something has to be done first, the query takes longer than the work that is left, or its worker has time and there are
    /// many parts.
    pub(crate) fn query(
        &self,
        shard: ShardId,
        parts: usize,
        question: &Question,
        ef: usize,
        work: &mut Work,
    ) -> Option<Hits> {
        if parts > PARTS_READ_MAX && self.is_idle(shard) {
            return None;
        }
        let shelf = &self.reader.shelves[shard.index()];
        let hits = shelf.read(|lent| self.query_lent(lent, question, ef, work))??;
        self.reader.parts_read.set(self.reader.parts_read.get() + 1);
        Some(hits)
    }

    /// True if another worker owns it that has time.
    fn is_idle(&self, shard: ShardId) -> bool {
        let Reader { worker, loads, .. } = self.reader;
        let owner = self.setup.placement.worker_of(shard);
        owner != *worker && loads[owner.index()].get() <= IDLE_LOAD_MAX
    }

    fn query_lent(&self, lent: &Lent, question: &Question, ef: usize, work: &mut Work) -> Option<Hits> {
        if question.exact || question.filter.is_some() || question.with_attributes || lent.due_ms <= self.at_ms {
            return None;
        }
        let schema = &question.schema;
        let newest = self.setup.catalog.at(self.at_ms).generation_of(&schema.name);
        if newest != Some(schema.generation) {
            return Some(Hits::of_other(newest));
        }
        let held = lent.collections.get(&schema.name);
        let held = held.filter(|collection| collection.schema().generation == schema.generation);
        let Some(collection) = held.filter(|collection| collection.live() > 0) else {
            return Some(Hits::nothing_in(schema.generation));
        };
        let (room, desk) = (
            self.setup.hits_bytes_max(&schema.name),
            &mut self.reader.desk.borrow_mut(),
        );
        let (resolved, statistics) =
            collection.query_in_place(&question.vector, (question.k, question.aim(ef)), room, desk, work)?;
        Some(hits_of(resolved, statistics, question, ef, collection.live()))
    }
}

/// The answer of a part that holds so many vectors.
pub(super) fn hits_of(resolved: Resolved, statistics: Statistics, question: &Question, ef: usize, live: usize) -> Hits {
    let generation = Some(question.schema.generation);
    let Some(hits) = resolved else {
        return Hits {
            generation,
            too_many: true,
            ..Hits::default()
        };
    };
    // Within a radius, fewer than were sought are all that the walk saw before it came to farther ones.
    let all = hits.len() >= live || (question.radius.is_some() && hits.len() < question.k.min(ef));
    Hits {
        generation,
        hits,
        all,
        too_many: false,
        statistics,
        attributes: Vec::new(),
        matches: live,
        live,
    }
}

/// So many parts of a query are read one after the other whoever has time: on two cores one client that asks alone waits as
/// long either way, and its query costs 0.7 of what it costs to ask for the other part (84,000 × 384, ef 20). With more, those
/// that have time search at the same moment.
const PARTS_READ_MAX: usize = 2;

/// Whoever works for no more of its time than this has time, in thousandths.
const IDLE_LOAD_MAX: u64 = 500;
