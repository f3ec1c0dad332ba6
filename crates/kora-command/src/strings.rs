//! Syntax of the commands on strings.

use kora_resp::Words;

use crate::action::{Action, Only, StringAction, StringSetting, StringsReply, StringsSetting};
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::lifetime::{Deadline, Lifetime};
use crate::{Command, MultiKeyCommand, VectorOptions};

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
    /// The same, and `ATTR` with a value that is read elsewhere.
    SetVector,
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
        let sets = family != Family::GetExpire;
        let is_timeless = self.lifetime.is_none() && self.deadline.is_none();
        if sets && is("NX") && self.only != Only::IfPresent {
            self.only = Only::IfAbsent;
        } else if sets && is("XX") && self.only != Only::IfAbsent {
            self.only = Only::IfPresent;
        } else if sets && is("GET") {
            self.get = true;
        } else if sets && is("KEEPTTL") && (is_timeless || self.lifetime == Some(Lifetime::Keep)) {
            self.lifetime = Some(Lifetime::Keep);
        } else if family == Family::GetExpire
            && is("PERSIST")
            && (is_timeless || self.lifetime == Some(Lifetime::Forever))
        {
            self.lifetime = Some(Lifetime::Forever);
        } else if family == Family::SetVector && is("ATTR") {
            return (at + 1 < arguments.count()).then_some(2);
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
        false if ms > crate::keys::RELATIVE_MS_MAX => Err(invalid()),
        false => Ok(Deadline::In(ms)),
    }
}

fn on_key(arguments: &Arguments<'_>, action: StringAction) -> Result<Command, ClientError> {
    Ok(Command::OnKey(arguments.key(1)?.into(), Action::String(action)))
}

pub(crate) fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let options = Options::read(arguments, 3, Family::Set)?;
    let setting = StringSetting {
        lifetime: options.lifetime("set")?.unwrap_or(Lifetime::Forever),
        only: options.only,
        get: options.get,
        value: arguments.string(2),
    };
    on_key(arguments, StringAction::Set(setting))
}

/// The options of VECSET.
pub(crate) fn vector_options(arguments: &Arguments<'_>, start: usize) -> Result<VectorOptions, ClientError> {
    let options = Options::read(arguments, start, Family::SetVector)?;
    if options.get {
        return Err(ClientError::Syntax);
    }
    Ok(VectorOptions {
        lifetime: options.lifetime("vecset")?.unwrap_or(Lifetime::Forever),
        only: options.only,
        attributes: None,
    })
}

fn set_expiring(arguments: &Arguments<'_>, in_ms: bool, command: &'static str) -> Result<Command, ClientError> {
    let unit = Unit { in_ms, absolute: false };
    let setting = StringSetting {
        lifetime: Lifetime::Until(deadline(unit, arguments.word(2), command)?),
        only: Only::Always,
        get: false,
        value: arguments.string(3),
    };
    on_key(arguments, StringAction::Set(setting))
}

pub(crate) fn setex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiring(arguments, false, "setex")
}

pub(crate) fn psetex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiring(arguments, true, "psetex")
}

pub(crate) fn getset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let setting = StringSetting {
        lifetime: Lifetime::Forever,
        only: Only::Always,
        get: true,
        value: arguments.string(2),
    };
    on_key(arguments, StringAction::Set(setting))
}

pub(crate) fn setnx(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::SetIfAbsent(arguments.string(2)))
}

pub(crate) fn get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Get)
}

pub(crate) fn getdel(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::GetDelete)
}

pub(crate) fn getex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let options = Options::read(arguments, 2, Family::GetExpire)?;
    let lifetime = options.lifetime("getex");
    on_key(
        arguments,
        StringAction::GetExpire(lifetime.map(|lifetime| lifetime.unwrap_or(Lifetime::Keep))),
    )
}

pub(crate) fn append(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Append(arguments.owned(2)))
}

pub(crate) fn strlen(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Length)
}

pub(crate) fn getrange(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        StringAction::Range(arguments.integer(2)?, arguments.integer(3)?),
    )
}

pub(crate) fn setrange(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let offset = usize::try_from(arguments.integer(2)?).map_err(|_| ClientError::NegativeOffset)?;
    on_key(arguments, StringAction::SetRange(offset, arguments.owned(3)))
}

pub(crate) fn incr(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Add(1))
}

pub(crate) fn decr(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Add(-1))
}

pub(crate) fn incrby(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::Add(arguments.integer(2)?))
}

pub(crate) fn decrby(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let amount = arguments
        .integer(2)?
        .checked_neg()
        .ok_or(ClientError::DecrementOverflow)?;
    on_key(arguments, StringAction::Add(amount))
}

pub(crate) fn incrbyfloat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, StringAction::AddFloat(arguments.owned(2)))
}

pub(crate) fn mget(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::MultiKey(MultiKeyCommand::GetStrings(
        arguments.keys_from(1, 1)?,
    )))
}

pub(crate) fn mset(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_several(pairs(arguments, "mset")?, Only::Always, StringsReply::Ok)
}

pub(crate) fn msetnx(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_several(pairs(arguments, "msetnx")?, Only::IfAbsent, StringsReply::Flag)
}

pub(crate) fn msetex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let count = kora_resp::number::parse_i64(arguments.word(1)).filter(|count| (1..=MSETEX_KEYS_MAX).contains(count));
    let count = count.ok_or(ClientError::Said("ERR invalid numkeys value"))? as usize;
    let options_at = 2 + 2 * count;
    if arguments.count() < options_at {
        return Err(ClientError::Said("ERR wrong number of key-value pairs"));
    }
    let options = Options::read(arguments, options_at, Family::Set)?;
    if options.get {
        return Err(ClientError::Syntax);
    }
    let lifetime = options.lifetime("msetex")?.unwrap_or(Lifetime::Forever);
    let mut words = arguments.keys_between(2, options_at, 2)?;
    let mut pairs = words.empty_part(2 * count);
    pairs.move_from(&mut words, 2 * count);
    Ok(Command::MultiKey(MultiKeyCommand::SetStrings(StringsSetting {
        pairs,
        lifetime,
        only: options.only,
        reply: StringsReply::Flag,
    })))
}

/// Redis takes no larger `numkeys`.
const MSETEX_KEYS_MAX: i64 = i32::MAX as i64;

/// Strings that never expire.
fn set_several(pairs: Words, only: Only, reply: StringsReply) -> Result<Command, ClientError> {
    Ok(Command::MultiKey(MultiKeyCommand::SetStrings(StringsSetting {
        pairs,
        lifetime: Lifetime::Forever,
        only,
        reply,
    })))
}

/// Keys with their values, from the first argument to the last.
fn pairs(arguments: &Arguments<'_>, command: &'static str) -> Result<Words, ClientError> {
    if arguments.count().is_multiple_of(2) {
        return Err(ClientError::UnfitCount { command });
    }
    arguments.keys_from(1, 2)
}
