//! Syntax of the commands on keys of any type.

use bytes::Bytes;
use kora_resp::glob::{Case, Pattern};
use kora_resp::limits::PATTERN_BYTES_MAX;
use kora_resp::number;
use kora_values::Database;

use crate::action::{Action, ExpireOnly, KeyAction, LifetimeForm};
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::lifetime::Deadline;
use crate::{Command, MemoryRequest, MultiKeyCommand, Transfer, TransferKind};

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
#[derive(Debug)]
pub struct ScanRequest {
    /// Where to go on: a number that an earlier SCAN answered, or 0.
    pub cursor: u64,
    /// How many keys to look at; at least 1.
    pub count: usize,
    /// Which of them to return.
    pub filter: ScanFilter,
}

/// Which keys a SCAN returns; what is not given excludes none.
#[derive(Default, Debug)]
pub struct ScanFilter {
    /// Those that match this glob pattern.
    pub pattern: Option<Pattern>,
    /// Those of this type.
    pub type_name: Option<Bytes>,
    /// Those of this database.
    pub database: Database,
}

impl ScanFilter {
    /// True if the pattern admits this key.
    pub fn matches(&self, key: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(key))
    }

    /// How much work that is, a key of usual length without a pattern being one.
    pub fn work(&self, key: &[u8]) -> usize {
        let steps = self.pattern.as_ref().map_or(0, |pattern| pattern.steps(key.len()));
        1 + steps / STEPS_PER_WORK
    }

    /// True if keys of the type with this name are wanted.
    pub fn wants(&self, type_name: &str) -> bool {
        let name = self.type_name.as_ref();
        name.is_none_or(|name| name.eq_ignore_ascii_case(type_name.as_bytes()))
    }
}

/// `SCAN cursor …`
pub(crate) fn scan(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let cursor = cursor(arguments, 1)?;
    let mut count = SCAN_COUNT;
    let mut filter = ScanFilter::default();
    for option in (2..arguments.count()).step_by(2) {
        let value = option + 1;
        if arguments.is(option, "NOVALUES") {
            return Err(ClientError::ScanNoValues);
        }
        if value == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.is(option, "COUNT") {
            count = scan_count(arguments, value)?;
        } else if arguments.is(option, "MATCH") {
            filter.pattern = pattern(arguments, value)?;
        } else if arguments.is(option, "TYPE") {
            // As much of it as tells it from every type there is.
            let word = arguments.word(value);
            filter.type_name = Some(Bytes::copy_from_slice(&word[..word.len().min(TYPE_NAME_BYTES_KEPT)]));
        } else {
            return Err(ClientError::Syntax);
        }
    }
    Ok(Command::Scan(Box::new(ScanRequest { cursor, count, filter })))
}

/// A cursor: a number, or what else C's `strtoull` takes for one, as Redis does: with spaces before it, a sign, leading zeros.
pub(crate) fn cursor(arguments: &Arguments<'_>, index: usize) -> Result<u64, ClientError> {
    let word = arguments.word(index);
    if let Some(number) = number::parse_i64(word) {
        return u64::try_from(number).map_err(|_| ClientError::InvalidCursor);
    }
    let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = text.trim_ascii_start();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let significant = &digits[zeros..];
    let number = match (digits.is_empty(), significant.is_empty()) {
        (true, _) => None,
        (_, true) => Some(0),
        _ => number::parse_u64(significant),
    };
    let number = number.ok_or(ClientError::InvalidCursor)?;
    Ok(if is_negative { number.wrapping_neg() } else { number })
}

/// COUNT of SCAN and HSCAN.
pub(crate) fn scan_count(arguments: &Arguments<'_>, index: usize) -> Result<usize, ClientError> {
    let count = usize::try_from(arguments.integer(index)?).ok();
    count.filter(|count| *count > 0).ok_or(ClientError::Syntax)
}

