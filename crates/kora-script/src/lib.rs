//! Scripts: Lua 5.1 in Redis's sandbox.
//!
//! An [`Interpreter`] holds one Lua state. It begins a [`Script`] with its keys and arguments, and the script then runs a slice
//! at a time: [`Running::resume`] returns after some tenths of a millisecond, or because the script calls a command, which
//! the worker that resumes it executes. So a script that never ends holds no thread. Its memory is bounded, and no error of Lua
//! leaves this crate but as a reply. Nothing here knows commands, keys or shards.
//!
//! | question | file |
//! |---|---|
//! | how is a script paused in the middle of anything? | `fiber.rs`, `running.rs` |
//! | what holds it within its memory and its slice? | `machine.rs` |
//! | which globals does a script see? | `sandbox.rs`, `prelude.lua` |
//! | what does `redis.call` do? | `redis_library.rs` |
//! | how does a library register its functions? | `library.rs`, `loading.rs` |
//! | how do replies become values of Lua, and back? | `convert.rs` |
//! | `cjson`, `cmsgpack`, `struct`, `bit` | `json.rs`, `json_text.rs`, `message_pack.rs`, `structure.rs`, `bits.rs` |
//! | `string.find` and its like | `patterns.rs`, `matcher.rs` |

#![deny(unsafe_code)]

mod arguments;
mod bits;
mod convert;
#[expect(unsafe_code, reason = "a pointer to the fiber's own stack")]
mod fiber;
mod flags;
mod json;
mod json_text;
mod library;
pub mod limits;
mod loading;
#[expect(unsafe_code, reason = "Lua's C interface")]
mod machine;
mod matcher;
mod message_pack;
mod number;
mod patterns;
mod redis_library;
mod run;
mod running;
mod sandbox;
mod script;
mod structure;

use std::cell::Cell;
use std::rc::Rc;

use corosensei::stack::DefaultStack;

pub use crate::fiber::{Call, Ending, Progress, Resume};
pub use crate::flags::Flags;
pub use crate::library::{LibraryCode, Registered};
pub use crate::run::{Program, Run};
pub use crate::running::Running;
pub use crate::script::{Script, sha1_hex};

use crate::machine::Machine;
use crate::run::State;

/// One Lua state, in which one script runs at a time. It stays on the thread that made it.
pub struct Interpreter {
    /// Dropped before the machine that they belong to.
    state: State,
    machine: Machine,
    /// The stack of the script before, for the next one.
    stack: Cell<Option<DefaultStack>>,
}

impl Interpreter {
    /// A state without scripts. It takes about a tenth of a millisecond and
    /// 100 KB.
    ///
    /// # Panics
    /// If Lua can't be set up, which depends on nothing but this crate.
    pub fn new() -> Rc<Interpreter> {
        let machine = Machine::new();
        let state = State::new(&machine).expect("the sandbox is made of what is there");
        Rc::new(Interpreter {
            state,
            machine,
            stack: Cell::new(None),
        })
    }

    /// Prepares a script; nothing of it runs before [`Running::resume`].
    ///
    /// # Panics
    /// If another one has not ended.
    pub fn begin(self: &Rc<Interpreter>, run: Run) -> Running {
        Running::new(Rc::clone(self), run)
    }

    /// What the last library has registered that was run as a [`Program::Library`].
    pub fn take_registered(&self) -> Vec<Registered> {
        self.state.shared.registered.take()
    }

    /// Bytes that Lua holds.
    pub fn used_bytes(&self) -> usize {
        self.machine.meter.used()
    }

    /// Frees some of what scripts have left behind, in some tens of microseconds; true if there is nothing more to look for.
    /// Not while a script runs.
    pub fn collect(&self) -> bool {
        self.machine.collect()
    }
}

#[cfg(test)]
mod tests;
