//! A vector for which a collection has no slot left, while there is no memory for more of them: others are evicted first, and
//! it waits until their slots are free.

use kora_keyspace::{KeyType, element_of};
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::{Begun, Task, Unfinished};
use crate::claims::Asked;
use crate::command::Transfer;
use crate::error::ClientError;
use crate::limits::{SLOT_WAIT_IDLE_SLICES_MAX, SLOT_WAIT_SLICES_MAX};
use crate::mail::{PartialReply, PutValue, SetVector};
use crate::moved::MovedData;

/// What needs a slot. Nothing of it is done before there is one.
pub(super) enum Placing {
    /// A VECSET.
    Set(SetVector),
    /// RENAME, RENAMENX or COPY of a vector within this shard.
    Transfer(Transfer),
    /// The second half of one between two shards.
    Put(PutValue),
}

/// A command that waits for a slot, between two slices, and then what it does.
struct PlacingTask {
    /// Taken out when there is a slot.
    placing: Option<Placing>,
    begun: Option<Unfinished>,
    at_ms: u64,
    wait: SlotWait,
}

/// How long a slot has been waited for.
#[derive(Default)]
pub(super) struct SlotWait {
    /// Slices in which something was done for a slot.
    slices: u32,
    /// Slices in which a reader, a snapshot or another worker was waited for.
    idle_slices: u32,
    /// What all shards were asked about what they could evict.
    asked: Asked,
}

/// What a slice of waiting has come to.
pub(super) enum SlotStep {
    /// There is a slot.
    Found,
    /// There may be one.
    More,
    /// There will be none.
    Refused,
}

impl Shard {
    /// Begins with what may need a slot, when there is one.
    pub(super) fn place(&mut self, placing: Placing, at_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        if self.setup.live.data_memory.limit().is_none() || !self.is_of_vector(&placing, at_ms) {
            return self.do_place(placing, at_ms, work);
        }
        let task = PlacingTask {
            placing: Some(placing),
            begun: None,
            at_ms,
            wait: SlotWait::default(),
        };
        self.run(task, work)
    }

    /// True if the collection of this name has a slot for one vector more, or memory for one.
    pub(super) fn has_slot(&self, collection: &[u8], at_ms: u64) -> bool {
        let need = self.keyspace.slot_need(collection, at_ms);
        need.growth_bytes == 0 || self.has_memory_for(need.growth_bytes)
    }

    fn is_of_vector(&mut self, placing: &Placing, at_ms: u64) -> bool {
        match placing {
            Placing::Set(_) => true,
            Placing::Transfer(transfer) => {
                let from = self.resolve_live(&transfer.from, at_ms);
                self.keyspace.kind(from) == Some(KeyType::Vector)
            }
            Placing::Put(put) => matches!(put.moved, MovedData::Vector(_)),
        }
    }

    fn do_place(&mut self, placing: Placing, at_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        match placing {
            Placing::Set(setting) => self.set(setting, at_ms, work),
            Placing::Transfer(transfer) => self.transfer(transfer, at_ms, work),
            Placing::Put(put) => self.put_value(put, at_ms, work),
        }
    }
}

impl SlotWait {
    /// Comes nearer to a free slot of a collection, or to memory for more of them.
    pub(super) fn step(&mut self, shard: &mut Shard, collection: &[u8], at_ms: u64, work: &mut Work) -> SlotStep {
        if shard.has_slot(collection, at_ms) {
            return SlotStep::Found;
        }
        let need = shard.keyspace.slot_need(collection, at_ms);
        let done = match need.lacks_spare {
            true => shard.make_room_for(need.growth_bytes as u64, &mut self.asked, at_ms),
            false => match shard.keyspace.vacate(collection, work) {
                true => Ok(()),
                false => Err(true),
            },
        };
        match done {
            Ok(()) => self.slices += 1,
            Err(true) => self.idle_slices += 1,
            Err(false) => return SlotStep::Refused,
        }
        match self.slices <= SLOT_WAIT_SLICES_MAX && self.idle_slices <= SLOT_WAIT_IDLE_SLICES_MAX {
            true => SlotStep::More,
            false => SlotStep::Refused,
        }
    }
}

impl Task for PlacingTask {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        if let Some(task) = &mut self.begun {
            return task.slice(shard, work);
        }
        let Some(placing) = self.placing.take() else {
            return Step::Done(PartialReply::Done);
        };
        let step = match placing.collection() {
            Some(collection) => self.wait.step(shard, collection, self.at_ms, work),
            None => SlotStep::Found,
        };
        let begun = match step {
            SlotStep::Found => shard.do_place(placing, self.at_ms, work),
            SlotStep::Refused => placing.refuse(shard, self.at_ms, work),
            SlotStep::More => {
                self.placing = Some(placing);
                return Step::More;
            }
        };
        match begun {
            Begun::Done(part) => Step::Done(part),
            Begun::More(task) => {
                self.begun = Some(task);
                Step::More
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        self.begun.as_ref().is_some_and(|task| task.is_exclusive())
    }
}

impl Placing {
    /// The collection that the vector shall belong to.
    fn collection(&self) -> Option<&[u8]> {
        match self {
            Placing::Set(setting) => Some(&setting.element.collection),
            Placing::Transfer(transfer) => element_of(&transfer.to).map(|(collection, _)| collection),
            Placing::Put(put) => element_of(&put.key).map(|(collection, _)| collection),
        }
    }

    /// There is no slot, and there will be none.
    fn refuse(self, shard: &mut Shard, at_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        let reply = match self {
            Placing::Set(_) => PartialReply::Refused(ClientError::OutOfMemory),
            // It has left its key, which another client may have set since. So it gets its place, as in Redis, where no lack
            // of memory refuses a RENAME.
            Placing::Put(put) if put.moved.transfer().is_some() => return shard.put_value(put, at_ms, work),
            Placing::Put(_) | Placing::Transfer(_) => {
                PartialReply::Reply(Reply::Error(ClientError::OutOfMemory.to_string()))
            }
        };
        Begun::Done(reply)
    }
}
