//! Syntax of the commands on vectors and collections.

use bytes::Bytes;
use kora_resp::number;
use kora_vector::limits::{DIMENSION_MAX, M_MAX, M_MIN};
use kora_vector::{Metric, Refusal, Storage};

use super::arguments::Arguments;
use super::element::{Element, ElementList};
use super::syntax::Argument;
use super::table::{Entry, PLAIN};
use super::{Command, recall};
use crate::catalog::GraphSettings;
use crate::error::ClientError;
use crate::limits::{EF_MAX, K_MAX};

/// How VECGET shows a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VectorForm {
    /// One number for each component.
    Numbers,
    /// The little-endian 32-bit floats.
    Fp32,
}

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

/// What the neighbours are sought of.
#[derive(Debug)]
pub enum Center {
    /// A vector that was given.
    Given(Box<[f32]>),
    /// The vector that has this key.
    Stored(Element),
}

/// How many neighbours are wanted, and how they are sought.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Wish {
    /// Number of neighbours wanted.
    pub k: usize,
    /// Candidates to keep, if the client says so.
    pub ef: Option<usize>,
    /// The greatest distance wanted; finite.
    pub radius: Option<f32>,
    /// Say what the search cost.
    pub with_info: bool,
}

/// `VECCREATE collection DIM d [METRIC COSINE|L2|IP] [QUANT F32|F16|Q16|Q8] [M m] [EF_CONSTRUCTION n] [EF_SEARCH n]`
#[derive(Debug)]
pub struct Creation {
    /// The new collection's name.
    pub collection: Bytes,
    /// Components of its vectors.
    pub dimension: usize,
    /// Its metric, if given.
    pub metric: Option<Metric>,
    /// The form of its vectors, if given.
    pub storage: Option<Storage>,
    /// Its M, if given.
    pub m: Option<usize>,
    /// Its ef_construction, if given.
    pub ef_construction: Option<usize>,
    /// Its ef_search, if given.
    pub ef_search: Option<usize>,
}

impl Creation {
    /// What was given, and the defaults for the rest.
    pub(crate) fn graph(&self, defaults: GraphSettings) -> GraphSettings {
        GraphSettings {
            metric: self.metric.unwrap_or(defaults.metric),
            storage: self.storage.unwrap_or(defaults.storage),
            m: self.m.unwrap_or(defaults.m),
            ef_construction: self.ef_construction.unwrap_or(defaults.ef_construction),
            ef_search: self.ef_search.unwrap_or(defaults.ef_search),
        }
    }
}

/// `VECSET key dim v1 … vdim`, `VECSET key dim FP32 blob`
pub(super) fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let element = arguments.element(1)?;
    let dimension = arguments.number(2, "dim", 1, DIMENSION_MAX)?;
    let vector = if arguments.is(3, "FP32") && arguments.count() == 5 {
        let blob = arguments.word(4);
        if blob.len() != dimension * 4 {
            return Err(ClientError::BlobLength {
                dimension,
                got: blob.len(),
            });
        }
        floats_of_blob(blob)?
    } else {
        let got = arguments.count() - 3;
        if got != dimension {
            return Err(ClientError::ComponentCount { dimension, got });
        }
        floats_of_words(arguments, 3, arguments.count())?
    };
    Ok(Command::VectorSet(element, vector))
}

/// `VECGET key [FP32]`
pub(super) fn get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let form = match arguments.count() {
        2 => VectorForm::Numbers,
        3 if arguments.is(2, "FP32") => VectorForm::Fp32,
        _ => return Err(ClientError::Syntax),
    };
    Ok(Command::VectorGet(arguments.element(1)?, form))
}

/// `VECDEL key [key …]`
pub(super) fn delete(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut elements = ElementList::default();
    for index in 1..arguments.count() {
        let (collection, name) = arguments.element_names(index)?;
        elements.push(collection, name);
    }
    Ok(Command::VectorDelete(elements))
}

