//! Numbers as Lua, cjson and Redis print them.

/// `%.{digits}g` of C.
pub(crate) fn general(number: f64, digits: usize) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    without_zeros(&format!("{number:.decimals$}")).to_owned()
}

/// A number that a script gives to a command: whole if it is, otherwise with as many digits as tell it from its neighbours.
pub(crate) fn as_word(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 9.2e18 {
        return (number as i64).to_string();
    }
    shortest(number)
}

/// The fewest digits that tell a number from its neighbours, in the form of Redis's `fpconv_dtoa`.
pub(crate) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    let least = exponent - digits + 1;
    let is_plain = (least >= 0 && exponent.abs() < digits + 7) || (least < 0 && (least > -7 || exponent.abs() < 4));
    match is_plain {
        true => format!("{number}"),
        false => format!("{mantissa}e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// What C's `strtod` reads where all of the text is a number, blanks around it apart; also hexadecimal whole numbers.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text)
        .ok()?
        .trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().map(|number| sign * number as f64);
    }
    match digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        true => digits.parse::<f64>().ok().map(|number| sign * number),
        false => None,
    }
}

fn without_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_in_c() {
        let printed = [
            1.0 / 3.0,
            1e100,
            100.0,
            1e15,
            1e14,
            123_456.789,
            0.0001,
            0.00001,
            -0.5,
            0.0,
        ];
        let texts = printed.map(|number| general(number, 14));
        assert_eq!(
            texts,
            [
                "0.33333333333333",
                "1e+100",
                "100",
                "1e+15",
                "1e+14",
                "123456.789",
                "0.0001",
                "1e-05",
                "-0.5",
                "0"
            ]
        );
        assert_eq!(
            [1.5, 1e16, 1e100, 0.1].map(as_word),
            ["1.5", "10000000000000000", "1e+100", "0.1"]
        );
        assert_eq!(parse(b" 0x10 "), Some(16.0));
        assert_eq!(
            (parse(b"1e3"), parse(b""), parse(b"x"), parse(b"inf")),
            (Some(1000.0), None, None, None)
        );
    }
}
