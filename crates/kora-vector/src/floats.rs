//! Rows of f32: vectors as they were given.

use crate::arena::{Reading, Rows};
use crate::distance::padded;

/// The vectors of an index that keeps them whole.
pub(crate) struct Floats {
    dimension: usize,
    /// The dimension, padded for the kernels.
    length: usize,
    /// A row: the components, zeros up to `length`, then the scale by which the walk multiplies a dot product.
    rows: Rows,
    /// The first few vectors, one after the other with nothing between them, as long as there are no more: a tiny
    /// collection costs its vectors. Invariant: empty once `rows` is not.
    early: Vec<f32>,
}

impl Floats {
    pub(crate) fn new(dimension: usize, reading: Reading) -> Floats {
        Floats {
            dimension,
            length: padded(dimension),
            rows: Rows::new(float_row_words(dimension), reading),
            early: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len().max(self.early.len() / self.dimension)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.early.capacity() * size_of::<f32>() + self.rows.allocated_bytes()
    }

    /// Whether this slot is one of the early ones, or will be.
    pub(crate) fn is_early(&self, slot: u32) -> bool {
        self.rows.len() == 0 && (slot as usize) < EARLY_MAX
    }

    /// Appends one of the early vectors.
    pub(crate) fn push_early(&mut self, vector: &[f32]) {
        self.early.reserve_exact(self.dimension);
        self.early.extend_from_slice(vector);
    }

    /// Hands the early vectors over, to be pushed as rows.
    pub(crate) fn take_early(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.early)
    }

    /// Writes an early vector over another.
    pub(crate) fn put_early(&mut self, slot: u32, vector: &[f32]) {
        let start = slot as usize * self.dimension;
        self.early[start..start + self.dimension].copy_from_slice(vector);
    }

    /// Writes a row; `scale` is asked for the one that belongs to the padded vector.
    pub(crate) fn put(&mut self, slot: u32, vector: &[f32], scale: impl FnOnce(&[f32]) -> f32) {
        self.rows.reach(slot);
        let row = self.rows.floats_mut(slot);
        row[..vector.len()].copy_from_slice(vector);
        row[self.length] = scale(&row[..self.length]);
    }

    pub(crate) fn rows_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// The rows, for the kernels. There are none as long as the vectors are early.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// A vector with its padding, or without while it is early.
    pub(crate) fn vector(&self, slot: u32) -> &[f32] {
        if self.rows.len() == 0 {
            let start = slot as usize * self.dimension;
            return &self.early[start..start + self.dimension];
        }
        &self.rows.floats(slot)[..self.length]
    }

    /// The scale of a row.
    pub(crate) fn scale(&self, slot: u32) -> f32 {
        self.rows.floats(slot)[self.length]
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.early = Vec::new();
        self.rows.release_chunk()
    }
}

/// The words of a row, its scale included: whole cache lines, so that none straddles one more than it must.
pub(crate) fn float_row_words(dimension: usize) -> usize {
    let length = padded(dimension);
    (length + 1).next_multiple_of(length.min(LINE_WORDS))
}

/// So many vectors are kept without padding before they become rows.
const EARLY_MAX: usize = 32;

/// The f32 of a cache line.
const LINE_WORDS: usize = 16;
