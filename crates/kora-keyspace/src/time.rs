//! How the data of a shard notes times. They come in as arguments, in milliseconds of Unix time.

pub use kora_values::NEVER_MS;

/// A time as keys note when they were used: in seconds of Unix time.
pub fn seconds(now_ms: u64) -> u32 {
    u32::try_from(now_ms / 1000).unwrap_or(u32::MAX)
}
