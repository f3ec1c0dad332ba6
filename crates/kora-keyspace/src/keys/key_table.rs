//! The keys of one shard that hold strings and hashes, and when they expire.

use std::cell::Cell;
use std::collections::BTreeSet;

use kora_values::segment_table::{Hashed, hash};
use kora_values::{HashValue, SegmentTable, StringValue};

use crate::changes::Changed;
use crate::key::{KeyType, Place};
use crate::time::{NEVER_MS, seconds};

/// Keys with what they hold.
///
/// Every method that changes what a client can see returns [`Changed`], which only a commit takes.
pub struct KeyTable {
    /// Keys the hash: random in a server, so that nobody outside can choose keys that collide.
    hash_seed: u64,
    entries: SegmentTable<Entry>,
    /// When to look at keys that expire, and their hashes. Invariant: holds ([`Entry::look_ms`], hash) for each entry that
    /// expires, and no others.
    ///
    /// Ordered, so that what is due comes first, and one for each, so that a key whose time is set again and again holds no
    /// more. Two keys may share an item: with one hash and one millisecond. A time that is moved on leaves the item where it
    /// stands, to be moved when its time has come: caches do that all the time, and to move it costs as much as a third of a
    /// SET (with 100,000 keys at depth 16).
    expiries: BTreeSet<(u64, u32)>,
}

/// One key.
pub struct Entry {
    hash: u32,
    /// When it was last used, in seconds of Unix time. A read notes it.
    used_s: Cell<u32>,
    /// When it expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not. Changed by the table only.
    deadline_ms: u64,
    /// How much earlier it is to be looked at. 0 if it does not expire.
    lead_ms: u32,
    key: Box<[u8]>,
    value: Value,
}

/// What a key holds beside a vector.
#[derive(Debug)]
pub enum Value {
    /// A string.
    String(StringValue),
    /// A hash. It has a field at least, but while it is being made.
    Hash(Box<HashValue>),
}

/// A value that moves to another key.
#[derive(Debug)]
pub struct MovedValue {
    /// The value.
    pub value: Value,
    /// When it expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not.
    pub deadline_ms: u64,
}

impl Value {
    /// What it is.
    pub fn kind(&self) -> KeyType {
        match self {
            Value::String(_) => KeyType::String,
            Value::Hash(_) => KeyType::Hash,
        }
    }

    /// Something of what lies beside the entry, read so that it is near.
    fn touched(&self) -> u32 {
        match self {
            Value::String(string) => u32::from(string.first_byte()),
            Value::Hash(hash) => u32::from(hash.first_byte()),
        }
    }

    /// Bytes held beside the entry.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(string) => string.heap_bytes(),
            Value::Hash(hash) => hash.bytes(),
        }
    }
}

impl Entry {
    /// When it expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not.
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// What the key holds.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// When it was last used, in seconds of Unix time.
    pub fn used_s(&self) -> u32 {
        self.used_s.get()
    }

    /// When it is to be looked at whether it has expired, if it ever does.
    fn look_ms(&self) -> u64 {
        self.deadline_ms - u64::from(self.lead_ms)
    }

    /// True if it has expired by then.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.deadline_ms <= now_ms
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Notes that it is used now.
    pub fn touch(&self, now_ms: u64) {
        self.used_s.set(seconds(now_ms));
    }

    /// What the key held.
    pub(crate) fn into_value(self) -> Value {
        self.value
    }

    /// Bytes held, with the entry's share of the table.
    pub fn bytes(&self) -> usize {
        size_of::<Entry>() + CONTROL_BYTES + self.key.len() + self.value.heap_bytes()
    }
}

impl Hashed for Entry {
    fn hash(&self) -> u32 {
        self.hash
    }
}

