//! Finding a field in JSON text, without a parse of the rest.
//!
//! The reading is lenient where Redis's vector sets are: it looks for the first member of the name and reads no further,
//! names are compared by their bytes as they stand there, and what is no JSON is a missing field, never an error. Nothing
//! here recurses.

use crate::c_double::{self, is_space};
use crate::limits::NUMBER_BYTES_MAX;
use crate::path::{Path, PathStep};
use crate::value::{Text, Value};

/// The value that a path leads to; none if there is none, or if it is one that expressions don't know.
pub(crate) fn find<'a>(attributes: &'a [u8], path: &Path) -> Option<Value<'a>> {
    let mut reader = Reader(seek(attributes, path)?);
    reader.value()
}

/// Whether the path leads to something, an object too.
pub(crate) fn exists(attributes: &[u8], path: &Path) -> bool {
    seek(attributes, path).is_some_and(|at| Reader(at).skip().is_some())
}

/// The text from where a path leads to.
pub(crate) fn seek<'a>(attributes: &'a [u8], path: &Path) -> Option<&'a [u8]> {
    let mut reader = Reader(attributes);
    for step in path.steps() {
        reader.skip_spaces();
        match step {
            PathStep::Name(name) => reader.seek_member(name)?,
            PathStep::Place(place) => reader.seek_element(*place)?,
        }
    }
    reader.skip_spaces();
    (!reader.0.is_empty()).then_some(reader.0)
}

/// Where the value ends that a text begins with.
pub(crate) fn value_end(text: &[u8]) -> Option<usize> {
    let mut reader = Reader(text);
    reader.skip()?;
    Some(text.len() - reader.0.len())
}

/// The values of an array, whose text stands behind its bracket and was read before.
pub(crate) fn array_values(text: &[u8]) -> impl Iterator<Item = Value<'_>> {
    let mut reader = Reader(text);
    std::iter::from_fn(move || {
        reader.skip_spaces();
        if reader.0.first() == Some(&b',') {
            reader.take();
        }
        reader.value()
    })
}

/// The text that is left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip_spaces(&mut self) {
        let spaces = self.0.iter().take_while(|byte| is_space(**byte)).count();
        self.0 = &self.0[spaces..];
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes white space and then this byte.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_spaces();
        (self.take()? == byte).then_some(())
    }

    /// From an object to the value of its first member of this name.
    fn seek_member(&mut self, name: &[u8]) -> Option<()> {
        self.expect(b'{')?;
        loop {
            self.skip_spaces();
            let found = self.text()?.raw;
            self.expect(b':')?;
            if found == name {
                return Some(());
            }
            self.skip()?;
            self.expect(b',')?;
        }
    }

    /// From an array to its element at this place.
    fn seek_element(&mut self, place: usize) -> Option<()> {
        self.expect(b'[')?;
        for _ in 0..place {
            self.skip()?;
            self.expect(b',')?;
        }
        self.skip_spaces();
        (self.0.first() != Some(&b']')).then_some(())
    }

    /// Takes a text, quotes included.
    fn text(&mut self) -> Option<Text<'a>> {
        let [b'"', inner @ ..] = self.0 else {
            return None;
        };
        let mut has_escapes = false;
        let mut at = 0;
        loop {
            match inner.get(at)? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.0 = &inner[at + 1..];
        Some(Text {
            raw: &inner[..at],
            has_escapes,
        })
    }

    /// Takes a value, whatever it is. Of brackets only those of its own kind are counted.
    fn skip(&mut self) -> Option<()> {
        self.skip_spaces();
        match self.0.first()? {
            b'"' => self.text().map(|_| ()),
            b'{' => self.skip_within(b'{', b'}'),
            b'[' => self.skip_within(b'[', b']'),
            b't' => self.skip_word(b"true"),
            b'f' => self.skip_word(b"false"),
            b'n' => self.skip_word(b"null"),
            _ => {
                let length = self.0.iter().take_while(|byte| is_of_number(**byte)).count();
                self.0 = &self.0[length..];
                (length > 0).then_some(())
            }
        }
    }

    fn skip_within(&mut self, open: u8, close: u8) -> Option<()> {
        let mut depth = 0usize;
        loop {
            if self.0.first()? == &b'"' {
                self.text()?;
                continue;
            }
            let byte = self.take()?;
            depth += usize::from(byte == open);
            depth -= usize::from(byte == close);
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_word(&mut self, word: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// Takes a value that expressions know.
    fn value(&mut self) -> Option<Value<'a>> {
        self.skip_spaces();
        if self.0.first()? != &b'[' {
            return self.scalar();
        }
        self.take();
        let inner = self.0;
        self.check_array()?;
        Some(Value::Array(inner))
    }

    /// Takes the rest of an array, which may hold others, if it holds nothing that expressions don't know.
    fn check_array(&mut self) -> Option<()> {
        let mut depth = 1usize;
        // Whether an array may end here: behind its bracket or behind a value, not behind a comma.
        let mut may_end = true;
        while depth > 0 {
            self.skip_spaces();
            match self.0.first()? {
                b']' if may_end => {
                    self.take();
                    depth -= 1;
                }
                b'[' => {
                    self.take();
                    depth += 1;
                    may_end = true;
                    continue;
                }
                _ => {
                    self.scalar()?;
                }
            }
            may_end = true;
            if depth > 0 {
                self.skip_spaces();
                match self.0.first()? {
                    b',' => {
                        self.take();
                        may_end = false;
                    }
                    b']' => {}
                    _ => return None,
                }
            }
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<Value<'a>> {
        match self.0.first()? {
            b'"' => self.text().map(Value::Text),
            b't' => self.word(b"true", Value::Number(1.0)),
            b'f' => self.word(b"false", Value::Number(0.0)),
            b'n' => self.word(b"null", Value::Null),
            b'0'..=b'9' | b'-' | b'+' => self.number().map(Value::Number),
            _ => None,
        }
    }

    /// Takes a word that ends where a value may end.
    fn word(&mut self, word: &[u8], value: Value<'a>) -> Option<Value<'a>> {
        let rest = self.0.strip_prefix(word)?;
        let ends = rest
            .first()
            .is_none_or(|&byte| is_space(byte) || matches!(byte, b',' | b']' | b'}'));
        self.0 = rest;
        ends.then_some(value)
    }

    fn number(&mut self) -> Option<f64> {
        let within = &self.0[..self.0.len().min(NUMBER_BYTES_MAX)];
        let length = within.iter().take_while(|byte| is_of_number(**byte)).count();
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        match short_integer(text) {
            Some(value) => Some(value),
            None => c_double::parse(text),
        }
    }
}

/// Most numbers are short integers, which need no general reader.
fn short_integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > SHORT_DIGITS {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value as f64)
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// So many digits are exact in an f64.
const SHORT_DIGITS: usize = 15;
