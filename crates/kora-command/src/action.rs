//! What may be done to one key: the commands whose whole work lies on the shard where the key does.

use bytes::Bytes;
use kora_filter::Path;
use kora_resp::Words;
use kora_values::StringValue;
use smallvec::SmallVec;

use crate::error::ClientError;
use crate::hashes::HashAction;
use crate::lifetime::{Deadline, Lifetime};
use crate::vector_set_action::VectorSetAction;

/// The key of a command on its way to the key's shard. A short one lies in the command itself: to make memory for it on one
/// worker and free it on another takes longer than anything else that is done with it.
pub type ShortKey = SmallVec<[u8; 24]>;

/// What is to be done to one key.
#[derive(Debug)]
pub enum Action {
    /// Something that wants a string there, or sets one.
    String(StringAction),
    /// Something that wants a hash there, or makes one.
    Hash(HashAction),
    /// Something that wants a vector set there, or makes one.
    VectorSet(VectorSetAction),
    /// Something about the attributes of a vector.
    Attributes(AttributesAction),
    /// Something that takes whatever is there.
    Key(KeyAction),
}

/// What is to be done to the attributes of a vector.
#[derive(Debug)]
pub enum AttributesAction {
    /// `VECSETATTR key json [MERGE]`
    Set {
        /// A JSON object that was checked, or nothing.
        text: Bytes,
        /// It changes what is there by its members.
        merges: bool,
    },
    /// `VECGETATTR key [path]`
    Get(Option<Path>),
}

impl AttributesAction {
    /// Memory that it holds beside its own.
    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            AttributesAction::Set { text, .. } => text.len(),
            AttributesAction::Get(path) => path.as_ref().map_or(0, Path::bytes),
        }
    }
}

/// What is to be done to a string.
#[derive(Debug)]
pub enum StringAction {
    /// `GET`
    Get,
    /// `SET`, `SETEX`, `PSETEX`, `GETSET`
    Set(StringSetting),
    /// `SETNX`
    SetIfAbsent(StringValue),
    /// `GETEX`: whether the options make sense is looked at only where there is something.
    GetExpire(Result<Lifetime, ClientError>),
    /// `GETDEL`
    GetDelete,
    /// `APPEND`
    Append(Bytes),
    /// `STRLEN`
    Length,
    /// `GETRANGE`, `SUBSTR`
    Range(i64, i64),
    /// `SETRANGE`
    SetRange(usize, Bytes),
    /// `INCR`, `DECR`, `INCRBY`, `DECRBY`
    Add(i64),
    /// `INCRBYFLOAT`: the text is looked at only where there is no value of another type.
    AddFloat(Bytes),
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
#[derive(Debug)]
pub struct StringSetting {
    /// The new value, as it will be kept.
    pub value: StringValue,
    /// How long it stays.
    pub lifetime: Lifetime,
    /// Whether it may be set at all.
    pub only: Only,
    /// The value before is the reply.
    pub get: bool,
}

/// Several strings to set, with one lifetime and one condition.
#[derive(Debug)]
pub struct StringsSetting {
    /// Keys and values in turn.
    pub pairs: Words,
    /// How long they stay.
    pub lifetime: Lifetime,
    /// The condition, which every key must meet before the first is set.
    pub only: Only,
    /// What is answered when all are set.
    pub reply: StringsReply,
}

/// What a command answers that has set several strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StringsReply {
    /// `OK`
    Ok,
    /// 1; and 0 where the condition forbids it.
    Flag,
}

/// On which condition something is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Only {
    /// On none.
    Always,
    /// `NX`
    IfAbsent,
    /// `XX`
    IfPresent,
}

