//! A search in a vector set, and how what it found is shown.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::searching::Query;
use super::task::{Begun, Task};
use crate::command::SimilarWish;
use crate::error::ClientError;
use crate::mail::{Hits, Question};

/// A search in a vector set between two slices.
struct SetSearch {
    query: Query,
    /// Bytes of a hit's key in front of the element.
    prefix: usize,
    shape: SimilarShape,
}

/// How what was found is shown.
pub(super) enum SimilarShape {
    /// VSIM
    Similar(SimilarWish),
    /// VLINKS
    Links {
        element: Bytes,
        with_scores: bool,
        count: usize,
    },
}

impl Shard {
    /// Begins to search a set.
    pub(super) fn search_set(
        &mut self,
        question: Question,
        ef: usize,
        shape: SimilarShape,
        now_ms: u64,
        work: &mut Work,
    ) -> Begun<Reply> {
        let search = SetSearch {
            prefix: question.schema.name.len() + 1,
            query: Query::new(Arc::new(question), ef, now_ms),
            shape,
        };
        self.run(search, work)
    }
}

/// What asks a set for the k nearest elements.
pub(super) fn nearest(schema: &Arc<Schema>, vector: Box<[f32]>, k: usize) -> Question {
    Question {
        schema: Arc::clone(schema),
        vector,
        k,
        radius: None,
        own: None,
        exact: false,
        filter: None,
        with_attributes: false,
        with_vectors: false,
        parts: 1,
    }
}

impl Task for SetSearch {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        let Step::Done(found) = self.query.slice(shard, work) else {
            return Step::More;
        };
        let too_large = || {
            let bytes_max = shard.setup.client_bytes_max();
            Reply::Error(ClientError::ReplyTooLarge { bytes_max }.to_string())
        };
        if found.too_many {
            return Step::Done(too_large());
        }
        let reply = self.shape.show(found, self.prefix);
        Step::Done(match shard.setup.too_large(reply.bytes_hint()) {
            Some(_) => too_large(),
            None => reply,
        })
    }

    fn keeps_busy(&self) -> bool {
        self.query.keeps_busy()
    }
}

impl SimilarShape {
    /// The reply. A hit's element stands behind so many bytes of its key.
    fn show(&self, found: Hits, prefix: usize) -> Reply {
        let mut attributes = found.attributes.into_iter();
        let elements = found.hits.into_iter().map(|(key, distance)| Element {
            name: key.slice(prefix..),
            distance,
            attributes: attributes.next().unwrap_or_default(),
        });
        match self {
            SimilarShape::Similar(wish) => show_similar(elements, wish),
            SimilarShape::Links {
                element,
                with_scores,
                count,
            } => {
                let others = elements.filter(|other| other.name != *element).take(*count);
                let level = match with_scores {
                    false => Reply::Array(others.map(|other| Reply::Bulk(other.name)).collect()),
                    true => {
                        // Redis rounds these scores to 32 bits.
                        let score = |other: &Element| Reply::Number(f64::from(other.score() as f32));
                        Reply::Map(
                            others
                                .map(|other| (Reply::Bulk(other.name.clone()), score(&other)))
                                .collect(),
                        )
                    }
                };
                Reply::Array(vec![level])
            }
        }
    }
}

/// An element that was found.
struct Element {
    name: Bytes,
    distance: f32,
    attributes: Bytes,
}

impl Element {
    /// 1 in the same direction, 0 in the opposite one.
    fn score(&self) -> f64 {
        1.0 - f64::from(self.distance) / 2.0
    }
}

fn show_similar(elements: impl Iterator<Item = Element>, wish: &SimilarWish) -> Reply {
    let least = wish.epsilon.map_or(f64::NEG_INFINITY, |epsilon| 1.0 - epsilon);
    let elements = elements.take_while(|element| element.score() >= least);
    let text = |element: &Element| match element.attributes.is_empty() {
        true => Reply::Null,
        false => Reply::Bulk(element.attributes.clone()),
    };
    let score = |element: &Element| Reply::Number(element.score());
    let name = |element: &Element| Reply::Bulk(element.name.clone());
    match (wish.with_scores, wish.with_attributes) {
        (false, false) => Reply::Array(elements.map(|element| name(&element)).collect()),
        (true, false) => Reply::Map(elements.map(|element| (name(&element), score(&element))).collect()),
        (false, true) => Reply::Map(elements.map(|element| (name(&element), text(&element))).collect()),
        (true, true) => {
            let row = |element: Element| [name(&element), score(&element), text(&element)];
            Reply::MapOfPairs(elements.map(row).collect())
        }
    }
}
