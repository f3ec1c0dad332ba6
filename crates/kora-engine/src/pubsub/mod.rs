//! Publishing and subscribing.
//!
//! Each worker knows what its own connections subscribe to (`registry.rs`). A message goes to all workers, over the lanes that
//! keep the order of what one worker sends to another, and each delivers what came first to the end before it begins with the
//! next (`publication.rs`): so the messages of one connection reach every subscriber in order.

mod messages;
mod publication;
mod registry;
mod subscribing;
mod topics;

use std::collections::VecDeque;
use std::sync::Arc;

use kora_mesh::WorkerId;

pub(crate) use self::messages::{Subscribing, TopicPage, TopicsRequest};
use self::publication::Publication;
use self::registry::Registry;
pub(crate) use self::subscribing::Subscriber;
use crate::command::{Message, TopicKind};
use crate::engine::Engine;
use crate::limits::{DELIVERIES_PER_SLICE, TOPICS_PER_SLICE};
use crate::mail::{PartialReply, ReplyId, Response, Target};
use crate::reply_queues::ReplyQueueId;
use crate::setup::Host;
use crate::tracking::NewsItem;

/// What one worker knows of subscriptions.
#[derive(Default)]
pub(crate) struct PubSub {
    registry: Registry,
    /// Messages that are being delivered, first come first served. Bounded by the clients' lines.
    publications: VecDeque<Publication>,
    /// Subscriptions of clients that have gone. Bounded by the connections.
    gone: VecDeque<Subscriber>,
    /// The id of the next subscriber.
    next_id: u64,
    /// Connections that subscribe to something.
    subscribers: usize,
}

impl PubSub {
    /// Connections that subscribe to something.
    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers
    }

    /// Channels, patterns and shard channels with subscribers on this worker.
    pub(crate) fn topic_counts(&self) -> [u64; TopicKind::ALL.len()] {
        TopicKind::ALL.map(|kind| self.registry.of_kind(kind).len() as u64)
    }
}

impl Engine {
    /// Takes a message in, to be delivered to this worker's connections.
    pub(crate) fn accept_message(&mut self, from: WorkerId, reply_id: ReplyId, message: Arc<Message>) {
        let publication = Publication::new(from, reply_id, from == self.worker, message);
        self.pubsub.publications.push_back(publication);
    }

    /// Takes in what happened on shards of a worker, which hears when all of it is delivered.
    pub(crate) fn accept_news(&mut self, from: WorkerId, reply_id: ReplyId, items: Vec<NewsItem>, host: &dyn Host) {
        let mut last = None;
        for item in items {
            match item {
                NewsItem::Invalidation(invalidation) => self.deliver_invalidation(&invalidation),
                NewsItem::Line(line) => self.deliver_line(&line),
                NewsItem::Message(message) => {
                    let publication = Publication::of_news(from, reply_id, message);
                    self.pubsub.publications.extend(last.replace(publication));
                }
            }
        }
        match last {
            Some(publication) => self.pubsub.publications.push_back(publication.answered()),
            None => {
                let (from_here, part) = (Target::Worker(self.worker), PartialReply::Done);
                let from_worker = Response {
                    reply_id,
                    from: from_here,
                    part,
                };
                self.answer(from, from_worker, host);
            }
        }
    }

    pub(crate) fn has_publications(&self) -> bool {
        !self.pubsub.publications.is_empty() || !self.pubsub.gone.is_empty()
    }

    /// A slice of what is to be delivered, or to be forgotten; false if there is nothing.
    pub(crate) fn publish_slice(&mut self, host: &dyn Host) -> bool {
        if let Some(publication) = self.pubsub.publications.front_mut() {
            let is_done = publication.deliver(&self.pubsub.registry, &mut self.reply_queues, DELIVERIES_PER_SLICE);
            self.reply_is_ready = true;
            if is_done
                && let Some(done) = self.pubsub.publications.pop_front()
                && done.is_answered()
            {
                let (from, part) = (Target::Worker(self.worker), PartialReply::Count(done.receivers()));
                let reply_id = done.reply_id();
                self.answer(done.from(), Response { reply_id, from, part }, host);
            }
            return true;
        }
        let Some(subscriber) = self.pubsub.gone.front_mut() else {
            return false;
        };
        for _ in 0..TOPICS_PER_SLICE {
            let Some((kind, name)) = subscriber.pop() else {
                self.pubsub.gone.pop_front();
                break;
            };
            self.pubsub.registry.remove(kind, &name, subscriber.id());
        }
        true
    }

    /// The client has gone or begins anew: it is sent no more messages.
    pub(crate) fn forget_subscriptions(&mut self, id: ReplyQueueId) {
        let reply_queue = self.reply_queues.get(id);
        reply_queue.session.subscriptions = [0; TopicKind::ALL.len()];
        if let Some(subscriber) = reply_queue.subscriber.take() {
            reply_queue.account.remove(subscriber.bytes());
            self.pubsub.subscribers -= 1;
            self.pubsub.gone.push_back(*subscriber);
            self.wake_for_work();
        }
    }
}
