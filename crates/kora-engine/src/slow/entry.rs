//! What is kept of slow commands, and what workers tell each other of it.

use bytes::Bytes;

use super::events::Events;

/// A command that took long.
#[derive(Clone, Debug)]
pub(crate) struct SlowEntry {
    /// Larger for later ones, of all workers.
    pub(crate) id: u64,
    /// When its reply was complete, in seconds of Unix time.
    pub(crate) at_s: u64,
    pub(crate) took_us: u64,
    pub(crate) words: Vec<Bytes>,
    pub(crate) address: String,
    pub(crate) name: Bytes,
    /// Where it was done.
    pub(crate) place: String,
}

/// What a worker is asked of slow commands.
#[derive(Clone, Debug)]
pub(crate) enum SlowQuestion {
    /// The newest entries, so many.
    Entries(usize),
    /// How many entries there are.
    Count,
    /// Forget the entries.
    ForgetEntries,
    /// What events there were.
    Events,
    /// The same, and forget these, or all if none is named.
    ForgetEvents(Vec<Bytes>),
}

/// What a worker answers.
#[derive(Default)]
pub(crate) struct SlowPart {
    pub(crate) entries: Vec<SlowEntry>,
    pub(crate) count: usize,
    pub(crate) events: Events,
}
