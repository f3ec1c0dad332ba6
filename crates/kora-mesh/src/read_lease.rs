//! A lease by which other workers read data in place while its owner does not change it.

use crate::sync::{AtomicBool, Ordering, RwLock};

/// Holds one thing for one owner and any number of readers, none of which ever waits.
///
/// While data is here, all workers may read it at the same time and none may change it. The owner takes it back before it
/// changes it. From its first attempt on no read begins; it succeeds when the running reads have ended, and the owner retries
/// until then and does other work meanwhile. A reader that finds nothing here sends the owner a message.
///
/// Inside is a lock that is only tried, never waited for. It provides the memory ordering, and excludes reads during changes.
///
/// Aligned to 128 bytes (two cache lines that are fetched together), because readers on all cores write to it.
#[derive(Debug)]
#[repr(align(128))]
pub struct ReadLease<T> {
    /// Data is here and the owner does not want it back. Only a hint, so no ordering is needed: the lock decides.
    is_open: AtomicBool,
    content: RwLock<Option<T>>,
}

impl<T> ReadLease<T> {
    /// An empty lease.
    pub fn new() -> ReadLease<T> {
        ReadLease {
            is_open: AtomicBool::new(false),
            content: RwLock::new(None),
        }
    }

    /// The owner grants the lease. It fails if a late reader is still inspecting the empty lease.
    ///
    /// # Errors
    /// The content, unchanged.
    ///
    /// # Panics
    /// If there is content already.
    pub fn put(&self, content: T) -> Result<(), T> {
        let Ok(mut place) = self.content.try_write() else {
            return Err(content);
        };
        let before = place.replace(content);
        assert!(before.is_none(), "its owner has one thing to lay down");
        drop(place);
        self.is_open.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The owner takes the content back. None while a reader uses it: no other read begins, so the owner tries again.
    pub fn take(&self) -> Option<T> {
        self.is_open.store(false, Ordering::Relaxed);
        self.content.try_write().ok()?.take()
    }

    /// Reads the content. None if there is none, or if its owner wants it back.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        if !self.is_open.load(Ordering::Relaxed) {
            return None;
        }
        let content = self.content.try_read().ok()?;
        content.as_ref().map(look)
    }

    /// Reads the content, if there is any, even if its owner wants it back: for checks.
    pub fn inspect<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.content.try_read().ok()?.as_ref().map(look)
    }
}

impl<T> Default for ReadLease<T> {
    fn default() -> ReadLease<T> {
        ReadLease::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_back_is_read_to_the_end_and_by_nobody_new() {
        let lease = ReadLease::default();
        assert_eq!(lease.read(|number| *number), None);
        assert_eq!(lease.take(), None);
        lease.put(7).expect("nobody reads");
        let seen = lease.read(|number| {
            assert_eq!(lease.take(), None, "somebody reads");
            assert_eq!(lease.read(|number: &i32| *number), None, "it is wanted");
            assert_eq!(lease.inspect(|number| *number), Some(7));
            *number
        });
        assert_eq!((seen, lease.take(), lease.take()), (Some(7), Some(7), None));
        lease.put(8).expect("nobody reads");
        assert_eq!(lease.read(|number| *number), Some(8));
    }

    #[test]
    #[should_panic(expected = "one thing")]
    fn nothing_is_laid_over_another() {
        let lease = ReadLease::new();
        let _ = lease.put(1);
        let _ = lease.put(2);
    }
}
