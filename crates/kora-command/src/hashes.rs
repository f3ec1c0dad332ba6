//! The commands on hashes: what they ask of a key's shard, their syntax, their rows in the table.

use bytes::Bytes;
use kora_resp::glob::Pattern;
use kora_resp::{Words, number};

use crate::Command;
use crate::action::Action;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::field_deadlines::FieldDeadlineAction;
use crate::row::{CommandEntry, DataAccess, PLAIN};
use crate::syntax::Argument;

/// What is to be done to a hash.
#[derive(Debug)]
pub enum HashAction {
    /// `HSET`, `HMSET`: fields and values in turn.
    Set(Words, HashSetReply),
    /// `HSETNX`
    SetIfAbsent(Bytes, Bytes),
    /// `HGET`
    Get(Bytes),
    /// `HMGET`
    GetMany(Words),
    /// `HGETALL`, `HKEYS`, `HVALS`
    All(HashPart),
    /// `HDEL`
    Delete(Words),
    /// `HGETDEL`: whether the fields are well said is looked at only where there is no value of another type.
    Take(Result<Words, ClientError>),
    /// `HEXISTS`
    Exists(Bytes),
    /// `HLEN`
    Length,
    /// `HSTRLEN`
    ValueLength(Bytes),
    /// `HINCRBY`
    Add(Bytes, i64),
    /// `HINCRBYFLOAT`
    AddFloat(Bytes, Bytes),
    /// `HRANDFIELD`
    Random(Option<Sample>),
    /// `HSCAN`: whether the options make sense is looked at only where there is something.
    Scan(u64, Result<HashScan, ClientError>),
    /// `HEXPIRE`, `HSETEX` and what else is about deadlines of fields.
    Deadlines(Box<FieldDeadlineAction>),
}

/// What HSET and HMSET answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashSetReply {
    /// How many fields are new.
    Added,
    /// `OK`.
    Ok,
}

/// Which part of a hash is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashPart {
    /// Fields with their values.
    Both,
    /// The fields.
    Fields,
    /// The values.
    Values,
}

/// `HRANDFIELD key count [WITHVALUES]`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// How many; if negative, some may come several times.
    pub count: i64,
    /// Whether their values are wanted.
    pub with_values: bool,
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
#[derive(Debug)]
pub struct HashScan {
    /// Fields that match this glob pattern.
    pub pattern: Option<Pattern>,
    /// How many fields to look at; at least 1.
    pub count: usize,
    /// Whether values are left out.
    pub no_values: bool,
}

impl HashAction {
    /// True of commands that read only.
    pub fn changes_nothing(&self) -> bool {
        match self {
            HashAction::Get(_)
            | HashAction::GetMany(_)
            | HashAction::All(_)
            | HashAction::Random(_)
            | HashAction::Scan(..)
            | HashAction::Exists(_)
            | HashAction::ValueLength(_)
            | HashAction::Length => true,
            HashAction::Set(..)
            | HashAction::SetIfAbsent(..)
            | HashAction::Delete(_)
            | HashAction::Take(_)
            | HashAction::Add(..)
            | HashAction::AddFloat(..) => false,
            HashAction::Deadlines(action) => action.changes_nothing(),
        }
    }

    /// Memory that it holds beside its own.
    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            HashAction::Set(words, _)
            | HashAction::GetMany(words)
            | HashAction::Delete(words)
            | HashAction::Take(Ok(words)) => words.bytes_held(),
            HashAction::SetIfAbsent(field, value) | HashAction::AddFloat(field, value) => field.len() + value.len(),
            HashAction::Get(field)
            | HashAction::Exists(field)
            | HashAction::ValueLength(field)
            | HashAction::Add(field, _) => field.len(),
            HashAction::Deadlines(action) => action.bytes_held(),
            HashAction::Scan(_, Ok(scan)) => scan.pattern.as_ref().map_or(0, Pattern::bytes),
            _ => 0,
        }
    }
}

fn on_key(arguments: &Arguments<'_>, action: HashAction) -> Result<Command, ClientError> {
    Ok(Command::OnKey(arguments.key(1)?.into(), Action::Hash(action)))
}

fn hset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set(arguments, "hset", HashSetReply::Added)
}

fn hmset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set(arguments, "hmset", HashSetReply::Ok)
}

fn set(arguments: &Arguments<'_>, command: &'static str, reply: HashSetReply) -> Result<Command, ClientError> {
    if !arguments.count().is_multiple_of(2) {
        return Err(ClientError::UnfitCount { command });
    }
    on_key(arguments, HashAction::Set(arguments.fields_from(2, 2)?, reply))
}

fn hsetnx(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        HashAction::SetIfAbsent(arguments.field(2)?, arguments.owned(3)),
    )
}

