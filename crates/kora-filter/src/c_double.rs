//! Numbers as C's `strtod` reads them, which Redis's vector sets use: decimal and hexadecimal, `inf`, `nan`, and too large ones
//! become infinite.

/// The number that this text is as a whole. White space may stand before it. An empty text is none.
pub fn parse(text: &[u8]) -> Option<f64> {
    let start = text.iter().position(|&byte| !is_space(byte))?;
    parse_without_space(&text[start..])
}

/// The same without white space.
pub fn parse_without_space(text: &[u8]) -> Option<f64> {
    let (is_negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let value = match magnitude {
        [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
        [b'0'..=b'9' | b'.', ..] => std::str::from_utf8(magnitude).ok()?.parse().ok()?,
        word if ["inf", "infinity"]
            .iter()
            .any(|name| word.eq_ignore_ascii_case(name.as_bytes())) =>
        {
            f64::INFINITY
        }
        word if is_nan(word) => f64::NAN,
        _ => return None,
    };
    Some(if is_negative { -value } else { value })
}

/// White space of the C locale.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// `nan`, or `nan(` letters, digits and `_` `)`.
fn is_nan(word: &[u8]) -> bool {
    let Some((name, rest)) = word.split_at_checked(3) else {
        return false;
    };
    let is_payload = |rest: &[u8]| match rest {
        [] => true,
        [b'(', inner @ .., b')'] => inner.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'),
        _ => false,
    };
    name.eq_ignore_ascii_case(b"nan") && is_payload(rest)
}

/// What stands behind `0x`: digits with an optional point, and an optional `p` with a decimal exponent of two.
fn hexadecimal(text: &[u8]) -> Option<f64> {
    let mantissa_end = text.iter().position(|byte| matches!(byte, b'p' | b'P'));
    let (mantissa, exponent) = match mantissa_end {
        Some(end) => (&text[..end], decimal_exponent(&text[end + 1..])?),
        None => (text, 0),
    };
    let (mut value, mut shift, mut has_point, mut digits) = (0.0f64, 0i32, false, 0usize);
    for &byte in mantissa {
        if byte == b'.' && !has_point {
            has_point = true;
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        digits += 1;
        value = value * 16.0 + f64::from(digit);
        shift -= if has_point { 4 } else { 0 };
    }
    (digits > 0).then(|| value * f64::from(exponent.saturating_add(shift)).exp2())
}

fn decimal_exponent(text: &[u8]) -> Option<i32> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Far beyond what an f64 can hold, in both directions.
    let add = |value: i32, digit: &u8| (value * 10 + i32::from(digit - b'0')).min(EXPONENT_MAX);
    let value = digits.iter().fold(0, add);
    Some(if is_negative { -value } else { value })
}

const EXPONENT_MAX: i32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let same = [
            ("5", 5.0),
            (" \t-5", -5.0),
            ("+2", 2.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("1e400", f64::INFINITY),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ];
        for (text, value) in same {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        assert!(parse(b"nan").is_some_and(f64::is_nan) && parse(b"NaN(a_1)").is_some_and(f64::is_nan));
        for text in [
            "", " ", "5 ", "x", "--1", "1e", "0x", "0x.", "0x1p", "1_0", "nano", "infin", ".",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_without_space(b" 5"), None);
    }
}
