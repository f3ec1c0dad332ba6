//! Other names of collections: what all workers read, and only the owner of a name writes.
//!
//! An alias stands for a collection's name, not for one collection of that name: dropped and made again, it is meant again. All
//! aliases are replaced at once, so a reader that takes them finds one meaning of each, however long it works with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::{Gauge, Latest};

use crate::catalog::Generation;

/// All aliases at one moment.
#[derive(Clone, Debug, Default)]
pub struct AliasTable {
    by_name: BTreeMap<Bytes, Meaning>,
}

/// What an alias means.
#[derive(Clone, Debug)]
pub(crate) struct Meaning {
    /// The collection's own name.
    pub(crate) collection: Bytes,
    /// When it was said: a flush removes those that are older. 0 of one that was loaded.
    pub(crate) generation: Generation,
}

/// All aliases as they are. Shared by all workers.
#[derive(Debug)]
pub struct Aliases {
    table: Latest<AliasTable>,
    /// How many there are, for commands that have nothing else to do with aliases.
    count: Gauge,
}

impl AliasTable {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The collection that is meant by this alias, if it is one.
    pub fn meaning(&self, name: &[u8]) -> Option<&Bytes> {
        self.by_name.get(name).map(|meaning| &meaning.collection)
    }

    /// All aliases and the collections that they mean, in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.by_name.iter().map(|(name, meaning)| (name, &meaning.collection))
    }

    /// Aliases that were said before that.
    pub(crate) fn before(&self, before: Generation) -> impl Iterator<Item = &Bytes> {
        let all = self.by_name.iter();
        all.filter(move |(_, meaning)| meaning.generation < before)
            .map(|(name, _)| name)
    }

    /// The aliases of one collection, in byte order.
    pub fn of<'t>(&'t self, collection: &'t [u8]) -> impl Iterator<Item = &'t Bytes> {
        let means_it = move |(name, meant): (&'t Bytes, &'t Bytes)| (*meant == *collection).then_some(name);
        self.iter().filter_map(means_it)
    }
}

impl Aliases {
    pub(crate) fn new() -> Aliases {
        Aliases {
            table: Latest::new(AliasTable::default()),
            count: Gauge::new(0),
        }
    }

    /// True if there are none. All workers ask that for every command, so it is as cheap as can be.
    pub fn is_empty(&self) -> bool {
        self.count.get() == 0
    }

    /// Those of this moment.
    pub fn now(&self) -> Arc<AliasTable> {
        self.table.get()
    }

    /// The collection that is meant by this alias, if it is one.
    pub fn meaning(&self, name: &[u8]) -> Option<Bytes> {
        if self.is_empty() {
            return None;
        }
        self.now().meaning(name).cloned()
    }

    /// What stands at a name is replaced; with the others, which are copied: there are few, and they seldom change.
    pub(crate) fn replace(&self, name: &[u8], meaning: Option<Meaning>) {
        let _: Result<(), ()> = self.table.replace(|table| {
            let mut next = table.clone();
            match meaning {
                Some(meaning) => next.by_name.insert(Bytes::copy_from_slice(name), meaning),
                None => next.by_name.remove(name),
            };
            self.count.set(next.len() as u64);
            Ok(next)
        });
    }
}