/// What is to be done to a key whatever it holds.
#[derive(Debug)]
pub enum KeyAction {
    /// `TYPE`
    Type,
    /// `DEL`, `UNLINK` of one key
    Delete,
    /// `EXISTS` of one key
    Exists,
    /// `TOUCH` of one key
    Touch,
    /// `EXPIRE` and its family
    Expire(Deadline, ExpireOnly),
    /// `PERSIST`
    Persist,
    /// `TTL`, `PTTL`, `EXPIRETIME`, `PEXPIRETIME`
    Lifetime(LifetimeForm),
    /// `OBJECT ENCODING`
    Encoding,
    /// `OBJECT FREQ`
    Frequency,
    /// `OBJECT IDLETIME`
    IdleTime,
    /// `OBJECT REFCOUNT`
    ReferenceCount,
    /// `MEMORY USAGE`
    MemoryUsage,
}

impl KeyAction {
    /// True of commands that look a key up to read it, as INFO counts them: `DEL` and the like are none, nor is
    /// `MEMORY USAGE`. `TOUCH` is one, as in Redis.
    pub fn only_reads(&self) -> bool {
        match self {
            KeyAction::Type
            | KeyAction::Exists
            | KeyAction::Touch
            | KeyAction::Lifetime(_)
            | KeyAction::Encoding
            | KeyAction::Frequency
            | KeyAction::IdleTime
            | KeyAction::ReferenceCount => true,
            KeyAction::Delete | KeyAction::Expire(..) | KeyAction::Persist | KeyAction::MemoryUsage => false,
        }
    }

    /// True if other shards hear of it where the key is the name of a collection, whose vectors they hold.
    pub fn may_concern_a_collection(&self) -> bool {
        matches!(
            self,
            KeyAction::Delete | KeyAction::Expire(..) | KeyAction::Persist | KeyAction::MemoryUsage
        )
    }
}

/// On which conditions EXPIRE sets a time; none of them is a condition if none is true.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExpireOnly {
    /// `NX`: if it does not expire yet.
    pub if_none: bool,
    /// `XX`: if it expires already.
    pub if_some: bool,
    /// `GT`: if it expires earlier.
    pub if_later: bool,
    /// `LT`: if it expires later, or not at all.
    pub if_earlier: bool,
}

/// In which form a key's time is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LifetimeForm {
    /// In milliseconds, otherwise in seconds.
    pub in_ms: bool,
    /// As Unix time, otherwise as what is left.
    pub absolute: bool,
}

impl Action {
    /// True of what may take long and changes nothing.
    pub fn only_reads(&self) -> bool {
        match self {
            Action::String(action) => matches!(action, StringAction::Get | StringAction::Range(..)),
            Action::Hash(action) => matches!(
                action,
                HashAction::Get(_)
                    | HashAction::GetMany(_)
                    | HashAction::All(_)
                    | HashAction::Random(_)
                    | HashAction::Scan(..)
            ),
            Action::VectorSet(action) => action.only_reads(),
            Action::Key(_) | Action::Attributes(_) => false,
        }
    }

    /// True of actions of commands that read only, as COMMAND INFO has it.
    pub fn changes_nothing(&self) -> bool {
        match self {
            Action::String(action) => {
                matches!(
                    action,
                    StringAction::Get | StringAction::Length | StringAction::Range(..)
                )
            }
            Action::Hash(action) => action.changes_nothing(),
            Action::Attributes(action) => matches!(action, AttributesAction::Get(_)),
            Action::VectorSet(action) => !action.may_change(),
            Action::Key(action) => action.only_reads() || matches!(action, KeyAction::MemoryUsage),
        }
    }

    /// Memory that it holds beside its own.
    pub fn bytes_held(&self) -> usize {
        match self {
            Action::String(action) => match action {
                StringAction::Set(StringSetting { value, .. }) | StringAction::SetIfAbsent(value) => value.heap_bytes(),
                StringAction::Append(value) | StringAction::SetRange(_, value) | StringAction::AddFloat(value) => {
                    value.len()
                }
                _ => 0,
            },
            Action::Hash(action) => action.bytes_held(),
            Action::VectorSet(action) => action.bytes_held(),
            Action::Attributes(action) => action.bytes_held(),
            Action::Key(_) => 0,
        }
    }
}
