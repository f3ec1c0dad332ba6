//! The limit of the data's memory: what goes when it is reached, who waits, and who is refused.
//!
//! A worker makes room for what its own shards take: after each command it looks whether all data together is near the limit,
//! and lets some entries go. Where another worker has older ones it is rung instead, so that what nobody uses any more goes
//! first wherever it lies. A command that would lead beyond the limit waits until there is room, and is refused if there will
//! be none.

use crate::command::Command;
use crate::command::table::Parsed;
use crate::engine::Engine;
use crate::limits::{MEMORY_WAIT_US_MAX, VICTIMS_PER_CHORE};
use crate::reply_queues::ReplyQueueId;
use crate::settings::Reserved;
use crate::setup::Host;
use crate::shard::Shard;

/// What becomes of a command that may need memory.
pub(crate) enum Room {
    /// There is some.
    Found(Option<Reserved>),
    /// There will be, for so many bytes.
    Awaited(u64),
    /// There is none, and nothing may go.
    Refused,
}

impl Engine {
    /// Goes by the rules of eviction as they are now, if they were changed.
    pub(crate) fn look_at_memory_rules(&mut self) {
        let memory = &self.setup.live.data_memory;
        let version = memory.version();
        if version == self.memory_rules_version {
            return;
        }
        self.memory_rules_version = version;
        let rules = memory.rules();
        self.shards
            .iter_mut()
            .for_each(|shard| shard.set_eviction_rules(&rules));
    }

    /// Whether there is memory for a command. If that needs much, what it needs is kept for it.
    pub(crate) fn room_for_data(&mut self, id: ReplyQueueId, parsed: &Parsed, since_us: u64, now_ms: u64) -> Room {
        let Some(limit) = self.setup.live.data_memory.limit() else {
            return Room::Found(None);
        };
        let reply_queue = self.reply_queues.get(id);
        let needed = match (&parsed.command, reply_queue.queued_bytes()) {
            (Command::Exec, Some(bytes)) => bytes,
            (_, queued) if parsed.entry.adds_memory => parsed.command.data_bytes() + queued.unwrap_or(0),
            _ => return Room::Found(None),
        };
        if self.fits_data(needed, limit) {
            self.reply_queues.get(id).waits_for_memory_since_us = None;
            return Room::Found(self.reserve(needed));
        }
        let evicts = self.setup.live.data_memory.rules().choice.policy.evicts();
        for shard in &mut self.shards {
            if shard.end_lease() {
                shard.settle_memory(now_ms, VICTIMS_PER_CHORE);
                shard.tell_claim(now_ms);
            }
        }
        let since = self.reply_queues.get(id).waits_for_memory_since_us.unwrap_or(since_us);
        let room = if self.fits_data(needed, limit) {
            Room::Found(self.reserve(needed))
        } else if needed as u64 > limit || since_us.saturating_sub(since) > MEMORY_WAIT_US_MAX {
            Room::Refused
        } else if self.claims.ring_those_with_some() && (evicts || self.some_is_freed()) {
            Room::Awaited(needed as u64)
        } else {
            Room::Refused
        };
        self.reply_queues.get(id).waits_for_memory_since_us = matches!(room, Room::Awaited(_)).then_some(since);
        room
    }

    /// Lets connections try again whose commands wait for memory.
    pub(crate) fn wake_memory_waiters(&mut self, now_us: u64) {
        let by_vectors = self.shards.iter_mut().map(Shard::take_needed).max().unwrap_or(0);
        let needed = std::mem::take(&mut self.memory_needed).max(by_vectors);
        self.claims.tell_needed(needed);
        if self.memory_waiters.is_empty() {
            self.memory_waited_us = now_us;
            return;
        }
        self.stats.memory_waits_us += now_us.saturating_sub(self.memory_waited_us);
        self.memory_waited_us = now_us;
        for id in std::mem::take(&mut self.memory_waiters) {
            if let Some(reply_queue) = self.reply_queues.find(id) {
                reply_queue.unblock();
            }
        }
    }

    /// A connection's command waits for so many bytes.
    pub(crate) fn queue_for_memory(&mut self, id: ReplyQueueId, needed: u64) {
        self.reply_queues.get(id).block();
        if needed > self.memory_needed {
            self.memory_needed = needed;
            self.claims.tell_needed(needed);
        }
        self.memory_waiters.push(id);
    }

    /// Lets some entries of this worker go, if there is too much data. False if there is nothing to do.
    pub(crate) fn evict(&mut self, host: &dyn Host) -> bool {
        if self.setup.live.data_memory.limit().is_none() {
            return false;
        }
        let now_ms = self.unix_us(host.now_us()) / 1000;
        let mut has_evicted = false;
        for shard in &mut self.shards {
            has_evicted |= shard.end_lease() && shard.settle_memory(now_ms, VICTIMS_PER_CHORE);
        }
        has_evicted
    }

    fn fits_data(&self, needed: usize, limit: u64) -> bool {
        let memory = &self.setup.live.data_memory;
        let used = memory.used.taken().saturating_add(memory.under_way.taken());
        used.saturating_add(needed as u64) <= limit
    }

    fn reserve(&self, needed: usize) -> Option<Reserved> {
        (needed >= RESERVED_BYTES_MIN).then(|| Reserved::new(&self.setup.live, needed as u64))
    }

    /// True if what was dropped is being freed on some worker.
    fn some_is_freed(&self) -> bool {
        let memory = &self.setup.live.data_memory;
        memory.used.taken() > memory.wanted.taken().saturating_add(FREED_BYTES_MIN)
    }
}

/// What needs less is under way for a moment, and the room above the goal of eviction is kept for it.
const RESERVED_BYTES_MIN: usize = 64 << 10;

/// Less comes back with what is done to the data anyway.
const FREED_BYTES_MIN: u64 = 1 << 20;
