//! The keys of one shard, in a table for each database: so what concerns a small database costs nothing for the others.

use kora_values::Database;

use super::entry::{KeyEntry, MovedValue, Value};
use super::key_table::{Due, DueKey, KeyTable};
use crate::changes::Changed;
use crate::eviction::UseRule;
use crate::key::ResolvedKey;

/// All keys of a shard with what they hold. A key is the stored name, which says its database.
pub struct KeyTables {
    hash_seed: u64,
    /// Database 0.
    zero: KeyTable,
    /// Stands for the tables of databases that have had no key. Invariant: empty.
    none: KeyTable,
    /// The others that have had a key, in no order: none where only database 0 is used.
    others: Vec<OtherTable>,
    /// Places in `others` by the numbers of the databases; none of one that has had no key.
    places: Vec<Option<u16>>,
    /// What is held in `others`. Invariant: the sums over them.
    sums: Sums,
    /// What is noted of an entry that is used.
    pub(crate) uses: UseRule,
}

/// The table of a database other than 0.
struct OtherTable {
    database: Database,
    table: KeyTable,
}

/// What tables hold together.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Sums {
    keys: usize,
    expiring: usize,
    bytes: usize,
    dead_bytes: usize,
}

impl Sums {
    fn of(table: &KeyTable) -> Sums {
        Sums {
            keys: table.len(),
            expiring: table.expiring(),
            bytes: table.bytes(),
            dead_bytes: table.dead_bytes(),
        }
    }

    fn exchange(&mut self, before: Sums, now: Sums) {
        self.keys = self.keys - before.keys + now.keys;
        self.expiring = self.expiring - before.expiring + now.expiring;
        self.bytes = self.bytes - before.bytes + now.bytes;
        self.dead_bytes = self.dead_bytes - before.dead_bytes + now.dead_bytes;
    }
}

impl KeyTables {
    pub(crate) fn new(hash_seed: u64) -> KeyTables {
        KeyTables {
            hash_seed,
            zero: KeyTable::new(hash_seed),
            none: KeyTable::new(hash_seed),
            others: Vec::new(),
            places: Vec::new(),
            sums: Sums::default(),
            uses: UseRule::default(),
        }
    }

    /// Something else is noted from now on of an entry that is used.
    pub(crate) fn set_uses(&mut self, uses: UseRule) {
        self.zero.uses = uses.clone();
        let others = self.others.iter_mut();
        others.for_each(|other| other.table.uses = uses.clone());
        self.uses = uses;
    }

    /// Makes it empty, or the table of one database; returns what was there.
    pub(crate) fn renew(&mut self, database: Option<Database>) -> KeyTables {
        let mut empty = KeyTables::new(self.hash_seed);
        empty.set_uses(self.uses.clone());
        match database {
            None => std::mem::replace(self, empty),
            Some(database) => {
                if let Some(place) = self.place(database) {
                    let gone = self.change_at(place, KeyTable::renew);
                    empty.put(database, gone);
                }
                empty
            }
        }
    }

    /// How many keys there are of strings and hashes in all databases, with those that have expired and are not reclaimed yet.
    pub fn len(&self) -> usize {
        self.zero.len() + self.sums.keys
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them expire, but for those that share their millisecond and their hash with another.
    pub fn expiring(&self) -> usize {
        self.zero.expiring() + self.sums.expiring
    }

    /// Bytes held of all there is in it.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.zero.bytes() + self.sums.bytes
    }

    /// Bytes of records that are needed no more.
    pub fn dead_bytes(&self) -> usize {
        self.zero.dead_bytes() + self.sums.dead_bytes
    }

    /// Databases that may have keys, with their tables.
    pub fn databases(&self) -> impl Iterator<Item = (Database, &KeyTable)> {
        let others = self.others.iter().map(|other| (other.database, &other.table));
        [(Database::ZERO, &self.zero)].into_iter().chain(others)
    }

    /// The keys of a database.
    pub fn of(&self, database: Database) -> &KeyTable {
        match self.place(database) {
            Some(Place::Zero) => &self.zero,
            Some(Place::Other(place)) => &self.others[place].table,
            None => &self.none,
        }
    }

