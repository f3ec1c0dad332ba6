//! The library `cmsgpack`: MessagePack, with the choices of antirez's lua-cmsgpack.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use crate::arguments::Arguments;
use crate::limits::{ELEMENT_WORK, PACK_DEPTH_MAX, VALUES_MAX};
use crate::machine::{Fault, Machine, Meter};

pub(crate) fn table(machine: &Machine) -> mlua::Result<Table> {
    let table = machine.lua().create_table()?;
    let meter = Rc::clone(&machine.meter);
    let pack = machine.function(move |lua, arguments| {
        let arguments = Arguments::new("pack", arguments);
        if arguments.count() == 0 {
            let message = "bad argument #0 to 'pack' (MessagePack pack needs input.)";
            return Err(Fault::Here(message.to_owned()));
        }
        let mut out = Vec::new();
        for place in 0..arguments.count() {
            write(&arguments.at(place), 0, &mut out, &meter)?;
        }
        Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(out)?)]))
    })?;
    table.raw_set("pack", pack)?;
    let meter = Rc::clone(&machine.meter);
    let unpack = machine.function(move |lua, arguments| {
        let arguments = Arguments::new("unpack", arguments);
        read_values(lua, &arguments.text(0)?, (0, VALUES_MAX), &meter).map(|(values, _)| MultiValue::from_vec(values))
    })?;
    table.raw_set("unpack", unpack)?;
    for (name, place) in [("unpack_one", 1), ("unpack_limit", 2)] {
        let meter = Rc::clone(&machine.meter);
        let function = machine.function(move |lua, arguments| {
            let arguments = Arguments::new(name, arguments);
            let limit = if name == "unpack_limit" {
                arguments.integer(1)?
            } else {
                1
            };
            let offset = arguments.integer_or(place, 0)?;
            let text = arguments.text(0)?;
            let (Ok(start), Ok(limit)) = (usize::try_from(offset), usize::try_from(limit)) else {
                let message = format!(
                    "Invalid request to unpack with offset of {offset} and limit of {}.",
                    text.len()
                );
                return Err(Fault::Here(message));
            };
            if start > text.len() {
                let bytes = text.len();
                return Err(Fault::Here(format!(
                    "Start offset {start} greater than input length {bytes}."
                )));
            }
            let (mut values, end) = read_values(lua, &text, (start, limit.min(VALUES_MAX)), &meter)?;
            let next = if end == text.len() { -1.0 } else { end as f64 };
            values.insert(0, Value::Number(next));
            Ok(MultiValue::from_vec(values))
        })?;
        table.raw_set(name, function)?;
    }
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Redis Ltd.")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>, meter: &Meter) -> Result<(), Fault> {
    meter.tick(ELEMENT_WORK)?;
    meter.make_room(out.len())?;
    match value {
        Value::Boolean(is_true) => out.push(0xC2 + u8::from(*is_true)),
        Value::Integer(number) => write_integer(*number, out),
        Value::Number(number) => write_double(*number, out),
        Value::String(text) => {
            let text = text.as_bytes();
            meter.make_room(out.len() + text.len())?;
            write_head(
                text.len(),
                [(0xA0, 31), (0xD9, 0xFF), (0xDA, 0xFFFF), (0xDB, usize::MAX)],
                out,
            );
            out.extend_from_slice(&text);
        }
        // Deeper tables are nil, as there.
        Value::Table(table) if depth < PACK_DEPTH_MAX => write_table(table, depth + 1, out, meter)?,
        _ => out.push(0xC0),
    }
    Ok(())
}

fn write_table(table: &Table, depth: usize, out: &mut Vec<u8>, meter: &Meter) -> Result<(), Fault> {
    let (mut longest, mut items, mut is_array) = (0, 0, true);
    for pair in table.pairs::<Value, Value>() {
        meter.tick(ELEMENT_WORK)?;
        items += 1;
        match pair?.0 {
            Value::Integer(place) if place >= 1 => longest = longest.max(place),
            _ => is_array = false,
        }
    }
    if is_array && longest == items {
        write_head(
            items as usize,
            [(0x90, 15), (0, 0), (0xDC, 0xFFFF), (0xDD, usize::MAX)],
            out,
        );
        for place in 1..=items {
            write(&table.raw_get(place)?, depth, out, meter)?;
        }
        return Ok(());
    }
    write_head(
        items as usize,
        [(0x80, 15), (0, 0), (0xDE, 0xFFFF), (0xDF, usize::MAX)],
        out,
    );
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        write(&key, depth, out, meter)?;
        write(&value, depth, out, meter)?;
    }
    Ok(())
}

