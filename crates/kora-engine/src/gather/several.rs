//! Commands on several keys: each shard does its part, and the parts are put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;

use super::{Around, Gather, Next, integer};
use crate::catalog::Schema;
use crate::command::SeveralKeys;
use crate::error::ClientError;
use crate::limits::REPLY_BYTES_MAX;
use crate::mail::{Ask, Part, SeveralAsk, Target};
use crate::plan::names_a_collection;
use crate::router::ShardId;

/// Begins such a command.
pub(crate) fn several(several: SeveralKeys, around: &Around<'_>) -> Next {
    match several {
        SeveralKeys::Delete(keys) if names_a_collection(&keys, around.catalog()) => {
            let asks = asks(split(keys, |key| key, around), SeveralAsk::DeleteAll);
            let deleting = Deleting {
                missing: asks.len(),
                deleted: 0,
                withdrawn: Vec::new(),
                is_releasing: false,
            };
            Next::Ask(Gather::Deleting(Box::new(deleting)), asks)
        }
        SeveralKeys::Delete(keys) => sum(asks(split(keys, |key| key, around), SeveralAsk::Delete)),
        SeveralKeys::Exist(keys) => sum(asks(split(keys, |key| key, around), SeveralAsk::Count)),
        SeveralKeys::Touch(keys) => sum(asks(split(keys, |key| key, around), SeveralAsk::Touch)),
        SeveralKeys::GetStrings(keys) => {
            let replies = vec![Reply::Null; keys.len()];
            let placed = keys.into_iter().zip(0..).map(|(key, place)| (place, key)).collect();
            let asks = asks(split(placed, |(_, key)| key, around), SeveralAsk::GetStrings);
            let placing = Placing {
                replies,
                missing: asks.len(),
                bytes: 0,
            };
            Next::Ask(Gather::Placing(Box::new(placing)), asks)
        }
        SeveralKeys::SetStrings(pairs) => {
            // All names are visible to everybody, so nothing is set if one of the keys is one.
            if let Some(error) = refused(&pairs, around) {
                return Next::error(&error);
            }
            set_all(pairs, around)
        }
        SeveralKeys::SetStringsIfAbsent(pairs) => {
            let mut parts = split(pairs, |(key, _)| key, around);
            if parts.len() == 1
                && let Some((shard, pairs)) = parts.pop_first()
            {
                let ask = Ask::Several(Box::new(SeveralAsk::SetStringsIfAbsent(pairs)));
                return Next::Ask(Gather::One(super::Shape::Whole), vec![(Target::Shard(shard), ask)]);
            }
            let keys = |pairs: &Vec<(Bytes, Bytes)>| pairs.iter().map(|(key, _)| key.clone()).collect();
            let looks: BTreeMap<ShardId, Vec<Bytes>> =
                parts.iter().map(|(shard, pairs)| (*shard, keys(pairs))).collect();
            let asks = asks(looks, SeveralAsk::Count);
            let setting = SettingIfAbsent {
                missing: asks.len(),
                pairs: parts.into_values().flatten().collect(),
                is_absent: true,
                is_setting: false,
            };
            Next::Ask(Gather::SettingIfAbsent(Box::new(setting)), asks)
        }
    }
}

/// MGET: each string goes to its place.
pub(crate) struct Placing {
    replies: Vec<Reply>,
    missing: usize,
    /// What the reply comes to so far.
    bytes: usize,
}

impl Placing {
    pub(crate) fn absorb(mut self: Box<Self>, replies: Vec<(u32, Reply)>) -> Next {
        for (place, reply) in replies {
            self.bytes += reply.bytes_hint();
            // What is too much is not kept: a value may have been asked for a million times.
            self.replies[place as usize] = if self.bytes > REPLY_BYTES_MAX {
                Reply::Null
            } else {
                reply
            };
        }
        self.missing -= 1;
        match self.missing {
            0 if self.bytes > REPLY_BYTES_MAX => Next::error(&ClientError::ReplyTooLarge {
                bytes_max: REPLY_BYTES_MAX,
            }),
            0 => Next::Reply(Reply::Array(self.replies)),
            _ => Next::Wait(Gather::Placing(self)),
        }
    }
}

/// MSETNX over several shards: first all of them look, then all of them set.
pub(crate) struct SettingIfAbsent {
    pairs: Vec<(Bytes, Bytes)>,
    missing: usize,
    is_absent: bool,
    is_setting: bool,
}

