//! Frames: the records of one execution on one shard. A frame is replayed whole or not at all.

use crate::bytes::{Malformed, put_bytes, put_integer, take_bytes, take_integer};
use crate::limits::SHARDS_MAX;

/// The records of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its place in the order of everything: frames of the whole server are numbered one by one.
    pub stamp: u64,
    /// Where it happened.
    pub shard: u32,
    /// Records, one behind the other; see [`records`](crate::record::records).
    pub records: &'a [u8],
}

/// Writes a frame as it stands in a block. Its stamp is its place there.
pub(crate) fn put_frame(out: &mut Vec<u8>, shard: u32, records: &[u8]) {
    put_integer(out, u64::from(shard));
    put_bytes(out, records);
}

/// Takes a frame off the front of a block's frames.
pub(crate) fn take_frame<'a>(bytes: &mut &'a [u8], stamp: u64) -> Result<Frame<'a>, Malformed> {
    let shard = take_integer(bytes)?;
    if shard >= u64::from(SHARDS_MAX) {
        return Err(Malformed("a frame of a shard beyond the limit"));
    }
    Ok(Frame {
        stamp,
        shard: shard as u32,
        records: take_bytes(bytes)?,
    })
}
