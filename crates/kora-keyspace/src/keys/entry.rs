//! What a key holds, and how that is written into the table of keys.

use kora_values::packed_table::Record;
use kora_values::{HashPacking, HashRef, HashValue, StringPacking, StringRef, StringValue};

use crate::eviction::UseRule;
use crate::key::KeyType;
use crate::time::NEVER_MS;

/// What a key holds beside a vector.
#[derive(Debug)]
pub enum Value {
    /// A string.
    String(StringValue),
    /// A hash. It has a field at least, but while it is being made.
    Hash(Box<HashValue>),
}

/// What a key holds, to be read where it lies.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    String(StringRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
}

/// A value that moves to another key.
#[derive(Debug)]
pub struct MovedValue {
    /// The value.
    pub value: Value,
    /// When it expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not.
    pub deadline_ms: u64,
}

/// A key with what it holds, where they lie.
#[derive(Clone, Copy, Debug)]
pub struct KeyEntry<'t> {
    record: Record<'t, Value>,
    hash_seed: u64,
}

/// When an entry expires, and when it is looked at whether it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Deadline {
    /// In milliseconds of Unix time; [`NEVER_MS`] if it does not expire.
    pub(super) at_ms: u64,
    /// How much earlier it is to be looked at. 0 if it does not expire.
    pub(super) lead_ms: u32,
}

/// How a value lies in the table: what its tag says beside the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// A string's bytes.
    Packed(StringPacking),
    /// A small hash's.
    Fields(HashPacking),
    /// The value is too large.
    Outside,
}

impl Value {
    /// The same, to be read.
    pub fn view(&self) -> ValueRef<'_> {
        match self {
            Value::String(string) => ValueRef::String(string.view()),
            Value::Hash(hash) => ValueRef::Hash(hash.view()),
        }
    }

    /// Something of what lies beside the entry, read so that it is near.
    pub(super) fn touched(&self) -> u32 {
        match self {
            Value::String(string) => u32::from(string.view().first_byte()),
            Value::Hash(hash) => u32::from(hash.view().first_byte()),
        }
    }

    /// Bytes held beside the value itself: the blocks that the allocator gave.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(string) => string.heap_bytes(),
            Value::Hash(hash) => hash.bytes(),
        }
    }

    /// The form and the bytes that it has in the table, beside a key of so many bytes; none if it is too large for that.
    pub(super) fn pack<'a>(
        &'a self,
        key_bytes: usize,
        buffer: &'a mut [u8; size_of::<i64>()],
    ) -> Option<(Form, &'a [u8])> {
        let (form, bytes) = match self {
            Value::String(string) => {
                let (packing, bytes) = string.view().pack(buffer)?;
                (Form::Packed(packing), bytes)
            }
            Value::Hash(hash) => {
                let (packing, bytes) = hash.view().pack()?;
                (Form::Fields(packing), bytes)
            }
        };
        (key_bytes + bytes.len() <= PACKED_BYTES_MAX).then_some((form, bytes))
    }

    /// True if it would take little of the room that there is for it in the table, so that it may grow there for a while.
    pub(super) fn packs_easily(&self, key_bytes: usize) -> bool {
        let mut buffer = [0; size_of::<i64>()];
        let packed = self.pack(key_bytes, &mut buffer);
        packed.is_some_and(|(_, bytes)| key_bytes + bytes.len() <= PACKED_BYTES_MAX / 2)
    }
}

impl ValueRef<'_> {
    /// What it is.
    pub fn kind(self) -> KeyType {
        match self {
            ValueRef::String(_) => KeyType::String,
            ValueRef::Hash(_) => KeyType::Hash,
        }
    }

    /// When the first field of a hash is due; [`NEVER_MS`] if none has a deadline or it is no hash.
    pub(super) fn first_field_deadline_ms(self) -> u64 {
        match self {
            ValueRef::String(_) => NEVER_MS,
            ValueRef::Hash(hash) => hash.first_deadline_ms(),
        }
    }

    /// Whether it is a hash of which every field is due by then.
    fn is_all_due(self, now_ms: u64) -> bool {
        match self {
            ValueRef::String(_) => false,
            ValueRef::Hash(hash) => hash.is_all_due(now_ms),
        }
    }
}

impl MovedValue {
    /// A value that does not expire.
    pub fn forever(value: Value) -> MovedValue {
        MovedValue {
            value,
            deadline_ms: NEVER_MS,
        }
    }
}

impl<'t> KeyEntry<'t> {
    /// The entry of a record, in a table with this seed.
    pub(super) fn new(record: Record<'t, Value>, hash_seed: u64) -> KeyEntry<'t> {
        KeyEntry { record, hash_seed }
    }

    /// The key.
    pub fn key(self) -> &'t [u8] {
        self.record.name
    }

    /// The key's hash.
    pub(super) fn hash(self) -> u32 {
        self.record.hash
    }

    /// When it expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not.
    pub fn deadline_ms(self) -> u64 {
        self.deadline().at_ms
    }

