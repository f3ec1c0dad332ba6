//! Hits at one distance, brought into the order of their names a step at a time.

use std::cmp::Ordering;

use kora_vector::Slot;

/// A binary heap whose order is asked of the caller, since names stand elsewhere and a comparison of two long ones is
/// work to be counted. All who compare must agree.
#[derive(Default)]
pub(crate) struct Ties {
    /// Invariant: none is after its parent, which is at half its place.
    slots: Vec<Slot>,
}

impl Ties {
    pub(crate) fn push(&mut self, slot: Slot, mut compare: impl FnMut(Slot, Slot) -> Ordering) {
        self.slots.push(slot);
        let mut place = self.slots.len() - 1;
        while place > 0 {
            let parent = (place - 1) / 2;
            if compare(self.slots[place], self.slots[parent]).is_ge() {
                return;
            }
            self.slots.swap(place, parent);
            place = parent;
        }
    }

    /// Takes out the first.
    pub(crate) fn pop(&mut self, mut compare: impl FnMut(Slot, Slot) -> Ordering) -> Option<Slot> {
        let last = self.slots.len().checked_sub(1)?;
        self.slots.swap(0, last);
        let first = self.slots.pop();
        let mut place = 0;
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.slots.len());
            let smaller = children.min_by(|a, b| compare(self.slots[*a], self.slots[*b]));
            let Some(child) = smaller.filter(|child| compare(self.slots[*child], self.slots[place]).is_lt()) else {
                return first;
            };
            self.slots.swap(place, child);
            place = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_out_in_the_order_that_was_asked_for() {
        let mut state = 1_u32;
        for count in [0, 1, 2, 3, 10, 1000] {
            let slots: Vec<Slot> = (0..count).map(Slot::from_index).collect();
            let names: Vec<u32> = slots
                .iter()
                .map(|_| {
                    state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                    state >> 8
                })
                .collect();
            let compare = |a: Slot, b: Slot| names[a.index()].cmp(&names[b.index()]);
            let mut ties = Ties::default();
            slots.iter().for_each(|slot| ties.push(*slot, compare));
            let taken: Vec<u32> = std::iter::from_fn(|| ties.pop(compare))
                .map(|slot| names[slot.index()])
                .collect();
            assert!(taken.is_sorted() && taken.len() == count, "{count}: {taken:?}");
        }
    }
}
