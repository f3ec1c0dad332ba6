//! Replies out of bytes, read by redis-protocol, in one form for both versions of the protocol.

use std::fmt::Debug;

use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes as decode_resp2;
use redis_protocol::resp2::types::BytesFrame as Resp2;
use redis_protocol::resp3::decode::complete::decode_bytes as decode_resp3;
use redis_protocol::resp3::types::BytesFrame as Resp3;

/// What was said, in either version.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `+…`
    Simple(String),
    /// `-…`
    Error(String),
    /// `:…`
    Integer(i64),
    /// `$…`
    Bulk(Bytes),
    /// `=txt:…`, RESP3 only.
    Verbatim(String),
    /// `,…`, RESP3 only. All doubles that are sent are 32-bit floats.
    Double(f32),
    /// `#…`, RESP3 only.
    Boolean(bool),
    /// `_`, `$-1` or `*-1`: redis-protocol does not tell them apart. [`starts_with_null_array`] does.
    Null,
    /// `*…`
    Array(Vec<Value>),
    /// `%…`, RESP3 only, in an order of our own.
    Map(Vec<(Value, Value)>),
    /// `~…`, RESP3 only, in an order of our own.
    Set(Vec<Value>),
}

/// Which version of the protocol is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// RESP2
    Two,
    /// RESP3
    Three,
}

impl Value {
    /// A bulk of this text.
    pub fn bulk(text: &str) -> Value {
        Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// The items of an array.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The bytes of a bulk.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Value::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of an error.
    pub fn error(&self) -> Option<&str> {
        match self {
            Value::Error(text) => Some(text),
            _ => None,
        }
    }

    /// A number: a double, or in RESP2 a bulk of its text.
    pub fn number(&self) -> Option<f32> {
        match self {
            Value::Double(number) => Some(*number),
            Value::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The value of a field: of a map, or of an array in which names and values alternate.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let is_name = |value: &Value| value.bytes().is_some_and(|bytes| bytes == name.as_bytes());
        match self {
            Value::Map(pairs) => pairs.iter().find(|(key, _)| is_name(key)).map(|(_, value)| value),
            Value::Array(items) => items.chunks(2).find(|pair| is_name(&pair[0])).map(|pair| &pair[1]),
            _ => None,
        }
    }

    /// Names with scores: pairs in RESP3, in RESP2 names and texts that alternate.
    pub fn scored(&self, protocol: Protocol) -> Option<Vec<(Bytes, f32)>> {
        let items = self.items()?;
        let pair = |pair: &[Value]| match pair {
            [name, score] => Some((name.bytes()?.clone(), score.number()?)),
            _ => None,
        };
        match protocol {
            Protocol::Two => items.chunks(2).map(pair).collect(),
            Protocol::Three => items
                .iter()
                .map(|item| pair(item.items()?).filter(|_| matches!(item.items(), Some([_, Value::Double(_)]))))
                .collect(),
        }
    }
}

/// Takes the first whole reply out of the bytes, if there is one.
///
/// # Panics
/// If the bytes are no reply of that version.
pub fn take(received: &mut BytesMut, protocol: Protocol) -> Option<Value> {
    // One line ending is the least there is; the decoder wants bytes of its own, and most calls come with few.
    let bytes = Bytes::copy_from_slice(received);
    let (value, length) = match protocol {
        Protocol::Two => decode_resp2(&bytes)
            .unwrap_or_else(|error| panic!("not RESP2: {error} in {bytes:?}"))
            .map(|(frame, length)| (of_resp2(frame), length))?,
        Protocol::Three => decode_resp3(&bytes)
            .unwrap_or_else(|error| panic!("not RESP3: {error} in {bytes:?}"))
            .map(|(frame, length)| (of_resp3(frame), length))?,
    };
    received.advance(length);
    Some(value)
}

/// True if the first reply is RESP2's null array.
pub fn starts_with_null_array(received: &[u8]) -> bool {
    received.starts_with(b"*-1\r\n")
}

fn of_resp2(frame: Resp2) -> Value {
    match frame {
        Resp2::SimpleString(text) => Value::Simple(text_of(&text)),
        Resp2::Error(text) => Value::Error(text.to_string()),
        Resp2::Integer(number) => Value::Integer(number),
        Resp2::BulkString(bytes) => Value::Bulk(bytes),
        Resp2::Array(frames) => Value::Array(frames.into_iter().map(of_resp2).collect()),
        Resp2::Null => Value::Null,
    }
}

fn of_resp3(frame: Resp3) -> Value {
    match frame {
        Resp3::SimpleString { data, .. } => Value::Simple(text_of(&data)),
        Resp3::SimpleError { data, .. } => Value::Error(data.to_string()),
        Resp3::Number { data, .. } => Value::Integer(data),
        Resp3::BlobString { data, .. } => Value::Bulk(data),
        Resp3::VerbatimString { data, .. } => Value::Verbatim(text_of(&data)),
        Resp3::Double { data, .. } => Value::Double(data as f32),
        Resp3::Boolean { data, .. } => Value::Boolean(data),
        Resp3::Null => Value::Null,
        Resp3::Array { data, .. } => Value::Array(data.into_iter().map(of_resp3).collect()),
        Resp3::Map { data, .. } => {
            let pairs = data.into_iter().map(|(key, value)| (of_resp3(key), of_resp3(value)));
            Value::Map(ordered(pairs))
        }
        Resp3::Set { data, .. } => Value::Set(ordered(data.into_iter().map(of_resp3))),
        other => panic!("nobody sends {other:?}"),
    }
}

/// The decoder keeps maps and sets in an order that differs from run to run.
fn ordered<T: Debug>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_by_cached_key(|item| format!("{item:?}"));
    items
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
