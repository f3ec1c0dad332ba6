//! A value that is replaced whole: every worker reads the newest one without a lock.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

/// A value that is read often and replaced seldom, such as the server's settings.
///
/// A reader never waits. Two threads that replace it do so one after the other, each from what the other has left.
#[derive(Debug)]
pub struct Latest<T> {
    value: ArcSwap<T>,
    /// Held while the next value is made and published.
    replacing: Mutex<()>,
}

impl<T> Latest<T> {
    /// This value, until it is replaced.
    pub fn new(value: T) -> Latest<T> {
        Latest {
            value: ArcSwap::from_pointee(value),
            replacing: Mutex::new(()),
        }
    }

    /// The newest value. Keep it no longer than one piece of work takes: it may be replaced meanwhile.
    pub fn get(&self) -> Arc<T> {
        self.value.load_full()
    }

    /// Replaces the value by what `next` makes of it, unless `next` refuses. What `next` does elsewhere is done in the
    /// order in which the values follow one another.
    pub fn replace<E>(&self, next: impl FnOnce(&T) -> Result<T, E>) -> Result<(), E> {
        // A panic in `next` has left the value as it was.
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        self.value.store(Arc::new(next(&self.value.load())?));
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_replacement_is_lost_and_a_refusal_changes_nothing() {
        let latest = Latest::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        latest.replace(|number| Ok::<_, ()>(number + 1)).unwrap();
                    }
                });
            }
        });
        assert_eq!(latest.replace(|_| Err("no")), Err("no"));
        assert_eq!(*latest.get(), 1000);
    }
}
