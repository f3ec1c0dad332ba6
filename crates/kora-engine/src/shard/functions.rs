//! Which libraries of functions there are. One shard decides that, for all: each change is local to it, and what it decides
//! stands in the catalog, where every worker reads it.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::{Libraries, Library, LibraryFunction};
use kora_resp::Reply;
use kora_script::{Ending, Interpreter, LibraryCode, Program, Progress, Registered, Resume, Run, Running};
use kora_vector::{Step, Work};

use super::Shard;
use super::task::{Begun, Task};
use crate::budgets::CHECKED_BYTE_WORK;
use crate::command::{FunctionChange, RestorePolicy};
use crate::function_payload::{Checksum, PayloadReader, with_checksum, without_checksum};
use crate::limits::{CHECKED_BYTES, FUNCTIONS_MAX, LIBRARIES_MAX, LIBRARY_CODE_BYTES_MAX, LOAD_SLICES_MAX};
use crate::mail::PartialReply;
use crate::router::LIBRARIES_SHARD;

impl Shard {
    /// Does what FUNCTION says that may change which libraries there are, or wants all of them.
    pub(super) fn change_functions(&mut self, change: FunctionChange, work: &mut Work) -> Begun<PartialReply> {
        debug_assert_eq!(self.id, LIBRARIES_SHARD);
        let libraries = self.setup.catalog.libraries();
        Begun::Done(PartialReply::Reply(match change {
            FunctionChange::Load { code, replaces } => {
                let policy = match replaces {
                    true => RestorePolicy::Replace,
                    false => RestorePolicy::Append,
                };
                return self.run(Loading::new(None, vec![code], policy), work);
            }
            FunctionChange::Restore { payload, policy } => {
                let unread = Unread {
                    reader: PayloadReader::new(payload),
                    checksum: Checksum::default(),
                    checked: 0,
                    is_sound: false,
                };
                return self.run(Loading::new(Some(unread), Vec::new(), policy), work);
            }
            FunctionChange::Dump => {
                let payload = without_checksum(libraries.iter().map(|library| &library.code));
                let dumping = Dumping {
                    payload,
                    checksum: Checksum::default(),
                    checked: 0,
                };
                return self.run(dumping, work);
            }
            FunctionChange::Delete(name) => match libraries.get(&name) {
                None => Reply::Error("ERR Library not found".to_owned()),
                Some(_) => {
                    self.keyspace.change_libraries(&[name], &[]);
                    Reply::ok()
                }
            },
            FunctionChange::Flush => {
                let names: Vec<Bytes> = names(&libraries);
                self.keyspace.change_libraries(&names, &[]);
                Reply::ok()
            }
        }))
    }

    /// The Lua state in which functions run: not that of scripts, since libraries keep things there.
    pub(super) fn functions(&mut self) -> &Rc<Interpreter> {
        self.function_interpreter.get_or_insert_with(Interpreter::new)
    }
}

fn names(libraries: &Libraries) -> Vec<Bytes> {
    libraries.iter().map(|library| library.name.clone()).collect()
}

/// Libraries that register their functions, one after the other, before all of them are made. It has its shard to itself, as a
/// function has: both use the same Lua state.
struct Loading {
    /// What is restored, until all of it was read.
    unread: Option<Unread>,
    /// Code that was not looked at, the next one last.
    waiting: Vec<Bytes>,
    /// Bytes of all code so far.
    code_bytes: usize,
    running: Option<(Running, LibraryCode)>,
    slices: u32,
    loaded: Vec<Library>,
    policy: RestorePolicy,
    is_restore: bool,
}

/// A payload of which not all was read.
struct Unread {
    reader: PayloadReader,
    checksum: Checksum,
    /// Bytes that the checksum is of so far.
    checked: usize,
    is_sound: bool,
}

impl Loading {
    fn new(unread: Option<Unread>, waiting: Vec<Bytes>, policy: RestorePolicy) -> Loading {
        Loading {
            is_restore: unread.is_some(),
            unread,
            code_bytes: waiting.iter().map(Bytes::len).sum(),
            waiting,
            running: None,
            slices: 0,
            loaded: Vec::new(),
            policy,
        }
    }

