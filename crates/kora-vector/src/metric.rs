//! What "distance" means, and which vectors have one.

use std::fmt;

/// How the distance between two vectors is measured. Lower is nearer for all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// 1 − cosine similarity, in [0, 2].
    Cosine,
    /// The Euclidean distance: the root, not the square.
    L2,
    /// The negated dot product.
    InnerProduct,
}

impl Metric {
    /// Every metric, in the order of the documentation.
    pub const ALL: [Metric; 3] = [Metric::Cosine, Metric::L2, Metric::InnerProduct];

    /// The metric of this name, in any case, or none.
    pub fn parse(name: &[u8]) -> Option<Metric> {
        Metric::ALL
            .into_iter()
            .find(|metric| metric.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The name by which commands and replies call it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Cosine => "COSINE",
            Metric::L2 => "L2",
            Metric::InnerProduct => "IP",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a vector cannot be stored or searched with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The component at `position` is NaN or infinite.
    NotFinite {
        /// Counted from 0.
        position: usize,
    },
    /// Every component is zero: the vector has no direction, so no cosine.
    ZeroVector,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotFinite { position } => write!(f, "component {position} is not a finite number"),
            Refusal::ZeroVector => f.write_str("a zero vector has no direction, so no cosine distance"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Whether a vector may enter an index of this metric, or be searched with there. The index itself asserts only the
/// length: a caller that takes vectors from outside checks them here first.
pub fn vet(vector: &[f32], metric: Metric) -> Result<(), Refusal> {
    // x · 0 is NaN for NaN and both infinities and ±0 for everything else, so one sum without a branch sees them all.
    let sum: f32 = vector.iter().map(|component| component * 0.0).sum();
    if sum != 0.0 {
        let position = vector
            .iter()
            .position(|component| !component.is_finite())
            .expect("the sum saw one");
        return Err(Refusal::NotFinite { position });
    }
    // A subnormal component squared is above zero in f64, so the norm is zero only if every component is.
    if metric == Metric::Cosine && vector.iter().all(|&component| component == 0.0) {
        return Err(Refusal::ZeroVector);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_any_case() {
        for metric in Metric::ALL {
            assert_eq!(Metric::parse(metric.name().to_lowercase().as_bytes()), Some(metric));
        }
        assert_eq!(Metric::parse(b"EUCLID"), None);
    }

    #[test]
    fn the_first_component_that_is_not_finite_is_named() {
        assert_eq!(
            vet(&[1.0, f32::NAN, f32::INFINITY], Metric::L2),
            Err(Refusal::NotFinite { position: 1 })
        );
        assert_eq!(
            vet(&[f32::NEG_INFINITY], Metric::Cosine),
            Err(Refusal::NotFinite { position: 0 })
        );
        assert_eq!(vet(&[f32::MAX, f32::MIN], Metric::Cosine), Ok(()));
    }

    #[test]
    fn only_cosine_refuses_the_zero_vector_and_only_the_true_one() {
        assert_eq!(vet(&[0.0, -0.0], Metric::Cosine), Err(Refusal::ZeroVector));
        assert_eq!(vet(&[0.0, f32::from_bits(1)], Metric::Cosine), Ok(()));
        assert_eq!(vet(&[0.0, 0.0], Metric::L2), Ok(()));
        assert_eq!(vet(&[0.0, 0.0], Metric::InnerProduct), Ok(()));
    }
}
