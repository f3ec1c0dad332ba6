//! Syntax of VECMSET.

use crate::Command;
use crate::arguments::{Arguments, ELEMENT};
use crate::element::Element;
use crate::error::ClientError;
use crate::limits::VECTORS_SET_MAX;
use crate::name_error::NameError;
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
        Argument::one_of(
            "vectors",
            &[
                Argument::block("vector", &[Argument::key("key"), Argument::string("blob")]).multiple(),
                Argument::block(
                    "named",
                    &[
                        Argument::string("collection").after("COLLECTION"),
                        Argument::block(
                            "vector",
                            &[Argument::string("element").after("ELEMENT"), Argument::string("blob")],
                        )
                        .multiple(),
                    ],
                ),
            ],
        ),
    ],
    parse: set,
    ..VECTOR_WRITE
};

/// `VECMSET dim key blob [key blob …]`, `VECMSET dim COLLECTION c ELEMENT e blob [ELEMENT e blob …]`
fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let dimension = arguments.number(1, "dim", 1, DIMENSION_MAX)?;
    // Behind `COLLECTION c` each vector has a word ELEMENT before its name.
    let (start, step) = match arguments.is_named_element(2)? {
        true => (4, 3),
        false => (2, 2),
    };
    let count = arguments.count() - start;
    if !count.is_multiple_of(step) {
        // No error of the arity: a transaction finds this out when it is executed, as Redis's does of MSET.
        return Err(ClientError::Said("ERR wrong number of arguments for 'vecmset' command"));
    }
    if count / step > VECTORS_SET_MAX {
        return Err(ClientError::TooManyVectors);
    }
    let mut vectors: Vec<(Element, Box<[f32]>)> = Vec::with_capacity(count / step);
    for at in (start..arguments.count()).step_by(step) {
        let element = match step {
            2 => arguments.element(at)?,
            _ if arguments.is(at, ELEMENT) => {
                let (collection, name) = arguments.named_element(3, at + 1)?;
                Element::copied(collection, name)
            }
            _ => return Err(NameError::ElementSyntax.into()),
        };
        let blob = arguments.word(at + step - 1);
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