impl KeyTable {
    pub(crate) fn new(hash_seed: u64) -> KeyTable {
        KeyTable {
            hash_seed,
            entries: SegmentTable::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// Makes it empty; returns it as it was.
    pub(crate) fn renew(&mut self) -> KeyTable {
        let empty = KeyTable::new(self.hash_seed);
        std::mem::replace(self, empty)
    }

    /// How many keys there are of strings and hashes, with those that have expired and are not reclaimed yet.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of them expire, but for those that share their millisecond and their hash with another.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// A key's hash here.
    pub fn hash(&self, key: &[u8]) -> u32 {
        hash(self.hash_seed, key)
    }

    /// The entry of a key, with its hash.
    pub fn find(&self, hash: u32, key: &[u8]) -> Option<&Entry> {
        self.entries.find(hash, |entry| *entry.key == *key)
    }

    /// Looks for keys that will be asked for in a moment, so that they are near then. Each step is taken for all of them
    /// before the next: memory answers many questions in the time of one if none depends on another's answer.
    pub fn look_for<'k>(&self, mut keys: impl Iterator<Item = &'k [u8]>) {
        let mut hashes = [0; LOOKED_FOR_MAX];
        loop {
            let mut count = 0;
            for (place, key) in hashes.iter_mut().zip(&mut keys) {
                *place = self.hash(key);
                count += 1;
            }
            if count >= LOOKED_FOR_MIN {
                self.look_for_hashes(&hashes[..count]);
            }
            if count < LOOKED_FOR_MAX {
                return;
            }
        }
    }

    fn look_for_hashes(&self, hashes: &[u32]) {
        let mut found = [None; LOOKED_FOR_MAX];
        for (place, hash) in found.iter_mut().zip(hashes) {
            *place = self.entries.find(*hash, |entry| entry.hash == *hash);
        }
        let first = |bytes: &[u8]| u32::from(bytes.first().copied().unwrap_or(0));
        let touched: u32 = found
            .iter()
            .flatten()
            .map(|entry| first(&entry.key) + entry.value.touched())
            .sum();
        std::hint::black_box(touched);
    }

    /// Changes the value of a key that is there, which counts as used. The closure says what it did; a value that it refused
    /// to change it leaves as it was.
    pub(crate) fn edit<R>(&mut self, place: Place<'_>, edit: impl FnOnce(&mut Value) -> R) -> Option<(R, Changed)> {
        let entry = self.find_mut(place.hash, place.key)?;
        entry.touch(place.now_ms);
        let before = entry.bytes();
        let outcome = edit(&mut entry.value);
        Some((outcome, Changed::between(before, entry.bytes())))
    }

    /// Gives a key that is there another value, which counts as used, and another time to expire if one is given. Returns
    /// what it held; the value itself if the key is not there.
    pub(crate) fn replace(
        &mut self,
        hash: u32,
        key: &[u8],
        value: Value,
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(Value, Changed), Value> {
        let Some(entry) = self.find_mut(hash, key) else {
            return Err(value);
        };
        let bytes_before = entry.bytes();
        let before = std::mem::replace(&mut entry.value, value);
        entry.touch(now_ms);
        let changed = Changed::between(bytes_before, entry.bytes());
        let other_ms = deadline_ms.filter(|deadline_ms| *deadline_ms != entry.deadline_ms);
        if let Some(deadline_ms) = other_ms {
            self.move_expiry(hash, key, deadline_ms);
        }
        Ok((before, changed))
    }

    /// Adds a key that is not there: the caller has looked.
    pub(crate) fn insert_new(&mut self, hash: u32, key: &[u8], moved: MovedValue, now_ms: u64) -> Changed {
        let MovedValue { value, deadline_ms } = moved;
        if deadline_ms != NEVER_MS {
            self.expiries.insert((deadline_ms, hash));
        }
        let entry = Entry {
            hash,
            used_s: Cell::new(seconds(now_ms)),
            deadline_ms,
            lead_ms: 0,
            key: key.into(),
            value,
        };
        let changed = Changed::between(0, entry.bytes());
        self.entries.insert_new(entry);
        changed
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<(Entry, Changed)> {
        let entry = self.entries.remove(hash, |entry| *entry.key == *key)?;
        self.forget_look(entry.look_ms(), hash);
        let changed = Changed::between(entry.bytes(), 0);
        Some((entry, changed))
    }

    /// Lets a key that is there expire at this time.
    pub(crate) fn set_expiry(&mut self, hash: u32, key: &[u8], deadline_ms: u64) -> Changed {
        self.move_expiry(hash, key, deadline_ms);
        Changed::between(0, 0)
    }

    fn find_mut(&mut self, hash: u32, key: &[u8]) -> Option<&mut Entry> {
        self.entries.find_mut(hash, |entry| *entry.key == *key)
    }

    fn move_expiry(&mut self, hash: u32, key: &[u8], deadline_ms: u64) {
        let Some(entry) = self.find_mut(hash, key) else { return };
        let look_ms = entry.look_ms();
        entry.deadline_ms = deadline_ms;
        entry.lead_ms = 0;
        if look_ms == deadline_ms {
            return;
        }
        if deadline_ms != NEVER_MS
            && let Some(lead_ms) = deadline_ms.checked_sub(look_ms)
            && let Ok(lead_ms) = u32::try_from(lead_ms)
        {
            entry.lead_ms = lead_ms;
            return;
        }
        self.forget_look(look_ms, hash);
        if deadline_ms != NEVER_MS {
            self.expiries.insert((deadline_ms, hash));
        }
    }

    /// True if some key may have expired by then.
    pub fn has_due(&self, now_ms: u64) -> bool {
        self.expiries
            .first()
            .is_some_and(|(deadline_ms, _)| *deadline_ms <= now_ms)
    }

    /// When the next key may expire: not later than one does.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.expiries.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Looks at the key that is to be looked at first, if one is by then. Takes it out if it has expired.
    pub(crate) fn look_at_due(&mut self, now_ms: u64) -> Due {
        let Some(&(look_ms, hash)) = self.expiries.first().filter(|(look_ms, _)| *look_ms <= now_ms) else {
            return Due::Nothing;
        };
        let is_it = |entry: &Entry| entry.hash == hash && entry.look_ms() == look_ms;
        let entry = self.entries.find_mut(hash, is_it).expect("an item stands for an entry");
        if entry.deadline_ms > now_ms {
            let deadline_ms = entry.deadline_ms;
            entry.lead_ms = 0;
            self.forget_look(look_ms, hash);
            self.expiries.insert((deadline_ms, hash));
            return Due::Later;
        }
        let entry = self.entries.remove(hash, is_it).expect("it was found");
        self.forget_look(look_ms, hash);
        let changed = Changed::between(entry.bytes(), 0);
        Due::Expired(entry, changed)
    }

    /// Keys in the order of their hashes, from a prefix on; see [`SegmentTable::scan`].
    pub fn scan(&self, from: u32, bits: u32, wanted: usize) -> (Vec<&Entry>, Option<u32>) {
        self.entries.scan(from, bits, wanted)
    }

    /// Some key.
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<&Entry> {
        self.entries.random(random)
    }

    /// Frees some entries; calls `bury` with what is too large to be freed at once. False when there is nothing left. For a
    /// table that is no longer used.
    pub(crate) fn dismantle(&mut self, mut bury: impl FnMut(Value)) -> bool {
        if !self.expiries.is_empty() {
            (0..EXPIRIES_PER_STEP).all(|_| self.expiries.pop_first().is_some());
            return true;
        }
        let Some(entries) = self.entries.dismantle() else {
            return false;
        };
        entries.into_iter().for_each(|entry| bury(entry.value));
        true
    }

    /// Every key. For tests and the simulation.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Bytes held of all entries, counted anew. For tests and the simulation.
    pub(crate) fn recount_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes() as u64).sum()
    }

    /// # Panics
    /// If the table is not sound.
    pub(crate) fn assert_sound(&self) {
        let expiring = self.entries.iter().filter(|entry| entry.deadline_ms != NEVER_MS);
        let items: BTreeSet<(u64, u32)> = expiring.map(|entry| (entry.look_ms(), entry.hash)).collect();
        assert!(
            items == self.expiries,
            "an item for each key that expires, and no others"
        );
        assert_eq!(self.entries.iter().count(), self.entries.len());
        for entry in self.entries.iter() {
            assert_eq!(self.hash(&entry.key), entry.hash);
        }
    }

    /// Forgets that a key of this hash was to be looked at then, unless another one is.
    fn forget_look(&mut self, look_ms: u64, hash: u32) {
        if look_ms == NEVER_MS {
            return;
        }
        let shares = |entry: &Entry| entry.hash == hash && entry.look_ms() == look_ms;
        if self.entries.find(hash, shares).is_none() {
            self.expiries.remove(&(look_ms, hash));
        }
    }
}

/// What became of the key that was to be looked at first.
pub(crate) enum Due {
    /// There is none yet.
    Nothing,
    /// It expires later.
    Later,
    /// It has expired, and is out of the table.
    Expired(Entry, Changed),
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

/// hashbrown keeps a byte for each bucket, of which a seventh or more are empty.
const CONTROL_BYTES: usize = 8;

/// Items freed in one step of dismantling: each takes some 50 ns.
const EXPIRIES_PER_STEP: usize = 1024;

/// Keys looked for at one time.
pub const LOOKED_FOR_MAX: usize = 32;

/// Fewer are as well looked for one after the other.
const LOOKED_FOR_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_table_agrees_with_a_map_of_keys_and_times() {
        let mut table = KeyTable::new(7);
        let mut twin: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut state = 88_172_645_463_325_252_u64;
        let (mut now_ms, mut moved) = (0, 0);
        for step in 0..60_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let key = format!("key {}", state % 5_000).into_bytes();
            let hash = table.hash(&key);
            // Few different times, so that many expire at once.
            let deadline_ms = if state & 1 << 41 == 0 {
                NEVER_MS
            } else {
                now_ms + 1 + state % 50
            };
            match (state >> 50) % 4 {
                0 => {
                    let removed = table.remove(hash, &key).map(|(entry, changed)| {
                        changed.forget();
                        entry.deadline_ms()
                    });
                    assert_eq!(removed, twin.remove(&key), "at step {step}");
                }
                1 => {
                    table.set_expiry(hash, &key, deadline_ms).forget();
                    twin.entry(key).and_modify(|time| *time = deadline_ms);
                }
                2 if !twin.contains_key(&key) => {
                    let value = Value::String(StringValue::of_integer(step));
                    table
                        .insert_new(hash, &key, MovedValue { value, deadline_ms }, now_ms)
                        .forget();
                    twin.insert(key, deadline_ms);
                }
                _ => {
                    now_ms += 1;
                    loop {
                        match table.look_at_due(now_ms) {
                            Due::Nothing => break,
                            Due::Later => moved += 1,
                            Due::Expired(entry, changed) => {
                                changed.forget();
                                assert_eq!(twin.remove(entry.key()), Some(entry.deadline_ms()));
                            }
                        }
                    }
                    assert!(twin.values().all(|time| *time > now_ms), "all that was due is gone");
                }
            }
            assert_eq!(table.len(), twin.len());
        }
        table.assert_sound();
        assert!(
            table.expiring() > 10 && table.len() > 1000 && moved > 10,
            "{moved} moved"
        );
        for (key, deadline_ms) in &twin {
            let hash = table.hash(key);
            assert_eq!(table.find(hash, key).map(Entry::deadline_ms), Some(*deadline_ms));
        }
    }

    #[test]
    fn a_table_is_dismantled_in_steps() {
        let mut table = KeyTable::new(7);
        for index in 0..10_000_u32 {
            let key = index.to_le_bytes();
            let (hash, value) = (table.hash(&key), Value::String(StringValue::new(&key)));
            let deadline_ms = 5 + u64::from(index);
            table
                .insert_new(hash, &key, MovedValue { value, deadline_ms }, 0)
                .forget();
        }
        let (mut steps, mut buried) = (0, 0);
        while table.dismantle(|_| buried += 1) {
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
        assert_eq!(buried, 10_000);
    }
}
