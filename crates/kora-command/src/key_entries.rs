//! The commands on keys of any type, as the table lists them. Their syntax stands in `keys.rs`.

use crate::keys;
use crate::row::{CONTAINER, CommandEntry, DataAccess, PLAIN};
use crate::syntax::{Argument, CONDITION};

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "copy",
        reply: "1 if it was copied, 0 if the destination exists or the source does not.",
        notes: "With DB the copy is made in that database. A vector is copied within its collection, or to another existing one of its dimension; a collection cannot be copied. Within one slot the copy is atomic. Between slots the source may have changed by the time the copy arrives. Inside MULTI both keys must have one slot, or the answer is `CROSSSLOT`.",
        arity: -3,
        adds_memory: true,
        is_fast: false,
        keys: (1, 2, 1),
        summary: "Copies the value and expiry of a key to another key.",
        arguments: COPY,
        parse: keys::copy,
        ..WRITE
    },
    CommandEntry {
        name: "del",
        reply: "How many of the keys existed.",
        notes: "The name of a collection drops it with all its vectors. Large values are freed in the background.",
        arity: -2,
        is_fast: false,
        keys: (1, -1, 1),
        summary: "Deletes keys.",
        arguments: SEVERAL,
        parse: keys::del,
        ..WRITE
    },
    CommandEntry {
        name: "exists",
        reply: "How many of the keys exist; a key that is named twice counts twice.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Returns how many of the keys exist.",
        arguments: SEVERAL,
        parse: keys::exists,
        ..READ
    },
    CommandEntry {
        name: "expire",
        reply: "1 if the time was set, 0 if there is no such key or the condition is not met.",
        notes: "A time in the past deletes the key. From its millisecond on, no command finds an expired key. With the name of a collection, the whole collection expires at once: none of its vectors is found any more, and a VECSET makes a new collection. A vector in it keeps its own deadline, and the earlier of the two applies; TTL shows the one of its key. Setting, renaming or copying a vector into a collection does not change the collection's deadline. A collection that is withdrawn with its last vector loses its deadline.",
        arity: -3,
        summary: "Sets the expiry of a key in seconds from now.",
        arguments: &[Argument::key("key"), Argument::integer("seconds"), CONDITION],
        parse: keys::expire,
        ..WRITE
    },
    CommandEntry {
        name: "expireat",
        reply: "As EXPIRE.",
        arity: -3,
        summary: "Sets the expiry of a key in seconds of Unix time.",
        arguments: &[Argument::key("key"), Argument::integer("unix-time-seconds"), CONDITION],
        parse: keys::expireat,
        ..WRITE
    },
    CommandEntry {
        name: "expiretime",
        reply: "Seconds of Unix time, -1 if it does not expire, -2 if there is no such key.",
        arity: 2,
        summary: "Returns when a key expires, in seconds of Unix time.",
        arguments: KEY,
        parse: keys::expiretime,
        ..READ
    },
    CommandEntry {
        name: "keys",
        reply: "An array of keys.",
        notes: "It visits every key of every shard, in slices; keys that are set or deleted meanwhile may be in the reply or not. More than 64 MiB of keys are refused: use SCAN.",
        arity: 2,
        is_fast: false,
        categories: &["@keyspace", "@dangerous"],
        keys: (0, 0, 0),
        summary: "Returns all keys that match a glob pattern.",
        arguments: &[Argument::pattern("pattern")],
        parse: keys::keys,
        ..READ
    },
    CommandEntry {
        name: "memory",
        arity: -2,
        summary: "A container for commands about memory.",
        subcommands: MEMORY,
        group: "generic",
        ..CONTAINER
    },
    CommandEntry {
        name: "move",
        reply: "1 if it was moved, 0 if there is no such key or the other database has one of that name.",
        notes: "A vector moves to the collection of that name in the other database, which must exist; a collection cannot be moved.",
        arity: 3,
        summary: "Moves a key to another database.",
        arguments: &[Argument::key("key"), Argument::integer("db")],
        parse: keys::move_key,
        ..WRITE
    },
    CommandEntry {
        name: "object",
        arity: -2,
        summary: "A container for commands about the value of a key.",
        subcommands: OBJECT,
        group: "generic",
        ..CONTAINER
    },
    CommandEntry {
        name: "persist",
        reply: "1 if the expiry was removed, 0 if there was none.",
        arity: 2,
        notes: "The vectors of a collection keep the deadlines of their own keys.",
        summary: "Removes the expiry of a key.",
        arguments: KEY,
        parse: keys::persist,
        ..WRITE
    },
    CommandEntry {
        name: "pexpire",
        reply: "As EXPIRE.",
        arity: -3,
        summary: "Sets the expiry of a key in milliseconds from now.",
        arguments: &[Argument::key("key"), Argument::integer("milliseconds"), CONDITION],
        parse: keys::pexpire,
        ..WRITE
    },
    CommandEntry {
        name: "pexpireat",
        reply: "As EXPIRE.",
        arity: -3,
        summary: "Sets the expiry of a key in milliseconds of Unix time.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("unix-time-milliseconds"),
            CONDITION,
        ],
        parse: keys::pexpireat,
        ..WRITE
    },
    CommandEntry {
        name: "pexpiretime",
        reply: "Milliseconds of Unix time, -1 if it does not expire, -2 if there is no such key.",
        arity: 2,
        summary: "Returns when a key expires, in milliseconds of Unix time.",
        arguments: KEY,
        parse: keys::pexpiretime,
        ..READ
    },
    CommandEntry {
        name: "pttl",
        reply: "Milliseconds, -1 if it does not expire, -2 if there is no such key.",
        arity: 2,
        summary: "Returns the time until a key expires, in milliseconds.",
        arguments: KEY,
        parse: keys::pttl,
        ..READ
    },
    CommandEntry {
        name: "randomkey",
        reply: "A key, or null if there is none.",
        arity: 1,
        is_fast: false,
        keys: (0, 0, 0),
        summary: "Returns a random key, each about as likely as any other.",
        parse: keys::random_key,
        ..READ
    },
    CommandEntry {
        name: "rename",
        reply: "`OK`, or an error if there is no such key.",
        notes: "A vector moves within its collection, or to another existing one of its dimension; any other destination is an error. In a collection with another metric it is measured by that metric; with another `QUANT` it is stored in that form. A vector set is renamed whole, with all its elements; one of more than 256 MiB only where neither a log nor snapshots are kept. A collection can't be renamed: VECALIAS gives it another name. Between two shards there is a moment in which neither key exists. Inside MULTI both keys must have one slot, or the answer is `CROSSSLOT`.",
        arity: 3,
        is_fast: false,
        keys: (1, 2, 1),
        summary: "Renames a key and overwrites the destination.",
        arguments: &[Argument::key("key"), Argument::key("newkey")],
        parse: keys::rename,
        ..WRITE
    },
    CommandEntry {
        name: "renamenx",
        reply: "1 if it was renamed, 0 if the new key exists, an error if there is no such key.",
        notes: "See RENAME for vectors.",
        arity: 3,
        keys: (1, 2, 1),
        summary: "Renames a key unless the new key exists.",
        arguments: &[Argument::key("key"), Argument::key("newkey")],
        parse: keys::renamenx,
        ..WRITE
    },
    CommandEntry {
        name: "scan",
        reply: "An array of two: the next cursor, `0` at the end, and an array of keys.",
        notes: "Begin with cursor 0 and go on with the cursor of each reply until it is 0. Every key that exists during the whole scan is returned, from all shards; a key that is set or deleted meanwhile may be returned or not; a key is rarely returned twice. A collection's name is returned once, beside the keys of its vectors. `COUNT` is how many keys are visited for one reply, 10 by default, and fewer where they come to more than 1 MiB; `MATCH` (a glob pattern) and `TYPE` (`string`, `hash`, `vector`, `vectorset`) filter the visited keys, so a reply may be empty before the end.",
        arity: -2,
        is_fast: false,
        keys: (0, 0, 0),
        summary: "Returns some of the keys and the next cursor.",
        arguments: SCAN,
        parse: keys::scan,
        ..READ
    },
    CommandEntry {
        name: "touch",
        reply: "How many of the keys exist.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Updates the time of the last use of keys.",
        arguments: SEVERAL,
        parse: keys::touch,
        ..READ
    },
    CommandEntry {
        name: "ttl",
        reply: "Seconds, -1 if it does not expire, -2 if there is no such key.",
        arity: 2,
        summary: "Returns the time until a key expires, in seconds.",
        arguments: KEY,
        parse: keys::ttl,
        ..READ
    },
    CommandEntry {
        name: "type",
        reply: "`string`, `hash`, `vector` for the key of a vector, `vectorset` for the name of a collection, else `none`.",
        arity: 2,
        summary: "Returns the type of the value of a key.",
        arguments: KEY,
        parse: keys::type_of,
        ..READ
    },
    CommandEntry {
        name: "unlink",
        reply: "As DEL.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Does what DEL does: memory is freed in the background in both cases.",
        arguments: SEVERAL,
        parse: keys::del,
        ..WRITE
    },
];

