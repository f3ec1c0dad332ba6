//! The commands on deadlines of a hash's fields: what they ask of a key's shard, their syntax, their rows in the table.

use kora_resp::Words;
use kora_values::NEVER_MS;

use crate::Command;
use crate::action::{Action, ExpireOnly, LifetimeForm, Only};
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::hashes::{HashAction, READ, WRITE, counted_fields};
use crate::lifetime::Deadline;
use crate::row::CommandEntry;
use crate::syntax::{Argument, CONDITION};

/// What is to be done about the deadlines of fields. What is an error is one only where there is no value of another type.
#[derive(Debug)]
pub enum FieldDeadlineAction {
    /// `HEXPIRE` and its family
    Set(Result<FieldsDeadline, ClientError>),
    /// `HPERSIST`
    Remove(Result<Words, ClientError>),
    /// `HTTL`, `HPTTL`, `HEXPIRETIME`, `HPEXPIRETIME`
    Tell(Result<Words, ClientError>, LifetimeForm),
    /// `HGETEX`
    GetFields(Result<FieldsWanted, ClientError>),
    /// `HSETEX`
    SetFields(FieldsSetting),
}

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field …]`
#[derive(Debug)]
pub struct FieldsDeadline {
    /// When the fields are to be due; they go at once if that is past.
    pub time: FieldTime,
    /// On which condition.
    pub only: ExpireOnly,
    /// Which fields.
    pub fields: Words,
}

/// `HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS numfields field [field …]`
#[derive(Debug)]
pub struct FieldsWanted {
    /// Which fields.
    pub fields: Words,
    /// What becomes of their deadlines.
    pub lifetime: FieldLifetime,
}

/// `HSETEX key [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS numfields field value [field value …]`
#[derive(Debug)]
pub struct FieldsSetting {
    /// Fields and values in turn.
    pub pairs: Words,
    /// What becomes of their deadlines.
    pub lifetime: FieldLifetime,
    /// The condition, which every field must meet before the first is set.
    pub only: Only,
}

/// What a command does to the deadline of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldLifetime {
    /// The field has none then.
    Forever,
    /// It stays.
    Keep,
    /// The field is due then.
    Until(FieldTime),
}

/// A time at which fields are to be due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldTime {
    deadline: Deadline,
    /// The command, for its error.
    command: &'static str,
}

impl FieldTime {
    /// In milliseconds of Unix time.
    ///
    /// # Errors
    /// If it is too far away.
    pub fn at_ms(self, now_ms: u64) -> Result<u64, ClientError> {
        let at_ms = self.deadline.at_ms(now_ms);
        let command = self.command;
        match at_ms <= DEADLINE_MS_MAX as u64 {
            true => Ok(at_ms),
            false => Err(ClientError::InvalidExpiry { command }),
        }
    }
}

impl FieldLifetime {
    /// When the field is due, in milliseconds of Unix time, [`NEVER_MS`] if it has no deadline; none if that stays as it is.
    ///
    /// # Errors
    /// If it is too far away.
    pub fn at_ms(self, now_ms: u64) -> Result<Option<u64>, ClientError> {
        match self {
            FieldLifetime::Forever => Ok(Some(NEVER_MS)),
            FieldLifetime::Keep => Ok(None),
            FieldLifetime::Until(time) => time.at_ms(now_ms).map(Some),
        }
    }
}

impl FieldDeadlineAction {
    /// True of commands that read only.
    pub(crate) fn changes_nothing(&self) -> bool {
        matches!(self, FieldDeadlineAction::Tell(..))
    }

    /// Memory that it holds beside its own.
    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            FieldDeadlineAction::Set(Ok(FieldsDeadline { fields: words, .. }))
            | FieldDeadlineAction::GetFields(Ok(FieldsWanted { fields: words, .. }))
            | FieldDeadlineAction::SetFields(FieldsSetting { pairs: words, .. })
            | FieldDeadlineAction::Remove(Ok(words))
            | FieldDeadlineAction::Tell(Ok(words), _) => words.bytes_held(),
            _ => 0,
        }
    }
}

fn on_key(arguments: &Arguments<'_>, action: FieldDeadlineAction) -> Result<Command, ClientError> {
    let action = Action::Hash(HashAction::Deadlines(Box::new(action)));
    Ok(Command::OnKey(arguments.key(1)?.into(), action))
}

fn hexpire(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        FieldDeadlineAction::Set(expire(arguments, 1000, false, "hexpire")),
    )
}

fn hpexpire(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        FieldDeadlineAction::Set(expire(arguments, 1, false, "hpexpire")),
    )
}

fn hexpireat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        FieldDeadlineAction::Set(expire(arguments, 1000, true, "hexpireat")),
    )
}

fn hpexpireat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(
        arguments,
        FieldDeadlineAction::Set(expire(arguments, 1, true, "hpexpireat")),
    )
}

fn expire(
    arguments: &Arguments<'_>,
    unit_ms: i64,
    absolute: bool,
    command: &'static str,
) -> Result<FieldsDeadline, ClientError> {
    let time = time(arguments, 2, (unit_ms, absolute), command)?;
    let mut only = ExpireOnly::default();
    let words = [
        ("NX", &mut only.if_none),
        ("XX", &mut only.if_some),
        ("GT", &mut only.if_later),
        ("LT", &mut only.if_earlier),
    ];
    let mut fields_at = 3;
    if let Some((_, flag)) = words.into_iter().find(|(word, _)| arguments.is(3, word)) {
        *flag = true;
        fields_at = 4;
    }
    let fields = counted_fields(
        arguments,
        fields_at,
        "ERR Parameter `numFields` should be greater than 0",
    )?;
    Ok(FieldsDeadline { time, only, fields })
}

/// A time at `index`, in units of so many milliseconds, from now on or of Unix time.
fn time(
    arguments: &Arguments<'_>,
    index: usize,
    (unit_ms, absolute): (i64, bool),
    command: &'static str,
) -> Result<FieldTime, ClientError> {
    let number = arguments.integer(index)?;
    if number < 0 {
        return Err(ClientError::Said("ERR invalid expire time, must be >= 0"));
    }
    if number > DEADLINE_MS_MAX / unit_ms {
        return Err(ClientError::InvalidExpiry { command });
    }
    let ms = number * unit_ms;
    let deadline = if absolute { Deadline::At(ms) } else { Deadline::In(ms) };
    Ok(FieldTime { deadline, command })
}

fn hpersist(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, FieldDeadlineAction::Remove(positive_fields(arguments, 2)))
}

fn httl(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    tell(arguments, false, false)
}

fn hpttl(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    tell(arguments, true, false)
}

fn hexpiretime(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    tell(arguments, false, true)
}

fn hpexpiretime(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    tell(arguments, true, true)
}

fn tell(arguments: &Arguments<'_>, in_ms: bool, absolute: bool) -> Result<Command, ClientError> {
    let form = LifetimeForm { in_ms, absolute };
    on_key(
        arguments,
        FieldDeadlineAction::Tell(positive_fields(arguments, 2), form),
    )
}

fn positive_fields(arguments: &Arguments<'_>, at: usize) -> Result<Words, ClientError> {
    counted_fields(arguments, at, "ERR Number of fields must be a positive integer")
}

fn hgetex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, FieldDeadlineAction::GetFields(fields_wanted(arguments)))
}

fn fields_wanted(arguments: &Arguments<'_>) -> Result<FieldsWanted, ClientError> {
    let (lifetime, fields_at) = match unit(arguments, 2) {
        Some(unit) => (FieldLifetime::Until(time(arguments, 3, unit, "hgetex")?), 4),
        None if arguments.is(2, "PERSIST") => (FieldLifetime::Forever, 3),
        None => (FieldLifetime::Keep, 2),
    };
    let fields = positive_fields(arguments, fields_at)?;
    Ok(FieldsWanted { fields, lifetime })
}

/// The unit of a time in milliseconds, and whether it is of Unix time, as the word at `index` says it.
fn unit(arguments: &Arguments<'_>, index: usize) -> Option<(i64, bool)> {
    let units = [
        ("EX", (1000, false)),
        ("PX", (1, false)),
        ("EXAT", (1000, true)),
        ("PXAT", (1, true)),
    ];
    let found = units.into_iter().find(|(word, _)| arguments.is(index, word));
    found.map(|(_, unit)| unit)
}

fn hsetex(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let unfit = || ClientError::UnfitCount { command: "hsetex" };
    let (mut lifetime, mut only, mut at) = (None, Only::Always, 2);
    while !arguments.is(at, "FIELDS") {
        if at >= arguments.count() {
            return Err(unfit());
        }
        let unit = unit(arguments, at);
        let keeps = arguments.is(at, "KEEPTTL");
        if (unit.is_some() || keeps) && lifetime.is_some() {
            return Err(ClientError::Said(
                "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
            ));
        }
        if let Some(unit) = unit {
            at += 1;
            if at == arguments.count() {
                return Err(ClientError::Said("ERR missing expire time"));
            }
            lifetime = Some(FieldLifetime::Until(time(arguments, at, unit, "hsetex")?));
        } else if keeps {
            lifetime = Some(FieldLifetime::Keep);
        } else {
            only = condition(arguments, at, only)?;
        }
        at += 1;
    }
    let pair_words = arguments.count() - at - 1;
    if pair_words < 3 {
        return Err(unfit());
    }
    let count = kora_resp::number::parse_i64(arguments.word(at + 1));
    let count = count.filter(|count| (1..=FIELDS_MAX).contains(count));
    let count = count.ok_or(ClientError::Said("ERR invalid number of fields"))?;
    if 2 * count != pair_words as i64 - 1 {
        return Err(unfit());
    }
    let setting = FieldsSetting {
        pairs: arguments.fields_from(at + 2, 2)?,
        lifetime: lifetime.unwrap_or(FieldLifetime::Forever),
        only,
    };
    on_key(arguments, FieldDeadlineAction::SetFields(setting))
}

/// FNX or FXX, behind this condition.
fn condition(arguments: &Arguments<'_>, at: usize, before: Only) -> Result<Only, ClientError> {
    let only = match (arguments.is(at, "FNX"), arguments.is(at, "FXX")) {
        (true, _) => Only::IfAbsent,
        (_, true) => Only::IfPresent,
        _ => {
            return Err(ClientError::UnknownArgument {
                argument: arguments.word(at).to_vec(),
            });
        }
    };
    match before {
        Only::Always => Ok(only),
        _ => Err(ClientError::Said(
            "ERR Only one of FXX or FNX arguments can be specified",
        )),
    }
}

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "hexpire",
        reply: SET_REPLY,
        arity: -6,
        adds_memory: false,
        summary: "Sets in how many seconds fields of a hash expire.",
        arguments: &[Argument::key("key"), Argument::integer("seconds"), CONDITION, COUNTED],
        parse: hexpire,
        ..WRITE
    },
    CommandEntry {
        name: "hexpireat",
        reply: SET_REPLY,
        arity: -6,
        adds_memory: false,
        summary: "Sets when fields of a hash expire, in seconds of Unix time.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("unix-time-seconds"),
            CONDITION,
            COUNTED,
        ],
        parse: hexpireat,
        ..WRITE
    },
    CommandEntry {
        name: "hexpiretime",
        reply: "An array: when each field expires, in seconds of Unix time; -1 if it does not, -2 if there is none.",
        arity: -5,
        summary: "Returns when fields of a hash expire, in seconds of Unix time.",
        arguments: KEY_COUNTED,
        parse: hexpiretime,
        ..READ
    },
    CommandEntry {
        name: "hgetex",
        reply: "An array of values, null where there is no such field.",
        notes: "A time that is past removes the fields, and a hash without fields.",
        arity: -5,
        adds_memory: false,
        summary: "Returns the values of fields and sets or removes when they expire.",
        arguments: &[
            Argument::key("key"),
            Argument::one_of("expiration", GET_TIMES).optional(),
            COUNTED,
        ],
        parse: hgetex,
        ..WRITE
    },
    CommandEntry {
        name: "hpersist",
        reply: "An array: 1 for each field that would have expired, -1 if it would not, -2 if there is none.",
        arity: -5,
        adds_memory: false,
        summary: "Lets fields of a hash stay that would have expired.",
        arguments: KEY_COUNTED,
        parse: hpersist,
        ..WRITE
    },
    CommandEntry {
        name: "hpexpire",
        reply: SET_REPLY,
        arity: -6,
        adds_memory: false,
        summary: "Sets in how many milliseconds fields of a hash expire.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("milliseconds"),
            CONDITION,
            COUNTED,
        ],
        parse: hpexpire,
        ..WRITE
    },
    CommandEntry {
        name: "hpexpireat",
        reply: SET_REPLY,
        arity: -6,
        adds_memory: false,
        summary: "Sets when fields of a hash expire, in milliseconds of Unix time.",
        arguments: &[
            Argument::key("key"),
            Argument::integer("unix-time-milliseconds"),
            CONDITION,
            COUNTED,
        ],
        parse: hpexpireat,
        ..WRITE
    },
    CommandEntry {
        name: "hpexpiretime",
        reply: "An array: when each field expires, in milliseconds of Unix time; -1 if it does not, -2 if there is none.",
        arity: -5,
        summary: "Returns when fields of a hash expire, in milliseconds of Unix time.",
        arguments: KEY_COUNTED,
        parse: hpexpiretime,
        ..READ
    },
    CommandEntry {
        name: "hpttl",
        reply: "An array: what each field has left, in milliseconds; -1 if it does not expire, -2 if there is none.",
        arity: -5,
        summary: "Returns in how many milliseconds fields of a hash expire.",
        arguments: KEY_COUNTED,
        parse: hpttl,
        ..READ
    },
    CommandEntry {
        name: "hsetex",
        reply: "1 if the fields were set, 0 if FNX or FXX forbids it.",
        notes: "FNX sets them if none of them is there, FXX if all are. Without EX and its like and without KEEPTTL they do not \
                expire. A time that is past removes them.",
        arity: -6,
        summary: "Sets fields of a hash and when they expire.",
        arguments: &[
            Argument::key("key"),
            Argument::one_of(
                "condition",
                &[Argument::word("fnx", "FNX"), Argument::word("fxx", "FXX")],
            )
            .optional(),
            Argument::one_of("expiration", SET_TIMES).optional(),
            Argument::block("fields", &[Argument::integer("numfields"), PAIRS]).after("FIELDS"),
        ],
        parse: hsetex,
        ..WRITE
    },
    CommandEntry {
        name: "httl",
        reply: "An array: what each field has left, in seconds, rounded up; -1 if it does not expire, -2 if there is none.",
        arity: -5,
        summary: "Returns in how many seconds fields of a hash expire.",
        arguments: KEY_COUNTED,
        parse: httl,
        ..READ
    },
];

const SET_REPLY: &str = "An array: 1 for each field whose time was set, 2 if it was removed because that is past, 0 if the \
                         condition was not met, -2 if there is no such field.";

const KEY_COUNTED: &[Argument] = &[Argument::key("key"), COUNTED];

const COUNTED: Argument = Argument::block(
    "fields",
    &[Argument::integer("numfields"), Argument::string("field").multiple()],
)
.after("FIELDS");

const PAIRS: Argument = Argument::block("data", &[Argument::string("field"), Argument::string("value")]).multiple();

const SECONDS: Argument = Argument::integer("seconds").after("EX");
const MILLISECONDS: Argument = Argument::integer("milliseconds").after("PX");
const UNIX_SECONDS: Argument = Argument::integer("unix-time-seconds").after("EXAT");
const UNIX_MILLISECONDS: Argument = Argument::integer("unix-time-milliseconds").after("PXAT");

const GET_TIMES: &[Argument] = &[
    SECONDS,
    MILLISECONDS,
    UNIX_SECONDS,
    UNIX_MILLISECONDS,
    Argument::word("persist", "PERSIST"),
];

const SET_TIMES: &[Argument] = &[
    SECONDS,
    MILLISECONDS,
    UNIX_SECONDS,
    UNIX_MILLISECONDS,
    Argument::word("keepttl", "KEEPTTL"),
];

/// The latest deadline of a field, in milliseconds of Unix time: Redis 8.2 keeps 48 bits of one and takes a quarter of that.
const DEADLINE_MS_MAX: i64 = (1 << 46) - 1;

/// Redis takes no larger `numfields` in HSETEX.
const FIELDS_MAX: i64 = i32::MAX as i64;
