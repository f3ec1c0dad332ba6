//! Vectors that get their place on this shard: by VECSET, or from another key.

use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_keyspace::collections::{VectorEnd, VectorInsertion};
use kora_keyspace::{Cause, KeyType, NEVER_MS, element_of};
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::slot_wait::Placing;
use super::task::{Begun, Task, Unfinished};
use crate::command::{Lifetime, Only};
use crate::error::ClientError;
use crate::mail::{PartialReply, SetVector};
use crate::moved::MovedVector;

/// A vector that gets its place, between two slices.
pub(super) struct Insert {
    /// Taken out when it has ended.
    pub(super) insertion: Option<VectorInsertion>,
    /// When the vector expires; as the one that it replaces did, if there is none.
    pub(super) deadline_ms: Option<u64>,
    pub(super) now_ms: u64,
    pub(super) then: Then,
}

/// What follows when the vector can be found.
pub(super) enum Then {
    /// VECSET answers; and whether that depended on what was there.
    Set(Only),
    /// VADD answers whether it is new.
    Added,
    /// The sender on another shard hears that it has arrived.
    Landed,
    /// It came from another key of this shard, which it leaves if it is no copy.
    Moved { leaves: Option<Bytes>, reply: Reply },
}

impl Task for Insert {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        let Some(insertion) = &mut self.insertion else {
            return Step::Done(PartialReply::Done);
        };
        let step = shard
            .keyspace
            .resume_vector(insertion, self.deadline_ms, self.now_ms, work);
        let Step::Done(end) = step else {
            return Step::More;
        };
        let schema = Arc::clone(insertion.schema());
        // It may be the last for which consolidation waits.
        self.insertion = None;
        shard.keyspace.note_insertion_ended(&schema);
        let then = std::mem::replace(&mut self.then, Then::Set(Only::Always));
        Step::Done(match end {
            VectorEnd::Set { is_new } if matches!(then, Then::Added) => PartialReply::Reply(Reply::Boolean(is_new)),
            VectorEnd::Set { .. } | VectorEnd::Dropped => shard.follow(then, self.now_ms),
            VectorEnd::Refused => {
                if !matches!(then, Then::Set(_) | Then::Added) {
                    shard.keyspace.end_batch();
                }
                PartialReply::Refused(ClientError::WrongType)
            }
        })
    }

    /// It depends on what is there, so that nothing may come in between.
    fn is_exclusive(&self) -> bool {
        !matches!(self.then, Then::Set(Only::Always) | Then::Added)
    }
}

impl Shard {
    /// Begins to set a vector.
    pub(super) fn set(&mut self, setting: SetVector, at_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        // The generation that the command was checked against has been dropped since it was submitted. So the two
        // overlapped, and the command may be said to have come just before the drop, which took the vector with it.
        // Setting the vector now, in a later collection of that name, would bring back what a client saw dropped.
        let Some(schema) = self.setup.catalog.at(at_ms).find(&setting.element.collection) else {
            return Begun::Done(PartialReply::Done);
        };
        if schema.generation != setting.generation {
            return Begun::Done(PartialReply::Done);
        }
        self.assert_owns(&schema, &setting.element.name);
        let key = Bytes::from(setting.element.key());
        if let Some(refusal) = self.refuse_to_set(&schema, &key, setting.only, at_ms) {
            self.note_refused(&setting.element.collection, at_ms);
            return Begun::Done(refusal);
        }
        let vector = match schema.set_form() {
            Some(form) => form.quantisation.formed(setting.vector),
            None => setting.vector,
        };
        let mut insertion = self.keyspace.begin_vector(&schema, key, &vector);
        if let Some(attributes) = setting.attributes {
            insertion = insertion.with_attributes(attributes);
        }
        let deadline_ms = match setting.lifetime {
            Lifetime::Keep => None,
            Lifetime::Forever => Some(NEVER_MS),
            Lifetime::Until(deadline) => Some(deadline.at_ms(at_ms)),
        };
        let insert = Insert {
            insertion: Some(insertion),
            deadline_ms,
            now_ms: at_ms,
            then: Then::Set(setting.only),
        };
        self.run(insert, work)
    }

