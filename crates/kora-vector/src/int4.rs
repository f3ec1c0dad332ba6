//! Codes of four bits a component.
//!
//! A code is a vector divided by the end of its range and rounded to −7…7, and stands in the row with 8 added. Where the range
//! ends is chosen for each vector: what lies beyond is cut off, if the rest is told the better for it. For components that are
//! normally distributed the error is a tenth of their deviation, and a quarter less than without the choice.

use crate::code::{ROUNDING, SAFE_MAX, SAFE_MIN, Tail, largest_of};
use crate::metric::Metric;

/// Writes the code of four bits of a vector into a row: of several ends of its range the one that loses least of the vector's
/// direction.
pub(crate) fn encode_int4(vector: &[f32], metric: Metric, row: &mut [i8]) -> Tail {
    let largest = largest_of(vector);
    if largest > 0.0 && !(SAFE_MIN..SAFE_MAX).contains(&largest) {
        let unit = |component: &f32| (f64::from(*component) / f64::from(largest)) as f32;
        let tail = encode_int4(&vector.iter().map(unit).collect::<Vec<f32>>(), metric, row);
        let said = (tail.largest * largest).min(f32::MAX);
        return match metric {
            Metric::Cosine => Tail { largest: said, ..tail },
            Metric::L2 | Metric::InnerProduct => Tail {
                scale: tail.scale * largest,
                square: tail.square * largest * largest,
                largest: said,
            },
        };
    }
    let fit = Fit::best(vector, largest.max(SAFE_MIN));
    let (low, high) = vector.split_at(vector.len().div_ceil(2));
    let high = high.iter().chain(&[0.0]);
    for ((place, low), high) in row.iter_mut().zip(low).zip(high) {
        *place = (fit.half_byte(*low) | fit.half_byte(*high) << 4) as i8;
    }
    if fit.square == 0.0 {
        return Tail::default();
    }
    let step = (f64::from(fit.product) / f64::from(fit.square)) as f32;
    if metric == Metric::Cosine {
        return Tail {
            scale: (1.0 / f64::from(fit.square).sqrt()) as f32,
            square: 1.0,
            largest: step * INT4_MAX,
        };
    }
    Tail {
        scale: step,
        square: step * step * fit.square,
        largest: step * INT4_MAX,
    }
}

/// The cosine between a vector and its code of four bits; none of a vector of 0, and of one at the ends of f32.
pub(crate) fn likeness_of_int4(vector: &[f32]) -> f64 {
    let largest = largest_of(vector);
    let square: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
    match (SAFE_MIN..SAFE_MAX).contains(&largest) {
        true => Fit::best(vector, largest).quality() / square.sqrt(),
        false => 0.0,
    }
}

/// A vector beside its code of four bits, as one factor makes it.
struct Fit {
    factor: f32,
    /// The dot product of both.
    product: f32,
    /// The squared length of the code: a whole number, and below 2²⁴.
    square: f32,
}

impl Fit {
    /// The one that keeps most of the direction of a vector, whose largest component this is.
    fn best(vector: &[f32], largest: f32) -> Fit {
        let fits = RANGE_ENDS.map(|end| Fit::new(vector, INT4_MAX / (largest * end)));
        let best = fits
            .into_iter()
            .max_by(|one, other| one.quality().total_cmp(&other.quality()));
        best.expect("there are ends to choose from")
    }

    fn new(vector: &[f32], factor: f32) -> Fit {
        let (mut products, mut squares) = ([0.0f32; FIT_LANES], [0.0f32; FIT_LANES]);
        for some in vector.chunks(FIT_LANES) {
            for ((product, square), component) in products.iter_mut().zip(&mut squares).zip(some) {
                let code = round_int4(component * factor);
                *product += code * component;
                *square += code * code;
            }
        }
        Fit {
            factor,
            product: products.iter().sum(),
            square: squares.iter().sum(),
        }
    }

    /// The cosine between both, times the vector's length.
    fn quality(&self) -> f64 {
        f64::from(self.product) / f64::from(self.square.max(1.0)).sqrt()
    }

    fn half_byte(&self, component: f32) -> u8 {
        (round_int4(component * self.factor) + INT4_ZERO) as u8
    }
}

