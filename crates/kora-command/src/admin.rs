//! Syntax of the commands about the server and its clients.

use bytes::Bytes;
use kora_resp::glob::{Case, Pattern};
use kora_resp::number;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::{NAME_PATTERN_BYTES_MAX, NAMES_MAX, SETTING_BYTES_MAX};
use crate::setting_error::SettingError;
use crate::syntax::Argument;
use crate::table::{Entry, Filter, PLAIN};

/// Which clients are meant; what is not given excludes nobody.
#[derive(Clone, Default, Debug)]
pub struct ClientFilter {
    /// One of these ids.
    pub ids: Option<Vec<u64>>,
    /// The address the client came from.
    pub address: Option<Bytes>,
    /// The address it came to.
    pub local_address: Option<Bytes>,
    /// The name of its user.
    pub user: Option<Bytes>,
    /// False if the types given exclude ordinary clients, which all clients are.
    pub no_ordinary: bool,
    /// The asking client itself, if it is to be left out.
    pub skip_me: Option<bool>,
}

impl ClientFilter {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.address, &self.local_address, &self.user];
        let texts: usize = texts.into_iter().flatten().map(Bytes::len).sum();
        texts + self.ids.as_ref().map_or(0, |ids| ids.capacity() * size_of::<u64>())
    }
}

/// `COMMAND`
pub(crate) fn command(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::CommandInfo(None))
}

/// `COMMAND COUNT`
pub(crate) fn command_count(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::CommandCount)
}

/// `COMMAND INFO [name …]`
pub(crate) fn command_info(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let names = names(arguments, 2)?;
    Ok(Command::CommandInfo((!names.is_empty()).then_some(names)))
}

/// `COMMAND DOCS [name …]`
pub(crate) fn command_docs(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let names = names(arguments, 2)?;
    Ok(Command::CommandDocs((!names.is_empty()).then_some(names)))
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
pub(crate) fn command_list(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() == 2 {
        return Ok(Command::CommandList(None));
    }
    if arguments.count() != 5 || !arguments.is(2, "FILTERBY") {
        return Err(ClientError::Syntax);
    }
    let value = arguments.owned(4);
    let filter = if arguments.is(3, "MODULE") {
        Filter::Module
    } else if arguments.is(3, "ACLCAT") {
        Filter::Category(value)
    } else if arguments.is(3, "PATTERN") {
        if value.len() > NAME_PATTERN_BYTES_MAX {
            return Err(pattern_too_long(value.len()));
        }
        Filter::Pattern(Pattern::new(&value, Case::Insensitive))
    } else {
        return Err(ClientError::Syntax);
    };
    Ok(Command::CommandList(Some(filter)))
}

/// `COMMAND HELP`
pub(crate) fn command_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]",
        "    Return a list of all commands in this server.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `CONFIG GET pattern [pattern …]`
pub(crate) fn config_get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let patterns = names(arguments, 2)?;
    // Each is held against every setting in one go.
    if let Some(long) = patterns.iter().find(|pattern| pattern.len() > NAME_PATTERN_BYTES_MAX) {
        return Err(pattern_too_long(long.len()));
    }
    Ok(Command::ConfigGet(patterns))
}

/// `CONFIG SET name value [name value …]`
pub(crate) fn config_set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let words = names(arguments, 2)?;
    if !words.len().is_multiple_of(2) {
        return Err(ClientError::Syntax);
    }
    let mut changes: Vec<(String, String)> = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks_exact(2) {
        let change = change(&pair[0], &pair[1])?;
        if changes.iter().any(|(name, _)| *name == change.0) {
            return Err(refuse_setting(change.0, "duplicate parameter"));
        }
        changes.push(change);
    }
    Ok(Command::ConfigSet(changes))
}

/// One setting's name, in lower case, and its value.
fn change(name: &[u8], value: &[u8]) -> Result<(String, String), ClientError> {
    let shown = &name[..name.len().min(NAME_PATTERN_BYTES_MAX)];
    let shown = String::from_utf8_lossy(shown).to_ascii_lowercase();
    if name.len() > NAME_PATTERN_BYTES_MAX {
        return Err(ClientError::Setting(SettingError::Unknown { name: shown }));
    }
    match str::from_utf8(value) {
        _ if value.len() > SETTING_BYTES_MAX => Err(refuse_setting(shown, "the value is too long")),
        Ok(value) => Ok((shown, value.to_owned())),
        Err(_) => Err(refuse_setting(shown, "the value is no UTF-8 text")),
    }
}