const MEMORY: &[CommandEntry] = &[
    CommandEntry {
        name: "memory|doctor",
        reply: "A report in sentences.",
        summary: "Returns what is unusual about the memory, and what to do about it.",
        parse: keys::memory_doctor,
        ..MEMORY_REPORT
    },
    CommandEntry {
        name: "memory|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about MEMORY.",
        parse: keys::memory_help,
        group: "generic",
        categories: &[],
        ..PLAIN
    },
    CommandEntry {
        name: "memory|malloc-stats",
        reply: "A text: the allocator keeps no statistics.",
        summary: "Returns the allocator's statistics.",
        parse: keys::memory_malloc_stats,
        ..MEMORY_REPORT
    },
    CommandEntry {
        name: "memory|purge",
        reply: "`OK` when every worker has given back what it could.",
        summary: "Gives free memory back to the system.",
        parse: keys::memory_purge,
        ..MEMORY_REPORT
    },
    CommandEntry {
        name: "memory|stats",
        reply: "A map of names and numbers.",
        notes: "The names are Redis's. `dataset.bytes` is what the data takes: tables by what was allocated for them, values by the blocks that the allocator gives.",
        summary: "Returns what takes how much memory.",
        parse: keys::memory_stats,
        ..MEMORY_REPORT
    },
    CommandEntry {
        name: "memory|usage",
        reply: "Bytes, or null if there is no such key.",
        notes: "The memory of the key, its value and their entries in tables. For a vector: its share of its shard's index, and its name; for a collection: its memory on all shards. `SAMPLES` has no effect, because nothing is estimated.",
        arity: -3,
        is_fast: false,
        categories: &[],
        keys: (2, 2, 1),
        summary: "Returns the memory of a key and its value, in bytes.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("count").after("SAMPLES").optional(),
        ],
        parse: keys::memory_usage,
        ..READ
    },
];

