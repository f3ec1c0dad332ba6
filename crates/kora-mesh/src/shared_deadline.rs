//! A deadline that one worker sets and all workers agree on.

use crate::sync::{AtomicU64, Ordering};

/// A deadline. Its owner may move it until it has passed. The first worker that finds it passed marks it, and from then on
/// it has passed for all workers.
///
/// Clocks differ: one worker may see a time pass that another has not reached, and the owner may move the deadline at the same
/// moment. The mark orders these events: either the deadline was moved first, and no worker has seen it pass; or a worker has,
/// and it can't be moved any more. Everything is decided by changes of one atomic number, which are totally ordered, so no
/// stronger memory ordering is needed.
#[derive(Debug)]
pub struct SharedDeadline {
    /// The time, and in the highest bit whether a worker has seen it pass.
    state: AtomicU64,
}

impl SharedDeadline {
    /// A deadline that never passes.
    pub fn new() -> SharedDeadline {
        SharedDeadline {
            state: AtomicU64::new(NEVER),
        }
    }

    /// The time; `u64::MAX` for never.
    pub fn end(&self) -> u64 {
        match self.state.load(Ordering::Relaxed) & !OVER {
            NEVER => u64::MAX,
            end => end,
        }
    }

    /// True if the time has passed by `now`, or a worker has seen it pass.
    pub fn is_over(&self, now: u64) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & OVER == 0 {
            if state == NEVER || state > now {
                return false;
            }
            match self.mark(state, state | OVER) {
                Ok(_) => return true,
                Err(newer) => state = newer,
            }
        }
        true
    }

    /// Moves the deadline; false if it has passed. `u64::MAX` is never; the latest other time is 2⁶³ − 2.
    #[must_use]
    pub fn move_to(&self, end: u64) -> bool {
        let end = match end {
            u64::MAX => NEVER,
            end => end.min(NEVER - 1),
        };
        let mut state = self.state.load(Ordering::Relaxed);
        while state & OVER == 0 {
            match self.mark(state, end) {
                Ok(_) => return true,
                Err(newer) => state = newer,
            }
        }
        false
    }

    /// Lets it pass now, whatever the time; false if it had passed.
    pub fn cut(&self) -> bool {
        self.state.fetch_or(OVER, Ordering::Relaxed) & OVER == 0
    }

    fn mark(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.state
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }
}

impl Default for SharedDeadline {
    fn default() -> SharedDeadline {
        SharedDeadline::new()
    }
}

/// Set when a worker has seen the time pass.
const OVER: u64 = 1 << 63;

/// Stands for no deadline.
const NEVER: u64 = OVER - 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_ends_once_and_for_all() {
        let deadline = SharedDeadline::default();
        assert_eq!(deadline.end(), u64::MAX);
        assert!(!deadline.is_over(u64::MAX));
        assert!(deadline.move_to(20) && deadline.move_to(10));
        assert!(!deadline.is_over(9) && deadline.is_over(10));
        assert!(deadline.is_over(0), "it was seen to be over");
        assert!(!deadline.move_to(u64::MAX) && !deadline.cut());
        assert_eq!(deadline.end(), 10);
    }

    #[test]
    fn it_can_be_cut_and_be_moved_away() {
        let deadline = SharedDeadline::new();
        assert!(deadline.move_to(10) && deadline.move_to(u64::MAX));
        assert_eq!(deadline.end(), u64::MAX);
        assert!(!deadline.is_over(u64::MAX >> 2));
        assert!(deadline.move_to(u64::MAX - 1));
        assert_eq!(deadline.end(), NEVER - 1);
        assert!(deadline.cut() && deadline.is_over(0));
    }
}
