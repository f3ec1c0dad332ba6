//! Rows as the commands that write them. Each may be sent twice: after a connection was lost, a batch is sent again.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::connection::encode;
use crate::limits::FIELDS_MAX;
use crate::row::{Content, Row, Schema, SetForm, Vector};

/// Appends the commands that write this row, and returns how many they are.
pub(crate) fn write(row: &Row, out: &mut Vec<u8>) -> usize {
    let key = row.key.as_slice();
    match &row.content {
        Content::String(value) => {
            let deadline = row.expires_at_ms.map(|at_ms| at_ms.to_string());
            match &deadline {
                Some(at_ms) => encode(&[b"SET", key, value, b"PXAT", at_ms.as_bytes()], out),
                None => encode(&[b"SET", key, value], out),
            }
            1
        }
        Content::Hash {
            fields,
            deadlines,
            continues,
        } => {
            let count = write_hash(row, fields, *continues, out);
            count + expire_fields(key, deadlines, out) + expire(row, out)
        }
        Content::Vector(vector) => {
            write_vector(row, vector, out);
            1
        }
        Content::Element { element, vector, form } => {
            write_element(key, element, vector, *form, out);
            1
        }
        Content::Collection(schema) => create(key, schema, out) + expire(row, out),
        Content::SetDeadline => expire(row, out),
    }
}

/// Whether its deadline has passed: it would be deleted at once.
pub(crate) fn has_expired(row: &Row) -> bool {
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis());
    row.expires_at_ms.is_some_and(|at_ms| u128::from(at_ms) <= now_ms)
}

fn write_hash(row: &Row, fields: &[(Vec<u8>, Vec<u8>)], continues: bool, out: &mut Vec<u8>) -> usize {
    let mut count = 0;
    if !continues {
        encode(&[b"DEL", &row.key], out);
        count += 1;
    }
    for fields in fields.chunks(FIELDS_MAX) {
        let mut words: Vec<&[u8]> = vec![b"HSET", &row.key];
        for (field, value) in fields {
            words.extend([field.as_slice(), value]);
        }
        encode(&words, out);
        count += 1;
    }
    count
}

/// One command for all fields with the same deadline, a thousand at most.
fn expire_fields(key: &[u8], deadlines: &[(Vec<u8>, u64)], out: &mut Vec<u8>) -> usize {
    let mut by_deadline: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
    for (field, at_ms) in deadlines {
        by_deadline.entry(*at_ms).or_default().push(field);
    }
    let mut count = 0;
    for (at_ms, fields) in by_deadline {
        for fields in fields.chunks(FIELDS_MAX) {
            let (at_ms, numfields) = (at_ms.to_string(), fields.len().to_string());
            let mut words: Vec<&[u8]> = vec![b"HPEXPIREAT", key, at_ms.as_bytes(), b"FIELDS", numfields.as_bytes()];
            words.extend(fields);
            encode(&words, out);
            count += 1;
        }
    }
    count
}

fn write_vector(row: &Row, vector: &Vector, out: &mut Vec<u8>) {
    let (dimension, blob) = (vector.components.len().to_string(), blob(&vector.components));
    let mut words: Vec<&[u8]> = vec![b"VECSET", &row.key, dimension.as_bytes(), b"FP32", &blob];
    let deadline = row.expires_at_ms.map(|at_ms| at_ms.to_string());
    if let Some(at_ms) = &deadline {
        words.extend([b"PXAT", at_ms.as_bytes()]);
    }
    if let Some(attributes) = &vector.attributes {
        words.extend([b"ATTR", attributes.as_slice()]);
    }
    encode(&words, out);
}

fn write_element(key: &[u8], element: &[u8], vector: &Vector, form: SetForm, out: &mut Vec<u8>) {
    let (blob, m) = (blob(&vector.components), form.m.to_string());
    let quant = form.quant.option().as_bytes();
    let mut words: Vec<&[u8]> = vec![b"VADD", key, b"FP32", &blob, element, quant];
    if let Some(attributes) = &vector.attributes {
        words.extend([b"SETATTR", attributes.as_slice()]);
    }
    words.extend([b"M", m.as_bytes()]);
    encode(&words, out);
}

fn create(name: &[u8], schema: &Schema, out: &mut Vec<u8>) -> usize {
    let number = |value: &u64| value.to_string().into_bytes();
    let text = |value: &String| value.clone().into_bytes();
    let options: [(&[u8], Option<Vec<u8>>); 6] = [
        (b"DIM", Some(schema.dimension.to_string().into_bytes())),
        (b"METRIC", schema.metric.as_ref().map(text)),
        (b"QUANT", schema.quant.as_ref().map(text)),
        (b"M", schema.m.as_ref().map(number)),
        (b"EF_CONSTRUCTION", schema.ef_construction.as_ref().map(number)),
        (b"EF_SEARCH", schema.ef_search.as_ref().map(number)),
    ];
    let mut words: Vec<&[u8]> = vec![b"VECCREATE", name];
    for (option, value) in &options {
        if let Some(value) = value {
            words.extend([*option, value.as_slice()]);
        }
    }
    encode(&words, out);
    1
}

fn expire(row: &Row, out: &mut Vec<u8>) -> usize {
    match row.expires_at_ms {
        Some(at_ms) => {
            encode(&[b"PEXPIREAT", &row.key, at_ms.to_string().as_bytes()], out);
            1
        }
        None => 0,
    }
}

/// A vector as FP32: little-endian single precision.
pub(crate) fn blob(components: &[f32]) -> Vec<u8> {
    components
        .iter()
        .flat_map(|component| component.to_le_bytes())
        .collect()
}
