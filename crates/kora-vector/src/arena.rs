//! Rows of one size in chunks that never move.
//!
//! The first chunk holds a few rows, so that a tiny collection stays tiny; each next one as many as all before it
//! together, up to about [`CHUNK_BYTES_MAX`]. Growth therefore allocates and never copies, and an address once taken
//! stays right until its row is given back: which is what lets a later reader on another thread walk in place.
//!
//! This file and `distance/` are the only ones with `unsafe`: here because rows are raw aligned memory.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A table of equal rows, each a run of 4-byte words (f32 or u32), zeroed when its chunk is new. It grows and shrinks at
/// its end.
pub(crate) struct Rows {
    /// Invariant: every row below `len` lies in one of these; chunk `i` is an allocation of `chunk_rows(i)` rows.
    chunks: Vec<NonNull<u8>>,
    /// Invariant: above 0, a multiple of 4.
    row_bytes: usize,
    len: usize,
    capacity: usize,
    /// log2 of the rows in the first chunk. Invariant: not above `full_shift`.
    first_shift: u32,
    /// log2 of the rows in a chunk of full size.
    full_shift: u32,
}

impl Rows {
    /// An empty table; nothing is allocated before the first row.
    pub(crate) fn new(row_words: usize) -> Rows {
        assert!(row_words > 0, "a row has at least one word");
        let row_bytes = row_words * 4;
        let full_shift = (CHUNK_BYTES_MAX / row_bytes).max(1).ilog2();
        Rows {
            chunks: Vec::new(),
            row_bytes,
            len: 0,
            capacity: 0,
            first_shift: FIRST_SHIFT.min(full_shift),
            full_shift,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The words of one row.
    pub(crate) fn row_words(&self) -> usize {
        self.row_bytes / 4
    }

    /// Appends a zeroed row and returns its number.
    pub(crate) fn push(&mut self) -> u32 {
        if self.len == self.capacity {
            let layout = self.chunk_layout(self.chunks.len());
            // SAFETY: the layout has a size above zero, since a row has a word and a chunk a row.
            let chunk = unsafe { alloc_zeroed(layout) };
            self.chunks
                .push(NonNull::new(chunk).unwrap_or_else(|| handle_alloc_error(layout)));
            self.capacity += layout.size() / self.row_bytes;
        }
        self.len += 1;
        (self.len - 1) as u32
    }

    /// Makes sure that there is a row of this number: an old one, or the next.
    pub(crate) fn reach(&mut self, row: u32) {
        if row as usize == self.len {
            self.push();
        }
    }

    /// Forgets the rows from `len` on. The chunks that held nothing else are spare then.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Frees a spare chunk; the bytes freed, or none if there is none.
    pub(crate) fn release_spare(&mut self) -> Option<usize> {
        let last = self.chunks.len().checked_sub(1)?;
        let rows = self.chunk_layout(last).size() / self.row_bytes;
        if self.capacity - rows < self.len {
            return None;
        }
        self.release_chunk()
    }

    /// Writes one row over another.
    pub(crate) fn copy(&mut self, from: u32, to: u32) {
        for (word, place) in self.words(from).iter().zip(self.words(to)) {
            place.store(word.load(Relaxed), Relaxed);
        }
    }

    /// Where a row begins. Valid for `row_bytes`, aligned for a word, until the row is given back.
    #[inline(always)]
    pub(crate) fn address(&self, row: u32) -> *const f32 {
        assert!((row as usize) < self.len, "row {row} of {}", self.len);
        let (chunk, offset) = self.place(row);
        // SAFETY: `place` maps a row below `len` into an existing chunk, at an offset inside it.
        unsafe {
            self.chunks
                .get_unchecked(chunk)
                .as_ptr()
                .add(offset * self.row_bytes)
                .cast_const()
                .cast()
        }
    }

    /// The row as numbers.
    #[inline]
    pub(crate) fn floats(&self, row: u32) -> &[f32] {
        // SAFETY: the row is `row_bytes` of initialised memory, every bit pattern is an f32, and it is written only
        // through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.address(row), self.row_bytes / 4) }
    }

    /// The row as numbers, to be written.
    pub(crate) fn floats_mut(&mut self, row: u32) -> &mut [f32] {
        // SAFETY: as in `floats`, and `&mut self` makes this the only reference into the arena.
        unsafe { std::slice::from_raw_parts_mut(self.address(row).cast_mut(), self.row_bytes / 4) }
    }

    /// The row as words that may be read while they are written.
    #[inline]
    pub(crate) fn words(&self, row: u32) -> &[AtomicU32] {
        // SAFETY: as in `floats`; AtomicU32 has the layout of a u32 and may be written through a shared reference.
        unsafe { std::slice::from_raw_parts(self.address(row).cast::<AtomicU32>(), self.row_bytes / 4) }
    }

    /// A row as bytes.
    pub(crate) fn bytes(&self, row: u32) -> &[i8] {
        let words = self.floats(row);
        // SAFETY: the words are initialised memory, and every byte is an i8.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 4) }
    }

    /// A row as bytes, to be written.
    pub(crate) fn bytes_mut(&mut self, row: u32) -> &mut [i8] {
        let words = self.floats_mut(row);
        // SAFETY: as in `bytes`, and any bytes make an f32.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 4) }
    }

    /// A row as half-words.
    pub(crate) fn halves(&self, row: u32) -> &[u16] {
        let words = self.floats(row);
        // SAFETY: the words are initialised memory, aligned for more than a u16, and any two bytes are one.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 2) }
    }

    /// A row as half-words, to be written.
    pub(crate) fn halves_mut(&mut self, row: u32) -> &mut [u16] {
        let words = self.floats_mut(row);
        // SAFETY: as in `halves`, and any bytes make an f32.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 2) }
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn allocated_bytes(&self) -> usize {
        self.capacity * self.row_bytes
    }

    /// Frees the last chunk and every row in it; the bytes freed, or none if nothing is left.
    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        let chunk = self.chunks.pop()?;
        let layout = self.chunk_layout(self.chunks.len());
        self.capacity -= layout.size() / self.row_bytes;
        self.len = self.len.min(self.capacity);
        // SAFETY: allocated in `push` with this layout, and no longer in `chunks`.
        unsafe { dealloc(chunk.as_ptr(), layout) };
        Some(layout.size())
    }

    /// The chunk that holds a row, and the row's place in it. Chunks hold 2^first, 2^first, 2^(first+1), … rows until
    /// they reach 2^full and stay there: so the logarithm of a row's number is its chunk's, up to a constant.
    #[inline(always)]
    fn place(&self, row: u32) -> (usize, usize) {
        let full = row >> self.full_shift;
        if full != 0 {
            let chunk = (self.full_shift - self.first_shift + full) as usize;
            return (chunk, (row & ((1 << self.full_shift) - 1)) as usize);
        }
        if row >> self.first_shift == 0 {
            return (0, row as usize);
        }
        let log = row.ilog2();
        ((log - self.first_shift + 1) as usize, (row - (1 << log)) as usize)
    }

    fn chunk_layout(&self, chunk: usize) -> Layout {
        let shift = (self.first_shift + (chunk as u32).saturating_sub(1)).min(self.full_shift);
        let bytes = self.row_bytes << shift;
        Layout::from_size_align(bytes, ALIGNMENT).expect("a chunk is far below isize::MAX")
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        while self.release_chunk().is_some() {}
    }
}

/// 1 MiB: large enough that allocating one is rare, small enough that freeing one is a few dozen microseconds.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Four rows first: collections of ten vectors are common where every user has one.
const FIRST_SHIFT: u32 = 2;

/// A cache line.
const ALIGNMENT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_place_and_content_while_the_arena_grows() {
        for row_words in [1, 7, 64, 3_000, 65_536, 400_000] {
            let rows_max = (8 << 20) / (row_words * 4) + 3;
            let rows_max = rows_max.min(20_000);
            let mut rows = Rows::new(row_words);
            let mut addresses = Vec::new();
            for row in 0..rows_max as u32 {
                assert_eq!(rows.push(), row);
                rows.floats_mut(row)[row_words - 1] = row as f32;
                rows.floats_mut(row)[0] = row as f32;
                addresses.push(rows.address(row));
            }
            for row in 0..rows_max as u32 {
                assert_eq!(rows.address(row), addresses[row as usize]);
                assert_eq!(rows.floats(row)[0], row as f32);
                assert_eq!(rows.floats(row)[row_words - 1], row as f32);
            }
            let held = rows.allocated_bytes();
            let mut freed = 0;
            while let Some(bytes) = rows.release_chunk() {
                freed += bytes;
            }
            assert_eq!(freed, held);
            assert_eq!(rows.len(), 0);
        }
    }

    #[test]
    fn rows_that_are_given_back_take_their_chunks_along() {
        for row_words in [1, 64, 3_000, 400_000] {
            let mut rows = Rows::new(row_words);
            let rows_max = ((8 << 20) / (row_words * 4)).min(20_000) as u32;
            for _ in 0..rows_max {
                rows.push();
            }
            (0..rows_max).for_each(|row| rows.floats_mut(row)[0] = row as f32);
            let full = rows.allocated_bytes();
            rows.truncate(rows_max as usize / 2);
            while rows.release_spare().is_some() {}
            assert_eq!(rows.len(), rows_max as usize / 2);
            assert!(rows.allocated_bytes() < full);
            (0..rows_max / 2).for_each(|row| assert_eq!(rows.floats(row)[0], row as f32));
            rows.reach(rows_max / 2);
            rows.reach(0);
            assert_eq!(rows.len(), rows_max as usize / 2 + 1);
            rows.copy(0, rows_max / 2);
            assert_eq!(rows.floats(rows_max / 2)[0], 0.0);
            for _ in rows_max / 2 + 1..rows_max {
                rows.push();
            }
            assert_eq!(rows.allocated_bytes(), full);
            rows.truncate(0);
            while rows.release_spare().is_some() {}
            assert_eq!(rows.allocated_bytes(), 0);
        }
    }

    #[test]
    #[should_panic(expected = "row 3 of 3")]
    fn a_row_that_does_not_exist_is_never_read() {
        let mut rows = Rows::new(4);
        for _ in 0..3 {
            rows.push();
        }
        rows.floats(3);
    }
}
