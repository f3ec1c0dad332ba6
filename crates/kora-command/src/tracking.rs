//! Syntax of client-side caching: CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR.

use bytes::Bytes;

use crate::Command;
use crate::arguments::Arguments;
use crate::clients::OF_CLIENT;
use crate::error::ClientError;
use crate::limits::{KEY_BYTES_MAX, TRACKED_PREFIXES_MAX};
use crate::row::CommandEntry;
use crate::server_requests::TrackingOptions;
use crate::syntax::Argument;

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [BCAST] [PREFIX prefix …] [OPTIN] [OPTOUT] [NOLOOP]`
fn tracking(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut options = TrackingOptions::default();
    let mut next = 3;
    while next < arguments.count() {
        let has_value = next + 1 < arguments.count();
        if arguments.is(next, "REDIRECT") && has_value {
            next += 1;
            if options.redirect.is_some() {
                let text = "ERR A client can only redirect to a single other client";
                return Err(ClientError::Said(text));
            }
            // A number that no client has is looked for like any other.
            options.redirect = Some(u64::try_from(arguments.integer(next)?).unwrap_or(0));
        } else if arguments.is(next, "BCAST") {
            options.is_broadcast = true;
        } else if arguments.is(next, "OPTIN") {
            options.opts_in = true;
        } else if arguments.is(next, "OPTOUT") {
            options.opts_out = true;
        } else if arguments.is(next, "NOLOOP") {
            options.no_loop = true;
        } else if arguments.is(next, "PREFIX") && has_value {
            next += 1;
            options.prefixes.push(prefix(arguments, next)?);
        } else {
            return Err(ClientError::Syntax);
        }
        if options.prefixes.len() > TRACKED_PREFIXES_MAX {
            return Err(ClientError::TOO_MANY_PREFIXES);
        }
        next += 1;
    }
    match arguments.is(2, "ON") {
        true => Ok(Command::ClientTracking(Some(Box::new(options)))),
        false if arguments.is(2, "OFF") => Ok(Command::ClientTracking(None)),
        false => Err(ClientError::Syntax),
    }
}

fn prefix(arguments: &Arguments<'_>, index: usize) -> Result<Bytes, ClientError> {
    match arguments.word(index).len() {
        bytes if bytes > KEY_BYTES_MAX => Err(ClientError::KeyTooLong { bytes }),
        _ => Ok(Bytes::copy_from_slice(arguments.word(index))),
    }
}

/// `CLIENT CACHING YES|NO`
fn caching(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.is(2, "YES") {
        true => Ok(Command::ClientCaching(true)),
        false if arguments.is(2, "NO") => Ok(Command::ClientCaching(false)),
        false => Err(ClientError::Syntax),
    }
}

/// `CLIENT TRACKINGINFO`
fn tracking_info(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientTrackingInfo)
}

/// `CLIENT GETREDIR`
fn get_redirect(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientGetRedirect)
}

/// `CLIENT CACHING`
pub(crate) const CACHING: CommandEntry = CommandEntry {
    name: "client|caching",
    reply: "`OK`, or an error without CLIENT TRACKING in mode OPTIN (for YES) or OPTOUT (for NO).",
    arity: 3,
    summary: "Says whether the keys that the next command reads are remembered.",
    arguments: &[Argument::one_of(
        "mode",
        &[Argument::word("yes", "YES"), Argument::word("no", "NO")],
    )],
    parse: caching,
    ..OF_CLIENT
};

/// `CLIENT GETREDIR`
pub(crate) const GET_REDIRECT: CommandEntry = CommandEntry {
    name: "client|getredir",
    reply: "The id of the client that invalidations are sent to; 0 if that is this one, -1 without tracking.",
    arity: 2,
    summary: "Returns where invalidations are sent.",
    parse: get_redirect,
    ..OF_CLIENT
};

/// `CLIENT TRACKING`
pub(crate) const TRACKING: CommandEntry = CommandEntry {
    name: "client|tracking",
    reply: "`OK`, or an error.",
    notes: "The server remembers which keys the connection reads and sends `invalidate` with a key when it is changed, expires or is evicted: once, until it is read again. With BCAST it remembers no keys and sends all that begin with a prefix. In RESP3 invalidations are pushes; with REDIRECT they go to another connection, in RESP2 as messages of the channel `__redis__:invalidate`, if that connection subscribes to something. Each shard remembers at most its share of `tracking-table-max-keys`: beyond, it invalidates keys that were not changed. Vectors count as keys (VECGET); what VECQUERY finds is not remembered.",
    arity: -3,
    summary: "Lets the server tell which keys change that the connection has read.",
    arguments: &[
        Argument::one_of("status", &[Argument::word("on", "ON"), Argument::word("off", "OFF")]),
        Argument::integer("client-id").after("REDIRECT").optional(),
        Argument::string("prefix").after("PREFIX").optional().multiple(),
        Argument::word("bcast", "BCAST").optional(),
        Argument::word("optin", "OPTIN").optional(),
        Argument::word("optout", "OPTOUT").optional(),
        Argument::word("noloop", "NOLOOP").optional(),
    ],
    parse: tracking,
    ..OF_CLIENT
};

/// `CLIENT TRACKINGINFO`
pub(crate) const TRACKING_INFO: CommandEntry = CommandEntry {
    name: "client|trackinginfo",
    reply: "A map: `flags`, `redirect`, `prefixes`.",
    arity: 2,
    summary: "Describes what CLIENT TRACKING has set.",
    parse: tracking_info,
    ..OF_CLIENT
};
