//! The limit of the data's memory: what is evicted when it is reached, which commands wait, and which are refused.
//!
//! A worker makes room for what its own shards take: after each command it checks whether all data together is near the limit,
//! and evicts some entries. If another worker has older ones, that worker is rung instead, so that the oldest entries are
//! evicted first, wherever they are. A command that would pass the limit waits until there is room, and is refused if there
//! will be none.

use crate::claims::Asked;
use crate::command::Command;
use crate::command::table::Parsed;
use crate::engine::Engine;
use crate::limits::{MEMORY_WAIT_US_MAX, VICTIMS_PER_CHORE};
use crate::reply_queue::MemoryWait;
use crate::reply_queues::ReplyQueueId;
use crate::setup::Host;
use crate::shard::Shard;
use crate::under_way::Reserved;

/// Whether a command that may need memory begins.
pub(crate) enum Room {
    /// There is some.
    Found(Option<Reserved>),
    /// There will be, for so many bytes.
    Awaited(u64),
    /// There is none, and nothing may be evicted.
    Refused,
}

impl Engine {
    /// Applies the rules of eviction as they are now, if they were changed.
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

    /// Whether there is memory for a command. What it needs is kept for it.
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
        if let Some(reserved) = self.reserve(needed, limit) {
            self.reply_queues.get(id).memory_wait = None;
            return Room::Found(Some(reserved));
        }
        self.wait_for_data(id, (needed, limit), since_us, now_ms)
    }

    /// Lets this worker make room for a command that finds none, and says whether it is worth waiting for more.
    fn wait_for_data(&mut self, id: ReplyQueueId, (needed, limit): (usize, u64), since_us: u64, now_ms: u64) -> Room {
        let wait = self.reply_queues.get(id).memory_wait.take();
        let is_refused = |refused_us: u64| since_us.saturating_sub(refused_us) < REFUSED_AGAIN_US_MAX;
        let wanted = self.setup.live.data_memory.wanted.taken();
        let mut wait = wait.unwrap_or_else(|| MemoryWait {
            since_us,
            asked: match self.memory_refused_us.is_some_and(is_refused) {
                true => Asked::just_now(wanted, &self.claims),
                false => Asked::default(),
            },
        });
        let round = wait.asked.round_of(wanted, &self.claims);
        for shard in &mut self.shards {
            if shard.end_lease() {
                shard.settle_memory(now_ms, VICTIMS_PER_CHORE);
                shard.tell_claim(now_ms);
            }
        }
        if let Some(reserved) = self.reserve(needed, limit) {
            return Room::Found(Some(reserved));
        }
        let evicts = self.setup.live.data_memory.rules().choice.policy.evicts();
        let is_hopeless = needed as u64 > limit || since_us.saturating_sub(wait.since_us) > MEMORY_WAIT_US_MAX;
        let may_come =
            (evicts || self.some_is_freed()) && (self.claims.ring_those_with_some() || !self.claims.have_told(round));
        if is_hopeless || !may_come {
            self.memory_refused_us = Some(since_us);
            return Room::Refused;
        }
        self.reply_queues.get(id).memory_wait = Some(wait);
        Room::Awaited(needed as u64)
    }

    /// Lets connections try again whose commands wait for memory.
    pub(crate) fn wake_memory_waiters(&mut self, now_us: u64) {
        let by_vectors = self.shards.iter_mut().map(Shard::take_needed).max().unwrap_or(0);
        let needed = std::mem::take(&mut self.memory_needed).max(by_vectors);
        self.claims.tell_needed(self.worker, needed);
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
            self.claims.tell_needed(self.worker, needed);
        }
        self.memory_waiters.push(id);
    }

    /// Evicts some entries of this worker, if there is too much data. False if there is nothing to do.
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
        // In this order: what is under way no more is in use by then.
        let under_way = memory.under_way.taken();
        let taken = memory.used.taken().saturating_add(under_way);
        taken.saturating_add(needed as u64) <= limit
    }

    /// Keeps so many bytes for a command, if there are so many.
    fn reserve(&self, needed: usize, limit: u64) -> Option<Reserved> {
        if !self.fits_data(needed, limit) {
            return None;
        }
        let reserved = Reserved::new(&self.under_way, needed as u64);
        // Of two workers that look at the same moment, one sees what the other has reserved.
        self.fits_data(0, limit).then_some(reserved)
    }

    /// True if some worker frees what was dropped.
    fn some_is_freed(&self) -> bool {
        let memory = &self.setup.live.data_memory;
        memory.used.taken() > memory.wanted.taken().saturating_add(FREED_BYTES_MIN)
    }
}

/// When a command was refused, the next ones within so many microseconds are refused without asking all shards again.
const REFUSED_AGAIN_US_MAX: u64 = 10_000;

/// Less is freed by the commands that change the data anyway.
const FREED_BYTES_MIN: u64 = 1 << 20;
