//! Sets of slots that a filter admits.

use crate::bits::{Bits, Words, each};
use crate::hit::Slot;

/// The slots of one index whose vectors may be returned. Its owner follows vectors that move: see
/// [`Index::take_moves`](crate::Index::take_moves). One bit for each slot.
#[derive(Debug, Default)]
pub struct Matches {
    bits: Bits,
    /// Slots that `bits` has room for.
    slots: usize,
}

impl Matches {
    /// Puts a slot in or takes it out.
    pub fn put(&mut self, slot: Slot, is_match: bool) {
        if slot.index() >= self.slots {
            if !is_match {
                return;
            }
            self.slots = (slot.index() + 1).max(self.slots * 2).next_multiple_of(64);
            self.bits.resize(self.slots);
        }
        match is_match {
            true => self.bits.set(slot.number()),
            false => self.bits.unset(slot.number()),
        };
    }

    /// Whether a slot is in it.
    #[inline]
    pub fn holds(&self, slot: Slot) -> bool {
        self.admits(slot.number())
    }

    /// How many slots are in it.
    pub fn count(&self) -> usize {
        self.bits.count()
    }

    /// What it takes beside its own.
    pub fn bytes(&self) -> usize {
        self.bits.bytes()
    }

    #[inline]
    pub(crate) fn admits(&self, slot: u32) -> bool {
        (slot as usize) < self.slots && self.bits.holds(slot)
    }

    /// All of them, ascending.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        each(self.bits.words(), Words::One(0), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_in_it() {
        let mut matches = Matches::default();
        assert_eq!((matches.count(), matches.slots().count()), (0, 0));
        for number in (0..10_000).step_by(3) {
            matches.put(Slot::from_index(number), true);
        }
        matches.put(Slot::from_index(3), false);
        matches.put(Slot::from_index(1 << 20), false);
        assert_eq!(matches.count(), 3_333);
        assert!(matches.holds(Slot::from_index(6)) && !matches.holds(Slot::from_index(3)));
        assert!(!matches.holds(Slot::from_index(1 << 20)));
        assert!(
            matches
                .slots()
                .eq((0..10_000).filter(|number| number % 3 == 0 && *number != 3))
        );
    }
}
