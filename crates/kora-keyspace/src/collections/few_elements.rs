//! The names of a few vectors, one after the other.

use kora_vector::Slot;

use crate::limits::SCAN_PREFIX_BITS;

/// The names of a few slots, and which of them lead there, in one piece of memory.
#[derive(Default)]
pub(crate) struct FewElements {
    /// A record for each slot that has a name, in any order: its number, whether its name leads to it, how long it is, and the
    /// name.
    records: Vec<u8>,
}

/// What a record says.
pub(crate) struct Record<'a> {
    pub(crate) slot: Slot,
    pub(crate) name: &'a [u8],
    /// The name leads to the slot.
    pub(crate) leads: bool,
    /// It is to be forgotten.
    pub(crate) is_stale: bool,
    at: usize,
}

impl FewElements {
    /// How many names lead to a slot.
    pub(crate) fn len(&self) -> usize {
        self.iter().filter(|record| record.leads).count()
    }

    /// Names a slot, whatever its name was; false, and nothing has happened, if that would be too many or too long.
    pub(crate) fn set_name(&mut self, slot: Slot, name: &[u8]) -> bool {
        let bytes = HEAD + name.len();
        if slot.index() >= SLOTS_MAX || name.len() > NAME_BYTES_MAX || self.records.len() + bytes > BYTES_MAX {
            return false;
        }
        self.forget_name(slot);
        self.records.reserve_exact(bytes);
        self.records.extend([slot.index() as u8, UNLED, name.len() as u8]);
        self.records.extend_from_slice(name);
        true
    }

    /// A slot's name. Empty if it has none.
    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        self.of(slot).map_or(&[], |record| record.name)
    }

    /// Forgets a slot's name.
    pub(crate) fn forget_name(&mut self, slot: Slot) {
        if let Some(record) = self.of(slot) {
            let whole = record.at..record.at + HEAD + record.name.len();
            self.records.drain(whole);
            self.records.shrink_to_fit();
        }
    }

    /// Lets a slot's name, which does not lead there, be forgotten later.
    pub(crate) fn retire(&mut self, slot: Slot) {
        if let Some(record) = self.of(slot) {
            debug_assert!(!record.leads, "no table leads to it");
            let at = record.at;
            self.records[at + 1] = STALE;
        }
    }

    /// A slot that was retired, once.
    pub(crate) fn take_retired(&mut self) -> Option<Slot> {
        let Record { slot, at, .. } = self.iter().find(|record| record.is_stale)?;
        self.records[at + 1] = UNLED;
        Some(slot)
    }

    /// The slot to which a name leads.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Slot> {
        self.leading(name).map(|record| record.slot)
    }

    /// Lets a slot's name lead to it; returns the slot to which it led before.
    pub(crate) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        let record = self.of(slot).expect("it was named before");
        let at = record.at;
        let before = self.leading(record.name).map(|before| (before.at, before.slot));
        if let Some((before, _)) = before {
            self.lead(before, false);
        }
        self.lead(at, true);
        before.map(|(_, slot)| slot)
    }

    /// The name of `from`, which `to` has too, leads to `to` from now on.
    pub(crate) fn redirect(&mut self, from: Slot, to: Slot) {
        let record = self.of(from).expect("a live slot has a name");
        let (at, leads) = (record.at, record.leads);
        let to = self.of(to).expect("it was named before").at;
        self.lead(at, false);
        self.lead(to, leads);
    }

    /// Lets a name lead nowhere; returns the slot to which it led.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Slot> {
        let Record { at, slot, .. } = self.leading(name)?;
        self.lead(at, false);
        Some(slot)
    }

    /// The slots of the names whose hash has a prefix from `from` on, in that order: `wanted` of them, and all that share
    /// the last one's prefix. And the prefix to go on from, if there are more.
    pub(crate) fn scan(&self, from: u32, wanted: usize, hash: impl Fn(&[u8]) -> u32) -> (Vec<Slot>, Option<u32>) {
        let leading = self.iter().filter(|record| record.leads);
        let mut met: Vec<(u32, Slot)> = leading
            .map(|record| (hash(record.name) >> (32 - SCAN_PREFIX_BITS), record.slot))
            .filter(|(prefix, _)| *prefix >= from)
            .collect();
        met.sort_unstable();
        let last = met.get(wanted.max(1) - 1).map_or(u32::MAX, |(prefix, _)| *prefix);
        let end = met.partition_point(|(prefix, _)| *prefix <= last);
        let next = met.get(end).map(|(prefix, _)| *prefix);
        (met[..end].iter().map(|(_, slot)| *slot).collect(), next)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.records.capacity()
    }

    /// Every record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let [slot, led, length] = *self.records[at..].first_chunk::<HEAD>()?;
            let start = at + HEAD;
            let record = Record {
                slot: Slot::from_index(usize::from(slot)),
                name: &self.records[start..start + usize::from(length)],
                leads: led == LED,
                is_stale: led == STALE,
                at,
            };
            at = start + usize::from(length);
            Some(record)
        })
    }

    fn of(&self, slot: Slot) -> Option<Record<'_>> {
        self.iter().find(|record| record.slot == slot)
    }

    /// The record to whose slot a name leads.
    fn leading(&self, name: &[u8]) -> Option<Record<'_>> {
        self.iter().find(|record| record.leads && record.name == name)
    }

    /// Writes whether the name of the record there leads to its slot.
    fn lead(&mut self, at: usize, leads: bool) {
        self.records[at + 1] = if leads { LED } else { UNLED };
    }
}

/// So many slots are few: to look through all their names takes some fifty nanoseconds.
const SLOTS_MAX: usize = 32;

/// A longer name is not looked past so quickly.
const NAME_BYTES_MAX: usize = u8::MAX as usize;

/// And all records lie in a few cache lines.
const BYTES_MAX: usize = 2_048;

/// The bytes of a record before its name.
const HEAD: usize = 3;

/// The name leads to its slot.
const LED: u8 = 1;

/// It does not: the slot is an insertion's, or its vector is no longer there.
const UNLED: u8 = 0;

/// The latter, and the name is to be forgotten.
const STALE: u8 = 2;
