//! A message on its way to the subscribers of one worker.

use std::ops::Bound;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kora_mesh::WorkerId;
use kora_resp::{Reply, Version, write_reply};

use super::registry::{Registry, Topic};
use crate::command::{Message, TopicKind};
use crate::limits::{COPIED_MESSAGE_BYTES_MAX, PATTERN_STEPS_PER_DELIVERY};
use crate::mail::ReplyId;
use crate::reply_queue::Presence;
use crate::reply_queues::{ReplyQueueId, ReplyQueues};

/// A message that is being delivered.
pub(crate) struct Publication {
    /// Who is to hear how many got it.
    from: WorkerId,
    reply_id: ReplyId,
    /// A connection of this worker published it.
    is_own: bool,
    message: Arc<Message>,
    at: PublicationPlace,
    receivers: u64,
    /// Its sender awaits an answer.
    is_answered: bool,
}

/// Where its delivery goes on.
enum PublicationPlace {
    /// Subscribers of the channel itself, from this id on.
    Channel(u64),
    /// Patterns from this one on; of the first, subscribers from this id on.
    Patterns(Bytes, u64),
}

impl Publication {
    pub(crate) fn new(from: WorkerId, reply_id: ReplyId, is_own: bool, message: Arc<Message>) -> Publication {
        Publication {
            from,
            reply_id,
            is_own,
            message,
            at: PublicationPlace::Channel(0),
            receivers: 0,
            is_answered: true,
        }
    }

    /// One of several messages, which no connection published: only to the last there is an answer.
    pub(crate) fn of_news(from: WorkerId, reply_id: ReplyId, message: Arc<Message>) -> Publication {
        Publication {
            is_answered: false,
            ..Publication::new(from, reply_id, false, message)
        }
    }

    /// The same as the last of them.
    pub(crate) fn answered(self) -> Publication {
        Publication {
            is_answered: true,
            ..self
        }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered
    }

    pub(crate) fn from(&self) -> WorkerId {
        self.from
    }

    pub(crate) fn reply_id(&self) -> ReplyId {
        self.reply_id
    }

    /// How many it was sent to.
    pub(crate) fn receivers(&self) -> u64 {
        self.receivers
    }

    /// Delivers it to about `deliveries_max` subscribers; true if that was all.
    pub(crate) fn deliver(
        &mut self,
        registry: &Registry,
        reply_queues: &mut ReplyQueues,
        deliveries_max: usize,
    ) -> bool {
        let mut left = deliveries_max;
        let message = Arc::clone(&self.message);
        if let PublicationPlace::Channel(first) = self.at {
            let kind = match message.is_sharded {
                true => TopicKind::Shard,
                false => TopicKind::Channel,
            };
            if let Some(topic) = registry.of_kind(kind).get(&message.channel) {
                let mut frames = Frames::new(&message, kind, None);
                if let Some(next) = self.deliver_to(topic, first, &mut frames, reply_queues, &mut left) {
                    self.at = PublicationPlace::Channel(next);
                    return false;
                }
            }
            if message.is_sharded {
                return true;
            }
            self.at = PublicationPlace::Patterns(Bytes::new(), 0);
        }
        self.deliver_to_patterns(registry, reply_queues, &mut left)
    }

    fn deliver_to_patterns(&mut self, registry: &Registry, reply_queues: &mut ReplyQueues, left: &mut usize) -> bool {
        let PublicationPlace::Patterns(from, mut first) = std::mem::replace(&mut self.at, PublicationPlace::Channel(0))
        else {
            return true;
        };
        let message = Arc::clone(&self.message);
        let patterns = registry.of_kind(TopicKind::Pattern);
        for (name, topic) in patterns.range::<[u8], _>((Bound::Included(&from[..]), Bound::Unbounded)) {
            // Another one stands here than the delivery stopped at.
            let first = if *name == from { std::mem::take(&mut first) } else { 0 };
            if *left == 0 {
                self.at = PublicationPlace::Patterns(name.clone(), first);
                return false;
            }
            let Some(pattern) = topic.pattern() else { continue };
            let steps = pattern.steps(message.channel.len());
            // However long the comparison was, something is done in each slice, or the next one would begin it again.
            *left = left.saturating_sub(steps / PATTERN_STEPS_PER_DELIVERY).max(1);
            if !pattern.matches(&message.channel) {
                *left = left.saturating_sub(1);
                continue;
            }
            let mut frames = Frames::new(&message, TopicKind::Pattern, Some(name));
            if let Some(next) = self.deliver_to(topic, first, &mut frames, reply_queues, left) {
                self.at = PublicationPlace::Patterns(name.clone(), next);
                return false;
            }
        }
        true
    }

