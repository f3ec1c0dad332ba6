//! From an element's name to its slot, and back: extendible hashing, so that no insert ever rehashes the whole table.
//!
//! A table of a million names that doubles would hold its worker for tens of milliseconds. Here names live in segments
//! of at most [`SEGMENT_ENTRIES_MAX`] entries; a full segment splits in two by one more bit of the hash, which moves
//! that many entries and no more (Fagin et al. 1979).

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use kora_vector::Slot;

use super::slot_names::SlotNames;

/// Name → slot. The names themselves stand in [`SlotNames`].
pub(crate) struct ElementTable {
    /// Keyed at random: nobody outside can choose names that collide.
    hasher: RandomState,
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
    pub(crate) fn new() -> ElementTable {
        let segment = Segment {
            depth: 0,
            entries: HashTable::new(),
        };
        ElementTable {
            hasher: RandomState::new(),
            directory: vec![0],
            depth: 0,
            segments: vec![segment],
            len: 0,
        }
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

    /// Forgets a name; returns its slot.
    pub(crate) fn remove(&mut self, name: &[u8], names: &SlotNames) -> Option<Slot> {
        let hash = self.hash(name);
        let segment = self.segment_of(hash);
        let entries = &mut self.segments[segment].entries;
        let found = entries
            .find_entry(spread(hash), |entry| names.name(entry.slot) == name)
            .ok()?;
        let (entry, _) = found.remove();
        self.len -= 1;
        Some(entry.slot)
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
        (self.hasher.hash_one(name) >> 32) as u32
    }

    fn segment_of(&self, hash: u32) -> usize {
        // A shift by all 32 bits is not one: depth 0 has a directory of one.
        let prefix = if self.depth == 0 { 0 } else { hash >> (32 - self.depth) };
        self.directory[prefix as usize] as usize
    }
}

/// Spreads 32 bits over the 64 that hashbrown looks at (Fibonacci hashing): within a segment the leading ones are alike.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// 4,096 entries of 8 bytes: a split moves 32 KiB, some tens of microseconds.
const SEGMENT_ENTRIES_MAX: usize = 4096;

/// 2^20 segments of 4,096 are as many entries as there are slots. Hashes that agree in 20 bits beyond that (none do, by
/// chance) make a segment grow.
const DEPTH_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_agrees_with_a_hash_map_through_many_splits() {
        let mut names = SlotNames::new();
        let mut table = ElementTable::new();
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
            let slot = names.push(&name);
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
        }
        assert_eq!(table.find(b"never set", &names), None);
    }

    #[test]
    fn a_table_is_dismantled_segment_by_segment() {
        let mut names = SlotNames::new();
        let mut table = ElementTable::new();
        for index in 0..10_000_u32 {
            let slot = names.push(&index.to_le_bytes());
            table.insert(slot, &names);
        }
        let segments = table.segments.len();
        assert!(segments > 1);
        assert_eq!((0..).take_while(|_| table.dismantle()).count(), segments);
    }
}
