//! What a shard tells all workers of the memory that it takes, and what it evicts when that is too much.

use kora_keyspace::UseNote;
use kora_keyspace::catalog::Schema;

use super::Shard;
use crate::claims::{Asked, Claims};
use crate::limits::VICTIMS_PER_CHORE;
use crate::settings::{EvictionRules, NO_LIMIT};

/// What a shard knows of the limit.
pub(super) struct ShardMemory {
    /// Bytes that its data takes, as they were told last.
    used: u64,
    /// Bytes that are wanted, likewise.
    wanted: u64,
    rules: EvictionRules,
    claims: Claims,
    /// Bytes that a vector waits for, since that was asked last.
    needed: u64,
}

impl ShardMemory {
    pub(super) fn new(claims: Claims) -> ShardMemory {
        ShardMemory {
            used: 0,
            wanted: 0,
            rules: EvictionRules::default(),
            claims,
            needed: 0,
        }
    }
}

impl Shard {
    /// Applies these rules from now on.
    pub(crate) fn set_eviction_rules(&mut self, rules: &EvictionRules) {
        if self.memory.rules != *rules {
            self.memory.rules = rules.clone();
            self.keyspace.set_use_rule(rules.uses.clone());
        }
    }

    /// True if all data together takes more than the goal.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        let limit = self.setup.live.data_memory.used.limit();
        limit != NO_LIMIT && self.used_by_all() > self.goal(limit)
    }

    /// What a query notes of its hits: of the k nearest of all parts, twice a part's share counts as used, because shares differ.
    pub(super) fn use_note(&self, schema: &Schema, k: usize, now_ms: u64) -> UseNote {
        let parts = self.placement.part_count(schema);
        UseNote {
            rule: self.keyspace.use_rule().clone(),
            hits: used_hits(k, parts),
            now_ms,
        }
    }

    /// Tells what the data takes now, and evicts up to `most` entries if all data together takes too much. To be called when
    /// the data has changed, while its collections are here. True if something was evicted or given back.
    pub(crate) fn settle_memory(&mut self, now_ms: u64, most: usize) -> bool {
        self.tell_memory();
        let limit = self.setup.live.data_memory.used.limit();
        // Nothing is evicted between two slices of an operation that has the shard to itself.
        if limit == NO_LIMIT || self.queue.is_taken() || !self.is_beyond(limit) {
            return false;
        }
        self.make_room(limit, now_ms, most)
    }

    /// True if another worker wants to know what could be evicted here.
    pub(crate) fn is_asked_for_claim(&self) -> bool {
        self.memory.claims.is_asked()
    }

    /// Tells the other workers what could be evicted here. To be called before the worker sleeps, while its collections are
    /// here.
    pub(crate) fn tell_claim(&mut self, now_ms: u64) {
        let has_limit = self.setup.live.data_memory.used.limit() != NO_LIMIT;
        let rank = if has_limit { self.best_rank(now_ms) } else { None };
        self.memory.claims.tell(rank);
    }

    /// How good a victim there is here; 0 if there is none, but something is being freed.
    fn best_rank(&mut self, now_ms: u64) -> Option<u64> {
        let choice = self.memory.rules.choice;
        let victim = match choice.policy.evicts() {
            true => self
                .keyspace
                .eviction_rank(choice, now_ms)
                .map(|rank| u64::from(rank) + 1),
            false => None,
        };
        let use_now = self.keyspace.memory_use();
        let is_freed = use_now.dropped_bytes > 0 || self.keyspace.has_upkeep();
        victim.or(is_freed.then_some(0))
    }

    /// Bytes that a vector has waited for since this was asked last; 0 if none has.
    pub(crate) fn take_needed(&mut self) -> u64 {
        std::mem::take(&mut self.memory.needed)
    }

    /// Evicts some entries for tables that grow by so many bytes, or gives some memory back. If there was nothing to do: whether
    /// the memory may come yet, because other workers evict, or what was evicted is freed. `asked` is what all shards were asked.
    pub(super) fn make_room_for(&mut self, bytes: u64, asked: &mut Asked, now_ms: u64) -> Result<(), bool> {
        let (limit, choice) = (self.setup.live.data_memory.used.limit(), self.memory.rules.choice);
        if bytes > limit {
            return Err(false);
        }
        self.memory.needed = self.memory.needed.max(bytes);
        let is_enough = |shard: &Shard| shard.wanted_by_all().saturating_add(bytes) <= limit;
        let victims = 0..VICTIMS_PER_CHORE;
        let evicted = victims
            .take_while(|_| !is_enough(self) && choice.policy.evicts() && self.keyspace.evict(choice, now_ms))
            .count();
        let has_given_back = self.keyspace.give_back();
        self.tell_memory();
        if evicted > 0 || has_given_back {
            return Ok(());
        }
        if is_enough(self) || !choice.policy.evicts() {
            return Err(is_enough(self));
        }
        let (wanted, claims) = (self.wanted_by_all(), self.memory.claims.board());
        let round = asked.round_of(wanted, claims);
        self.tell_claim(now_ms);
        let claims = self.memory.claims.board();
        Err(claims.ring_those_with_some() || !claims.have_told(round))
    }

    fn make_room(&mut self, limit: u64, now_ms: u64, most: usize) -> bool {
        let choice = self.memory.rules.choice;
        let mut has_done = false;
        for _ in 0..most {
            if self.used_by_all() > self.goal(limit) && self.keyspace.give_back() {
                has_done = true;
                self.tell_memory();
                continue;
            }
            if !choice.policy.evicts() || self.wanted_by_all() <= self.goal(limit) {
                break;
            }
            let rank = self.best_rank(now_ms);
            self.memory.claims.tell(rank);
            let has_time = self.used_by_all() <= limit;
            if has_time && self.memory.claims.leave_it_to_other(rank.unwrap_or(0)) {
                break;
            }
            if !self.keyspace.evict(choice, now_ms) {
                self.memory.claims.board().ring_those_with_some();
                break;
            }
            has_done = true;
            self.tell_memory();
        }
        has_done
    }

    /// True if the data of all shards may take so many bytes more.
    pub(super) fn has_memory_for(&self, bytes: usize) -> bool {
        let limit = self.setup.live.data_memory.used.limit();
        limit == NO_LIMIT || self.used_by_all().saturating_add(bytes as u64) <= limit
    }

    /// Entries are evicted when there is more data than that: the rest is room for what commands under way on other workers
    /// add, and for the largest command that waits.
    fn goal(&self, limit: u64) -> u64 {
        limit.saturating_sub((limit / GOAL_ONE_IN).max(self.memory.claims.board().most_needed()))
    }

    fn is_beyond(&self, limit: u64) -> bool {
        self.used_by_all() > self.goal(limit) || self.wanted_by_all() > self.goal(limit)
    }

    /// What the data of all shards takes: of the others as they told last, of this one as it is.
    pub(super) fn used_by_all(&self) -> u64 {
        let own = self.keyspace.memory_use().bytes() as u64;
        (self.setup.live.data_memory.used.taken() + own).saturating_sub(self.memory.used)
    }

    fn wanted_by_all(&self) -> u64 {
        let own = self.keyspace.memory_use().wanted_bytes() as u64;
        (self.setup.live.data_memory.wanted.taken() + own).saturating_sub(self.memory.wanted)
    }

    /// Tells what the data takes now, if that has changed by more than a little since it was told last.
    pub(crate) fn tell_memory(&mut self) {
        let use_now = self.keyspace.memory_use();
        let (used, wanted) = (use_now.bytes() as u64, use_now.wanted_bytes() as u64);
        let memory = &self.setup.live.data_memory;
        let step = memory.told_step();
        if used.abs_diff(self.memory.used) > step {
            if used > self.memory.used {
                memory.used.take(used - self.memory.used);
                let all = memory.used.taken();
                if all > memory.peak.get() {
                    memory.peak.set(all);
                }
            } else {
                memory.used.give_back(self.memory.used - used);
            }
            self.memory.used = used;
        }
        if wanted.abs_diff(self.memory.wanted) > step {
            match wanted.checked_sub(self.memory.wanted) {
                Some(more) => memory.wanted.take(more),
                None => memory.wanted.give_back(self.memory.wanted - wanted),
            }
            self.memory.wanted = wanted;
        }
    }
}

/// How many of the nearest k of a part count as used, of so many parts.
pub(super) fn used_hits(k: usize, parts: usize) -> usize {
    (2 * k).div_ceil(parts.max(1))
}

/// Less than a hundredth.
const GOAL_ONE_IN: u64 = 128;
