//! What the parts of an index in a snapshot are written and read with. Every byte may be anybody's.
//!
//! An index is a head, then its nodes, then its rows. All integers are little-endian.
//!
//! | part | holds |
//! |---|---|
//! | head | version u8, bits of a code u8 (0, 4 or 8), tiny u8, height u8, slots u32, root u32, crowd u64, level state u64, insertion work u64, half dimension f32, seen u32, then for each 64 slots a u64 of those that are live, and then one of those that are vacant |
//! | nodes | any number of: slot u32, level u8, then for each layer from 0 to the level: host u32 or all ones, links u16, and each link u32, whose top bit says that it is pinned |
//! | rows | any number of, in the order of their slots: slot u32, then the row |
//!
//! A row is: under F32 the components, each an f32, and where codes have four bits a byte for each two components, then scale,
//! square and largest component of the code as f32; under F16 the halves, each a u16, then their unit as f32; under Q8 and Q16
//! the code, a byte each, its largest component as f32, and under Q16 the residuals, a byte each. Codes of eight bits beside F32
//! are computed.

use std::fmt;

/// Why bytes are not an index that this version has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadFault {
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for LoadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for LoadFault {}

/// Bytes that are read from their beginning.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Source<'a> {
        Source { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], LoadFault> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(LoadFault {
            what: "a part of an index ends too soon",
        })?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LoadFault> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LoadFault> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LoadFault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LoadFault> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn f32(&mut self) -> Result<f32, LoadFault> {
        self.array().map(f32::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadFault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// The u32 that some bytes are.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| {
        let mut le = [0; 4];
        le.copy_from_slice(word);
        u32::from_le_bytes(le)
    })
}

/// A fault, unless something holds.
pub(crate) fn fault_unless(holds: bool, what: &'static str) -> Result<(), LoadFault> {
    if holds { Ok(()) } else { Err(LoadFault { what }) }
}

/// From the slots of the index that was written to those of the one that is read: the vacant ones are left out.
pub(crate) struct Numbering {
    /// For each slot its new number, or `NONE`; nothing if none was vacant.
    numbers: Vec<u32>,
    slots: u32,
    /// How many there are.
    taken: u32,
}

impl Numbering {
    /// Of so many slots, 64 in a word of those that were vacant.
    pub(crate) fn new(slots: u32, vacant: &[u64]) -> Numbering {
        let is_vacant = |slot: u32| vacant[slot as usize / 64] >> (slot % 64) & 1 == 1;
        if vacant.iter().all(|&word| word == 0) {
            return Numbering {
                numbers: Vec::new(),
                slots,
                taken: slots,
            };
        }
        let mut taken = 0;
        let number = |slot| {
            let number = if is_vacant(slot) { NONE } else { taken };
            taken += u32::from(number != NONE);
            number
        };
        Numbering {
            numbers: (0..slots).map(number).collect(),
            slots,
            taken,
        }
    }

    /// How many slots there were.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// How many slots the index has that is read.
    pub(crate) fn taken(&self) -> usize {
        self.taken as usize
    }

    /// The new number of a slot.
    #[inline]
    pub(crate) fn of(&self, slot: u32) -> Result<u32, LoadFault> {
        let number = match self.numbers.get(slot as usize) {
            Some(&number) => number,
            None if self.numbers.is_empty() && slot < self.slots => slot,
            None => NONE,
        };
        fault_unless(number != NONE, "a slot that there is not, or that is vacant")?;
        Ok(number)
    }
}

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;
