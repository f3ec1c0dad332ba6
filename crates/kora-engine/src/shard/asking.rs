//! Commands of scripts that may ask several shards, where this one holds all that they need: it is asked for each part, and
//! answers the whole.

use std::collections::VecDeque;
use std::sync::Arc;

use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::{Begun, Task, Unfinished};
use crate::command::Command;
use crate::error::ClientError;
use crate::gather::{Context, Gather, Next, ReadTiming};
use crate::mail::{Origin, PartialReply, RequestBody, Target};
use crate::plan::{self, First};
use crate::router::ShardId;
use crate::setup::{CpuTime, Host};

/// Such a command, between two slices.
struct Asking {
    gather: Option<Gather>,
    /// What was not asked yet.
    requests: VecDeque<RequestBody>,
    /// What was asked and takes longer.
    current: Option<Unfinished>,
    origin: Origin,
    at_ms: u64,
}

/// Whether a script may ask this of several shards: of those that answer, none decides anything.
pub(super) fn is_askable(command: &Command) -> bool {
    matches!(
        command,
        Command::Keys(..)
            | Command::Scan(_)
            | Command::RandomKey(_)
            | Command::DatabaseSize(_)
            | Command::VectorQuery(_)
            | Command::VectorQueryMany(_)
            | Command::VectorList(..)
            | Command::VectorInfo(_)
    )
}

impl Shard {
    /// Does what a script asks, unless another shard is needed.
    pub(super) fn ask_itself(
        &mut self,
        command: Command,
        origin: Origin,
        at_ms: u64,
        work: &mut Work,
    ) -> Begun<PartialReply> {
        let mut asking = Asking {
            gather: None,
            requests: VecDeque::new(),
            current: None,
            origin,
            at_ms,
        };
        let here = Target::Shard(self.id);
        let next = asking.with_context(self, |context| plan::start(command, First::Steps, 0, here, context));
        match asking.follow(next, self.id) {
            Some(reply) => Begun::Done(PartialReply::Reply(reply)),
            None => self.run(asking, work),
        }
    }
}

impl Asking {
    fn with_context<T>(&self, shard: &Shard, look: impl FnOnce(&Context<'_>) -> T) -> T {
        let setup = Arc::clone(&shard.setup);
        look(&Context {
            setup: &setup,
            host: &NoHost,
            at_ms: self.at_ms,
            shared_reads: None,
            reads: ReadTiming::Never,
        })
    }

    /// Notes what comes next; the reply if that was all.
    fn follow(&mut self, next: Next, shard: ShardId) -> Option<Reply> {
        match next {
            Next::Reply(reply) => return Some(reply),
            Next::Wait(gather) | Next::Again(gather) => self.gather = Some(gather),
            Next::Request(gather, requests) => {
                if requests.iter().any(|(target, _)| *target != Target::Shard(shard)) {
                    return Some(Reply::Error(NEEDS_OTHERS.to_owned()));
                }
                self.gather = Some(gather);
                self.requests.extend(requests.into_iter().map(|(_, body)| body));
            }
        }
        None
    }

    /// Asks the next part, or goes on with the one that is under way.
    fn ask(&mut self, shard: &mut Shard, work: &mut Work) -> Option<Begun<PartialReply>> {
        if let Some(mut task) = self.current.take() {
            return Some(match task.slice(shard, work) {
                Step::Done(part) => Begun::Done(part),
                Step::More => Begun::More(task),
            });
        }
        let body = self.requests.pop_front()?;
        Some(shard.execute(body, self.origin, self.at_ms, work))
    }
}

impl Task for Asking {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        let from = Target::Shard(shard.id);
        loop {
            let part = match self.ask(shard, work) {
                Some(Begun::Done(part)) => Some(part),
                Some(Begun::More(task)) => {
                    self.current = Some(task);
                    return Step::More;
                }
                None => None,
            };
            let Some(gather) = self.gather.take() else {
                return Step::Done(PartialReply::Refused(ClientError::other_answer()));
            };
            let next = self.with_context(shard, |context| match part {
                Some(part) => gather.absorb(from, part, context),
                None => gather.go_on(context),
            });
            if let Some(reply) = self.follow(next, shard.id) {
                return Step::Done(PartialReply::Reply(reply));
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }
}

/// These commands ask nothing of the world.
struct NoHost;

impl Host for NoHost {
    fn now_us(&self) -> u64 {
        0
    }

    fn unix_us(&self) -> u64 {
        0
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn release_memory(&self) {}

    fn thread_cpu_us(&self) -> u64 {
        0
    }

    fn cpu_us(&self) -> CpuTime {
        CpuTime::default()
    }
}

const NEEDS_OTHERS: &str = "ERR This command needs several shards, and is not allowed from script";
