//! Syntax of the commands on vector sets, in Redis's words and in the order of Redis's checks.

use std::ops::RangeInclusive;

use bytes::Bytes;
use kora_filter::{Dialect, c_double};
use kora_resp::number;
use kora_values::said_name;
use kora_vector::Quantisation;
use kora_vector::limits::DIMENSION_MAX;

use crate::Command;
use crate::action::Action;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::lifetime::{Deadline, Lifetime};
use crate::limits::{EF_MAX, K_MAX, KEY_BYTES_MAX};
use crate::vector_set_action::{Addition, ElementRange, RangeEnd, Similar, SimilarTo, SimilarWish, VectorSetAction};

/// `VADD key [REDUCE dim] …`
pub(crate) fn add(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() < 5 {
        return wrong_arity("VADD");
    }
    let (reduce, at) = match arguments.is(2, "REDUCE") {
        true => (Some(whole(arguments, 3, 1..=DIMENSION_MAX).ok_or(INVALID_VECTOR)?), 4),
        false => (None, 2),
    };
    let (vector, at) = vector(arguments, at)?;
    if at == arguments.count() {
        return wrong_arity("VADD");
    }
    let mut addition = Addition {
        vector,
        reduce,
        element: new_element(arguments, at)?,
        quantisation: Quantisation::Int8,
        m: M_DEFAULT,
        ef: None,
        attributes: None,
        lifetime: Lifetime::Keep,
    };
    addition.read(arguments, at + 1)?;
    on_set(arguments, VectorSetAction::Add(Box::new(addition)))
}

impl Addition {
    /// Reads the options from there to the end.
    fn read(&mut self, arguments: &Arguments<'_>, mut at: usize) -> Result<(), ClientError> {
        while at < arguments.count() {
            let is_flag = |word: &str| arguments.is(at, word);
            let has_value = |word: &str| arguments.is(at, word) && at + 1 < arguments.count();
            if is_flag("NOQUANT") {
                self.quantisation = Quantisation::None;
            } else if is_flag("Q8") {
                self.quantisation = Quantisation::Int8;
            } else if is_flag("BIN") {
                self.quantisation = Quantisation::Binary;
            } else if has_value("EF") {
                let ef = whole(arguments, at + 1, 1..=EF_SAID_MAX);
                self.ef = Some(ef.ok_or(ClientError::Said("ERR invalid EF"))?.min(EF_MAX));
            } else if has_value("M") {
                let m = whole(arguments, at + 1, M_SAID);
                self.m = m.ok_or(ClientError::Said("ERR invalid M"))?;
            } else if has_value("SETATTR") {
                self.attributes = Some(attributes(arguments, at + 1)?);
            } else if has_value("EX") {
                self.lifetime = Lifetime::Until(seconds(arguments, at + 1)?);
            } else if !is_flag("CAS") {
                // CAS lets Redis work in a thread; here the work is divided into slices anyway.
                return Err(ClientError::Said("ERR invalid option after element"));
            }
            let is_valued = ["EF", "M", "SETATTR", "EX"].into_iter().any(is_flag);
            at += if is_valued { 2 } else { 1 };
        }
        Ok(())
    }
}

/// `VSIM key …`
pub(crate) fn similar(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() < 4 {
        return wrong_arity("VSIM");
    }
    let center = match arguments.is(2, "ELE") {
        true => Ok((SimilarTo::Element(arguments.owned(3)), 4)),
        false => vector(arguments, 2).map(|(vector, at)| (SimilarTo::Vector(vector), at)),
    };
    let similar = match center {
        Ok((center, at)) => Similar {
            center: Ok(center),
            wish: read_wish(arguments, at),
        },
        Err(error) => Similar {
            center: Err(error.clone()),
            wish: Err(error),
        },
    };
    on_set(arguments, VectorSetAction::Similar(Box::new(similar)))
}

