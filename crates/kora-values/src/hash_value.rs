//! A hash: values under the names of fields.

mod large;
mod sample;
mod small;
mod timed;

use std::fmt;

use bytes::Bytes;

pub use self::sample::Sample;

use self::large::LargeHash;
use self::small::{SmallHash, SmallRef};
use self::timed::{TimedField, TimedHash, TimedRef};
use crate::block::block_bytes;
use crate::deadline_index::NEVER_MS;
use crate::error::ValueError;
use crate::float::LongDouble;
use crate::integer::{self, Digits};

/// What a key of type `hash` holds.
///
/// Small ones are one piece of memory in which fields keep the order they came in. One that has had more than
/// [`SMALL_FIELDS_MAX`] fields, or anything longer than [`SMALL_BYTES_MAX`], is a table, and stays one.
///
/// A field may have a deadline: a number, of which [`NEVER_MS`] is none. What is due is there until it is removed. A small hash
/// that is told [to take deadlines](HashValue::take_deadlines) is of a form of its own, and stays so until it is a table.
#[derive(Debug)]
pub struct HashValue {
    /// Keys the hashes of a table's fields.
    hash_seed: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Small(SmallHash),
    Timed(TimedHash),
    Large(LargeHash),
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'hash> {
    /// Few bytes.
    Short(&'hash [u8]),
    /// Many, which a reply can share.
    Long(&'hash Bytes),
}

impl<'hash> FieldValue<'hash> {
    /// The bytes.
    pub fn bytes(self) -> &'hash [u8] {
        match self {
            FieldValue::Short(bytes) => bytes,
            FieldValue::Long(bytes) => bytes,
        }
    }

    /// The bytes for a reply: many are shared, few are copied.
    pub fn to_bytes(self) -> Bytes {
        match self {
            FieldValue::Short(bytes) => Bytes::copy_from_slice(bytes),
            FieldValue::Long(bytes) => bytes.clone(),
        }
    }
}

/// A field's name and what it holds.
pub type Field<'hash> = (&'hash [u8], FieldValue<'hash>);

/// Which of the two small forms the bytes of a hash are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashPacking {
    /// Fields and values.
    Plain,
    /// With deadlines.
    Timed,
}

/// What OBJECT ENCODING calls the form of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashEncoding {
    /// Small.
    Listpack,
    /// Small, with deadlines of fields.
    ListpackEx,
    /// A table.
    Hashtable,
}

impl fmt::Display for HashEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashEncoding::Listpack => "listpack",
            HashEncoding::ListpackEx => "listpackex",
            HashEncoding::Hashtable => "hashtable",
        })
    }
}

impl HashValue {
    /// A hash without fields. `hash_seed` is a secret, so that no client can choose fields that collide.
    pub fn new(hash_seed: u64) -> HashValue {
        HashValue {
            hash_seed,
            form: Form::Small(SmallHash::default()),
        }
    }

