//! What a vector set of Redis does to a vector before it keeps it, and how it shows what it keeps.
//!
//! The formulas are those of Redis 8.2.3 (`modules/vector-sets`: `vset.c`, `hnsw.c`), read there and compared on the server.

use crate::storage::Storage;

/// In what form a vector set keeps its vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quantisation {
    /// `NOQUANT`: as they came.
    None,
    /// `Q8`: a byte for each component.
    Int8,
    /// `BIN`: of each component whether it is above zero. Kept as 1 or -1, so that a cosine distance counts the signs that
    /// differ.
    Binary,
}

/// A vector as VEMB RAW shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct RawVector {
    /// The components: floats, bytes or bits, little-endian.
    pub bytes: Vec<u8>,
    /// The length of the vector; 1 of one of zeros.
    pub norm: f32,
    /// What the byte 127 stands for, of a vector of length 1. Only under [`Quantisation::Int8`].
    pub range: Option<f32>,
}

impl Quantisation {
    /// Every form.
    pub const ALL: [Quantisation; 3] = [Quantisation::None, Quantisation::Int8, Quantisation::Binary];

    /// As VINFO says it.
    pub fn name(self) -> &'static str {
        match self {
            Quantisation::None => "f32",
            Quantisation::Int8 => "int8",
            Quantisation::Binary => "bin",
        }
    }

    /// How an index keeps such vectors.
    pub fn storage(self) -> Storage {
        match self {
            Quantisation::None => Storage::F32,
            // 1 and -1 are the ends of what a byte holds, so they come back exactly.
            Quantisation::Int8 | Quantisation::Binary => Storage::Q8,
        }
    }

    /// The vector that is kept, or sought with.
    pub fn formed(self, vector: Box<[f32]>) -> Box<[f32]> {
        match self {
            Quantisation::None | Quantisation::Int8 => vector,
            Quantisation::Binary => vector
                .iter()
                .map(|component| if *component > 0.0 { 1.0 } else { -1.0 })
                .collect(),
        }
    }

    /// A vector that is kept, as VEMB RAW shows it.
    pub fn raw(self, vector: &[f32]) -> RawVector {
        let length = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
        let norm = if length == 0.0 { 1.0 } else { length };
        let units = vector.iter().map(|component| component / norm);
        match self {
            Quantisation::None => RawVector {
                bytes: units.flat_map(f32::to_le_bytes).collect(),
                norm,
                range: None,
            },
            Quantisation::Int8 => {
                let range = units.clone().fold(0.0, |range: f32, unit| range.max(unit.abs()));
                let code = |unit: f32| match range {
                    0.0 => 0,
                    range => (unit / range * INT8_MAX).round() as i8,
                };
                RawVector {
                    bytes: units.map(|unit| code(unit) as u8).collect(),
                    norm,
                    range: Some(range),
                }
            }
            Quantisation::Binary => {
                let mut bytes = vec![0; vector.len().div_ceil(BITS_PER_WORD) * BITS_PER_WORD / 8];
                for (place, component) in vector.iter().enumerate() {
                    bytes[place / 8] |= u8::from(*component > 0.0) << (place % 8);
                }
                RawVector {
                    bytes,
                    norm,
                    range: None,
                }
            }
        }
    }
}

/// A vector brought to a smaller dimension, as REDUCE does: each component of the result adds all components up, half of them
/// with the other sign, which the bits that both places share decide. That is a Walsh-Hadamard transform (Fino and Algazi,
/// "Unified matrix treatment of the fast Walsh-Hadamard transform", 1976), so the work is n·log n and not n².
pub fn project(vector: &[f32], dimension: usize) -> Box<[f32]> {
    let size = vector.len().max(dimension).next_power_of_two();
    let mut sums: Vec<f64> = vector.iter().map(|component| f64::from(*component)).collect();
    sums.resize(size, 0.0);
    let mut half = 1;
    while half < size {
        for block in sums.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (one, other) in low.iter_mut().zip(high) {
                (*one, *other) = (*one + *other, *one - *other);
            }
        }
        half *= 2;
    }
    let scale = (vector.len() as f64).sqrt();
    sums[..dimension].iter().map(|sum| (sum / scale) as f32).collect()
}

/// The largest code of a byte.
const INT8_MAX: f32 = 127.0;

/// Bits are shown in words of so many.
const BITS_PER_WORD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_is_that_of_redis() {
        // `VADD s REDUCE 3 VALUES 4 1 2 3 4 e NOQUANT` and `VEMB s e`, Redis 8.2.3.
        assert_eq!(*project(&[1.0, 2.0, 3.0, 4.0], 3), [5.0, -1.0, -2.0]);
    }

    #[test]
    fn raw_forms_are_those_of_redis() {
        let vector = [3.0, -4.0, 0.0];
        let bytes = Quantisation::Int8.raw(&vector);
        assert_eq!(
            (bytes.bytes, bytes.norm, bytes.range),
            (vec![95, 129, 0], 5.0, Some(0.8))
        );
        let floats = Quantisation::None.raw(&vector);
        let expected: Vec<u8> = [0.6f32, -0.8, 0.0].into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!((floats.bytes, floats.norm, floats.range), (expected, 5.0, None));
        let signs = Quantisation::Binary.formed(vector.into());
        assert_eq!(*signs, [1.0, -1.0, -1.0]);
        assert_eq!(Quantisation::Binary.raw(&signs).bytes, [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Quantisation::None.raw(&[0.0, 0.0]).norm, 1.0);
    }
}
