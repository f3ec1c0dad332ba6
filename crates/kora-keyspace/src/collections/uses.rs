//! How the use of vectors is noted, and which of them an eviction looks at.

use kora_vector::Slot;

use super::collection::Collection;
use super::elements::Elements;
use crate::eviction::{UseRule, below};

impl Collection {
    /// A vector, which counts as used then.
    pub(crate) fn use_vector(&mut self, name: &[u8], rule: &UseRule, now_ms: u64) -> Option<Box<[f32]>> {
        let slot = self.elements.find(name)?;
        self.touch_slot(slot, rule, now_ms);
        self.copy_vector(name)
    }

    /// A vector, which does not count as used.
    pub(crate) fn copy_vector(&self, name: &[u8]) -> Option<Box<[f32]>> {
        let slot = self.elements.find(name)?;
        let mut vector = Vec::new();
        self.index.copy_vector(slot, &mut vector);
        Some(vector.into_boxed_slice())
    }

    /// Lets a vector count as used; false if there is none of that name.
    pub(crate) fn touch(&mut self, name: &[u8], rule: &UseRule, now_ms: u64) -> bool {
        let slot = self.elements.find(name);
        slot.into_iter().for_each(|slot| self.touch_slot(slot, rule, now_ms));
        slot.is_some()
    }

    /// Lets the vector of a slot count as used, also if it has moved.
    pub(super) fn touch_slot(&self, slot: Slot, rule: &UseRule, now_ms: u64) {
        if let Some(slot) = self.index.find(slot) {
            self.elements
                .note_use(slot, rule.used(self.elements.used(slot), now_ms));
        }
    }

    /// What is noted of the use of a vector: see [`UseRule`].
    pub fn used(&self, name: &[u8]) -> Option<u32> {
        self.elements.find(name).map(|slot| self.elements.used(slot))
    }

    pub(crate) fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Its place in the table of the shard's collections.
    pub(crate) fn place(&self) -> u32 {
        self.place
    }

    pub(crate) fn is_live(&self, slot: Slot) -> bool {
        self.index.is_live(slot)
    }

    /// Slots whose vectors expire, from a slot on.
    pub(crate) fn expiring_from(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        self.deadlines
            .iter()
            .flat_map(move |deadlines| deadlines.slots_from(slot))
    }

    /// The slot of the vector that expires first.
    pub(crate) fn first_slot_to_expire(&self) -> Option<Slot> {
        self.deadlines.as_ref()?.first().map(|(_, slot)| slot)
    }

    /// Some slots side by side, from a random one on, whose vectors may be evicted, with what is noted of their use.
    pub(crate) fn sample_uses(&self, draw: u64, wanted: usize, expiring: bool, mut visit: impl FnMut(Slot, u32)) {
        let start = below(draw, self.index().slots());
        if expiring {
            let slots = self.expiring_from(Slot::from_index(start)).take(wanted);
            slots.for_each(|slot| visit(slot, self.elements().used(slot)));
            return;
        }
        let slots = (start..self.index().slots())
            .chain(0..start)
            .take(wanted * LOOKS_PER_SAMPLE);
        let live = slots.map(Slot::from_index).filter(|slot| self.is_live(*slot));
        live.take(wanted)
            .for_each(|slot| visit(slot, self.elements().used(slot)));
    }
}

/// Where many slots have no live vector, so many are looked at for each that is wanted.
const LOOKS_PER_SAMPLE: usize = 16;
