//! News of a worker's shards that wait to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Invalidation, NewsItem, Tracker};
use crate::limits::{NEWS_BYTES_MAX, NEWS_PER_TASK, NEWS_WAITING_MAX};

/// What waits to be sent.
#[derive(Default)]
pub(crate) struct News {
    /// Invariant: at most [`NEWS_WAITING_MAX`].
    waiting: VecDeque<NewsItem>,
    /// Bytes of `waiting`. Invariant: at most [`NEWS_BYTES_MAX`].
    waiting_bytes: usize,
    /// Clients of which an invalidation found no place: they are told that everything may have changed. Bounded by the
    /// clients that track.
    overtaken: BTreeMap<u64, Arc<Tracker>>,
    /// Messages that found no place.
    dropped: u64,
}

impl News {
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.overtaken.is_empty()
    }

    pub(crate) fn push(&mut self, item: NewsItem) {
        let bytes = item.bytes();
        if self.waiting.len() < NEWS_WAITING_MAX && self.waiting_bytes + bytes <= NEWS_BYTES_MAX {
            self.waiting_bytes += bytes;
            self.waiting.push_back(item);
            return;
        }
        match item {
            NewsItem::Message(_) | NewsItem::Line(_) => self.dropped += 1,
            NewsItem::Invalidation(Invalidation { tracker, .. }) => {
                self.overtaken.insert(tracker.client, tracker);
            }
        }
    }

    /// Some of what waits, in order.
    pub(super) fn take(&mut self) -> Vec<NewsItem> {
        let count = self.waiting.len().min(NEWS_PER_TASK);
        let mut items: Vec<NewsItem> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= items.iter().map(NewsItem::bytes).sum::<usize>();
        if self.waiting.is_empty() {
            let all = std::mem::take(&mut self.overtaken).into_values();
            items.extend(all.map(|tracker| NewsItem::Invalidation(Invalidation { tracker, key: None })));
        }
        items
    }
}