/// A glob pattern; none if it is one that matches everything.
pub(crate) fn pattern(arguments: &Arguments<'_>, index: usize) -> Result<Option<Pattern>, ClientError> {
    let pattern = arguments.word(index);
    if pattern.len() > PATTERN_BYTES_MAX {
        let (bytes, max) = (pattern.len(), PATTERN_BYTES_MAX);
        return Err(ClientError::PatternTooLong { bytes, max });
    }
    Ok((pattern != b"*").then(|| Pattern::new(pattern, Case::Sensitive)))
}

fn on_key(arguments: &Arguments<'_>, key: usize, action: KeyAction) -> Result<Command, ClientError> {
    Ok(Command::OnKey(arguments.key(key)?.into(), Action::Key(action)))
}

pub(crate) fn type_of(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, 1, KeyAction::Type)
}

pub(crate) fn del(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        2 => on_key(arguments, 1, KeyAction::Delete),
        _ => Ok(Command::MultiKey(MultiKeyCommand::Delete(arguments.keys_from(1, 1)?))),
    }
}

pub(crate) fn exists(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        2 => on_key(arguments, 1, KeyAction::Exists),
        _ => Ok(Command::MultiKey(MultiKeyCommand::Exist(arguments.keys_from(1, 1)?))),
    }
}

pub(crate) fn touch(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        2 => on_key(arguments, 1, KeyAction::Touch),
        _ => Ok(Command::MultiKey(MultiKeyCommand::Touch(arguments.keys_from(1, 1)?))),
    }
}

pub(crate) fn expire(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiry(arguments, "expire", 1000, false)
}

pub(crate) fn expireat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiry(arguments, "expireat", 1000, true)
}

pub(crate) fn pexpire(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiry(arguments, "pexpire", 1, false)
}

pub(crate) fn pexpireat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    set_expiry(arguments, "pexpireat", 1, true)
}

fn set_expiry(
    arguments: &Arguments<'_>,
    command: &'static str,
    unit_ms: i64,
    absolute: bool,
) -> Result<Command, ClientError> {
    let only = expire_only(arguments)?;
    let invalid = || ClientError::InvalidExpiry { command };
    let ms = arguments.integer(2)?.checked_mul(unit_ms).ok_or_else(invalid)?;
    let deadline = match absolute {
        true => Deadline::At(ms),
        false if ms > RELATIVE_MS_MAX => return Err(invalid()),
        false => Deadline::In(ms),
    };
    on_key(arguments, 1, KeyAction::Expire(deadline, only))
}

/// `[NX | XX | GT | LT]`
fn expire_only(arguments: &Arguments<'_>) -> Result<ExpireOnly, ClientError> {
    let mut only = ExpireOnly::default();
    for index in 3..arguments.count() {
        let words = [
            ("NX", &mut only.if_none),
            ("XX", &mut only.if_some),
            ("GT", &mut only.if_later),
            ("LT", &mut only.if_earlier),
        ];
        let found = words.into_iter().find(|(word, _)| arguments.is(index, word));
        let (_, flag) = found.ok_or_else(|| ClientError::UnsupportedOption {
            option: arguments.word(index).to_vec(),
        })?;
        *flag = true;
    }
    match only {
        ExpireOnly {
            if_none: true,
            if_some,
            if_later,
            if_earlier,
        } if if_some || if_later || if_earlier => Err(ClientError::ExpireNotCompatible),
        ExpireOnly {
            if_later: true,
            if_earlier: true,
            ..
        } => Err(ClientError::ExpireGreaterAndLess),
        only => Ok(only),
    }
}

pub(crate) fn ttl(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    lifetime(arguments, false, false)
}

pub(crate) fn pttl(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    lifetime(arguments, true, false)
}

pub(crate) fn expiretime(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    lifetime(arguments, false, true)
}

pub(crate) fn pexpiretime(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    lifetime(arguments, true, true)
}

fn lifetime(arguments: &Arguments<'_>, in_ms: bool, absolute: bool) -> Result<Command, ClientError> {
    on_key(arguments, 1, KeyAction::Lifetime(LifetimeForm { in_ms, absolute }))
}

pub(crate) fn persist(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, 1, KeyAction::Persist)
}

pub(crate) fn rename(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    transfer(arguments, TransferKind::Rename)
}

