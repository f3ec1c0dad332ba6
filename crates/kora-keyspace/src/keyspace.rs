//! All data of one shard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::iter::Sum;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Bytes;
use kora_values::{HashRef, SMALL_FIELDS_MAX, StringRef, ValueError};
use kora_vector::Work;

use crate::catalog::{Catalog, Generation, Schema};
use crate::changes::{Changes, Observer, Sequence, Totals};
use crate::collections::{Collection, CollectionTable, ExpiringCollections, PartCount, VectorCounts, Weights};
use crate::drop_queue::DropQueue;
use crate::eviction::{Candidates, UseRule};
use crate::key::{KeyType, ResolvedKey, element_of};
use crate::keys::{KeyEntry, KeyTables, Value, ValueRef};

/// All data of one shard. Nothing outside of it changes a key, a vector, a deadline or a collection: reads take `&self`, and
/// each method that changes something ends in a commit, which its observers see as an [`Outcome`](crate::Outcome).
///
/// | what | where |
/// |---|---|
/// | strings, hashes, deadlines of keys | `keys/` |
/// | vectors, deadlines of vectors, names of collections | `collections/` |
/// | what has expired, and when the next does | `expiry.rs`; of the fields of hashes: `keys/due_fields.rs` |
/// | freeing what was dropped | `drop_queue.rs` |
/// | libraries of functions | `library_changes.rs` |
/// | doing again what another keyspace's outcomes say | `apply.rs` |
pub struct Keyspace<O> {
    /// The collections that exist, of all shards.
    pub(crate) catalog: Arc<Catalog>,
    /// Invariant: where a string or a hash is, no vector is of the same key, nor a collection of that name.
    pub(crate) keys: KeyTables,
    /// Invariant: at most one generation of a name, the newest that this shard has seen.
    pub(crate) collections: Collections,
    /// The first deadline of each collection of which vectors expire, and its place. Invariant: each part's
    /// `indexed_ms` and place, unless that is never.
    pub(crate) vector_deadlines: BTreeSet<(u64, u32)>,
    /// Vectors that expire. Invariant: the sum of the parts' `counted_expiring`.
    pub(crate) expiring_vectors: usize,
    /// Collections that expire, of those whose names this shard owns.
    pub(crate) expiring: ExpiringCollections,
    /// Collections made by a first VECSET that may have no vector left. Bounded by the collections there are.
    pub(crate) emptied: BTreeMap<Generation, Arc<Schema>>,
    /// The newest generation of which a part was ever held.
    pub(crate) newest_held: Option<Generation>,
    /// Vectors in all parts held.
    pub(crate) live: usize,
    /// Invariant: the sum of what the parts held count.
    pub(crate) parts_counted: PartCount,
    /// Bytes of the table of parts, which may be lent.
    pub(crate) table_bytes: usize,
    /// Keys that the parts held stand for: a vector set is one, whatever it holds.
    pub(crate) vector_keys: usize,
    /// The same, and which of them expire, of each database but 0. Invariant: the sums over its parts.
    pub(crate) other_vectors: VectorCounts,
    /// What libraries of functions take, if this shard decides about them.
    pub(crate) libraries_bytes: usize,
    /// How many vectors each part has.
    pub(crate) part_weights: Weights,
    /// Entries that may be evicted next.
    pub(crate) candidates: Candidates,
    /// Entries that were evicted.
    pub(crate) evicted: u64,
    /// Keys, vectors and collections that have expired and been removed.
    pub(crate) expired: u64,
    /// Fields of hashes that were due and have been removed.
    pub(crate) expired_fields: u64,
    /// What is read counts as used.
    pub(crate) is_touching: bool,
    /// Some vector was set or deleted, or some graph was grown, since that was forgotten.
    pub(crate) has_changed: bool,
    /// Collections that have something to do, each once.
    pub(crate) upkeep: VecDeque<(Bytes, Generation)>,
    pub(crate) drops: DropQueue,
    pub(crate) changes: Changes<O>,
}

/// Why a command may not do what it wants to the value of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The key holds a value of another type.
    WrongType,
    /// The key is the name of a collection, which gives way to nothing.
    NameOfCollection {
        /// The name.
        name: Vec<u8>,
    },
    /// The value cannot be changed so.
    Value(ValueError),
}

/// What the data of a shard takes of the memory, in bytes: tables by what was allocated for them, values by the blocks that
/// the allocator gives.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MemoryUse {
    /// Keys with their strings and hashes, and when they expire.
    pub keys_bytes: usize,
    /// Vectors, codes, links, names, and what is fixed of each collection.
    pub collections_bytes: usize,
    /// Libraries of functions.
    pub libraries_bytes: usize,
    /// What was dropped and waits to be freed.
    pub dropped_bytes: usize,
    /// What collections will give back of `collections_bytes` when there is time: slots whose vectors have gone.
    pub awaited_bytes: usize,
    /// What collections lack of the slots that they are to have in reserve.
    pub missing_bytes: usize,
}

