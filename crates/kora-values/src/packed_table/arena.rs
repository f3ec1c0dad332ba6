//! The records of a segment: one behind the other in a few pieces of memory.

use crate::block::block_bytes;

/// Bytes, appended and never moved; what is no longer needed stays until all that is needed goes to another arena.
///
/// A place is the number of a chunk and an offset into it, in 32 bits.
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    /// The chunk that the next record goes to, if it has room. Never one of a long record.
    open: Option<usize>,
    /// Bytes of all records, with those that are no longer used.
    used: usize,
    /// Those that are no longer used.
    dead: usize,
    /// Invariant: the sum of the blocks of the chunks and of their list.
    bytes: usize,
    /// How many bytes are expected to come, so that a chunk for them has its size at once.
    expected: usize,
}

impl Arena {
    /// An empty arena for records of `bytes` bytes in all.
    pub(super) fn expecting(bytes: usize) -> Arena {
        Arena {
            expected: bytes,
            ..Arena::default()
        }
    }

    /// Appends a record; returns its place.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> u32 {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let chunk = self.room_for(len);
        let bytes = &mut self.chunks[chunk];
        let offset = bytes.len();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        self.used += len;
        self.expected = self.expected.saturating_sub(len);
        place(chunk, offset)
    }

    /// Takes over a chunk that holds one long record; returns its place.
    pub(super) fn push_chunk(&mut self, chunk: Vec<u8>) -> u32 {
        self.used += chunk.len();
        self.expected = self.expected.saturating_sub(chunk.len());
        place(self.add_chunk(chunk), 0)
    }

    /// The bytes from a place on, to the end of its chunk.
    #[inline]
    pub(super) fn bytes_at(&self, at: u32) -> &[u8] {
        &self.chunks[(at >> OFFSET_BITS) as usize][offset(at)..]
    }

    pub(super) fn bytes_at_mut(&mut self, at: u32) -> &mut [u8] {
        &mut self.chunks[(at >> OFFSET_BITS) as usize][offset(at)..]
    }

    /// Says that a record of so many bytes is needed no more.
    pub(super) fn forget(&mut self, at: u32, len: usize) {
        if is_long(len) {
            drop(self.take_chunk(at));
        } else {
            self.waste(len);
        }
    }

    /// Says that so many bytes of a record are needed no more.
    pub(super) fn waste(&mut self, len: usize) {
        self.dead += len;
    }

    /// Takes out a long record, with the chunk that it has to itself.
    pub(super) fn take_chunk(&mut self, at: u32) -> Vec<u8> {
        let chunk = std::mem::take(&mut self.chunks[(at >> OFFSET_BITS) as usize]);
        // Its place in the list is lost until all that is needed goes to another arena.
        self.used = self.used - chunk.len() + size_of::<Vec<u8>>();
        self.dead += size_of::<Vec<u8>>();
        self.bytes -= block_bytes(chunk.capacity());
        chunk
    }

    /// Bytes of the records that are needed.
    pub(super) fn live(&self) -> usize {
        self.used - self.dead
    }

    /// Bytes of records that are needed no more.
    pub(super) fn dead(&self) -> usize {
        self.dead
    }

    /// True if it is time that all that is needed goes to another arena: before a record of `len` bytes takes a chunk more,
    /// if a fifth is lost.
    pub(super) fn should_move_before(&self, len: usize) -> bool {
        let needs_chunk = is_long(len) || !self.fits(len);
        needs_chunk && (self.chunks.len() >= CHUNKS_MAX || self.dead > self.used / 5)
    }

    /// True if it is time for that because half is lost.
    pub(super) fn should_move(&self) -> bool {
        self.dead > CHUNK_BYTES && self.dead > self.used / 2
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn fits(&self, len: usize) -> bool {
        self.open
            .is_some_and(|open| self.chunks[open].len() + len <= CHUNK_BYTES)
    }

    /// The chunk that has room for `len` bytes more.
    fn room_for(&mut self, len: usize) -> usize {
        if is_long(len) {
            return self.add_chunk(Vec::with_capacity(len));
        }
        let Some(open) = self.open.filter(|_| self.fits(len)) else {
            let expected = self.expected.clamp(len, CHUNK_BYTES).next_multiple_of(STEP_BYTES);
            let open = self.add_chunk(Vec::with_capacity(expected));
            self.open = Some(open);
            return open;
        };
        let chunk = &mut self.chunks[open];
        let needed = chunk.len() + len;
        if chunk.capacity() < needed {
            let before = block_bytes(chunk.capacity());
            chunk.reserve_exact(needed.next_multiple_of(STEP_BYTES) - chunk.len());
            self.bytes = self.bytes + block_bytes(chunk.capacity()) - before;
        }
        open
    }

    fn add_chunk(&mut self, chunk: Vec<u8>) -> usize {
        self.bytes += block_bytes(chunk.capacity());
        if self.chunks.len() == self.chunks.capacity() {
            let before = block_bytes(self.chunks.capacity() * size_of::<Vec<u8>>());
            // An eighth more: a segment of long values has a hundred.
            self.chunks.reserve_exact(2 + self.chunks.len() / 8);
            self.bytes = self.bytes + block_bytes(self.chunks.capacity() * size_of::<Vec<u8>>()) - before;
        }
        self.chunks.push(chunk);
        self.chunks.len() - 1
    }
}

/// Whether a record of so many bytes has a chunk to itself.
pub(super) fn is_long(len: usize) -> bool {
    len > LONG_BYTES_MIN
}

fn place(chunk: usize, offset: usize) -> u32 {
    (u32::try_from(chunk).expect("CHUNKS_MAX bounds them") << OFFSET_BITS) | offset as u32
}

fn offset(at: u32) -> usize {
    (at & ((1 << OFFSET_BITS) - 1)) as usize
}

/// What a chunk of many records holds at most. A size class of the allocator.
const CHUNK_BYTES: usize = 4096;

/// A chunk grows by as much: the last one of a segment is half empty on average, and tables are small at first.
const STEP_BYTES: usize = 1024;

/// A longer record has a chunk to itself: more than that a chunk would waste at its end.
const LONG_BYTES_MIN: usize = 640;

/// An offset is less than `CHUNK_BYTES`.
const OFFSET_BITS: u32 = 12;

/// Chunks of an arena; with more of them all that is needed moves to another. The last place of all means none.
const CHUNKS_MAX: usize = (1 << (32 - OFFSET_BITS)) - 2;

const _: () = assert!(CHUNK_BYTES == 1 << OFFSET_BITS);
