//! A large hash: a table of fields.

use bytes::Bytes;

use super::{Field, FieldValue};
use crate::block::block_bytes;
use crate::deadline_index::{DeadlineIndex, NEVER_MS};
use crate::segment_table::{self, Hashed, SegmentTable};

/// Fields and values, in the order of the fields' hashes.
#[derive(Debug)]
pub(super) struct LargeHash {
    hash_seed: u64,
    entries: SegmentTable<FieldEntry>,
    /// Invariant: the sum of the entries' `heap_bytes`.
    entry_bytes: usize,
    /// There only while fields have deadlines.
    deadlines: Option<Box<FieldDeadlines>>,
}

/// When the fields of a hash are due.
#[derive(Debug, Default)]
struct FieldDeadlines {
    /// Deadlines with the hashes of their fields. Invariant: holds those of each field that has a deadline, and no others. Two
    /// fields may share a pair.
    index: DeadlineIndex,
    /// How many fields have a deadline.
    fields: usize,
}

#[derive(Debug)]
struct FieldEntry {
    /// Kept, so that a split need not read the names.
    hash: u32,
    /// How long the name is, and [`EXPIRES_BIT`] if the field has a deadline.
    name_bytes: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// The field's name, its value and its deadline, if it has one: one allocation.
    Together(Box<[u8]>),
    /// The name with the deadline, and a value that replies share.
    Apart(Box<(Box<[u8]>, Bytes)>),
}

impl LargeHash {
    pub(super) fn new(hash_seed: u64) -> LargeHash {
        LargeHash {
            hash_seed,
            entries: SegmentTable::new(),
            entry_bytes: 0,
            deadlines: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<FieldValue<'_>> {
        self.entry(field).map(FieldEntry::value)
    }

    fn entry(&self, field: &[u8]) -> Option<&FieldEntry> {
        self.entries.find(self.hash(field), |entry| entry.field() == field)
    }

    /// Sets a field, and its deadline if one is given; whether the field is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], deadline_ms: Option<u64>) -> bool {
        let hash = self.hash(field);
        let Some(entry) = self.entries.find_mut(hash, |entry| entry.field() == field) else {
            let deadline_ms = deadline_ms.unwrap_or(NEVER_MS);
            let entry = FieldEntry::new(hash, field, value, deadline_ms);
            self.entry_bytes += entry.heap_bytes();
            self.entries.insert_new(entry);
            self.note_deadline(hash, NEVER_MS, deadline_ms);
            return true;
        };
        self.entry_bytes -= entry.heap_bytes();
        let old_ms = entry.deadline_ms();
        let new_ms = deadline_ms.unwrap_or(old_ms);
        entry.set(value, new_ms);
        self.entry_bytes += entry.heap_bytes();
        self.note_deadline(hash, old_ms, new_ms);
        false
    }

    /// Sets a field without a deadline to a long value that is not copied; whether the field is new.
    pub(super) fn set_kept(&mut self, field: &[u8], value: Bytes) -> bool {
        let is_new = self.set(field, &[], Some(NEVER_MS));
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
        let hash = self.hash(field);
        let Some(gone) = self.entries.remove(hash, |entry| entry.field() == field) else {
            return false;
        };
        self.entry_bytes -= gone.heap_bytes();
        self.note_deadline(hash, gone.deadline_ms(), NEVER_MS);
        true
    }

    /// When a field is due; [`NEVER_MS`] if it has no deadline.
    pub(super) fn deadline_ms(&self, field: &[u8]) -> Option<u64> {
        self.entry(field).map(FieldEntry::deadline_ms)
    }

    /// Gives a field a deadline, or none; what it had before, if there is such a field.
    pub(super) fn set_deadline(&mut self, field: &[u8], deadline_ms: u64) -> Option<u64> {
        let hash = self.hash(field);
        let entry = self.entries.find_mut(hash, |entry| entry.field() == field)?;
        self.entry_bytes -= entry.heap_bytes();
        let old_ms = entry.deadline_ms();
        entry.set_deadline(deadline_ms);
        self.entry_bytes += entry.heap_bytes();
        self.note_deadline(hash, old_ms, deadline_ms);
        Some(old_ms)
    }

