//! Commands on several keys: each shard is asked for its part. A request may have a million keys, so they are divided some
//! at a time.

use kora_resp::{Reply, Words};
use kora_vector::Work;
use smallvec::SmallVec;

use super::{Context, Deleting, Gather, MultiGet, Next, SettingIf, Shape};
use crate::budgets::{KEY_BYTE_WORK, KEY_WORK};
use crate::command::{Lifetime, MultiKeyCommand, Only, StringsReply, StringsSetting};
use crate::error::ClientError;
use crate::mail::{MultiKeyRequest, RequestBody, StringsPart, Target};
use crate::plan::names_a_collection;
use crate::router::ShardId;

/// Begins such a command.
pub(crate) fn multi_key(multi_key: MultiKeyCommand, context: &Context<'_>) -> Next {
    let (words, purpose) = match multi_key {
        MultiKeyCommand::Delete(keys) => match names_a_collection(&keys, context.catalog()) {
            true => (keys, SplitPurpose::DeleteAll),
            false => (keys, SplitPurpose::Delete),
        },
        MultiKeyCommand::Exist(keys) => (keys, SplitPurpose::Exist),
        MultiKeyCommand::Touch(keys) => (keys, SplitPurpose::Touch),
        MultiKeyCommand::GetStrings(keys) => (keys, SplitPurpose::Get),
        MultiKeyCommand::SetStrings(StringsSetting {
            pairs,
            lifetime,
            only,
            reply,
        }) => (pairs, SplitPurpose::Set { lifetime, only, reply }),
    };
    Splitting::new(words, purpose, context).go_on(context)
}

/// A command that is being divided between the shards.
pub(crate) struct Splitting {
    rest: Words,
    purpose: SplitPurpose,
    /// Each shard's part. Invariant: as many as there are shards.
    parts: SmallVec<[Words; PARTS_USUAL]>,
    /// On which shard each key is, for those commands whose reply has an order.
    order: Vec<u8>,
}

/// What is to be done to keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SplitPurpose {
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
    fn new(words: Words, purpose: SplitPurpose, context: &Context<'_>) -> Splitting {
        let shards = context.placement().shard_count();
        // About as many for each, so that none has to be moved as a whole when it grows.
        let capacity = words.len() / shards;
        Splitting {
            parts: (0..shards)
                .map(|_| words.empty_part(capacity + capacity / 8 + 1))
                .collect(),
            order: Vec::with_capacity(if purpose == SplitPurpose::Get { words.len() } else { 0 }),
            rest: words,
            purpose,
        }
    }

    /// Divides some more; asks when that is done.
    pub(crate) fn go_on(mut self, context: &Context<'_>) -> Next {
        let mut work = Work::new(context.setup.slice_work);
        while !work.is_spent() {
            work.spend(KEY_BYTE_WORK * self.rest.first().map_or(0, <[u8]>::len) as u64);
            match self.step(context) {
                Ok(true) => work.spend(KEY_WORK),
                Ok(false) => return self.request(),
                Err(error) => return Next::error(&error),
            }
        }
        Next::Again(Gather::Splitting(Box::new(self)))
    }

    /// Looks at one key; false if there are no more.
    fn step(&mut self, context: &Context<'_>) -> Result<bool, ClientError> {
        let Some(key) = self.rest.first() else {
            return Ok(false);
        };
        // All names are visible to every worker, so nothing is set if one of the keys is one.
        if self.purpose.puts_where_something_is() && context.catalog().holds(key) {
            return Err(ClientError::NameOfCollection { name: key.to_vec() });
        }
        let shard = context.placement().shard_of(key);
        if self.purpose == SplitPurpose::Get {
            self.order
                .push(u8::try_from(shard.0).expect("there are at most 256 shards"));
        }
        self.parts[shard.index()].move_from(&mut self.rest, self.purpose.words_per_key());
        Ok(true)
    }

    fn request(self) -> Next {
        let Splitting { purpose, order, .. } = self;
        let shards = self.parts.len();
        let parts = self.parts.into_iter().enumerate();
        let parts: Vec<(Target, Words)> = parts
            .filter(|(_, part)| !part.is_empty())
            .map(|(index, part)| (Target::Shard(ShardId(index as u16)), part))
            .collect();
        let missing = parts.len();
        if let SplitPurpose::Set { lifetime, only, .. } = purpose
            && only != Only::Always
            && missing > 1
        {
            return SettingIf::start(parts, lifetime, only);
        }
        let gather = match purpose {
            SplitPurpose::Delete | SplitPurpose::Exist | SplitPurpose::Touch => Gather::Sum { missing, total: 0 },
            SplitPurpose::DeleteAll => Gather::Deleting(Box::new(Deleting::new(missing))),
            // One part has the order of its keys.
            SplitPurpose::Get if missing == 1 => Gather::One(Shape::Whole),
            SplitPurpose::Get => Gather::MultiGet(Box::new(MultiGet::new(order, missing, shards))),
            SplitPurpose::Set {
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
            SplitPurpose::Set { .. } => Gather::One(Shape::Whole),
        };
        let body = |part| RequestBody::MultiKey(purpose.request(part));
        Next::Request(
            gather,
            parts.into_iter().map(|(shard, part)| (shard, body(part))).collect(),
        )
    }
}

/// Parts that need no memory of their own: of most servers' few workers.
const PARTS_USUAL: usize = 4;

impl SplitPurpose {
    fn words_per_key(self) -> usize {
        match self {
            SplitPurpose::Set { .. } => 2,
            _ => 1,
        }
    }

    /// True if it sets keys that may hold something already.
    fn puts_where_something_is(self) -> bool {
        matches!(self, SplitPurpose::Set { only, .. } if only != Only::IfAbsent)
    }

    fn request(self, part: Words) -> MultiKeyRequest {
        match self {
            SplitPurpose::Delete => MultiKeyRequest::Delete(part),
            SplitPurpose::DeleteAll => MultiKeyRequest::DeleteAll(part),
            SplitPurpose::Exist => MultiKeyRequest::Count(part),
            SplitPurpose::Touch => MultiKeyRequest::Touch(part),
            SplitPurpose::Get => MultiKeyRequest::GetStrings(part),
            SplitPurpose::Set { lifetime, only, .. } => MultiKeyRequest::SetStrings(StringsPart {
                pairs: part,
                lifetime,
                only,
            }),
        }
    }
}
