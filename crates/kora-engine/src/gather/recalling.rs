//! VECRECALL: how many of the true neighbours queries find.
//!
//! One sample after the other: a shard gives one of its vectors, slightly perturbed; its neighbours are sought exactly,
//! then as VECQUERY seeks them, and the two are compared. So nothing but one sample is held at a time, and every step is
//! one that takes slices.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;

use super::{Around, Gate, Gather, Next, Querying, integer};
use crate::catalog::Schema;
use crate::command::RecallRequest;
use crate::mail::{Ask, Question, Target};
use crate::router::ShardId;

/// A VECRECALL under way.
pub(crate) struct Recalling {
    schema: Arc<Schema>,
    k: usize,
    ef: usize,
    /// Samples that are still to be taken.
    left: usize,
    taken: usize,
    /// The shards that are asked for samples, in turn; and how many had none, one after the other.
    shards: Vec<ShardId>,
    turn: usize,
    without: usize,
    /// The state of a generator.
    random: u64,
    sample: Box<[f32]>,
    /// The true neighbours of the sample, once they are known.
    truth: Option<Vec<(Bytes, f32)>>,
    found: usize,
    wanted: usize,
}

impl Recalling {
    pub(crate) fn start(request: &RecallRequest, around: &Around<'_>) -> Next {
        let Some(schema) = around.catalog().find(&request.collection) else {
            return Next::Reply(Reply::NullArray);
        };
        let ef = request.ef.unwrap_or(schema.graph.ef_search).max(request.k);
        let recalling = Recalling {
            k: request.k,
            ef,
            left: request.samples,
            taken: 0,
            shards: around.placement().parts_of(&schema.name).collect(),
            turn: 0,
            without: 0,
            random: around.host.now_us() ^ schema.generation.0.rotate_left(32),
            sample: Box::default(),
            truth: None,
            found: 0,
            wanted: 0,
            schema,
        };
        Box::new(recalling).ask()
    }

    pub(crate) fn gate(&self) -> Gate {
        Gate::ReadOnly
    }

    /// Asks for the next sample, if there is to be one.
    fn ask(mut self: Box<Self>) -> Next {
        if self.left == 0 || self.without == self.shards.len() {
            return self.end();
        }
        let shard = self.shards[self.turn % self.shards.len()];
        self.turn += 1;
        // Steele and Vigna's splitmix64: each number is a good one, whatever the one before.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let ask = Ask::Sample {
            schema: Arc::clone(&self.schema),
            random: mixed ^ mixed >> 31,
        };
        Next::Ask(Gather::Recalling(self), vec![(Target::Shard(shard), ask)])
    }

    /// A shard has given a sample, if it has any.
    pub(crate) fn sampled(mut self: Box<Self>, sample: Option<Box<[f32]>>, around: &Around<'_>) -> Next {
        let Some(sample) = sample else {
            self.without += 1;
            return self.ask();
        };
        self.without = 0;
        self.sample = sample;
        self.seek(true, around)
    }

    fn seek(self: Box<Self>, exact: bool, around: &Around<'_>) -> Next {
        let question = Question {
            schema: Arc::clone(&self.schema),
            vector: self.sample.clone(),
            k: self.k,
            radius: None,
            exact,
        };
        Querying::for_recall(question, self.ef, self, around)
    }

    /// The neighbours of the sample have been found, first the true ones.
    pub(super) fn took(mut self: Box<Self>, hits: Vec<(Bytes, f32)>, around: &Around<'_>) -> Next {
        let Some(truth) = self.truth.take() else {
            self.truth = Some(hits);
            return self.seek(false, around);
        };
        // Of several at the distance of the last one it does not matter which.
        let farthest = truth.last().map_or(f32::NEG_INFINITY, |(_, distance)| *distance);
        let found = hits.iter().filter(|(_, distance)| *distance <= farthest).count();
        self.found += found.min(truth.len());
        self.wanted += truth.len();
        self.taken += 1;
        self.left -= 1;
        self.ask()
    }

    /// What is known by now.
    pub(super) fn end(self) -> Next {
        let recall = match self.wanted {
            0 => Reply::Null,
            wanted => Reply::Double((self.found as f64 / wanted as f64) as f32),
        };
        let fields = [
            ("recall", recall),
            ("k", Reply::Integer(integer(self.k as u64))),
            ("ef", Reply::Integer(integer(self.ef as u64))),
            ("samples", Reply::Integer(integer(self.taken as u64))),
        ];
        let map = fields.map(|(name, value)| (Reply::Bulk(Bytes::from_static(name.as_bytes())), value));
        Next::Reply(Reply::Map(map.into()))
    }
}
