//! Which words of a request are keys, and what is done to them: COMMAND GETKEYS and GETKEYSANDFLAGS.

use bytes::Bytes;
use kora_resp::{Reply, number};

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::GIVEN_KEYS_MAX;
use crate::row::{CommandEntry, DataAccess};
use crate::table;

/// `COMMAND GETKEYS command [word …]`
pub(crate) fn get_keys(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let (_, places) = key_places(arguments)?;
    let keys = places.into_iter().map(|place| Reply::Bulk(arguments.owned(place)));
    Ok(Command::Answered(Box::new(Reply::Array(keys.collect()))))
}

/// `COMMAND GETKEYSANDFLAGS command [word …]`
pub(crate) fn get_keys_and_flags(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let (entry, places) = key_places(arguments)?;
    let gets = entry.name == "set" && (FIRST..arguments.count()).any(|index| arguments.is(index, "GET"));
    let pair = |(number, place): (usize, usize)| {
        let flags = match gets {
            true => READ_AND_UPDATE,
            false => flags_of(entry, number),
        };
        let flags = flags.iter().map(|flag| Reply::Simple(flag)).collect();
        Reply::Array(vec![Reply::Bulk(arguments.owned(place)), Reply::Set(flags)])
    };
    let keys = places.into_iter().enumerate().map(pair).collect();
    Ok(Command::Answered(Box::new(Reply::Array(keys))))
}

/// Where the command's own name stands.
const FIRST: usize = 2;

/// The command's row, and the places of its keys.
fn key_places(arguments: &Arguments<'_>) -> Result<(&'static CommandEntry, Vec<usize>), ClientError> {
    let entry = named(arguments).ok_or(ClientError::Said("ERR Invalid command specified"))?;
    let counted_at = COUNTED.iter().find(|(name, _)| *name == entry.name).map(|(_, at)| *at);
    // What they name is routed like a key and is none.
    let are_channels = matches!(entry.name, "spublish" | "ssubscribe" | "sunsubscribe");
    if (entry.keys.0 == 0 || are_channels) && counted_at.is_none() {
        return Err(ClientError::Said("ERR The command has no key arguments"));
    }
    let count = arguments.count() - FIRST;
    if !entry.accepts(count) {
        let text = "ERR Invalid number of arguments specified for command";
        return Err(ClientError::Said(text));
    }
    let places: Vec<usize> = match counted_at {
        Some(at) => counted(arguments, entry, at),
        None => ranged(entry.keys, count),
    };
    match places.len() {
        ..=GIVEN_KEYS_MAX => Ok((entry, places)),
        got => Err(ClientError::OutOfRange {
            what: "the number of keys",
            min: 0,
            max: GIVEN_KEYS_MAX,
            got: got.to_string().into_bytes(),
        }),
    }
}

fn named(arguments: &Arguments<'_>) -> Option<&'static CommandEntry> {
    let entry = table::find(arguments.word(FIRST)).filter(|entry| !entry.name.contains('|'))?;
    if entry.subcommands.is_empty() || arguments.count() == FIRST + 1 {
        return Some(entry);
    }
    let subcommand = arguments.word(FIRST + 1);
    let name: Bytes = [entry.name.as_bytes(), b"|", subcommand].concat().into();
    table::find(&name)
}

/// Keys behind their number.
fn counted(arguments: &Arguments<'_>, entry: &CommandEntry, at: usize) -> Vec<usize> {
    let step = if entry.name == "msetex" { 2 } else { 1 };
    let count = number::parse_i64(arguments.word(FIRST + at)).and_then(|count| usize::try_from(count).ok());
    let first = FIRST + at + 1;
    match count.and_then(|count| count.checked_mul(step)) {
        Some(words) if words <= arguments.count() - first => (first..first + words).step_by(step).collect(),
        _ => Vec::new(),
    }
}

/// Keys at places that the row names.
fn ranged((first, last, step): (i32, i32, i32), count: usize) -> Vec<usize> {
    let place = |index: i32| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => count.saturating_sub(index.unsigned_abs() as usize),
    };
    let places = (place(first)..=place(last)).step_by(step.unsigned_abs().max(1) as usize);
    places.map(|place| FIRST + place).collect()
}

/// What the command does to its key of that number: the flags of Redis's key specifications.
fn flags_of(entry: &CommandEntry, number: usize) -> &'static [&'static str] {
    match (entry.name, number) {
        ("rename" | "renamenx", 0) | ("getdel" | "hgetdel", _) => &["RW", "access", "delete"],
        ("copy", 0) => READ,
        ("rename" | "copy", _) => OVERWRITE,
        ("renamenx", _) => &["OW", "insert"],
        ("setnx" | "msetnx", _) => &["OW", "insert"],
        ("set" | "setex" | "psetex" | "mset" | "msetex" | "vecset", _) => OVERWRITE,
        ("del" | "unlink" | "vecdel" | "vecdrop", _) => &["RM", "delete"],
        ("hdel", _) => &["RW", "delete"],
        ("hsetnx" | "append", _) => &["RW", "insert"],
        ("expire" | "pexpire" | "expireat" | "pexpireat" | "persist" | "setrange" | "hset" | "hmset", _) => {
            &["RW", "update"]
        }
        (name, _) if TOLD_OF.contains(&name) => &["RO"],
        _ if entry.access == DataAccess::Write || matches!(entry.name, "eval" | "evalsha" | "fcall") => READ_AND_UPDATE,
        _ => READ,
    }
}

const READ: &[&str] = &["RO", "access"];
const OVERWRITE: &[&str] = &["OW", "update"];
const READ_AND_UPDATE: &[&str] = &["RW", "access", "update"];

/// Commands that say something of a key and not what it holds.
const TOLD_OF: [&str; 13] = [
    "exists",
    "hexists",
    "hlen",
    "hstrlen",
    "memory|usage",
    "object|encoding",
    "object|freq",
    "object|idletime",
    "object|refcount",
    "strlen",
    "touch",
    "type",
    "watch",
];

/// Commands whose keys stand behind their number, and where that stands.
const COUNTED: [(&str, usize); 7] = [
    ("eval", 2),
    ("eval_ro", 2),
    ("evalsha", 2),
    ("evalsha_ro", 2),
    ("fcall", 2),
    ("fcall_ro", 2),
    ("msetex", 1),
];
