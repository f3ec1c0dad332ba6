//! The commands on strings, as the table lists them. Their syntax stands in `strings.rs`.

use crate::row::{CommandEntry, DataAccess, PLAIN};
use crate::strings;
use crate::syntax::Argument;

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "append",
        reply: "The new length of the string.",
        arity: 3,
        summary: "Appends to a string, and creates it if there is none.",
        arguments: KEY_VALUE,
        parse: strings::append,
        ..WRITE
    },
    CommandEntry {
        name: "decr",
        reply: "The new number.",
        arity: 2,
        summary: "Decrements the number of a key by one.",
        arguments: KEY,
        parse: strings::decr,
        ..WRITE
    },
    CommandEntry {
        name: "decrby",
        reply: "The new number.",
        arity: 3,
        summary: "Subtracts from the number that a key holds.",
        arguments: &[Argument::key("key"), Argument::integer("decrement")],
        parse: strings::decrby,
        ..WRITE
    },
    CommandEntry {
        name: "get",
        reply: "The string, or null if there is none.",
        arity: 2,
        summary: "Returns the string that a key holds.",
        arguments: KEY,
        parse: strings::get,
        ..READ
    },
    CommandEntry {
        name: "getdel",
        reply: "The string, or null if there is none.",
        arity: 2,
        adds_memory: false,
        summary: "Returns the string that a key holds and deletes the key.",
        arguments: KEY,
        parse: strings::getdel,
        ..WRITE
    },
    CommandEntry {
        name: "getex",
        reply: "The string, or null if there is none.",
        arity: -2,
        adds_memory: false,
        summary: "Returns the string that a key holds and sets or removes its expiry.",
        arguments: &[
            Argument::key("key"),
            Argument::one_of("expiration", GETEX_TIMES).optional(),
        ],
        parse: strings::getex,
        ..WRITE
    },
    CommandEntry {
        name: "getrange",
        reply: "The part of the string.",
        arity: 4,
        is_fast: false,
        summary: "Returns a part of the string that a key holds; negative positions count from its end.",
        arguments: RANGE,
        parse: strings::getrange,
        ..READ
    },
    CommandEntry {
        name: "getset",
        reply: "The string before, or null if there was none.",
        arity: 3,
        summary: "Sets a string and returns the one before.",
        arguments: KEY_VALUE,
        parse: strings::getset,
        ..WRITE
    },
    CommandEntry {
        name: "incr",
        reply: "The new number.",
        arity: 2,
        summary: "Adds one to the number that a key holds.",
        arguments: KEY,
        parse: strings::incr,
        ..WRITE
    },
    CommandEntry {
        name: "incrby",
        reply: "The new number.",
        arity: 3,
        summary: "Adds to the number that a key holds.",
        arguments: &[Argument::key("key"), Argument::integer("increment")],
        parse: strings::incrby,
        ..WRITE
    },
    CommandEntry {
        name: "incrbyfloat",
        reply: "The new number, as text.",
        arity: 3,
        summary: "Adds to the number with a fraction that a key holds.",
        arguments: &[Argument::key("key"), Argument::double("increment")],
        parse: strings::incrbyfloat,
        ..WRITE
    },
    CommandEntry {
        name: "mget",
        reply: "An array of strings, null where there is none.",
        notes: "Keys on several shards are read one shard after the other, so a write may happen in between.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Returns the strings that keys hold.",
        arguments: &[Argument::key("key").multiple()],
        parse: strings::mget,
        ..READ
    },
    CommandEntry {
        name: "mset",
        reply: "`OK`.",
        notes: "Keys on several shards are set one shard after the other, so a reader may see some of them set and others not; keys with one hash tag are set at once.",
        arity: -3,
        is_fast: false,
        keys: (1, -1, 2),
        summary: "Sets several strings.",
        arguments: PAIRS,
        parse: strings::mset,
        ..WRITE
    },
    CommandEntry {
        name: "msetex",
        reply: "1 if all were set, 0 if the condition forbade it.",
        notes: "As in Redis 8.4: one condition and one lifetime for all keys. NX sets them if none of them exists, XX if all of them do. Over several shards it is not atomic: with NX or XX one of the keys may be set or deleted between the check of all keys and the setting, and a reader may see some of them set and others not. Inside MULTI all keys of one with NX or XX must have one slot, or the answer is `CROSSSLOT`.",
        arity: -4,
        is_fast: false,
        keys: (0, 0, 0),
        other_flags: &["movablekeys"],
        summary: "Sets several strings that expire at one time, if a condition holds.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::block("data", &[Argument::key("key"), Argument::string("value")]).multiple(),
            Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")]).optional(),
            Argument::one_of("expiration", SET_TIMES).optional(),
        ],
        parse: strings::msetex,
        ..WRITE
    },
    CommandEntry {
        name: "msetnx",
        reply: "1 if all were set, 0 if none was.",
        notes: "All or none; over several shards it is not atomic: one of the keys may be set between the check of all keys and the setting. Inside MULTI all must have one slot, or the answer is `CROSSSLOT`.",
        arity: -3,
        is_fast: false,
        keys: (1, -1, 2),
        summary: "Sets several strings if none of the keys exists.",
        arguments: PAIRS,
        parse: strings::msetnx,
        ..WRITE
    },
    CommandEntry {
        name: "psetex",
        reply: "`OK`.",
        arity: 4,
        is_fast: false,
        summary: "Sets a string that expires after some milliseconds.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("milliseconds"),
            Argument::string("value"),
        ],
        parse: strings::psetex,
        ..WRITE
    },
    CommandEntry {
        name: "set",
        reply: "`OK`, or null if NX or XX forbade it; with GET the string before, or null.",
        notes: "It replaces a value of any type. Only the name of a collection is refused: that would drop all its vectors.",
        arity: -3,
        is_fast: false,
        summary: "Sets a string.",
        arguments: SET,
        parse: strings::set,
        ..WRITE
    },
    CommandEntry {
        name: "setex",
        reply: "`OK`.",
        arity: 4,
        is_fast: false,
        summary: "Sets a string that expires after some seconds.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("seconds"),
            Argument::string("value"),
        ],
        parse: strings::setex,
        ..WRITE
    },
    CommandEntry {
        name: "setnx",
        reply: "1 if it was set, else 0.",
        arity: 3,
        summary: "Sets a string if the key does not exist.",
        arguments: KEY_VALUE,
        parse: strings::setnx,
        ..WRITE
    },
    CommandEntry {
        name: "setrange",
        reply: "The new length of the string.",
        arity: 4,
        is_fast: false,
        summary: "Overwrites a part of the string that a key holds, with zero bytes before it where there was nothing.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("offset"),
            Argument::string("value"),
        ],
        parse: strings::setrange,
        ..WRITE
    },
    CommandEntry {
        name: "strlen",
        reply: "The length in bytes, 0 if there is none.",
        arity: 2,
        summary: "Returns the length of the string that a key holds.",
        arguments: KEY,
        parse: strings::strlen,
        ..READ
    },
    CommandEntry {
        name: "substr",
        reply: "The part of the string.",
        arity: 4,
        is_fast: false,
        summary: "Does what GETRANGE does.",
        arguments: RANGE,
        parse: strings::getrange,
        ..READ
    },
];

