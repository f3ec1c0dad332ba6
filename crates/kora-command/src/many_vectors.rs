//! Syntax of VECMSET.

use crate::Command;
use crate::arguments::Arguments;
use crate::element::Element;
use crate::error::ClientError;
use crate::limits::VECTORS_SET_MAX;
use crate::row::{CommandEntry, VECTOR_WRITE};
use crate::syntax::Argument;
use crate::vectors::floats_of_blob;
use kora_vector::limits::DIMENSION_MAX;

/// `VECMSET`
pub(crate) const ENTRY: CommandEntry = CommandEntry {
    name: "vecmset",
    reply: "`OK`.",
    notes: "The same as a VECSET without options for each key, in any order: those of other clients may come in between. All keys are of one collection; at most 1,024 of them. A key that comes twice gets the last of its vectors. If a vector does not fit, nothing is set; if a key holds a string or a hash, the others are set and an error is returned.",
    arity: -4,
    keys: (2, -1, 2),
    summary: "Sets the vectors of several keys of a collection, each given as little-endian 32-bit floats. The first vectors create the collection.",
    arguments: &[
        Argument::integer("dim"),
        Argument::block("vector", &[Argument::key("key"), Argument::string("blob")]).multiple(),
    ],
    parse: set,
    ..VECTOR_WRITE
};

/// `VECMSET dim key blob [key blob …]`
fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let dimension = arguments.number(1, "dim", 1, DIMENSION_MAX)?;
    let count = arguments.count() - 2;
    if !count.is_multiple_of(2) {
        return Err(ClientError::WrongArity {
            command: "vecmset".to_owned(),
        });
    }
    if count / 2 > VECTORS_SET_MAX {
        return Err(ClientError::TooManyVectors);
    }
    let mut vectors: Vec<(Element, Box<[f32]>)> = Vec::with_capacity(count / 2);
    for at in (2..arguments.count()).step_by(2) {
        let element = arguments.element(at)?;
        let blob = arguments.word(at + 1);
        if blob.len() != dimension * 4 {
            let got = blob.len();
            return Err(ClientError::BlobLength { dimension, got });
        }
        if vectors
            .first()
            .is_some_and(|(first, _)| first.collection != element.collection)
        {
            return Err(ClientError::SeveralCollections);
        }
        vectors.push((element, floats_of_blob(blob)?));
    }
    Ok(Command::VectorSetMany(vectors))
}
