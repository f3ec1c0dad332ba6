//! Where a SCAN goes on.
//!
//! The server remembers nothing between two SCANs: a cursor says it all. It is a number below 2⁵³, so that every client's
//! numbers hold it, and 0 is both the beginning and the end, as Redis has it.

use kora_keyspace::limits::SCAN_PREFIX_BITS;

use crate::limits::COLLECTIONS_MAX;
use crate::router::ShardId;

/// A place in the order in which all keys of all shards are scanned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cursor {
    /// The shard.
    pub shard: ShardId,
    /// Where on the shard.
    pub(crate) at: ScanPlace,
}

/// A place in the order in which the keys of one shard are scanned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct ScanPlace {
    /// 0: the names of collections. 1: strings and hashes. From 2 on: the vectors of one collection each.
    pub(crate) section: u32,
    /// In section 0 a bucket of the catalog, else a prefix of the keys' or names' hashes.
    pub(crate) position: u32,
}

impl Cursor {
    /// The beginning.
    pub const START: Cursor = Cursor {
        shard: ShardId(0),
        at: ScanPlace {
            section: 0,
            position: 0,
        },
    };

    /// As a client sees it.
    pub fn number(self) -> u64 {
        let number = (u64::from(self.shard.0) << (SECTION_BITS + SCAN_PREFIX_BITS))
            | (u64::from(self.at.section) << SCAN_PREFIX_BITS)
            | u64::from(self.at.position);
        assert!(number < 1 << CURSOR_BITS, "{self:?} is beyond every cursor");
        number
    }

    /// What a client gave back. Every number is some place, though perhaps none where anything stands.
    pub fn of_number(number: u64) -> Cursor {
        let bits = |shift: u32, count: u32| (number >> shift) & ((1 << count) - 1);
        // Above all shards is behind all shards.
        let shard = (number >> (SECTION_BITS + SCAN_PREFIX_BITS)).min(u64::from(u16::MAX));
        Cursor {
            shard: ShardId(shard as u16),
            at: ScanPlace {
                section: bits(SCAN_PREFIX_BITS, SECTION_BITS) as u32,
                position: bits(0, SCAN_PREFIX_BITS) as u32,
            },
        }
    }
}

/// Bits of a cursor: what a double holds exactly.
const CURSOR_BITS: u32 = 53;

/// Bits that tell the shard.
const SHARD_BITS: u32 = 8;

/// Bits that tell which collection of the shard.
pub(crate) const SECTION_BITS: u32 = 26;

/// Half of what a cursor can tell apart on one shard, so that dropped collections that a shard still holds find room.
const _: () = assert!(COLLECTIONS_MAX <= 1 << (SECTION_BITS - 1));

const _: () = assert!(SHARD_BITS + SECTION_BITS + SCAN_PREFIX_BITS == CURSOR_BITS);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was(shard in 0_u16..256, section in 0_u32..1 << 26, position in 0_u32..1 << 19) {
            let cursor = Cursor { shard: ShardId(shard), at: ScanPlace { section, position } };
            prop_assert_eq!(Cursor::of_number(cursor.number()), cursor);
        }

        #[test]
        fn the_order_of_cursors_is_that_of_their_numbers(one in 0_u64..1 << 53, two in 0_u64..1 << 53) {
            let order = Cursor::of_number(one).cmp(&Cursor::of_number(two));
            prop_assert_eq!(order, one.cmp(&two));
        }
    }

    #[test]
    fn the_beginning_is_zero_and_no_number_is_refused() {
        assert_eq!(Cursor::START.number(), 0);
        assert_eq!(Cursor::of_number(u64::MAX).shard, ShardId(u16::MAX));
    }
}
