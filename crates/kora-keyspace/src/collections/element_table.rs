//! From an element's name to its slot, and back.

use kora_values::SegmentTable;
use kora_values::segment_table::{Hashed, hash};
use kora_vector::Slot;

use super::slot_names::SlotNames;
use crate::limits::SCAN_PREFIX_BITS;

/// Name → slot. The names themselves stand in [`SlotNames`].
pub(crate) struct ElementTable {
    /// Keys the hash: random in a server, so that no client can choose names that collide.
    hash_seed: u64,
    entries: SegmentTable<ElementEntry>,
}

struct ElementEntry {
    /// Kept, so that a split need not read the names.
    hash: u32,
    slot: Slot,
}

impl Hashed for ElementEntry {
    fn hash(&self) -> u32 {
        self.hash
    }
}

impl ElementTable {
    pub(crate) fn new(hash_seed: u64) -> ElementTable {
        ElementTable {
            hash_seed,
            entries: SegmentTable::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn find(&self, name: &[u8], names: &SlotNames) -> Option<Slot> {
        self.entry(name, names).map(|entry| entry.slot)
    }

    /// Names a slot; returns the slot that had this name before.
    pub(crate) fn insert(&mut self, slot: Slot, names: &SlotNames) -> Option<Slot> {
        let name = names.name(slot);
        let hash = hash(self.hash_seed, name);
        match self.entries.find_mut(hash, |entry| names.name(entry.slot) == name) {
            Some(entry) => Some(std::mem::replace(&mut entry.slot, slot)),
            None => {
                self.entries.insert_new(ElementEntry { hash, slot });
                None
            }
        }
    }

    /// The name of `from`, which `to` has too, is that of `to` from now on.
    pub(crate) fn redirect(&mut self, from: Slot, to: Slot, names: &SlotNames) {
        let hash = hash(self.hash_seed, names.name(to));
        let entry = self.entries.find_mut(hash, |entry| entry.slot == from);
        entry.expect("a live slot's name leads to it").slot = to;
    }

    /// Forgets a name; returns its slot.
    pub(crate) fn remove(&mut self, name: &[u8], names: &SlotNames) -> Option<Slot> {
        let gone = self
            .entries
            .remove(hash(self.hash_seed, name), |entry| names.name(entry.slot) == name);
        gone.map(|entry| entry.slot)
    }

    /// The slots of the names whose hash has a prefix from `from` on, in the order of their prefixes: `wanted` of them, and
    /// all that share the last one's prefix. And the prefix to go on from, if there may be more.
    ///
    /// A name keeps its hash for as long as the table lives, however much it splits meanwhile: so a scan that continues until
    /// there is nothing to go on from has met every name that was there all the time.
    pub(crate) fn scan(&self, from: u32, wanted: usize) -> (Vec<Slot>, Option<u32>) {
        let (entries, next) = self.entries.scan(from, SCAN_PREFIX_BITS, wanted);
        (entries.into_iter().map(|entry| entry.slot).collect(), next)
    }

    /// Bytes held, without the names.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.bytes()
    }

    fn entry(&self, name: &[u8], names: &SlotNames) -> Option<&ElementEntry> {
        let hash = hash(self.hash_seed, name);
        self.entries.find(hash, |entry| names.name(entry.slot) == name)
    }

    /// Frees some; false when there are none left. For a table that is no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        self.entries.dismantle().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kora_values::segment_table::{DISMANTLED_MAX, SEGMENT_ENTRIES_MAX};

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
        assert!(
            table.len() > 4 * SEGMENT_ENTRIES_MAX,
            "the test must split the table's segments"
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
            table.len() > 8 * SEGMENT_ENTRIES_MAX && steps > 300,
            "{} names, {steps} steps",
            table.len()
        );
        met.sort_unstable();
        let first: Vec<usize> = met.iter().map(|slot| slot.index()).take(3000).collect();
        assert_eq!(first, (0..3000).collect::<Vec<usize>>(), "each once");
    }

    #[test]
    fn a_table_is_dismantled_in_steps() {
        let mut names = SlotNames::new();
        let mut table = ElementTable::new(7);
        for index in 0..10_000_u32 {
            let slot = Slot::from_index(index as usize);
            names.set(slot, &index.to_le_bytes());
            table.insert(slot, &names);
        }
        let steps = (0..).take_while(|_| table.dismantle()).count();
        assert!(steps > 10_000 / DISMANTLED_MAX, "{steps} steps");
        assert_eq!(table.len(), 0);
    }
}
