//! What a VECQUERY asks for.

use std::sync::Arc;

use bytes::Bytes;
use kora_filter::{AskedFilter, Path};

use crate::element::Element;

/// `VECQUERY collection k v1 … vdim …`, `VECQUERY collection k FP32 blob …`, `VECQUERY collection k KEY key …`
#[derive(Debug)]
pub struct VectorQuery {
    /// What is asked, in the three ways of saying it.
    pub target: Bytes,
    /// What the neighbours are sought of.
    pub center: Center,
    /// What else was said.
    pub wish: Wish,
}

/// `VECMQUERY collection n k FP32 blob [blob …] …`
#[derive(Debug)]
pub struct ManyQueries {
    /// As of a VECQUERY.
    pub target: Bytes,
    /// The neighbours of each are sought. At least one, at most [`QUERIES_MAX`](crate::limits::QUERIES_MAX).
    pub vectors: Vec<Box<[f32]>>,
    /// What else was said, for all of them.
    pub wish: Wish,
}

impl ManyQueries {
    /// Bytes that it holds.
    pub(crate) fn bytes_held(&self) -> usize {
        let vectors = self
            .vectors
            .iter()
            .map(|vector| size_of_val::<[f32]>(vector) + QUERY_BYTES);
        self.target.len() + self.wish.bytes_held() + vectors.sum::<usize>()
    }
}

/// What a query takes beside its vector from its beginning to its end, on all shards together.
const QUERY_BYTES: usize = 512;

/// What the neighbours are sought of.
#[derive(Debug)]
pub enum Center {
    /// A vector that was given.
    Given(Box<[f32]>),
    /// The vector that has this key.
    Stored(Element),
    /// The mean of the vectors that have these keys, each with its weight. At least one, at most
    /// [`CENTER_KEYS_MAX`](crate::limits::CENTER_KEYS_MAX).
    Mean(Vec<(Element, f32)>),
}

impl Center {
    /// Bytes that it holds.
    pub(crate) fn bytes_held(&self) -> usize {
        let of_element = |element: &Element| element.collection.len() + element.name.len();
        match self {
            Center::Given(vector) => size_of_val::<[f32]>(vector),
            Center::Stored(element) => of_element(element),
            Center::Mean(keys) => keys
                .iter()
                .map(|(element, _)| of_element(element) + size_of::<(Element, f32)>())
                .sum(),
        }
    }
}

/// How many neighbours are wanted, and how they are sought.
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// Number of neighbours wanted.
    pub k: usize,
    /// Neighbours that are left out before the first that is returned. Together with `k` and the number of `without` at most
    /// [`K_MAX`](crate::limits::K_MAX).
    pub offset: usize,
    /// Candidates to keep, if the client says so.
    pub ef: Option<usize>,
    /// The greatest distance wanted; finite.
    pub radius: Option<f32>,
    /// Say what the search cost.
    pub with_info: bool,
    /// Which vectors are meant.
    pub filter: Option<Arc<AskedFilter>>,
    /// What was said instead of the target, if an alias stands in it.
    pub said: Option<Bytes>,
    /// Vectors that are not returned.
    pub without: Vec<Element>,
    /// How many may have the same value there.
    pub group: Option<Grouping>,
    /// Show their attributes, or if paths are given the values to which those lead.
    pub with_attributes: Option<Vec<Path>>,
    /// Show their components.
    pub with_vector: bool,
    /// Tell how the query was answered, in place of the neighbours.
    pub explains: bool,
}

/// `GROUP BY path LIMIT n`
#[derive(Clone, PartialEq, Debug)]
pub struct Grouping {
    /// Vectors with the same JSON text there are one group; those without a value there are left out.
    pub path: Path,
    /// How many of each group are returned; at least 1.
    pub limit: usize,
}

impl Wish {
    /// Nothing but k was said.
    pub(crate) fn new(k: usize) -> Wish {
        Wish {
            k,
            offset: 0,
            ef: None,
            radius: None,
            with_info: false,
            filter: None,
            said: None,
            without: Vec::new(),
            group: None,
            with_attributes: None,
            with_vector: false,
            explains: false,
        }
    }

    /// How many of the nearest have to be known.
    pub fn nearest(&self) -> usize {
        self.k + self.offset + self.without.len()
    }

    /// Bytes that it holds.
    pub(crate) fn bytes_held(&self) -> usize {
        let filter = self.filter.as_ref().map_or(0, |filter| filter.bytes());
        let without = self.without.iter();
        let without = without.map(|element| element.collection.len() + element.name.len() + size_of::<Element>());
        let group = self.group.as_ref().map_or(0, |group| group.path.bytes());
        let paths = self.with_attributes.iter().flatten().map(Path::bytes);
        filter + group + without.chain(paths).sum::<usize>()
    }
}
