//! Which vectors a search may return.

use crate::hnsw::Slot;
use crate::matches::Matches;

/// Which live slots a search may return. A walk expands the others too, but they take no place in the result.
pub(crate) enum Admission<'a> {
    /// Every live slot.
    All,
    /// Those for which this predicate holds. It is called once for each slot that a walk reaches.
    If(&'a mut dyn FnMut(Slot) -> bool),
    /// Those in a set whose size is known. Others are not even measured.
    Among(&'a Matches),
}

impl Admission<'_> {
    #[inline]
    pub(crate) fn admits(&mut self, slot: u32) -> bool {
        match self {
            Admission::All => true,
            Admission::If(predicate) => predicate(Slot::from_index(slot as usize)),
            Admission::Among(matches) => matches.admits(slot),
        }
    }
}