/// `VECQUERY collection k …`
pub(super) fn query(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let target = arguments.word(1);
    if target.len() > crate::limits::KEY_BYTES_MAX {
        return Err(ClientError::KeyTooLong { bytes: target.len() });
    }
    let mut wish = Wish {
        k: arguments.number(2, "k", 1, K_MAX)?,
        ef: None,
        radius: None,
        with_info: false,
    };
    let count = arguments.count();
    let center = if arguments.is(3, "FP32") && count > 4 {
        let vector = floats_of_blob(arguments.word(4))?;
        wish.read(arguments, 5)?;
        Center::Given(vector)
    } else if arguments.is(3, "KEY") && count > 4 {
        wish.read(arguments, 5)?;
        Center::Stored(arguments.element(4)?)
    } else {
        let options = options_start(arguments, 4);
        wish.read(arguments, options)?;
        Center::Given(floats_of_words(arguments, 3, options)?)
    };
    Ok(Command::VectorQuery(Box::new(VectorQuery {
        target: arguments.owned(1),
        center,
        wish,
    })))
}

/// Where the options behind the components begin: they are known by their names, which are no numbers. Found from the
/// end, so that something else between the components is refused as the component that it is not.
fn options_start(arguments: &Arguments<'_>, min: usize) -> usize {
    let mut start = arguments.count();
    loop {
        if start > min && arguments.is(start - 1, WITH_INFO) {
            start -= 1;
        } else if start > min + 1 && (arguments.is(start - 2, "EF") || arguments.is(start - 2, "RADIUS")) {
            start -= 2;
        } else {
            return start;
        }
    }
}

impl Wish {
    /// Reads the options from `start` to the end.
    fn read(&mut self, arguments: &Arguments<'_>, start: usize) -> Result<(), ClientError> {
        let mut at = start;
        while at < arguments.count() {
            let has_value = at + 1 < arguments.count();
            if arguments.is(at, WITH_INFO) {
                self.with_info = true;
                at += 1;
            } else if has_value && arguments.is(at, "EF") {
                self.ef = Some(arguments.number(at + 1, "EF", 1, EF_MAX)?);
                at += 2;
            } else if has_value && arguments.is(at, "RADIUS") {
                let radius = number::parse_finite_f32(arguments.word(at + 1));
                self.radius = Some(radius.map_err(|_| ClientError::Radius {
                    got: arguments.word(at + 1).to_vec(),
                })?);
                at += 2;
            } else {
                return Err(ClientError::Syntax);
            }
        }
        Ok(())
    }
}

/// `VECCREATE collection DIM d …`
pub(super) fn create(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let collection = arguments.collection(1)?;
    let mut dimension = None;
    let mut creation = Creation {
        collection,
        dimension: 0,
        metric: None,
        storage: None,
        m: None,
        ef_construction: None,
        ef_search: None,
    };
    for option in (2..arguments.count()).step_by(2) {
        let value = option + 1;
        if value == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.is(option, "DIM") {
            dimension = Some(arguments.number(value, "DIM", 1, DIMENSION_MAX)?);
        } else if arguments.is(option, "METRIC") {
            let got = arguments.word(value);
            let metric = Metric::parse(got).ok_or_else(|| ClientError::UnknownMetric { got: got.to_vec() })?;
            creation.metric = Some(metric);
        } else if arguments.is(option, "QUANT") {
            let got = arguments.word(value);
            let storage = Storage::parse(got).ok_or_else(|| ClientError::UnknownStorage { got: got.to_vec() })?;
            creation.storage = Some(storage);
        } else if arguments.is(option, "M") {
            creation.m = Some(arguments.number(value, "M", M_MIN, M_MAX)?);
        } else if arguments.is(option, "EF_CONSTRUCTION") {
            creation.ef_construction = Some(arguments.number(value, "EF_CONSTRUCTION", 1, EF_MAX)?);
        } else if arguments.is(option, "EF_SEARCH") {
            creation.ef_search = Some(arguments.number(value, "EF_SEARCH", 1, EF_MAX)?);
        } else {
            return Err(ClientError::Syntax);
        }
    }
    creation.dimension = dimension.ok_or(ClientError::Syntax)?;
    Ok(Command::VectorCreate(Box::new(creation)))
}

