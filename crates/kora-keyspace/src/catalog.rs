//! The collections that exist: what all shards read and only the owner of a name writes.
//!
//! The shard that owns the slot of a collection's name decides everything about that name (`shard/ownership.rs`), so each
//! decision is local to one shard. What it decides stands here, in a map that every worker reads without locks. A
//! shard looks a name up when it executes; generations tell a collection from an earlier one of the same name.

use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::{CopyOnWriteMap, Gauge, Latest, Sequence, SharedCounter, SharedDeadline};
use kora_vector::{Metric, Quantisation, Storage};

use crate::aliases::Aliases;
use crate::libraries::{Libraries, Library};

/// Tells a collection from every other, also from earlier ones of the same name. Later ones are larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(pub u64);

/// What a collection is. But for its end and the gauges, it never changes during the collection's life.
#[derive(Debug)]
pub struct Schema {
    /// Its name.
    pub name: Bytes,
    /// Which collection of that name.
    pub generation: Generation,
    /// Components of each vector.
    pub dimension: usize,
    /// What distance means.
    pub graph: GraphSettings,
    /// How it came to be.
    pub made_by: MadeBy,
    /// What the client that made it wants to remember of it; empty if nothing.
    pub label: Bytes,
    /// How long an element's name is on average, roughly: what replies about many of them will cost.
    pub name_bytes: Gauge,
    /// Which attempt to let it go is under way, if one is; otherwise 0. Only the owner of its name moves it.
    pub leaving: Gauge,
    /// When it expires, in milliseconds of Unix time. Only the owner of its name moves that; that it is over is found by
    /// whoever looks first, and then it is over for all.
    pub deadline: SharedDeadline,
}

/// How a collection came to be, and so whether it stays without vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MadeBy {
    /// By its first vector. It goes when its last one has gone.
    Vecset,
    /// By VECCREATE. It stays.
    Veccreate,
    /// By the first VADD. It is one key, its elements are none, and it goes when the last one has gone.
    Vadd(SetForm),
}

/// What the first VADD of a vector set has said and each later one must repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetForm {
    /// In what form the vectors are kept.
    pub quantisation: Quantisation,
    /// Links of a node as they were said: the graph may have fewer.
    pub m: u32,
    /// Components of the vectors before they are projected to the set's dimension; 0 if they are not.
    pub projected_from: u32,
}

impl MadeBy {
    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            MadeBy::Vecset => "VECSET",
            MadeBy::Veccreate => "VECCREATE",
            MadeBy::Vadd(_) => "VADD",
        }
    }
}

impl Schema {
    /// Its form, if it is a vector set: then all of it lies on the shard of its name, and its elements are no keys.
    pub fn set_form(&self) -> Option<SetForm> {
        match self.made_by {
            MadeBy::Vadd(form) => Some(form),
            MadeBy::Vecset | MadeBy::Veccreate => None,
        }
    }

    /// True if an element of this name has a key: not one of a vector set, and none whose name holds a `:`, which only a command
    /// reaches that names collection and element by two words.
    pub fn has_key(&self, name: &[u8]) -> bool {
        self.set_form().is_none() && !name.contains(&b':')
    }

    /// True if it may be let go because it holds no vector. No vector is set in it then before its owner has said that it
    /// stays.
    pub fn is_leaving(&self) -> bool {
        self.leaving.get() != 0
    }
}

/// How the graphs of a collection are built and searched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GraphSettings {
    /// What distance means.
    pub metric: Metric,
    /// In what form vectors are kept.
    pub storage: Storage,
    /// Links of a node on the upper layers; twice as many on the lowest.
    pub m: usize,
    /// Candidates looked at when a vector is inserted.
    pub ef_construction: usize,
    /// Candidates kept by a query that does not say EF.
    pub ef_search: usize,
    /// So many vectors of one shard have a graph: `GRAPH_MIN` of the index in a server. In a simulation fewer, so that there
    /// are graphs at all.
    pub graph_min: usize,
}

