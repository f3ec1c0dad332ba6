//! Between replies and Lua's values, as Redis does it in RESP2 and RESP3.

use bytes::{Bytes, BytesMut};
use kora_resp::{Reply, Version, Writing};
use mlua::{Lua, Table, Value};

use crate::limits::{ELEMENT_WORK, REPLY_DEPTH_MAX};
use crate::machine::{Fault, Meter};
use crate::number;

/// A value as the reply of its script. `versions` are the one that the script chose and the client's.
pub(crate) fn spelled(value: &Value, versions: (Version, Version), meter: &Meter) -> Result<Reply, Fault> {
    if let Value::Table(table) = value
        && let Value::String(text) = table.raw_get("err")?
    {
        return Ok(Reply::Error(text.to_string_lossy()));
    }
    let mut spelling = Spelling {
        out: Vec::new(),
        script: versions.0,
        client: versions.1,
        meter,
    };
    spelling.value(value, 0)?;
    Ok(Reply::Spelled(Bytes::from(spelling.out)))
}

/// A reply that is being spelled in the client's version.
struct Spelling<'m> {
    out: Vec<u8>,
    script: Version,
    client: Version,
    meter: &'m Meter,
}

impl Spelling<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Fault> {
        self.meter.tick(ELEMENT_WORK)?;
        if depth >= REPLY_DEPTH_MAX {
            return Err(Fault::Here("reached lua stack limit".to_owned()));
        }
        match value {
            Value::String(text) => self.bulk(&text.as_bytes())?,
            Value::Integer(number) => self.line(b':', number.to_string().as_bytes()),
            Value::Number(number) => self.line(b':', (*number as i64).to_string().as_bytes()),
            Value::Boolean(is_true) => match (self.script, self.client, is_true) {
                (Version::Resp3, Version::Resp3, true) => self.line(b'#', b"t"),
                (Version::Resp3, Version::Resp3, false) => self.line(b'#', b"f"),
                (Version::Resp3, Version::Resp2, false) => self.line(b':', b"0"),
                (_, _, true) => self.line(b':', b"1"),
                (Version::Resp2, _, false) => self.null(),
            },
            Value::Table(table) => self.table(table, depth)?,
            _ => self.null(),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<(), Fault> {
        let field = |name: &str| table.raw_get::<Value>(name);
        if let Value::String(text) = field("err")? {
            self.line(b'-', &text.as_bytes());
        } else if let Value::String(text) = field("ok")? {
            self.line(b'+', &text.as_bytes());
        } else if let Some(double) = as_number(&field("double")?) {
            let text = number::shortest(double);
            match self.client {
                Version::Resp3 => self.line(b',', text.as_bytes()),
                Version::Resp2 => self.bulk(text.as_bytes())?,
            }
        } else if let Value::Table(map) = field("map")? {
            self.pairs(&map, true, depth)?;
        } else if let Value::Table(set) = field("set")? {
            self.pairs(&set, false, depth)?;
        } else if let Value::String(digits) = field("big_number")? {
            match self.client {
                Version::Resp3 => self.line(b'(', &digits.as_bytes()),
                Version::Resp2 => self.bulk(&digits.as_bytes())?,
            }
        } else if let Value::Table(verbatim) = field("verbatim_string")?
            && let (Value::String(format), Value::String(text)) =
                (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
        {
            self.verbatim(&format.as_bytes(), &text.as_bytes())?;
        } else {
            self.array(table, depth)?;
        }
        Ok(())
    }

    /// All up to the first nil.
    fn array(&mut self, table: &Table, depth: usize) -> Result<(), Fault> {
        let mut count = 0;
        while !matches!(table.raw_get::<Value>(count + 1)?, Value::Nil) {
            self.meter.tick(ELEMENT_WORK)?;
            count += 1;
        }
        self.line(b'*', count.to_string().as_bytes());
        for place in 1..=count {
            self.value(&table.raw_get(place)?, depth + 1)?;
        }
        Ok(())
    }

    /// The pairs of a map, or the keys of a set.
    fn pairs(&mut self, table: &Table, is_map: bool, depth: usize) -> Result<(), Fault> {
        let mut count = 0;
        for pair in table.pairs::<Value, Value>() {
            pair?;
            self.meter.tick(ELEMENT_WORK)?;
            count += 1;
        }
        let (kind, count) = match (self.client, is_map) {
            (Version::Resp3, true) => (b'%', count),
            (Version::Resp3, false) => (b'~', count),
            (Version::Resp2, true) => (b'*', 2 * count),
            (Version::Resp2, false) => (b'*', count),
        };
        self.line(kind, count.to_string().as_bytes());
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.value(&key, depth + 1)?;
            if is_map {
                self.value(&value, depth + 1)?;
            }
        }
        Ok(())
    }

    fn verbatim(&mut self, format: &[u8], text: &[u8]) -> Result<(), Fault> {
        if self.client == Version::Resp2 {
            return self.bulk(text);
        }
        let mut shown = [b' '; 3];
        shown.iter_mut().zip(format).for_each(|(to, from)| *to = *from);
        self.meter.make_room(self.out.len() + text.len())?;
        self.line(b'=', (text.len() + 4).to_string().as_bytes());
        self.out.extend_from_slice(&shown);
        self.out.push(b':');
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn bulk(&mut self, text: &[u8]) -> Result<(), Fault> {
        // What is spelled counts with what Lua holds: one string may stand in a reply a million times.
        self.meter.make_room(self.out.len() + text.len())?;
        self.line(b'$', text.len().to_string().as_bytes());
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// A line end in it would begin another reply.
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend(
            text.iter()
                .map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }),
        );
        self.out.extend_from_slice(b"\r\n");
    }

