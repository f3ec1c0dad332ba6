//! Syntax of VECRECALL.

use bytes::Bytes;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::{EF_MAX, RECALL_K_MAX, RECALL_SAMPLES_MAX};
use crate::row::{CommandEntry, VECTOR_READ};
use crate::syntax::Argument;

/// `VECRECALL collection [K k] [SAMPLES n] [EF n]`
#[derive(Debug)]
pub struct RecallRequest {
    /// The collection's name.
    pub collection: Bytes,
    /// Neighbours sought of each sample.
    pub k: usize,
    /// Vectors whose neighbours are sought.
    pub samples: usize,
    /// Candidates to keep, if the client says so.
    pub ef: Option<usize>,
}

/// `VECRECALL collection …`
fn recall(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut request = RecallRequest {
        collection: arguments.collection(1)?,
        k: RECALL_K,
        samples: RECALL_SAMPLES,
        ef: None,
    };
    for option in (2..arguments.count()).step_by(2) {
        let value = option + 1;
        if value == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.is(option, "K") {
            request.k = arguments.number(value, "K", 1, RECALL_K_MAX)?;
        } else if arguments.is(option, "SAMPLES") {
            request.samples = arguments.number(value, "SAMPLES", 1, RECALL_SAMPLES_MAX)?;
        } else if arguments.is(option, "EF") {
            request.ef = Some(arguments.number(value, "EF", 1, EF_MAX)?);
        } else {
            return Err(ClientError::Syntax);
        }
    }
    Ok(Command::VectorRecall(Box::new(request)))
}

/// How it stands in the list of commands.
pub(crate) const ENTRY: CommandEntry = CommandEntry {
    name: "vecrecall",
    reply: "A map: `recall` (the share of the true neighbours that were found; null if there is no vector), `worst_decile` (the same of the tenth of the samples that found least, in whole tenths), `lost` (the share of the stored vectors that a query for exactly them, k 1, did not find; null with IP), `k`, `ef`, `samples` (how many were taken). Null if there is no such collection.",
    notes: "Stored vectors are chosen, half of them evenly, a quarter where vectors are sparse, and a quarter among those that were found hardest, so a crowd does not hide the others. A query as far from each as its neighbours are, in a random direction, is answered with `EF` (the collection's `EF_SEARCH` otherwise) and compared with an exact search; then the vector itself is sought. Both are compared with what is stored: what QUANT loses is not in it, and queries of users may be farther from all vectors than these. `K` is 10 and `SAMPLES` 100 if not given. Each sample costs as much as an exact search of the whole collection. It runs in slices, so other clients are served meanwhile, but it is not meant to be called every second.",
    arity: -2,
    summary: "Measures the recall of a collection's queries on samples of its own vectors.",
    arguments: VECRECALL,
    parse: recall,
    ..VECTOR_READ
};

const VECRECALL: &[Argument] = &[
    Argument::key("collection"),
    Argument::integer("k").after("K").optional(),
    Argument::integer("n").after("SAMPLES").optional(),
    Argument::integer("n").after("EF").optional(),
];

/// Neighbours of each sample, as in every published comparison.
const RECALL_K: usize = 10;

/// A thousand neighbours: the recall is then right to about one in a hundred.
const RECALL_SAMPLES: usize = 100;