    /// True if it has expired by then.
    pub fn is_due(self, now_ms: u64) -> bool {
        self.deadline_ms() <= now_ms
    }

    /// True if it has expired by then, or is a hash all of whose fields are due.
    pub fn is_gone(self, now_ms: u64) -> bool {
        self.is_due(now_ms) || (self.first_field_deadline_ms() <= now_ms && self.value().is_all_due(now_ms))
    }

    /// When the first field of a hash is due; [`NEVER_MS`] if none has a deadline or it is no hash.
    pub fn first_field_deadline_ms(self) -> u64 {
        match Form::of(self.record.tag) {
            Form::Packed(_) | Form::Fields(HashPacking::Plain) => NEVER_MS,
            Form::Fields(HashPacking::Timed) | Form::Outside => self.value().first_field_deadline_ms(),
        }
    }

    /// What the key holds.
    pub fn value(self) -> ValueRef<'t> {
        let bytes = &self.record.body[Deadline::len(self.record.tag)..];
        match (Form::of(self.record.tag), self.record.outside) {
            (_, Some(value)) => value.view(),
            (Form::Packed(packing), None) => ValueRef::String(StringRef::unpack(packing, bytes)),
            (Form::Fields(packing), None) => ValueRef::Hash(HashRef::unpack(self.hash_seed, packing, bytes)),
            (Form::Outside, None) => ValueRef::Hash(HashRef::unpack(self.hash_seed, HashPacking::Plain, bytes)),
        }
    }

    /// What is noted of its use: see [`UseRule`].
    pub fn used(self) -> u32 {
        self.record.used.get()
    }

    /// Notes that it is used now.
    pub(crate) fn touch(self, uses: &UseRule, now_ms: u64) {
        self.record.used.set(uses.used(self.record.used.get(), now_ms));
    }

    pub(super) fn deadline(self) -> Deadline {
        Deadline::read(self.record.tag, self.record.body)
    }

    /// What lies outside of the table.
    pub(super) fn outside(self) -> Option<&'t Value> {
        self.record.outside
    }
}

impl Deadline {
    pub(super) fn at(at_ms: u64) -> Deadline {
        Deadline { at_ms, lead_ms: 0 }
    }

    /// When it is to be looked at.
    pub(super) fn look_ms(self) -> u64 {
        self.at_ms - u64::from(self.lead_ms)
    }

    /// As it is written before a value; only the first bytes, if it is never.
    pub(super) fn write(self) -> ([u8; DEADLINE_BYTES], usize) {
        let mut bytes = [0; DEADLINE_BYTES];
        if self.at_ms == NEVER_MS {
            return (bytes, 0);
        }
        let (at, lead) = bytes.split_at_mut(size_of::<u64>());
        at.copy_from_slice(&self.at_ms.to_le_bytes());
        lead.copy_from_slice(&self.lead_ms.to_le_bytes());
        (bytes, DEADLINE_BYTES)
    }

    fn read(tag: u8, body: &[u8]) -> Deadline {
        if Deadline::len(tag) == 0 {
            return Deadline::at(NEVER_MS);
        }
        let (at, rest) = body.split_first_chunk().expect("it was written as a whole");
        let lead = rest.first_chunk().expect("it was written as a whole");
        Deadline {
            at_ms: u64::from_le_bytes(*at),
            lead_ms: u32::from_le_bytes(*lead),
        }
    }

    fn len(tag: u8) -> usize {
        match tag & EXPIRES_BIT {
            0 => 0,
            _ => DEADLINE_BYTES,
        }
    }
}

impl Form {
    /// The tag of an entry of this form that expires, or does not.
    pub(super) fn tag(self, expires: bool) -> u8 {
        let form = match self {
            Form::Packed(StringPacking::Integer) => 0,
            Form::Packed(StringPacking::Whole) => 1,
            Form::Packed(StringPacking::Changed) => 2,
            Form::Fields(HashPacking::Plain) => 3,
            Form::Outside => 4,
            Form::Fields(HashPacking::Timed) => 5,
        };
        form | if expires { EXPIRES_BIT } else { 0 }
    }

    fn of(tag: u8) -> Form {
        match tag & !EXPIRES_BIT {
            0 => Form::Packed(StringPacking::Integer),
            1 => Form::Packed(StringPacking::Whole),
            2 => Form::Packed(StringPacking::Changed),
            3 => Form::Fields(HashPacking::Plain),
            5 => Form::Fields(HashPacking::Timed),
            _ => Form::Outside,
        }
    }
}

/// The bit of a tag that says that a deadline stands before the value.
const EXPIRES_BIT: u8 = 0x08;

/// A time and a lead.
const DEADLINE_BYTES: usize = size_of::<u64>() + size_of::<u32>();

/// A key and a value of more bytes in all don't lie in the table together: a chunk of its memory would waste more at its end
/// than a block of the allocator does.
const PACKED_BYTES_MAX: usize = 600;

// It stands in a list of those that lie outside.
const _: () = assert!(size_of::<Option<Value>>() == 24);
