//! What is told about the memory: INFO memory, MEMORY STATS and MEMORY DOCTOR. Names are Redis's.

use bytes::Bytes;
use kora_keyspace::{EvictionPolicy, MemoryUse};
use kora_resp::Reply;

use crate::counts::integer;
use crate::gather::Context;
use crate::stats::WorkerStats;

/// The memory of all workers, in bytes.
pub(crate) struct MemoryReport {
    data: MemoryUse,
    keys: u64,
    expiring: u64,
    clients: u64,
    /// What waits for the log's thread.
    log: u64,
    resident: u64,
    peak: u64,
    /// 0 if there is none.
    limit: u64,
    policy: EvictionPolicy,
}

impl MemoryReport {
    pub(crate) fn of(stats: &[WorkerStats], context: &Context<'_>) -> MemoryReport {
        let told = &context.setup.durability.told;
        let memory = &context.setup.live.data_memory;
        let mut report = MemoryReport {
            data: stats.iter().map(|stats| stats.memory).sum(),
            keys: stats.iter().map(|stats| stats.keys + stats.vector_keys).sum(),
            expiring: stats.iter().map(|stats| stats.expiring).sum(),
            clients: stats.iter().map(|stats| stats.client_bytes).sum(),
            log: told.waiting_bytes.get(),
            resident: context.host.resident_bytes(),
            peak: memory.peak.get(),
            limit: memory.limit().unwrap_or(0),
            policy: memory.rules().choice.policy,
        };
        report.peak = report.peak.max(report.used());
        report
    }

