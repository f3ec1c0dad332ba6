//! Records of strings and hashes, made true again.

use kora_keyspace::keys::{FieldEdit, Value};
use kora_keyspace::{Cause, KeyType, NEVER_MS};
use kora_log::record::Deadline;

use super::super::{Shard, ShardObservers};
use super::{BEFORE_ALL_MS, ReplayFault, deadline_ms, fault};

impl Shard {
    pub(super) fn replay_put(
        &mut self,
        key: &[u8],
        value: Value,
        deadline: Deadline,
        now_ms: u64,
    ) -> Result<(), ReplayFault> {
        self.replay.bare_hashes.remove(key);
        let place = self.keyspace.place(key, now_ms);
        if self.setup.catalog.newest(key).is_some() {
            // A snapshot may hold a collection and the string that came after it: that it went is a record that follows.
            self.keyspace.withdraw(key, Cause::Dropped);
        }
        let put = self.keyspace.put(place, value, Some(deadline_ms(deadline)));
        put.map_err(|_| fault("a key can't be set"))
    }

    pub(super) fn replay_gone(&mut self, key: &[u8], now_ms: u64) {
        self.replay.bare_hashes.remove(key);
        let place = self.keyspace.place(key, now_ms);
        if self.keyspace.entry(place).is_some() {
            self.keyspace.remove(place, Cause::Command);
        }
    }

    pub(super) fn replay_fields(
        &mut self,
        key: &[u8],
        now_ms: u64,
        edit: impl FnOnce(&mut FieldEdit<'_, ShardObservers>),
    ) {
        let place = self.keyspace.place(key, now_ms);
        let bare = self.replay.bare_hashes.remove(key);
        match self.keyspace.kind(place) {
            // The key holds a hash, so this is not refused.
            Some(KeyType::Hash) => drop(self.keyspace.edit_hash(place, edit)),
            None if bare.is_some() => {
                drop(self.keyspace.edit_hash_or_new(place, edit));
                if let Some(deadline_ms) = bare
                    && self.keyspace.exists(place)
                {
                    let place = self.keyspace.place(key, BEFORE_ALL_MS);
                    self.keyspace.set_deadline(place, deadline_ms);
                }
            }
            _ => {}
        }
    }

    /// A hash that has lost its last field is remembered: one that is replayed may be without fields for a while that never
    /// was without any.
    pub(super) fn replay_fields_gone<'f>(&mut self, key: &[u8], now_ms: u64, names: impl Iterator<Item = &'f [u8]>) {
        let place = self.keyspace.place(key, now_ms);
        if self.keyspace.kind(place) != Some(KeyType::Hash) {
            return;
        }
        let deadline_ms = self.keyspace.deadline_of(place).unwrap_or(NEVER_MS);
        let gone = |edit: &mut FieldEdit<'_, ShardObservers>| {
            names.for_each(|name| {
                edit.remove(name);
            });
        };
        drop(self.keyspace.edit_hash(place, gone));
        if !self.keyspace.exists(place) {
            self.replay.bare_hashes.insert(key.into(), deadline_ms);
        }
    }
}
