//! A table of millions of small records that wastes little memory and never moves more than a segment at once.
//!
//! A record is a name with what lies there, as bytes. Those whose hashes begin alike make up a segment: a list of slots in the
//! order of the hashes, and an arena in which the records lie one behind the other. So a small record costs its bytes, a
//! slot of 12 and little beside: no block of the allocator, no pointer. What is large lies outside and is found by its number.
//! Bytes that are needed no more stay until a fifth of a segment's are; then those that are needed move to another arena.
//!
//! A full segment is divided by one more bit of the hash ([`directory`](crate::directory)), which moves
//! [`SEGMENT_RECORDS_MAX`] records. Records are scanned in the order of their hashes: a record keeps its hash while the table
//! splits and merges, so a scan that remembers nothing but the hash it has come to meets every record that was there all the
//! time.

mod arena;
mod records;
mod slots;

use std::cell::Cell;

pub use self::records::Content;

use self::records::Records;
use self::slots::{Slot, Slots};
use crate::directory::{self, Directory};

/// Names with what lies there: a few bytes, and where these don't suffice an `X`.
#[derive(Debug)]
pub struct PackedTable<X> {
    directory: Directory<Segment<X>>,
    len: usize,
    /// What the segments hold. Invariant: the sum of their `bytes`.
    bytes: usize,
    /// Bytes of dead records. Invariant: the sum of the segments' `dead`.
    dead_bytes: usize,
    /// The segment that [`PackedTable::compact_some`] looks at next.
    compact_next: usize,
}

/// Where a record lies, until the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    segment: usize,
    place: usize,
}

/// A record.
#[derive(Debug)]
pub struct Record<'t, X> {
    /// Of its name.
    pub hash: u32,
    /// The caller's note: when it was used, or how often.
    pub used: &'t Cell<u32>,
    /// The caller's note of seven bits.
    pub tag: u8,
    /// Its name.
    pub name: &'t [u8],
    /// What lies at the name, as bytes.
    pub body: &'t [u8],
    /// And beside them.
    pub outside: Option<&'t X>,
}

#[derive(Debug)]
struct Segment<X> {
    /// Leading bits that all its hashes share. Invariant: at most the directory's depth.
    depth: u32,
    /// Those bits, with zeros behind them.
    prefix: u32,
    slots: Slots,
    records: Records<X>,
}

impl<X> Clone for Record<'_, X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X> Copy for Record<'_, X> {}

impl<X> Default for PackedTable<X> {
    fn default() -> PackedTable<X> {
        PackedTable::new()
    }
}

