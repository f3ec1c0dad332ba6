//! A hash: values under the names of fields.

mod large;
mod sample;
mod small;

use std::fmt;

use bytes::Bytes;

pub use self::sample::Sample;

use self::large::LargeHash;
use self::small::{SmallHash, SmallRef};
use crate::block::block_bytes;
use crate::error::ValueError;
use crate::float::LongDouble;
use crate::integer::{self, Digits};

/// What a key of type `hash` holds.
///
/// Small ones are one piece of memory in which fields keep the order they came in. One that has had more than
/// [`SMALL_FIELDS_MAX`] fields, or anything longer than [`SMALL_BYTES_MAX`], is a table, and stays one.
#[derive(Debug)]
pub struct HashValue {
    /// Keys the hashes of a table's fields.
    hash_seed: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Small(SmallHash),
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

/// What OBJECT ENCODING calls the form of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashEncoding {
    /// Small.
    Listpack,
    /// A table.
    Hashtable,
}

impl fmt::Display for HashEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashEncoding::Listpack => "listpack",
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

    /// Becomes the small hash that was [packed](HashRef::pack) into these bytes.
    pub fn load(&mut self, bytes: &[u8]) {
        match &mut self.form {
            Form::Small(small) => small.load(bytes),
            Form::Large(_) => {
                let mut small = SmallHash::default();
                small.load(bytes);
                self.form = Form::Small(small);
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

    /// Sets a field; whether it is new (HSET).
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.expect(1, field.len().max(value.len()));
        match &mut self.form {
            Form::Small(small) => {
                let is_new = small.set(field, value);
                if is_new {
                    let len = small.view().len();
                    self.expect(len, 0);
                }
                is_new
            }
            Form::Large(large) => large.set(field, value),
        }
    }

    /// Sets a field to a value that is not copied if it is long: to be given what has hardly any memory beside it.
    pub fn set_kept(&mut self, field: &[u8], value: Bytes) -> bool {
        self.expect(1, field.len().max(value.len()));
        match &mut self.form {
            Form::Large(large) if value.len() >= large::APART_BYTES_MIN => large.set_kept(field, value),
            _ => self.set(field, &value),
        }
    }

    /// Deletes a field; whether there was one (HDEL).
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Small(small) => small.remove(field),
            Form::Large(large) => large.remove(field),
        }
    }

    /// Adds to the integer that a field holds, 0 if there is none (HINCRBY). Returns the sum.
    pub fn increment(&mut self, field: &[u8], by: i64) -> Result<i64, ValueError> {
        let now = match self.get(field) {
            Some(value) => integer::parse(value.bytes()).ok_or(ValueError::FieldNotAnInteger)?,
            None => 0,
        };
        let sum = now.checked_add(by).ok_or(ValueError::IntegerOverflow)?;
        self.set(field, Digits::new().print(sum));
        Ok(sum)
    }

    /// Adds to the float that a field holds, 0 if there is none (HINCRBYFLOAT). Returns the sum as it is kept.
    pub fn increment_float(&mut self, field: &[u8], by: LongDouble) -> Result<String, ValueError> {
        let now = match self.get(field) {
            Some(value) => LongDouble::parse(value.bytes()).ok_or(ValueError::FieldNotAFloat)?,
            None => LongDouble::ZERO,
        };
        let sum = now.add(by).ok_or(ValueError::FloatOverflow)?.print();
        self.set(field, sum.as_bytes());
        Ok(sum)
    }

    /// Bytes held beside the value itself: the blocks that the allocator gave.
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Small(small) => small.heap_bytes(),
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
            Form::Small(small) => {
                let had_fields = small.view().len() > 0;
                *small = SmallHash::default();
                had_fields
            }
            Form::Large(large) => large.dismantle(),
        }
    }

    fn make_large(&mut self) {
        let Form::Small(small) = &self.form else {
            return;
        };
        let mut large = LargeHash::new(self.hash_seed);
        for (field, value) in small.view().iter() {
            large.set(field, value);
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
    Large(&'a LargeHash),
}

impl<'a> HashRef<'a> {
    /// The hash that was packed into these bytes. `hash_seed` is that with which it was made.
    pub fn unpack(hash_seed: u64, bytes: &'a [u8]) -> HashRef<'a> {
        let form = FormRef::Small(SmallRef(bytes));
        HashRef { hash_seed, form }
    }

    /// The bytes that it can be made of again, if it is small.
    pub fn pack(self) -> Option<&'a [u8]> {
        match self.form {
            FormRef::Small(small) => Some(small.0),
            FormRef::Large(_) => None,
        }
    }

    /// A hash without fields in the form of this one: for a copy, which [`scan`](HashRef::scan) and
    /// [`set`](HashValue::set) make in steps.
    pub fn empty_like(self) -> HashValue {
        let mut empty = HashValue::new(self.hash_seed);
        if let FormRef::Large(_) = self.form {
            empty.make_large();
        }
        empty
    }

    /// How many fields it has.
    pub fn len(self) -> usize {
        match self.form {
            FormRef::Small(small) => small.len(),
            FormRef::Large(large) => large.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        match self.form {
            FormRef::Small(small) => small.0.is_empty(),
            FormRef::Large(large) => large.len() == 0,
        }
    }

    /// What a field holds (HGET).
    pub fn get(self, field: &[u8]) -> Option<FieldValue<'a>> {
        match self.form {
            FormRef::Small(small) => small.get(field).map(FieldValue::Short),
            FormRef::Large(large) => large.get(field),
        }
    }

    /// Something of what lies first in its memory, if there is anything: read so that it is near.
    pub fn first_byte(self) -> u8 {
        match self.form {
            FormRef::Small(small) => small.0.first().copied().unwrap_or(0),
            FormRef::Large(_) => 0,
        }
    }

    /// Bytes of all its fields, with what is lost around them.
    pub fn bytes(self) -> usize {
        match self.form {
            FormRef::Small(small) => small.0.len(),
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
            FormRef::Large(large) => large.scan(from, wanted),
        }
    }

    /// Some field, each about as likely as any other (HRANDFIELD). `random` gives 64 random bits at each call.
    pub fn random(self, mut random: impl FnMut() -> u64) -> Option<Field<'a>> {
        match self.form {
            FormRef::Small(small) if small.0.is_empty() => None,
            FormRef::Small(small) => small.iter().nth((random() % small.len() as u64) as usize).map(short),
            FormRef::Large(large) => large.random(random),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(self) -> HashEncoding {
        match self.form {
            FormRef::Small(_) => HashEncoding::Listpack,
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
