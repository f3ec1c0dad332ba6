//! Which keys clients watch, and which clients watch a key that was changed.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use kora_keyspace::collections::Collection;
use kora_keyspace::{Outcome, element_of, key_of};

use super::Origin;

/// The watched keys of one shard. Bounded by the clients, each of which watches a limited number of keys.
#[derive(Default)]
pub(crate) struct Watches {
    /// The clients that watch a key. Invariant: each is in `watchers`.
    watched: HashMap<Bytes, Vec<Origin>>,
    watchers: BTreeMap<Origin, Watcher>,
}

#[derive(Default)]
struct Watcher {
    keys: Vec<Bytes>,
    is_overtaken: bool,
}

impl Watches {
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub(crate) fn watch(&mut self, origin: Origin, key: Bytes) {
        let watcher = self.watchers.entry(origin).or_default();
        let all = self.watched.entry(key.clone()).or_default();
        if !all.contains(&origin) {
            all.push(origin);
            watcher.keys.push(key);
        }
    }

    /// Forgets what a client watches; true if some of it was changed.
    pub(crate) fn unwatch(&mut self, origin: Origin) -> bool {
        let Some(watcher) = self.watchers.remove(&origin) else {
            return false;
        };
        for key in &watcher.keys {
            if let Some(all) = self.watched.get_mut(key) {
                all.retain(|other| *other != origin);
                if all.is_empty() {
                    self.watched.remove(key);
                }
            }
        }
        watcher.is_overtaken
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
            | Outcome::FieldGone { key, .. }
            | Outcome::Deadline { key, .. }
            | Outcome::Removed { key, .. } => self.note(key),
            Outcome::VectorSet { schema, name, .. }
            | Outcome::VectorDeadline { schema, name, .. }
            | Outcome::VectorRemoved { schema, name, .. } => self.note(&key_of(&schema.name, name)),
            Outcome::Created { schema }
            | Outcome::CollectionDeadline { schema, .. }
            | Outcome::Withdrawn { schema, .. } => self.note(&schema.name),
            Outcome::PartDropped { part, .. } => self.note_where(|key| is_vector_of(part, key)),
            Outcome::Flushed { keys, parts, .. } => self.note_where(|key| {
                let part = || element_of(key).and_then(|(collection, _)| parts.as_ref()?.get(collection));
                keys.find(keys.hash(key), key).is_some() || part().is_some_and(|part| is_vector_of(part, key))
            }),
            Outcome::Landed { .. } | Outcome::BatchBegin | Outcome::BatchEnd => {}
        }
    }

    fn note_where(&mut self, is_changed: impl Fn(&[u8]) -> bool) {
        let changed: Vec<Bytes> = self.watched.keys().filter(|key| is_changed(key)).cloned().collect();
        changed.iter().for_each(|key| self.note(key));
    }

    /// A key has been changed.
    fn note(&mut self, key: &[u8]) {
        for origin in self.watched.get(key).into_iter().flatten() {
            if let Some(watcher) = self.watchers.get_mut(origin) {
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
        let origin = |line| Origin {
            worker: WorkerId::from_index(0),
            line,
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
        assert!(!watches.unwatch(origin(2)));
        assert!(watches.is_empty() && watches.watched.is_empty());
    }
}