impl<X> PackedTable<X> {
    /// An empty table. It allocates a few bytes.
    pub fn new() -> PackedTable<X> {
        PackedTable {
            directory: Directory::new(Segment::new(0, 0)),
            len: 0,
            bytes: 0,
            dead_bytes: 0,
            compact_next: 0,
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the record with this hash lies that `is` the one.
    pub fn find(&self, hash: u32, mut is: impl FnMut(Record<'_, X>) -> bool) -> Option<Position> {
        let segment = self.directory.index_of(hash);
        let part = self.directory.get(segment);
        let place = part.slots.find(hash, |slot| is(part.record(slot)))?;
        Some(Position { segment, place })
    }

    /// Where the record with this hash and this name lies.
    pub fn find_name(&self, hash: u32, name: &[u8]) -> Option<Position> {
        let segment = self.directory.index_of(hash);
        let part = self.directory.get(segment);
        let place = part.slots.find(hash, |slot| part.records.name(slot.at) == name)?;
        Some(Position { segment, place })
    }

    /// The record with this hash and this name.
    #[inline]
    pub fn record(&self, hash: u32, name: &[u8]) -> Option<Record<'_, X>> {
        let segment = self.directory.get(self.directory.index_of(hash));
        let place = segment.slots.find(hash, |slot| segment.records.name(slot.at) == name)?;
        Some(segment.record(segment.slot(place)))
    }

    /// Where a record with this hash lies, which may have another name. Nothing of the record is read.
    pub fn find_hash(&self, hash: u32) -> Option<Position> {
        let segment = self.directory.index_of(hash);
        let place = self.directory.get(segment).slots.find(hash, |_| true)?;
        Some(Position { segment, place })
    }

    /// The record at a position.
    ///
    /// # Panics
    /// If the table has changed since the position was found, perhaps.
    pub fn get(&self, position: Position) -> Record<'_, X> {
        let segment = self.directory.get(position.segment);
        segment.record(segment.slot(position.place))
    }

    /// Something of where a hash is looked for, read so that it is near.
    #[inline]
    pub fn touched_for(&self, hash: u32) -> u32 {
        self.directory.get(self.directory.index_of(hash)).slots.touched(hash)
    }

    /// Something of a record's bytes, read so that they are near.
    pub fn touched(&self, position: Position) -> u32 {
        let segment = self.directory.get(position.segment);
        segment.records.touched(segment.slot(position.place).at)
    }

    /// What lies outside of a record's bytes.
    pub fn outside(&self, position: Position) -> Option<&X> {
        let segment = self.directory.get(position.segment);
        segment.records.outside(segment.slot(position.place).at)
    }

    /// The body of a record and what lies outside, to be changed where they are.
    pub fn get_mut(&mut self, position: Position) -> (&mut [u8], Option<&mut X>) {
        let segment = self.directory.get_mut(position.segment);
        let at = segment.slot(position.place).at;
        segment.records.parts_mut(at)
    }

    /// Adds a record that is not there yet: the caller has looked.
    pub fn insert_new(&mut self, hash: u32, name: &[u8], used: u32, content: Content<'_, X>) {
        let mut index = self.directory.index_of(hash);
        while self.directory.get(index).slots.len() >= SEGMENT_RECORDS_MAX {
            let (before, dead) = (self.directory.get(index).bytes(), self.directory.get(index).dead());
            if !self.directory.split(index) {
                break;
            }
            let last = self.directory.segments().len() - 1;
            let (lower, upper) = (self.directory.get(index), self.directory.get(last));
            self.bytes = self.bytes + lower.bytes() + upper.bytes() - before;
            self.dead_bytes = self.dead_bytes + lower.dead() + upper.dead() - dead;
            index = self.directory.index_of(hash);
        }
        self.change(index, |segment| {
            if segment.records.should_move_before(name, &content) {
                segment.compact();
            }
            let at = segment.records.push(name, content);
            segment.slots.insert(Slot {
                hash,
                at,
                used: Cell::new(used),
            });
        });
        self.len += 1;
    }

    /// Lets a record have other content; returns what lay outside. `name` is the record's.
    pub fn replace(&mut self, position: Position, name: &[u8], content: Content<'_, X>) -> Option<X> {
        self.change(position.segment, |segment| {
            if segment.records.should_move_before(name, &content) {
                segment.compact();
            }
            let slot = segment.slots.get_mut(position.place);
            debug_assert_eq!(segment.records.name(slot.at), name, "a record keeps its name");
            let (at, gone) = segment.records.replace(slot.at, name, content);
            slot.at = at;
            gone
        })
    }

    /// Takes out a record; returns what lay outside.
    pub fn remove(&mut self, position: Position) -> Option<X> {
        let (gone, hash, is_sparse) = self.change(position.segment, |segment| {
            let slot = segment.slots.remove(position.place);
            let gone = segment.records.remove(slot.at);
            if segment.slots.len() == 0 {
                segment.records = Records::default();
            } else if segment.records.should_move() {
                segment.compact();
            }
            (gone, slot.hash, segment.slots.len() <= MERGED_RECORDS_MAX / 2)
        });
        self.len -= 1;
        if is_sparse && self.directory.segments().len() > 1 {
            self.merge(hash);
        }
        gone
    }

    /// The records whose hash has a prefix of `bits` bits from `from` on, in the order of their hashes: `wanted` of them,
    /// fewer after mass deletion, and all that share the last one's prefix. And the prefix to go on from, if there may be
    /// more; it is beyond `from`.
    ///
    /// The fewer bits, the more share a prefix and come at once; with 32 these are only equal hashes.
    pub fn scan(&self, from: u32, bits: u32, wanted: usize) -> (Vec<Record<'_, X>>, Option<u32>) {
        assert!((1..=32).contains(&bits), "{bits} bits of a hash");
        let shift = 32 - bits;
        let mut met = Vec::new();
        if u64::from(from) >= 1 << bits {
            return (met, None);
        }
        let mut last = None;
        // Of a hash 2³² or more: behind all segments.
        let mut place = u64::from(from) << shift;
        for visited in 1.. {
            let first = place as u32;
            let segment = self.directory.get(self.directory.index_of(first));
            for slot in segment.slots.iter_from(first) {
                let prefix = slot.hash >> shift;
                if met.len() >= wanted.max(1) && last != Some(prefix) {
                    return (met, Some(prefix));
                }
                met.push(segment.record(slot));
                last = Some(prefix);
            }
            place = u64::from(segment.prefix) + (1 << (32 - segment.depth));
            if place >> 32 != 0 {
                return (met, None);
            }
            // What the next segments hold of this prefix belongs to what was met.
            let ends_a_prefix = place & ((1 << shift) - 1) == 0;
            if ends_a_prefix && (met.len() >= wanted || visited >= SEGMENTS_PER_SCAN) {
                break;
            }
        }
        (met, Some((place >> shift) as u32))
    }

    /// Some record, each about as likely as any other. `random` gives 64 random bits at each call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Record<'_, X>> {
        if self.len == 0 {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            // A segment of few bits stands in the directory as often as it has records, on average.
            let number = random();
            let segment = self.directory.get(self.directory.index_of((number >> 32) as u32));
            let place = below(number as u32, segment.slots.capacity());
            if let Some(slot) = segment.slots.get(place) {
                return Some(segment.record(slot));
            }
        }
        // So sparse that luck takes long: the first from some place on.
        let start = below(random() as u32, self.directory.segments().len());
        let (before, behind) = self.directory.segments().split_at(start);
        behind
            .iter()
            .chain(before)
            .find_map(|segment| Some(segment.record(segment.slots.iter().next()?)))
    }

