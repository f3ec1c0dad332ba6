//! What a query asks the shards.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;

use crate::command::Wish;
use crate::mail::Question;

/// What all shards are asked about a vector. `own` is the name of the stored one that it is, if so; the collection has
/// so many parts.
pub(super) fn question_of(
    schema: Arc<Schema>,
    vector: Box<[f32]>,
    own: Option<Bytes>,
    wish: &Wish,
    parts: usize,
) -> Question {
    Question {
        parts,
        schema,
        vector,
        k: wish.nearest(),
        radius: wish.radius,
        own,
        exact: false,
        filter: wish.filter.clone(),
        with_attributes: wish.with_attributes.is_some() || wish.group.is_some(),
        with_vectors: wish.with_vector,
    }
}

/// The name of a vector within a collection, if its key belongs there.
pub(super) fn name_within(key: &Bytes, collection: &[u8]) -> Option<Bytes> {
    let name = key.strip_prefix(collection)?.strip_prefix(b":")?;
    Some(key.slice_ref(name))
}
