//! VECMQUERY: several queries of one collection that are asked together.
//!
//! Each is a [`Querying`] and is answered as one. What they ask of a shard travels as one message, and the shard answers
//! with one: in rounds, each of as many queries as may find no more neighbours together than a single query may. Nearly always
//! one round is all, and a second one asks crowded shards again.

use std::collections::VecDeque;
use std::sync::Arc;

use kora_keyspace::catalog::Schema;
use kora_resp::Reply;
use kora_vector::Work;
use kora_vector::limits::K_MAX;

use super::finding::Sought;
use super::query::question_of;
use super::query_reply::absent;
use super::{Context, Gather, Next, Querying, ReadTiming};
use crate::budgets::{ATTRIBUTE_BYTE_WORK, KEY_WORK};
use crate::command::Wish;
use crate::error::ClientError;
use crate::fit::vet;
use crate::limits::QUERY_AGAIN_MAX;
use crate::mail::{Hits, Question, RequestBody, Target};

/// Queries of which some are not answered yet.
pub(crate) struct MultiQuerying {
    /// The generation that all of them are about.
    schema: Arc<Schema>,
    wish: Arc<Wish>,
    /// All of them, in the order of the replies.
    questions: Vec<Arc<Question>>,
    /// The first question that has not begun.
    next: usize,
    /// Queries that are asked in one of the next rounds, with their places and what they ask.
    asking: VecDeque<ReadyQuery>,
    /// How many neighbours those look for, together.
    asking_nearest: usize,
    /// Queries of this round, by their places.
    under_way: Vec<Option<Box<Querying>>>,
    /// What each shard was asked in this round, as places, until it has answered.
    asked: Vec<(Target, Vec<usize>)>,
    /// Answers that are to be given to their queries.
    arrived: VecDeque<(usize, Target, Hits)>,
    /// Queries that take more slices.
    unfinished: VecDeque<(usize, Box<Querying>)>,
    /// By place; null until a query is answered.
    replies: Vec<Reply>,
    answered: usize,
    /// An estimate of what the replies take.
    reply_bytes: usize,
    /// Some shard knew another generation.
    is_overtaken: bool,
    /// Times that all queries were asked again because of that.
    again: u8,
}

/// A query that asks something, with its place and what it asks.
type ReadyQuery = (usize, Box<Querying>, Vec<(Target, RequestBody)>);

/// A question, and with which ef it is asked.
type AskedQuestion = (Arc<Question>, usize);

impl MultiQuerying {
    /// Begins queries for the neighbours of these vectors, at least one.
    pub(crate) fn start(collection: &[u8], vectors: Vec<Box<[f32]>>, mut wish: Wish, context: &Context<'_>) -> Next {
        let Some(schema) = context.catalog().find(collection) else {
            return absent(collection, Sought::Many(vectors), wish, context);
        };
        if let Some(error) = vectors.iter().find_map(|vector| vet(&schema, vector).err()) {
            return Next::error(&error);
        }
        // Where it is gone when it is asked for, all of them say so, and no single one looks for another.
        wish.said = None;
        let about = |vector| Arc::new(question_of(Arc::clone(&schema), vector, None, &wish, context));
        let questions: Vec<_> = vectors.into_iter().map(about).collect();
        let querying = MultiQuerying {
            wish: Arc::new(wish),
            next: 0,
            asking: VecDeque::new(),
            asking_nearest: 0,
            under_way: questions.iter().map(|_| None).collect(),
            asked: Vec::new(),
            arrived: VecDeque::new(),
            unfinished: VecDeque::new(),
            replies: vec![Reply::Null; questions.len()],
            answered: 0,
            reply_bytes: 0,
            is_overtaken: false,
            again: 0,
            schema,
            questions,
        };
        Box::new(querying).go_on(context)
    }

    /// Takes what a shard has found for all that it was asked.
    pub(crate) fn absorb(mut self: Box<Self>, from: Target, found: Vec<Hits>, context: &Context<'_>) -> Next {
        let Some(place) = self.asked.iter().position(|(target, _)| *target == from) else {
            return Next::other_answer();
        };
        let (_, places) = self.asked.swap_remove(place);
        if places.len() != found.len() {
            return Next::other_answer();
        }
        let generation = Some(self.schema.generation);
        self.is_overtaken |= found.iter().any(|hits| hits.generation != generation);
        let arrived = places.into_iter().zip(found);
        self.arrived.extend(arrived.map(|(place, hits)| (place, from, hits)));
        match self.asked.is_empty() {
            true if self.is_overtaken => self.begin_again(context),
            true => self.go_on(context),
            false => Next::Wait(Gather::MultiQuerying(self)),
        }
    }

