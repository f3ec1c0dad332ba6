//! VECQUERY: the k nearest of what the shards found. And VECMQUERY: several queries of one collection that are asked together.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_resp::Reply;
use kora_vector::limits::K_MAX;
use kora_vector::{Step, Work};

use super::explain::Explanation;
use super::finding::{Sought, absent};
use super::merging::{Merging, QueryPart, is_crowded, merge};
use super::query_reply::{Choosing, Cost, Neighbours};
use super::question::{name_within, question_of};
use super::{Context, Gate, Gather, Next, ReadTiming, Recalling};
use crate::budgets::{ATTRIBUTE_BYTE_WORK, HIT_WORK, KEY_WORK};
use crate::command::Wish;
use crate::error::ClientError;
use crate::fit::vet;
use crate::limits::QUERY_AGAIN_MAX;
use crate::mail::{Hits, Question, RequestBody, Target};
use crate::router::{ShardId, share_of_part};

/// A query of which parts are still missing.
pub(crate) struct Querying {
    question: Arc<Question>,
    purpose: QueryPurpose,
    /// What the client gave, or the collection's; at least k.
    ef: usize,
    /// What the parts that are in have cost.
    cost: Cost,
    parts: Vec<QueryPart>,
    missing: usize,
    /// No request was sent yet.
    is_unread: bool,
    /// What has been merged, once all parts are in.
    merging: Merging,
    /// How the shards answered, once the neighbours are merged, if that is to be told.
    explanation: Option<Box<Explanation>>,
    /// Which of the neighbours are returned, once they are merged.
    choosing: Option<Box<Choosing>>,
    /// Times that the whole query was asked again, because its parts knew different generations.
    again: u8,
}

/// What the hits are for.
enum QueryPurpose {
    /// The reply, in the form that was wished for.
    Answer(Arc<Wish>),
    /// To be compared with others.
    Recall(Box<Recalling>),
}

impl Querying {
    /// Asks every shard that holds part of the collection, if there is one of that name now. `own` is the key that stands for
    /// the vector.
    pub(crate) fn start(
        collection: &[u8],
        vector: Box<[f32]>,
        own: Option<Bytes>,
        wish: Wish,
        context: &Context<'_>,
    ) -> Next {
        let Some(schema) = context.catalog().find(collection) else {
            return absent(collection, Sought::One(vector, own), wish, context);
        };
        if let Err(error) = vet(&schema, &vector) {
            return Next::error(&error);
        }
        let own = own.and_then(|key| name_within(&key, collection));
        let parts = context.placement().part_count(&schema);
        let question = question_of(schema, vector, own, &wish, parts);
        Querying::about(Arc::new(question), Arc::new(wish)).request(context)
    }

    /// A query that is answered with what is wished for. It has not been asked yet.
    fn about(question: Arc<Question>, wish: Arc<Wish>) -> Querying {
        let ef = wish.ef.unwrap_or(question.schema.graph.ef_search).max(wish.nearest());
        Querying::new(question, ef, QueryPurpose::Answer(wish))
    }

    /// One query of a VECRECALL, on what it knows of the collection.
    pub(super) fn for_recall(question: Question, ef: usize, recalling: Box<Recalling>, context: &Context<'_>) -> Next {
        Querying::new(Arc::new(question), ef, QueryPurpose::Recall(recalling)).request(context)
    }

    fn new(question: Arc<Question>, ef: usize, purpose: QueryPurpose) -> Querying {
        Querying {
            question,
            purpose,
            ef,
            cost: Cost::default(),
            parts: Vec::new(),
            missing: 0,
            is_unread: false,
            merging: Merging::default(),
            explanation: None,
            choosing: None,
            again: 0,
        }
    }

    /// Asks all parts, of which leased ones are read at once, or in its turn.
    fn request(mut self, context: &Context<'_>) -> Next {
        let shards: Vec<ShardId> = context.placement().parts_of(&self.question.schema).collect();
        let whole = shards.len() == 1;
        let part = |shard| QueryPart {
            shard,
            found: Hits::default(),
            ef: 0,
            cost: Cost::default(),
            whole,
        };
        self.parts = shards.into_iter().map(part).collect();
        if context.reads == ReadTiming::Later && matches!(self.purpose, QueryPurpose::Answer(_)) {
            self.is_unread = true;
            return Next::Again(Gather::Querying(Box::new(self)));
        }
        self.ask_parts(context)
    }

    fn ask_parts(self, context: &Context<'_>) -> Next {
        let ef = share_of_part(self.ef, self.parts.len());
        let places = (0..self.parts.len()).collect();
        Box::new(self).seek(places, ef, context)
    }

