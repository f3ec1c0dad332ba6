//! Distances as their definitions say, one component after the other in f64: what the kernels are judged by.

use kora_vector::Metric;

/// The distance of two vectors of one dimension.
pub fn naive(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "only vectors of one dimension have a distance");
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    match metric {
        Metric::Cosine => match dot(a, a).sqrt() * dot(b, b).sqrt() {
            // A vector set takes vectors without direction: they are at 1 from all.
            0.0 => 1.0,
            lengths => 1.0 - dot(a, b) / lengths,
        },
        Metric::L2 => {
            let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            squares.sum::<f64>().sqrt()
        }
        Metric::InnerProduct => -dot(a, b),
    }
}

/// A vector's Euclidean length.
pub fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// True if a printed distance is the naive one, as nearly as sums of f32 can be.
pub fn is_close(printed: f32, naive: f64) -> bool {
    (f64::from(printed) - naive).abs() <= TOLERANCE * naive.abs().max(1.0)
}

/// What the project promises: 1e-5 relative.
const TOLERANCE: f64 = 1e-5;
