//! From an element's name to its slot, and back: extendible hashing, so that no insert ever rehashes the whole table.
//!
//! A table of a million names that doubles would hold its worker for tens of milliseconds. Here names live in segments
//! of at most [`SEGMENT_ENTRIES_MAX`] entries; a full segment splits in two by one more bit of the hash, which moves
//! that many entries and no more (Fagin et al. 1979).

use hashbrown::HashTable;
use kora_vector::Slot;
use siphasher::sip::SipHasher13;

use super::slot_names::SlotNames;
use crate::cursor::SCAN_PREFIX_BITS;

/// Name → slot. The names themselves stand in [`SlotNames`].
pub(crate) struct ElementTable {
    /// Keys the hash: random in a server, so that nobody outside can choose names that collide.
    hash_seed: u64,
    /// The segment of each prefix of `depth` bits. Invariant: `directory.len() == 1 << depth`.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment>,
    len: usize,
}

struct Segment {
    /// Leading bits that all its hashes share. Invariant: at most the table's depth.
    depth: u32,
    entries: HashTable<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Kept, so that a split need not read the names.
    hash: u32,
    slot: Slot,
}

impl ElementTable {
    pub(crate) fn new(hash_seed: u64) -> ElementTable {
        let segment = Segment {
            depth: 0,
            entries: HashTable::new(),
        };
        ElementTable {
            hash_seed,
            directory: vec![0],
            depth: 0,
            segments: vec![segment],
            len: 0,
        }
    }

    /// Makes it empty; returns it as it was.
    pub(crate) fn renew(&mut self) -> ElementTable {
        let empty = ElementTable::new(self.hash_seed);
        std::mem::replace(self, empty)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn find(&self, name: &[u8], names: &SlotNames) -> Option<Slot> {
        let hash = self.hash(name);
        let segment = &self.segments[self.segment_of(hash)];
        segment
            .entries
            .find(spread(hash), |entry| names.name(entry.slot) == name)
            .map(|entry| entry.slot)
    }

    /// Names a slot; returns the slot that had this name before.
    pub(crate) fn insert(&mut self, slot: Slot, names: &SlotNames) -> Option<Slot> {
        let name = names.name(slot);
        let hash = self.hash(name);
        self.make_room(hash);
        let segment = self.segment_of(hash);
        let entries = &mut self.segments[segment].entries;
        if let Some(entry) = entries.find_mut(spread(hash), |entry| names.name(entry.slot) == name) {
            return Some(std::mem::replace(&mut entry.slot, slot));
        }
        entries.insert_unique(spread(hash), Entry { hash, slot }, |entry| spread(entry.hash));
        self.len += 1;
        None
    }

    /// The name of `from`, which `to` has too, is that of `to` from now on.
    pub(crate) fn redirect(&mut self, from: Slot, to: Slot, names: &SlotNames) {
        let hash = self.hash(names.name(to));
        let segment = self.segment_of(hash);
        let entries = &mut self.segments[segment].entries;
        let entry = entries.find_mut(spread(hash), |entry| entry.slot == from);
        entry.expect("a live slot's name leads to it").slot = to;
    }

    /// Forgets a name; returns its slot.
    pub(crate) fn remove(&mut self, name: &[u8], names: &SlotNames) -> Option<Slot> {
        let hash = self.hash(name);
        let segment = self.segment_of(hash);
        let entries = &mut self.segments[segment].entries;
        let found = entries
            .find_entry(spread(hash), |entry| names.name(entry.slot) == name)
            .ok()?;
        let (entry, _) = found.remove();
        if entries.capacity() > SPARSE_ENTRIES_MIN && entries.len() < entries.capacity() / 4 {
            entries.shrink_to(entries.len() * 2, |entry| spread(entry.hash));
        }
        self.len -= 1;
        Some(entry.slot)
    }

    /// The slots of the names whose hash has a prefix from `from` on, in the order of their prefixes: `wanted` of them, and
    /// all that share the last one's prefix. And the prefix to go on from, if there may be more.
    ///
    /// A name keeps its hash for as long as the table lives, however much it splits meanwhile: so whoever goes on until
    /// there is nothing to go on from has met every name that was there all the time.
    pub(crate) fn scan(&self, from: u32, wanted: usize) -> (Vec<Slot>, Option<u32>) {
        let mut slots = Vec::new();
        let mut last = None;
        let mut place = self.directory_place(from << (32 - SCAN_PREFIX_BITS));
        for _ in 0..SEGMENTS_PER_SCAN {
            let Some(&segment) = self.directory.get(place) else {
                return (slots, None);
            };
            let segment = &self.segments[segment as usize];
            let mut entries: Vec<(u32, Slot)> = segment
                .entries
                .iter()
                .map(|entry| (scan_prefix(entry.hash), entry.slot))
                .filter(|(prefix, _)| *prefix >= from)
                .collect();
            entries.sort_unstable_by_key(|(prefix, slot)| (*prefix, slot.index()));
            for (prefix, slot) in entries {
                if slots.len() >= wanted && last != Some(prefix) {
                    return (slots, Some(prefix));
                }
                last = Some(prefix);
                slots.push(slot);
            }
            place += 1 << (self.depth - segment.depth);
        }
        if place >= self.directory.len() {
            return (slots, None);
        }
        // More segments than bits of a prefix: then some names are met twice, and none is missed.
        let next = scan_prefix((place as u32) << (32 - self.depth));
        (slots, Some(next))
    }

    /// Bytes held, without the names.
    pub(crate) fn bytes(&self) -> usize {
        let entries: usize = self
            .segments
            .iter()
            .map(|segment| segment.entries.capacity() * (size_of::<Entry>() + 1))
            .sum();
        entries + self.segments.len() * size_of::<Segment>() + self.directory.len() * size_of::<u32>()
    }

    /// Frees one segment; false when there is none left. For a table that is no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        self.directory = Vec::new();
        self.segments.pop().is_some()
    }