    /// Some neighbouring records, each about as likely as any other: their hashes and their notes, without reading the records
    /// themselves. Calls `visit` with `wanted` of them, fewer where there are fewer around.
    pub fn sample(&self, random: u64, wanted: usize, mut visit: impl FnMut(u32, u32)) {
        let mut index = self.directory.index_of((random >> 32) as u32);
        let mut met = 0;
        for _ in 0..SEGMENTS_PER_SAMPLE {
            let segment = self.directory.get(index);
            let capacity = segment.slots.capacity();
            let start = below(random as u32, capacity);
            let places = (start..capacity).chain(0..start);
            for slot in places.filter_map(|place| segment.slots.get(place)) {
                if met == wanted {
                    return;
                }
                visit(slot.hash, slot.used.get());
                met += 1;
            }
            index = (index + 1) % self.directory.segments().len();
        }
    }

    /// Bytes of dead records, which are freed when their segments are compacted.
    pub fn dead_bytes(&self) -> usize {
        self.dead_bytes
    }

    /// Compacts the next segment of which one byte in `one_in` is dead; false if there is none among some.
    pub fn compact_some(&mut self, one_in: usize) -> bool {
        let count = self.directory.segments().len();
        for _ in 0..count.min(SEGMENTS_PER_SCAN) {
            self.compact_next = (self.compact_next + 1) % count;
            let segment = self.directory.get(self.compact_next);
            if segment.dead() > 0 && segment.dead() * one_in >= segment.records.live() {
                self.change(self.compact_next, Segment::compact);
                return true;
            }
        }
        false
    }

