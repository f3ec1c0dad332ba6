//! Redis's floats: it adds in the 80 bits of an x87 `long double` and prints 17 digits behind the point.
//!
//! The sum is rounded as the processor would (rustc_apfloat, LLVM's software floats). Which text is a float is decided as
//! glibc's `strtold` does in the C locale; the sum is printed as by glibc's `%.17Lf` and then without zeros at the end.

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, ParseError, Round, Status, StatusAnd};

/// A `long double`; may be infinite, is never NaN.
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// 0.
    pub(crate) const ZERO: LongDouble = LongDouble(X87DoubleExtended::ZERO);

    /// The float that the whole of `text` spells: decimal or hexadecimal, or `inf` or `infinity` in any case of letters.
    /// `None` for anything else, for what is too large, and for what is not 0 and too small.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (is_negative, magnitude) = match text {
            [b'-', magnitude @ ..] => (true, magnitude),
            [b'+', magnitude @ ..] => (false, magnitude),
            magnitude => (false, magnitude),
        };
        let value = match Spelling::of(magnitude)? {
            Spelling::Infinite => X87DoubleExtended::INFINITY,
            Spelling::Decimal => read(str::from_utf8(magnitude).ok()?)?,
            Spelling::Hexadecimal { has_exponent: true } => read(str::from_utf8(magnitude).ok()?)?,
            Spelling::Hexadecimal { has_exponent: false } => read(&format!("{}p0", str::from_utf8(magnitude).ok()?))?,
        };
        Some(LongDouble(if is_negative { -value } else { value }))
    }

    /// The sum; `None` if it is not finite.
    pub(crate) fn add(self, other: LongDouble) -> Option<LongDouble> {
        let StatusAnd { value, .. } = self.0.add_r(other.0, Round::NearestTiesToEven);
        value.is_finite().then_some(LongDouble(value))
    }

    /// Whether it is not infinite.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The text Redis prints: rounded to 17 digits behind the point, never with an exponent. It must be finite.
    pub(crate) fn print(self) -> String {
        assert!(self.is_finite(), "infinity has no digits");
        let bits = self.0.to_bits();
        let significand = bits as u64;
        let exponent = (bits >> 64) as i32 & 0x7FFF;
        // The least exponent stands for the one above it, too: denormal floats.
        let exponent = exponent.max(1) - EXPONENT_BIAS - 63;
        let digits = match u32::try_from(-exponent) {
            Ok(shift) => print_fraction(significand, shift),
            Err(_) => print_whole(significand, exponent.unsigned_abs()),
        };
        let is_negative = self.0.is_negative() && digits != "0";
        if is_negative { format!("-{digits}") } else { digits }
    }
}

/// How a float without its sign is spelled.
enum Spelling {
    Infinite,
    Decimal,
    Hexadecimal { has_exponent: bool },
}

impl Spelling {
    fn of(text: &[u8]) -> Option<Spelling> {
        if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
            return Some(Spelling::Infinite);
        }
        match text {
            [b'0', b'x' | b'X', rest @ ..] => {
                let has_exponent = is_number(rest, u8::is_ascii_hexdigit, b'p')?;
                Some(Spelling::Hexadecimal { has_exponent })
            }
            _ => is_number(text, u8::is_ascii_digit, b'e').map(|_| Spelling::Decimal),
        }
    }
}

/// Whether a number has an exponent; `None` if it is no number: digits with at most one point among them, and perhaps an
/// exponent, which is decimal.
fn is_number(text: &[u8], is_digit: fn(&u8) -> bool, exponent_letter: u8) -> Option<bool> {
    let is_letter = |byte: &u8| byte.to_ascii_lowercase() == exponent_letter;
    let end = text.iter().position(is_letter).unwrap_or(text.len());
    let mantissa = &text[..end];
    let points = mantissa.iter().filter(|byte| **byte == b'.').count();
    let digits = mantissa.iter().filter(|byte| is_digit(byte)).count();
    if digits == 0 || points > 1 || digits + points != mantissa.len() {
        return None;
    }
    let Some(exponent) = text.get(end + 1..) else {
        return Some(false);
    };
    let digits = match exponent {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    let is_exponent = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_exponent.then_some(true)
}

/// A number whose spelling was checked; `None` if it is out of range.
fn read(text: &str) -> Option<X87DoubleExtended> {
    let parsed: Result<_, ParseError> = X87DoubleExtended::from_str_r(text, Round::NearestTiesToEven);
    let StatusAnd { value, status } = parsed.ok()?;
    let vanished = value.is_zero() && status.contains(Status::UNDERFLOW);
    (value.is_finite() && !vanished).then_some(value)
}

/// `significand`/2^`shift`, rounded to 17 digits behind the point, ties to the even digit.
fn print_fraction(significand: u64, shift: u32) -> String {
    // Less than 2^64 · 2^57.
    let scaled = u128::from(significand) * u128::from(FRACTION);
    let rounded = if shift > 122 {
        0
    } else {
        let quotient = scaled >> shift;
        let rest = scaled - (quotient << shift);
        let half = (1_u128 << shift) / 2;
        let rounds_up = rest > half || (rest == half && half > 0 && quotient & 1 == 1);
        quotient + u128::from(rounds_up)
    };
    let (whole, fraction) = (rounded / u128::from(FRACTION), rounded % u128::from(FRACTION));
    let text = format!("{whole}.{fraction:017}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `significand` · 2^`shift`. At most 16,384 bits: three tenths of a millisecond.
fn print_whole(significand: u64, shift: u32) -> String {
    // Limbs of 32 bits, the least first.
    let mut limbs = vec![0_u32; shift as usize / 32];
    let top = u128::from(significand) << (shift % 32);
    limbs.extend([0, 32, 64].map(|bit| (top >> bit) as u32));
    let mut groups = Vec::new();
    loop {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        if limbs.is_empty() {
            break;
        }
        let mut rest = 0;
        for limb in limbs.iter_mut().rev() {
            let value = (rest << 32) | u64::from(*limb);
            *limb = (value / GROUP) as u32;
            rest = value % GROUP;
        }
        groups.push(rest);
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

/// 10^17: as many digits behind the point as Redis prints.
const FRACTION: u64 = 100_000_000_000_000_000;

/// 10^9: what of a decimal number fits in 32 bits.
const GROUP: u64 = 1_000_000_000;

/// Of the exponent in an x87 float.
const EXPONENT_BIAS: i32 = 16_383;

/// The longest text of a float: Redis's `MAX_LONG_DOUBLE_CHARS` (5 × 1024) holds a zero byte, too.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

#[cfg(test)]
mod tests;
