//! One shard's part of a transaction: executed in one go, in as many slices as it takes.

use std::vec::IntoIter;

use bytes::Bytes;

use super::watches::{WATCHED_BYTES_PER_SLICE, WATCHED_KEY_WORK};
use super::{Origin, Shard, Unfinished};
use crate::limits::QUEUED_PER_SLICE;
use crate::mail::{Batch, PartialReply, RequestBody};

/// A part between two slices.
pub(crate) struct ExecutingBatch {
    /// Watched keys that have not been looked at.
    unchecked: IntoIter<Bytes>,
    requests: IntoIter<(u32, RequestBody)>,
    /// What it was in the middle of.
    current: Option<(u32, Box<Unfinished>)>,
    parts: Vec<(u32, PartialReply)>,
    is_watched: bool,
    /// No watched key was changed.
    has_begun: bool,
    now_ms: u64,
}

impl Shard {
    /// Begins, unless a key was changed that the client watches.
    pub(super) fn begin_batch(
        &mut self,
        batch: Batch,
        origin: Origin,
        now_ms: u64,
    ) -> Result<PartialReply, Box<Unfinished>> {
        let unchecked = match batch.is_watched {
            true => self.keyspace.observers().watches.keys_of(origin),
            false => Vec::new(),
        };
        self.resume_batch(
            ExecutingBatch {
                unchecked: unchecked.into_iter(),
                is_watched: batch.is_watched,
                has_begun: false,
                parts: Vec::with_capacity(batch.requests.len()),
                requests: batch.requests.into_iter(),
                current: None,
                now_ms,
            },
            origin,
        )
    }

    /// Goes on for a slice.
    pub(super) fn resume_batch(
        &mut self,
        mut batch: ExecutingBatch,
        origin: Origin,
    ) -> Result<PartialReply, Box<Unfinished>> {
        if !batch.has_begun {
            if !self.check_watched(&mut batch) {
                return Err(Box::new(Unfinished::Batch(Box::new(batch))));
            }
            if batch.is_watched && self.keyspace.observers_mut().watches.unwatch(origin) {
                return Ok(PartialReply::Overtaken);
            }
            self.keyspace.begin_batch();
            batch.has_begun = true;
        }
        for _ in 0..QUEUED_PER_SLICE {
            let (index, outcome) = match batch.current.take() {
                Some((index, unfinished)) => (index, self.resume(*unfinished, origin)),
                None => match batch.requests.next() {
                    Some((index, body)) => (index, self.begin(body, origin, batch.now_ms)),
                    None => {
                        self.keyspace.end_batch();
                        return Ok(PartialReply::Batch(batch.parts));
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

    /// A key that has expired by now has changed, even if no command has removed it yet. True if all were checked.
    fn check_watched(&mut self, batch: &mut ExecutingBatch) -> bool {
        let mut work = 0;
        while work < WATCHED_BYTES_PER_SLICE {
            let Some(key) = batch.unchecked.next() else { return true };
            work += WATCHED_KEY_WORK + key.len();
            self.resolve_live(&key, batch.now_ms);
            self.keyspace.drop_part_if_over(&key, batch.now_ms);
        }
        false
    }
}
