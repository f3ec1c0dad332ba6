//! EXEC: commands that each shard can do by itself are sent to it together, so that it does them in one go; what asks
//! several shards in turn, or decides about collections, is done by itself.

use std::collections::BTreeMap;

use kora_resp::Reply;

use super::{Around, Gather, Next};
use crate::command::table::Parsed;
use crate::mail::{Ask, Batch, Part, Target};
use crate::plan::{self, First};
use crate::router::ShardId;

/// A transaction of which a part is missing.
pub(crate) struct Executing {
    /// Each command, in order.
    places: Vec<Entry>,
    /// The first place that has not been looked at.
    next: usize,
    /// Where the client watches keys, until it is known that none of them was changed.
    watched: Option<ShardId>,
    /// Batches that must not be sent before that is known.
    held: Vec<(Target, Ask)>,
    under_way: UnderWay,
    /// A command that is to be alone when the batches are done, and whom it asks.
    next_alone: Option<(usize, Vec<(Target, Ask)>)>,
    /// The client that asks, and who of this worker can be asked.
    asker: (u64, Target),
}

/// One command of a transaction.
pub(crate) enum Entry {
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
    /// So many shards do their batches.
    Batches(usize),
    /// One command asks whom it wants.
    Alone(usize),
}

impl Executing {
    /// Begins a transaction; `watched` is the shard where the client watches keys.
    pub(crate) fn start(
        places: Vec<Entry>,
        watched: Option<ShardId>,
        asker: (u64, Target),
        around: &Around<'_>,
    ) -> Next {
        let executing = Executing {
            places,
            next: 0,
            watched,
            held: Vec::new(),
            under_way: UnderWay::Batches(0),
            next_alone: None,
            asker,
        };
        Box::new(executing).advance(around)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, part: Part, around: &Around<'_>) -> Next {
        match self.under_way {
            UnderWay::Alone(index) => {
                let next = self.take(index).absorb(from, part, around);
                self.follow(index, next, around)
            }
            UnderWay::Batches(missing) => {
                let parts = match part {
                    Part::Batch(parts) => parts,
                    Part::Overtaken => return Next::Reply(Reply::NullArray),
                    _ => unreachable!("a batch answers a batch"),
                };
                for (index, part) in parts {
                    self.take_part(index as usize, from, part, around);
                }
                self.watched = None;
                if !self.held.is_empty() {
                    let held = std::mem::take(&mut self.held);
                    self.under_way = UnderWay::Batches(held.len());
                    return Next::Ask(Gather::Executing(self), held);
                }
                self.under_way = UnderWay::Batches(missing - 1);
                match missing - 1 {
                    0 => self.advance(around),
                    _ => Next::Wait(Gather::Executing(self)),
                }
            }
        }
    }

    /// What follows for the command that is alone.
    fn follow(mut self: Box<Self>, index: usize, next: Next, around: &Around<'_>) -> Next {
        match next {
            Next::Wait(gather) => {
                self.places[index] = Entry::Gathering(gather);
                Next::Wait(Gather::Executing(self))
            }
            Next::Again(gather) => {
                self.places[index] = Entry::Gathering(gather);
                Next::Again(Gather::Executing(self))
            }
            Next::Ask(gather, asks) => {
                self.places[index] = Entry::Gathering(gather);
                Next::Ask(Gather::Executing(self), asks)
            }
            Next::Reply(reply) => {
                self.places[index] = Entry::Done(reply);
                self.advance(around)
            }
        }
    }

    /// Goes on with the command that is alone.
    pub(crate) fn go_on(mut self: Box<Self>, around: &Around<'_>) -> Next {
        let UnderWay::Alone(index) = self.under_way else {
            unreachable!("only a command that is alone takes several steps");
        };
        let next = self.take(index).go_on(around);
        self.follow(index, next, around)
    }

    fn take_part(&mut self, index: usize, from: Target, part: Part, around: &Around<'_>) {
        self.places[index] = match self.take(index).absorb(from, part, around).settled(around) {
            Next::Wait(gather) => Entry::Gathering(gather),
            Next::Reply(reply) => Entry::Done(reply),
            Next::Ask(..) | Next::Again(_) => unreachable!("commands of one step ask nobody else"),
        };
    }

    fn take(&mut self, index: usize) -> Gather {
        match std::mem::replace(&mut self.places[index], Entry::Taken) {
            Entry::Gathering(gather) => gather,
            _ => unreachable!("an answer came for a command that awaits none"),
        }
    }

    /// Sends what can be sent now.
    fn advance(mut self: Box<Self>, around: &Around<'_>) -> Next {
        if let Some((index, asks)) = self.next_alone.take() {
            self.under_way = UnderWay::Alone(index);
            return Next::Ask(Gather::Executing(self), asks);
        }
        let mut batches: BTreeMap<ShardId, Vec<(u32, Ask)>> = BTreeMap::new();
        while self.next < self.places.len() {
            let index = self.next;
            let Entry::Queued(queued) = &self.places[index] else {
                self.next += 1;
                continue;
            };
            let first = plan::plan(queued, around.placement(), around.catalog()).first;
            let is_one_step = matches!(first, First::Key | First::OneStep);
            if !is_one_step && (!batches.is_empty() || self.watched.is_some()) {
                break;
            }
            self.next += 1;
            let Entry::Queued(queued) = std::mem::replace(&mut self.places[index], Entry::Taken) else {
                continue;
            };
            // All batches are sent together, so each command says at once whom it asks.
            match plan::start(queued.command, first, self.asker.0, self.asker.1, around).settled(around) {
                Next::Wait(_) | Next::Again(_) => unreachable!("a command waits for what it asked"),
                Next::Reply(reply) => self.places[index] = Entry::Done(reply),
                Next::Ask(gather, asks) if is_one_step && gather.is_one_step() => {
                    self.places[index] = Entry::Gathering(gather);
                    for (target, ask) in asks {
                        let Target::Shard(shard) = target else {
                            unreachable!("commands of one step ask shards");
                        };
                        batches.entry(shard).or_default().push((index as u32, ask));
                    }
                }
                Next::Ask(gather, asks) => {
                    self.places[index] = Entry::Gathering(gather);
                    self.next_alone = Some((index, asks));
                    // Somebody has decided about its collection in this moment.
                    if !batches.is_empty() || self.watched.is_some() {
                        break;
                    }
                    return self.advance(around);
                }
            }
        }
        self.send(batches)
    }

    fn send(mut self: Box<Self>, mut batches: BTreeMap<ShardId, Vec<(u32, Ask)>>) -> Next {
        let first = self.watched.map(|shard| {
            let asks = batches.remove(&shard).unwrap_or_default();
            batch(shard, true, asks)
        });
        let others = batches.into_iter().map(|(shard, asks)| batch(shard, false, asks));
        let asks: Vec<(Target, Ask)> = match first {
            Some(first) => {
                self.held = others.collect();
                vec![first]
            }
            None => others.collect(),
        };
        if asks.is_empty() {
            return Next::Reply(self.reply());
        }
        self.under_way = UnderWay::Batches(asks.len());
        Next::Ask(Gather::Executing(self), asks)
    }

    fn reply(self) -> Reply {
        let replies = self.places.into_iter().map(|place| match place {
            Entry::Done(reply) => reply,
            _ => unreachable!("all parts are in"),
        });
        Reply::Array(replies.collect())
    }
}

fn batch(shard: ShardId, is_watched: bool, asks: Vec<(u32, Ask)>) -> (Target, Ask) {
    (Target::Shard(shard), Ask::Batch(Box::new(Batch { is_watched, asks })))
}
