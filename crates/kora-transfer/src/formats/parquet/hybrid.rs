//! Small whole numbers in runs, either repeated or packed bit by bit: levels, and the indices of dictionaries.
//!
//! "Run Length Encoding / Bit-Packing Hybrid" of the Parquet format's `Encodings.md`.

use super::thrift::{varint, write_varint};

/// Reads one number after the other from a part of a page. The bytes of the page come with each call.
pub(super) struct Hybrid {
    /// Where the next run begins.
    at: usize,
    end: usize,
    /// Bits of a number. Invariant: at most 32.
    width: u32,
    run: Run,
}

#[derive(Clone, Copy)]
enum Run {
    Repeated { left: u64, value: u32 },
    Packed { left: u64, bit: u64 },
}

impl Hybrid {
    /// Numbers of `width` bits in `bytes[at..end]`.
    pub(super) fn new(at: usize, end: usize, width: u32) -> Result<Self, String> {
        match width <= u32::BITS {
            true => Ok(Self {
                at,
                end,
                width,
                run: Run::Repeated { left: 0, value: 0 },
            }),
            false => Err(format!("numbers of {width} bits")),
        }
    }

    /// The next number; `None` if there is none.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<u32> {
        loop {
            match &mut self.run {
                Run::Repeated { left: 0, .. } | Run::Packed { left: 0, .. } => self.next_run(bytes.get(..self.end)?)?,
                Run::Repeated { left, value } => {
                    *left -= 1;
                    return Some(*value);
                }
                Run::Packed { left, bit } => {
                    let value = bits(bytes.get(..self.end)?, *bit, self.width)?;
                    *left -= 1;
                    *bit += u64::from(self.width);
                    return Some(value);
                }
            }
        }
    }

    fn next_run(&mut self, bytes: &[u8]) -> Option<()> {
        let head = varint(bytes, &mut self.at)?;
        let count = head >> 1;
        self.run = if head & 1 == 1 {
            let bit = self.at as u64 * 8;
            // The last group may be cut where its numbers are no longer of use.
            let length = count.checked_mul(u64::from(self.width))?;
            let next = (self.at as u64).checked_add(length)?.min(bytes.len() as u64);
            self.at = next as usize;
            let left = count.checked_mul(8)?;
            Run::Packed { left, bit }
        } else {
            let width_bytes = self.width.div_ceil(8) as usize;
            let value = bytes.get(self.at..self.at + width_bytes)?;
            self.at += width_bytes;
            let mut word = [0; 4];
            word[..width_bytes].copy_from_slice(value);
            let value = u32::from_le_bytes(word);
            Run::Repeated { left: count, value }
        };
        Some(())
    }
}

/// `width` bits from a bit on, the lowest first.
pub(super) fn bits(bytes: &[u8], bit: u64, width: u32) -> Option<u32> {
    wide_bits(bytes, bit, width).map(|bits| bits as u32)
}

/// The same for up to 64 bits.
pub(super) fn wide_bits(bytes: &[u8], bit: u64, width: u32) -> Option<u64> {
    let first = usize::try_from(bit / 8).ok()?;
    let shift = (bit % 8) as u32;
    let length = (shift + width).div_ceil(8) as usize;
    let part = bytes.get(first..first.checked_add(length)?)?;
    let mut word = [0; 16];
    word[..length].copy_from_slice(part);
    let mask = (1u128 << width) - 1;
    Some((u128::from_le_bytes(word) >> shift & mask) as u64)
}

/// Appends a run of one number that is repeated, of at most 8 bits.
pub(super) fn write_run(value: u8, count: u64, out: &mut Vec<u8>) {
    write_varint(count << 1, out);
    out.push(value);
}