/// All collections. Shared by all workers.
pub struct Catalog {
    schemas: CopyOnWriteMap<Arc<Schema>>,
    /// Invariant: none has the name of a collection that was made while the alias was there.
    aliases: Aliases,
    generations: Sequence,
    /// How many collections expire, with those that have expired of which parts are still held.
    expiring_collections: SharedCounter,
    libraries: Latest<Libraries>,
    hash_seed: u64,
}

/// The collections that there are at a time: one that has expired by then is not there.
#[derive(Clone, Copy)]
pub struct CatalogView<'c> {
    catalog: &'c Catalog,
    at_ms: u64,
}

impl Catalog {
    /// An empty catalog. The seed keys the hash of names: random in a server, so that no client can choose names that
    /// collide; fixed in a simulation.
    pub fn new(hash_seed: u64) -> Catalog {
        Catalog {
            schemas: CopyOnWriteMap::new(hash_seed),
            aliases: Aliases::new(),
            generations: Sequence::new(),
            expiring_collections: SharedCounter::new(),
            libraries: Latest::new(Libraries::default()),
            hash_seed,
        }
    }

    /// What keys the hashes of names.
    pub fn hash_seed(&self) -> u64 {
        self.hash_seed
    }

    /// Other names of collections.
    pub fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// What there is at a time, in milliseconds of Unix time.
    pub fn at(&self, at_ms: u64) -> CatalogView<'_> {
        CatalogView { catalog: self, at_ms }
    }

    /// The collection of that name that was last made and not withdrawn, also if it has expired since.
    pub fn newest(&self, name: &[u8]) -> Option<Arc<Schema>> {
        self.schemas.find(name)
    }

    /// How many collections expire, with those that have expired of which parts are still held.
    pub fn expiring(&self) -> u64 {
        self.expiring_collections.get()
    }

    /// The count of these.
    pub fn expiring_collections(&self) -> &SharedCounter {
        &self.expiring_collections
    }

    /// How long the names of its elements are on average, roughly, if there is a collection of that name.
    pub fn name_bytes(&self, name: &[u8]) -> Option<usize> {
        let bytes = |schema: &Arc<Schema>| usize::try_from(schema.name_bytes.get()).unwrap_or(usize::MAX);
        self.schemas.inspect(name, |schema| schema.map(bytes))
    }

    /// The libraries of functions that there are.
    pub fn libraries(&self) -> Arc<Libraries> {
        self.libraries.get()
    }

    /// Changes which libraries there are; those before, and those now.
    pub(crate) fn change_libraries(&self, gone: &[Bytes], set: &[Library]) -> (Arc<Libraries>, Arc<Libraries>) {
        let before = self.libraries();
        let change = |now: &Libraries| Ok::<_, std::convert::Infallible>(now.changed(gone, set));
        let Ok(()) = self.libraries.replace(change);
        (before, self.libraries())
    }

    /// How many collections there are, with those that have expired and are not withdrawn yet.
    pub fn len(&self) -> usize {
        self.schemas.len()
    }

    /// True if there is no collection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A generation later than every one before.
    pub fn next_generation(&self) -> Generation {
        Generation(self.generations.next())
    }

    /// Lets the next generation be at least this: later than all that were ever made in a directory that is loaded.
    pub fn go_on_from(&self, generation: u64) {
        self.generations.go_on_from(generation);
    }

    /// Makes a collection visible to all workers. Only the owner of its name calls this, after it saw that there is none.
    pub fn publish(&self, schema: &Arc<Schema>) {
        let before = self.schemas.publish(&schema.name, Arc::clone(schema));
        assert!(
            before.is_none(),
            "the owner of a name is its only writer and saw that it was free"
        );
    }

    /// Takes a collection away. Only the owner of its name calls this.
    pub fn withdraw(&self, name: &[u8]) -> Option<Arc<Schema>> {
        self.schemas.withdraw(name)
    }

    /// Takes collections of one bucket away. Only those whose names the caller owns.
    pub fn withdraw_where(&self, bucket: usize, is_withdrawn: impl FnMut(&Arc<Schema>) -> bool) {
        self.schemas.withdraw_where(bucket, is_withdrawn);
    }

    /// The collections of one bucket that are not withdrawn, also if they have expired since.
    pub fn bucket(&self, index: usize) -> Vec<Arc<Schema>> {
        let bucket = self.schemas.bucket(index);
        bucket.iter().map(|(_, schema)| Arc::clone(schema)).collect()
    }

    /// How many collections a bucket holds.
    pub fn bucket_len(&self, index: usize) -> usize {
        self.schemas.bucket(index).len()
    }

    /// How many collections stand in one bucket on average, with which each of them is withdrawn.
    pub fn names_per_bucket(&self) -> usize {
        self.len() / self.bucket_count()
    }

    /// How many buckets there are to look through.
    pub fn bucket_count(&self) -> usize {
        self.schemas.bucket_count()
    }
}

