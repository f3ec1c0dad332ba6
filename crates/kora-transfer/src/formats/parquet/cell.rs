//! What the values of a column become: a name, components, a member of the attributes.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::formats::numbers::{NumberType, half};
use crate::limits::DIMENSION_MAX;

use super::column::{ColumnRows, Shape};
use super::footer::{Meaning, Physical};
use super::schema::Column;
use super::values::Value;

/// Why a value is none: of the row, which is bad, or of the file.
pub(super) enum Fault {
    Row(String),
    File(String),
}

impl Column {
    /// Whether its rows can be vectors.
    pub(super) fn is_vector(&self) -> bool {
        match self.physical {
            Physical::Float | Physical::Double | Physical::Int32 | Physical::Int64 => self.levels.is_list,
            Physical::Fixed if self.meaning == Meaning::HalfFloat => self.levels.is_list,
            // The components as they are in memory, as VECSET takes them too.
            Physical::Bytes | Physical::Fixed => !self.levels.is_list && self.meaning == Meaning::Plain,
            Physical::Boolean | Physical::Int96 => false,
        }
    }

    /// Whether its rows can be names.
    pub(super) fn is_name(&self) -> bool {
        let is_known = match self.physical {
            Physical::Int32 | Physical::Int64 | Physical::Bytes => true,
            Physical::Fixed => self.meaning != Meaning::HalfFloat,
            _ => false,
        };
        is_known && !self.levels.is_list
    }

    fn integer(&self, number: i64) -> i128 {
        match (self.meaning, self.physical) {
            (Meaning::Unsigned, Physical::Int32) => i128::from(number as u32),
            (Meaning::Unsigned, _) => i128::from(number as u64),
            _ => i128::from(number),
        }
    }

    fn component(&self, value: Option<Value<'_>>) -> Option<f32> {
        match value? {
            Value::Float(number) => Some(number),
            Value::Double(number) => Some(number as f32),
            Value::Integer(number) => Some(self.integer(number) as f32),
            Value::Bytes(&[low, high]) => Some(half(u16::from_le_bytes([low, high]))),
            Value::Bytes(_) | Value::Boolean(_) => None,
        }
    }
}

/// The components of the next row.
pub(super) fn vector(column: &Column, rows: &mut ColumnRows) -> Result<Vec<f32>, Fault> {
    let mut components = Vec::new();
    let mut nulls = 0;
    let mut odd_bytes = None;
    let shape = rows.next_row(|value| match (value, column.levels.is_list) {
        (Some(Value::Bytes(bytes)), false) if bytes.len() % 4 == 0 && bytes.len() / 4 <= DIMENSION_MAX => {
            components = NumberType::F32.read_row(bytes);
        }
        (Some(Value::Bytes(bytes)), false) => odd_bytes = Some(bytes.len()),
        (value, _) => match column.component(value) {
            Some(number) => components.push(number),
            None => nulls += 1,
        },
    });
    let what = match shape.map_err(Fault::File)? {
        Shape::Null => "the vector is null".into(),
        _ if nulls > 0 => format!("{nulls} components of the vector are null"),
        _ if let Some(bytes) = odd_bytes => {
            format!("the vector has {bytes} bytes, which is not that of up to {DIMENSION_MAX} floats of 32 bits")
        }
        _ if components.is_empty() => "the vector is empty".into(),
        _ => match components.iter().position(|number| !number.is_finite()) {
            Some(index) => format!("component {index} of the vector is no finite number"),
            None => return Ok(components),
        },
    };
    Err(Fault::Row(what))
}

/// The bytes of the next row, or a number as text; `None` if it is null.
pub(super) fn name(column: &Column, rows: &mut ColumnRows) -> Result<Option<Vec<u8>>, Fault> {
    let mut name = None;
    let read = rows.next_row(|value| {
        name = match value {
            Some(Value::Bytes(bytes)) if column.meaning == Meaning::Uuid => Some(uuid(bytes).into_bytes()),
            Some(Value::Bytes(bytes)) => Some(bytes.to_vec()),
            Some(Value::Integer(number)) => Some(column.integer(number).to_string().into_bytes()),
            _ => None,
        };
    });
    read.map_err(Fault::File)?;
    Ok(name)
}

/// The next row as a time in milliseconds; `None` if it is null.
pub(super) fn time(column: &Column, rows: &mut ColumnRows) -> Result<Option<u64>, Fault> {
    let mut time = None;
    let read = rows.next_row(|value| {
        if let Some(Value::Integer(number)) = value {
            time = Some(column.integer(number));
        }
    });
    read.map_err(Fault::File)?;
    let wrong = |number| Fault::Row(format!("`{}` is {number}, which is no time", column.name));
    time.map(|number| u64::try_from(number).map_err(|_| wrong(number)))
        .transpose()
}

/// A JSON object that grows member by member.
#[derive(Default)]
pub(super) struct Attributes {
    text: Vec<u8>,
}

impl Attributes {
    /// The object; empty if it has no member.
    pub(super) fn into_text(mut self) -> Vec<u8> {
        if !self.text.is_empty() {
            self.text.push(b'}');
        }
        self.text
    }

    /// Adds the next row of a column as a member, unless it is null.
    pub(super) fn add(&mut self, column: &Column, rows: &mut ColumnRows) -> Result<(), Fault> {
        let start = self.text.len();
        self.text.push(if start == 0 { b'{' } else { b',' });
        write_json(&column.name, &mut self.text);
        self.text.push(b':');
        let is_list = column.levels.is_list;
        if is_list {
            self.text.push(b'[');
        }
        let (mut items, mut wrong) = (0, None);
        let shape = rows.next_row(|value| {
            if items > 0 {
                self.text.push(b',');
            }
            items += 1;
            if let Err(what) = write_value(column, value, &mut self.text) {
                wrong = Some(what);
            }
        });
        if is_list {
            self.text.push(b']');
        }
        match (shape.map_err(Fault::File)?, wrong) {
            (Shape::Null, _) => self.text.truncate(start),
            (_, None) => {}
            (_, Some(what)) => {
                let name = crate::row::shown(column.name.as_bytes());
                return Err(Fault::Row(format!("the attribute `{name}` {what}")));
            }
        }
        Ok(())
    }
}

/// Appends a value as JSON.
fn write_value(column: &Column, value: Option<Value<'_>>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let no_number = "is no finite number, and JSON has no other";
    match value {
        None => write_json(&(), out),
        Some(Value::Boolean(value)) => write_json(&value, out),
        Some(Value::Integer(number)) => out.extend(column.integer(number).to_string().bytes()),
        Some(Value::Float(number)) if number.is_finite() => write_json(&number, out),
        Some(Value::Double(number)) if number.is_finite() => write_json(&number, out),
        Some(Value::Float(_) | Value::Double(_)) => return Err(no_number),
        Some(Value::Bytes(bytes)) => match column.meaning {
            Meaning::Uuid => write_json(&uuid(bytes), out),
            Meaning::HalfFloat => {
                let number = half(u16::from_le_bytes(bytes.try_into().unwrap_or_default()));
                match number.is_finite() {
                    true => write_json(&number, out),
                    false => return Err(no_number),
                }
            }
            Meaning::Json => {
                let json: Result<&RawValue, _> = serde_json::from_slice(bytes);
                write_json(json.map_err(|_| "is no JSON")?, out);
            }
            _ => write_json(std::str::from_utf8(bytes).map_err(|_| "is no text")?, out),
        },
    }
    Ok(())
}

fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and these types have no value that JSON lacks.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// The usual form with hyphens.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
