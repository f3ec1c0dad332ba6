//! What a search finds, and where.

use crate::limits::SLOTS_MAX;

/// The place of a vector in its index, which may change: see [`Index::take_moves`](crate::Index::take_moves).
/// After the vector's removal another one may be given the place, but not while a search or an insertion is under way
/// that began before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// The slot with this number, below [`SLOTS_MAX`].
    pub fn from_index(index: usize) -> Slot {
        assert!(index < SLOTS_MAX, "slot {index} is beyond the limit");
        Slot(index as u32)
    }

    /// Its number, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// One result of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Computed in f64 from the query as it was given and the vector as it is kept, and rounded once; finite.
    pub distance: f32,
    /// Whose.
    pub slot: Slot,
}

impl Hit {
    pub(crate) fn new(distance: f32, slot: u32) -> Hit {
        Hit {
            distance,
            slot: Slot(slot),
        }
    }
}
