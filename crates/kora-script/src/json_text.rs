//! JSON text, read as the library `cjson` reads it, with its errors.

use mlua::{Lua, Value};

use crate::limits::{ELEMENT_WORK, JSON_DEPTH_MAX};
use crate::machine::{Fault, Meter};

/// Reads a whole text.
pub(crate) fn read(lua: &Lua, text: &[u8], meter: &Meter) -> Result<Value, Fault> {
    let mut reader = Reader {
        lua,
        meter,
        text,
        at: 0,
    };
    let value = reader.value(1)?;
    reader.skip_blanks();
    match reader.at == text.len() {
        true => Ok(value),
        false => Err(reader.unexpected("the end")),
    }
}

struct Reader<'t> {
    lua: &'t Lua,
    meter: &'t Meter,
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        self.meter.tick(ELEMENT_WORK)?;
        self.skip_blanks();
        match self.text.get(self.at) {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => {
                let text = self.string()?;
                Ok(Value::String(self.lua.create_string(text)?))
            }
            Some(b'-' | b'+' | b'0'..=b'9' | b'n' | b'N' | b'i' | b'I' | b't' | b'f') => self.word(),
            _ => Err(self.unexpected("value")),
        }
    }

    fn word(&mut self) -> Result<Value, Fault> {
        let rest = &self.text[self.at..];
        for (word, value) in [
            (&b"true"[..], Value::Boolean(true)),
            (b"false", Value::Boolean(false)),
            (b"null", Value::NULL),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let end = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let text = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        match number_of(text) {
            Some(number) => {
                self.at += end;
                Ok(Value::Number(number))
            }
            None => Err(self.unexpected("value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Fault> {
        self.check_depth(depth)?;
        self.at += 1;
        let table = self.lua.create_table()?;
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(Value::Table(table));
        }
        loop {
            self.skip_blanks();
            if self.text.get(self.at) != Some(&b'"') {
                return Err(self.unexpected("object key string"));
            }
            let key = self.string()?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.unexpected("colon"));
            }
            let value = self.value(depth + 1)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Value::Table(table));
            }
            if !self.take(b',') {
                return Err(self.unexpected("comma or object end"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Fault> {
        self.check_depth(depth)?;
        self.at += 1;
        let table = self.lua.create_table()?;
        self.skip_blanks();
        if self.take(b']') {
            return Ok(Value::Table(table));
        }
        let mut place = 1;
        loop {
            table.raw_seti(place, self.value(depth + 1)?)?;
            place += 1;
            self.skip_blanks();
            if self.take(b']') {
                return Ok(Value::Table(table));
            }
            if !self.take(b',') {
                return Err(self.unexpected("comma or array end"));
            }
        }
    }

    /// The string whose quote comes next.
    fn string(&mut self) -> Result<Vec<u8>, Fault> {
        let begin = self.at;
        let mut text = Vec::new();
        let mut at = self.at + 1;
        loop {
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    let Some(read) = self.escape(at, &mut text) else {
                        self.at = at;
                        return Err(self.found("value", "invalid escape code"));
                    };
                    at += read;
                }
                Some(byte) => {
                    text.push(*byte);
                    at += 1;
                }
                None => {
                    self.at = begin;
                    return Err(self.found("value", "unexpected end of string"));
                }
            }
            if text.len().is_multiple_of(BYTES_PER_CHARGE) {
                self.meter.tick(BYTES_PER_CHARGE as u64)?;
            }
        }
    }

    /// Reads an escape, and says how many bytes it has.
    fn escape(&self, at: usize, text: &mut Vec<u8>) -> Option<usize> {
        let plain = match self.text.get(at + 1)? {
            b'"' => b'"',
            b'\\' => b'\\',
            b'/' => b'/',
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let unit = |at| {
                    let digits = std::str::from_utf8(self.text.get(at..at + 4)?).ok()?;
                    u32::from_str_radix(digits, 16).ok()
                };
                let (mut code, mut read) = (unit(at + 2)?, 6);
                if (0xD800..0xDC00).contains(&code) {
                    let low = self
                        .text
                        .get(at + 6..at + 8)
                        .filter(|marks| marks == b"\\u")
                        .and_then(|_| unit(at + 8))?;
                    code = 0x10000 + ((code - 0xD800) << 10) + low.checked_sub(0xDC00)?;
                    read = 12;
                }
                let mut bytes = [0; 4];
                text.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut bytes).as_bytes());
                return Some(read);
            }
            _ => return None,
        };
        text.push(plain);
        Some(2)
    }

    fn check_depth(&self, depth: usize) -> Result<(), Fault> {
        match depth > JSON_DEPTH_MAX {
            true => Err(Fault::Here("Found too many nested data structures (1001)".to_owned())),
            false => Ok(()),
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at.min(self.text.len())..];
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blanks.count();
    }

    fn unexpected(&mut self, expected: &str) -> Fault {
        self.skip_blanks();
        let token = match self.text.get(self.at) {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b':') => "T_COLON",
            Some(b',') => "T_COMMA",
            Some(b'"') => "T_STRING",
            Some(b'-' | b'0'..=b'9') => "T_NUMBER",
            Some(_) => "invalid token",
        };
        self.found(expected, token)
    }

    fn found(&self, expected: &str, token: &str) -> Fault {
        let place = self.at + 1;
        Fault::Here(format!("Expected {expected} but found {token} at character {place}"))
    }
}

fn number_of(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.to_ascii_lowercase().as_str() {
        "nan" => return Some(f64::NAN),
        "inf" | "infinity" => {
            return Some(if text.starts_with('-') {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            });
        }
        _ => {}
    }
    match unsigned.as_bytes().first() {
        Some(b'0'..=b'9') => crate::number::parse(text.as_bytes()),
        _ => None,
    }
}

const BYTES_PER_CHARGE: usize = 4_096;
