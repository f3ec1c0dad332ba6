//! How a connection begins and ends subscriptions.

use std::collections::BTreeSet;
use std::mem::take;

use bytes::Bytes;
use kora_resp::Reply;

use super::messages::Subscribing;
use crate::command::TopicKind;
use crate::counts::integer;
use crate::engine::Engine;
use crate::error::ClientError;
use crate::limits::{SUBSCRIPTIONS_MAX, TOPICS_PER_SLICE};
use crate::mail::ReplyId;
use crate::reply_queue::Presence;
use crate::reply_queues::ReplyQueueId;

/// A connection that subscribes to something.
pub(crate) struct Subscriber {
    /// Unique in the life of its worker: places of lines are given to others.
    id: u64,
    /// By the numbers of the kinds.
    names: [BTreeSet<Bytes>; TopicKind::ALL.len()],
    /// Memory of its subscriptions. In the connection's account.
    bytes: usize,
}

impl Subscriber {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes some subscription out.
    pub(crate) fn pop(&mut self) -> Option<(TopicKind, Bytes)> {
        TopicKind::ALL
            .into_iter()
            .find_map(|kind| Some((kind, self.names[kind as usize].pop_first()?)))
    }

    /// All that it hears.
    pub(crate) fn names(&self) -> impl Iterator<Item = (TopicKind, &[u8])> {
        let of = |kind: TopicKind| self.names[kind as usize].iter().map(move |name| (kind, name.as_ref()));
        TopicKind::ALL.into_iter().flat_map(of)
    }

    fn len(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    /// What a confirmation counts: shard channels by themselves, channels and patterns together.
    fn count(&self, kind: TopicKind) -> usize {
        let of = |kind: TopicKind| self.names[kind as usize].len();
        match kind {
            TopicKind::Shard => of(kind),
            TopicKind::Channel | TopicKind::Pattern => of(TopicKind::Channel) + of(TopicKind::Pattern),
        }
    }
}

impl Engine {
    /// Does a slice of it; gives it back if there is more to do.
    pub(crate) fn subscribe_slice(
        &mut self,
        reply_id: ReplyId,
        mut subscribing: Subscribing,
    ) -> Result<Reply, Subscribing> {
        let id = ReplyQueueId(reply_id.reply_queue);
        if !matches!(self.reply_queues.get(id).presence(), Presence::Here | Presence::Leaving) {
            return Ok(Reply::Null);
        }
        for _ in 0..TOPICS_PER_SLICE {
            let Some(name) = self.next_name(id, &mut subscribing) else {
                return Ok(self.confirm_all(id, subscribing));
            };
            let reply = match subscribing.ends {
                true => self.unsubscribe(id, subscribing.kind, name),
                false => self.subscribe(id, subscribing.kind, name),
            };
            subscribing.replies.push(reply);
        }
        Err(subscribing)
    }

    fn next_name(&mut self, id: ReplyQueueId, subscribing: &mut Subscribing) -> Option<Bytes> {
        match &mut subscribing.names {
            Some(names) => names.take_next().map(Bytes::copy_from_slice),
            None => {
                let subscriber = self.reply_queues.get(id).subscriber.as_ref()?;
                subscriber.names[subscribing.kind as usize].first().cloned()
            }
        }
    }

    fn confirm_all(&mut self, id: ReplyQueueId, mut subscribing: Subscribing) -> Reply {
        if subscribing.replies.is_empty() {
            let count = self
                .reply_queues
                .get(id)
                .subscriber
                .as_ref()
                .map_or(0, |one| one.count(subscribing.kind));
            let word = subscribing.kind.unsubscribe_word();
            subscribing.replies.push(confirmation(word, Reply::Null, count));
        }
        Reply::Sequence(take(&mut subscribing.replies))
    }

    fn subscribe(&mut self, id: ReplyQueueId, kind: TopicKind, name: Bytes) -> Reply {
        let reply_queue = self.reply_queues.get(id);
        let subscriber = reply_queue.subscriber.get_or_insert_with(|| {
            self.pubsub.next_id += 1;
            self.pubsub.subscribers += 1;
            Box::new(Subscriber {
                id: self.pubsub.next_id,
                names: Default::default(),
                bytes: 0,
            })
        });
        if !subscriber.names[kind as usize].contains(&name) {
            if subscriber.len() >= SUBSCRIPTIONS_MAX {
                return Reply::Error(ClientError::TooManySubscriptions.to_string());
            }
            let bytes = self.pubsub.registry.add(kind, &name, subscriber.id, id);
            subscriber.names[kind as usize].insert(name.clone());
            subscriber.bytes += bytes;
            reply_queue.account.add(bytes);
            reply_queue.session.subscriptions[kind as usize] += 1;
        }
        confirmation(kind.subscribe_word(), Reply::Bulk(name), subscriber.count(kind))
    }

    fn unsubscribe(&mut self, id: ReplyQueueId, kind: TopicKind, name: Bytes) -> Reply {
        let reply_queue = self.reply_queues.get(id);
        let mut count = 0;
        if let Some(subscriber) = &mut reply_queue.subscriber {
            if subscriber.names[kind as usize].remove(&name) {
                let bytes = self.pubsub.registry.remove(kind, &name, subscriber.id);
                subscriber.bytes -= bytes;
                reply_queue.account.remove(bytes);
                reply_queue.session.subscriptions[kind as usize] -= 1;
            }
            count = subscriber.count(kind);
            if subscriber.len() == 0 {
                reply_queue.subscriber = None;
                self.pubsub.subscribers -= 1;
            }
        }
        confirmation(kind.unsubscribe_word(), Reply::Bulk(name), count)
    }
}

fn confirmation(word: &'static str, name: Reply, count: usize) -> Reply {
    let word = Reply::Bulk(Bytes::from_static(word.as_bytes()));
    Reply::Push(vec![word, name, Reply::Integer(integer(count as u64))])
}
