//! What FUNCTION DUMP answers and FUNCTION RESTORE takes: the code of libraries as it stands in Redis's RDB files, so that
//! each server restores what the other one has dumped.
//!
//! For each library a byte [`LIBRARY`] and a string; then the version of the format in two bytes and a CRC in eight, both
//! little-endian. A string has its length before it, in one of several forms, and may be compressed by LZF.

use bytes::Bytes;
use kora_script::limits::SCRIPT_BYTES_MAX;

/// The CRC-64 that Redis uses: Jones's polynomial, reflected, from 0 on.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// Takes these bytes in.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8));
    }

    fn bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

/// A payload without its checksum.
pub(crate) fn without_checksum<'c>(codes: impl Iterator<Item = &'c Bytes>) -> Vec<u8> {
    let mut payload = Vec::new();
    for code in codes {
        payload.push(LIBRARY);
        let length = u32::try_from(code.len()).expect("a library's code is short");
        payload.push(LENGTH_32);
        payload.extend_from_slice(&length.to_be_bytes());
        payload.extend_from_slice(code);
    }
    payload.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
    payload
}

/// The whole payload; the checksum is of all that is there.
pub(crate) fn with_checksum(mut payload: Vec<u8>, checksum: Checksum) -> Vec<u8> {
    payload.extend_from_slice(&checksum.bytes());
    payload
}

/// A payload that is read from its beginning on.
pub(crate) struct PayloadReader {
    payload: Bytes,
    at: usize,
}

impl PayloadReader {
    pub(crate) fn new(payload: Bytes) -> PayloadReader {
        PayloadReader { payload, at: 0 }
    }

    /// What its checksum is of; nothing if it is too short to have one.
    pub(crate) fn checked(&self) -> &[u8] {
        &self.payload[..self.payload.len().saturating_sub(CHECKSUM_BYTES)]
    }

    /// True if it has this checksum and a version that is known.
    pub(crate) fn is_sound(&self, checksum: Checksum) -> bool {
        let checked = self.checked();
        let Some(version) = checked.len().checked_sub(VERSION_BYTES) else {
            return false;
        };
        let version = u16::from_le_bytes([checked[version], checked[version + 1]]);
        version <= VERSION_READ_MAX && self.payload[checked.len()..] == checksum.bytes()
    }

    /// The code of the next library; `None` at the end.
    ///
    /// # Errors
    /// What is wrong with it, in the words of an error reply.
    pub(crate) fn next_code(&mut self) -> Result<Option<Bytes>, &'static str> {
        let end = self.payload.len().saturating_sub(CHECKSUM_BYTES + VERSION_BYTES);
        let mut rest = &self.payload[self.at.min(end)..end];
        let code = match take(&mut rest, 1) {
            None => return Ok(None),
            Some([LIBRARY]) => self.take_string(&mut rest).ok_or(NOT_LOADED)?,
            Some([LIBRARY_BEFORE_7]) => return Err("ERR Pre-GA function format not supported"),
            Some(_) => return Err("ERR given type is not a function"),
        };
        self.at = end - rest.len();
        Ok(Some(code))
    }

    fn take_string(&self, rest: &mut &[u8]) -> Option<Bytes> {
        match take_length(rest)? {
            Length::Of(bytes) if bytes <= SCRIPT_BYTES_MAX => {
                let text = take(rest, bytes)?;
                Some(self.payload.slice_ref(text))
            }
            Length::Special(COMPRESSED) => {
                let (Length::Of(packed), Length::Of(bytes)) = (take_length(rest)?, take_length(rest)?) else {
                    return None;
                };
                let packed = take(rest, packed)?;
                let is_bounded = bytes <= SCRIPT_BYTES_MAX;
                is_bounded.then(|| unpack(packed, bytes)).flatten().map(Bytes::from)
            }
            // Code is no number.
            Length::Of(_) | Length::Special(_) => None,
        }
    }
}

enum Length {
    Of(usize),
    Special(u8),
}

fn take_length(rest: &mut &[u8]) -> Option<Length> {
    let first = take(rest, 1)?[0];
    let low = usize::from(first & 0x3F);
    Some(Length::Of(match first >> 6 {
        0 => low,
        1 => low << 8 | usize::from(take(rest, 1)?[0]),
        2 if first == LENGTH_32 => {
            let bytes = take(rest, 4)?;
            u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
        }
        // Longer than anything that is allowed.
        2 => return None,
        _ => return Some(Length::Special(first & 0x3F)),
    }))
}

