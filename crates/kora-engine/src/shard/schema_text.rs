//! How a collection was made, as it stands in the log: words of text, so that later versions can add some.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::{Generation, GraphSettings, MadeBy, Schema, SetForm};
use kora_mesh::{Gauge, SharedDeadline};
use kora_vector::limits::{DIMENSION_MAX, EF_MAX, M_MAX, M_MIN};
use kora_vector::{Metric, Quantisation, Storage};

use crate::command::limits::LABEL_BYTES_MAX;

/// The text: `dimension metric storage m ef_construction ef_search made_by`, with a blank between them; of a vector set also
/// `quantisation m projected_from` as its first VADD said them; then `label` and its bytes in hexadecimal, if it has one.
pub(super) fn schema_text(schema: &Schema) -> Vec<u8> {
    let GraphSettings {
        metric,
        storage,
        m,
        ef_construction,
        ef_search,
        ..
    } = schema.graph;
    let (dimension, made_by) = (schema.dimension, schema.made_by.name());
    let mut text = format!("{dimension} {metric} {storage} {m} {ef_construction} {ef_search} {made_by}");
    if let Some(form) = schema.set_form() {
        let (quantisation, m, from) = (form.quantisation.name(), form.m, form.projected_from);
        text.push_str(&format!(" {quantisation} {m} {from}"));
    }
    if !schema.label.is_empty() {
        text.push_str(" label ");
        schema
            .label
            .iter()
            .for_each(|byte| text.push_str(&format!("{byte:02x}")));
    }
    text.into_bytes()
}

/// The collection of that text; none if it is not one that this version makes.
pub(super) fn read_schema(name: &[u8], generation: u64, text: &[u8], graph_min: usize) -> Option<Arc<Schema>> {
    let text = str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let number = |words: &mut std::str::Split<'_, char>, within: std::ops::RangeInclusive<usize>| {
        let number = words.next()?.parse().ok()?;
        within.contains(&number).then_some(number)
    };
    let dimension = number(&mut words, 1..=DIMENSION_MAX)?;
    let metric = Metric::parse(words.next()?.as_bytes())?;
    let storage = Storage::parse(words.next()?.as_bytes())?;
    let m = number(&mut words, M_MIN..=M_MAX)?;
    let ef_construction = number(&mut words, 1..=EF_MAX)?;
    let ef_search = number(&mut words, 1..=EF_MAX)?;
    let made_by = match words.next()? {
        "VECSET" => MadeBy::Vecset,
        "VECCREATE" => MadeBy::Veccreate,
        "VADD" => {
            let quantisation = words.next()?;
            MadeBy::Vadd(SetForm {
                quantisation: Quantisation::ALL
                    .into_iter()
                    .find(|known| known.name() == quantisation)?,
                m: number(&mut words, M_MIN..=M_SAID_MAX)? as u32,
                projected_from: number(&mut words, 0..=DIMENSION_MAX)? as u32,
            })
        }
        _ => return None,
    };
    let label = match words.next() {
        None => Bytes::new(),
        Some("label") => bytes_of_hexadecimal(words.next()?)?,
        Some(_) => return None,
    };
    let is_whole = words.next().is_none();
    is_whole.then(|| {
        Arc::new(Schema {
            name: Bytes::copy_from_slice(name),
            generation: Generation(generation),
            dimension,
            graph: GraphSettings {
                metric,
                storage,
                m,
                ef_construction,
                ef_search,
                graph_min,
            },
            made_by,
            label,
            name_bytes: Gauge::new(0),
            leaving: Gauge::new(0),
            deadline: SharedDeadline::new(),
        })
    })
}

fn bytes_of_hexadecimal(text: &str) -> Option<Bytes> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() / 2 > LABEL_BYTES_MAX {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    digits.chunks(2).map(byte).collect()
}

/// The largest M that a VADD may say.
const M_SAID_MAX: usize = 4096;
