//! Syntax of VECMQUERY.

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::{K_MAX, MANY_NEIGHBOURS_MAX, QUERIES_MAX};
use crate::query::with_options;
use crate::row::{CommandEntry, VECTOR_READ};
use crate::syntax::Argument;
use crate::vectors::floats_of_blob;
use crate::wish::{ManyQueries, Wish};

/// `VECMQUERY`
pub(crate) const ENTRY: CommandEntry = CommandEntry {
    name: "vecmquery",
    reply: "An array of n replies, each that of a VECQUERY for one of the vectors, in their order.",
    notes: "Asks VECQUERY's question for n vectors at once, each a blob of little-endian 32-bit floats, with the same `k` and the same options for all; `collection` means what it means there. Each of the n replies is what VECQUERY would answer. All of them are about one generation of the collection: if it is dropped and made anew meanwhile, all are asked again. Each shard gets one message with all vectors and works on several of them in turn, so that one search computes while others wait for memory. Other clients are served in between. At most 1,024 vectors; n times the sum of k, OFFSET and the number of keys behind NOT is at most 1,000,000. If one of the vectors is refused, or the replies take more memory than clients may hold, the reply is that error alone.",
    arity: -6,
    summary: "Returns the k nearest vectors of a collection for each of n vectors: VECQUERY for many at once.",
    arguments: &ARGUMENTS,
    parse: query_many,
    ..VECTOR_READ
};

/// `VECMQUERY collection n k FP32 blob [blob …] …`
fn query_many(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let target = arguments.word(1);
    if target.len() > crate::limits::KEY_BYTES_MAX {
        return Err(ClientError::KeyTooLong { bytes: target.len() });
    }
    let count = arguments.number(2, "n", 1, QUERIES_MAX)?;
    let mut wish = Wish::new(arguments.number(3, "k", 1, K_MAX)?);
    let options = FIRST + count;
    if !arguments.is(FIRST - 1, "FP32") || arguments.count() < options {
        return Err(ClientError::Said(SYNTAX));
    }
    wish.read(arguments, options)?;
    if count * wish.nearest() > MANY_NEIGHBOURS_MAX {
        return Err(ClientError::Said(TOO_MANY));
    }
    let vectors = (FIRST..options).map(|at| floats_of_blob(arguments.word(at)));
    Ok(Command::VectorQueryMany(Box::new(ManyQueries {
        target: arguments.owned(1),
        vectors: vectors.collect::<Result<_, _>>()?,
        wish,
    })))
}

/// Where the vectors begin.
const FIRST: usize = 5;

const SYNTAX: &str = "ERR syntax error: k is followed by FP32 and as many blobs as n says";

const TOO_MANY: &str = "ERR n times the sum of k, OFFSET and the number of keys behind NOT is more than 1000000";

const _: () = assert!(MANY_NEIGHBOURS_MAX == 1_000_000, "the error says so");

const ARGUMENTS: [Argument; 14] = with_options([
    Argument::key("collection"),
    Argument::integer("n"),
    Argument::integer("k"),
    Argument::word("fp32", "FP32"),
    Argument::string("blob").multiple(),
]);
