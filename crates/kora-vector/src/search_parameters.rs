//! The parameters of a search.

use crate::hit::Slot;
use crate::limits::{EF_MAX, K_MAX};

/// The parameters of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchParameters {
    /// The number of nearest vectors to return.
    pub k: usize,
    /// The number of candidates that a walk keeps on average. It may be smaller than `k`: then at least `ef` are found.
    pub ef: usize,
    /// How many of the k nearest are expected in this index: fewer than `k` if it is one part of a collection. The walk ends
    /// when it has found so many with the recall of a whole index; further hits are those that it met on the way.
    pub expected: usize,
    /// Vectors farther than this are left out.
    pub radius: f32,
    /// The vector in this slot is measured in any case, if it may be returned: it stands among the hits wherever it belongs.
    pub also: Option<Slot>,
}

impl SearchParameters {
    /// The `k` nearest, at any distance, all of them expected in this index.
    pub fn nearest(k: usize, ef: usize) -> SearchParameters {
        SearchParameters {
            k,
            ef,
            expected: k,
            radius: f32::INFINITY,
            also: None,
        }
    }

    /// Panics if a number is 0 or beyond its limit.
    pub(crate) fn check(&self) {
        let SearchParameters { k, ef, expected, .. } = *self;
        assert!((1..=K_MAX).contains(&k), "k {k}");
        assert!((1..=EF_MAX).contains(&ef), "ef {ef}");
        assert!((1..=k).contains(&expected), "{expected} expected of {k}");
    }
}
