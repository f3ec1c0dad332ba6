//! Who is told of changed keys, and what a connection has said about that.

use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::{Flag, WorkerId};
use kora_resp::Reply;

use crate::command::{Message, TrackingOptions};
use crate::counts::integer;

/// Who is told of changes. Shards hold it beside keys; it stays when its client has gone, and is dropped as they find it.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// The client's worker, and its reply queue there.
    pub(crate) worker: WorkerId,
    /// See `worker`.
    pub(crate) reply_queue: u32,
    /// The client's id: another client may have its reply queue by now.
    pub(crate) client: u64,
    /// The client that is told instead.
    pub(crate) redirect: Option<u64>,
    pub(crate) no_loop: bool,
    /// The client has gone or wants to hear nothing any more.
    pub(crate) is_over: Flag,
}

/// A connection's tracking.
#[derive(Clone, Debug)]
pub(crate) struct Tracking {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) is_broadcast: bool,
    /// In order.
    pub(crate) prefixes: Vec<Bytes>,
    pub(crate) opts_in: bool,
    pub(crate) opts_out: bool,
    /// CLIENT CACHING was said, for the next command.
    pub(crate) is_excepted: bool,
}

impl Tracking {
    pub(crate) fn new(tracker: Tracker, options: TrackingOptions) -> Tracking {
        Tracking {
            tracker: Arc::new(tracker),
            is_broadcast: options.is_broadcast,
            prefixes: options.prefixes,
            opts_in: options.opts_in,
            opts_out: options.opts_out,
            is_excepted: false,
        }
    }

    fn remembers(&self) -> bool {
        let is_meant = if self.opts_in {
            self.is_excepted
        } else {
            !(self.opts_out && self.is_excepted)
        };
        !self.is_broadcast && is_meant
    }

    fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (true, "on"),
            (self.is_broadcast, "bcast"),
            (self.opts_in, "optin"),
            (self.opts_in && self.is_excepted, "caching-yes"),
            (self.opts_out, "optout"),
            (self.opts_out && self.is_excepted, "caching-no"),
            (self.tracker.no_loop, "noloop"),
        ];
        flags.into_iter().filter_map(|(is, flag)| is.then_some(flag))
    }
}

impl Tracking {
    /// Who is to be noted beside the keys that the command reads which begins now. `CLIENT …` leaves CLIENT CACHING as it is.
    pub(crate) fn tracker_of_next(&mut self, command: &str, is_queueing: bool) -> Option<Arc<Tracker>> {
        let tracker = self.remembers().then(|| Arc::clone(&self.tracker));
        if !is_queueing && !command.starts_with("client|") {
            self.is_excepted = false;
        }
        tracker
    }

    /// CLIENT CACHING of a connection that may track.
    pub(crate) fn except_next(tracking: Option<&mut Tracking>, caches: bool) -> Reply {
        let refuse = |text: &str| Reply::Error(text.to_owned());
        let Some(tracking) = tracking else {
            return refuse(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
                 enabled",
            );
        };
        match caches {
            true if !tracking.opts_in => {
                refuse("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
            }
            false if !tracking.opts_out => {
                refuse("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
            }
            _ => {
                tracking.is_excepted = true;
                Reply::ok()
            }
        }
    }

    /// CLIENT GETREDIR of a connection that may track.
    pub(crate) fn redirect(tracking: Option<&Tracking>) -> Reply {
        Reply::Integer(match tracking {
            None => -1,
            Some(tracking) => integer(tracking.tracker.redirect.unwrap_or(0)),
        })
    }

    /// CLIENT TRACKINGINFO of a connection that may track.
    pub(crate) fn describe(tracking: Option<&Tracking>) -> Reply {
        let name = |text: &'static str| Reply::Bulk(Bytes::from_static(text.as_bytes()));
        let (flags, prefixes) = match tracking {
            None => (vec![name("off")], Vec::new()),
            Some(tracking) => (tracking.flags().map(name).collect(), tracking.prefixes.clone()),
        };
        let prefixes = prefixes.into_iter().map(Reply::Bulk).collect();
        Reply::Map(vec![
            (name("flags"), Reply::Set(flags)),
            (name("redirect"), Tracking::redirect(tracking)),
            (name("prefixes"), Reply::Array(prefixes)),
        ])
    }
}

/// Who is told of all keys that begin with one of these.
#[derive(Clone, Debug)]
pub(crate) struct PrefixList {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) prefixes: Arc<[Bytes]>,
}

/// A key that a client may have in its own cache has changed.
#[derive(Clone, Debug)]
pub(crate) struct Invalidation {
    pub(crate) tracker: Arc<Tracker>,
    /// None: all keys may have changed.
    pub(crate) key: Option<Bytes>,
}

/// What happened on a shard that clients are to be told.
#[derive(Clone)]
pub(crate) enum NewsItem {
    Message(Arc<Message>),
    Invalidation(Invalidation),
    /// A command, spelled for MONITOR.
    Line(Bytes),
}

impl NewsItem {
    pub(super) fn bytes(&self) -> usize {
        match self {
            NewsItem::Message(message) => message.channel.len() + message.payload.len(),
            NewsItem::Invalidation(invalidation) => invalidation.key.as_ref().map_or(0, Bytes::len),
            NewsItem::Line(line) => line.len(),
        }
    }
}
