//! Which keys clients watch, and which of the clients have something changed under their eyes.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::Origin;

/// The watched keys of one shard. Bounded by the clients, each of which watches a limited number of keys.
#[derive(Default)]
pub(crate) struct Watches {
    /// Who watches a key. Invariant: nobody is listed who is not in `watchers`.
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

    /// All keys that somebody watches.
    pub(crate) fn keys(&self) -> Vec<Bytes> {
        self.watched.keys().cloned().collect()
    }

    /// A key has been changed.
    pub(crate) fn note(&mut self, key: &[u8]) {
        for origin in self.watched.get(key).into_iter().flatten() {
            if let Some(watcher) = self.watchers.get_mut(origin) {
                watcher.is_overtaken = true;
            }
        }
    }
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
        assert!(watches.is_empty() && watches.keys().is_empty());
    }
}
