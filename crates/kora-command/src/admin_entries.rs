//! The commands about the server, as the table lists them. Their syntax stands in `admin.rs`.

use crate::row::{CONTAINER, CommandEntry, DataAccess, PLAIN};
use crate::syntax::{Argument, FLUSH};
use crate::{admin, command_keys};

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "bgrewriteaof",
        reply: "A text that says that the snapshot has begun.",
        notes: "Takes a snapshot, as BGSAVE does. A restart reads the log from that snapshot on; older files are removed.",
        arity: 1,
        is_admin: true,
        other_flags: &["noscript", "no_async_loading"],
        summary: "Starts a new log with a snapshot.",
        parse: admin::rewrite_log,
        ..SERVER
    },
    CommandEntry {
        name: "bgsave",
        reply: "A text that says that the snapshot has begun. An error if one is running; with SCHEDULE the next one begins after it.",
        notes: "Commands are served meanwhile. The server does not fork.",
        arity: -1,
        is_admin: true,
        other_flags: &["noscript", "no_async_loading"],
        summary: "Takes a snapshot of all data in the background.",
        arguments: &[Argument::word("schedule", "SCHEDULE").optional()],
        parse: admin::background_save,
        ..SERVER
    },
    CommandEntry {
        name: "command",
        reply: "An array with, for each command: name, arity, flags, first key, last key, step, ACL categories, tips, key specifications, subcommands.",
        arity: -1,
        categories: &["@connection"],
        summary: "Returns detailed information about all commands.",
        subcommands: COMMAND,
        parse: admin::command,
        ..SERVER
    },
    CommandEntry {
        name: "config",
        arity: -2,
        summary: "A container for commands about the server's settings.",
        subcommands: CONFIG,
        group: "server",
        ..CONTAINER
    },
    CommandEntry {
        name: "dbsize",
        access: DataAccess::Read,
        is_fast: true,
        categories: &["@keyspace"],
        other_flags: &[],
        reply: "A number.",
        summary: "Returns the number of keys of the selected database: strings, hashes, and every vector is one.",
        parse: admin::dbsize,
        ..SERVER
    },
    CommandEntry {
        name: "flushall",
        reply: "`OK`.",
        notes: "Keys that are created while it runs stay. ASYNC and SYNC do the same: the reply is immediate, and memory is freed in slices.",
        arity: -1,
        access: DataAccess::Write,
        categories: &["@keyspace", "@dangerous"],
        other_flags: &[],
        summary: "Removes the keys, collections and vectors of all databases. Memory is freed in the background.",
        arguments: FLUSH,
        parse: admin::flush_all,
        ..SERVER
    },
    CommandEntry {
        name: "flushdb",
        reply: "`OK`.",
        arity: -1,
        access: DataAccess::Write,
        categories: &["@keyspace", "@dangerous"],
        other_flags: &[],
        summary: "Removes the keys, collections and vectors of the selected database. Memory is freed in the background.",
        arguments: FLUSH,
        parse: admin::flush_database,
        ..SERVER
    },
    CommandEntry {
        name: "info",
        reply: "Text of lines `name:value` in sections: `server`, `clients`, `memory`, `persistence`, `stats`, `replication`, `cpu`, `modules`, `commandstats`, `errorstats`, `latencystats`, `cluster`, `keyspace`, `recall`, `workers`. Without a name, or with `default`, all but `commandstats` and `latencystats`; with `all` or `everything` all.",
        notes: "A field that Redis has and that is always 0 here says 0: there are no replicas, forks or modules. `keyspace_hits` and `keyspace_misses` count the keys that commands look up to read them, vectors by VECGET too. `pubsub_channels` counts a channel once for each worker with a subscriber. `avg_ttl` is an estimate from strings and hashes. Times in `commandstats` and `latencystats` run from when a command was taken from its connection until its reply was complete, waiting included. In `workers`, `slice_us_max` is the longest time that a worker executed without polling anything else, on the thread's CPU clock (at most 200 µs too high); `turn_us_max` is the longest turn on the wall clock; CONFIG RESETSTAT resets both. `recall` shows, for at most 64 collections, those sampled last, what VECRECALL would measure: the share of the true 10 nearest that queries with the collection's `EF_SEARCH` find on all its shards (`recall`), the same of the tenth of the samples that found least (`worst_decile`), the share of stored vectors that a query for them does not find (`lost`), of the last `samples` samples (256 at most), and when the last was taken (`sampled_at`, seconds of Unix time). The worker that owns the collection's name takes samples by itself, for at most a 256th of its time, until there are 128 since the collection last changed; a collection whose vectors on that worker's shard have no graph (fewer than 1,024) is exact and not listed.",
        arity: -1,
        categories: &["@dangerous"],
        summary: "Returns information about the server, by sections.",
        arguments: &[Argument::string("section").optional().multiple()],
        parse: admin::info,
        ..SERVER
    },
    CommandEntry {
        name: "lastsave",
        reply: "Seconds of Unix time.",
        arity: 1,
        is_fast: true,
        is_admin: false,
        categories: &["@admin", "@dangerous"],
        summary: "Returns the time of the last complete snapshot.",
        parse: admin::last_save,
        ..SERVER
    },
    CommandEntry {
        name: "save",
        reply: "`OK`, once the snapshot is complete.",
        notes: "Other clients are served meanwhile.",
        arity: 1,
        is_admin: true,
        other_flags: &["noscript", "no_async_loading", "no_multi"],
        summary: "Takes a snapshot of all data, and answers when it is on disk.",
        parse: admin::save,
        ..SERVER
    },
    CommandEntry {
        name: "shutdown",
        reply: "Nothing: the connection is closed.",
        notes: "The server accepts no more clients, executes the requests that it has received, and exits with status 0; see the setting `shutdown-timeout`. With SAVE, or if there are save points (the setting `save`) and no log, a snapshot is taken first; not with NOSAVE.",
        arity: -1,
        is_admin: true,
        other_flags: &["noscript", "loading", "stale", "no_multi", "allow_busy"],
        summary: "Stops the server after the requests that it has received.",
        arguments: SHUTDOWN,
        parse: admin::shutdown,
        ..SERVER
    },
    CommandEntry {
        name: "time",
        reply: "An array of two texts: seconds of Unix time, and the microseconds beyond them.",
        arity: 1,
        is_fast: true,
        summary: "Returns the server's time.",
        parse: admin::time,
        ..SERVER
    },
];

