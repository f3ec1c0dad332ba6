//! One shard's part of a transaction: executed in one go, in as many slices as it takes.

use std::vec::IntoIter;

use bytes::Bytes;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::{Begun, Task, Unfinished};
use crate::budgets::{QUEUED_WORK, WATCHED_BYTE_WORK, WATCHED_KEY_WORK};
use crate::mail::{Batch, Origin, PartialReply, RequestBody};

/// A part between two slices.
pub(super) struct ExecutingBatch {
    /// Watched keys that have not been looked at.
    unchecked: IntoIter<Bytes>,
    requests: IntoIter<(u32, RequestBody)>,
    origin: Origin,
    /// The unfinished command.
    current: Option<(u32, Unfinished)>,
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
        work: &mut Work,
    ) -> Begun<PartialReply> {
        let unchecked = match batch.is_watched {
            true => self.keyspace.observers().watches.keys_of(origin),
            false => Vec::new(),
        };
        let executing = ExecutingBatch {
            unchecked: unchecked.into_iter(),
            is_watched: batch.is_watched,
            has_begun: false,
            parts: Vec::with_capacity(batch.requests.len()),
            requests: batch.requests.into_iter(),
            origin,
            current: None,
            now_ms,
        };
        self.run(executing, work)
    }
}

impl ExecutingBatch {
    /// Looks at the keys that the client watches, then begins; false if a key was changed.
    fn begin(&mut self, shard: &mut Shard, work: &mut Work) -> Step<bool> {
        // A key that has expired by now, or of which a field has, has changed, even if no command has removed it yet.
        for key in self.unchecked.by_ref() {
            work.spend(WATCHED_KEY_WORK + WATCHED_BYTE_WORK * key.len() as u64);
            let place = shard.resolve_live(&key, self.now_ms);
            // One tells that the hash has changed.
            shard.keyspace.remove_due_fields(place, 1);
            shard.keyspace.drop_part_if_over(&key, self.now_ms);
            if work.is_spent() {
                return Step::More;
            }
        }
        if self.is_watched && shard.keyspace.observers_mut().watches.unwatch(self.origin) {
            return Step::Done(false);
        }
        shard.keyspace.begin_batch();
        self.has_begun = true;
        Step::Done(true)
    }
}

impl Task for ExecutingBatch {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        if !self.has_begun {
            match self.begin(shard, work) {
                Step::More => return Step::More,
                Step::Done(false) => return Step::Done(PartialReply::Overtaken),
                Step::Done(true) => {}
            }
        }
        loop {
            let (index, begun) = match self.current.take() {
                Some((index, mut task)) => match task.slice(shard, work) {
                    Step::Done(part) => (index, Begun::Done(part)),
                    Step::More => (index, Begun::More(task)),
                },
                None => match self.requests.next() {
                    Some((index, body)) => (index, shard.execute(body, self.origin, self.now_ms, work)),
                    None => {
                        shard.keyspace.end_batch();
                        return Step::Done(PartialReply::Batch(std::mem::take(&mut self.parts)));
                    }
                },
            };
            match begun {
                Begun::Done(part) => {
                    self.parts.push((index, part));
                    work.spend(QUEUED_WORK);
                    if work.is_spent() {
                        return Step::More;
                    }
                }
                Begun::More(task) => {
                    self.current = Some((index, task));
                    return Step::More;
                }
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}
