//! Commands on several keys: what the shards did is put together. How they are divided stands in `splitting.rs`.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::{Bulks, Interleaved, Reply, Words};
use kora_values::Database;

use super::{Context, Gather, Next};
use crate::command::{Lifetime, Only};
use crate::counts::integer;
use crate::error::ClientError;
use crate::limits::RELEASES_PER_SLICE;
use crate::mail::{Chosen, MultiKeyRequest, PartialReply, RequestBody, StringsPart, Target};
use crate::router::ShardId;
use kora_keyspace::catalog::Schema;

/// MGET: each shard has the strings of its keys.
pub(crate) struct MultiGet {
    /// Whose string comes next.
    order: Vec<u8>,
    /// What each shard has. Invariant: nothing, until its part is in.
    lists: Vec<Bulks>,
    missing: usize,
    refusal: Option<ClientError>,
}

impl MultiGet {
    pub(super) fn new(order: Vec<u8>, missing: usize, shards: usize) -> MultiGet {
        MultiGet {
            order,
            lists: vec![Bulks::default(); shards],
            missing,
            refusal: None,
        }
    }

    pub(crate) fn absorb(
        mut self: Box<Self>,
        from: Target,
        part: Result<Bulks, ClientError>,
        context: &Context<'_>,
    ) -> Next {
        match (part, from) {
            (Ok(bulks), Target::Shard(shard)) => self.lists[shard.index()] = bulks,
            (Err(error), _) => self.refusal = Some(error),
            (Ok(_), Target::Worker(_)) => return Next::other_answer(),
        }
        let bytes = self.lists.iter().map(Bulks::bytes_hint).sum();
        self.refusal = self.refusal.or(context.setup.too_large(bytes));
        if self.refusal.is_some() {
            self.lists.fill(Bulks::default());
        }
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::MultiGet(self));
        }
        match self.refusal {
            Some(error) => Next::error(&error),
            None => Next::Reply(Reply::Interleaved(Box::new(Interleaved::new(self.order, self.lists)))),
        }
    }
}

/// Strings that are set on several shards, on a condition: first all of them look, then all of them set.
pub(crate) struct SettingIf {
    /// What each shard is to set.
    parts: Vec<(Target, Words)>,
    lifetime: Lifetime,
    missing: usize,
    /// How many of the keys are to be there: all or none.
    wanted: u64,
    found: u64,
    is_setting: bool,
}

impl SettingIf {
    pub(super) fn start(parts: Vec<(Target, Words)>, lifetime: Lifetime, only: Only) -> Next {
        let keys: usize = parts.iter().map(|(_, pairs)| pairs.len() / 2).sum();
        let look = |(shard, pairs): &(Target, Words)| {
            (
                *shard,
                RequestBody::MultiKey(MultiKeyRequest::CountPairs(pairs.clone())),
            )
        };
        let requests: Vec<(Target, RequestBody)> = parts.iter().map(look).collect();
        let setting = SettingIf {
            missing: requests.len(),
            parts,
            lifetime,
            wanted: if only == Only::IfPresent { keys as u64 } else { 0 },
            found: 0,
            is_setting: false,
        };
        Next::Request(Gather::SettingIf(Box::new(setting)), requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, part: PartialReply) -> Next {
        self.missing -= 1;
        if let PartialReply::Reply(reply) = part {
            return match self.missing {
                0 => Next::Reply(reply),
                missing => Next::Wait(Gather::AllDone { missing, reply }),
            };
        }
        if let (PartialReply::Count(count), false) = (part, self.is_setting) {
            self.found += count;
        }
        match (self.missing, self.is_setting) {
            (0, true) => Next::Reply(Reply::Integer(1)),
            (0, false) if self.found != self.wanted => Next::Reply(Reply::Integer(0)),
            (0, false) => self.set(),
            _ => Next::Wait(Gather::SettingIf(self)),
        }
    }

    fn set(mut self: Box<Self>) -> Next {
        let (lifetime, only) = (self.lifetime, Only::Always);
        let requests: Vec<(Target, RequestBody)> = std::mem::take(&mut self.parts)
            .into_iter()
            .map(|(shard, pairs)| {
                let part = StringsPart { pairs, lifetime, only };
                (shard, RequestBody::MultiKey(MultiKeyRequest::SetStrings(part)))
            })
            .collect();
        self.missing = requests.len();
        self.is_setting = true;
        Next::Request(Gather::SettingIf(self), requests)
    }
}

/// DEL of keys of which some are names of collections: these are withdrawn first, then every shard lets go of its part.
pub(crate) struct Deleting {
    missing: usize,
    deleted: u64,
    /// Collections of which the shards have to let go.
    withdrawn: Vec<Arc<Schema>>,
}

impl Deleting {
    pub(super) fn new(missing: usize) -> Deleting {
        Deleting {
            missing,
            deleted: 0,
            withdrawn: Vec::new(),
        }
    }

    pub(crate) fn absorb(mut self: Box<Self>, part: PartialReply, context: &Context<'_>) -> Next {
        if let PartialReply::Deleted(count, withdrawn) = part {
            self.deleted += count;
            self.withdrawn.extend(withdrawn);
        }
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::Deleting(self));
        }
        // Some at a time: there may be a hundred thousand.
        let left = self.withdrawn.len().saturating_sub(RELEASES_PER_SLICE);
        let releases: Vec<(Target, RequestBody)> = self
            .withdrawn
            .drain(left..)
            .flat_map(|schema| {
                let parts = context.placement().parts_of(&schema).collect::<Vec<ShardId>>();
                parts.into_iter().map(move |shard| {
                    let (name, generation) = (schema.name.clone(), schema.generation);
                    (Target::Shard(shard), RequestBody::Release { name, generation })
                })
            })
            .collect();
        if releases.is_empty() {
            return Next::Reply(Reply::Integer(integer(self.deleted)));
        }
        self.missing = releases.len();
        Next::Request(Gather::Deleting(self), releases)
    }
}

/// RANDOMKEY: each shard chooses a key, and one of these is chosen, each with as much chance as its shard has keys.
pub(crate) struct RandomKey {
    missing: usize,
    among: u64,
    key: Option<Bytes>,
}

impl RandomKey {
    pub(crate) fn start(database: Database, context: &Context<'_>) -> Next {
        let requests: Vec<(Target, RequestBody)> = context
            .placement()
            .shards()
            .map(|shard| (Target::Shard(shard), RequestBody::RandomKey(database)))
            .collect();
        let random_key = RandomKey {
            missing: requests.len(),
            among: 0,
            key: None,
        };
        Next::Request(Gather::RandomKey(random_key), requests)
    }

    pub(crate) fn absorb(mut self, chosen: Chosen) -> Next {
        let Chosen { key, among, draw } = chosen;
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
            _ => Next::Wait(Gather::RandomKey(self)),
        }
    }
}
