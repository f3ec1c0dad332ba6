//! Judging an approximate answer: it may miss a neighbour now and then, and must be right in everything else.

use bytes::Bytes;
use kora_tests::distance::{is_close, naive};
use kora_tests::reply::{Protocol, Value};
use kora_vector::Metric;

use super::form::Form;

/// A query, and everything that could be found.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) metric: Metric,
    /// In which form the vectors are kept, and the one asked for was.
    pub(crate) forms: [Form; 2],
    /// Some vectors may have been kept in a coarser form before: then equal ones may differ.
    pub(crate) is_mixed: bool,
    /// Whole keys.
    pub(crate) vectors: Vec<(Bytes, Vec<f32>)>,
    pub(crate) vector: Vec<f32>,
    pub(crate) k: usize,
    /// Neighbours that are left out before those.
    pub(crate) offset: usize,
    /// Keys that are left out, of vectors that may be among `vectors`.
    pub(crate) without: Vec<Bytes>,
    pub(crate) ef: usize,
    pub(crate) radius: Option<f32>,
    pub(crate) with_info: bool,
    /// Only vectors that pass a filter are meant: `vectors` are those.
    pub(crate) is_filtered: bool,
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
        let (reply, is_exact) = self.open(reply)?;
        let hits = reply.scored(protocol).ok_or("not keys with distances")?;
        let wanted = self.wanted();
        if self.radius.is_none() && hits.len() != wanted {
            return Err(format!("{} hits instead of {wanted}", hits.len()));
        }
        if hits.len() > self.k
            || hits
                .iter()
                .any(|(_, distance)| *distance > self.radius.unwrap_or(f32::INFINITY))
        {
            return Err(format!("more than {} hits, or farther than {:?}", self.k, self.radius));
        }
        for (key, distance) in &hits {
            let Some((_, vector)) = self.candidates().find(|(there, _)| there == key) else {
                return Err(format!("{key:?} is not there"));
            };
            let right = self.distance(vector);
            if !self.is_near(*distance, vector) {
                return Err(format!("{key:?} is at {right}, not {distance}"));
            }
            let is_exact = self.forms.iter().all(|form| form.is_exact());
            if is_exact && self.metric != Metric::InnerProduct && *vector == self.vector && *distance != 0.0 {
                return Err(format!("{key:?} is what was asked for and at {distance}"));
            }
        }
        let in_order = |pair: &[(Bytes, f32)]| pair[0].1.total_cmp(&pair[1].1).then_with(|| pair[0].0.cmp(&pair[1].0));
        if let Some(pair) = hits.windows(2).find(|pair| in_order(pair).is_ge()) {
            return Err(format!("not in order: {pair:?}"));
        }
        let recall = self.recall(&hits, wanted);
        if self.is_exhaustive() || is_exact {
            if recall.found < recall.wanted {
                return Err(format!("{recall:?}, though every candidate was kept"));
            }
            // With an offset the first of equal ones may be left out.
            if !self.is_mixed && self.offset == 0 {
                self.check_ties(&hits)?;
            }
        }
        Ok(recall)
    }

    /// The hits, and whether they are said to be exact.
    fn open<'a>(&self, reply: &'a Value) -> Result<(&'a Value, bool), String> {
        if !self.with_info {
            return Ok((reply, false));
        }
        let Some([hits, info]) = reply.items() else {
            return Err("not hits with what they cost".to_owned());
        };
        let number = |name: &str| match info.field(name) {
            Some(Value::Integer(number)) => Ok(*number as usize),
            other => Err(format!("{name} is {other:?}")),
        };
        let (distances, rounds) = (number("distances")?, number("rounds")?);
        number("nodes")?;
        number("astray")?;
        let is_exact = match info.field("mode").and_then(Value::bytes).map(|mode| mode.as_ref()) {
            Some(b"exact") => true,
            Some(b"approximate") => false,
            other => return Err(format!("the mode is {other:?}")),
        };
        if self.is_filtered && rounds > 0 && number("matches")? != self.vectors.len() {
            return Err(format!("{} pass, {info:?}", self.vectors.len()));
        }
        if is_exact && rounds > 0 && distances < self.vectors.len() {
            return Err(format!("exact with {distances} distances over {}", self.vectors.len()));
        }
        Ok((hits, is_exact))
    }

    /// How many neighbours are returned, if none is nearly at the radius.
    pub(crate) fn wanted(&self) -> usize {
        self.k.min(self.within().saturating_sub(self.offset))
    }

    /// How many vectors are surely within the radius.
    fn within(&self) -> usize {
        let Some(radius) = self.radius else {
            return self.candidates().count();
        };
        let vectors = self.candidates().map(|(_, vector)| vector);
        vectors
            .filter(|vector| self.distance(vector) <= f64::from(radius) && !self.is_near(radius, vector))
            .count()
    }

    /// Those that may be returned.
    fn candidates(&self) -> impl Iterator<Item = &(Bytes, Vec<f32>)> {
        self.vectors.iter().filter(|(key, _)| !self.without.contains(key))
    }

    fn distance(&self, vector: &[f32]) -> f64 {
        naive(self.metric, &self.vector, vector)
    }

    /// True if this may be the distance of a vector, in the form in which it is kept.
    fn is_near(&self, distance: f32, vector: &[f32]) -> bool {
        let right = self.distance(vector);
        is_close(distance, right) || (f64::from(distance) - right).abs() <= self.error(vector)
    }

    /// How far the distance of this vector may be off.
    fn error(&self, vector: &[f32]) -> f64 {
        let [form, center_form] = self.forms;
        let error = form.distance_error(self.metric, vector, &self.vector)
            + center_form.distance_error(self.metric, &self.vector, vector);
        // Both at once: the product of two errors comes on top.
        1.1 * error
    }

    /// True if each shard keeps more candidates than it holds vectors.
    fn is_exhaustive(&self) -> bool {
        (self.ef as f64 / (self.parts as f64).sqrt()).ceil() >= self.vectors.len() as f64
    }

    fn recall(&self, hits: &[(Bytes, f32)], wanted: usize) -> Recall {
        if wanted == 0 {
            return Recall::default();
        }
        let mut distances: Vec<f64> = self.candidates().map(|(_, vector)| self.distance(vector)).collect();
        distances.sort_by(f64::total_cmp);
        let error = self
            .candidates()
            .map(|(_, vector)| self.error(vector))
            .fold(0.0, f64::max);
        let last = distances[self.offset + wanted - 1] + error;
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
        for (key, vector) in self.candidates().filter(|(key, _)| !is_hit(key)) {
            let mut equals = self.candidates().filter(|(_, other)| other == vector);
            if let Some((worse, _)) = equals.find(|(other, _)| is_hit(other) && other > key) {
                return Err(format!("{worse:?} was found and {key:?}, the same vector, was not"));
            }
        }
        Ok(())
    }
}
