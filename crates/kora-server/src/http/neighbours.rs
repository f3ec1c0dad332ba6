//! What the page asks for: collections, neighbours of an element or of a vector, slow commands.

use redis_protocol::resp2::types::OwnedFrame;
use serde_json::{Map, Value, json};

use super::answers::{self, Answer, Failure, array_of, text_of};
use crate::client::{CallError, Client};

/// Every collection up to [`COLLECTIONS_MAX`], by name, with what VECINFO says of it in total.
pub(super) fn collections(client: &mut Client) -> Result<Answer, Failure> {
    let names = collection_names(client)?;
    let mut described = Vec::new();
    for name in names.iter().take(COLLECTIONS_MAX) {
        // It may have gone meanwhile.
        if let Some(fields) = describe(client, name)? {
            let numbers = fields.into_iter().map(|(name, value)| (name, plain(value)));
            described.push(Value::Object(numbers.collect()));
        }
    }
    Ok(answers::json(
        &json!({ "count": names.len(), "collections": described }),
    ))
}

/// The names of all collections.
pub(super) fn collection_names(client: &mut Client) -> Result<Vec<Vec<u8>>, Failure> {
    let names = array_of(client.call(&[b"VECLIST"])?)?;
    Ok(names.into_iter().filter_map(bytes_of).collect())
}

/// What VECINFO says of a collection in total; not of its shards.
pub(super) fn describe(client: &mut Client, collection: &[u8]) -> Result<Option<Vec<(String, String)>>, Failure> {
    let OwnedFrame::Array(parts) = client.call(&[b"VECINFO", collection])? else {
        return Ok(None);
    };
    let pairs = parts.chunks_exact(2);
    Ok(Some(
        pairs
            .filter_map(|pair| Some((text_of(&pair[0])?, text_of(&pair[1])?)))
            .collect(),
    ))
}

