//! What the twin expects to hear, before it is known in which version of the protocol, and whether it was heard.

use bytes::Bytes;
use kora_tests::reply::{Protocol, Value};

/// A reply that is known exactly.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Say {
    Simple(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    Verbatim(String),
    Null,
    /// As [`Say::Null`], but in RESP2 written as an array.
    NullArray,
    Double(f32),
    Floats(Vec<f32>),
    /// In RESP2 1 or 0.
    Boolean(bool),
    Array(Vec<Say>),
    /// In RESP2 an array.
    Set(Vec<Say>),
    Map(Vec<(Say, Say)>),
}

impl Say {
    pub(crate) fn ok() -> Say {
        Say::Simple("OK")
    }

    pub(crate) fn bulk(text: &str) -> Say {
        Say::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(crate) fn count(count: usize) -> Say {
        Say::Integer(i64::try_from(count).expect("counts are small"))
    }

    pub(crate) fn error<T>(text: impl Into<String>) -> Result<T, Say> {
        Err(Say::Error(text.into()))
    }

    /// As a client of that version reads it.
    pub(crate) fn heard(&self, protocol: Protocol) -> Value {
        match (self, protocol) {
            (Say::Simple(text), _) => Value::Simple((*text).to_owned()),
            (Say::Error(text), _) => Value::Error(text.clone()),
            (Say::Integer(number), _) => Value::Integer(*number),
            (Say::Bulk(bytes), _) => Value::Bulk(bytes.clone()),
            (Say::Boolean(says), Protocol::Two) => Value::Integer(i64::from(*says)),
            (Say::Boolean(says), Protocol::Three) => Value::Boolean(*says),
            (Say::Verbatim(text), Protocol::Two) => Value::bulk(text),
            (Say::Verbatim(text), Protocol::Three) => Value::Verbatim(text.clone()),
            (Say::Null | Say::NullArray, _) => Value::Null,
            (Say::Double(number), _) => float(*number, protocol),
            (Say::Floats(numbers), _) => Value::Array(numbers.iter().map(|number| float(*number, protocol)).collect()),
            (Say::Array(items), _) => Value::Array(items.iter().map(|item| item.heard(protocol)).collect()),
            (Say::Set(items), Protocol::Two) => Value::Array(items.iter().map(|item| item.heard(protocol)).collect()),
            (Say::Set(items), Protocol::Three) => Value::Set(items.iter().map(|item| item.heard(protocol)).collect()),
            (Say::Map(pairs), Protocol::Two) => Value::Array(
                pairs
                    .iter()
                    .flat_map(|(key, value)| [key.heard(protocol), value.heard(protocol)])
                    .collect(),
            ),
            (Say::Map(pairs), Protocol::Three) => {
                let mut pairs: Vec<(Value, Value)> = pairs
                    .iter()
                    .map(|(key, value)| (key.heard(protocol), value.heard(protocol)))
                    .collect();
                // The order in which replies are decoded.
                pairs.sort_by_cached_key(|pair| format!("{pair:?}"));
                Value::Map(pairs)
            }
        }
    }
}

/// A component as it is shown: in RESP2 the shortest text, which is Rust's own but for exponents.
fn float(number: f32, protocol: Protocol) -> Value {
    if protocol == Protocol::Three {
        return Value::Double(number);
    }
    match number.abs() {
        1e13.. => Value::bulk(&format!("{number:e}").replace('e', "e+")),
        size if size < 1e-6 && size > 0.0 => Value::bulk(&format!("{number:e}")),
        _ => Value::bulk(&number.to_string()),
    }
}
