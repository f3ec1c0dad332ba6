//! Commands of one pipeline that arrive as one request: each on one key of this shard, or this shard's part of a multi-key one.

use std::vec::IntoIter;

use kora_keyspace::keys::PREFETCHED_MAX;
use kora_resp::Reply;

use super::multi_key::MultiKey;
use super::{Origin, Shard, Unfinished};
use crate::limits::{KEYS_PER_SLICE, PIPELINE_BYTES_PER_SLICE};
use crate::mail::{PartialReply, Step};

/// Such commands between two slices. Other clients' commands may run in between, except in the middle of one.
pub(crate) struct Pipeline {
    steps: IntoIter<(u32, Step)>,
    /// How many of the next keys are prefetched.
    near: usize,
    /// The unfinished command.
    current: Option<(u32, Box<Unfinished>)>,
    replies: Vec<(u32, Reply)>,
    parts: Vec<(u32, PartialReply)>,
    now_ms: u64,
}

impl Pipeline {
    fn new(steps: Vec<(u32, Step)>, now_ms: u64) -> Pipeline {
        let whole = steps
            .iter()
            .filter(|(_, step)| matches!(step, Step::KeyOperation(_)))
            .count();
        Pipeline {
            replies: Vec::with_capacity(whole),
            parts: Vec::with_capacity(steps.len() - whole),
            steps: steps.into_iter(),
            near: 0,
            current: None,
            now_ms,
        }
    }

    pub(super) fn is_exclusive(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|(_, unfinished)| unfinished.is_exclusive())
    }

    fn keep(&mut self, sequence: u32, part: PartialReply) {
        match part {
            PartialReply::Reply(reply) => self.replies.push((sequence, reply)),
            part => self.parts.push((sequence, part)),
        }
    }
}

impl Shard {
    pub(super) fn begin_pipeline(
        &mut self,
        steps: Vec<(u32, Step)>,
        origin: Origin,
        now_ms: u64,
    ) -> Result<PartialReply, Box<Unfinished>> {
        self.do_pipeline(Pipeline::new(steps, now_ms), origin)
    }

    /// Prefetches keys of this shard that will be used soon. The caller bounds their number.
    pub(crate) fn prefetch_keys<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.keyspace.prefetch(keys);
    }

    /// Goes on for a slice.
    pub(super) fn do_pipeline(
        &mut self,
        mut pipeline: Pipeline,
        origin: Origin,
    ) -> Result<PartialReply, Box<Unfinished>> {
        let (mut bytes, is_gone) = (0, self.queue.is_gone(origin));
        while bytes < PIPELINE_BYTES_PER_SLICE {
            if pipeline.near == 0 {
                let keys = pipeline.steps.as_slice().iter().flat_map(|(_, step)| step.keys());
                self.prefetch_keys(keys.take(PREFETCHED_MAX));
                pipeline.near = PREFETCHED_MAX;
            }
            let (sequence, outcome) = match pipeline.current.take() {
                Some((sequence, unfinished)) => (sequence, self.resume(*unfinished, origin)),
                None => match pipeline.steps.next() {
                    Some((sequence, Step::KeyOperation(operation))) if is_gone && operation.action.only_reads() => {
                        pipeline.near -= 1;
                        (sequence, Ok(PartialReply::Reply(Reply::Null)))
                    }
                    Some((sequence, Step::KeyOperation(operation))) => {
                        bytes += operation.action.bytes_held();
                        pipeline.near -= 1;
                        (
                            sequence,
                            self.operate(&operation.key, operation.action, pipeline.now_ms)
                                .map(PartialReply::Reply),
                        )
                    }
                    Some((sequence, Step::MultiKey(body))) => {
                        let multi_key = MultiKey::new(body, pipeline.now_ms, pipeline.near);
                        bytes += multi_key.work() * BYTES_PER_KEY;
                        pipeline.near = pipeline.near.saturating_sub(multi_key.len());
                        (sequence, self.do_multi_key(multi_key))
                    }
                    None => return Ok(PartialReply::Pipeline(pipeline.replies, pipeline.parts)),
                },
            };
            match outcome {
                Ok(part) => {
                    bytes += part.bytes_hint();
                    pipeline.keep(sequence, part);
                }
                Err(unfinished) => {
                    pipeline.current = Some((sequence, unfinished));
                    break;
                }
            }
        }
        Err(Box::new(Unfinished::Pipeline(Box::new(pipeline))))
    }
}

/// A key of a multi-key command counts like so many bytes.
const BYTES_PER_KEY: usize = PIPELINE_BYTES_PER_SLICE / KEYS_PER_SLICE;
