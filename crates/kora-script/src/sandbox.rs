//! What a script sees: Redis's globals, which it can't change.

use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::arguments::Arguments;
use crate::machine::{Fault, Machine, READ_ONLY};
use crate::run::Shared;
use crate::{bits, json, loading, message_pack, patterns, redis_library, structure};

pub(crate) struct Sandbox {
    /// Calls a function, and says whether it returned, and what: see `prelude.lua`.
    pub(crate) driver: Function,
    /// Where globals are looked for. Scripts have an empty table in its place that refuses to be written.
    pub(crate) globals: Table,
    /// The metatable of that empty table. Its `__index` says where globals are looked for.
    pub(crate) lookup: Table,
    /// What libraries have for globals while they are loaded.
    pub(crate) loading_globals: Table,
}

/// Makes the sandbox, and lets it be what scripts find.
pub(crate) fn build(machine: &Machine, shared: &Rc<Shared>) -> mlua::Result<Sandbox> {
    let lua = machine.lua();
    let lib = lua.globals();
    let prelude = load_prelude(machine, &lib)?;
    let globals = lua.create_table()?;
    for name in BASE {
        globals.raw_set(*name, lib.raw_get::<Value>(*name)?)?;
    }
    for name in ["load", "loadstring"] {
        globals.raw_set(name, machine.forwarding(prelude.raw_get(name)?)?)?;
    }
    let counted: Function = lib.raw_get("gcinfo")?;
    let collect = machine.function(move |_, arguments| {
        // What the collector does is not for scripts to decide.
        let value = match Arguments::new("collectgarbage", arguments).at(0) {
            Value::String(option) if option.as_bytes() == b"count" => counted.call(())?,
            _ => Value::Number(0.0),
        };
        Ok(MultiValue::from_vec(vec![value]))
    })?;
    globals.raw_set("collectgarbage", collect)?;
    globals.raw_set("pcall", machine.protected_call()?)?;
    globals.raw_set("xpcall", machine.handled_call()?)?;
    globals.raw_set("rawset", raw_set(machine)?)?;
    globals.raw_set("pairs", pairs(machine, lib.raw_get("next")?)?)?;
    let libraries = [
        ("string", string(machine, &lib, &prelude)?),
        ("table", table(machine, &lib, &prelude)?),
        ("math", math(machine, &lib, shared)?),
        ("os", chosen(lua, &lib, "os", &["clock"])?),
        ("coroutine", coroutine(machine, &lib)?),
        ("redis", redis_library::table(machine, shared)?),
        ("cjson", json::table(machine)?),
        ("cmsgpack", message_pack::table(machine)?),
        ("struct", structure::table(machine)?),
        ("bit", bits::table(machine)?),
    ];
    let refuse = machine.function(|_, _| Err(Fault::Here(READ_ONLY.to_owned())))?;
    for (name, library) in libraries {
        let shown = shield(machine, &library, &refuse)?;
        if name == "string" {
            // Methods of strings.
            let metatable = lua.create_table()?;
            metatable.raw_set("__index", &shown)?;
            let secret = shield(machine, &metatable, &refuse)?;
            metatable.raw_set("__metatable", secret)?;
            lua.set_type_metatable::<mlua::String>(Some(metatable));
        }
        globals.raw_set(name, shown)?;
    }
    let missing = machine.function(|_, arguments| {
        let name = match Arguments::new("index", arguments).at(1) {
            Value::String(name) => name.to_string_lossy(),
            other => format!("{other:?}"),
        };
        Err(Fault::Here(format!(
            "Script attempted to access nonexistent global variable '{name}'"
        )))
    })?;
    let behind = lua.create_table()?;
    behind.raw_set("__index", missing)?;
    globals.set_metatable(Some(behind.clone()))?;
    let loading_redis = redis_library::loading_table(machine)?;
    loading::add_to(machine, shared, &loading_redis)?;
    loading_redis.set_metatable(Some(behind.clone()))?;
    let loading_globals = lua.create_table()?;
    loading_globals.raw_set("redis", shield(machine, &loading_redis, &refuse)?)?;
    loading_globals.set_metatable(Some(behind))?;
    let shown = shield(machine, &globals, &refuse)?;
    globals.raw_set("_G", &shown)?;
    let lookup = shown.metatable().expect("a shield has one");
    lua.set_globals(shown)?;
    let driver = prelude.raw_get("driver")?;
    Ok(Sandbox {
        driver,
        globals,
        lookup,
        loading_globals,
    })
}

