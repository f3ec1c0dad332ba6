//! DBSIZE on one shard.

use kora_keyspace::collections::Collection;
use kora_values::Database;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::Task;
use crate::budgets::KEY_WORK;

/// A DBSIZE between two slices: strings, hashes, vectors and vector sets of a database. While there are collections that expire,
/// each one held is looked at.
pub(super) struct Counting {
    database: Database,
    now_ms: u64,
    /// The place of the collection that is next.
    next: u32,
    live: usize,
}

impl Counting {
    pub(super) fn new(database: Database, now_ms: u64) -> Counting {
        Counting {
            database,
            now_ms,
            next: 0,
            live: 0,
        }
    }
}

impl Task for Counting {
    type Answer = u64;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<u64> {
        let keys = shard.keyspace.keys().of(self.database).len();
        if self.next == 0 && shard.setup.catalog.expiring() == 0 {
            return Step::Done((shard.keyspace.vector_keys_of(self.database) + keys) as u64);
        }
        let collections = shard.keyspace.collections();
        while self.next < collections.places() {
            let part = collections.at(self.next);
            let there = part.filter(|part| is_there(part, self.database, self.now_ms));
            self.live += there.map_or(0, Collection::keys);
            self.next += 1;
            work.spend(KEY_WORK);
            if work.is_spent() {
                return Step::More;
            }
        }
        Step::Done((self.live + keys) as u64)
    }
}

impl Shard {
    /// How many keys of vectors and vector sets of a database there are, without those of collections that have expired.
    pub(super) fn live_at(&self, database: Database, now_ms: u64) -> usize {
        match self.setup.catalog.expiring() {
            0 => self.keyspace.vector_keys_of(database),
            _ => {
                let parts = self.keyspace.collections().iter();
                let there = parts.filter(|part| is_there(part, database, now_ms));
                there.map(Collection::keys).sum()
            }
        }
    }
}

/// True of a part of a collection of this database that has not expired.
pub(super) fn is_there(part: &Collection, database: Database, now_ms: u64) -> bool {
    let schema = part.schema();
    Database::of(&schema.name) == database && !schema.deadline.is_over(now_ms)
}
