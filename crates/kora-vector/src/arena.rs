//! Rows of one size in chunks that never move.
//!
//! The first chunk holds a few rows, so that a tiny collection stays tiny; each next one as many as all before it
//! together, until they fill [`CHUNK_BYTES`], and from then on each has that size. Growth therefore allocates and never
//! copies, and an address stays valid until its row is given back, so that readers on other threads can walk in place.
//!
//! Chunks of full size are mapped, so that they return to the system as soon as they are freed. A table that walks read at
//! random allocates each as one page: with pages of 4 KiB a walk finds few of its rows' pages in the
//! processor's table of pages (100,000 × 50: queries × 1.13), and filling a chunk takes 512 faults instead of one (1.2 ms
//! against 0.1, Zen 3 under KVM). That one is long where the machine is virtual and its host has to find the memory first
//! (6 ms on average, 15 at most): so a table asks for its next page before it needs it, and another thread touches that,
//! if there is one (see `pages`).
//!
//! This file and `distance/` are the only ones with `unsafe`: here because rows are raw aligned memory.
#![allow(unsafe_code)]

mod link_rows;

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;

pub(crate) use self::link_rows::LinkRows;
use crate::pages::Ordered;

/// A table of equal rows of numbers, each a run of 4-byte words, zeroed when its chunk is new. It grows and shrinks at its end.
/// Tables of atomic words are [`LinkRows`].
pub(crate) struct Rows {
    /// For each run of rows, see `run_of`, where row 0 would lie if the chunk that holds the run reached down to it: so a
    /// row is found without knowing where its chunk begins. Invariant: every row below `len` is in one of these runs.
    runs: Vec<*mut u8>,
    /// Invariant: chunk `i` below this is an allocation of `chunk_layout(i)`, and the runs of its rows name it.
    chunk_count: usize,
    /// Invariant: above 0, a multiple of 4.
    row_bytes: usize,
    len: usize,
    capacity: usize,
    /// Rows below this may have been written since their memory was new. Invariant: from `len` to `capacity`.
    written: usize,
    /// The rows of a chunk of full size, and of all smaller ones together. Invariant: above 0, and whole runs.
    full_rows: usize,
    /// log2 of the rows of a run.
    run_shift: u32,
    reading: Reading,
    /// The page of the next chunk, if it was asked for.
    ahead: Option<Ordered>,
}

// SAFETY: a table is the only owner of its chunks, and any thread may free them.
unsafe impl Send for Rows {}

// SAFETY: a shared reference only reads, and a `LinkRows` only reads and writes atomics; `ahead`, which is not `Sync`, is used
// through `&mut self` only.
unsafe impl Sync for Rows {}

/// The order in which most reads of a table's rows happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// By walks, in no order.
    AtRandom,
    /// Rarely, or one after the other.
    Otherwise,
}

impl Rows {
    /// An empty table; nothing is allocated before the first row.
    pub(crate) fn new(row_words: usize, reading: Reading) -> Rows {
        assert!(row_words > 0, "a row has at least one word");
        let row_bytes = row_words * 4;
        let full_rows = (CHUNK_BYTES / row_bytes).max(1);
        let run_shift = full_rows.ilog2().saturating_sub(RUNS_PER_CHUNK.ilog2());
        Rows {
            runs: Vec::new(),
            chunk_count: 0,
            row_bytes,
            len: 0,
            capacity: 0,
            written: 0,
            full_rows: full_rows >> run_shift << run_shift,
            run_shift,
            reading,
            ahead: None,
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
        assert!(self.len < 1 << ROW_BITS, "a row's number fits {ROW_BITS} bits");
        if self.len == self.capacity {
            let first = self.first_row(self.chunk_count);
            let start = self.allocate(self.chunk_count);
            self.chunk_count += 1;
            self.capacity = self.first_row(self.chunk_count);
            let runs = self.run_of(self.capacity as u32 - 1) + 1;
            self.runs.resize(runs, start.wrapping_sub(first * self.row_bytes));
        }
        self.len += 1;
        self.written = self.written.max(self.len);
        if self.len + self.full_rows / AHEAD_ONE_IN == self.capacity && self.ahead.is_none() {
            self.ahead = self.is_page(self.chunk_count).then(Ordered::place).flatten();
        }
        (self.len - 1) as u32
    }

    /// Makes sure that there is a row of this number: an old one, or the next.
    pub(crate) fn reach(&mut self, row: u32) {
        if row as usize == self.len {
            self.push();
        }
    }

    /// Forgets the rows from `len` on. Their memory is spare then.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        // The next page is ordered again nearer to the end.
        self.ahead = None;
    }

    /// Frees a spare chunk, or the spare part of the last one; the bytes freed, or none if there is nothing.
    pub(crate) fn release_spare(&mut self) -> Option<usize> {
        let last = self.chunk_count.checked_sub(1)?;
        if self.first_row(last) >= self.len {
            return self.release_chunk();
        }
        self.release_tail(last)
    }