/// A length in the shortest form: within the first byte, behind it in one, two or four bytes. Each form has its byte and the
/// largest length that it holds.
fn write_head(length: usize, forms: [(u8, usize); 4], out: &mut Vec<u8>) {
    let form = forms
        .iter()
        .position(|(_, max)| length <= *max && *max > 0)
        .unwrap_or(3);
    let byte = forms[form].0;
    match form {
        0 => out.push(byte | length as u8),
        1 => out.extend([byte, length as u8]),
        2 => {
            out.push(byte);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(byte);
            out.extend((length as u32).to_be_bytes());
        }
    }
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    let mut put = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(bytes);
    };
    match number {
        0..=0x7F => put(number as u8, &[]),
        0x80..=0xFF => put(0xCC, &[number as u8]),
        0x100..=0xFFFF => put(0xCD, &(number as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => put(0xCE, &(number as u32).to_be_bytes()),
        0x1_0000_0000.. => put(0xCF, &number.to_be_bytes()),
        -32..0 => put(number as i8 as u8, &[]),
        -0x80..-32 => put(0xD0, &[number as i8 as u8]),
        -0x8000..-0x80 => put(0xD1, &(number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => put(0xD2, &(number as i32).to_be_bytes()),
        _ => put(0xD3, &number.to_be_bytes()),
    }
}

fn write_double(number: f64, out: &mut Vec<u8>) {
    let narrow = number as f32;
    if f64::from(narrow) == number {
        out.push(0xCA);
        out.extend(narrow.to_be_bytes());
    } else {
        out.push(0xCB);
        out.extend(number.to_be_bytes());
    }
}

/// At most so many values from a place on, and where the next one begins.
fn read_values(
    lua: &Lua,
    text: &[u8],
    (start, values_max): (usize, usize),
    meter: &Meter,
) -> Result<(Vec<Value>, usize), Fault> {
    let mut reader = Reader {
        lua,
        meter,
        text,
        at: start,
    };
    let mut values = Vec::new();
    while reader.at < text.len() && values.len() < values_max {
        values.push(reader.value(0)?);
    }
    if values_max == VALUES_MAX && reader.at < text.len() {
        return Err(Fault::Here("too many values to unpack".to_owned()));
    }
    Ok((values, reader.at))
}

struct Reader<'t> {
    lua: &'t Lua,
    meter: &'t Meter,
    text: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        self.meter.tick(ELEMENT_WORK)?;
        let kind = self.take(1)?[0];
        let value = match kind {
            0x00..=0x7F => Value::Number(f64::from(kind)),
            0xE0..=0xFF => Value::Number(f64::from(kind as i8)),
            0xA0..=0xBF => self.string(usize::from(kind & 31))?,
            0x90..=0x9F => self.array(usize::from(kind & 15), depth)?,
            0x80..=0x8F => self.map(usize::from(kind & 15), depth)?,
            0xC0 => Value::Nil,
            0xC2 | 0xC3 => Value::Boolean(kind == 0xC3),
            0xCA => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xCB => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xCC..=0xCF => Value::Number(self.unsigned(1 << (kind - 0xCC))? as f64),
            0xD0..=0xD3 => {
                let bytes = 1 << (kind - 0xD0);
                let unused = 64 - 8 * bytes as u32;
                let number = (self.unsigned(bytes)? << unused).cast_signed() >> unused;
                Value::Number(number as f64)
            }
            0xC4..=0xC6 => self.long_string(1 << (kind - 0xC4))?,
            0xD9..=0xDB => self.long_string(1 << (kind - 0xD9))?,
            0xDC | 0xDD => {
                let count = self.unsigned(2 << (kind - 0xDC))? as usize;
                self.array(count, depth)?
            }
            0xDE | 0xDF => {
                let count = self.unsigned(2 << (kind - 0xDE))? as usize;
                self.map(count, depth)?
            }
            _ => return Err(Fault::Here("Bad data format in input.".to_owned())),
        };
        Ok(value)
    }

    fn long_string(&mut self, length_bytes: usize) -> Result<Value, Fault> {
        let bytes = self.unsigned(length_bytes)? as usize;
        self.string(bytes)
    }

    fn string(&mut self, bytes: usize) -> Result<Value, Fault> {
        let text = self.take(bytes)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn array(&mut self, count: usize, depth: usize) -> Result<Value, Fault> {
        check_depth(depth)?;
        let table = self.lua.create_table()?;
        for place in 1..=count {
            table.raw_seti(place, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, count: usize, depth: usize) -> Result<Value, Fault> {
        check_depth(depth)?;
        let table = self.lua.create_table()?;
        for _ in 0..count {
            let (key, value) = (self.value(depth + 1)?, self.value(depth + 1)?);
            if matches!(key, Value::Nil) || matches!(key, Value::Number(number) if number.is_nan()) {
                return Err(Fault::Here("Bad data format in input.".to_owned()));
            }
            table.raw_set(key, value)?;
        }
        Ok(Value::Table(table))
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, Fault> {
        Ok(self
            .take(bytes)?
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, bytes: usize) -> Result<&'t [u8], Fault> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.text.len());
        let Some(end) = end else {
            return Err(Fault::Here("Missing bytes in input.".to_owned()));
        };
        let taken = &self.text[self.at..end];
        self.at = end;
        Ok(taken)
    }
}

fn check_depth(depth: usize) -> Result<(), Fault> {
    match depth >= UNPACK_DEPTH_MAX {
        true => Err(Fault::Here("Bad data format in input.".to_owned())),
        false => Ok(()),
    }
}

/// What is read may be deeper than what is written here.
const UNPACK_DEPTH_MAX: usize = 200;
