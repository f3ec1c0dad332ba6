//! Syntax of the commands on keys of any type.

use bytes::Bytes;
use kora_resp::glob::{Case, Pattern};
use kora_resp::limits::PATTERN_BYTES_MAX;
use kora_resp::number;

use super::Command;
use super::arguments::Arguments;
use super::syntax::Argument;
use super::table::{Entry, PLAIN};
use crate::cursor::Cursor;
use crate::error::ClientError;
use crate::limits::KEY_BYTES_MAX;

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
#[derive(Debug)]
pub struct ScanRequest {
    /// Where to go on.
    pub cursor: Cursor,
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
}

impl ScanFilter {
    pub(crate) fn matches(&self, key: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(key))
    }

    /// How much work that is, a key of usual length without a pattern being one.
    pub(crate) fn work(&self, key: &[u8]) -> usize {
        let steps = self.pattern.as_ref().map_or(0, |pattern| pattern.steps(key.len()));
        1 + steps / STEPS_PER_WORK
    }

    pub(crate) fn wants(&self, kind: KeyType) -> bool {
        let name = self.type_name.as_ref();
        name.is_none_or(|name| name.eq_ignore_ascii_case(kind.name().as_bytes()))
    }
}

/// What a key holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    /// A vector.
    Vector,
    /// A collection: its name, not one of its vectors' keys.
    VectorSet,
}

impl KeyType {
    /// As TYPE says it.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Vector => "vector",
            KeyType::VectorSet => "vectorset",
        }
    }
}

/// `SCAN cursor …`
fn scan(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let cursor = number::parse_u64(arguments.word(1)).ok_or(ClientError::InvalidCursor)?;
    let mut count = SCAN_COUNT;
    let mut filter = ScanFilter::default();
    for option in (2..arguments.count()).step_by(2) {
        let value = option + 1;
        if value == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.is(option, "COUNT") {
            let given = number::parse_i64(arguments.word(value)).ok_or(ClientError::NotInteger)?;
            count = usize::try_from(given)
                .ok()
                .filter(|count| *count > 0)
                .ok_or(ClientError::Syntax)?;
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
    Ok(Command::Scan(Box::new(ScanRequest {
        cursor: Cursor::of_number(cursor),
        count,
        filter,
    })))
}

/// A glob pattern; none if it is one that matches everything.
fn pattern(arguments: &Arguments<'_>, index: usize) -> Result<Option<Pattern>, ClientError> {
    let pattern = arguments.word(index);
    if pattern.len() > PATTERN_BYTES_MAX {
        let (bytes, max) = (pattern.len(), PATTERN_BYTES_MAX);
        return Err(ClientError::PatternTooLong { bytes, max });
    }
    Ok((pattern != b"*").then(|| Pattern::new(pattern, Case::Sensitive)))
}

/// `TYPE key`
fn type_of(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let bytes = arguments.word(1).len();
    if bytes > KEY_BYTES_MAX {
        return Err(ClientError::KeyTooLong { bytes });
    }
    Ok(Command::Type(arguments.owned(1)))
}

/// The commands of this family.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "scan",
        reply: "An array of two: the cursor to go on from, `0` at the end, and an array of keys.",
        notes: "Begin with cursor 0 and go on with the cursor of each reply until it is 0. Every key that is there all the time is returned, over all shards; one that comes or goes meanwhile may be or not; rarely one is returned twice. A collection's name is returned once beside the keys of its vectors. `COUNT` is how many keys are looked at for one reply, 10 if it is not given, and fewer where they come to more than 1 MiB; `MATCH` (a glob pattern) and `TYPE` (`vector`, `vectorset`) leave out some of them, so that a reply may be empty before the end.",
        arity: -2,
        flags: &["readonly"],
        summary: "Returns some of the keys, and a cursor to go on from.",
        arguments: SCAN,
        parse: scan,
        ..KEYS
    },
    Entry {
        name: "type",
        reply: "`vector` for the key of a vector, `vectorset` for the name of a collection, else `none`.",
        arity: 2,
        flags: &["readonly", "fast"],
        keys: (1, 1, 1),
        summary: "Returns what a key holds.",
        arguments: &[Argument::key("key")],
        parse: type_of,
        ..KEYS
    },
];

const SCAN: &[Argument] = &[
    Argument::integer("cursor"),
    Argument::pattern("pattern").after("MATCH").optional(),
    Argument::integer("count").after("COUNT").optional(),
    Argument::string("type").after("TYPE").optional(),
];

const KEYS: Entry = Entry {
    group: "generic",
    ..PLAIN
};

/// Passing a key takes some 100 ns, in which a match gets about so many steps on.
const STEPS_PER_WORK: usize = 128;

/// More than any type's name has.
const TYPE_NAME_BYTES_KEPT: usize = 16;

/// Redis's default.
const SCAN_COUNT: usize = 10;
