//! Commands of one pipeline that arrive as one request: each on one key of this shard, or this shard's part of a multi-key one.

use std::vec::IntoIter;

use kora_keyspace::keys::PREFETCHED_MAX;
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::multi_key::MultiKey;
use super::task::{Begun, Task, Unfinished};
use crate::budgets::MESSAGE_BYTE_WORK;
use crate::mail::{self, Origin, PartialReply};

/// Such commands between two slices. Other clients' commands may run in between, except in the middle of one.
pub(super) struct Pipeline {
    steps: IntoIter<(u32, mail::Step)>,
    origin: Origin,
    /// How many of the next keys are prefetched.
    near: usize,
    /// The unfinished command.
    current: Option<(u32, Unfinished)>,
    answers: Answers,
    now_ms: u64,
}

/// Whole replies, and parts of others, each with its command's slot.
pub(super) type Answers = (Vec<(u32, Reply)>, Vec<(u32, PartialReply)>);

impl Pipeline {
    pub(super) fn new(steps: Vec<(u32, mail::Step)>, origin: Origin, now_ms: u64) -> Pipeline {
        let whole = steps
            .iter()
            .filter(|(_, step)| matches!(step, mail::Step::KeyOperation(_)))
            .count();
        Pipeline {
            answers: (Vec::with_capacity(whole), Vec::with_capacity(steps.len() - whole)),
            steps: steps.into_iter(),
            origin,
            near: 0,
            current: None,
            now_ms,
        }
    }

    fn keep(&mut self, sequence: u32, part: PartialReply) {
        match part {
            PartialReply::Reply(reply) => self.answers.0.push((sequence, reply)),
            part => self.answers.1.push((sequence, part)),
        }
    }
}

impl Task for Pipeline {
    type Answer = Answers;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Answers> {
        let is_gone = shard.queue.is_gone(self.origin);
        loop {
            if self.near == 0 {
                let keys = self.steps.as_slice().iter().flat_map(|(_, step)| step.keys());
                shard.prefetch_keys(keys.take(PREFETCHED_MAX));
                self.near = PREFETCHED_MAX;
            }
            let (sequence, begun) = match self.current.take() {
                Some((sequence, mut task)) => match task.slice(shard, work) {
                    Step::Done(part) => (sequence, Begun::Done(part)),
                    Step::More => (sequence, Begun::More(task)),
                },
                None => match self.steps.next() {
                    Some((sequence, mail::Step::KeyOperation(operation)))
                        if is_gone && operation.action.only_reads() =>
                    {
                        self.near -= 1;
                        (sequence, Begun::Done(PartialReply::Reply(Reply::Null)))
                    }
                    Some((sequence, mail::Step::KeyOperation(operation))) => {
                        work.spend(MESSAGE_BYTE_WORK * operation.action.bytes_held() as u64);
                        self.near -= 1;
                        let begun = shard.operate(&operation.key, operation.action, self.now_ms, work);
                        (sequence, begun.map(PartialReply::Reply))
                    }
                    Some((sequence, mail::Step::MultiKey(body))) => {
                        let multi_key = MultiKey::new(body, self.now_ms, self.near);
                        self.near = self.near.saturating_sub(multi_key.len());
                        (sequence, shard.run(multi_key, work))
                    }
                    None => return Step::Done(std::mem::take(&mut self.answers)),
                },
            };
            match begun {
                Begun::Done(part) => {
                    work.spend(MESSAGE_BYTE_WORK * part.bytes_hint() as u64);
                    self.keep(sequence, part);
                    if work.is_spent() {
                        return Step::More;
                    }
                }
                Begun::More(task) => {
                    self.current = Some((sequence, task));
                    return Step::More;
                }
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        self.current.as_ref().is_some_and(|(_, task)| task.is_exclusive())
    }
}

impl Shard {
    /// Prefetches keys of this shard that will be used soon. The caller bounds their number.
    pub(crate) fn prefetch_keys<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.keyspace.prefetch(keys);
    }
}
