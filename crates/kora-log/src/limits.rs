//! The limits of this crate, each with its reason.

/// Bytes that are read from a file at once. Large beside a block's header, small beside a shard.
pub const READ_BYTES: usize = 1 << 20;

/// Bytes that one call of `write` is given. A longer write would hold the log thread away from the next group commit.
pub const WRITE_BYTES_MAX: usize = 1 << 20;

/// Bytes of frames that go into one block, if no single frame is larger. A block is written and checked as a whole.
pub const BLOCK_BYTES_MAX: usize = 4 << 20;

/// Bytes of records in one piece of a snapshot, if no single record is larger.
pub const PIECE_BYTES: usize = 256 << 10;

/// Shards that a file may name. The router has fewer.
pub const SHARDS_MAX: u32 = 65_536;

/// Bytes of a manifest: one that is longer is none.
pub const MANIFEST_BYTES_MAX: u64 = 4_096;

/// Segments that one start reads. A new one is made at each start and for each snapshot, and a snapshot removes those
/// before it; so many starts without a snapshot would mean that something else is wrong.
pub const SEGMENTS_MAX: u64 = 1 << 20;
