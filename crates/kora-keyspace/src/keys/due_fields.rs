//! Fields of hashes whose deadlines have come, and how they go.

use kora_values::SMALL_FIELDS_MAX;

use super::entry::{Value, ValueRef};
use crate::changes::{Changed, Observer};
use crate::key::ResolvedKey;
use crate::keyspace::Keyspace;
use crate::limits::DELETED_PER_SLICE;
use crate::outcome::{Cause, Outcome};

impl<O: Observer> Keyspace<O> {
    /// True if fields of the hash at a key are due and not removed yet.
    pub fn has_due_fields(&self, place: ResolvedKey<'_>) -> bool {
        self.keys.has_due_fields(place.now_ms)
            && self
                .entry(place)
                .is_some_and(|entry| entry.first_field_deadline_ms() <= place.now_ms)
    }

    /// Removes fields of the hash at a key that are due, so many at most; the whole hash, if all are. Returns how many fields
    /// of a table could have been removed in that time.
    pub fn remove_due_fields(&mut self, place: ResolvedKey<'_>, most: usize) -> usize {
        if !self.has_due_fields(place) {
            return 0;
        }
        if let Some(count) = self.remove_if_all_due(place) {
            // Of a larger one the fields are freed later.
            return 1 + count.min(SMALL_FIELDS_MAX) / FREED_PER_DELETION;
        }
        let mut gone: Vec<Vec<u8>> = Vec::new();
        let edited = self.keys.edit_unused(place, |value| {
            let Value::Hash(hash) = value else { return };
            while gone.len() < most && hash.view().first_deadline_ms() <= place.now_ms {
                let Some(field) = hash.view().first_due().map(<[u8]>::to_vec) else {
                    return;
                };
                hash.remove(&field);
                gone.push(field);
            }
        });
        if let Some(((), changed)) = edited {
            self.expired_fields += gone.len() as u64;
            self.commit_expired(changed, place.key, &gone);
        }
        gone.len()
    }

    /// Removes the hash at a key if all its fields are due; how many they were.
    pub(crate) fn remove_if_all_due(&mut self, place: ResolvedKey<'_>) -> Option<usize> {
        if !self.has_due_fields(place) {
            return None;
        }
        let Some(ValueRef::Hash(hash)) = self.entry(place).map(|entry| entry.value()) else {
            return None;
        };
        if !hash.is_all_due(place.now_ms) {
            return None;
        }
        let (count, first) = (hash.len(), hash.first_due().unwrap_or_default().to_vec());
        self.changes.begin_batch();
        self.commit_expired(Changed::elsewhere(), place.key, &[first]);
        self.remove(place, Cause::Command);
        self.changes.end_batch();
        self.expired_fields += count as u64;
        Some(count)
    }

    /// Counts fields that a command has removed because the deadline that it gave them was past.
    pub fn note_expired_fields(&mut self, count: u64) {
        self.expired_fields += count;
    }

    /// Removes some fields that are due of hashes that no command has asked for since.
    pub(crate) fn remove_due_fields_of_hashes(&mut self, now_ms: u64) {
        let mut left = DELETED_PER_SLICE;
        while left > 0 && self.keys.has_due_fields(now_ms) {
            let Some(key) = self.keys.first_with_fields() else {
                return;
            };
            let removed = self.remove_due_fields(self.place(&key, now_ms), left);
            left = left.saturating_sub(removed.max(1));
        }
    }

    fn commit_expired(&mut self, changed: Changed, key: &[u8], fields: &[Vec<u8>]) {
        self.changes.commit(changed, || Outcome::FieldsExpired { key, fields });
    }
}

/// To free the fields of a hash that goes as a whole takes so much less than to look for each and remove it.
const FREED_PER_DELETION: usize = 16;