/// `VECDROP collection`
pub(super) fn drop(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorDrop(arguments.collection(1)?))
}

/// `VECLIST`
pub(super) fn list(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorList)
}

/// `VECINFO collection`
pub(super) fn info(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorInfo(arguments.collection(1)?))
}

/// Why a vector cannot be stored or sought, if it can't. Components are known to be finite here.
pub(crate) fn vet(vector: &[f32], metric: Metric) -> Result<(), ClientError> {
    match kora_vector::vet(vector, metric) {
        Ok(()) => Ok(()),
        Err(Refusal::ZeroVector) => Err(ClientError::ZeroVector),
        Err(Refusal::NotFinite { position }) => Err(ClientError::NotFinite {
            position: position + 1,
            got: vector[position].to_string().into_bytes(),
        }),
    }
}

fn floats_of_words(arguments: &Arguments<'_>, start: usize, end: usize) -> Result<Box<[f32]>, ClientError> {
    let count = end - start;
    if count > DIMENSION_MAX {
        let got = count.to_string().into_bytes();
        return Err(ClientError::OutOfRange {
            what: "the number of components",
            min: 1,
            max: DIMENSION_MAX,
            got,
        });
    }
    let mut vector = Vec::with_capacity(count);
    for index in start..end {
        let word = arguments.word(index);
        let position = index - start + 1;
        match number::parse_f32(word) {
            Some(component) if component.is_finite() => vector.push(component),
            Some(_) => {
                return Err(ClientError::NotFinite {
                    position,
                    got: word.to_vec(),
                });
            }
            None => {
                return Err(ClientError::NotNumber {
                    position,
                    got: word.to_vec(),
                });
            }
        }
    }
    Ok(vector.into_boxed_slice())
}

fn floats_of_blob(blob: &[u8]) -> Result<Box<[f32]>, ClientError> {
    if blob.is_empty() || !blob.len().is_multiple_of(4) || blob.len() / 4 > DIMENSION_MAX {
        return Err(ClientError::BlobNotFloats { got: blob.len() });
    }
    let mut vector = Vec::with_capacity(blob.len() / 4);
    for (index, bytes) in blob.as_chunks::<4>().0.iter().enumerate() {
        let component = f32::from_le_bytes(*bytes);
        if !component.is_finite() {
            let got = component.to_string().into_bytes();
            return Err(ClientError::NotFinite {
                position: index + 1,
                got,
            });
        }
        vector.push(component);
    }
    Ok(vector.into_boxed_slice())
}

