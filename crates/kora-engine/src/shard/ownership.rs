//! Decisions about names: the shard that owns the slot of a name is the only one that makes, withdraws or refuses a
//! collection of that name, so each decision is local to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::Cause;
use kora_keyspace::catalog::{Generation, Schema};
use kora_keyspace::limits::BUCKET_WORK;
use kora_mesh::{Gauge, SharedDeadline};
use kora_values::Database;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::Task;
use crate::budgets::NAME_WORK;
use crate::databases::as_said;
use crate::error::ClientError;
use crate::limits::COLLECTIONS_MAX;
use crate::mail::{IfThere, Proposal};

impl Shard {
    /// Makes a collection, unless there is one of that name.
    pub(super) fn create(&mut self, proposal: Proposal, at_ms: u64) -> Result<Arc<Schema>, ClientError> {
        self.assert_owns_name(&proposal.name);
        let place = self.resolve_live(&proposal.name, at_ms);
        if let Some(refusal) = self.refuse_alias(place.key) {
            return Err(refusal);
        }
        // What is there now and had not expired when it was looked for a moment ago.
        match self.setup.catalog.newest(place.key) {
            None if self.keyspace.entry(place).is_some() => Err(ClientError::WrongType),
            Some(there) if proposal.if_there == IfThere::Take => {
                there.leaving.set(0);
                Ok(there)
            }
            Some(_) => Err(ClientError::CollectionExists {
                collection: proposal.name.to_vec(),
            }),
            None if self.setup.catalog.len() >= COLLECTIONS_MAX => Err(ClientError::TooManyCollections),
            None => {
                let schema = Arc::new(Schema {
                    // A copy: the other may be a part of a large request, and is shared.
                    name: Bytes::copy_from_slice(&proposal.name),
                    generation: self.setup.catalog.next_generation(),
                    dimension: proposal.dimension,
                    graph: proposal.graph,
                    made_by: proposal.made_by,
                    label: proposal.label,
                    name_bytes: Gauge::new(0),
                    leaving: Gauge::new(0),
                    deadline: SharedDeadline::new(),
                });
                self.keyspace.create(&schema);
                Ok(schema)
            }
        }
    }

    /// Withdraws a collection from the catalog. From then on no shard finds it; what they hold is freed on `Release`.
    pub(super) fn withdraw(&mut self, name: &[u8]) -> Option<Arc<Schema>> {
        self.assert_owns_name(name);
        self.keyspace.withdraw(name, Cause::Command)
    }

    /// Lets no vector be set in a collection for the time being that its owner has not heard of, since it may go. Answers
    /// the number of this attempt, or 0 if it stays or another attempt is under way.
    pub(super) fn close(&mut self, schema: &Schema) -> u64 {
        self.assert_owns_name(&schema.name);
        let newest = self.setup.catalog.newest(&schema.name);
        let closes = newest.filter(|newest| newest.generation == schema.generation && !newest.is_leaving());
        closes.map_or(0, |schema| {
            self.attempts += 1;
            schema.leaving.set(self.attempts);
            self.attempts
        })
    }

    /// A collection stays, if it is still there.
    pub(super) fn keep(&mut self, name: &Bytes) {
        self.assert_owns_name(name);
        if let Some(schema) = self.setup.catalog.newest(name) {
            schema.leaving.set(0);
        }
    }

    /// Withdraws a collection that is empty, unless a command has kept it since this attempt began.
    pub(super) fn withdraw_empty(&mut self, schema: &Schema, attempt: u64) -> Option<Arc<Schema>> {
        self.assert_owns_name(&schema.name);
        let newest = self.setup.catalog.newest(&schema.name);
        let is_the_same = |newest: &Schema| newest.generation == schema.generation && newest.leaving.get() == attempt;
        match newest.is_some_and(|newest| is_the_same(&newest)) {
            true => self.withdraw(&schema.name),
            false => None,
        }
    }

    pub(super) fn owns_name(&self, name: &[u8]) -> bool {
        self.placement.shard_of(name) == self.id
    }