    /// Sends it to subscribers from an id on; says where to go on if they were too many.
    fn deliver_to(
        &mut self,
        topic: &Topic,
        first: u64,
        frames: &mut Frames<'_>,
        reply_queues: &mut ReplyQueues,
        left: &mut usize,
    ) -> Option<u64> {
        for (id, reply_queue) in topic.subscribers.range(first..) {
            if *left == 0 {
                return Some(*id);
            }
            *left -= 1;
            // Who publishes to itself has the reply first, and then the message, before all that it said behind it.
            let behind = (reply_queue.0 == self.reply_id.reply_queue && self.is_own).then_some(self.reply_id.sequence);
            self.receivers += u64::from(send((*id, *reply_queue), behind, frames, reply_queues));
        }
        None
    }
}

/// False if this subscriber is not there any more.
fn send(
    (subscriber, reply_queue): (u64, ReplyQueueId),
    behind: Option<u32>,
    frames: &mut Frames<'_>,
    reply_queues: &mut ReplyQueues,
) -> bool {
    let Some(reply_queue) = reply_queues.find(reply_queue) else {
        return false;
    };
    let is_there = reply_queue.presence() == Presence::Here
        && reply_queue
            .subscriber
            .as_ref()
            .is_some_and(|one| one.id() == subscriber);
    if is_there {
        let frame = frames.of(reply_queue.session.version);
        reply_queue.push(frame, behind);
    }
    is_there
}

/// A message as each version spells it, once a subscriber wants it.
struct Frames<'m> {
    message: &'m Message,
    kind: TopicKind,
    /// What was matched, if it is for the subscribers of a pattern.
    pattern: Option<&'m Bytes>,
    spelled: [Vec<Bytes>; 2],
}

impl<'m> Frames<'m> {
    fn new(message: &'m Message, kind: TopicKind, pattern: Option<&'m Bytes>) -> Frames<'m> {
        let spelled = [Vec::new(), Vec::new()];
        Frames {
            message,
            kind,
            pattern,
            spelled,
        }
    }

    fn of(&mut self, version: Version) -> &[Bytes] {
        let index = match version {
            Version::Resp2 => 0,
            Version::Resp3 => 1,
        };
        if self.spelled[index].is_empty() {
            self.spelled[index] = self.spell(version);
        }
        &self.spelled[index]
    }

    fn spell(&self, version: Version) -> Vec<Bytes> {
        let payload = &self.message.payload;
        let is_shared = payload.len() > COPIED_MESSAGE_BYTES_MAX;
        let mut parts = vec![Reply::Bulk(Bytes::from_static(self.kind.message_word().as_bytes()))];
        parts.extend(self.pattern.cloned().map(Reply::Bulk));
        parts.push(Reply::Bulk(self.message.channel.clone()));
        // An empty text in the place of a large one, whose header and end are written in its stead.
        parts.push(Reply::Bulk(if is_shared { Bytes::new() } else { payload.clone() }));
        let mut head = BytesMut::new();
        write_reply(Reply::Push(parts), version, &mut head);
        if !is_shared {
            return vec![head.freeze()];
        }
        head.truncate(head.len() - EMPTY_BULK.len());
        head.extend_from_slice(format!("${}\r\n", payload.len()).as_bytes());
        vec![head.freeze(), payload.clone(), Bytes::from_static(b"\r\n")]
    }
}

const EMPTY_BULK: &[u8] = b"$0\r\n\r\n";
