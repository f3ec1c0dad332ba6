//! What the twin says about keys of any type.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Answer, Expected, Twin, Words, syntax};
use crate::say::Say;

/// What a SCAN may return: from cursor 0 all of these, if it may look at as many keys as there are, else some.
#[derive(Debug)]
pub(crate) struct Scannable {
    pub(crate) keys: BTreeSet<Bytes>,
    /// From the beginning to the end in one reply.
    pub(crate) is_whole: bool,
}

impl Twin {
    pub(super) fn type_of(&self, words: &Words<'_>) -> Answer {
        let key = words.owned(1);
        let is_vector = || self.vector_keys().any(|there| there == key);
        let name = match self.collections.contains_key(&key) {
            true => "vectorset",
            false if is_vector() => "vector",
            false => "none",
        };
        Ok(Expected::Reply(Say::Simple(name)))
    }

    pub(super) fn scan(&self, words: &Words<'_>) -> Answer {
        let Some(cursor) = words.unsigned(1) else {
            return Say::error("ERR invalid cursor");
        };
        let (mut count, mut pattern, mut kind) = (10, None, None);
        for option in (2..words.count()).step_by(2) {
            let value = option + 1;
            if value == words.count() {
                return syntax();
            } else if words.is(option, "COUNT") {
                count = match words.integer(value) {
                    None => return Say::error("ERR value is not an integer or out of range"),
                    Some(count) if count < 1 => return syntax(),
                    Some(count) => count,
                };
            } else if words.is(option, "MATCH") {
                pattern = Some(words.owned(value));
            } else if words.is(option, "TYPE") {
                kind = Some(words.owned(value).to_ascii_lowercase());
            } else {
                return syntax();
            }
        }
        let is_wanted = |name: &str| kind.as_ref().is_none_or(|kind| kind == name.as_bytes());
        let vectors = self.vector_keys().filter(|_| is_wanted("vector"));
        let names = self.collections.keys().filter(|_| is_wanted("vectorset")).cloned();
        let mut keys: BTreeSet<Bytes> = vectors.chain(names).collect();
        let looked_at = keys.len();
        keys.retain(|key| pattern.as_ref().is_none_or(|pattern| is_match(pattern, key)));
        Ok(Expected::Scanned(Scannable {
            keys,
            is_whole: cursor == 0 && count > looked_at as i64,
        }))
    }

    /// Every key that a scan returns.
    pub(crate) fn keys(&self) -> BTreeSet<Bytes> {
        self.vector_keys().chain(self.collections.keys().cloned()).collect()
    }

    fn vector_keys(&self) -> impl Iterator<Item = Bytes> {
        self.collections.iter().flat_map(|(name, collection)| {
            let elements = collection.vectors.keys();
            elements.map(move |element| Bytes::from([name, b":".as_slice(), element].concat()))
        })
    }
}

/// Patterns in programs are bytes, `?` and `*`.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some((b'*', rest)), _) => (0..=text.len()).any(|start| is_match(rest, &text[start..])),
        (Some((b'?', rest)), Some((_, text))) => is_match(rest, text),
        (Some((byte, rest)), Some((found, text))) => byte == found && is_match(rest, text),
        (Some(_), None) => false,
    }
}
