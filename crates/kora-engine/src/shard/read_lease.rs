//! A shard's collections, lent to all workers while no command changes them.
//!
//! A query asks nothing of a collection but to be left alone meanwhile. So the owner of a shard lays its collections on a lease
//! when its turn is over, and any worker answers queries of its own clients from there (see `shared_reads`): no message crosses,
//! no worker is woken, and all cores read one collection. The owner takes them back before it executes anything. It may have to
//! try again, for as long as queries run that had begun; none begins meanwhile.

use std::sync::Arc;

use kora_keyspace::collections::CollectionTable;
use kora_mesh::ReadLease;

use super::Shard;
use crate::router::ShardId;

/// Where the collections of all shards lie while they are lent.
pub(crate) type ReadLeases = Arc<[ReadLease<LeasedCollections>]>;

/// What a worker lends of a shard.
pub(crate) struct LeasedCollections {
    pub(super) collections: CollectionTable,
    /// From then on a vector has expired that a query might meet, in milliseconds of Unix time: its owner removes it first.
    pub(super) due_ms: u64,
}

/// How a shard lends its collections.
pub(crate) struct Lease {
    /// Something long is being done to them: to lend them between two slices would make it wait.
    is_busy: bool,
    leases: ReadLeases,
    id: ShardId,
}

impl Lease {
    pub(super) fn new(id: ShardId, leases: ReadLeases) -> Lease {
        Lease {
            is_busy: false,
            leases,
            id,
        }
    }

    fn lease(&self) -> &ReadLease<LeasedCollections> {
        &self.leases[self.id.index()]
    }
}

impl Shard {
    /// Looks at the collections, wherever they are.
    pub(super) fn inspect_collections<R>(&self, look: impl FnOnce(&CollectionTable) -> R) -> R {
        match self.keyspace.has_collections() {
            true => look(self.keyspace.collections()),
            false => {
                let seen = self.lease.lease().inspect(|leased| look(&leased.collections));
                seen.expect("what was lent lies on its shelf")
            }
        }
    }

    /// To be called before anything is done to this shard's collections, and true before it is done. False while a query
    /// reads them.
    #[must_use]
    pub(crate) fn end_lease(&mut self) -> bool {
        if !self.keyspace.has_collections()
            && let Some(leased) = self.lease.lease().take()
        {
            self.keyspace.return_collections(leased.collections);
        }
        self.keyspace.has_collections()
    }

    /// At the end of a turn: lets others read the collections, if there are any and nothing that was begun here goes on with
    /// them.
    pub(crate) fn grant_lease(&mut self) {
        let is_busy = std::mem::take(&mut self.lease.is_busy);
        let is_leased = !self.keyspace.has_collections();
        if is_leased || is_busy || self.live() == 0 || !self.queue.is_empty() || self.keyspace.has_upkeep() {
            return;
        }
        let due_ms = self.keyspace.next_vector_deadline_ms();
        if let Some(collections) = self.keyspace.lease_collections() {
            let refused = self.lease.lease().put(LeasedCollections { collections, due_ms });
            if let Err(leased) = refused {
                self.keyspace.return_collections(leased.collections);
            }
        }
    }

    /// Notes that what is being done takes long, or that more of it follows.
    pub(super) fn note_busy(&mut self) {
        self.lease.is_busy = true;
    }
}
