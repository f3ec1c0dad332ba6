//! A script that has begun, and its stack.

use std::ptr;
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use kora_resp::Reply;

use crate::Interpreter;
use crate::fiber::{Ending, Pause, Progress, Resume};
use crate::limits::{MEMORY_BYTES_MAX, STACK_BYTES};
use crate::run::{Run, run};

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
