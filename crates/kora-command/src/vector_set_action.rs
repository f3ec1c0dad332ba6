//! What may be done to a vector set.

use std::sync::Arc;

use bytes::Bytes;
use kora_filter::AskedFilter;
use kora_vector::Quantisation;

use crate::error::ClientError;
use crate::lifetime::Lifetime;

/// What is to be done to a vector set.
#[derive(Debug)]
pub enum VectorSetAction {
    /// `VADD`
    Add(Box<Addition>),
    /// `VSIM`
    Similar(Box<Similar>),
    /// `VREM`
    Remove(Bytes),
    /// `VCARD`
    Count,
    /// `VDIM`
    Dimension,
    /// `VEMB`
    Embedding {
        /// Of this element.
        element: Bytes,
        /// As it is kept.
        is_raw: bool,
    },
    /// `VINFO`
    Describe,
    /// `VISMEMBER`
    IsMember(Bytes),
    /// `VRANDMEMBER`
    Random(Option<i64>),
    /// `VLINKS`
    Links {
        /// Of this element.
        element: Bytes,
        /// With how similar they are.
        with_scores: bool,
    },
    /// `VGETATTR`
    GetAttributes(Bytes),
    /// `VSETATTR`
    SetAttributes {
        /// Of this element.
        element: Bytes,
        /// Any bytes; none if it is empty.
        text: Bytes,
    },
    /// `VRANGE`
    Range(Box<ElementRange>),
}

/// `VADD key [REDUCE dim] FP32 blob | VALUES n … element [CAS] [NOQUANT | Q8 | BIN] [EF n] [SETATTR json] [M n] [EX s]`
#[derive(Clone, Debug)]
pub struct Addition {
    /// The vector as it came; its components are finite.
    pub vector: Box<[f32]>,
    /// The dimension that it is to be brought to.
    pub reduce: Option<usize>,
    /// Its element.
    pub element: Bytes,
    /// In which form it is kept.
    pub quantisation: Quantisation,
    /// Links of a node.
    pub m: usize,
    /// Candidates looked at when a vector is inserted, if that was said.
    pub ef: Option<usize>,
    /// The attributes it gets, none if they are empty; if nothing is said, those of the vector before it.
    pub attributes: Option<Bytes>,
    /// How long it stays.
    pub lifetime: Lifetime,
}

/// `VSIM key ELE element | FP32 blob | VALUES n … …`. Whether it is well said is looked at only where there is a set.
#[derive(Debug)]
pub struct Similar {
    /// What similar ones are sought of.
    pub center: Result<SimilarTo, ClientError>,
    /// How.
    pub wish: Result<SimilarWish, ClientError>,
}

/// What similar ones are sought of.
#[derive(Debug)]
pub enum SimilarTo {
    /// An element of the set.
    Element(Bytes),
    /// A vector that was given.
    Vector(Box<[f32]>),
}

/// The options of VSIM.
#[derive(Clone, Debug)]
pub struct SimilarWish {
    /// `WITHSCORES`
    pub with_scores: bool,
    /// `WITHATTRIBS`
    pub with_attributes: bool,
    /// `COUNT`: at least 1.
    pub count: usize,
    /// `EPSILON`: scores are at least 1 less this.
    pub epsilon: Option<f64>,
    /// `EF`: candidates to keep.
    pub ef: usize,
    /// `FILTER`
    pub filter: Option<Arc<AskedFilter>>,
    /// `TRUTH`: every vector is compared.
    pub is_exact: bool,
}

/// `VRANGE key start end [count]`
#[derive(Clone, Debug)]
pub struct ElementRange {
    /// The first element that is meant.
    pub start: RangeEnd,
    /// The last.
    pub end: RangeEnd,
    /// At most so many, if that is said.
    pub count: Option<usize>,
}

/// One end of a range of elements, in the order of their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RangeEnd {
    /// `-` or `+`: there is no end.
    Open,
    /// `[element`
    With(Bytes),
    /// `(element`
    Without(Bytes),
}

impl VectorSetAction {
    /// True of what may take long and changes nothing.
    pub(crate) fn may_change(&self) -> bool {
        matches!(
            self,
            VectorSetAction::Add(_) | VectorSetAction::Remove(_) | VectorSetAction::SetAttributes { .. }
        )
    }

    /// True of what may take long and changes nothing.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            VectorSetAction::Similar(_)
                | VectorSetAction::Links { .. }
                | VectorSetAction::Random(_)
                | VectorSetAction::Range(_)
        )
    }

    /// Memory that it holds beside its own.
    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            VectorSetAction::Add(addition) => {
                let attributes = addition.attributes.as_ref().map_or(0, Bytes::len);
                size_of::<Addition>() + size_of_val::<[f32]>(&addition.vector) + addition.element.len() + attributes
            }
            VectorSetAction::Similar(similar) => {
                let center = match &similar.center {
                    Ok(SimilarTo::Element(element)) => element.len(),
                    Ok(SimilarTo::Vector(vector)) => size_of_val::<[f32]>(vector),
                    Err(_) => 0,
                };
                let filter = similar.wish.as_ref().ok().and_then(|wish| wish.filter.as_ref());
                size_of::<Similar>() + center + filter.map_or(0, |filter| filter.bytes())
            }
            VectorSetAction::Remove(element)
            | VectorSetAction::Embedding { element, .. }
            | VectorSetAction::IsMember(element)
            | VectorSetAction::Links { element, .. }
            | VectorSetAction::GetAttributes(element) => element.len(),
            VectorSetAction::SetAttributes { element, text } => element.len() + text.len(),
            VectorSetAction::Range(range) => range.start.bytes() + range.end.bytes(),
            VectorSetAction::Count
            | VectorSetAction::Dimension
            | VectorSetAction::Describe
            | VectorSetAction::Random(_) => 0,
        }
    }
}

impl RangeEnd {
    fn bytes(&self) -> usize {
        match self {
            RangeEnd::Open => 0,
            RangeEnd::With(element) | RangeEnd::Without(element) => element.len(),
        }
    }
}
