//! Syntax of MONITOR, and of SLOWLOG and LATENCY: which commands there are, and which took long.

use bytes::Bytes;
use kora_resp::number;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::{NAME_PATTERN_BYTES_MAX, NAMES_MAX};
use crate::row::{CONTAINER, CommandEntry, PLAIN};
use crate::server_requests::{LatencyRequest, SlowlogRequest};
use crate::syntax::Argument;

/// `SLOWLOG GET [count]`
fn slowlog_get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let count = match arguments.count() {
        2 => Some(ENTRIES_USUAL),
        3 => {
            let count = number::parse_i64(arguments.word(2)).filter(|count| *count >= -1);
            let count = count.ok_or(ClientError::Said("ERR count should be greater than or equal to -1"))?;
            usize::try_from(count).ok()
        }
        _ => {
            return Err(ClientError::UnknownSubcommandOrArguments {
                command: "slowlog",
                subcommand: arguments.word(1).to_vec(),
            });
        }
    };
    Ok(Command::Slowlog(SlowlogRequest::Entries(count)))
}

/// `SLOWLOG LEN`
fn slowlog_len(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Slowlog(SlowlogRequest::Count))
}

/// `SLOWLOG RESET`
fn slowlog_reset(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Slowlog(SlowlogRequest::Reset))
}

/// `SLOWLOG HELP`
fn slowlog_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name, where it was done",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `LATENCY LATEST`
fn latency_latest(_: &Arguments<'_>) -> Result<Command, ClientError> {
    latency(LatencyRequest::Latest)
}

/// `LATENCY HISTORY event`
fn latency_history(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    // What is longer than every event's name is none.
    let word = arguments.word(2);
    let name = Bytes::copy_from_slice(&word[..word.len().min(NAME_PATTERN_BYTES_MAX)]);
    latency(LatencyRequest::History(name))
}

/// `LATENCY RESET [event …]`
fn latency_reset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    latency(LatencyRequest::Reset(names(arguments)?))
}

/// `LATENCY HISTOGRAM [command …]`
fn latency_histogram(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    latency(LatencyRequest::Histogram(names(arguments)?))
}

/// `LATENCY DOCTOR`
fn latency_doctor(_: &Arguments<'_>) -> Result<Command, ClientError> {
    latency(LatencyRequest::Doctor)
}

/// `LATENCY HELP`
fn latency_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
        "    If no commands are specified then all histograms are replied.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `MONITOR`
fn monitor(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Monitor)
}

fn latency(request: LatencyRequest) -> Result<Command, ClientError> {
    Ok(Command::Latency(Box::new(request)))
}

fn names(arguments: &Arguments<'_>) -> Result<Vec<Bytes>, ClientError> {
    match arguments.count() - 2 {
        ..=NAMES_MAX => Ok(arguments.owned_from(2)),
        got => Err(ClientError::OutOfRange {
            what: "the number of names",
            min: 0,
            max: NAMES_MAX,
            got: got.to_string().into_bytes(),
        }),
    }
}

/// What SLOWLOG GET shows that is not told how many.
const ENTRIES_USUAL: usize = 10;

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "latency",
        arity: -2,
        summary: "A container for commands about latencies.",
        subcommands: LATENCY,
        group: "server",
        ..CONTAINER
    },
    CommandEntry {
        name: "monitor",
        reply: "`OK`, then a line for each command of any client, until RESET or QUIT.",
        notes: "Lines are as in Redis: when the command was taken, in seconds of Unix time, the client's address, and the words, in quotes. Passwords are `(redacted)`. Commands of category `@admin`, and what is refused, are left out; commands of a transaction are shown when they are queued, calls of scripts not at all. A word is shown up to 4,096 bytes, a line up to about 64 KiB. A monitor that reads too slowly is closed, like a client with messages; lines that find no place while a worker is busy are left out and counted in INFO (`kora_messages_dropped`).",
        arity: 1,
        summary: "Tells this client of all commands.",
        is_admin: true,
        other_flags: &["noscript", "loading", "stale"],
        parse: monitor,
        ..OF_SERVER
    },
    CommandEntry {
        name: "slowlog",
        arity: -2,
        summary: "A container for commands about slow commands.",
        subcommands: SLOWLOG,
        group: "server",
        ..CONTAINER
    },
];

