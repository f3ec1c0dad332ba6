//! What is told of functions, and how scripts and functions are told to end.

use bytes::Bytes;
use kora_keyspace::{Library, LibraryFunction};
use kora_resp::Reply;
use kora_script::Flags;

use crate::command::FunctionRequest;
use crate::counts::integer;
use crate::scripts::{BUSY_FUNCTION, BUSY_SCRIPT, Kill};
use crate::setup::Setup;

/// The reply to what asks about functions; the request back if it is for a shard.
pub(crate) fn answer(request: FunctionRequest, setup: &Setup, unix_ms: u64) -> Result<Reply, FunctionRequest> {
    Ok(match request {
        FunctionRequest::List { pattern, with_code } => {
            let libraries = setup.catalog.libraries();
            let wanted = libraries.iter().filter(|library| match &pattern {
                Some(pattern) => pattern.matches(&library.name),
                None => true,
            });
            Reply::Array(wanted.map(|library| description(library, with_code)).collect())
        }
        FunctionRequest::Stats => stats(setup, unix_ms),
        FunctionRequest::Kill => kill(true, setup, unix_ms),
        request @ FunctionRequest::Change(_) => return Err(request),
    })
}

/// SCRIPT KILL, or FUNCTION KILL.
pub(crate) fn kill(functions: bool, setup: &Setup, unix_ms: u64) -> Reply {
    let threshold_ms = setup.live.busy_reply_ms.get();
    Reply::Error(
        match setup.scripts.kill(functions, unix_ms, threshold_ms) {
            Kill::Told => return Reply::ok(),
            Kill::NotBusy => "NOTBUSY No scripts in execution right now.",
            Kill::Unkillable => UNKILLABLE,
            Kill::OtherKind if functions => BUSY_SCRIPT,
            Kill::OtherKind => BUSY_FUNCTION,
        }
        .to_owned(),
    )
}

fn stats(setup: &Setup, unix_ms: u64) -> Reply {
    let libraries = setup.catalog.libraries();
    let running = match setup.scripts.longest_function() {
        None => Reply::Null,
        Some(function) => {
            let words = function.words.iter().cloned().map(Reply::Bulk);
            let duration_ms = unix_ms.saturating_sub(function.since_ms);
            Reply::Map(vec![
                (text("name"), Reply::Bulk(function.name.clone())),
                (text("command"), Reply::Array(words.collect())),
                (text("duration_ms"), Reply::Integer(integer(duration_ms))),
            ])
        }
    };
    let counts = [
        ("libraries_count", libraries.len()),
        ("functions_count", libraries.function_count()),
    ];
    let counts = counts.map(|(name, count)| (text(name), Reply::Integer(integer(count as u64))));
    Reply::Map(vec![
        (text("running_script"), running),
        (
            text("engines"),
            Reply::Map(vec![(text(ENGINE), Reply::Map(counts.into()))]),
        ),
    ])
}

fn description(library: &Library, with_code: bool) -> Reply {
    let functions = library.functions.iter().map(function).collect();
    let mut fields = vec![
        (text("library_name"), Reply::Bulk(library.name.clone())),
        (text("engine"), text(ENGINE)),
        (text("functions"), Reply::Array(functions)),
    ];
    if with_code {
        fields.push((text("library_code"), Reply::Bulk(library.code.clone())));
    }
    Reply::Map(fields)
}

fn function(function: &LibraryFunction) -> Reply {
    let flags = Flags::from_bits(function.flags).names().map(Reply::Simple);
    Reply::Map(vec![
        (text("name"), Reply::Bulk(function.name.clone())),
        (
            text("description"),
            function.description.clone().map_or(Reply::Null, Reply::Bulk),
        ),
        (text("flags"), Reply::Set(flags.collect())),
    ])
}

fn text(text: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(text.as_bytes()))
}

const ENGINE: &str = "LUA";

const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
                          either wait the script termination or kill the server in a hard way using the SHUTDOWN \
                          NOSAVE command.";