fn hget(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::Get(arguments.field(2)?))
}

fn hmget(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::GetMany(arguments.fields_from(2, 1)?))
}

fn hgetall(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::All(HashPart::Both))
}

fn hkeys(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::All(HashPart::Fields))
}

fn hvals(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::All(HashPart::Values))
}

fn hdel(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::Delete(arguments.fields_from(2, 1)?))
}

/// `HGETDEL key FIELDS numfields field [field …]`
fn hgetdel(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        HashAction::Take(counted_fields(
            arguments,
            2,
            "ERR Number of fields must be a positive integer",
        )),
    )
}

/// `FIELDS numfields field [field …]` to the end of the request; `not_positive` is the error if there are to be none.
pub(crate) fn counted_fields(
    arguments: &Arguments<'_>,
    at: usize,
    not_positive: &'static str,
) -> Result<Words, ClientError> {
    if !arguments.is(at, "FIELDS") {
        return Err(ClientError::Said(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let is_last = at + 1 == arguments.count();
    let count = if is_last {
        None
    } else {
        number::parse_i64(arguments.word(at + 1))
    };
    let count = count
        .filter(|count| *count > 0)
        .ok_or(ClientError::Said(not_positive))?;
    if usize::try_from(count) != Ok(arguments.count() - at - 2) {
        return Err(ClientError::Said(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    arguments.fields_from(at + 2, 1)
}

fn hexists(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::Exists(arguments.field(2)?))
}

fn hlen(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::Length)
}

fn hstrlen(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::ValueLength(arguments.field(2)?))
}

fn hincrby(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::Add(arguments.field(2)?, arguments.integer(3)?))
}

fn hincrbyfloat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, HashAction::AddFloat(arguments.field(2)?, arguments.owned(3)))
}

fn hrandfield(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() == 2 {
        return on_key(arguments, HashAction::Random(None));
    }
    let count = arguments.integer(2)?;
    // Redis cannot negate the smallest number either.
    if count == i64::MIN {
        return Err(ClientError::OutOfRangeBetween {
            least: -i64::MAX,
            most: i64::MAX,
        });
    }
    let with_values = match arguments.count() {
        3 => false,
        4 if arguments.is(3, "WITHVALUES") => true,
        _ => return Err(ClientError::Syntax),
    };
    if with_values && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(ClientError::OutOfRangeShort);
    }
    on_key(arguments, HashAction::Random(Some(Sample { count, with_values })))
}

fn hscan(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let cursor = crate::keys::cursor(arguments, 2)?;
    on_key(arguments, HashAction::Scan(cursor, scan_options(arguments)))
}

