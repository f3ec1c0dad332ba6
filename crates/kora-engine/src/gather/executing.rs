//! EXEC: commands that each shard can do by itself are sent to it together, so that it does them in one go; what asks
//! several shards in turn, or decides about collections, is done by itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::vec::IntoIter;

use kora_keyspace::AliasTable;
use kora_resp::Reply;

use super::{Context, Gather, Next};
use crate::command::table::Parsed;
use crate::error::ClientError;
use crate::limits::QUEUED_PER_SLICE;
use crate::mail::{Batch, PartialReply, RequestBody, Target};
use crate::plan::{self, First};
use crate::router::ShardId;

/// A transaction of which a part is missing.
pub(crate) struct Executing {
    /// Each command, in order.
    places: Vec<QueuedCommand>,
    /// The first place that has not been looked at.
    next: usize,
    /// Where the client watches keys, until it is known that none of them was changed.
    watched: Option<ShardId>,
    /// Batches that must not be sent before that is known.
    held: Vec<(Target, RequestBody)>,
    under_way: UnderWay,
    /// What each shard is to be sent, until all commands up to one that is alone have been looked at.
    batches: BTreeMap<ShardId, Vec<(u32, RequestBody)>>,
    /// Answers that were not looked at, and who gave them.
    arrived: VecDeque<(Target, IntoIter<(u32, PartialReply)>)>,
    /// It waits for its turn to look at them.
    is_queued: bool,
    /// A command that runs alone after the batches, and its requests.
    next_alone: Option<(usize, Vec<(Target, RequestBody)>)>,
    /// The client that asks, and who of this worker can be asked.
    asker: (u64, Target),
}

/// A transaction of which not all commands have been looked at since EXEC.
pub(crate) struct Preparing {
    pub(crate) queued: IntoIter<Vec<Parsed>>,
    pub(crate) places: Vec<QueuedCommand>,
    pub(crate) watched: Option<ShardId>,
    pub(crate) here: Target,
    /// What aliases mean to all its commands.
    pub(crate) aliases: Arc<AliasTable>,
}

/// One command of a transaction.
pub(crate) enum QueuedCommand {
    /// Still to be done.
    Queued(Parsed),
    /// Under way.
    Gathering(Gather),
    /// Taken out to be worked on; it is put back in the same step.
    Taken,
    /// Done.
    Done(Reply),
}

enum UnderWay {
    /// Commands are being looked at.
    Sorting,
    /// A watched key was changed: what was to be done is freed in slices.
    GivenUp,
    /// So many shards do their batches.
    Batches(usize),
    /// One command sends its requests.
    Alone(usize),
}

impl Executing {
    /// Begins a transaction; `watched` is the shard where the client watches keys.
    pub(crate) fn start(
        places: Vec<QueuedCommand>,
        watched: Option<ShardId>,
        asker: (u64, Target),
        context: &Context<'_>,
    ) -> Next {
        let executing = Executing {
            places,
            next: 0,
            watched,
            held: Vec::new(),
            under_way: UnderWay::Sorting,
            batches: BTreeMap::new(),
            arrived: VecDeque::new(),
            is_queued: false,
            next_alone: None,
            asker,
        };
        Box::new(executing).advance(context)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, part: PartialReply, context: &Context<'_>) -> Next {
        match self.under_way {
            UnderWay::Alone(index) => {
                let next = self.take(index).absorb(from, part, context);
                self.follow(index, next, context)
            }
            UnderWay::Batches(_) => match part {
                PartialReply::Batch(parts) => {
                    self.arrived.push_back((from, parts.into_iter()));
                    match self.is_queued {
                        true => Next::Wait(Gather::Executing(self)),
                        false => self.take_parts(context),
                    }
                }
                PartialReply::Overtaken => {
                    self.under_way = UnderWay::GivenUp;
                    self.give_up()
                }
                _ => Next::other_answer(),
            },
            UnderWay::Sorting | UnderWay::GivenUp => Next::other_answer(),
        }
    }

    /// Looks at answers, for a slice.
    fn take_parts(mut self: Box<Self>, context: &Context<'_>) -> Next {
        for _ in 0..QUEUED_PER_SLICE {
            let Some((from, parts)) = self.arrived.front_mut() else {
                return Next::Wait(Gather::Executing(self));
            };
            let from = *from;
            if let Some((index, part)) = parts.next() {
                self.take_part(index as usize, from, part, context);
                continue;
            }
            self.arrived.pop_front();
            self.watched = None;
            if !self.held.is_empty() {
                let held = std::mem::take(&mut self.held);
                self.under_way = UnderWay::Batches(held.len());
                return Next::Request(Gather::Executing(self), held);
            }
            let UnderWay::Batches(missing) = &mut self.under_way else {
                return Next::other_answer();
            };
            *missing -= 1;
            if *missing == 0 {
                return self.advance(context);
            }
        }
        self.again()
    }

    /// Frees some of what was to be done; the reply is that nothing was.
    fn give_up(mut self: Box<Self>) -> Next {
        let left = self.places.len().saturating_sub(QUEUED_PER_SLICE);
        self.places.truncate(left);
        for (_, body) in &mut self.held {
            if let RequestBody::Batch(batch) = body {
                batch.requests.truncate(left);
            }
        }
        match left {
            0 => Next::Reply(Reply::NullArray),
            _ => self.again(),
        }
    }

    fn again(mut self: Box<Self>) -> Next {
        self.is_queued = true;
        Next::Again(Gather::Executing(self))
    }

