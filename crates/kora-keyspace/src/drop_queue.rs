//! What was dropped and waits to be freed: in slices, when there is time, so that dropping a million vectors delays no
//! command.

use std::collections::VecDeque;

use kora_values::{HashValue, SMALL_FIELDS_MAX};
use kora_vector::{Step, Work};

use crate::collections::{DroppedPart, DroppedTable};
use crate::keys::{KeyTable, Value};
use crate::limits::SLICE_WORK;

/// What is to be freed, oldest first. It holds what was once held live and grows by nothing else, so it needs no limit.
#[derive(Default)]
pub(crate) struct DropQueue {
    parts: VecDeque<DroppedPart>,
    /// Whole tables of collections, taken by FLUSHALL.
    tables: VecDeque<DroppedTable>,
    /// Whole tables of keys, taken by FLUSHALL.
    keys: VecDeque<KeyTable>,
    /// Hashes of many fields. Boxed as they were.
    hashes: VecDeque<Box<HashValue>>,
}

impl DropQueue {
    pub(crate) fn push_part(&mut self, part: DroppedPart) {
        self.parts.push_back(part);
    }

    pub(crate) fn extend_parts(&mut self, part: Option<DroppedPart>) {
        self.parts.extend(part);
    }

    pub(crate) fn push_table(&mut self, table: DroppedTable) {
        self.tables.push_back(table);
    }

    pub(crate) fn push_keys(&mut self, keys: KeyTable) {
        if !keys.is_empty() {
            self.keys.push_back(keys);
        }
    }

    pub(crate) fn push_hash(&mut self, hash: Box<HashValue>) {
        self.hashes.push_back(hash);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tables.is_empty() && self.keys.is_empty() && self.hashes.is_empty()
    }

    /// Frees for one slice.
    pub(crate) fn free(&mut self, work: &mut Work) {
        while !work.is_spent() {
            if let Some(part) = self.parts.front_mut() {
                if let Step::Done(()) = part.dismantle(work) {
                    self.parts.pop_front();
                }
                work.spend(COLLECTION_FREE_WORK);
                continue;
            }
            if let Some(hash) = self.hashes.front_mut() {
                work.spend(ENTRIES_FREE_WORK);
                if !hash.dismantle() {
                    self.hashes.pop_front();
                }
                continue;
            }
            if let Some(table) = self.keys.front_mut() {
                work.spend(ENTRIES_FREE_WORK);
                let hashes = &mut self.hashes;
                let is_more = table.dismantle(|value| match value {
                    Value::Hash(hash) if hash.len() > SMALL_FIELDS_MAX => hashes.push_back(hash),
                    small => drop(small),
                });
                if !is_more {
                    self.keys.pop_front();
                }
                continue;
            }
            let Some(table) = self.tables.front_mut() else { return };
            let Some(collection) = table.collections.next() else {
                work.spend(PLACES_FREE_WORK);
                if !table.dismantle() {
                    self.tables.pop_front();
                }
                continue;
            };
            self.parts
                .extend(collection.map(|collection| collection.into_dropped()));
            work.spend(PLACE_FREE_WORK);
        }
    }
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
