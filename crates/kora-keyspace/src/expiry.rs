//! When keys, vectors and collections expire, and how what has expired goes.
//!
//! A deadline stands with what expires: in a key's entry, in a hash with its field, in a collection's part, in a collection's
//! schema. What is due first of each is known at once, and what has expired is removed when a command looks for it or when the
//! shard has time.

use crate::changes::Observer;
use crate::key::{KeyType, ResolvedKey};
use crate::keys::Due;
use crate::keyspace::Keyspace;
use crate::limits::DELETED_PER_SLICE;
use crate::outcome::{Cause, Outcome};
use crate::time::NEVER_MS;

impl<O: Observer> Keyspace<O> {
    /// Removes a vector if it has expired by then.
    pub fn resolve_vector(&mut self, collection: &[u8], name: &[u8], now_ms: u64) {
        let part = self.current_part(collection, now_ms);
        let deadline_ms = part.and_then(|part| part.deadline_of_name(name));
        if deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            self.remove_vector(collection, name, now_ms, Cause::Expired);
            self.expired += 1;
        }
    }

    /// A key as it is at that time: what has expired by then is removed, but for fields of a hash that has others.
    pub fn resolve_live<'k>(&mut self, key: &'k [u8], now_ms: u64) -> ResolvedKey<'k> {
        let place = self.place(key, now_ms);
        if self.keys.has_due(now_ms) && self.entry(place).is_some_and(|entry| entry.is_due(now_ms)) {
            self.remove(place, Cause::Expired);
            self.expired += 1;
        }
        if self.keys.has_due_fields(place.now_ms) {
            self.remove_if_all_due(place);
        }
        if self.has_due_vector(now_ms)
            && let Some((collection, name)) = self.keyed_element(key)
        {
            self.resolve_vector(collection, name, now_ms);
        }
        self.clear_expired_name(key, now_ms);
        place
    }

    /// When a key expires, if it is there; [`NEVER_MS`] if it does not.
    pub fn deadline_of(&self, place: ResolvedKey<'_>) -> Option<u64> {
        if let Some(entry) = self.entry(place) {
            return Some(entry.deadline_ms());
        }
        match self.kind(place)? {
            KeyType::VectorSet => self.collection_deadline(place),
            _ => {
                let (part, name) = self.vector_at(place)?;
                part.deadline_of_name(name)
            }
        }
    }

    /// Lets a key expire then, or a collection of that name; one that is past removes it. False if there is nothing, or it
    /// has expired in this moment.
    pub fn set_deadline(&mut self, place: ResolvedKey<'_>, deadline_ms: u64) -> bool {
        if self.entry(place).is_none() && self.kind(place) == Some(KeyType::VectorSet) {
            return self.set_collection_deadline(place, deadline_ms);
        }
        if deadline_ms <= place.now_ms {
            return self.remove(place, Cause::Command);
        }
        if self.entry(place).is_none() {
            return self.set_vector_deadline(place, deadline_ms);
        }
        let changed = self.keys.set_expiry(place.hash, place.key, deadline_ms);
        let key = place.key;
        self.changes.commit(changed, || Outcome::Deadline { key, deadline_ms });
        true
    }

    /// True if something has expired by then.
    pub fn has_due(&self, now_ms: u64) -> bool {
        self.keys.has_due(now_ms)
            || self.keys.has_due_fields(now_ms)
            || self.has_due_vector(now_ms)
            || self.expiring.has_due(now_ms)
    }

    /// True if a vector has expired by then.
    pub fn has_due_vector(&self, now_ms: u64) -> bool {
        self.next_vector_deadline_ms() <= now_ms
    }

    /// When the next vector expires; [`NEVER_MS`] if none does.
    pub fn next_vector_deadline_ms(&self) -> u64 {
        self.vector_deadlines
            .first()
            .map_or(NEVER_MS, |(first_ms, _)| *first_ms)
    }

    /// When the next key, field, vector or collection expires, in milliseconds of Unix time: not later than one does.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let vector_ms = self.vector_deadlines.first().map(|(first_ms, _)| *first_ms);
        let others = [
            self.keys.next_expiry_ms(),
            self.keys.next_field_expiry_ms(),
            self.expiring.next_ms(),
        ];
        others.into_iter().flatten().chain(vector_ms).min()
    }

    /// Removes some of what has expired that no command has asked for since.
    pub fn remove_due(&mut self, now_ms: u64) {
        self.withdraw_expired(now_ms);
        self.remove_due_vectors(now_ms);
        self.remove_due_keys(now_ms);
        self.remove_due_fields_of_hashes(now_ms);
    }

    /// Removes some vectors that have expired.
    pub fn remove_due_vectors(&mut self, now_ms: u64) {
        for _ in 0..DELETED_PER_SLICE {
            let Some((_, place)) = self
                .vector_deadlines
                .first()
                .filter(|(first_ms, _)| *first_ms <= now_ms)
            else {
                return;
            };
            let part = self
                .collections
                .at(*place)
                .expect("a part stands in the index while it is held");
            let schema = part.schema().clone();
            if self.catalog.at(now_ms).generation_of(&schema.name) != Some(schema.generation) {
                // It was withdrawn, and this shard has not heard of it yet.
                self.detach(&schema.name, Cause::Dropped);
                continue;
            }
            let (_, name) = part.first_deadline().expect("a vector of it expires");
            let name = name.to_vec();
            self.remove_vector(&schema.name, &name, now_ms, Cause::Expired);
            self.expired += 1;
        }
    }

    fn remove_due_keys(&mut self, now_ms: u64) {
        for _ in 0..DELETED_PER_SLICE {
            let (key, outside, changed) = match self.keys.look_at_due(now_ms) {
                Due::Nothing => return,
                Due::Later(changed) => {
                    // Nothing is told: the key expires when it did before.
                    self.changes.count(changed);
                    continue;
                }
                Due::Expired(key, outside, changed) => (key, outside, changed),
            };
            let cause = Cause::Expired;
            self.changes.commit(changed, || Outcome::Removed { key: &key, cause });
            self.discard(outside);
            self.expired += 1;
        }
    }
}
