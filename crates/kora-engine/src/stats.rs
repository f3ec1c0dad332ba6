//! Counters of one worker, as INFO gathers them.

mod commands;
mod errors;
mod histogram;
mod lookups;
mod rates;

use std::collections::BTreeMap;

use bytes::Bytes;
use kora_keyspace::MemoryUse;
use kora_resp::Reply;

pub use self::commands::{CommandCounter, CommandStats};
pub(crate) use self::commands::{CommandOutcome, CounterId};
pub use self::errors::ErrorStats;
pub use self::histogram::Histogram;
pub use self::lookups::LookupCounts;
pub(crate) use self::lookups::Lookups;
pub(crate) use self::rates::Recent;
pub use self::rates::Traffic;
use crate::recall::Found;

/// What a database holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatabaseStats {
    /// Keys, and keys that collections stand for.
    pub keys: u64,
    /// Those of them that expire.
    pub expiring: u64,
    /// Hashes with fields that expire.
    pub expiring_hashes: u64,
    /// How long strings and hashes that expire have left, in milliseconds, as far as a few of them tell: the sum of all, and
    /// how many there are.
    pub time_left_ms: (u128, u64),
}

/// What one worker has counted since it started.
#[derive(Clone, Debug, Default)]
pub struct WorkerStats {
    /// Which worker.
    pub worker: usize,
    /// Shards it owns.
    pub shards: usize,
    /// Vectors on its shards.
    pub vectors: u64,
    /// Keys that collections stand for: their vectors, and one for each vector set.
    pub vector_keys: u64,
    /// Strings and hashes on its shards.
    pub keys: u64,
    /// How many keys expire.
    pub expiring: u64,
    /// Keys that have expired and been reclaimed.
    pub expired: u64,
    /// Hashes with fields that expire.
    pub expiring_hashes: u64,
    /// Fields that have expired and been removed.
    pub expired_fields: u64,
    /// What databases hold on its shards, by their numbers.
    pub databases: BTreeMap<u16, DatabaseStats>,
    /// Reads that found their key, and reads that did not.
    pub lookups: LookupCounts,
    /// Connections it serves now.
    pub clients: u64,
    /// Connections it has ever served.
    pub connections: u64,
    /// Those of them that subscribe to something.
    pub subscribed_clients: u64,
    /// Those of them with CLIENT TRACKING.
    pub tracking_clients: u64,
    /// Keys that they have read, clients beside these keys, and prefixes.
    pub tracked: [u64; 3],
    /// Messages about keys that found no place while other workers were busy.
    pub messages_dropped: u64,
    /// Those of them that watch keys.
    pub watching_clients: u64,
    /// Keys that they watch.
    pub watched_keys: u64,
    /// Channels, patterns and shard channels that they subscribe to.
    pub topics: [u64; 3],
    /// Connections that it dropped because they did not take their replies.
    pub clients_over_output_limit: u64,
    /// What its connections have received and sent.
    pub traffic: Traffic,
    /// Commands, bytes received and bytes sent in a second, of late.
    pub per_second: [f64; 3],
    /// The longest input buffer of a client of late, and the longest output buffer, in bytes.
    pub buffer_bytes_recent_max: [u64; 2],
    /// Clients that it let go to other workers, where their keys are.
    pub clients_moved: u64,
    /// Connections it dropped because they held too much memory.
    pub clients_dropped: u64,
    /// Entries that were evicted.
    pub evicted: u64,
    /// How long commands waited for memory, in microseconds of wall-clock time.
    pub memory_waits_us: u64,
    /// What the data of its shards takes of the memory.
    pub memory: MemoryUse,
    /// Bytes that its connections hold: input, requests under way, replies not yet taken.
    pub client_bytes: u64,
    /// Commands of its connections.
    pub commands: u64,
    /// Parts of its clients' queries that it read where they lie, without asking the shard that owns them.
    pub parts_read: u64,
    /// Turns in which there was something to do.
    pub turns: u64,
    /// The longest turn, in microseconds of wall-clock time.
    pub turn_us_max: u64,
    /// The longest execution without a look at anything else, in microseconds of the thread's CPU time; at most
    /// [`CPU_LOOK_US`](crate::budgets::CPU_LOOK_US) too high.
    pub slice_us_max: u64,
    /// Slices executed: most asks take one.
    pub slices: u64,
    /// Requests that wait on this worker for their turn.
    pub queue_depth: u64,
    /// The most that ever waited at the end of a turn.
    pub queue_depth_max: u64,
    /// Requests to other workers whose answers have not come.
    pub unanswered: u64,
    /// Requests sent to other workers.
    pub requests_sent: u64,
    /// Other workers woken.
    pub bells_rung: u64,
    /// Times that it went to sleep.
    pub sleeps: u64,
    /// Commands that had to wait because a peer owed too many answers.
    pub credit_waits: u64,
    /// The recall of collections that it has sampled.
    pub recall: Vec<RecallStats>,
    /// Each command that was ever given.
    pub by_command: CommandStats,
    /// Replies that were errors.
    pub errors: ErrorStats,
}

/// The recall of a collection, as it was sampled.
#[derive(Clone, Debug)]
pub struct RecallStats {
    /// Its name.
    pub collection: Bytes,
    /// With which ef it was sampled.
    pub ef: usize,
    /// What the samples have found.
    pub found: Found,
    /// When it was last sampled, in seconds of Unix time.
    pub sampled_s: u64,
}

impl WorkerStats {
    /// What [`Rates`](rates::Rates) follow.
    pub(crate) fn rated(&self) -> [u64; 3] {
        [self.commands, self.traffic.received_bytes, self.traffic.sent_bytes]
    }

    /// A command has been answered so, after so many microseconds.
    pub(crate) fn note_reply(&mut self, counter: CounterId, reply: &Reply, latency_us: u64) {
        if let Reply::Error(text) = reply {
            self.errors.note(text);
        }
        self.by_command.count(counter, CommandOutcome::of(reply), latency_us);
    }

    /// A command was refused before it began.
    pub(crate) fn note_refusal(&mut self, counter: CounterId, reply: &Reply) {
        if let Reply::Error(text) = reply {
            self.errors.note(text);
        }
        self.by_command.count(counter, CommandOutcome::Rejected, 0);
    }

    /// The same worker's, which has counted nothing yet.
    pub(crate) fn reset(&self) -> WorkerStats {
        WorkerStats {
            worker: self.worker,
            by_command: self.by_command.reset(),
            ..WorkerStats::default()
        }
    }
}
