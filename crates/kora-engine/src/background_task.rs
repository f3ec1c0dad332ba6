//! Work of a worker that no client has requested and that takes several shards. It is gathered like a command, in a reply queue
//! without a client. One background task of each kind runs at a time: tidying up, and sampling.

use std::sync::Arc;

use kora_resp::Reply;

use crate::candidate::Candidate;
use crate::client_migration::KillFlag;
use crate::engine::{Engine, UNKNOWN};
use crate::gather::{CollectEmpty, Context, Dropping, Gather, Next, ReadTiming, Recalling};
use crate::mail::{ReplyId, RequestBody, Target};
use crate::recall::Found;
use crate::reply_queue::{Presence, ReplyQueue, Taken};
use crate::reply_queues::ReplyQueueId;
use crate::sampling::Draw;
use crate::session::Session;
use crate::setup::Host;
use crate::shard::Shard;
use kora_keyspace::catalog::Schema;

/// A running background task.
pub(crate) struct BackgroundTask {
    reply_queue: ReplyQueueId,
    purpose: TaskPurpose,
}

enum TaskPurpose {
    /// A collection that may have lost its last vector may be withdrawn.
    CollectEmpty(Arc<Schema>),
    /// A collection has expired, and every shard releases its part.
    Releasing,
    /// The recall of a collection is sampled.
    Sampling(Candidate),
    /// What happened on shards, and what scripts have published, is told.
    News,
}

impl Engine {
    /// True if there is something to tidy up and no such task is running.
    pub(crate) fn has_background_task(&self) -> bool {
        let has_background_task = |shard: &Shard| shard.keyspace().has_emptied() || shard.keyspace().has_withdrawn();
        self.shards.iter().any(has_background_task) && !self.is_tidying()
    }

    /// True while samples are being taken.
    pub(crate) fn is_sampling(&self) -> bool {
        self.background_tasks
            .iter()
            .any(|task| matches!(task.purpose, TaskPurpose::Sampling(_)))
    }

    fn is_tidying(&self) -> bool {
        self.background_tasks
            .iter()
            .any(|task| !matches!(task.purpose, TaskPurpose::Sampling(_) | TaskPurpose::News))
    }

    /// Begins a background task, if there is one and none of its kind is running.
    pub(crate) fn begin_background_task(&mut self, host: &dyn Host) -> bool {
        if self.has_background_task() {
            return self.begin_to_tidy(host.now_us(), host);
        }
        self.wake_sampling();
        if self.next_sample_us().is_none() {
            return false;
        }
        let now_us = host.now_us();
        let Some(Draw { candidate, samples }) = self.draw(now_us) else {
            return false;
        };
        let schema = Arc::clone(&candidate.schema);
        let next = Recalling::sample(schema, samples, &self.context_at(now_us, host));
        self.set_out(next, TaskPurpose::Sampling(candidate), now_us);
        true
    }

    /// How many tasks are under way that tell what happened.
    pub(crate) fn news_tasks(&self) -> usize {
        let tasks = self.background_tasks.iter();
        tasks.filter(|task| matches!(task.purpose, TaskPurpose::News)).count()
    }

    /// Tells workers what happened.
    pub(crate) fn begin_news_task(&mut self, requests: Vec<(Target, RequestBody)>, now_us: u64) {
        let (missing, reply) = (requests.len(), Reply::Null);
        let next = Next::Request(Gather::AllDone { missing, reply }, requests);
        self.set_out(next, TaskPurpose::News, now_us);
    }

    fn begin_to_tidy(&mut self, now_us: u64, host: &dyn Host) -> bool {
        if let Some(schema) = self
            .shards
            .iter_mut()
            .find_map(|shard| shard.keyspace_mut().take_withdrawn())
        {
            let next = Dropping::release(&schema, &self.context_at(now_us, host));
            self.set_out(next, TaskPurpose::Releasing, now_us);
            return true;
        }
        let emptied = self
            .shards
            .iter_mut()
            .find_map(|shard| shard.keyspace_mut().take_emptied());
        let Some(schema) = emptied else { return false };
        let context = self.context_at(now_us, host);
        // It may have been dropped since.
        if context.catalog().generation_of(&schema.name) == Some(schema.generation) {
            let next = CollectEmpty::start(Arc::clone(&schema), &context);
            self.set_out(next, TaskPurpose::CollectEmpty(schema), now_us);
        }
        true
    }

    fn context_at<'a>(&'a self, now_us: u64, host: &'a dyn Host) -> Context<'a> {
        self.context(self.unix_us(now_us) / 1000, host, ReadTiming::Never)
    }

    fn set_out(&mut self, next: Next, purpose: TaskPurpose, now_us: u64) {
        let Next::Request(gather, requests) = next else {
            // It asks the parts of a collection, so this is none.
            return;
        };
        let mut reply_queue = ReplyQueue::new(
            Session::new(0, String::new(), String::new(), now_us),
            KillFlag::default(),
            self.ledger.open(),
            self.reply_queues.spare.clone(),
        );
        reply_queue.set_presence(Presence::Gone);
        let taken = Taken::of_nothing(self.stats.by_command.counter(UNKNOWN), now_us);
        let sequence = reply_queue.take_slot(gather, taken);
        let reply_queue = self.reply_queues.add(reply_queue);
        self.background_tasks.push(BackgroundTask { reply_queue, purpose });
        self.send(
            ReplyId {
                reply_queue: reply_queue.0,
                sequence,
            },
            requests,
        );
    }

    /// Takes the result of a background task; false if this is not the reply queue of one. A collection that a VECSET has kept
    /// meanwhile may be tried again later.
    pub(crate) fn end_background_task(&mut self, reply_queue: ReplyQueueId, reply: &Reply, now_us: u64) -> bool {
        let Some(place) = self
            .background_tasks
            .iter()
            .position(|task| task.reply_queue == reply_queue)
        else {
            return false;
        };
        match (
            self.background_tasks.swap_remove(place).purpose,
            reply,
            self.shards.first_mut(),
        ) {
            (TaskPurpose::News, ..) => {}
            (TaskPurpose::Releasing, ..) => self.setup.catalog.expiring_collections().subtract(),
            (TaskPurpose::CollectEmpty(schema), Reply::Integer(0), Some(shard)) => {
                shard.keyspace_mut().note_emptied(&schema)
            }
            (TaskPurpose::CollectEmpty(_), ..) => {}
            (TaskPurpose::Sampling(candidate), reply, _) => {
                let unix_us = self.unix_us(now_us);
                self.sampling.note(&candidate, Found::of_reply(reply), unix_us);
            }
        }
        true
    }
}
