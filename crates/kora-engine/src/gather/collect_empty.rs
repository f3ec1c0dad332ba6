//! Withdraws a collection that a first VECSET made and that has lost its last vector.
//!
//! A concurrent VECSET must not be lost, and no VECSET is ever sent twice. So the parts are asked first whether they are empty.
//! Then the owner closes the collection: from now on a VECSET asks the owner first, which then keeps the collection. Every
//! worker waits until the commands that began before it saw the collection closed are answered. If all parts are still empty,
//! every later VECSET has asked the owner, and the owner withdraws the collection as VECDROP does.

use std::sync::Arc;

use kora_resp::Reply;

use super::{Context, Dropping, Gather, Next};
use crate::mail::{PartialReply, RequestBody, Target};
use kora_keyspace::catalog::Schema;

/// A collection that may be withdrawn. The reply is 1 if it was, 0 if it was kept once it was closed and is to be looked at
/// again, and null if it was not empty.
pub(crate) struct CollectEmpty {
    schema: Arc<Schema>,
    stage: CollectStage,
}

enum CollectStage {
    /// The parts report how many vectors they hold.
    Looking(PartsCounted),
    /// The owner closes it.
    Closing,
    /// The workers wait for the commands that were begun before.
    Draining(PartsCounted),
    /// It is not empty, and the owner opens it again.
    Keeping,
}

/// Partial replies that are missing.
struct PartsCounted {
    missing: usize,
    /// Vectors seen so far.
    live: usize,
    /// The number of the attempt, once the collection is closed.
    attempt: Option<u64>,
}

impl CollectEmpty {
    pub(crate) fn start(schema: Arc<Schema>, context: &Context<'_>) -> Next {
        CollectEmpty::look(schema, None, context)
    }

    pub(crate) fn absorb(self, part: PartialReply, context: &Context<'_>) -> Next {
        let CollectEmpty { schema, stage } = self;
        let owner = Target::Shard(context.placement().shard_of(&schema.name));
        match (stage, part) {
            (CollectStage::Looking(mut counted), PartialReply::Description(part)) => {
                counted.live += part.live;
                counted.missing -= 1;
                match (counted.missing, counted.live, counted.attempt) {
                    (0, 0, None) => {
                        let body = RequestBody::Close(Arc::clone(&schema));
                        CollectEmpty::request(schema, CollectStage::Closing, vec![(owner, body)])
                    }
                    (0, 0, Some(attempt)) => {
                        let body = RequestBody::WithdrawEmpty { schema, attempt };
                        Next::Request(Gather::Dropping(Dropping::Deciding), vec![(owner, body)])
                    }
                    (0, _, None) => Next::Reply(Reply::Null),
                    (0, _, Some(_)) => {
                        let body = RequestBody::Keep(schema.name.clone());
                        CollectEmpty::request(schema, CollectStage::Keeping, vec![(owner, body)])
                    }
                    _ => CollectEmpty::wait(schema, CollectStage::Looking(counted)),
                }
            }
            // It is gone, or another attempt is under way.
            (CollectStage::Closing, PartialReply::Count(0)) => Next::Reply(Reply::Null),
            // An attempt that found this one under way has given up, and what it had seen is newer.
            (CollectStage::Keeping, PartialReply::Done) => Next::Reply(Reply::Integer(0)),
            (CollectStage::Closing, PartialReply::Count(attempt)) => {
                let workers = context
                    .setup
                    .workers()
                    .map(|worker| (Target::Worker(worker), RequestBody::Drain));
                let requests: Vec<(Target, RequestBody)> = workers.collect();
                CollectEmpty::request(
                    schema,
                    CollectStage::Draining(PartsCounted::new(requests.len(), Some(attempt))),
                    requests,
                )
            }
            (CollectStage::Draining(mut counted), PartialReply::Done) => {
                counted.missing -= 1;
                match counted.missing {
                    0 => CollectEmpty::look(schema, counted.attempt, context),
                    _ => CollectEmpty::wait(schema, CollectStage::Draining(counted)),
                }
            }
            _ => Next::other_answer(),
        }
    }

    fn look(schema: Arc<Schema>, attempt: Option<u64>, context: &Context<'_>) -> Next {
        let parts = context.placement().parts_of(&schema);
        let describe = |shard| (Target::Shard(shard), RequestBody::Describe(Arc::clone(&schema)));
        let requests: Vec<(Target, RequestBody)> = parts.map(describe).collect();
        CollectEmpty::request(
            schema,
            CollectStage::Looking(PartsCounted::new(requests.len(), attempt)),
            requests,
        )
    }

    fn request(schema: Arc<Schema>, stage: CollectStage, requests: Vec<(Target, RequestBody)>) -> Next {
        Next::Request(Gather::CollectEmpty(Box::new(CollectEmpty { schema, stage })), requests)
    }

    fn wait(schema: Arc<Schema>, stage: CollectStage) -> Next {
        Next::Wait(Gather::CollectEmpty(Box::new(CollectEmpty { schema, stage })))
    }
}

impl PartsCounted {
    fn new(missing: usize, attempt: Option<u64>) -> PartsCounted {
        PartsCounted {
            missing,
            live: 0,
            attempt,
        }
    }
}
