//! A collection whose recall may be sampled.

use std::sync::Arc;

use kora_keyspace::catalog::Schema;

/// Tells a shard's part of a collection from how it was before a vector was set or deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version(pub(crate) u32);

/// A collection to sample.
pub(crate) struct Candidate {
    pub(crate) schema: Arc<Schema>,
    pub(crate) version: Version,
    /// Vectors in the part.
    pub(crate) live: usize,
}
