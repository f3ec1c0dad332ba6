//! The word vectors that the program carries: see `sample/README.md` for what they are and how they were made.

use std::fmt;

/// Words with one vector each, decoded.
#[derive(Debug)]
pub(super) struct Sample {
    /// The words, the most frequent first.
    pub(super) words: Vec<&'static str>,
    /// Row `i` is the vector of `words[i]`. Invariant: `words.len() * DIMENSION` components, all finite.
    components: Vec<f32>,
}

impl Sample {
    /// The sample inside the program.
    pub(super) fn shipped() -> Result<Self, SampleError> {
        Self::decode(
            include_str!("../../sample/words.txt"),
            include_bytes!("../../sample/vectors.f16"),
        )
    }

    fn decode(words: &'static str, vectors: &[u8]) -> Result<Self, SampleError> {
        let words: Vec<_> = words.lines().collect();
        if vectors.len() != words.len() * DIMENSION * HALF_BYTES {
            return Err(SampleError::Length {
                words: words.len(),
                bytes: vectors.len(),
            });
        }
        let halves = vectors
            .chunks_exact(HALF_BYTES)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        let components: Vec<f32> = halves.map(widen).collect();
        match components.iter().position(|component| !component.is_finite()) {
            Some(index) => Err(SampleError::NotFinite {
                word: words[index / DIMENSION],
            }),
            None => Ok(Self { words, components }),
        }
    }

    /// The vector of the word at this place.
    pub(super) fn vector(&self, index: usize) -> &[f32] {
        &self.components[index * DIMENSION..][..DIMENSION]
    }

    /// The place of a word.
    pub(super) fn position(&self, word: &str) -> Option<usize> {
        self.words.iter().position(|known| *known == word)
    }
}

/// The files in `sample/` do not fit together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SampleError {
    Length { words: usize, bytes: usize },
    NotFinite { word: &'static str },
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { words, bytes } => write!(f, "the sample has {words} words but {bytes} bytes of vectors"),
            Self::NotFinite { word } => write!(f, "the sample's vector of `{word}` is not finite"),
        }
    }
}

/// Half to single precision (IEEE 754 binary16 to binary32), exact for every input.
fn widen(half: u16) -> f32 {
    let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff) / 1024.0;
    match exponent {
        0 => sign * fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction) * 2_f32.powi(exponent - 15),
    }
}

/// Components of each vector.
pub(super) const DIMENSION: usize = 50;

/// Bytes of one half-precision float.
const HALF_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_widened_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0400, 6.103_515_6e-5),
            (0x03ff, 6.097_555e-5),
            (0x0001, 5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (half, single) in cases {
            assert_eq!(widen(half).to_bits(), f32::to_bits(single), "{half:#06x}");
        }
        assert!(widen(0x7e00).is_nan());
    }

    #[test]
    fn the_shipped_sample_has_ten_thousand_words_that_know_each_other() {
        let sample = Sample::shipped().unwrap();
        assert_eq!(sample.words.len(), 10_000);
        let mut sorted = sample.words.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 10_000, "a word stands there twice");
        let similarity = |left: &str, right: &str| {
            let vector = |word| sample.vector(sample.position(word).unwrap());
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let (left, right) = (vector(left), vector(right));
            dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
        };
        assert!(similarity("king", "queen") > 0.7);
        assert!(similarity("king", "broadband") < 0.3);
    }

    #[test]
    fn files_that_do_not_fit_together_are_refused() {
        let row = [0_u8; DIMENSION * HALF_BYTES];
        assert_eq!(
            Sample::decode("a\nb\n", &row).unwrap_err(),
            SampleError::Length { words: 2, bytes: 100 }
        );
        assert_eq!(
            Sample::decode("a\n", &row[1..]).unwrap_err(),
            SampleError::Length { words: 1, bytes: 99 }
        );
        let mut row = row;
        row[51] = 0x7c;
        assert_eq!(
            Sample::decode("a\n", &row).unwrap_err(),
            SampleError::NotFinite { word: "a" }
        );
        assert_eq!(Sample::decode("", &[]).unwrap().words.len(), 0);
    }
}
