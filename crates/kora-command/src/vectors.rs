//! Syntax of the commands on vectors and collections.

use std::sync::Arc;

use bytes::Bytes;
use kora_filter::{AskedFilter, Dialect, Path};
use kora_resp::number;
use kora_vector::limits::{DIMENSION_MAX, M_MAX, M_MIN};
use kora_vector::{Metric, Refusal, Storage};

use crate::action::Only;
use crate::arguments::Arguments;
use crate::element::{Element, ElementList};
use crate::error::ClientError;
use crate::lifetime::Lifetime;
use crate::limits::{EF_MAX, K_MAX};
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
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// Number of neighbours wanted.
    pub k: usize,
    /// Candidates to keep, if the client says so.
    pub ef: Option<usize>,
    /// The greatest distance wanted; finite.
    pub radius: Option<f32>,
    /// Say what the search cost.
    pub with_info: bool,
    /// Which vectors are meant.
    pub filter: Option<Arc<AskedFilter>>,
    /// Show their attributes, or if paths are given the values to which those lead.
    pub with_attributes: Option<Vec<Path>>,
}

impl Wish {
    /// Bytes that it holds.
    pub(crate) fn bytes_held(&self) -> usize {
        let filter = self.filter.as_ref().map_or(0, |filter| filter.bytes());
        filter + self.with_attributes.iter().flatten().map(Path::bytes).sum::<usize>()
    }
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

/// `VECSET key dim v1 … vdim`, `VECSET key dim FP32 blob`
pub(crate) fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
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
    let form = match arguments.count() {
        2 => VectorForm::Numbers,
        3 if arguments.is(2, "FP32") => VectorForm::Fp32,
        _ => return Err(ClientError::Syntax),
    };
    Ok(Command::VectorGet(arguments.element(1)?, form))
}

/// `VECDEL key [key …]`
pub(crate) fn delete(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut elements = ElementList::default();
    for index in 1..arguments.count() {
        let (collection, name) = arguments.element_names(index)?;
        elements.push(collection, name);
    }
    Ok(Command::VectorDelete(elements))
}

/// `VECQUERY collection k …`
pub(crate) fn query(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let target = arguments.word(1);
    if target.len() > crate::limits::KEY_BYTES_MAX {
        return Err(ClientError::KeyTooLong { bytes: target.len() });
    }
    let mut wish = Wish {
        k: arguments.number(2, "k", 1, K_MAX)?,
        ef: None,
        radius: None,
        with_info: false,
        filter: None,
        with_attributes: None,
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

/// Where the options behind the components begin: with the first word from `min` on that is the name of one, which is no
/// number.
fn options_start(arguments: &Arguments<'_>, min: usize) -> usize {
    let is_option = |at: &usize| {
        let is_word = arguments.word(*at).first().is_some_and(u8::is_ascii_alphabetic);
        is_word && OPTIONS.iter().any(|option| arguments.is(*at, option))
    };
    (min..arguments.count()).find(is_option).unwrap_or(arguments.count())
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
            } else if has_value && arguments.is(at, FILTER) {
                self.filter = Some(attributes::filter(arguments, at + 1, Dialect::Kora)?);
                at += 2;
            } else if arguments.is(at, WITH_ATTRIBUTES) {
                let is_path = |at: &usize| arguments.word(*at).first() == Some(&b'.');
                let paths = (at + 1..arguments.count()).take_while(is_path);
                let paths: Result<Vec<Path>, ClientError> = paths.map(|at| attributes::path(arguments, at)).collect();
                let paths = paths?;
                at += 1 + paths.len();
                self.with_attributes = Some(paths);
            } else {
                return Err(unknown_option(arguments, at, OPTIONS));
            }
        }
        Ok(())
    }
}

/// What is wrong with a word that stands where one of these options is expected: it is none of them, or lacks its value.
fn unknown_option(arguments: &Arguments<'_>, at: usize, options: &[&'static str]) -> ClientError {
    match options.iter().find(|option| arguments.is(at, option)) {
        Some(option) => ClientError::OptionWithoutValue { option },
        None => ClientError::UnknownOption {
            option: arguments.word(at).to_vec(),
        },
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
pub(crate) fn drop(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorDrop(arguments.collection(1)?))
}

/// `VECLIST`
pub(crate) fn list(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorList)
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

pub(crate) const WITH_INFO: &str = "WITHINFO";
const ATTRIBUTES: &str = "ATTR";
const FILTER: &str = "FILTER";
const WITH_ATTRIBUTES: &str = "WITHATTR";

/// The options of VECQUERY.
const OPTIONS: &[&str] = &["EF", "RADIUS", FILTER, WITH_ATTRIBUTES, WITH_INFO];