impl MemoryUse {
    /// All that is held.
    pub fn bytes(&self) -> usize {
        self.keys_bytes + self.collections_bytes + self.libraries_bytes + self.dropped_bytes
    }

    /// What is held when all is freed that will be freed by itself, and collections have their reserve.
    pub fn wanted_bytes(&self) -> usize {
        let held = self.keys_bytes + self.collections_bytes + self.libraries_bytes;
        (held + self.missing_bytes).saturating_sub(self.awaited_bytes)
    }
}

/// Of the keys' bytes one in so many is left to records that are needed no more.
const LOST_ONE_IN: usize = 24;

impl Sum for MemoryUse {
    fn sum<I: Iterator<Item = MemoryUse>>(uses: I) -> MemoryUse {
        uses.fold(MemoryUse::default(), |sum, one| MemoryUse {
            keys_bytes: sum.keys_bytes + one.keys_bytes,
            collections_bytes: sum.collections_bytes + one.collections_bytes,
            libraries_bytes: sum.libraries_bytes + one.libraries_bytes,
            dropped_bytes: sum.dropped_bytes + one.dropped_bytes,
            awaited_bytes: sum.awaited_bytes + one.awaited_bytes,
            missing_bytes: sum.missing_bytes + one.missing_bytes,
        })
    }
}

/// What a shard counts of its keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyCounts {
    /// Strings and hashes that are there, with those that have expired and are not removed yet.
    pub keys: u64,
    /// Those of them that expire, and vectors that do.
    pub expiring: u64,
    /// Keys, vectors and collections that have expired and been removed.
    pub expired: u64,
    /// Hashes with fields that have deadlines.
    pub expiring_hashes: u64,
    /// Fields that were due and have been removed.
    pub expired_fields: u64,
}

/// The parts of collections, unless they are leased.
pub(crate) struct Collections {
    here: Option<CollectionTable>,
}

impl<O: Observer> Keyspace<O> {
    /// Empty, with the collections of this catalog.
    pub fn new(catalog: Arc<Catalog>, observers: O) -> Keyspace<O> {
        let hash_seed = catalog.hash_seed();
        let collections = CollectionTable::new(hash_seed);
        Keyspace {
            catalog,
            keys: KeyTables::new(hash_seed),
            table_bytes: collections.bytes(),
            collections: Collections {
                here: Some(collections),
            },
            vector_deadlines: BTreeSet::new(),
            expiring_vectors: 0,
            expiring: ExpiringCollections::default(),
            emptied: BTreeMap::new(),
            newest_held: None,
            live: 0,
            parts_counted: PartCount::default(),
            vector_keys: 0,
            other_vectors: VectorCounts::new(),
            libraries_bytes: 0,
            part_weights: Weights::default(),
            candidates: Candidates::new(hash_seed),
            evicted: 0,
            expired: 0,
            expired_fields: 0,
            is_touching: true,
            has_changed: false,
            upkeep: VecDeque::new(),
            drops: DropQueue::default(),
            changes: Changes::new(observers),
        }
    }

    /// The number of the last change.
    pub fn sequence(&self) -> Sequence {
        self.changes.sequence()
    }

    /// What is counted of all changes.
    pub fn totals(&self) -> Totals {
        self.changes.totals()
    }

    /// Those who see every change.
    pub fn observers(&self) -> &O {
        &self.changes.observers
    }

    /// The same, to be changed.
    pub fn observers_mut(&mut self) -> &mut O {
        &mut self.changes.observers
    }

    /// Whether a batch has begun that has not ended.
    pub fn is_in_batch(&self) -> bool {
        self.changes.is_in_batch()
    }

    /// What is changed until the [`Keyspace::end_batch`] becomes true at once. A batch within a batch is part of it.
    pub fn begin_batch(&mut self) {
        self.changes.begin_batch();
    }

    /// The end of a batch.
    ///
    /// # Panics
    /// If none has begun.
    pub fn end_batch(&mut self) {
        self.changes.end_batch();
    }

