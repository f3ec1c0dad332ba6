//! A number that one side keeps up to date and others read when they like.

use crate::sync::{AtomicU64, Ordering};

/// A rough number shared by all workers. Readers may see an older one, but not older than when a thread sent the message
/// that they have read since. A reader that sees a number also sees what its thread had set before.
#[derive(Debug)]
pub struct Gauge {
    value: AtomicU64,
}

impl Gauge {
    /// A gauge that stands at this number.
    pub fn new(value: u64) -> Gauge {
        Gauge {
            value: AtomicU64::new(value),
        }
    }

    /// The number, as of a little while ago.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Moves it. A number that stays is not written: the cache line stays with those who read it.
    pub fn set(&self, value: u64) {
        if self.get() != value {
            self.value.store(value, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_stands_where_it_was_set() {
        let gauge = Gauge::new(3);
        assert_eq!(gauge.get(), 3);
        gauge.set(7);
        gauge.set(7);
        assert_eq!(gauge.get(), 7);
    }
}
