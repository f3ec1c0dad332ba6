//! What the benches share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time this thread has used. Wall time tells more about a busy machine's other tenants than about us.
pub fn cpu_time() -> Duration {
    // Not schedstat: that is brought up to date once a tick of the scheduler, every 4 ms.
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Reads a file of little-endian f32.
pub fn read_floats(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let words = bytes.chunks_exact(4);
    words
        .map(|word| f32::from_le_bytes(word.try_into().expect("four bytes")))
        .collect()
}
