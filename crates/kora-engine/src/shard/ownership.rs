//! Decisions about names: the shard that owns the slot of a name is the only one that makes, withdraws or refuses a
//! collection of that name, so each decision is local to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::Cause;
use kora_keyspace::catalog::{Generation, Schema};
use kora_keyspace::limits::BUCKET_WORK;
use kora_mesh::{Gauge, SharedDeadline};

use super::{Shard, Unfinished};
use crate::error::ClientError;
use crate::limits::{COLLECTIONS_MAX, NAMES_PER_SLICE};
use crate::mail::{IfThere, PartialReply, Proposal};

impl Shard {
    /// Makes a collection, unless there is one of that name.
    pub(super) fn create(&mut self, proposal: Proposal, at_ms: u64) -> PartialReply {
        self.assert_owns_name(&proposal.name);
        let place = self.resolve_live(&proposal.name, at_ms);
        // What is there now and had not expired when it was looked for a moment ago.
        let decision = match self.setup.catalog.newest(place.key) {
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
                    name_bytes: Gauge::new(0),
                    leaving: Gauge::new(0),
                    deadline: SharedDeadline::new(),
                });
                self.keyspace.create(&schema);
                Ok(schema)
            }
        };
        PartialReply::Decided(decision)
    }

    /// Withdraws a collection from the catalog. From then on no shard finds it; what they hold is freed on `Release`.
    pub(super) fn withdraw(&mut self, name: &Bytes) -> PartialReply {
        PartialReply::Withdrawn(self.withdraw_name(name))
    }

    pub(super) fn withdraw_name(&mut self, name: &[u8]) -> Option<Arc<Schema>> {
        self.assert_owns_name(name);
        self.keyspace.withdraw(name, Cause::Command)
    }

    /// Lets no vector be set in a collection for the time being that its owner has not heard of, since it may go. Answers
    /// the number of this attempt, or 0 if it stays or another attempt is under way.
    pub(super) fn close(&mut self, schema: &Schema) -> PartialReply {
        self.assert_owns_name(&schema.name);
        let newest = self.setup.catalog.newest(&schema.name);
        let closes = newest.filter(|newest| newest.generation == schema.generation && !newest.is_leaving());
        PartialReply::Count(closes.map_or(0, |schema| {
            self.attempts += 1;
            schema.leaving.set(self.attempts);
            self.attempts
        }))
    }

    /// A collection stays, if it is still there.
    pub(super) fn keep(&mut self, name: &Bytes) -> PartialReply {
        self.assert_owns_name(name);
        if let Some(schema) = self.setup.catalog.newest(name) {
            schema.leaving.set(0);
        }
        PartialReply::Done
    }

    /// Withdraws a collection that is empty, unless a command has kept it since this attempt began.
    pub(super) fn withdraw_empty(&mut self, schema: &Schema, attempt: u64) -> PartialReply {
        self.assert_owns_name(&schema.name);
        let newest = self.setup.catalog.newest(&schema.name);
        let is_the_same = |newest: &Schema| newest.generation == schema.generation && newest.leaving.get() == attempt;
        match newest.is_some_and(|newest| is_the_same(&newest)) {
            true => self.withdraw(&schema.name),
            false => PartialReply::Withdrawn(None),
        }
    }

    /// Withdraws the older ones of the collections that this shard owns, some buckets of the catalog at a time.
    pub(super) fn withdraw_before(&mut self, mut sweep: Sweep) -> Result<PartialReply, Box<Unfinished>> {
        let Shard { placement, id, .. } = *self;
        let owns = |name: &[u8]| placement.shard_of(name) == id;
        match self.keyspace.withdraw_before(sweep.before, sweep.bucket, owns) {
            None => Ok(PartialReply::Done),
            Some(bucket) => {
                sweep.bucket = bucket;
                Err(Box::new(Unfinished::Sweep(sweep)))
            }
        }
    }

    /// Collects the names of all collections, in byte order, some at a time.
    pub(super) fn list(&mut self, mut listing: Listing) -> Result<PartialReply, Box<Unfinished>> {
        let catalog = &self.setup.catalog;
        let mut looked_at = 0;
        while looked_at < NAMES_PER_SLICE {
            if listing.bucket < catalog.bucket_count() {
                let names = catalog.at(listing.now_ms).bucket(listing.bucket);
                looked_at += BUCKET_WORK + names.len();
                listing.bytes += names
                    .iter()
                    .map(|schema| 2 * (schema.name.len() + NAME_BYTES))
                    .sum::<usize>();
                if listing.bytes > self.setup.client_bytes_max() {
                    let bytes_max = self.setup.client_bytes_max();
                    return Ok(PartialReply::Refused(ClientError::ReplyTooLarge { bytes_max }));
                }
                listing.sorted.extend(names.iter().map(|schema| schema.name.clone()));
                listing.bucket += 1;
            } else {
                looked_at += 1;
                match listing.sorted.pop_first() {
                    Some(name) => listing.names.push(name),
                    None => return Ok(PartialReply::Names(listing.names)),
                }
            }
        }
        Err(Box::new(Unfinished::List(listing)))
    }

    pub(super) fn owns_name(&self, name: &[u8]) -> bool {
        self.placement.shard_of(name) == self.id
    }

    fn assert_owns_name(&self, name: &[u8]) {
        assert!(self.owns_name(name), "only the owner of a name decides about it");
    }
}

/// Where a sweep through the catalog stands.
pub(crate) struct Sweep {
    bucket: usize,
    before: Generation,
}

impl Sweep {
    pub(crate) fn new(before: Generation) -> Sweep {
        Sweep { bucket: 0, before }
    }
}

/// Where a listing of the catalog stands.
pub(crate) struct Listing {
    /// What has expired by then is not there.
    now_ms: u64,
    bucket: usize,
    /// What the names take, here and in the reply.
    bytes: usize,
    sorted: BTreeSet<Bytes>,
    names: Vec<Bytes>,
}

impl Listing {
    pub(crate) fn new(now_ms: u64) -> Listing {
        Listing {
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
