//! Counters of one worker, as INFO gathers them.

use bytes::Bytes;
use kora_keyspace::MemoryUse;
use kora_resp::Reply;

use crate::recall::Found;

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
    /// Connections it serves now.
    pub clients: u64,
    /// Connections it has ever served.
    pub connections: u64,
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
    /// The same worker's, which has counted nothing yet.
    pub(crate) fn reset(&self) -> WorkerStats {
        WorkerStats {
            worker: self.worker,
            by_command: self.by_command.reset(),
            ..WorkerStats::default()
        }
    }
}

/// Counters of each command, in the order in which they were first given.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    counters: Vec<CommandCounter>,
}

/// Names a command's counter on one worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CounterId(u16);

/// One command's counters.
#[derive(Clone, Debug)]
pub struct CommandCounter {
    /// The command's name in the table.
    pub name: &'static str,
    /// Times it was answered.
    pub calls: u64,
    /// Microseconds from when it was taken from its connection until its reply was complete, in all.
    pub latency_us_total: u64,
    /// Times it was refused before it began: wrong arguments, not authenticated.
    pub rejected: u64,
    /// Times it began and ended in an error.
    pub failed: u64,
    /// The distribution of the latency.
    pub latency: Histogram,
}

impl CommandStats {
    /// The counter of a command, by its name in the table.
    pub(crate) fn counter(&mut self, name: &'static str) -> CounterId {
        // Some thirty names, of which few are in use: a scan beats a hash.
        let found = self
            .counters
            .iter()
            .position(|counter| std::ptr::eq(counter.name, name));
        let index = found.unwrap_or_else(|| {
            self.counters.push(CommandCounter::new(name));
            self.counters.len() - 1
        });
        CounterId(u16::try_from(index).expect("the table of commands is short"))
    }

    pub(crate) fn count(&mut self, id: CounterId, outcome: CommandOutcome, latency_us: u64) {
        let counter = &mut self.counters[usize::from(id.0)];
        match outcome {
            CommandOutcome::Rejected => {
                counter.rejected += 1;
                return;
            }
            CommandOutcome::Failed => counter.failed += 1,
            CommandOutcome::Answered => {}
        }
        counter.calls += 1;
        counter.latency_us_total += latency_us;
        counter.latency.record(latency_us);
    }

    /// The same counters, all at 0: commands under way keep the names of theirs.
    fn reset(&self) -> CommandStats {
        let counters = self.counters.iter();
        CommandStats {
            counters: counters.map(|counter| CommandCounter::new(counter.name)).collect(),
        }
    }

    /// Adds another worker's counters.
    pub(crate) fn merge(&mut self, other: &CommandStats) {
        for theirs in &other.counters {
            let id = self.counter(theirs.name);
            let ours = &mut self.counters[usize::from(id.0)];
            ours.calls += theirs.calls;
            ours.latency_us_total += theirs.latency_us_total;
            ours.rejected += theirs.rejected;
            ours.failed += theirs.failed;
            ours.latency.merge(&theirs.latency);
        }
    }

    /// The counters in order of the commands' names.
    pub fn sorted(&self) -> Vec<&CommandCounter> {
        let mut sorted: Vec<_> = self.counters.iter().collect();
        sorted.sort_unstable_by_key(|counter| counter.name);
        sorted
    }
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommandOutcome {
    Answered,
    Failed,
    Rejected,
}

impl CommandOutcome {
    pub(crate) fn of(reply: &Reply) -> CommandOutcome {
        if matches!(reply, Reply::Error(_)) {
            CommandOutcome::Failed
        } else {
            CommandOutcome::Answered
        }
    }
}

impl CommandCounter {
    fn new(name: &'static str) -> CommandCounter {
        CommandCounter {
            name,
            calls: 0,
            latency_us_total: 0,
            rejected: 0,
            failed: 0,
            latency: Histogram::default(),
        }
    }
}

/// A distribution of microseconds in buckets of constant relative width: exact below 16, then eight to each power of
/// two, so that a percentile read off it is at most an eighth too high.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Invariant: empty, or BUCKETS long.
    buckets: Vec<u32>,
    total: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, us: u64) {
        self.buckets.resize(BUCKETS, 0);
        let bucket = &mut self.buckets[bucket_of(us)];
        *bucket = bucket.saturating_add(1);
        self.total += 1;
    }

    fn merge(&mut self, other: &Histogram) {
        if other.total == 0 {
            return;
        }
        self.buckets.resize(BUCKETS, 0);
        for (ours, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *ours = ours.saturating_add(*theirs);
        }
        self.total += other.total;
    }

    /// The microseconds that `share` (0 to 1) of the values do not exceed; 0 if there are none.
    pub fn percentile_us(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return upper_us(index);
            }
        }
        0
    }
}

fn bucket_of(us: u64) -> usize {
    if us < EXACT_BELOW {
        return us as usize;
    }
    let power = us.ilog2();
    if power > POWER_MAX {
        return BUCKETS - 1;
    }
    let step = (us >> (power - 3)) & 7;
    EXACT_BELOW as usize + (power as usize - 4) * 8 + step as usize
}

/// The largest value of a bucket.
fn upper_us(index: usize) -> u64 {
    if index < EXACT_BELOW as usize {
        return index as u64;
    }
    let (power, step) = (
        (index - EXACT_BELOW as usize) / 8 + 4,
        (index - EXACT_BELOW as usize) % 8,
    );
    let width = 1_u64 << (power - 3);
    (8 + step as u64 + 1) * width - 1
}

const EXACT_BELOW: u64 = 16;

/// Beyond 2^32 µs (an hour) everything is in the last bucket.
const POWER_MAX: u32 = 31;

const BUCKETS: usize = EXACT_BELOW as usize + (POWER_MAX as usize - 3) * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_whose_bound_is_at_most_an_eighth_above_it() {
        for power in 0..32 {
            for value in [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let upper = upper_us(bucket_of(value));
                assert!(
                    upper >= value && upper - value <= value / 8,
                    "{value} is shown as {upper}"
                );
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_read_off_merged_workers() {
        let (mut one, mut two) = (CommandStats::default(), CommandStats::default());
        for us in 1..=50 {
            let id = one.counter("ping");
            one.count(id, CommandOutcome::Answered, us);
        }
        for us in 51..=100 {
            let id = two.counter("ping");
            two.count(id, CommandOutcome::Failed, us);
        }
        one.merge(&two);
        let sorted = one.sorted();
        assert_eq!(
            (sorted[0].calls, sorted[0].failed, sorted[0].latency_us_total),
            (100, 50, 5050)
        );
        let median = sorted[0].latency.percentile_us(0.5);
        assert!((50..=56).contains(&median), "{median}");
    }
}
