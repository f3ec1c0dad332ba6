//! The values of a page, one after the other, in each of the encodings that writers use.
//!
//! After `Encodings.md` of the Parquet format.

use super::footer::Physical;
use super::hybrid::{Hybrid, wide_bits};
use super::thrift::{unzigzag, varint};

/// A value as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Boolean(bool),
    /// 32 bits are extended with their sign.
    Integer(i64),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
}

/// The dictionary of a column in a group of rows.
pub(super) struct Dictionary {
    physical: Physical,
    bytes: Vec<u8>,
    /// Where each value begins and ends. Invariant: within `bytes`.
    places: Vec<(u32, u32)>,
}

impl Dictionary {
    pub(super) fn new(
        physical: Physical,
        fixed: usize,
        count: u32,
        encoding: i64,
        bytes: Vec<u8>,
    ) -> Result<Self, String> {
        if !matches!(encoding, PLAIN | PLAIN_DICTIONARY) {
            return Err(unknown(encoding));
        }
        let mut at = 0;
        let mut places = Vec::new();
        for _ in 0..count {
            let (start, end) = plain_place(physical, fixed, &bytes, &mut at).ok_or("a dictionary is cut short")?;
            // A page has fewer bytes than 32 bits count.
            places.push((start as u32, end as u32));
        }
        Ok(Self {
            physical,
            bytes,
            places,
        })
    }

    fn value(&self, index: u32) -> Option<Value<'_>> {
        let (start, end) = *self.places.get(index as usize)?;
        self.physical.value(self.bytes.get(start as usize..end as usize)?)
    }
}

/// Where the next value of a page is, and how it is written there.
pub(super) enum Values {
    Plain {
        at: usize,
    },
    /// Booleans, eight to a byte.
    Bits {
        bit: u64,
    },
    Booleans(Hybrid),
    Indices(Hybrid),
    /// The first bytes of all values, then the second ones …
    Split {
        start: usize,
        index: usize,
        count: usize,
        /// The bytes of the value that was asked for last.
        value: Vec<u8>,
    },
    Integers(Deltas),
    /// Lengths, then the bytes of all values.
    Lengths {
        lengths: Deltas,
        at: usize,
    },
    /// How much of the value before each one begins with; then as with lengths.
    Prefixes {
        prefixes: Deltas,
        lengths: Deltas,
        at: usize,
        value: Vec<u8>,
    },
}

impl Values {
    /// Values from `at` to the end of a page.
    pub(super) fn open(
        physical: Physical,
        fixed: usize,
        encoding: i64,
        bytes: &[u8],
        at: usize,
    ) -> Result<Self, String> {
        let cut = || "the values of a page are cut short".to_owned();
        let end = bytes.len();
        Ok(match (encoding, physical) {
            (PLAIN, Physical::Boolean) => Self::Bits { bit: at as u64 * 8 },
            (PLAIN, _) => Self::Plain { at },
            (PLAIN_DICTIONARY | RLE_DICTIONARY, _) => match bytes.get(at) {
                Some(width) => Self::Indices(Hybrid::new(at + 1, end, u32::from(*width))?),
                // A page with nothing but nulls.
                None => Self::Indices(Hybrid::new(at, end, 0)?),
            },
            (RLE, Physical::Boolean) => Self::Booleans(Hybrid::new(at + 4, end, 1)?),
            (BYTE_STREAM_SPLIT, _) => {
                let width = physical.width(fixed).ok_or_else(|| unknown(encoding))?;
                let count = end.saturating_sub(at) / width;
                Self::Split {
                    start: at,
                    index: 0,
                    count,
                    value: vec![0; width],
                }
            }
            (DELTA_BINARY_PACKED, Physical::Int32 | Physical::Int64) => Self::Integers(Deltas::open(bytes, at)?),
            (DELTA_LENGTH_BYTE_ARRAY, Physical::Bytes) => {
                let lengths = Deltas::open(bytes, at)?;
                let at = lengths.end(bytes).ok_or_else(cut)?;
                Self::Lengths { lengths, at }
            }
            (DELTA_BYTE_ARRAY, Physical::Bytes | Physical::Fixed) => {
                let prefixes = Deltas::open(bytes, at)?;
                let lengths = Deltas::open(bytes, prefixes.end(bytes).ok_or_else(cut)?)?;
                Self::Prefixes {
                    at: lengths.end(bytes).ok_or_else(cut)?,
                    prefixes,
                    lengths,
                    value: Vec::new(),
                }
            }
            _ => return Err(unknown(encoding)),
        })
    }

