//! Which commands took long: SLOWLOG and LATENCY. Each worker keeps those of its own clients; a gather brings them together.

mod entry;
mod events;
mod noting;
mod settings;
mod trail;

use std::collections::VecDeque;

pub(crate) use self::entry::{SlowEntry, SlowPart, SlowQuestion};
pub(crate) use self::events::{EventHistory, Events, Sample};
pub use self::settings::SlowSettings;
pub(crate) use self::trail::{NO_TRAIL, Trail};

/// What one worker knows of slow commands.
#[derive(Default)]
pub(crate) struct Slow {
    /// The words of the commands that came last.
    pub(crate) trail: Trail,
    /// The oldest first. Bounded by `slowlog-max-len`.
    entries: VecDeque<SlowEntry>,
    pub(crate) events: Events,
}

impl Slow {
    /// Keeps an entry, and no more than so many.
    fn keep(&mut self, entry: SlowEntry, entries_max: usize) {
        self.entries.push_back(entry);
        let excess = self.entries.len().saturating_sub(entries_max);
        self.entries.drain(..excess);
    }

    /// The newest entries, the newest first.
    pub(crate) fn newest(&self, count: usize) -> Vec<SlowEntry> {
        self.entries.iter().rev().take(count).cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn forget(&mut self) {
        self.entries.clear();
    }
}
