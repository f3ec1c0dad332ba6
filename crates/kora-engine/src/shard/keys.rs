//! The commands on keys of any type, executed on the shard where the key lies; and what all commands on keys rely on.

use bytes::Bytes;
use kora_keyspace::keys::{KeyEntry, ValueRef};
use kora_keyspace::{Cause, KeyType, NEVER_MS, Refusal, ResolvedKey};
use kora_resp::Reply;
use kora_values::Database;
use kora_vector::Work;

use super::Shard;
use super::task::Begun;
use crate::command::{Action, ExpireOnly, KeyAction, LifetimeForm};
use crate::counts::integer;
use crate::databases::as_said;
use crate::error::ClientError;
use crate::mail::Chosen;

impl Shard {
    /// Does something to a key.
    pub(crate) fn operate(&mut self, key: &[u8], action: Action, now_ms: u64, work: &mut Work) -> Begun<Reply> {
        let place = self.resolve_live(key, now_ms);
        if matches!(action, Action::Hash(_)) && self.keyspace.has_due_fields(place) {
            return self.operate_without_due_fields(place, action, work);
        }
        self.operate_on(place, action, work)
    }

    /// Does something to a key that was resolved.
    pub(super) fn operate_on(&mut self, place: ResolvedKey<'_>, action: Action, work: &mut Work) -> Begun<Reply> {
        self.hint_at_action(place, &action);
        let misses = self.lookups.counts().misses;
        let begun = self.do_action(place, action, work);
        if self.lookups.counts().misses != misses {
            self.note_miss(place.key);
        }
        begun
    }

    fn do_action(&mut self, place: ResolvedKey<'_>, action: Action, work: &mut Work) -> Begun<Reply> {
        let outcome = match action {
            Action::String(action) => {
                if let Some(begun) = self.begin_rewriting(place, &action) {
                    return begun;
                }
                self.act_on_string(place, action)
            }
            Action::Attributes(action) => self.act_on_attributes(place, action),
            Action::Key(action) => self.act_on_key(place, action),
            Action::Hash(action) => return self.act_on_hash(place, action, work),
            Action::VectorSet(action) => return self.act_on_set(place, action, work),
        };
        Begun::Done(outcome.unwrap_or_else(|error| Reply::Error(error.to_string())))
    }

    fn act_on_key(&mut self, place: ResolvedKey<'_>, action: KeyAction) -> Result<Reply, ClientError> {
        if action.only_reads() {
            self.lookups.note(self.keyspace.exists(place));
        }
        Ok(match action {
            KeyAction::Type => Reply::Simple(self.keyspace.kind(place).map_or("none", KeyType::name)),
            KeyAction::Delete => Reply::Integer(i64::from(self.keyspace.remove(place, Cause::Command))),
            KeyAction::Exists => Reply::Integer(i64::from(self.keyspace.exists(place))),
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
            KeyAction::Frequency => return self.frequency(place),
            KeyAction::IdleTime => return self.idle_time(place),
            KeyAction::ReferenceCount if self.keyspace.exists(place) => Reply::Integer(1),
            KeyAction::ReferenceCount => Reply::Null,
            KeyAction::MemoryUsage => self
                .bytes_of(place)
                .map_or(Reply::Null, |bytes| Reply::Integer(integer(bytes as u64))),
        })
    }

    /// Lets a key count as used; false if there is none.
    pub(super) fn touch(&mut self, place: ResolvedKey<'_>) -> bool {
        self.keyspace.touch(place) || self.keyspace.exists(place)
    }

    /// How often a key is used. Of a collection this is not noted as a whole: as of one that is new.
    fn frequency(&self, place: ResolvedKey<'_>) -> Result<Reply, ClientError> {
        let rule = self.keyspace.use_rule();
        match self.used(place) {
            None => Ok(Reply::Null),
            Some(_) if !rule.counts => Err(ClientError::NoFrequency),
            Some(used) => Ok(Reply::Integer(i64::from(rule.frequency(used, place.now_ms)))),
        }
    }

    /// How long ago a key was used, in seconds.
    fn idle_time(&self, place: ResolvedKey<'_>) -> Result<Reply, ClientError> {
        let rule = self.keyspace.use_rule();
        match self.used(place) {
            None => Ok(Reply::Null),
            Some(_) if rule.counts => Err(ClientError::NoIdleTime),
            Some(used) => Ok(Reply::Integer(i64::from(rule.idle_s(used, place.now_ms)))),
        }
    }

    /// What is noted of a key's use.
    fn used(&self, place: ResolvedKey<'_>) -> Option<u32> {
        let fresh = || self.keyspace.use_rule().fresh(place.now_ms);
        let used = self.keyspace.used(place);
        used.or_else(|| self.keyspace.exists(place).then(fresh))
    }

