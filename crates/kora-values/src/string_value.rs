//! A string: any bytes, kept as small as they are.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::block::block_bytes;
use crate::error::ValueError;
use crate::float::LongDouble;
use crate::integer::{self, Digits};

/// What a key of type `string` holds.
#[derive(Clone, Debug)]
pub struct StringValue(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Bytes that are an integer's text.
    Integer(i64),
    /// Few bytes that came whole: no block of memory for them.
    Short(Short),
    /// More bytes that came whole. Invariant: fewer than `SHARED_BYTES_MIN`.
    Whole(Box<[u8]>),
    /// Bytes that were changed in place: with room for more. Invariant: fewer than `SHARED_BYTES_MIN`.
    Grown(Box<Grown>),
    /// Many bytes: a reply shares them instead of copying. They are copied when they change while a reply is under way.
    Shared(Arc<ManyBytes>),
}

/// Bytes that replies share.
#[derive(Debug)]
enum ManyBytes {
    /// With room for more.
    Own(Vec<u8>),
    /// A part of the request that brought them, which has nothing else of the size.
    Kept(Bytes),
}

#[derive(Clone, Debug)]
struct Short {
    len: u8,
    bytes: [u8; SHORT_BYTES_MAX],
}

#[derive(Clone, Debug)]
struct Grown(Vec<u8>);

/// A string to be read, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct StringRef<'a>(FormRef<'a>);

#[derive(Clone, Copy, Debug)]
enum FormRef<'a> {
    Integer(i64),
    Whole(&'a [u8]),
    Grown(&'a [u8]),
    Shared(&'a Arc<ManyBytes>),
}

/// How to read the bytes that a string was packed into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StringPacking {
    /// An integer, the least byte first and no more of them than it takes.
    Integer,
    /// The bytes of a string that came whole.
    Whole,
    /// The bytes of a string that was changed.
    Changed,
}

/// What OBJECT ENCODING calls the form of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StringEncoding {
    /// An integer of 64 bits.
    Int,
    /// At most 44 bytes that came whole.
    Embstr,
    /// All others.
    Raw,
}

impl fmt::Display for StringEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StringEncoding::Int => "int",
            StringEncoding::Embstr => "embstr",
            StringEncoding::Raw => "raw",
        })
    }
}

impl StringValue {
    /// A string of these bytes, as SET makes it: an integer's text becomes an integer.
    pub fn new(bytes: &[u8]) -> StringValue {
        match integer::parse(bytes) {
            Some(integer) => StringValue::of_integer(integer),
            None => StringValue::whole(bytes),
        }
    }

    /// A string that was changed, of these bytes.
    pub fn changed(bytes: Vec<u8>) -> StringValue {
        let mut string = StringValue::of_integer(0);
        string.put(bytes);
        string
    }

    /// A string of these bytes, which are not copied if they are many: to be given what has hardly any memory beside them.
    pub fn keep(bytes: Bytes) -> StringValue {
        match bytes.len() >= SHARED_BYTES_MIN {
            true => StringValue(Form::Shared(Arc::new(ManyBytes::Kept(bytes)))),
            false => StringValue::new(&bytes),
        }
    }

    /// The string that is this integer's text.
    pub fn of_integer(integer: i64) -> StringValue {
        StringValue(Form::Integer(integer))
    }

    /// The same, to be read.
    pub fn view(&self) -> StringRef<'_> {
        StringRef(match &self.0 {
            Form::Integer(integer) => FormRef::Integer(*integer),
            Form::Short(short) => FormRef::Whole(short.bytes()),
            Form::Whole(bytes) => FormRef::Whole(bytes),
            Form::Grown(bytes) => FormRef::Grown(&bytes.0),
            Form::Shared(bytes) => FormRef::Shared(bytes),
        })
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// Puts `tail` behind it, unless it becomes longer than `bytes_max` (APPEND). Returns how long it is.
    pub fn append(&mut self, tail: &[u8], bytes_max: usize) -> Result<usize, ValueError> {
        let new_len = checked_len(self.len(), tail.len(), bytes_max)?;
        let mut bytes = self.take(new_len);
        if bytes.capacity() < new_len {
            // Room for more, so that a string that grows by a byte at a time is not copied each time.
            bytes.reserve_exact(tail.len() + new_len.min(ROOM_BYTES_MAX));
        }
        bytes.extend_from_slice(tail);
        self.put(bytes);
        Ok(new_len)
    }

