//! The keys of one shard that hold strings and hashes, and when they expire.

use std::collections::BTreeSet;

use bytes::Bytes;
use kora_values::segment_table::{Hashed, hash};
use kora_values::{HashValue, SegmentTable, StringValue};

use crate::catalog::Generation;
use crate::command::KeyType;

/// Keys with what they hold.
pub(crate) struct KeyTable {
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
    /// How many entries stand for vectors.
    vectors: usize,
}

/// One key.
pub(crate) struct Entry {
    hash: u32,
    /// When it was last used, in seconds of Unix time.
    pub(crate) used_s: u32,
    /// When it expires, in milliseconds of Unix time; [`NEVER_MS`] if it does not. Changed by the table only.
    expires_ms: u64,
    /// How much earlier it is to be looked at. 0 if it does not expire.
    lead_ms: u32,
    key: Box<[u8]>,
    pub(crate) value: Value,
}

/// What a key holds beside a vector.
#[derive(Debug)]
pub(crate) enum Value {
    String(StringValue),
    Hash(Box<HashValue>),
    /// The key is that of a vector that expires, which lies in its collection of this generation. One that is dropped with
    /// its collection leaves this behind until that is freed; so whoever finds it looks there.
    Vector(Generation),
}

/// A value on its way to another key.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) value: Value,
    pub(crate) expires_ms: u64,
}

impl Value {
    pub(crate) fn is_vector(&self) -> bool {
        matches!(self, Value::Vector(_))
    }

    pub(crate) fn kind(&self) -> KeyType {
        match self {
            Value::String(_) => KeyType::String,
            Value::Hash(_) => KeyType::Hash,
            Value::Vector(_) => KeyType::Vector,
        }
    }

    /// Something of what lies beside the entry, read so that it is near.
    fn touched(&self) -> u32 {
        match self {
            Value::String(string) => u32::from(string.first_byte()),
            Value::Hash(hash) => u32::from(hash.first_byte()),
            Value::Vector(_) => 0,
        }
    }

    /// Bytes held beside the entry.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Value::String(string) => string.heap_bytes(),
            Value::Hash(hash) => hash.bytes(),
            Value::Vector(_) => 0,
        }
    }
}

impl Entry {
    pub(crate) fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// When it is to be looked at whether it has expired, if it ever does.
    fn look_ms(&self) -> u64 {
        self.expires_ms - u64::from(self.lead_ms)
    }

    /// True if it is as good as gone.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.expires_ms <= now_ms
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Counts as used now.
    pub(crate) fn touch(&mut self, now_ms: u64) {
        self.used_s = seconds(now_ms);
    }