    /// Has the parts at these places searched: those that can be read in place now, the others are asked.
    fn seek(mut self: Box<Self>, places: Vec<usize>, ef: usize, context: &Context<'_>) -> Next {
        let (parts, mut work) = (self.parts.len(), Work::new(context.setup.slice_work));
        let mut requests = Vec::new();
        self.cost.rounds += 1;
        for place in places {
            let shard = self.parts[place].shard;
            self.parts[place].ef = ef;
            let reads = context.shared_reads.filter(|_| context.reads == ReadTiming::Now);
            let found = reads.map(|reads| reads.query(shard, parts, &self.question, ef, &mut work));
            match found.flatten() {
                Some(found) => self.take(place, found),
                None => {
                    let question = Arc::clone(&self.question);
                    requests.push((Target::Shard(shard), RequestBody::Query { question, ef }));
                }
            }
        }
        self.missing = requests.len();
        match requests.is_empty() {
            true => self.complete(&mut Work::new(context.setup.slice_work), context),
            false => Next::Request(Gather::Querying(self), requests),
        }
    }

    /// How many neighbours each shard is asked for.
    fn nearest(&self) -> usize {
        self.question.k
    }

    /// True if no request was sent yet: it waits for its turn to read.
    pub(crate) fn is_unread(&self) -> bool {
        self.is_unread
    }

    pub(crate) fn gate(&self) -> Gate {
        match self.purpose {
            QueryPurpose::Answer(_) if self.parts.len() == 1 && !self.is_unread => Gate::Open,
            _ => Gate::ReadOnly,
        }
    }

    fn take(&mut self, place: usize, found: Hits) {
        let part = &mut self.parts[place];
        self.cost.add(&found.statistics);
        part.cost.add(&found.statistics);
        part.cost.tested += found.tested;
        part.found = found;
    }

    pub(crate) fn absorb(
        mut self: Box<Self>,
        from: Target,
        found: Hits,
        work: &mut Work,
        context: &Context<'_>,
    ) -> Next {
        let place = self.parts.iter().position(|part| Target::Shard(part.shard) == from);
        self.take(place.expect("only shards that were asked answer"), found);
        self.missing -= 1;
        match self.missing {
            0 => self.complete(work, context),
            _ => Next::Wait(Gather::Querying(self)),
        }
    }

    /// All parts are in.
    fn complete(mut self: Box<Self>, work: &mut Work, context: &Context<'_>) -> Next {
        let bytes_max = context.setup.client_bytes_max();
        if self.parts.iter().any(|part| part.found.too_many) {
            return Next::error(&ClientError::ReplyTooLarge { bytes_max });
        }
        let generation = Some(self.question.schema.generation);
        if self.parts.iter().any(|part| part.found.generation != generation) {
            return self.overtaken(context);
        }
        self.merging = Merging::default();
        self.go_on(work, context)
    }

    /// Begins, if no request was sent yet; else merges some hits, chooses some of them, and shows them when that is done.
    pub(crate) fn go_on(mut self: Box<Self>, work: &mut Work, context: &Context<'_>) -> Next {
        if std::mem::take(&mut self.is_unread) {
            return self.ask_parts(context);
        }
        if let Some(choosing) = self.choosing.take() {
            return self.choose(choosing, work, context);
        }
        let k = self.question.k;
        if self.merging.step(k, &self.parts, work) == Step::More {
            return Next::Again(Gather::Querying(self));
        }
        let crowded = self.crowded();
        if !crowded.is_empty() {
            let ef = self.ef;
            return self.seek(crowded, ef, context);
        }
        self.cost.is_exact = self.parts.iter().all(|part| part.found.statistics.is_exact);
        let count = |of: fn(&Hits) -> usize| self.parts.iter().map(|part| of(&part.found)).sum();
        self.cost.matches = count(|found| found.matches);
        self.cost.vectors = count(|found| found.live);
        if let QueryPurpose::Answer(wish) = &self.purpose
            && wish.explains
        {
            self.explanation = Some(Box::new(Explanation::of(&self.parts, &self.merging.taken, k)));
        }
        let merged = merge(std::mem::take(&mut self.parts), &self.merging.order);
        let wish = match self.purpose {
            QueryPurpose::Recall(recalling) => return recalling.took(merged.hits, context),
            QueryPurpose::Answer(ref wish) => wish,
        };
        match wish.nearest() > wish.k || wish.group.is_some() {
            true => {
                work.spend(HIT_WORK * wish.without.len() as u64);
                let choosing = Choosing::new(merged, wish);
                self.choose(Box::new(choosing), work, context)
            }
            false => self.show(merged, context),
        }
    }