    /// Writes `part` over it from `offset` on, with zeros before it if it is shorter, unless it becomes longer than
    /// `bytes_max` (SETRANGE). Returns how long it is. An empty part changes nothing.
    pub fn set_range(&mut self, offset: usize, part: &[u8], bytes_max: usize) -> Result<usize, ValueError> {
        let len = self.len();
        if part.is_empty() {
            return Ok(len);
        }
        let end = checked_len(offset, part.len(), bytes_max)?;
        let mut bytes = self.take(len);
        if bytes.capacity() < end && end / 2 > len {
            // Many zeros come from the system, which writes none of them before they are read.
            let mut zeroed = vec![0; end];
            zeroed[..len].copy_from_slice(&bytes);
            bytes = zeroed;
        }
        bytes.resize(len.max(end), 0);
        bytes[offset..end].copy_from_slice(part);
        self.put(bytes);
        Ok(len.max(end))
    }

    /// Adds to the integer that it is (INCRBY, and with a negative `by` DECRBY). Returns the sum.
    pub fn increment(&mut self, by: i64) -> Result<i64, ValueError> {
        let sum = self
            .view()
            .integer()
            .ok_or(ValueError::NotAnInteger)?
            .checked_add(by)
            .ok_or(ValueError::IntegerOverflow)?;
        self.0 = Form::Integer(sum);
        Ok(sum)
    }

    /// Adds the float that `by` spells to the float that it is (INCRBYFLOAT). Returns the sum as it is kept.
    pub fn increment_float(&mut self, by: &[u8]) -> Result<String, ValueError> {
        let now = LongDouble::parse(self.view().bytes(&mut Digits::new())).ok_or(ValueError::NotAFloat)?;
        let by = LongDouble::parse(by).ok_or(ValueError::NotAFloat)?;
        let sum = now.add(by).ok_or(ValueError::FloatOverflow)?.print();
        *self = StringValue::whole(sum.as_bytes());
        Ok(sum)
    }

    /// Bytes held beside the value itself: the blocks that the allocator gave.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Integer(_) | Form::Short(_) => 0,
            Form::Whole(bytes) => block_bytes(bytes.len()),
            Form::Grown(bytes) => block_bytes(bytes.0.capacity()) + block_bytes(size_of::<Grown>()),
            Form::Shared(bytes) => bytes.heap_bytes() + block_bytes(size_of::<ManyBytes>() + ARC_COUNTS_BYTES),
        }
    }

    /// A string that is kept as it came, even if it is an integer's text.
    fn whole(bytes: &[u8]) -> StringValue {
        StringValue(if let Some(short) = Short::new(bytes) {
            Form::Short(short)
        } else if bytes.len() < SHARED_BYTES_MIN {
            Form::Whole(bytes.into())
        } else {
            Form::Shared(Arc::new(ManyBytes::Own(bytes.to_vec())))
        })
    }

    /// Its bytes, to be changed and [`put`](StringValue::put) back. Room for `capacity` where they must be copied.
    fn take(&mut self, capacity: usize) -> Vec<u8> {
        match &mut self.0 {
            Form::Grown(bytes) => return std::mem::take(&mut bytes.0),
            Form::Shared(shared) => {
                // What a reply still holds stays as it is.
                if let Some(ManyBytes::Own(bytes)) = Arc::get_mut(shared) {
                    return std::mem::take(bytes);
                }
            }
            Form::Integer(_) | Form::Short(_) | Form::Whole(_) => {}
        }
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(self.view().bytes(&mut Digits::new()));
        bytes
    }

    fn put(&mut self, bytes: Vec<u8>) {
        self.0 = if bytes.len() < SHARED_BYTES_MIN {
            Form::Grown(Box::new(Grown(bytes)))
        } else {
            Form::Shared(Arc::new(ManyBytes::Own(bytes)))
        };
    }
}

