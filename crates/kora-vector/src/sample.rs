//! Which vectors are sampled where recall is measured, and how far from them a query is to be.
//!
//! A sample that is chosen evenly comes from the crowd: where most vectors are of one topic it says nothing of the others. So of
//! four samples two are chosen evenly, one from where vectors are sparse, and one among those that were found hardest: of which a
//! walk went astray, or a proof failed.

use crate::hnsw::{Index, Slot};
use crate::metric::Metric;
use crate::scratch::Measured;

/// The slots that were found hardest of late.
#[derive(Debug, Default)]
pub(crate) struct Hardest {
    slots: Vec<u32>,
    /// The place of the next, once there are enough.
    next: usize,
}

impl Hardest {
    pub(crate) fn note(&mut self, slot: u32) {
        if self.slots.len() < HARDEST_MAX {
            self.slots.push(slot);
            return;
        }
        self.slots[self.next] = slot;
        self.next = (self.next + 1) % HARDEST_MAX;
    }
}

impl Index {
    /// A live vector, chosen by this number: from all, from where they are sparse, or from the hardest. None if there is none.
    pub fn sample(&self, random: u64) -> Option<Slot> {
        let (stratum, number) = (random % 4, random / 4);
        let chosen = match stratum {
            0 => self.sample_sparse(number),
            1 => self.sample_hardest(number),
            _ => None,
        };
        chosen.or_else(|| self.sample_evenly(number))
    }

    /// How far a vector is from its neighbours: the median of the lengths of its links, in units of its own length. None if it
    /// has no links, or its neighbours are its equals, or distances are no lengths.
    pub fn spacing(&self, slot: Slot) -> Option<f32> {
        let mut measured = Measured::default();
        let ways = self.link_distances(slot, &mut measured)?;
        ways.sort_unstable_by(f32::total_cmp);
        let median = self.space.refined_of_walk(ways[ways.len() / 2]);
        let mut vector = Vec::new();
        self.copy_vector(slot, &mut vector);
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
        let spacing = match self.space.metric() {
            Metric::L2 => median / length,
            // The way between the ends of two vectors of length 1.
            Metric::Cosine => (2.0 * median.max(0.0)).sqrt(),
            Metric::InnerProduct => return None,
        };
        (spacing > SPACING_MIN && spacing.is_finite()).then_some(spacing)
    }

    /// Those behind a gap are chosen more often.
    fn sample_evenly(&self, random: u64) -> Option<Slot> {
        let from = (random % self.slots().max(1) as u64) as usize;
        self.live_behind(from)
    }

    /// Of a few, the one whose nearest link is longest.
    fn sample_sparse(&self, random: u64) -> Option<Slot> {
        let mut measured = Measured::default();
        let mut sparsest: Option<(f32, Slot)> = None;
        for turn in 0..SPARSE_OF {
            let slot = self.sample_evenly(random.wrapping_add(turn.wrapping_mul(STRIDE)))?;
            let ways = self.link_distances(slot, &mut measured)?;
            let nearest = ways.iter().copied().fold(f32::INFINITY, f32::min);
            if sparsest.is_none_or(|(farthest, _)| nearest > farthest) {
                sparsest = Some((nearest, slot));
            }
        }
        sparsest.map(|(_, slot)| slot)
    }

    fn sample_hardest(&self, random: u64) -> Option<Slot> {
        let slots = &self.graph_parts()?.proofs.hardest.slots;
        let slot = *slots.get((random % slots.len().max(1) as u64) as usize)?;
        let slot = Slot::from_index(slot as usize);
        self.is_live(slot).then_some(slot)
    }

    /// The walk distances from a vector to those that its links on the base layer lead to; none without links.
    fn link_distances<'m>(&self, slot: Slot, measured: &'m mut Measured) -> Option<&'m mut [f32]> {
        let graph = &self.graph_parts()?.graph;
        let slots: Vec<u32> = graph.links(0, slot.number()).map(|link| link.slot()).collect();
        let Measured { row, distances } = measured;
        self.space
            .measure(self.space.probe(slot.number(), row), &slots, distances);
        (!slots.is_empty()).then(|| &mut distances[..slots.len()])
    }
}

/// A guess: enough that a topic of a few dozen vectors is among them.
const HARDEST_MAX: usize = 64;

/// So many are looked at for a sparse one: of a crowd with one other in so many, every second sample of this kind is an other.
const SPARSE_OF: u64 = 64;

/// A prime, so that steps of it come everywhere.
const STRIDE: u64 = 0x9E37_79B1;

/// What f32 tells of the lengths of vectors that are the same.
const SPACING_MIN: f32 = 1e-4;
