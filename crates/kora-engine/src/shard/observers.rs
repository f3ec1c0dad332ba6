//! Who sees every change of a shard's data.

use kora_keyspace::{Observer, Outcome, Sequence};

use super::watches::Watches;

/// A closure that sees every change: for tests, which rebuild the data from what it sees.
pub type Recorder = Box<dyn FnMut(Sequence, &Outcome<'_>)>;

/// The observers of one shard, each a field. A new one is a field here and a line in each method below.
#[derive(Default)]
pub(crate) struct ShardObservers {
    pub(super) watches: Watches,
    pub(super) recorder: Option<Recorder>,
}

impl Observer for ShardObservers {
    fn is_listening(&self) -> bool {
        !self.watches.is_empty() || self.recorder.is_some()
    }

    fn see(&mut self, sequence: Sequence, outcome: &Outcome<'_>) {
        if !self.watches.is_empty() {
            self.watches.see(outcome);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder(sequence, outcome);
        }
    }
}
