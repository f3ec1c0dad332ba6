//! How many there are of something that all workers add to and take from.

use crate::sync::{AtomicU64, Ordering};

/// A count kept by all workers together. Whoever reads it sees what was counted before the last message it has read was
/// sent; it is one atomic number, so no stronger memory ordering is needed. For what seldom changes: every change takes the
/// cache line away from the others.
#[derive(Debug, Default)]
pub struct SharedCounter {
    count: AtomicU64,
}

impl SharedCounter {
    /// A counter of nothing.
    pub fn new() -> SharedCounter {
        SharedCounter {
            count: AtomicU64::new(0),
        }
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
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
    }
}
