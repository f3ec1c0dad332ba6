//! Where a worker lays what others may read, for as long as it does nothing to it itself.

use crate::sync::{AtomicBool, Ordering, RwLock};

/// A place for one thing, of one owner and any number of readers, none of whom ever waits.
///
/// What lies here can be read by all at once and changed by nobody. Its owner takes it back before he changes it; from the
/// moment he wants it, nobody begins to read, and he has it as soon as those are done who had begun: he asks again until
/// then, and does other things meanwhile. Whoever finds nothing here asks the owner by a message.
///
/// Behind it is a lock that is only ever tried: it gives the memory ordering, and the proof that nothing is read while it is
/// changed.
///
/// In a piece of memory of its own (two lines, which are fetched together): readers on all cores write to it.
#[derive(Debug)]
#[repr(align(128))]
pub struct ReadLease<T> {
    /// Something lies here and is not wanted back. Only a hint, so no ordering is needed: the lock decides.
    is_open: AtomicBool,
    content: RwLock<Option<T>>,
}

impl<T> ReadLease<T> {
    /// An empty one.
    pub fn new() -> ReadLease<T> {
        ReadLease {
            is_open: AtomicBool::new(false),
            content: RwLock::new(None),
        }
    }

    /// The owner lays something here. He gets it back if a reader who came too late is still looking at the empty place.
    ///
    /// # Errors
    /// What was not laid down.
    ///
    /// # Panics
    /// If something lies here.
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

    /// The owner takes back what lies here. None if somebody is reading it: nobody else begins, and it is worth trying again.
    pub fn take(&self) -> Option<T> {
        self.is_open.store(false, Ordering::Relaxed);
        self.content.try_write().ok()?.take()
    }

    /// Reads what lies here. None if there is nothing, or its owner wants it back.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        if !self.is_open.load(Ordering::Relaxed) {
            return None;
        }
        let content = self.content.try_read().ok()?;
        content.as_ref().map(look)
    }

    /// Looks at what lies here, if something does, whether its owner wants it back or not: for checks.
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
