//! Vectors that get their place on this shard: by VECSET, or from another key.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::collection::Unlinked;
use super::key_table::{NEVER_MS, seconds};
use super::keys::Place;
use super::transfer::CarriedVector;
use super::{Shard, Unfinished};
use crate::catalog::Schema;
use crate::command::{Deadline, KeyType, Lifetime, Only, element_of};
use crate::error::ClientError;
use crate::mail::{Part, Setting};

/// A vector that gets its place, between two slices.
pub(crate) struct Insert {
    schema: Arc<Schema>,
    key: Bytes,
    unlinked: Unlinked,
    lifetime: Lifetime,
    now_ms: u64,
    then: Then,
}

/// What follows when the vector can be found.
pub(super) enum Then {
    /// VECSET answers; and whether that depended on what was there.
    Set(Only),
    /// Whoever brought it from another shard hears that it has arrived.
    Landed,
    /// It came from another key of this shard, which it leaves if it is no copy.
    Moved { leaves: Option<Bytes>, reply: Reply },
}

impl Insert {
    /// True if it depends on what is there, so that nothing may come in between.
    pub(crate) fn is_conditional(&self) -> bool {
        !matches!(self.then, Then::Set(Only::Always))
    }
}

impl Shard {
    /// Begins to set a vector.
    pub(super) fn set(&mut self, setting: Setting, at_ms: u64) -> Result<Part, Box<Unfinished>> {
        self.assert_owns(&setting.element.collection, &setting.element.name);
        let key = Bytes::from(setting.element.key());
        let place = self.place(&key, at_ms);
        let refusal = match (self.kind(place), setting.only) {
            (Some(KeyType::String | KeyType::Hash), _) => Some(Part::Refused(ClientError::WrongType)),
            (Some(KeyType::Vector), Only::IfAbsent) => Some(Part::Reply(Reply::Null)),
            (None | Some(KeyType::VectorSet), Only::IfPresent) => Some(Part::Reply(Reply::Null)),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.note_refused(&setting.element.collection, at_ms);
            return Ok(refusal);
        }
        // The generation that the command was checked against has been dropped since it was submitted. So the two
        // overlapped, and the command may be said to have come just before the drop, which took the vector with it.
        // Setting the vector now, in a later collection of that name, would bring back what a client saw dropped.
        let Some(schema) = self.setup.catalog.at(at_ms).find(&setting.element.collection) else {
            return Ok(Part::Done);
        };
        if schema.generation != setting.generation {
            return Ok(Part::Done);
        }
        let unlinked = self.begin_insert(&schema, &setting.element.name, &setting.vector);
        self.resume_set(Insert {
            schema,
            key,
            unlinked,
            lifetime: setting.lifetime,
            now_ms: at_ms,
            then: Then::Set(setting.only),
        })
    }

    /// A collection may have been made for a vector that was then refused.
    fn note_refused(&mut self, name: &[u8], now_ms: u64) {
        let held = self.current(name, now_ms).map_or(0, |collection| collection.live());
        if let Some(schema) = self.setup.catalog.at(now_ms).find(name).filter(|_| held == 0) {
            self.note_emptied(&schema);
        }
    }

    /// Begins to give a vector the place of a key, which the caller has seen to be free or to give way.
    pub(super) fn arrive(
        &mut self,
        carried: CarriedVector,
        key: Bytes,
        then: Then,
        now_ms: u64,
    ) -> Result<Part, Box<Unfinished>> {
        let place = self.place(&key, now_ms);
        if self.kind(place) != Some(KeyType::Vector) {
            self.delete_key(place);
        }
        let newest = self.setup.catalog.at(now_ms).generation_of(&carried.to.name);
        let Some((_, name)) = element_of(&key).filter(|_| newest == Some(carried.to.generation)) else {
            // Dropped since: it came just before that.
            return Ok(self.follow(then, now_ms));
        };
        let lifetime = match carried.expires_ms {
            NEVER_MS => Lifetime::Forever,
            expires_ms => Lifetime::Until(Deadline::At(i64::try_from(expires_ms).unwrap_or(i64::MAX))),
        };
        let unlinked = self.begin_insert(&carried.to, name, &carried.vector);
        self.resume_set(Insert {
            schema: carried.to,
            key: key.clone(),
            unlinked,
            lifetime,
            now_ms,
            then,
        })
    }

    fn begin_insert(&mut self, schema: &Arc<Schema>, name: &[u8], vector: &[f32]) -> Unlinked {
        debug_assert_eq!(schema.dimension, vector.len(), "checked against this generation before");
        self.collection_for(schema).begin_set(name, vector)
    }

    pub(super) fn resume_set(&mut self, mut insert: Insert) -> Result<Part, Box<Unfinished>> {
        let mut work = Work::new(self.setup.slice_work);
        let used_s = seconds(insert.now_ms);
        // Dropped in the middle: the command came just before the drop.
        let Some(collection) = self.held(&insert.schema) else {
            return Ok(self.follow(insert.then, insert.now_ms));
        };
        let before = collection.live();
        if collection.resume_set(&mut insert.unlinked, used_s, &mut work) == Step::More {
            return Err(Box::new(Unfinished::Insert(insert)));
        }
        self.live += collection.live() - before;
        self.has_changed = true;
        let Insert {
            schema,
            key,
            unlinked,
            lifetime,
            now_ms,
            then,
        } = insert;
        // It may be the last whom consolidation waits for.
        drop(unlinked);
        self.note_upkeep(&schema.name, schema.generation);
        self.note_change(&key);
        // A string that was set under this key while the vector was being linked was there first.
        let hash = self.keys.hash(&key);
        let other = self.keys.find(hash, &key).filter(|entry| !entry.value.is_vector());
        if other.is_some() {
            self.delete_vector(&key, now_ms);
            return Ok(Part::Refused(ClientError::WrongType));
        }
        let place = Place {
            key: &key,
            hash,
            now_ms,
        };
        match lifetime {
            Lifetime::Keep => {}
            Lifetime::Forever => drop(self.keys.remove(hash, &key)),
            Lifetime::Until(deadline) => self.set_expiry(place, deadline.at_ms(now_ms)),
        }
        Ok(self.follow(then, now_ms))
    }

    fn follow(&mut self, then: Then, now_ms: u64) -> Part {
        match then {
            Then::Set(_) => Part::Done,
            Then::Landed => Part::Carried(None),
            Then::Moved { leaves, reply } => {
                if let Some(key) = leaves {
                    let place = self.place(&key, now_ms);
                    self.delete_key(place);
                }
                Part::Reply(reply)
            }
        }
    }
}
