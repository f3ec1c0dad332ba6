//! Syntax of the commands on strings.

use bytes::Bytes;

use super::action::{Action, Deadline, Lifetime, Only, StringAction, StringSetting};
use super::arguments::Arguments;
use super::syntax::Argument;
use super::table::{Entry, PLAIN};
use super::{Command, SeveralKeys};
use crate::error::ClientError;

/// What stands behind the value of SET, or the key of GETEX.
struct Options<'r> {
    lifetime: Option<Lifetime>,
    /// The option that says when, and its value: looked at when everything is known to be an option.
    deadline: Option<(Unit, &'r [u8])>,
    only: Only,
    get: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Unit {
    in_ms: bool,
    absolute: bool,
}

/// Which options a command has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Set,
    GetExpire,
}

impl<'r> Options<'r> {
    fn read(arguments: &Arguments<'r>, start: usize, family: Family) -> Result<Options<'r>, ClientError> {
        let mut options = Options {
            lifetime: None,
            deadline: None,
            only: Only::Always,
            get: false,
        };
        let mut at = start;
        while at < arguments.count() {
            at += options.read_one(arguments, at, family).ok_or(ClientError::Syntax)?;
        }
        Ok(options)
    }

    /// Reads one option; returns how many words it has. `None` if it is none, or does not go with those before it.
    fn read_one(&mut self, arguments: &Arguments<'r>, at: usize, family: Family) -> Option<usize> {
        let is = |word| arguments.is(at, word);
        let is_timeless = self.lifetime.is_none() && self.deadline.is_none();
        if family == Family::Set && is("NX") && self.only != Only::IfPresent {
            self.only = Only::IfAbsent;
        } else if family == Family::Set && is("XX") && self.only != Only::IfAbsent {
            self.only = Only::IfPresent;
        } else if family == Family::Set && is("GET") {
            self.get = true;
        } else if family == Family::Set && is("KEEPTTL") && (is_timeless || self.lifetime == Some(Lifetime::Keep)) {
            self.lifetime = Some(Lifetime::Keep);
        } else if family == Family::GetExpire
            && is("PERSIST")
            && (is_timeless || self.lifetime == Some(Lifetime::Forever))
        {
            self.lifetime = Some(Lifetime::Forever);
        } else {
            let unit = unit_of(arguments, at)?;
            // Said twice in one unit, the last one counts.
            let fits = is_timeless || self.deadline.is_some_and(|(before, _)| before == unit);
            if !fits || at + 1 == arguments.count() {
                return None;
            }
            self.deadline = Some((unit, arguments.word(at + 1)));
            return Some(2);
        }
        Some(1)
    }

    fn lifetime(&self, command: &'static str) -> Result<Option<Lifetime>, ClientError> {
        match self.deadline {
            None => Ok(self.lifetime),
            Some((unit, text)) => deadline(unit, text, command).map(|deadline| Some(Lifetime::Until(deadline))),
        }
    }
}

fn unit_of(arguments: &Arguments<'_>, at: usize) -> Option<Unit> {
    let units = [
        ("EX", false, false),
        ("PX", true, false),
        ("EXAT", false, true),
        ("PXAT", true, true),
    ];
    let found = units.into_iter().find(|(word, ..)| arguments.is(at, word));
    found.map(|(_, in_ms, absolute)| Unit { in_ms, absolute })
}

/// A time from now on, in Redis's bounds: above zero, and far enough from the end of all time that now can be added.
fn deadline(unit: Unit, text: &[u8], command: &'static str) -> Result<Deadline, ClientError> {
    let number = kora_resp::number::parse_i64(text).ok_or(ClientError::NotInteger)?;
    let invalid = || ClientError::InvalidExpiry { command };
    let ms = match unit.in_ms {
        true => Some(number),
        false => number.checked_mul(1000),
    };
    let ms = ms.filter(|_| number > 0).ok_or_else(invalid)?;
    match unit.absolute {
        true => Ok(Deadline::At(ms)),
        false if ms > super::keys::RELATIVE_MS_MAX => Err(invalid()),
        false => Ok(Deadline::In(ms)),
    }
}

fn on_key(arguments: &Arguments<'_>, action: StringAction) -> Result<Command, ClientError> {
    Ok(Command::OnKey(arguments.key(1)?, Action::String(action)))
}

fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let options = Options::read(arguments, 3, Family::Set)?;
    let setting = StringSetting {
        lifetime: options.lifetime("set")?.unwrap_or(Lifetime::Forever),
        only: options.only,
        get: options.get,
        value: arguments.owned(2),
    };
    on_key(arguments, StringAction::Set(setting))
}