/// An empty table that shows what this one has, and can't be written.
fn shield(machine: &Machine, table: &Table, refuse: &Function) -> mlua::Result<Table> {
    let lua = machine.lua();
    let (shown, metatable) = (lua.create_table()?, lua.create_table()?);
    metatable.raw_set("__index", table)?;
    metatable.raw_set("__newindex", refuse)?;
    metatable.raw_set("__metatable", false)?;
    shown.set_metatable(Some(metatable))?;
    machine.protect(&shown);
    Ok(shown)
}

fn load_prelude(machine: &Machine, lib: &Table) -> mlua::Result<Table> {
    let lua = machine.lua();
    let own = lua.create_table()?;
    for (library, name) in OWN {
        let from: Table = match *library {
            "" => lib.clone(),
            library => lib.raw_get(library)?,
        };
        own.raw_set(*name, from.raw_get::<Value>(*name)?)?;
    }
    let (enter, leave) = machine.borders()?;
    let find = patterns::primitive(machine)?;
    let meter = Rc::clone(&machine.meter);
    let is_read_only = machine.function(move |_, arguments| {
        let is_protected = match Arguments::new("", arguments).at(0) {
            Value::Table(table) => meter.is_protected_table(&table),
            _ => false,
        };
        Ok(MultiValue::from_vec(vec![Value::Boolean(is_protected)]))
    })?;
    let chunk = lua.load(include_str!("prelude.lua")).set_name("=(kora)");
    chunk.call((own, enter, leave, find, is_read_only))
}

fn raw_set(machine: &Machine) -> mlua::Result<Function> {
    let meter = Rc::clone(&machine.meter);
    machine.function(move |lua, arguments| {
        let arguments = Arguments::new("rawset", arguments);
        let table = arguments.table(0)?;
        if meter.is_protected_table(&table) {
            return Err(Fault::Value(Value::String(lua.create_string(READ_ONLY)?)));
        }
        table.raw_set(arguments.any(1)?, arguments.any(2)?)?;
        Ok(MultiValue::from_vec(vec![Value::Table(table)]))
    })
}

/// `pairs`, which shows a copy of what can't be written.
fn pairs(machine: &Machine, next: Function) -> mlua::Result<Function> {
    let meter = Rc::clone(&machine.meter);
    machine.function(move |lua, arguments| {
        let mut table = Arguments::new("pairs", arguments).table(0)?;
        if meter.is_protected_table(&table) {
            let shown = lua.create_table()?;
            if let Some(Value::Table(behind)) = table.metatable().map(|m| m.raw_get("__index")).transpose()? {
                for pair in behind.pairs::<Value, Value>() {
                    let (key, value) = pair?;
                    shown.raw_set(key, value)?;
                }
            }
            table = shown;
        }
        Ok(MultiValue::from_vec(vec![
            Value::Function(next.clone()),
            Value::Table(table),
            Value::Nil,
        ]))
    })
}

fn chosen(lua: &Lua, lib: &Table, library: &str, names: &[&str]) -> mlua::Result<Table> {
    let (from, to): (Table, Table) = (lib.raw_get(library)?, lua.create_table()?);
    for name in names {
        to.raw_set(*name, from.raw_get::<Value>(*name)?)?;
    }
    Ok(to)
}

fn string(machine: &Machine, lib: &Table, prelude: &Table) -> mlua::Result<Table> {
    let string = chosen(machine.lua(), lib, "string", &["byte", "char", "dump", "len", "sub"])?;
    let from: Table = lib.raw_get("string")?;
    for name in ["format", "lower", "upper", "reverse"] {
        string.raw_set(name, machine.metered(from.raw_get(name)?, 16, 1)?)?;
    }
    for name in ["gmatch", "gsub"] {
        string.raw_set(name, machine.forwarding(prelude.raw_get(name)?)?)?;
    }
    string.raw_set("gfind", string.raw_get::<Value>("gmatch")?)?;
    patterns::add_to(machine, &string)?;
    Ok(string)
}

