//! Counters of one worker, as INFO gathers them.

/// What one worker has counted since it started.
#[derive(Clone, Debug, Default)]
pub struct WorkerStats {
    /// Which worker.
    pub worker: usize,
    /// Shards it owns.
    pub shards: usize,
    /// Vectors on its shards.
    pub vectors: u64,
    /// Connections it serves now.
    pub clients: u64,
    /// Connections it has ever served.
    pub connections: u64,
    /// Commands of its connections.
    pub commands: u64,
    /// Turns in which there was something to do.
    pub turns: u64,
    /// The longest turn, in microseconds of wall-clock time.
    pub turn_us_max: u64,
    /// Slices of commands that took more than one.
    pub slices: u64,
    /// Requests sent to other workers.
    pub requests_sent: u64,
    /// Other workers woken.
    pub bells_rung: u64,
    /// Commands that had to wait because a peer owed too many answers.
    pub credit_waits: u64,
}
