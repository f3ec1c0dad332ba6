//! What is counted of vectors for each database. The sums over all databases are counted apart, and what database 0 has is the
//! difference: so nothing is counted twice where there is no other.

use std::collections::{BTreeMap, BTreeSet};

use kora_values::Database;

use crate::changes::Observer;
use crate::keyspace::Keyspace;

/// What vectors a database other than 0 has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct VectorCount {
    /// Keys: vectors, and vector sets.
    pub(crate) keys: usize,
    /// Vectors that expire.
    pub(crate) expiring: usize,
}

/// The counts of databases other than 0 that have vectors.
pub(crate) type VectorCounts = BTreeMap<Database, VectorCount>;

impl<O: Observer> Keyspace<O> {
    /// A part of the collection of this name counted so many keys and expiring vectors before, and counts others now.
    #[inline]
    pub(crate) fn count_in_database(&mut self, name: &[u8], before: [usize; 2], now: [usize; 2]) {
        let database = Database::of(name);
        if database != Database::ZERO && before != now {
            let count = self.other_vectors.entry(database).or_default();
            count.keys = count.keys - before[0] + now[0];
            count.expiring = count.expiring - before[1] + now[1];
            if *count == VectorCount::default() {
                self.other_vectors.remove(&database);
            }
        }
    }

    /// Keys of a database that all parts held stand for: its vectors, and one for each vector set.
    pub fn vector_keys_of(&self, database: Database) -> usize {
        self.vectors_of(database).keys
    }

    /// Keys of a database, and how many keys and vectors of it expire; with what has expired and is not removed yet.
    pub fn counts_of(&self, database: Database) -> (usize, usize) {
        let (table, vectors) = (self.keys.of(database), self.vectors_of(database));
        (table.len() + vectors.keys, table.expiring() + vectors.expiring)
    }

    /// Database 0, and others that may have keys or vectors.
    pub fn used_databases(&self) -> BTreeSet<Database> {
        let of_keys = self.keys.databases().map(|(database, _)| database);
        of_keys.chain(self.other_vectors.keys().copied()).collect()
    }

    fn vectors_of(&self, database: Database) -> VectorCount {
        if database != Database::ZERO {
            return self.other_vectors.get(&database).copied().unwrap_or_default();
        }
        let others = self.other_vectors.values();
        let all = VectorCount {
            keys: self.vector_keys,
            expiring: self.expiring_vectors,
        };
        others.fold(all, |left, other| VectorCount {
            keys: left.keys - other.keys,
            expiring: left.expiring - other.expiring,
        })
    }

    /// # Panics
    /// If the counts are not those of the parts, each given as name, keys and expiring vectors.
    pub(crate) fn assert_counted<'p>(&self, parts: impl Iterator<Item = (&'p [u8], usize, usize)>) {
        let mut counts = VectorCounts::new();
        for (name, keys, expiring) in parts {
            let database = Database::of(name);
            if database != Database::ZERO && (keys, expiring) != (0, 0) {
                let count = counts.entry(database).or_default();
                count.keys += keys;
                count.expiring += expiring;
            }
        }
        assert_eq!(counts, self.other_vectors, "vectors of each database are counted");
    }
}
