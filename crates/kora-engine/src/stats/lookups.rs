//! Reads that found their key, and reads that did not.

use std::cell::Cell;

/// Counts the lookups of commands that read a key; those of commands that write are not counted, as in Redis.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    hits: Cell<u64>,
    misses: Cell<u64>,
}

/// What [`Lookups`] has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LookupCounts {
    /// Reads that found their key, whatever it held.
    pub hits: u64,
    /// Reads that found nothing.
    pub misses: u64,
}

impl Lookups {
    /// A key was looked up to be read.
    pub(crate) fn note(&self, is_there: bool) {
        let count = if is_there { &self.hits } else { &self.misses };
        count.set(count.get() + 1);
    }

    pub(crate) fn counts(&self) -> LookupCounts {
        LookupCounts {
            hits: self.hits.get(),
            misses: self.misses.get(),
        }
    }

    /// Counts from 0 again.
    pub(crate) fn reset(&self) {
        self.hits.set(0);
        self.misses.set(0);
    }
}

impl std::iter::Sum for LookupCounts {
    fn sum<I: Iterator<Item = LookupCounts>>(counts: I) -> LookupCounts {
        counts.fold(LookupCounts::default(), |sum, one| LookupCounts {
            hits: sum.hits + one.hits,
            misses: sum.misses + one.misses,
        })
    }
}
