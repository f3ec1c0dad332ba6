//! `/metrics`: INFO and VECINFO in the text format of OpenMetrics, which Prometheus reads.

use std::fmt;

use hyper::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::answers::{Answer, Failure, answer as respond};
use super::info::Info;
use super::neighbours::{COLLECTIONS_MAX, collection_names, describe};
use super::requests::info;
use crate::client::Client;

/// Reads everything and writes it down.
pub(super) fn answer(client: &mut Client) -> Result<Answer, Failure> {
    let info = info(client)?;
    let names = collection_names(client)?;
    let mut collections = Vec::new();
    for name in names.iter().take(COLLECTIONS_MAX) {
        if let Some(fields) = describe(client, name)? {
            collections.push((String::from_utf8_lossy(name).into_owned(), fields));
        }
    }
    let read = Read {
        info,
        omitted: names.len().saturating_sub(COLLECTIONS_MAX),
        collections,
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(read));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_: fmt::Error| Failure::Unexpected)?;
    Ok(respond(StatusCode::OK, CONTENT_TYPE, text))
}

/// What was read of the server at one time.
#[derive(Debug)]
struct Read {
    info: Info,
    /// The first collections by name, and what VECINFO says of each.
    collections: Vec<(String, Vec<(String, String)>)>,
    /// Collections beyond those.
    omitted: usize,
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.write_build(&mut encoder)?;
        for field in FIELDS {
            let sample = self.info.get(field.info).and_then(value_of);
            write(
                &mut encoder,
                field,
                sample.map(|value| (NO_LABELS, value * field.scale)),
            )?;
        }
        self.write_keys(&mut encoder)?;
        self.write_commands(&mut encoder)?;
        self.write_workers(&mut encoder)?;
        self.write_collections(&mut encoder)
    }
}

impl Read {
    fn write_build(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let label = |name| self.info.get(name).unwrap_or_default().to_owned();
        let labels = vec![
            ("version", label("kora_version")),
            ("redis_version", label("redis_version")),
        ];
        let metric = gauge("", "kora_build", "What runs, as labels; always 1");
        write(encoder, &metric, Some((labels, 1.0)))
    }

    /// The field `db0:keys=…,expires=…` of each database.
    fn write_keys(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (part, name, help) in [
            ("keys", "kora_database_keys", "Keys and vectors of a database"),
            (
                "expires",
                "kora_database_expiring_keys",
                "Those of them that have a deadline",
            ),
        ] {
            let samples = self.info.numbered("db").filter_map(|(database, parts)| {
                Some((vec![("database", database.to_owned())], number_of(&parts, part)?))
            });
            write(encoder, &gauge("", name, help), samples)?;
        }
        Ok(())
    }

    fn write_commands(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (part, name, help, scale) in COMMAND_COUNTERS {
            let samples = self.info.numbered("cmdstat_").filter_map(|(command, parts)| {
                Some((vec![("command", command.to_owned())], number_of(&parts, part)? * scale))
            });
            write(encoder, &counter("", name, help), samples)?;
        }
        let latencies = self
            .info
            .numbered("latency_percentiles_usec_")
            .flat_map(|(command, parts)| {
                let sample = move |(percentile, us): (&str, &str)| {
                    let share: f64 = percentile.strip_prefix('p')?.parse().ok()?;
                    let quantile = format!("{}", (share * 10.0).round() / 1000.0);
                    let labels = vec![("command", command.to_owned()), ("quantile", quantile)];
                    Some((labels, us.parse::<f64>().ok()? / MICROSECONDS))
                };
                parts.into_iter().filter_map(sample)
            });
        let help = "Latency that this share of the calls did not exceed, since the start or CONFIG RESETSTAT";
        write(encoder, &gauge("", "kora_command_latency_seconds", help), latencies)
    }

    fn write_workers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (part, metric) in WORKER_FIELDS {
            let samples = self.info.numbered("worker").filter_map(|(worker, parts)| {
                Some((
                    vec![("worker", worker.to_owned())],
                    number_of(&parts, part)? * metric.scale,
                ))
            });
            write(encoder, metric, samples)?;
        }
        Ok(())
    }

    fn write_collections(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (field, name, help) in COLLECTION_FIELDS {
            let samples = self.collections.iter().filter_map(|(collection, fields)| {
                let (_, value) = fields.iter().find(|(name, _)| name == field)?;
                Some((vec![("collection", collection.clone())], value.parse().ok()?))
            });
            write(encoder, &gauge("", name, help), samples)?;
        }
        let help = "Collections that have no metrics of their own, being too many";
        let omitted = gauge("", "kora_collections_omitted", help);
        write(encoder, &omitted, Some((NO_LABELS, self.omitted as f64)))?;
        let recalls = self.info.numbered("recall").filter_map(|(_, parts)| {
            let (_, collection) = parts.iter().find(|(name, _)| *name == "collection")?;
            Some((
                vec![("collection", (*collection).to_owned())],
                number_of(&parts, "recall")?,
            ))
        });
        let help = "Share of the true nearest neighbours that sampled queries of a collection found";
        write(encoder, &gauge("", "kora_collection_recall", help), recalls)
    }
}

