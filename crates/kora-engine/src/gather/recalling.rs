//! VECRECALL: how many of the true neighbours queries find.
//!
//! One sample after the other: a shard gives one of its vectors and a query near it, as far away as the vector's neighbours are.
//! The query's neighbours are sought exactly, then as VECQUERY seeks them, and the two are compared; at last the vector itself
//! is sought. So nothing but one sample is held at a time, and every step is one that takes slices. Which vectors are given:
//! see `sample.rs` of kora-vector.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;
use kora_vector::Metric;

use super::{Context, Gate, Gather, Next, Querying};
use crate::command::RecallRequest;
use crate::counts::integer;
use crate::limits::SAMPLE_K;
use crate::mail::{Question, RequestBody, Sample, Target};
use crate::recall::Found;
use crate::router::ShardId;
use kora_keyspace::catalog::Schema;

/// A VECRECALL under way.
pub(crate) struct Recalling {
    schema: Arc<Schema>,
    k: usize,
    ef: usize,
    /// Samples that are still to be taken.
    left: usize,
    /// The shards that are asked for samples, in turn; and how many had none, one after the other.
    shards: Vec<ShardId>,
    turn: usize,
    without: usize,
    /// The state of a generator.
    random: u64,
    sample: Sample,
    stage: RecallStage,
    found: Found,
    form: RecallForm,
}

/// What is sought now.
enum RecallStage {
    /// The query's true neighbours.
    Truth,
    /// Its neighbours as a client would find them; these are the true ones.
    Found(Vec<(Bytes, f32)>),
    /// The stored vector.
    Itself,
}

/// How it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RecallForm {
    /// To a client.
    Map,
    /// As numbers, to the worker itself: see [`Found::reply`].
    Numbers,
}

impl Recalling {
    pub(crate) fn start(request: &RecallRequest, context: &Context<'_>) -> Next {
        let Some(schema) = context.catalog().find(&request.collection) else {
            return Next::reply_unless_wrong_type(Reply::Null, &request.collection, context);
        };
        let ef = request.ef.unwrap_or(schema.graph.ef_search);
        Recalling::new(schema, (request.k, ef, request.samples), RecallForm::Map, context).request()
    }

    /// So many samples with the collection's ef, for the worker itself; the reply is for [`Found::of_reply`].
    pub(crate) fn sample(schema: Arc<Schema>, samples: usize, context: &Context<'_>) -> Next {
        let ef = schema.graph.ef_search;
        Recalling::new(schema, (SAMPLE_K, ef, samples), RecallForm::Numbers, context).request()
    }

    fn new(
        schema: Arc<Schema>,
        (k, ef, samples): (usize, usize, usize),
        form: RecallForm,
        context: &Context<'_>,
    ) -> Box<Recalling> {
        Box::new(Recalling {
            k,
            ef: ef.max(k),
            left: samples,
            shards: context.placement().parts_of(&schema).collect(),
            turn: 0,
            without: 0,
            random: context.host.now_us() ^ schema.generation.0.rotate_left(32),
            sample: Sample::default(),
            stage: RecallStage::Truth,
            found: Found::default(),
            form,
            schema,
        })
    }

    pub(crate) fn gate(&self) -> Gate {
        Gate::ReadOnly
    }

    /// Asks for the next sample, if there is to be one.
    fn request(mut self: Box<Self>) -> Next {
        if self.left == 0 || self.without == self.shards.len() {
            return self.end();
        }
        let shard = self.shards[self.turn % self.shards.len()];
        self.turn += 1;
        // Steele and Vigna's splitmix64: each number is a good one, whatever the one before.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let body = RequestBody::Sample {
            schema: Arc::clone(&self.schema),
            random: mixed ^ mixed >> 31,
        };
        Next::Request(Gather::Recalling(self), vec![(Target::Shard(shard), body)])
    }

    /// A shard has given a sample, if it has any.
    pub(crate) fn sampled(mut self: Box<Self>, sample: Option<Box<Sample>>, context: &Context<'_>) -> Next {
        let Some(sample) = sample else {
            self.without += 1;
            return self.request();
        };
        self.without = 0;
        self.sample = *sample;
        self.stage = RecallStage::Truth;
        self.seek(context)
    }

    fn seek(self: Box<Self>, context: &Context<'_>) -> Next {
        let (vector, k) = match self.stage {
            RecallStage::Truth | RecallStage::Found(_) => (self.sample.query.clone(), self.k),
            RecallStage::Itself => (self.sample.vector.clone(), 1),
        };
        let question = Question {
            schema: Arc::clone(&self.schema),
            vector,
            k,
            radius: None,
            own: None,
            exact: matches!(self.stage, RecallStage::Truth),
            filter: None,
            with_attributes: false,
            with_vectors: false,
            parts: context.placement().part_count(&self.schema),
        };
        Querying::for_recall(question, self.ef, self, context)
    }

    /// What was sought has been found.
    pub(super) fn took(mut self: Box<Self>, hits: Vec<(Bytes, f32)>, context: &Context<'_>) -> Next {
        match std::mem::replace(&mut self.stage, RecallStage::Truth) {
            RecallStage::Truth => {
                self.stage = RecallStage::Found(hits);
                return self.seek(context);
            }
            RecallStage::Found(truth) => {
                // Of several at the distance of the last one it does not matter which.
                let farthest = truth.last().map_or(f32::NEG_INFINITY, |(_, distance)| *distance);
                let found = hits.iter().filter(|(_, distance)| *distance <= farthest).count();
                let found = Found::of_sample(found.min(truth.len()) as u64, truth.len() as u64);
                self.found = self.found.plus(found);
                // Under inner product a vector's nearest is another one, mostly.
                if self.schema.graph.metric != Metric::InnerProduct {
                    self.stage = RecallStage::Itself;
                    return self.seek(context);
                }
            }
            RecallStage::Itself => {
                let square: f64 = self.sample.vector.iter().map(|x| f64::from(*x).powi(2)).sum();
                let rounding = match self.schema.graph.metric {
                    Metric::L2 => ROUNDING * square.sqrt(),
                    _ => ROUNDING,
                };
                let is_found = hits
                    .first()
                    .is_some_and(|(_, distance)| f64::from(*distance) <= rounding);
                self.found = self.found.plus(Found::of_sought(is_found));
            }
        }
        self.left -= 1;
        self.request()
    }

    /// What is known by now.
    pub(super) fn end(self) -> Next {
        if self.form == RecallForm::Numbers {
            return Next::Reply(self.found.reply());
        }
        let share = |share: Option<f64>| share.map_or(Reply::Null, |share| Reply::Double(share as f32));
        let fields = [
            ("recall", share(self.found.recall())),
            ("worst_decile", share(self.found.worst_decile())),
            ("lost", share(self.found.lost_share())),
            ("k", Reply::Integer(integer(self.k as u64))),
            ("ef", Reply::Integer(integer(self.ef as u64))),
            ("samples", Reply::Integer(integer(self.found.samples))),
        ];
        let map = fields.map(|(name, value)| (Reply::Bulk(Bytes::from_static(name.as_bytes())), value));
        Next::Reply(Reply::Map(map.into()))
    }
}

/// A vector that is stored less precisely may be so far from itself, when it is given back and sought.
const ROUNDING: f64 = 1e-6;
