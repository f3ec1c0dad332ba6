//! Segments: files of the log.

use crate::bytes::{Malformed, checksum, u32_at, u64_at};
use crate::limits::SHARDS_MAX;

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Segments are numbered one by one, for the life of the directory.
    pub(crate) number: u64,
    /// Chosen by chance, so that blocks of another file never fit.
    pub(crate) id: u64,
    /// The stamp of the first frame.
    pub(crate) first_stamp: u64,
    pub(crate) shards: u32,
    /// It does not continue the segment before: something between was not logged, or is not known to be safe. It counts only
    /// for a snapshot that begins with it.
    pub(crate) is_detached: bool,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.shards.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.is_detached).to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&self.first_stamp.to_le_bytes());
        let sum = checksum(self.id, &[&bytes]);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, Malformed> {
        if bytes.len() < HEADER_BYTES || bytes[0..8] != MAGIC {
            return Err(Malformed("this is no segment of a log"));
        }
        let header = SegmentHeader {
            shards: u32_at(bytes, 12),
            is_detached: u32_at(bytes, 16) == 1,
            number: u64_at(bytes, 20),
            id: u64_at(bytes, 28),
            first_stamp: u64_at(bytes, 36),
        };
        if checksum(header.id, &[&bytes[..44]]) != u32_at(bytes, 44) {
            return Err(Malformed("the checksum of a segment's header is wrong"));
        }
        if u32_at(bytes, 8) != VERSION {
            return Err(Malformed("a segment of a version that this server does not read"));
        }
        if !(1..=SHARDS_MAX).contains(&header.shards) {
            return Err(Malformed("a segment with a number of shards beyond the limit"));
        }
        Ok(header)
    }
}

/// The name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("log-{number:06}.kora")
}

/// The number of a segment with this name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("log-")?.strip_suffix(".kora")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// An id that differs from those of other files: SplitMix64 of a random seed and the file's number.
pub(crate) fn file_id(random: u64, number: u64) -> u64 {
    let mut mixed = random ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Begins every segment.
pub(crate) const MAGIC: [u8; 8] = *b"KORALOG\n";

/// The version of the log's format.
pub(crate) const VERSION: u32 = 1;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = SegmentHeader {
            number: 12,
            id: 99,
            first_stamp: 1_000,
            shards: 4,
            is_detached: true,
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(SegmentHeader::decode(&changed).is_err(), "byte {at}");
        }
        assert_eq!(segment_number(&segment_name(7)), Some(7));
        assert_eq!(segment_number("log-7.kora"), None);
        assert_eq!(segment_number("log-000007.kora.tmp"), None);
    }
}
