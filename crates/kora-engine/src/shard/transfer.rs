//! Values that move to another key, or are copied there. A hash is copied in slices, and a vector gets its place in slices;
//! no command of another client runs in between.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::keys::{MovedValue, Value, ValueRef};
use kora_keyspace::{Cause, KeyType, NEVER_MS, ResolvedKey, element_of};
use kora_resp::Reply;
use kora_values::HashValue;
use kora_vector::{Step, Work};

use super::Shard;
use super::insert::Then;
use super::notices::Hint;
use super::task::{Begun, Task};
use crate::budgets::FIELD_WORK;
use crate::command::{Transfer, TransferKind};
use crate::error::ClientError;
use crate::fit::vet;
use crate::mail::{PartialReply, PutValue, TakeValue};
use crate::moved::{MovedData, MovedVector};

/// A copy of a hash between two slices.
struct Copying {
    from: Bytes,
    /// Where it shall be; `None` if that is another shard's.
    to: Option<Bytes>,
    copy: Box<HashValue>,
    deadline_ms: u64,
    /// Which fields are next.
    next: u64,
    now_ms: u64,
}

impl Task for Copying {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        let place = shard.keyspace.place(&self.from, self.now_ms);
        // The copy has the shard to itself, so the hash is there until it is done; were it not, what was copied is the copy.
        let hash = shard.keyspace.hash(place).ok().flatten();
        let portion = (work.left() / FIELD_WORK).max(1);
        let (copied, next) = hash.map_or((0, None), |hash| self.copy.copy_some(hash, self.next, portion as usize));
        work.spend(copied as u64 * FIELD_WORK);
        if let Some(next) = next {
            self.next = next;
            return Step::More;
        }
        let empty = Box::new(self.copy.view().empty_like());
        let (value, deadline_ms) = (Value::Hash(std::mem::replace(&mut self.copy, empty)), self.deadline_ms);
        Step::Done(shard.hand_over(MovedValue { value, deadline_ms }, self.to.as_ref(), self.now_ms))
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Shard {
    /// RENAME, RENAMENX or COPY between two keys of this shard, at once.
    pub(super) fn transfer(&mut self, transfer: Transfer, now_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        let kind = transfer.kind;
        if self.setup.catalog.at(now_ms).holds_set(&transfer.from) && !kind.is_copy() {
            return self.begin_moving_set((transfer.from, transfer.to), Some(kind), now_ms, work);
        }
        let (from, to) = (
            self.resolve_live(&transfer.from, now_ms),
            self.resolve_live(&transfer.to, now_ms),
        );
        if let Some(reply) = self.refuse_transfer(from, to, kind) {
            return Begun::Done(PartialReply::Reply(reply));
        }
        let reply = match kind {
            TransferKind::Rename => Reply::ok(),
            _ => Reply::Integer(1),
        };
        if self.keyspace.kind(from) == Some(KeyType::Vector) {
            let Transfer {
                from: source, to, kind, ..
            } = transfer.clone();
            let leaves = (!kind.is_copy()).then_some(source);
            return match self.pack_vector(from, &to) {
                Ok(vector) => self.arrive(vector, to, Then::Moved { leaves, reply }, now_ms, work),
                Err(error) => Begun::Done(PartialReply::Reply(Reply::Error(error.to_string()))),
            };
        }
        if kind.is_copy() {
            return self.begin_copy(from, Some(transfer.to.clone()), work);
        }
        self.keyspace.begin_batch();
        self.hint_at(to, Hint::of_transfer(from.key, to.key));
        let transfer = self.next_transfer();
        if let Some(moved) = self.keyspace.take(from, transfer) {
            self.put_moved(to, moved, Some(transfer));
        }
        self.keyspace.end_batch();
        Begun::Done(PartialReply::Reply(reply))
    }

    /// Hands over what a key holds.
    pub(super) fn take_value(&mut self, take_value: TakeValue, now_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        let place = self.resolve_live(&take_value.key, now_ms);
        let refusal = match self.keyspace.kind(place) {
            None => return Begun::Done(PartialReply::Moved(None)),
            Some(KeyType::VectorSet) if self.setup.catalog.at(now_ms).holds_set(&take_value.key) => {
                match take_value.keep {
                    true => Some(NO_COPY_OF_SET),
                    false => {
                        let TakeValue { key, to, .. } = take_value;
                        return self.begin_moving_set((key, to), None, now_ms, work);
                    }
                }
            }
            Some(KeyType::VectorSet) => Some(ClientError::CollectionStays {
                name: take_value.key.to_vec(),
            }),
            Some(_) if self.is_spread_collection(&take_value.to, now_ms) => Some(ClientError::NameOfCollection {
                name: take_value.to.to_vec(),
            }),
            Some(KeyType::Vector) => match self.pack_vector(place, &take_value.to) {
                Ok(mut vector) => {
                    if !take_value.keep {
                        let transfer = self.next_transfer();
                        self.keyspace.remove(place, Cause::Moved { transfer });
                        vector.transfer = Some(transfer);
                        self.note_crossing(Some(transfer));
                    }
                    return Begun::Done(PartialReply::Moved(Some(MovedData::Vector(Box::new(vector)))));
                }
                Err(error) => Some(error),
            },
            Some(KeyType::String | KeyType::Hash) => None,
        };
        match refusal {
            Some(error) => Begun::Done(PartialReply::Reply(Reply::Error(error.to_string()))),
            None if take_value.keep => self.begin_copy(place, None, work),
            None => {
                let transfer = self.next_transfer();
                let moved = self.keyspace.take(place, transfer);
                self.note_crossing(moved.is_some().then_some(transfer));
                Begun::Done(PartialReply::Moved(
                    moved.map(|moved| MovedData::Value(moved, Some(transfer))),
                ))
            }
        }
    }

    /// Takes a value, or hands it back if its place is taken.
    pub(super) fn put_value(&mut self, put: PutValue, now_ms: u64, work: &mut Work) -> Begun<PartialReply> {
        let place = self.resolve_live(&put.key, now_ms);
        let is_free = match self.keyspace.kind(place) {
            None => true,
            Some(_) if self.is_spread_collection(&put.key, now_ms) => false,
            Some(_) => put.replaces,
        };
        // An alias may have been made since the set left.
        let is_set = matches!(put.moved, MovedData::Set(_));
        let is_alias = is_set && !put.is_return && self.refuse_alias(&put.key).is_some();
        match put.moved {
            MovedData::Set(set) if put.is_return && !is_free => {
                self.keyspace.note_landed(set.transfer);
                self.note_crossing(Some(set.transfer));
                self.keyspace.drop_set(set.part);
                Begun::Done(PartialReply::Moved(None))
            }
            moved if is_alias => Begun::Done(PartialReply::Moved(Some(moved))),
            moved if !is_free => {
                if let (true, Some(transfer)) = (put.is_return, moved.transfer()) {
                    // The key was set meanwhile, which came behind what did not happen and replaced it.
                    self.keyspace.note_landed(transfer);
                    self.note_crossing(Some(transfer));
                }
                Begun::Done(PartialReply::Moved(Some(moved)))
            }
            MovedData::Value(moved, transfer) => {
                self.note_crossing(transfer);
                self.hint_at(place, if transfer.is_some() { Hint::RENAME } else { Hint::COPY });
                self.put_moved(place, moved, transfer);
                Begun::Done(PartialReply::Moved(None))
            }
            MovedData::Set(set) => {
                self.note_crossing(Some(set.transfer));
                self.put_set(&put.key, *set, now_ms, work)
            }
            MovedData::Vector(vector) => {
                self.note_crossing(vector.transfer);
                self.arrive(*vector, put.key, Then::Landed, now_ms, work)
            }
        }
    }

    /// A value has left for another shard, or has come from one. Told only where something is kept on disk.
    pub(super) fn note_crossing(&mut self, transfer: Option<u64>) {
        if self.setup.durability.told.has_directory.get() == 1 {
            self.transfers.extend(transfer);
        }
    }

    /// Numbers of values that left for another shard or came from one, unless the frame that tells of it is not complete.
    pub(crate) fn take_transfers(&mut self) -> Vec<u64> {
        match self.keyspace.is_in_batch() {
            true => Vec::new(),
            false => std::mem::take(&mut self.transfers),
        }
    }

    /// Puts a value that was moved or copied, where the caller has seen that it may be put.
    fn put_moved(&mut self, place: ResolvedKey<'_>, moved: MovedValue, transfer: Option<u64>) {
        self.keyspace.begin_batch();
        transfer
            .into_iter()
            .for_each(|transfer| self.keyspace.note_landed(transfer));
        self.clear_set(place.key, place.now_ms);
        let put = self.keyspace.put_moved(place, moved);
        self.keyspace.end_batch();
        debug_assert!(put.is_ok(), "nothing moves onto a collection");
    }

    /// The number of a move: another one than every other's, on all shards.
    pub(super) fn next_transfer(&self) -> u64 {
        self.setup.catalog.next_generation().0
    }

    /// Why a value does not move or has no need to, if so.
    fn refuse_transfer(&self, from: ResolvedKey<'_>, to: ResolvedKey<'_>, kind: TransferKind) -> Option<Reply> {
        let error = |error: ClientError| Some(Reply::Error(error.to_string()));
        match (self.keyspace.kind(from), self.keyspace.kind(to)) {
            (None, _) if kind.may_miss() => Some(Reply::Integer(0)),
            (None, _) => error(ClientError::NoSuchKey),
            (Some(_), _) if from.key == to.key => Some(match kind {
                TransferKind::Rename => Reply::ok(),
                _ => Reply::Integer(0),
            }),
            (Some(_), Some(_)) if !kind.replaces() => Some(Reply::Integer(0)),
            (Some(KeyType::VectorSet), _) if !self.is_spread_collection(from.key, from.now_ms) => error(NO_COPY_OF_SET),
            (Some(KeyType::VectorSet), _) => error(ClientError::CollectionStays {
                name: from.key.to_vec(),
            }),
            (Some(_), Some(KeyType::VectorSet)) if self.is_spread_collection(to.key, to.now_ms) => {
                error(ClientError::NameOfCollection { name: to.key.to_vec() })
            }
            _ => None,
        }
    }

    fn begin_copy(&mut self, from: ResolvedKey<'_>, to: Option<Bytes>, work: &mut Work) -> Begun<PartialReply> {
        let Some(entry) = self.keyspace.entry(from) else {
            return Begun::Done(PartialReply::Moved(None));
        };
        let (deadline_ms, now_ms) = (entry.deadline_ms(), from.now_ms);
        match entry.value() {
            ValueRef::String(string) => {
                let value = Value::String(string.to_value());
                Begun::Done(self.hand_over(MovedValue { value, deadline_ms }, to.as_ref(), now_ms))
            }
            ValueRef::Hash(hash) => {
                let copying = Copying {
                    from: Bytes::copy_from_slice(from.key),
                    to,
                    copy: Box::new(hash.empty_like()),
                    deadline_ms,
                    next: 0,
                    now_ms,
                };
                self.run(copying, work)
            }
        }
    }

    /// A copy is put to its key here, or returned to the requesting shard.
    fn hand_over(&mut self, vector: MovedValue, to: Option<&Bytes>, now_ms: u64) -> PartialReply {
        let Some(to) = to else {
            return PartialReply::Moved(Some(MovedData::Value(vector, None)));
        };
        let place = self.resolve_live(to, now_ms);
        self.hint_at(place, Hint::COPY);
        self.put_moved(place, vector, None);
        PartialReply::Reply(Reply::Integer(1))
    }

    /// A copy of the vector of a key, with what it takes to set it under another one; or why that cannot be.
    fn pack_vector(&mut self, from: ResolvedKey<'_>, to: &[u8]) -> Result<MovedVector, ClientError> {
        let deadline_ms = self.keyspace.deadline_of(from).unwrap_or(NEVER_MS);
        let (part, name) = self.keyspace.vector_at(from).expect("the caller has seen it");
        let source = Arc::clone(part.schema());
        let attributes = Bytes::copy_from_slice(part.attributes_of(name).unwrap_or_default());
        let vector = self
            .keyspace
            .use_vector(&source.name, name, from.now_ms)
            .expect("the caller has seen it");
        let (collection, _) = element_of(to).ok_or_else(|| ClientError::KeyWithoutCollection { key: to.to_vec() })?;
        let schema = self.setup.catalog.at(from.now_ms).find(collection);
        // The elements of a vector set are no keys.
        let schema = schema.filter(|schema| schema.set_form().is_none());
        let schema = schema.ok_or_else(|| ClientError::NoSuchCollection {
            collection: collection.to_vec(),
        })?;
        vet(&schema, &vector)?;
        Ok(MovedVector {
            vector,
            deadline_ms,
            attributes,
            from: source,
            to: schema,
            transfer: None,
        })
    }
}

/// As Redis 8.2 says it.
const NO_COPY_OF_SET: ClientError = ClientError::Said("ERR not supported for this module key");
