//! One run of a script or a function, from its text to its reply.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_resp::{Reply, Version};
use mlua::{Function, Lua, Table, Value};

use crate::convert::spelled;
use crate::limits::{COMPILED_MAX, ELEMENT_WORK, MEMORY_BYTES_MAX};
use crate::loading::Loading;
use crate::machine::{Fault, Machine, Meter};
use crate::sandbox::{self, Sandbox};
use crate::script::compiled;
use crate::{Interpreter, LibraryCode, Registered, Script};

/// What is to run, and with what.
#[derive(Clone, Debug)]
pub struct Run {
    /// What is to run.
    pub program: Program,
    /// `KEYS`
    pub keys: Vec<Bytes>,
    /// `ARGV`
    pub arguments: Vec<Bytes>,
    /// In which the client is answered.
    pub version: Version,
}

/// What can run.
#[derive(Clone, Debug)]
pub enum Program {
    /// A script, which has its keys and arguments as globals.
    Script(Arc<Script>),
    /// A function of a library, which is called with keys and arguments. The library is loaded before, unless it was.
    Function {
        /// The library.
        library: LibraryCode,
        /// The function's name there.
        name: Bytes,
    },
    /// All of a library, so that it registers its functions: see [`Interpreter::take_registered`]. The reply is OK.
    Library(LibraryCode),
}

/// What a state holds beside Lua's own.
pub(crate) struct State {
    sandbox: Sandbox,
    compiled: RefCell<HashMap<String, Function>>,
    /// Libraries that were loaded, by their names.
    libraries: RefCell<HashMap<String, Loaded>>,
    pub(crate) shared: Rc<Shared>,
}

/// A library whose functions can be called.
struct Loaded {
    /// Of the code that it was loaded from.
    id: u64,
    /// By their names.
    functions: Table,
}

/// What a run's functions share with it.
pub(crate) struct Shared {
    /// In which the script wants the replies of commands.
    pub(crate) version: Cell<Version>,
    /// What `math.random` draws from.
    pub(crate) random: Cell<u64>,
    /// What the library that is being loaded has registered. Invariant: `None` at all other times, so that nothing of Lua's is
    /// in it when the state goes.
    pub(crate) loading: Loading,
    /// What the last library has registered that was run for that.
    pub(crate) registered: RefCell<Vec<Registered>>,
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
            loading: Loading::default(),
            registered: RefCell::default(),
        });
        let sandbox = sandbox::build(machine, &shared)?;
        Ok(State {
            sandbox,
            compiled: RefCell::default(),
            libraries: RefCell::default(),
            shared,
        })
    }

    /// Lets globals be looked for there.
    fn look_in(&self, globals: &Table) -> Result<(), String> {
        self.sandbox.lookup.raw_set("__index", globals).map_err(said)
    }
}

/// Runs it, on its fiber.
pub(crate) fn run(interpreter: &Interpreter, run: &Run) -> Reply {
    interpreter.state.shared.reset();
    make_room(interpreter);
    match &run.program {
        Program::Script(script) => run_script(interpreter, script, run),
        Program::Function { library, name } => {
            let outcome = call_function(interpreter, library, name, run);
            answered(interpreter, outcome, &String::from_utf8_lossy(name), run.version)
        }
        Program::Library(library) => match load(interpreter, library) {
            Ok(registered) => {
                let registered = registered.into_iter().map(|(registered, _)| registered);
                interpreter.state.shared.registered.replace(registered.collect());
                Reply::ok()
            }
            Err(text) => Reply::Error(text),
        },
    }
}

fn run_script(interpreter: &Interpreter, script: &Script, run: &Run) -> Reply {
    let (lua, meter) = (interpreter.machine.lua(), &*interpreter.machine.meter);
    let (state, globals) = (&interpreter.state, &interpreter.state.sandbox.globals);
    let outcome = compile(lua, state, script).and_then(|function| {
        globals.raw_set("KEYS", list(lua, meter, &run.keys)?).map_err(said)?;
        globals
            .raw_set("ARGV", list(lua, meter, &run.arguments)?)
            .map_err(said)?;
        state.sandbox.driver.call::<(bool, Value)>(function).map_err(said)
    });
    let reply = answered(interpreter, outcome, &script.sha, run.version);
    // What the script was given is not kept until the next one.
    let is_cleared = globals
        .raw_set("KEYS", Value::Nil)
        .and(globals.raw_set("ARGV", Value::Nil));
    match is_cleared {
        Ok(()) => reply,
        Err(error) => Reply::Error(said(error)),
    }
}

fn call_function(
    interpreter: &Interpreter,
    library: &LibraryCode,
    name: &Bytes,
    run: &Run,
) -> Result<(bool, Value), String> {
    let (lua, meter) = (interpreter.machine.lua(), &*interpreter.machine.meter);
    let function = find_function(interpreter, library, name)?;
    let (keys, arguments) = (list(lua, meter, &run.keys)?, list(lua, meter, &run.arguments)?);
    let driver = &interpreter.state.sandbox.driver;
    driver.call::<(bool, Value)>((function, keys, arguments)).map_err(said)
}

