//! In what form an index keeps its vectors: how many bytes they take, and how much of them comes back.

use std::fmt;

use crate::code::{CodeWidth, code_words};
use crate::floats::float_row_words;
use crate::half::half_row_words;
use crate::residual::residual_row_words;

/// The form in which an index keeps its vectors, for life.
///
/// | kind | bytes per vector, 50 and 384 dimensions | a component comes back within | of the 10 nearest it can tell |
/// |---|---|---|---|
/// | F32 | 320, 2,000 | nothing: the same bits | all |
/// | F16 | 128, 832 | 1/2,048 of itself, or 2⁻³⁹ of the largest | 0.995 |
/// | Q16 | 128, 784 | 1/62,000 of the vector's largest | 0.995 |
/// | Q8 | 64, 400 | 1/253 of the vector's largest | 0.95 |
///
/// The bytes are whole cache lines, and 16 more where a code leaves no room for its scale ([`Storage::row_bytes`]); links
/// and the spare rows of a growing table come on top. Under F32, where half a byte tells the vectors of an index apart well
/// enough (from 96 dimensions on, see `width`), their codes take half: 192 bytes less at 384 dimensions.
/// The last column is the recall@10 of an exact search against the one over the vectors as they were given: no walk,
/// however deep, does better (10,000 words of GloVe, 50 dimensions, measured by the tests of this file).
///
/// A kind other than F32 keeps nothing finer than it says. What it holds is the *decoded* vector: that comes back when
/// a vector is read, and hits carry the distance to it. So a query with the components that came back is at distance 0,
/// and a distance is off by no more than the vector is: under l2 by √dimension times the component's error, under the
/// inner product by that times the query's length, under cosine by twice that over the vector's length.
///
/// Q16 is two levels of a byte, the second on what the first left over ("LVQ-8x8" of Aguerrebere and others,
/// "Similarity search in the blink of an eye with compressed indices", 2023; here scaled by the largest component,
/// without a mean). Walks read the first level, and the best few are measured on both. F16 is walked on as it is: at
/// 384 dimensions a search takes longer than with Q16, but small components beside large ones keep their digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// The components as they were given, and from 32 dimensions on codes of a byte or less beside them for the walk.
    #[default]
    F32,
    /// Half precision, under a power of two that suits the vector: nothing overflows.
    F16,
    /// Two bytes: a code, and a second one on what the first left over.
    Q16,
    /// One byte: a code.
    Q8,
}

impl Storage {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Storage; 4] = [Storage::F32, Storage::F16, Storage::Q16, Storage::Q8];

    /// The kind of this name, in any case, or none.
    pub fn parse(name: &[u8]) -> Option<Storage> {
        Storage::ALL
            .into_iter()
            .find(|storage| storage.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name by which commands and replies call it.
    pub fn name(self) -> &'static str {
        match self {
            Storage::F32 => "F32",
            Storage::F16 => "F16",
            Storage::Q16 => "Q16",
            Storage::Q8 => "Q8",
        }
    }

    /// The bytes that one vector takes, everything that is kept of it together, without its links. Where codes are of half a
    /// byte it is less.
    pub fn row_bytes(self, dimension: usize) -> usize {
        let words = match self {
            Storage::F32 if self.has_codes(dimension) => {
                float_row_words(dimension) + code_words(dimension, CodeWidth::Eight)
            }
            Storage::F32 => float_row_words(dimension),
            Storage::F16 => half_row_words(dimension),
            Storage::Q16 => code_words(dimension, CodeWidth::Eight) + residual_row_words(dimension),
            Storage::Q8 => code_words(dimension, CodeWidth::Eight),
        };
        words * 4
    }

    /// How far a component of `vector` may be from the one that comes back, at most.
    pub fn component_error(self, vector: &[f32]) -> f32 {
        let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let error = match self {
            Storage::F32 => 0.0,
            // Half a unit in the last of 11 digits of the largest component bounds the others' too.
            Storage::F16 => largest / 2_048.0,
            Storage::Q16 => largest / 62_000.0,
            Storage::Q8 => largest / 253.0,
        };
        // Nothing that f32 can say is nearer than its smallest step.
        if self == Storage::F32 {
            0.0
        } else {
            error.max(f32::from_bits(1))
        }
    }

    /// Whether graphs over it are built and walked on codes.
    pub(crate) fn has_codes(self, dimension: usize) -> bool {
        match self {
            Storage::F32 => dimension >= CODED_DIMENSION_MIN,
            Storage::F16 => false,
            Storage::Q16 | Storage::Q8 => true,
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From here on the walk over F32 reads codes. At 50 dimensions they answer × 1.35 as fast as rows at recall 0.95 and ×
/// 1.14 at 0.99 (100,000 vectors, `benches/index.py`, Zen 4, November 2026); below 32 a code takes as many cache lines
/// as a row.
const CODED_DIMENSION_MIN: usize = 32;

#[cfg(test)]
mod tests;
