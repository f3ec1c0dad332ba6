//! Which bytes are an integer.

/// The integer whose text these bytes are: digits with an optional minus, without a plus, spaces, leading zeros or `-0`.
/// Redis's `string2ll` reads the same.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    // Most strings are no numbers: seen before anything is read.
    if text.len() > TEXT_BYTES_MAX || !matches!(text.first(), Some(b'-' | b'0'..=b'9')) {
        return None;
    }
    let integer = str::from_utf8(text).ok()?.parse().ok()?;
    // A text is an integer's if the integer is printed so.
    (Digits::new().print(integer) == text).then_some(integer)
}

/// Room for an integer's text.
pub struct Digits(itoa::Buffer);

impl Digits {
    /// Room for one.
    pub fn new() -> Digits {
        Digits(itoa::Buffer::new())
    }

    /// The text.
    pub fn print(&mut self, integer: i64) -> &[u8] {
        self.0.format(integer).as_bytes()
    }
}

impl Default for Digits {
    fn default() -> Digits {
        Digits::new()
    }
}

/// `-9223372036854775808`.
const TEXT_BYTES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_an_integer_is_printed_as_is_one() {
        for (text, integer) in [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(integer));
        }
        let refused = [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-01",
            "00",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "1_000",
            "٣",
        ];
        for text in refused {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_is_read_as_it_was_printed(integer: i64) {
            prop_assert_eq!(parse(Digits::new().print(integer)), Some(integer));
        }
    }
}
