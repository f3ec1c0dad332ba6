//! Integers and byte strings as they stand in files, read with a bound and a reason if they are not there.

use std::fmt;

/// What is wrong with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Writes an integer in LEB128: seven bits a byte, the lowest first, and the top bit says that more follow.
pub(crate) fn put_integer(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a byte string behind its length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_integer(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes an integer off the front. The one spelling is the shortest.
pub(crate) fn take_integer(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for place in 0..INTEGER_BYTES_MAX {
        let byte = take_byte(bytes)?;
        let bits = u64::from(byte & 0x7f);
        if place == INTEGER_BYTES_MAX - 1 && bits > 1 {
            return Err(Malformed("an integer exceeds 64 bits"));
        }
        value |= bits << (7 * place);
        if byte & 0x80 == 0 {
            if byte == 0 && place > 0 {
                return Err(Malformed("an integer is longer than it has to be"));
            }
            return Ok(value);
        }
    }
    Err(Malformed("an integer exceeds 64 bits"))
}

/// Takes a byte string off the front.
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = take_integer(bytes)?;
    take_run(bytes, length)
}

/// Takes so many bytes off the front.
pub(crate) fn take_run<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (run, rest) = bytes
        .split_at_checked(length)
        .ok_or(Malformed("a length exceeds what is there"))?;
    *bytes = rest;
    Ok(run)
}

/// Takes a byte off the front.
pub(crate) fn take_byte(bytes: &mut &[u8]) -> Result<u8, Malformed> {
    let (&byte, rest) = bytes.split_first().ok_or(Malformed("it ends too soon"))?;
    *bytes = rest;
    Ok(byte)
}

/// Reads a little-endian u32 that is known to be there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// Reads a little-endian u64 that is known to be there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The checksum of what belongs to a file with this id: a part of another file never fits.
pub(crate) fn checksum(id: u64, parts: &[&[u8]]) -> u32 {
    let seed = crc32c::crc32c(&id.to_le_bytes());
    parts.iter().fold(seed, |sum, part| crc32c::crc32c_append(sum, part))
}

/// 64 bits are nine times seven, and one more.
const INTEGER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken(value: u64, text: Vec<u8>) {
            let mut out = Vec::new();
            put_integer(&mut out, value);
            put_bytes(&mut out, &text);
            let mut rest = &out[..];
            prop_assert_eq!(take_integer(&mut rest), Ok(value));
            prop_assert_eq!(take_bytes(&mut rest), Ok(&text[..]));
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn other_spellings_and_lengths_are_refused() {
        let refuse = |mut bytes: &[u8]| assert!(take_integer(&mut bytes).is_err(), "{bytes:?}");
        refuse(&[]);
        refuse(&[0x80]);
        refuse(&[0x80, 0]);
        refuse(&[0xff; 10]);
        refuse(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]);
        let mut bytes: &[u8] = &[3, 1, 2];
        assert!(take_bytes(&mut bytes).is_err());
    }
}
