//! The forms in which a collection keeps its vectors, and how far from what was set they may be: as documented at
//! VECCREATE.

use kora_tests::distance::length;
use kora_vector::Metric;

/// One form: its name, and the part of a vector's largest component by which others may be off.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Form {
    pub(crate) name: &'static str,
    error: f32,
}

impl Form {
    pub(crate) const ALL: [Form; 4] = [
        Form {
            name: "F32",
            error: 0.0,
        },
        Form {
            name: "F16",
            error: 1.0 / 2_048.0,
        },
        Form {
            name: "Q16",
            error: 1.0 / 62_000.0,
        },
        Form {
            name: "Q8",
            error: 1.0 / 253.0,
        },
    ];

    /// The one of two that keeps less.
    pub(crate) fn coarser(self, other: Form) -> Form {
        if self.error >= other.error { self } else { other }
    }

    pub(crate) fn is_exact(self) -> bool {
        self.error == 0.0
    }

    /// How far a component of this vector may be off.
    pub(crate) fn component_error(self, vector: &[f32]) -> f32 {
        self.error
            * vector
                .iter()
                .fold(0.0, |largest, component| component.abs().max(largest))
    }

    /// How far the distance between two vectors may be off, if `vector` is kept in this form.
    pub(crate) fn distance_error(self, metric: Metric, vector: &[f32], other: &[f32]) -> f64 {
        let error = f64::from(self.component_error(vector)) * (vector.len() as f64).sqrt();
        match metric {
            Metric::L2 => error,
            Metric::InnerProduct => error * length(other),
            Metric::Cosine => 2.0 * error / length(vector),
        }
    }
}