    /// What follows for the command that is alone.
    fn follow(mut self: Box<Self>, index: usize, next: Next, context: &Context<'_>) -> Next {
        match next {
            Next::Wait(gather) => {
                self.places[index] = QueuedCommand::Gathering(gather);
                Next::Wait(Gather::Executing(self))
            }
            Next::Again(gather) => {
                self.places[index] = QueuedCommand::Gathering(gather);
                Next::Again(Gather::Executing(self))
            }
            Next::Request(gather, requests) => {
                self.places[index] = QueuedCommand::Gathering(gather);
                Next::Request(Gather::Executing(self), requests)
            }
            Next::Reply(reply) => {
                self.places[index] = QueuedCommand::Done(reply);
                self.advance(context)
            }
        }
    }

    /// Goes on with the command that is alone, or with what takes several slices.
    pub(crate) fn go_on(mut self: Box<Self>, context: &Context<'_>) -> Next {
        self.is_queued = false;
        match self.under_way {
            UnderWay::Alone(index) => {
                let next = self.take(index).go_on(context);
                self.follow(index, next, context)
            }
            UnderWay::Sorting => self.advance(context),
            UnderWay::Batches(_) => self.take_parts(context),
            UnderWay::GivenUp => self.give_up(),
        }
    }

    fn take_part(&mut self, index: usize, from: Target, part: PartialReply, context: &Context<'_>) {
        self.places[index] = match self.take(index).absorb(from, part, context).settled(context) {
            Next::Wait(gather) => QueuedCommand::Gathering(gather),
            Next::Reply(reply) => QueuedCommand::Done(reply),
            // Commands of one step ask no other shard.
            Next::Request(..) | Next::Again(_) => {
                QueuedCommand::Done(Reply::Error(ClientError::other_answer().to_string()))
            }
        };
    }

    fn take(&mut self, index: usize) -> Gather {
        match std::mem::replace(&mut self.places[index], QueuedCommand::Taken) {
            QueuedCommand::Gathering(gather) => gather,
            // An answer came for a command that awaits none.
            _ => Gather::Replying(Reply::Error(ClientError::other_answer().to_string())),
        }
    }

    /// Sends what can be sent now.
    fn advance(mut self: Box<Self>, context: &Context<'_>) -> Next {
        if let Some((index, requests)) = self.next_alone.take() {
            self.under_way = UnderWay::Alone(index);
            return Next::Request(Gather::Executing(self), requests);
        }
        self.under_way = UnderWay::Sorting;
        let end = self.next + QUEUED_PER_SLICE;
        while self.next < self.places.len() {
            if self.next == end {
                return self.again();
            }
            let index = self.next;
            let QueuedCommand::Queued(queued) = &self.places[index] else {
                self.next += 1;
                continue;
            };
            let first = plan::plan(queued, context.placement(), context.catalog()).first;
            let is_one_step = matches!(first, First::Key | First::OneStep);
            if !is_one_step && (!self.batches.is_empty() || self.watched.is_some()) {
                break;
            }
            self.next += 1;
            let QueuedCommand::Queued(queued) = std::mem::replace(&mut self.places[index], QueuedCommand::Taken) else {
                continue;
            };
            // All batches are sent together, so each command gives its requests at once.
            match plan::start(queued.command, first, self.asker.0, self.asker.1, context).settled(context) {
                // A command waits for what it asked.
                Next::Wait(_) | Next::Again(_) => {
                    self.places[index] = QueuedCommand::Done(Reply::Error(ClientError::other_answer().to_string()));
                }
                Next::Reply(reply) => self.places[index] = QueuedCommand::Done(reply),
                Next::Request(gather, requests) if is_one_step && gather.is_one_step() => {
                    self.places[index] = QueuedCommand::Gathering(gather);
                    for (target, body) in requests {
                        let Target::Shard(shard) = target else {
                            // Commands of one step ask shards.
                            let error = Reply::Error(ClientError::other_answer().to_string());
                            self.places[index] = QueuedCommand::Done(error);
                            continue;
                        };
                        self.batches.entry(shard).or_default().push((index as u32, body));
                    }
                }
                Next::Request(gather, requests) => {
                    self.places[index] = QueuedCommand::Gathering(gather);
                    self.next_alone = Some((index, requests));
                    // Another command has decided about its collection at this moment.
                    if !self.batches.is_empty() || self.watched.is_some() {
                        break;
                    }
                    return self.advance(context);
                }
            }
        }
        self.send()
    }

    fn send(mut self: Box<Self>) -> Next {
        let mut batches = std::mem::take(&mut self.batches);
        let first = self.watched.map(|shard| {
            let requests = batches.remove(&shard).unwrap_or_default();
            batch(shard, true, requests)
        });
        let others = batches
            .into_iter()
            .map(|(shard, requests)| batch(shard, false, requests));
        let requests: Vec<(Target, RequestBody)> = match first {
            Some(first) => {
                self.held = others.collect();
                vec![first]
            }
            None => others.collect(),
        };
        if requests.is_empty() {
            return Next::Reply(self.reply());
        }
        self.under_way = UnderWay::Batches(requests.len());
        Next::Request(Gather::Executing(self), requests)
    }

    fn reply(self) -> Reply {
        let replies = self.places.into_iter().map(|place| match place {
            QueuedCommand::Done(reply) => reply,
            _ => Reply::Error(ClientError::other_answer().to_string()),
        });
        Reply::Array(replies.collect())
    }
}

fn batch(shard: ShardId, is_watched: bool, requests: Vec<(u32, RequestBody)>) -> (Target, RequestBody) {
    (
        Target::Shard(shard),
        RequestBody::Batch(Box::new(Batch { is_watched, requests })),
    )
}
