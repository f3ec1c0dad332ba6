//! What the twin says about keys of any type.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::databases::other_database;
use super::values::Value;
use super::{Answer, Expected, Twin, Words, syntax};
use crate::name::Name;
use crate::say::Say;

/// What a SCAN may return: from cursor 0 all of these, if it may look at as many keys as there are, else some.
#[derive(Debug)]
pub(crate) struct Scannable {
    pub(crate) keys: BTreeSet<Bytes>,
    /// From the beginning to the end in one reply.
    pub(crate) is_whole: bool,
}

impl Twin {
    pub(super) fn key_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let say = match name {
            Name::Scan => return self.scan(words),
            Name::Keys => {
                let pattern = words.owned(1);
                let keys = self.keys().into_iter().filter(|key| is_match(&pattern, key));
                return Ok(Expected::Bag(keys.map(Say::Bulk).collect()));
            }
            Name::RandomKey => {
                let sets = self
                    .collections
                    .iter()
                    .filter(|(_, collection)| collection.set.is_some());
                let sets = sets.map(|(name, _)| name.clone());
                let keys = self.values.keys().cloned().chain(self.vector_keys()).chain(sets);
                let mut choices: Vec<Say> = keys.map(Say::Bulk).collect();
                if choices.is_empty() {
                    choices.push(Say::Null);
                }
                return Ok(Expected::OneOf(choices));
            }
            Name::Type => Say::Simple(self.kind(&words.any_key(1)?).unwrap_or("none")),
            Name::Del | Name::Unlink => {
                let keys = words.keys(1, 1)?;
                let before: BTreeSet<&Bytes> = keys.iter().filter(|key| self.kind(key).is_some()).collect();
                let before = before.len();
                let in_turn = keys
                    .iter()
                    .filter(|key| self.remove(key) || self.drop_collection(key))
                    .count();
                // A vector named behind its collection may be counted by its own shard before it hears of the drop.
                return Ok(Expected::OneOf((in_turn..=before).map(Say::count).collect()));
            }
            Name::Exists | Name::Touch => {
                let keys = words.keys(1, 1)?;
                Say::count(keys.iter().filter(|key| self.kind(key).is_some()).count())
            }
            Name::Rename | Name::RenameNx | Name::Copy | Name::Move => return self.transfer(name, words),
            _ => return self.inspect(name, words),
        };
        Ok(Expected::Reply(say))
    }

    /// What a key holds.
    pub(super) fn kind(&self, key: &Bytes) -> Option<&'static str> {
        match self.values.get(key).map(|held| &held.value) {
            Some(Value::String(_)) => Some("string"),
            Some(Value::Hash(_)) => Some("hash"),
            None if self.collections.contains_key(key) => Some("vectorset"),
            None if self.vector_keys().any(|there| there == *key) => Some("vector"),
            None => None,
        }
    }

    /// Removes what a key holds, but for a collection.
    pub(super) fn remove(&mut self, key: &Bytes) -> bool {
        let is_value = self.values.remove(key).is_some();
        let colon = key.iter().rposition(|byte| *byte == b':');
        let is_vector = colon.is_some_and(|colon| {
            let collection = self.collections.get_mut(&key[..colon]);
            let collection = collection.filter(|collection| collection.set.is_none());
            collection.is_some_and(|collection| collection.vectors.remove(&key[colon + 1..]).is_some())
        });
        if is_value || is_vector {
            self.touch(key);
        }
        if is_vector {
            self.vector_expiries.remove(key);
            self.attributes.remove(key);
        }
        is_value || is_vector
    }

    /// Removes what a key holds, also a vector set.
    pub(super) fn clear(&mut self, key: &Bytes) {
        if self.is_set(key) {
            self.drop_collection(key);
        }
        self.remove(key);
    }

    pub(super) fn drop_collection(&mut self, name: &Bytes) -> bool {
        let gone: Vec<Bytes> = self.vector_keys().filter(|key| belongs(key, name)).collect();
        let is_there = self.collections.remove(name).is_some();
        if is_there {
            gone.iter().chain([name]).for_each(|key| self.touch(key));
            self.vector_expiries.retain(|key, _| !gone.contains(key));
            self.attributes.retain(|key, _| !gone.contains(key));
        }
        is_there
    }

    fn transfer(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let here = self.database;
        let from = words.any_key(1)?;
        let (to, there, replaces) = match name {
            Name::Copy => {
                let (database, replaces) = copy_options(words)?;
                (words.any_key(2)?, database.unwrap_or(here), replaces)
            }
            Name::Move => (from.clone(), other_database(words, 2)?, false),
            name => (words.any_key(2)?, here, name == Name::Rename),
        };
        let is_same = from == to && here == there;
        if matches!(name, Name::Copy | Name::Move) && is_same {
            return Say::error("ERR source and destination objects are the same");
        }
        let done = |is_done| match name {
            Name::Rename => Ok(Expected::Reply(Say::ok())),
            _ => Ok(Expected::Reply(Say::Integer(is_done))),
        };
        let kind = self.kind(&from);
        self.go_to(there);
        let (kind_there, is_set_there) = (self.kind(&to), self.is_set(&to));
        let refusal_there = self.refuse_alias(&to);
        self.go_to(here);
        match (kind, kind_there) {
            (None, _) if matches!(name, Name::Copy | Name::Move) => return done(0),
            (None, _) => return Say::error("ERR no such key"),
            _ if is_same => return done(0),
            (_, Some(_)) if !replaces => return done(0),
            (Some("vectorset"), _) if self.is_set(&from) && name == Name::Copy => {
                return Say::error("ERR not supported for this module key");
            }
            (Some("vectorset"), _) if self.is_set(&from) => {
                super::vectors::vet_name(&to)?;
                refusal_there?;
                if kind_there == Some("vectorset") && !is_set_there {
                    return Err(super::values::name_of_collection(&to));
                }
                let set = self.collections.remove(&from).expect("looked at a moment ago");
                self.touch(&from);
                self.go_to(there);
                self.clear(&to);
                self.touch(&to);
                self.collections.insert(to, set);
                self.go_to(here);
                return done(1);
            }
            (Some("vectorset"), _) => {
                return Say::error(format!(
                    "ERR '{}' is the name of a collection, which cannot be renamed or copied: VECALIAS gives it another name",
                    super::quoted(&from)
                ));
            }
            (_, Some("vectorset")) if !is_set_there => return Err(super::values::name_of_collection(&to)),
            (Some("vector"), _) => {
                self.transfer_vector(&from, (there, &to), name != Name::Copy)?;
                return done(1);
            }
            _ => {}
        }
        let held = self.values[&from].clone();
        if name != Name::Copy {
            self.remove(&from);
        }
        self.go_to(there);
        self.clear(&to);
        self.touch(&to);
        self.values.insert(to, held);
        self.go_to(here);
        done(1)
    }

    fn inspect(&mut self, name: Name, words: &Words<'_>) -> Answer {
        if name == Name::MemoryUsage {
            for option in (3..words.count()).step_by(2) {
                if !words.is(option, "SAMPLES") || option + 1 == words.count() {
                    return syntax();
                }
                if words.needed_integer(option + 1)? < 0 {
                    return syntax();
                }
            }
        }
        let key = words.any_key(2)?;
        let choices: &[&str] = match self.kind(&key) {
            None => return Ok(Expected::Reply(Say::Null)),
            Some("string") => &["int", "embstr", "raw"],
            Some("hash") => &["listpack", "listpackex", "hashtable"],
            Some(_)
                if self
                    .collections
                    .get(&key)
                    .is_some_and(|collection| collection.set.is_some()) =>
            {
                &["raw"]
            }
            Some(_) => &["hnsw"],
        };
        match name {
            Name::MemoryUsage => Ok(Expected::Positive),
            Name::ObjectEncoding => Ok(Expected::OneOf(choices.iter().map(|word| Say::bulk(word)).collect())),
            Name::ObjectRefCount => Ok(Expected::Reply(Say::Integer(1))),
            Name::ObjectIdleTime => Ok(Expected::OneOf((0..10_000).map(Say::Integer).collect())),
            _ => Say::error(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ),
        }
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
        let values = self.values.iter().filter(|(_, held)| match held.value {
            Value::String(_) => is_wanted("string"),
            Value::Hash(_) => is_wanted("hash"),
        });
        let values = values.map(|(key, _)| key.clone());
        let mut keys: BTreeSet<Bytes> = vectors.chain(names).chain(values).collect();
        // Strings and hashes stand together, so those of the other type are looked at, too.
        let unwanted = self.values.keys().filter(|key| !keys.contains(*key)).count();
        let looked_at = keys.len() + unwanted;
        keys.retain(|key| pattern.as_ref().is_none_or(|pattern| is_match(pattern, key)));
        Ok(Expected::Scanned(Scannable {
            keys,
            is_whole: cursor == 0 && count > looked_at as i64,
        }))
    }

    /// Every key that a scan returns.
    pub(crate) fn keys(&self) -> BTreeSet<Bytes> {
        let names = self.collections.keys().chain(self.values.keys());
        self.vector_keys().chain(names.cloned()).collect()
    }

    pub(super) fn vector_keys(&self) -> impl Iterator<Item = Bytes> {
        // The elements of a vector set are no keys.
        let spread = self
            .collections
            .iter()
            .filter(|(_, collection)| collection.set.is_none());
        spread.flat_map(|(name, collection)| {
            let elements = collection.vectors.keys();
            elements.map(move |element| Bytes::from([name, b":".as_slice(), element].concat()))
        })
    }
}

