//! The arguments of a function that a script calls, with the errors of Lua's `luaL_check…`.

use mlua::{MultiValue, Table, Value};

use crate::machine::Fault;
use crate::number;

pub(crate) struct Arguments {
    function: &'static str,
    values: Vec<Value>,
}

impl Arguments {
    pub(crate) fn new(function: &'static str, values: MultiValue) -> Arguments {
        Arguments {
            function,
            values: values.into_vec(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    /// The argument at this place, from 0 on; nil if there is none.
    pub(crate) fn at(&self, place: usize) -> Value {
        self.values.get(place).cloned().unwrap_or(Value::Nil)
    }

    pub(crate) fn any(&self, place: usize) -> Result<Value, Fault> {
        match self.values.get(place) {
            Some(value) => Ok(value.clone()),
            None => Err(self.fault(place, "value expected")),
        }
    }

    pub(crate) fn table(&self, place: usize) -> Result<Table, Fault> {
        match self.values.get(place) {
            Some(Value::Table(table)) => Ok(table.clone()),
            _ => Err(self.wrong_type(place, "table")),
        }
    }

    /// A string, or a number as a string.
    pub(crate) fn text(&self, place: usize) -> Result<Vec<u8>, Fault> {
        match self.values.get(place).and_then(text_of) {
            Some(text) => Ok(text),
            None => Err(self.wrong_type(place, "string")),
        }
    }

    /// A number, or a string that is one.
    pub(crate) fn number(&self, place: usize) -> Result<f64, Fault> {
        match self.values.get(place) {
            Some(Value::Integer(number)) => Ok(*number as f64),
            Some(Value::Number(number)) => Ok(*number),
            Some(Value::String(text)) => {
                number::parse(&text.as_bytes()).ok_or_else(|| self.wrong_type(place, "number"))
            }
            _ => Err(self.wrong_type(place, "number")),
        }
    }

    pub(crate) fn integer(&self, place: usize) -> Result<i64, Fault> {
        self.number(place).map(|number| number as i64)
    }

    /// The same, or this if it is not given.
    pub(crate) fn integer_or(&self, place: usize, default: i64) -> Result<i64, Fault> {
        match self.at(place) {
            Value::Nil => Ok(default),
            _ => self.integer(place),
        }
    }

    pub(crate) fn fault(&self, place: usize, what: &str) -> Fault {
        Fault::Here(format!("bad argument #{} to '{}' ({what})", place + 1, self.function))
    }

    fn wrong_type(&self, place: usize, wanted: &str) -> Fault {
        let got = self.values.get(place).map_or("no value", type_name);
        self.fault(place, &format!("{wanted} expected, got {got}"))
    }
}

/// Lua's name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// A string's bytes, or a number's as Lua prints it.
pub(crate) fn text_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(number::general(*number as f64, 14).into_bytes()),
        Value::Number(number) => Some(number::general(*number, 14).into_bytes()),
        _ => None,
    }
}
