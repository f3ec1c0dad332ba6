//! What INFO says of commands and of what was counted.

use super::{Fields, sum};
use crate::gather::Context;
use crate::stats::{CommandStats, ErrorStats, LookupCounts, Traffic, WorkerStats};

pub(super) fn stats(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    let mut traffic = Traffic::default();
    stats.iter().for_each(|stats| traffic.add(stats.traffic));
    let per_second = |index: usize| stats.iter().map(|stats| stats.per_second[index]).sum::<f64>();
    let kilobytes = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    let lookups: LookupCounts = stats.iter().map(|stats| stats.lookups).sum();
    let topics = |index: usize| sum(stats, |stats| stats.topics[index]);
    fields.add("total_connections_received", sum(stats, |stats| stats.connections));
    fields.add("total_commands_processed", sum(stats, |stats| stats.commands));
    fields.add("instantaneous_ops_per_sec", per_second(0).round());
    fields.add("total_net_input_bytes", traffic.received_bytes);
    fields.add("total_net_output_bytes", traffic.sent_bytes);
    fields.add_zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    fields.add("instantaneous_input_kbps", kilobytes(per_second(1)));
    fields.add("instantaneous_output_kbps", kilobytes(per_second(2)));
    fields.add("instantaneous_input_repl_kbps", kilobytes(0.0));
    fields.add("instantaneous_output_repl_kbps", kilobytes(0.0));
    fields.add("rejected_connections", context.setup.live.connections_rejected.get());
    fields.add_zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    fields.add("expired_subkeys", sum(stats, |stats| stats.expired_fields));
    fields.add("expired_keys", sum(stats, |stats| stats.expired));
    fields.add("evicted_keys", sum(stats, |stats| stats.evicted));
    let waits_us = sum(stats, |stats| stats.memory_waits_us);
    fields.add("total_eviction_exceeded_time", waits_us / 1000);
    fields.add("evicted_clients", sum(stats, |stats| stats.clients_dropped));
    fields.add("keyspace_hits", lookups.hits);
    fields.add("keyspace_misses", lookups.misses);
    fields.add("pubsub_channels", topics(0));
    fields.add("pubsub_patterns", topics(1));
    fields.add("pubsubshard_channels", topics(2));
    fields.add_zeros(&["latest_fork_usec", "total_forks", "migrate_cached_sockets"]);
    for (index, name) in ["keys", "items", "prefixes"].into_iter().enumerate() {
        let count = sum(stats, |stats| stats.tracked[index]);
        fields.add(&format!("tracking_total_{name}"), count);
    }
    fields.add("total_error_replies", all_errors(stats).total());
    fields.add("total_reads_processed", traffic.reads);
    fields.add("total_writes_processed", traffic.writes);
    fields.add(
        "client_output_buffer_limit_disconnections",
        sum(stats, |stats| stats.clients_over_output_limit),
    );
    fields.add("kora_messages_dropped", sum(stats, |stats| stats.messages_dropped));
    fields.add("kora_clients_moved", sum(stats, |stats| stats.clients_moved));
    fields.add("kora_query_parts_read_in_place", sum(stats, |stats| stats.parts_read));
}

pub(super) fn errorstats(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    for (kind, count) in all_errors(stats).sorted() {
        fields.add(&format!("errorstat_{kind}"), format_args!("count={count}"));
    }
}

/// `usec` is the time from when a command was taken from its connection until its reply was complete, waiting included:
/// what its client sees of it.
pub(super) fn commandstats(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
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

pub(super) fn latencystats(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    for counter in all_commands(stats).sorted() {
        if counter.calls > 0 {
            let percentile = |share| counter.latency.percentile_us(share);
            fields.add(
                &format!("latency_percentiles_usec_{}", counter.name),
                format_args!(
                    "p50={}.000,p99={}.000,p99.9={}.000",
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

fn all_errors(stats: &[WorkerStats]) -> ErrorStats {
    let mut all = ErrorStats::default();
    stats.iter().for_each(|stats| all.merge(&stats.errors));
    all
}
