//! What others are measured against: a stored vector or a query, in the form that the walk needs.

use crate::code::{CODE_MAX, CodeProbe, CodeWidth, Tail};

/// The vector that others are measured against: a query, or a stored one.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    /// Padded. Empty for a stored vector where the walk reads codes.
    pub(crate) floats: &'a [f32],
    /// Multiplies a dot product, beside the row's own scale.
    pub(crate) scale: f32,
    /// The same vector as a code, where the walk reads codes; else empty.
    pub(crate) code: CodeProbe<'a>,
}

/// A stored vector in the form the walk measures from, where it is not kept so.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    pub(crate) floats: Vec<f32>,
    pub(crate) code: Vec<i8>,
}

impl Unpacked {
    pub(crate) fn bytes(&self) -> usize {
        self.floats.capacity() * size_of::<f32>() + self.code.capacity()
    }
}

/// A query in the form the walk needs, in buffers that are reused.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// As given, padded.
    pub(crate) raw: Vec<f32>,
    /// Under cosine 1/norm, NaN where f32 does not hold it; else 1.
    pub(crate) scale: f32,
    /// The squared norm in f64, added up as the fine kernel does.
    pub(crate) square: f64,
    /// The query as a code, where the walk reads codes; else empty.
    pub(crate) code: Vec<i8>,
    /// Of the codes that the walk reads.
    pub(crate) width: CodeWidth,
    pub(crate) dimension: usize,
    pub(crate) tail: Tail,
    /// The stored vector that is being measured, decoded.
    pub(crate) decoded: Vec<f32>,
}

impl Query {
    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe {
            floats: &self.raw,
            scale: self.scale,
            code: CodeProbe {
                code: &self.code,
                dimension: self.dimension,
                width: self.width,
                code_max: CODE_MAX,
                tail: self.tail,
            },
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.raw.capacity() + self.decoded.capacity()) * size_of::<f32>() + self.code.capacity()
    }
}