    fn null(&mut self) {
        self.out.extend_from_slice(match self.client {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// A reply as a value of Lua, in this version.
pub(crate) fn to_lua(lua: &Lua, reply: Reply, version: Version, meter: &Meter) -> Result<Value, Fault> {
    meter.make_room(reply.bytes_hint())?;
    let mut text = BytesMut::new();
    let mut writing = Writing::new(reply, version);
    while !writing.write(SPELLED_PER_SLICE, &mut text) {
        meter.tick(SPELLED_PER_SLICE as u64)?;
    }
    Reading {
        lua,
        meter,
        rest: &text,
    }
    .value()
}

/// A spelled reply that becomes values. Its shape is this server's own, so that what does not fit is no reply at all.
struct Reading<'r> {
    lua: &'r Lua,
    meter: &'r Meter,
    rest: &'r [u8],
}

impl<'r> Reading<'r> {
    fn value(&mut self) -> Result<Value, Fault> {
        self.meter.tick(ELEMENT_WORK)?;
        let line = self.line();
        let Some((kind, text)) = line.split_first() else {
            return Ok(Value::Nil);
        };
        let count = || number::parse(text).map_or(-1, |count| count as i64);
        Ok(match kind {
            b':' => Value::Number(count_of(text) as f64),
            b'$' => match usize::try_from(count()) {
                Ok(bytes) => Value::String(self.lua.create_string(self.bytes(bytes))?),
                Err(_) => Value::Boolean(false),
            },
            b'*' => match usize::try_from(count()) {
                Ok(count) => self.array(count)?,
                Err(_) => Value::Boolean(false),
            },
            b'+' => self.field("ok", Value::String(self.lua.create_string(text)?))?,
            b'-' => self.field("err", Value::String(self.lua.create_string(text)?))?,
            b'#' => Value::Boolean(text == b"t"),
            b',' => self.field("double", Value::Number(double_of(text)))?,
            b'(' => self.field("big_number", Value::String(self.lua.create_string(text)?))?,
            b'%' => {
                let map = self.lua.create_table()?;
                for _ in 0..count().max(0) {
                    let (key, value) = (self.value()?, self.value()?);
                    map.raw_set(key, value)?;
                }
                self.field("map", Value::Table(map))?
            }
            b'~' => {
                let set = self.lua.create_table()?;
                for _ in 0..count().max(0) {
                    set.raw_set(self.value()?, true)?;
                }
                self.field("set", Value::Table(set))?
            }
            b'=' => {
                let text = self.bytes(usize::try_from(count()).unwrap_or(0));
                let verbatim = self.lua.create_table()?;
                verbatim.raw_set("format", self.lua.create_string(text.get(..3).unwrap_or_default())?)?;
                verbatim.raw_set("string", self.lua.create_string(text.get(4..).unwrap_or_default())?)?;
                self.field("verbatim_string", Value::Table(verbatim))?
            }
            _ => Value::Nil,
        })
    }

    fn array(&mut self, count: usize) -> Result<Value, Fault> {
        let table = self.lua.create_table_with_capacity(count.min(ARRAY_EXPECTED_MAX), 0)?;
        for place in 1..=count {
            table.raw_seti(place, self.value()?)?;
        }
        Ok(Value::Table(table))
    }

    fn field(&self, name: &str, value: Value) -> Result<Value, Fault> {
        let table = self.lua.create_table()?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn line(&mut self) -> &'r [u8] {
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == b'\r')
            .unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn bytes(&mut self, count: usize) -> &'r [u8] {
        let bytes = self.rest.get(..count).unwrap_or_default();
        self.rest = self.rest.get(count + 2..).unwrap_or_default();
        bytes
    }
}

fn count_of(text: &[u8]) -> i64 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn double_of(text: &[u8]) -> f64 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0)
}

/// Bytes of a reply that are spelled between two charges.
const SPELLED_PER_SLICE: usize = 64 * 1024;

/// Room that a table is given at first, at most.
const ARRAY_EXPECTED_MAX: usize = 4_096;