    /// Goes on for a slice, while no shard is asked anything.
    pub(crate) fn go_on(mut self: Box<Self>, context: &Context<'_>) -> Next {
        // What is read in place is read by one query after the other: several are searched together by their shards.
        let context = Context {
            reads: ReadTiming::Never,
            ..*context
        };
        let mut work = Work::new(context.setup.slice_work);
        while !work.is_spent() {
            let (place, next) = if let Some((place, from, hits)) = self.arrived.pop_front() {
                let Some(querying) = self.under_way[place].take() else {
                    return Next::other_answer();
                };
                (place, querying.absorb(from, hits, &mut work, &context))
            } else if let Some((place, querying)) = self.unfinished.pop_front() {
                (place, querying.go_on(&mut work, &context))
            } else if self.answered == self.replies.len() {
                return Next::Reply(Reply::Array(self.replies));
            } else if !self.has_round() {
                work.spend(KEY_WORK);
                let (place, question) = (self.next, Arc::clone(&self.questions[self.next]));
                self.next += 1;
                let querying = Querying::about(question, Arc::clone(&self.wish));
                (place, querying.request(&context))
            } else {
                return self.ask();
            };
            if let Some(end) = self.follow(place, next, &mut work, &context) {
                return end;
            }
        }
        Next::Again(Gather::MultiQuerying(self))
    }

    /// Notes what follows for one query; what ends all of them, if it was refused.
    fn follow(&mut self, place: usize, next: Next, work: &mut Work, context: &Context<'_>) -> Option<Next> {
        match next {
            Next::Reply(reply @ Reply::Error(_)) => return Some(Next::Reply(reply)),
            Next::Reply(reply) => {
                let bytes = reply.bytes_hint();
                work.spend(ATTRIBUTE_BYTE_WORK * bytes as u64);
                self.reply_bytes += bytes;
                if let Some(error) = context.setup.too_large(self.reply_bytes) {
                    return Some(Next::error(&error));
                }
                self.replies[place] = reply;
                self.answered += 1;
            }
            Next::Request(Gather::Querying(querying), requests) => {
                self.asking_nearest += querying.nearest();
                self.asking.push_back((place, querying, requests));
            }
            Next::Again(Gather::Querying(querying)) => self.unfinished.push_back((place, querying)),
            Next::Wait(Gather::Querying(querying)) => self.under_way[place] = Some(querying),
            Next::Request(..) | Next::Again(_) | Next::Wait(_) => return Some(Next::other_answer()),
        }
        None
    }

    /// True if as much is to be asked as one round takes, or all that is left.
    fn has_round(&self) -> bool {
        self.next == self.questions.len() || self.asking_nearest >= K_MAX
    }

    /// Asks what queries want to ask, of each shard with one message.
    fn ask(mut self: Box<Self>) -> Next {
        let mut of_shard: Vec<(Target, Vec<AskedQuestion>)> = Vec::new();
        let mut left = K_MAX;
        while left > 0
            && let Some((place, querying, requests)) = self.asking.pop_front()
        {
            left = left.saturating_sub(querying.nearest());
            self.asking_nearest -= querying.nearest();
            self.under_way[place] = Some(querying);
            for (target, body) in requests {
                let RequestBody::Query { question, ef } = body else {
                    return Next::other_answer();
                };
                let at = of_shard.iter().position(|(known, _)| *known == target);
                let at = at.unwrap_or_else(|| {
                    of_shard.push((target, Vec::new()));
                    self.asked.push((target, Vec::new()));
                    of_shard.len() - 1
                });
                of_shard[at].1.push((question, ef));
                self.asked[at].1.push(place);
            }
        }
        if of_shard.is_empty() {
            // Each query is answered, or asks.
            return Next::other_answer();
        }
        let requests = of_shard.into_iter();
        let requests = requests.map(|(target, questions)| (target, RequestBody::QueryMany(questions)));
        Next::Request(Gather::MultiQuerying(self), requests.collect())
    }

    /// The collection was dropped while it was being queried: all queries are asked again, so that they are about one generation.
    fn begin_again(mut self: Box<Self>, context: &Context<'_>) -> Next {
        let Some(schema) = context.catalog().find(&self.schema.name) else {
            let vectors = self.questions.iter().map(|question| question.vector.clone());
            let wish = Arc::unwrap_or_clone(self.wish);
            return absent(&self.schema.name, Sought::Many(vectors.collect()), wish, context);
        };
        if self.again == QUERY_AGAIN_MAX {
            let collection = schema.name.to_vec();
            return Next::error(&ClientError::QueryOvertaken { collection });
        }
        let refusal = |question: &Arc<Question>| vet(&schema, &question.vector).err();
        if let Some(error) = self.questions.iter().find_map(refusal) {
            return Next::error(&error);
        }
        let about = |question: &Arc<Question>| {
            let vector = question.vector.clone();
            Arc::new(question_of(Arc::clone(&schema), vector, None, &self.wish, context))
        };
        self.questions = self.questions.iter().map(about).collect();
        self.schema = schema;
        (self.next, self.answered, self.reply_bytes, self.is_overtaken) = (0, 0, 0, false);
        self.asking_nearest = 0;
        self.again += 1;
        self.asking.clear();
        self.arrived.clear();
        self.unfinished.clear();
        self.under_way.iter_mut().for_each(|querying| *querying = None);
        Next::Again(Gather::MultiQuerying(self))
    }
}