    /// What a key takes in memory, with what it holds.
    fn bytes_of(&self, place: ResolvedKey<'_>) -> Option<usize> {
        let own = self.keyspace.keys().bytes_of(place);
        own.or_else(|| self.keyspace.vector_at(place).map(|(part, name)| part.bytes_of(name)))
    }

    /// Some key of a database, how many there are, and a random number, so that a gather over several shards can choose fairly.
    pub(super) fn random_key(&mut self, database: Database, now_ms: u64) -> Chosen {
        let mut chosen = None;
        let keys = self.keyspace.keys().of(database).len();
        let vectors = self.live_at(database, now_ms);
        for _ in 0..RANDOM_TRIES {
            let draw = self.draw();
            if keys + vectors == 0 {
                break;
            }
            chosen = match below(draw, keys + vectors) < keys {
                true => {
                    let mut random = self.draws;
                    let entry = self.keyspace.keys().of(database).random(|| next_draw(&mut random));
                    let there = entry.filter(|entry| !entry.is_gone(now_ms));
                    there.map(to_bytes)
                }
                false => self.random_vector(database, vectors, now_ms),
            };
            if chosen.is_some() {
                break;
            }
        }
        let among = (keys + vectors) as u64;
        let draw = self.draw();
        Chosen {
            key: chosen.as_ref().map(as_said),
            among,
            draw,
        }
    }

    /// 64 random bits.
    pub(super) fn draw(&mut self) -> u64 {
        next_draw(&mut self.draws)
    }

    /// Lets a key stay; true if it would have expired.
    pub(super) fn persist(&mut self, place: ResolvedKey<'_>) -> bool {
        let deadline_ms = self.keyspace.deadline_of(place);
        deadline_ms.is_some_and(|deadline_ms| deadline_ms != NEVER_MS) && self.keyspace.set_deadline(place, NEVER_MS)
    }

    fn expire(&mut self, place: ResolvedKey<'_>, deadline_ms: u64, only: ExpireOnly) -> bool {
        let Some(before) = self.keyspace.deadline_of(place) else {
            return false;
        };
        let expires = before != NEVER_MS;
        // What never expires expires later than everything.
        let is_refused = (only.if_none && expires)
            || (only.if_some && !expires)
            || (only.if_later && deadline_ms <= before)
            || (only.if_earlier && deadline_ms >= before);
        !is_refused && self.keyspace.set_deadline(place, deadline_ms)
    }

    fn lifetime(&self, place: ResolvedKey<'_>, form: LifetimeForm) -> i64 {
        let Some(deadline_ms) = self.keyspace.deadline_of(place) else {
            return -2;
        };
        if deadline_ms == NEVER_MS {
            return -1;
        }
        let ms = match form.absolute {
            true => deadline_ms,
            false => deadline_ms - place.now_ms,
        };
        integer(match form.in_ms {
            true => ms,
            // Rounded, as in Redis.
            false => ms.saturating_add(500) / 1000,
        })
    }

    fn encoding(&self, place: ResolvedKey<'_>) -> Reply {
        match self.keyspace.entry(place).map(KeyEntry::value) {
            Some(ValueRef::String(string)) => Reply::Text(string.encoding().to_string()),
            Some(ValueRef::Hash(hash)) => Reply::Text(hash.encoding().to_string()),
            // Redis's word for what a module keeps.
            None if self.setup.catalog.at(place.now_ms).holds_set(place.key) => Reply::Text("raw".to_owned()),
            None if self.keyspace.exists(place) => Reply::Text("hnsw".to_owned()),
            None => Reply::Null,
        }
    }
}

/// What a client hears of a refusal.
pub(super) fn refused(refusal: Refusal) -> ClientError {
    match refusal {
        Refusal::WrongType => ClientError::WrongType,
        Refusal::NameOfCollection { name } => ClientError::NameOfCollection { name },
        Refusal::Value(error) => ClientError::Value(error),
    }
}

/// A key's bytes, for a reply.
pub(super) fn to_bytes(entry: KeyEntry<'_>) -> Bytes {
    Bytes::copy_from_slice(entry.key())
}

/// Splitmix64: what chooses keys need not be secret, and a simulation must be able to repeat it.
pub(super) fn next_draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

pub(super) fn below(draw: u64, bound: usize) -> usize {
    ((u128::from(draw) * bound as u128) >> 64) as usize
}

/// Half of the keys may have expired and not be reclaimed yet: then one call in a thousand million finds none.
const RANDOM_TRIES: usize = 30;