const LATENCY: &[CommandEntry] = &[
    CommandEntry {
        name: "latency|doctor",
        reply: "A text.",
        arity: 2,
        summary: "Says in words which commands took long.",
        parse: latency_doctor,
        ..OF_LATENCY
    },
    CommandEntry {
        name: "latency|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about LATENCY.",
        parse: latency_help,
        ..OF_SERVER
    },
    CommandEntry {
        name: "latency|histogram",
        reply: "A map of commands to maps: `calls`, and `histogram_usec`, a map of microseconds to how many calls took no longer.",
        notes: "A container's name means all its subcommands. Latencies run from when a command was taken from its connection until its reply was complete, as in `INFO latencystats`.",
        arity: -2,
        summary: "Returns the distribution of the latencies of commands.",
        arguments: &[Argument::string("command").optional().multiple()],
        parse: latency_histogram,
        ..OF_LATENCY
    },
    CommandEntry {
        name: "latency|history",
        reply: "An array of pairs: seconds of Unix time, and milliseconds. Empty for events that there are none of.",
        notes: "Events are `command` and `fast-command`: a command, or one of category `@fast`, that took at least `latency-monitor-threshold` milliseconds. The last 160 seconds with such a command are kept.",
        arity: 3,
        summary: "Returns the latencies of an event.",
        arguments: &[Argument::string("event")],
        parse: latency_history,
        ..OF_LATENCY
    },
    CommandEntry {
        name: "latency|latest",
        reply: "An array with, for each event: name, seconds of Unix time, the milliseconds that it took, and the most that any took.",
        arity: 2,
        summary: "Returns the newest latency of each event.",
        parse: latency_latest,
        ..OF_LATENCY
    },
    CommandEntry {
        name: "latency|reset",
        reply: "How many events had something to forget.",
        arity: -2,
        summary: "Forgets the latencies of events.",
        arguments: &[Argument::string("event").optional().multiple()],
        parse: latency_reset,
        ..OF_LATENCY
    },
];

const SLOWLOG: &[CommandEntry] = &[
    CommandEntry {
        name: "slowlog|get",
        reply: "An array of entries, the newest first: id, seconds of Unix time, microseconds, words of the command, address of the client, its name, and where the command was done.",
        notes: "A command is entered if it took at least `slowlog-log-slower-than` microseconds from when it was taken from its connection until its reply was complete, waiting included: Redis counts the execution only. `slowlog-max-len` entries are kept. Of a command at most 32 words with 128 bytes each are shown. Words are kept for some ten milliseconds of full load: if a command took longer then, only its name is shown.",
        arity: -2,
        summary: "Returns the newest slow commands.",
        arguments: &[Argument::integer("count").optional()],
        parse: slowlog_get,
        ..OF_SLOWLOG
    },
    CommandEntry {
        name: "slowlog|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about SLOWLOG.",
        parse: slowlog_help,
        ..OF_SERVER
    },
    CommandEntry {
        name: "slowlog|len",
        reply: "A number.",
        arity: 2,
        summary: "Returns how many slow commands are kept.",
        parse: slowlog_len,
        ..OF_SLOWLOG
    },
    CommandEntry {
        name: "slowlog|reset",
        reply: "`OK`.",
        arity: 2,
        summary: "Forgets the slow commands.",
        parse: slowlog_reset,
        ..OF_SLOWLOG
    },
];

const OF_SERVER: CommandEntry = CommandEntry {
    group: "server",
    ..PLAIN
};

const OF_SLOWLOG: CommandEntry = CommandEntry {
    is_admin: true,
    ..OF_SERVER
};

const OF_LATENCY: CommandEntry = CommandEntry {
    is_admin: true,
    other_flags: &["noscript", "loading", "stale"],
    ..OF_SERVER
};
