//! Collections that expire: the owner of a name decides when, withdraws them then, and lets every shard let go of its part.
//!
//! When a collection expires stands in its [`Schema`], which all workers see: whoever looks for it at that time or later
//! does not find it, whether it has been withdrawn yet or not (`catalog.rs`). So what is done here brings back memory and
//! makes way for another value of that name; nobody's answer depends on when it is done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::collection::Collection;
use super::keys::Place;
use super::ownership::BUCKET_WORK;
use super::{PLACES_PER_SLICE, Shard, Unfinished};
use crate::catalog::{Generation, Schema};
use crate::command::element_of;
use crate::limits::NAMES_PER_SLICE;
use crate::mail::Part;

/// Those that one shard owns the names of.
#[derive(Default)]
pub(crate) struct Mortals {
    /// Invariant: each that expires and is not withdrawn, at its time, and no other.
    ends: BTreeMap<(u64, Generation), Bytes>,
    /// Those that have been withdrawn, of which the shards may still hold parts. Bounded by the collections there were.
    withdrawn: VecDeque<Arc<Schema>>,
}

impl Mortals {
    /// When the next one expires.
    pub(crate) fn next_end_ms(&self) -> Option<u64> {
        self.ends.keys().next().map(|(end_ms, _)| *end_ms)
    }

    pub(crate) fn has_due(&self, now_ms: u64) -> bool {
        self.next_end_ms().is_some_and(|end_ms| end_ms <= now_ms)
    }

    fn first_due(&self, now_ms: u64) -> Option<Bytes> {
        let first = self.ends.first_key_value().filter(|((end_ms, _), _)| *end_ms <= now_ms);
        first.map(|(_, name)| name.clone())
    }
}

/// A DBSIZE between two slices.
pub(crate) struct Counting {
    now_ms: u64,
    /// The place of the collection that is next.
    next: u32,
    live: usize,
}

impl Counting {
    pub(crate) fn new(now_ms: u64) -> Counting {
        Counting {
            now_ms,
            next: 0,
            live: 0,
        }
    }
}

impl Shard {
    /// When the collection of a name expires that is there.
    pub(super) fn end_of(&self, place: Place<'_>) -> Option<u64> {
        let schema = self.setup.catalog.at(place.now_ms).find(place.key)?;
        Some(schema.fuse.end())
    }

    /// Lets the collection of this name expire at that time, or never; false if it is not there any more.
    pub(super) fn let_collection_expire(&mut self, place: Place<'_>, end_ms: u64) -> bool {
        let Some(schema) = self.setup.catalog.at(place.now_ms).find(place.key) else {
            return false;
        };
        if end_ms <= place.now_ms {
            schema.fuse.cut();
            self.withdraw_over(&schema.name);
            return true;
        }
        let before_ms = schema.fuse.end();
        if !schema.fuse.move_to(end_ms) {
            return false;
        }
        self.forget_end(schema.generation, before_ms);
        // As it was noted: there is a latest time.
        let end_ms = schema.fuse.end();
        if end_ms != u64::MAX {
            self.setup.catalog.mortals().add();
            self.mortals
                .ends
                .insert((end_ms, schema.generation), schema.name.clone());
        }
        self.note_change(place.key);
        true
    }

    /// Withdraws the collection of this name if it has expired: then another value may have the name.
    pub(super) fn clear_expired_name(&mut self, name: &[u8], now_ms: u64) {
        if self.mortals.ends.is_empty() {
            return;
        }
        let newest = self.setup.catalog.newest(name);
        if newest.is_some_and(|schema| schema.fuse.is_over(now_ms)) {
            self.withdraw_over(name);
            self.expired += 1;
        }
    }

    /// Withdraws some collections that have expired.
    pub(super) fn withdraw_expired(&mut self, now_ms: u64) {
        let mut work = 0;
        while work < NAMES_PER_SLICE
            && let Some(name) = self.mortals.first_due(now_ms)
        {
            work += BUCKET_WORK + self.setup.catalog.names_per_bucket();
            self.clear_expired_name(&name, now_ms);
        }
    }

    fn withdraw_over(&mut self, name: &[u8]) {
        // Until all its parts are gone it counts among those that expire.
        self.setup.catalog.mortals().add();
        let schema = self.withdraw_name(name).expect("the owner has seen it");
        self.mortals.withdrawn.push_back(schema);
    }

    /// A collection that was withdrawn does not expire any more.
    pub(super) fn forget_end(&mut self, generation: Generation, end_ms: u64) {
        if self.mortals.ends.remove(&(end_ms, generation)).is_some() {
            self.setup.catalog.mortals().subtract();
        }
    }

    /// True if a collection has expired of which shards may still hold parts.
    pub(crate) fn has_withdrawn(&self) -> bool {
        !self.mortals.withdrawn.is_empty()
    }

    /// A collection that has expired and of which shards may still hold parts. Whoever takes it says when they do not.
    pub(crate) fn take_withdrawn(&mut self) -> Option<Arc<Schema>> {
        self.mortals.withdrawn.pop_front()
    }

    /// Lets go of the part of a collection that has expired and to which this key belongs: what becomes of it later is no
    /// change to whoever begins to watch the key now, and was one to whoever watched it before.
    pub(super) fn let_go_if_over(&mut self, key: &[u8], now_ms: u64) {
        if self.setup.catalog.mortals().get() == 0 {
            return;
        }
        let held = element_of(key).and_then(|(name, _)| self.collections.get(name));
        let over = held.filter(|collection| collection.schema().fuse.is_over(now_ms));
        if let Some(name) = over.map(|collection| collection.schema().name.clone()) {
            self.detach(&name);
        }
    }

    /// DBSIZE: strings, hashes and vectors. While there are collections that expire, each one held is looked at, some at a
    /// time.
    pub(super) fn count(&mut self, mut counting: Counting) -> Result<Part, Box<Unfinished>> {
        if counting.next == 0 && self.setup.catalog.mortals().get() == 0 {
            return Ok(Part::Count((self.live + self.keys.len()) as u64));
        }
        let places = self.collections.places();
        let end = places.min(counting.next.saturating_add(PLACES_PER_SLICE));
        let parts = (counting.next..end).filter_map(|place| self.collections.at(place));
        let there = parts.filter(|part| !part.schema().fuse.is_over(counting.now_ms));
        counting.live += there.map(Collection::live).sum::<usize>();
        counting.next = end;
        match end == places {
            true => Ok(Part::Count((counting.live + self.keys.len()) as u64)),
            false => Err(Box::new(Unfinished::Count(counting))),
        }
    }

    /// # Panics
    /// If what is noted of collections that expire is not what stands in the catalog.
    pub(super) fn assert_mortals_sound(&self) {
        for ((end_ms, generation), name) in &self.mortals.ends {
            let newest = self.setup.catalog.newest(name).expect("it is not withdrawn");
            assert_eq!((newest.generation, newest.fuse.end()), (*generation, *end_ms));
            assert!(self.owns_name(name), "only the owner of a name decides about it");
        }
    }

    /// How many vectors there are, without those of collections that have expired.
    pub(super) fn live_at(&self, now_ms: u64) -> usize {
        match self.setup.catalog.mortals().get() {
            0 => self.live,
            _ => {
                let there = self
                    .collections
                    .iter()
                    .filter(|part| !part.schema().fuse.is_over(now_ms));
                there.map(Collection::live).sum()
            }
        }
    }
}
