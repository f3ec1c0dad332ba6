//! Where every change ends: it is counted, numbered, and told to the observers.

use crate::outcome::Outcome;

/// Sees every change of one shard's data, in order, once.
///
/// To observe changes, implement this for a plain struct and make it a field of the one that the engine gives its
/// keyspaces: calls are direct, and nothing is made for an observer that does not listen.
pub trait Observer {
    /// True if [`Observer::see`] would do anything. Asked at each change, so it must be cheap.
    fn is_listening(&self) -> bool;

    /// Something became true, as the change of this number.
    fn see(&mut self, sequence: Sequence, outcome: &Outcome<'_>);
}

/// No observer.
impl Observer for () {
    fn is_listening(&self) -> bool {
        false
    }

    fn see(&mut self, _: Sequence, _: &Outcome<'_>) {}
}

/// The number of a change on its shard. The first is 1; 0 means that nothing was ever changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Sequence(pub u64);

/// What is counted of all changes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Bytes of the keys' entries with what they hold, as [`Entry::bytes`](crate::keys::Entry::bytes) counts them.
    pub entry_bytes: u64,
}

/// What a change did to the memory that is held. Only a commit takes it: a change that is not committed is a warning of
/// the compiler where it is not bound to a name, and a panic of debug builds where it is.
#[must_use = "a change is told to observers: hand it to Changes::commit"]
#[derive(Debug)]
pub(crate) struct Changed {
    bytes: i64,
}

/// The end of every change.
pub(crate) struct Changes<O> {
    sequence: Sequence,
    totals: Totals,
    /// Batches that have begun and not ended.
    batches: u32,
    /// The begin of a batch was told, and its end was not.
    is_batch_told: bool,
    pub(crate) observers: O,
}

impl Changed {
    /// A change of what took `before` bytes, and takes `after` now.
    pub(crate) fn between(before: usize, after: usize) -> Changed {
        Changed {
            bytes: after as i64 - before as i64,
        }
    }

    /// A change that no entry's bytes depend on.
    pub(crate) fn elsewhere() -> Changed {
        Changed { bytes: 0 }
    }

    /// Not to be told: nothing that could be seen was changed, or it is a test.
    pub(crate) fn forget(self) -> i64 {
        let bytes = self.bytes;
        std::mem::forget(self);
        bytes
    }
}

#[cfg(debug_assertions)]
impl Drop for Changed {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a change was not committed");
    }
}

impl<O: Observer> Changes<O> {
    pub(crate) fn new(observers: O) -> Changes<O> {
        Changes {
            sequence: Sequence::default(),
            totals: Totals::default(),
            batches: 0,
            is_batch_told: false,
            observers,
        }
    }

    /// The number of the last change.
    pub(crate) fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// A change has been made: counts, numbers and tells it. The outcome is made only if an observer listens.
    #[inline]
    pub(crate) fn commit<'a>(&mut self, changed: Changed, outcome: impl FnOnce() -> Outcome<'a>) {
        self.count(changed);
        self.sequence.0 += 1;
        if self.observers.is_listening() {
            self.tell(&outcome());
        }
    }

    /// Counts a change of which all was told as it was made.
    pub(crate) fn count(&mut self, changed: Changed) {
        self.totals.entry_bytes = self.totals.entry_bytes.wrapping_add_signed(changed.forget());
    }

    /// Whether a batch has begun that has not ended.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.batches > 0
    }

    /// What is committed until the [`Changes::end_batch`] becomes true at once. Batches within a batch are part of it.
    pub(crate) fn begin_batch(&mut self) {
        self.batches += 1;
    }

    pub(crate) fn end_batch(&mut self) {
        self.batches -= 1;
        if self.batches == 0 && std::mem::take(&mut self.is_batch_told) {
            self.observers.see(self.sequence, &Outcome::BatchEnd);
        }
    }

    #[inline(never)]
    fn tell(&mut self, outcome: &Outcome<'_>) {
        if self.batches > 0 && !std::mem::replace(&mut self.is_batch_told, true) {
            self.observers.see(self.sequence, &Outcome::BatchBegin);
        }
        self.observers.see(self.sequence, outcome);
    }
}