fn take<'r>(rest: &mut &'r [u8], count: usize) -> Option<&'r [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// What LZF has compressed to these bytes; `None` if it is none of so many.
fn unpack(mut packed: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes);
    while let Some(control) = take(&mut packed, 1) {
        let control = usize::from(control[0]);
        if control < LITERALS_MAX {
            text.extend_from_slice(take(&mut packed, control + 1)?);
        } else {
            let length = match control >> 5 {
                7 => 7 + usize::from(take(&mut packed, 1)?[0]),
                short => short,
            };
            let low = usize::from(take(&mut packed, 1)?[0]);
            let back = ((control & 0x1F) << 8 | low) + 1;
            let from = text.len().checked_sub(back)?;
            if text.len() + length + 2 > bytes {
                return None;
            }
            // What is copied may be what was copied a moment ago.
            for place in from..from + length + 2 {
                text.push(text[place]);
            }
        }
        if text.len() > bytes {
            return None;
        }
    }
    (text.len() == bytes).then_some(text)
}

/// Before each library.
const LIBRARY: u8 = 245;

/// The same in a format of Redis before 7.0.
const LIBRARY_BEFORE_7: u8 = 246;

/// Before a length in 32 bits.
const LENGTH_32: u8 = 0x80;

/// The form of a string that is compressed.
const COMPRESSED: u8 = 3;

/// Control bytes of LZF below this say how many literal bytes follow.
const LITERALS_MAX: usize = 32;

/// Of the first Redis that has functions.
const VERSION_WRITTEN: u16 = 10;

/// Of Redis 8.2.
const VERSION_READ_MAX: u16 = 12;

const VERSION_BYTES: usize = 2;

const CHECKSUM_BYTES: usize = 8;

const NOT_LOADED: &str = "ERR failed loading the given functions payload";

/// Of the polynomial, reflected: one entry for each byte.
static TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(payload: &[u8]) -> Bytes {
        let mut checksum = Checksum::default();
        checksum.update(payload);
        with_checksum(payload.to_vec(), checksum).into()
    }

    fn read(payload: Bytes) -> Result<Vec<Bytes>, &'static str> {
        let mut reader = PayloadReader::new(payload);
        let mut checksum = Checksum::default();
        checksum.update(reader.checked());
        if !reader.is_sound(checksum) {
            return Err("not sound");
        }
        let mut codes = Vec::new();
        while let Some(code) = reader.next_code()? {
            codes.push(code);
        }
        Ok(codes)
    }

    #[test]
    fn the_checksum_is_the_one_of_redis() {
        let mut checksum = Checksum::default();
        checksum.update(b"123456789");
        assert_eq!(checksum.0, 0xE9C6_D914_C4B8_D9CA);
    }

    #[test]
    fn what_was_dumped_is_read() {
        let codes = [Bytes::from_static(b"#!lua name=a\n"), Bytes::from(vec![b'x'; 70_000])];
        assert_eq!(read(whole(&without_checksum(codes.iter()))), Ok(codes.to_vec()));
        assert_eq!(read(whole(&without_checksum([].into_iter()))), Ok(Vec::new()));
    }

    #[test]
    fn the_forms_of_a_string_are_read() {
        let version = [12, 0];
        let payload = |string: &[u8]| whole(&[&[LIBRARY], string, &version].concat());
        for (string, text) in [
            (&b"\x03abc"[..], &b"abc"[..]),
            (b"\x40\x03abc", b"abc"),
            (b"\x80\0\0\0\x03abc", b"abc"),
            // "ab" as literals, then seven bytes from two back.
            (b"\xC3\x05\x09\x01ab\xA0\x01", b"ababababa"),
            // One literal, then 7 + 1 + 2 of the same.
            (b"\xC3\x05\x0B\x00a\xE0\x01\x00", b"aaaaaaaaaaa"),
        ] {
            assert_eq!(
                read(payload(string)),
                Ok(vec![Bytes::copy_from_slice(text)]),
                "{string:?}"
            );
        }
        for string in [
            &b"\x04abc"[..],
            b"\x80\xFF\xFF\xFF\xFFabc",
            b"\x81\0\0\0\0\0\0\0\x03abc",
            b"\xC0\x07",
            b"\xC3\x05\x0A\x01ab\xA0\x01",
            b"\xC3\x05\x08\x01ab\xA0\x01",
            b"\xC3\x03\x09\xA0\x01a",
            b"\xC3\x05\x80\xFF\xFF\xFF\xFF\x01ab\xA0\x01",
        ] {
            assert_eq!(read(payload(string)), Err(NOT_LOADED), "{string:?}");
        }
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        let sound = whole(&without_checksum([Bytes::from_static(b"x")].iter()));
        for length in 0..sound.len() {
            assert_eq!(read(sound.slice(..length)), Err("not sound"));
        }
        let mut other = sound.to_vec();
        other[3] ^= 1;
        assert_eq!(read(other.into()), Err("not sound"));
        assert_eq!(read(whole(&[13, 0])), Err("not sound"), "of a later version");
        assert_eq!(
            read(whole(&[0, 1, b'x', 12, 0])),
            Err("ERR given type is not a function")
        );
        assert_eq!(
            read(whole(&[LIBRARY_BEFORE_7, 12, 0])),
            Err("ERR Pre-GA function format not supported")
        );
    }
}
