//! The text of INFO. Field names are Redis's where the field is; those of our own have a section or a prefix of their
//! own.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::gather::Context;
use crate::limits::{SAMPLE_K, SAMPLED_COLLECTIONS_MAX};
use crate::memory_report::MemoryReport;
use crate::stats::{CommandStats, RecallStats, WorkerStats};

/// The sections that were asked for; all of them if none was named.
pub(crate) fn text(sections: &[Bytes], stats: &[WorkerStats], context: &Context<'_>) -> String {
    let wanted = |name: &str| {
        sections.is_empty()
            || sections.iter().any(|section| {
                ["all", "everything", "default", name]
                    .iter()
                    .any(|word| section.eq_ignore_ascii_case(word.as_bytes()))
            })
    };
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if wanted(name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let title = name[..1].to_uppercase() + &name[1..];
            text.push_str(&format!("# {title}\r\n"));
            write(&mut Fields { text: &mut text }, stats, context);
        }
    }
    text
}

type Section = fn(&mut Fields<'_>, &[WorkerStats], &Context<'_>);

const SECTIONS: [(&str, Section); 12] = [
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", counters),
    ("replication", replication),
    ("cpu", cpu),
    ("commandstats", commandstats),
    ("latencystats", latencystats),
    ("keyspace", keyspace),
    ("recall", recall),
    ("workers", workers),
];

struct Fields<'a> {
    text: &'a mut String,
}

impl Fields<'_> {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        write!(self.text, "{name}:{value}\r\n").expect("writing to a string cannot fail");
    }
}

fn server(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
    let facts = &context.setup.facts;
    let uptime_s = context.host.now_us().saturating_sub(facts.since_us) / 1_000_000;
    fields.add("redis_version", REDIS_VERSION);
    fields.add("kora_version", &facts.kora_version);
    fields.add("redis_mode", "standalone");
    fields.add("os", &facts.os);
    fields.add("arch_bits", usize::BITS);
    fields.add("process_id", facts.process_id);
    fields.add("run_id", &facts.run_id);
    fields.add("tcp_port", facts.tcp_port);
    fields.add("uptime_in_seconds", uptime_s);
    fields.add("uptime_in_days", uptime_s / 86_400);
    fields.add("kora_workers", context.placement().worker_count());
    fields.add("kora_shards", context.placement().shard_count());
}

fn clients(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    fields.add(
        "connected_clients",
        stats.iter().map(|stats| stats.clients).sum::<u64>(),
    );
    fields.add("maxclients", context.setup.live.clients_max.get());
    // No command blocks. redis-cli --stat shows a wrong number if the field is missing.
    fields.add("blocked_clients", 0);
}

fn memory(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    for (name, value) in MemoryReport::of(stats, context).fields() {
        fields.add(name, value);
    }
    fields.add("maxmemory_clients", context.setup.client_bytes_max());
    fields.add("number_of_cached_scripts", context.setup.scripts.count());
}