fn set_expiring(arguments: &Arguments<'_>, in_ms: bool, command: &'static str) -> Result<Command, ClientError> {
    let unit = Unit { in_ms, absolute: false };
    let setting = StringSetting {
        lifetime: Lifetime::Until(deadline(unit, arguments.word(2), command)?),
        only: Only::Always,
        get: false,
        value: arguments.owned(3),
    };
    on_key(arguments, StringAction::Set(setting))
}

fn setex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiring(arguments, false, "setex")
}

fn psetex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiring(arguments, true, "psetex")
}

fn getset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let setting = StringSetting {
        lifetime: Lifetime::Forever,
        only: Only::Always,
        get: true,
        value: arguments.owned(2),
    };
    on_key(arguments, StringAction::Set(setting))
}

fn setnx(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::SetIfAbsent(arguments.owned(2)))
}

fn get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Get)
}

fn getdel(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::GetDelete)
}

fn getex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let options = Options::read(arguments, 2, Family::GetExpire)?;
    let lifetime = options.lifetime("getex");
    on_key(
        arguments,
        StringAction::GetExpire(lifetime.map(|lifetime| lifetime.unwrap_or(Lifetime::Keep))),
    )
}

fn append(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Append(arguments.owned(2)))
}

fn strlen(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Length)
}

fn getrange(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        StringAction::Range(arguments.integer(2)?, arguments.integer(3)?),
    )
}

fn setrange(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let offset = usize::try_from(arguments.integer(2)?).map_err(|_| ClientError::NegativeOffset)?;
    on_key(arguments, StringAction::SetRange(offset, arguments.owned(3)))
}

fn incr(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Add(1))
}

fn decr(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Add(-1))
}

fn incrby(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Add(arguments.integer(2)?))
}

fn decrby(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let amount = arguments
        .integer(2)?
        .checked_neg()
        .ok_or(ClientError::DecrementOverflow)?;
    on_key(arguments, StringAction::Add(amount))
}

fn incrbyfloat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::AddFloat(arguments.owned(2)))
}

fn mget(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Several(SeveralKeys::GetStrings(arguments.keys_from(1)?)))
}

fn mset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Several(SeveralKeys::SetStrings(pairs(arguments, "mset")?)))
}

fn msetnx(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Several(SeveralKeys::SetStringsIfAbsent(pairs(
        arguments, "msetnx",
    )?)))
}

/// Keys with their values, from the first argument to the last.
fn pairs(arguments: &Arguments<'_>, command: &'static str) -> Result<Vec<(Bytes, Bytes)>, ClientError> {
    if arguments.count().is_multiple_of(2) {
        return Err(ClientError::UnfitCount { command });
    }
    (1..arguments.count())
        .step_by(2)
        .map(|index| Ok((arguments.key(index)?, arguments.owned(index + 1))))
        .collect()
}

