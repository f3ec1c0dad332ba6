//! Whether a vector fits a collection.

use kora_keyspace::catalog::Schema;

use crate::command;
use crate::error::ClientError;

/// Why a vector can't be stored in a collection or sought there, if it can't.
pub(crate) fn vet(schema: &Schema, vector: &[f32]) -> Result<(), ClientError> {
    if vector.len() != schema.dimension {
        return Err(ClientError::DimensionMismatch {
            collection: schema.name.to_vec(),
            dimension: schema.dimension,
            got: vector.len(),
        });
    }
    command::vet(vector, schema.graph.metric)
}
