//! One shard's part of a command on several keys. It may take several slices; no command of another client runs in between.

use std::sync::Arc;

use kora_keyspace::Cause;
use kora_keyspace::catalog::Schema;
use kora_keyspace::keys::{PREFETCHED_MAX, Value};
use kora_resp::{Bulks, Reply, Words};
use kora_values::{Digits, StringValue};
use kora_vector::{Step, Work};

use super::Shard;
use super::notices::Hint;
use super::task::{Begun, Task};
use crate::budgets::{DELETION_WORK, KEY_BYTE_WORK, KEY_WORK};
use crate::command::Only;
use crate::error::ClientError;
use crate::mail::{MultiKeyRequest, PartialReply, StringsPart};

/// A part between two slices.
pub(super) struct MultiKey {
    purpose: Purpose,
    now_ms: u64,
    /// It changes something, and that has begun.
    is_in_batch: bool,
    /// Of how many keys it is known where they are: those that come next.
    near: usize,
}

enum Purpose {
    Delete {
        keys: Words,
        deleted: u64,
        /// A collection is withdrawn if a key is its name.
        withdraws: bool,
        withdrawn: Vec<Arc<Schema>>,
    },
    Count {
        keys: Words,
        /// Values stand between the keys.
        are_pairs: bool,
        counted: u64,
        touches: bool,
    },
    Get {
        keys: Words,
        strings: Bulks,
    },
    Set {
        part: StringsPart,
        /// Pairs whose keys have not been looked at yet, if there is a condition: all keys meet it before one is set.
        unseen: Option<Words>,
    },
}

impl MultiKey {
    /// `near` of its keys have been looked for.
    pub(super) fn new(body: MultiKeyRequest, now_ms: u64, near: usize) -> MultiKey {
        let purpose = match body {
            MultiKeyRequest::Delete(keys) => Purpose::delete(keys, false),
            MultiKeyRequest::DeleteAll(keys) => Purpose::delete(keys, true),
            MultiKeyRequest::Count(keys) => Purpose::count(keys, false, false),
            MultiKeyRequest::CountPairs(pairs) => Purpose::count(pairs, true, false),
            MultiKeyRequest::Touch(keys) => Purpose::count(keys, false, true),
            MultiKeyRequest::GetStrings(keys) => Purpose::Get {
                strings: Bulks::expecting(keys.len()),
                keys,
            },
            MultiKeyRequest::SetStrings(part) => Purpose::Set {
                unseen: (part.only != Only::Always).then(|| part.pairs.clone()),
                part,
            },
        };
        MultiKey {
            purpose,
            now_ms,
            is_in_batch: false,
            near,
        }
    }

    /// How many keys are left.
    pub(super) fn len(&self) -> usize {
        match &self.purpose {
            Purpose::Count {
                keys: pairs,
                are_pairs: true,
                ..
            }
            | Purpose::Set {
                part: StringsPart { pairs, .. },
                ..
            } => pairs.len() / 2,
            Purpose::Delete { keys, .. } | Purpose::Count { keys, .. } | Purpose::Get { keys, .. } => keys.len(),
        }
    }
}

impl Purpose {
    fn delete(keys: Words, withdraws: bool) -> Purpose {
        Purpose::Delete {
            keys,
            deleted: 0,
            withdraws,
            withdrawn: Vec::new(),
        }
    }

    fn count(keys: Words, are_pairs: bool, touches: bool) -> Purpose {
        Purpose::Count {
            keys,
            are_pairs,
            counted: 0,
            touches,
        }
    }

    fn work_per_key(&self) -> u64 {
        match self {
            Purpose::Delete { .. } => DELETION_WORK,
            _ => KEY_WORK,
        }
    }

    fn changes_keys(&self) -> bool {
        matches!(self, Purpose::Delete { .. } | Purpose::Set { .. })
    }

    /// The key that is looked at next.
    fn next_key(&self) -> Option<&[u8]> {
        match self {
            Purpose::Set { part, unseen } => unseen.as_ref().unwrap_or(&part.pairs).first(),
            Purpose::Delete { keys, .. } | Purpose::Count { keys, .. } | Purpose::Get { keys, .. } => keys.first(),
        }
    }

    /// Looks for the keys that come next.
    fn look_ahead(&self, shard: &Shard) {
        match self {
            Purpose::Count {
                keys: pairs,
                are_pairs: true,
                ..
            }
            | Purpose::Set {
                part: StringsPart { pairs, .. },
                ..
            } => shard.prefetch_keys(pairs.iter().step_by(2).take(PREFETCHED_MAX)),
            Purpose::Delete { keys, .. } | Purpose::Count { keys, .. } | Purpose::Get { keys, .. } => {
                shard.prefetch_keys(keys.iter().take(PREFETCHED_MAX));
            }
        }
    }
}

