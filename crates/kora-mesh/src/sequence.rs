//! Numbers that no two workers draw twice.

use crate::sync::{AtomicU64, Ordering};

/// A counter shared by all workers; every number is drawn once.
///
/// It numbers the generations of collections: a collection that is dropped and made again is another one, whichever
/// worker made it. Numbers also grow along every chain of messages: if one worker draws, tells another, and that one
/// draws, the second number is larger. Both follow from the counter being one atomic object whose changes have one
/// order, so no stronger memory ordering is needed.
///
/// It has a cache line of its own, since every draw takes the line away from the other workers.
#[derive(Debug)]
#[repr(align(128))]
pub struct Sequence {
    /// The number the next draw returns. Never wraps: at a billion draws a second it lasts 584 years.
    next: AtomicU64,
}

impl Sequence {
    /// A sequence whose first number is `first`.
    pub fn starting_at(first: u64) -> Sequence {
        Sequence {
            next: AtomicU64::new(first),
        }
    }

    /// A sequence whose first number is 1, so that 0 can mean *none*.
    pub fn new() -> Sequence {
        Sequence::starting_at(1)
    }

    /// The number that was drawn last, 0 or the one before the first if none was. It is not older than what was drawn before
    /// a message that the caller has read.
    pub fn last(&self) -> u64 {
        self.next.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Lets the next number be at least this. For a start, before anything is drawn.
    pub fn go_on_from(&self, next: u64) {
        self.next.fetch_max(next, Ordering::Relaxed);
    }

    /// Draws a number.
    pub fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Default for Sequence {
    fn default() -> Sequence {
        Sequence::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_sequence_starts_where_it_was_told() {
        assert_eq!(Sequence::new().next(), 1);
        let sequence = Sequence::starting_at(40);
        assert_eq!([sequence.next(), sequence.next()], [40, 41]);
    }

    #[test]
    fn four_threads_draw_every_number_once_and_each_draws_them_rising() {
        const DRAWS: u64 = 5_000;
        let sequence = Sequence::new();
        let drawn: Vec<Vec<u64>> = thread::scope(|scope| {
            let draw = || (0..DRAWS).map(|_| sequence.next()).collect::<Vec<u64>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(draw)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(drawn.iter().all(|numbers| numbers.is_sorted()));
        let mut all: Vec<u64> = drawn.concat();
        all.sort_unstable();
        assert_eq!(all, (1..=4 * DRAWS).collect::<Vec<u64>>());
    }
}