    /// A key's hash here.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u32 {
        self.zero.hash(key)
    }

    /// The entry of a key, with its hash.
    #[inline]
    pub fn find(&self, hash: u32, key: &[u8]) -> Option<KeyEntry<'_>> {
        self.table_of(key)?.find(hash, key)
    }

    /// Looks for keys that will be asked for in a moment: see [`KeyTable::prefetch`]. Those of database 0 only.
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.zero.prefetch(keys);
    }

    /// Bytes that a key takes with what it holds, and its share of what is lost around it.
    pub fn bytes_of(&self, place: ResolvedKey<'_>) -> Option<usize> {
        self.table_of(place.key)?.bytes_of(place)
    }

    /// See [`KeyTable::edit`].
    #[inline]
    pub(crate) fn edit<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut Value) -> R,
    ) -> Option<(R, Changed)> {
        let at = self.place_of(place.key)?;
        self.change_at(at, |table| table.edit(place, edit))
    }

    /// See [`KeyTable::edit_unused`].
    pub(crate) fn edit_unused<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut Value) -> R,
    ) -> Option<(R, Changed)> {
        let at = self.place_of(place.key)?;
        self.change_at(at, |table| table.edit_unused(place, edit))
    }

    /// See [`KeyTable::replace`].
    #[inline]
    pub(crate) fn replace(
        &mut self,
        hash: u32,
        key: &[u8],
        value: Value,
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(Option<Value>, Changed), Value> {
        match self.place_of(key) {
            None => Err(value),
            Some(at) => self.change_at(at, |table| table.replace(hash, key, value, deadline_ms, now_ms)),
        }
    }

    /// Adds a key that is not there: the caller has looked.
    #[inline]
    pub(crate) fn insert_new(&mut self, hash: u32, key: &[u8], moved: MovedValue, now_ms: u64) -> Changed {
        let at = match self.place_of(key) {
            Some(at) => at,
            None => {
                let mut table = KeyTable::new(self.hash_seed);
                table.uses = self.uses.clone();
                self.put(Database::of(key), table)
            }
        };
        self.change_at(at, |table| table.insert_new(hash, key, moved, now_ms))
    }

    /// Removes a key; returns what it held outside of the table.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<(Option<Value>, Changed)> {
        let at = self.place_of(key)?;
        self.change_at(at, |table| table.remove(hash, key))
    }

    /// Takes a key out, with all it holds.
    pub(crate) fn take(&mut self, hash: u32, key: &[u8]) -> Option<(MovedValue, Changed)> {
        let at = self.place_of(key)?;
        self.change_at(at, |table| table.take(hash, key))
    }

    /// Lets a key that is there expire at this time.
    pub(crate) fn set_expiry(&mut self, hash: u32, key: &[u8], deadline_ms: u64) -> Changed {
        match self.place_of(key) {
            None => Changed::elsewhere(),
            Some(at) => self.change_at(at, |table| table.set_expiry(hash, key, deadline_ms)),
        }
    }

    /// True if some key may have expired by then.
    #[inline]
    pub fn has_due(&self, now_ms: u64) -> bool {
        self.zero.has_due(now_ms) || self.others.iter().any(|other| other.table.has_due(now_ms))
    }

    /// When the next key may expire: not later than one does.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let all = self.databases().filter_map(|(_, table)| table.next_expiry_ms());
        all.min()
    }

    /// When the first key expires, and which that is. What is to be looked at before it expires is moved on.
    pub(crate) fn first_to_expire(&mut self) -> (Option<DueKey>, Changed) {
        let before = self.bytes();
        let (mut first, changed) = self.zero.first_to_expire();
        changed.forget();
        for place in 0..self.others.len() {
            let (other, changed) = self.change_at(Place::Other(place), KeyTable::first_to_expire);
            // All of it is counted together.
            changed.forget();
            let is_earlier = match (&first, &other) {
                (Some((first_ms, _)), Some((other_ms, _))) => other_ms < first_ms,
                (first, _) => first.is_none(),
            };
            if is_earlier {
                first = other;
            }
        }
        (first, Changed::between(before, self.bytes()))
    }

    /// How many hashes have fields with deadlines: see [`KeyTable::expiring_hashes`].
    pub fn expiring_hashes(&self) -> usize {
        self.databases().map(|(_, table)| table.expiring_hashes()).sum()
    }

    /// True if a field of some hash is due by then.
    #[inline]
    pub fn has_due_fields(&self, now_ms: u64) -> bool {
        self.zero.has_due_fields(now_ms) || self.others.iter().any(|other| other.table.has_due_fields(now_ms))
    }

    /// When the next field is due.
    pub fn next_field_expiry_ms(&self) -> Option<u64> {
        let all = self.databases().filter_map(|(_, table)| table.next_field_expiry_ms());
        all.min()
    }

    /// The key of the hash whose field is due first.
    pub(crate) fn first_with_fields(&self) -> Option<Box<[u8]>> {
        let all = self
            .databases()
            .filter_map(|(_, table)| Some((table.next_field_expiry_ms()?, table)));
        let (_, table) = all.min_by_key(|(first_ms, _)| *first_ms)?;
        table.first_with_fields()
    }

    /// The entry with this hash of whose use this is noted.
    pub(crate) fn find_used(&self, hash: u32, used: u32) -> Option<KeyEntry<'_>> {
        self.databases().find_map(|(_, table)| table.find_used(hash, used))
    }

    /// Some keys side by side: their hashes, and what is noted of their use.
    pub(crate) fn sample(&self, random: u64, wanted: usize, visit: &mut impl FnMut(u32, u32)) {
        let table = self.drawn(random, KeyTable::len);
        table.sample(random, wanted, visit);
    }

    /// Some keys that expire one after the other, likewise.
    pub(crate) fn sample_expiring(&self, random: u64, wanted: usize, visit: &mut impl FnMut(u32, u32)) {
        let table = self.drawn(random, KeyTable::expiring);
        table.sample_expiring(random, wanted, visit);
    }

    /// Has some records moved together where one byte in `one_in` is needed no more; none if there are none.
    pub(crate) fn compact_some(&mut self, one_in: usize) -> Option<Changed> {
        let own = self.zero.compact_some(one_in);
        own.or_else(|| {
            let mut others = 0..self.others.len();
            others.find_map(|place| self.change_at(Place::Other(place), |table| table.compact_some(one_in)))
        })
    }

    /// Looks at a key that is to be looked at, if one is by then. Takes it out if it has expired.
    pub(crate) fn look_at_due(&mut self, now_ms: u64) -> Due {
        if self.others.is_empty() || self.zero.has_due(now_ms) {
            return self.zero.look_at_due(now_ms);
        }
        match self.others.iter().position(|other| other.table.has_due(now_ms)) {
            None => Due::Nothing,
            Some(place) => self.change_at(Place::Other(place), |table| table.look_at_due(now_ms)),
        }
    }

    /// Frees some entries; calls `defer_free` with what is too large to be freed at once. False when there is nothing left. For
    /// tables that are no longer used.
    pub(crate) fn dismantle(&mut self, mut defer_free: impl FnMut(Value)) -> bool {
        if let Some(place) = self.others.len().checked_sub(1) {
            let is_more = self.change_at(Place::Other(place), |table| table.dismantle(&mut defer_free));
            if !is_more && let Some(gone) = self.others.pop() {
                self.sums.exchange(Sums::of(&gone.table), Sums::default());
                self.places[gone.database.index()] = None;
            }
            return true;
        }
        self.zero.dismantle(defer_free)
    }

    /// Every key. For tests and the simulation.
    pub fn iter(&self) -> impl Iterator<Item = KeyEntry<'_>> {
        self.databases().flat_map(|(_, table)| table.iter())
    }

    /// # Panics
    /// If the tables are not sound.
    pub(crate) fn assert_sound(&self) {
        let mut sums = Sums::default();
        for (database, table) in self.databases() {
            table.assert_sound();
            assert!(table.iter().all(|entry| Database::of(entry.key()) == database));
            if database != Database::ZERO {
                sums.exchange(Sums::default(), Sums::of(table));
            }
        }
        assert_eq!(sums, self.sums, "what other databases hold is counted");
    }

    /// A table, each as likely as it counts.
    fn drawn(&self, random: u64, count: impl Fn(&KeyTable) -> usize) -> &KeyTable {
        if self.others.is_empty() {
            return &self.zero;
        }
        let all: usize = self.databases().map(|(_, table)| count(table)).sum();
        // Not the bits that choose within the table.
        let random = random.rotate_left(32) ^ random;
        let mut number = ((u128::from(random) * all as u128) >> 64) as usize;
        for (_, table) in self.databases() {
            match number.checked_sub(count(table)) {
                Some(left) => number = left,
                None => return table,
            }
        }
        &self.zero
    }

    /// Adds a table, of a database that has none or an empty one.
    fn put(&mut self, database: Database, table: KeyTable) -> Place {
        if database == Database::ZERO {
            self.zero = table;
            return Place::Zero;
        }
        if self.places.len() <= database.index() {
            self.places.resize(database.index() + 1, None);
        }
        let place = self.others.len();
        self.places[database.index()] = u16::try_from(place).ok();
        self.sums.exchange(Sums::default(), Sums::of(&table));
        self.others.push(OtherTable { database, table });
        Place::Other(place)
    }

    #[inline]
    fn table_of(&self, key: &[u8]) -> Option<&KeyTable> {
        Some(match self.place_of(key)? {
            Place::Zero => &self.zero,
            Place::Other(place) => &self.others[place].table,
        })
    }

    #[inline]
    fn place_of(&self, key: &[u8]) -> Option<Place> {
        self.place(Database::of(key))
    }

    #[inline]
    fn place(&self, database: Database) -> Option<Place> {
        if database == Database::ZERO {
            return Some(Place::Zero);
        }
        let place = self.places.get(database.index()).copied().flatten()?;
        Some(Place::Other(usize::from(place)))
    }

    /// Changes a table, and counts it.
    #[inline]
    fn change_at<R>(&mut self, place: Place, change: impl FnOnce(&mut KeyTable) -> R) -> R {
        match place {
            Place::Zero => change(&mut self.zero),
            Place::Other(place) => {
                let table = &mut self.others[place].table;
                let before = Sums::of(table);
                let result = change(table);
                self.sums.exchange(before, Sums::of(table));
                result
            }
        }
    }
}

/// Where a database's table is.
#[derive(Clone, Copy)]
enum Place {
    Zero,
    /// So far in `others`.
    Other(usize),
}
