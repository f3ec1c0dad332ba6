//! Thrift's compact protocol, in which Parquet writes its footer and the headers of its pages.
//!
//! After the specification "Thrift compact protocol encoding". Nothing is allocated that the bytes do not hold.

/// The type of a field or of a list's items.
pub(super) type Kind = u8;

pub(super) const TRUE: Kind = 1;
pub(super) const FALSE: Kind = 2;
pub(super) const I32: Kind = 5;
pub(super) const I64: Kind = 6;
pub(super) const BINARY: Kind = 8;
pub(super) const LIST: Kind = 9;
pub(super) const STRUCT: Kind = 12;

const I8: Kind = 3;
const I16: Kind = 4;
const DOUBLE: Kind = 7;
const SET: Kind = 10;
const MAP: Kind = 11;
const UUID: Kind = 13;

/// Reads values one after the other.
pub(super) struct ThriftReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ThriftReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads a struct: calls `visit` with the number and the type of each field. A field whose value `visit` did not
    /// read, which it tells by false, is passed over.
    pub(super) fn fields(
        &mut self,
        mut visit: impl FnMut(&mut Self, i64, Kind) -> Result<bool, String>,
    ) -> Result<(), String> {
        let mut number = 0;
        while let Some((next, kind)) = self.field(number)? {
            number = next;
            if !visit(self, number, kind)? {
                self.skip(kind, DEPTH_MAX)?;
            }
        }
        Ok(())
    }

    /// The number and the type of the next field, or `None` behind the last.
    fn field(&mut self, before: i64) -> Result<Option<(i64, Kind)>, String> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let number = match head >> 4 {
            0 => self.zigzag()?,
            step => before + i64::from(step),
        };
        match (1..=i64::from(i16::MAX)).contains(&number) {
            true => Ok(Some((number, head & 15))),
            false => Err(format!("a field has the number {number}")),
        }
    }

    /// A whole number of any width but that of a byte.
    pub(super) fn integer(&mut self, kind: Kind) -> Result<i64, String> {
        match kind {
            I16 | I32 | I64 => self.zigzag(),
            _ => Err(unexpected(kind)),
        }
    }

    /// A whole number that can't be negative.
    pub(super) fn count(&mut self, kind: Kind) -> Result<u64, String> {
        let number = self.integer(kind)?;
        u64::try_from(number).map_err(|_| format!("{number} is no count"))
    }

    /// Bytes behind their length.
    pub(super) fn binary(&mut self, kind: Kind) -> Result<&'a [u8], String> {
        match kind {
            BINARY => {
                let length = self.varint()?;
                self.take(length)
            }
            _ => Err(unexpected(kind)),
        }
    }

    /// The value of a boolean field, which stands in its type.
    pub(super) fn boolean(kind: Kind) -> Result<bool, String> {
        match kind {
            TRUE => Ok(true),
            FALSE => Ok(false),
            _ => Err(unexpected(kind)),
        }
    }

    /// Reads a list: calls `visit` for each item, with their type.
    pub(super) fn items(
        &mut self,
        kind: Kind,
        mut visit: impl FnMut(&mut Self, Kind) -> Result<(), String>,
    ) -> Result<(), String> {
        if kind != LIST {
            return Err(unexpected(kind));
        }
        let (item, count) = self.list_head()?;
        for _ in 0..count {
            visit(self, item)?;
        }
        Ok(())
    }

    fn list_head(&mut self) -> Result<(Kind, u64), String> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        // An item has at least one byte.
        match count <= (self.bytes.len() - self.at) as u64 {
            true => Ok((head & 15, count)),
            false => Err(format!("a list of {count} items is longer than what holds it")),
        }
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Result<(), String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err("values are nested too deep".into());
        };
        match kind {
            TRUE | FALSE => {}
            I8 => drop(self.byte()?),
            I16 | I32 | I64 => drop(self.varint()?),
            DOUBLE => drop(self.take(8)?),
            UUID => drop(self.take(16)?),
            BINARY => drop(self.binary(kind)?),
            LIST | SET => {
                let (item, count) = self.list_head()?;
                (0..count).try_for_each(|_| self.skip_item(item, depth))?;
            }
            MAP => {
                let count = self.varint()?;
                if count > 0 {
                    let kinds = self.byte()?;
                    for _ in 0..count {
                        self.skip_item(kinds >> 4, depth)?;
                        self.skip_item(kinds & 15, depth)?;
                    }
                }
            }
            STRUCT => {
                let mut number = 0;
                while let Some((next, kind)) = self.field(number)? {
                    number = next;
                    self.skip(kind, depth)?;
                }
            }
            _ => return Err(unexpected(kind)),
        }
        Ok(())
    }

    /// Booleans of lists have a byte of their own.
    fn skip_item(&mut self, kind: Kind, depth: usize) -> Result<(), String> {
        match kind {
            TRUE | FALSE => self.byte().map(drop),
            kind => self.skip(kind, depth),
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = *self.bytes.get(self.at).ok_or_else(ended)?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).map_err(|_| ended())?;
        let end = self.at.checked_add(length).ok_or_else(ended)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(ended)?;
        self.at = end;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, String> {
        varint(self.bytes, &mut self.at).ok_or_else(ended)
    }

    fn zigzag(&mut self) -> Result<i64, String> {
        self.varint().map(unzigzag)
    }
}

/// Seven bits to a byte, the lowest first; `None` if the bytes end before or it has more than 64 bits.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// 0, -1, 1, -2 … from 0, 1, 2, 3 …
pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn ended() -> String {
    "a structure is cut short".into()
}

fn unexpected(kind: Kind) -> String {
    format!("a field has the unexpected type {kind}")
}

/// Writes structs; the fields of each in ascending order.
#[derive(Default)]
pub(super) struct ThriftWriter {
    bytes: Vec<u8>,
    /// The last field of each struct that is open.
    numbers: Vec<u8>,
}

impl ThriftWriter {
    /// Begins a struct: the whole, an item of a list, or the value of a field that was begun.
    pub(super) fn begin(&mut self) {
        self.numbers.push(0);
    }

    pub(super) fn end(&mut self) {
        self.numbers.pop();
        self.bytes.push(0);
    }

    /// Begins a field; its value follows.
    pub(super) fn field(&mut self, number: u8, kind: Kind) {
        let last = self.numbers.last_mut();
        let step = last.map_or(number, |last| number - std::mem::replace(last, number));
        self.bytes.push(step << 4 | kind);
    }

    pub(super) fn i32(&mut self, number: u8, value: i32) {
        self.field(number, I32);
        self.zigzag(i64::from(value));
    }

    pub(super) fn i64(&mut self, number: u8, value: i64) {
        self.field(number, I64);
        self.zigzag(value);
    }

    pub(super) fn text(&mut self, number: u8, text: &str) {
        self.field(number, BINARY);
        self.binary(text.as_bytes());
    }

    /// Begins a list; its items follow.
    pub(super) fn list(&mut self, number: u8, kind: Kind, count: usize) {
        self.field(number, LIST);
        match u8::try_from(count) {
            Ok(count @ 0..15) => self.bytes.push(count << 4 | kind),
            _ => {
                self.bytes.push(15 << 4 | kind);
                write_varint(count as u64, &mut self.bytes);
            }
        }
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) {
        write_varint(bytes.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn zigzag(&mut self, value: i64) {
        write_varint((value << 1 ^ value >> 63) as u64, &mut self.bytes);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

pub(super) fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How deep values nest that are passed over; the format's own structs are six deep.
const DEPTH_MAX: usize = 32;