/// The commands of this family.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "veccreate",
        reply: "`OK`.",
        notes: "An error if the collection exists. What is not given is taken from the settings `vector-metric`, `vector-quant`, `vector-m`, `vector-ef-construction`, `vector-ef-search`. A larger M or EF_CONSTRUCTION builds a better graph more slowly; M also costs memory: 4 bytes for each of 2·M links of a vector.\n\n`QUANT` is the form in which vectors are kept:\n\n| | bytes of a vector at 50 and 384 dimensions | a component comes back within | of the 10 nearest it can tell |\n|---|---|---|---|\n| `F32` | 320, 2,048 | nothing: the same bits | all |\n| `F16` | 128, 832 | 1/2,048 of the vector's largest | 0.995 |\n| `Q16` | 128, 832 | 1/62,000 of the vector's largest | 0.995 |\n| `Q8` | 64, 448 | 1/253 of the vector's largest | 0.95 |\n\nLinks and keys come on top. Under a form other than `F32`, VECGET returns what was kept, and distances are those to it.",
        arity: -4,
        summary: "Makes an empty collection. An error if there is one of that name.",
        arguments: VECCREATE,
        parse: create,
        ..VECTOR_WRITE
    },
    Entry {
        name: "vecdel",
        reply: "The number of vectors deleted.",
        notes: "Deleting marks: it takes microseconds, and the vector is in no reply from then on. It leaves the graph later, with others: when nobody asks anything and the deleted are one for each 64 vectors, or beside the work of VECSET when they are a tenth, or beside any work when they are a quarter. Then its place is free for another vector. When a quarter of the places are free, vectors move together and the memory goes back to the system.",
        arity: -2,
        flags: &["write"],
        keys: (1, -1, 1),
        summary: "Deletes vectors; returns how many there were.",
        arguments: &[Argument::key("key").multiple()],
        parse: delete,
        ..VECTOR_WRITE
    },
    Entry {
        name: "vecdrop",
        reply: "1, or 0 if there is no such collection.",
        notes: "All shards have let go of the collection when this answers: none of its vectors is found any more. Memory is freed in the background, a little at a time.",
        arity: 2,
        flags: &["write"],
        summary: "Drops a collection with all its vectors; returns 1, or 0 if there is none. Memory is freed in the background.",
        arguments: &[Argument::key("collection")],
        parse: drop,
        ..VECTOR_WRITE
    },
    Entry {
        name: "vecget",
        reply: "The components: an array of doubles (RESP3) or of their texts (RESP2); with `FP32` one bulk of little-endian 32-bit floats. Null if there is no such vector.",
        notes: "What was set comes back exactly, whatever the metric: with `FP32` the very bytes. In a collection with another `QUANT` than `F32` it comes back as it was kept.",
        arity: -2,
        summary: "Returns a vector's components, or with FP32 the bytes of its little-endian 32-bit floats.",
        arguments: &[Argument::key("key"), Argument::word("fp32", "FP32").optional()],
        parse: get,
        ..VECTOR_READ
    },
    Entry {
        name: "vecinfo",
        reply: "A map: `collection`, `dimension`, `metric`, `quant`, `m`, `ef_construction`, `ef_search`, then of all shards together `vectors` (those that exist), `deleted` (those that still take a place), `dead_share` (`deleted` of both), `consolidated` (how much of the consolidation under way is done, of the shard that is least far; null if none is), `slots` (places), `slots_free` (for the next vectors), `chunks` (blocks of memory, of a mebibyte at most), `levels`, `vectors_bytes`, `links_bytes`, `keys_bytes`, and under `shards` the same for each shard. Null if there is no such collection.",
        arity: 2,
        summary: "Describes a collection: dimension, metric, parameters, vectors and memory per shard and in total.",
        arguments: &[Argument::key("collection")],
        parse: info,
        ..VECTOR_READ
    },
    Entry {
        name: "veclist",
        reply: "An array of names.",
        keys: (0, 0, 0),
        summary: "Returns the names of all collections in byte order.",
        parse: list,
        ..VECTOR_READ
    },
    Entry {
        name: "vecquery",
        reply: "The nearest vectors with their distances, nearest first: in RESP2 a flat array `key, distance, key, …`, in RESP3 an array of `[key, distance]`. Empty if nothing of that name exists.",
        notes: "`collection` is a collection's exact name, or that name followed by `:*`, or the key of a vector that exists (its collection is meant), in this order. Distances: cosine = 1 − cosine similarity, in [0, 2]; l2 = the Euclidean distance; ip = the negative inner product; lower is nearer for all three. A vector is at cosine and l2 distance exactly 0 from itself. Ties are broken by key; among more than a thousand vectors at one distance it may be others of them that come. A distance beyond the largest 32-bit float is shown as that. Distances are printed with the fewest digits that read back to the same 32-bit float, whole numbers without a point.\n\n`EF` is the number of candidates kept while searching (at least k; the collection's `EF_SEARCH` otherwise): more finds more of the true neighbours and costs more. A collection that is spread over S shards is searched on each with ⌈EF/√S⌉. `RADIUS` leaves out what is farther than `r`, in the distances of the reply: the answer is all that is found within it, k at most. `KEY` seeks the neighbours of the vector that has this key, itself included.\n\nWith `WITHINFO` the reply is an array of two: the neighbours, and a map of `distances` (how many were computed), `nodes` (whose links were read), `mode` (`exact` if every vector was measured on every shard, so that nothing nearer can exist, else `approximate`) and `rounds` (0 if there is nothing of that name, else 1, and one more each time that a shard had to be asked again).",
        arity: -4,
        summary: "Returns the k nearest vectors of a collection with their distances, nearest first. The collection is \
                  named exactly, or as name:*, or by the key of one of its vectors.",
        arguments: VECQUERY,
        parse: query,
        ..VECTOR_READ
    },
    recall::ENTRY,
    Entry {
        name: "vecset",
        reply: "`OK`.",
        notes: "A vector's key is `collection:element`: the collection is what stands before the key's last `:`, so `tenant1:docs:42` is element `42` of `tenant1:docs`. The first VECSET of a collection creates it with that dimension and the settings `vector-metric`, `vector-quant`, `vector-m`, `vector-ef-construction` and `vector-ef-search`; VECCREATE chooses others. Setting an existing key replaces its vector; the one before leaves as after VECDEL. `blob` is `dim` little-endian 32-bit floats. Components must be finite; under cosine a zero vector is refused, since it has no direction. Nothing is changed by a refused VECSET.",
        arity: -4,
        summary: "Sets the vector of the key collection:element. The first one creates the collection.",
        arguments: VECSET,
        parse: set,
        ..VECTOR_WRITE
    },
];

