//! The keys of one shard that hold strings and hashes, and when they expire.

mod field_deadlines;

use kora_values::packed_table::{Content, Position, Record};
use kora_values::segment_table::hash;
use kora_values::{DeadlineIndex, HashValue, PackedTable, StringValue};

use super::entry::{Deadline, Form, KeyEntry, MovedValue, Value, ValueRef};
use crate::changes::Changed;
use crate::eviction::UseRule;
use crate::key::ResolvedKey;
use crate::time::NEVER_MS;

/// Keys with what they hold.
///
/// Small values lie in the table, behind their keys: see [`kora_values::packed_table`]. Every method that changes what a client
/// can see returns [`Changed`], which only a commit takes.
pub struct KeyTable {
    /// Keys the hash: random in a server, so that no client can choose keys that collide.
    hash_seed: u64,
    entries: PackedTable<Value>,
    /// What the table holds when it is empty.
    empty_bytes: usize,
    /// Bytes held beside the table. Invariant: the sum of the `heap_bytes` of the values outside.
    heap_bytes: usize,
    /// When to look at keys that expire, and their hashes. Invariant: holds ([`Deadline::look_ms`], hash) for each entry that
    /// expires, and no others.
    ///
    /// Ordered, so that what is due comes first, and one for each, so that a key whose time is set again and again holds no
    /// more. Two keys may share an item: with one hash and one millisecond. A time that is moved on leaves the item where it
    /// stands, to be moved when its time has come: caches do that all the time, and to move it costs as much as a third of a
    /// SET (with 100,000 keys at depth 16).
    deadlines: DeadlineIndex,
    /// When the first field of a hash is due, and the hash of its key. Invariant: holds one item for each hash of which a field
    /// has a deadline, and no others. Two hashes may share an item, as keys do above.
    field_deadlines: DeadlineIndex,
    /// What is noted of an entry that is used.
    pub(crate) uses: UseRule,
    /// A hash to edit small ones in, which have none of their own.
    buffers: Option<Box<HashValue>>,
}

/// When a key expires, in milliseconds of Unix time, and the key.
pub(crate) type DueKey = (u64, Box<[u8]>);

impl KeyTable {
    pub(crate) fn new(hash_seed: u64) -> KeyTable {
        let entries = PackedTable::new();
        KeyTable {
            hash_seed,
            empty_bytes: entries.bytes(),
            entries,
            heap_bytes: 0,
            deadlines: DeadlineIndex::new(),
            field_deadlines: DeadlineIndex::new(),
            uses: UseRule::default(),
            buffers: None,
        }
    }

    /// Makes it empty; returns it as it was.
    pub(crate) fn renew(&mut self) -> KeyTable {
        let mut empty = KeyTable::new(self.hash_seed);
        empty.uses = self.uses.clone();
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
        self.deadlines.len()
    }

    /// How long keys that expire have left on average, in milliseconds, as far as a few tell; none if no key expires.
    pub fn time_left_ms(&self, now_ms: u64) -> Option<u64> {
        self.deadlines.mean_ms().map(|mean_ms| mean_ms.saturating_sub(now_ms))
    }

    /// Bytes held of all there is in it: the blocks that the allocator gave.
    #[inline]
    pub fn bytes(&self) -> usize {
        let index_bytes = self.deadlines.bytes() + self.field_deadlines.bytes();
        self.entries.bytes().saturating_sub(self.empty_bytes) + self.heap_bytes + index_bytes
    }

    /// Bytes that a key takes with what it holds, and its share of what is lost around it.
    pub fn bytes_of(&self, place: ResolvedKey<'_>) -> Option<usize> {
        let position = self.entries.find_name(place.hash, place.key)?;
        let entry = self.entry(position);
        let deadline = match entry.deadline_ms() {
            NEVER_MS => 0,
            _ => self.deadlines.bytes() / self.deadlines.len().max(1),
        };
        let field_deadline = match entry.first_field_deadline_ms() {
            NEVER_MS => 0,
            _ => self.field_deadlines.bytes() / self.field_deadlines.len().max(1),
        };
        let outside = entry.outside().map_or(0, Value::heap_bytes);
        Some(self.entries.bytes_at(position) + outside + deadline + field_deadline)
    }

    /// A key's hash here.
    pub fn hash(&self, key: &[u8]) -> u32 {
        hash(self.hash_seed, key)
    }