    /// The next value; `None` if there is none, or if it can't be.
    pub(super) fn next<'a>(
        &'a mut self,
        physical: Physical,
        fixed: usize,
        bytes: &'a [u8],
        dictionary: Option<&'a Dictionary>,
    ) -> Option<Value<'a>> {
        match self {
            Self::Plain { at } => {
                let (start, end) = plain_place(physical, fixed, bytes, at)?;
                physical.value(bytes.get(start..end)?)
            }
            Self::Bits { bit } => {
                let value = wide_bits(bytes, *bit, 1)? == 1;
                *bit += 1;
                Some(Value::Boolean(value))
            }
            Self::Booleans(values) => values.next(bytes).map(|value| Value::Boolean(value == 1)),
            Self::Indices(indices) => dictionary?.value(indices.next(bytes)?),
            Self::Split {
                start,
                index,
                count,
                value,
            } => {
                let at = *start + *index;
                if *index == *count {
                    return None;
                }
                *index += 1;
                for (number, byte) in value.iter_mut().enumerate() {
                    *byte = *bytes.get(at + number * *count)?;
                }
                physical.value(value)
            }
            Self::Integers(numbers) => {
                let number = numbers.next(bytes)?;
                // Those of 32 bits wrap at 32 bits.
                Some(Value::Integer(match physical {
                    Physical::Int32 => i64::from(number as i32),
                    _ => number,
                }))
            }
            Self::Lengths { lengths, at } => {
                let part = take(bytes, at, lengths.next(bytes)?)?;
                Some(Value::Bytes(part))
            }
            Self::Prefixes {
                prefixes,
                lengths,
                at,
                value,
            } => {
                let prefix = usize::try_from(prefixes.next(bytes)?).ok()?;
                if prefix > value.len() {
                    return None;
                }
                value.truncate(prefix);
                value.extend_from_slice(take(bytes, at, lengths.next(bytes)?)?);
                match physical {
                    Physical::Fixed if value.len() != fixed => None,
                    _ => Some(Value::Bytes(value)),
                }
            }
        }
    }
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, length: i64) -> Option<&'a [u8]> {
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    let part = bytes.get(*at..end)?;
    *at = end;
    Some(part)
}

/// Where the next of the values stands that are written as they are.
fn plain_place(physical: Physical, fixed: usize, bytes: &[u8], at: &mut usize) -> Option<(usize, usize)> {
    let length = match physical.width(fixed) {
        Some(width) => width,
        None => {
            let head = bytes.get(*at..)?.first_chunk::<4>()?;
            *at += head.len();
            u32::from_le_bytes(*head) as usize
        }
    };
    let start = *at;
    let end = start.checked_add(length).filter(|end| *end <= bytes.len())?;
    *at = end;
    Some((start, end))
}

impl Physical {
    /// A value that is these bytes.
    fn value(self, bytes: &[u8]) -> Option<Value<'_>> {
        Some(match self {
            Self::Int32 => Value::Integer(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
            Self::Int64 => Value::Integer(i64::from_le_bytes(bytes.try_into().ok()?)),
            Self::Float => Value::Float(f32::from_le_bytes(bytes.try_into().ok()?)),
            Self::Double => Value::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
            Self::Bytes | Self::Fixed => Value::Bytes(bytes),
            Self::Boolean | Self::Int96 => return None,
        })
    }
}

