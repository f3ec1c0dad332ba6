//! The commands on vectors, executed on the shard where the vectors lie.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_keyspace::collections::{Collection, Description, FilteredSearch, ResolveKeys};
use kora_keyspace::{Cause, key_of};
use kora_vector::{Search, Statistics, Step, Work};

use super::shared_reads::hits_of;
use super::{Shard, Unfinished};
use crate::command::{self, Element, ElementList};
use crate::error::ClientError;
use crate::limits::ELEMENTS_PER_SLICE;
use crate::mail::{Hits, PartialReply, Question};

impl Shard {
    /// Deletes, some elements at a time.
    pub(super) fn delete(&mut self, mut delete: Delete) -> Result<PartialReply, Box<Unfinished>> {
        let end = (delete.next + ELEMENTS_PER_SLICE).min(delete.elements.len());
        for place in delete.next..end {
            let (collection, name) = delete.elements.element(place);
            self.assert_owns(collection, name);
            if self.keyspace.has_due_vector(delete.now_ms) {
                self.keyspace.resolve_vector(collection, name, delete.now_ms);
            }
            let is_there = self
                .keyspace
                .remove_vector(collection, name, delete.now_ms, Cause::Command);
            delete.deleted += u64::from(is_there);
            if !is_there {
                let refusal = self.vet_element(collection, name, delete.now_ms);
                delete.refusal = delete.refusal.or(refusal);
            }
        }
        delete.next = end;
        if end == delete.elements.len() {
            Ok(delete
                .refusal
                .map_or(PartialReply::Count(delete.deleted), PartialReply::Refused))
        } else {
            Err(Box::new(Unfinished::Delete(delete)))
        }
    }

    /// The key of some vector of so many that there are.
    pub(super) fn random_vector(&mut self, live: usize, now_ms: u64) -> Option<Bytes> {
        let mut place = ((u128::from(self.draw()) * live as u128) >> 64) as usize;
        let draw = self.draw();
        let there = |part: &&Collection| !part.schema().deadline.is_over(now_ms);
        for collection in self.keyspace.collections().iter().filter(there) {
            if place < collection.live() {
                return collection.random(draw, now_ms);
            }
            place -= collection.live();
        }
        None
    }

    pub(super) fn get(&mut self, element: &Element, at_ms: u64) -> PartialReply {
        let Element { collection, name } = element;
        self.assert_owns(collection, name);
        match self.keyspace.use_vector(collection, name, at_ms) {
            None => match self.vet_element(collection, name, at_ms) {
                Some(refusal) => PartialReply::Refused(refusal),
                None => PartialReply::Vector(None),
            },
            vector => PartialReply::Vector(vector),
        }
    }

    /// Why the key of a vector that is not there can't be one: it holds a string or a hash.
    fn vet_element(&mut self, collection: &[u8], name: &[u8], now_ms: u64) -> Option<ClientError> {
        let key = key_of(collection, name);
        self.resolve_live(&key, now_ms);
        self.refuse_other_type(&key)
    }

    /// Why a key is neither a collection's nor a vector's: it holds a string or a hash. What has expired was removed.
    pub(super) fn refuse_other_type(&self, key: &[u8]) -> Option<ClientError> {
        let place = self.keyspace.place(key, 0);
        self.keyspace.entry(place).map(|_| ClientError::WrongType)
    }

    pub(super) fn holds(&mut self, element: &Element, at_ms: u64) -> PartialReply {
        let Element { collection, name } = element;
        self.assert_owns(collection, name);
        match self.keyspace.holds_vector(collection, name, at_ms) {
            true => PartialReply::Holds(true),
            false => self
                .vet_element(collection, name, at_ms)
                .map_or(PartialReply::Holds(false), PartialReply::Refused),
        }
    }

    /// Begins to search. The answer says which generation it is about; the asker compares.
    pub(super) fn query(
        &mut self,
        question: Arc<Question>,
        ef: usize,
        at_ms: u64,
    ) -> Result<PartialReply, Box<Unfinished>> {
        // What has expired takes no place among the hits: it is deleted before the search begins, in slices if it is much.
        if self.keyspace.has_due_vector(at_ms) {
            self.keyspace.remove_due_vectors(at_ms);
            if self.keyspace.has_due_vector(at_ms) {
                return Err(Box::new(Unfinished::Expiry(question, ef, at_ms)));
            }
        }
        let newest = self.setup.catalog.at(at_ms).generation_of(&question.schema.name);
        if newest != Some(question.schema.generation) {
            return Ok(PartialReply::Hits(Hits::of_other(newest)));
        }
        let part = self.keyspace.part_of_mut(&question.schema);
        let Some(part) = part.filter(|part| part.live() > 0) else {
            return Ok(PartialReply::Hits(Hits::nothing_in(question.schema.generation)));
        };
        let search = Searching::begin(part, &question, ef);
        // It has taken buffers that the part had kept.
        self.keyspace.count_part(&question.schema);
        self.resume_query(Query {
            question,
            search,
            ef,
            resolving: None,
        })
    }

    pub(super) fn resume_query(&mut self, query: Query) -> Result<PartialReply, Box<Unfinished>> {
        let schema = Arc::clone(&query.question.schema);
        let outcome = self.go_on_searching(query);
        self.keyspace.count_part(&schema);
        outcome
    }

