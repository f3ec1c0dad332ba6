//! What parts take is counted again when they have changed, and room is made where one needs a slot.

use std::sync::Arc;

use kora_vector::{Step, Work};

use super::counting::{RESERVE_ONE_IN, SMALL_SLOTS};
use crate::catalog::Schema;
use crate::changes::Observer;
use crate::keyspace::Keyspace;

impl<O: Observer> Keyspace<O> {
    /// Counts a part again, which may take more or less than it did.
    pub fn count_part(&mut self, schema: &Schema) {
        if let Some(part) = self.part_of_mut(schema) {
            let now = part.count();
            let (place, before) = (part.place(), std::mem::replace(&mut part.counted, now));
            self.parts_counted.exchange(before, now);
            self.part_weights.change(place, before.live, now.live);
        }
    }
}

/// What a collection needs for one vector more.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SlotNeed {
    /// Bytes by which its tables would grow: 0 if there is a slot, or memory for one.
    pub growth_bytes: usize,
    /// It has so few slots without a vector that none comes free before others have gone, or so many vectors that the next one
    /// needs a graph.
    pub lacks_spare: bool,
}

impl<O: Observer> Keyspace<O> {
    /// What the collection of this name needs here for one vector more.
    pub fn slot_need(&self, name: &[u8], now_ms: u64) -> SlotNeed {
        let Some(part) = self.current_part(name, now_ms) else {
            return SlotNeed::default();
        };
        let index = part.index();
        SlotNeed {
            growth_bytes: index.growth_bytes(),
            lacks_spare: index.plants_next() || index.spare() * (RESERVE_ONE_IN + 1) <= index.slots(),
        }
    }

    /// Lets the collection of this name come nearer to a free slot for a slice. False if it can't go on now, because a reader or
    /// a snapshot holds its slots.
    pub fn vacate(&mut self, name: &[u8], work: &mut Work) -> bool {
        let Some(part) = self.collections.get_mut(name) else {
            return false;
        };
        let before = work.left();
        let step = part.vacate(work);
        let schema = Arc::clone(part.schema());
        self.count_part(&schema);
        // It stays in the list of those that have something to do, if it stands there.
        self.note_upkeep(&schema.name, schema.generation);
        self.has_changed = true;
        step == Step::More || work.left() < before
    }

    /// Packs a part of few slots of which a vector has gone: else it would give nothing back before its last one goes.
    pub(crate) fn pack_if_small(&mut self, schema: &Schema) {
        let Some(part) = self.part_of_mut(schema) else {
            return;
        };
        if part.index().slots() <= SMALL_SLOTS && part.can_pack() {
            part.pack();
            self.count_part(schema);
        }
    }
}
