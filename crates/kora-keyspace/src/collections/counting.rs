//! What the parts of collections take of the memory, and how many keys they are.

use kora_vector::Index;

use super::collection::Collection;
use super::dropped::index_bytes;
use crate::catalog::Schema;
use crate::changes::Observer;
use crate::keyspace::Keyspace;

/// What one part takes, or all parts of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PartCount {
    /// Bytes held: vectors, codes, links, names, deadlines, and what is fixed.
    pub bytes: usize,
    /// Bytes that it would hold once its slots without a vector are given back, but for a reserve of them: by these an
    /// eviction is decided, because an evicted vector gives its slot back later. More than `bytes` while the reserve is not
    /// there.
    pub wanted_bytes: usize,
    /// Vectors that are there.
    pub live: usize,
}

impl PartCount {
    /// Takes what a part counted before out of a sum, and puts in what it counts now.
    pub(crate) fn exchange(&mut self, before: PartCount, now: PartCount) {
        self.bytes = self.bytes - before.bytes + now.bytes;
        self.wanted_bytes = self.wanted_bytes - before.wanted_bytes + now.wanted_bytes;
        self.live = self.live - before.live + now.live;
    }
}

impl Collection {
    /// How many keys it stands for: its vectors, or one if it is a vector set that holds some.
    pub fn keys(&self) -> usize {
        match self.schema().set_form() {
            Some(_) => self.live().min(1),
            None => self.live(),
        }
    }

    /// True if it holds no vector, and none is being set or sought.
    pub(crate) fn is_idle_and_empty(&self) -> bool {
        self.live() == 0 && self.suspended == 0
    }

    /// What it takes now.
    pub(crate) fn count(&self) -> PartCount {
        let index = self.index();
        let own = size_of::<Collection>() + size_of::<Schema>() + CATALOG_BYTES + self.schema().name.len();
        let bytes = own + index_bytes(index) + self.names_and_notes_bytes();
        PartCount {
            bytes,
            wanted_bytes: (bytes + reserve_of(index) * index.slot_bytes())
                .saturating_sub(returnable_of(index) * index.slot_bytes()),
            live: self.live(),
        }
    }
}

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

/// Slots without a vector that an index is to have, so that the next vector finds one before memory is needed: as many as
/// wait at most while others replace them one by one (see `kora_vector`'s consolidation).
fn reserve_of(index: &Index) -> usize {
    match index.levels() {
        0 => 0,
        _ => index.slots() / RESERVE_ONE_IN,
    }
}

/// Slots without a vector that an index gives back when it is let work.
fn returnable_of(index: &Index) -> usize {
    let has_graph = index.levels() > 0;
    match has_graph || is_worth_packing(index) {
        true => index.spare(),
        false => 0,
    }
}

/// True if an index without a graph would give back so much memory that its vectors are worth being copied for it.
pub(super) fn is_worth_packing(index: &Index) -> bool {
    let one_in = if index.slots() <= SMALL_SLOTS {
        index.slots()
    } else {
        PACKED_ONE_IN
    };
    index.levels() == 0 && index.spare() > 0 && index.spare() * one_in >= index.slots()
}

/// One slot in so many. Steady replacement leaves one in fifteen without a vector.
const RESERVE_ONE_IN: usize = 14;

/// An index without a graph is packed when one slot in so many has no vector: so copying costs eight rows for each that goes.
const PACKED_ONE_IN: usize = 8;

/// Up to so many slots it is packed for each: that copies some KiB.
const SMALL_SLOTS: usize = 32;

/// What the catalog takes for a collection beside its schema: counts of references, and its place in the map, of which two
/// versions exist for a moment.
const CATALOG_BYTES: usize = 64;
