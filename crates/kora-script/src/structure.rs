//! The library `struct`: C structures as strings, with the formats of Roberto Ierusalimschy's library of that name.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use crate::arguments::Arguments;
use crate::limits::{ELEMENT_WORK, VALUES_MAX};
use crate::machine::{Fault, Machine, Meter};

pub(crate) fn table(machine: &Machine) -> mlua::Result<Table> {
    let table = machine.lua().create_table()?;
    let meter = Rc::clone(&machine.meter);
    let pack = machine.function(move |lua, arguments| pack(lua, &Arguments::new("pack", arguments), &meter))?;
    let meter = Rc::clone(&machine.meter);
    let unpack = machine.function(move |lua, arguments| unpack(lua, &Arguments::new("unpack", arguments), &meter))?;
    let size = machine.function(|_, arguments| size(&Arguments::new("size", arguments)))?;
    table.raw_set("pack", pack)?;
    table.raw_set("unpack", unpack)?;
    table.raw_set("size", size)?;
    Ok(table)
}

/// A format that is being read.
struct Format<'f> {
    /// Whose argument it is.
    function: &'static str,
    text: &'f [u8],
    at: usize,
    is_little: bool,
    align: usize,
}

/// What one letter stands for.
enum Item {
    Padding,
    Integer {
        bytes: usize,
        is_signed: bool,
    },
    Float,
    Double,
    /// `s`: up to a zero.
    Zeroed,
    /// `c`: so many bytes; 0 means as many as the number before says.
    Chars(usize),
}

impl<'f> Format<'f> {
    fn new(function: &'static str, text: &'f [u8]) -> Format<'f> {
        Format {
            function,
            text,
            at: 0,
            is_little: cfg!(target_endian = "little"),
            align: 1,
        }
    }

    /// The next item, and how it is aligned.
    fn next(&mut self) -> Result<Option<(Item, usize)>, Fault> {
        while let Some(letter) = self.text.get(self.at) {
            self.at += 1;
            let integer = |bytes, is_signed| Item::Integer { bytes, is_signed };
            let item = match letter {
                b' ' => continue,
                b'<' | b'>' => {
                    self.is_little = *letter == b'<';
                    continue;
                }
                b'!' => {
                    let align = self.number(16)?;
                    if align == 0 || !align.is_power_of_two() {
                        return Err(Fault::Here("alignment is not a power of 2".to_owned()));
                    }
                    self.align = align;
                    continue;
                }
                b'x' => Item::Padding,
                b'b' | b'B' => integer(1, *letter == b'b'),
                b'h' | b'H' => integer(2, *letter == b'h'),
                b'l' | b'L' => integer(8, *letter == b'l'),
                b'T' => integer(8, false),
                b'i' | b'I' => {
                    let bytes = self.number(4)?;
                    if bytes == 0 || bytes > INTEGER_BYTES_MAX {
                        let message = format!("integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}");
                        return Err(Fault::Here(message));
                    }
                    integer(bytes, *letter == b'i')
                }
                b'f' => Item::Float,
                b'd' | b'n' => Item::Double,
                b's' => Item::Zeroed,
                b'c' => Item::Chars(self.number(1)?),
                other => {
                    let letter = char::from(*other);
                    let function = self.function;
                    let message = format!("bad argument #1 to '{function}' (invalid format option '{letter}')");
                    return Err(Fault::Here(message));
                }
            };
            let natural = match item {
                Item::Integer { bytes, .. } => bytes,
                Item::Float => 4,
                Item::Double => 8,
                _ => 1,
            };
            return Ok(Some((item, natural.min(self.align))));
        }
        Ok(None)
    }

    fn number(&mut self, default: usize) -> Result<usize, Fault> {
        let digits = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return Ok(default);
        }
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
        self.at += digits;
        let number = text.parse::<usize>().ok().filter(|number| *number <= i32::MAX as usize);
        number.ok_or_else(|| Fault::Here("integral size overflow".to_owned()))
    }
}

/// Bytes in front of something so that it is aligned.
fn padding(at: usize, align: usize) -> usize {
    at.next_multiple_of(align.max(1)) - at
}

