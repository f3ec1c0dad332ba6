//! What the workers and the log's thread tell each other.
//!
//! A worker draws a stamp for each frame of the log from one sequence, which gives all frames one order. Everything else here is
//! a gauge: one thread moves it and the others look when they like. A worker looks once a turn.

use crate::gauge::Gauge;
use crate::sequence::Sequence;

/// Shared by all workers and the log's thread.
#[derive(Debug)]
pub struct Durability {
    /// Numbers the frames of the log.
    pub stamps: Sequence,
    /// Numbers the values that go from one shard to another. No run draws a number that an earlier one drew: it goes on
    /// from the stamps.
    pub transfers: Sequence,
    /// Everything up to this stamp is safe on disk. Moved by the log's thread.
    pub durable: Gauge,
    /// A client waits until everything up to this stamp is safe, whatever `appendfsync` says (WAITAOF). Two clients that ask at
    /// the same moment may overwrite each other's, so each asks again until it has its wish.
    pub sync_wanted: Gauge,
    /// What the workers are to do: a [`Phase`].
    phase: Gauge,
    /// Which phase each worker has seen, as a number.
    seen: Box<[Gauge]>,
    /// Bytes that were loaded, and of how many.
    pub loaded_bytes: Gauge,
    /// Bytes there are to load.
    pub load_bytes: Gauge,
    /// When loading began, in seconds of Unix time.
    pub loading_since_s: Gauge,
    /// 0 while writing succeeds; else a [`Trouble`].
    pub trouble: Gauge,
    /// How much each worker has changed since the server started.
    pub changes: Box<[Gauge]>,
    /// Bytes of records that each worker has handed to the log's thread.
    pub handed_bytes: Box<[Gauge]>,
    /// How many of them are written.
    pub written_bytes: Gauge,
    /// What is to be told of the log and of snapshots.
    pub told: Told,
}

/// What INFO and LASTSAVE tell.
#[derive(Debug)]
pub struct Told {
    /// 1 if there is a directory to save to.
    pub has_directory: Gauge,
    /// 1 if the log is on for good.
    pub is_log_on: Gauge,
    /// When the last snapshot was complete, in seconds of Unix time; the start if there was none.
    pub saved_s: Gauge,
    /// What the workers had changed when it began: what they changed since is changed since the last snapshot.
    pub saved_changes: Gauge,
    /// How long the last one took, in seconds, plus 1; 0 if there was none.
    pub save_took_s: Gauge,
    /// When the one under way began, in seconds of Unix time; 0 if none is.
    pub saving_since_s: Gauge,
    /// 1 if the last one failed.
    pub save_failed: Gauge,
    /// How many were completed.
    pub saves: Gauge,
    /// How many ended, one way or the other.
    pub saves_ended: Gauge,
    /// Bytes of the last one.
    pub snapshot_bytes: Gauge,
    /// Bytes of the log since it.
    pub log_bytes: Gauge,
    /// Syncs so far.
    pub syncs: Gauge,
    /// How long the longest took, in microseconds.
    pub sync_us_max: Gauge,
    /// Blocks written so far.
    pub blocks: Gauge,
    /// Bytes handed over and not written yet.
    pub waiting_bytes: Gauge,
}

/// What the workers are to do, as one word: they never see a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// The data is being loaded: commands are refused, and nothing expires.
    pub is_loading: bool,
    /// Changes are to be written down.
    pub is_journal_on: bool,
    /// The number of the snapshot that shards are to be captured for; 0 if none is being taken.
    pub capture: u64,
}

/// Why writing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no space left.
    Full = 1,
    /// Another error of writing.
    Write = 2,
    /// A sync failed: a new snapshot has to be safe first.
    Sync = 3,
    /// The last snapshot failed, and there are save points.
    Snapshot = 4,
}

impl Durability {
    /// Nothing is on, and the next stamp is 1.
    pub fn new(workers: usize) -> Durability {
        let zero = || Gauge::new(0);
        Durability {
            stamps: Sequence::new(),
            transfers: Sequence::new(),
            durable: zero(),
            sync_wanted: zero(),
            phase: zero(),
            seen: (0..workers).map(|_| zero()).collect(),
            loaded_bytes: zero(),
            load_bytes: zero(),
            loading_since_s: zero(),
            trouble: zero(),
            changes: (0..workers).map(|_| zero()).collect(),
            handed_bytes: (0..workers).map(|_| zero()).collect(),
            written_bytes: zero(),
            told: Told {
                has_directory: zero(),
                is_log_on: zero(),
                saved_s: zero(),
                saved_changes: zero(),
                save_took_s: zero(),
                saving_since_s: zero(),
                save_failed: zero(),
                saves: zero(),
                saves_ended: zero(),
                snapshot_bytes: zero(),
                log_bytes: zero(),
                syncs: zero(),
                sync_us_max: zero(),
                blocks: zero(),
                waiting_bytes: zero(),
            },
        }
    }

    /// What the workers are to do.
    pub fn phase(&self) -> Phase {
        Phase::of_word(self.phase.get())
    }

    /// What a worker does.
    pub fn seen_by(&self, worker: usize) -> Phase {
        Phase::of_word(self.seen[worker].get())
    }

    /// Tells the workers what to do. Their bells have to be rung.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.set(phase.word());
    }

    /// The same as a worker sees it, which does it from now on.
    pub fn look(&self, worker: usize) -> Phase {
        let phase = self.phase();
        self.seen[worker].set(phase.word());
        phase
    }

    /// Whether every worker does what it was last told.
    pub fn is_seen_by_all(&self) -> bool {
        let word = self.phase.get();
        self.seen.iter().all(|seen| seen.get() == word)
    }

    /// How much all workers have changed since the server started.
    pub fn changes(&self) -> u64 {
        self.changes.iter().map(Gauge::get).sum()
    }

    /// Why writing fails; none while it succeeds.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.trouble.get() {
            1 => Some(Trouble::Full),
            2 => Some(Trouble::Write),
            3 => Some(Trouble::Sync),
            4 => Some(Trouble::Snapshot),
            _ => None,
        }
    }

    /// Whether the log itself can't be written; a snapshot that failed is no reason not to send replies.
    pub fn is_log_failing(&self) -> bool {
        matches!(self.trouble(), Some(Trouble::Full | Trouble::Write | Trouble::Sync))
    }
}

impl Phase {
    fn of_word(word: u64) -> Phase {
        Phase {
            is_loading: word & 1 != 0,
            is_journal_on: word & 2 != 0,
            capture: word >> 2,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.is_loading) | u64::from(self.is_journal_on) << 1 | self.capture << 2
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_seen_by_all_when_each_has_looked() {
        let durability = Durability::new(2);
        assert_eq!(durability.look(0), Phase::default());
        let phase = Phase {
            is_journal_on: true,
            capture: 7,
            ..Phase::default()
        };
        durability.set_phase(phase);
        assert_eq!(durability.look(1), phase);
        assert!(!durability.is_seen_by_all());
        assert_eq!(durability.look(0), phase);
        assert!(durability.is_seen_by_all());
        assert_eq!(durability.trouble(), None);
        durability.trouble.set(Trouble::Sync as u64);
        assert_eq!(durability.trouble(), Some(Trouble::Sync));
    }
}
