//! VECMQUERY on one shard: the nearest vectors of its part of a collection, for several questions together.
//!
//! A few searches go on at the same time, a step of each in turn: while one waits for memory, others compute.

use std::collections::VecDeque;
use std::sync::Arc;

use kora_keyspace::collections::ResolveKeys;
use kora_vector::{Finished, SearchGroup, Step, Work};

use super::Shard;
use super::searching::{Query, is_rid_of_due, part_to_search, with_what_is_wanted};
use super::shared_reads::hits_of;
use super::task::Task;
use crate::mail::{Hits, Question};

/// Several questions about one generation of a collection, between two slices.
pub(super) struct QueryMany {
    /// Each with its ef; at least one.
    questions: Vec<(Arc<Question>, usize)>,
    at_ms: u64,
    /// Once it has begun: bytes that the hits of all may still take.
    bytes_left: Option<usize>,
    /// The first question that has not begun.
    next: usize,
    /// Searches under way, by the places of their questions. Invariant: paused between two slices.
    group: SearchGroup,
    /// How many of them are worth to be under way.
    together: usize,
    /// A question with a filter, or one that measures every vector: those go one after the other.
    alone: Option<(usize, Query)>,
    /// Searches whose keys are found next, and those of the first one so far.
    finished: VecDeque<Finished>,
    resolving: Option<ResolveKeys>,
    /// By the places of the questions.
    found: Vec<Hits>,
}

impl QueryMany {
    pub(super) fn new(questions: Vec<(Arc<Question>, usize)>, at_ms: u64) -> QueryMany {
        let found = questions.iter().map(|_| Hits::default()).collect();
        QueryMany {
            questions,
            at_ms,
            bytes_left: None,
            next: 0,
            group: SearchGroup::default(),
            together: 1,
            alone: None,
            finished: VecDeque::new(),
            resolving: None,
            found,
        }
    }

    fn go_on(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Vec<Hits>> {
        if self.bytes_left.is_none() {
            if !is_rid_of_due(shard, self.at_ms) {
                return Step::More;
            }
            let name = &self.questions[0].0.schema.name;
            self.bytes_left = Some(shard.setup.hits_bytes_max(name));
        }
        loop {
            if self.resolve(shard, work) == Step::More || self.go_on_alone(shard, work) == Step::More {
                return Step::More;
            }
            self.begin(shard, work);
            if self.group.is_empty() {
                match self.alone.is_some() {
                    true => continue,
                    false => return Step::Done(std::mem::take(&mut self.found)),
                }
            }
            let Some(part) = shard.keyspace.part_of_mut(&self.questions[0].0.schema) else {
                return Step::Done(self.overtaken());
            };
            match part.resume_group(&mut self.group, work) {
                Step::Done(finished) => self.finished.extend(finished),
                Step::More => return Step::More,
            }
        }
    }

    /// Begins as many searches as are worth to be under way.
    fn begin(&mut self, shard: &mut Shard, work: &mut Work) {
        while self.alone.is_none() && self.group.len() < self.together.max(1) && self.next < self.questions.len() {
            let place = self.next;
            let (question, ef) = &self.questions[place];
            self.next += 1;
            if question.exact || question.filter.is_some() {
                self.alone = Some((place, Query::new(Arc::clone(question), *ef, self.at_ms)));
                return;
            }
            match part_to_search(shard, question, self.at_ms) {
                Ok(part) => {
                    self.together = part.searches_together();
                    // To read a question takes as long as to read a stored vector.
                    work.spend(question.vector.len() as u64);
                    let parameters = question.search_parameters(*ef, part);
                    self.group.push(place, part.begin_search(&question.vector, parameters));
                }
                Err(hits) => self.found[place] = *hits,
            }
        }
    }

    /// Goes on with the question that goes alone, if there is one.
    fn go_on_alone(&mut self, shard: &mut Shard, work: &mut Work) -> Step<()> {
        let Some((place, query)) = &mut self.alone else {
            return Step::Done(());
        };
        let Step::Done(hits) = query.go_on(shard, work) else {
            return Step::More;
        };
        let place = *place;
        self.alone = None;
        self.take(place, hits);
        match work.is_spent() {
            true => Step::More,
            false => Step::Done(()),
        }
    }

    /// Finds the keys of what was found.
    fn resolve(&mut self, shard: &mut Shard, work: &mut Work) -> Step<()> {
        while let Some(finished) = self.finished.front_mut() {
            let (question, ef) = &self.questions[finished.number];
            let resolving = self.resolving.get_or_insert_with(|| {
                let hits = std::mem::take(&mut finished.hits);
                let keys = ResolveKeys::new(hits, question.k, self.bytes_left.unwrap_or(0));
                let note = shard.use_note(&question.schema, question.k, self.at_ms);
                with_what_is_wanted(keys, question).noting(note)
            });
            let Some(part) = shard.keyspace.part_of_mut(&question.schema) else {
                // What is left of the group finds nothing, too.
                self.finished.clear();
                return Step::Done(());
            };
            let Step::Done(resolved) = part.resolve_hits(resolving, work) else {
                return Step::More;
            };
            let (live, place) = (part.live(), finished.number);
            let hits = hits_of(resolved, finished.search.statistics(), question, *ef, live);
            let hits = Hits {
                attributes: resolving.take_attributes(),
                vectors: resolving.take_vectors(),
                ..hits
            };
            self.resolving = None;
            self.finished.pop_front();
            self.take(place, hits);
        }
        Step::Done(())
    }

    /// Takes what a question has found, as long as there is memory for it.
    fn take(&mut self, place: usize, hits: Hits) {
        let left = self.bytes_left.and_then(|left| left.checked_sub(hits.bytes()));
        self.found[place] = match left {
            Some(_) => hits,
            None => Hits {
                generation: hits.generation,
                too_many: true,
                ..Hits::default()
            },
        };
        self.bytes_left = Some(left.unwrap_or(0));
    }

    /// The collection has gone between two slices.
    fn overtaken(&self) -> Vec<Hits> {
        self.questions.iter().map(|_| Hits::default()).collect()
    }
}

impl Task for QueryMany {
    type Answer = Vec<Hits>;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Vec<Hits>> {
        let step = self.go_on(shard, work);
        let schema = &self.questions[0].0.schema;
        match step {
            Step::More => {
                if let Some(part) = shard.keyspace.part_of_mut(schema) {
                    part.pause_group(&mut self.group);
                }
                // Searches take buffers that the part keeps, and give them back.
                shard.keyspace.count_part(schema);
            }
            // They may have been the last for which consolidation waited.
            Step::Done(_) => shard.keyspace.note_search_ended(schema),
        }
        step
    }

    fn keeps_busy(&self) -> bool {
        // To delete what has expired is a change.
        self.bytes_left.is_none()
    }
}