fn persistence(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
    let durability = &context.setup.durability;
    let told = &durability.told;
    let is_loading = durability.phase().is_loading;
    let now_s = context.host.unix_us() / 1_000_000;
    let status = |failed: bool| if failed { "err" } else { "ok" };
    let saving_since_s = told.saving_since_s.get();
    let saving_s = match saving_since_s {
        0 => -1,
        since_s => i64::try_from(now_s.saturating_sub(since_s)).unwrap_or(i64::MAX),
    };
    let took_s = i64::try_from(told.save_took_s.get()).unwrap_or(i64::MAX) - 1;
    let is_log_on = told.is_log_on.get();
    fields.add("loading", u8::from(is_loading));
    fields.add("async_loading", 0);
    if is_loading {
        let (done, all) = (durability.loaded_bytes.get(), durability.load_bytes.get());
        let since_s = durability.loading_since_s.get();
        fields.add("loading_start_time", since_s);
        fields.add("loading_total_bytes", all);
        fields.add("loading_loaded_bytes", done);
        fields.add(
            "loading_loaded_perc",
            format!("{:.2}", done as f64 * 100.0 / all.max(1) as f64),
        );
        let eta_s = now_s.saturating_sub(since_s) * all.saturating_sub(done) / done.max(1);
        fields.add("loading_eta_seconds", eta_s);
    }
    let changes = durability.changes().saturating_sub(told.saved_changes.get());
    fields.add("rdb_changes_since_last_save", changes);
    fields.add("rdb_bgsave_in_progress", u8::from(saving_since_s != 0));
    fields.add("rdb_last_save_time", told.saved_s.get());
    fields.add("rdb_last_bgsave_status", status(told.save_failed.get() != 0));
    fields.add("rdb_last_bgsave_time_sec", took_s);
    fields.add("rdb_current_bgsave_time_sec", saving_s);
    fields.add("rdb_saves", told.saves.get());
    fields.add("aof_enabled", is_log_on);
    fields.add(
        "aof_rewrite_in_progress",
        u8::from(is_log_on != 0 && saving_since_s != 0),
    );
    fields.add("aof_rewrite_scheduled", 0);
    fields.add("aof_last_rewrite_time_sec", took_s);
    fields.add("aof_current_rewrite_time_sec", saving_s);
    fields.add("aof_last_bgrewrite_status", status(told.save_failed.get() != 0));
    fields.add("aof_last_write_status", status(durability.trouble.get() != 0));
    if is_log_on != 0 {
        fields.add("aof_current_size", told.snapshot_bytes.get() + told.log_bytes.get());
        fields.add("aof_base_size", told.snapshot_bytes.get());
        fields.add("aof_buffer_length", told.waiting_bytes.get());
    }
    fields.add("kora_log_last_stamp", durability.stamps.last());
    fields.add("kora_log_durable_stamp", durability.durable.get());
    fields.add("kora_log_bytes", told.log_bytes.get());
    fields.add("kora_log_blocks", told.blocks.get());
    fields.add("kora_log_syncs", told.syncs.get());
    fields.add("kora_log_sync_us_max", told.sync_us_max.get());
    fields.add("kora_snapshot_bytes", told.snapshot_bytes.get());
}

fn counters(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    fields.add(
        "total_connections_received",
        stats.iter().map(|stats| stats.connections).sum::<u64>(),
    );
    fields.add(
        "total_commands_processed",
        stats.iter().map(|stats| stats.commands).sum::<u64>(),
    );
    fields.add("expired_keys", stats.iter().map(|stats| stats.expired).sum::<u64>());
    fields.add("evicted_keys", stats.iter().map(|stats| stats.evicted).sum::<u64>());
    let waits_us: u64 = stats.iter().map(|stats| stats.memory_waits_us).sum();
    fields.add("total_eviction_exceeded_time", waits_us / 1000);
    fields.add(
        "evicted_clients",
        stats.iter().map(|stats| stats.clients_dropped).sum::<u64>(),
    );
    fields.add(
        "kora_clients_moved",
        stats.iter().map(|stats| stats.clients_moved).sum::<u64>(),
    );
    fields.add(
        "kora_query_parts_read_in_place",
        stats.iter().map(|stats| stats.parts_read).sum::<u64>(),
    );
}

/// A master without replicas: clients that look for a role here (Valkey GLIDE) connect to nothing else.
fn replication(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", &context.setup.facts.run_id);
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", 0);
    fields.add("second_repl_offset", -1);
    for name in ["active", "size", "first_byte_offset", "histlen"] {
        fields.add(&format!("repl_backlog_{name}"), 0);
    }
}