    /// Gives the memory of a chunk's spare rows back to the system, as if they had never been written; the bytes, or none if
    /// that is not worth it.
    fn release_tail(&mut self, chunk: usize) -> Option<usize> {
        let written = std::mem::replace(&mut self.written, self.len);
        // One page can't be given back in part.
        if self.is_page(chunk) {
            return None;
        }
        let tail = self.runs.last()?.wrapping_add(self.len * self.row_bytes);
        // SAFETY: the memory behind the last row of a chunk of this table, to which there are no references.
        let bytes = unsafe { discard(tail, (written - self.len) * self.row_bytes) };
        (bytes > 0).then_some(bytes)
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
        // SAFETY: a row below `len` is in one of the runs.
        let run = unsafe { *self.runs.get_unchecked(self.run_of(row)) };
        run.wrapping_add(row as usize * self.row_bytes).cast_const().cast()
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

    /// The row as words that may be read while they are written. Private: of a table whose rows are borrowed as numbers, no
    /// word may be stored to through a shared reference. [`LinkRows`] has no other access; `copy` has `&mut self`.
    #[inline]
    fn words(&self, row: u32) -> &[AtomicU32] {
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
        self.chunk_count
    }

    /// Bytes of all chunks, with the one that was asked for ahead.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.capacity * self.row_bytes + if self.ahead.is_some() { CHUNK_BYTES } else { 0 }
    }

    /// Bytes that it grows by for one more row.
    pub(crate) fn growth_bytes(&self) -> usize {
        match self.len < self.capacity || self.ahead.is_some() {
            true => 0,
            false => self.chunk_layout(self.chunk_count).size(),
        }
    }

    /// Frees the last chunk and every row in it; the bytes freed, or none if nothing is left.
    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        let chunk = self.chunk_count.checked_sub(1)?;
        let (first, layout) = (self.first_row(chunk), self.chunk_layout(chunk));
        let start = self.runs.last()?.wrapping_add(first * self.row_bytes);
        self.chunk_count = chunk;
        self.capacity = first;
        self.len = self.len.min(first);
        self.written = self.written.min(first);
        self.runs
            .truncate(if first == 0 { 0 } else { self.run_of(first as u32) });
        // SAFETY: made in `allocate` in the same way, and no longer named in `runs`.
        unsafe {
            if self.is_mapped(chunk) {
                unmap(start, layout.size(), self.reading);
            } else {
                if layout.size() >= DISCARDED_BYTES_MIN {
                    discard(start, layout.size());
                }
                dealloc(start, layout);
            }
        }
        Some(layout.size())
    }

    /// The run that holds a row. All runs have equal length except the first ones, which are the small chunks: of four rows,
    /// four, eight, sixteen, up to the length of a run. Only large tables matter for speed, and there hardly a row is in
    /// these.
    #[inline(always)]
    fn run_of(&self, row: u32) -> usize {
        let run = row >> self.run_shift;
        if run == 0 {
            return ((row | (FIRST_ROWS / 2)).ilog2() + 1 - FIRST_ROWS.ilog2()) as usize;
        }
        (run + self.run_shift.saturating_sub(FIRST_ROWS.ilog2())) as usize
    }

    /// The number of a chunk's first row. Each small chunk is as long as all before it, the last as long as the rest.
    fn first_row(&self, chunk: usize) -> usize {
        let last_small = ((self.full_rows - 1) / FIRST_ROWS as usize)
            .checked_ilog2()
            .map_or(0, |log| log as usize + 1);
        match chunk {
            0 => 0,
            _ if chunk <= last_small => (FIRST_ROWS as usize) << (chunk - 1),
            _ => (chunk - last_small) * self.full_rows,
        }
    }

    /// Whether a chunk has the full size.
    fn is_mapped(&self, chunk: usize) -> bool {
        self.first_row(chunk) >= self.full_rows
    }

    fn chunk_layout(&self, chunk: usize) -> Layout {
        let rows = self.first_row(chunk + 1) - self.first_row(chunk);
        Layout::from_size_align(rows * self.row_bytes, ALIGNMENT).expect("a chunk is far below isize::MAX")
    }

    /// Whether a chunk is allocated as one page.
    fn is_page(&self, chunk: usize) -> bool {
        let bytes = self.chunk_layout(chunk).size();
        self.is_mapped(chunk) && self.reading == Reading::AtRandom && bytes <= CHUNK_BYTES
    }

    fn allocate(&mut self, chunk: usize) -> *mut u8 {
        let layout = self.chunk_layout(chunk);
        let ahead = self.ahead.take().and_then(Ordered::collect);
        if let Some(page) = ahead.filter(|_| self.is_page(chunk)) {
            return page.into_start();
        }
        let start = if self.is_mapped(chunk) {
            map(layout.size(), self.reading)
        } else {
            // SAFETY: the layout has a size above zero, since a row has a word and a chunk a row.
            unsafe { alloc_zeroed(layout) }
        };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        start
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        while self.release_chunk().is_some() {}
    }
}

