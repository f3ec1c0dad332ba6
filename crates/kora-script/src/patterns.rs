//! `string.find`, `string.match`, `string.rep`, and what `gmatch` and `gsub` of the prelude stand on.

use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::arguments::Arguments;
use crate::machine::{Fault, Machine, Meter};
use crate::matcher::{Capture, Length, Matcher};

pub(crate) fn add_to(machine: &Machine, string: &Table) -> mlua::Result<()> {
    let meter = Rc::clone(&machine.meter);
    let find = machine.function(move |lua, arguments| search(lua, &Arguments::new("find", arguments), &meter, true))?;
    let meter = Rc::clone(&machine.meter);
    let matched =
        machine.function(move |lua, arguments| search(lua, &Arguments::new("match", arguments), &meter, false))?;
    let meter = Rc::clone(&machine.meter);
    let repeated = machine.function(move |lua, arguments| repeat(lua, &Arguments::new("rep", arguments), &meter))?;
    string.raw_set("find", find)?;
    string.raw_set("match", matched)?;
    string.raw_set("rep", repeated)
}

/// What the prelude's functions call: `(text, pattern, at, mode)`.
pub(crate) fn primitive(machine: &Machine) -> mlua::Result<Function> {
    let meter = Rc::clone(&machine.meter);
    machine.function(move |lua, arguments| {
        let mode = match arguments.iter().nth(3) {
            Some(Value::String(mode)) => mode.to_string_lossy(),
            _ => String::new(),
        };
        let name = if mode == "gmatch" { "gmatch" } else { "gsub" };
        let arguments = Arguments::new(name, arguments);
        let (text, pattern) = (arguments.text(0)?, arguments.text(1)?);
        match mode.as_str() {
            "texts" => {
                let texts = [lua.create_string(text)?, lua.create_string(pattern)?];
                Ok(MultiValue::from_vec(texts.into_iter().map(Value::String).collect()))
            }
            "expand" => expand(lua, &text, &pattern, &arguments.table(2)?, &meter),
            mode => {
                let start = usize::try_from(arguments.integer(2)? - 1).unwrap_or(0);
                let is_anchored = mode == "gsub" && pattern.first() == Some(&b'^');
                let found = first_match(&text, &pattern, start, is_anchored, &meter)?;
                found.map_or(Ok(MultiValue::from_vec(vec![Value::Nil])), |(first, end, captures)| {
                    let mut values = vec![place(first + 1), place(end)];
                    push_captures(lua, &text, (first, end), &captures, mode == "gsub", &mut values)?;
                    Ok(MultiValue::from_vec(values))
                })
            }
        }
    })
}

type Match = (usize, usize, Vec<Capture>);

fn first_match(
    text: &[u8],
    pattern: &[u8],
    start: usize,
    is_anchored: bool,
    meter: &Meter,
) -> Result<Option<Match>, Fault> {
    let mut matcher = Matcher::new(text, pattern, meter);
    for first in start..=text.len() {
        if let Some(end) = matcher.match_here(first, usize::from(is_anchored))? {
            return Ok(Some((first, end, matcher.captures)));
        }
        if is_anchored {
            break;
        }
    }
    Ok(None)
}

/// `find` or `match`: `(text, pattern, init, plain)`.
fn search(lua: &Lua, arguments: &Arguments, meter: &Meter, says_where: bool) -> Result<MultiValue, Fault> {
    let (text, pattern) = (arguments.text(0)?, arguments.text(1)?);
    meter.tick(text.len() as u64 / 16)?;
    let init = match arguments.integer_or(2, 1)? {
        back @ ..0 => text.len() as i64 + back,
        from => from - 1,
    };
    // Beyond the end, the end itself is looked at, as in Lua 5.1.
    let start = usize::try_from(init).unwrap_or(0).min(text.len());
    let is_plain = says_where
        && (!matches!(arguments.at(3), Value::Nil | Value::Boolean(false))
            || !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte)));
    if is_plain {
        let found = find_plain(&text[start..], &pattern, meter)?;
        let values = found.map_or(vec![Value::Nil], |first| {
            vec![place(start + first + 1), place(start + first + pattern.len())]
        });
        return Ok(MultiValue::from_vec(values));
    }
    let is_anchored = pattern.first() == Some(&b'^');
    let Some((first, end, captures)) = first_match(&text, &pattern, start, is_anchored, meter)? else {
        return Ok(MultiValue::from_vec(vec![Value::Nil]));
    };
    let mut values = Vec::new();
    if says_where {
        values.extend([place(first + 1), place(end)]);
    }
    // Without parentheses `find` shows nothing but where.
    if !says_where || !captures.is_empty() {
        push_captures(lua, &text, (first, end), &captures, false, &mut values)?;
    }
    Ok(MultiValue::from_vec(values))
}

