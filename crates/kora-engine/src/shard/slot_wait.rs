//! A vector for which a collection has no slot left, while there is no memory for more of them: others are evicted first, and
//! it waits until their slots are free.

use kora_keyspace::collections::SlotNeed;
use kora_keyspace::{KeyType, element_of};
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::{Begun, Task, Unfinished};
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
struct SlotWait {
    /// Taken out when there is a slot.
    placing: Option<Placing>,
    begun: Option<Unfinished>,
    at_ms: u64,
    /// Slices in which something was done for a slot.
    slices: u32,
    /// Slices in which a reader or a snapshot was waited for.
    idle_slices: u32,
}

impl Shard {
    /// Begins with what may need a slot, when there is one.
    pub(super) fn place(&mut self, placing: Placing, at_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        if self.setup.live.data_memory.limit().is_none() || !self.is_of_vector(&placing, at_ms) {
            return self.do_place(placing, at_ms, work);
        }
        let wait = SlotWait {
            placing: Some(placing),
            begun: None,
            at_ms,
            slices: 0,
            idle_slices: 0,
        };
        self.run(wait, work)
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

    /// Comes nearer to a free slot of a collection, or to memory for more of them; false if there will be none.
    fn make_slot(&mut self, collection: &[u8], need: SlotNeed, wait: &mut SlotWait, work: &mut Work) -> bool {
        let has_done = match need.lacks_spare {
            true => self.make_room_for(need.growth_bytes as u64, wait.at_ms),
            false => self.keyspace.vacate(collection, work).then_some(()).ok_or(true),
        };
        match has_done {
            Ok(()) => wait.slices += 1,
            Err(may_come) => {
                wait.idle_slices += 1;
                if !may_come {
                    return false;
                }
            }
        }
        wait.slices <= SLOT_WAIT_SLICES_MAX && wait.idle_slices <= SLOT_WAIT_IDLE_SLICES_MAX
    }
}

impl Task for SlotWait {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        if let Some(task) = &mut self.begun {
            return task.slice(shard, work);
        }
        let Some(placing) = self.placing.take() else {
            return Step::Done(PartialReply::Done);
        };
        let need = placing.need(shard, self.at_ms);
        let has_slot = need.growth_bytes == 0 || shard.has_memory_for(need.growth_bytes);
        let collection = placing.collection().unwrap_or_default();
        let begun = if has_slot {
            shard.do_place(placing, self.at_ms, work)
        } else if shard.make_slot(collection, need, self, work) {
            self.placing = Some(placing);
            return Step::More;
        } else {
            placing.refuse(shard, self.at_ms, work)
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

    fn need(&self, shard: &Shard, at_ms: u64) -> SlotNeed {
        let collection = self.collection();
        collection.map_or_else(SlotNeed::default, |collection| {
            shard.keyspace.slot_need(collection, at_ms)
        })
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