fn scan_options(arguments: &Arguments<'_>) -> Result<HashScan, ClientError> {
    let mut scan = HashScan {
        pattern: None,
        count: crate::keys::SCAN_COUNT,
        no_values: false,
    };
    let mut at = 3;
    while at < arguments.count() {
        let has_value = at + 1 < arguments.count();
        if arguments.is(at, "COUNT") && has_value {
            scan.count = crate::keys::scan_count(arguments, at + 1)?;
        } else if arguments.is(at, "MATCH") && has_value {
            scan.pattern = crate::keys::pattern(arguments, at + 1)?;
        } else if arguments.is(at, "NOVALUES") {
            scan.no_values = true;
            at += 1;
            continue;
        } else {
            return Err(ClientError::Syntax);
        }
        at += 2;
    }
    Ok(scan)
}

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "hdel",
        reply: "How many of the fields existed.",
        arity: -3,
        adds_memory: false,
        summary: "Deletes fields of a hash; a hash without fields is deleted.",
        arguments: FIELDS,
        parse: hdel,
        ..WRITE
    },
    CommandEntry {
        name: "hexists",
        reply: "1 or 0.",
        arity: 3,
        summary: "Returns whether a hash has a field.",
        arguments: FIELD,
        parse: hexists,
        ..READ
    },
    CommandEntry {
        name: "hget",
        reply: "The value, or null.",
        arity: 3,
        summary: "Returns the value of a field.",
        arguments: FIELD,
        parse: hget,
        ..READ
    },
    CommandEntry {
        name: "hgetall",
        reply: "A map of fields to values, empty if there is no hash.",
        arity: 2,
        is_fast: false,
        summary: "Returns all fields and values of a hash.",
        arguments: KEY,
        parse: hgetall,
        ..READ
    },
    CommandEntry {
        name: "hgetdel",
        reply: "An array of values, null where there is no such field.",
        notes: "A hash without fields is deleted.",
        arity: -5,
        adds_memory: false,
        summary: "Returns the values of fields and deletes the fields.",
        arguments: &[
            Argument::key("key"),
            Argument::block(
                "fields",
                &[Argument::integer("numfields"), Argument::string("field").multiple()],
            )
            .after("FIELDS"),
        ],
        parse: hgetdel,
        ..WRITE
    },
    CommandEntry {
        name: "hincrby",
        reply: "The new number.",
        arity: 4,
        summary: "Adds to the number that a field holds.",
        arguments: &[
            Argument::key("key"),
            Argument::string("field"),
            Argument::integer("increment"),
        ],
        parse: hincrby,
        ..WRITE
    },
    CommandEntry {
        name: "hincrbyfloat",
        reply: "The new number, as text.",
        arity: 4,
        summary: "Adds to the number with a fraction that a field holds.",
        arguments: &[
            Argument::key("key"),
            Argument::string("field"),
            Argument::double("increment"),
        ],
        parse: hincrbyfloat,
        ..WRITE
    },
    CommandEntry {
        name: "hkeys",
        reply: "An array of fields.",
        arity: 2,
        is_fast: false,
        summary: "Returns all fields of a hash.",
        arguments: KEY,
        parse: hkeys,
        ..READ
    },
    CommandEntry {
        name: "hlen",
        reply: "A number.",
        arity: 2,
        summary: "Returns how many fields a hash has.",
        arguments: KEY,
        parse: hlen,
        ..READ
    },
    CommandEntry {
        name: "hmget",
        reply: "An array of values, null where there is none.",
        arity: -3,
        summary: "Returns the values of fields.",
        arguments: FIELDS,
        parse: hmget,
        ..READ
    },
    CommandEntry {
        name: "hmset",
        reply: "`OK`.",
        arity: -4,
        summary: "Sets fields of a hash.",
        arguments: PAIRS,
        parse: hmset,
        ..WRITE
    },
    CommandEntry {
        name: "hrandfield",
        reply: "A field, or null; with a count an array of fields, or with WITHVALUES of fields and values (RESP3: of pairs).",
        arity: -2,
        is_fast: false,
        summary: "Returns random fields of a hash: different ones, or with a negative count drawn independently.",
        arguments: HRANDFIELD,
        parse: hrandfield,
        ..READ
    },
    CommandEntry {
        name: "hscan",
        reply: "An array of two: the next cursor, `0` at the end, and an array of fields and values.",
        arity: -3,
        is_fast: false,
        summary: "Returns some fields of a hash and the next cursor.",
        arguments: HSCAN,
        parse: hscan,
        ..READ
    },
    CommandEntry {
        name: "hset",
        reply: "How many of the fields are new.",
        arity: -4,
        summary: "Sets fields of a hash, and creates it if there is none.",
        arguments: PAIRS,
        parse: hset,
        ..WRITE
    },
    CommandEntry {
        name: "hsetnx",
        reply: "1 if it was set, else 0.",
        arity: 4,
        summary: "Sets a field of a hash if it has none of that name.",
        arguments: &[
            Argument::key("key"),
            Argument::string("field"),
            Argument::string("value"),
        ],
        parse: hsetnx,
        ..WRITE
    },
    CommandEntry {
        name: "hstrlen",
        reply: "The length in bytes, 0 if there is none.",
        arity: 3,
        summary: "Returns the length of a field's value.",
        arguments: FIELD,
        parse: hstrlen,
        ..READ
    },
    CommandEntry {
        name: "hvals",
        reply: "An array of values.",
        arity: 2,
        is_fast: false,
        summary: "Returns all values of a hash.",
        arguments: KEY,
        parse: hvals,
        ..READ
    },
];

const KEY: &[Argument] = &[Argument::key("key")];

const FIELD: &[Argument] = &[Argument::key("key"), Argument::string("field")];

const FIELDS: &[Argument] = &[Argument::key("key"), Argument::string("field").multiple()];

const PAIRS: &[Argument] = &[
    Argument::key("key"),
    Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple(),
];

const HRANDFIELD: &[Argument] = &[
    Argument::key("key"),
    Argument::block(
        "options",
        &[
            Argument::integer("count"),
            Argument::word("withvalues", "WITHVALUES").optional(),
        ],
    )
    .optional(),
];

const HSCAN: &[Argument] = &[
    Argument::key("key"),
    Argument::integer("cursor"),
    Argument::pattern("pattern").after("MATCH").optional(),
    Argument::integer("count").after("COUNT").optional(),
    Argument::word("novalues", "NOVALUES").optional(),
];

pub(crate) const READ: CommandEntry = CommandEntry {
    group: "hash",
    categories: &["@hash"],
    access: DataAccess::Read,
    other_flags: &[],
    is_fast: true,
    keys: (1, 1, 1),
    ..PLAIN
};

pub(crate) const WRITE: CommandEntry = CommandEntry {
    access: DataAccess::Write,
    adds_memory: true,
    ..READ
};