    /// Chooses those neighbours that are returned. If GROUP leaves too few of them, more are looked for.
    fn choose(mut self: Box<Self>, mut choosing: Box<Choosing>, work: &mut Work, context: &Context<'_>) -> Next {
        let QueryPurpose::Answer(wish) = &self.purpose else {
            return Next::other_answer();
        };
        if choosing.step(wish, work) == Step::More {
            self.choosing = Some(choosing);
            return Next::Again(Gather::Querying(self));
        }
        let k = self.question.k;
        if wish.group.is_some() && choosing.is_short(wish) && choosing.is_full(k) && k < K_MAX {
            let k = (GROUP_GROWTH * k).min(K_MAX);
            self.question = Arc::new(Question {
                k,
                ..(*self.question).clone()
            });
            self.ef = self.ef.max(k);
            return self.request(context);
        }
        self.show(choosing.finish(), context)
    }

    fn show(&self, found: Neighbours, context: &Context<'_>) -> Next {
        let QueryPurpose::Answer(wish) = &self.purpose else {
            return Next::other_answer();
        };
        let reply = match &self.explanation {
            Some(explanation) => explanation.reply((&*self.question, self.ef), self.cost, found.hits.len()),
            None => self.cost.reply(found, wish),
        };
        match context.setup.too_large(reply.bytes_hint()) {
            Some(error) => Next::error(&error),
            None => Next::Reply(reply),
        }
    }

    /// The collection was dropped while it was being queried.
    fn overtaken(mut self, context: &Context<'_>) -> Next {
        let wish = match self.purpose {
            QueryPurpose::Recall(recalling) => return recalling.end(),
            QueryPurpose::Answer(wish) => wish,
        };
        // A single part saw it gone, so there was a moment without it, and that is an answer.
        let name = &self.question.schema.name;
        let sought = Sought::One(self.question.vector.clone(), None);
        let Some(schema) = context.catalog().find(name).filter(|_| self.parts.len() > 1) else {
            return absent(name, sought, Arc::unwrap_or_clone(wish), context);
        };
        if self.again == QUERY_AGAIN_MAX {
            return Next::error(&ClientError::QueryOvertaken {
                collection: name.to_vec(),
            });
        }
        if let Err(error) = vet(&schema, &self.question.vector) {
            return Next::error(&error);
        }
        let question = Question {
            parts: context.placement().part_count(&schema),
            schema,
            ..(*self.question).clone()
        };
        self.question = Arc::new(question);
        self.purpose = QueryPurpose::Answer(wish);
        self.again += 1;
        self.request(context)
    }

    /// The places of those parts that may hold more of the answer than they were given the chance to find: they are searched
    /// with the whole ef.
    fn crowded(&mut self) -> Vec<usize> {
        let (k, parts) = (self.question.k, self.parts.len());
        let mut places = Vec::new();
        for (place, (part, taken)) in self.parts.iter_mut().zip(&self.merging.taken).enumerate() {
            if !part.whole && is_crowded(&part.found, *taken, k, parts) {
                part.whole = true;
                places.push(place);
            }
        }
        places
    }
}

/// A VECMQUERY: queries of which some are not answered yet.
///
/// Each is a [`Querying`] and is answered as one. What they ask of a shard travels as one message, and the shard answers
/// with one: in rounds, each of as many queries as may find no more neighbours together than a single query may. Nearly always
/// one round is all, and a second one asks crowded shards again.
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
        let parts = context.placement().part_count(&schema);
        let about = |vector| Arc::new(question_of(Arc::clone(&schema), vector, None, &wish, parts));
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
    pub(crate) fn absorb(mut self: Box<Self>, from: Target, mut found: Vec<Hits>, context: &Context<'_>) -> Next {
        let Some(place) = self.asked.iter().position(|(target, _)| *target == from) else {
            return Next::other_answer();
        };
        let (_, places) = self.asked.swap_remove(place);
        // Where its client has gone a shard answers with nothing.
        found.resize_with(places.len(), Hits::default);
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
        let parts = context.placement().part_count(&schema);
        let about = |question: &Arc<Question>| {
            let vector = question.vector.clone();
            Arc::new(question_of(Arc::clone(&schema), vector, None, &self.wish, parts))
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

/// If GROUP leaves too few of the nearest, so many times as many are looked for.
const GROUP_GROWTH: usize = 4;
