//! The Lua state, and what holds it within bounds: its allocator, its hook, and the functions through which it calls Rust.
//!
//! All `unsafe` code that deals with Lua stands here. Lua raises errors by `longjmp`. The functions marked `C-unwind` below
//! are called by Lua and may be jumped over: none of them holds anything that would have to be dropped.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;

use mlua::ffi::{self, lua_Debug, lua_State};
use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::fiber::{Ending, Switch};
use crate::limits::{CHARGE_WORK, INSTRUCTIONS_PER_CHARGE, SLICE_WORK, SMALL_BYTES};

/// A Lua state with its bounds. It stays on the thread that made it.
pub(crate) struct Machine {
    /// `None` only while it is dropped.
    lua: Option<Lua>,
    state: *mut lua_State,
    pub(crate) meter: Rc<Meter>,
}

/// What a script has used, and whether it may go on.
pub(crate) struct Meter {
    /// Bytes that Lua holds.
    used: Cell<usize>,
    limit: Cell<usize>,
    /// Work since the last pause.
    work: Cell<u64>,
    /// Above 0 while Rust uses the state: then memory is not refused by the allocator but by [`Meter::tick`].
    host_depth: Cell<u32>,
    pub(crate) ending: Cell<Option<Ending>>,
    pub(crate) switch: Switch,
    /// Tables that scripts may not change.
    protected: RefCell<Vec<*const c_void>>,
}

/// What went wrong in a function that Lua calls.
pub(crate) enum Fault {
    /// A message, in front of which Lua puts where the script stands.
    Here(String),
    /// The error as it is.
    Value(Value),
}

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Fault {
        match error {
            mlua::Error::MemoryError(_) => Fault::Here(OUT_OF_MEMORY.to_owned()),
            error => Fault::Here(error.to_string()),
        }
    }
}

pub(crate) const OUT_OF_MEMORY: &str = "not enough memory";

impl Meter {
    fn new(limit: usize) -> Meter {
        Meter {
            used: Cell::new(0),
            limit: Cell::new(limit),
            work: Cell::new(0),
            host_depth: Cell::new(1),
            ending: Cell::new(None),
            switch: Switch::default(),
            protected: RefCell::default(),
        }
    }

    /// Counts work, and lets others have their turn when there was enough of it.
    pub(crate) fn charge(&self, work: u64) {
        let work = self.work.get().saturating_add(work);
        self.work.set(work);
        if work >= SLICE_WORK && self.ending.get().is_none() && self.switch.is_set() {
            self.work.set(0);
            self.ending.set(self.switch.pause());
        }
    }

    /// Counts work in Rust on behalf of a script, which may be told to end meanwhile, or hold too much.
    pub(crate) fn tick(&self, work: u64) -> Result<(), Fault> {
        self.charge(work);
        match self.ending.get() {
            Some(ending) => Err(Fault::Here(ending.message().to_owned())),
            None if self.is_over() => Err(Fault::Here(OUT_OF_MEMORY.to_owned())),
            None => Ok(()),
        }
    }

    /// Fails if so many more bytes would be too many.
    pub(crate) fn make_room(&self, bytes: usize) -> Result<(), Fault> {
        match self.used.get().saturating_add(bytes) > self.limit.get() {
            true => Err(Fault::Here(OUT_OF_MEMORY.to_owned())),
            false => self.tick(bytes as u64 / 4),
        }
    }

    pub(crate) fn begin(&self, limit: usize) {
        self.limit.set(limit);
        self.work.set(0);
        self.ending.set(None);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    fn is_over(&self) -> bool {
        self.used.get() > self.limit.get()
    }

    /// True of a table that scripts may not change.
    pub(crate) fn is_protected_table(&self, table: &Table) -> bool {
        self.is_protected(table.to_pointer())
    }

    fn is_protected(&self, table: *const c_void) -> bool {
        !table.is_null() && self.protected.borrow().contains(&table)
    }
}

impl Machine {
    /// A state with all of Lua's libraries, from which the sandbox is made.
    pub(crate) fn new() -> Machine {
        let meter = Rc::new(Meter::new(usize::MAX));
        // SAFETY: the allocator is given a pointer to the meter, which lives until the state is closed (see `drop`).
        let state = unsafe { ffi::lua_newstate(allocate, Rc::as_ptr(&meter).cast_mut().cast()) };
        assert!(
            !state.is_null(),
            "the allocator refuses nothing while the host uses the state"
        );
        // SAFETY: the state was just made, and memory is not refused, so that no error can be raised outside of a call.
        // The handle is dropped before the state is closed.
        let lua = unsafe {
            ffi::luaL_openlibs(state);
            ffi::lua_sethook(state, Some(hook), ffi::LUA_MASKCOUNT, INSTRUCTIONS_PER_CHARGE);
            Lua::get_or_init_from_ptr(state).clone()
        };
        Machine {
            lua: Some(lua),
            state,
            meter,
        }
    }

