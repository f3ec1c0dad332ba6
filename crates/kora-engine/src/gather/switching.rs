//! CLIENT TRACKING: how it is switched on and off.

use kora_resp::Reply;

use super::{Context, Gather, Next};
use crate::command::TrackingOptions;
use crate::mail::{PartialReply, RequestBody, Target};

/// CLIENT TRACKING under way.
pub(crate) struct Switching {
    /// The client's own worker.
    here: Target,
    options: Option<Box<TrackingOptions>>,
    step: Step,
}

enum Step {
    /// Workers look for the client that is redirected to.
    Finding { missing: usize, found: u64 },
    /// The client's own worker switches it.
    Switching,
    /// Shards hear of prefixes.
    Telling { missing: usize },
}

impl Switching {
    pub(crate) fn start(options: Option<Box<TrackingOptions>>, here: Target, context: &Context<'_>) -> Next {
        let redirect = options.as_ref().and_then(|options| options.redirect);
        let mut switching = Box::new(Switching {
            here,
            options,
            step: Step::Switching,
        });
        let Some(client) = redirect else {
            return switching.switch();
        };
        let workers = context.setup.workers();
        let requests: Vec<_> = workers
            .map(|worker| (Target::Worker(worker), RequestBody::HasClient(client)))
            .collect();
        let (missing, found) = (requests.len(), 0);
        switching.step = Step::Finding { missing, found };
        Next::Request(Gather::Switching(switching), requests)
    }

    fn switch(mut self: Box<Self>) -> Next {
        let body = RequestBody::SwitchTracking(self.options.take());
        self.step = Step::Switching;
        let requests = vec![(self.here, body)];
        Next::Request(Gather::Switching(self), requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, part: PartialReply, context: &Context<'_>) -> Next {
        match (&mut self.step, part) {
            (Step::Finding { missing, found }, PartialReply::Count(count)) => {
                *missing -= 1;
                *found += count;
                match (*missing, *found) {
                    (0, 0) => Next::Reply(Reply::Error(NO_SUCH_CLIENT.to_owned())),
                    (0, _) => self.switch(),
                    _ => Next::Wait(Gather::Switching(self)),
                }
            }
            (Step::Switching, PartialReply::Switched(Some(list))) => {
                let shards = context.placement().shards();
                let body = |shard| (Target::Shard(shard), RequestBody::TrackPrefixes(list.clone()));
                let requests: Vec<_> = shards.map(body).collect();
                let missing = requests.len();
                self.step = Step::Telling { missing };
                Next::Request(Gather::Switching(self), requests)
            }
            (Step::Telling { missing }, _) => {
                *missing -= 1;
                match *missing {
                    0 => Next::Reply(Reply::ok()),
                    _ => Next::Wait(Gather::Switching(self)),
                }
            }
            (_, PartialReply::Refused(error)) => Next::error(&error),
            _ => Next::Reply(Reply::ok()),
        }
    }
}

const NO_SUCH_CLIENT: &str = "ERR The client ID you want redirect to does not exist";
