//! One shard's part of a transaction: executed in one go, in as many slices as it takes.

use std::vec::IntoIter;

use super::{Origin, Shard, Unfinished};
use crate::limits::KEYS_PER_SLICE;
use crate::mail::{Ask, Batch, Part};

/// A part between two slices.
pub(crate) struct Executing {
    asks: IntoIter<(u32, Ask)>,
    /// What it was in the middle of.
    current: Option<(u32, Box<Unfinished>)>,
    parts: Vec<(u32, Part)>,
    now_ms: u64,
}

impl Shard {
    /// Begins, unless a key was changed that the client watches.
    pub(super) fn begin_batch(&mut self, batch: Batch, origin: Origin, now_ms: u64) -> Result<Part, Box<Unfinished>> {
        if batch.is_watched {
            // A key that has expired by now was changed, though nobody may have seen it yet.
            for key in self.keyspace.observers().watches.keys_of(origin) {
                self.resolve_live(&key, now_ms);
                self.keyspace.drop_part_if_over(&key, now_ms);
            }
            if self.keyspace.observers_mut().watches.unwatch(origin) {
                return Ok(Part::Overtaken);
            }
        }
        self.keyspace.begin_batch();
        self.resume_batch(
            Executing {
                parts: Vec::with_capacity(batch.asks.len()),
                asks: batch.asks.into_iter(),
                current: None,
                now_ms,
            },
            origin,
        )
    }

    /// Goes on for a slice.
    pub(super) fn resume_batch(&mut self, mut batch: Executing, origin: Origin) -> Result<Part, Box<Unfinished>> {
        for _ in 0..KEYS_PER_SLICE {
            let (index, outcome) = match batch.current.take() {
                Some((index, unfinished)) => (index, self.resume(*unfinished, origin)),
                None => match batch.asks.next() {
                    Some((index, ask)) => (index, self.begin(ask, origin, batch.now_ms)),
                    None => {
                        self.keyspace.end_batch();
                        return Ok(Part::Batch(batch.parts));
                    }
                },
            };
            match outcome {
                Ok(part) => batch.parts.push((index, part)),
                Err(unfinished) => {
                    batch.current = Some((index, unfinished));
                    break;
                }
            }
        }
        Err(Box::new(Unfinished::Batch(Box::new(batch))))
    }
}