impl SettingIfAbsent {
    pub(crate) fn absorb(mut self: Box<Self>, part: Part, around: &Around<'_>) -> Next {
        self.missing -= 1;
        if let Part::Reply(refusal) = part {
            return match self.missing {
                0 => Next::Reply(refusal),
                missing => Next::Wait(Gather::AllDone {
                    missing,
                    refusal: Some(refusal),
                }),
            };
        }
        if !self.is_setting {
            self.is_absent &= matches!(part, Part::Count(0));
        }
        match (self.missing, self.is_setting) {
            (0, true) => Next::Reply(Reply::Integer(1)),
            (0, false) if !self.is_absent => Next::Reply(Reply::Integer(0)),
            (0, false) => {
                let pairs = std::mem::take(&mut self.pairs);
                let asks = asks(split(pairs, |(key, _)| key, around), SeveralAsk::SetStrings);
                self.missing = asks.len();
                self.is_setting = true;
                Next::Ask(Gather::SettingIfAbsent(self), asks)
            }
            _ => Next::Wait(Gather::SettingIfAbsent(self)),
        }
    }
}

/// DEL of keys of which some are names of collections: these are withdrawn first, then every shard lets go of its part.
pub(crate) struct Deleting {
    missing: usize,
    deleted: u64,
    withdrawn: Vec<Arc<Schema>>,
    is_releasing: bool,
}

impl Deleting {
    pub(crate) fn absorb(mut self: Box<Self>, part: Part, around: &Around<'_>) -> Next {
        if let Part::Deleted(count, withdrawn) = part {
            self.deleted += count;
            self.withdrawn.extend(withdrawn);
        }
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::Deleting(self));
        }
        let releases: Vec<(Target, Ask)> = std::mem::take(&mut self.withdrawn)
            .into_iter()
            .flat_map(|schema| {
                let parts = around.placement().parts_of(&schema.name).collect::<Vec<ShardId>>();
                parts.into_iter().map(move |shard| {
                    let (name, generation) = (schema.name.clone(), schema.generation);
                    (Target::Shard(shard), Ask::Release { name, generation })
                })
            })
            .collect();
        if self.is_releasing || releases.is_empty() {
            return Next::Reply(Reply::Integer(integer(self.deleted)));
        }
        self.is_releasing = true;
        self.missing = releases.len();
        Next::Ask(Gather::Deleting(self), releases)
    }
}

/// RANDOMKEY: each shard chooses a key, and one of these is chosen, each with as much chance as its shard has keys.
pub(crate) struct Choosing {
    missing: usize,
    among: u64,
    key: Option<Bytes>,
}

impl Choosing {
    pub(crate) fn start(around: &Around<'_>) -> Next {
        let asks: Vec<(Target, Ask)> = around
            .placement()
            .shards()
            .map(|shard| (Target::Shard(shard), Ask::RandomKey))
            .collect();
        let choosing = Choosing {
            missing: asks.len(),
            among: 0,
            key: None,
        };
        Next::Ask(Gather::Choosing(choosing), asks)
    }

    pub(crate) fn absorb(mut self, key: Option<Bytes>, among: u64, draw: u64) -> Next {
        self.missing -= 1;
        if let Some(key) = key {
            self.among += among.max(1);
            // Of all that were chosen among so far, this shard's are so many.
            let place = (u128::from(draw) * u128::from(self.among)) >> 64;
            if self.key.is_none() || place < u128::from(among) {
                self.key = Some(key);
            }
        }
        match self.missing {
            0 => Next::Reply(self.key.map_or(Reply::Null, Reply::Bulk)),
            _ => Next::Wait(Gather::Choosing(self)),
        }
    }
}

fn set_all(pairs: Vec<(Bytes, Bytes)>, around: &Around<'_>) -> Next {
    let asks = asks(split(pairs, |(key, _)| key, around), SeveralAsk::SetStrings);
    let gather = Gather::AllDone {
        missing: asks.len(),
        refusal: None,
    };
    Next::Ask(gather, asks)
}

fn refused(pairs: &[(Bytes, Bytes)], around: &Around<'_>) -> Option<ClientError> {
    let catalog = around.catalog();
    if catalog.is_empty() {
        return None;
    }
    let (name, _) = pairs.iter().find(|(key, _)| catalog.holds(key))?;
    Some(ClientError::NameOfCollection { name: name.to_vec() })
}

fn sum(asks: Vec<(Target, Ask)>) -> Next {
    let gather = Gather::Sum {
        missing: asks.len(),
        total: 0,
    };
    Next::Ask(gather, asks)
}

/// What belongs to each shard, in the order that was given.
fn split<T>(all: Vec<T>, key: impl Fn(&T) -> &Bytes, around: &Around<'_>) -> BTreeMap<ShardId, Vec<T>> {
    let mut parts: BTreeMap<ShardId, Vec<T>> = BTreeMap::new();
    for one in all {
        let shard = around.placement().shard_of(key(&one));
        parts.entry(shard).or_default().push(one);
    }
    parts
}

fn asks<T>(parts: BTreeMap<ShardId, Vec<T>>, ask: impl Fn(Vec<T>) -> SeveralAsk) -> Vec<(Target, Ask)> {
    let parts = parts.into_iter();
    parts
        .map(|(shard, part)| (Target::Shard(shard), Ask::Several(Box::new(ask(part)))))
        .collect()
}
