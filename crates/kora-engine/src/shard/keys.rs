//! The commands on keys of any type, executed on the shard where the key lies; and what all commands on keys rely on.

use kora_resp::Reply;
use kora_values::SMALL_FIELDS_MAX;

use super::key_table::{Carried, Due, Entry, NEVER_MS, Value, seconds};
use super::{Shard, Unfinished};
use crate::command::{Action, ExpireOnly, KeyAction, KeyType, LifetimeForm, element_of};
use crate::error::ClientError;
use crate::gather::integer;
use crate::mail::Part;

/// One key, for the length of one command.
#[derive(Clone, Copy)]
pub(crate) struct Place<'k> {
    pub(crate) key: &'k [u8],
    /// The key's hash in the table of keys.
    pub(crate) hash: u32,
    /// When the command was taken from its connection, in milliseconds of Unix time.
    pub(crate) now_ms: u64,
}

impl Shard {
    /// Does something to a key.
    pub(crate) fn act(&mut self, key: &[u8], action: Action, now_ms: u64) -> Result<Reply, Box<Unfinished>> {
        let place = self.place(key, now_ms);
        let outcome = match action {
            Action::String(action) => self.act_on_string(place, action),
            Action::Key(action) => self.act_on_key(place, action),
            Action::Hash(action) => return self.act_on_hash(place, action),
        };
        Ok(outcome.unwrap_or_else(|error| Reply::Error(error.to_string())))
    }