    /// The first deadline of all.
    pub(super) fn first_deadline_ms(&self) -> u64 {
        let first = self.deadlines.as_ref().and_then(|deadlines| deadlines.index.first());
        first.map_or(NEVER_MS, |(first_ms, _)| first_ms)
    }

    /// Whether every field is due by then.
    pub(super) fn is_all_due(&self, now_ms: u64) -> bool {
        self.deadlines.as_ref().is_some_and(|deadlines| {
            let last = deadlines.index.last();
            deadlines.fields == self.len() && last.is_some_and(|(last_ms, _)| last_ms <= now_ms)
        })
    }

    /// The field that is due first.
    pub(super) fn first_due(&self) -> Option<&[u8]> {
        let (first_ms, hash) = self.deadlines.as_ref()?.index.first()?;
        let is_first = |entry: &FieldEntry| entry.hash == hash && entry.deadline_ms() == first_ms;
        let entry = self.entries.find(hash, is_first);
        entry.map(FieldEntry::field)
    }

    pub(super) fn scan(&self, from: u64, wanted: usize) -> (Vec<Field<'_>>, Option<u64>) {
        let (entries, next) = self.scan_entries(from, wanted);
        (entries.into_iter().map(FieldEntry::pair).collect(), next)
    }

    pub(super) fn scan_timed(&self, from: u64, wanted: usize) -> (Vec<(Field<'_>, u64)>, Option<u64>) {
        let (entries, next) = self.scan_entries(from, wanted);
        let timed = entries.into_iter().map(|entry| (entry.pair(), entry.deadline_ms()));
        (timed.collect(), next)
    }

    fn scan_entries(&self, from: u64, wanted: usize) -> (Vec<&FieldEntry>, Option<u64>) {
        let Ok(from) = u32::try_from(from) else {
            return (Vec::new(), None);
        };
        let (entries, next) = self.entries.scan(from, u32::BITS, wanted);
        (entries, next.map(u64::from))
    }

    pub(super) fn random(&self, random: impl FnMut() -> u64) -> Option<Field<'_>> {
        self.entries.random(random).map(FieldEntry::pair)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let deadlines = self.deadlines.as_ref();
        let deadline_bytes = deadlines.map_or(0, |deadlines| {
            block_bytes(size_of::<FieldDeadlines>()) + deadlines.index.bytes()
        });
        self.entries.bytes() + self.entry_bytes + deadline_bytes
    }

    /// Frees some fields; false when there were none left.
    pub(super) fn dismantle(&mut self) -> bool {
        if let Some(deadlines) = &mut self.deadlines {
            if !deadlines.index.dismantle() {
                self.deadlines = None;
            }
            return true;
        }
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

    /// A field of this hash had one deadline, and has another one now.
    fn note_deadline(&mut self, hash: u32, old_ms: u64, new_ms: u64) {
        if old_ms == new_ms {
            return;
        }
        let deadlines = self.deadlines.get_or_insert_default();
        if old_ms != NEVER_MS {
            deadlines.fields -= 1;
            let shares = |entry: &FieldEntry| entry.hash == hash && entry.deadline_ms() == old_ms;
            if self.entries.find(hash, shares).is_none() {
                deadlines.index.remove(old_ms, hash);
            }
        }
        if new_ms != NEVER_MS {
            deadlines.fields += 1;
            deadlines.index.insert(new_ms, hash);
        }
        if deadlines.fields == 0 {
            self.deadlines = None;
        }
    }
}

impl Hashed for FieldEntry {
    fn hash(&self) -> u32 {
        self.hash
    }
}

impl FieldEntry {
    fn new(hash: u32, field: &[u8], value: &[u8], deadline_ms: u64) -> FieldEntry {
        FieldEntry {
            hash,
            name_bytes: name_bytes(field, deadline_ms),
            content: Content::new(field, value, deadline_ms),
        }
    }

    fn field(&self) -> &[u8] {
        let name_bytes = (self.name_bytes & !EXPIRES_BIT) as usize;
        match &self.content {
            Content::Together(bytes) => &bytes[..name_bytes],
            Content::Apart(parts) => &parts.0[..name_bytes],
        }
    }

    fn value(&self) -> FieldValue<'_> {
        match &self.content {
            Content::Together(bytes) => {
                FieldValue::Short(&bytes[self.field().len()..bytes.len() - self.deadline_bytes()])
            }
            Content::Apart(parts) => FieldValue::Long(&parts.1),
        }
    }

