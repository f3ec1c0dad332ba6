//! CLIENT TRACKING: how it is switched on and off.

use kora_resp::Reply;

use crate::command::TrackingOptions;
use crate::mail::{PartialReply, RequestBody, Target};
use crate::setup::Setup;

/// CLIENT TRACKING under way.
pub(crate) struct Switching {
    /// The client's own worker.
    here: Target,
    options: Option<Box<TrackingOptions>>,
    step: Step,
}

/// How it goes on.
pub(crate) enum Switched {
    Asks(Box<Switching>, Vec<(Target, RequestBody)>),
    Waits(Box<Switching>),
    Replies(Reply),
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
    pub(crate) fn start(options: Option<Box<TrackingOptions>>, here: Target, setup: &Setup) -> Switched {
        let redirect = options.as_ref().and_then(|options| options.redirect);
        let mut switching = Box::new(Switching {
            here,
            options,
            step: Step::Switching,
        });
        let Some(client) = redirect else {
            return switching.switch();
        };
        let workers = setup.workers();
        let requests: Vec<_> = workers
            .map(|worker| (Target::Worker(worker), RequestBody::HasClient(client)))
            .collect();
        let (missing, found) = (requests.len(), 0);
        switching.step = Step::Finding { missing, found };
        Switched::Asks(switching, requests)
    }

    fn switch(mut self: Box<Self>) -> Switched {
        let body = RequestBody::SwitchTracking(self.options.take());
        self.step = Step::Switching;
        let requests = vec![(self.here, body)];
        Switched::Asks(self, requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, part: PartialReply, setup: &Setup) -> Switched {
        match (&mut self.step, part) {
            (Step::Finding { missing, found }, PartialReply::Count(count)) => {
                *missing -= 1;
                *found += count;
                match (*missing, *found) {
                    (0, 0) => Switched::Replies(Reply::Error(NO_SUCH_CLIENT.to_owned())),
                    (0, _) => self.switch(),
                    _ => Switched::Waits(self),
                }
            }
            (Step::Switching, PartialReply::Switched(Some(list))) => {
                let shards = setup.placement.shards();
                let body = |shard| (Target::Shard(shard), RequestBody::TrackPrefixes(list.clone()));
                let requests: Vec<_> = shards.map(body).collect();
                let missing = requests.len();
                self.step = Step::Telling { missing };
                Switched::Asks(self, requests)
            }
            (Step::Telling { missing }, _) => {
                *missing -= 1;
                match *missing {
                    0 => Switched::Replies(Reply::ok()),
                    _ => Switched::Waits(self),
                }
            }
            (_, PartialReply::Refused(error)) => Switched::Replies(Reply::Error(error.to_string())),
            _ => Switched::Replies(Reply::ok()),
        }
    }
}

const NO_SUCH_CLIENT: &str = "ERR The client ID you want redirect to does not exist";