impl<'a> StringRef<'a> {
    /// How many bytes it has (STRLEN).
    pub fn len(self) -> usize {
        match self.0 {
            FormRef::Integer(integer) => Digits::new().print(integer).len(),
            form => form.stored().len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its bytes; `digits` is room for an integer's.
    pub fn bytes<'d>(self, digits: &'d mut Digits) -> &'d [u8]
    where
        'a: 'd,
    {
        match self.0 {
            FormRef::Integer(integer) => digits.print(integer),
            form => form.stored(),
        }
    }

    /// The first of its bytes as they are kept; 0 if there is none, or it is kept as a number. For one who will need them in a
    /// moment: they lie elsewhere in memory.
    pub fn first_byte(self) -> u8 {
        match self.0 {
            FormRef::Integer(_) => 0,
            form => form.stored().first().copied().unwrap_or(0),
        }
    }

    /// Its bytes for a reply: many are shared, few are copied.
    pub fn to_bytes(self) -> Bytes {
        self.shared()
            .unwrap_or_else(|| Bytes::copy_from_slice(self.bytes(&mut Digits::new())))
    }

    /// Its bytes without a copy, if they are many.
    pub fn shared(self) -> Option<Bytes> {
        match self.0 {
            FormRef::Shared(bytes) => Some(Bytes::from_owner(SharedString(Arc::clone(bytes)))),
            _ => None,
        }
    }

    /// The bytes from `start` to `end`, both included; negative ones count from the end: -1 is the last (GETRANGE).
    pub fn range(self, start: i64, end: i64) -> Bytes {
        let range = included(self.len(), start, end);
        match self.0 {
            FormRef::Shared(_) => self.to_bytes().slice(range),
            _ => Bytes::copy_from_slice(&self.bytes(&mut Digits::new())[range]),
        }
    }

    /// How many bytes are copied or cleared to write so many from `offset` on, with zeros before them if it is shorter.
    pub fn write_work(self, offset: usize, bytes: usize) -> usize {
        let (len, end) = (self.len(), offset.saturating_add(bytes));
        let is_in_place = match self.0 {
            FormRef::Shared(shared) => match &**shared {
                ManyBytes::Own(own) => Arc::strong_count(shared) == 1 && own.capacity() >= end,
                ManyBytes::Kept(_) => false,
            },
            _ => false,
        };
        let moved = if is_in_place { 0 } else { len };
        moved.saturating_add(end.saturating_sub(len.min(offset)))
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(self) -> StringEncoding {
        match self.0 {
            FormRef::Integer(_) => StringEncoding::Int,
            FormRef::Whole(bytes) if bytes.len() <= EMBSTR_BYTES_MAX => StringEncoding::Embstr,
            _ => StringEncoding::Raw,
        }
    }

    /// A string of its own, with the same bytes in the same form.
    pub fn to_value(self) -> StringValue {
        match self.0 {
            FormRef::Integer(integer) => StringValue::of_integer(integer),
            FormRef::Whole(bytes) => StringValue::whole(bytes),
            FormRef::Grown(bytes) => StringValue(Form::Grown(Box::new(Grown(bytes.to_vec())))),
            FormRef::Shared(bytes) => StringValue(Form::Shared(Arc::clone(bytes))),
        }
    }

    /// The bytes that it can be made of again, if they are few; `buffer` is where an integer's are written.
    pub fn pack<'d>(self, buffer: &'d mut [u8; size_of::<i64>()]) -> Option<(StringPacking, &'d [u8])>
    where
        'a: 'd,
    {
        Some(match self.0 {
            FormRef::Integer(integer) => {
                *buffer = integer.to_le_bytes();
                // As many leading bits are alike, the sign among them.
                let alike = (integer ^ (integer >> 63)).leading_zeros();
                (StringPacking::Integer, &buffer[..(8 - (alike as usize - 1) / 8)])
            }
            FormRef::Whole(bytes) => (StringPacking::Whole, bytes),
            FormRef::Grown(bytes) => (StringPacking::Changed, bytes),
            FormRef::Shared(_) => return None,
        })
    }

    /// The string that was packed into these bytes.
    pub fn unpack(packing: StringPacking, bytes: &'a [u8]) -> StringRef<'a> {
        StringRef(match packing {
            StringPacking::Integer => {
                let fill = match bytes.last() {
                    Some(last) if *last >= 0x80 => 0xFF,
                    _ => 0,
                };
                let mut integer = [fill; size_of::<i64>()];
                integer[..bytes.len()].copy_from_slice(bytes);
                FormRef::Integer(i64::from_le_bytes(integer))
            }
            StringPacking::Whole => FormRef::Whole(bytes),
            StringPacking::Changed => FormRef::Grown(bytes),
        })
    }

    fn integer(self) -> Option<i64> {
        match self.0 {
            FormRef::Integer(integer) => Some(integer),
            form => integer::parse(form.stored()),
        }
    }
}

impl<'a> FormRef<'a> {
    /// The bytes of any but an integer.
    fn stored(self) -> &'a [u8] {
        match self {
            FormRef::Integer(_) => unreachable!("an integer's text is not stored"),
            FormRef::Whole(bytes) | FormRef::Grown(bytes) => bytes,
            FormRef::Shared(bytes) => bytes.as_ref().as_ref(),
        }
    }
}

impl ManyBytes {
    fn heap_bytes(&self) -> usize {
        match self {
            ManyBytes::Own(bytes) => block_bytes(bytes.capacity()),
            ManyBytes::Kept(bytes) => block_bytes(bytes.len()),
        }
    }
}

impl AsRef<[u8]> for ManyBytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            ManyBytes::Own(bytes) => bytes,
            ManyBytes::Kept(bytes) => bytes,
        }
    }
}

