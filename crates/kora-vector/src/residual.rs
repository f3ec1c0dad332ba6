//! The second level of Q16: what a code leaves over, in another byte.
//!
//! A code is off by half a step at most. The residual divides that step into 254, so the two bytes together are one
//! integer, 254 times the code plus the residual, which says a component to within half of 1/32,258 of the largest.
//! Nothing beside the code's own tail is needed to decode it.

use crate::arena::{Reading, Rows};

/// One row of residuals per slot.
pub(crate) struct Residuals {
    dimension: usize,
    rows: Rows,
}

impl Residuals {
    pub(crate) fn new(dimension: usize) -> Residuals {
        Residuals {
            dimension,
            rows: Rows::new(residual_row_words(dimension), Reading::Otherwise),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.allocated_bytes()
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(crate) fn rows_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Writes what `code` leaves over of `vector`.
    pub(crate) fn put(&mut self, row: u32, vector: &[f32], code: &[i8], largest: f32) {
        self.rows.reach(row);
        let factor = f64::from(FINE_MAX) / f64::from(largest.max(f32::MIN_POSITIVE * f32::EPSILON));
        let places = self.rows.bytes_mut(row).iter_mut().zip(vector).zip(code);
        for ((place, &component), &part) in places {
            let whole = (f64::from(component) * factor).round() as i32;
            *place = (whole - FINE_STEPS * i32::from(part)) as i8;
        }
    }

    /// Writes a row as it was stored.
    pub(crate) fn restore(&mut self, row: u32, residual: &[i8]) {
        self.rows.reach(row);
        self.rows.bytes_mut(row)[..residual.len()].copy_from_slice(residual);
    }

    pub(crate) fn residual(&self, slot: u32) -> &[i8] {
        &self.rows.bytes(slot)[..self.dimension]
    }

    pub(crate) fn address(&self, slot: u32) -> *const f32 {
        self.rows.address(slot)
    }

    pub(crate) fn row_words(&self) -> usize {
        self.rows.row_words()
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.rows.release_chunk()
    }
}

/// The words of a row: whole cache lines.
pub(crate) fn residual_row_words(dimension: usize) -> usize {
    dimension.div_ceil(4).next_multiple_of(16)
}

/// Fine steps in one step of a code.
pub(crate) const FINE_STEPS: i32 = 254;

/// The largest component, in fine steps: 127 · 254.
const FINE_MAX: f32 = 32_258.0;

/// What a fine step is of the largest component.
pub(crate) const FINE_UNIT: f32 = 1.0 / FINE_MAX;

const _: () = assert!(
    FINE_MAX * FINE_UNIT == 1.0,
    "the largest component comes back, and no further"
);