    /// The lines of INFO memory.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let (used, dataset) = (self.used(), self.dataset());
        vec![
            ("used_memory", used.to_string()),
            ("used_memory_human", human(used)),
            ("used_memory_rss", self.resident.to_string()),
            ("used_memory_rss_human", human(self.resident)),
            ("used_memory_peak", self.peak.to_string()),
            ("used_memory_peak_human", human(self.peak)),
            (
                "used_memory_peak_perc",
                format!("{:.2}%", share(used, self.peak) * 100.0),
            ),
            ("used_memory_overhead", (used - dataset).to_string()),
            ("used_memory_startup", "0".to_owned()),
            ("used_memory_dataset", dataset.to_string()),
            (
                "used_memory_dataset_perc",
                format!("{:.2}%", share(dataset, used) * 100.0),
            ),
            ("maxmemory", self.limit.to_string()),
            ("maxmemory_human", human(self.limit)),
            ("maxmemory_policy", self.policy.name().to_owned()),
            ("mem_fragmentation_ratio", format!("{:.2}", self.fragmentation())),
            ("mem_fragmentation_bytes", self.fragmentation_bytes().to_string()),
            // The limit is of the data.
            ("mem_not_counted_for_evict", (self.clients + self.log).to_string()),
            ("mem_clients_slaves", "0".to_owned()),
            ("mem_clients_normal", self.clients.to_string()),
            ("mem_aof_buffer", self.log.to_string()),
            ("mem_allocator", "mimalloc".to_owned()),
            ("lazyfree_pending_bytes", self.data.dropped_bytes.to_string()),
            ("kora_memory_keys", self.data.keys_bytes.to_string()),
            ("kora_memory_collections", self.data.collections_bytes.to_string()),
        ]
    }

    /// The reply to MEMORY STATS.
    pub(crate) fn stats(&self) -> Reply {
        let (used, dataset) = (self.used(), self.dataset());
        let number = |number: u64| Reply::Integer(integer(number));
        let ratio = |ratio: f64| Reply::Double(ratio as f32);
        let name = |name: &'static str| Reply::Bulk(Bytes::from_static(name.as_bytes()));
        let database = Reply::Map(vec![
            (name("overhead.hashtable.main"), number(0)),
            (name("overhead.hashtable.expires"), number(0)),
        ]);
        let numbers = [
            ("peak.allocated", number(self.peak)),
            ("total.allocated", number(used)),
            ("startup.allocated", number(0)),
            ("replication.backlog", number(0)),
            ("replica.fullsync.buffer", number(0)),
            ("clients.slaves", number(0)),
            ("clients.normal", number(self.clients)),
            ("cluster.links", number(0)),
            ("aof.buffer", number(self.log)),
            ("lua.caches", number(0)),
            ("functions.caches", number(self.data.libraries_bytes as u64)),
            ("script.VMs", number(0)),
            ("db.0", database),
            ("overhead.total", number(used - dataset)),
            ("keys.count", number(self.keys)),
            ("keys.expiring", number(self.expiring)),
            ("keys.bytes-per-key", number(dataset / self.keys.max(1))),
            ("dataset.bytes", number(dataset)),
            ("dataset.percentage", ratio(share(dataset, used) * 100.0)),
            ("peak.percentage", ratio(share(used, self.peak) * 100.0)),
            ("kora.keys.bytes", number(self.data.keys_bytes as u64)),
            ("kora.collections.bytes", number(self.data.collections_bytes as u64)),
            ("kora.dropped.bytes", number(self.data.dropped_bytes as u64)),
            ("fragmentation", ratio(self.fragmentation())),
            ("fragmentation.bytes", Reply::Integer(self.fragmentation_bytes())),
        ];
        Reply::Map(numbers.into_iter().map(|(text, value)| (name(text), value)).collect())
    }

    /// The reply to MEMORY DOCTOR.
    pub(crate) fn diagnosis(&self) -> String {
        let used = self.used();
        if used < DIAGNOSED_BYTES_MIN {
            return format!(
                "The server holds {} of data and buffers: too little to tell anything by.\n",
                human(used)
            );
        }
        let mut findings = Vec::new();
        if self.peak > used / 2 * 3 {
            findings.push(format!(
                "The server held {} at its peak and holds {} now. What it does not need has gone back to the system; blocks \
                 that are partly in use go back when they are empty.",
                human(self.peak),
                human(used)
            ));
        }
        if self.fragmentation() > FRAGMENTATION_TOLD && self.fragmentation_bytes() > FRAGMENTATION_BYTES_TOLD {
            findings.push(format!(
                "The process takes {} of memory for {} in use, {:.2} times as much: values whose sizes vary leave gaps \
                 behind. MEMORY PURGE gives back what is free as a whole.",
                human(self.resident),
                human(used),
                self.fragmentation()
            ));
        }
        if self.clients > used / 4 {
            findings.push(format!(
                "Clients hold {}: what they sent that is not answered, and replies that they have not taken. CLIENT LIST \
                 shows how much each holds.",
                human(self.clients)
            ));
        }
        let is_nearly_full = self.limit > 0 && self.dataset() > self.limit / 10 * 9;
        if is_nearly_full && self.policy == EvictionPolicy::NoEviction {
            findings.push(format!(
                "The data takes {} of the {} that it may, and maxmemory-policy is noeviction: commands that need memory \
                 will be refused.",
                human(self.dataset()),
                human(self.limit)
            ));
        }
        match findings.is_empty() {
            true => "Nothing about the memory is unusual.\n".to_owned(),
            false => findings.iter().map(|finding| format!(" * {finding}\n")).collect(),
        }
    }

    fn used(&self) -> u64 {
        self.dataset() + self.clients + self.log
    }

    fn dataset(&self) -> u64 {
        self.data.bytes() as u64
    }

    fn fragmentation(&self) -> f64 {
        share(self.resident, self.used())
    }

    fn fragmentation_bytes(&self) -> i64 {
        integer(self.resident) - integer(self.used())
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// An amount as Redis prints it for people.
fn human(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let unit = units.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes}B"),
        |(unit, shift)| format!("{:.2}{unit}", bytes as f64 / (1_u64 << shift) as f64),
    )
}

/// Redis's doctor says nothing of less than that either.
const DIAGNOSED_BYTES_MIN: u64 = 5 << 20;

/// Redis's threshold.
const FRAGMENTATION_TOLD: f64 = 1.4;

/// Beside less than that the program itself counts.
const FRAGMENTATION_BYTES_TOLD: i64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_printed_as_redis_does() {
        let cases = [
            (0, "0B"),
            (1_023, "1023B"),
            (769_296, "751.27K"),
            (6_635_520, "6.33M"),
            (25_276_063_744, "23.54G"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human(bytes), text);
        }
    }
}