    /// [`NEVER_MS`] if it has none.
    fn deadline_ms(&self) -> u64 {
        if self.deadline_bytes() == 0 {
            return NEVER_MS;
        }
        let bytes = match &self.content {
            Content::Together(bytes) => bytes,
            Content::Apart(parts) => &parts.0,
        };
        bytes
            .last_chunk()
            .map_or(NEVER_MS, |deadline| u64::from_le_bytes(*deadline))
    }

    fn deadline_bytes(&self) -> usize {
        match self.name_bytes & EXPIRES_BIT {
            0 => 0,
            _ => size_of::<u64>(),
        }
    }

    fn pair(&self) -> Field<'_> {
        (self.field(), self.value())
    }

    fn set(&mut self, value: &[u8], deadline_ms: u64) {
        let (start, keeps_place) = (self.field().len(), self.has_place_for(deadline_ms));
        match &mut self.content {
            // Counters and flags mostly keep their length.
            Content::Together(bytes)
                if keeps_place && bytes.len() == start + value.len() + deadline_bytes(deadline_ms) =>
            {
                bytes[start..start + value.len()].copy_from_slice(value);
                write_deadline(bytes, deadline_ms);
            }
            _ => *self = FieldEntry::new(self.hash, self.field(), value, deadline_ms),
        }
    }

    fn set_deadline(&mut self, deadline_ms: u64) {
        let keeps_place = self.has_place_for(deadline_ms);
        match &mut self.content {
            Content::Together(bytes) if keeps_place => write_deadline(bytes, deadline_ms),
            Content::Together(_) => {
                *self = FieldEntry::new(self.hash, self.field(), self.value().bytes(), deadline_ms);
            }
            Content::Apart(parts) => {
                let name = &parts.0[..(self.name_bytes & !EXPIRES_BIT) as usize];
                self.name_bytes = name_bytes(name, deadline_ms);
                parts.0 = [name, written(deadline_ms, &mut [0; size_of::<u64>()])].concat().into();
            }
        }
    }

    /// Whether it takes as many bytes with this deadline as with the one that it has.
    fn has_place_for(&self, deadline_ms: u64) -> bool {
        self.deadline_bytes() == deadline_bytes(deadline_ms)
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
    fn new(field: &[u8], value: &[u8], deadline_ms: u64) -> Content {
        let buffer = &mut [0; size_of::<u64>()];
        let deadline = written(deadline_ms, buffer);
        if value.len() < APART_BYTES_MIN {
            Content::Together([field, value, deadline].concat().into())
        } else {
            let name = [field, deadline].concat().into();
            Content::Apart(Box::new((name, Bytes::copy_from_slice(value))))
        }
    }
}

fn name_bytes(field: &[u8], deadline_ms: u64) -> u32 {
    let name_bytes = u32::try_from(field.len()).expect("no argument is longer than 2³² bytes");
    assert!(name_bytes < EXPIRES_BIT, "no argument is longer than 2³¹ bytes");
    name_bytes | if deadline_ms == NEVER_MS { 0 } else { EXPIRES_BIT }
}

/// Bytes that a deadline takes.
fn deadline_bytes(deadline_ms: u64) -> usize {
    if deadline_ms == NEVER_MS { 0 } else { size_of::<u64>() }
}

/// A deadline as it is written: 8 bytes, or none.
fn written(deadline_ms: u64, buffer: &mut [u8; size_of::<u64>()]) -> &[u8] {
    *buffer = deadline_ms.to_le_bytes();
    &buffer[..deadline_bytes(deadline_ms)]
}

/// Writes a deadline where there is one, at the end.
fn write_deadline(bytes: &mut [u8], deadline_ms: u64) {
    if deadline_ms != NEVER_MS {
        let start = bytes.len() - size_of::<u64>();
        bytes[start..].copy_from_slice(&deadline_ms.to_le_bytes());
    }
}

/// Of the length of a name: the field has a deadline.
const EXPIRES_BIT: u32 = 1 << 31;

/// From 16 KiB on copying into a reply costs more than sharing, as for strings.
pub(super) const APART_BYTES_MIN: usize = 16 << 10;

// Millions of these are what a large hash is made of.
const _: () = assert!(size_of::<FieldEntry>() == 24);
