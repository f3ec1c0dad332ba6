//! What an index takes for each slot, what the next slot would take, and how a small index gives memory back.

use std::collections::BTreeMap;

use crate::arena::Rows;
use crate::graph::Graph;
use crate::hit::Slot;
use crate::hnsw::{Index, Memory};

impl Index {
    /// Where its memory went.
    pub fn memory(&self) -> Memory {
        Memory {
            vectors_bytes: self.space.bytes(),
            links_bytes: self.states.bytes() + self.graph().map_or(0, Graph::bytes),
            scratch_bytes: self.built.as_ref().map_or(0, |built| built.scratch_bytes()),
        }
    }

    /// Bytes that one slot takes in all tables.
    pub fn slot_bytes(&self) -> usize {
        let graph = self.built.as_ref().map_or(0, |built| built.graph.slot_bytes());
        self.space.slot_bytes() + graph
    }

    /// Bytes that the tables grow by if a vector is inserted now: 0 if a slot is vacant, or has its memory already, unless a
    /// graph is made of all vectors then.
    pub fn growth_bytes(&self) -> usize {
        let rows = match self.states.vacant_count() {
            0 => self.space.growth_bytes(),
            _ => 0,
        };
        let links = match &self.built {
            Some(_) if self.states.vacant_count() > 0 => 0,
            Some(built) => built.graph.growth_bytes(),
            None if self.plants_next() => {
                let slots = self.states.slots() + 1;
                Graph::new(usize::from(self.m)).slot_bytes() * slots.next_power_of_two()
            }
            None => 0,
        };
        rows + links
    }

    /// Slots that hold no vector that is there: dead, on their way out, or vacant.
    pub fn spare(&self) -> usize {
        self.states.slots() - self.states.live_count().min(self.states.slots())
    }

    /// True if [`Index::packed`] may be called: there is no graph, and no batch is under way.
    pub fn is_packable(&self) -> bool {
        self.built.is_none() && self.consolidation.progress().is_none()
    }

    /// An index of the same live vectors and no other slot, and where each vector of this one lies there. For an index
    /// without a graph, which never moves its vectors otherwise; nothing may remember a slot of it.
    ///
    /// # Panics
    /// If there is a graph.
    pub fn packed(&self) -> (Index, BTreeMap<Slot, Slot>) {
        assert!(self.is_packable(), "a graph moves its vectors by itself");
        let mut index = Index::with_small_max(self.parameters(), self.small_max as usize);
        index.walk_per_result = self.walk_per_result;
        index.space = self.space.empty_like();
        let mut places = BTreeMap::new();
        for from in self.states.live_from(0) {
            let to = index.states.take();
            index.space.put_copy(to, &self.space, from);
            index.states.set_live(to);
            places.insert(Slot::from_index(from as usize), Slot::from_index(to as usize));
        }
        (index, places)
    }
}

/// Bytes that a table of these rows grows by for one more.
pub(crate) fn growth_of<'r>(tables: impl Iterator<Item = &'r Rows>) -> usize {
    tables.map(Rows::growth_bytes).sum()
}

/// Bytes of one row in each of these tables.
pub(crate) fn row_bytes_of<'r>(tables: impl Iterator<Item = &'r Rows>) -> usize {
    tables.map(|rows| rows.row_words() * 4).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Parameters, Storage, Work};

    fn index_of(storage: Storage) -> Index {
        Index::new(Parameters {
            dimension: 70,
            metric: Metric::Cosine,
            m: 8,
            ef_construction: 40,
            storage,
            seed: 5,
        })
    }

    fn vector(number: usize) -> Vec<f32> {
        (0..70).map(|at| ((number * 71 + at * 13) % 97) as f32 - 48.5).collect()
    }

    #[test]
    fn a_packed_index_has_the_same_vectors_bit_for_bit_and_less_memory() {
        for storage in [Storage::F32, Storage::F16, Storage::Q16, Storage::Q8] {
            for count in [20, 300] {
                let mut index = index_of(storage);
                let slots: Vec<Slot> = (0..count).map(|number| index.insert(&vector(number))).collect();
                slots.iter().step_by(2).for_each(|slot| index.remove(*slot));
                assert_eq!(index.spare(), count / 2);
                let (mut packed, places) = index.packed();
                assert_eq!(
                    (packed.live(), packed.slots(), packed.spare()),
                    (count / 2, count / 2, 0)
                );
                for (from, to) in &places {
                    let (mut before, mut after) = (Vec::new(), Vec::new());
                    index.copy_vector(*from, &mut before);
                    packed.copy_vector(*to, &mut after);
                    assert_eq!(before, after);
                }
                let memory = |index: &Index| index.memory().vectors_bytes;
                assert!(memory(&packed) <= memory(&index) * 3 / 4, "{storage:?} {count}");
                let (hits, same) = (index.exact(&vector(3), 5), packed.exact(&vector(3), 5));
                let distances = |hits: &[crate::Hit]| hits.iter().map(|hit| hit.distance).collect::<Vec<f32>>();
                assert_eq!(distances(&hits), distances(&same));
                packed.insert(&vector(count));
                assert_eq!(packed.check(), Ok(()));
            }
        }
    }

    #[test]
    fn an_insertion_takes_as_much_as_was_said() {
        for storage in [Storage::F32, Storage::Q8] {
            let mut index = index_of(storage);
            let total = |index: &Index| index.memory().vectors_bytes;
            let mut slots = Vec::new();
            for number in 0..900 {
                let (before, growth) = (total(&index), index.growth_bytes());
                slots.push(index.insert(&vector(number)));
                let is_settling = index.slots() == 33 && storage == Storage::F32;
                let is_first = number == 0;
                assert!(
                    total(&index) == before + growth || is_settling || is_first,
                    "{number}: {} of {growth}",
                    total(&index) - before
                );
            }
            index.remove(slots[7]);
            while index.tend(&mut Work::unlimited()) == crate::Step::More {}
            (0..100).for_each(|number| index.remove(slots[number + 10]));
            while index.tend(&mut Work::unlimited()) == crate::Step::More {}
            assert_eq!(index.growth_bytes(), 0, "a slot is vacant");
        }
    }
}