    /// A key as it is at that time: what has expired is gone.
    pub(super) fn place<'k>(&mut self, key: &'k [u8], now_ms: u64) -> Place<'k> {
        // The other half of the assertion in `router.rs`: who routed this here used the same function.
        debug_assert_eq!(self.placement.shard_of(key), self.id);
        let hash = self.keys.hash(key);
        let place = Place { key, hash, now_ms };
        if self.keys.has_due(now_ms) && self.keys.find(hash, key).is_some_and(|entry| entry.is_due(now_ms)) {
            self.delete_key(place);
            self.expired += 1;
        }
        self.clear_expired_name(key, now_ms);
        if self.keys.has_vectors() {
            self.forget_left_behind(place);
        }
        place
    }

    /// Forgets that a vector expires that was dropped with its collection.
    fn forget_left_behind(&mut self, place: Place<'_>) {
        let entry = self.keys.find(place.hash, place.key);
        if entry.is_some_and(|entry| self.is_left_behind(entry, place.now_ms)) {
            self.keys.remove(place.hash, place.key);
        }
    }

    /// True if the entry stands for a vector of a collection that was dropped or has expired.
    fn is_left_behind(&self, entry: &Entry, now_ms: u64) -> bool {
        let Value::Vector(generation) = &entry.value else {
            return false;
        };
        let catalog = self.setup.catalog.at(now_ms);
        let newest = element_of(entry.key()).and_then(|(collection, _)| catalog.generation_of(collection));
        newest != Some(*generation)
    }

    fn act_on_key(&mut self, place: Place<'_>, action: KeyAction) -> Result<Reply, ClientError> {
        Ok(match action {
            KeyAction::Type => Reply::Simple(self.kind(place).map_or("none", KeyType::name)),
            KeyAction::Delete => Reply::Integer(i64::from(self.delete_key(place))),
            KeyAction::Exists => Reply::Integer(i64::from(self.exists(place))),
            KeyAction::Touch => Reply::Integer(i64::from(self.touch(place))),
            KeyAction::Expire(deadline, only) => {
                let is_set = self.expire(place, deadline.at_ms(place.now_ms), only);
                Reply::Integer(i64::from(is_set))
            }
            KeyAction::Persist => {
                let was_mortal = self.persist(place);
                Reply::Integer(i64::from(was_mortal))
            }
            KeyAction::Lifetime(form) => Reply::Integer(self.lifetime(place, form)),
            KeyAction::Encoding => self.encoding(place),
            KeyAction::Frequency if self.exists(place) => return Err(ClientError::NoFrequency),
            KeyAction::Frequency => Reply::Null,
            KeyAction::IdleTime => self.used_s(place).map_or(Reply::Null, |used_s| {
                Reply::Integer(i64::from(seconds(place.now_ms).saturating_sub(used_s)))
            }),
            KeyAction::ReferenceCount if self.exists(place) => Reply::Integer(1),
            KeyAction::ReferenceCount => Reply::Null,
            KeyAction::MemoryUsage => self
                .bytes_of(place)
                .map_or(Reply::Null, |bytes| Reply::Integer(integer(bytes as u64))),
        })
    }

    /// What a key holds.
    pub(super) fn kind(&self, place: Place<'_>) -> Option<KeyType> {
        let entry = self.keys.find(place.hash, place.key);
        entry.map_or_else(|| self.vector_kind(place), |entry| Some(entry.value.kind()))
    }

    pub(super) fn exists(&self, place: Place<'_>) -> bool {
        self.kind(place).is_some()
    }

    /// Lets a key count as used; false if there is none.
    pub(super) fn touch(&mut self, place: Place<'_>) -> bool {
        match self.keys.find_mut(place.hash, place.key) {
            Some(entry) if !entry.value.is_vector() => {
                entry.touch(place.now_ms);
                true
            }
            _ => match self.vector_of(place) {
                Some((collection, name)) => {
                    collection.touch(name, seconds(place.now_ms));
                    true
                }
                None => self.vector_kind(place).is_some(),
            },
        }
    }

    /// When a key was last used, in seconds of Unix time. Of a collection nobody takes notice as a whole.
    fn used_s(&mut self, place: Place<'_>) -> Option<u32> {
        let entry = self.keys.find(place.hash, place.key);
        match entry.filter(|entry| !entry.value.is_vector()) {
            Some(entry) => Some(entry.used_s),
            None => match self.vector_of(place) {
                Some((collection, name)) => collection.used_s(name),
                None => self.vector_kind(place).map(|_| seconds(place.now_ms)),
            },
        }
    }

    /// What a key takes in memory, with what it holds.
    fn bytes_of(&mut self, place: Place<'_>) -> Option<usize> {
        let entry = self.keys.find(place.hash, place.key).map(Entry::bytes);
        match self.vector_of(place) {
            Some((collection, name)) => Some(entry.unwrap_or(0) + collection.bytes_of(name)),
            None => entry,
        }
    }

    /// Deletes a key and what it holds, but for a collection; false if there is none.
    pub(super) fn delete_key(&mut self, place: Place<'_>) -> bool {
        let is_there = match self.keys.remove(place.hash, place.key) {
            Some(entry) if !entry.value.is_vector() => {
                self.discard(entry.value);
                true
            }
            _ => self.vector_kind(place) == Some(KeyType::Vector) && self.delete_vector(place.key, place.now_ms),
        };
        if is_there {
            self.note_change(place.key);
        }
        is_there
    }

    /// An error if the key holds a vector or is the name of a collection.
    pub(super) fn refuse_vectors(&self, place: Place<'_>) -> Result<(), ClientError> {
        // Where a string or a hash is, no vector is.
        let holds_another = |entry: &Entry| !entry.value.is_vector();
        let is_free = self.setup.catalog.is_empty() || self.keys.find(place.hash, place.key).is_some_and(holds_another);
        match is_free || self.vector_kind(place).is_none() {
            true => Ok(()),
            false => Err(ClientError::WrongType),
        }
    }

    /// Makes a key free that holds no string or hash: a vector goes, a collection does not.
    pub(super) fn clear_way(&mut self, place: Place<'_>) -> Result<(), ClientError> {
        match self.vector_kind(place) {
            None => {}
            Some(KeyType::VectorSet) => {
                let name = place.key.to_vec();
                return Err(ClientError::NameOfCollection { name });
            }
            Some(_) => {
                self.delete_vector(place.key, place.now_ms);
            }
        }
        Ok(())
    }

    /// Adds a key that is not there and stays for ever: the caller has looked.
    pub(super) fn insert(&mut self, place: Place<'_>, value: Value) {
        self.keys
            .insert_new(place.hash, place.key, Carried::forever(value), place.now_ms);
    }

    /// Sets when a key expires that is there.
    pub(super) fn set_expiry(&mut self, place: Place<'_>, expires_ms: u64) {
        match expires_ms <= place.now_ms {
            true => drop(self.delete_key(place)),
            false => {
                let entry = self.keys.find(place.hash, place.key);
                match entry.map(|entry| entry.value.is_vector()) {
                    Some(true) if expires_ms == NEVER_MS => drop(self.keys.remove(place.hash, place.key)),
                    Some(_) => self.keys.set_expiry(place.hash, place.key, expires_ms),
                    None => self.let_vector_expire(place, expires_ms),
                }
                self.note_change(place.key);
            }
        }
    }

    /// Notes when the vector of a key expires, of which nothing is noted yet.
    fn let_vector_expire(&mut self, place: Place<'_>, expires_ms: u64) {
        let catalog = self.setup.catalog.at(place.now_ms);
        let generation = element_of(place.key).and_then(|(collection, _)| catalog.generation_of(collection));
        if let Some(generation) = generation.filter(|_| expires_ms != NEVER_MS) {
            let value = Value::Vector(generation);
            self.keys
                .insert_new(place.hash, place.key, Carried { value, expires_ms }, place.now_ms);
        }
    }

    /// Whoever watches this key hears of it.
    pub(super) fn note_change(&mut self, key: &[u8]) {
        if !self.watches.is_empty() {
            self.watches.note(key);
        }
    }

    /// Frees a value: now, or in slices if it is large.
    pub(super) fn discard(&mut self, value: Value) {
        match value {
            Value::String(_) | Value::Vector(_) => drop(value),
            Value::Hash(hash) if hash.len() <= SMALL_FIELDS_MAX => drop(hash),
            Value::Hash(hash) => self.graveyard.bury_hash(hash),
        }
    }

    /// Reclaims some keys that expired and that nobody has asked for since, and withdraws some collections.
    pub(crate) fn reclaim(&mut self, now_ms: u64) {
        self.withdraw_expired(now_ms);
        self.reclaim_keys(now_ms);
    }

    /// Reclaims some keys, not those of collections.
    pub(super) fn reclaim_keys(&mut self, now_ms: u64) {
        for _ in 0..crate::limits::DELETED_PER_SLICE {
            let entry = match self.keys.look_at_due(now_ms) {
                Due::Nothing => return,
                Due::Later => continue,
                Due::Expired(entry) => entry,
            };
            self.note_change(entry.key());
            match entry.value {
                Value::Vector(_) if self.is_left_behind(&entry, now_ms) => {}
                Value::Vector(_) => drop(self.delete_vector(entry.key(), now_ms)),
                value => self.discard(value),
            }
            self.expired += 1;
        }
    }

    /// Some key, how many there are, and a random number, so that whoever asks several shards can choose fairly.
    pub(super) fn random_key(&mut self, now_ms: u64) -> Part {
        let mut chosen = None;
        let (keys, vectors) = (self.keys.len(), self.live_at(now_ms));
        for _ in 0..RANDOM_TRIES {
            let draw = self.draw();
            if keys + vectors == 0 {
                break;
            }
            chosen = match below(draw, keys + vectors) < keys {
                true => {
                    let mut random = self.draws;
                    let entry = self.keys.random(|| next_draw(&mut random));
                    let there = entry.filter(|entry| !entry.is_due(now_ms) && !entry.value.is_vector());
                    there.map(super::key_table::to_bytes)
                }
                false => self
                    .random_vector(vectors, now_ms)
                    .filter(|key| !self.is_due(key, now_ms)),
            };
            if chosen.is_some() {
                break;
            }
        }
        let among = (keys + vectors) as u64;
        let draw = self.draw();
        Part::Chosen {
            key: chosen,
            among,
            draw,
        }
    }

    /// 64 random bits.
    pub(super) fn draw(&mut self) -> u64 {
        next_draw(&mut self.draws)
    }

    /// Lets a key stay for ever; true if it would have expired.
    pub(super) fn persist(&mut self, place: Place<'_>) -> bool {
        let expires = self.expiry_of(place).is_some_and(|expires_ms| expires_ms != NEVER_MS);
        expires && self.move_end(place, NEVER_MS)
    }

    fn expire(&mut self, place: Place<'_>, expires_ms: u64, only: ExpireOnly) -> bool {
        let Some(before) = self.expiry_of(place) else {
            return false;
        };
        let expires = before != NEVER_MS;
        // What never expires expires later than everything.
        let is_refused = (only.if_none && expires)
            || (only.if_some && !expires)
            || (only.if_later && expires_ms <= before)
            || (only.if_earlier && expires_ms >= before);
        !is_refused && self.move_end(place, expires_ms)
    }

    /// Sets when a key expires, or a collection of that name; false if that has expired in this moment.
    fn move_end(&mut self, place: Place<'_>, expires_ms: u64) -> bool {
        if self.kind(place) == Some(KeyType::VectorSet) {
            return self.let_collection_expire(place, expires_ms);
        }
        self.set_expiry(place, expires_ms);
        true
    }

    /// When a key expires, if it is there.
    pub(super) fn expiry_of(&self, place: Place<'_>) -> Option<u64> {
        match self.keys.find(place.hash, place.key) {
            Some(entry) => Some(entry.expires_ms()),
            None => match self.vector_kind(place)? {
                KeyType::VectorSet => self.end_of(place),
                _ => Some(NEVER_MS),
            },
        }
    }

    /// True if the key has expired by then.
    pub(super) fn is_due(&self, key: &[u8], now_ms: u64) -> bool {
        self.keys.has_due(now_ms)
            && self
                .keys
                .find(self.keys.hash(key), key)
                .is_some_and(|entry| entry.is_due(now_ms) && !self.is_left_behind(entry, now_ms))
    }

    fn lifetime(&self, place: Place<'_>, form: LifetimeForm) -> i64 {
        let Some(expires_ms) = self.expiry_of(place) else {
            return -2;
        };
        if expires_ms == NEVER_MS {
            return -1;
        }
        let ms = match form.absolute {
            true => expires_ms,
            false => expires_ms - place.now_ms,
        };
        integer(match form.in_ms {
            true => ms,
            // Rounded, as in Redis.
            false => ms.saturating_add(500) / 1000,
        })
    }

    fn encoding(&self, place: Place<'_>) -> Reply {
        let entry = self.keys.find(place.hash, place.key);
        match entry.map(|entry| &entry.value) {
            Some(Value::String(string)) => Reply::Text(string.encoding().to_string()),
            Some(Value::Hash(hash)) => Reply::Text(hash.encoding().to_string()),
            Some(Value::Vector(_)) | None if self.exists(place) => Reply::Text("hnsw".to_owned()),
            Some(Value::Vector(_)) | None => Reply::Null,
        }
    }
}

/// Splitmix64: what chooses keys need not be secret, and a simulation must be able to repeat it.
pub(super) fn next_draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn below(draw: u64, bound: usize) -> usize {
    ((u128::from(draw) * bound as u128) >> 64) as usize
}

/// Half of the keys may have expired and not be reclaimed yet: then one call in a thousand million finds none.
const RANDOM_TRIES: usize = 30;
