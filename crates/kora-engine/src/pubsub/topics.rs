//! What PUBSUB asks one worker.

use std::ops::Bound;

use bytes::Bytes;

use super::messages::{TopicPage, TopicsRequest};
use crate::engine::Engine;
use crate::limits::TOPICS_PER_SLICE;

impl Engine {
    pub(crate) fn answer_topics(&self, body: TopicsRequest) -> TopicPage {
        match body {
            TopicsRequest::Counts { kind, names } => {
                let topics = self.pubsub.registry.of_kind(kind);
                let count = |name: &Bytes| topics.get(name).map_or(0, |topic| topic.subscribers.len() as u64);
                TopicPage::Counts(names.iter().map(count).collect())
            }
            TopicsRequest::Names { kind, pattern, behind } => {
                let behind = behind.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let topics = self.pubsub.registry.of_kind(kind);
                let mut looked_at = topics
                    .range::<[u8], _>((behind, Bound::Unbounded))
                    .map(|(name, _)| name);
                let page: Vec<&Bytes> = looked_at.by_ref().take(TOPICS_PER_SLICE).collect();
                let next = looked_at.next().and(page.last().map(|name| Bytes::clone(name)));
                let matches = |name: &&Bytes| pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
                TopicPage::Names {
                    names: page.into_iter().filter(matches).cloned().collect(),
                    next,
                }
            }
        }
    }
}