    pub(crate) fn lua(&self) -> &Lua {
        self.lua.as_ref().expect("it is there until the machine is dropped")
    }

    /// A function that scripts can call.
    pub(crate) fn function(
        &self,
        body: impl Fn(&Lua, MultiValue) -> Result<MultiValue, Fault> + 'static,
    ) -> mlua::Result<Function> {
        let inner = self.lua().create_function(move |lua, arguments: MultiValue| {
            let mut values = match body(lua, arguments) {
                Ok(mut values) => {
                    values.push_front(Value::Boolean(true));
                    return Ok(values);
                }
                Err(Fault::Value(value)) => vec![value, Value::Boolean(false)],
                Err(Fault::Here(message)) => {
                    vec![Value::String(lua.create_string(message)?), Value::Boolean(true)]
                }
            };
            values.insert(0, Value::Boolean(false));
            Ok(MultiValue::from_vec(values))
        })?;
        self.closure(raising, (inner,))
    }

    /// One of Lua's own functions, charged for the length of its first argument: so much work for each element, if it is
    /// called with at least so many arguments.
    pub(crate) fn metered(&self, function: Function, work: u32, arguments_min: u32) -> mlua::Result<Function> {
        self.closure(metered, (function, work, arguments_min))
    }

    /// A function of the prelude, called from C: a call in the last place of a script's function would take that one's place.
    pub(crate) fn forwarding(&self, function: Function) -> mlua::Result<Function> {
        self.closure(forwarding, (function,))
    }

    /// One of Lua's own functions that catches errors: not that the script is to end.
    pub(crate) fn relaying(&self, function: Function) -> mlua::Result<Function> {
        self.closure(relaying, (function,))
    }

    /// Redis's `pcall`: of an error that is a table it returns the text.
    pub(crate) fn protected_call(&self) -> mlua::Result<Function> {
        self.closure(protected_call, ())
    }

    /// `xpcall`. Its handler is called when the call is over, not where the error is: there Lua calls no hooks, if the hook
    /// raised it, and a handler could go on for ever.
    pub(crate) fn handled_call(&self) -> mlua::Result<Function> {
        self.closure(handled_call, ())
    }

    /// What a script is called between: while it runs, the allocator refuses memory.
    pub(crate) fn borders(&self) -> mlua::Result<(Function, Function)> {
        Ok((self.closure(enter, ())?, self.closure(leave, ())?))
    }

    /// Scripts may not change this table by functions that don't ask its metatable.
    pub(crate) fn protect(&self, table: &Table) {
        self.meter.protected.borrow_mut().push(table.to_pointer());
    }

    /// Collects garbage for a while; true if a cycle has ended.
    pub(crate) fn collect(&self) -> bool {
        // SAFETY: the state is not in use. A step of the collector raises an error only in finalizers, of which scripts can
        // set none (`newproxy` is not there), and runs no code of theirs.
        unsafe { ffi::lua_gc(self.state, ffi::LUA_GCSTEP, 64) == 1 }
    }

