//! What workers tell each other of their evictions: who has the best victim, and what the largest waiting command needs.

use std::sync::Arc;

use kora_mesh::{Doorbell, Gauge};

/// What a worker tells the others of what it could let go.
pub(crate) struct Claim {
    /// How good its best victim is, and one; 0 if nothing of its data may go or comes back by itself.
    rank: Gauge,
    /// Bytes that the largest of its commands needs that wait for memory.
    needed: Gauge,
    bell: Arc<Doorbell>,
}

impl Claim {
    pub(crate) fn new(bell: &Arc<Doorbell>) -> Claim {
        Claim {
            rank: Gauge::new(0),
            needed: Gauge::new(0),
            bell: Arc::clone(bell),
        }
    }
}

/// One worker's view of all claims.
#[derive(Clone)]
pub(crate) struct Claims {
    all: Arc<[Claim]>,
    own: usize,
}

impl Claims {
    pub(crate) fn new(all: &Arc<[Claim]>, own: usize) -> Claims {
        Claims {
            all: Arc::clone(all),
            own,
        }
    }

    /// Tells what this worker could let go: nothing, or a victim of this rank at best.
    pub(crate) fn tell(&self, rank: Option<u64>) {
        self.all[self.own].rank.set(rank.map_or(0, |rank| rank + 1));
    }

    /// Tells what the largest waiting command of this worker needs, in bytes; 0 if none waits.
    pub(crate) fn tell_needed(&self, needed: u64) {
        let told = &self.all[self.own].needed;
        if told.get() != needed {
            told.set(needed);
        }
    }

    /// What the largest waiting command of all workers needs, in bytes.
    pub(crate) fn most_needed(&self) -> u64 {
        self.all.iter().map(|claim| claim.needed.get()).max().unwrap_or(0)
    }

    /// Rings the worker that has a clearly better victim than this one's; false if there is none.
    pub(crate) fn leave_it_to_other(&self, rank: u64) -> bool {
        let others = self.all.iter().enumerate().filter(|(worker, _)| *worker != self.own);
        let best = others.map(|(_, claim)| claim).max_by_key(|claim| claim.rank.get());
        let better = best.filter(|claim| claim.rank.get() > rank + 1 + rank / BETTER_ONE_IN + BETTER_MIN);
        better.is_some_and(|claim| {
            claim.bell.ring();
            true
        })
    }

    /// True if some worker has something that may go or comes back by itself. Rings those, so that they let it go.
    pub(crate) fn ring_those_with_some(&self) -> bool {
        let mut has_some = false;
        for (worker, claim) in self.all.iter().enumerate() {
            if claim.rank.get() > 0 {
                has_some = true;
                if worker != self.own {
                    claim.bell.ring();
                }
            }
        }
        has_some
    }
}

/// A victim is better if it was used so much longer ago: by an eighth, and by as many seconds.
const BETTER_ONE_IN: u64 = 8;
const BETTER_MIN: u64 = 16;
