//! EXEC: commands that each shard can do by itself are sent to it together, so that it does them in one go; what asks
//! several shards in turn, or decides about collections, is done by itself.

use std::collections::{BTreeMap, VecDeque};
use std::vec::IntoIter;

use kora_resp::Reply;

use super::{Around, Gather, Next};
use crate::command::table::Parsed;
use crate::limits::QUEUED_PER_SLICE;
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
    /// What each shard is to be sent, until all commands up to one that is alone have been looked at.
    batches: BTreeMap<ShardId, Vec<(u32, Ask)>>,
    /// Answers that were not looked at, and who gave them.
    arrived: VecDeque<(Target, IntoIter<(u32, Part)>)>,
    /// It waits for its turn to look at them.
    is_queued: bool,
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
    /// Commands are being looked at.
    Sorting,
    /// A watched key was changed: what was to be done is freed in slices.
    GivenUp,
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
            under_way: UnderWay::Sorting,
            batches: BTreeMap::new(),
            arrived: VecDeque::new(),
            is_queued: false,
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
            UnderWay::Batches(_) => match part {
                Part::Batch(parts) => {
                    self.arrived.push_back((from, parts.into_iter()));
                    match self.is_queued {
                        true => Next::Wait(Gather::Executing(self)),
                        false => self.take_parts(around),
                    }
                }
                Part::Overtaken => {
                    self.under_way = UnderWay::GivenUp;
                    self.give_up()
                }
                _ => unreachable!("a batch answers a batch"),
            },
            UnderWay::Sorting | UnderWay::GivenUp => unreachable!("nobody was asked"),
        }
    }

    /// Looks at answers, for a slice.
    fn take_parts(mut self: Box<Self>, around: &Around<'_>) -> Next {
        for _ in 0..QUEUED_PER_SLICE {
            let Some((from, parts)) = self.arrived.front_mut() else {
                return Next::Wait(Gather::Executing(self));
            };
            let from = *from;
            if let Some((index, part)) = parts.next() {
                self.take_part(index as usize, from, part, around);
                continue;
            }
            self.arrived.pop_front();
            self.watched = None;
            if !self.held.is_empty() {
                let held = std::mem::take(&mut self.held);
                self.under_way = UnderWay::Batches(held.len());
                return Next::Ask(Gather::Executing(self), held);
            }
            let UnderWay::Batches(missing) = &mut self.under_way else {
                unreachable!("batches were asked for");
            };
            *missing -= 1;
            if *missing == 0 {
                return self.advance(around);
            }
        }
        self.again()
    }

    /// Frees some of what was to be done; the reply is that nothing was.
    fn give_up(mut self: Box<Self>) -> Next {
        let left = self.places.len().saturating_sub(QUEUED_PER_SLICE);
        self.places.truncate(left);
        for (_, ask) in &mut self.held {
            if let Ask::Batch(batch) = ask {
                batch.asks.truncate(left);
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

    /// Goes on with the command that is alone, or with what takes several slices.
    pub(crate) fn go_on(mut self: Box<Self>, around: &Around<'_>) -> Next {
        self.is_queued = false;
        match self.under_way {
            UnderWay::Alone(index) => {
                let next = self.take(index).go_on(around);
                self.follow(index, next, around)
            }
            UnderWay::Sorting => self.advance(around),
            UnderWay::Batches(_) => self.take_parts(around),
            UnderWay::GivenUp => self.give_up(),
        }
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
        self.under_way = UnderWay::Sorting;
        let end = self.next + QUEUED_PER_SLICE;
        while self.next < self.places.len() {
            if self.next == end {
                return self.again();
            }
            let index = self.next;
            let Entry::Queued(queued) = &self.places[index] else {
                self.next += 1;
                continue;
            };
            let first = plan::plan(queued, around.placement(), around.catalog()).first;
            let is_one_step = matches!(first, First::Key | First::OneStep);
            if !is_one_step && (!self.batches.is_empty() || self.watched.is_some()) {
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
                        self.batches.entry(shard).or_default().push((index as u32, ask));
                    }
                }
                Next::Ask(gather, asks) => {
                    self.places[index] = Entry::Gathering(gather);
                    self.next_alone = Some((index, asks));
                    // Somebody has decided about its collection in this moment.
                    if !self.batches.is_empty() || self.watched.is_some() {
                        break;
                    }
                    return self.advance(around);
                }
            }
        }
        self.send()
    }

    fn send(mut self: Box<Self>) -> Next {
        let mut batches = std::mem::take(&mut self.batches);
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
