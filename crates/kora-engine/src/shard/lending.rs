//! A shard's collections, lent to all workers while nobody asks their owner to change them.
//!
//! A query asks nothing of a collection but to be left alone meanwhile. So whoever owns a shard lays its collections on a shelf
//! when its turn is over, and any worker answers queries of its own clients from there (see `reading`): no message crosses and
//! nobody is woken, and all cores read one collection. The owner takes them back before it executes anything. It may have to
//! try again, for as long as queries run that had begun; nobody begins one meanwhile.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use kora_mesh::Shelf;

use super::Shard;
use super::held::Held;
use crate::router::ShardId;

/// Where the collections of all shards lie while they are lent.
pub(crate) type Shelves = Arc<[Shelf<Lent>]>;

/// What a worker lends of a shard.
pub(crate) struct Lent {
    pub(super) held: Held,
    /// From then on something has expired that a query might meet, in milliseconds of Unix time: its owner reclaims it first.
    pub(super) due_ms: u64,
}

/// A shard's collections, here or lent.
pub(crate) struct Collections {
    /// Invariant: none only while they lie on the shelf.
    here: Option<Held>,
    /// Something long is being done to them: whoever lent them between two slices would make it wait.
    is_busy: bool,
    shelves: Shelves,
    id: ShardId,
}

impl Collections {
    pub(super) fn new(held: Held, id: ShardId, shelves: Shelves) -> Collections {
        Collections {
            here: Some(held),
            is_busy: false,
            shelves,
            id,
        }
    }

    /// Looks at them, wherever they are.
    pub(super) fn inspect<R>(&self, look: impl FnOnce(&Held) -> R) -> R {
        match &self.here {
            Some(held) => look(held),
            None => {
                let seen = self.shelf().inspect(|lent| look(&lent.held));
                seen.expect("what was lent lies on its shelf")
            }
        }
    }

    fn shelf(&self) -> &Shelf<Lent> {
        &self.shelves[self.id.index()]
    }
}

impl Deref for Collections {
    type Target = Held;

    fn deref(&self) -> &Held {
        self.here.as_ref().expect("they are taken back before anything is done")
    }
}

impl DerefMut for Collections {
    fn deref_mut(&mut self) -> &mut Held {
        self.here.as_mut().expect("they are taken back before anything is done")
    }
}

impl Shard {
    /// To be called before anything is done to this shard's collections, and true before it is done. False while somebody
    /// reads them.
    #[must_use]
    pub(crate) fn take_back(&mut self) -> bool {
        if self.collections.here.is_none() {
            self.collections.here = self.collections.shelf().take().map(|lent| lent.held);
        }
        self.collections.here.is_some()
    }

    /// At the end of a turn: lets others read the collections, if there are any and nothing that was begun here goes on with
    /// them.
    pub(crate) fn lend(&mut self) {
        let is_busy = std::mem::take(&mut self.collections.is_busy);
        let is_lent = self.collections.here.is_none();
        if is_lent || is_busy || self.live == 0 || !self.queue.is_empty() || self.has_upkeep() {
            return;
        }
        let due_ms = match self.keys.has_vectors() {
            true => self.keys.next_expiry_ms().unwrap_or(u64::MAX),
            false => u64::MAX,
        };
        if let Some(held) = self.collections.here.take() {
            let refused = self.collections.shelf().put(Lent { held, due_ms });
            self.collections.here = refused.err().map(|lent| lent.held);
        }
    }

    /// Notes that what is being done takes long, or that more of it follows.
    pub(super) fn note_busy(&mut self) {
        self.collections.is_busy = true;
    }
}
