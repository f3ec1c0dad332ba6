//! Commands on several keys: each shard is asked for its part. A request may have a million keys, so they are divided some
//! at a time.

use std::vec::IntoIter;

use bytes::Bytes;

use super::{Around, Deleting, Gather, Next, Placing, SettingIfAbsent, Shape};
use crate::command::SeveralKeys;
use crate::error::ClientError;
use crate::limits::KEYS_PER_SLICE;
use crate::mail::{Ask, SeveralAsk, Target};
use crate::plan::names_a_collection;
use crate::router::ShardId;

/// Begins such a command.
pub(crate) fn several(several: SeveralKeys, around: &Around<'_>) -> Next {
    let splitting = match several {
        SeveralKeys::Delete(keys) => {
            let purpose = match names_a_collection(&keys, around.catalog()) {
                true => Purpose::DeleteAll,
                false => Purpose::Delete,
            };
            Splitting::of_keys(keys, purpose, around)
        }
        SeveralKeys::Exist(keys) => Splitting::of_keys(keys, Purpose::Exist, around),
        SeveralKeys::Touch(keys) => Splitting::of_keys(keys, Purpose::Touch, around),
        SeveralKeys::GetStrings(keys) => Splitting::of_keys(keys, Purpose::Get, around),
        SeveralKeys::SetStrings(pairs) => Splitting::of_pairs(pairs, false, around),
        SeveralKeys::SetStringsIfAbsent(pairs) => Splitting::of_pairs(pairs, true, around),
    };
    Box::new(splitting).go_on(around)
}

/// A command that is being divided between the shards.
pub(crate) enum Splitting {
    Keys {
        keys: Split<Bytes>,
        purpose: Purpose,
        /// On which shard each key is, for those commands whose reply has an order.
        order: Vec<u8>,
    },
    Pairs {
        pairs: Split<(Bytes, Bytes)>,
        if_absent: bool,
    },
}

/// What is to be done to keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Delete,
    /// And withdraw collections of these names.
    DeleteAll,
    Exist,
    Touch,
    Get,
}

/// What is divided, and each shard's part of it.
pub(crate) struct Split<T> {
    rest: IntoIter<T>,
    /// Invariant: as many as there are shards.
    parts: Vec<Vec<T>>,
}

impl<T> Split<T> {
    fn new(all: Vec<T>, around: &Around<'_>) -> Split<T> {
        Split {
            rest: all.into_iter(),
            parts: (0..around.placement().shard_count()).map(|_| Vec::new()).collect(),
        }
    }

    fn add(&mut self, shard: ShardId, one: T) {
        let count = self.rest.len() / self.parts.len();
        let part = &mut self.parts[shard.index()];
        if part.is_empty() {
            // About as many for each, so that none has to be moved as a whole when it grows.
            part.reserve(count + count / 8 + 1);
        }
        part.push(one);
    }

    /// The parts that are not empty.
    fn into_parts(self) -> Vec<(Target, Vec<T>)> {
        let parts = self.parts.into_iter().enumerate();
        parts
            .filter(|(_, part)| !part.is_empty())
            .map(|(index, part)| (Target::Shard(ShardId(index as u16)), part))
            .collect()
    }
}

impl Splitting {
    fn of_keys(keys: Vec<Bytes>, purpose: Purpose, around: &Around<'_>) -> Splitting {
        let order = Vec::with_capacity(if purpose == Purpose::Get { keys.len() } else { 0 });
        let keys = Split::new(keys, around);
        Splitting::Keys { keys, purpose, order }
    }

    fn of_pairs(pairs: Vec<(Bytes, Bytes)>, if_absent: bool, around: &Around<'_>) -> Splitting {
        let pairs = Split::new(pairs, around);
        Splitting::Pairs { pairs, if_absent }
    }

    /// Divides some more; asks when that is done.
    pub(crate) fn go_on(mut self: Box<Self>, around: &Around<'_>) -> Next {
        for _ in 0..KEYS_PER_SLICE {
            match self.step(around) {
                Ok(true) => {}
                Ok(false) => return self.ask(around),
                Err(error) => return Next::error(&error),
            }
        }
        Next::Again(Gather::Splitting(self))
    }

    /// Looks at one key; false if there are no more.
    fn step(&mut self, around: &Around<'_>) -> Result<bool, ClientError> {
        match self {
            Splitting::Keys { keys, purpose, order } => {
                let Some(key) = keys.rest.next() else { return Ok(false) };
                let shard = around.placement().shard_of(&key);
                if *purpose == Purpose::Get {
                    order.push(u8::try_from(shard.0).expect("there are at most 256 shards"));
                }
                keys.add(shard, key);
            }
            Splitting::Pairs { pairs, if_absent } => {
                let Some((key, value)) = pairs.rest.next() else {
                    return Ok(false);
                };
                // All names are visible to everybody, so nothing is set if one of the keys is one.
                if !*if_absent && around.catalog().holds(&key) {
                    return Err(ClientError::NameOfCollection { name: key.to_vec() });
                }
                pairs.add(around.placement().shard_of(&key), (key, value));
            }
        }
        Ok(true)
    }

    fn ask(self, around: &Around<'_>) -> Next {
        match self {
            Splitting::Keys { keys, purpose, order } => {
                let asks = asks(keys.into_parts(), |part| match purpose {
                    Purpose::Delete => SeveralAsk::Delete(part),
                    Purpose::DeleteAll => SeveralAsk::DeleteAll(part),
                    Purpose::Exist => SeveralAsk::Count(part),
                    Purpose::Touch => SeveralAsk::Touch(part),
                    Purpose::Get => SeveralAsk::GetStrings(part),
                });
                let missing = asks.len();
                let gather = match purpose {
                    Purpose::Delete | Purpose::Exist | Purpose::Touch => Gather::Sum { missing, total: 0 },
                    Purpose::DeleteAll => Gather::Deleting(Box::new(Deleting::new(missing))),
                    Purpose::Get => Gather::Placing(Box::new(Placing::new(order, missing, around))),
                };
                Next::Ask(gather, asks)
            }
            Splitting::Pairs { pairs, if_absent } => {
                let parts = pairs.into_parts();
                if if_absent && parts.len() > 1 {
                    return SettingIfAbsent::start(parts);
                }
                let gather = match if_absent {
                    true => Gather::One(Shape::Whole),
                    false => Gather::AllDone {
                        missing: parts.len(),
                        refusal: None,
                    },
                };
                let asks = asks(parts, |part| match if_absent {
                    true => SeveralAsk::SetStringsIfAbsent(part),
                    false => SeveralAsk::SetStrings(part),
                });
                Next::Ask(gather, asks)
            }
        }
    }
}

fn asks<T>(parts: Vec<(Target, Vec<T>)>, ask: impl Fn(Vec<T>) -> SeveralAsk) -> Vec<(Target, Ask)> {
    let parts = parts.into_iter();
    parts
        .map(|(shard, part)| (shard, Ask::Several(Box::new(ask(part)))))
        .collect()
}