fn find_plain(text: &[u8], wanted: &[u8], meter: &Meter) -> Result<Option<usize>, Fault> {
    let Some(last) = text.len().checked_sub(wanted.len()) else {
        return Ok(None);
    };
    for start in 0..=last {
        if start.is_multiple_of(PLACES_PER_CHARGE) {
            meter.tick(PLACES_PER_CHARGE as u64)?;
        }
        let is_begun = wanted.first().is_none_or(|first| text[start] == *first);
        if is_begun && text[start..].starts_with(wanted) {
            return Ok(Some(start));
        }
        if is_begun {
            meter.charge(wanted.len() as u64 / 16);
        }
    }
    Ok(None)
}

fn push_captures(
    lua: &Lua,
    text: &[u8],
    (first, end): (usize, usize),
    captures: &[Capture],
    // Of those that are not closed, `gsub` says so only where they are wanted.
    allows_open: bool,
    values: &mut Vec<Value>,
) -> Result<(), Fault> {
    if captures.is_empty() {
        values.push(Value::String(lua.create_string(&text[first..end])?));
    }
    for capture in captures {
        values.push(match capture.length {
            Length::Open if allows_open => Value::Nil,
            Length::Open => return Err(Fault::Here("unfinished capture".to_owned())),
            Length::Position => place(capture.start + 1),
            Length::Bytes(bytes) => Value::String(lua.create_string(&text[capture.start..capture.start + bytes])?),
        });
    }
    Ok(())
}

/// The replacement of `gsub`, with `%1` and its like in it. `found` holds where the match begins and ends, then its captures.
fn expand(lua: &Lua, text: &[u8], replacement: &[u8], found: &Table, meter: &Meter) -> Result<MultiValue, Fault> {
    let (first, end): (usize, usize) = (found.raw_get(1)?, found.raw_get(2)?);
    let mut made = Vec::with_capacity(replacement.len());
    let mut bytes = replacement.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'%', Some(digit)) => {
                bytes.next();
                match digit {
                    b'0' => made.extend_from_slice(text.get(first - 1..end).unwrap_or_default()),
                    b'1'..=b'9' => {
                        let value: Value = found.raw_get(i64::from(digit - b'1') + 3)?;
                        let capture = crate::arguments::text_of(&value);
                        made.extend(capture.ok_or_else(|| Fault::Here("invalid capture index".to_owned()))?);
                    }
                    literal => made.push(*literal),
                }
                meter.make_room(made.len())?;
            }
            (literal, _) => made.push(*literal),
        }
    }
    Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(made)?)]))
}

fn repeat(lua: &Lua, arguments: &Arguments, meter: &Meter) -> Result<MultiValue, Fault> {
    let text = arguments.text(0)?;
    let count = usize::try_from(arguments.integer(1)?).unwrap_or(0);
    let bytes = text.len().checked_mul(count);
    // As Rust makes it, and again as Lua keeps it.
    meter.make_room(bytes.and_then(|bytes| bytes.checked_mul(2)).unwrap_or(usize::MAX))?;
    Ok(MultiValue::from_vec(vec![Value::String(
        lua.create_string(text.repeat(count))?,
    )]))
}

fn place(number: usize) -> Value {
    Value::Number(number as f64)
}

/// Places that are looked at between two charges.
const PLACES_PER_CHARGE: usize = 4_096;
