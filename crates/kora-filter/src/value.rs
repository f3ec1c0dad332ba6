//! Values that an expression computes with: when they are true, when two are equal, and which number they are.

use smallvec::SmallVec;

use crate::c_double;
use crate::field;
use crate::limits::NUMBER_BYTES_MAX;

/// A value, borrowed from the expression or from the attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Number(f64),
    Text(Text<'a>),
    /// A list that the expression holds.
    Literals(&'a [Literal]),
    /// A JSON array: its text behind the bracket. Invariant: it is a list of values that expressions know, and it is closed.
    Array(&'a [u8]),
    Range {
        low: f64,
        high: f64,
    },
}

/// A value that an expression holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Number(f64),
    Text(Box<[u8]>),
    List(Box<[Literal]>),
    /// From the first to the second, both included.
    Range(f64, f64),
}

/// The bytes of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// As it stands in the JSON text or in the expression.
    pub(crate) raw: &'a [u8],
    /// Backslashes in `raw` are escapes.
    pub(crate) has_escapes: bool,
}

impl Literal {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Literal::Null => Value::Null,
            Literal::Number(number) => Value::Number(*number),
            Literal::Text(raw) => Value::Text(Text {
                raw,
                has_escapes: false,
            }),
            Literal::List(literals) => Value::Literals(literals),
            &Literal::Range(low, high) => Value::Range { low, high },
        }
    }
}

impl Value<'_> {
    /// Zero, the empty text and null are false; all else is true, NaN and an empty list too.
    pub(crate) fn is_true(self) -> bool {
        match self {
            Value::Null => false,
            Value::Number(number) => number != 0.0,
            Value::Text(text) => !text.raw.is_empty(),
            Value::Literals(_) | Value::Array(_) | Value::Range { .. } => true,
        }
    }

    /// A text that is a number as a whole counts as that; whatever else is no number counts as 0.
    pub(crate) fn number(self) -> f64 {
        match self {
            Value::Number(number) => number,
            Value::Text(text) => text.number(),
            _ => 0.0,
        }
    }

    /// Texts are compared by bytes, null is equal to null only, and all else is compared as numbers.
    pub(crate) fn equals(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(one), Value::Text(two)) => one.equals(two),
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            (one, two) => one.number() == two.number(),
        }
    }

    /// Whether a list or a range holds this value, or a text this text.
    pub(crate) fn is_in(self, other: Value<'_>) -> bool {
        match other {
            Value::Literals(literals) => literals.iter().any(|literal| self.equals(literal.value())),
            Value::Array(text) => field::array_values(text).any(|value| self.equals(value)),
            Value::Range { low, high } => match self {
                Value::Number(number) => (low..=high).contains(&number),
                _ => false,
            },
            Value::Text(text) => match self {
                Value::Text(part) => text.contains(part),
                _ => false,
            },
            Value::Null | Value::Number(_) => false,
        }
    }

    /// Whether this text begins with that text.
    pub(crate) fn starts_with(self, other: Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(text), Value::Text(start)) => {
                let mut bytes = text.bytes();
                start.bytes().all(|byte| bytes.next() == Some(byte))
            }
            _ => false,
        }
    }
}

impl<'a> Text<'a> {
    /// The bytes that are meant. As in Redis, an escape that has no meaning there loses its backslash, `\u` too.
    fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let mut raw = self.raw.iter().copied();
        std::iter::from_fn(move || match raw.next()? {
            b'\\' if self.has_escapes => raw.next().map(unescaped),
            byte => Some(byte),
        })
    }

    fn equals(self, other: Text<'_>) -> bool {
        match self.has_escapes || other.has_escapes {
            false => self.raw == other.raw,
            true => self.bytes().eq(other.bytes()),
        }
    }

    fn contains(self, part: Text<'_>) -> bool {
        if part.raw.is_empty() {
            return true;
        }
        // The part in a form that is compared at each place; texts with escapes are rare, and short ones stay off the heap.
        let part: SmallVec<[u8; SHORT_TEXT_BYTES]> = part.bytes().collect();
        let text: SmallVec<[u8; SHORT_TEXT_BYTES]>;
        let bytes = match self.has_escapes {
            false => self.raw,
            true => {
                text = self.bytes().collect();
                &text
            }
        };
        occurs(&part, bytes)
    }

    fn number(self) -> f64 {
        if !self.has_escapes {
            return number_of_bytes(self.raw);
        }
        let bytes: SmallVec<[u8; SHORT_TEXT_BYTES]> = self.bytes().take(NUMBER_BYTES_MAX + 1).collect();
        number_of_bytes(&bytes)
    }
}

/// What is meant by the byte behind a backslash.
pub(crate) fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}

fn number_of_bytes(bytes: &[u8]) -> f64 {
    if bytes.len() > NUMBER_BYTES_MAX {
        return 0.0;
    }
    // C's text ends at a zero byte.
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    c_double::parse(&bytes[..end]).unwrap_or(0.0)
}

/// Whether the part occurs in the text: the search of Knuth, Morris and Pratt, so that no text makes it slow.
fn occurs(part: &[u8], text: &[u8]) -> bool {
    let Some(&first) = part.first() else {
        return true;
    };
    if part.len() > text.len() {
        return false;
    }
    if part.len() <= SHORT_PART_BYTES {
        let starts = text.iter().enumerate().filter(|&(_, &byte)| byte == first);
        return starts.into_iter().any(|(start, _)| text[start..].starts_with(part));
    }
    let mut borders: SmallVec<[u32; SHORT_TEXT_BYTES]> = SmallVec::from_elem(0, part.len());
    let mut border = 0;
    for place in 1..part.len() {
        while border > 0 && part[place] != part[border] {
            border = borders[border - 1] as usize;
        }
        border += usize::from(part[place] == part[border]);
        borders[place] = border as u32;
    }
    let mut matched = 0;
    for &byte in text {
        while matched > 0 && byte != part[matched] {
            matched = borders[matched - 1] as usize;
        }
        matched += usize::from(byte == part[matched]);
        if matched == part.len() {
            return true;
        }
    }
    false
}

/// Texts up to here are handled without an allocation.
const SHORT_TEXT_BYTES: usize = 128;

/// A part up to here is compared at each place where its first byte stands.
const SHORT_PART_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_is_found_where_it_occurs(part in "[ab]{0,14}", text in "[ab]{0,60}") {
            prop_assert_eq!(occurs(part.as_bytes(), text.as_bytes()), text.contains(&part));
        }
    }
}