/// The commands of this family.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "append",
        reply: "The length of the string behind it.",
        arity: 3,
        summary: "Appends to a string, and creates it if there is none.",
        arguments: KEY_VALUE,
        parse: append,
        ..WRITE
    },
    Entry {
        name: "decr",
        reply: "The number behind it.",
        arity: 2,
        summary: "Takes one from the number that a key holds.",
        arguments: KEY,
        parse: decr,
        ..WRITE
    },
    Entry {
        name: "decrby",
        reply: "The number behind it.",
        arity: 3,
        summary: "Subtracts from the number that a key holds.",
        arguments: &[Argument::key("key"), Argument::integer("decrement")],
        parse: decrby,
        ..WRITE
    },
    Entry {
        name: "get",
        reply: "The string, or null if there is none.",
        arity: 2,
        summary: "Returns the string that a key holds.",
        arguments: KEY,
        parse: get,
        ..READ
    },
    Entry {
        name: "getdel",
        reply: "The string, or null if there is none.",
        arity: 2,
        summary: "Returns the string that a key holds and deletes the key.",
        arguments: KEY,
        parse: getdel,
        ..WRITE
    },
    Entry {
        name: "getex",
        reply: "The string, or null if there is none.",
        arity: -2,
        summary: "Returns the string that a key holds and sets or removes its expiry.",
        arguments: &[
            Argument::key("key"),
            Argument::one_of("expiration", GETEX_TIMES).optional(),
        ],
        parse: getex,
        ..WRITE
    },
    Entry {
        name: "getrange",
        reply: "The part of the string.",
        arity: 4,
        flags: &["readonly"],
        summary: "Returns a part of the string that a key holds; negative places count from its end.",
        arguments: RANGE,
        parse: getrange,
        ..READ
    },
    Entry {
        name: "getset",
        reply: "The string before, or null if there was none.",
        arity: 3,
        summary: "Sets a string and returns the one before.",
        arguments: KEY_VALUE,
        parse: getset,
        ..WRITE
    },
    Entry {
        name: "incr",
        reply: "The number behind it.",
        arity: 2,
        summary: "Adds one to the number that a key holds.",
        arguments: KEY,
        parse: incr,
        ..WRITE
    },
    Entry {
        name: "incrby",
        reply: "The number behind it.",
        arity: 3,
        summary: "Adds to the number that a key holds.",
        arguments: &[Argument::key("key"), Argument::integer("increment")],
        parse: incrby,
        ..WRITE
    },
    Entry {
        name: "incrbyfloat",
        reply: "The number behind it, as text.",
        arity: 3,
        summary: "Adds to the number with a fraction that a key holds.",
        arguments: &[Argument::key("key"), Argument::double("increment")],
        parse: incrbyfloat,
        ..WRITE
    },
    Entry {
        name: "mget",
        reply: "An array of strings, null where there is none.",
        notes: "Keys on several shards are read one shard after the other, so a write may fall in between.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Returns the strings that keys hold.",
        arguments: &[Argument::key("key").multiple()],
        parse: mget,
        ..READ
    },
    Entry {
        name: "mset",
        reply: "`OK`.",
        notes: "Keys on several shards are set one shard after the other, so a reader may see some of them set and others not; keys with one hash tag are set at once.",
        arity: -3,
        flags: &["write", "denyoom"],
        keys: (1, -1, 2),
        summary: "Sets several strings.",
        arguments: PAIRS,
        parse: mset,
        ..WRITE
    },
    Entry {
        name: "msetnx",
        reply: "1 if all were set, 0 if none was.",
        notes: "All or none, but over several shards not at once: one of the keys may come to be between the look at all of them and the setting. Inside MULTI all must have one slot, or the answer is `CROSSSLOT`.",
        arity: -3,
        flags: &["write", "denyoom"],
        keys: (1, -1, 2),
        summary: "Sets several strings if none of the keys exists.",
        arguments: PAIRS,
        parse: msetnx,
        ..WRITE
    },
    Entry {
        name: "psetex",
        reply: "`OK`.",
        arity: 4,
        flags: &["write", "denyoom"],
        summary: "Sets a string that expires after some milliseconds.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("milliseconds"),
            Argument::string("value"),
        ],
        parse: psetex,
        ..WRITE
    },
    Entry {
        name: "set",
        reply: "`OK`, or null if NX or XX forbade it; with GET the string before, or null.",
        notes: "It replaces a value of any type. Only the name of a collection is refused: that would drop all its vectors.",
        arity: -3,
        flags: &["write", "denyoom"],
        summary: "Sets a string.",
        arguments: SET,
        parse: set,
        ..WRITE
    },
    Entry {
        name: "setex",
        reply: "`OK`.",
        arity: 4,
        flags: &["write", "denyoom"],
        summary: "Sets a string that expires after some seconds.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("seconds"),
            Argument::string("value"),
        ],
        parse: setex,
        ..WRITE
    },
    Entry {
        name: "setnx",
        reply: "1 if it was set, else 0.",
        arity: 3,
        summary: "Sets a string if the key does not exist.",
        arguments: KEY_VALUE,
        parse: setnx,
        ..WRITE
    },
    Entry {
        name: "setrange",
        reply: "The length of the string behind it.",
        arity: 4,
        flags: &["write", "denyoom"],
        summary: "Overwrites a part of the string that a key holds, with zero bytes before it where there was nothing.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("offset"),
            Argument::string("value"),
        ],
        parse: setrange,
        ..WRITE
    },
    Entry {
        name: "strlen",
        reply: "The length in bytes, 0 if there is none.",
        arity: 2,
        summary: "Returns the length of the string that a key holds.",
        arguments: KEY,
        parse: strlen,
        ..READ
    },
    Entry {
        name: "substr",
        reply: "The part of the string.",
        arity: 4,
        flags: &["readonly"],
        summary: "Does what GETRANGE does.",
        arguments: RANGE,
        parse: getrange,
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
pub(super) const SET_TIMES: &[Argument] = &[
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

const READ: Entry = Entry {
    group: "string",
    flags: &["readonly", "fast"],
    keys: (1, 1, 1),
    ..PLAIN
};

const WRITE: Entry = Entry {
    group: "string",
    flags: &["write", "denyoom", "fast"],
    keys: (1, 1, 1),
    ..PLAIN
};
