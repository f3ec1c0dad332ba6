//! One shard's part of a command on several keys. It may take several slices; no command of another client runs in between.

use std::sync::Arc;

use kora_keyspace::Cause;
use kora_keyspace::catalog::Schema;
use kora_keyspace::keys::{PREFETCHED_MAX, Value};
use kora_resp::{Bulks, Reply, Words};
use kora_values::{Digits, StringValue};

use super::{Shard, Unfinished};
use crate::command::Only;
use crate::error::ClientError;
use crate::limits::{DELETED_PER_SLICE, KEY_BYTES_PER_SLICE, KEYS_PER_SLICE};
use crate::mail::{MultiKeyRequest, PartialReply, StringsPart};

/// A part between two slices.
pub(crate) struct MultiKey {
    task: Task,
    now_ms: u64,
    /// It changes something, and that has begun.
    is_in_batch: bool,
    /// Of how many keys it is known where they are: those that come next.
    near: usize,
}

enum Task {
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
    pub(crate) fn new(body: MultiKeyRequest, now_ms: u64, near: usize) -> MultiKey {
        let task = match body {
            MultiKeyRequest::Delete(keys) => Task::delete(keys, false),
            MultiKeyRequest::DeleteAll(keys) => Task::delete(keys, true),
            MultiKeyRequest::Count(keys) => Task::count(keys, false, false),
            MultiKeyRequest::CountPairs(pairs) => Task::count(pairs, true, false),
            MultiKeyRequest::Touch(keys) => Task::count(keys, false, true),
            MultiKeyRequest::GetStrings(keys) => Task::Get {
                strings: Bulks::expecting(keys.len()),
                keys,
            },
            MultiKeyRequest::SetStrings(part) => Task::Set {
                unseen: (part.only != Only::Always).then(|| part.pairs.clone()),
                part,
            },
        };
        MultiKey {
            task,
            now_ms,
            is_in_batch: false,
            near,
        }
    }

    /// How many keys are left.
    pub(super) fn len(&self) -> usize {
        match &self.task {
            Task::Count {
                keys: pairs,
                are_pairs: true,
                ..
            }
            | Task::Set {
                part: StringsPart { pairs, .. },
                ..
            } => pairs.len() / 2,
            Task::Delete { keys, .. } | Task::Count { keys, .. } | Task::Get { keys, .. } => keys.len(),
        }
    }

    /// What is left to do, measured in keys that are looked at.
    pub(super) fn work(&self) -> usize {
        self.len() * self.task.work_per_key()
    }
}

impl Task {
    fn delete(keys: Words, withdraws: bool) -> Task {
        Task::Delete {
            keys,
            deleted: 0,
            withdraws,
            withdrawn: Vec::new(),
        }
    }

    fn count(keys: Words, are_pairs: bool, touches: bool) -> Task {
        Task::Count {
            keys,
            are_pairs,
            counted: 0,
            touches,
        }
    }

    /// How many keys' work it is to go on with one key.
    fn work_per_key(&self) -> usize {
        match self {
            Task::Delete { .. } => DELETION_WORK,
            _ => 1,
        }
    }

    fn changes_keys(&self) -> bool {
        matches!(self, Task::Delete { .. } | Task::Set { .. })
    }

    /// The key that is looked at next.
    fn next_key(&self) -> Option<&[u8]> {
        match self {
            Task::Set { part, unseen } => unseen.as_ref().unwrap_or(&part.pairs).first(),
            Task::Delete { keys, .. } | Task::Count { keys, .. } | Task::Get { keys, .. } => keys.first(),
        }
    }

    /// Looks for the keys that come next.
    fn look_ahead(&self, shard: &Shard) {
        match self {
            Task::Count {
                keys: pairs,
                are_pairs: true,
                ..
            }
            | Task::Set {
                part: StringsPart { pairs, .. },
                ..
            } => shard.prefetch_keys(pairs.iter().step_by(2).take(PREFETCHED_MAX)),
            Task::Delete { keys, .. } | Task::Count { keys, .. } | Task::Get { keys, .. } => {
                shard.prefetch_keys(keys.iter().take(PREFETCHED_MAX));
            }
        }
    }
}

impl Shard {
    /// The first slice, which for most is the last. `near` of the keys have been looked for.
    pub(crate) fn begin_multi_key(
        &mut self,
        body: MultiKeyRequest,
        now_ms: u64,
        near: usize,
    ) -> Result<PartialReply, Box<Unfinished>> {
        self.do_multi_key(MultiKey::new(body, now_ms, near))
    }

    /// Goes on for a slice.
    pub(super) fn do_multi_key(&mut self, mut multi_key: MultiKey) -> Result<PartialReply, Box<Unfinished>> {
        if multi_key.task.changes_keys() && !std::mem::replace(&mut multi_key.is_in_batch, true) {
            self.keyspace.begin_batch();
        }
        let (now_ms, work_per_key) = (multi_key.now_ms, multi_key.task.work_per_key());
        let (mut index, expired_before) = (0_usize, self.keyspace.expired());
        let (mut near, mut hashed_bytes) = (multi_key.near, 0);
        multi_key.near = 0;
        // One that is found to have expired is deleted, whatever is to be done to it.
        while index * work_per_key
            + (self.keyspace.expired() - expired_before) as usize * DELETION_WORK
            + hashed_bytes / (KEY_BYTES_PER_SLICE / KEYS_PER_SLICE)
            < KEYS_PER_SLICE
        {
            hashed_bytes += multi_key.task.next_key().map_or(0, <[u8]>::len);
            if index == near {
                multi_key.task.look_ahead(self);
                near += PREFETCHED_MAX;
            }
            let step = match &mut multi_key.task {
                Task::Delete {
                    keys,
                    deleted,
                    withdraws,
                    withdrawn,
                } => match keys.take_next() {
                    Some(key) => {
                        let place = self.resolve_live(key, now_ms);
                        let is_there = match self.keyspace.remove(place, Cause::Command) {
                            false if *withdraws => {
                                let schema = self.withdraw_name(key);
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
                Task::Count {
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
                        *counted += u64::from(is_there);
                        None
                    }
                    None => Some(PartialReply::Count(*counted)),
                },
                Task::Get { keys, strings } => match keys.take_next() {
                    Some(key) => {
                        let place = self.resolve_live(key, now_ms);
                        // What is no string is nothing to MGET.
                        match self.keyspace.string(place) {
                            Ok(Some(string)) => match string.shared() {
                                Some(bytes) => strings.push_bytes(bytes),
                                None => strings.push(string.bytes(&mut Digits::new())),
                            },
                            Ok(None) | Err(_) => strings.push_null(),
                        }
                        // What is too much is not kept: a value may have been asked for a million times.
                        let too_large = self.setup.too_large(strings.bytes_hint());
                        too_large.map(PartialReply::Refused)
                    }
                    None => Some(PartialReply::Bulks(std::mem::take(strings))),
                },
                Task::Set { part, unseen } => self.set_one(part, unseen, now_ms),
            };
            if let Some(part) = step {
                if multi_key.is_in_batch {
                    self.keyspace.end_batch();
                }
                return Ok(part);
            }
            index += 1;
        }
        Err(Box::new(Unfinished::MultiKey(multi_key)))
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

/// To delete a key is the work of so many that are looked at.
const DELETION_WORK: usize = KEYS_PER_SLICE / DELETED_PER_SLICE;

fn refused(error: &ClientError) -> Reply {
    Reply::Error(error.to_string())
}
