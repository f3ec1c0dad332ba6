//! One run of a script, from its text to its reply.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_resp::{Reply, Version};
use mlua::{Function, Lua, Table, Value};

use crate::convert::spelled;
use crate::limits::{COMPILED_MAX, ELEMENT_WORK, MEMORY_BYTES_MAX};
use crate::machine::{Fault, Machine, Meter};
use crate::sandbox;
use crate::script::compiled;
use crate::{Interpreter, Script};

/// What a script is to run with.
#[derive(Clone, Debug)]
pub struct Run {
    /// The script.
    pub script: Arc<Script>,
    /// `KEYS`
    pub keys: Vec<Bytes>,
    /// `ARGV`
    pub arguments: Vec<Bytes>,
    /// In which the client is answered.
    pub version: Version,
}

/// What a state holds beside Lua's own.
pub(crate) struct State {
    /// Calls a function, and says whether it returned, and what: see `prelude.lua`.
    driver: Function,
    /// The table in which globals are looked for.
    globals: Table,
    compiled: RefCell<HashMap<String, Function>>,
    pub(crate) shared: Rc<Shared>,
}

/// What a run's functions share with it.
pub(crate) struct Shared {
    /// In which the script wants the replies of commands.
    pub(crate) version: Cell<Version>,
    /// What `math.random` draws from.
    pub(crate) random: Cell<u64>,
}

impl Shared {
    fn reset(&self) {
        self.version.set(Version::Resp2);
        self.random.set(sandbox::seeded(0));
    }
}

impl State {
    pub(crate) fn new(machine: &Machine) -> mlua::Result<State> {
        let shared = Rc::new(Shared {
            version: Cell::new(Version::Resp2),
            random: Cell::new(sandbox::seeded(0)),
        });
        let sandbox::Sandbox { driver, globals } = sandbox::build(machine, &shared)?;
        Ok(State {
            driver,
            globals,
            compiled: RefCell::default(),
            shared,
        })
    }
}

/// Runs a script, on its fiber.
pub(crate) fn run(interpreter: &Interpreter, run: &Run) -> Reply {
    let (lua, meter) = (interpreter.machine.lua(), &*interpreter.machine.meter);
    let state = &interpreter.state;
    state.shared.reset();
    make_room(interpreter);
    let sha = &run.script.sha;
    let outcome = compile(lua, state, &run.script).and_then(|function| {
        state
            .globals
            .raw_set("KEYS", list(lua, meter, &run.keys)?)
            .map_err(said)?;
        state
            .globals
            .raw_set("ARGV", list(lua, meter, &run.arguments)?)
            .map_err(said)?;
        state.driver.call::<(bool, Value)>(function).map_err(said)
    });
    let reply = match outcome {
        Ok((true, value)) => {
            let versions = (state.shared.version.get(), run.version);
            match spelled(&value, versions, meter) {
                Ok(reply) => reply,
                Err(Fault::Here(message)) => Reply::Error(format!("ERR {message}")),
                Err(Fault::Value(_)) => Reply::Error("ERR unknown error".to_owned()),
            }
        }
        Ok((false, value)) => Reply::Error(error_text(&value, sha)),
        Err(text) => Reply::Error(text),
    };
    // What the script was given is not kept until the next one.
    let is_cleared = state
        .globals
        .raw_set("KEYS", Value::Nil)
        .and(state.globals.raw_set("ARGV", Value::Nil));
    match is_cleared {
        Ok(()) => reply,
        Err(error) => Reply::Error(said(error)),
    }
}

/// Frees what scripts before have left behind, if that is so much that this one would have too little.
fn make_room(interpreter: &Interpreter) {
    let (machine, enough) = (&interpreter.machine, MEMORY_BYTES_MAX / 4);
    let mut cycles = 0;
    while machine.meter.used() > enough && cycles < COLLECTIONS_MAX {
        cycles += u32::from(machine.collect());
        machine.meter.charge(COLLECTION_WORK);
    }
}

/// Cycles of the collector that find everything: one may be under way, and miss what became garbage since.
const COLLECTIONS_MAX: u32 = 2;

/// Work of a step of the collector, in about a nanosecond.
const COLLECTION_WORK: u64 = 50_000;

fn compile(lua: &Lua, state: &State, script: &Script) -> Result<Function, String> {
    if let Some(function) = state.compiled.borrow().get(&script.sha) {
        return Ok(function.clone());
    }
    let function = compiled(lua, script)?;
    let mut known = state.compiled.borrow_mut();
    if known.len() >= COMPILED_MAX {
        known.clear();
    }
    known.insert(script.sha.clone(), function.clone());
    Ok(function)
}

fn list(lua: &Lua, meter: &Meter, words: &[Bytes]) -> Result<Table, String> {
    let table = lua.create_table_with_capacity(words.len(), 0).map_err(said)?;
    for (index, word) in words.iter().enumerate() {
        meter.charge(ELEMENT_WORK);
        table
            .raw_seti(index + 1, lua.create_string(word).map_err(said)?)
            .map_err(said)?;
    }
    Ok(table)
}

fn said(error: mlua::Error) -> String {
    match error {
        mlua::Error::MemoryError(_) => "ERR not enough memory".to_owned(),
        error => format!("ERR {error}"),
    }
}

/// The text of an error with which a script ended, as Redis makes it.
fn error_text(error: &Value, sha: &str) -> String {
    let Value::Table(table) = error else {
        let text = match error {
            Value::String(text) => text.to_string_lossy(),
            _ => "execution failure".to_owned(),
        };
        return format!(
            "ERR Error running script {sha}, {}",
            text.chars().take(100).collect::<String>()
        );
    };
    let field = |name| match table.raw_get(name) {
        Ok(Value::String(text)) => Some(text.to_string_lossy()),
        Ok(Value::Integer(number)) => Some(number.to_string()),
        Ok(Value::Number(number)) => Some(crate::number::general(number, 14)),
        _ => None,
    };
    let text = field("err").unwrap_or_else(|| "ERR unknown error".to_owned());
    match (field("source"), field("line")) {
        (Some(source), Some(line)) => format!("{text} script: {sha}, on {source}:{line}."),
        _ => text,
    }
}