/// `usec` is the time from when a command was taken from its connection until its reply was complete, waiting included:
/// what its client sees of it.
fn commandstats(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    let commands = all_commands(stats);
    let given = commands
        .sorted()
        .into_iter()
        .filter(|counter| counter.calls + counter.rejected > 0);
    for counter in given {
        let per_call = counter.latency_us_total as f64 / counter.calls.max(1) as f64;
        fields.add(
            &format!("cmdstat_{}", counter.name),
            format_args!(
                "calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                counter.calls, counter.latency_us_total, counter.rejected, counter.failed
            ),
        );
    }
}

fn latencystats(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    for counter in all_commands(stats).sorted() {
        if counter.calls > 0 {
            let percentile = |share| counter.latency.percentile_us(share);
            fields.add(
                &format!("latency_percentiles_usec_{}", counter.name),
                format_args!(
                    "p50={},p99={},p99.9={}",
                    percentile(0.5),
                    percentile(0.99),
                    percentile(0.999)
                ),
            );
        }
    }
}

fn all_commands(stats: &[WorkerStats]) -> CommandStats {
    let mut all = CommandStats::default();
    for stats in stats {
        all.merge(&stats.by_command);
    }
    all
}

fn cpu(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
    let cpu = context.host.cpu_us();
    fields.add("used_cpu_sys", seconds(cpu.system_us));
    fields.add("used_cpu_user", seconds(cpu.user_us));
}

fn keyspace(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    let keys: u64 = stats.iter().map(|stats| stats.vector_keys + stats.keys).sum();
    if keys > 0 {
        let expires: u64 = stats.iter().map(|stats| stats.expiring).sum();
        fields.add("db0", format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
    fields.add("kora_collections", context.setup.catalog.len());
    fields.add("kora_collections_expiring", context.setup.catalog.expiring());
}

/// The collections sampled last, in the order of their names.
fn recall(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    let mut all: Vec<&RecallStats> = stats.iter().flat_map(|stats| &stats.recall).collect();
    all.sort_unstable_by_key(|one| std::cmp::Reverse(one.sampled_s));
    all.truncate(SAMPLED_COLLECTIONS_MAX);
    all.sort_unstable_by(|one, other| one.collection.cmp(&other.collection));
    for (number, one) in all.into_iter().enumerate() {
        let Some(recall) = one.found.recall() else { continue };
        fields.add(
            &format!("recall{number}"),
            format_args!(
                "collection={},recall={recall:.4},k={SAMPLE_K},ef={},samples={},sampled_at={}",
                plain(&one.collection),
                one.ef.max(SAMPLE_K),
                one.found.samples,
                one.sampled_s
            ),
        );
    }
}

/// A name without what ends a field or a line: such bytes stand as `\xHH`.
fn plain(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b',' | b'=' | b'\\' => write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail"),
        }
    }
    text
}

fn workers(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    for stats in stats {
        fields.add(&format!("worker{}", stats.worker), numbers(stats));
    }
}

fn numbers(stats: &WorkerStats) -> String {
    let numbers = [
        ("shards", stats.shards as u64),
        ("vectors", stats.vectors),
        ("keys", stats.keys),
        ("expiring", stats.expiring),
        ("clients", stats.clients),
        ("client_bytes", stats.client_bytes),
        ("connections", stats.connections),
        ("commands", stats.commands),
        ("turns", stats.turns),
        ("turn_us_max", stats.turn_us_max),
        ("slices", stats.slices),
        ("slice_us_max", stats.slice_us_max),
        ("queue_depth", stats.queue_depth),
        ("queue_depth_max", stats.queue_depth_max),
        ("unanswered", stats.unanswered),
        ("requests_sent", stats.requests_sent),
        ("credit_waits", stats.credit_waits),
        ("bells_rung", stats.bells_rung),
        ("sleeps", stats.sleeps),
    ];
    numbers.map(|(name, number)| format!("{name}={number}")).join(",")
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// The Redis whose protocol and replies we keep to, where libraries compare versions.
pub(crate) const REDIS_VERSION: &str = "8.2.3";
