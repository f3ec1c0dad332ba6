//! The part of a shard that other workers may read in place. How a shard leases it stands in `shard/read_lease.rs`, and how
//! it is read in `shard/shared_reads.rs`.

use std::sync::Arc;

use kora_keyspace::collections::CollectionTable;
use kora_mesh::ReadLease;

/// The leases of all shards, which hold the collections while they are leased.
pub(crate) type ReadLeases = Arc<[ReadLease<LeasedCollections>]>;

/// The part of a shard that a lease covers.
pub(crate) struct LeasedCollections {
    pub(crate) collections: CollectionTable,
    /// When the next vector expires, in milliseconds of Unix time: from then on the owner has to remove it before a query.
    pub(crate) due_ms: u64,
}
