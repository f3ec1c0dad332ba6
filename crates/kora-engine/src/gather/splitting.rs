//! Commands on several keys: each shard is asked for its part. A request may have a million keys, so they are divided some
//! at a time.

use kora_resp::{Reply, Words};
use smallvec::SmallVec;

use super::{Around, Deleting, Gather, Next, Placing, SettingIf, Shape};
use crate::command::{Lifetime, Only, SeveralKeys, StringsReply, StringsSetting};
use crate::error::ClientError;
use crate::limits::KEYS_PER_SLICE;
use crate::mail::{Ask, SeveralAsk, StringsPart, Target};
use crate::plan::names_a_collection;
use crate::router::ShardId;

/// Begins such a command.
pub(crate) fn several(several: SeveralKeys, around: &Around<'_>) -> Next {
    let (words, purpose) = match several {
        SeveralKeys::Delete(keys) => match names_a_collection(&keys, around.catalog()) {
            true => (keys, Purpose::DeleteAll),
            false => (keys, Purpose::Delete),
        },
        SeveralKeys::Exist(keys) => (keys, Purpose::Exist),
        SeveralKeys::Touch(keys) => (keys, Purpose::Touch),
        SeveralKeys::GetStrings(keys) => (keys, Purpose::Get),
        SeveralKeys::SetStrings(StringsSetting {
            pairs,
            lifetime,
            only,
            reply,
        }) => (pairs, Purpose::Set { lifetime, only, reply }),
    };
    Splitting::new(words, purpose, around).go_on(around)
}

/// A command that is being divided between the shards.
pub(crate) struct Splitting {
    rest: Words,
    purpose: Purpose,
    /// Each shard's part. Invariant: as many as there are shards.
    parts: SmallVec<[Words; PARTS_USUAL]>,
    /// On which shard each key is, for those commands whose reply has an order.
    order: Vec<u8>,
}

/// What is to be done to keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Delete,
    /// And withdraw collections of these names.
    DeleteAll,
    Exist,
    Touch,
    Get,
    /// Each has its value behind it.
    Set {
        lifetime: Lifetime,
        only: Only,
        reply: StringsReply,
    },
}

impl Splitting {
    fn new(words: Words, purpose: Purpose, around: &Around<'_>) -> Splitting {
        let shards = around.placement().shard_count();
        // About as many for each, so that none has to be moved as a whole when it grows.
        let room = words.len() / shards;
        Splitting {
            parts: (0..shards).map(|_| words.empty_part(room + room / 8 + 1)).collect(),
            order: Vec::with_capacity(if purpose == Purpose::Get { words.len() } else { 0 }),
            rest: words,
            purpose,
        }
    }

    /// Divides some more; asks when that is done.
    pub(crate) fn go_on(mut self, around: &Around<'_>) -> Next {
        for _ in 0..KEYS_PER_SLICE {
            match self.step(around) {
                Ok(true) => {}
                Ok(false) => return self.ask(),
                Err(error) => return Next::error(&error),
            }
        }
        Next::Again(Gather::Splitting(Box::new(self)))
    }

    /// Looks at one key; false if there are no more.
    fn step(&mut self, around: &Around<'_>) -> Result<bool, ClientError> {
        let Some(key) = self.rest.first() else {
            return Ok(false);
        };
        // All names are visible to every worker, so nothing is set if one of the keys is one.
        if self.purpose.puts_where_something_is() && around.catalog().holds(key) {
            return Err(ClientError::NameOfCollection { name: key.to_vec() });
        }
        let shard = around.placement().shard_of(key);
        if self.purpose == Purpose::Get {
            self.order
                .push(u8::try_from(shard.0).expect("there are at most 256 shards"));
        }
        self.parts[shard.index()].move_from(&mut self.rest, self.purpose.words_per_key());
        Ok(true)
    }

    fn ask(self) -> Next {
        let Splitting { purpose, order, .. } = self;
        let shards = self.parts.len();
        let parts = self.parts.into_iter().enumerate();
        let parts: Vec<(Target, Words)> = parts
            .filter(|(_, part)| !part.is_empty())
            .map(|(index, part)| (Target::Shard(ShardId(index as u16)), part))
            .collect();
        let missing = parts.len();
        if let Purpose::Set { lifetime, only, .. } = purpose
            && only != Only::Always
            && missing > 1
        {
            return SettingIf::start(parts, lifetime, only);
        }
        let gather = match purpose {
            Purpose::Delete | Purpose::Exist | Purpose::Touch => Gather::Sum { missing, total: 0 },
            Purpose::DeleteAll => Gather::Deleting(Box::new(Deleting::new(missing))),
            // One part has the order of its keys.
            Purpose::Get if missing == 1 => Gather::One(Shape::Whole),
            Purpose::Get => Gather::Placing(Box::new(Placing::new(order, missing, shards))),
            Purpose::Set {
                only: Only::Always,
                reply,
                ..
            } => Gather::AllDone {
                missing,
                reply: match reply {
                    StringsReply::Ok => Reply::ok(),
                    StringsReply::Flag => Reply::Integer(1),
                },
            },
            Purpose::Set { .. } => Gather::One(Shape::Whole),
        };
        let ask = |part| Ask::Several(purpose.ask(part));
        Next::Ask(
            gather,
            parts.into_iter().map(|(shard, part)| (shard, ask(part))).collect(),
        )
    }
}

/// Parts that need no memory of their own: of most servers' few workers.
const PARTS_USUAL: usize = 4;

impl Purpose {
    fn words_per_key(self) -> usize {
        match self {
            Purpose::Set { .. } => 2,
            _ => 1,
        }
    }

    /// True if it sets keys that may hold something already.
    fn puts_where_something_is(self) -> bool {
        matches!(self, Purpose::Set { only, .. } if only != Only::IfAbsent)
    }

    fn ask(self, part: Words) -> SeveralAsk {
        match self {
            Purpose::Delete => SeveralAsk::Delete(part),
            Purpose::DeleteAll => SeveralAsk::DeleteAll(part),
            Purpose::Exist => SeveralAsk::Count(part),
            Purpose::Touch => SeveralAsk::Touch(part),
            Purpose::Get => SeveralAsk::GetStrings(part),
            Purpose::Set { lifetime, only, .. } => SeveralAsk::SetStrings(StringsPart {
                pairs: part,
                lifetime,
                only,
            }),
        }
    }
}
