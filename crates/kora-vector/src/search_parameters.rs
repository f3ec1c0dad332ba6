//! What a search is to find.

use crate::limits::{EF_MAX, K_MAX};

/// What a search is to find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchParameters {
    /// So many nearest are wanted.
    pub k: usize,
    /// So many candidates a walk keeps on average. It may be fewer than `k`: then at least `ef` are found.
    pub ef: usize,
    /// So many of the k nearest are expected in this index: fewer than `k` if it is one of several parts, of which the k
    /// nearest of all are sought. That much of the answer is as good as it is for one that is whole, and what comes behind
    /// is what was met on the way.
    pub expected: usize,
    /// What is farther than this is left out: the answer is what lies within it, `k` at most.
    pub radius: f32,
}

impl SearchParameters {
    /// The `k` nearest, wherever they are, all of them in this index.
    pub fn nearest(k: usize, ef: usize) -> SearchParameters {
        SearchParameters {
            k,
            ef,
            expected: k,
            radius: f32::INFINITY,
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