    /// Looks for keys that will be asked for in a moment: see [`KeyTable::prefetch`].
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.keys.prefetch(keys);
    }

    /// A key at a time, without a look at whether it has expired: for a command that resolved it before and goes on.
    pub fn place<'k>(&self, key: &'k [u8], now_ms: u64) -> ResolvedKey<'k> {
        let hash = self.keys.hash(key);
        ResolvedKey { key, hash, now_ms }
    }

    /// What a key holds.
    pub fn kind(&self, place: ResolvedKey<'_>) -> Option<KeyType> {
        let entry = self.keys.find(place.hash, place.key);
        entry.map_or_else(|| self.vector_kind(place), |entry| Some(entry.value().kind()))
    }

    /// True if a key holds something.
    pub fn exists(&self, place: ResolvedKey<'_>) -> bool {
        self.kind(place).is_some()
    }

    /// The entry of a key that holds a string or a hash.
    pub fn entry(&self, place: ResolvedKey<'_>) -> Option<KeyEntry<'_>> {
        self.keys.find(place.hash, place.key)
    }

    /// The string at a key, which counts as used.
    ///
    /// # Errors
    /// If something else is there.
    pub fn string(&self, place: ResolvedKey<'_>) -> Result<Option<StringRef<'_>>, Refusal> {
        match self.used_value(place)? {
            Some(ValueRef::String(string)) => Ok(Some(string)),
            Some(ValueRef::Hash(_)) => Err(Refusal::WrongType),
            None => Ok(None),
        }
    }

    /// What is noted of an entry that is used.
    pub fn use_rule(&self) -> &UseRule {
        &self.keys.uses
    }

    /// From now on something else is noted of an entry that is used.
    pub fn set_use_rule(&mut self, rule: UseRule) {
        self.keys.set_uses(rule);
        self.candidates.clear();
    }

    /// Lets a key count as used; false if it holds no string, no hash and no vector.
    pub fn touch(&mut self, place: ResolvedKey<'_>) -> bool {
        match self.keys.find(place.hash, place.key) {
            Some(entry) => {
                entry.touch(&self.keys.uses, place.now_ms);
                true
            }
            None => self.touch_vector(place),
        }
    }

    /// What is noted of the use of a key that holds a string, a hash or a vector.
    pub fn used(&self, place: ResolvedKey<'_>) -> Option<u32> {
        match self.keys.find(place.hash, place.key) {
            Some(entry) => Some(entry.used()),
            None => self.vector_at(place).and_then(|(part, name)| part.used(name)),
        }
    }

    /// The hash at a key, which counts as used.
    ///
    /// # Errors
    /// If something else is there.
    pub fn hash(&self, place: ResolvedKey<'_>) -> Result<Option<HashRef<'_>>, Refusal> {
        match self.used_value(place)? {
            Some(ValueRef::Hash(hash)) => Ok(Some(hash)),
            Some(ValueRef::String(_)) => Err(Refusal::WrongType),
            None => Ok(None),
        }
    }

    /// Strings and hashes, with those that have expired and are not removed yet.
    pub fn keys(&self) -> &KeyTables {
        &self.keys
    }

    /// What there is beside vectors.
    pub fn key_counts(&self) -> KeyCounts {
        KeyCounts {
            keys: self.keys.len() as u64,
            expiring: (self.keys.expiring() + self.expiring_vectors) as u64,
            expired: self.expired,
            expiring_hashes: self.keys.expiring_hashes() as u64,
            expired_fields: self.expired_fields,
        }
    }

    /// How many keys, vectors and collections have expired and been removed.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// Vectors in all parts held.
    pub fn live(&self) -> usize {
        self.live
    }

    /// What the data takes of the memory.
    pub fn memory_use(&self) -> MemoryUse {
        let index_bytes = self.vector_deadlines.len() * size_of::<(u64, u32)>() * 3 / 2 + self.part_weights.bytes();
        // As it is after records were moved together, with the little that is not worth it.
        let dead_bytes = self.keys.dead_bytes();
        MemoryUse {
            keys_bytes: self.keys.bytes(),
            collections_bytes: self.parts_counted.bytes + self.table_bytes + index_bytes,
            libraries_bytes: self.libraries_bytes,
            dropped_bytes: self.drops.bytes(),
            awaited_bytes: self.parts_counted.bytes.saturating_sub(self.parts_counted.wanted_bytes) + dead_bytes,
            missing_bytes: self.parts_counted.wanted_bytes.saturating_sub(self.parts_counted.bytes)
                + self.keys.bytes() / LOST_ONE_IN,
        }
    }

    /// Keys that all parts held stand for: their vectors, and one for each vector set.
    pub fn vector_keys(&self) -> usize {
        self.vector_keys
    }

    /// The parts of collections.
    ///
    /// # Panics
    /// If they are leased.
    pub fn collections(&self) -> &CollectionTable {
        &self.collections
    }

    /// Hands the parts of collections over, to be read elsewhere; none if they are leased already. Until they are returned
    /// nothing may be done here that needs them.
    pub fn lease_collections(&mut self) -> Option<CollectionTable> {
        self.collections.here.take()
    }

    /// The leased collections are back.
    pub fn return_collections(&mut self, collections: CollectionTable) {
        self.collections.here = Some(collections);
    }

    /// True unless they are leased.
    pub fn has_collections(&self) -> bool {
        self.collections.here.is_some()
    }

    /// Whether what is read from now on counts as used.
    pub fn set_touching(&mut self, is_touching: bool) {
        self.is_touching = is_touching;
    }

    /// True if there is something to free.
    pub fn has_drops(&self) -> bool {
        !self.drops.is_empty()
    }

    /// Frees what was dropped, for one slice.
    pub fn free(&mut self, work: &mut Work) {
        self.drops.free(work);
    }

    /// Checks everything that must hold between two commands. For tests and the simulation.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn assert_sound(&self, collections: &CollectionTable) {
        collections.iter().for_each(Collection::assert_sound);
        assert_eq!(self.live, collections.iter().map(Collection::live).sum::<usize>());
        assert_eq!(
            self.vector_keys,
            collections.iter().map(Collection::keys).sum::<usize>()
        );
        assert_eq!(
            self.expiring_vectors,
            collections.iter().map(Collection::expiring).sum::<usize>()
        );
        let parts = collections.iter();
        self.assert_counted(parts.map(|part| (&part.schema().name[..], part.keys(), part.counted_expiring)));
        let mut counted = PartCount::default();
        collections
            .iter()
            .for_each(|part| counted.exchange(PartCount::default(), part.counted));
        assert_eq!(counted, self.parts_counted, "what the parts take is counted");
        assert_eq!(collections.bytes(), self.table_bytes);
        self.drops.assert_sound();
        self.keys.assert_sound();
        assert_eq!(self.keys.bytes() as u64, self.totals().entry_bytes, "bytes are counted");
        let indexed = collections.iter().filter_map(Collection::indexed_deadline);
        assert!(
            indexed.collect::<BTreeSet<(u64, u32)>>() == self.vector_deadlines,
            "each part of which vectors expire stands in the index, and no other"
        );
        for (deadline_ms, generation, name) in self.expiring.iter() {
            let newest = self.catalog.newest(name).expect("it is not withdrawn");
            assert_eq!((newest.generation, newest.deadline.end()), (generation, deadline_ms));
        }
    }

    /// The value of a key, which counts as used; none if the key holds nothing.
    fn used_value(&self, place: ResolvedKey<'_>) -> Result<Option<ValueRef<'_>>, Refusal> {
        match self.keys.find(place.hash, place.key) {
            Some(entry) => {
                if self.is_touching {
                    entry.touch(&self.keys.uses, place.now_ms);
                }
                Ok(Some(entry.value()))
            }
            None => self.refuse_vectors(place).map(|()| None),
        }
    }

    /// An error if the key holds a vector or is the name of a collection; the caller has seen that it holds nothing else.
    pub(crate) fn refuse_vectors(&self, place: ResolvedKey<'_>) -> Result<(), Refusal> {
        match self.vector_kind(place) {
            None => Ok(()),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    /// What a key holds that holds no string and no hash.
    pub(crate) fn vector_kind(&self, place: ResolvedKey<'_>) -> Option<KeyType> {
        let (key, catalog) = (place.key, self.catalog.at(place.now_ms));
        if catalog.is_empty() {
            return None;
        }
        if catalog.holds(key) {
            return Some(KeyType::VectorSet);
        }
        let (name, element) = self.keyed_element(key)?;
        let newest = catalog.generation_of(name)?;
        let part = self.collections.get(name)?;
        let is_there = part.schema().generation == newest && part.holds(element);
        is_there.then_some(KeyType::Vector)
    }

    /// Collection and name of the vector that a key stands for. The elements of a vector set have no keys.
    pub(crate) fn keyed_element<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], &'k [u8])> {
        let (collection, name) = element_of(key)?;
        let part = self.collections.get(collection);
        let is_set = part.is_some_and(|part| part.schema().set_form().is_some());
        (!is_set).then_some((collection, name))
    }

    /// Frees what a key held outside of the table: now, or in slices if it is large.
    pub(crate) fn discard(&mut self, value: Option<Value>) {
        match value {
            Some(Value::Hash(hash)) if hash.len() > SMALL_FIELDS_MAX => self.drops.push_hash(hash),
            small => drop(small),
        }
    }
}

impl Collections {
    /// The parts, unless they are lent.
    pub(crate) fn here(&self) -> Option<&CollectionTable> {
        self.here.as_ref()
    }
}

impl Deref for Collections {
    type Target = CollectionTable;

    fn deref(&self) -> &CollectionTable {
        self.here.as_ref().expect("they are returned before anything is done")
    }
}

impl DerefMut for Collections {
    fn deref_mut(&mut self) -> &mut CollectionTable {
        self.here.as_mut().expect("they are returned before anything is done")
    }
}