/// The reply that follows from what was returned or raised; `name` is how an error calls what has run.
fn answered(interpreter: &Interpreter, outcome: Result<(bool, Value), String>, name: &str, version: Version) -> Reply {
    match outcome {
        Ok((true, value)) => {
            let versions = (interpreter.state.shared.version.get(), version);
            match spelled(&value, versions, &interpreter.machine.meter) {
                Ok(reply) => reply,
                Err(Fault::Here(message)) => Reply::Error(format!("ERR {message}")),
                Err(Fault::Value(_)) => Reply::Error("ERR unknown error".to_owned()),
            }
        }
        Ok((false, value)) => Reply::Error(error_text(&value, name)),
        Err(text) => Reply::Error(text),
    }
}

/// Frees what was left behind before, if that is so much that this one would have too little. If it is still there then,
/// what is kept is forgotten: compiled scripts, and libraries with what they hold in variables of their own.
fn make_room(interpreter: &Interpreter) {
    collect(interpreter);
    if interpreter.machine.meter.used() > MEMORY_BYTES_MAX / 2 {
        interpreter.state.compiled.borrow_mut().clear();
        interpreter.state.libraries.borrow_mut().clear();
        collect(interpreter);
    }
}

fn collect(interpreter: &Interpreter) {
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
    let function = compiled(lua, &script.text, "@user_script")
        .map_err(|message| format!("ERR Error compiling script (new function): {message}"))?;
    let mut known = state.compiled.borrow_mut();
    if known.len() >= COMPILED_MAX {
        known.clear();
    }
    known.insert(script.sha.clone(), function.clone());
    Ok(function)
}

/// A function of a library, which is loaded if that very one was not.
fn find_function(interpreter: &Interpreter, library: &LibraryCode, name: &Bytes) -> Result<Function, String> {
    let (lua, state) = (interpreter.machine.lua(), &interpreter.state);
    let known = match state.libraries.borrow().get(&library.name) {
        Some(loaded) if loaded.id == library.id => Some(loaded.functions.clone()),
        _ => None,
    };
    let functions = match known {
        Some(functions) => functions,
        None => {
            let functions = lua.create_table().map_err(said)?;
            for (registered, function) in load(interpreter, library)? {
                functions.raw_set(registered.name, function).map_err(said)?;
            }
            let loaded = Loaded {
                id: library.id,
                functions: functions.clone(),
            };
            let mut known = state.libraries.borrow_mut();
            if known.len() >= COMPILED_MAX {
                known.clear();
            }
            known.insert(library.name.clone(), loaded);
            functions
        }
    };
    let name = lua.create_string(name).map_err(said)?;
    let function: Option<Function> = functions.raw_get(name).map_err(said)?;
    function.ok_or_else(|| "ERR Function not found".to_owned())
}

/// Lets a library register its functions.
fn load(interpreter: &Interpreter, library: &LibraryCode) -> Result<Vec<(Registered, Function)>, String> {
    let (lua, state) = (interpreter.machine.lua(), &interpreter.state);
    let chunk = compiled(lua, library.text(), "@user_function")
        .map_err(|message| format!("ERR Error compiling function: {message}"))?;
    state.look_in(&state.sandbox.loading_globals)?;
    state.shared.loading.replace(Some(Vec::new()));
    let outcome = state.sandbox.driver.call::<(bool, Value)>(chunk);
    let registered = state.shared.loading.take().unwrap_or_default();
    state.look_in(&state.sandbox.globals)?;
    match outcome.map_err(said)? {
        (true, _) if registered.is_empty() => Err("ERR No functions registered".to_owned()),
        (true, _) => Ok(registered),
        (false, error) => {
            let message = match &error {
                Value::Table(table) => field(table, "err"),
                _ => None,
            };
            let message = message.unwrap_or_else(|| "ERR unknown error".to_owned());
            Err(format!("ERR Error registering functions: {message}"))
        }
    }
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

/// The text of an error with which a script or a function ended, as Redis makes it.
fn error_text(error: &Value, name: &str) -> String {
    let Value::Table(table) = error else {
        let text = match error {
            Value::String(text) => text.to_string_lossy(),
            _ => "execution failure".to_owned(),
        };
        return format!(
            "ERR Error running script {name}, {}",
            text.chars().take(100).collect::<String>()
        );
    };
    let text = field(table, "err").unwrap_or_else(|| "ERR unknown error".to_owned());
    match (field(table, "source"), field(table, "line")) {
        (Some(source), Some(line)) => format!("{text} script: {name}, on {source}:{line}."),
        _ => text,
    }
}

/// A field of an error, as a text.
fn field(error: &Table, name: &str) -> Option<String> {
    match error.raw_get(name) {
        Ok(Value::String(text)) => Some(text.to_string_lossy()),
        Ok(Value::Integer(number)) => Some(number.to_string()),
        Ok(Value::Number(number)) => Some(crate::number::general(number, 14)),
        _ => None,
    }
}
