//! A query answered by the worker that has it, from leased collections: see `read_lease`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use kora_keyspace::UseNote;
use kora_keyspace::collections::Resolved;
use kora_mesh::{Gauge, WorkerId};
use kora_vector::{SearchBuffers, Statistics, Work};

use super::memory::used_hits;
use crate::leased::{LeasedCollections, ReadLeases};
use crate::mail::{Hits, Question};
use crate::router::ShardId;
use crate::setup::Setup;

/// What a worker needs to read leased collections.
pub(crate) struct SharedReader {
    worker: WorkerId,
    leases: ReadLeases,
    /// The load of each worker, in thousandths of its time.
    loads: Arc<[Gauge]>,
    buffers: RefCell<SearchBuffers>,
    parts_read: Cell<u64>,
}

impl SharedReader {
    pub(crate) fn new(worker: WorkerId, leases: ReadLeases, loads: Arc<[Gauge]>) -> SharedReader {
        SharedReader {
            worker,
            leases,
            loads,
            buffers: RefCell::default(),
            parts_read: Cell::new(0),
        }
    }

    /// Parts of queries that were answered in place since the last reset.
    pub(crate) fn parts_read(&self) -> u64 {
        self.parts_read.get()
    }

    pub(crate) fn forget_parts_read(&self) {
        self.parts_read.set(0);
    }
}

/// A worker's access to leased collections, for one command.
#[derive(Clone, Copy)]
pub(crate) struct SharedReads<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) reader: &'a SharedReader,
    /// When the command was taken from its connection, in milliseconds of Unix time.
    pub(crate) at_ms: u64,
}

impl SharedReads<'_> {
    /// What the shard would answer, which holds one of so many parts. None if the shard has to be asked: there is no lease,
    /// the owner has something to do first, the query takes longer than the work that is left, or its worker is idle and there
    /// are many parts.
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
        let lease = &self.reader.leases[shard.index()];
        let hits = lease.read(|leased| self.query_leased(leased, question, ef, work))??;
        self.reader.parts_read.set(self.reader.parts_read.get() + 1);
        Some(hits)
    }

    /// True if another worker owns it and is idle.
    fn is_idle(&self, shard: ShardId) -> bool {
        let SharedReader { worker, loads, .. } = self.reader;
        let owner = self.setup.placement.worker_of(shard);
        owner != *worker && loads[owner.index()].get() <= IDLE_LOAD_MAX
    }

    fn query_leased(
        &self,
        leased: &LeasedCollections,
        question: &Question,
        ef: usize,
        work: &mut Work,
    ) -> Option<Hits> {
        let with_more = question.with_attributes || question.with_vectors;
        if question.exact || question.filter.is_some() || with_more || leased.due_ms <= self.at_ms {
            return None;
        }
        let schema = &question.schema;
        let newest = self.setup.catalog.at(self.at_ms).generation_of(&schema.name);
        if newest != Some(schema.generation) {
            return Some(Hits::of_other(newest));
        }
        let held = leased.collections.get(&schema.name);
        let held = held.filter(|collection| collection.schema().generation == schema.generation);
        let Some(collection) = held.filter(|collection| collection.live() > 0) else {
            return Some(Hits::nothing_in(schema.generation));
        };
        let parts = self.setup.placement.part_count(schema);
        let note = UseNote {
            rule: self.setup.live.data_memory.rules().uses.clone(),
            hits: used_hits(question.k, parts),
            now_ms: self.at_ms,
        };
        let (bytes_left, buffers) = (
            self.setup.hits_bytes_max(&schema.name),
            &mut self.reader.buffers.borrow_mut(),
        );
        let (resolved, statistics) = collection.query_in_place(
            &question.vector,
            (question.k, question.search_parameters(ef, collection)),
            (bytes_left, note),
            buffers,
            work,
        )?;
        Some(hits_of(resolved, statistics, question, ef, collection.live()))
    }
}

/// The partial reply of a part that holds so many vectors.
pub(super) fn hits_of(resolved: Resolved, statistics: Statistics, question: &Question, ef: usize, live: usize) -> Hits {
    let generation = Some(question.schema.generation);
    let Some(hits) = resolved else {
        return Hits {
            generation,
            too_many: true,
            ..Hits::default()
        };
    };
    // With a radius, fewer than k hits are all vectors within it that the walk saw.
    let all = hits.len() >= live || (question.radius.is_some() && hits.len() < question.k.min(ef));
    Hits {
        generation,
        hits,
        all,
        too_many: false,
        statistics,
        attributes: Vec::new(),
        vectors: Vec::new(),
        matches: live,
        live,
        tested: 0,
    }
}

/// Up to so many parts of a query are read one after the other, even if other workers are idle: on two cores a single client
/// waits as long either way, and its query costs 0.7 of one that asks for the other part (84,000 × 384, ef 20). With more
/// parts, idle workers search at the same moment.
const PARTS_READ_MAX: usize = 2;

/// A worker is idle if its load is at most this, in thousandths of its time.
const IDLE_LOAD_MAX: u64 = 500;