    fn assert_owns_name(&self, name: &[u8]) {
        assert!(self.owns_name(name), "only the owner of a name decides about it");
    }
}

/// Withdraws the older ones of the collections that a shard owns, some buckets of the catalog at a time.
pub(super) struct Sweep {
    bucket: usize,
    before: Generation,
    /// Of which database, if not of all.
    database: Option<Database>,
}

impl Task for Sweep {
    type Answer = ();

    fn slice(&mut self, shard: &mut Shard, _work: &mut Work) -> Step<()> {
        let Shard { placement, id, .. } = *shard;
        let database = self.database;
        let is_meant = |name: &[u8]| database.is_none_or(|database| Database::of(name) == database);
        let owns = |name: &[u8]| is_meant(name) && placement.shard_of(name) == id;
        if self.bucket == 0 {
            shard.keyspace.remove_aliases_before(self.before, owns);
        }
        match shard.keyspace.withdraw_before(self.before, self.bucket, owns) {
            None => Step::Done(()),
            Some(bucket) => {
                self.bucket = bucket;
                Step::More
            }
        }
    }
}

impl Sweep {
    pub(super) fn new(before: Generation, database: Option<Database>) -> Sweep {
        let bucket = 0;
        Sweep {
            bucket,
            before,
            database,
        }
    }
}

/// Lets go of all keys, and of all older collections: at once, or if some were made while the flush was on its way, some
/// at a time.
pub(super) struct Release {
    before: Generation,
    /// Of which database, if not of all.
    database: Option<Database>,
    /// The place of the collection that is next.
    from: u32,
}

impl Release {
    pub(super) fn new(before: Generation, database: Option<Database>) -> Release {
        let from = 0;
        Release { before, database, from }
    }
}

impl Task for Release {
    type Answer = ();

    fn slice(&mut self, shard: &mut Shard, _work: &mut Work) -> Step<()> {
        match shard.keyspace.flush(self.before, self.database, self.from) {
            None => Step::Done(()),
            Some(from) => {
                self.from = from;
                Step::More
            }
        }
    }
}

/// Collects the names of all collections of a database, in byte order, some at a time.
pub(super) struct Listing {
    database: Database,
    /// What has expired by then is not there.
    now_ms: u64,
    bucket: usize,
    /// What the names take, here and in the reply.
    bytes: usize,
    sorted: BTreeSet<Bytes>,
    names: Vec<Bytes>,
}

impl Task for Listing {
    type Answer = Result<Vec<Bytes>, ClientError>;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Self::Answer> {
        let catalog = &shard.setup.catalog;
        loop {
            if self.bucket < catalog.bucket_count() {
                let mut names = catalog.at(self.now_ms).bucket(self.bucket);
                work.spend(NAME_WORK * (BUCKET_WORK + names.len()) as u64);
                names.retain(|schema| Database::of(&schema.name) == self.database);
                self.bytes += names
                    .iter()
                    .map(|schema| 2 * (schema.name.len() + NAME_BYTES))
                    .sum::<usize>();
                let bytes_max = shard.setup.client_bytes_max();
                if self.bytes > bytes_max {
                    return Step::Done(Err(ClientError::ReplyTooLarge { bytes_max }));
                }
                self.sorted.extend(names.iter().map(|schema| as_said(&schema.name)));
                self.bucket += 1;
            } else {
                work.spend(NAME_WORK);
                match self.sorted.pop_first() {
                    Some(name) => self.names.push(name),
                    None => return Step::Done(Ok(std::mem::take(&mut self.names))),
                }
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }
}

impl Listing {
    pub(super) fn new(database: Database, now_ms: u64) -> Listing {
        Listing {
            database,
            now_ms,
            bucket: 0,
            bytes: 0,
            sorted: BTreeSet::new(),
            names: Vec::new(),
        }
    }
}

/// A name in a reply, without its bytes. It counts twice, as every reply does.
const NAME_BYTES: usize = 48;