impl Task for MultiKey {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        if self.purpose.changes_keys() && !std::mem::replace(&mut self.is_in_batch, true) {
            shard.keyspace.begin_batch();
        }
        loop {
            if self.near == 0 {
                self.purpose.look_ahead(shard);
                self.near = PREFETCHED_MAX;
            }
            self.near -= 1;
            let expired_before = shard.keyspace.expired();
            let key_bytes = self.purpose.next_key().map_or(0, <[u8]>::len) as u64;
            if let Some(part) = shard.look_at_one(self) {
                if self.is_in_batch {
                    shard.keyspace.end_batch();
                }
                return Step::Done(part);
            }
            // One that is found to have expired is deleted, whatever is to be done to it.
            let expired = shard.keyspace.expired() - expired_before;
            work.spend(self.purpose.work_per_key() + expired * DELETION_WORK + key_bytes * KEY_BYTE_WORK);
            if work.is_spent() {
                // What was looked for may be far away again when its turn comes.
                self.near = 0;
                return Step::More;
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Shard {
    /// This worker's own part of a command on several keys, at once; `near` of the keys have been looked for.
    pub(crate) fn begin_multi_key(
        &mut self,
        body: MultiKeyRequest,
        now_ms: u64,
        near: usize,
        work: &mut Work,
    ) -> Begun<PartialReply> {
        self.run(MultiKey::new(body, now_ms, near), work)
    }

    /// Does what is to be done to the next key; the answer, if there was none.
    fn look_at_one(&mut self, multi_key: &mut MultiKey) -> Option<PartialReply> {
        let now_ms = multi_key.now_ms;
        match &mut multi_key.purpose {
            Purpose::Delete {
                keys,
                deleted,
                withdraws,
                withdrawn,
            } => match keys.take_next() {
                Some(key) => {
                    let place = self.resolve_live(key, now_ms);
                    let is_there = match self.keyspace.remove(place, Cause::Command) {
                        false if *withdraws => {
                            let schema = self.withdraw(key);
                            let is_there = schema.is_some();
                            withdrawn.extend(schema);
                            is_there
                        }
                        is_there => is_there,
                    };
                    *deleted += u64::from(is_there);
                    None
                }
                None => Some(PartialReply::Deleted(*deleted, std::mem::take(withdrawn))),
            },
            Purpose::Count {
                keys,
                are_pairs,
                counted,
                touches,
            } => match take_key(keys, *are_pairs) {
                Some(key) => {
                    let place = self.resolve_live(key, now_ms);
                    let is_there = if *touches {
                        self.touch(place)
                    } else {
                        self.keyspace.exists(place)
                    };
                    if !*are_pairs {
                        self.lookups.note(is_there);
                    }
                    if !*are_pairs && !is_there {
                        self.keyspace.observers_mut().notices.tell_miss(key);
                    }
                    *counted += u64::from(is_there);
                    None
                }
                None => Some(PartialReply::Count(*counted)),
            },
            Purpose::Get { keys, strings } => match keys.take_next() {
                Some(key) => {
                    let place = self.resolve_live(key, now_ms);
                    // What is no string is nothing to MGET.
                    match self.read_string(place) {
                        Ok(Some(string)) => match string.shared() {
                            Some(bytes) => strings.push_bytes(bytes),
                            None => strings.push(string.bytes(&mut Digits::new())),
                        },
                        Ok(None) => {
                            strings.push_null();
                            self.keyspace.observers_mut().notices.tell_miss(key);
                        }
                        Err(_) => strings.push_null(),
                    }
                    // What is too much is not kept: a value may have been asked for a million times.
                    let too_large = self.setup.too_large(strings.bytes_hint());
                    too_large.map(PartialReply::Refused)
                }
                None => Some(PartialReply::Bulks(std::mem::take(strings))),
            },
            Purpose::Set { part, unseen } => self.set_one(part, unseen, now_ms),
        }
    }

    /// Looks at one key, or sets one; the answer, if there is nothing more to do.
    fn set_one(&mut self, part: &mut StringsPart, unseen: &mut Option<Words>, now_ms: u64) -> Option<PartialReply> {
        if let Some(words) = unseen {
            let Some((key, _)) = words.take_pair() else {
                *unseen = None;
                return None;
            };
            let place = self.resolve_live(key, now_ms);
            let is_there = self.keyspace.exists(place);
            return (is_there != (part.only == Only::IfPresent)).then_some(PartialReply::Count(0));
        }
        let kept = part.pairs.kept_second();
        let Some((key, value)) = part.pairs.take_pair() else {
            return Some(PartialReply::Count(1));
        };
        let place = self.resolve_live(key, now_ms);
        self.hint_at(place, Hint::set(part.lifetime));
        let value = Value::String(kept.map_or_else(|| StringValue::new(value), StringValue::keep));
        match self.put(place, value, part.lifetime) {
            Ok(()) => None,
            Err(error) => Some(PartialReply::Reply(refused(&error))),
        }
    }
}

fn take_key(keys: &mut Words, are_pairs: bool) -> Option<&[u8]> {
    match are_pairs {
        true => keys.take_pair().map(|(key, _)| key),
        false => keys.take_next(),
    }
}

fn refused(error: &ClientError) -> Reply {
    Reply::Error(error.to_string())
}
