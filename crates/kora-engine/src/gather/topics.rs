//! PUBSUB: what all workers say of subscriptions.

use std::collections::BTreeSet;

use bytes::Bytes;
use kora_resp::Reply;
use kora_resp::glob::Pattern;

use super::{Context, Gather, Next};
use crate::command::{PubSubQuery, TopicKind};
use crate::counts::integer;
use crate::limits::TOPICS_PER_SLICE;
use crate::mail::{RequestBody, Target};
use crate::pubsub::{TopicPage, TopicsRequest};

/// A question about subscriptions of which a part is missing.
pub(crate) struct AskingTopics {
    question: Question,
    missing: usize,
}

enum Question {
    Names {
        kind: TopicKind,
        pattern: Option<Pattern>,
        names: BTreeSet<Bytes>,
        bytes: usize,
        /// Only how many there are is wanted.
        is_count: bool,
    },
    Counts {
        kind: TopicKind,
        names: Vec<Bytes>,
        /// Of the names that were asked for by now.
        counts: Vec<u64>,
        /// How many were asked for before the last step.
        asked: usize,
    },
}

impl AskingTopics {
    pub(crate) fn start(query: PubSubQuery, context: &Context<'_>) -> Next {
        let question = match query {
            PubSubQuery::Names(kind, pattern) => Question::Names {
                kind,
                pattern,
                names: BTreeSet::new(),
                bytes: 0,
                is_count: false,
            },
            PubSubQuery::PatternCount => Question::Names {
                kind: TopicKind::Pattern,
                pattern: None,
                names: BTreeSet::new(),
                bytes: 0,
                is_count: true,
            },
            PubSubQuery::Counts(kind, names) => Question::Counts {
                kind,
                names,
                counts: Vec::new(),
                asked: 0,
            },
        };
        let missing = 0;
        Box::new(AskingTopics { question, missing }).ask_all(context)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, page: TopicPage, context: &Context<'_>) -> Next {
        match (&mut self.question, page) {
            (Question::Names { names, bytes, .. }, TopicPage::Names { names: more, next }) => {
                *bytes += more.iter().map(|name| name.len() + NAME_BYTES).sum::<usize>();
                let too_large = context.setup.too_large(*bytes);
                match too_large {
                    // The other workers' answers are still to come.
                    Some(_) => names.clear(),
                    None => names.extend(more),
                }
                if let (Some(behind), None) = (next, too_large) {
                    let body = self.request(Some(behind));
                    return Next::Request(Gather::AskingTopics(self), vec![(from, body)]);
                }
            }
            (Question::Counts { counts, asked, .. }, TopicPage::Counts(more)) => {
                let of_step = counts[*asked..].iter_mut();
                of_step.zip(more).for_each(|(count, more)| *count += more);
            }
            _ => return Next::other_answer(),
        }
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::AskingTopics(self));
        }
        if let Question::Names { bytes, .. } = &self.question
            && let Some(error) = context.setup.too_large(*bytes)
        {
            return Next::error(&error);
        }
        if let Question::Counts {
            names, counts, asked, ..
        } = &mut self.question
        {
            *asked = counts.len();
            if *asked < names.len() {
                return self.ask_all(context);
            }
        }
        Next::Reply(self.reply())
    }

    fn ask_all(mut self: Box<Self>, context: &Context<'_>) -> Next {
        if let Question::Counts {
            names, counts, asked, ..
        } = &mut self.question
        {
            counts.resize(names.len().min(*asked + TOPICS_PER_SLICE), 0);
        }
        let requests: Vec<_> = context
            .setup
            .workers()
            .map(|worker| (Target::Worker(worker), self.request(None)))
            .collect();
        self.missing = requests.len();
        Next::Request(Gather::AskingTopics(self), requests)
    }

    fn request(&self, behind: Option<Bytes>) -> RequestBody {
        RequestBody::Topics(Box::new(match &self.question {
            Question::Names { kind, pattern, .. } => TopicsRequest::Names {
                kind: *kind,
                pattern: pattern.clone(),
                behind,
            },
            Question::Counts {
                kind,
                names,
                counts,
                asked,
            } => TopicsRequest::Counts {
                kind: *kind,
                names: names[*asked..counts.len()].to_vec(),
            },
        }))
    }

    fn reply(self) -> Reply {
        match self.question {
            Question::Names {
                names, is_count: true, ..
            } => Reply::Integer(integer(names.len() as u64)),
            Question::Names { names, .. } => Reply::Array(names.into_iter().map(Reply::Bulk).collect()),
            Question::Counts { names, counts, .. } => {
                let numbers = counts.into_iter().map(|count| Reply::Integer(integer(count)));
                let pairs = names.into_iter().map(Reply::Bulk).zip(numbers);
                Reply::Array(pairs.flat_map(|(name, number)| [name, number]).collect())
            }
        }
    }
}

/// What a name in a reply takes beside its bytes.
const NAME_BYTES: usize = 48;