    /// The entry of a key, with its hash.
    pub fn find(&self, hash: u32, key: &[u8]) -> Option<KeyEntry<'_>> {
        self.entries.record(hash, key).map(|record| self.entry_of(record))
    }

    /// Looks for keys that will be asked for in a moment, so that they are near then. Each step is taken for all of them
    /// before the next: memory answers many questions in the time of one if none depends on another's answer.
    pub fn prefetch<'k>(&self, mut keys: impl Iterator<Item = &'k [u8]>) {
        let mut hashes = [0; PREFETCHED_MAX];
        loop {
            let mut count = 0;
            for (place, key) in hashes.iter_mut().zip(&mut keys) {
                *place = self.hash(key);
                count += 1;
            }
            if count >= PREFETCHED_MIN {
                self.prefetch_hashes(&hashes[..count]);
            }
            if count < PREFETCHED_MAX {
                return;
            }
        }
    }

    fn prefetch_hashes(&self, hashes: &[u32]) {
        let touched = hashes
            .iter()
            .fold(0, |touched, hash| touched ^ self.entries.touched_for(*hash));
        std::hint::black_box(touched);
        let mut found = [None; PREFETCHED_MAX];
        for (place, hash) in found.iter_mut().zip(hashes) {
            *place = self.entries.find_hash(*hash);
        }
        let found = || found.iter().flatten();
        let touched: u32 = found().map(|position| self.entries.touched(*position)).sum();
        std::hint::black_box(touched);
        let outside = found().filter_map(|position| self.entries.outside(*position));
        let outside: u32 = outside.map(Value::touched).sum();
        std::hint::black_box(outside);
    }

    /// Changes the value of a key that is there, which counts as used. The closure says what it did; a value that it refused
    /// to change it leaves as it was.
    pub(crate) fn edit<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut Value) -> R,
    ) -> Option<(R, Changed)> {
        let position = self.entries.find_name(place.hash, place.key)?;
        self.entry(position).touch(&self.uses, place.now_ms);
        Some(self.edit_at(position, place, edit))
    }

    /// The same, but it does not count as used.
    pub(crate) fn edit_unused<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut Value) -> R,
    ) -> Option<(R, Changed)> {
        let position = self.entries.find_name(place.hash, place.key)?;
        Some(self.edit_at(position, place, edit))
    }

    fn edit_at<R>(
        &mut self,
        position: Position,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut Value) -> R,
    ) -> (R, Changed) {
        let before = self.bytes();
        let entry = self.entry(position);
        let deadline = entry.deadline();
        let first_field_ms = entry.first_field_deadline_ms();
        let next_field_ms;
        let outcome = match self.entries.get_mut(position).1 {
            Some(value) => {
                let heap_bytes = value.heap_bytes();
                let outcome = edit(value);
                next_field_ms = value.view().first_field_deadline_ms();
                self.heap_bytes = self.heap_bytes + value.heap_bytes() - heap_bytes;
                if value.packs_easily(place.key.len()) {
                    let value = self.take_out(position);
                    self.write_again(position, place.key, deadline, value);
                }
                outcome
            }
            None => {
                let mut value = self.unpack(position);
                let outcome = edit(&mut value);
                next_field_ms = value.view().first_field_deadline_ms();
                self.write_again(position, place.key, deadline, value);
                outcome
            }
        };
        self.look_at_fields_then(place.hash, first_field_ms, next_field_ms);
        (outcome, Changed::between(before, self.bytes()))
    }

    /// Gives a key that is there another value, which counts as used, and another time to expire if one is given. Returns
    /// what it held outside of the table; the value itself if the key is not there.
    pub(crate) fn replace(
        &mut self,
        hash: u32,
        key: &[u8],
        value: Value,
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(Option<Value>, Changed), Value> {
        let Some(position) = self.entries.find_name(hash, key) else {
            return Err(value);
        };
        let before = self.bytes();
        let entry = self.entry(position);
        entry.touch(&self.uses, now_ms);
        let old = entry.deadline();
        let new = deadline_ms.map_or(old, |deadline_ms| moved_on(old, deadline_ms));
        let (old_field_ms, new_field_ms) = (entry.first_field_deadline_ms(), value.view().first_field_deadline_ms());
        let gone = self.write_again(position, key, new, value);
        self.look_then(hash, old, new);
        self.look_at_fields_then(hash, old_field_ms, new_field_ms);
        Ok((gone, Changed::between(before, self.bytes())))
    }

    /// Adds a key that is not there: the caller has looked.
    pub(crate) fn insert_new(&mut self, hash: u32, key: &[u8], moved: MovedValue, now_ms: u64) -> Changed {
        let MovedValue { value, deadline_ms } = moved;
        let before = self.bytes();
        if deadline_ms != NEVER_MS {
            self.deadlines.insert(deadline_ms, hash);
        }
        self.look_at_fields_then(hash, NEVER_MS, value.view().first_field_deadline_ms());
        let mut buffer = [0; size_of::<i64>()];
        let (deadline, len) = Deadline::at(deadline_ms).write();
        let (form, bytes, outside) = match value.pack(key.len(), &mut buffer) {
            Some((form, bytes)) => (form, bytes, None),
            None => {
                self.heap_bytes += value.heap_bytes();
                (Form::Outside, &[][..], Some(value))
            }
        };
        let content = Content {
            tag: form.tag(len > 0),
            body: [&deadline[..len], bytes],
            outside,
        };
        self.entries.insert_new(hash, key, self.uses.fresh(now_ms), content);
        Changed::between(before, self.bytes())
    }

    /// Removes a key; returns what it held outside of the table.
    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<(Option<Value>, Changed)> {
        let position = self.entries.find_name(hash, key)?;
        Some(self.remove_at(position))
    }

    /// Takes a key out, with all it holds.
    pub(crate) fn take(&mut self, hash: u32, key: &[u8]) -> Option<(MovedValue, Changed)> {
        let position = self.entries.find_name(hash, key)?;
        let deadline_ms = self.entry(position).deadline_ms();
        let packed = match self.entry(position).outside() {
            Some(_) => None,
            None => Some(self.unpack(position)),
        };
        let (outside, changed) = self.remove_at(position);
        let value = outside.or(packed).expect("it lies in the table or outside");
        Some((MovedValue { value, deadline_ms }, changed))
    }

    /// Lets a key that is there expire at this time.
    pub(crate) fn set_expiry(&mut self, hash: u32, key: &[u8], deadline_ms: u64) -> Changed {
        let before = self.bytes();
        if let Some(position) = self.entries.find_name(hash, key) {
            let old = self.entry(position).deadline();
            let new = moved_on(old, deadline_ms);
            self.write_deadline(position, key, old, new);
            self.look_then(hash, old, new);
        }
        Changed::between(before, self.bytes())
    }

    /// True if some key may have expired by then.
    pub fn has_due(&self, now_ms: u64) -> bool {
        self.deadlines.first().is_some_and(|(look_ms, _)| look_ms <= now_ms)
    }

    /// When the next key may expire: not later than one does.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(look_ms, _)| look_ms)
    }

    /// When the first key expires, and which that is. What is to be looked at before it expires is moved on.
    pub(crate) fn first_to_expire(&mut self) -> (Option<DueKey>, Changed) {
        let before = self.bytes();
        let mut first = None;
        while let Some((look_ms, hash)) = self.deadlines.first() {
            let is_it = |record: Record<'_, Value>| self.entry_of(record).deadline().look_ms() == look_ms;
            let position = self.entries.find(hash, is_it).expect("an item stands for an entry");
            let entry = self.entry(position);
            let (key, old): (Box<[u8]>, Deadline) = (Box::from(entry.key()), entry.deadline());
            if old.at_ms == look_ms {
                first = Some((look_ms, key));
                break;
            }
            let new = Deadline::at(old.at_ms);
            self.write_deadline(position, &key, old, new);
            self.look_then(hash, old, new);
        }
        (first, Changed::between(before, self.bytes()))
    }

    /// The entry with this hash of whose use this is noted.
    pub(crate) fn find_used(&self, hash: u32, used: u32) -> Option<KeyEntry<'_>> {
        let position = self.entries.find(hash, |record| record.used.get() == used)?;
        Some(self.entry(position))
    }

    /// Some keys side by side: their hashes, and what is noted of their use.
    pub(crate) fn sample(&self, random: u64, wanted: usize, visit: &mut impl FnMut(u32, u32)) {
        self.entries.sample(random, wanted, visit);
    }

    /// Some keys that expire one after the other, likewise.
    pub(crate) fn sample_expiring(&self, random: u64, wanted: usize, visit: &mut impl FnMut(u32, u32)) {
        for (look_ms, hash) in self.deadlines.sample(random, wanted) {
            let is_it = |record: Record<'_, Value>| self.entry_of(record).deadline().look_ms() == look_ms;
            if let Some(position) = self.entries.find(hash, is_it) {
                visit(hash, self.entry(position).used());
            }
        }
    }

    /// Bytes of records that are needed no more.
    pub fn dead_bytes(&self) -> usize {
        self.entries.dead_bytes()
    }

    /// Has some records moved together where one byte in `one_in` is needed no more; none if there are none.
    pub(crate) fn compact_some(&mut self, one_in: usize) -> Option<Changed> {
        let before = self.bytes();
        let is_done = self.entries.compact_some(one_in);
        is_done.then(|| Changed::between(before, self.bytes()))
    }

    /// Looks at the key that is to be looked at first, if one is by then. Takes it out if it has expired.
    pub(crate) fn look_at_due(&mut self, now_ms: u64) -> Due {
        let Some((look_ms, hash)) = self.deadlines.first().filter(|(look_ms, _)| *look_ms <= now_ms) else {
            return Due::Nothing;
        };
        let is_it = |record: Record<'_, Value>| self.entry_of(record).deadline().look_ms() == look_ms;
        let position = self.entries.find(hash, is_it).expect("an item stands for an entry");
        let entry = self.entry(position);
        let (key, old) = (Box::from(entry.key()), entry.deadline());
        if old.at_ms > now_ms {
            let before = self.bytes();
            let new = Deadline::at(old.at_ms);
            self.write_deadline(position, &key, old, new);
            self.look_then(hash, old, new);
            return Due::Later(Changed::between(before, self.bytes()));
        }
        let (outside, changed) = self.remove_at(position);
        Due::Expired(key, outside, changed)
    }

    /// Keys in the order of their hashes, from a prefix on; see [`PackedTable::scan`].
    pub fn scan(&self, from: u32, bits: u32, wanted: usize) -> (Vec<KeyEntry<'_>>, Option<u32>) {
        let (records, next) = self.entries.scan(from, bits, wanted);
        (records.into_iter().map(|record| self.entry_of(record)).collect(), next)
    }

    /// Some key.
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<KeyEntry<'_>> {
        self.entries.random(random).map(|record| self.entry_of(record))
    }

    /// Frees some entries; calls `defer_free` with what is too large to be freed at once. False when there is nothing left. For a
    /// table that is no longer used.
    pub(crate) fn dismantle(&mut self, defer_free: impl FnMut(Value)) -> bool {
        if self.deadlines.dismantle() || self.field_deadlines.dismantle() {
            return true;
        }
        let Some(values) = self.entries.dismantle() else {
            return false;
        };
        self.heap_bytes -= values.iter().map(Value::heap_bytes).sum::<usize>();
        values.into_iter().for_each(defer_free);
        true
    }

    /// Every key. For tests and the simulation.
    pub fn iter(&self) -> impl Iterator<Item = KeyEntry<'_>> {
        self.entries.iter().map(|record| self.entry_of(record))
    }

    /// # Panics
    /// If the table is not sound.
    pub(crate) fn assert_sound(&self) {
        self.entries.assert_sound();
        let expiring = self.iter().filter(|entry| entry.deadline_ms() != NEVER_MS);
        let mut items: Vec<(u64, u32)> = expiring
            .map(|entry| (entry.deadline().look_ms(), entry.hash()))
            .collect();
        items.sort_unstable();
        items.dedup();
        assert!(
            self.deadlines.iter().eq(items),
            "an item for each key that expires, and no others"
        );
        self.assert_fields_sound();
        assert!(self.iter().all(|entry| self.hash(entry.key()) == entry.hash()));
        let outside = self.iter().filter_map(KeyEntry::outside);
        assert_eq!(outside.map(Value::heap_bytes).sum::<usize>(), self.heap_bytes);
    }

    fn entry(&self, position: Position) -> KeyEntry<'_> {
        self.entry_of(self.entries.get(position))
    }

    fn entry_of<'t>(&self, record: Record<'t, Value>) -> KeyEntry<'t> {
        KeyEntry::new(record, self.hash_seed)
    }

    /// A value that lies in the table, as one of its own.
    fn unpack(&mut self, position: Position) -> Value {
        let buffers = self.buffers.take();
        match self.entry(position).value() {
            ValueRef::String(string) => {
                let value = Value::String(string.to_value());
                self.buffers = buffers;
                value
            }
            ValueRef::Hash(hash) => {
                let mut own = buffers.unwrap_or_else(|| Box::new(HashValue::new(self.hash_seed)));
                let (packing, bytes) = hash.pack().expect("what lies in the table is small");
                own.load(packing, bytes);
                Value::Hash(own)
            }
        }
    }

    /// Takes out a value that lies outside, for which another must be written.
    fn take_out(&mut self, position: Position) -> Value {
        let (_, outside) = self.entries.get_mut(position);
        let value = outside.expect("the caller has seen it");
        let taken = std::mem::replace(value, Value::String(StringValue::of_integer(0)));
        self.heap_bytes -= taken.heap_bytes();
        taken
    }

    /// Writes another value and another deadline where a key stands; returns what lay outside.
    fn write_again(&mut self, position: Position, key: &[u8], deadline: Deadline, value: Value) -> Option<Value> {
        let mut buffer = [0; size_of::<i64>()];
        let (deadline, len) = deadline.write();
        let expires = len > 0;
        let head = &deadline[..len];
        let packed = value.pack(key.len(), &mut buffer);
        let gone = match packed {
            Some((form, bytes)) => {
                let (tag, body) = (form.tag(expires), [head, bytes]);
                let outside = None;
                let gone = self.entries.replace(position, key, Content { tag, body, outside });
                if let Value::Hash(hash) = value {
                    self.buffers = Some(hash);
                }
                gone
            }
            None => {
                self.heap_bytes += value.heap_bytes();
                let (tag, body) = (Form::Outside.tag(expires), [head, &[]]);
                let outside = Some(value);
                self.entries.replace(position, key, Content { tag, body, outside })
            }
        };
        self.heap_bytes -= gone.as_ref().map_or(0, Value::heap_bytes);
        gone
    }

    /// Writes another deadline where a key stands.
    fn write_deadline(&mut self, position: Position, key: &[u8], old: Deadline, new: Deadline) {
        let ((_, old_len), (bytes, len)) = (old.write(), new.write());
        if old_len == len {
            self.entries.get_mut(position).0[..len].copy_from_slice(&bytes[..len]);
            return;
        }
        let value = match self.entry(position).outside() {
            Some(_) => self.take_out(position),
            None => self.unpack(position),
        };
        self.write_again(position, key, new, value);
    }

    fn remove_at(&mut self, position: Position) -> (Option<Value>, Changed) {
        let before = self.bytes();
        let entry = self.entry(position);
        let (hash, deadline) = (entry.hash(), entry.deadline());
        let first_field_ms = entry.first_field_deadline_ms();
        let outside = self.entries.remove(position);
        self.heap_bytes -= outside.as_ref().map_or(0, Value::heap_bytes);
        self.look_then(hash, deadline, Deadline::at(NEVER_MS));
        self.look_at_fields_then(hash, first_field_ms, NEVER_MS);
        let changed = Changed::between(before, self.bytes());
        (outside, changed)
    }

    /// An entry of this hash has another deadline now: it is looked at then, and no more when it was to be, unless another
    /// entry of this hash is.
    fn look_then(&mut self, hash: u32, old: Deadline, new: Deadline) {
        let (old_ms, new_ms) = (old.look_ms(), new.look_ms());
        if old_ms == new_ms {
            return;
        }
        if old_ms != NEVER_MS {
            let shares = |record: Record<'_, Value>| self.entry_of(record).deadline().look_ms() == old_ms;
            if self.entries.find(hash, shares).is_none() {
                self.deadlines.remove(old_ms, hash);
            }
        }
        if new_ms != NEVER_MS {
            self.deadlines.insert(new_ms, hash);
        }
    }
}

/// A deadline moved to another time. One that is moved on a little is looked at when it was to be.
fn moved_on(old: Deadline, at_ms: u64) -> Deadline {
    let lead_ms = at_ms
        .checked_sub(old.look_ms())
        .and_then(|lead_ms| u32::try_from(lead_ms).ok());
    match lead_ms {
        Some(lead_ms) if at_ms != NEVER_MS => Deadline { at_ms, lead_ms },
        _ => Deadline::at(at_ms),
    }
}

/// What became of the key that was to be looked at first.
pub(crate) enum Due {
    /// There is none yet.
    Nothing,
    /// It expires later; the index of deadlines knows that now, and may take other memory.
    Later(Changed),
    /// It has expired, and is out of the table, with what it held outside.
    Expired(Box<[u8]>, Option<Value>, Changed),
}

/// Keys looked for at one time.
pub const PREFETCHED_MAX: usize = 32;

/// Fewer are as well looked for one after the other.
const PREFETCHED_MIN: usize = 3;

#[cfg(test)]
mod tests;