/// Whole numbers as differences from one to the next, in blocks (`DELTA_BINARY_PACKED`).
#[derive(Clone)]
pub(super) struct Deltas {
    /// Numbers that are to come.
    left: u64,
    number: i64,
    is_first: bool,
    /// Differences of a miniblock. Invariant: at least 8, a multiple of it.
    mini_numbers: u64,
    /// Miniblocks of a block. Invariant: 1 to 512.
    minis: u64,
    /// The least difference of the block.
    least: i64,
    /// Where the widths of the block's miniblocks that are to come stand.
    widths_at: usize,
    minis_left: u64,
    /// Differences of the miniblock that are to come, and their width.
    mini_left: u64,
    width: u32,
    bit: u64,
    /// Where the next miniblock or block begins.
    at: usize,
}

impl Deltas {
    fn open(bytes: &[u8], mut at: usize) -> Result<Self, String> {
        let mut next = || varint(bytes, &mut at);
        let head = (|| Some((next()?, next()?, next()?, next()?)))();
        let (numbers, minis, left, first) = head.ok_or("the head of differences is cut short")?;
        let is_whole = (1..=DELTA_BLOCK_MAX).contains(&numbers)
            && (1..=MINIBLOCKS_MAX).contains(&minis)
            && numbers % minis == 0
            && (numbers / minis) % 8 == 0;
        if !is_whole {
            return Err(format!("blocks of {numbers} differences in {minis} parts"));
        }
        Ok(Self {
            left,
            number: unzigzag(first),
            is_first: true,
            mini_numbers: numbers / minis,
            minis,
            least: 0,
            widths_at: 0,
            minis_left: 0,
            mini_left: 0,
            width: 0,
            bit: 0,
            at,
        })
    }

    fn next(&mut self, bytes: &[u8]) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        if std::mem::take(&mut self.is_first) {
            return Some(self.number);
        }
        if self.mini_left == 0 {
            self.next_miniblock(bytes)?;
        }
        let step = wide_bits(bytes, self.bit, self.width)?;
        self.bit += u64::from(self.width);
        self.mini_left -= 1;
        self.number = self.number.wrapping_add(self.least).wrapping_add(step as i64);
        Some(self.number)
    }

    fn next_miniblock(&mut self, bytes: &[u8]) -> Option<()> {
        if self.minis_left == 0 {
            self.least = unzigzag(varint(bytes, &mut self.at)?);
            self.widths_at = self.at;
            self.at += self.minis as usize;
            self.minis_left = self.minis;
        }
        let width = *bytes.get(self.widths_at)?;
        self.widths_at += 1;
        self.minis_left -= 1;
        self.width = u32::from(width);
        if self.width > u64::BITS {
            return None;
        }
        self.bit = self.at as u64 * 8;
        self.at += (u64::from(width) * self.mini_numbers / 8) as usize;
        self.mini_left = self.mini_numbers;
        Some(())
    }

    /// Where what follows the differences begins.
    fn end(&self, bytes: &[u8]) -> Option<usize> {
        let mut walk = self.clone();
        // The first number stands in the head.
        let mut left = walk.left.saturating_sub(1);
        while left > 0 {
            walk.next_miniblock(bytes)?;
            left = left.saturating_sub(walk.mini_numbers);
        }
        Some(walk.at)
    }
}

fn unknown(encoding: i64) -> String {
    format!("its values are in the encoding {encoding}, which is not read for their type")
}

/// Differences of a block at most; writers have 128.
const DELTA_BLOCK_MAX: u64 = 1 << 20;

/// Parts of a block at most; writers have 4.
const MINIBLOCKS_MAX: u64 = 512;

// The enumeration `Encoding`.
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const DELTA_BYTE_ARRAY: i64 = 7;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;