type Labels = Vec<(&'static str, String)>;

const NO_LABELS: Labels = Vec::new();

/// One metric, and where its value stands.
struct Metric {
    /// The field of INFO, if it is one by itself.
    info: &'static str,
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    /// What its value is multiplied with: metrics are in seconds and bytes.
    scale: f64,
}

const fn gauge(info: &'static str, name: &'static str, help: &'static str) -> Metric {
    Metric {
        info,
        name,
        help,
        kind: MetricType::Gauge,
        scale: 1.0,
    }
}

/// The format writes `_total` behind a counter's name.
const fn counter(info: &'static str, name: &'static str, help: &'static str) -> Metric {
    Metric {
        kind: MetricType::Counter,
        ..gauge(info, name, help)
    }
}

const fn in_seconds(metric: Metric) -> Metric {
    Metric {
        scale: 1.0 / MICROSECONDS,
        ..metric
    }
}

fn write(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &Metric,
    samples: impl IntoIterator<Item = (Labels, f64)>,
) -> Result<(), fmt::Error> {
    let mut samples = samples.into_iter().peekable();
    let Some((first, value)) = samples.peek() else {
        return Ok(());
    };
    let mut family = encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
    if first.is_empty() {
        return write_sample(family, metric.kind, *value);
    }
    for (labels, value) in samples {
        let labels: Vec<(&str, String)> = labels.iter().map(|(name, value)| (*name, escaped(value))).collect();
        write_sample(family.encode_family(&labels)?, metric.kind, value)?;
    }
    Ok(())
}

fn write_sample(sample: MetricEncoder<'_>, kind: MetricType, value: f64) -> Result<(), fmt::Error> {
    match kind {
        MetricType::Counter => ConstCounter::new(value).encode(sample),
        _ => ConstGauge::new(value).encode(sample),
    }
}

/// A label's value as the format wants it: the crate writes it down as it is.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A field as a number: `ok` is 1 and `err` is 0.
fn value_of(text: &str) -> Option<f64> {
    match text {
        "ok" => Some(1.0),
        "err" => Some(0.0),
        _ => text.parse().ok(),
    }
}

fn number_of(parts: &[(&str, &str)], name: &str) -> Option<f64> {
    let (_, text) = parts.iter().find(|(part, _)| *part == name)?;
    text.parse().ok()
}

const MICROSECONDS: f64 = 1_000_000.0;

/// What Prometheus expects of OpenMetrics' text.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics that are one field of INFO each.
const FIELDS: &[Metric] = &[
    gauge("uptime_in_seconds", "kora_uptime_seconds", "Seconds since the start"),
    gauge(
        "connected_clients",
        "kora_clients",
        "Connected clients, this request's own among them",
    ),
    gauge("maxclients", "kora_clients_max", "Clients that may be connected"),
    gauge("used_memory", "kora_memory_used_bytes", "Memory used"),
    gauge(
        "used_memory_rss",
        "kora_memory_resident_bytes",
        "Memory of the process that is in RAM",
    ),
    gauge(
        "used_memory_peak",
        "kora_memory_used_peak_bytes",
        "The most memory that was ever used",
    ),
    gauge(
        "used_memory_dataset",
        "kora_memory_data_bytes",
        "Memory used for the data",
    ),
    gauge(
        "maxmemory",
        "kora_memory_max_bytes",
        "The setting maxmemory; 0 is no limit",
    ),
    gauge(
        "mem_clients_normal",
        "kora_memory_clients_bytes",
        "Memory that clients hold",
    ),
    gauge(
        "maxmemory_clients",
        "kora_memory_clients_max_bytes",
        "Memory that clients may hold",
    ),
    counter("total_connections_received", "kora_connections", "Connections accepted"),
    counter(
        "rejected_connections",
        "kora_connections_rejected",
        "Connections refused because of maxclients",
    ),
    counter("total_commands_processed", "kora_commands", "Commands answered"),
    counter("keyspace_hits", "kora_key_hits", "Reads of keys that exist"),
    counter("keyspace_misses", "kora_key_misses", "Reads of keys that do not exist"),
    counter(
        "expired_keys",
        "kora_keys_expired",
        "Keys and vectors whose deadline passed",
    ),
    counter(
        "expired_subkeys",
        "kora_fields_expired",
        "Fields of hashes whose deadline passed",
    ),
    counter(
        "evicted_keys",
        "kora_keys_evicted",
        "Keys and vectors evicted for want of memory",
    ),
    counter(
        "evicted_clients",
        "kora_clients_evicted",
        "Clients dropped because they held too much memory",
    ),
    counter(
        "total_net_input_bytes",
        "kora_network_received_bytes",
        "Bytes received from clients",
    ),
    counter(
        "total_net_output_bytes",
        "kora_network_sent_bytes",
        "Bytes sent to clients",
    ),
    counter("used_cpu_sys", "kora_cpu_system_seconds", "CPU time in the kernel"),
    counter("used_cpu_user", "kora_cpu_user_seconds", "CPU time outside the kernel"),
    gauge("kora_collections", "kora_collections", "Collections of vectors"),
    gauge("loading", "kora_loading", "1 while the data is loaded"),
    gauge("loading_loaded_bytes", "kora_loading_done_bytes", "Bytes loaded so far"),
    gauge("loading_total_bytes", "kora_loading_bytes", "Bytes to load"),
    gauge(
        "rdb_changes_since_last_save",
        "kora_snapshot_changes_since",
        "Changes since the last snapshot",
    ),
    gauge(
        "rdb_bgsave_in_progress",
        "kora_snapshot_running",
        "1 while a snapshot is taken",
    ),
    gauge(
        "rdb_last_save_time",
        "kora_snapshot_last_timestamp_seconds",
        "When the last snapshot was taken (Unix time)",
    ),
    gauge(
        "rdb_last_bgsave_status",
        "kora_snapshot_last_ok",
        "1 if the last snapshot succeeded",
    ),
    gauge(
        "kora_snapshot_bytes",
        "kora_snapshot_bytes",
        "Size of the last snapshot",
    ),
    gauge("aof_enabled", "kora_log_enabled", "1 if changes are logged"),
    gauge(
        "aof_last_write_status",
        "kora_log_last_write_ok",
        "1 if the log could be written last time",
    ),
    gauge("kora_log_bytes", "kora_log_bytes", "Size of the log"),
    counter("kora_log_syncs", "kora_log_syncs", "Times that the log was synced"),
    in_seconds(gauge(
        "kora_log_sync_us_max",
        "kora_log_sync_seconds_max",
        "The longest sync of the log",
    )),
];

/// Parts of `cmdstat_…`: the metric, its help, and what it is multiplied with.
const COMMAND_COUNTERS: [(&str, &str, &str, f64); 4] = [
    ("calls", "kora_command_calls", "Calls of a command", 1.0),
    (
        "usec",
        "kora_command_seconds",
        "Time from when a command was read until its reply was complete, waiting included",
        1.0 / MICROSECONDS,
    ),
    (
        "failed_calls",
        "kora_command_failures",
        "Calls of a command that ended in an error",
        1.0,
    ),
    (
        "rejected_calls",
        "kora_command_rejections",
        "Calls of a command that were refused before it began",
        1.0,
    ),
];

/// Parts of `worker…`.
const WORKER_FIELDS: &[(&str, Metric)] = &[
    (
        "vectors",
        gauge("", "kora_worker_vectors", "Vectors on a worker's shards"),
    ),
    (
        "keys",
        gauge("", "kora_worker_keys", "Strings and hashes on a worker's shards"),
    ),
    (
        "clients",
        gauge("", "kora_worker_clients", "Clients that a worker serves"),
    ),
    (
        "queue_depth",
        gauge("", "kora_worker_queue_depth", "Requests that wait on a worker"),
    ),
    (
        "commands",
        counter("", "kora_worker_commands", "Commands of a worker's clients"),
    ),
    (
        "turns",
        counter("", "kora_worker_turns", "Turns in which a worker had something to do"),
    ),
    (
        "sleeps",
        counter("", "kora_worker_sleeps", "Times that a worker went to sleep"),
    ),
    (
        "requests_sent",
        counter("", "kora_worker_requests_sent", "Requests of a worker to others"),
    ),
    (
        "credit_waits",
        counter(
            "",
            "kora_worker_credit_waits",
            "Commands that waited because a peer owed too many answers",
        ),
    ),
    (
        "slice_us_max",
        in_seconds(gauge(
            "",
            "kora_worker_slice_seconds_max",
            "The longest execution of a worker without a pause",
        )),
    ),
];

/// Fields of VECINFO.
const COLLECTION_FIELDS: [(&str, &str, &str); 8] = [
    ("vectors", "kora_collection_vectors", "Vectors of a collection"),
    (
        "deleted",
        "kora_collection_deleted_vectors",
        "Deleted vectors whose slots are not free yet",
    ),
    (
        "dimension",
        "kora_collection_dimension",
        "Components of a vector of the collection",
    ),
    (
        "slots_free",
        "kora_collection_free_slots",
        "Slots that are free for vectors",
    ),
    (
        "vectors_bytes",
        "kora_collection_vectors_bytes",
        "Memory of a collection's vectors",
    ),
    (
        "links_bytes",
        "kora_collection_links_bytes",
        "Memory of a collection's graph",
    ),
    (
        "keys_bytes",
        "kora_collection_keys_bytes",
        "Memory of the keys of a collection's vectors",
    ),
    (
        "attributes_bytes",
        "kora_collection_attributes_bytes",
        "Memory of the attributes of a collection's vectors",
    ),
];
