//! Which keys clients watch, and which clients watch a key that was changed.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use kora_keyspace::collections::Collection;
use kora_keyspace::{Outcome, element_of, key_of};
use kora_vector::Work;

use crate::budgets::{WATCHED_BYTE_WORK, WATCHED_KEY_WORK};
use crate::mail::Origin;

/// The watched keys of one shard. Bounded by the clients, each of which watches a limited number of keys.
#[derive(Default)]
pub(crate) struct Watches {
    /// Who watches a key. Invariant: each is in `watchers` or in `left`.
    watched: HashMap<Bytes, Vec<Watching>>,
    watchers: BTreeMap<Origin, Watcher>,
    /// Clients that watch no longer, with their keys that still stand in `watched`. They hear of nothing.
    left: VecDeque<(Watching, Vec<Bytes>)>,
    /// Times that a client began to watch.
    begun: u64,
}

/// A client, from its WATCH until it watches no longer: by the number it is told from what it watched before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Watching {
    origin: Origin,
    number: u64,
}

struct Watcher {
    number: u64,
    keys: Vec<Bytes>,
    is_overtaken: bool,
}

impl Watches {
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub(crate) fn watchers(&self) -> u64 {
        self.watchers.len() as u64
    }

    pub(crate) fn watched_keys(&self) -> u64 {
        self.watched.len() as u64
    }

    pub(crate) fn watch(&mut self, origin: Origin, key: Bytes) {
        let begun = &mut self.begun;
        let watcher = self.watchers.entry(origin).or_insert_with(|| {
            *begun += 1;
            Watcher {
                number: *begun,
                keys: Vec::new(),
                is_overtaken: false,
            }
        });
        let watching = Watching {
            origin,
            number: watcher.number,
        };
        let all = self.watched.entry(key.clone()).or_default();
        if !all.contains(&watching) {
            all.push(watching);
            watcher.keys.push(key);
        }
    }

    /// A client watches nothing any more; true if some of it was changed. What is noted of its keys is forgotten in slices.
    pub(crate) fn unwatch(&mut self, origin: Origin) -> bool {
        let Some(watcher) = self.watchers.remove(&origin) else {
            return false;
        };
        let number = watcher.number;
        self.left.push_back((Watching { origin, number }, watcher.keys));
        watcher.is_overtaken
    }

    /// True if keys of clients that watch no longer are to be forgotten.
    pub(crate) fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Forgets some of them.
    pub(crate) fn forget_left(&mut self, work: &mut Work) {
        while !work.is_spent() {
            let Some((watching, keys)) = self.left.front_mut() else {
                return;
            };
            let Some(key) = keys.pop() else {
                self.left.pop_front();
                continue;
            };
            work.spend(WATCHED_KEY_WORK + WATCHED_BYTE_WORK * key.len() as u64);
            if let Some(all) = self.watched.get_mut(&key) {
                all.retain(|other| other != watching);
                if all.is_empty() {
                    self.watched.remove(&key);
                }
            }
        }
    }

    /// What a client watches.
    pub(crate) fn keys_of(&self, origin: Origin) -> Vec<Bytes> {
        self.watchers
            .get(&origin)
            .map_or_else(Vec::new, |watcher| watcher.keys.clone())
    }

    /// Notes whose keys this changes.
    pub(crate) fn see(&mut self, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::Put { key, .. }
            | Outcome::Edited { key, .. }
            | Outcome::FieldSet { key, .. }
            | Outcome::FieldDeadline { key, .. }
            | Outcome::FieldGone { key, .. }
            | Outcome::FieldsExpired { key, .. }
            | Outcome::Deadline { key, .. }
            | Outcome::Removed { key, .. } => self.note(key),
            Outcome::VectorSet { schema, name, .. }
            | Outcome::VectorDeadline { schema, name, .. }
            | Outcome::Attributes { schema, name, .. }
            | Outcome::VectorRemoved { schema, name, .. } => match schema.set_form() {
                // A vector set is one key.
                Some(_) => self.note(&schema.name),
                None => self.note(&key_of(&schema.name, name)),
            },
            Outcome::Created { schema }
            | Outcome::CollectionDeadline { schema, .. }
            | Outcome::Withdrawn { schema, .. } => self.note(&schema.name),
            Outcome::PartDropped { part, .. } => self.note_where(|key| is_vector_of(part, key)),
            // Vectors of a database follow, part by part.
            Outcome::Flushed { keys, parts, .. } => self.note_where(|key| {
                let part = || element_of(key).and_then(|(collection, _)| parts.as_ref()?.get(collection));
                keys.find(keys.hash(key), key).is_some() || part().is_some_and(|part| is_vector_of(part, key))
            }),
            // An alias is no key.
            Outcome::Aliased { .. }
            | Outcome::Landed { .. }
            | Outcome::LibrarySet { .. }
            | Outcome::LibraryGone { .. }
            | Outcome::BatchBegin
            | Outcome::BatchEnd => {}
        }
    }

    /// Looks at the keys of each client that has heard of no change yet.
    fn note_where(&mut self, is_changed: impl Fn(&[u8]) -> bool) {
        for watcher in self.watchers.values_mut() {
            watcher.is_overtaken |= watcher.keys.iter().any(|key| is_changed(key));
        }
    }

    /// A key has been changed.
    fn note(&mut self, key: &[u8]) {
        for watching in self.watched.get(key).into_iter().flatten() {
            if let Some(watcher) = self.watchers.get_mut(&watching.origin)
                && watcher.number == watching.number
            {
                watcher.is_overtaken = true;
            }
        }
    }
}

/// True if a part holds the vector of this key.
fn is_vector_of(part: &Collection, key: &[u8]) -> bool {
    element_of(key).is_some_and(|(collection, name)| part.schema().name == collection && part.holds(name))
}

#[cfg(test)]
mod tests {
    use kora_mesh::WorkerId;

    use super::*;

    #[test]
    fn whoever_watches_hears_of_it_once_and_nobody_else_does() {
        let origin = |reply_queue| Origin {
            worker: WorkerId::from_index(0),
            reply_queue,
        };
        let key = Bytes::from_static;
        let mut watches = Watches::default();
        watches.watch(origin(1), key(b"a"));
        watches.watch(origin(1), key(b"a"));
        watches.watch(origin(1), key(b"b"));
        watches.watch(origin(2), key(b"b"));
        watches.note(b"a");
        watches.note(b"c");
        assert_eq!(watches.keys_of(origin(1)).len(), 2);
        assert!(watches.unwatch(origin(1)) && !watches.unwatch(origin(1)));
        assert!(!watches.is_empty());
        watches.note(b"a");
        // What it watches anew is not forgotten with what it watched before.
        watches.watch(origin(1), key(b"a"));
        while watches.has_left() {
            watches.forget_left(&mut Work::unlimited());
        }
        watches.note(b"a");
        assert!(watches.unwatch(origin(1)) && !watches.unwatch(origin(2)));
        watches.forget_left(&mut Work::unlimited());
        assert!(watches.is_empty() && watches.watched.is_empty() && !watches.has_left());
    }
}