    fn go_on_searching(&mut self, mut query: Query) -> Result<PartialReply, Box<Unfinished>> {
        let mut work = Work::new(self.setup.slice_work);
        let bytes_left = self.setup.hits_bytes_max(&query.question.schema.name);
        let Some(collection) = self.keyspace.part_of_mut(&query.question.schema) else {
            return Ok(PartialReply::Hits(Hits::default()));
        };
        let k = query.question.k;
        let mut resolving = match query.resolving.take() {
            Some(resolving) => resolving,
            None => match query.search.resume(collection, (k, bytes_left), &mut work) {
                Step::More => return Err(Box::new(Unfinished::Query(query))),
                Step::Done(resolving) if query.question.with_attributes => resolving.with_attributes(),
                Step::Done(resolving) => resolving,
            },
        };
        let Step::Done(resolved) = collection.resolve_hits(&mut resolving, &mut work) else {
            query.resolving = Some(resolving);
            return Err(Box::new(Unfinished::Query(query)));
        };
        let live = collection.live();
        let matches = query.search.matches().unwrap_or(live);
        let Query {
            question, search, ef, ..
        } = query;
        let statistics = search.statistics();
        // It may be the last for which consolidation waits.
        drop(search);
        self.keyspace.note_search_ended(&question.schema);
        let hits = hits_of(resolved, statistics, &question, ef, matches);
        Ok(PartialReply::Hits(Hits {
            attributes: resolving.take_attributes(),
            live,
            ..hits
        }))
    }

    pub(super) fn describe(&self, schema: &Schema) -> PartialReply {
        let description = self
            .keyspace
            .part_of(schema)
            .map_or_else(Description::default, |collection| collection.describe());
        PartialReply::Description(description)
    }

    /// Some vector, perturbed by a tenth of its length: so near that its neighbours are about those of a stored vector, and
    /// so far that it is none.
    pub(super) fn sample(&self, schema: &Schema, random: u64) -> PartialReply {
        let vector = self
            .keyspace
            .part_of(schema)
            .and_then(|collection| collection.sample(random));
        PartialReply::Vector(vector.map(|vector| perturbed(vector, schema, random)))
    }

    pub(super) fn assert_owns(&self, collection: &[u8], name: &[u8]) {
        // The other half of the assertion in `router.rs`: who routed this here used the same function.
        assert_eq!(self.placement.shard_of_element(collection, name), self.id);
    }
}

/// A search of a part, among all or among those that pass a filter.
enum Searching {
    All(Search),
    Filtered(FilteredSearch),
}

impl Searching {
    fn begin(part: &mut Collection, question: &Question, ef: usize) -> Searching {
        match &question.filter {
            Some(filter) => {
                let parameters = question.search_parameters(ef, part);
                Searching::Filtered(part.begin_filtered(&question.vector, parameters, filter))
            }
            None if question.exact => Searching::All(part.begin_exact(&question.vector, question.k)),
            None => {
                let parameters = question.search_parameters(ef, part);
                Searching::All(part.begin_search(&question.vector, parameters))
            }
        }
    }

    fn resume(&mut self, part: &mut Collection, (k, bytes_left): (usize, usize), work: &mut Work) -> Step<ResolveKeys> {
        match self {
            Searching::All(search) => part.resume_search(search, k, bytes_left, work),
            Searching::Filtered(search) => part.resume_filtered(search, k, bytes_left, work),
        }
    }

    /// How many vectors pass, if there is a filter.
    fn matches(&self) -> Option<usize> {
        match self {
            Searching::All(_) => None,
            Searching::Filtered(search) => Some(search.matches()),
        }
    }

    fn statistics(&self) -> Statistics {
        match self {
            Searching::All(search) => search.statistics(),
            Searching::Filtered(search) => search.statistics(),
        }
    }
}

fn perturbed(vector: Box<[f32]>, schema: &Schema, mut random: u64) -> Box<[f32]> {
    let square: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
    // Uniform in ±1, a component has a variance of a third.
    let step = PERTURBATION * (3.0 * square / vector.len() as f64).sqrt();
    let moved: Box<[f32]> = vector
        .iter()
        .map(|component| {
            random = random
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let unit = (random >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            let moved = f64::from(*component) + step * unit;
            moved.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
        })
        .collect();
    // A vector of next to no length may lose the rest of it.
    match command::vet(&moved, schema.graph.metric) {
        Ok(()) => moved,
        Err(_) => vector,
    }
}

/// How far a sample is from the vector that it was, in lengths of that.
const PERTURBATION: f64 = 0.1;

/// A VECQUERY between two slices.
pub(crate) struct Query {
    question: Arc<Question>,
    search: Searching,
    ef: usize,
    /// What it has found, from then on.
    resolving: Option<ResolveKeys>,
}

/// A VECDEL between two slices.
pub(crate) struct Delete {
    elements: ElementList,
    next: usize,
    deleted: u64,
    /// What is answered in the end if a key held a string or a hash.
    refusal: Option<ClientError>,
    now_ms: u64,
}

impl Delete {
    pub(crate) fn new(elements: ElementList, now_ms: u64) -> Delete {
        Delete {
            elements,
            next: 0,
            deleted: 0,
            refusal: None,
            now_ms,
        }
    }
}
