//! A script that runs a slice at a time: on a stack of its own, from which it returns to the thread's stack in the middle of
//! whatever it does, and goes on there later.
//!
//! Lua 5.1 can't yield across its own `pcall` or a metamethod, so its coroutines would not do. Here Lua does not know that it
//! was left: nothing else uses its state meanwhile.

use std::cell::Cell;
use std::ptr;

use corosensei::Yielder;
use kora_resp::Reply;

/// Why a script is to end before it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// A client sent SCRIPT KILL.
    Killed,
    /// A client sent FUNCTION KILL.
    FunctionKilled,
    /// A library has taken too long to register its functions.
    LoadTimeout,
    /// Its result is not wanted.
    Dropped,
}

impl Ending {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Ending::Killed => "Script killed by user with SCRIPT KILL.",
            Ending::FunctionKilled => "Script killed by user with FUNCTION KILL.",
            Ending::LoadTimeout => "FUNCTION LOAD timeout",
            Ending::Dropped => "the script's result is not wanted",
        }
    }
}

/// What a paused script is told.
#[derive(Debug)]
pub enum Resume {
    /// To begin, or to go on after a slice.
    GoOn,
    /// What the command answers that it called.
    Reply(Reply),
    /// To end.
    End(Ending),
}

/// What a script has come to.
#[derive(Debug)]
pub enum Progress {
    /// It has used up its slice.
    Slice,
    /// It calls a command, and waits for [`Resume::Reply`].
    Call(Call),
    /// It has ended with this reply.
    Ended(Reply),
}

/// A command that a script calls.
#[derive(Debug)]
pub struct Call {
    /// The command's words in RESP, as a client would send them.
    pub request: Vec<u8>,
}

pub(crate) enum Pause {
    Slice,
    Call(Call),
}

/// The way back to the thread's stack, while a script runs.
pub(crate) struct Switch(pub(crate) Cell<*const Yielder<Resume, Pause>>);

impl Default for Switch {
    fn default() -> Switch {
        Switch(Cell::new(ptr::null()))
    }
}

impl Switch {
    pub(crate) fn is_set(&self) -> bool {
        !self.0.get().is_null()
    }

    /// Ends the slice; says whether the script is to end.
    pub(crate) fn pause(&self) -> Option<Ending> {
        match self.suspend(Pause::Slice) {
            Resume::End(ending) => Some(ending),
            Resume::GoOn | Resume::Reply(_) => None,
        }
    }

    /// Has a command executed.
    pub(crate) fn call(&self, call: Call) -> Resume {
        self.suspend(Pause::Call(call))
    }

    fn suspend(&self, pause: Pause) -> Resume {
        assert!(self.is_set(), "only a script that runs can pause");
        // SAFETY: the yielder lives at the bottom of the script's stack for as long as it stands here, and this runs on that
        // stack: a state is used by its script only while one is running.
        unsafe { &*self.0.get() }.suspend(pause)
    }
}
