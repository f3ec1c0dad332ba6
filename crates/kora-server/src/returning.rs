//! How memory goes back to the system that one worker allocated and another one freed.
//!
//! A value is allocated by the worker that reads it and freed by the one whose shard holds it. mimalloc keeps such blocks until
//! the thread that allocated them looks, which an idle one never does. So a worker that has let go of much tells all others,
//! and each of them looks once.

use std::sync::{Arc, OnceLock};

use kora_engine::Engine;
use kora_mesh::{Doorbell, SharedCounter};

/// What gives the calling thread's freed memory back: to be set by the program, which chooses the allocator.
pub static COLLECT_FREED: OnceLock<fn()> = OnceLock::new();

/// One worker's side.
pub(crate) struct Returning {
    /// How often some worker has let go of much.
    rounds: Arc<SharedCounter>,
    /// Those of all workers.
    bells: Arc<[Arc<Doorbell>]>,
    /// The rounds that this worker has looked at.
    seen: u64,
    /// The most that its keys have held since it last told the others.
    held_bytes_max: u64,
    /// When it last told them, in microseconds of the host's clock.
    told_us: u64,
    /// Vectors or whole tables were dropped since then.
    has_dropped: bool,
}

impl Returning {
    pub(crate) fn new(rounds: Arc<SharedCounter>, bells: Arc<[Arc<Doorbell>]>) -> Returning {
        Returning {
            rounds,
            bells,
            seen: 0,
            held_bytes_max: 0,
            told_us: 0,
            has_dropped: false,
        }
    }

    /// Between two turns: notes what the worker holds, and tells the others when it has let go of much.
    pub(crate) fn look(&mut self, engine: &Engine, now_us: u64) {
        let (held_bytes, has_drops) = (engine.entry_bytes(), engine.has_drops());
        self.held_bytes_max = self.held_bytes_max.max(held_bytes);
        self.has_dropped |= has_drops;
        if has_drops || !self.owes(held_bytes) || now_us.saturating_sub(self.told_us) < TELL_US_MIN {
            return;
        }
        (self.held_bytes_max, self.told_us, self.has_dropped) = (held_bytes, now_us, false);
        self.rounds.add();
        for bell in &*self.bells {
            bell.ring();
        }
    }

    /// In how many microseconds the others have to be told, if they have to be.
    pub(crate) fn next_us(&self, engine: &Engine, now_us: u64) -> Option<u64> {
        let due_us = (self.told_us + TELL_US_MIN).saturating_sub(now_us);
        self.owes(engine.entry_bytes()).then_some(due_us)
    }

    /// True if another worker has let go of much since this one last looked.
    pub(crate) fn is_due(&self) -> bool {
        self.rounds.get() != self.seen
    }

    /// Gives back what others have freed of what this worker allocated, if there may be some.
    pub(crate) fn collect_if_due(&mut self) {
        if self.is_due() {
            self.seen = self.rounds.get();
            COLLECT_FREED.get().into_iter().for_each(|collect| collect());
        }
    }

    fn owes(&self, held_bytes: u64) -> bool {
        self.has_dropped || held_bytes + LET_GO_BYTES_MIN <= self.held_bytes_max
    }
}

/// A worker that has let go of so many bytes tells the others: less is not worth half a millisecond of each.
const LET_GO_BYTES_MIN: u64 = 1 << 20;

/// How often one worker tells the others at most, in microseconds: a look takes each up to a millisecond.
const TELL_US_MIN: u64 = 500_000;