    /// The same, to be read.
    pub fn view(&self) -> HashRef<'_> {
        HashRef {
            hash_seed: self.hash_seed,
            form: match &self.form {
                Form::Small(small) => FormRef::Small(small.view()),
                Form::Timed(timed) => FormRef::Timed(timed.view()),
                Form::Large(large) => FormRef::Large(large),
            },
        }
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether it has none: then its key should go.
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// What a field holds (HGET).
    pub fn get(&self, field: &[u8]) -> Option<FieldValue<'_>> {
        self.view().get(field)
    }

    /// When a field is due, [`NEVER_MS`] if it has no deadline; none if there is no such field.
    pub fn deadline_ms(&self, field: &[u8]) -> Option<u64> {
        self.view().deadline_ms(field)
    }

    /// Becomes the small hash that was [packed](HashRef::pack) into these bytes.
    pub fn load(&mut self, packing: HashPacking, bytes: &[u8]) {
        match (packing, &mut self.form) {
            (HashPacking::Plain, Form::Small(small)) => small.load(bytes),
            (HashPacking::Plain, _) => {
                let mut small = SmallHash::default();
                small.load(bytes);
                self.form = Form::Small(small);
            }
            (HashPacking::Timed, Form::Timed(timed)) => timed.load(bytes),
            (HashPacking::Timed, _) => {
                let mut timed = TimedHash::default();
                timed.load(bytes);
                self.form = Form::Timed(timed);
            }
        }
    }

    /// Makes it a table if `pair_count` pairs, of which nothing is longer than `longest` bytes, are to be set and will not
    /// do in a small one. Redis looks at a whole HSET before it sets the first, so a field given twice counts twice.
    pub fn expect(&mut self, pair_count: usize, longest: usize) {
        if pair_count > SMALL_FIELDS_MAX || longest > SMALL_BYTES_MAX {
            self.make_large();
        }
    }

    /// Brings a small one into the form that has deadlines, as Redis does before it sets the first.
    pub fn take_deadlines(&mut self) {
        if let Form::Small(small) = &self.form {
            self.form = Form::Timed(TimedHash::of_small(small.view()));
        }
    }

    /// Sets a field, which has no deadline then; whether it is new (HSET).
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_with(field, value, Some(NEVER_MS))
    }

    /// Sets a field, which is due then if a deadline is given, and when it was before if none is; whether it is new (HSETEX).
    pub fn set_with(&mut self, field: &[u8], value: &[u8], deadline_ms: Option<u64>) -> bool {
        self.expect(1, field.len().max(value.len()));
        if deadline_ms.is_some_and(|deadline_ms| deadline_ms != NEVER_MS) {
            self.take_deadlines();
        }
        let is_new = match &mut self.form {
            Form::Small(small) => small.set(field, value),
            Form::Timed(timed) => timed.set(field, value, deadline_ms),
            Form::Large(large) => return large.set(field, value, deadline_ms),
        };
        if is_new {
            self.expect(self.len(), 0);
        }
        is_new
    }

    /// Sets a field to a value that is not copied if it is long: to be given what has hardly any memory beside it. The field
    /// has no deadline then.
    pub fn set_kept(&mut self, field: &[u8], value: Bytes) -> bool {
        self.expect(1, field.len().max(value.len()));
        match &mut self.form {
            Form::Large(large) if value.len() >= large::APART_BYTES_MIN => large.set_kept(field, value),
            _ => self.set(field, &value),
        }
    }

    /// Gives a field a deadline, or none; what it had before, if there is such a field (HEXPIRE, HPERSIST).
    pub fn set_deadline(&mut self, field: &[u8], deadline_ms: u64) -> Option<u64> {
        if deadline_ms != NEVER_MS {
            self.take_deadlines();
        }
        match &mut self.form {
            Form::Small(small) => small.view().get(field).map(|_| NEVER_MS),
            Form::Timed(timed) => timed.set_deadline(field, deadline_ms),
            Form::Large(large) => large.set_deadline(field, deadline_ms),
        }
    }

    /// Deletes a field; whether there was one (HDEL).
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Small(small) => small.remove(field),
            Form::Timed(timed) => timed.remove(field),
            Form::Large(large) => large.remove(field),
        }
    }

    /// Takes over about `wanted` fields of another hash, from a place on; returns how many, and the next place if there are more.
    /// For a copy, made in steps from one that is [empty](HashRef::empty_like). A small hash is copied at once.
    pub fn copy_some(&mut self, other: HashRef<'_>, from: u64, wanted: usize) -> (usize, Option<u64>) {
        if let Some((packing, bytes)) = other.pack() {
            self.load(packing, bytes);
            return (other.len(), None);
        }
        let (fields, next) = other.scan_timed(from, wanted);
        let copied = fields.len();
        for ((field, value), deadline_ms) in fields {
            self.set_with(field, value.bytes(), Some(deadline_ms));
        }
        (copied, next)
    }

    /// Adds to the integer that a field holds, 0 if there is none (HINCRBY); its deadline stays. Returns the sum.
    pub fn increment(&mut self, field: &[u8], by: i64) -> Result<i64, ValueError> {
        let now = match self.get(field) {
            Some(value) => integer::parse(value.bytes()).ok_or(ValueError::FieldNotAnInteger)?,
            None => 0,
        };
        let sum = now.checked_add(by).ok_or(ValueError::IntegerOverflow)?;
        self.set_with(field, Digits::new().print(sum), None);
        Ok(sum)
    }

    /// Adds to the float that a field holds, 0 if there is none (HINCRBYFLOAT); its deadline stays. Returns the sum as it is
    /// kept.
    pub fn increment_float(&mut self, field: &[u8], by: LongDouble) -> Result<String, ValueError> {
        let now = match self.get(field) {
            Some(value) => LongDouble::parse(value.bytes()).ok_or(ValueError::FieldNotAFloat)?,
            None => LongDouble::ZERO,
        };
        let sum = now.add(by).ok_or(ValueError::FloatOverflow)?.print();
        self.set_with(field, sum.as_bytes(), None);
        Ok(sum)
    }

    /// Bytes held beside the value itself: the blocks that the allocator gave.
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Small(small) => small.heap_bytes(),
            Form::Timed(timed) => timed.heap_bytes(),
            Form::Large(large) => large.heap_bytes(),
        }
    }

    /// Bytes held, with a block for the value itself.
    pub fn bytes(&self) -> usize {
        self.heap_bytes() + block_bytes(size_of::<HashValue>())
    }

    /// Frees some hundred fields; false when there was nothing left. For a hash that is used no more.
    pub fn dismantle(&mut self) -> bool {
        match &mut self.form {
            Form::Small(_) | Form::Timed(_) => {
                let had_fields = !self.is_empty();
                self.form = Form::Small(SmallHash::default());
                had_fields
            }
            Form::Large(large) => large.dismantle(),
        }
    }

    fn make_large(&mut self) {
        if let Form::Large(_) = self.form {
            return;
        }
        let mut large = LargeHash::new(self.hash_seed);
        for ((field, value), deadline_ms) in self.view().scan_timed(0, usize::MAX).0 {
            large.set(field, value.bytes(), Some(deadline_ms));
        }
        self.form = Form::Large(large);
    }
}

