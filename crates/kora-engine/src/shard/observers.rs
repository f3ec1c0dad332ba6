//! Who sees every change of a shard's data.

use kora_keyspace::{Observer, Outcome, Sequence};

use kora_log::order::Chunk;
use std::sync::Arc;

use super::journal::Journal;
use super::notices::Notices;
use super::tracking::TrackingTable;
use super::watches::Watches;
use crate::setup::Setup;

/// A closure that sees every change: for tests, which rebuild the data from what it sees.
pub type Recorder = Box<dyn FnMut(Sequence, &Outcome<'_>)>;

/// The observers of one shard, each a field. A new one is a field here and a reply queue in each method below.
pub(crate) struct ShardObservers {
    pub(super) watches: Watches,
    pub(super) notices: Notices,
    pub(super) tracking: TrackingTable,
    pub(super) journal: Journal,
    pub(super) recorder: Option<Recorder>,
    /// Vectors that are told were there before, under another key: clients hear nothing of them.
    pub(super) is_landing: bool,
}

impl ShardObservers {
    pub(super) fn new(journal: Journal, setup: &Arc<Setup>) -> ShardObservers {
        ShardObservers {
            watches: Watches::default(),
            notices: Notices::new(Arc::clone(setup)),
            tracking: TrackingTable::new(Arc::clone(setup)),
            journal,
            recorder: None,
            is_landing: false,
        }
    }

    /// Whether changes are written down.
    pub(crate) fn set_journal(&mut self, is_on: bool) {
        self.journal.set_on(is_on);
    }

    /// While the data is loaded nothing is told to channels.
    pub(crate) fn set_loading(&mut self, is_loading: bool) {
        self.notices.set_loading(is_loading);
    }

    /// What was written down and is complete.
    pub(crate) fn take_chunk(&mut self) -> Chunk {
        self.journal.take()
    }
}

impl Observer for ShardObservers {
    fn is_listening(&self) -> bool {
        self.journal.is_on()
            || !self.watches.is_empty()
            || self.notices.is_listening()
            || self.tracking.is_listening()
            || self.recorder.is_some()
    }

    fn see(&mut self, sequence: Sequence, outcome: &Outcome<'_>) {
        if self.journal.is_on() {
            self.journal.see(outcome);
        }
        if self.is_landing {
            if let Some(recorder) = &mut self.recorder {
                recorder(sequence, outcome);
            }
            return;
        }
        if !self.watches.is_empty() {
            self.watches.see(outcome);
        }
        if self.notices.is_listening() {
            self.notices.see(outcome);
        }
        if self.tracking.is_listening() {
            self.tracking.see(outcome);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder(sequence, outcome);
        }
    }
}