const MEMORY_REPORT: CommandEntry = CommandEntry {
    arity: 2,
    other_flags: &[],
    group: "generic",
    ..PLAIN
};

const OBJECT: &[CommandEntry] = &[
    CommandEntry {
        name: "object|encoding",
        reply: "A name as in Redis, or null if there is no such key.",
        summary: "Returns how a value is stored.",
        parse: keys::object_encoding,
        ..OBJECT_ONE
    },
    CommandEntry {
        name: "object|freq",
        reply: "An error: no policy that counts is chosen. Null if there is no such key.",
        summary: "Returns how often a key is used, where that is counted.",
        parse: keys::object_freq,
        ..OBJECT_ONE
    },
    CommandEntry {
        name: "object|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about OBJECT.",
        parse: keys::object_help,
        group: "generic",
        categories: &["@keyspace"],
        ..PLAIN
    },
    CommandEntry {
        name: "object|idletime",
        reply: "Seconds, or null if there is no such key.",
        notes: "Commands that name a vector use it: VECSET, VECGET, VECQUERY KEY, COPY, TOUCH. So do the nearest hits of a query. For the name of a collection it is 0.",
        summary: "Returns the seconds since the last use of a key.",
        parse: keys::object_idletime,
        ..OBJECT_ONE
    },
    CommandEntry {
        name: "object|refcount",
        reply: "1, or null if there is no such key.",
        summary: "Returns the number of references to a value: always 1.",
        parse: keys::object_refcount,
        ..OBJECT_ONE
    },
];

const OBJECT_ONE: CommandEntry = CommandEntry {
    arity: 3,
    is_fast: false,
    keys: (2, 2, 1),
    arguments: KEY,
    ..READ
};

const KEY: &[Argument] = &[Argument::key("key")];

const SEVERAL: &[Argument] = &[Argument::key("key").multiple()];

const COPY: &[Argument] = &[
    Argument::key("source"),
    Argument::key("destination"),
    Argument::integer("destination-db").after("DB").optional(),
    Argument::word("replace", "REPLACE").optional(),
];

const SCAN: &[Argument] = &[
    Argument::integer("cursor"),
    Argument::pattern("pattern").after("MATCH").optional(),
    Argument::integer("count").after("COUNT").optional(),
    Argument::string("type").after("TYPE").optional(),
];

const READ: CommandEntry = CommandEntry {
    group: "generic",
    categories: &["@keyspace"],
    access: DataAccess::Read,
    other_flags: &[],
    is_fast: true,
    keys: (1, 1, 1),
    ..PLAIN
};

const WRITE: CommandEntry = CommandEntry {
    access: DataAccess::Write,
    ..READ
};
