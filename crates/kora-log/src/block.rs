//! Blocks: what one write brings to the log, checked as a whole.

use crate::bytes::{Malformed, checksum, u32_at, u64_at};
use crate::frame::{Frame, put_frame, take_frame};

/// A block that is being put together.
#[derive(Debug)]
pub struct BlockBuilder {
    /// Room for the head, then frames.
    bytes: Vec<u8>,
    first_stamp: u64,
    frames: u32,
}

/// A block that was read and whose checksum is right.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What it says of itself.
    pub head: Head,
    /// Invariant: exactly the frames that `head` counts.
    frames: Vec<u8>,
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the frames behind it.
    pub length: u64,
    /// The stamp of the first frame; the others follow one by one.
    pub first_stamp: u64,
    /// The log was safe up to this stamp when the block was written.
    pub durable: u64,
    /// How many frames.
    pub frames: u32,
    checksum: u32,
}

impl BlockBuilder {
    /// An empty block.
    pub fn new() -> BlockBuilder {
        BlockBuilder {
            bytes: vec![0; HEAD_BYTES],
            first_stamp: 0,
            frames: 0,
        }
    }

    /// Adds a frame. Its stamp follows that of the frame before.
    pub fn push(&mut self, frame: Frame<'_>) {
        if self.frames == 0 {
            self.first_stamp = frame.stamp;
        }
        debug_assert_eq!(frame.stamp, self.next_stamp(), "frames are in order");
        put_frame(&mut self.bytes, frame.shard, frame.records);
        self.frames += 1;
    }

    /// Whether there are no frames.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Bytes it takes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many frames it has.
    pub(crate) fn frame_count(&self) -> u32 {
        self.frames
    }

    /// The stamp behind the last frame's.
    pub(crate) fn next_stamp(&self) -> u64 {
        self.first_stamp + u64::from(self.frames)
    }

    /// The block as it stands in a segment with this id.
    pub(crate) fn seal(&mut self, id: u64, first_stamp: u64, durable: u64) -> &[u8] {
        let length = (self.bytes.len() - HEAD_BYTES) as u64;
        self.bytes[0..8].copy_from_slice(&MAGIC);
        self.bytes[12..20].copy_from_slice(&length.to_le_bytes());
        self.bytes[20..28].copy_from_slice(&first_stamp.to_le_bytes());
        self.bytes[28..36].copy_from_slice(&durable.to_le_bytes());
        self.bytes[36..40].copy_from_slice(&self.frames.to_le_bytes());
        let sum = checksum(id, &[&self.bytes[12..]]);
        self.bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        &self.bytes
    }

    /// Forgets the frames and keeps the memory, unless it has grown large.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEAD_BYTES);
        if self.bytes.capacity() > 2 * crate::limits::BLOCK_BYTES_MAX {
            self.bytes.shrink_to(crate::limits::BLOCK_BYTES_MAX);
        }
        self.frames = 0;
    }
}

impl Default for BlockBuilder {
    fn default() -> BlockBuilder {
        BlockBuilder::new()
    }
}

impl Head {
    /// Reads a head, which is `HEAD_BYTES` long; none if there is no block here.
    pub(crate) fn read(bytes: &[u8]) -> Option<Head> {
        (bytes.len() >= HEAD_BYTES && bytes[0..8] == MAGIC).then(|| Head {
            checksum: u32_at(bytes, 8),
            length: u64_at(bytes, 12),
            first_stamp: u64_at(bytes, 20),
            durable: u64_at(bytes, 28),
            frames: u32_at(bytes, 36),
        })
    }
}

impl Block {
    /// The block with this head, which stands in a segment with this id.
    ///
    /// # Errors
    /// If it is not as it was written.
    pub(crate) fn check(id: u64, head: &[u8], frames: Vec<u8>) -> Result<Block, Malformed> {
        let parsed = Head::read(head).ok_or(Malformed("no block begins here"))?;
        if checksum(id, &[&head[12..HEAD_BYTES], &frames]) != parsed.checksum {
            return Err(Malformed("the checksum of a block is wrong"));
        }
        let block = Block { head: parsed, frames };
        let mut rest = &block.frames[..];
        for place in 0..block.head.frames {
            take_frame(&mut rest, u64::from(place))?;
        }
        if !rest.is_empty() {
            return Err(Malformed("a block holds more than its frames"));
        }
        Ok(block)
    }

    /// Its frames in their order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let (mut rest, first) = (&self.frames[..], self.head.first_stamp);
        (0..u64::from(self.head.frames)).map_while(move |place| take_frame(&mut rest, first.wrapping_add(place)).ok())
    }

    /// The stamp behind its last frame's.
    pub fn next_stamp(&self) -> u64 {
        self.head.first_stamp.wrapping_add(u64::from(self.head.frames))
    }
}

/// Begins every block.
pub(crate) const MAGIC: [u8; 8] = *b"KORABLK\n";

/// Bytes of a head: magic, checksum, length, first stamp, durable stamp, frames.
pub(crate) const HEAD_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_and_in_its_own_file_only() {
        let mut builder = BlockBuilder::new();
        for (stamp, records) in [(7, &b"one"[..]), (8, b""), (9, b"three")] {
            let frame = Frame {
                stamp,
                shard: stamp as u32,
                records,
            };
            builder.push(frame);
        }
        let bytes = builder.seal(42, 7, 5).to_vec();
        let (head, frames) = bytes.split_at(HEAD_BYTES);
        let block = Block::check(42, head, frames.to_vec()).expect("it is whole");
        let found: Vec<(u64, u32, &[u8])> = block
            .frames()
            .map(|frame| (frame.stamp, frame.shard, frame.records))
            .collect();
        assert_eq!(found, [(7, 7, &b"one"[..]), (8, 8, b""), (9, 9, b"three")]);
        assert_eq!((block.next_stamp(), block.head.durable), (10, 5));
        assert!(Block::check(43, head, frames.to_vec()).is_err());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let (head, frames) = changed.split_at(HEAD_BYTES);
            assert!(Block::check(42, head, frames.to_vec()).is_err(), "byte {at}");
        }
    }
}