    fn closure(&self, function: ffi::lua_CFunction, upvalues: impl mlua::IntoLuaMulti) -> mlua::Result<Function> {
        let lua = self.lua();
        // SAFETY: `exec_raw` protects the call, and what was pushed becomes the upvalues of the closure.
        unsafe {
            lua.exec_raw(upvalues, |state| {
                let count = ffi::lua_gettop(state);
                ffi::lua_pushcclosure(state, function, count);
            })
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.lua = None;
        // SAFETY: the last handle is gone: who uses the machine borrows it. The meter is dropped after this.
        unsafe { ffi::lua_close(self.state) }
    }
}

/// The meter of a state.
///
/// # Safety
/// The state must be one that [`Machine::new`] made, or a coroutine of it, and alive for as long as the reference is used.
unsafe fn meter_of<'m>(state: *mut lua_State) -> &'m Meter {
    let mut data: *mut c_void = ptr::null_mut();
    // SAFETY: as the caller promises; the allocator's datum is the meter.
    unsafe {
        ffi::lua_getallocf(state, &raw mut data);
        &*data.cast::<Meter>()
    }
}

/// Lua's allocator: counts, refuses what a script may not have, and lets others have their turn before a large piece is
/// given out, for it will be filled.
unsafe extern "C" fn allocate(data: *mut c_void, piece: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: Lua passes what `lua_newstate` was given.
    let meter = unsafe { &*data.cast::<Meter>() };
    let old = if piece.is_null() { 0 } else { old };
    let layout = |bytes| Layout::from_size_align(bytes, ALIGNMENT).ok();
    if new == 0 {
        if let (false, Some(layout)) = (piece.is_null(), layout(old)) {
            // SAFETY: the piece was allocated below with this size: Lua says how large it is.
            unsafe { dealloc(piece.cast(), layout) };
            meter.used.set(meter.used.get() - old);
        }
        return ptr::null_mut();
    }
    let used = meter.used.get() - old + new;
    if new > old && used > meter.limit.get() && meter.host_depth.get() == 0 {
        return ptr::null_mut();
    }
    if new > SMALL_BYTES {
        meter.charge(new as u64 / 4);
    }
    let (Some(old_layout), Some(new_layout)) = (layout(old), layout(new)) else {
        return ptr::null_mut();
    };
    // SAFETY: the sizes are not 0, and a piece that is there was allocated here with its old size.
    let given = unsafe {
        match piece.is_null() {
            true => alloc(new_layout),
            false => realloc(piece.cast(), old_layout, new),
        }
    };
    if !given.is_null() {
        // No other thread uses the state while a script pauses, so that the count is as it was.
        meter.used.set(used);
    }
    given.cast()
}

/// What Lua's numbers, pointers and strings need.
const ALIGNMENT: usize = 16;

/// Called after so many instructions.
unsafe extern "C-unwind" fn hook(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: Lua calls this with a state of a machine.
    let meter = unsafe { meter_of(state) };
    meter.charge(CHARGE_WORK);
    // SAFETY: an error may be raised in a hook.
    unsafe { raise_if_over(state, meter) };
}

/// Raises an error if the script is to end or holds too much.
unsafe fn raise_if_over(state: *mut lua_State, meter: &Meter) {
    let message = match meter.ending.get() {
        Some(ending) => ending.message(),
        None if meter.is_over() && meter.host_depth.get() == 0 => OUT_OF_MEMORY,
        None => return,
    };
    // SAFETY: there is always room for a few values, and nothing here is to be dropped.
    unsafe {
        ffi::lua_pushlstring(state, message.as_ptr().cast(), message.len());
        ffi::lua_error(state);
    }
}

/// Calls the function of Rust in its upvalue, whose first result says whether the others are results or an error. So errors
/// are what Lua expects, and the script's line is found as if this were one of Lua's functions.
unsafe extern "C-unwind" fn raising(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its arguments on the stack and room for twenty values more. Nothing here is to be dropped
    // when an error is raised.
    unsafe {
        let meter = meter_of(state);
        let count = ffi::lua_gettop(state);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        meter.host_depth.set(meter.host_depth.get() + 1);
        let status = ffi::lua_pcall(state, count, ffi::LUA_MULTRET, 0);
        meter.host_depth.set(meter.host_depth.get() - 1);
        raise_if_over(state, meter);
        if status != ffi::LUA_OK {
            ffi::lua_settop(state, 0);
            ffi::lua_pushlstring(state, OUT_OF_MEMORY.as_ptr().cast(), OUT_OF_MEMORY.len());
            ffi::lua_error(state);
        }
        if ffi::lua_toboolean(state, 1) == 0 {
            let says_where = ffi::lua_toboolean(state, 3) != 0;
            ffi::lua_settop(state, 2);
            if says_where {
                push_place(state);
                ffi::lua_insert(state, 2);
                ffi::lua_concat(state, 2);
            }
            ffi::lua_error(state);
        }
        ffi::lua_remove(state, 1);
        ffi::lua_gettop(state)
    }
}

/// See [`Machine::metered`].
unsafe extern "C-unwind" fn metered(state: *mut lua_State) -> c_int {
    // SAFETY: as for `raising`. The function in the upvalue is one of Lua's libraries, which have no upvalues of their own;
    // it is called in place of this one, with the same arguments.
    unsafe {
        let meter = meter_of(state);
        if meter.is_protected(ffi::lua_topointer(state, 1)) {
            ffi::lua_pushlstring(state, READ_ONLY.as_ptr().cast(), READ_ONLY.len());
            ffi::lua_error(state);
        }
        let arguments_min = ffi::lua_tointeger(state, ffi::lua_upvalueindex(3));
        let has_length = matches!(ffi::lua_type(state, 1), ffi::LUA_TSTRING | ffi::LUA_TTABLE);
        if has_length && ffi::lua_gettop(state) as isize >= arguments_min as isize {
            let work = ffi::lua_tointeger(state, ffi::lua_upvalueindex(2)) as u64;
            meter.charge((ffi::lua_objlen(state, 1) as u64).saturating_mul(work) / 16);
            raise_if_over(state, meter);
        }
        call_upvalue(state)
    }
}

pub(crate) const READ_ONLY: &str = "Attempt to modify a readonly table";

/// See [`Machine::forwarding`].
unsafe extern "C-unwind" fn forwarding(state: *mut lua_State) -> c_int {
    // SAFETY: as for `raising`.
    unsafe {
        let count = ffi::lua_gettop(state);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, count, ffi::LUA_MULTRET);
        ffi::lua_gettop(state)
    }
}

/// Pushes where the script stands, as `luaL_where` does, but passes over the prelude.
///
/// # Safety
/// There must be room for one value more.
unsafe fn push_place(state: *mut lua_State) {
    // SAFETY: as the caller promises; the record is filled by Lua before it is read.
    unsafe {
        let mut record = std::mem::zeroed::<lua_Debug>();
        for level in 1..PRELUDE_LEVELS {
            let is_there = ffi::lua_getstack(state, level, &raw mut record) != 0
                && ffi::lua_getinfo(state, c"S".as_ptr(), &raw mut record) != 0;
            let is_own = is_there && std::ffi::CStr::from_ptr(record.source) == c"=(kora)";
            let is_c = is_there && std::ffi::CStr::from_ptr(record.what) == c"C";
            if !(is_own || is_c && level > 1) {
                return ffi::luaL_where(state, level);
            }
        }
        ffi::lua_pushlstring(state, c"".as_ptr(), 0);
    }
}

/// How many levels of the prelude's may stand above a script's.
const PRELUDE_LEVELS: c_int = 6;

/// See [`Machine::relaying`].
unsafe extern "C-unwind" fn relaying(state: *mut lua_State) -> c_int {
    // SAFETY: as for `metered`.
    unsafe {
        let count = call_upvalue(state);
        raise_if_over(state, meter_of(state));
        count
    }
}

/// Does what the function in the first upvalue does, with the arguments of the caller.
///
/// # Safety
/// It must be one of Lua's own C functions without upvalues.
unsafe fn call_upvalue(state: *mut lua_State) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        match ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)) {
            Some(function) => function(state),
            None => 0,
        }
    }
}

