//! DBSIZE on one shard.

use kora_keyspace::collections::Collection;
use kora_keyspace::limits::PLACES_PER_SLICE;

use super::{Shard, Unfinished};
use crate::mail::PartialReply;

/// A DBSIZE between two slices.
pub(crate) struct Counting {
    now_ms: u64,
    /// The place of the collection that is next.
    next: u32,
    live: usize,
}

impl Counting {
    pub(crate) fn new(now_ms: u64) -> Counting {
        Counting {
            now_ms,
            next: 0,
            live: 0,
        }
    }
}

impl Shard {
    /// Strings, hashes and vectors. While there are collections that expire, each one held is looked at, some at a time.
    pub(super) fn count(&mut self, mut counting: Counting) -> Result<PartialReply, Box<Unfinished>> {
        let keys = self.keyspace.keys().len();
        if counting.next == 0 && self.setup.catalog.expiring() == 0 {
            return Ok(PartialReply::Count((self.live() + keys) as u64));
        }
        let collections = self.keyspace.collections();
        let places = collections.places();
        let end = places.min(counting.next.saturating_add(PLACES_PER_SLICE));
        let parts = (counting.next..end).filter_map(|place| collections.at(place));
        let there = parts.filter(|part| !part.schema().deadline.is_over(counting.now_ms));
        counting.live += there.map(Collection::live).sum::<usize>();
        counting.next = end;
        match end == places {
            true => Ok(PartialReply::Count((counting.live + keys) as u64)),
            false => Err(Box::new(Unfinished::Count(counting))),
        }
    }

    /// How many vectors there are, without those of collections that have expired.
    pub(super) fn live_at(&self, now_ms: u64) -> usize {
        match self.setup.catalog.expiring() {
            0 => self.live(),
            _ => {
                let parts = self.keyspace.collections().iter();
                let there = parts.filter(|part| !part.schema().deadline.is_over(now_ms));
                there.map(Collection::live).sum()
            }
        }
    }
}