fn refuse_setting(name: String, reason: &str) -> ClientError {
    let reason = reason.to_owned();
    ClientError::Setting(SettingError::Refused { name, reason })
}

/// `CONFIG REWRITE`
pub(crate) fn config_rewrite(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ConfigRewrite)
}

/// `CONFIG RESETSTAT`
pub(crate) fn config_resetstat(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ConfigResetStat)
}

/// `CONFIG HELP`
pub(crate) fn config_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `INFO [section …]`
pub(crate) fn info(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Info(names(arguments, 1)?))
}

/// `DBSIZE`
pub(crate) fn dbsize(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::DatabaseSize)
}

/// `TIME`
pub(crate) fn time(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Time)
}

/// `FLUSHALL [ASYNC|SYNC]`, `FLUSHDB [ASYNC|SYNC]`: both answer at once and free in slices, so both are the same.
pub(crate) fn flush(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        1 => Ok(Command::Flush),
        2 if arguments.is(1, "ASYNC") || arguments.is(1, "SYNC") => Ok(Command::Flush),
        _ => Err(ClientError::Syntax),
    }
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE]`: there is nothing to save, and what was received is always finished.
pub(crate) fn shutdown(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let known = |index| {
        ["NOSAVE", "SAVE", "NOW", "FORCE"]
            .iter()
            .any(|word| arguments.is(index, word))
    };
    if (1..arguments.count()).all(known) {
        Ok(Command::Shutdown)
    } else {
        Err(ClientError::Syntax)
    }
}

/// `[TYPE type] [ID id …]` of CLIENT LIST
pub(crate) fn list_filter(arguments: &Arguments<'_>) -> Result<ClientFilter, ClientError> {
    let mut filter = ClientFilter::default();
    if arguments.count() == 2 {
        return Ok(filter);
    }
    if arguments.is(2, "TYPE") && arguments.count() == 4 {
        filter.no_ordinary = !ordinary_type(arguments, 3)?;
    } else if arguments.is(2, "ID") && arguments.count() > 3 {
        filter.ids = Some(
            (3..arguments.count())
                .map(|index| id(arguments, index))
                .collect::<Result<_, _>>()?,
        );
    } else {
        return Err(ClientError::Syntax);
    }
    Ok(filter)
}

/// `[ID id] [ADDR address] [LADDR address] [USER name] [TYPE type] [SKIPME yes|no]` of CLIENT KILL
pub(crate) fn kill_filter(arguments: &Arguments<'_>) -> Result<ClientFilter, ClientError> {
    let mut filter = ClientFilter {
        skip_me: Some(true),
        ..ClientFilter::default()
    };
    for option in (2..arguments.count()).step_by(2) {
        let value = option + 1;
        if value == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.is(option, "ID") {
            filter.ids = Some(vec![id(arguments, value)?]);
        } else if arguments.is(option, "ADDR") {
            filter.address = Some(arguments.owned(value));
        } else if arguments.is(option, "LADDR") {
            filter.local_address = Some(arguments.owned(value));
        } else if arguments.is(option, "USER") {
            filter.user = Some(arguments.owned(value));
        } else if arguments.is(option, "TYPE") {
            filter.no_ordinary |= !ordinary_type(arguments, value)?;
        } else if arguments.is(option, "SKIPME") && arguments.is(value, "yes") {
            filter.skip_me = Some(true);
        } else if arguments.is(option, "SKIPME") && arguments.is(value, "no") {
            filter.skip_me = Some(false);
        } else {
            return Err(ClientError::Syntax);
        }
    }
    Ok(filter)
}

/// The words from `start` on, each of which the reply may spend much more on than its own length.
fn names(arguments: &Arguments<'_>, start: usize) -> Result<Vec<Bytes>, ClientError> {
    match arguments.count() - start {
        ..=NAMES_MAX => Ok(arguments.owned_from(start)),
        got => Err(ClientError::OutOfRange {
            what: "the number of names",
            min: 0,
            max: NAMES_MAX,
            got: got.to_string().into_bytes(),
        }),
    }
}

fn pattern_too_long(bytes: usize) -> ClientError {
    let max = NAME_PATTERN_BYTES_MAX;
    ClientError::PatternTooLong { bytes, max }
}

fn id(arguments: &Arguments<'_>, index: usize) -> Result<u64, ClientError> {
    let parsed = number::parse_i64(arguments.word(index)).and_then(|id| u64::try_from(id).ok());
    parsed.filter(|id| *id > 0).ok_or(ClientError::ClientId)
}

/// True for the type that all our clients are of; an error for one that Redis does not know either.
fn ordinary_type(arguments: &Arguments<'_>, index: usize) -> Result<bool, ClientError> {
    if arguments.is(index, "normal") {
        return Ok(true);
    }
    let known = ["master", "replica", "slave", "pubsub"]
        .iter()
        .any(|name| arguments.is(index, name));
    if known { Ok(false) } else { Err(ClientError::Syntax) }
}

/// The commands of this family.
pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "command",
        reply: "An array with, for each command: name, arity, flags, first key, last key, step, ACL categories, tips, key specifications, subcommands.",
        arity: -1,
        summary: "Returns detailed information about all commands.",
        subcommands: COMMAND,
        parse: command,
        ..SERVER
    },
    Entry {
        name: "config",
        arity: -2,
        summary: "A container for commands about the server's settings.",
        subcommands: CONFIG,
        ..SERVER
    },
    Entry {
        name: "dbsize",
        reply: "A number.",
        flags: &["readonly"],
        summary: "Returns the number of keys: strings, hashes, and every vector is one.",
        parse: dbsize,
        ..SERVER
    },
    Entry {
        name: "flushall",
        reply: "`OK`.",
        notes: "What is created while it runs stays. ASYNC and SYNC do the same: it answers at once, and memory is freed a little at a time.",
        arity: -1,
        flags: &["write"],
        summary: "Removes all keys, collections and vectors. Memory is freed in the background.",
        arguments: FLUSH,
        parse: flush,
        ..SERVER
    },
    Entry {
        name: "flushdb",
        reply: "`OK`.",
        arity: -1,
        flags: &["write"],
        summary: "Does what FLUSHALL does: there is one database.",
        arguments: FLUSH,
        parse: flush,
        ..SERVER
    },
    Entry {
        name: "info",
        reply: "Text of lines `name:value` in sections: `server`, `clients`, `memory`, `stats`, `replication`, `cpu`, `commandstats`, `latencystats`, `keyspace`, `recall`, `workers`.",
        notes: "Times in `commandstats` and `latencystats` run from when a command was taken from its connection until its reply was complete, waiting included. In `workers`, `slice_us_max` is the longest time that a worker executed without a look at anything else, on the thread's CPU clock (at most 200 µs too high); `turn_us_max` is the longest turn on the wall clock; CONFIG RESETSTAT lets both begin anew. `recall` tells of at most 64 collections, those that were sampled last, what VECRECALL would: the share of the true 10 nearest that queries with the collection's `EF_SEARCH` find on all its shards, of the last `samples` samples (256 at most), and when the last was taken (`sampled_at`, seconds of Unix time). The worker that owns the collection's name takes samples by itself, for at most a 256th of its time, until there are 128 since the collection last changed; a collection whose vectors on that worker's shard have no graph (fewer than 1,024) is exact and not listed.",
        arity: -1,
        summary: "Returns information about the server, by sections.",
        arguments: &[Argument::string("section").optional().multiple()],
        parse: info,
        ..SERVER
    },
    Entry {
        name: "shutdown",
        reply: "Nothing: the connection is closed.",
        notes: "The server accepts nobody any more, finishes what it has received, and exits with status 0; see the setting `shutdown-timeout`. There is nothing to save: data is in memory only.",
        arity: -1,
        flags: &["admin", "loading", "stale"],
        summary: "Stops the server when what it has received is done.",
        arguments: SHUTDOWN,
        parse: shutdown,
        ..SERVER
    },
    Entry {
        name: "time",
        reply: "An array of two texts: seconds of Unix time, and the microseconds beyond them.",
        arity: 1,
        flags: &["loading", "stale", "fast"],
        summary: "Returns the server's time.",
        parse: time,
        ..SERVER
    },
];

const COMMAND: &[Entry] = &[
    Entry {
        name: "command|count",
        reply: "A number.",
        arity: 2,
        summary: "Returns how many commands there are.",
        parse: command_count,
        ..SERVER
    },
    Entry {
        name: "command|docs",
        reply: "A map of names to maps: `summary`, `since`, `group`, `arguments`, `subcommands`. Names that do not exist are left out.",
        notes: "redis-cli reads it to hint at arguments while one types.",
        arity: -2,
        summary: "Returns the documentation of commands.",
        arguments: &[Argument::string("command-name").optional().multiple()],
        parse: command_docs,
        ..SERVER
    },
    Entry {
        name: "command|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about COMMAND.",
        parse: command_help,
        ..SERVER
    },
    Entry {
        name: "command|info",
        reply: "As COMMAND; null for names that do not exist.",
        arity: -2,
        summary: "Returns detailed information about commands.",
        arguments: &[Argument::string("command-name").optional().multiple()],
        parse: command_info,
        ..SERVER
    },
    Entry {
        name: "command|list",
        reply: "An array of names.",
        arity: -2,
        summary: "Returns the names of commands.",
        arguments: COMMAND_LIST,
        parse: command_list,
        ..SERVER
    },
];

const CONFIG: &[Entry] = &[
    Entry {
        name: "config|get",
        reply: "A map of names to values.",
        notes: "Patterns are glob patterns. Settings are listed in `config/kora.toml`; they are set there, in the environment or on the command line, and some of them with CONFIG SET.",
        arity: -3,
        flags: &["admin", "loading", "stale"],
        summary: "Returns the settings whose names match.",
        arguments: &[Argument::pattern("parameter").multiple()],
        parse: config_get,
        ..SERVER
    },
    Entry {
        name: "config|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about CONFIG.",
        parse: config_help,
        ..SERVER
    },
    Entry {
        name: "config|resetstat",
        reply: "`OK`.",
        notes: "On every worker, one after the other: what INFO counts in `stats`, `commandstats`, `latencystats` and `workers` begins at 0 again, `slice_us_max` and the other largest values too. What there is now (clients, keys, memory) and the samples of `recall` stay.",
        arity: 2,
        flags: &["admin", "loading", "stale", "noscript"],
        summary: "Resets what INFO counts.",
        parse: config_resetstat,
        ..SERVER
    },
    Entry {
        name: "config|rewrite",
        reply: "`OK`, or an error.",
        notes: "The file that the server was started with gets the values that differ from what it says; its comments stay. It is replaced as a whole, so that a crash leaves the old one or the new one.",
        arity: 2,
        flags: &["admin", "loading", "stale", "noscript"],
        summary: "Writes the settings into the configuration file.",
        parse: config_rewrite,
        ..SERVER
    },
    Entry {
        name: "config|set",
        reply: "`OK`, or an error.",
        notes: "All of the settings change, or none. `config/kora.toml` says which can change while the server runs; the others answer `can't set immutable config`. Every worker acts on the new value from its next look on.",
        arity: -4,
        flags: &["admin", "loading", "stale", "noscript"],
        summary: "Changes settings while the server runs.",
        arguments: &[Argument::block("data", &[Argument::string("parameter"), Argument::string("value")]).multiple()],
        parse: config_set,
        ..SERVER
    },
];

const FLUSH: &[Argument] = &[Argument::one_of(
    "flush-type",
    &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")],
)
.optional()];

const SHUTDOWN: &[Argument] = &[
    Argument::one_of(
        "save-selector",
        &[Argument::word("nosave", "NOSAVE"), Argument::word("save", "SAVE")],
    )
    .optional(),
    Argument::word("now", "NOW").optional(),
    Argument::word("force", "FORCE").optional(),
];

const COMMAND_LIST: &[Argument] = &[Argument::one_of(
    "filterby",
    &[
        Argument::string("module-name").after("MODULE"),
        Argument::string("category").after("ACLCAT"),
        Argument::pattern("pattern").after("PATTERN"),
    ],
)
.after("FILTERBY")
.optional()];

const SERVER: Entry = Entry {
    flags: &["loading", "stale"],
    group: "server",
    ..PLAIN
};