fn table(machine: &Machine, lib: &Table, prelude: &Table) -> mlua::Result<Table> {
    let table = chosen(machine.lua(), lib, "table", &["getn"])?;
    let from: Table = lib.raw_get("table")?;
    // Work for an element in sixteenths of a nanosecond, and from how many arguments on all elements are looked at.
    for (name, work, arguments_min) in [
        ("concat", 800, 1),
        ("foreach", 800, 1),
        ("foreachi", 800, 1),
        ("insert", 160, 3),
        ("maxn", 160, 1),
        ("remove", 160, 2),
        ("setn", 0, 1),
    ] {
        table.raw_set(name, machine.metered(from.raw_get(name)?, work, arguments_min)?)?;
    }
    table.raw_set("sort", machine.forwarding(prelude.raw_get("sort")?)?)?;
    Ok(table)
}

fn coroutine(machine: &Machine, lib: &Table) -> mlua::Result<Table> {
    let names = ["create", "running", "status", "wrap", "yield"];
    let coroutine = chosen(machine.lua(), lib, "coroutine", &names)?;
    let from: Table = lib.raw_get("coroutine")?;
    coroutine.raw_set("resume", machine.relaying(from.raw_get("resume")?)?)?;
    Ok(coroutine)
}

fn math(machine: &Machine, lib: &Table, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let math: Table = lib.raw_get("math")?;
    let drawn = Rc::clone(shared);
    let random = machine.function(move |_, arguments| {
        let arguments = Arguments::new("random", arguments);
        let state = next_random(drawn.random.get());
        drawn.random.set(state);
        let draw = ((state >> 17) % RANDOM_MAX) as f64 / RANDOM_MAX as f64;
        let between = |low: f64, high: f64| Value::Number((draw * (high - low + 1.0)).floor() + low);
        let value = match arguments.count() {
            0 => Value::Number(draw),
            1 => match arguments.integer(0)? {
                high if high >= 1 => between(1.0, high as f64),
                _ => return Err(arguments.fault(0, "interval is empty")),
            },
            2 => match (arguments.integer(0)?, arguments.integer(1)?) {
                (low, high) if low <= high => between(low as f64, high as f64),
                _ => return Err(arguments.fault(1, "interval is empty")),
            },
            _ => return Err(Fault::Here("wrong number of arguments".to_owned())),
        };
        Ok(MultiValue::from_vec(vec![value]))
    })?;
    let seeding = Rc::clone(shared);
    let seed = machine.function(move |_, arguments| {
        let seed = Arguments::new("randomseed", arguments).integer(0)?;
        seeding.random.set(seeded(seed as u32));
        Ok(MultiValue::new())
    })?;
    math.raw_set("random", random)?;
    math.raw_set("randomseed", seed)?;
    Ok(math)
}

/// The state of Redis's random numbers after this seed: those of `lrand48`, the same in every run of a script.
pub(crate) fn seeded(seed: u32) -> u64 {
    (u64::from(seed) << 16) + 0x330E
}

fn next_random(state: u64) -> u64 {
    (state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB)) & ((1 << 48) - 1)
}

const RANDOM_MAX: u64 = 0x7FFF_FFFF;

/// Lua's own functions that scripts have as they are.
const BASE: &[&str] = &[
    "_VERSION",
    "assert",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "next",
    "rawequal",
    "rawget",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
];

/// Lua's own functions that the prelude uses.
const OWN: &[(&str, &str)] = &[
    ("debug", "getinfo"),
    ("", "xpcall"),
    ("", "loadstring"),
    ("", "type"),
    ("", "tostring"),
    ("", "error"),
    ("", "select"),
    ("", "unpack"),
    ("", "rawset"),
    ("table", "concat"),
    ("table", "getn"),
    ("string", "sub"),
    ("string", "byte"),
    ("string", "find"),
    ("math", "floor"),
];
