//! Syntax of the commands on vectors and collections.

use bytes::Bytes;
use kora_resp::number;
use kora_values::Database;
use kora_vector::limits::{DIMENSION_MAX, M_MAX, M_MIN};
use kora_vector::{Metric, Refusal, Storage};

use crate::action::Only;
use crate::arguments::{Arguments, ELEMENT};
use crate::element::ElementList;
use crate::error::ClientError;
use crate::lifetime::Lifetime;
use crate::limits::{EF_MAX, LABEL_BYTES_MAX};
use crate::name_error::NameError;
use crate::{Command, attributes, strings};

/// `[EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] [NX | XX] [ATTR json]` of VECSET
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VectorOptions {
    /// How long the vector stays.
    pub lifetime: Lifetime,
    /// Whether it may be set at all.
    pub only: Only,
    /// What attributes it gets, none if empty; if nothing is said, those of the vector before it.
    /// A box without spare room, so that a command stays small.
    pub attributes: Option<Box<[u8]>>,
}

/// How VECGET shows a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VectorForm {
    /// One number for each component.
    Numbers,
    /// The little-endian 32-bit floats.
    Fp32,
}

/// `VECCREATE collection DIM d [METRIC COSINE|L2|IP] [QUANT F32|F16|Q16|Q8] [M m] [EF_CONSTRUCTION n] [EF_SEARCH n] [LABEL text]`
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
    /// Its label, empty if there is none.
    pub label: Bytes,
}

/// `VECSET key dim v1 … vdim`, `VECSET key dim FP32 blob`; and wherever a key stands, `COLLECTION c ELEMENT e` may.
pub(crate) fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let arguments = &arguments.with_first_element()?;
    if arguments.count() < 4 {
        // No error of the arity: a transaction finds this out when it is executed, as Redis's does of MSET.
        return Err(ClientError::Said("ERR wrong number of arguments for 'vecset' command"));
    }
    let element = arguments.element(1)?;
    let dimension = arguments.number(2, "dim", 1, DIMENSION_MAX)?;
    let end = set_options_start(arguments);
    let vector = if arguments.is(3, "FP32") && end == 5 {
        let blob = arguments.word(4);
        if blob.len() != dimension * 4 {
            return Err(ClientError::BlobLength {
                dimension,
                got: blob.len(),
            });
        }
        floats_of_blob(blob)?
    } else {
        let got = end - 3;
        if got != dimension {
            // A word that is no number, as VALUES before the numbers, says more than their count.
            if !arguments.is(3, "FP32") {
                floats_of_words(arguments, 3, end.min(3 + dimension))?;
            }
            return Err(ClientError::ComponentCount { dimension, got });
        }
        floats_of_words(arguments, 3, end)?
    };
    let mut options = strings::vector_options(arguments, end)?;
    if let Some(at) = (end..arguments.count()).rev().find(|at| arguments.is(*at, ATTRIBUTES)) {
        options.attributes = Some(attributes::text(arguments, at + 1)?.into());
    }
    Ok(Command::VectorSet(element, vector, options))
}

/// `VECGET key [FP32]`
pub(crate) fn get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let arguments = &arguments.with_first_element()?;
    let form = match arguments.count() {
        2 => VectorForm::Numbers,
        3 if arguments.is(2, "FP32") => VectorForm::Fp32,
        _ => return Err(ClientError::Syntax),
    };
    Ok(Command::VectorGet(arguments.element(1)?, form))
}

/// `VECDEL key [key …]`, `VECDEL COLLECTION c ELEMENT e [ELEMENT e …]`
pub(crate) fn delete(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut elements = ElementList::default();
    if arguments.is_named_element(1)? {
        for at in (3..arguments.count()).step_by(2) {
            if !arguments.is(at, ELEMENT) || at + 1 == arguments.count() {
                return Err(NameError::ElementSyntax.into());
            }
            let (collection, name) = arguments.named_element(2, at + 1)?;
            elements.push(collection, name);
        }
        return Ok(Command::VectorDelete(elements));
    }
    for index in 1..arguments.count() {
        let (collection, name) = arguments.element_names(index)?;
        elements.push(collection, name);
    }
    Ok(Command::VectorDelete(elements))
}

/// Where the options of VECSET begin. Found from the end, as those of VECQUERY.
fn set_options_start(arguments: &Arguments<'_>) -> usize {
    let mut start = arguments.count();
    loop {
        let is_one_of = |back: usize, words: &[&str]| words.iter().any(|word| arguments.is(start - back, word));
        if start > 4 && is_one_of(1, &["NX", "XX", "KEEPTTL"]) {
            start -= 1;
        } else if start > 5 && is_one_of(2, &["EX", "PX", "EXAT", "PXAT", ATTRIBUTES]) {
            start -= 2;
        } else {
            return start;
        }
    }
}

/// `VECCREATE collection DIM d …`
pub(crate) fn create(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
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
        label: Bytes::new(),
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
        } else if arguments.is(option, "LABEL") {
            let bytes = arguments.word(value).len();
            if bytes > LABEL_BYTES_MAX {
                return Err(ClientError::LabelTooLong { bytes });
            }
            creation.label = arguments.owned(value);
        } else {
            return Err(ClientError::Syntax);
        }
    }
    creation.dimension = dimension.ok_or(ClientError::Syntax)?;
    Ok(Command::VectorCreate(Box::new(creation)))
}

/// `VECDROP collection`
pub(crate) fn drop(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorDrop(arguments.collection(1)?))
}

/// `VECLIST [WITHALIASES]`
pub(crate) fn list(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        1 => Ok(Command::VectorList(false, Database::ZERO)),
        2 if arguments.is(1, "WITHALIASES") => Ok(Command::VectorList(true, Database::ZERO)),
        _ => Err(ClientError::Syntax),
    }
}

/// `VECINFO collection`
pub(crate) fn info(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorInfo(arguments.collection(1)?))
}

/// Why a vector cannot be stored or sought, if it can't. Components are known to be finite here.
pub fn vet(vector: &[f32], metric: Metric) -> Result<(), ClientError> {
    match kora_vector::vet(vector, metric) {
        Ok(()) => Ok(()),
        Err(Refusal::ZeroVector) => Err(ClientError::ZeroVector),
        Err(Refusal::NotFinite { position }) => Err(ClientError::NotFinite {
            position: position + 1,
            got: vector[position].to_string().into_bytes(),
        }),
    }
}

pub(crate) fn floats_of_words(arguments: &Arguments<'_>, start: usize, end: usize) -> Result<Box<[f32]>, ClientError> {
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

pub(crate) fn floats_of_blob(blob: &[u8]) -> Result<Box<[f32]>, ClientError> {
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

const ATTRIBUTES: &str = "ATTR";
