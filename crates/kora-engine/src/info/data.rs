//! What INFO says of the data: memory, keys, recall, and what each worker holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kora_values::{Database, said_name};

use super::Fields;
use crate::gather::Context;
use crate::limits::{SAMPLE_K, SAMPLED_COLLECTIONS_MAX};
use crate::memory_report::MemoryReport;
use crate::stats::{DatabaseStats, RecallStats, WorkerStats};

pub(super) fn memory(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    for (name, value) in MemoryReport::of(stats, context).fields() {
        fields.add(name, value);
    }
    fields.add("maxmemory_clients", context.setup.client_bytes_max());
    let libraries = context.setup.catalog.libraries();
    fields.add("used_memory_functions", libraries.bytes());
    fields.add("number_of_cached_scripts", context.setup.scripts.count());
    fields.add("number_of_functions", libraries.function_count());
    fields.add("number_of_libraries", libraries.len());
}

pub(super) fn keyspace(fields: &mut Fields<'_>, stats: &[WorkerStats], context: &Context<'_>) {
    let mut all: BTreeMap<u16, DatabaseStats> = BTreeMap::new();
    for (number, part) in stats.iter().flat_map(|stats| &stats.databases) {
        let database = all.entry(*number).or_default();
        database.keys += part.keys;
        database.expiring += part.expiring;
        database.expiring_hashes += part.expiring_hashes;
        database.time_left_ms.0 += part.time_left_ms.0;
        database.time_left_ms.1 += part.time_left_ms.1;
    }
    for (number, database) in all {
        let DatabaseStats {
            keys,
            expiring,
            expiring_hashes,
            ..
        } = database;
        let (left_ms, count) = database.time_left_ms;
        let average_ms = left_ms / u128::from(count.max(1));
        fields.add(
            &format!("db{number}"),
            format_args!("keys={keys},expires={expiring},avg_ttl={average_ms},subexpiry={expiring_hashes}"),
        );
    }
    fields.add("kora_collections", context.setup.catalog.len());
    fields.add("kora_collections_expiring", context.setup.catalog.expiring());
}

/// The collections sampled last, in the order of their names.
pub(super) fn recall(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
    let mut all: Vec<&RecallStats> = stats.iter().flat_map(|stats| &stats.recall).collect();
    all.sort_unstable_by_key(|one| std::cmp::Reverse(one.sampled_s));
    all.truncate(SAMPLED_COLLECTIONS_MAX);
    all.sort_unstable_by(|one, other| one.collection.cmp(&other.collection));
    for (number, one) in all.into_iter().enumerate() {
        let Some(recall) = one.found.recall() else { continue };
        let (worst, lost) = (one.found.worst_decile(), one.found.lost_share());
        fields.add(
            &format!("recall{number}"),
            format_args!(
                "collection={}{},recall={recall:.4},worst_decile={:.4},lost={:.4},k={SAMPLE_K},ef={},samples={},sampled_at={}",
                plain(said_name(&one.collection)),
                database_of(&one.collection),
                worst.unwrap_or(recall),
                lost.unwrap_or(0.0),
                one.ef.max(SAMPLE_K),
                one.found.samples,
                one.sampled_s
            ),
        );
    }
}

/// What is said of a collection's database, unless that is 0.
fn database_of(name: &[u8]) -> String {
    match Database::of(name) {
        Database::ZERO => String::new(),
        database => format!(",db={}", database.number()),
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

pub(super) fn workers(fields: &mut Fields<'_>, stats: &[WorkerStats], _: &Context<'_>) {
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