    /// Every record, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_, X>> {
        let segments = self.directory.segments().iter();
        segments.flat_map(|segment| segment.slots.iter().map(|slot| segment.record(slot)))
    }

    /// Bytes held, without what the things outside point to.
    pub fn bytes(&self) -> usize {
        self.bytes + self.directory.bytes()
    }

    /// Bytes that a record takes of what the table holds: its own, its slot, and its share of what is lost around them.
    pub fn bytes_at(&self, position: Position) -> usize {
        let segment = self.directory.get(position.segment);
        let own = segment.records.layout(segment.slot(position.place).at).len();
        let records = segment.records.bytes() as u128 * own as u128 / segment.records.live().max(1) as u128;
        (segment.slots.bytes() + size_of::<Segment<X>>()).div_ceil(segment.slots.len().max(1)) + records as usize
    }

    /// Takes out some records; returns what lay outside of them, [`DISMANTLED_MAX`] at most, and `None` when there are none
    /// left. For a table that is used no more, so that it can be freed in steps.
    pub fn dismantle(&mut self) -> Option<Vec<X>> {
        let segment = self.directory.last_mut()?;
        let taken = segment.records.take_some(DISMANTLED_MAX);
        if taken.is_empty() {
            let gone = self.directory.pop()?;
            self.len -= gone.slots.len();
            self.bytes -= gone.bytes();
            self.dead_bytes -= gone.dead();
        }
        Some(taken)
    }

    /// # Panics
    /// If the table is not sound.
    pub fn assert_sound(&self) {
        let segments = self.directory.segments();
        for segment in segments {
            segment.slots.assert_sound();
            let live: usize = segment
                .slots
                .iter()
                .map(|slot| segment.records.layout(slot.at).len())
                .sum();
            assert_eq!(live, segment.records.live(), "what no record needs is counted");
            let hashes = segment.slots.iter().map(|slot| slot.hash);
            let shift = 32 - segment.depth;
            assert!(
                hashes
                    .into_iter()
                    .all(|hash| u64::from(hash ^ segment.prefix) >> shift == 0)
            );
        }
        assert_eq!(
            segments.iter().map(|segment| segment.slots.len()).sum::<usize>(),
            self.len
        );
        assert_eq!(segments.iter().map(Segment::bytes).sum::<usize>(), self.bytes);
        assert_eq!(segments.iter().map(Segment::dead).sum::<usize>(), self.dead_bytes);
    }

    /// Changes a segment, and counts what it holds then.
    fn change<R>(&mut self, index: usize, change: impl FnOnce(&mut Segment<X>) -> R) -> R {
        let segment = self.directory.get_mut(index);
        let (before, dead) = (segment.bytes(), segment.dead());
        let outcome = change(segment);
        self.bytes = self.bytes + segment.bytes() - before;
        self.dead_bytes = self.dead_bytes + segment.dead() - dead;
        outcome
    }

    /// Makes one of the segment of `hash` and its other half, while both are sparse.
    fn merge(&mut self, hash: u32) {
        let (mut before, mut dead) = (0, 0);
        while self.directory.merge(hash, |one, other| {
            before = one.bytes() + other.bytes();
            dead = one.dead() + other.dead();
            one.slots.len() + other.slots.len() <= MERGED_RECORDS_MAX
        }) {
            let merged = self.directory.get(self.directory.index_of(hash));
            self.bytes = self.bytes + merged.bytes() - before;
            self.dead_bytes = self.dead_bytes + merged.dead() - dead;
        }
    }
}

impl<X> Segment<X> {
    fn new(depth: u32, prefix: u32) -> Segment<X> {
        Segment {
            depth,
            prefix,
            slots: Slots::of(depth, &[]),
            records: Records::default(),
        }
    }

    fn slot(&self, place: usize) -> &Slot {
        self.slots.get(place).expect("the table has not changed since")
    }