const COMMAND: &[CommandEntry] = &[
    CommandEntry {
        name: "command|count",
        reply: "A number.",
        arity: 2,
        categories: &["@connection"],
        summary: "Returns how many commands there are.",
        parse: admin::command_count,
        ..SERVER
    },
    CommandEntry {
        name: "command|docs",
        reply: "A map of names to maps: `summary`, `since`, `group`, `arguments`, `subcommands`. Names that do not exist are left out.",
        notes: "redis-cli uses it for hints on arguments.",
        arity: -2,
        categories: &["@connection"],
        summary: "Returns the documentation of commands.",
        arguments: &[Argument::string("command-name").optional().multiple()],
        parse: admin::command_docs,
        ..SERVER
    },
    CommandEntry {
        name: "command|getkeys",
        reply: "An array of keys, or an error for a command without keys.",
        arity: -3,
        categories: &["@connection"],
        summary: "Returns the keys of a command.",
        arguments: GIVEN_COMMAND,
        parse: command_keys::get_keys,
        ..SERVER
    },
    CommandEntry {
        name: "command|getkeysandflags",
        reply: "An array of pairs: a key, and an array of flags that say what the command does to it.",
        arity: -3,
        categories: &["@connection"],
        summary: "Returns the keys of a command, and what it does to them.",
        arguments: GIVEN_COMMAND,
        parse: command_keys::get_keys_and_flags,
        ..SERVER
    },
    CommandEntry {
        name: "command|help",
        reply: "An array of lines.",
        arity: 2,
        categories: &["@connection"],
        summary: "Returns help about COMMAND.",
        parse: admin::command_help,
        ..SERVER
    },
    CommandEntry {
        name: "command|info",
        reply: "As COMMAND; null for names that do not exist.",
        arity: -2,
        categories: &["@connection"],
        summary: "Returns detailed information about commands.",
        arguments: &[Argument::string("command-name").optional().multiple()],
        parse: admin::command_info,
        ..SERVER
    },
    CommandEntry {
        name: "command|list",
        reply: "An array of names.",
        arity: -2,
        categories: &["@connection"],
        summary: "Returns the names of commands.",
        arguments: COMMAND_LIST,
        parse: admin::command_list,
        ..SERVER
    },
];

const GIVEN_COMMAND: &[Argument] = &[
    Argument::string("command"),
    Argument::string("arg").optional().multiple(),
];

const CONFIG: &[CommandEntry] = &[
    CommandEntry {
        name: "config|get",
        reply: "A map of names to values.",
        notes: "Patterns are glob patterns. Settings are listed in `config/kora.toml`; they are set there, in the environment or on the command line, and some of them with CONFIG SET.",
        arity: -3,
        is_admin: true,
        other_flags: &["noscript", "loading", "stale"],
        summary: "Returns the settings whose names match.",
        arguments: &[Argument::pattern("parameter").multiple()],
        parse: admin::config_get,
        ..SERVER
    },
    CommandEntry {
        name: "config|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about CONFIG.",
        parse: admin::config_help,
        ..SERVER
    },
    CommandEntry {
        name: "config|resetstat",
        reply: "`OK`.",
        notes: "On every worker, one after the other: the counters of INFO in `stats`, `commandstats`, `errorstats`, `latencystats` and `workers` restart at 0, and so do `slice_us_max` and the other maxima. Current values (clients, keys, memory) and the samples of `recall` stay.",
        arity: 2,
        is_admin: true,
        other_flags: &["noscript", "loading", "stale"],
        summary: "Resets the counters of INFO.",
        parse: admin::config_resetstat,
        ..SERVER
    },
    CommandEntry {
        name: "config|rewrite",
        reply: "`OK`, or an error.",
        notes: "Values that differ from the file that the server was started with are written to it; its comments stay. The file is replaced as a whole, so a crash leaves the old or the new one.",
        arity: 2,
        is_admin: true,
        other_flags: &["noscript", "loading", "stale"],
        summary: "Writes the settings into the configuration file.",
        parse: admin::config_rewrite,
        ..SERVER
    },
    CommandEntry {
        name: "config|set",
        reply: "`OK`, or an error.",
        notes: "All of the settings change, or none. `config/kora.toml` says which can change while the server runs; the others answer `can't set immutable config`. A worker uses the new value the next time it reads the setting.",
        arity: -4,
        is_admin: true,
        other_flags: &["noscript", "loading", "stale"],
        summary: "Changes settings while the server runs.",
        arguments: &[Argument::block("data", &[Argument::string("parameter"), Argument::string("value")]).multiple()],
        parse: admin::config_set,
        ..SERVER
    },
];

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

const SERVER: CommandEntry = CommandEntry {
    group: "server",
    ..PLAIN
};
