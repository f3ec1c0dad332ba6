//! Rows of half precision: eleven significant bits a component, under a power of two that suits the vector.
//!
//! A half holds 6e-8 to 65,504, an f32 1e-45 to 3e38. So a vector is divided by a power of two, its *unit*, that brings
//! its largest component to between 2¹⁴ and 2¹⁵: nothing overflows, and of what is smaller than the largest, 29 powers
//! of two keep all their digits. Decoding is exact: what comes back is what was kept.

use crate::arena::{Reading, Rows};
use crate::distance::padded;

/// The vectors of an index that keeps halves.
pub(crate) struct Halves {
    /// The dimension, padded for the kernels.
    length: usize,
    /// A row: the halves, zeros up to `length`, then as f32 the scale by which the walk multiplies a dot product, and
    /// the unit.
    rows: Rows,
}

impl Halves {
    pub(crate) fn new(dimension: usize) -> Halves {
        Halves {
            length: padded(dimension),
            rows: Rows::new(half_row_words(dimension), Reading::AtRandom),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
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

    /// Writes a row whose scale is still to be set.
    pub(crate) fn put(&mut self, slot: u32, vector: &[f32]) {
        self.rows.reach(slot);
        let unit = unit(vector);
        for (place, &component) in self.rows.halves_mut(slot).iter_mut().zip(vector) {
            let half = to_half(component / unit);
            // Rounding up to 2¹⁵ might be rounding up to what f32 does not hold.
            *place = half & SIGN_OF_HALF | (half & !SIGN_OF_HALF).min(LARGEST_KEPT);
        }
        self.rows.floats_mut(slot)[self.length / 2 + 1] = unit;
    }

    /// Writes halves and unit as they were stored, in a row whose scale is still to be set; false if they are none that a vector
    /// is kept as.
    #[must_use]
    pub(crate) fn restore(&mut self, slot: u32, halves: impl Iterator<Item = u16>, unit: f32) -> bool {
        self.rows.reach(slot);
        let mut are_finite = true;
        for (place, half) in self.rows.halves_mut(slot).iter_mut().zip(halves) {
            are_finite &= half & EXPONENT_OF_HALF != EXPONENT_OF_HALF;
            *place = half;
        }
        self.rows.floats_mut(slot)[self.length / 2 + 1] = unit;
        let is_power = unit.is_normal() && unit > 0.0 && unit.to_bits() << (32 - MANTISSA_BITS) == 0;
        are_finite && is_power
    }

    pub(crate) fn set_scale(&mut self, slot: u32, scale: f32) {
        self.rows.floats_mut(slot)[self.length / 2] = scale;
    }

    pub(crate) fn scale(&self, slot: u32) -> f32 {
        self.rows.floats(slot)[self.length / 2]
    }

    pub(crate) fn unit(&self, slot: u32) -> f32 {
        self.rows.floats(slot)[self.length / 2 + 1]
    }

    /// The halves of a row, padding included.
    pub(crate) fn halves(&self, slot: u32) -> &[u16] {
        &self.rows.halves(slot)[..self.length]
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.rows.release_chunk()
    }
}

/// The words of a row, scale and unit included: whole cache lines.
pub(crate) fn half_row_words(dimension: usize) -> usize {
    (padded(dimension) / 2 + 2).next_multiple_of(16)
}

/// The power of two that brings the largest component to between 2¹⁴ and 2¹⁵, as far as it is a normal f32. Where it is
/// not, halves reach further down than f32 does.
fn unit(vector: &[f32]) -> f32 {
    let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let exponent = (largest.to_bits() >> MANTISSA_BITS).saturating_sub(14).max(1);
    f32::from_bits(exponent << MANTISSA_BITS)
}

/// The nearest half, as bits. The component is below 65,520 in size, and finite.
fn to_half(component: f32) -> u16 {
    // Times 2⁻¹¹² the exponent of an f32 becomes that of a half in its low bits, and what is too small for a normal
    // half becomes a subnormal f32, as its half is subnormal.
    let scaled = (component * f32::from_bits((127 - 112) << MANTISSA_BITS)).to_bits();
    // To nearest, ties to even.
    let rounded = (scaled & !SIGN) + HALF_OF_DROPPED - 1 + (scaled >> DROPPED_BITS & 1);
    (rounded >> DROPPED_BITS) as u16 | (scaled >> 16) as u16 & SIGN_OF_HALF
}

/// What a half says. Exact.
#[inline(always)]
pub(crate) fn from_half(half: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(half & !SIGN_OF_HALF) << DROPPED_BITS);
    let value = magnitude * f32::from_bits((127 + 112) << MANTISSA_BITS);
    f32::from_bits(value.to_bits() | u32::from(half & SIGN_OF_HALF) << 16)
}

/// Bits below the exponent of an f32.
const MANTISSA_BITS: u32 = 23;

/// Bits of an f32's mantissa that a half has not.
const DROPPED_BITS: u32 = 13;

const HALF_OF_DROPPED: u32 = 1 << (DROPPED_BITS - 1);

/// The sign bit of an f32.
const SIGN: u32 = 1 << 31;

/// The sign bit of a half.
const SIGN_OF_HALF: u16 = 1 << 15;

/// The exponent bits of a half: all of them are set where it is no number.
const EXPONENT_OF_HALF: u16 = 0x7c00;

/// The largest half below 2¹⁵.
const LARGEST_KEPT: u16 = 0x77ff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_finite_half_is_read_back_to_the_bit() {
        for bits in 0..=u16::MAX {
            if bits & 0x7c00 != 0x7c00 {
                assert_eq!(to_half(from_half(bits)), bits, "{bits:#x}");
            }
        }
        assert_eq!(
            (from_half(0x3c00), from_half(0xc000), from_half(1)),
            (1.0, -2.0, 2f32.powi(-24))
        );
        assert_eq!((from_half(0x7bff), from_half(0x0400)), (65_504.0, 2f32.powi(-14)));
    }

    proptest! {
        #[test]
        fn a_half_is_the_nearest_there_is(component in -65_519.0f32..65_519.0, exponent in -30i32..=0) {
            let component = component * 2f32.powi(exponent);
            let half = to_half(component);
            let error = (from_half(half) - component).abs();
            for neighbour in [half.wrapping_sub(1), half + 1] {
                let size = neighbour & 0x7fff;
                if size < 0x7c00 {
                    prop_assert!(error <= (from_half(neighbour) - component).abs());
                }
            }
        }

        #[test]
        fn a_unit_suits_every_vector(bits in 0u32..0x7f80_0000) {
            let largest = f32::from_bits(bits);
            let scaled = largest / unit(&[largest, -largest / 2.0]);
            prop_assert!(scaled < 32_768.0);
            prop_assert!(scaled >= 16_384.0 || unit(&[largest]) == f32::MIN_POSITIVE);
            prop_assert!(largest == 0.0 || to_half(scaled) != 0);
        }
    }
}