    /// Splits the segment of `hash` until an entry can be added without growing it past its limit.
    fn make_room(&mut self, hash: u32) {
        loop {
            let index = self.segment_of(hash);
            let segment = &self.segments[index];
            if segment.entries.len() < SEGMENT_ENTRIES_MAX || segment.depth == DEPTH_MAX {
                return;
            }
            if segment.depth == self.depth {
                self.directory = self.directory.iter().flat_map(|segment| [*segment, *segment]).collect();
                self.depth += 1;
            }
            self.split(index);
        }
    }

    fn split(&mut self, index: usize) {
        let sibling = u32::try_from(self.segments.len()).expect("DEPTH_MAX bounds the segments");
        let segment = &mut self.segments[index];
        segment.depth += 1;
        let bit = 32 - segment.depth;
        let depth = segment.depth;
        let mut upper = HashTable::with_capacity(SEGMENT_ENTRIES_MAX / 2);
        for entry in segment.entries.extract_if(|entry| (entry.hash >> bit) & 1 == 1) {
            upper.insert_unique(spread(entry.hash), entry, |entry| spread(entry.hash));
        }
        self.segments.push(Segment { depth, entries: upper });
        let shared = self.depth - depth;
        let own = u32::try_from(index).expect("DEPTH_MAX bounds the segments");
        for (prefix, segment) in self.directory.iter_mut().enumerate() {
            if *segment == own && (prefix >> shared) & 1 == 1 {
                *segment = sibling;
            }
        }
    }

    fn hash(&self, name: &[u8]) -> u32 {
        let hasher = SipHasher13::new_with_keys(self.hash_seed, !self.hash_seed.rotate_left(32));
        (hasher.hash(name) >> 32) as u32
    }

    fn segment_of(&self, hash: u32) -> usize {
        self.directory[self.directory_place(hash)] as usize
    }

    fn directory_place(&self, hash: u32) -> usize {
        // A shift by all 32 bits is not one: depth 0 has a directory of one.
        if self.depth == 0 {
            0
        } else {
            (hash >> (32 - self.depth)) as usize
        }
    }
}

fn scan_prefix(hash: u32) -> u32 {
    hash >> (32 - SCAN_PREFIX_BITS)
}

