//! Distances at the ends of what f32 holds: which are to be doubted, and where they are put.

use crate::distance::Pair;
use crate::metric::Metric;

/// 1 − cosine similarity, from the dot product and both squared norms.
pub(crate) fn cosine(pair: Pair, left_square: f64) -> f64 {
    // The root of the product, not the product of the roots: √(x·x) is exactly x, so a vector against itself divides
    // two equal numbers. The squares of f32 norms times each other stay within 1e-180 and 1e+172.
    let product = left_square * pair.right_square;
    // A zero vector, which only vector sets keep, is as far from everything as what is at a right angle.
    if product == 0.0 {
        return 1.0;
    }
    let distance = 1.0 - pair.sum / product.sqrt();
    // What is left of parallel vectors after rounding is noise, not distance.
    if distance < COSINE_NOISE {
        0.0
    } else {
        distance.min(2.0)
    }
}

/// 1/norm under cosine, or NaN where a sum with it might leave f32: NaN spreads to every product, and is looked for
/// there.
pub(crate) fn scale(metric: Metric, square: f64) -> f32 {
    if metric != Metric::Cosine {
        return 1.0;
    }
    let norm = square.sqrt();
    if (NORM_SAFE_MIN..NORM_SAFE_MAX).contains(&norm) {
        (1.0 / norm) as f32
    } else {
        f32::NAN
    }
}

/// Whether products with a vector of this squared norm may vanish in f32. The zero vector's do, and rightly.
pub(crate) fn is_tiny(square: f64) -> bool {
    square > 0.0 && square < NORM_SAFE_MIN * NORM_SAFE_MIN
}

/// Maps a number that f32 holds badly to one that it holds, keeping the order: beyond the safe range the logarithm
/// grows where the number would. Exact zero stays zero.
pub(crate) fn fold(value: f64) -> f32 {
    let size = value.abs();
    let folded = if size >= f64::from(SAFE_MAX) {
        f64::from(SAFE_MAX) * (1.0 + (size / f64::from(SAFE_MAX)).log2())
    } else if size <= f64::from(SAFE_MIN) && size > 0.0 {
        f64::from(SAFE_MIN) / (1.0 + (f64::from(SAFE_MIN) / size).log2())
    } else {
        size
    };
    folded.copysign(value) as f32
}

/// Whether an f32 sum says what it should: it is a number that f32 holds well, and farther from zero than `floor`.
#[inline(always)]
pub(crate) fn is_trusted(sum: f32, floor: f32) -> bool {
    // NaN is not, whichever way it came about.
    (sum.abs() > floor) & (sum.abs() < SAFE_MAX)
}

/// Sums of f32 products between these are trusted: far enough from both ends that a partial sum has not left f32
/// without the whole showing it.
pub(crate) const SAFE_MIN: f32 = 1e-30;
pub(crate) const SAFE_MAX: f32 = 1e30;

/// Norms whose products, and whose products with an inverse norm, stay between the two above.
const NORM_SAFE_MIN: f64 = 1e-12;
const NORM_SAFE_MAX: f64 = 1e15;

/// f64 rounding in a cosine: about √65,536 roundings of 1.1e-16 at the widest vector, and a little more.
const COSINE_NOISE: f64 = 1e-13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_the_order_of_all_magnitudes() {
        let mut last = f32::NEG_INFINITY;
        for exponent in (-90..=86).rev() {
            let folded = fold(-(10f64.powi(exponent)));
            assert!(
                folded > last && folded.is_finite(),
                "1e{exponent}: {folded} after {last}"
            );
            last = folded;
        }
        assert!(fold(0.0) > last);
        last = fold(0.0);
        for exponent in -90..=86 {
            let folded = fold(10f64.powi(exponent));
            assert!(
                folded > last && folded.is_finite(),
                "1e{exponent}: {folded} after {last}"
            );
            last = folded;
        }
    }
}