const WITH_INFO: &str = "WITHINFO";

const CENTER: Argument = Argument::one_of(
    "center",
    &[
        Argument::double("component").multiple(),
        Argument::string("blob").after("FP32"),
        Argument::key("key").after("KEY"),
    ],
);

const VECTOR: Argument = Argument::one_of(
    "vector",
    &[
        Argument::double("component").multiple(),
        Argument::string("blob").after("FP32"),
    ],
);

const VECSET: &[Argument] = &[Argument::key("key"), Argument::integer("dim"), VECTOR];

const VECQUERY: &[Argument] = &[
    Argument::key("collection"),
    Argument::integer("k"),
    CENTER,
    Argument::integer("n").after("EF").optional(),
    Argument::double("r").after("RADIUS").optional(),
    Argument::word("withinfo", WITH_INFO).optional(),
];

const VECCREATE: &[Argument] = &[
    Argument::key("collection"),
    Argument::integer("d").after("DIM"),
    Argument::one_of(
        "metric",
        &[
            Argument::word("cosine", "COSINE"),
            Argument::word("l2", "L2"),
            Argument::word("ip", "IP"),
        ],
    )
    .after("METRIC")
    .optional(),
    Argument::one_of(
        "quant",
        &[
            Argument::word("f32", "F32"),
            Argument::word("f16", "F16"),
            Argument::word("q16", "Q16"),
            Argument::word("q8", "Q8"),
        ],
    )
    .after("QUANT")
    .optional(),
    Argument::integer("m").after("M").optional(),
    Argument::integer("n").after("EF_CONSTRUCTION").optional(),
    Argument::integer("n").after("EF_SEARCH").optional(),
];

const VECTOR_WRITE: Entry = Entry {
    flags: &["write", "denyoom"],
    keys: (1, 1, 1),
    group: "vector",
    ..PLAIN
};

pub(super) const VECTOR_READ: Entry = Entry {
    flags: &["readonly"],
    keys: (1, 1, 1),
    group: "vector",
    ..PLAIN
};
