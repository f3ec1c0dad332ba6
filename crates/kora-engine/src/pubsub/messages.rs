//! What workers ask each other about subscriptions, and what a client asks its own worker.

use bytes::Bytes;
use kora_resp::glob::Pattern;
use kora_resp::{Reply, Words};

use crate::command::{SubscriptionChange, TopicKind};

/// What is asked of a worker about subscriptions.
pub(crate) enum TopicsRequest {
    /// Names of this kind that match, behind this one.
    Names {
        kind: TopicKind,
        pattern: Option<Pattern>,
        behind: Option<Bytes>,
    },
    /// How many subscribe to each.
    Counts { kind: TopicKind, names: Vec<Bytes> },
}

/// A worker's answer, or a page of it.
pub(crate) enum TopicPage {
    /// Names, and behind which one to go on.
    Names {
        names: Vec<Bytes>,
        next: Option<Bytes>,
    },
    Counts(Vec<u64>),
}

/// A command that begins or ends subscriptions, under way.
pub(crate) struct Subscribing {
    pub(super) kind: TopicKind,
    pub(super) ends: bool,
    /// Those that are left to do; `None` for all that there are.
    pub(super) names: Option<Words>,
    /// One for each that is done.
    pub(super) replies: Vec<Reply>,
}

impl Subscribing {
    pub(crate) fn new(change: SubscriptionChange) -> Subscribing {
        Subscribing {
            kind: change.kind,
            ends: change.ends,
            names: change.names,
            replies: Vec::new(),
        }
    }
}