pub(crate) fn renamenx(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    transfer(arguments, TransferKind::RenameIfAbsent)
}

fn transfer(arguments: &Arguments<'_>, kind: TransferKind) -> Result<Command, ClientError> {
    transfer_to(arguments, 2, None, kind)
}

fn transfer_to(
    arguments: &Arguments<'_>,
    to: usize,
    to_database: Option<Database>,
    kind: TransferKind,
) -> Result<Command, ClientError> {
    Ok(Command::Transfer(Box::new(Transfer {
        from: Bytes::copy_from_slice(arguments.key(1)?),
        to: Bytes::copy_from_slice(arguments.key(to)?),
        to_database,
        kind,
    })))
}

/// `MOVE key db`
pub(crate) fn move_key(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let database = database(arguments, 2)?.ok_or(ClientError::DatabaseIndex)?;
    transfer_to(arguments, 1, Some(database), TransferKind::Move)
}

/// The database of a number; none if there is no such database in any server.
pub(crate) fn database(arguments: &Arguments<'_>, index: usize) -> Result<Option<Database>, ClientError> {
    let out_of_range = |_| ClientError::OutOfRangeBetween {
        least: i32::MIN.into(),
        most: i32::MAX.into(),
    };
    let number = i32::try_from(arguments.integer(index)?).map_err(out_of_range)?;
    Ok(usize::try_from(number).ok().and_then(Database::new))
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(crate) fn copy(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut kind = TransferKind::CopyIfAbsent;
    let mut to_database = None;
    let mut at = 3;
    while at < arguments.count() {
        if arguments.is(at, "REPLACE") {
            kind = TransferKind::Copy;
            at += 1;
        } else if arguments.is(at, "DB") && at + 1 < arguments.count() {
            to_database = Some(database(arguments, at + 1)?);
            at += 2;
        } else {
            return Err(ClientError::Syntax);
        }
    }
    let to_database = to_database
        .map(|there| there.ok_or(ClientError::DatabaseIndex))
        .transpose()?;
    if to_database.is_none() && arguments.word(1) == arguments.word(2) {
        return Err(ClientError::SameObject);
    }
    transfer_to(arguments, 2, to_database, kind)
}

pub(crate) fn random_key(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::RandomKey(Database::ZERO))
}

pub(crate) fn keys(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Keys(pattern(arguments, 1)?, Database::ZERO))
}

pub(crate) fn object_encoding(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, 2, KeyAction::Encoding)
}

pub(crate) fn object_freq(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, 2, KeyAction::Frequency)
}

pub(crate) fn object_idletime(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, 2, KeyAction::IdleTime)
}

pub(crate) fn object_refcount(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    on_key(arguments, 2, KeyAction::ReferenceCount)
}

pub(crate) fn object_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `MEMORY USAGE key [SAMPLES count]`
pub(crate) fn memory_usage(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    for option in (3..arguments.count()).step_by(2) {
        if !arguments.is(option, "SAMPLES") || option + 1 == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.integer(option + 1)? < 0 {
            return Err(ClientError::Syntax);
        }
    }
    on_key(arguments, 2, KeyAction::MemoryUsage)
}

pub(crate) fn memory_stats(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Memory(MemoryRequest::Stats))
}

pub(crate) fn memory_doctor(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Memory(MemoryRequest::Doctor))
}

pub(crate) fn memory_purge(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Memory(MemoryRequest::Purge))
}

pub(crate) fn memory_malloc_stats(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Memory(MemoryRequest::AllocatorStats))
}

pub(crate) fn memory_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        "HELP",
        "    Print this help.",
    ]))
}

/// More than any type's name has.
const TYPE_NAME_BYTES_KEPT: usize = 16;

/// Passing a key takes some 100 ns, in which a pattern gets about so many steps on.
const STEPS_PER_WORK: usize = 128;

/// Redis's default.
pub(crate) const SCAN_COUNT: usize = 10;

/// The longest time from now: what Redis refuses because it would be behind the end of 64 bits, at any time of the next
/// hundred years.
pub(crate) const RELATIVE_MS_MAX: i64 = i64::MAX - (1 << 42);