/// True if it is the key of a vector of this collection.
fn belongs(key: &[u8], name: &[u8]) -> bool {
    key.iter()
        .rposition(|byte| *byte == b':')
        .is_some_and(|colon| &key[..colon] == name)
}

/// `[DB n] [REPLACE]` of COPY: the database, and whether it replaces.
pub(super) fn copy_options(words: &Words<'_>) -> Result<(Option<usize>, bool), Say> {
    let (mut database_at, mut replaces, mut at) = (None, false, 3);
    while at < words.count() {
        if words.is(at, "REPLACE") {
            replaces = true;
            at += 1;
        } else if words.is(at, "DB") && at + 1 < words.count() {
            database_at = Some(at + 1);
            super::databases::database(words, at + 1)?;
            at += 2;
        } else {
            return syntax();
        }
    }
    // Whether there is such a database is looked at behind the words.
    let database = database_at.map(|at| other_database(words, at)).transpose()?;
    match database.is_none() && words.0[1] == words.0[2] {
        true => Say::error("ERR source and destination objects are the same"),
        false => Ok((database, replaces)),
    }
}

/// Patterns in programs are bytes, `?` and `*`.
pub(super) fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some((b'*', rest)), _) => (0..=text.len()).any(|start| is_match(rest, &text[start..])),
        (Some((b'?', rest)), Some((_, text))) => is_match(rest, text),
        (Some((byte, rest)), Some((found, text))) => byte == found && is_match(rest, text),
        (Some(_), None) => false,
    }
}