    /// Bytes held, with the entry's share of the table.
    pub(crate) fn bytes(&self) -> usize {
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
            vectors: 0,
        }
    }

    /// Makes it empty; returns it as it was.
    pub(crate) fn renew(&mut self) -> KeyTable {
        let empty = KeyTable::new(self.hash_seed);
        std::mem::replace(self, empty)
    }

    /// How many keys there are of strings and hashes, with those that have expired and are not reclaimed yet.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.vectors
    }

    /// True if there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True if vectors may expire.
    pub(crate) fn has_vectors(&self) -> bool {
        self.vectors > 0
    }

    /// How many of them expire, but for those that share their millisecond and their hash with another.
    pub(crate) fn expiring(&self) -> usize {
        self.expiries.len().saturating_sub(self.vectors)
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        hash(self.hash_seed, key)
    }

    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<&Entry> {
        self.entries.find(hash, |entry| *entry.key == *key)
    }

    /// Looks for keys that will be asked for in a moment, so that they are near then. Each step is taken for all of them
    /// before the next: memory answers many questions in the time of one if none depends on another's answer.
    pub(crate) fn look_for<'k>(&self, mut keys: impl Iterator<Item = &'k [u8]>) {
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

    /// The entry, to be changed in its value and its use.
    pub(crate) fn find_mut(&mut self, hash: u32, key: &[u8]) -> Option<&mut Entry> {
        self.entries.find_mut(hash, |entry| *entry.key == *key)
    }

    /// Adds a key that is not there: the caller has looked.
    pub(crate) fn insert_new(&mut self, hash: u32, key: &[u8], carried: Carried, now_ms: u64) {
        let Carried { value, expires_ms } = carried;
        if expires_ms != NEVER_MS {
            self.expiries.insert((expires_ms, hash));
        }
        self.vectors += usize::from(value.is_vector());
        self.entries.insert_new(Entry {
            hash,
            used_s: seconds(now_ms),
            expires_ms,
            lead_ms: 0,
            key: key.into(),
            value,
        });
    }

    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(hash, |entry| *entry.key == *key)?;
        self.vectors -= usize::from(entry.value.is_vector());
        self.forget_look(entry.look_ms(), hash);
        Some(entry)
    }

    /// Removes the entry that stands for a vector of a collection of this generation, if the key has that.
    pub(crate) fn forget_vector(&mut self, key: &[u8], generation: Generation) {
        let hash = self.hash(key);
        let entry = self.find(hash, key);
        if entry.is_some_and(|entry| matches!(entry.value, Value::Vector(of) if of == generation)) {
            self.remove(hash, key);
        }
    }

    /// Lets a key that is there expire at this time.
    pub(crate) fn set_expiry(&mut self, hash: u32, key: &[u8], expires_ms: u64) {
        let Some(entry) = self.find_mut(hash, key) else { return };
        let look_ms = entry.look_ms();
        entry.expires_ms = expires_ms;
        entry.lead_ms = 0;
        if look_ms == expires_ms {
            return;
        }
        if expires_ms != NEVER_MS
            && let Some(lead_ms) = expires_ms.checked_sub(look_ms)
            && let Ok(lead_ms) = u32::try_from(lead_ms)
        {
            entry.lead_ms = lead_ms;
            return;
        }
        self.forget_look(look_ms, hash);
        if expires_ms != NEVER_MS {
            self.expiries.insert((expires_ms, hash));
        }
    }

    /// True if some key may have expired by then.
    pub(crate) fn has_due(&self, now_ms: u64) -> bool {
        self.expiries
            .first()
            .is_some_and(|(expires_ms, _)| *expires_ms <= now_ms)
    }

    /// When the next key may expire: not later than one does.
    pub(crate) fn next_expiry_ms(&self) -> Option<u64> {
        self.expiries.first().map(|(expires_ms, _)| *expires_ms)
    }

    /// Looks at the key that is to be looked at first, if one is by then. Takes it out if it has expired.
    pub(crate) fn look_at_due(&mut self, now_ms: u64) -> Due {
        let Some(&(look_ms, hash)) = self.expiries.first().filter(|(look_ms, _)| *look_ms <= now_ms) else {
            return Due::Nothing;
        };
        let is_it = |entry: &Entry| entry.hash == hash && entry.look_ms() == look_ms;
        let entry = self.entries.find_mut(hash, is_it).expect("an item stands for an entry");
        if entry.expires_ms > now_ms {
            let expires_ms = entry.expires_ms;
            entry.lead_ms = 0;
            self.forget_look(look_ms, hash);
            self.expiries.insert((expires_ms, hash));
            return Due::Later;
        }
        let entry = self.entries.remove(hash, is_it).expect("it was found");
        self.vectors -= usize::from(entry.value.is_vector());
        self.forget_look(look_ms, hash);
        Due::Expired(entry)
    }

    /// Keys in the order of their hashes, from a prefix on; see [`SegmentTable::scan`].
    pub(crate) fn scan(&self, from: u32, bits: u32, wanted: usize) -> (Vec<&Entry>, Option<u32>) {
        self.entries.scan(from, bits, wanted)
    }

    pub(crate) fn random(&self, random: impl FnMut() -> u64) -> Option<&Entry> {
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

    /// Of which collections vectors expire, each as often as one does. For tests and the simulation.
    pub(crate) fn generations(&self) -> impl Iterator<Item = Generation> {
        self.entries.iter().filter_map(|entry| match entry.value {
            Value::Vector(generation) => Some(generation),
            _ => None,
        })
    }

    /// # Panics
    /// If the table is not sound.
    pub(crate) fn assert_sound(&self) {
        let expiring = self.entries.iter().filter(|entry| entry.expires_ms != NEVER_MS);
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
    Expired(Entry),
}

impl Carried {
    /// A value that stays for ever.
    pub(crate) fn forever(value: Value) -> Carried {
        Carried {
            value,
            expires_ms: NEVER_MS,
        }
    }
}

/// A key's bytes, for a reply.
pub(crate) fn to_bytes(entry: &Entry) -> Bytes {
    Bytes::copy_from_slice(&entry.key)
}

/// A time as keys note when they were used.
pub(crate) fn seconds(now_ms: u64) -> u32 {
    u32::try_from(now_ms / 1000).unwrap_or(u32::MAX)
}

/// The expiry of what does not expire.
pub(crate) const NEVER_MS: u64 = u64::MAX;

/// hashbrown keeps a byte for each bucket, of which a seventh or more are empty.
const CONTROL_BYTES: usize = 8;

/// Items freed in one step of dismantling: each takes some 50 ns.
const EXPIRIES_PER_STEP: usize = 1024;

/// Keys looked for at one time.
pub(crate) const LOOKED_FOR_MAX: usize = 32;

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
            let expires_ms = if state & 1 << 41 == 0 {
                NEVER_MS
            } else {
                now_ms + 1 + state % 50
            };
            match (state >> 50) % 4 {
                0 => {
                    let removed = table.remove(hash, &key).map(|entry| entry.expires_ms());
                    assert_eq!(removed, twin.remove(&key), "at step {step}");
                }
                1 => {
                    table.set_expiry(hash, &key, expires_ms);
                    twin.entry(key).and_modify(|time| *time = expires_ms);
                }
                2 if !twin.contains_key(&key) => {
                    let value = Value::String(StringValue::of_integer(step));
                    table.insert_new(hash, &key, Carried { value, expires_ms }, now_ms);
                    twin.insert(key, expires_ms);
                }
                _ => {
                    now_ms += 1;
                    loop {
                        match table.look_at_due(now_ms) {
                            Due::Nothing => break,
                            Due::Later => moved += 1,
                            Due::Expired(entry) => {
                                assert_eq!(twin.remove(entry.key()), Some(entry.expires_ms()));
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
        for (key, expires_ms) in &twin {
            let hash = table.hash(key);
            assert_eq!(table.find(hash, key).map(Entry::expires_ms), Some(*expires_ms));
        }
    }

    #[test]
    fn a_table_is_dismantled_in_steps() {
        let mut table = KeyTable::new(7);
        for index in 0..10_000_u32 {
            let key = index.to_le_bytes();
            let (hash, value) = (table.hash(&key), Value::String(StringValue::new(&key)));
            table.insert_new(
                hash,
                &key,
                Carried {
                    value,
                    expires_ms: 5 + u64::from(index),
                },
                0,
            );
        }
        let (mut steps, mut buried) = (0, 0);
        while table.dismantle(|_| buried += 1) {
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
        assert_eq!(buried, 10_000);
    }
}
