//! A read lease on a shard's collections, for all workers, while no command changes them.
//!
//! A query needs a collection that does not change meanwhile. So the owner of a shard grants a lease when its turn is over, and
//! any worker answers queries of its own clients in place (see `shared_reads`): no message crosses, no worker is woken, and all
//! cores read one collection. The owner ends the lease before it executes anything. It may have to retry while queries run that
//! had begun; none begins meanwhile.

use kora_keyspace::collections::CollectionTable;
use kora_mesh::ReadLease;

use super::Shard;
use crate::leased::{LeasedCollections, ReadLeases};
use crate::router::ShardId;

/// A shard's side of its lease.
pub(crate) struct Lease {
    /// Long work on the collections is unfinished: a lease between two slices would delay it.
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
    /// Reads the collections, leased or not.
    pub(super) fn inspect_collections<R>(&self, look: impl FnOnce(&CollectionTable) -> R) -> R {
        match self.keyspace.has_collections() {
            true => look(self.keyspace.collections()),
            false => {
                let seen = self.lease.lease().inspect(|leased| look(&leased.collections));
                seen.expect("leased collections are in the lease")
            }
        }
    }

    /// Must be called, and return true, before this shard's collections are used. False while a query of another worker reads
    /// them.
    #[must_use]
    pub(crate) fn end_lease(&mut self) -> bool {
        if !self.keyspace.has_collections()
            && let Some(leased) = self.lease.lease().take()
        {
            self.keyspace.return_collections(leased.collections);
        }
        self.keyspace.has_collections()
    }

    /// At the end of a turn: grants the lease, if there are vectors and no unfinished work on them.
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

    /// Notes that long work on the collections is unfinished, or about to continue.
    pub(super) fn note_busy(&mut self) {
        self.lease.is_busy = true;
    }
}
