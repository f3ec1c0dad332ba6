//! News of a worker's shards on their way to clients: messages of channels, and invalidations of keys.

use bytes::{Bytes, BytesMut};
use kora_mesh::WorkerId;
use kora_resp::{Reply, Version, write_reply};

use super::{Invalidation, NewsItem};
use crate::engine::Engine;
use crate::limits::NEWS_TASKS_MAX;
use crate::mail::{RequestBody, Target};
use crate::reply_queues::ReplyQueueId;
use crate::setup::Host;

impl Engine {
    /// Sends on what shards have to tell: changes that were made outside of a turn, or in it.
    pub(crate) fn spread_news(&mut self, host: &dyn Host) {
        for shard in &mut self.shards {
            if !shard.has_news() {
                continue;
            }
            for message in shard.take_messages().into_iter().chain(shard.take_notices()) {
                self.news.push(NewsItem::Message(message));
            }
            for invalidation in shard.take_invalidations() {
                self.news.push(NewsItem::Invalidation(invalidation));
            }
        }
        if self.news.is_empty() {
            return;
        }
        while !self.news.is_empty() && self.news_tasks() < NEWS_TASKS_MAX {
            let items = self.news.take();
            self.send_news(items, host.now_us());
        }
        self.wake_for_work();
    }

    /// Each worker is sent all messages, and the invalidations that are for its clients.
    fn send_news(&mut self, items: Vec<NewsItem>, now_us: u64) {
        let workers: Vec<WorkerId> = self.setup.workers().collect();
        let mut of_worker: Vec<Vec<NewsItem>> = workers.iter().map(|_| Vec::new()).collect();
        for item in items {
            match &item {
                NewsItem::Invalidation(Invalidation { tracker, .. }) if tracker.redirect.is_none() => {
                    of_worker[tracker.worker.index()].push(item);
                }
                _ => of_worker.iter_mut().for_each(|items| items.push(item.clone())),
            }
        }
        let requests = workers
            .into_iter()
            .zip(of_worker)
            .filter(|(_, items)| !items.is_empty());
        let requests: Vec<(Target, RequestBody)> = requests
            .map(|(worker, items)| (Target::Worker(worker), RequestBody::News(items)))
            .collect();
        if !requests.is_empty() {
            self.begin_news_task(requests, now_us);
        }
    }

    /// Tells a client of this worker, if it is one and wants to hear of it.
    pub(crate) fn deliver_invalidation(&mut self, invalidation: &Invalidation) {
        let Invalidation { tracker, key } = invalidation;
        if tracker.is_over.is_raised() {
            return;
        }
        let (place, client) = match tracker.redirect {
            None => (Some(ReplyQueueId(tracker.reply_queue)), tracker.client),
            Some(client) => (self.clients_by_id.get(&client).copied(), client),
        };
        let Some(reply_queue) = place.and_then(|place| self.reply_queues.find(place)) else {
            return;
        };
        let is_told_in_resp2 = tracker.redirect.is_some() && reply_queue.session.is_subscribed();
        if reply_queue.session.id != client || (reply_queue.session.version == Version::Resp2 && !is_told_in_resp2) {
            return;
        }
        let name = |text: &'static str| Reply::Bulk(Bytes::from_static(text.as_bytes()));
        let what = match key {
            Some(key) => Reply::Array(vec![Reply::Bulk(key.clone())]),
            None => Reply::Null,
        };
        let version = reply_queue.session.version;
        let push = match version {
            Version::Resp3 => vec![name("invalidate"), what],
            Version::Resp2 => vec![name("message"), name("__redis__:invalidate"), what],
        };
        let mut bytes = BytesMut::new();
        write_reply(Reply::Push(push), version, &mut bytes);
        reply_queue.push(&[bytes.freeze()], None);
        self.reply_is_ready = true;
    }
}
