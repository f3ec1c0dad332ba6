//! The best victims that were met.

use kora_vector::Slot;

use super::EvictionPolicy;

/// How victims are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EvictionChoice {
    /// Among which, and by what.
    pub policy: EvictionPolicy,
    /// Entries looked at for each victim.
    pub samples: usize,
}

/// The best victims that were met and not evicted: entries sampled for one eviction serve the next ones, too. Redis keeps as
/// many.
#[derive(Default)]
pub(crate) struct Candidates {
    /// The best last. Invariant: at most [`CANDIDATES_MAX`].
    pub(super) met: Vec<Candidate>,
    /// The state of the generator.
    draws: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) rank: u32,
    pub(super) victim: Victim,
}

/// Something that may be evicted, if what is noted of its use has not changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Key { hash: u32, used: u32 },
    Vector { place: u32, slot: Slot, used: u32 },
}

impl Candidates {
    pub(crate) fn new(seed: u64) -> Candidates {
        Candidates {
            met: Vec::new(),
            draws: seed,
        }
    }

    /// Forgets them, because the rules have changed.
    pub(crate) fn clear(&mut self) {
        self.met.clear();
    }

    pub(super) fn add(&mut self, rank: u32, victim: Victim) {
        let is_full = self.met.len() == CANDIDATES_MAX;
        if is_full && self.met[0].rank >= rank || self.met.iter().any(|candidate| candidate.victim == victim) {
            return;
        }
        if is_full {
            self.met.remove(0);
        }
        let place = self.met.partition_point(|candidate| candidate.rank <= rank);
        self.met.insert(place, Candidate { rank, victim });
    }

    /// Splitmix64: it need not be secret, and a simulation must be able to repeat it.
    pub(super) fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.draws;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// A number below `bound`: each is as likely as another if each draw is.
pub(crate) fn below(draw: u64, bound: usize) -> usize {
    ((u128::from(draw) * bound as u128) >> 64) as usize
}

/// Redis's EVPOOL_SIZE.
const CANDIDATES_MAX: usize = 16;
