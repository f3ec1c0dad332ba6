//! What a key held, on its way to another shard.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_keyspace::collections::Collection;
use kora_keyspace::keys::MovedValue;

/// What a key held, on its way to another one.
pub(crate) enum MovedData {
    /// A string or a hash; and the number of its move, if it is no copy.
    Value(MovedValue, Option<u64>),
    /// A vector.
    Vector(Box<MovedVector>),
    /// A vector set.
    Set(Box<MovedSet>),
}

/// A vector set on its way to another key: whole.
pub(crate) struct MovedSet {
    pub(crate) part: Box<Collection>,
    /// What it was.
    pub(crate) schema: Arc<Schema>,
    /// The number of its move.
    pub(crate) transfer: u64,
}

/// A vector on its way to another key.
pub(crate) struct MovedVector {
    pub(crate) vector: Box<[f32]>,
    pub(crate) deadline_ms: u64,
    /// Empty if it has none.
    pub(crate) attributes: Bytes,
    /// The collection that it comes from, and that which it shall belong to.
    pub(crate) from: Arc<Schema>,
    pub(crate) to: Arc<Schema>,
    /// The number of its move, if it has left its key.
    pub(crate) transfer: Option<u64>,
}

impl MovedData {
    /// The number of its move, if it has left its key.
    pub(crate) fn transfer(&self) -> Option<u64> {
        match self {
            MovedData::Value(_, transfer) => *transfer,
            MovedData::Vector(vector) => vector.transfer,
            MovedData::Set(set) => Some(set.transfer),
        }
    }
}