    /// What is answered if a vector may not be set under this key.
    fn refuse_to_set(&mut self, schema: &Schema, key: &[u8], only: Only, now_ms: u64) -> Option<PartialReply> {
        let name = &key[schema.name.len() + 1..];
        let kind = match schema.has_key(name) {
            // It is no key, so nothing else can be there.
            false => {
                self.keyspace.resolve_vector(&schema.name, name, now_ms);
                let is_there = self.keyspace.holds_vector(&schema.name, name, now_ms);
                is_there.then_some(KeyType::Vector)
            }
            true => {
                let place = self.resolve_live(key, now_ms);
                self.keyspace.kind(place)
            }
        };
        match (kind, only) {
            (Some(KeyType::String | KeyType::Hash), _) => Some(PartialReply::Refused(ClientError::WrongType)),
            (Some(KeyType::Vector), Only::IfAbsent) => Some(PartialReply::Reply(Reply::Null)),
            (None | Some(KeyType::VectorSet), Only::IfPresent) => Some(PartialReply::Reply(Reply::Null)),
            _ => None,
        }
    }

    /// A collection may have been made for a vector that was then refused.
    fn note_refused(&mut self, name: &[u8], now_ms: u64) {
        let held = self.keyspace.current_part(name, now_ms).map_or(0, |part| part.live());
        if let Some(schema) = self.setup.catalog.at(now_ms).find(name).filter(|_| held == 0) {
            self.keyspace.note_emptied(&schema);
        }
    }

    /// Begins to give a vector the place of a key, which the caller has seen to be free or to give way.
    pub(super) fn arrive(
        &mut self,
        vector: MovedVector,
        key: Bytes,
        then: Then,
        now_ms: u64,
        work: &mut Work,
    ) -> Begun<PartialReply> {
        self.keyspace.begin_batch();
        let transfer = vector.transfer;
        transfer
            .into_iter()
            .for_each(|transfer| self.keyspace.note_landed(transfer));
        let place = self.resolve_live(&key, now_ms);
        self.clear_set(&key, now_ms);
        if self.keyspace.kind(place) != Some(KeyType::Vector) {
            self.keyspace.remove(place, Cause::Overwritten);
        }
        let newest = self.setup.catalog.at(now_ms).generation_of(&vector.to.name);
        if newest != Some(vector.to.generation) || element_of(&key).is_none() {
            // Dropped since: it came just before that.
            return Begun::Done(self.follow(then, now_ms));
        }
        let insertion = self.keyspace.begin_vector(&vector.to, key, &vector.vector);
        let insertion = insertion.with_attributes(vector.attributes);
        let insert = Insert {
            insertion: Some(insertion),
            deadline_ms: Some(vector.deadline_ms),
            now_ms,
            then,
        };
        self.run(insert, work)
    }

    fn follow(&mut self, then: Then, now_ms: u64) -> PartialReply {
        let part = match then {
            Then::Set(_) => return PartialReply::Done,
            // It came just before its set was dropped.
            Then::Added => return PartialReply::Reply(Reply::Boolean(true)),
            Then::Landed => PartialReply::Moved(None),
            Then::Moved { leaves, reply } => {
                if let Some(key) = leaves {
                    let place = self.resolve_live(&key, now_ms);
                    let transfer = self.next_transfer();
                    self.keyspace.remove(place, Cause::Moved { transfer });
                    self.keyspace.note_landed(transfer);
                }
                PartialReply::Reply(reply)
            }
        };
        self.keyspace.end_batch();
        part
    }
}

/// Vectors that are set one after the other.
pub(super) struct SetMany {
    settings: vec::IntoIter<SetVector>,
    /// The one that gets its place now, if that takes more than a slice.
    current: Option<Unfinished>,
    /// What is answered in the end if one was refused.
    refusal: Option<PartialReply>,
    now_ms: u64,
}

impl SetMany {
    pub(super) fn new(settings: Vec<SetVector>, now_ms: u64) -> SetMany {
        SetMany {
            settings: settings.into_iter(),
            current: None,
            refusal: None,
            now_ms,
        }
    }

    fn note(&mut self, part: PartialReply) {
        if let PartialReply::Refused(error) = part {
            self.refusal = Some(PartialReply::Reply(Reply::Error(error.to_string())));
        }
    }
}

impl Task for SetMany {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        loop {
            if let Some(task) = &mut self.current {
                let Step::Done(part) = task.slice(shard, work) else {
                    return Step::More;
                };
                self.current = None;
                self.note(part);
            } else {
                let Some(setting) = self.settings.next() else {
                    return Step::Done(self.refusal.take().unwrap_or(PartialReply::Done));
                };
                match shard.place(Placing::Set(setting), self.now_ms, work) {
                    Begun::Done(part) => self.note(part),
                    Begun::More(task) => self.current = Some(task),
                }
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }
}
