//! What a walk writes down on its way, in buffers that are kept from one operation to the next.

use crate::graph::Link;
use crate::pool::{Candidate, Pool};
use crate::space::Query;

/// All that a search or an insertion needs beside the index. It is taken from the index's pool when the operation
/// begins and given back when it ends, so in steady state nothing is allocated per query.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) query: Query,
    pub(crate) walk: Walk,
    pub(crate) bench: Bench,
    /// The links an insertion has chosen, nearest first, one layer after the other.
    pub(crate) chosen: Vec<Candidate>,
}

/// The state of a beam.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) pool: Pool,
    pub(crate) visited: Visited,
    /// The neighbours to be measured in this step.
    pub(crate) fresh: Vec<u32>,
    /// Their distances.
    pub(crate) distances: Vec<f32>,
}

/// Where lists of links are cut and chosen.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    pub(crate) slots: Vec<u32>,
    pub(crate) measured: Measured,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) links: Vec<Link>,
    /// Neighbours that a list loses, and those whose links were followed in their place.
    pub(crate) gone: Vec<u32>,
}

/// What it takes to measure from a stored vector.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Holds the vector, where it has to be decoded.
    pub(crate) row: Vec<f32>,
    pub(crate) distances: Vec<f32>,
}

impl Scratch {
    pub(crate) fn bytes(&self) -> usize {
        self.query.bytes()
            + self.walk.pool.bytes()
            + self.walk.visited.bytes()
            + (self.walk.fresh.capacity() + self.walk.distances.capacity()) * 4
            + (self.bench.slots.capacity() + self.bench.links.capacity() + self.bench.gone.capacity()) * 4
            + (self.bench.measured.row.capacity() + self.bench.measured.distances.capacity()) * 4
            + (self.bench.candidates.capacity() + self.chosen.capacity()) * size_of::<Candidate>()
            + size_of::<Scratch>()
    }
}

/// The set of slots a beam has seen: a bit each, and a list of the words that were written, so that emptying costs what
/// filling did and not what the index is large. A bitset of 100,000 slots stays in the first-level cache.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    /// Slots inserted since the last `clear`.
    touched: Vec<u32>,
}

impl Visited {
    /// Makes room for slots below `slots`. Needed at the start of every slice: the index may have grown meanwhile.
    pub(crate) fn cover(&mut self, slots: usize) {
        let words = slots.div_ceil(64);
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.touched.len() > self.words.len() {
            self.words.fill(0);
        } else {
            self.touched.iter().for_each(|&slot| self.words[slot as usize / 64] = 0);
        }
        self.touched.clear();
    }

    pub(crate) fn insert(&mut self, slot: u32) {
        self.words[slot as usize / 64] |= 1 << (slot % 64);
        self.touched.push(slot);
    }

    pub(crate) fn holds(&self, slot: u32) -> bool {
        self.words[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// Reads slots into `fresh`, leaving out those seen before. Whether a neighbour was seen is a coin toss, so no
    /// branch depends on it: every slot is written, and the place moves on only behind a new one.
    #[inline]
    pub(crate) fn sift(&mut self, slots: impl Iterator<Item = u32>, count_max: usize, fresh: &mut Vec<u32>) {
        fresh.resize(count_max, 0);
        let mut count = 0;
        for slot in slots {
            let word = &mut self.words[slot as usize / 64];
            let seen = (*word >> (slot % 64)) as usize & 1;
            *word |= 1 << (slot % 64);
            fresh[count] = slot;
            count += 1 - seen;
        }
        fresh.truncate(count);
        self.touched.extend_from_slice(fresh);
    }

    fn bytes(&self) -> usize {
        self.words.capacity() * 8 + self.touched.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_fresh_once_between_two_clearings() {
        let mut visited = Visited::default();
        let mut fresh = Vec::new();
        for _ in 0..3 {
            visited.cover(200);
            visited.insert(5);
            visited.sift([5, 7, 199, 7, 64].into_iter(), 8, &mut fresh);
            assert_eq!(fresh, [7, 199, 64]);
            visited.sift([64, 65].into_iter(), 8, &mut fresh);
            assert_eq!(fresh, [65]);
            visited.clear();
        }
    }
}
