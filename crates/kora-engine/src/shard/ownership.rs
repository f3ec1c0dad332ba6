//! Decisions about names: the shard that owns the slot of a name is the only one that makes, withdraws or refuses a
//! collection of that name, so each decision is local to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::Gauge;

use super::{Shard, Unfinished};
use crate::catalog::{Generation, Schema};
use crate::error::ClientError;
use crate::limits::{BUCKETS_PER_SLICE, COLLECTIONS_MAX, NAMES_PER_SLICE};
use crate::mail::{IfThere, Part, Proposal};

impl Shard {
    /// Makes a collection, unless there is one of that name.
    pub(super) fn create(&mut self, proposal: Proposal) -> Part {
        self.assert_owns_name(&proposal.name);
        let decision = match self.setup.catalog.find(&proposal.name) {
            Some(there) if proposal.if_there == IfThere::Take => Ok(there),
            Some(_) => Err(ClientError::CollectionExists {
                collection: proposal.name.to_vec(),
            }),
            None if self.setup.catalog.len() >= COLLECTIONS_MAX => Err(ClientError::TooManyCollections),
            None => {
                let schema = Arc::new(Schema {
                    name: proposal.name,
                    generation: self.setup.catalog.next_generation(),
                    dimension: proposal.dimension,
                    graph: proposal.graph,
                    name_bytes: Gauge::new(0),
                });
                self.setup.catalog.publish(Arc::clone(&schema));
                Ok(schema)
            }
        };
        Part::Decided(decision)
    }

    /// Withdraws a collection from the catalog. From then on no shard finds it; what they hold is freed on `Release`.
    pub(super) fn withdraw(&mut self, name: &Bytes) -> Part {
        self.assert_owns_name(name);
        Part::Withdrawn(self.setup.catalog.withdraw(name))
    }

    /// Withdraws the older ones of the collections that this shard owns, some buckets of the catalog at a time.
    pub(super) fn withdraw_before(&mut self, mut sweep: Sweep) -> Result<Part, Box<Unfinished>> {
        let end = (sweep.bucket + BUCKETS_PER_SLICE).min(self.setup.catalog.bucket_count());
        for bucket in sweep.bucket..end {
            for schema in self.setup.catalog.bucket(bucket) {
                if schema.generation < sweep.before && self.owns_name(&schema.name) {
                    self.setup.catalog.withdraw(&schema.name);
                }
            }
        }
        sweep.bucket = end;
        if end == self.setup.catalog.bucket_count() {
            Ok(Part::Done)
        } else {
            Err(Box::new(Unfinished::Sweep(sweep)))
        }
    }

    /// Collects the names of all collections, in byte order, some at a time.
    pub(super) fn list(&mut self, mut listing: Listing) -> Result<Part, Box<Unfinished>> {
        let buckets = self.setup.catalog.bucket_count();
        if listing.bucket < buckets {
            let end = (listing.bucket + BUCKETS_PER_SLICE).min(buckets);
            for bucket in listing.bucket..end {
                listing.sorted.extend(
                    self.setup
                        .catalog
                        .bucket(bucket)
                        .iter()
                        .map(|schema| schema.name.clone()),
                );
            }
            listing.bucket = end;
        } else {
            for _ in 0..NAMES_PER_SLICE {
                match listing.sorted.pop_first() {
                    Some(name) => listing.names.push(name),
                    None => return Ok(Part::Names(listing.names)),
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
#[derive(Default)]
pub(crate) struct Listing {
    bucket: usize,
    sorted: BTreeSet<Bytes>,
    names: Vec<Bytes>,
}
