//! What a walk writes down on its way, in buffers that are kept from one operation to the next.

use crate::among::Neighbourhood;
use crate::beam::{Beam, Candidate};
use crate::graph::Link;
use crate::probe::{Query, Unpacked};
use crate::reconnect::Circle;

/// All that a search or an insertion needs beside the index. It is taken from the index's beam when the operation
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
    pub(crate) beam: Beam,
    pub(crate) visited: Visited,
    /// The first half of the next step of the beam is done: see [`open`](crate::search::open). Never between two slices.
    pub(crate) is_open: bool,
    /// Neighbours that are measured apart from a walk.
    pub(crate) neighbours: Vec<u32>,
    /// What was measured last, at the beginning of a longer buffer.
    pub(crate) distances: Vec<f32>,
    /// Which of them are worth a place in the beam, likewise.
    pub(crate) near: Vec<u32>,
    /// What is around a node, for a walk among some.
    pub(crate) neighbourhood: Neighbourhood,
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
    /// The neighbours of a retired node.
    pub(crate) circle: Circle,
}

/// What it takes to measure from a stored vector.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) row: Unpacked,
    pub(crate) distances: Vec<f32>,
}

impl Scratch {
    pub(crate) fn bytes(&self) -> usize {
        self.query.bytes()
            + self.walk.beam.bytes()
            + self.walk.visited.bytes()
            + (self.walk.neighbours.capacity() + self.walk.distances.capacity() + self.walk.near.capacity()) * 4
            + (self.bench.slots.capacity() + self.bench.links.capacity() + self.bench.gone.capacity()) * 4
            + self.bench.measured.row.bytes()
            + self.bench.measured.distances.capacity() * 4
            + (self.bench.candidates.capacity() + self.chosen.capacity()) * size_of::<Candidate>()
            + self.walk.neighbourhood.bytes()
            + self.bench.circle.bytes()
            + size_of::<Scratch>()
    }
}

/// The set of slots a beam has seen: a bit each, and a list of them, so that emptying costs what filling did and not
/// what the index is large. A bitset of 100,000 slots stays in the first-level cache.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    /// Those inserted since the last `clear`, in a buffer that is kept; what stands behind them says nothing.
    seen: Vec<u32>,
    seen_count: usize,
    /// Where those begin that were found since the last `mark`.
    fresh: usize,
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
        // Eight words are filled with zeros while one is looked up.
        if self.seen_count > self.words.len() / 8 {
            self.words.fill(0);
        } else {
            let seen = &self.seen[..self.seen_count];
            seen.iter().for_each(|&slot| self.words[slot as usize / 64] = 0);
        }
        self.seen_count = 0;
        self.fresh = 0;
    }

    pub(crate) fn insert(&mut self, slot: u32) {
        self.mark();
        self.sift([slot].into_iter(), 1);
    }

    pub(crate) fn holds(&self, slot: u32) -> bool {
        self.words[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// What `sift` finds from now on is fresh, and nothing else.
    #[inline]
    pub(crate) fn mark(&mut self) {
        self.fresh = self.seen_count;
    }

    /// Inserts slots, at most so many; those not seen before are fresh. Whether a neighbour was seen is a coin
    /// toss, so no branch depends on it: every slot is written, and the place moves on only behind a new one.
    #[inline]
    pub(crate) fn sift(&mut self, slots: impl Iterator<Item = u32>, count_max: usize) {
        if self.seen.len() < self.seen_count + count_max {
            self.seen.resize(self.seen_count + count_max.max(SEEN_GROWTH), 0);
        }
        let (words, room) = (&mut self.words[..], &mut self.seen[self.seen_count..]);
        let mut count = 0;
        for slot in slots {
            let word = &mut words[slot as usize / 64];
            let seen = (*word >> (slot % 64)) as usize & 1;
            *word |= 1 << (slot % 64);
            room[count] = slot;
            count += 1 - seen;
        }
        self.seen_count += count;
    }

    /// Those that were found since the last `mark`, in that order.
    #[inline]
    pub(crate) fn fresh(&self) -> &[u32] {
        &self.seen[self.fresh..self.seen_count]
    }

    fn bytes(&self) -> usize {
        self.words.capacity() * 8 + self.seen.capacity() * 4
    }
}

/// The list of slots seen grows by so many at a time: an ordinary search's.
const SEEN_GROWTH: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_fresh_once_between_two_clearings() {
        let mut visited = Visited::default();
        for size in [200, 200_000] {
            for _ in 0..3 {
                visited.cover(size);
                visited.insert(5);
                visited.mark();
                visited.sift([5, 7, 199, 7, 64].into_iter(), 8);
                assert_eq!(visited.fresh(), [7, 199, 64]);
                visited.mark();
                visited.sift([64, 65].into_iter(), 8);
                assert_eq!(visited.fresh(), [65]);
                assert!(visited.holds(5) && !visited.holds(6));
                visited.clear();
                assert!(visited.fresh().is_empty() && !visited.holds(5));
            }
        }
    }
}
