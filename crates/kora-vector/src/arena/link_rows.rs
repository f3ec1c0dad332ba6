//! Tables of links: rows of atomic words, which one thread writes while others read them.

use std::sync::atomic::AtomicU32;

use super::{Reading, Rows};

/// A table of equal rows of atomic words, zeroed when their chunk is new.
///
/// It gives out its memory as atomics only, and [`Rows`] as plain numbers only. So safe code can't hold a `&[f32]` and a
/// `&[AtomicU32]` into the same memory, where a store through one would change what the other promises to be constant.
pub(crate) struct LinkRows(Rows);

impl LinkRows {
    /// An empty table; nothing is allocated before the first row.
    pub(crate) fn new(row_words: usize, reading: Reading) -> LinkRows {
        LinkRows(Rows::new(row_words, reading))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends a row and returns its number.
    pub(crate) fn push(&mut self) -> u32 {
        self.0.push()
    }

    /// Makes sure that there is a row of this number: an old one, or the next.
    pub(crate) fn reach(&mut self, row: u32) {
        self.0.reach(row);
    }

    /// Forgets the rows from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Writes one row over another.
    pub(crate) fn copy(&mut self, from: u32, to: u32) {
        self.0.copy(from, to);
    }

    /// The words of a row, which may be read while they are written.
    #[inline]
    pub(crate) fn words(&self, row: u32) -> &[AtomicU32] {
        self.0.words(row)
    }

    /// Where a row begins, to prefetch it.
    #[inline(always)]
    pub(crate) fn address(&self, row: u32) -> *const f32 {
        self.0.address(row)
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.0.chunk_count()
    }

    pub(crate) fn allocated_bytes(&self) -> usize {
        self.0.allocated_bytes()
    }

    /// Bytes of one row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.0.row_words() * 4
    }

    /// Bytes that it grows by for one more row.
    pub(crate) fn growth_bytes(&self) -> usize {
        self.0.growth_bytes()
    }

    /// Frees a spare chunk, or the spare part of the last one; the bytes freed, or none if there is nothing.
    pub(crate) fn release_spare(&mut self) -> Option<usize> {
        self.0.release_spare()
    }

    /// Frees the last chunk and every row in it; the bytes freed, or none if nothing is left.
    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.0.release_chunk()
    }
}
