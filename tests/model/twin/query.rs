//! Judging an approximate answer: it may miss a neighbour now and then, and must be right in everything else.

use bytes::Bytes;
use kora_tests::distance::{is_close, naive};
use kora_tests::reply::{Protocol, Value};
use kora_vector::Metric;

/// A query, and everything that could be found.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) metric: Metric,
    /// Whole keys.
    pub(crate) vectors: Vec<(Bytes, Vec<f32>)>,
    pub(crate) vector: Vec<f32>,
    pub(crate) k: usize,
    pub(crate) ef: usize,
    /// Shards that hold a part.
    pub(crate) parts: usize,
}

/// How many of the true neighbours were found, and how many there were.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Recall {
    pub(crate) found: usize,
    pub(crate) wanted: usize,
}

impl Asked {
    /// What is wrong with the reply, or how good it is.
    pub(crate) fn judge(&self, reply: &Value, protocol: Protocol) -> Result<Recall, String> {
        let hits = reply.scored(protocol).ok_or("not keys with distances")?;
        let wanted = self.k.min(self.vectors.len());
        if hits.len() != wanted {
            return Err(format!("{} hits instead of {wanted}", hits.len()));
        }
        for (key, distance) in &hits {
            let Some((_, vector)) = self.vectors.iter().find(|(there, _)| there == key) else {
                return Err(format!("{key:?} is not there"));
            };
            let right = self.distance(vector);
            if !is_close(*distance, right) {
                return Err(format!("{key:?} is at {right}, not {distance}"));
            }
            if self.metric != Metric::InnerProduct && *vector == self.vector && *distance != 0.0 {
                return Err(format!("{key:?} is what was asked for and at {distance}"));
            }
        }
        let in_order = |pair: &[(Bytes, f32)]| pair[0].1.total_cmp(&pair[1].1).then_with(|| pair[0].0.cmp(&pair[1].0));
        if let Some(pair) = hits.windows(2).find(|pair| in_order(pair).is_ge()) {
            return Err(format!("not in order: {pair:?}"));
        }
        let recall = self.recall(&hits, wanted);
        if self.is_exhaustive() {
            if recall.found < recall.wanted {
                return Err(format!("{recall:?}, though every candidate was kept"));
            }
            self.check_ties(&hits)?;
        }
        Ok(recall)
    }

    fn distance(&self, vector: &[f32]) -> f64 {
        naive(self.metric, &self.vector, vector)
    }

    /// True if each shard keeps more candidates than it holds vectors.
    fn is_exhaustive(&self) -> bool {
        (self.ef as f64 / (self.parts as f64).sqrt()).ceil() >= self.vectors.len() as f64
    }

    fn recall(&self, hits: &[(Bytes, f32)], wanted: usize) -> Recall {
        if wanted == 0 {
            return Recall::default();
        }
        let mut distances: Vec<f64> = self.vectors.iter().map(|(_, vector)| self.distance(vector)).collect();
        distances.sort_by(f64::total_cmp);
        let last = distances[wanted - 1];
        let found = hits
            .iter()
            .filter(|(_, distance)| f64::from(*distance) <= last || is_close(*distance, last));
        Recall {
            found: found.count(),
            wanted,
        }
    }

    /// Of equal vectors, those with the smaller keys are found.
    fn check_ties(&self, hits: &[(Bytes, f32)]) -> Result<(), String> {
        let is_hit = |key: &Bytes| hits.iter().any(|(hit, _)| hit == key);
        for (key, vector) in self.vectors.iter().filter(|(key, _)| !is_hit(key)) {
            let mut equals = self.vectors.iter().filter(|(_, other)| other == vector);
            if let Some((worse, _)) = equals.find(|(other, _)| is_hit(other) && other > key) {
                return Err(format!("{worse:?} was found and {key:?}, the same vector, was not"));
            }
        }
        Ok(())
    }
}
