//! VECQUERY: the k nearest of what the shards found.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_vector::limits::K_MAX;
use kora_vector::{Step, Work};

use super::explain::Explanation;
use super::finding::Sought;
use super::query_reply::{Choosing, Cost, Neighbours, absent};
use super::{Context, Gate, Gather, Next, ReadTiming, Recalling};
use crate::budgets::HIT_WORK;
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

pub(super) struct QueryPart {
    pub(super) shard: ShardId,
    pub(super) found: Hits,
    /// With what it was asked last.
    pub(super) ef: usize,
    /// What it has cost, all times that it was asked.
    pub(super) cost: Cost,
    /// It was asked with the whole ef.
    whole: bool,
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
        let question = question_of(schema, vector, own, &wish, context);
        Querying::about(Arc::new(question), Arc::new(wish)).request(context)
    }

    /// A query that is answered with what is wished for. It has not been asked yet.
    pub(super) fn about(question: Arc<Question>, wish: Arc<Wish>) -> Querying {
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
    pub(super) fn request(mut self, context: &Context<'_>) -> Next {
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
    pub(super) fn nearest(&self) -> usize {
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
        if self.parts.len() == 1 {
            return absent(name, sought, Arc::unwrap_or_clone(wish), context);
        }
        let Some(schema) = context.catalog().find(name) else {
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

/// What all shards are asked about a vector; `own` is the name of the one that stands for it.
pub(super) fn question_of(
    schema: Arc<Schema>,
    vector: Box<[f32]>,
    own: Option<Bytes>,
    wish: &Wish,
    context: &Context<'_>,
) -> Question {
    Question {
        parts: context.placement().part_count(&schema),
        schema,
        vector,
        k: wish.nearest(),
        radius: wish.radius,
        own,
        exact: false,
        filter: wish.filter.clone(),
        with_attributes: wish.with_attributes.is_some() || wish.group.is_some(),
        with_vectors: wish.with_vector,
    }
}

/// True if a shard must be asked again: all that it returned stands in the merged k, and it could hold more.
///
/// Where the keys are spread by chance, that hardly happens. It does where a hash tag put neighbours together: with 8
/// shards, k 100 and topics as tags, asking again lifts recall from 0.893 to 0.973.
///
/// A shard that returned a full k can add nothing to the count, only to the recall; and for a small k chance alone often
/// puts all k on one shard, which tells nothing about neighbours. So below a chance of one in [`CROWDED_BY_CHANCE`] it
/// is asked again, above not: with k = 1 some shard would always be, for a third more work and no recall.
fn is_crowded(found: &Hits, taken: usize, k: usize, parts: usize) -> bool {
    if found.all || taken < found.hits.len() {
        return false;
    }
    let ways = (parts as f64).powi(i32::try_from(k).unwrap_or(i32::MAX) - 1);
    found.hits.len() < k || ways >= CROWDED_BY_CHANCE
}

/// Which part gives the best hit of all, which the second best, and so on, up to k.
#[derive(Default)]
struct Merging {
    order: Vec<usize>,
    /// How many hits each part has given.
    taken: Vec<usize>,
}

impl Merging {
    /// Goes on for a slice. There is nothing to merge of a single part.
    fn step(&mut self, k: usize, parts: &[QueryPart], work: &mut Work) -> Step<()> {
        self.taken.resize(parts.len(), 0);
        if parts.len() == 1 {
            return Step::Done(());
        }
        let mut heads: BinaryHeap<Reverse<Head<'_>>> = parts
            .iter()
            .enumerate()
            .filter_map(|(part, QueryPart { found, .. })| Head::of(&found.hits, part, self.taken[part]))
            .map(Reverse)
            .collect();
        while self.order.len() < k
            && let Some(mut first) = heads.peek_mut()
        {
            let Head { part, place, .. } = first.0;
            self.order.push(part);
            self.taken[part] += 1;
            match Head::of(&parts[part].found.hits, part, place + 1) {
                Some(next) => first.0 = next,
                None => drop(PeekMut::pop(first)),
            }
            work.spend(HIT_WORK);
            if work.is_spent() {
                return Step::More;
            }
        }
        Step::Done(())
    }
}

/// Puts together what the parts found, each sorted by (distance, key), and what they found with it.
fn merge(mut parts: Vec<QueryPart>, order: &[usize]) -> Neighbours {
    if parts.len() == 1 {
        let found = parts.remove(0).found;
        return Neighbours {
            hits: found.hits,
            attributes: found.attributes,
            vectors: found.vectors,
        };
    }
    let found = parts.into_iter().map(|part| part.found);
    let mut found: Vec<_> = found
        .map(|found| {
            let Hits {
                hits,
                attributes,
                vectors,
                ..
            } = found;
            (hits.into_iter(), attributes.into_iter(), vectors.into_iter())
        })
        .collect();
    let mut merged = Neighbours::default();
    for part in order {
        let (hits, attributes, vectors) = &mut found[*part];
        let hit = hits.next().expect("each part has what it was said to give");
        merged.hits.push(hit);
        merged.attributes.extend(attributes.next());
        merged.vectors.extend(vectors.next());
    }
    merged
}

/// The best hit of a part that was not taken yet. Total order: distance, then key; no two shards hold the same key.
#[derive(PartialEq)]
struct Head<'a> {
    distance: f32,
    key: &'a Bytes,
    part: usize,
    place: usize,
}

impl Head<'_> {
    fn of(hits: &[(Bytes, f32)], part: usize, place: usize) -> Option<Head<'_>> {
        hits.get(place).map(|(key, distance)| Head {
            distance: *distance,
            key,
            part,
            place,
        })
    }
}

impl Eq for Head<'_> {}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.distance
            .total_cmp(&other.distance)
            .then_with(|| self.key.cmp(other.key))
    }
}

/// The name of a vector within a collection, if its key belongs there.
fn name_within(key: &Bytes, collection: &[u8]) -> Option<Bytes> {
    let name = key.strip_prefix(collection)?.strip_prefix(b":")?;
    Some(key.slice_ref(name))
}

/// One in 16: k of 5 with 2 shards, of 3 with 4 or more.
const CROWDED_BY_CHANCE: f64 = 16.0;

/// If GROUP leaves too few of the nearest, so many times as many are looked for.
const GROUP_GROWTH: usize = 4;
