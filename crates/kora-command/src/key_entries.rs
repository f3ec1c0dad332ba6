//! The commands on keys of any type, as the table lists them. Their syntax stands in `keys.rs`.

use crate::keys;
use crate::syntax::Argument;
use crate::table::{CONTAINER, CommandEntry, DataAccess, PLAIN};

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "copy",
        reply: "1 if it was copied, 0 if there was something at the destination, or nothing to copy.",
        notes: "A vector is copied within its collection, or to another of its dimension that exists; a collection is not copied. A key of one slot is copied at once. Between slots the copy may be older than what the source holds when it arrives. Inside MULTI both keys must have one slot, or the answer is `CROSSSLOT`.",
        arity: -3,
        adds_memory: true,
        is_fast: false,
        keys: (1, 2, 1),
        summary: "Copies what a key holds, with its expiry, to another key.",
        arguments: COPY,
        parse: keys::copy,
        ..WRITE
    },
    CommandEntry {
        name: "del",
        reply: "How many of the keys there were.",
        notes: "The name of a collection drops it with all its vectors. Whatever is large is freed in the background.",
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
        reply: "How many of the keys there are; one that is named twice counts twice.",
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
        notes: "A time that is past deletes the key. An expired key is found by no command from its millisecond on. The name of a collection lets all of it expire at once: from then on none of its vectors is found, and a VECSET makes a new one, as if it had never been. A vector in it keeps the time of its own key, and of the two the earlier counts; TTL of either tells its own. What is set, renamed or copied into a collection leaves the collection's time as it is. One that goes with its last vector takes its time along.",
        arity: -3,
        summary: "Lets a key expire after some seconds.",
        arguments: &[Argument::key("key"), Argument::integer("seconds"), CONDITION],
        parse: keys::expire,
        ..WRITE
    },
    CommandEntry {
        name: "expireat",
        reply: "As EXPIRE.",
        arity: -3,
        summary: "Lets a key expire at a time, in seconds of Unix time.",
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
        notes: "It looks at every key of every shard, in slices, and what is set or deleted meanwhile may be in it or not. More than 64 MiB of keys are refused: SCAN takes them in turn.",
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
        summary: "Holds commands about memory.",
        subcommands: MEMORY,
        group: "generic",
        ..CONTAINER
    },
    CommandEntry {
        name: "object",
        arity: -2,
        summary: "Holds commands about what a key holds.",
        subcommands: OBJECT,
        group: "generic",
        ..CONTAINER
    },
    CommandEntry {
        name: "persist",
        reply: "1 if the time was removed, 0 if there was none.",
        arity: 2,
        notes: "Of a collection: its vectors keep the times of their own keys.",
        summary: "Lets a key stay for ever.",
        arguments: KEY,
        parse: keys::persist,
        ..WRITE
    },
    CommandEntry {
        name: "pexpire",
        reply: "As EXPIRE.",
        arity: -3,
        summary: "Lets a key expire after some milliseconds.",
        arguments: &[Argument::key("key"), Argument::integer("milliseconds"), CONDITION],
        parse: keys::pexpire,
        ..WRITE
    },
    CommandEntry {
        name: "pexpireat",
        reply: "As EXPIRE.",
        arity: -3,
        summary: "Lets a key expire at a time, in milliseconds of Unix time.",
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
        summary: "Returns how long a key stays, in milliseconds.",
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
        summary: "Returns some key, each about as likely as any other.",
        parse: keys::random_key,
        ..READ
    },
    CommandEntry {
        name: "rename",
        reply: "`OK`, or an error if there is no such key.",
        notes: "A vector moves within its collection, or to another of its dimension that exists: to one that is not there, or of another dimension, is an error, since it would have to be chosen for it. In a collection with another metric it is measured by that; with another `QUANT` it is kept in that form. A collection cannot be renamed. Between two shards there is a moment in which neither key is there. Inside MULTI both keys must have one slot, or the answer is `CROSSSLOT`.",
        arity: 3,
        is_fast: false,
        keys: (1, 2, 1),
        summary: "Gives what a key holds another key, in place of what that holds.",
        arguments: &[Argument::key("key"), Argument::key("newkey")],
        parse: keys::rename,
        ..WRITE
    },
    CommandEntry {
        name: "renamenx",
        reply: "1 if it was renamed, 0 if there is something at the new key, an error if there is no such key.",
        notes: "Vectors as with RENAME.",
        arity: 3,
        keys: (1, 2, 1),
        summary: "Gives what a key holds another key, unless that holds something.",
        arguments: &[Argument::key("key"), Argument::key("newkey")],
        parse: keys::renamenx,
        ..WRITE
    },
    CommandEntry {
        name: "scan",
        reply: "An array of two: the cursor to go on from, `0` at the end, and an array of keys.",
        notes: "Begin with cursor 0 and go on with the cursor of each reply until it is 0. Every key that is there all the time is returned, over all shards; one that comes or goes meanwhile may be or not; rarely one is returned twice. A collection's name is returned once beside the keys of its vectors. `COUNT` is how many keys are looked at for one reply, 10 if it is not given, and fewer where they come to more than 1 MiB; `MATCH` (a glob pattern) and `TYPE` (`string`, `hash`, `vector`, `vectorset`) leave out some of them, so that a reply may be empty before the end.",
        arity: -2,
        is_fast: false,
        keys: (0, 0, 0),
        summary: "Returns some of the keys, and a cursor to go on from.",
        arguments: SCAN,
        parse: keys::scan,
        ..READ
    },
    CommandEntry {
        name: "touch",
        reply: "How many of the keys there are.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Makes keys count as used now.",
        arguments: SEVERAL,
        parse: keys::touch,
        ..READ
    },
    CommandEntry {
        name: "ttl",
        reply: "Seconds, -1 if it does not expire, -2 if there is no such key.",
        arity: 2,
        summary: "Returns how long a key stays, in seconds.",
        arguments: KEY,
        parse: keys::ttl,
        ..READ
    },
    CommandEntry {
        name: "type",
        reply: "`string`, `hash`, `vector` for the key of a vector, `vectorset` for the name of a collection, else `none`.",
        arity: 2,
        summary: "Returns what a key holds.",
        arguments: KEY,
        parse: keys::type_of,
        ..READ
    },
    CommandEntry {
        name: "unlink",
        reply: "As DEL.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Does what DEL does: memory is freed in the background either way.",
        arguments: SEVERAL,
        parse: keys::del,
        ..WRITE
    },
];