/// Spreads 32 bits over the 64 that hashbrown looks at (Fibonacci hashing): within a segment the leading ones are alike.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// 4,096 entries of 8 bytes: a split moves 32 KiB, some tens of microseconds.
const SEGMENT_ENTRIES_MAX: usize = 4096;

/// A segment gives memory back when three quarters of it are unused, unless it is this small. So a slot's worth of entries is
/// moved once for each that is deleted, at most.
const SPARSE_ENTRIES_MIN: usize = 16;

/// 2^20 segments of 4,096 are as many entries as there are slots. Hashes that agree in 20 bits beyond that (none do, by
/// chance) make a segment grow.
const DEPTH_MAX: u32 = 20;

/// Segments looked through in one scan. Only after mass deletion are more than a few empty.
const SEGMENTS_PER_SCAN: usize = 16;

// Each scan gets past one prefix at least, or a client would scan for ever.
const _: () = assert!(SEGMENTS_PER_SCAN > 1 << (DEPTH_MAX - SCAN_PREFIX_BITS));

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_agrees_with_a_hash_map_through_many_splits() {
        let mut names = SlotNames::new();
        let mut table = ElementTable::new(7);
        let mut twin: HashMap<Vec<u8>, Slot> = HashMap::new();
        let mut state = 88_172_645_463_325_252_u64;
        for index in 0..60_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let name = format!("element {}", state % 40_000).into_bytes();
            if state & (1 << 40) == 0 {
                let gone = table.remove(&name, &names);
                assert_eq!(gone, twin.remove(&name), "at step {index}");
            }
            let slot = Slot::from_index(index);
            names.set(slot, &name);
            assert_eq!(table.insert(slot, &names), twin.insert(name, slot), "at step {index}");
            assert_eq!(table.len(), twin.len());
        }
        assert!(table.segments.len() > 4, "the test must split segments");
        assert!(
            table
                .segments
                .iter()
                .all(|segment| segment.entries.len() <= SEGMENT_ENTRIES_MAX)
        );
        for (name, slot) in &twin {
            assert_eq!(table.find(name, &names), Some(*slot));
            let to = Slot::from_index(slot.index() + 60_000);
            names.set(to, name);
            table.redirect(*slot, to, &names);
            assert_eq!(table.find(name, &names), Some(to));
        }
        assert_eq!(table.find(b"never set", &names), None);
    }

    #[test]
    fn a_scan_meets_every_name_that_stays_while_the_table_splits() {
        let mut names = SlotNames::new();
        let mut table = ElementTable::new(7);
        let mut add = |table: &mut ElementTable, index: u32| {
            let slot = Slot::from_index(index as usize);
            names.set(slot, &index.to_le_bytes());
            table.insert(slot, &names);
        };
        (0..3000).for_each(|index| add(&mut table, index));
        let (mut next, mut met, mut added, mut steps) = (Some(0), Vec::new(), 3000, 0);
        while let Some(from) = next {
            let (slots, after) = table.scan(from, 10);
            assert!(slots.len() < 10 + 100, "few share a prefix");
            assert!(after.is_none_or(|after| after > from), "each scan gets on");
            met.extend(slots);
            next = after;
            (added..added + 40).for_each(|index| add(&mut table, index));
            added += 40;
            steps += 1;
        }
        assert!(
            table.segments.len() > 8 && steps > 300,
            "{} segments, {steps} steps",
            table.segments.len()
        );
        met.sort_unstable();
        let first: Vec<usize> = met.iter().map(|slot| slot.index()).take(3000).collect();
        assert_eq!(first, (0..3000).collect::<Vec<usize>>(), "each once");
    }

    #[test]
    fn a_table_is_dismantled_segment_by_segment() {
        let mut names = SlotNames::new();
        let mut table = ElementTable::new(7);
        for index in 0..10_000_u32 {
            let slot = Slot::from_index(index as usize);
            names.set(slot, &index.to_le_bytes());
            table.insert(slot, &names);
        }
        let segments = table.segments.len();
        assert!(segments > 1);
        assert_eq!((0..).take_while(|_| table.dismantle()).count(), segments);
    }
}
