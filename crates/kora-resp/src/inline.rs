//! Requests as people type them: words on one line, with the quotes and escapes of Redis's `sdssplitargs`.

use crate::error::ProtocolError;
use crate::request::Argument;

/// Splits `line` into words, unescaped one after the other into `text`, their places in `words`. Both are cleared first.
///
/// Words are separated by space, tab, CR or LF. `"…"` knows `\n \r \t \a \b`, `\xHH` and `\` before any other byte for
/// that byte; `'…'` knows `\'` only. A quote may open anywhere in a word and ends it where it closes, so a blank or the
/// end must follow. A NUL is a byte like any other; Redis, which reads C strings here, would stop at it.
pub(crate) fn split(line: &[u8], text: &mut Vec<u8>, words: &mut Vec<Argument>) -> Result<(), ProtocolError> {
    text.clear();
    words.clear();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_blank(byte)) {
            at += 1;
        }
        if at == line.len() {
            return Ok(());
        }
        let start = text.len();
        at = word(line, at, text)?;
        words.push(Argument::new(start, text.len()));
    }
}

/// Unescapes the word which starts at `at` onto `text`; returns where the line goes on.
fn word(line: &[u8], mut at: usize, text: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    while let Some(&byte) = line.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Ok(at),
            b'"' => return double_quoted(line, at + 1, text),
            b'\'' => return single_quoted(line, at + 1, text),
            _ => text.push(byte),
        }
        at += 1;
    }
    Ok(at)
}

fn double_quoted(line: &[u8], mut at: usize, text: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    while let Some(&byte) = line.get(at) {
        match (byte, &line[at + 1..]) {
            (b'"', rest) => return closed(at + 1, rest),
            (b'\\', [b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                text.push(hex(*high) << 4 | hex(*low));
                at += 4;
            }
            (b'\\', [escaped, ..]) => {
                text.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                at += 2;
            }
            _ => {
                text.push(byte);
                at += 1;
            }
        }
    }
    Err(ProtocolError::UnbalancedQuotes)
}

fn single_quoted(line: &[u8], mut at: usize, text: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    while let Some(&byte) = line.get(at) {
        match (byte, &line[at + 1..]) {
            (b'\'', rest) => return closed(at + 1, rest),
            (b'\\', [b'\'', ..]) => {
                text.push(b'\'');
                at += 2;
            }
            _ => {
                text.push(byte);
                at += 1;
            }
        }
    }
    Err(ProtocolError::UnbalancedQuotes)
}

/// A closing quote ends its word: `"a"b` is refused rather than guessed at.
fn closed(at: usize, rest: &[u8]) -> Result<usize, ProtocolError> {
    match rest.first() {
        Some(&byte) if !is_blank(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(at),
    }
}

/// C's `isspace`, which Redis uses between words (inside a word, vertical tab and form feed do not end it).
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let (mut text, mut words) = (Vec::new(), Vec::new());
        split(line, &mut text, &mut words)?;
        Ok(words.iter().map(|word| word.of(&text).to_vec()).collect())
    }

    #[track_caller]
    fn assert_words(line: &[u8], expected: &[&[u8]]) {
        assert_eq!(words(line).unwrap(), expected, "{:?}", line.escape_ascii().to_string());
    }

    #[test]
    fn blanks_separate_words_and_surround_them() {
        assert_words(b"", &[]);
        assert_words(b" \t\r\x0b\x0c ", &[]);
        assert_words(b"PING", &[b"PING"]);
        assert_words(b"  SET\tkey  value ", &[b"SET", b"key", b"value"]);
        assert_words(b"a\x0bb", &[b"a\x0bb"]);
    }

    #[test]
    fn double_quotes_know_escapes() {
        assert_words(
            br#""a b" "" "\x00\xfF\n\r\t\b\a\"\\\q""#,
            &[b"a b", b"", b"\x00\xff\n\r\t\x08\x07\"\\q"],
        );
        assert_words(br#""\xZZ" "\x1""#, &[b"xZZ", b"x1"]);
        assert_words(br#"pre"fix ed" x"#, &[b"prefix ed", b"x"]);
    }

    #[test]
    fn single_quotes_know_only_their_own_escape() {
        assert_words(br"'a b' '\'' '\n' ''", &[b"a b", b"'", br"\n", b""]);
    }

    #[test]
    fn a_nul_is_a_byte_of_a_word() {
        assert_words(b"GET a\0b", &[b"GET", b"a\0b"]);
    }

    #[test]
    fn an_open_quote_or_text_after_a_closing_one_is_refused() {
        for line in [
            &b"\"a"[..],
            b"'a",
            b"\"a\"b",
            b"'a'b",
            b"\"a\\",
            b"'a\\",
            b"x\"",
            b"\"\\\"",
            b"'\\'",
        ] {
            assert_eq!(
                words(line),
                Err(ProtocolError::UnbalancedQuotes),
                "{:?}",
                line.escape_ascii().to_string()
            );
        }
    }
}
