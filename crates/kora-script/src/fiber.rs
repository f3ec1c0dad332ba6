//! A script that runs a slice at a time: on a stack of its own, from which it returns to the thread's stack in the middle of
//! whatever it does, and goes on there later.
//!
//! Lua 5.1 can't yield across its own `pcall` or a metamethod, so its coroutines would not do. Here Lua does not know that it
//! was left: nothing else uses its state meanwhile.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use kora_resp::Reply;

use crate::Interpreter;
use crate::limits::{MEMORY_BYTES_MAX, STACK_BYTES};
use crate::run::{Run, run};

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

/// A script that has begun, or will with the first [`Running::resume`].
pub struct Running {
    /// `None` only while it is dropped, and after its end.
    fiber: Option<Coroutine<Resume, Pause, Reply>>,
    interpreter: Rc<Interpreter>,
}

impl Running {
    /// # Panics
    /// If another script of this interpreter has not ended.
    pub(crate) fn new(interpreter: Rc<Interpreter>, script: Run) -> Running {
        assert!(!interpreter.machine.meter.switch.is_set(), "one script at a time");
        let stack = interpreter.stack.take();
        let stack =
            stack.unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("there is address space for a stack"));
        let inner = Rc::clone(&interpreter);
        let fiber = Coroutine::with_stack(stack, move |yielder: &Yielder<Resume, Pause>, first| {
            let meter = &inner.machine.meter;
            meter.begin(MEMORY_BYTES_MAX);
            if let Resume::End(ending) = first {
                meter.ending.set(Some(ending));
            }
            meter.switch.0.set(yielder);
            let reply = run(&inner, &script);
            meter.switch.0.set(ptr::null());
            reply
        });
        Running {
            fiber: Some(fiber),
            interpreter,
        }
    }

    /// Lets the script work until it has used up its slice, calls a command, or ends.
    ///
    /// # Panics
    /// If it has ended.
    pub fn resume(&mut self, resume: Resume) -> Progress {
        let fiber = self.fiber.as_mut().expect("it has not ended");
        match fiber.resume(resume) {
            CoroutineResult::Yield(Pause::Slice) => Progress::Slice,
            CoroutineResult::Yield(Pause::Call(call)) => Progress::Call(call),
            CoroutineResult::Return(reply) => {
                self.interpreter.stack.set(self.fiber.take().map(Coroutine::into_stack));
                Progress::Ended(reply)
            }
        }
    }
}

impl Drop for Running {
    /// What is on its stack must be left in order: the script is told to end, and then nothing of it goes on.
    fn drop(&mut self) {
        while self.fiber.as_ref().is_some_and(Coroutine::started) {
            self.resume(Resume::End(Ending::Dropped));
        }
    }
}

/// The way back to the thread's stack, while a script runs.
pub(crate) struct Switch(Cell<*const Yielder<Resume, Pause>>);

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
