//! Who sees every change of a shard's data.

use kora_keyspace::{Observer, Outcome, Sequence};

use kora_log::order::Chunk;

use super::journal::Journal;
use super::watches::Watches;

/// A closure that sees every change: for tests, which rebuild the data from what it sees.
pub type Recorder = Box<dyn FnMut(Sequence, &Outcome<'_>)>;

/// The observers of one shard, each a field. A new one is a field here and a reply queue in each method below.
pub(crate) struct ShardObservers {
    pub(super) watches: Watches,
    pub(super) journal: Journal,
    pub(super) recorder: Option<Recorder>,
}

impl ShardObservers {
    pub(super) fn new(journal: Journal) -> ShardObservers {
        ShardObservers {
            watches: Watches::default(),
            journal,
            recorder: None,
        }
    }

    /// Whether changes are written down.
    pub(crate) fn set_journal(&mut self, is_on: bool) {
        self.journal.set_on(is_on);
    }

    /// What was written down and is complete.
    pub(crate) fn take_chunk(&mut self) -> Chunk {
        self.journal.take()
    }
}

impl Observer for ShardObservers {
    fn is_listening(&self) -> bool {
        self.journal.is_on() || !self.watches.is_empty() || self.recorder.is_some()
    }

    fn see(&mut self, sequence: Sequence, outcome: &Outcome<'_>) {
        if self.journal.is_on() {
            self.journal.see(outcome);
        }
        if !self.watches.is_empty() {
            self.watches.see(outcome);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder(sequence, outcome);
        }
    }
}