/// The nearest code of four bits.
#[inline(always)]
fn round_int4(component: f32) -> f32 {
    component.clamp(-INT4_MAX, INT4_MAX) + ROUNDING - ROUNDING
}

/// Writes the components of a row of four bits as a probe has them.
pub(crate) fn spread_int4(row: &[i8], dimension: usize, spread: &mut [i8]) {
    let half = dimension.div_ceil(2);
    let (low, high) = spread.split_at_mut(row.len());
    low[half..].fill(0);
    high[half..].fill(0);
    for ((&both, low), high) in row[..half].iter().zip(low).zip(high) {
        *low = (both & 15) - INT4_ZERO as i8;
        *high = (both.cast_unsigned() >> 4).cast_signed() - INT4_ZERO as i8;
    }
}

/// The largest code of four bits, and what is added to one so that none is negative.
pub(crate) const INT4_MAX: f32 = 7.0;
pub(crate) const INT4_ZERO: f32 = 8.0;

/// Where the range of a code of four bits may end, in the vector's largest component. Of components that are spread like
/// those of most embeddings, the largest is some three or four deviations from zero, and the best end 2.4.
const RANGE_ENDS: [f32; 4] = [1.0, 0.8, 0.65, 0.5];

/// Components that are fitted side by side.
const FIT_LANES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(vector: &[f32], metric: Metric) -> (Vec<i8>, Tail) {
        let mut row = vec![0; vector.len().div_ceil(2).next_multiple_of(64)];
        let tail = encode_int4(vector, metric, &mut row);
        let mut spread = vec![1; 2 * row.len()];
        spread_int4(&row, vector.len(), &mut spread);
        let half = vector.len().div_ceil(2);
        let (low, high) = spread.split_at(row.len());
        assert!(
            low[half..]
                .iter()
                .chain(&high[vector.len() - half..])
                .all(|&code| code == 0),
            "padding"
        );
        let code = low[..half].iter().chain(&high[..vector.len() - half]);
        (code.copied().collect(), tail)
    }

    proptest! {
        #[test]
        fn a_component_is_off_by_half_a_step_or_beyond_the_end(
            vector in prop::collection::vec(prop_oneof![-1.0f32..1.0, -1e-1f32..1e-1], 1..300),
            exponent in -40i32..38,
        ) {
            let vector: Vec<f32> = vector.iter().map(|x| (f64::from(*x) * 10f64.powi(exponent)) as f32).collect();
            let largest = largest_of(&vector);
            // Where f32 itself has fewer digits than a code nothing is said.
            prop_assume!(largest > 1e-36);
            let (code, tail) = decoded(&vector, Metric::L2);
            let ends = RANGE_ENDS.map(|end| f64::from(largest) * f64::from(end) / f64::from(INT4_MAX));
            let fits = |step: &f64| code.iter().zip(&vector).all(|(&part, &component)| {
                let component = f64::from(component) / step;
                part.abs() <= 7 && (f64::from(part) - component.clamp(-7.0, 7.0)).abs() <= 0.501
            });
            prop_assert!(ends.iter().any(fits), "{code:?} of {vector:?}");
            prop_assert!(tail.scale.is_finite() && tail.largest.is_finite());
            let (scale, largest) = (f64::from(tail.scale), f64::from(tail.largest));
            prop_assert!((scale * 7.0 - largest).abs() <= 0.05 * largest, "{tail:?}");
            let square: i32 = code.iter().map(|&part| i32::from(part).pow(2)).sum();
            let (_, of_cosine) = decoded(&vector, Metric::Cosine);
            prop_assert!((of_cosine.scale * of_cosine.scale * square as f32 - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn a_vector_of_zeros_has_a_code_of_zeros_and_a_sparse_one_keeps_its_zeros() {
        let (code, tail) = decoded(&[0.0; 99], Metric::L2);
        assert!(code.iter().all(|&part| part == 0) && tail == Tail::default());
        let mut sparse = vec![0.0; 99];
        (sparse[3], sparse[70]) = (1.0, -1.0);
        let (code, _) = decoded(&sparse, Metric::L2);
        assert_eq!((code[3], code[70]), (7, -7));
        assert_eq!(code.iter().filter(|&&part| part == 0).count(), 97);
        assert!((likeness_of_int4(&sparse) - 1.0).abs() < 1e-6);
    }
}
