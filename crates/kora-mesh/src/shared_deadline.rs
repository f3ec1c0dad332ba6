//! An end that one side sets and all see come, once and for all.

use crate::sync::{AtomicU64, Ordering};

/// When something ends. One side may move the end, as long as it has not come; whoever finds that it has come marks that,
/// and from then on it is over for everybody.
///
/// Clocks differ: one worker may see a time come that another has not reached, and the owner may move the end in the same
/// moment. The mark makes one order of that: either the end was moved first, and nobody has seen it come; or somebody has,
/// and it can't be moved any more. All is decided by changes of one atomic number, which have one order, so no stronger
/// memory ordering is needed.
#[derive(Debug)]
pub struct SharedDeadline {
    /// The end, and in the highest bit whether somebody has seen it come.
    state: AtomicU64,
}

impl SharedDeadline {
    /// One that never ends.
    pub fn new() -> SharedDeadline {
        SharedDeadline {
            state: AtomicU64::new(NEVER),
        }
    }

    /// When it ends or ended; `u64::MAX` for never.
    pub fn end(&self) -> u64 {
        match self.state.load(Ordering::Relaxed) & !OVER {
            NEVER => u64::MAX,
            end => end,
        }
    }

    /// True if the end has come by `now`, or somebody has seen it come.
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

    /// Moves the end, unless it has come: false then. `u64::MAX` is never; of other times 2⁶³ − 2 is the latest.
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

    /// Ends it now, whatever the time; false if it was over.
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

/// Set when the end was seen to have come.
const OVER: u64 = 1 << 63;

/// Stands for no end.
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
