//! When vectors of one collection expire.

use std::collections::{BTreeMap, BTreeSet};

use kora_vector::Slot;

use crate::time::NEVER_MS;

/// The deadlines of those vectors of a collection that have one. A collection without any has none of this.
#[derive(Default)]
pub(crate) struct ElementDeadlines {
    /// Invariant: each deadline of `by_slot` with its slot, and no other.
    order: BTreeSet<(u64, Slot)>,
    by_slot: BTreeMap<Slot, u64>,
}

impl ElementDeadlines {
    /// How many vectors expire.
    pub(crate) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// When a slot's vector expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not.
    pub(crate) fn of(&self, slot: Slot) -> u64 {
        self.by_slot.get(&slot).copied().unwrap_or(NEVER_MS)
    }

    /// Lets a slot's vector expire then, or never.
    pub(crate) fn set(&mut self, slot: Slot, deadline_ms: u64) {
        let before_ms = match deadline_ms {
            NEVER_MS => self.by_slot.remove(&slot),
            _ => self.by_slot.insert(slot, deadline_ms),
        };
        if before_ms == Some(deadline_ms) {
            return;
        }
        if let Some(before_ms) = before_ms {
            self.order.remove(&(before_ms, slot));
        }
        if deadline_ms != NEVER_MS {
            self.order.insert((deadline_ms, slot));
        }
    }

    /// A vector has moved to another slot.
    pub(crate) fn redirect(&mut self, from: Slot, to: Slot) {
        let deadline_ms = self.of(from);
        if deadline_ms != NEVER_MS {
            self.set(from, NEVER_MS);
            self.set(to, deadline_ms);
        }
    }

    /// The vector that expires first, and when.
    pub(crate) fn first(&self) -> Option<(u64, Slot)> {
        self.order.first().copied()
    }

    /// Slots whose vectors expire, from a slot on and then from the first.
    pub(crate) fn slots_from(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let behind = self.by_slot.range(slot..);
        behind.chain(self.by_slot.range(..slot)).map(|(slot, _)| *slot)
    }

    /// Bytes held, about: the trees' nodes are two thirds full.
    pub(crate) fn bytes(&self) -> usize {
        self.len() * (size_of::<(u64, Slot)>() + size_of::<u64>() + size_of::<Slot>()) * 3 / 2
    }

    /// Frees some; false when there is nothing left. For deadlines that are no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        let ordered = (0..FREED_PER_STEP).all(|_| self.order.pop_first().is_some());
        ordered || (0..FREED_PER_STEP).all(|_| self.by_slot.pop_first().is_some())
    }

    /// # Panics
    /// If the two sides do not agree.
    pub(crate) fn assert_sound(&self) {
        let items: BTreeSet<(u64, Slot)> = self.by_slot.iter().map(|(slot, at_ms)| (*at_ms, *slot)).collect();
        assert!(items == self.order, "each deadline stands in the order, and no other");
    }
}

/// Deadlines freed in one step of dismantling: each takes some 50 ns.
const FREED_PER_STEP: usize = 1024;