/// The options of VSIM from there to the end.
fn read_wish(arguments: &Arguments<'_>, mut at: usize) -> Result<SimilarWish, ClientError> {
    let mut wish = SimilarWish {
        with_scores: false,
        with_attributes: false,
        count: COUNT_DEFAULT,
        epsilon: None,
        ef: EF_DEFAULT,
        filter: None,
        is_exact: false,
    };
    let any = 1..=i64::MAX as usize;
    while at < arguments.count() {
        let is_flag = |word: &str| arguments.is(at, word);
        let has_value = |word: &str| arguments.is(at, word) && at + 1 < arguments.count();
        if is_flag("WITHSCORES") {
            wish.with_scores = true;
        } else if is_flag("WITHATTRIBS") {
            wish.with_attributes = true;
        } else if is_flag("TRUTH") {
            wish.is_exact = true;
        } else if has_value("COUNT") {
            let count = whole(arguments, at + 1, any.clone());
            wish.count = count.ok_or(ClientError::Said("ERR invalid COUNT"))?.min(K_MAX);
        } else if has_value("EPSILON") {
            let epsilon = c_double::parse_without_space(arguments.word(at + 1));
            let epsilon = epsilon.filter(|epsilon| *epsilon > 0.0);
            wish.epsilon = Some(epsilon.ok_or(ClientError::Said("ERR invalid EPSILON"))?);
        } else if has_value("EF") {
            let ef = whole(arguments, at + 1, any.clone());
            wish.ef = ef.ok_or(ClientError::Said("ERR invalid EF"))?.min(EF_MAX);
        } else if has_value("FILTER") {
            wish.filter = Some(crate::attributes::filter(arguments, at + 1, Dialect::Redis)?);
        } else if has_value("FILTER-EF") {
            // All that pass are found, however many are looked at, so that it is only checked.
            whole(arguments, at + 1, any.clone()).ok_or(ClientError::Said("ERR invalid FILTER-EF"))?;
        } else if !is_flag("NOTHREAD") {
            return Err(ClientError::Said("ERR syntax error in VSIM command"));
        }
        let is_valued = ["COUNT", "EPSILON", "EF", "FILTER", "FILTER-EF"]
            .into_iter()
            .any(is_flag);
        at += if is_valued { 2 } else { 1 };
    }
    Ok(wish)
}

/// `VREM key element`
pub(crate) fn remove(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 3, "VREM")?;
    on_set(arguments, VectorSetAction::Remove(arguments.owned(2)))
}

/// `VCARD key`
pub(crate) fn count(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 2, "VCARD")?;
    on_set(arguments, VectorSetAction::Count)
}

/// `VDIM key`
pub(crate) fn dimension(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 2, "VDIM")?;
    on_set(arguments, VectorSetAction::Dimension)
}

/// `VEMB key element [RAW]`
pub(crate) fn embedding(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() < 3 {
        return wrong_arity("VEMB");
    }
    if !(3..arguments.count()).all(|index| arguments.is(index, "RAW")) {
        return Err(ClientError::Said("ERR invalid option"));
    }
    let is_raw = arguments.count() > 3;
    let element = arguments.owned(2);
    on_set(arguments, VectorSetAction::Embedding { element, is_raw })
}

/// `VINFO key`
pub(crate) fn describe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 2, "VINFO")?;
    on_set(arguments, VectorSetAction::Describe)
}

/// `VISMEMBER key element`
pub(crate) fn is_member(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 3, "VISMEMBER")?;
    on_set(arguments, VectorSetAction::IsMember(arguments.owned(2)))
}

/// `VRANDMEMBER key [count]`
pub(crate) fn random(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let count = match arguments.count() {
        2 => None,
        3 => {
            let count = number::parse_i64(arguments.word(2));
            Some(count.ok_or(ClientError::Said("ERR COUNT value is not an integer"))?)
        }
        _ => return wrong_arity("VRANDMEMBER"),
    };
    on_set(arguments, VectorSetAction::Random(count))
}

/// `VLINKS key element [WITHSCORES]`
pub(crate) fn links(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let with_scores = match arguments.count() {
        3 => false,
        4 if arguments.is(3, "WITHSCORES") => true,
        _ => return wrong_arity("VLINKS"),
    };
    let element = arguments.owned(2);
    on_set(arguments, VectorSetAction::Links { element, with_scores })
}

/// `VGETATTR key element`
pub(crate) fn get_attributes(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 3, "VGETATTR")?;
    on_set(arguments, VectorSetAction::GetAttributes(arguments.owned(2)))
}

/// `VSETATTR key element json`
pub(crate) fn set_attributes(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    exactly(arguments, 4, "VSETATTR")?;
    let (element, text) = (arguments.owned(2), attributes(arguments, 3)?);
    on_set(arguments, VectorSetAction::SetAttributes { element, text })
}

/// `VRANGE key start end [count]`
pub(crate) fn range(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if !(4..=5).contains(&arguments.count()) {
        return wrong_arity("VRANGE");
    }
    let start = range_end(arguments.word(2), b"-", "ERR invalid start range format")?;
    let end = range_end(arguments.word(3), b"+", "ERR invalid end range format")?;
    let count = match arguments.count() {
        4 => None,
        _ => {
            let count = number::parse_i64(arguments.word(4));
            let count = count.ok_or(ClientError::Said("ERR invalid COUNT value"))?;
            // A negative one is no bound.
            usize::try_from(count).ok()
        }
    };
    let range = ElementRange { start, end, count };
    on_set(arguments, VectorSetAction::Range(Box::new(range)))
}

