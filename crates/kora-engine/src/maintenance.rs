//! Maintenance beside the work of clients: a worker frees dropped data, reclaims expired data, and lets collections do their
//! upkeep.
//!
//! One slice of one maintenance task at a time, and the kinds take turns: three slices in a row, each as long as it may be, were
//! up to 3 ms in which no client was served (a million vectors that expire beside queries).

use crate::budgets::{CAPTURE_BURST_US, CAPTURE_REST_US};
use crate::engine::Engine;
use crate::limits::VICTIMS_PER_COMMAND;
use crate::setup::Host;
use crate::shard::Shard;

/// Which maintenance is next.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    /// Attempts so far: the kind and the shard of the next follow from it.
    turns: usize,
    /// A client was given a slice, and the next lap is maintenance's if there is any: so memory is freed under any load.
    is_owed: bool,
    capture: CapturePace,
}

/// How a snapshot leaves time to others: where clients ask meanwhile, capturing rests after each burst.
#[derive(Debug, Default)]
struct CapturePace {
    /// Spent on capturing since the last rest.
    burst_us: u64,
    /// When the rest ends.
    again_us: u64,
    /// Commands that had been executed when the last burst ended: a worker of which no client asks anything does not rest.
    commands: u64,
}

/// Whether clients wait meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leisure {
    /// No client has a request.
    Idle,
    /// Clients wait.
    Asked,
}

#[derive(Clone, Copy, Debug)]
enum MaintenanceKind {
    Free,
    /// Of transactions that were given up.
    Discard,
    Reclaim,
    KeepUp,
    /// Entries are evicted because there is too much data.
    Evict,
    /// A slice of a snapshot.
    Capture,
}

impl Maintenance {
    /// Notes whether a client was given a slice in the last round.
    pub(crate) fn note_round(&mut self, asked: bool) {
        self.is_owed = asked;
    }
}

impl Engine {
    /// Does a slice of maintenance if one is owed after a client's slice. False if there is nothing to do.
    pub(crate) fn do_owed_maintenance(&mut self, host: &dyn Host) -> bool {
        std::mem::take(&mut self.maintenance.is_owed) && self.do_maintenance(Leisure::Asked, host)
    }

    /// Does a slice of maintenance. False if there is nothing to do.
    pub(crate) fn do_maintenance(&mut self, leisure: Leisure, host: &dyn Host) -> bool {
        if self.durable.is_loading {
            // Only the loader changes data.
            return false;
        }
        KINDS.iter().any(|_| {
            self.maintenance.turns = self.maintenance.turns.wrapping_add(1);
            self.do_one(KINDS[self.maintenance.turns % KINDS.len()], leisure, host)
        })
    }

    fn do_one(&mut self, kind: MaintenanceKind, leisure: Leisure, host: &dyn Host) -> bool {
        match (kind, leisure) {
            (MaintenanceKind::Free, _) => self.some_shard(|shard| shard.has_drops(), Shard::free),
            (MaintenanceKind::Discard, _) => self.free_discarded(),
            (MaintenanceKind::Reclaim, _) => self.reclaim(host),
            (MaintenanceKind::Evict, _) => self.evict(host),
            (MaintenanceKind::Capture, _) => self.capture(host),
            (MaintenanceKind::KeepUp, Leisure::Idle) => {
                self.some_shard(|shard| shard.keyspace().has_upkeep(), Shard::keep_up)
            }
            (MaintenanceKind::KeepUp, Leisure::Asked) => self.some_shard(
                |shard| {
                    shard.keyspace().has_upkeep()
                        && shard.end_lease()
                        && (shard.is_short_of_memory() || shard.keyspace_mut().finds_overdue())
                },
                Shard::keep_up,
            ),
        }
    }

    /// Does a slice of a snapshot, and rests after a burst of them. A worker that captures without a pause keeps its core from
    /// all other programs: PING's p99 was three times as long as without a snapshot, on a machine whose clients share its cores.
    fn capture(&mut self, host: &dyn Host) -> bool {
        let start_us = host.now_us();
        if self.capture_rest_us(start_us).is_some_and(|us| us > 0) || !self.has_capture_work() {
            return false;
        }
        let acted = self.some_shard(|shard| shard.has_capture_work(), Shard::go_on_capturing);
        let end_us = host.now_us();
        let pace = &mut self.maintenance.capture;
        pace.burst_us += end_us.saturating_sub(start_us);
        if pace.burst_us >= CAPTURE_BURST_US {
            pace.burst_us = 0;
            if std::mem::replace(&mut pace.commands, self.stats.commands) != self.stats.commands {
                pace.again_us = end_us + CAPTURE_REST_US;
            }
        }
        acted
    }

    /// In how many microseconds a snapshot is gone on with. None if none is under way.
    pub fn capture_rest_us(&self, now_us: u64) -> Option<u64> {
        let again_us = self.maintenance.capture.again_us;
        self.has_capture_work().then(|| again_us.saturating_sub(now_us))
    }

    /// In how many microseconds there is something to do without a request: a key expires, the recall of a collection may
    /// be sampled, a snapshot is gone on with, or a pause ends that clients wait for.
    pub fn next_alarm_us(&self, now_us: u64) -> Option<u64> {
        let expiry_ms = self.next_deadline_ms().into_iter().chain(self.pause_end_ms()).min();
        let expiry_us = expiry_ms.map(|ms| ms.saturating_mul(1000).saturating_sub(self.unix_us(now_us)));
        let sample_us = self.next_sample_us().map(|us| us.saturating_sub(now_us));
        [expiry_us, sample_us, self.capture_rest_us(now_us)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Reclaims keys that have expired.
    fn reclaim(&mut self, host: &dyn Host) -> bool {
        if self.next_deadline_ms().is_none() {
            return false;
        }
        let now_ms = self.unix_us(host.now_us()) / 1000;
        self.some_shard(|shard| shard.has_due(now_ms), |shard| shard.remove_due(now_ms))
    }

    /// Runs `act` on a shard that has work and whose collections no other worker reads, beginning each time with another shard.
    /// False if there is none.
    fn some_shard(&mut self, mut has_work: impl FnMut(&mut Shard) -> bool, act: impl FnOnce(&mut Shard)) -> bool {
        let now_ms = self.unix_us(self.clock_us.max(self.turn_start_us)) / 1000;
        let count = self.shards.len();
        let first = self.maintenance.turns / KINDS.len();
        let found = (first..first + count).find(|place| {
            let shard = &mut self.shards[place % count];
            has_work(shard) && shard.end_lease()
        });
        let acted = found.map(|place| {
            let shard = &mut self.shards[place % count];
            act(shard);
            shard.settle_memory(now_ms, VICTIMS_PER_COMMAND);
        });
        acted.is_some()
    }
}

const KINDS: [MaintenanceKind; 6] = [
    MaintenanceKind::Free,
    MaintenanceKind::Discard,
    MaintenanceKind::Reclaim,
    MaintenanceKind::KeepUp,
    MaintenanceKind::Evict,
    MaintenanceKind::Capture,
];