/// The newest slow commands, as SLOWLOG has them.
pub(super) fn slow_commands(client: &mut Client) -> Result<Answer, Failure> {
    let entries = match client.call(&[b"SLOWLOG", b"GET", b"20"]) {
        Ok(entries) => array_of(entries)?,
        // A user may be allowed everything else.
        Err(CallError::Refused(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let entry = |frame: OwnedFrame| {
        let parts = array_of(frame).ok()?;
        let words = match parts.get(3)? {
            OwnedFrame::Array(words) => words.iter().filter_map(text_of).collect::<Vec<_>>().join(" "),
            _ => return None,
        };
        Some(json!({ "at": text_of(&parts[1])?, "us": text_of(&parts[2])?, "command": words }))
    };
    let slow: Vec<Value> = entries.into_iter().filter_map(entry).collect();
    Ok(answers::json(&Value::from(slow)))
}

/// `collection=…&key=…[&k=…]`: the neighbours of this key's vector; without a key, of a direction that comes up by chance.
pub(super) fn of_element(client: &mut Client, query: &str) -> Result<Answer, Failure> {
    let collection = parameter(query, "collection").ok_or_else(|| Failure::bad("`collection` is missing"))?;
    let k = match parameter(query, "k") {
        Some(text) => number(&text)?,
        None => K_DEFAULT,
    };
    match parameter(query, "key") {
        Some(key) => neighbours(client, &collection, k, &[b"KEY", &key]),
        None => {
            let described = describe(client, &collection)?.unwrap_or_default();
            let dimension = described.iter().find(|(name, _)| name == "dimension");
            let dimension = dimension.and_then(|(_, value)| value.parse().ok());
            let dimension: usize = dimension.ok_or_else(|| Failure::bad("there is no such collection"))?;
            neighbours(client, &collection, k, &[b"FP32", &any_direction(dimension)])
        }
    }
}

/// `{"collection": …, "k": …, "vector": [ … ]}`: the neighbours of this vector.
pub(super) fn of_vector(client: &mut Client, body: &[u8]) -> Result<Answer, Failure> {
    let asked: Value = serde_json::from_slice(body).map_err(|error| Failure::bad(error.to_string()))?;
    let collection = asked["collection"]
        .as_str()
        .ok_or_else(|| Failure::bad("`collection` is missing"))?;
    let k = usize::try_from(asked["k"].as_u64().unwrap_or(K_DEFAULT as u64)).unwrap_or(usize::MAX);
    let vector = asked["vector"]
        .as_array()
        .ok_or_else(|| Failure::bad("`vector` is no array"))?;
    let components = vector
        .iter()
        .map(|component| component.as_f64().map(|component| component as f32));
    let components: Option<Vec<f32>> = components.collect();
    let components = components.ok_or_else(|| Failure::bad("`vector` has a component that is no number"))?;
    let blob: Vec<u8> = components
        .iter()
        .flat_map(|component| component.to_le_bytes())
        .collect();
    neighbours(client, collection.as_bytes(), k, &[b"FP32", &blob])
}

fn neighbours(client: &mut Client, collection: &[u8], k: usize, what: &[&[u8]]) -> Result<Answer, Failure> {
    if !(1..=K_MAX).contains(&k) {
        return Err(Failure::bad(format!("`k` must be 1 to {K_MAX}")));
    }
    let k = k.to_string();
    let mut words: Vec<&[u8]> = vec![b"VECQUERY", collection, k.as_bytes()];
    words.extend_from_slice(what);
    words.push(b"WITHINFO");
    let mut parts = array_of(client.call(&words)?)?.into_iter();
    let (Some(hits), Some(info)) = (parts.next(), parts.next()) else {
        return Err(Failure::Unexpected);
    };
    let hits = array_of(hits)?;
    let hits = hits.chunks_exact(2).filter_map(|pair| {
        let distance: f64 = text_of(&pair[1])?.parse().ok()?;
        // A key that is no text is shown with what replaces it, and can't be asked for by the page.
        Some(json!({ "key": text_of(&pair[0])?, "distance": distance }))
    });
    let hits: Vec<Value> = hits.collect();
    let info = array_of(info)?;
    let info = info
        .chunks_exact(2)
        .filter_map(|pair| Some((text_of(&pair[0])?, plain(text_of(&pair[1])?))));
    let info: Map<String, Value> = info.collect();
    Ok(answers::json(&json!({ "hits": hits, "info": info })))
}

fn bytes_of(frame: OwnedFrame) -> Option<Vec<u8>> {
    match frame {
        OwnedFrame::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// A number if it is one, else the text.
fn plain(text: String) -> Value {
    match text.parse::<serde_json::Number>() {
        Ok(number) => number.into(),
        Err(_) => text.into(),
    }
}

fn number(text: &[u8]) -> Result<usize, Failure> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::bad("`k` is no number"))
}

/// A parameter of a query string, decoded.
fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    found.next().map(|(_, value)| decode(value))
}

/// Undoes percent-encoding; a `%` that stands before no two digits means itself.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 3)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], value) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 3;
            }
            (b'+', _) => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// A vector that points anywhere: components from -1 to 1.
fn any_direction(dimension: usize) -> Vec<u8> {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    let component = |index: usize| random.hash_one(index) as u32 as f32 / u32::MAX as f32 * 2.0 - 1.0;
    (0..dimension)
        .flat_map(|index| component(index).to_le_bytes())
        .collect()
}

/// Collections that are described.
pub(super) const COLLECTIONS_MAX: usize = 100;

/// Neighbours that a picture holds.
const K_DEFAULT: usize = 24;
const K_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = "collection=a%3Ab&key=x+y%&k=5";
        assert_eq!(parameter(query, "collection").unwrap(), b"a:b");
        assert_eq!(parameter(query, "key").unwrap(), b"x y%");
        assert_eq!(number(&parameter(query, "k").unwrap()).unwrap(), 5);
        assert_eq!(parameter(query, "absent"), None);
    }
}
