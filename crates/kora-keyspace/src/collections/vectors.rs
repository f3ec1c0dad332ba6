//! Every way to change a vector, and what a shard holds of a collection at all.

use std::sync::Arc;

use bytes::Bytes;
use kora_values::Database;
use kora_vector::{Step, Work};

use super::collection::{Collection, Unlinked};
use super::counting::PartCount;
use super::weights::Weights;
use crate::catalog::{Generation, Schema};
use crate::changes::{Changed, Observer};
use crate::key::{ResolvedKey, element_of};
use crate::keyspace::Keyspace;
use crate::limits::PLACES_PER_SLICE;
use crate::outcome::{Cause, Outcome};
use crate::time::NEVER_MS;

/// A vector that is being set. Nothing can be seen of it before [`Keyspace::resume_vector`] is done.
pub struct VectorInsertion {
    schema: Arc<Schema>,
    key: Bytes,
    /// Where its name begins in `key`.
    name_at: usize,
    unlinked: Unlinked,
    /// What it gets, empty for none; what the vector before it had, if nothing is said.
    attributes: Option<Bytes>,
}

/// What became of a vector that was being set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VectorEnd {
    /// It is there.
    Set {
        /// There was none of this name before.
        is_new: bool,
    },
    /// Its collection was dropped meanwhile: it came just before that.
    Dropped,
    /// The key holds a string or a hash meanwhile, which was there first.
    Refused,
}

impl VectorInsertion {
    /// Its collection.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Lets the vector have these attributes, or none if they are empty, and not those of the vector before it.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Bytes) -> VectorInsertion {
        self.attributes = Some(attributes);
        self
    }

    /// Its key.
    pub fn key(&self) -> &Bytes {
        &self.key
    }
}

impl<O: Observer> Keyspace<O> {
    /// Begins to set a vector under a key, of which the collection's name takes so many bytes.
    ///
    /// # Panics
    /// If the vector has not the collection's dimension.
    pub fn begin_vector(&mut self, schema: &Arc<Schema>, key: Bytes, vector: &[f32]) -> VectorInsertion {
        assert_eq!(schema.dimension, vector.len(), "checked against this generation before");
        let name_at = schema.name.len() + 1;
        let unlinked = self.part_for(schema).begin_set(&key[name_at..], vector);
        self.count_part(schema);
        VectorInsertion {
            schema: Arc::clone(schema),
            key,
            name_at,
            unlinked,
            attributes: None,
        }
    }