fn range_end(word: &[u8], open: &[u8], error: &'static str) -> Result<RangeEnd, ClientError> {
    match word {
        word if word == open => Ok(RangeEnd::Open),
        b"-" | b"+" => Err(ClientError::Said(
            "ERR '-' can only be used as first argument, '+' only as second",
        )),
        [b'[', element @ ..] if !element.is_empty() => Ok(RangeEnd::With(Bytes::copy_from_slice(element))),
        [b'(', element @ ..] if !element.is_empty() => Ok(RangeEnd::Without(Bytes::copy_from_slice(element))),
        _ => Err(ClientError::Said(error)),
    }
}

fn on_set(arguments: &Arguments<'_>, action: VectorSetAction) -> Result<Command, ClientError> {
    Ok(Command::OnKey(arguments.key(1)?.into(), Action::VectorSet(action)))
}

/// A vector from a word on, `FP32 blob` or `VALUES n x1 … xn`, and where it ends.
fn vector(arguments: &Arguments<'_>, at: usize) -> Result<(Box<[f32]>, usize), ClientError> {
    let has_value = |word: &str| arguments.is(at, word) && at + 1 < arguments.count();
    let vector: Option<(Box<[f32]>, usize)> = if has_value("FP32") {
        let floats = number::parse_f32s_le(arguments.word(at + 1));
        floats.map(|floats| (floats.collect(), at + 2))
    } else if has_value("VALUES") {
        let start = at + 2;
        let count = whole(arguments, at + 1, 1..=DIMENSION_MAX);
        let count = count.filter(|count| *count <= arguments.count() - start);
        let component = |index: usize| Some(c_double::parse_without_space(arguments.word(index))? as f32);
        count.and_then(|count| {
            let vector: Option<Box<[f32]>> = (start..start + count).map(component).collect();
            Some((vector?, start + count))
        })
    } else {
        None
    };
    let is_sound = |vector: &[f32]| {
        (1..=DIMENSION_MAX).contains(&vector.len()) && vector.iter().all(|component| component.is_finite())
    };
    vector.filter(|(vector, _)| is_sound(vector)).ok_or(INVALID_VECTOR)
}

/// An element that may become one: with its set's name it is no longer than a key.
fn new_element(arguments: &Arguments<'_>, index: usize) -> Result<Bytes, ClientError> {
    match said_name(arguments.word(1)).len() + 1 + arguments.word(index).len() {
        bytes if bytes > KEY_BYTES_MAX => Err(ClientError::KeyTooLong { bytes }),
        _ => Ok(arguments.owned(index)),
    }
}

/// Attributes: any bytes, but no more than a filter may have to read.
fn attributes(arguments: &Arguments<'_>, index: usize) -> Result<Bytes, ClientError> {
    match arguments.word(index).len() {
        bytes if bytes > kora_filter::limits::ATTRIBUTES_BYTES_MAX => Err(ClientError::AttributesTooLong { bytes }),
        _ => Ok(arguments.owned(index)),
    }
}

fn seconds(arguments: &Arguments<'_>, index: usize) -> Result<Deadline, ClientError> {
    let seconds = arguments.integer(index)?;
    let ms = seconds.checked_mul(1000).filter(|ms| *ms > 0);
    ms.map(Deadline::In)
        .ok_or(ClientError::InvalidExpiry { command: "vadd" })
}

/// A whole number in a range; none if the word is another, or there is no such word.
fn whole(arguments: &Arguments<'_>, index: usize, within: RangeInclusive<usize>) -> Option<usize> {
    if index >= arguments.count() {
        return None;
    }
    let number = usize::try_from(number::parse_i64(arguments.word(index))?).ok()?;
    within.contains(&number).then_some(number)
}

fn exactly(arguments: &Arguments<'_>, words: usize, command: &'static str) -> Result<(), ClientError> {
    match arguments.count() == words {
        true => Ok(()),
        false => wrong_arity(command),
    }
}

fn wrong_arity<T>(command: &'static str) -> Result<T, ClientError> {
    Err(ClientError::UnfitCount { command })
}

const INVALID_VECTOR: ClientError = ClientError::Said("ERR invalid vector specification");

/// Redis's default of M.
const M_DEFAULT: usize = 16;

/// What Redis lets a client say for M; the graph takes no more than `kora_vector::limits::M_MAX` of it.
const M_SAID: RangeInclusive<usize> = 4..=4096;

/// What Redis lets a client say for EF of VADD; a search keeps no more than `EF_MAX` of it.
const EF_SAID_MAX: usize = 1_000_000;

/// Redis's defaults of COUNT and EF of VSIM.
const COUNT_DEFAULT: usize = 10;
const EF_DEFAULT: usize = 100;
