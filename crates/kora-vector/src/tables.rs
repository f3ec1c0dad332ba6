//! The tables in which the vectors of an index lie: what the walk reads, and what is kept beside.

use crate::arena::{Reading, Rows};
use crate::code::{CodeWidth, Codes};
use crate::distance::prefetch;
use crate::floats::Floats;
use crate::half::Halves;
use crate::metric::Metric;
use crate::residual::Residuals;
use crate::storage::Storage;

/// The rows of an index, one for each slot in each table.
pub(crate) struct Tables {
    /// What the walk reads, in place of rows. Invariant: one code per vector; there are codes unless `fine` has rows
    /// for the walk.
    pub(crate) codes: Option<Codes>,
    pub(crate) fine: Fine,
}

/// What is kept of a vector beside its code, or in place of one.
pub(crate) enum Fine {
    /// All of it. The scale of a row is 1/norm under cosine, NaN where that or a product with it would leave f32; 1
    /// under the other metrics.
    Floats(Floats),
    /// Eleven digits. The scale of a row is the same, times the row's unit.
    Halves(Halves),
    /// What the code leaves over, if anything is kept of that.
    Residuals(Option<Residuals>),
}

impl Tables {
    /// The width is that of the codes, if there are any.
    pub(crate) fn new(metric: Metric, dimension: usize, storage: Storage, width: CodeWidth) -> Tables {
        let has_codes = storage.has_codes(dimension);
        // Beside codes a row is read once for each of the best.
        let reading = if has_codes {
            Reading::Otherwise
        } else {
            Reading::AtRandom
        };
        let fine = match storage {
            Storage::F32 => Fine::Floats(Floats::new(dimension, reading)),
            Storage::F16 => Fine::Halves(Halves::new(dimension)),
            Storage::Q16 => Fine::Residuals(Some(Residuals::new(dimension))),
            Storage::Q8 => Fine::Residuals(None),
        };
        let codes = has_codes.then(|| Codes::new(metric, dimension, width));
        Tables { codes, fine }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.fine {
            Fine::Floats(floats) => floats.len(),
            Fine::Halves(halves) => halves.len(),
            Fine::Residuals(_) => self.codes.as_ref().map_or(0, Codes::len),
        }
    }

    /// Asks the caches for the beginning of what a walk measures of a slot.
    pub(crate) fn prefetch_walked(&self, slot: u32) {
        let (row, words) = match (&self.codes, &self.fine) {
            (Some(codes), _) => {
                codes.prefetch_tail(slot);
                codes.row(slot)
            }
            (None, Fine::Floats(floats)) => (floats.rows().address(slot), floats.rows().row_words()),
            (None, Fine::Halves(halves)) => (halves.rows().address(slot), halves.rows().row_words()),
            (None, Fine::Residuals(_)) => return,
        };
        prefetch(row, words.min(AHEAD_WORDS));
    }

    pub(crate) fn bytes(&self) -> usize {
        let fine = match &self.fine {
            Fine::Floats(floats) => floats.bytes(),
            Fine::Halves(halves) => halves.bytes(),
            Fine::Residuals(residuals) => residuals.as_ref().map_or(0, Residuals::bytes),
        };
        fine + self.codes.as_ref().map_or(0, Codes::bytes) + size_of::<Tables>()
    }

    pub(crate) fn chunk_count(&self) -> usize {
        let fine = match &self.fine {
            Fine::Floats(floats) => floats.rows().chunk_count(),
            Fine::Halves(halves) => halves.rows().chunk_count(),
            Fine::Residuals(residuals) => residuals.as_ref().map_or(0, |residuals| residuals.rows().chunk_count()),
        };
        fine + self.codes.as_ref().map_or(0, |codes| codes.chunk_count())
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        let freed = match &mut self.fine {
            Fine::Floats(floats) => floats.release_chunk(),
            Fine::Halves(halves) => halves.release_chunk(),
            Fine::Residuals(residuals) => residuals.as_mut().and_then(Residuals::release_chunk),
        };
        freed.or_else(|| self.codes.as_mut()?.release_chunk())
    }

    /// Each of them, to be read.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Rows> {
        let fine = match &self.fine {
            Fine::Floats(floats) => Some(floats.rows()),
            Fine::Halves(halves) => Some(halves.rows()),
            Fine::Residuals(residuals) => residuals.as_ref().map(Residuals::rows),
        };
        fine.into_iter().chain(self.codes.iter().flat_map(Codes::tables))
    }

    /// Each of them.
    pub(crate) fn rows(&mut self) -> impl Iterator<Item = &mut Rows> {
        let fine = match &mut self.fine {
            Fine::Floats(floats) => Some(floats.rows_mut()),
            Fine::Halves(halves) => Some(halves.rows_mut()),
            Fine::Residuals(residuals) => residuals.as_mut().map(Residuals::rows_mut),
        };
        fine.into_iter()
            .chain(self.codes.iter_mut().flat_map(Codes::tables_mut))
    }
}

/// Words of a row that the caches are asked for a turn ahead: of longer ones the rest comes while the beginning is measured.
const AHEAD_WORDS: usize = 64;
