//! From which time on a command is slow.

use kora_mesh::{Gauge, Sequence};

/// What CONFIG says of slow commands, as all workers read it.
#[derive(Debug)]
pub struct SlowSettings {
    /// Numbers the entries of SLOWLOG, from 0 on.
    pub(crate) ids: Sequence,
    /// Microseconds from which on a command is entered into SLOWLOG; `u64::MAX` if none is.
    pub(crate) slower_us: Gauge,
    /// Entries that are kept.
    pub(crate) entries_max: Gauge,
    /// Milliseconds from which on a command is an event of LATENCY; 0 if none is.
    event_ms: Gauge,
    /// Microseconds from which on a command is one or the other: looked at for each command.
    noted_us: Gauge,
}

impl Default for SlowSettings {
    /// Nothing is noted.
    fn default() -> SlowSettings {
        SlowSettings {
            ids: Sequence::starting_at(0),
            slower_us: Gauge::new(u64::MAX),
            entries_max: Gauge::new(0),
            event_ms: Gauge::new(0),
            noted_us: Gauge::new(u64::MAX),
        }
    }
}

impl SlowSettings {
    /// Commands are entered into SLOWLOG from so many microseconds on, if any are, and are events from so many milliseconds
    /// on, unless that is 0.
    pub fn set(&self, slower_us: Option<u64>, entries_max: u64, event_ms: u64) {
        self.slower_us.set(slower_us.unwrap_or(u64::MAX));
        self.entries_max.set(entries_max);
        self.event_ms.set(event_ms);
        self.noted_us.set(self.slower_us.get().min(self.event_us()));
    }

    pub(crate) fn noted_us(&self) -> u64 {
        self.noted_us.get()
    }

    /// True if words of commands are wanted.
    pub(crate) fn is_logging(&self) -> bool {
        self.slower_us.get() != u64::MAX
    }

    pub(crate) fn event_us(&self) -> u64 {
        match self.event_ms.get() {
            0 => u64::MAX,
            ms => ms.saturating_mul(1000),
        }
    }

    pub(crate) fn event_ms(&self) -> u64 {
        self.event_ms.get()
    }
}