    /// Reads some of the payload; true if there is more.
    fn read(&mut self, work: &mut Work) -> Result<bool, String> {
        let Some(unread) = &mut self.unread else {
            return Ok(false);
        };
        if !unread.is_sound {
            if let Some(rest) = unread
                .reader
                .checked()
                .get(unread.checked..)
                .filter(|rest| !rest.is_empty())
            {
                let piece = &rest[..rest.len().min(CHECKED_BYTES)];
                unread.checksum.update(piece);
                unread.checked += piece.len();
                work.spend(CHECKED_BYTE_WORK * piece.len() as u64);
                return Ok(true);
            }
            if !unread.reader.is_sound(unread.checksum) {
                return Err("ERR DUMP payload version or checksum are wrong".to_owned());
            }
            unread.is_sound = true;
        }
        match unread.reader.next_code()? {
            Some(code) => {
                work.spend(CHECKED_BYTE_WORK * code.len() as u64);
                self.code_bytes += code.len();
                self.waiting.push(code);
                self.refuse_too_much()?;
                Ok(true)
            }
            None => {
                self.unread = None;
                self.waiting.reverse();
                Ok(false)
            }
        }
    }

    fn refuse_too_much(&self) -> Result<(), String> {
        match self.waiting.len() > LIBRARIES_MAX || self.code_bytes > LIBRARY_CODE_BYTES_MAX {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    /// Looks at the next library; false if there is none.
    fn begin(&mut self, shard: &mut Shard) -> Result<bool, String> {
        let Some(code) = self.waiting.pop() else {
            return Ok(false);
        };
        let library = LibraryCode::new(code, 0)?;
        let libraries = shard.setup.catalog.libraries();
        let is_there = match (self.is_restore, self.policy) {
            (false, RestorePolicy::Append) => libraries.get(library.name.as_bytes()).is_some(),
            _ => false,
        };
        let is_twice = self.loaded.iter().any(|loaded| loaded.name == library.name.as_bytes());
        if is_there || is_twice {
            return Err(format!("ERR Library '{}' already exists", library.name));
        }
        let run = Run {
            program: Program::Library(library.clone()),
            keys: Vec::new(),
            arguments: Vec::new(),
            version: kora_resp::Version::Resp2,
        };
        self.running = Some((shard.functions().begin(run), library));
        Ok(true)
    }

    /// Lets the library that is running work for a slice; true if it has ended.
    fn resume(&mut self, shard: &mut Shard) -> Result<bool, String> {
        let Some((running, library)) = &mut self.running else {
            return Ok(true);
        };
        let mut resume = match self.slices < LOAD_SLICES_MAX {
            true => Resume::GoOn,
            false => Resume::End(Ending::LoadTimeout),
        };
        self.slices += 1;
        loop {
            match running.resume(resume) {
                Progress::Slice => return Ok(false),
                Progress::Ended(Reply::Error(text)) => return Err(text),
                Progress::Ended(_) => break,
                // What calls commands is not there meanwhile.
                Progress::Call(_) => {
                    let refusal = "ERR This Redis command is not allowed from script".to_owned();
                    resume = Resume::Reply(Reply::Error(refusal));
                }
            }
        }
        let registered = shard.functions().take_registered();
        self.loaded.push(made_of(library, registered));
        self.running = None;
        Ok(true)
    }

    /// Makes the libraries, all or none.
    fn settle(&mut self, shard: &mut Shard) -> Result<Reply, String> {
        let libraries = shard.setup.catalog.libraries();
        let there = |name: &Bytes| libraries.get(name).is_some();
        let gone: Vec<Bytes> = match self.policy {
            RestorePolicy::Flush => names(&libraries),
            RestorePolicy::Replace => {
                let names = self.loaded.iter().map(|library| library.name.clone());
                names.filter(there).collect()
            }
            RestorePolicy::Append => Vec::new(),
        };
        if self.policy == RestorePolicy::Append
            && let Some(library) = self.loaded.iter().find(|library| there(&library.name))
        {
            let name = String::from_utf8_lossy(&library.name);
            return Err(format!("ERR Library {name} already exists"));
        }
        self.refuse_same_functions(&libraries, &gone)?;
        self.refuse_beyond_limits(&libraries, &gone)?;
        shard.keyspace.change_libraries(&gone, &self.loaded);
        Ok(match (self.is_restore, self.loaded.first()) {
            (false, Some(library)) => Reply::Bulk(library.name.clone()),
            _ => Reply::ok(),
        })
    }

    fn refuse_same_functions(&self, libraries: &Libraries, gone: &[Bytes]) -> Result<(), String> {
        let gone: HashSet<&Bytes> = gone.iter().collect();
        let mut others = HashSet::new();
        for library in &self.loaded {
            let mut own = Vec::with_capacity(library.functions.len());
            for function in &library.functions {
                let of_other = libraries.function(&function.name);
                let stays = of_other.is_some_and(|(of, _)| !gone.contains(&of.name));
                let name = function.name.to_ascii_lowercase();
                if stays || others.contains(&name) {
                    let name = String::from_utf8_lossy(&function.name);
                    return Err(format!("ERR Function {name} already exists"));
                }
                own.push(name);
            }
            others.extend(own);
        }
        Ok(())
    }

    fn refuse_beyond_limits(&self, libraries: &Libraries, gone: &[Bytes]) -> Result<(), String> {
        let there = sums(libraries.iter().map(Arc::as_ref));
        let going = sums(gone.iter().filter_map(|name| libraries.get(name)).map(Arc::as_ref));
        let coming = sums(self.loaded.iter());
        let is_beyond = [LIBRARIES_MAX, FUNCTIONS_MAX, LIBRARY_CODE_BYTES_MAX]
            .into_iter()
            .enumerate()
            .any(|(index, max)| there[index] + coming[index] - going[index] > max);
        match is_beyond {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    fn go_on(&mut self, shard: &mut Shard, work: &mut Work) -> Result<Step<Reply>, String> {
        loop {
            if self.read(work)? {
                // There is more to read.
            } else if self.running.is_none() && !self.begin(shard)? {
                return self.settle(shard).map(Step::Done);
            } else if self.resume(shard)? {
                // What a short library takes.
                work.spend(shard.setup.slice_work / 4);
            } else {
                return Ok(Step::More);
            }
            if work.is_spent() {
                return Ok(Step::More);
            }
        }
    }
}

/// How many there are, with how many functions and how many bytes of code.
fn sums<'l>(libraries: impl Iterator<Item = &'l Library>) -> [usize; 3] {
    libraries.fold([0; 3], |[count, functions, bytes], library| {
        [
            count + 1,
            functions + library.functions.len(),
            bytes + library.code.len(),
        ]
    })
}

fn too_many() -> String {
    format!(
        "ERR there can be at most {LIBRARIES_MAX} libraries with {FUNCTIONS_MAX} functions and {LIBRARY_CODE_BYTES_MAX} bytes of code"
    )
}

fn made_of(library: &LibraryCode, registered: Vec<Registered>) -> Library {
    let functions = registered.into_iter().map(|function| LibraryFunction {
        name: function.name.into(),
        description: function.description,
        flags: function.flags.bits(),
    });
    // In memory of its own: the code may be a part of a large request.
    let code = Bytes::copy_from_slice(&library.code);
    Library::new(library.name.clone().into(), code, functions.collect())
}

impl Task for Loading {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        let reply = match self.go_on(shard, work) {
            Ok(Step::More) => return Step::More,
            Ok(Step::Done(reply)) => reply,
            Err(text) => Reply::Error(text),
        };
        shard.note_script_garbage();
        Step::Done(PartialReply::Reply(reply))
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

/// A payload whose checksum is not complete.
struct Dumping {
    payload: Vec<u8>,
    checksum: Checksum,
    checked: usize,
}

impl Task for Dumping {
    type Answer = PartialReply;

    fn slice(&mut self, _: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        while self.checked < self.payload.len() {
            let end = (self.checked + CHECKED_BYTES).min(self.payload.len());
            self.checksum.update(&self.payload[self.checked..end]);
            work.spend(CHECKED_BYTE_WORK * (end - self.checked) as u64);
            self.checked = end;
            if work.is_spent() && end < self.payload.len() {
                return Step::More;
            }
        }
        let payload = with_checksum(std::mem::take(&mut self.payload), self.checksum);
        Step::Done(PartialReply::Reply(Reply::Bulk(payload.into())))
    }
}
