//! The library `bit`: operations on 32 bits, as LuaJIT's BitOp defines them.

use mlua::{MultiValue, Table, Value};

use crate::arguments::Arguments;
use crate::machine::{Fault, Machine};

pub(crate) fn table(machine: &Machine) -> mlua::Result<Table> {
    let table = machine.lua().create_table()?;
    type Unary = fn(u32) -> u32;
    let unary: [(&'static str, Unary); 3] = [("tobit", |a| a), ("bnot", |a| !a), ("bswap", u32::swap_bytes)];
    for (name, operation) in unary {
        let function = machine.function(move |_, arguments| {
            let arguments = Arguments::new(name, arguments);
            Ok(number(operation(bits(&arguments, 0)?)))
        })?;
        table.raw_set(name, function)?;
    }
    type Binary = fn(u32, u32) -> u32;
    let folding: [(&'static str, Binary); 3] = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, operation) in folding {
        let function = machine.function(move |_, arguments| {
            let arguments = Arguments::new(name, arguments);
            let mut value = bits(&arguments, 0)?;
            for place in 1..arguments.count() {
                value = operation(value, bits(&arguments, place)?);
            }
            Ok(number(value))
        })?;
        table.raw_set(name, function)?;
    }
    let shifting: [(&'static str, Binary); 5] = [
        ("lshift", |a, n| a << (n & 31)),
        ("rshift", |a, n| a >> (n & 31)),
        ("arshift", |a, n| (a.cast_signed() >> (n & 31)).cast_unsigned()),
        ("rol", |a, n| a.rotate_left(n & 31)),
        ("ror", |a, n| a.rotate_right(n & 31)),
    ];
    for (name, operation) in shifting {
        let function = machine.function(move |_, arguments| {
            let arguments = Arguments::new(name, arguments);
            Ok(number(operation(bits(&arguments, 0)?, bits(&arguments, 1)?)))
        })?;
        table.raw_set(name, function)?;
    }
    let to_hexadecimal = machine.function(|lua, arguments| {
        let arguments = Arguments::new("tohex", arguments);
        let value = bits(&arguments, 0)?;
        let digits = match arguments.count() {
            1 => 8,
            _ => bits(&arguments, 1)?.cast_signed(),
        };
        let text = format!("{value:08x}");
        let shown = &text[8 - digits.unsigned_abs().min(8) as usize..];
        let shown = if digits < 0 {
            shown.to_uppercase()
        } else {
            shown.to_owned()
        };
        Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(shown)?)]))
    })?;
    table.raw_set("tohex", to_hexadecimal)?;
    Ok(table)
}

/// The lowest 32 bits of a number, rounded to a whole one.
fn bits(arguments: &Arguments, place: usize) -> Result<u32, Fault> {
    let value = arguments.number(place)?.round_ties_even();
    match value.is_finite() {
        true => Ok(value.rem_euclid(4_294_967_296.0) as u32),
        false => Ok(0),
    }
}

fn number(bits: u32) -> MultiValue {
    MultiValue::from_vec(vec![Value::Number(f64::from(bits.cast_signed()))])
}
