//! Chooses victims and evicts them.

use kora_vector::Slot;

use super::candidates::{EvictionChoice, Victim};
use super::{EvictionPolicy, below};
use crate::changes::Observer;
use crate::keyspace::Keyspace;
use crate::outcome::Cause;
use crate::time::NEVER_MS;

impl<O: Observer> Keyspace<O> {
    /// How many entries were evicted.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How good a victim there is; none if nothing may be evicted. The larger, the better.
    pub fn eviction_rank(&mut self, choice: EvictionChoice, now_ms: u64) -> Option<u32> {
        if choice.policy == EvictionPolicy::VolatileTtl {
            return (self.keys.expiring() + self.expiring_vectors > 0).then_some(0);
        }
        for _ in 0..TRIES_MAX {
            self.meet_candidates(choice, now_ms);
            if let Some(candidate) = self.candidates.met.last() {
                return Some(candidate.rank);
            }
        }
        None
    }

    /// Evicts one entry; false if none may be evicted.
    pub fn evict(&mut self, choice: EvictionChoice, now_ms: u64) -> bool {
        if choice.policy == EvictionPolicy::VolatileTtl {
            return self.evict_first_to_expire(now_ms);
        }
        for _ in 0..TRIES_MAX {
            self.meet_candidates(choice, now_ms);
            // Where few entries are left among many empty places, a look may meet none.
            let Some(candidate) = self.candidates.met.pop() else {
                continue;
            };
            let is_gone = match candidate.victim {
                Victim::Key { hash, used } => self.evict_key(hash, used, choice.policy, now_ms),
                Victim::Vector { place, slot, used } => self.evict_vector(place, (slot, used), choice.policy, now_ms),
            };
            if is_gone {
                return true;
            }
        }
        false
    }

    /// Looks at some entries side by side, of keys or of vectors as these are many.
    fn meet_candidates(&mut self, EvictionChoice { policy, samples }: EvictionChoice, now_ms: u64) {
        let Keyspace {
            keys,
            collections,
            candidates,
            part_weights,
            vector_deadlines,
            ..
        } = self;
        let rule = keys.uses.clone();
        let rank_of = |used: u32| match policy.is_random() {
            true => 0,
            false => rule.rank(used, now_ms),
        };
        let (samples, key_count, vector_count) = match policy.is_volatile() {
            true => (samples, keys.expiring(), self.expiring_vectors),
            false => (samples, keys.len(), self.live),
        };
        let samples = if policy.is_random() { 1 } else { samples };
        if key_count + vector_count == 0 {
            return;
        }
        let (number, draw) = (below(candidates.draw(), key_count + vector_count), candidates.draw());
        if number < key_count {
            let mut meet = |hash, used| candidates.add(rank_of(used), Victim::Key { hash, used });
            match policy.is_volatile() {
                true => keys.sample_expiring(draw, samples, &mut meet),
                false => keys.sample(draw, samples, &mut meet),
            }
            return;
        }
        let Some(collections) = collections.here() else {
            return;
        };
        let place = match policy.is_volatile() {
            true => {
                let first = vector_deadlines.first().map_or(0, |(first_ms, _)| *first_ms);
                let last = vector_deadlines.last().map_or(0, |(last_ms, _)| *last_ms);
                let at_ms = first + below(candidates.draw(), (last - first + 1) as usize) as u64;
                let found = vector_deadlines.range((at_ms, 0)..).next().or(vector_deadlines.first());
                found.map(|(_, place)| *place)
            }
            false => part_weights.find(number - key_count),
        };
        if let Some((place, part)) = place.and_then(|place| Some((place, collections.at(place)?))) {
            part.sample_uses(draw, samples, policy.is_volatile(), |slot, used| {
                candidates.add(rank_of(used), Victim::Vector { place, slot, used });
            });
        }
    }

    fn evict_key(&mut self, hash: u32, used: u32, policy: EvictionPolicy, now_ms: u64) -> bool {
        let Some(entry) = self.keys.find_used(hash, used) else {
            return false;
        };
        if policy.is_volatile() && entry.deadline_ms() == NEVER_MS {
            return false;
        }
        let key = entry.key().to_vec();
        let place = self.place(&key, now_ms);
        let is_gone = self.remove(place, Cause::Evicted);
        self.evicted += u64::from(is_gone);
        is_gone
    }

    fn evict_vector(&mut self, place: u32, (slot, used): (Slot, u32), policy: EvictionPolicy, now_ms: u64) -> bool {
        let Some(part) = self.collections.at(place) else {
            return false;
        };
        let is_it = part.is_live(slot) && part.elements().used(slot) == used;
        if !is_it || (policy.is_volatile() && part.deadline_of(slot) == NEVER_MS) {
            return false;
        }
        let schema = part.schema().clone();
        if self.catalog.at(now_ms).generation_of(&schema.name) != Some(schema.generation) {
            // It was withdrawn, and this shard has not been told yet: all of it is dropped.
            self.detach(&schema.name, Cause::Dropped);
            return true;
        }
        let name = part.name(slot).to_vec();
        let is_gone = self.remove_vector(&schema.name, &name, now_ms, Cause::Evicted);
        self.evicted += u64::from(is_gone);
        self.pack_if_small(&schema);
        is_gone
    }

    fn evict_first_to_expire(&mut self, now_ms: u64) -> bool {
        let (first, changed) = self.keys.first_to_expire();
        self.changes.count(changed);
        let first_ms = first.as_ref().map_or(NEVER_MS, |(first_ms, _)| *first_ms);
        let vector = self
            .vector_deadlines
            .first()
            .filter(|(vector_ms, _)| *vector_ms < first_ms);
        if let Some((_, place)) = vector.copied() {
            let part = self
                .collections
                .at(place)
                .expect("a part stands in the index while it is held");
            let slot = part.first_slot_to_expire().expect("a vector of it expires");
            let used = part.elements().used(slot);
            return self.evict_vector(place, (slot, used), EvictionPolicy::VolatileTtl, now_ms);
        }
        let Some((_, key)) = first else {
            return false;
        };
        let place = self.place(&key, now_ms);
        let is_gone = self.remove(place, Cause::Evicted);
        self.evicted += u64::from(is_gone);
        is_gone
    }

    /// Compacts some records of keys, where that is worth it. False if it is not.
    pub fn give_back(&mut self) -> bool {
        if self.keys.dead_bytes() * DEAD_ONE_IN <= self.keys.bytes() {
            return false;
        }
        match self.keys.compact_some(DEAD_ONE_IN) {
            Some(changed) => {
                self.changes.count(changed);
                true
            }
            None => false,
        }
    }
}

/// Looks that meet no entry, and victims that were used since they were met, before eviction is given up for now.
const TRIES_MAX: usize = 32;

/// Records are compacted when one byte in so many is dead: freeing one byte costs copying so many.
const DEAD_ONE_IN: usize = 32;