    /// Goes on setting a vector. When it is done, the vector that had the name before is deleted, and the new one expires
    /// then; as that one did, if no deadline is given. One that has expired already is not there.
    pub fn resume_vector(
        &mut self,
        insertion: &mut VectorInsertion,
        deadline_ms: Option<u64>,
        now_ms: u64,
        work: &mut Work,
    ) -> Step<VectorEnd> {
        let schema = Arc::clone(&insertion.schema);
        let rule = self.keys.uses.clone();
        let Some(part) = self.part_of_mut(&schema) else {
            return Step::Done(VectorEnd::Dropped);
        };
        let (live_before, keys_before) = (part.live(), part.keys());
        let step = part.resume_set(&mut insertion.unlinked, deadline_ms, (&rule, now_ms), work);
        let (live, keys) = (part.live(), part.keys());
        self.live += live - live_before;
        self.vector_keys += keys - keys_before;
        self.count_in_database(&schema.name, [keys_before, 0], [keys, 0]);
        self.count_part(&schema);
        let Step::Done(slot) = step else {
            return Step::More;
        };
        self.has_changed = true;
        let name = &insertion.key[insertion.name_at..];
        let is_taken = schema.has_key(name) && self.keys.find(self.keys.hash(&insertion.key), &insertion.key).is_some();
        if is_taken {
            self.forget_vector(&schema, name);
            return Step::Done(VectorEnd::Refused);
        }
        self.index_deadline(&schema.name);
        if insertion.attributes.is_some() {
            self.begin_batch();
        }
        let collections = &self.collections;
        self.changes.commit(Changed::elsewhere(), || {
            let part = collections.get(&schema.name).expect("it is held");
            Outcome::VectorSet {
                schema: &schema,
                name,
                row: part.row(slot),
                deadline_ms: part.deadline_of(slot),
            }
        });
        if let Some(text) = &insertion.attributes {
            self.set_attributes(&schema.name, name, text, now_ms);
            self.end_batch();
        }
        if deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            self.remove_vector(&schema.name, name, now_ms, Cause::Command);
        }
        Step::Done(VectorEnd::Set {
            is_new: live > live_before,
        })
    }

    /// Deletes the vector of a name; false if there is none.
    pub fn remove_vector(&mut self, collection: &[u8], name: &[u8], now_ms: u64, cause: Cause) -> bool {
        let Some(part) = self.current_part(collection, now_ms) else {
            return false;
        };
        if !part.holds(name) {
            return false;
        }
        let schema = Arc::clone(part.schema());
        self.forget_vector(&schema, name);
        self.changes.commit(Changed::elsewhere(), || Outcome::VectorRemoved {
            schema: &schema,
            name,
            cause,
        });
        true
    }

    /// Deletes the vector of a key; false if there is none.
    pub(crate) fn remove_vector_of(&mut self, place: ResolvedKey<'_>, cause: Cause) -> bool {
        if self.catalog.is_empty() {
            return false;
        }
        let element = self.keyed_element(place.key);
        element.is_some_and(|(collection, name)| self.remove_vector(collection, name, place.now_ms, cause))
    }

    /// Lets a vector expire then; false if there is none.
    pub(crate) fn set_vector_deadline(&mut self, place: ResolvedKey<'_>, deadline_ms: u64) -> bool {
        let element = self.keyed_element(place.key);
        element
            .is_some_and(|(collection, name)| self.set_element_deadline((collection, name), deadline_ms, place.now_ms))
    }

    /// The same of an element that is named by two words.
    pub fn set_element_deadline(&mut self, (collection, name): (&[u8], &[u8]), deadline_ms: u64, now_ms: u64) -> bool {
        let Some(part) = self.current_part(collection, now_ms) else {
            return false;
        };
        let Some(slot) = part.slot_of(name) else {
            return false;
        };
        let schema = Arc::clone(part.schema());
        self.collections
            .get_mut(collection)
            .expect("looked up a moment ago")
            .set_deadline(slot, deadline_ms);
        self.index_deadline(collection);
        self.count_part(&schema);
        self.changes.commit(Changed::elsewhere(), || Outcome::VectorDeadline {
            schema: &schema,
            name,
            deadline_ms,
        });
        true
    }

    /// Gives a vector these attributes, or none if they are empty; false if there is no such vector.
    pub fn set_attributes(&mut self, collection: &[u8], name: &[u8], text: &[u8], now_ms: u64) -> bool {
        let Some(part) = self.current_part_mut(collection, now_ms) else {
            return false;
        };
        let Some(slot) = part.slot_of(name) else {
            return false;
        };
        if part.attributes_at(slot) == text {
            return true;
        }
        part.put_attributes(slot, text);
        let schema = Arc::clone(part.schema());
        self.count_part(&schema);
        self.changes.commit(Changed::elsewhere(), || Outcome::Attributes {
            schema: &schema,
            name,
            text,
        });
        true
    }

    /// Takes a vector out, and notes what follows from that. The caller commits it.
    fn forget_vector(&mut self, schema: &Arc<Schema>, name: &[u8]) {
        let part = self.part_of_mut(schema).expect("the caller has seen it");
        let keys_before = part.keys();
        let is_gone = part.delete(name);
        let keys_gone = keys_before - part.keys();
        debug_assert!(is_gone, "the caller has seen it");
        let (dropped, is_empty) = (part.renew_if_empty(), part.live() == 0);
        self.live -= 1;
        self.vector_keys -= keys_gone;
        self.count_in_database(&schema.name, [keys_gone, 0], [0, 0]);
        self.has_changed = true;
        if is_empty {
            self.note_emptied(schema);
        }
        self.drops.extend_parts(dropped);
        self.count_part(schema);
        self.index_deadline(&schema.name);
        self.note_upkeep(&schema.name, schema.generation);
    }

    /// Lets a vector count as used; false if there is none.
    pub fn touch_vector(&mut self, place: ResolvedKey<'_>) -> bool {
        let now_ms = place.now_ms;
        let (element, rule) = (self.keyed_element(place.key), self.keys.uses.clone());
        let part = element.and_then(|(collection, name)| Some((self.current_part_mut(collection, now_ms)?, name)));
        part.is_some_and(|(part, name)| part.touch(name, &rule, now_ms))
    }

    /// What this shard holds of the collection whose vector has this key, if there is one, and its name there.
    pub fn vector_at<'k>(&self, place: ResolvedKey<'k>) -> Option<(&Collection, &'k [u8])> {
        let (collection, name) = self.keyed_element(place.key)?;
        let part = self.current_part(collection, place.now_ms)?;
        part.holds(name).then_some((part, name))
    }

    /// A vector that has not expired, which counts as used then.
    pub fn use_vector(&mut self, collection: &[u8], name: &[u8], now_ms: u64) -> Option<Box<[f32]>> {
        let (is_touching, rule) = (self.is_touching, self.keys.uses.clone());
        let part = self.current_part_mut(collection, now_ms)?;
        let is_there = part
            .deadline_of_name(name)
            .is_some_and(|deadline_ms| deadline_ms > now_ms);
        if !is_there {
            return None;
        }
        match is_touching {
            true => part.use_vector(name, &rule, now_ms),
            false => part.copy_vector(name),
        }
    }

    /// True if there is such a vector and it has not expired.
    pub fn holds_vector(&self, collection: &[u8], name: &[u8], now_ms: u64) -> bool {
        let part = self.current_part(collection, now_ms);
        let deadline_ms = part.and_then(|part| part.deadline_of_name(name));
        deadline_ms.is_some_and(|deadline_ms| deadline_ms > now_ms)
    }

    /// What this shard holds of the collection that has this name at that time.
    pub fn current_part(&self, name: &[u8], now_ms: u64) -> Option<&Collection> {
        let newest = self.catalog.at(now_ms).generation_of(name)?;
        let part = self.collections.get(name)?;
        (part.schema().generation == newest).then_some(part)
    }

    fn current_part_mut(&mut self, name: &[u8], now_ms: u64) -> Option<&mut Collection> {
        let newest = self.catalog.at(now_ms).generation_of(name)?;
        let part = self.collections.get_mut(name)?;
        (part.schema().generation == newest).then_some(part)
    }

    /// What this shard holds of exactly this collection.
    pub fn part_of(&self, schema: &Schema) -> Option<&Collection> {
        let part = self.collections.get(&schema.name)?;
        (part.schema().generation == schema.generation).then_some(part)
    }

    /// The same, to be searched.
    pub fn part_of_mut(&mut self, schema: &Schema) -> Option<&mut Collection> {
        let part = self.collections.get_mut(&schema.name)?;
        (part.schema().generation == schema.generation).then_some(part)
    }

    /// A search of this collection has ended, or an insertion was given up: what held its place in the index can go.
    pub fn note_search_ended(&mut self, schema: &Schema) {
        if let Some(part) = self.part_of_mut(schema) {
            let dropped = part.renew_if_empty();
            self.drops.extend_parts(dropped);
        }
        self.count_part(schema);
        self.note_upkeep(&schema.name, schema.generation);
    }

    /// An insertion has ended and given its place in the index back.
    pub fn note_insertion_ended(&mut self, schema: &Schema) {
        self.note_upkeep(&schema.name, schema.generation);
    }

    /// Lets go of what is held of a withdrawn collection of this name, up to this generation: at once, and it is freed in
    /// slices.
    pub fn drop_part(&mut self, name: &Bytes, generation: Generation, cause: Cause) {
        let part = self.collections.get(name);
        if part.is_some_and(|part| part.schema().generation <= generation) {
            self.detach(name, cause);
        }
    }

    /// Lets go of the part of a collection that has expired and to which this key belongs: what becomes of it later is no
    /// change to a client that begins to watch the key now, and was one to a client that watched it before.
    pub fn drop_part_if_over(&mut self, key: &[u8], now_ms: u64) {
        if self.catalog.expiring() == 0 {
            return;
        }
        let held = element_of(key).and_then(|(name, _)| self.collections.get(name));
        let over = held.filter(|part| part.schema().deadline.is_over(now_ms));
        if let Some(name) = over.map(|part| part.schema().name.clone()) {
            self.detach(&name, Cause::Expired);
        }
    }

    /// Lets go of all keys, and of all parts of older collections, or of those of a database: at once, or if other parts are
    /// held, some at a time from a place on. The place to go on from, if there is more.
    pub fn flush(&mut self, before: Generation, database: Option<Database>, from: u32) -> Option<u32> {
        let goes_at_once = database.is_none() && self.newest_held < Some(before);
        if from == 0 {
            let bytes = self.keys.bytes();
            let keys = self.keys.renew(database);
            let is_something = !keys.is_empty() || self.live > 0;
            let changed = Changed::between(bytes, self.keys.bytes());
            let parts = goes_at_once.then_some(&*self.collections);
            match is_something {
                true => self.changes.commit(changed, || Outcome::Flushed {
                    database,
                    before,
                    keys: &keys,
                    parts,
                }),
                false => self.changes.count(changed),
            }
            self.drops.push_keys(keys);
        }
        if goes_at_once {
            self.live = 0;
            self.vector_keys = 0;
            self.other_vectors.clear();
            self.vector_deadlines.clear();
            self.expiring_vectors = 0;
            let bytes = self.parts_counted.bytes + self.collections.bytes();
            self.parts_counted = PartCount::default();
            self.part_weights = Weights::default();
            let table = self.collections.clear();
            self.drops.push_table(table, bytes);
            self.table_bytes = self.collections.bytes();
            return None;
        }
        let end = self.collections.places().min(from.saturating_add(PLACES_PER_SLICE));
        for place in from..end {
            let old = self.collections.at(place);
            let is_meant = |name: &[u8]| database.is_none_or(|database| Database::of(name) == database);
            let old = old.filter(|part| part.schema().generation < before && is_meant(&part.schema().name));
            if let Some(name) = old.map(|part| part.schema().name.clone()) {
                self.detach(&name, Cause::Dropped);
            }
        }
        (end < self.collections.places()).then_some(end)
    }

    pub(crate) fn detach(&mut self, name: &Bytes, cause: Cause) {
        let Some(part) = self.take_part(name) else {
            return;
        };
        if part.live() > 0 {
            self.changes
                .commit(Changed::elsewhere(), || Outcome::PartDropped { part: &part, cause });
        }
        self.drops.push_part(part.into_dropped());
    }

    /// What this shard holds of a collection, made if there is nothing yet. What is held of an earlier collection of that
    /// name goes.
    pub(crate) fn part_for(&mut self, schema: &Arc<Schema>) -> &mut Collection {
        let held = self.collections.get(&schema.name).map(|part| part.schema().generation);
        if held != Some(schema.generation) {
            debug_assert!(
                held < Some(schema.generation),
                "the catalog's newest is never older than what is held"
            );
            self.detach(&schema.name, Cause::Dropped);
            self.newest_held = self.newest_held.max(Some(schema.generation));
            let part = Collection::new(Arc::clone(schema), self.catalog.hash_seed());
            self.collections.insert(part);
            self.table_bytes = self.collections.bytes();
            self.count_part(schema);
        }
        self.collections.get_mut(&schema.name).expect("looked up a moment ago")
    }

    /// Brings the first deadline of a collection's vectors into the shard's index of them, and counts those that expire.
    pub(crate) fn index_deadline(&mut self, name: &[u8]) {
        let Some(part) = self.collections.get_mut(name) else {
            return;
        };
        let expiring = part.expiring();
        let counted = std::mem::replace(&mut part.counted_expiring, expiring);
        self.expiring_vectors = self.expiring_vectors - counted + expiring;
        self.count_in_database(name, [0, counted], [0, expiring]);
        let Some(part) = self.collections.get_mut(name) else {
            return;
        };
        let first_ms = part.first_deadline().map_or(NEVER_MS, |(first_ms, _)| first_ms);
        if part.indexed_ms == first_ms {
            return;
        }
        if let Some(item) = part.indexed_deadline() {
            self.vector_deadlines.remove(&item);
        }
        part.indexed_ms = first_ms;
        self.vector_deadlines.extend(part.indexed_deadline());
    }
}
