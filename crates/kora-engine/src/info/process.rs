//! What INFO says of the process, its clients and its files.

use super::{Fields, REDIS_VERSION, sum};
use crate::gather::Context;
use crate::stats::WorkerStats;

pub(super) fn server(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
    let facts = &context.setup.facts;
    let uptime_s = context.host.now_us().saturating_sub(facts.since_us) / 1_000_000;
    let unix_us = context.host.unix_us();
    fields.add("redis_version", REDIS_VERSION);
    fields.add("kora_version", &facts.kora_version);
    fields.add("redis_mode", "standalone");
    fields.add("os", &facts.os);
    fields.add("arch_bits", usize::BITS);
    fields.add("monotonic_clock", "POSIX clock_gettime");
    fields.add("multiplexing_api", "epoll");
    fields.add("process_id", facts.process_id);
    fields.add("process_supervised", "no");
    fields.add("run_id", &facts.run_id);
    fields.add("tcp_port", facts.tcp_port);
    fields.add("server_time_usec", unix_us);
    fields.add("uptime_in_seconds", uptime_s);
    fields.add("uptime_in_days", uptime_s / 86_400);
    // Seconds of the time of day, in 24 bits: what the times of last use are counted in.
    fields.add("lru_clock", (unix_us / 1_000_000) & 0xFF_FFFF);
    fields.add("executable", &facts.executable);
    fields.add("config_file", &facts.config_file);
    fields.add("io_threads_active", 0);
    for (index, listener) in facts.listeners.iter().enumerate() {
        fields.add(&format!("listener{index}"), listener);
    }
    fields.add("kora_workers", context.placement().worker_count());
    fields.add("kora_shards", context.placement().shard_count());
}

pub(super) fn clients(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    let longest = |index: usize| stats.iter().map(|stats| stats.buffer_bytes_recent_max[index]).max();
    fields.add("connected_clients", sum(stats, |stats| stats.clients));
    fields.add("cluster_connections", 0);
    fields.add("maxclients", context.setup.live.clients_max.get());
    fields.add("client_recent_max_input_buffer", longest(0).unwrap_or(0));
    fields.add("client_recent_max_output_buffer", longest(1).unwrap_or(0));
    // No command blocks.
    fields.add("blocked_clients", 0);
    fields.add("tracking_clients", sum(stats, |stats| stats.tracking_clients));
    fields.add("pubsub_clients", sum(stats, |stats| stats.subscribed_clients));
    fields.add("watching_clients", sum(stats, |stats| stats.watching_clients));
    fields.add("clients_in_timeout_table", 0);
    fields.add("total_watched_keys", sum(stats, |stats| stats.watched_keys));
    fields.add_zeros(&["total_blocking_keys", "total_blocking_keys_on_nokey"]);
}

pub(super) fn persistence(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
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
    // A snapshot is taken without a fork, so no page is copied for it.
    fields.add_zeros(&["current_cow_peak", "current_cow_size", "current_cow_size_age"]);
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
    fields.add("rdb_last_cow_size", 0);
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
    fields.add_zeros(&[
        "aof_last_cow_size",
        "module_fork_in_progress",
        "module_fork_last_cow_size",
    ]);
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

/// A master without replicas: clients that look for a role here (Valkey GLIDE) connect to nothing else.
pub(super) fn replication(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
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

pub(super) fn cpu(fields: &mut Fields<'_>, _: &[WorkerStats], context: &Context<'_>) {
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let cpu = context.host.cpu_us();
    fields.add("used_cpu_sys", seconds(cpu.system_us));
    fields.add("used_cpu_user", seconds(cpu.user_us));
    // The server has no children.
    fields.add("used_cpu_sys_children", seconds(0));
    fields.add("used_cpu_user_children", seconds(0));
}
