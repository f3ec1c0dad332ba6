//! How a sleeping worker is woken, and why no wake-up is lost.
//!
//! Waking a worker that sleeps in epoll costs a write to an eventfd, about a microsecond; waking one that is awake is
//! waste. So a worker says when it is about to sleep, and others ring only then.
//!
//! ```text
//!   sleeper                                     ringer
//!   S1  register the waker                      R1  put the work where the sleeper looks
//!   S2  raise `armed`                           R2  fence(SeqCst)
//!   S3  fence(SeqCst)                           R3  if `armed` is up: lower it and wake
//!   S4  look for work once more; sleep only if there is none
//! ```
//!
//! **No wake-up is lost.** The two fences have one order that all threads agree on. If R2 comes before S3, the second
//! look S4 sees the work of R1 and the sleeper stays up. If S3 comes before R2, then R3 sees `armed` up, or lowered
//! since: by another ringer, who wakes the sleeper, or by the sleeper itself, who is up again. And whoever lowers the
//! flag that S2 raised finds the waker of S1, because the flag is raised with release and lowered with acquire.
//!
//! A ringer may be late: it lowers the flag, and before it wakes, the sleeper is up for another reason and arms again.
//! Then it takes the newer waker and wakes with that; the sleeper is polled once for nothing and arms once more.
//!
//! **At most one wake per sleep**: only the ringer that lowers the flag wakes. None while the worker is awake.
//!
//! **Everything that may end a sleep belongs to S4**, not only the rings: a stop flag, an intake queue, a local queue.
//! What is left out there will one day be slept through.

use std::task::Waker;

use crate::sync::{AtomicBool, AtomicWaker, Ordering, fence};

/// The bell of one worker. Any thread may ring it, only its worker arms it.
///
/// Aligned to 128 bytes, two cache lines, since processors fetch lines in pairs: other workers read `armed` after every
/// flush, and must not lose the line to a neighbour's writes.
#[derive(Debug)]
#[repr(align(128))]
pub struct Doorbell {
    /// Whether the worker sleeps, or is about to, and wants to be woken.
    ///
    /// Invariant: raised by the worker only, and only after `waker` holds its waker.
    ///
    /// Every change is a swap, so that all changes form one chain and each sees the one before. Plain stores by the
    /// worker would do as well, but loom does not order a store against a swap it raced with, and raises false alarms.
    armed: AtomicBool,
    waker: AtomicWaker,
}

/// The answer to a worker that wants to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a worker that sleeps without looking at the answer may sleep through its work"]
pub enum Armed {
    /// Nothing waits. The worker may park: new work from now on rings.
    Park,
    /// Work came at the last moment. The bell is disarmed again; take another turn.
    Stay,
}

impl Doorbell {
    /// A bell that is not armed.
    pub fn new() -> Doorbell {
        Doorbell {
            armed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Prepares for sleep: from now on a ringer wakes `waker`, unless `work_waits` finds something on the second look.
    ///
    /// `work_waits` must look at everything that may end the sleep.
    pub fn arm(&self, waker: &Waker, work_waits: impl FnOnce() -> bool) -> Armed {
        register(&self.waker, waker);
        self.armed.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        // Look once more after raising the flag. Without the second look a request pushed between "empty" and "armed"
        // would sleep with us: its sender saw no flag and rang no bell.
        if work_waits() {
            self.disarm();
            return Armed::Stay;
        }
        Armed::Park
    }

    /// Tells the others that the worker is up. Called by the worker at the start of a turn; not needed for correctness,
    /// but without it others ring for nothing.
    pub fn disarm(&self) {
        if self.armed.load(Ordering::Relaxed) {
            self.armed.swap(false, Ordering::AcqRel);
        }
    }

    /// Wakes the worker if it sleeps; returns whether it was woken. Call it after the work was put in place.
    pub fn ring(&self) -> bool {
        fence_before_ringing();
        self.ring_after_fence()
    }

    /// As [`ring`](Doorbell::ring), for a caller that rings many bells after one fence.
    pub(crate) fn ring_after_fence(&self) -> bool {
        // The plain load first: an awake worker's flag stays shared in every cache, and a swap would take it away.
        if !self.armed.load(Ordering::Relaxed) || !self.armed.swap(false, Ordering::AcqRel) {
            return false;
        }
        self.waker.wake();
        true
    }
}

impl Default for Doorbell {
    fn default() -> Doorbell {
        Doorbell::new()
    }
}

/// The fence R2, between putting work in place and reading `armed`.
pub(crate) fn fence_before_ringing() {
    fence(Ordering::SeqCst);
}

#[cfg(not(loom))]
fn register(slot: &AtomicWaker, waker: &Waker) {
    slot.register(waker);
}

#[cfg(loom)]
fn register(slot: &AtomicWaker, waker: &Waker) {
    slot.register_by_ref(waker);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Counted {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_bell_that_is_not_armed_wakes_nobody() {
        assert!(!Doorbell::default().ring());
    }

    #[test]
    fn an_armed_bell_wakes_once_per_sleep() {
        let woken = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&woken));
        let bell = Doorbell::new();
        for sleep in 1..=3 {
            assert_eq!(bell.arm(&waker, || false), Armed::Park);
            assert!(bell.ring());
            assert!(!bell.ring());
            assert_eq!(woken.count(), sleep);
        }
    }

    #[test]
    fn work_at_the_last_moment_keeps_the_worker_up_and_the_bell_silent() {
        let woken = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&woken));
        let bell = Doorbell::new();
        assert_eq!(bell.arm(&waker, || true), Armed::Stay);
        assert!(!bell.ring());
        assert_eq!(woken.count(), 0);
    }

    #[test]
    fn a_worker_that_got_up_by_itself_is_not_rung() {
        let bell = Doorbell::new();
        assert_eq!(bell.arm(Waker::noop(), || false), Armed::Park);
        bell.disarm();
        assert!(!bell.ring());
    }

    #[test]
    fn the_newest_waker_is_the_one_woken() {
        let (old, new) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
        let bell = Doorbell::new();
        assert_eq!(bell.arm(&Waker::from(Arc::clone(&old)), || false), Armed::Park);
        assert_eq!(bell.arm(&Waker::from(Arc::clone(&new)), || false), Armed::Park);
        assert!(bell.ring());
        assert_eq!((old.count(), new.count()), (0, 1));
    }
}
