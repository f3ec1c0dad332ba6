//! Who subscribes to what, of one worker's connections.

use std::collections::BTreeMap;

use bytes::Bytes;
use kora_resp::glob::{Case, Pattern};

use crate::command::TopicKind;
use crate::reply_queues::ReplyQueueId;

/// All that connections of one worker subscribe to. Ordered trees, which never take long to grow.
#[derive(Default)]
pub(crate) struct Registry {
    /// By the numbers of the kinds. Invariant: no topic is without subscribers.
    topics: [BTreeMap<Bytes, Topic>; TopicKind::ALL.len()],
}

/// A channel or a pattern.
pub(crate) struct Topic {
    /// Of [`TopicKind::Pattern`] only.
    pattern: Option<Pattern>,
    /// By the subscribers' ids. A reply queue may have gone, and another client may have its place: the id tells.
    pub(crate) subscribers: BTreeMap<u64, ReplyQueueId>,
}

impl Registry {
    pub(crate) fn of_kind(&self, kind: TopicKind) -> &BTreeMap<Bytes, Topic> {
        &self.topics[kind as usize]
    }

    /// Returns the memory that the topic takes, to be charged to its subscriber.
    pub(crate) fn add(&mut self, kind: TopicKind, name: &Bytes, subscriber: u64, reply_queue: ReplyQueueId) -> usize {
        let topic = self.topics[kind as usize].entry(name.clone()).or_insert_with(|| Topic {
            pattern: (kind == TopicKind::Pattern).then(|| Pattern::new(name, Case::Sensitive)),
            subscribers: BTreeMap::new(),
        });
        topic.subscribers.insert(subscriber, reply_queue);
        topic.bytes(name)
    }

    /// Returns what was charged for it.
    pub(crate) fn remove(&mut self, kind: TopicKind, name: &Bytes, subscriber: u64) -> usize {
        let topics = &mut self.topics[kind as usize];
        let Some(topic) = topics.get_mut(name) else { return 0 };
        let bytes = topic.bytes(name);
        topic.subscribers.remove(&subscriber);
        if topic.subscribers.is_empty() {
            topics.remove(name);
        }
        bytes
    }
}

impl Topic {
    /// The compiled pattern, if it is one.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// Each subscriber is charged as if it had the topic to itself.
    fn bytes(&self, name: &Bytes) -> usize {
        name.len() + self.pattern.as_ref().map_or(0, Pattern::bytes) + TOPIC_BYTES
    }
}

/// A name in the tree of topics and in its subscriber's, and the subscriber in the topic's: three nodes' shares, rounded up.
const TOPIC_BYTES: usize = 256;
