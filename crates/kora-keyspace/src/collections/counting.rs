//! What the parts of collections take of the memory, and how many keys they are.

use kora_vector::Index;

use super::collection::Collection;
use super::dropped::index_bytes;
use crate::catalog::Schema;

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

/// Slots without a vector that an index is to have, so that the next vector finds one before memory is needed: as many as
/// wait at most while others replace them one by one (see `kora_vector`'s consolidation).
fn reserve_of(index: &Index) -> usize {
    match index.levels() {
        0 => 0,
        _ => index.slots() / RESERVE_ONE_IN,
    }
}

/// Slots without a vector that upkeep frees.
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
    let is_sparse = index.spare() > 0 && index.spare() * one_in >= index.slots();
    index.levels() == 0 && is_sparse && index.slots() * index.slot_bytes() <= PACKED_BYTES_MAX
}

/// One slot in so many. Steady replacement leaves one in fifteen without a vector.
pub(super) const RESERVE_ONE_IN: usize = 14;

/// An index without a graph is packed when one slot in so many has no vector: so copying costs eight rows for each that goes.
const PACKED_ONE_IN: usize = 8;

/// A larger one is not packed, because that would take more than two milliseconds.
const PACKED_BYTES_MAX: usize = 8 << 20;

/// Up to so many slots it is packed for each: that copies some KiB.
pub(super) const SMALL_SLOTS: usize = 32;

/// What the catalog takes for a collection beside its schema: counts of references, and its place in the map, of which two
/// versions exist for a moment.
const CATALOG_BYTES: usize = 64;
