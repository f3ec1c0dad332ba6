//! What a library sees while it is loaded: a table `redis` by which it registers its functions, and little else, as in Redis.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Function, MultiValue, Table, Value};

use crate::arguments::{Arguments, text_of};
use crate::flags::Flags;
use crate::library::{Registered, vet_name};
use crate::limits::{DESCRIPTION_BYTES_MAX, ELEMENT_WORK, LIBRARY_FUNCTIONS_MAX};
use crate::machine::{Fault, Machine, Meter};
use crate::run::Shared;

/// What a library has registered so far. `None` in [`Shared`] unless one is being loaded.
pub(crate) type Loading = RefCell<Option<Vec<(Registered, Function)>>>;

/// Adds `register_function` to the table that stands for `redis` meanwhile.
pub(crate) fn add_to(machine: &Machine, shared: &Rc<Shared>, redis: &Table) -> mlua::Result<()> {
    let (meter, shared) = (Rc::clone(&machine.meter), Rc::clone(shared));
    let register = machine.function(move |lua, arguments| {
        let is_loading = shared.loading.borrow().is_some();
        let outcome = match is_loading {
            // To read may let others have their turn: nothing is borrowed meanwhile.
            true => read(arguments, &meter).and_then(|function| add(function, &shared.loading)),
            false => Err(Refused::said(
                "redis.register_function can only be called on FUNCTION LOAD command",
            )),
        };
        match outcome {
            Ok(()) => Ok(MultiValue::new()),
            Err(Refused::Said(text)) => {
                let error = lua.create_table()?;
                error.raw_set("err", text)?;
                Err(Fault::Value(Value::Table(error)))
            }
            Err(Refused::Fault(fault)) => Err(fault),
        }
    })?;
    redis.raw_set("register_function", register)
}

enum Refused {
    /// The text of an error.
    Said(String),
    Fault(Fault),
}

impl Refused {
    fn said(text: &str) -> Refused {
        Refused::Said(format!("ERR {text}"))
    }
}

impl From<mlua::Error> for Refused {
    fn from(error: mlua::Error) -> Refused {
        Refused::Fault(error.into())
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused::Fault(fault)
    }
}

fn add(function: (Registered, Function), loading: &Loading) -> Result<(), Refused> {
    vet_name(&function.0.name).map_err(Refused::Said)?;
    let mut loading = loading.borrow_mut();
    let registered = loading.get_or_insert_default();
    if registered.iter().any(|(known, _)| known.name == function.0.name) {
        return Err(Refused::said("Function already exists in the library"));
    }
    if registered.len() >= LIBRARY_FUNCTIONS_MAX {
        let text = format!("a library has at most {LIBRARY_FUNCTIONS_MAX} functions");
        return Err(Refused::said(&text));
    }
    registered.push(function);
    Ok(())
}

/// Two arguments are name and function; one is a table with all that may be said.
fn read(arguments: MultiValue, meter: &Meter) -> Result<(Registered, Function), Refused> {
    let arguments = Arguments::new("register_function", arguments);
    match (arguments.count(), arguments.at(0)) {
        (1, Value::Table(table)) => read_named(&table, meter),
        (1, _) => Err(Refused::said(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing \
             named arguments).",
        )),
        (2, name) => {
            let name = text(&name)
                .ok_or_else(|| Refused::said("first argument to redis.register_function must be a string"))?;
            let Value::Function(function) = arguments.at(1) else {
                return Err(Refused::said(
                    "second argument to redis.register_function must be a function",
                ));
            };
            let registered = Registered {
                name,
                description: None,
                flags: Flags::default(),
            };
            Ok((registered, function))
        }
        _ => Err(Refused::said("wrong number of arguments to redis.register_function")),
    }
}

fn read_named(table: &Table, meter: &Meter) -> Result<(Registered, Function), Refused> {
    let (mut name, mut description, mut callback, mut flags) = (None, None, None, Flags::default());
    for pair in table.pairs::<Value, Value>() {
        meter.tick(ELEMENT_WORK)?;
        let (key, value) = pair?;
        let key = text(&key)
            .ok_or_else(|| Refused::said("named argument key given to redis.register_function is not a string"))?;
        match key.to_ascii_lowercase().as_str() {
            "function_name" => {
                name = Some(text(&value).ok_or_else(|| {
                    Refused::said("function_name argument given to redis.register_function must be a string")
                })?);
            }
            "description" => {
                let text = text_of(&value).ok_or_else(|| {
                    Refused::said("description argument given to redis.register_function must be a string")
                })?;
                if text.len() > DESCRIPTION_BYTES_MAX {
                    let text = format!("a description has at most {DESCRIPTION_BYTES_MAX} bytes");
                    return Err(Refused::said(&text));
                }
                description = Some(text.into());
            }
            "callback" => {
                let Value::Function(function) = value else {
                    return Err(Refused::said(
                        "callback argument given to redis.register_function must be a function",
                    ));
                };
                callback = Some(function);
            }
            "flags" => {
                let Value::Table(list) = value else {
                    return Err(Refused::said(
                        "flags argument to redis.register_function must be a table representing function flags",
                    ));
                };
                flags = read_flags(&list, meter)?;
            }
            _ => {
                return Err(Refused::said("unknown argument given to redis.register_function"));
            }
        }
    }
    let name = name.ok_or_else(|| Refused::said("redis.register_function must get a function name argument"))?;
    let callback = callback.ok_or_else(|| Refused::said("redis.register_function must get a callback argument"))?;
    let registered = Registered {
        name,
        description,
        flags,
    };
    Ok((registered, callback))
}

fn read_flags(list: &Table, meter: &Meter) -> Result<Flags, Refused> {
    let mut flags = Flags::default();
    for place in 1.. {
        meter.tick(ELEMENT_WORK)?;
        let value = list.raw_get::<Value>(place)?;
        if matches!(value, Value::Nil) {
            break;
        }
        let flag = text(&value).and_then(|name| Flags::named(&name));
        flags = flags.with(flag.ok_or_else(|| Refused::said("unknown flag given"))?);
    }
    Ok(flags)
}

/// A string, or a number as one. What is not UTF-8 is no name.
fn text(value: &Value) -> Option<String> {
    text_of(value).map(|text| String::from_utf8_lossy(&text).into_owned())
}