/// See [`Machine::handled_call`].
unsafe extern "C-unwind" fn handled_call(state: *mut lua_State) -> c_int {
    // SAFETY: as for `raising`.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        // The handler stays below.
        ffi::lua_insert(state, 1);
        let status = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 0);
        raise_if_over(state, meter_of(state));
        if status == ffi::LUA_OK {
            ffi::lua_pushboolean(state, 1);
            ffi::lua_replace(state, 1);
            return ffi::lua_gettop(state);
        }
        ffi::lua_pcall(state, 1, 1, 0);
        raise_if_over(state, meter_of(state));
        ffi::lua_pushboolean(state, 0);
        ffi::lua_insert(state, 1);
        2
    }
}

/// See [`Machine::protected_call`].
unsafe extern "C-unwind" fn protected_call(state: *mut lua_State) -> c_int {
    // SAFETY: as for `raising`.
    unsafe {
        ffi::luaL_checkany(state, 1);
        let count = ffi::lua_gettop(state);
        // The place of the first result.
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if ffi::lua_pcall(state, count - 1, ffi::LUA_MULTRET, 0) != ffi::LUA_OK {
            raise_if_over(state, meter_of(state));
            if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
                ffi::lua_pushlstring(state, c"err".as_ptr(), 3);
                ffi::lua_rawget(state, -2);
                match ffi::lua_isstring(state, -1) {
                    0 => ffi::lua_settop(state, -2),
                    _ => ffi::lua_remove(state, -2),
                }
            }
            ffi::lua_pushboolean(state, 0);
            ffi::lua_replace(state, 1);
        }
        ffi::lua_gettop(state)
    }
}

unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with a state of a machine.
    unsafe { meter_of(state) }.host_depth.set(0);
    0
}

unsafe extern "C-unwind" fn leave(state: *mut lua_State) -> c_int {
    // SAFETY: as for `enter`.
    unsafe { meter_of(state) }.host_depth.set(1);
    0
}