impl CatalogView<'_> {
    /// The collection of that name.
    pub fn find(self, name: &[u8]) -> Option<Arc<Schema>> {
        self.inspect(name, |schema| schema.map(Arc::clone))
    }

    /// True if there is a collection of that name.
    pub fn holds(self, name: &[u8]) -> bool {
        self.inspect(name, |schema| schema.is_some())
    }

    /// True if there is a collection of that name in which vectors may be set without asking its owner.
    pub fn takes_vectors(self, name: &[u8]) -> bool {
        self.inspect(name, |schema| schema.is_some_and(|schema| !schema.is_leaving()))
    }

    /// Which collection has that name, without touching the counter that all workers share.
    pub fn generation_of(self, name: &[u8]) -> Option<Generation> {
        self.inspect(name, |schema| schema.map(|schema| schema.generation))
    }

    /// True if there is a vector set of that name.
    pub fn holds_set(self, name: &[u8]) -> bool {
        self.inspect(name, |schema| schema.is_some_and(|schema| schema.set_form().is_some()))
    }

    /// The collection, first in byte order, whose name begins with this one and a `:`, of the first so many that are looked at.
    pub fn one_below(self, name: &[u8], names_max: usize) -> Option<Arc<Schema>> {
        let (mut looked_at, mut first) = (0, None::<Arc<Schema>>);
        for index in 0..self.catalog.bucket_count() {
            let bucket = self.catalog.schemas.bucket(index);
            looked_at += bucket.len();
            let is_below = |schema: &Arc<Schema>| {
                let rest = schema.name.strip_prefix(name);
                rest.is_some_and(|rest| rest.first() == Some(&b':')) && !schema.deadline.is_over(self.at_ms)
            };
            for schema in bucket
                .iter()
                .map(|(_, schema)| schema)
                .filter(|schema| is_below(schema))
            {
                if first.as_ref().is_none_or(|first| schema.name < first.name) {
                    first = Some(Arc::clone(schema));
                }
            }
            if looked_at > names_max {
                break;
            }
        }
        first
    }

    /// True if there are none at all.
    pub fn is_empty(self) -> bool {
        self.catalog.is_empty()
    }

    /// The collections of one bucket.
    pub fn bucket(self, index: usize) -> Vec<Arc<Schema>> {
        let bucket = self.catalog.schemas.bucket(index);
        let there = bucket.iter().filter(|(_, schema)| !schema.deadline.is_over(self.at_ms));
        there.map(|(_, schema)| Arc::clone(schema)).collect()
    }

    fn inspect<T>(self, name: &[u8], look: impl FnOnce(Option<&Arc<Schema>>) -> T) -> T {
        self.catalog.schemas.inspect(name, |schema| {
            look(schema.filter(|schema| !schema.deadline.is_over(self.at_ms)))
        })
    }
}
