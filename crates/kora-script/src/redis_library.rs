//! The library `redis`: what a script can ask of the server.

use std::rc::Rc;

use kora_resp::{Reply, Version};
use mlua::{Lua, MultiValue, Table, Value};

use crate::arguments::{Arguments, text_of};
use crate::convert::to_lua;
use crate::fiber::{Call, Resume};
use crate::limits::{CALL_WORK, ELEMENT_WORK};
use crate::machine::{Fault, Machine, Meter};
use crate::number;
use crate::run::Shared;
use crate::script::sha1_hex;

pub(crate) fn table(machine: &Machine, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let redis = machine.lua().create_table()?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let (meter, shared) = (Rc::clone(&machine.meter), Rc::clone(shared));
        let function = machine.function(move |lua, arguments| {
            let value = match call(lua, arguments, &shared, &meter)? {
                Answer::Value(value) => value,
                Answer::Refused(text) if raises => return Err(Fault::Value(refusal(lua, &text)?)),
                Answer::Refused(text) => refusal(lua, &text)?,
            };
            Ok(one(value))
        })?;
        redis.raw_set(name, function)?;
    }
    add_replies(machine, &redis)?;
    add_settings(machine, shared, &redis)?;
    add_log(machine, &redis)?;
    for (name, value) in REPLICATION_CONSTANTS {
        redis.raw_set(*name, *value)?;
    }
    Ok(redis)
}

/// What libraries have of it while they are loaded, but for what registers functions.
pub(crate) fn loading_table(machine: &Machine) -> mlua::Result<Table> {
    let redis = machine.lua().create_table()?;
    add_log(machine, &redis)?;
    Ok(redis)
}

enum Answer {
    Value(Value),
    /// The text of an error reply.
    Refused(String),
}

/// Has a command executed.
fn call(lua: &Lua, arguments: MultiValue, shared: &Shared, meter: &Meter) -> Result<Answer, Fault> {
    if arguments.is_empty() {
        return Ok(refused(
            "ERR Please specify at least one argument for this redis lib call",
        ));
    }
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments.iter() {
        let word = match argument {
            Value::Integer(number) => number.to_string().into_bytes(),
            Value::Number(number) => number::as_word(*number).into_bytes(),
            argument => match text_of(argument) {
                Some(word) => word,
                None => {
                    return Ok(refused(
                        "ERR Lua redis lib command arguments must be strings or integers",
                    ));
                }
            },
        };
        meter.make_room(request.len() + word.len())?;
        meter.tick(ELEMENT_WORK)?;
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(&word);
        request.extend_from_slice(b"\r\n");
    }
    drop(arguments);
    meter.tick(CALL_WORK)?;
    match meter.switch.call(Call { request }) {
        Resume::Reply(Reply::Error(text)) => Ok(Answer::Refused(text)),
        Resume::Reply(reply) => Ok(Answer::Value(to_lua(lua, reply, shared.version.get(), meter)?)),
        Resume::End(ending) => {
            meter.ending.set(Some(ending));
            Err(Fault::Here(ending.message().to_owned()))
        }
        Resume::GoOn => Ok(refused("ERR the command has no reply")),
    }
}

fn refused(text: &str) -> Answer {
    Answer::Refused(text.to_owned())
}

fn refusal(lua: &Lua, text: &str) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", text)?;
    table.raw_set("ignore_error_stats_update", true)?;
    Ok(Value::Table(table))
}

fn add_replies(machine: &Machine, redis: &Table) -> mlua::Result<()> {
    for name in ["error_reply", "status_reply"] {
        let function = machine.function(move |lua, arguments| {
            let arguments = Arguments::new(name, arguments);
            let table = lua.create_table()?;
            match (arguments.count(), arguments.at(0)) {
                (1, Value::String(text)) if name == "status_reply" => table.raw_set("ok", text)?,
                (1, Value::String(text)) => table.raw_set("err", error_text(&text.to_string_lossy()))?,
                _ => table.raw_set("err", "ERR wrong number or type of arguments")?,
            }
            Ok(one(Value::Table(table)))
        })?;
        redis.raw_set(name, function)?;
    }
    let hashed = machine.function(|lua, arguments| {
        let arguments = Arguments::new("sha1hex", arguments);
        match arguments.count() {
            1 => Ok(one(Value::String(
                lua.create_string(sha1_hex(&arguments.text(0).unwrap_or_default()))?,
            ))),
            _ => raised(lua, "ERR wrong number of arguments"),
        }
    })?;
    redis.raw_set("sha1hex", hashed)
}

/// What `redis.error_reply` makes of a text: its first word is a code, if there are others.
fn error_text(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.contains(' ') {
        true => text.to_owned(),
        false => format!("ERR {text}"),
    }
}

fn add_settings(machine: &Machine, shared: &Rc<Shared>, redis: &Table) -> mlua::Result<()> {
    let chosen = Rc::clone(shared);
    let set_version = machine.function(move |lua, arguments| {
        let arguments = Arguments::new("setresp", arguments);
        if arguments.count() != 1 {
            return raised(lua, "ERR redis.setresp() requires one argument.");
        }
        match arguments.number(0).ok().map(|number| number as i64) {
            Some(2) => chosen.version.set(Version::Resp2),
            Some(3) => chosen.version.set(Version::Resp3),
            _ => return raised(lua, "ERR RESP version must be 2 or 3."),
        }
        Ok(MultiValue::new())
    })?;
    redis.raw_set("setresp", set_version)?;
    let answering = |value: Value| machine.function(move |_, _| Ok(one(value.clone())));
    redis.raw_set("breakpoint", answering(Value::Boolean(false))?)?;
    redis.raw_set("debug", machine.function(|_, _| Ok(MultiValue::new()))?)?;
    redis.raw_set("replicate_commands", answering(Value::Boolean(true))?)?;
    redis.raw_set("set_repl", machine.function(|_, _| Ok(MultiValue::new()))?)
}

/// `redis.log`, its levels, and the version.
fn add_log(machine: &Machine, redis: &Table) -> mlua::Result<()> {
    // What is logged goes nowhere: a client must not be able to fill the operator's disk.
    let log = machine.function(|lua, arguments| {
        let arguments = Arguments::new("log", arguments);
        if arguments.count() < 2 {
            return raised(lua, "ERR redis.log() requires two arguments or more.");
        }
        match arguments.at(0) {
            Value::Integer(0..=3) => Ok(MultiValue::new()),
            Value::Integer(_) | Value::Number(_) => raised(lua, "ERR Invalid log level."),
            _ => raised(lua, "ERR First argument must be a number (log level)."),
        }
    })?;
    redis.raw_set("log", log)?;
    for (name, value) in LOG_CONSTANTS {
        redis.raw_set(*name, *value)?;
    }
    redis.raw_set("REDIS_VERSION", REDIS_VERSION)?;
    redis.raw_set("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER)
}

fn raised<T>(lua: &Lua, text: &str) -> Result<T, Fault> {
    let table = lua.create_table()?;
    table.raw_set("err", text)?;
    Err(Fault::Value(Value::Table(table)))
}

fn one(value: Value) -> MultiValue {
    MultiValue::from_vec(vec![value])
}

const LOG_CONSTANTS: &[(&str, i64)] = &[
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
];

const REPLICATION_CONSTANTS: &[(&str, i64)] = &[
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_REPLICA", 2),
    ("REPL_SLAVE", 2),
    ("REPL_ALL", 3),
];

/// The version of Redis whose commands the server speaks.
const REDIS_VERSION: &str = "8.2.3";
const REDIS_VERSION_NUMBER: i64 = 0x0008_0203;