impl Short {
    fn new(text: &[u8]) -> Option<Short> {
        let mut bytes = [0; SHORT_BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let len = text.len() as u8;
        Some(Short { len, bytes })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Bytes that a reply holds on to.
struct SharedString(Arc<ManyBytes>);

impl AsRef<[u8]> for SharedString {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().as_ref()
    }
}

/// `len + more`, if a string may be that long.
fn checked_len(len: usize, more: usize, bytes_max: usize) -> Result<usize, ValueError> {
    len.checked_add(more)
        .filter(|sum| *sum <= bytes_max)
        .ok_or(ValueError::TooLong)
}

/// What lies from `start` to `end`, both included, of `len` places; negative ones count from the end.
fn included(len: usize, start: i64, end: i64) -> Range<usize> {
    let len = i64::try_from(len).expect("memory is smaller");
    // Both behind the other end and the wrong way around: Redis sees that before it moves them to the first.
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let from_end = |place: i64| {
        if place < 0 {
            len.saturating_add(place).max(0)
        } else {
            place
        }
    };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        0..0
    } else {
        start as usize..end as usize + 1
    }
}

/// The longest string that Redis calls `embstr`, before 8.2 made it depend on the key's length, too.
const EMBSTR_BYTES_MAX: usize = 44;

/// From 16 KiB on copying costs more than sharing: an allocation and two counts.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// A string that grows gets room for as much again, up to a mebibyte: Redis's `SDS_MAX_PREALLOC`.
const ROOM_BYTES_MAX: usize = 1 << 20;

/// What an `Arc` keeps before its value.
const ARC_COUNTS_BYTES: usize = 2 * size_of::<usize>();

/// What fits where a value is passed on, beside how long it is and which form it has.
const SHORT_BYTES_MAX: usize = 22;

// A value is passed on by three words.
const _: () = assert!(size_of::<StringValue>() == 24);

#[cfg(test)]
mod tests;