    #[inline]
    fn record<'t>(&'t self, slot: &'t Slot) -> Record<'t, X> {
        let (tag, name, body, outside) = self.records.parts(slot.at);
        Record {
            hash: slot.hash,
            used: &slot.used,
            tag,
            name,
            body,
            outside,
        }
    }

    /// Moves all records to an arena in which nothing is lost.
    fn compact(&mut self) {
        let mut records = Records::expecting(self.records.live());
        for slot in self.slots.iter_mut() {
            slot.at = self.records.move_to(slot.at, &mut records);
        }
        self.records = records;
    }

    fn bytes(&self) -> usize {
        self.slots.bytes() + self.records.bytes()
    }

    fn dead(&self) -> usize {
        self.records.dead()
    }
}

impl<X> directory::Segment for Segment<X> {
    fn depth(&self) -> u32 {
        self.depth
    }

    fn prefix(&self) -> u32 {
        self.prefix
    }

    fn split(&mut self) -> Segment<X> {
        let depth = self.depth + 1;
        let prefix = self.prefix | 1 << (32 - depth);
        let slots: Vec<Slot> = self.slots.iter().cloned().collect();
        let (lower, upper) = slots.split_at(slots.partition_point(|slot| slot.hash < prefix));
        let expected = self.records.live() / 2;
        let mut take = |part: &[Slot]| {
            let mut records = Records::expecting(expected);
            let moved = |slot: &Slot| Slot {
                at: self.records.move_to(slot.at, &mut records),
                ..slot.clone()
            };
            let slots: Vec<Slot> = part.iter().map(moved).collect();
            (Slots::of(depth, &slots), records)
        };
        let (upper_slots, upper_records) = take(upper);
        let (lower_slots, lower_records) = take(lower);
        (self.depth, self.slots, self.records) = (depth, lower_slots, lower_records);
        Segment {
            depth,
            prefix,
            slots: upper_slots,
            records: upper_records,
        }
    }

    fn join(&mut self, mut other: Segment<X>) {
        let depth = self.depth - 1;
        let mut records = Records::expecting(self.records.live() + other.records.live());
        let mut slots = Vec::with_capacity(self.slots.len() + other.slots.len());
        let (lower, upper) = match self.prefix < other.prefix {
            true => (&mut *self, &mut other),
            false => (&mut other, &mut *self),
        };
        for part in [lower, upper] {
            let moved = part.slots.iter().map(|slot| Slot {
                at: part.records.move_to(slot.at, &mut records),
                ..slot.clone()
            });
            slots.extend(moved);
        }
        self.prefix = self.prefix.min(other.prefix);
        self.depth = depth;
        self.slots = Slots::of(depth, &slots);
        self.records = records;
    }
}

/// A number below `bound`, each as likely as any other but for one in 2³²/`bound`.
fn below(random: u32, bound: usize) -> usize {
    ((u64::from(random) * bound as u64) >> 32) as usize
}

/// A split moves so many records, some tens of microseconds for small ones, and a million keys have some thousand segments,
/// so that what leads to them fits a cache.
pub const SEGMENT_RECORDS_MAX: usize = 1024;

/// Things from outside taken out in one step of dismantling: to free one takes some microseconds.
pub const DISMANTLED_MAX: usize = 64;

/// Two segments become one when it is a quarter full, so that many more must come before it splits again.
const MERGED_RECORDS_MAX: usize = SEGMENT_RECORDS_MAX / 4;

/// Segments looked through in one scan. Only after mass deletion are more than a few empty.
const SEGMENTS_PER_SCAN: usize = 16;

/// Segments looked at for one sample, where some are empty.
const SEGMENTS_PER_SAMPLE: usize = 4;

/// Half of a segment's places have a slot at least, but for segments of a few: of 64 tries one succeeds nearly always.
const RANDOM_TRIES: usize = 64;

#[cfg(test)]
mod tests;