/// Zeroed memory from the system; null if there is none. Tables that are read at random get pages of
/// [`CHUNK_BYTES`], if a chunk fits one.
fn map(bytes: usize, reading: Reading) -> *mut u8 {
    let (readable, private) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    let is_one_page = reading == Reading::AtRandom && bytes <= CHUNK_BYTES;
    let length = if is_one_page { 2 * CHUNK_BYTES } else { bytes };
    // SAFETY: a new mapping at an address that the system chooses.
    let Ok(start) = (unsafe { mmap_anonymous(null_mut(), length, readable, private) }) else {
        return null_mut();
    };
    let start: *mut u8 = start.cast();
    if !is_one_page {
        return start;
    }
    let before = start.align_offset(CHUNK_BYTES);
    let page = start.wrapping_add(before);
    // SAFETY: both ends lie within the mapping made above, outside of the page that is kept.
    unsafe {
        unmap_some(start, before);
        unmap_some(page.wrapping_add(CHUNK_BYTES), CHUNK_BYTES - before);
    }
    // Without it the memory is the same and slower. A kernel without such pages refuses.
    #[cfg(target_os = "linux")]
    // SAFETY: the page was just mapped, and advice changes no content.
    let _ = unsafe { madvise(page.cast(), CHUNK_BYTES, Advice::LinuxHugepage) };
    page
}

/// Returns the whole pages of some memory to the system; the addresses stay valid and read as zero. Returns the bytes.
///
/// # Safety
/// It is private writable memory of this process, and there are no references to it.
unsafe fn discard(start: *mut u8, bytes: usize) -> usize {
    let before = start.align_offset(page_size());
    let bytes = bytes.saturating_sub(before) / page_size() * page_size();
    #[cfg(target_os = "linux")]
    // SAFETY: whole pages within what the caller promises.
    let is_done =
        bytes > 0 && unsafe { madvise(start.wrapping_add(before).cast(), bytes, Advice::LinuxDontNeed) }.is_ok();
    #[cfg(not(target_os = "linux"))]
    let is_done = false;
    if is_done { bytes } else { 0 }
}

/// A page of [`CHUNK_BYTES`], zeroed and in memory.
pub(crate) struct Page {
    /// Invariant: the start of a page that `map` made; this is the only pointer to it.
    start: *mut u8,
}

// SAFETY: a `Page` is the only owner of its memory.
unsafe impl Send for Page {}

impl Page {
    /// A page that has been touched; none if there is no memory.
    pub(crate) fn touched() -> Option<Page> {
        let start = map(CHUNK_BYTES, Reading::AtRandom);
        if start.is_null() {
            return None;
        }
        // SAFETY: the page was just mapped, to be written.
        unsafe { start.write_volatile(0) };
        Some(Page { start })
    }

    /// Where it begins. The caller unmaps it.
    fn into_start(self) -> *mut u8 {
        std::mem::ManuallyDrop::new(self).start
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: made by `map`, and there is no other pointer to it.
        unsafe { unmap_some(self.start, CHUNK_BYTES) };
    }
}

/// Unmaps memory that `map` made with the same arguments. There must be no references to it.
unsafe fn unmap(start: *mut u8, bytes: usize, reading: Reading) {
    let is_one_page = reading == Reading::AtRandom && bytes <= CHUNK_BYTES;
    // SAFETY: the caller's promise.
    unsafe { unmap_some(start, if is_one_page { CHUNK_BYTES } else { bytes }) }
}

/// Unmaps whole pages, or nothing. They must be mapped, and there must be no references to them.
unsafe fn unmap_some(start: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the caller's promise.
        let unmapped = unsafe { munmap(start.cast(), bytes) };
        unmapped.expect("what was mapped can be unmapped");
    }
}

/// 2 MiB: the larger page of x86-64 and of most ARM systems. Freeing one is some ten microseconds.
const CHUNK_BYTES: usize = 2 << 20;

/// The pages of a chunk of at least so many bytes are returned to the system before the chunk is freed: the allocator keeps large
/// blocks in pieces of some mebibytes, and returns none of a piece before all of it is free (mimalloc 3; it held 3.8 MB of 16
/// for 10,000 vectors left of 100,000).
const DISCARDED_BYTES_MIN: usize = 64 << 10;

/// Four rows first: collections of ten vectors are common where every user has one.
const FIRST_ROWS: u32 = 4;

/// At least so many runs make a chunk of full size: rows that fill no whole run are left out of it, and so a
/// thirty-second of it stays empty at most. The more runs, the larger the list of them.
const RUNS_PER_CHUNK: usize = 32;

/// The next page is asked for when so much of the last chunk is left: at 1,536 dimensions some 160 vectors, 80 ms of
/// inserting them.
const AHEAD_ONE_IN: usize = 8;

/// Rows are numbered with so many bits.
const ROW_BITS: u32 = 31;

/// A cache line.
const ALIGNMENT: usize = 64;

#[cfg(test)]
mod tests;
