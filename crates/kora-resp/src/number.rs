//! The one place where text becomes a number and a number becomes text.
//!
//! Integers are read as strictly as Redis's `string2ll`. Floats are read by fast-float2 and written as the shortest digits
//! which read back to the same f32, found by zmij:
//!
//! - whole numbers have no point: `0`, `3`, `-3`, `16777216`; negative zero is written `-0`, so that every component reads back;
//! - otherwise a point with digits on both sides: `1.5`, `0.1`, `-0.000001`;
//! - below 1e-6 and from 1e13 on, one digit before the point if there is one, and an exponent with its sign and without
//!   padding: `1e-7`, `1.1754944e-38`, `1e+13`, `3.4028235e+38`;
//! - what is not finite is `inf`, `-inf` and `nan`, the words of RESP3. No stored vector holds one.
//!
//! The text is the same in RESP2 and RESP3.

use std::{error, fmt};

use bytes::{BufMut, BytesMut};

/// A decimal integer: digits with an optional minus. No plus, no spaces, no leading zeros, no `-0`; `None` if it does not
/// fit.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// A decimal integer without a sign: digits without leading zeros; `None` if it does not fit.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > U64_DIGITS_MAX || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// [`parse_u64`] for counts and sizes of this platform.
pub fn parse_usize(text: &[u8]) -> Option<usize> {
    usize::try_from(parse_u64(text)?).ok()
}

/// A decimal f32, correctly rounded; the whole text has to be one. May be infinite or NaN: `inf`, `infinity` and `nan` in
/// any case are read, and so is `1e40`, which rounds to infinity. Nothing that is kept should come from here, see
/// [`parse_finite_f32`].
pub fn parse_f32(text: &[u8]) -> Option<f32> {
    fast_float2::parse(text).ok()
}

/// A decimal f32 that is finite.
pub fn parse_finite_f32(text: &[u8]) -> Result<f32, NumberError> {
    match parse_f32(text) {
        None => Err(NumberError::NotANumber),
        Some(value) if !value.is_finite() => Err(NumberError::NotFinite),
        Some(value) => Ok(value),
    }
}

/// Why a text is not a finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// It is no decimal number, or something stands before or after it.
    NotANumber,
    /// It is infinite, too large for an f32, or `nan`.
    NotFinite,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberError::NotANumber => "not a number",
            NumberError::NotFinite => "not a finite number",
        })
    }
}

impl error::Error for NumberError {}

/// The f32s of a blob, little-endian, four bytes each; `None` if the length is no multiple of four. Any bit pattern is a
/// value here, NaN and infinity too.
pub fn parse_f32s_le(blob: &[u8]) -> Option<impl ExactSizeIterator<Item = f32> + Clone + '_> {
    let (values, rest) = blob.as_chunks::<4>();
    rest.is_empty()
        .then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)))
}

/// Appends `values` as [`parse_f32s_le`] reads them, bit for bit.
pub fn print_f32s_le(values: &[f32], out: &mut BytesMut) {
    out.reserve(size_of_val(values));
    for value in values {
        out.put_f32_le(*value);
    }
}

/// Appends the text of `value` in the form this module describes.
pub fn print_f32(value: f32, out: &mut BytesMut) {
    out.extend_from_slice(spell(value, &mut Digits::new()).as_bytes());
}

/// The text of an f32 as [`print_f32`] writes it, without a heap.
#[derive(Clone, Copy)]
pub struct FloatText {
    bytes: [u8; FLOAT_TEXT_BYTES_MAX],
    /// Invariant: at most `FLOAT_TEXT_BYTES_MAX`, and `bytes` up to here are ASCII.
    len: u8,
}

impl FloatText {
    /// The text of `value`.
    pub fn new(value: f32) -> FloatText {
        let mut digits = Digits::new();
        let text = spell(value, &mut digits).as_bytes();
        let mut bytes = [0; FLOAT_TEXT_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        FloatText {
            bytes,
            len: text.len() as u8,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("digits, signs and letters are ASCII")
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for FloatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for FloatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Room for the digits of one float, within one cache line.
///
/// zmij writes them in wide strokes and they are copied out at once. Across the border of two lines the copy waits for the
/// strokes to land: on a stack that happened to be so, a float took 33 ns instead of 19 (`benches/reader.rs`, 2026-11-22).
#[repr(align(32))]
pub(crate) struct Digits(zmij::Buffer);

impl Digits {
    pub(crate) fn new() -> Digits {
        Digits(zmij::Buffer::new())
    }
}

/// zmij's text without the `.0` of whole numbers, and RESP3's words for what is not finite.
pub(crate) fn spell(value: f32, digits: &mut Digits) -> &str {
    if !value.is_finite() {
        return match value {
            f32::INFINITY => "inf",
            f32::NEG_INFINITY => "-inf",
            _ => "nan",
        };
    }
    let text = digits.0.format_finite(value);
    text.strip_suffix(".0").unwrap_or(text)
}

/// The text of an f64 as Redis replies it: the shortest digits that read back to the same one, in the form that its `fpconv`
/// gives them. Whole numbers below 10^(digits + 7) have no point, and small ones an exponent unless few zeros come first.
pub fn print_f64(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            f64::INFINITY => "inf",
            f64::NEG_INFINITY => "-inf",
            _ => "nan",
        }
        .to_owned();
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("that is what it prints");
    let exponent: i32 = exponent.parse().expect("that is what it prints");
    let digits = mantissa.replace('.', "");
    let count = digits.len() as i32;
    // The place of the last digit.
    let last = exponent - (count - 1);
    let magnitude = if last >= 0 && exponent < count + 7 {
        format!("{digits}{}", "0".repeat(last as usize))
    } else if last < 0 && (last > -7 || exponent.abs() < 4) {
        match usize::try_from(exponent) {
            Ok(whole) => format!("{}.{}", &digits[..=whole], &digits[whole + 1..]),
            Err(_) => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{}", exponent.abs())
    };
    match value.is_sign_negative() {
        true => format!("-{magnitude}"),
        false => magnitude,
    }
}

/// A sign, nine digits, a point and an exponent such as `e-38` are 15; zmij's own buffer is as long as this.
const FLOAT_TEXT_BYTES_MAX: usize = 24;

const U64_DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests;
