//! A counter that all workers change.

use crate::sync::{AtomicU64, Ordering};

/// A count kept by all workers together. A worker that reads it sees what was counted before the last message that it has
/// received was sent; it is one atomic number, so no stronger memory ordering is needed. For counts that seldom change: every
/// change takes the cache line from the other cores.
#[derive(Debug, Default)]
pub struct SharedCounter {
    count: AtomicU64,
}

impl SharedCounter {
    /// A counter at 0.
    pub fn new() -> SharedCounter {
        SharedCounter {
            count: AtomicU64::new(0),
        }
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts from 0 again.
    pub fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
    }

    /// One less.
    ///
    /// # Panics
    /// If there was none.
    pub fn subtract(&self) {
        let before = self.count.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "nothing is taken away that was not counted");
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_counts_up_and_down() {
        let counter = SharedCounter::new();
        counter.add();
        counter.add();
        counter.subtract();
        assert_eq!(counter.get(), 1);
        counter.reset();
        assert_eq!(counter.get(), 0);
    }
}
