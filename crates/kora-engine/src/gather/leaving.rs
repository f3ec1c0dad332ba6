//! How a collection goes that a first VECSET made and that has lost its last vector.
//!
//! No vector may be lost that somebody is setting meanwhile, and no VECSET is ever sent twice. So first its parts are asked
//! whether they are empty. Then its owner closes it: from now on whoever would set a vector in it asks the owner first, who
//! then keeps it. Every worker waits until the commands are answered that were begun before it heard of that. If all parts
//! are empty then, nothing can come any more that the owner has not heard of, and he withdraws it as VECDROP does.

use std::sync::Arc;

use kora_resp::Reply;

use super::{Around, Dropping, Gather, Next};
use crate::mail::{Ask, Part, Target};
use kora_keyspace::catalog::Schema;

/// A collection that may go. The reply is 1 if it went, 0 if somebody has wanted it meanwhile, and null if there was no
/// reason.
pub(crate) struct Leaving {
    schema: Arc<Schema>,
    stage: Stage,
}

enum Stage {
    /// Its parts say how many vectors they hold.
    Looking(Tally),
    /// Its owner closes it.
    Closing,
    /// The workers wait for the commands that were begun before.
    Draining(Tally),
    /// It is not empty, and its owner opens it again.
    Keeping,
}

/// Answers that are to come.
struct Tally {
    missing: usize,
    /// Vectors seen so far.
    live: usize,
    /// The number of the attempt, once the collection is closed.
    attempt: Option<u64>,
}

impl Leaving {
    pub(crate) fn start(schema: Arc<Schema>, around: &Around<'_>) -> Next {
        Leaving::look(schema, None, around)
    }

    pub(crate) fn absorb(self, part: Part, around: &Around<'_>) -> Next {
        let Leaving { schema, stage } = self;
        let owner = Target::Shard(around.placement().shard_of(&schema.name));
        match (stage, part) {
            (Stage::Looking(mut tally), Part::Description(part)) => {
                tally.live += part.live;
                tally.missing -= 1;
                match (tally.missing, tally.live, tally.attempt) {
                    (0, 0, None) => {
                        let ask = Ask::Close(Arc::clone(&schema));
                        Leaving::ask(schema, Stage::Closing, vec![(owner, ask)])
                    }
                    (0, 0, Some(attempt)) => {
                        let ask = Ask::WithdrawEmpty { schema, attempt };
                        Next::Ask(Gather::Dropping(Dropping::Deciding), vec![(owner, ask)])
                    }
                    (0, _, None) => Next::Reply(Reply::Null),
                    (0, _, Some(_)) => {
                        let ask = Ask::Keep(schema.name.clone());
                        Leaving::ask(schema, Stage::Keeping, vec![(owner, ask)])
                    }
                    _ => Leaving::wait(schema, Stage::Looking(tally)),
                }
            }
            (Stage::Closing, Part::Count(0)) | (Stage::Keeping, Part::Done) => Next::Reply(Reply::Null),
            (Stage::Closing, Part::Count(attempt)) => {
                let workers = around
                    .setup
                    .workers()
                    .map(|worker| (Target::Worker(worker), Ask::Drain));
                let asks: Vec<(Target, Ask)> = workers.collect();
                Leaving::ask(schema, Stage::Draining(Tally::new(asks.len(), Some(attempt))), asks)
            }
            (Stage::Draining(mut tally), Part::Done) => {
                tally.missing -= 1;
                match tally.missing {
                    0 => Leaving::look(schema, tally.attempt, around),
                    _ => Leaving::wait(schema, Stage::Draining(tally)),
                }
            }
            _ => unreachable!("each ask has one kind of answer"),
        }
    }

    fn look(schema: Arc<Schema>, attempt: Option<u64>, around: &Around<'_>) -> Next {
        let parts = around.placement().parts_of(&schema.name);
        let describe = |shard| (Target::Shard(shard), Ask::Describe(Arc::clone(&schema)));
        let asks: Vec<(Target, Ask)> = parts.map(describe).collect();
        Leaving::ask(schema, Stage::Looking(Tally::new(asks.len(), attempt)), asks)
    }

    fn ask(schema: Arc<Schema>, stage: Stage, asks: Vec<(Target, Ask)>) -> Next {
        Next::Ask(Gather::Leaving(Box::new(Leaving { schema, stage })), asks)
    }

    fn wait(schema: Arc<Schema>, stage: Stage) -> Next {
        Next::Wait(Gather::Leaving(Box::new(Leaving { schema, stage })))
    }
}

impl Tally {
    fn new(missing: usize, attempt: Option<u64>) -> Tally {
        Tally {
            missing,
            live: 0,
            attempt,
        }
    }
}