fn pack(lua: &Lua, arguments: &Arguments, meter: &Meter) -> Result<MultiValue, Fault> {
    let text = arguments.text(0)?;
    let mut format = Format::new("pack", &text);
    let (mut out, mut place) = (Vec::new(), 1);
    while let Some((item, align)) = format.next()? {
        meter.tick(ELEMENT_WORK)?;
        meter.make_room(out.len())?;
        out.resize(out.len() + padding(out.len(), align), 0);
        let ordered = |bytes: &mut [u8]| {
            if !format.is_little {
                bytes.reverse();
            }
        };
        match item {
            Item::Padding => {
                out.push(0);
                continue;
            }
            Item::Integer { bytes, .. } => {
                let number = arguments.number(place)?;
                let number = if number < 0.0 {
                    (number as i64).cast_unsigned()
                } else {
                    number as u64
                };
                let fill = if arguments.number(place)? < 0.0 { 0xFF } else { 0 };
                let mut spelled = [fill; INTEGER_BYTES_MAX];
                spelled[..8].copy_from_slice(&number.to_le_bytes());
                ordered(&mut spelled[..bytes]);
                out.extend_from_slice(&spelled[..bytes]);
            }
            Item::Float => {
                let mut spelled = (arguments.number(place)? as f32).to_le_bytes();
                ordered(&mut spelled);
                out.extend(spelled);
            }
            Item::Double => {
                let mut spelled = arguments.number(place)?.to_le_bytes();
                ordered(&mut spelled);
                out.extend(spelled);
            }
            Item::Zeroed => {
                out.extend(arguments.text(place)?);
                out.push(0);
            }
            Item::Chars(count) => {
                let chars = arguments.text(place)?;
                let count = if count == 0 { chars.len() } else { count };
                let Some(shown) = chars.get(..count) else {
                    return Err(arguments.fault(place, "string too short"));
                };
                out.extend_from_slice(shown);
            }
        }
        place += 1;
    }
    Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(out)?)]))
}

fn unpack(lua: &Lua, arguments: &Arguments, meter: &Meter) -> Result<MultiValue, Fault> {
    let (text, data) = (arguments.text(0)?, arguments.text(1)?);
    let start = arguments.integer_or(2, 1)?;
    let Some(mut at) = start.checked_sub(1).and_then(|start| usize::try_from(start).ok()) else {
        return Err(arguments.fault(2, "offset must be 1 or greater"));
    };
    let mut format = Format::new("unpack", &text);
    let mut values: Vec<Value> = Vec::new();
    while let Some((item, align)) = format.next()? {
        meter.tick(ELEMENT_WORK)?;
        if values.len() >= VALUES_MAX {
            return Err(Fault::Here("too many results to unpack".to_owned()));
        }
        at += padding(at, align);
        let bytes = match item {
            Item::Padding => 1,
            Item::Integer { bytes, .. } => bytes,
            Item::Float => 4,
            Item::Double => 8,
            Item::Zeroed => {
                let rest = data.get(at..).unwrap_or_default();
                let zero = rest.iter().position(|byte| *byte == 0);
                zero.ok_or_else(|| Fault::Here("unfinished string in data".to_owned()))? + 1
            }
            Item::Chars(0) => match values.pop() {
                Some(Value::Number(count)) if count >= 0.0 => count as usize,
                _ => return Err(Fault::Here("format 'c0' needs a previous size".to_owned())),
            },
            Item::Chars(count) => count,
        };
        let taken = at.checked_add(bytes).and_then(|end| data.get(at..end));
        let taken = taken.ok_or_else(|| arguments.fault(1, "data string too short"))?;
        at += bytes;
        let mut ordered = [0; INTEGER_BYTES_MAX];
        if bytes <= INTEGER_BYTES_MAX {
            ordered[..bytes].copy_from_slice(taken);
            if !format.is_little {
                ordered[..bytes].reverse();
            }
        }
        let low = u64::from_le_bytes(std::array::from_fn(|place| ordered[place]));
        values.push(match item {
            Item::Padding => continue,
            Item::Integer { bytes, is_signed } if is_signed && bytes < 8 => {
                let unused = 64 - 8 * bytes as u32;
                Value::Number(((low << unused).cast_signed() >> unused) as f64)
            }
            Item::Integer { is_signed: true, .. } => Value::Number(low.cast_signed() as f64),
            Item::Integer { .. } => Value::Number(low as f64),
            Item::Float => Value::Number(f64::from(f32::from_bits(low as u32))),
            Item::Double => Value::Number(f64::from_bits(low)),
            Item::Zeroed => Value::String(lua.create_string(&taken[..bytes - 1])?),
            Item::Chars(_) => Value::String(lua.create_string(taken)?),
        });
    }
    values.push(Value::Number(at as f64 + 1.0));
    Ok(MultiValue::from_vec(values))
}

fn size(arguments: &Arguments) -> Result<MultiValue, Fault> {
    let text = arguments.text(0)?;
    let mut format = Format::new("size", &text);
    let mut bytes: usize = 0;
    while let Some((item, align)) = format.next()? {
        bytes += padding(bytes, align);
        bytes += match item {
            Item::Padding => 1,
            Item::Integer { bytes, .. } => bytes,
            Item::Float => 4,
            Item::Double => 8,
            Item::Zeroed => return Err(arguments.fault(0, "variable-size format in struct.size")),
            Item::Chars(0) => return Err(arguments.fault(0, "variable-length format")),
            Item::Chars(count) => count,
        };
    }
    Ok(MultiValue::from_vec(vec![Value::Number(bytes as f64)]))
}

const INTEGER_BYTES_MAX: usize = 32;
