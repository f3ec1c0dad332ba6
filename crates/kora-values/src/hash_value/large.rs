//! A large hash: a table of fields.

use bytes::Bytes;

use super::{Field, FieldValue};
use crate::block::block_bytes;
use crate::segment_table::{self, Hashed, SegmentTable};

/// Fields and values, in the order of the fields' hashes.
#[derive(Debug)]
pub(super) struct LargeHash {
    hash_seed: u64,
    entries: SegmentTable<FieldEntry>,
    /// Invariant: the sum of the entries' `heap_bytes`.
    entry_bytes: usize,
}

#[derive(Debug)]
struct FieldEntry {
    /// Kept, so that a split need not read the names.
    hash: u32,
    field_bytes: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// The field's name and behind it its value: one allocation.
    Together(Box<[u8]>),
    /// The name, and a value that replies share.
    Apart(Box<(Box<[u8]>, Bytes)>),
}

impl LargeHash {
    pub(super) fn new(hash_seed: u64) -> LargeHash {
        LargeHash {
            hash_seed,
            entries: SegmentTable::new(),
            entry_bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<FieldValue<'_>> {
        let entry = self.entries.find(self.hash(field), |entry| entry.field() == field)?;
        Some(entry.value())
    }

    /// Sets a field; whether it is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let hash = self.hash(field);
        if let Some(entry) = self.entries.find_mut(hash, |entry| entry.field() == field) {
            self.entry_bytes -= entry.heap_bytes();
            entry.set(value);
            self.entry_bytes += entry.heap_bytes();
            return false;
        }
        let entry = FieldEntry {
            hash,
            field_bytes: u32::try_from(field.len()).expect("no argument is longer than 2³² bytes"),
            content: Content::new(field, value),
        };
        self.entry_bytes += entry.heap_bytes();
        self.entries.insert_new(entry);
        true
    }

    /// Sets a field to a long value that is not copied; whether it is new.
    pub(super) fn set_kept(&mut self, field: &[u8], value: Bytes) -> bool {
        let is_new = self.set(field, &[]);
        let hash = self.hash(field);
        if let Some(entry) = self.entries.find_mut(hash, |entry| entry.field() == field) {
            self.entry_bytes -= entry.heap_bytes();
            entry.content = Content::Apart(Box::new((field.into(), value)));
            self.entry_bytes += entry.heap_bytes();
        }
        is_new
    }

    /// Deletes a field; whether there was one.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let gone = self.entries.remove(self.hash(field), |entry| entry.field() == field);
        self.entry_bytes -= gone.as_ref().map_or(0, FieldEntry::heap_bytes);
        gone.is_some()
    }

    pub(super) fn scan(&self, from: u64, wanted: usize) -> (Vec<Field<'_>>, Option<u64>) {
        let Ok(from) = u32::try_from(from) else {
            return (Vec::new(), None);
        };
        let (entries, next) = self.entries.scan(from, u32::BITS, wanted);
        (entries.into_iter().map(FieldEntry::pair).collect(), next.map(u64::from))
    }

    pub(super) fn random(&self, random: impl FnMut() -> u64) -> Option<Field<'_>> {
        self.entries.random(random).map(FieldEntry::pair)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.bytes() + self.entry_bytes
    }

    /// Frees some fields; false when there were none left.
    pub(super) fn dismantle(&mut self) -> bool {
        let Some(entries) = self.entries.dismantle() else {
            return false;
        };
        self.entry_bytes -= entries.iter().map(FieldEntry::heap_bytes).sum::<usize>();
        true
    }

    /// What a field's name hashes to in this table.
    pub(super) fn hash(&self, field: &[u8]) -> u32 {
        segment_table::hash(self.hash_seed, field)
    }
}

impl Hashed for FieldEntry {
    fn hash(&self) -> u32 {
        self.hash
    }
}

impl FieldEntry {
    fn field(&self) -> &[u8] {
        match &self.content {
            Content::Together(bytes) => &bytes[..self.field_bytes as usize],
            Content::Apart(parts) => &parts.0,
        }
    }

    fn value(&self) -> FieldValue<'_> {
        match &self.content {
            Content::Together(bytes) => FieldValue::Short(&bytes[self.field_bytes as usize..]),
            Content::Apart(parts) => FieldValue::Long(&parts.1),
        }
    }

    fn pair(&self) -> Field<'_> {
        (self.field(), self.value())
    }

    fn set(&mut self, value: &[u8]) {
        let field_bytes = self.field_bytes as usize;
        match &mut self.content {
            // Counters and flags mostly keep their length.
            Content::Together(bytes) if bytes.len() == field_bytes + value.len() => {
                bytes[field_bytes..].copy_from_slice(value);
            }
            _ => self.content = Content::new(self.field(), value),
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.content {
            Content::Together(bytes) => block_bytes(bytes.len()),
            Content::Apart(parts) => {
                block_bytes(size_of_val(&**parts)) + block_bytes(parts.0.len()) + block_bytes(parts.1.len())
            }
        }
    }
}

impl Content {
    fn new(field: &[u8], value: &[u8]) -> Content {
        if value.len() < APART_BYTES_MIN {
            Content::Together([field, value].concat().into())
        } else {
            Content::Apart(Box::new((field.into(), Bytes::copy_from_slice(value))))
        }
    }
}

/// From 16 KiB on copying into a reply costs more than sharing, as for strings.
pub(super) const APART_BYTES_MIN: usize = 16 << 10;

// Millions of these are what a large hash is made of.
const _: () = assert!(size_of::<FieldEntry>() == 24);
