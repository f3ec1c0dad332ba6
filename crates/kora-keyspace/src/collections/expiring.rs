//! Collections that expire: when, and which of them have been withdrawn since.
//!
//! When a collection expires stands in its [`Schema`], which all workers see: a command that looks for it at that time or later
//! does not find it, whether it has been withdrawn yet or not (`catalog.rs`). So what is done here brings back memory and
//! makes way for another value of that name; no reply depends on when it is done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::{Generation, Schema};

/// Those whose names one shard owns.
#[derive(Default)]
pub(crate) struct ExpiringCollections {
    /// Invariant: each that expires and is not withdrawn, at its deadline, and no other.
    deadlines: BTreeMap<(u64, Generation), Bytes>,
    /// Those that have expired and been withdrawn, of which shards may still hold parts. Bounded by the collections there
    /// were.
    withdrawn: VecDeque<Arc<Schema>>,
}

impl ExpiringCollections {
    pub(crate) fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }

    /// When the next one expires.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.deadlines.keys().next().map(|(deadline_ms, _)| *deadline_ms)
    }

    pub(crate) fn has_due(&self, now_ms: u64) -> bool {
        self.next_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }

    /// The name of the first one, if it has expired by then.
    pub(crate) fn first_due(&self, now_ms: u64) -> Option<Bytes> {
        let first = self.deadlines.first_key_value();
        let due = first.filter(|((deadline_ms, _), _)| *deadline_ms <= now_ms);
        due.map(|(_, name)| name.clone())
    }

    pub(crate) fn insert(&mut self, deadline_ms: u64, schema: &Schema) {
        self.deadlines
            .insert((deadline_ms, schema.generation), schema.name.clone());
    }

    /// Forgets that one expires then; false if it was not noted.
    pub(crate) fn remove(&mut self, deadline_ms: u64, generation: Generation) -> bool {
        self.deadlines.remove(&(deadline_ms, generation)).is_some()
    }

    pub(crate) fn push_withdrawn(&mut self, schema: Arc<Schema>) {
        self.withdrawn.push_back(schema);
    }

    pub(crate) fn has_withdrawn(&self) -> bool {
        !self.withdrawn.is_empty()
    }

    pub(crate) fn take_withdrawn(&mut self) -> Option<Arc<Schema>> {
        self.withdrawn.pop_front()
    }

    /// Each that expires: when, which, and its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Generation, &Bytes)> {
        self.deadlines
            .iter()
            .map(|((deadline_ms, generation), name)| (*deadline_ms, *generation, name))
    }
}
