//! A flag that is raised once and seen by all workers: stop.

use crate::sync::{AtomicBool, Ordering};

/// A flag that any thread may raise and that is never lowered.
///
/// It wakes no thread. After raising it, the thread rings the [`Doorbell`](crate::Doorbell) of every worker that should see
/// it; and every sleeper checks it in the second look of its [`arm`](crate::Port::arm), or it may sleep through.
#[derive(Debug)]
pub struct Flag {
    raised: AtomicBool,
}

impl Flag {
    /// A flag that is down.
    pub fn new() -> Flag {
        Flag {
            raised: AtomicBool::new(false),
        }
    }

    /// Raises the flag; everything written before is visible to a thread that sees it raised. True for the first call.
    pub fn raise(&self) -> bool {
        !self.raised.swap(true, Ordering::AcqRel)
    }

    /// Whether the flag is up.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

impl Default for Flag {
    fn default() -> Flag {
        Flag::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_raised_flag_stays_up() {
        let flag = Flag::default();
        assert!(!flag.is_raised());
        assert!(flag.raise(), "the first");
        assert!(!flag.raise(), "not the first");
        assert!(flag.is_raised());
    }
}
