//! Whether a text is a JSON object, to the letter of RFC 8259, and where it goes wrong.

use std::{error, fmt};

use crate::limits::{ATTRIBUTES_BYTES_MAX, NESTING_MAX};

/// Why a text can't be the attributes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The byte where it goes wrong.
    pub position: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It has too many bytes.
    TooLong,
    /// It is nested too deeply.
    TooDeep,
    /// It is no object as a whole.
    NotObject,
    /// It ends too early.
    Unfinished,
    /// Something else was expected here.
    Unexpected,
    /// A control character stands in a text as it is.
    ControlCharacter,
    /// A backslash with something behind it that means nothing.
    Escape,
    /// These bytes are no UTF-8.
    NotUtf8,
}

/// Checks that a text is a JSON object and within the limits.
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    if text.len() > ATTRIBUTES_BYTES_MAX {
        return Err(JsonError {
            position: ATTRIBUTES_BYTES_MAX,
            problem: Problem::TooLong,
        });
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Err(JsonError {
            position: error.valid_up_to(),
            problem: Problem::NotUtf8,
        });
    }
    let mut checker = Checker { text, at: 0 };
    checker.skip_spaces();
    if checker.peek() != Some(b'{') {
        return Err(checker.error(Problem::NotObject));
    }
    checker.value()?;
    checker.skip_spaces();
    match checker.at == text.len() {
        true => Ok(()),
        false => Err(checker.error(Problem::Unexpected)),
    }
}

/// A text, and how much of it was found good.
struct Checker<'a> {
    text: &'a [u8],
    at: usize,
}

impl Checker<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn error(&self, problem: Problem) -> JsonError {
        JsonError {
            position: self.at,
            problem,
        }
    }

    /// Something else is here than there should be.
    fn unexpected(&self) -> JsonError {
        match self.peek() {
            None => self.error(Problem::Unfinished),
            Some(_) => self.error(Problem::Unexpected),
        }
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        match self.peek() == Some(byte) {
            true => {
                self.at += 1;
                Ok(())
            }
            false => Err(self.unexpected()),
        }
    }

    /// A value with all that is within it.
    fn value(&mut self) -> Result<(), JsonError> {
        // What closes the objects and arrays that are open.
        let mut open = [0u8; NESTING_MAX];
        let mut depth = 0;
        loop {
            self.skip_spaces();
            let opened = match self.peek() {
                Some(b'{') => Some(b'}'),
                Some(b'[') => Some(b']'),
                _ => None,
            };
            match opened {
                Some(close) => {
                    if depth == NESTING_MAX {
                        return Err(self.error(Problem::TooDeep));
                    }
                    self.at += 1;
                    open[depth] = close;
                    depth += 1;
                    self.skip_spaces();
                    if self.peek() != Some(close) {
                        self.name_of_member(close)?;
                        continue;
                    }
                }
                None => self.scalar()?,
            }
            // Behind a value: what ends, ends; then another one follows, or all is done.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.skip_spaces();
                if self.peek() != Some(open[depth - 1]) {
                    break;
                }
                self.at += 1;
                depth -= 1;
            }
            self.expect(b',')?;
            self.skip_spaces();
            self.name_of_member(open[depth - 1])?;
        }
    }

    /// In an object, the name that stands before a value.
    fn name_of_member(&mut self, close: u8) -> Result<(), JsonError> {
        if close == b'}' {
            self.string()?;
            self.skip_spaces();
            self.expect(b':')?;
        }
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        word.iter().try_for_each(|&byte| self.expect(byte))
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.expect(b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.error(Problem::ControlCharacter)),
                Some(_) => self.at += 1,
                None => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.error(Problem::Escape));
                }
                self.at += 6;
            }
            _ => return Err(self.error(Problem::Escape)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::TooLong => return write!(f, "more than {ATTRIBUTES_BYTES_MAX} bytes"),
            Problem::TooDeep => return write!(f, "nested more than {NESTING_MAX} deep at byte {}", self.position),
            Problem::NotObject => "not a JSON object",
            Problem::Unfinished => "unexpected end",
            Problem::Unexpected => "unexpected character",
            Problem::ControlCharacter => "unescaped control character",
            Problem::Escape => "invalid escape",
            Problem::NotUtf8 => "invalid UTF-8",
        };
        write!(f, "{problem} at byte {}", self.position)
    }
}

impl error::Error for JsonError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_accepted_and_all_else_is_refused_with_its_place() {
        let good = [
            "{}",
            " { } ",
            r#"{"a":1,"b":-0.5e+7,"c":[],"d":[1,[{}],{"e":null}],"f":"\u00e9\n\"","g":true,"h":false}"#,
            "{\"\":\"é\"}",
        ];
        for text in good {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
        let bad = [
            ("", 0, Problem::NotObject),
            ("[]", 0, Problem::NotObject),
            ("1", 0, Problem::NotObject),
            ("{", 1, Problem::Unfinished),
            (r#"{"a"}"#, 4, Problem::Unexpected),
            (r#"{"a":}"#, 5, Problem::Unexpected),
            (r#"{"a":1,}"#, 7, Problem::Unexpected),
            (r#"{"a":[1,]}"#, 8, Problem::Unexpected),
            (r#"{"a":[1}"#, 7, Problem::Unexpected),
            (r#"{"a":1]"#, 6, Problem::Unexpected),
            (r#"{a:1}"#, 1, Problem::Unexpected),
            (r#"{"a":01}"#, 6, Problem::Unexpected),
            (r#"{"a":1.}"#, 7, Problem::Unexpected),
            (r#"{"a":1e}"#, 7, Problem::Unexpected),
            (r#"{"a":+1}"#, 5, Problem::Unexpected),
            (r#"{"a":tru}"#, 8, Problem::Unexpected),
            (r#"{"a":1}x"#, 7, Problem::Unexpected),
            (r#"{"a":"\x"}"#, 6, Problem::Escape),
            (r#"{"a":"\u12g4"}"#, 6, Problem::Escape),
            ("{\"a\":\"\n\"}", 6, Problem::ControlCharacter),
            (r#"{"a":"b"#, 7, Problem::Unfinished),
        ];
        for (text, position, problem) in bad {
            assert_eq!(check(text.as_bytes()), Err(JsonError { position, problem }), "{text}");
        }
        let bytes = b"{\"\xff\":1}";
        assert_eq!(check(bytes).unwrap_err().problem, Problem::NotUtf8);
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(deep(NESTING_MAX - 1).as_bytes()), Ok(()));
        assert_eq!(
            check(deep(NESTING_MAX).as_bytes()).unwrap_err().problem,
            Problem::TooDeep
        );
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(ATTRIBUTES_BYTES_MAX));
        assert_eq!(check(long.as_bytes()).unwrap_err().problem, Problem::TooLong);
    }
}
