//! How the tracking of a client of this worker is switched.

use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::Flag;

use super::{Invalidation, PrefixList, Tracker, Tracking};
use crate::command::TrackingOptions;
use crate::command::limits::TRACKED_PREFIXES_MAX;
use crate::engine::Engine;
use crate::error::ClientError;
use crate::mail::PartialReply;
use crate::reply_queue::Presence;
use crate::reply_queues::ReplyQueueId;

impl Engine {
    /// Switches the tracking of a client of this worker.
    pub(crate) fn switch_tracking(&mut self, reply_queue: u32, options: Option<Box<TrackingOptions>>) -> PartialReply {
        let id = ReplyQueueId(reply_queue);
        let queue = self.reply_queues.get(id);
        if queue.presence() != Presence::Here {
            return PartialReply::Switched(None);
        }
        let session = &mut queue.session;
        let Some(mut options) = options else {
            self.tracking_clients -= usize::from(session.end_tracking());
            return PartialReply::Switched(None);
        };
        if let Err(error) = vet(&mut options, session.tracking.as_deref()) {
            return PartialReply::Refused(error);
        }
        let tracker = Tracker {
            worker: self.worker,
            reply_queue,
            client: session.id,
            redirect: options.redirect,
            no_loop: options.no_loop,
            is_over: Flag::new(),
        };
        if let Some(tracking) = &mut session.tracking
            && !tracking.is_broadcast
            && (tracking.tracker.redirect, tracking.tracker.no_loop) == (tracker.redirect, tracker.no_loop)
        {
            // What it has read is remembered all the same.
            (tracking.opts_in, tracking.opts_out) = (options.opts_in, options.opts_out);
            tracking.is_excepted = false;
            return PartialReply::Switched(None);
        }
        let tracking = Tracking::new(tracker, *options);
        let (tracker, prefixes) = (Arc::clone(&tracking.tracker), tracking.prefixes.clone());
        let is_broadcast = tracking.is_broadcast;
        let was_tracking = session.end_tracking();
        session.tracking = Some(Box::new(tracking));
        self.tracking_clients += usize::from(!was_tracking);
        if was_tracking && !is_broadcast {
            // What it has read is noted with its former tracker, which is told nothing more.
            self.deliver_invalidation(&Invalidation {
                tracker: Arc::clone(&tracker),
                key: None,
            });
        }
        let prefixes: Arc<[Bytes]> = prefixes.into();
        PartialReply::Switched(is_broadcast.then_some(PrefixList { tracker, prefixes }))
    }
}

/// What is wrong with the options, in Redis's order and words. Adds the prefixes that there are already.
fn vet(options: &mut TrackingOptions, before: Option<&Tracking>) -> Result<(), ClientError> {
    if !options.is_broadcast && !options.prefixes.is_empty() {
        return Err(ClientError::Said("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if before.is_some_and(|before| before.is_broadcast != options.is_broadcast) {
        return Err(ClientError::Said(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with \
             a different mode.",
        ));
    }
    if options.is_broadcast && (options.opts_in || options.opts_out) {
        return Err(ClientError::Said("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if options.opts_in && options.opts_out {
        return Err(ClientError::Said(
            "ERR You can't specify both OPTIN mode and OPTOUT mode",
        ));
    }
    if before.is_some_and(|before| (options.opts_in && before.opts_out) || (options.opts_out && before.opts_in)) {
        return Err(ClientError::Said(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        ));
    }
    if options.is_broadcast {
        let there: &[Bytes] = before.map_or(&[], |before| &before.prefixes);
        vet_prefixes(&options.prefixes, there)?;
        options.prefixes.extend_from_slice(there);
        if options.prefixes.is_empty() {
            options.prefixes.push(Bytes::new());
        }
        if options.prefixes.len() > TRACKED_PREFIXES_MAX {
            return Err(ClientError::TOO_MANY_PREFIXES);
        }
        options.prefixes.sort_unstable();
    }
    Ok(())
}

/// No prefix may begin with another: a key would be told twice.
fn vet_prefixes(given: &[Bytes], there: &[Bytes]) -> Result<(), ClientError> {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    for (index, prefix) in given.iter().enumerate() {
        let existing = there
            .iter()
            .find(|other| overlap(prefix, other))
            .map(|other| (other, "an existing"));
        let provided = || given[index + 1..].iter().find(|other| overlap(prefix, other));
        if let Some((other, which)) = existing.or_else(|| provided().map(|other| (other, "another provided"))) {
            return Err(ClientError::PrefixesOverlap {
                prefix: prefix.to_vec(),
                other: other.to_vec(),
                which,
            });
        }
    }
    Ok(())
}
