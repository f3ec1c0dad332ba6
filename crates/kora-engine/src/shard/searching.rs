//! VECQUERY on one shard: the nearest vectors of its part of a collection.

use std::sync::Arc;

use kora_keyspace::collections::{Collection, FilteredSearch, ResolveKeys};
use kora_vector::limits::EF_MAX;
use kora_vector::{Search, Statistics, Step, Work};

use super::Shard;
use super::shared_reads::hits_of;
use super::task::Task;
use crate::mail::{Hits, Question};

/// A query between two slices. The answer says which generation it is about; the asker compares.
pub(super) struct Query {
    question: Arc<Question>,
    ef: usize,
    at_ms: u64,
    /// Once it has begun: then what has expired is deleted.
    search: Option<Searching>,
    /// What it has found, from then on.
    resolving: Option<ResolveKeys>,
}

impl Query {
    pub(super) fn new(question: Arc<Question>, ef: usize, at_ms: u64) -> Query {
        Query {
            question,
            ef,
            at_ms,
            search: None,
            resolving: None,
        }
    }

    /// Begins to search; or what is found if there is nothing to be searched.
    fn begin(&self, shard: &mut Shard) -> Result<Searching, Box<Hits>> {
        let part = part_to_search(shard, &self.question, self.at_ms)?;
        Ok(Searching::begin(part, &self.question, self.ef))
    }
}

/// The part that a question is about; or what is found if there is nothing to be searched.
pub(super) fn part_to_search<'s>(
    shard: &'s mut Shard,
    question: &Question,
    at_ms: u64,
) -> Result<&'s mut Collection, Box<Hits>> {
    let (schema, generation) = (&question.schema, question.schema.generation);
    let newest = shard.setup.catalog.at(at_ms).generation_of(&schema.name);
    if newest != Some(generation) {
        return Err(Box::new(Hits::of_other(newest)));
    }
    let part = shard.keyspace.part_of_mut(schema).filter(|part| part.live() > 0);
    part.ok_or_else(|| Box::new(Hits::nothing_in(generation)))
}

impl Query {
    pub(super) fn go_on(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Hits> {
        if self.search.is_none() {
            if !is_rid_of_due(shard, self.at_ms) {
                return Step::More;
            }
            match self.begin(shard) {
                Ok(search) => self.search = Some(search),
                Err(hits) => return Step::Done(*hits),
            }
        }
        let question = &self.question;
        let note = shard.use_note(&question.schema, question.k, self.at_ms);
        let bytes_left = shard.setup.hits_bytes_max(&question.schema.name);
        let (Some(collection), Some(search)) = (shard.keyspace.part_of_mut(&question.schema), &mut self.search) else {
            return Step::Done(Hits::default());
        };
        let resolving = match &mut self.resolving {
            Some(resolving) => resolving,
            resolving @ None => match search.resume(collection, (question.k, bytes_left), work) {
                Step::Done(found) => resolving.insert(with_what_is_wanted(found, question).noting(note)),
                Step::More => return Step::More,
            },
        };
        let Step::Done(resolved) = collection.resolve_hits(resolving, work) else {
            return Step::More;
        };
        let live = collection.live();
        let (matches, tested) = search.matches().unwrap_or((live, 0));
        let (attributes, vectors) = (resolving.take_attributes(), resolving.take_vectors());
        let statistics = search.statistics();
        // It may be the last for which consolidation waits.
        self.search = None;
        shard.keyspace.note_search_ended(&question.schema);
        let hits = hits_of(resolved, statistics, question, self.ef, matches);
        Step::Done(Hits {
            attributes,
            vectors,
            live,
            matches,
            tested,
            ..hits
        })
    }
}

impl Task for Query {
    type Answer = Hits;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Hits> {
        let step = self.go_on(shard, work);
        // A search takes buffers that the part keeps, and gives them back.
        shard.keyspace.count_part(&self.question.schema);
        step
    }

    fn keeps_busy(&self) -> bool {
        // To delete what has expired is a change.
        self.search.is_none()
    }
}

/// Deletes vectors that have expired, so that they take no place among the hits; true if none is left.
pub(super) fn is_rid_of_due(shard: &mut Shard, at_ms: u64) -> bool {
    if shard.keyspace.has_due_vector(at_ms) {
        shard.keyspace.remove_due_vectors(at_ms);
    }
    !shard.keyspace.has_due_vector(at_ms)
}

/// Finds attributes and components, too, if they are wanted.
pub(super) fn with_what_is_wanted(resolving: ResolveKeys, question: &Question) -> ResolveKeys {
    let resolving = match question.with_attributes {
        true => resolving.with_attributes(),
        false => resolving,
    };
    match question.with_vectors {
        true => resolving.with_vectors(),
        false => resolving,
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
                // With the largest ef all that pass are measured.
                let ef = if question.exact { EF_MAX } else { ef };
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

    /// How many vectors pass, if there is a filter, and how many were tested for that.
    fn matches(&self) -> Option<(usize, usize)> {
        match self {
            Searching::All(_) => None,
            Searching::Filtered(search) => Some((search.matches(), search.tested())),
        }
    }

    fn statistics(&self) -> Statistics {
        match self {
            Searching::All(search) => search.statistics(),
            Searching::Filtered(search) => search.statistics(),
        }
    }
}