/// A hash to be read, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a> {
    hash_seed: u64,
    form: FormRef<'a>,
}

#[derive(Clone, Copy, Debug)]
enum FormRef<'a> {
    Small(SmallRef<'a>),
    Timed(TimedRef<'a>),
    Large(&'a LargeHash),
}

impl<'a> HashRef<'a> {
    /// The hash that was packed into these bytes. `hash_seed` is that with which it was made.
    pub fn unpack(hash_seed: u64, packing: HashPacking, bytes: &'a [u8]) -> HashRef<'a> {
        let form = match packing {
            HashPacking::Plain => FormRef::Small(SmallRef(bytes)),
            HashPacking::Timed => FormRef::Timed(TimedRef(bytes)),
        };
        HashRef { hash_seed, form }
    }

    /// The bytes that it can be made of again, if it is small.
    pub fn pack(self) -> Option<(HashPacking, &'a [u8])> {
        match self.form {
            FormRef::Small(small) => Some((HashPacking::Plain, small.0)),
            FormRef::Timed(timed) => Some((HashPacking::Timed, timed.0)),
            FormRef::Large(_) => None,
        }
    }

    /// A hash without fields in the form of this one: for a copy, which [`copy_some`](HashValue::copy_some) makes in steps.
    pub fn empty_like(self) -> HashValue {
        let mut empty = HashValue::new(self.hash_seed);
        match self.form {
            FormRef::Small(_) => {}
            FormRef::Timed(_) => empty.take_deadlines(),
            FormRef::Large(_) => empty.make_large(),
        }
        empty
    }

    /// How many fields it has.
    pub fn len(self) -> usize {
        match self.form {
            FormRef::Small(small) => small.len(),
            FormRef::Timed(timed) => timed.len(),
            FormRef::Large(large) => large.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        match self.form {
            FormRef::Small(small) => small.0.is_empty(),
            FormRef::Timed(timed) => timed.0.is_empty(),
            FormRef::Large(large) => large.len() == 0,
        }
    }

    /// What a field holds (HGET).
    pub fn get(self, field: &[u8]) -> Option<FieldValue<'a>> {
        match self.form {
            FormRef::Small(small) => small.get(field).map(FieldValue::Short),
            FormRef::Timed(timed) => timed.find(field).map(|timed| FieldValue::Short(timed.value)),
            FormRef::Large(large) => large.get(field),
        }
    }

    /// When a field is due, [`NEVER_MS`] if it has no deadline; none if there is no such field.
    pub fn deadline_ms(self, field: &[u8]) -> Option<u64> {
        match self.form {
            FormRef::Small(small) => small.get(field).map(|_| NEVER_MS),
            FormRef::Timed(timed) => timed.find(field).map(|timed| timed.deadline_ms),
            FormRef::Large(large) => large.deadline_ms(field),
        }
    }

    /// When the first of its fields is due; [`NEVER_MS`] if none has a deadline.
    pub fn first_deadline_ms(self) -> u64 {
        match self.form {
            FormRef::Small(_) => NEVER_MS,
            FormRef::Timed(timed) => timed.first_deadline_ms(),
            FormRef::Large(large) => large.first_deadline_ms(),
        }
    }

    /// The field that is due first, if one has a deadline.
    pub fn first_due(self) -> Option<&'a [u8]> {
        match self.form {
            FormRef::Small(_) => None,
            FormRef::Timed(timed) => {
                let first = timed.iter().next();
                first
                    .filter(|timed| timed.deadline_ms != NEVER_MS)
                    .map(|timed| timed.name)
            }
            FormRef::Large(large) => large.first_due(),
        }
    }

    /// Whether all its fields are due by then.
    pub fn is_all_due(self, now_ms: u64) -> bool {
        match self.form {
            FormRef::Small(_) => false,
            FormRef::Timed(timed) => timed.is_all_due(now_ms),
            FormRef::Large(large) => large.is_all_due(now_ms),
        }
    }

    /// Something of what lies first in its memory, if there is anything: read so that it is near.
    pub fn first_byte(self) -> u8 {
        match self.form {
            FormRef::Small(SmallRef(bytes)) | FormRef::Timed(TimedRef(bytes)) => bytes.first().copied().unwrap_or(0),
            FormRef::Large(_) => 0,
        }
    }

    /// Bytes of all its fields, with what is lost around them.
    pub fn bytes(self) -> usize {
        match self.form {
            FormRef::Small(SmallRef(bytes)) | FormRef::Timed(TimedRef(bytes)) => bytes.len(),
            FormRef::Large(large) => large.heap_bytes(),
        }
    }

    /// About `wanted` fields from a place on, and the place to go on from, if there are more (HSCAN, and HGETALL in
    /// steps). The first place is 0; a later one is beyond the one before and below 2³².
    ///
    /// Every field that is there from the first step to the last is met. A small hash comes at once, wherever one begins.
    pub fn scan(self, from: u64, wanted: usize) -> (Vec<Field<'a>>, Option<u64>) {
        match self.form {
            FormRef::Small(small) => (small.iter().map(short).collect(), None),
            FormRef::Timed(timed) => (timed.iter().map(TimedField::pair).collect(), None),
            FormRef::Large(large) => large.scan(from, wanted),
        }
    }

    /// The same, with their deadlines.
    pub fn scan_timed(self, from: u64, wanted: usize) -> (Vec<(Field<'a>, u64)>, Option<u64>) {
        match self.form {
            FormRef::Small(small) => (small.iter().map(|pair| (short(pair), NEVER_MS)).collect(), None),
            FormRef::Timed(timed) => {
                let all = timed.iter().map(|field| (field.pair(), field.deadline_ms));
                (all.collect(), None)
            }
            FormRef::Large(large) => large.scan_timed(from, wanted),
        }
    }

    /// Some field, each about as likely as any other (HRANDFIELD). `random` gives 64 random bits at each call.
    pub fn random(self, mut random: impl FnMut() -> u64) -> Option<Field<'a>> {
        match self.form {
            FormRef::Small(small) if small.0.is_empty() => None,
            FormRef::Small(small) => small.iter().nth((random() % small.len() as u64) as usize).map(short),
            FormRef::Timed(timed) if timed.0.is_empty() => None,
            FormRef::Timed(timed) => {
                let nth = (random() % timed.len() as u64) as usize;
                timed.iter().nth(nth).map(TimedField::pair)
            }
            FormRef::Large(large) => large.random(random),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(self) -> HashEncoding {
        match self.form {
            FormRef::Small(_) => HashEncoding::Listpack,
            FormRef::Timed(_) => HashEncoding::ListpackEx,
            FormRef::Large(_) => HashEncoding::Hashtable,
        }
    }
}

fn short<'hash>((field, value): (&'hash [u8], &'hash [u8])) -> Field<'hash> {
    (field, FieldValue::Short(value))
}

/// The most fields of a small hash: Redis 8.2's `hash-max-listpack-entries`.
pub const SMALL_FIELDS_MAX: usize = 512;

/// The longest field or value of a small hash, in bytes: Redis 8.2's `hash-max-listpack-value`.
pub const SMALL_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
