//! Rows of f32: vectors as they were given.

use crate::arena::{Reading, Rows};
use crate::distance::padded;

/// The vectors of an index that keeps them whole.
pub(crate) struct Floats {
    /// The dimension, padded for the kernels.
    length: usize,
    /// A row: the components, zeros up to `length`, then the scale by which the walk multiplies a dot product.
    rows: Rows,
}

impl Floats {
    pub(crate) fn new(dimension: usize, reading: Reading) -> Floats {
        Floats {
            length: padded(dimension),
            rows: Rows::new(float_row_words(dimension), reading),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.allocated_bytes()
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

    /// The rows, for the kernels.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// A vector with its padding.
    pub(crate) fn vector(&self, slot: u32) -> &[f32] {
        &self.rows.floats(slot)[..self.length]
    }

    /// The scale of a row.
    pub(crate) fn scale(&self, slot: u32) -> f32 {
        self.rows.floats(slot)[self.length]
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.rows.release_chunk()
    }
}

/// The words of a row, its scale included: whole cache lines, so that none straddles one more than it must.
pub(crate) fn float_row_words(dimension: usize) -> usize {
    let length = padded(dimension);
    (length + 1).next_multiple_of(length.min(LINE_WORDS))
}

/// The f32 of a cache line.
const LINE_WORDS: usize = 16;