const MEMORY: &[CommandEntry] = &[
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
        name: "memory|usage",
        reply: "Bytes, or null if there is no such key.",
        notes: "What the key and its value hold, with the places in the tables that find them. Of a vector: its share of its shard's index, and its name; of a collection: all that its shards hold of it. `SAMPLES` is read and changes nothing: nothing is estimated.",
        arity: -3,
        is_fast: false,
        categories: &[],
        keys: (2, 2, 1),
        summary: "Returns how much memory a key and its value hold.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("count").after("SAMPLES").optional(),
        ],
        parse: keys::memory_usage,
        ..READ
    },
];

const OBJECT: &[CommandEntry] = &[
    CommandEntry {
        name: "object|encoding",
        reply: "A word as Redis has it, or null if there is no such key.",
        summary: "Returns in which form a value is kept.",
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
        notes: "A vector is used by the commands that name it: VECSET, VECGET, VECQUERY KEY, COPY, TOUCH. That a query finds it is no use of it. Of a collection's name it is 0.",
        summary: "Returns since when a key has not been used.",
        parse: keys::object_idletime,
        ..OBJECT_ONE
    },
    CommandEntry {
        name: "object|refcount",
        reply: "1, or null if there is no such key.",
        summary: "Returns how many share a value: nobody does.",
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

const CONDITION: Argument = Argument::one_of(
    "condition",
    &[
        Argument::word("nx", "NX"),
        Argument::word("xx", "XX"),
        Argument::word("gt", "GT"),
        Argument::word("lt", "LT"),
    ],
)
.optional();

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
