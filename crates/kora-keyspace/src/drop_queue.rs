//! What was dropped and waits to be freed: in slices, when there is time, so that dropping a million vectors delays no
//! command.

use std::collections::VecDeque;

use kora_values::{HashValue, SMALL_FIELDS_MAX};
use kora_vector::{Step, Work};

use crate::collections::{DroppedPart, DroppedTable};
use crate::keys::{KeyTables, Value};
use crate::limits::SLICE_WORK;

/// What is to be freed, oldest first. It holds what was once held live and grows by nothing else, so it needs no limit.
#[derive(Default)]
pub(crate) struct DropQueue {
    parts: VecDeque<Dropped<DroppedPart>>,
    /// Whole tables of collections, taken by FLUSHALL.
    tables: VecDeque<Dropped<DroppedTable>>,
    /// Whole tables of keys, taken by FLUSHALL or FLUSHDB.
    keys: VecDeque<Dropped<KeyTables>>,
    /// Hashes of many fields. Boxed as they were.
    hashes: VecDeque<Dropped<Box<HashValue>>>,
    /// What all of that takes. Invariant: the sum of the `bytes` of the items.
    bytes: usize,
}

/// Something to be freed, and what it takes, as it was last counted.
struct Dropped<T> {
    item: T,
    bytes: usize,
}

impl DropQueue {
    pub(crate) fn push_part(&mut self, part: DroppedPart) {
        let bytes = part.bytes();
        push(&mut self.parts, &mut self.bytes, part, bytes);
    }

    pub(crate) fn extend_parts(&mut self, part: Option<DroppedPart>) {
        part.into_iter().for_each(|part| self.push_part(part));
    }

    /// `bytes` is what the table and its collections take.
    pub(crate) fn push_table(&mut self, table: DroppedTable, bytes: usize) {
        push(&mut self.tables, &mut self.bytes, table, bytes);
    }

    pub(crate) fn push_keys(&mut self, keys: KeyTables) {
        if !keys.is_empty() {
            let bytes = keys.bytes();
            push(&mut self.keys, &mut self.bytes, keys, bytes);
        }
    }

    pub(crate) fn push_hash(&mut self, hash: Box<HashValue>) {
        let bytes = hash.bytes();
        push(&mut self.hashes, &mut self.bytes, hash, bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tables.is_empty() && self.keys.is_empty() && self.hashes.is_empty()
    }

    /// What waits to be freed takes so many bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frees for one slice.
    pub(crate) fn free(&mut self, work: &mut Work) {
        while !work.is_spent() {
            if let Some(part) = self.parts.front_mut() {
                let step = part.item.dismantle(work);
                part.recount(&mut self.bytes, DroppedPart::bytes);
                if step == Step::Done(()) {
                    pop(&mut self.parts, &mut self.bytes);
                }
                work.spend(COLLECTION_FREE_WORK);
                continue;
            }
            if let Some(hash) = self.hashes.front_mut() {
                work.spend(ENTRIES_FREE_WORK);
                let is_more = hash.item.dismantle();
                hash.recount(&mut self.bytes, |hash| hash.bytes());
                if !is_more {
                    pop(&mut self.hashes, &mut self.bytes);
                }
                continue;
            }
            if let Some(table) = self.keys.front_mut() {
                work.spend(ENTRIES_FREE_WORK);
                let mut large = Vec::new();
                let is_more = table.item.dismantle(|value| match value {
                    Value::Hash(hash) if hash.len() > SMALL_FIELDS_MAX => large.push(hash),
                    small => drop(small),
                });
                table.recount(&mut self.bytes, KeyTables::bytes);
                if !is_more {
                    pop(&mut self.keys, &mut self.bytes);
                }
                large.into_iter().for_each(|hash| self.push_hash(hash));
                continue;
            }
            let Some(table) = self.tables.front_mut() else { return };
            let Some(collection) = table.item.collections.next() else {
                work.spend(PLACES_FREE_WORK);
                if !table.item.dismantle() {
                    pop(&mut self.tables, &mut self.bytes);
                }
                continue;
            };
            if let Some(collection) = collection {
                let counted = collection.counted.bytes.min(table.bytes);
                table.bytes -= counted;
                self.bytes -= counted;
                self.push_part(collection.into_dropped());
            }
            work.spend(PLACE_FREE_WORK);
        }
    }

    /// # Panics
    /// If it is not sound.
    pub(crate) fn assert_sound(&self) {
        let parts: usize = self.parts.iter().map(|dropped| dropped.bytes).sum();
        let tables: usize = self.tables.iter().map(|dropped| dropped.bytes).sum();
        let keys: usize = self.keys.iter().map(|dropped| dropped.bytes).sum();
        let hashes: usize = self.hashes.iter().map(|dropped| dropped.bytes).sum();
        assert_eq!(
            parts + tables + keys + hashes,
            self.bytes,
            "what waits to be freed is counted"
        );
        let recounted = |dropped: &Dropped<DroppedPart>| dropped.bytes == dropped.item.bytes();
        assert!(self.parts.iter().all(recounted));
    }
}

impl<T> Dropped<T> {
    /// Some of it was freed.
    fn recount(&mut self, total: &mut usize, count: impl FnOnce(&T) -> usize) {
        let bytes = count(&self.item).min(self.bytes);
        *total -= self.bytes - bytes;
        self.bytes = bytes;
    }
}

fn push<T>(queue: &mut VecDeque<Dropped<T>>, total: &mut usize, item: T, bytes: usize) {
    *total += bytes;
    queue.push_back(Dropped { item, bytes });
}

fn pop<T>(queue: &mut VecDeque<Dropped<T>>, total: &mut usize) {
    *total -= queue.pop_front().map_or(0, |dropped| dropped.bytes);
}

/// A look at a place.
const PLACE_FREE_WORK: u64 = 256;

/// Some places of a table, which hold nothing.
const PLACES_FREE_WORK: u64 = 1024;

/// The fixed parts of a collection: about ten blocks to give back.
const COLLECTION_FREE_WORK: u64 = 2048;

/// Some hundred keys or fields, each with its name and its value to give back: a slice each, because what lies all over
/// memory takes its time to be found.
const ENTRIES_FREE_WORK: u64 = SLICE_WORK;
