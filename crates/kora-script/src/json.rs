//! The library `cjson`, with the settings that Redis gives it.

use std::rc::Rc;

use mlua::{MultiValue, Table, Value};

use crate::arguments::{Arguments, type_name};
use crate::json_text;
use crate::limits::{ELEMENT_WORK, JSON_DEPTH_MAX};
use crate::machine::{Fault, Machine, Meter};
use crate::number;

pub(crate) fn table(machine: &Machine) -> mlua::Result<Table> {
    let lua = machine.lua();
    let table = lua.create_table()?;
    let meter = Rc::clone(&machine.meter);
    let encode = machine.function(move |lua, arguments| {
        let arguments = Arguments::new("encode", arguments);
        if arguments.count() != 1 {
            return Err(arguments.fault(0, "expected 1 argument"));
        }
        let mut text = Vec::new();
        write(&arguments.at(0), 0, &mut text, &meter)?;
        Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(text)?)]))
    })?;
    table.raw_set("encode", encode)?;
    let meter = Rc::clone(&machine.meter);
    let decode = machine.function(move |lua, arguments| {
        let arguments = Arguments::new("decode", arguments);
        if arguments.count() != 1 {
            return Err(arguments.fault(0, "expected 1 argument"));
        }
        let value = json_text::read(lua, &arguments.text(0)?, &meter)?;
        Ok(MultiValue::from_vec(vec![value]))
    })?;
    table.raw_set("decode", decode)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>, meter: &Meter) -> Result<(), Fault> {
    meter.tick(ELEMENT_WORK)?;
    meter.make_room(out.len())?;
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        value if *value == Value::NULL => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => write_number(*number as f64, out)?,
        Value::Number(number) => write_number(*number, out)?,
        Value::String(text) => write_string(&text.as_bytes(), out, meter)?,
        Value::Table(table) => write_table(table, depth + 1, out, meter)?,
        other => {
            let kind = type_name(other);
            return Err(Fault::Here(format!("Cannot serialise {kind}: type not supported")));
        }
    }
    Ok(())
}

fn write_number(number: f64, out: &mut Vec<u8>) -> Result<(), Fault> {
    if !number.is_finite() {
        return Err(Fault::Here(
            "Cannot serialise number: must not be NaN or Inf".to_owned(),
        ));
    }
    out.extend_from_slice(number::general(number, 14).as_bytes());
    Ok(())
}

fn write_string(text: &[u8], out: &mut Vec<u8>, meter: &Meter) -> Result<(), Fault> {
    // Each byte may become six.
    meter.make_room(out.len() + text.len())?;
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..32 | 127 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
    Ok(())
}

fn write_table(table: &Table, depth: usize, out: &mut Vec<u8>, meter: &Meter) -> Result<(), Fault> {
    if depth > JSON_DEPTH_MAX {
        return Err(Fault::Here(
            "Cannot serialise, excessively nested data structure (1001)".to_owned(),
        ));
    }
    if let Some(length) = array_length(table, meter)? {
        out.push(b'[');
        for place in 1..=length {
            if place > 1 {
                out.push(b',');
            }
            write(&table.raw_get(place)?, depth, out, meter)?;
        }
        out.push(b']');
        return Ok(());
    }
    out.push(b'{');
    let mut is_first = true;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        match &key {
            Value::String(text) => write_string(&text.as_bytes(), out, meter)?,
            Value::Integer(number) => {
                out.push(b'"');
                write_number(*number as f64, out)?;
                out.push(b'"');
            }
            Value::Number(number) => {
                out.push(b'"');
                write_number(*number, out)?;
                out.push(b'"');
            }
            _ => {
                let message = "Cannot serialise table: table key must be a number or string";
                return Err(Fault::Here(message.to_owned()));
            }
        }
        out.push(b':');
        write(&value, depth, out, meter)?;
    }
    out.push(b'}');
    Ok(())
}

/// The length of a table that is an array; one with holes may have so few that it is one. An empty table is none.
fn array_length(table: &Table, meter: &Meter) -> Result<Option<i64>, Fault> {
    let (mut longest, mut items) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        meter.tick(ELEMENT_WORK)?;
        match pair?.0 {
            Value::Integer(place) if place >= 1 => {
                longest = longest.max(place);
                items += 1;
            }
            _ => return Ok(None),
        }
    }
    if longest > items * SPARSE_RATIO && longest > SPARSE_SAFE {
        return Err(Fault::Here(
            "Cannot serialise table: excessively sparse array".to_owned(),
        ));
    }
    Ok((longest > 0).then_some(longest))
}

/// An array may have so many places for each item …
const SPARSE_RATIO: i64 = 2;

/// … and so many in any case.
const SPARSE_SAFE: i64 = 10;
