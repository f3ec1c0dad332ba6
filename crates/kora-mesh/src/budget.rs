//! One amount that all workers draw on.

use crate::sync::{AtomicU64, Ordering};

/// How much of something there is for all workers together, and how much of it they have taken.
///
/// A worker takes in pieces and counts exactly by itself, so that the shared number is written seldom. It may be exceeded:
/// by as much as two workers take in the same moment.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicU64,
    taken: AtomicU64,
    /// How many large takings are under way, on all workers.
    large: AtomicU64,
}

impl Budget {
    /// Nothing is taken of it.
    pub fn new(limit: u64) -> Budget {
        Budget {
            limit: AtomicU64::new(limit),
            taken: AtomicU64::new(0),
            large: AtomicU64::new(0),
        }
    }

    /// How much there is.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Makes it more or less. What has been taken stays taken.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// What all workers have taken, rounded up to their pieces.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes some.
    pub fn take(&self, amount: u64) {
        self.taken.fetch_add(amount, Ordering::Relaxed);
    }

    /// Gives some back that was taken.
    pub fn give_back(&self, amount: u64) {
        let before = self.taken.fetch_sub(amount, Ordering::Relaxed);
        debug_assert!(before >= amount, "no more is given back than was taken");
    }

    /// How many large takings are under way.
    pub fn large(&self) -> u64 {
        self.large.load(Ordering::Relaxed)
    }

    /// A large taking begins.
    pub fn begin_large(&self) {
        self.large.fetch_add(1, Ordering::Relaxed);
    }

    /// A large taking has ended.
    pub fn end_large(&self) {
        let before = self.large.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "no more end than were begun");
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_whatever_the_limit_is_meanwhile() {
        let budget = Budget::new(100);
        budget.take(80);
        budget.set_limit(50);
        budget.take(10);
        assert_eq!((budget.limit(), budget.taken()), (50, 90));
        budget.give_back(90);
        budget.begin_large();
        budget.end_large();
        assert_eq!((budget.taken(), budget.large()), (0, 0));
    }
}