const KEY: &[Argument] = &[Argument::key("key")];

const KEY_VALUE: &[Argument] = &[Argument::key("key"), Argument::string("value")];

const RANGE: &[Argument] = &[
    Argument::key("key"),
    Argument::integer("start"),
    Argument::integer("end"),
];

const PAIRS: &[Argument] = &[Argument::block("data", &[Argument::key("key"), Argument::string("value")]).multiple()];

const SET: &[Argument] = &[
    Argument::key("key"),
    Argument::string("value"),
    Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")]).optional(),
    Argument::word("get", "GET").optional(),
    Argument::one_of("expiration", SET_TIMES).optional(),
];

/// How SET says when a key expires.
pub(crate) const SET_TIMES: &[Argument] = &[
    Argument::integer("seconds").after("EX"),
    Argument::integer("milliseconds").after("PX"),
    Argument::integer("unix-time-seconds").after("EXAT"),
    Argument::integer("unix-time-milliseconds").after("PXAT"),
    Argument::word("keepttl", "KEEPTTL"),
];

const GETEX_TIMES: &[Argument] = &[
    Argument::integer("seconds").after("EX"),
    Argument::integer("milliseconds").after("PX"),
    Argument::integer("unix-time-seconds").after("EXAT"),
    Argument::integer("unix-time-milliseconds").after("PXAT"),
    Argument::word("persist", "PERSIST"),
];

const READ: CommandEntry = CommandEntry {
    group: "string",
    categories: &["@string"],
    access: DataAccess::Read,
    other_flags: &[],
    is_fast: true,
    keys: (1, 1, 1),
    ..PLAIN
};

const WRITE: CommandEntry = CommandEntry {
    access: DataAccess::Write,
    adds_memory: true,
    ..READ
};
