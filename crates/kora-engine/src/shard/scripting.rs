//! A script or a function on its shard: no other client's command falls in between, and each command that it calls goes the
//! way of any other.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kora_resp::{PrefixedRequest, Reader, ReaderLimits, Reply};
use kora_script::{Call, Ending, Interpreter, Program, Progress, Resume, Run, Running};
use kora_values::Database;
use kora_vector::{Step, Work};

use super::Shard;
use super::asking::is_askable;
use super::task::{Begun, Task, Unfinished};
use crate::access::is_collection;
use crate::aliases::OwnNames;
use crate::answer::answer;
use crate::command::scripting::ScriptRights;
use crate::command::table::{Access, DataAccess, Parsed};
use crate::command::{Action, Command, Element, Message, MultiKeyCommand, StringsReply};
use crate::databases;
use crate::error::ClientError;
use crate::fit::vet;
use crate::gather::{Shape, moves_into_closing};
use crate::limits::{CALLS_PER_SLICE, SCRIPT_MESSAGE_BYTES_MAX};
use crate::mail::{MultiKeyRequest, Origin, PartialReply, RequestBody, ScriptRun, SetVector, StringsPart};
use crate::plan::{names_a_collection, names_collection};
use crate::router::{ShardId, Spread, slot};
use crate::scripts::RunningFunction;
use crate::session::Session;

/// A script between two slices.
pub(super) struct Scripting {
    running: Running,
    next: Next,
    /// What it began with, while it may be begun anew on another shard.
    begun_with: Option<ScriptRun>,
    is_read_only: bool,
    rights: Option<Arc<dyn ScriptRights>>,
    /// The one that it has selected: what it selects is its own.
    database: Database,
    slot: Option<u16>,
    spans_slots: bool,
    /// What it was called with, if it is a function, until FUNCTION STATS can tell of it.
    untold: Option<(Run, &'static str)>,
    is_function: bool,
    has_written: bool,
    /// What it publishes, once it has ended.
    messages: Vec<Arc<Message>>,
    message_bytes: usize,
    origin: Origin,
    at_ms: u64,
}

/// How a script goes on.
enum Next {
    Resume(Resume),
    /// It waits for a command.
    Command(Shape, Unfinished),
}

/// What follows from a call.
enum Called {
    Reply(Reply),
    Unfinished(Shape, Unfinished),
    /// The key lies there, and the script has done nothing yet.
    Elsewhere(ShardId),
}

impl From<ClientError> for Called {
    fn from(error: ClientError) -> Called {
        Called::Reply(Reply::Error(error.to_string()))
    }
}

impl Shard {
    /// Begins a script.
    pub(super) fn begin_script(
        &mut self,
        body: ScriptRun,
        origin: Origin,
        at_ms: u64,
        work: &mut Work,
    ) -> Begun<PartialReply> {
        // Who wanted to end the script before may have been late.
        self.setup.scripts.note_ended(self.id);
        let is_function = matches!(body.run.program, Program::Function { .. });
        let interpreter: &Rc<Interpreter> = match is_function {
            true => self.functions(),
            false => self.interpreter.get_or_insert_with(Interpreter::new),
        };
        let running = interpreter.begin(body.run.clone());
        let scripting = Scripting {
            running,
            next: Next::Resume(Resume::GoOn),
            is_read_only: body.is_read_only,
            spans_slots: body.spans_slots,
            untold: is_function.then(|| (body.run.clone(), body.command)),
            is_function,
            rights: body.rights.clone(),
            database: body.database,
            slot: body.slot,
            begun_with: body.may_move.then_some(body),
            has_written: false,
            messages: Vec::new(),
            message_bytes: 0,
            origin,
            at_ms,
        };
        self.run(scripting, work)
    }

    /// Frees some of what scripts have left behind, if that is much.
    pub(crate) fn collect_scripts(&mut self) {
        let (scripts, functions) = (&self.interpreter, &self.function_interpreter);
        let left = [scripts, functions].map(|one| one.as_ref().is_some_and(|one| !one.collect()));
        self.has_script_garbage = left.contains(&true);
    }

    /// Notes whether scripts or functions have left much behind.
    pub(super) fn note_script_garbage(&mut self) {
        let interpreters = [&self.interpreter, &self.function_interpreter];
        let mut used = interpreters.into_iter().flatten().map(|one| one.used_bytes());
        self.has_script_garbage |= used.any(|used_bytes| used_bytes > SCRIPT_GARBAGE_BYTES);
    }

    /// True if scripts have left much behind.
    pub(crate) fn has_script_garbage(&self) -> bool {
        self.has_script_garbage && !self.queue.is_taken()
    }

    /// Messages that scripts have published.
    pub(crate) fn take_messages(&mut self) -> Vec<Arc<Message>> {
        std::mem::take(&mut self.messages)
    }

    fn end_script(&mut self, script: &mut Scripting, reply: Reply) -> PartialReply {
        if script.has_written {
            self.keyspace.end_batch();
        }
        self.setup.scripts.note_ended(self.id);
        self.messages.append(&mut script.messages);
        self.note_script_garbage();
        PartialReply::Reply(reply)
    }

    fn move_script(&mut self, script: &mut Scripting, shard: ShardId) -> PartialReply {
        self.setup.scripts.note_ended(self.id);
        let body = script.begun_with.take().expect("it was asked for because it is there");
        let body = ScriptRun {
            may_move: false,
            ..body
        };
        PartialReply::Elsewhere(shard, Box::new(body))
    }

    /// Does what a script calls for.
    fn call(&mut self, call: &Call, script: &mut Scripting, work: &mut Work) -> Called {
        let mut reader = Reader::new(ReaderLimits::default());
        let request = match reader.read(&call.request) {
            Ok(Some(request)) => request,
            Ok(None) | Err(_) => return ClientError::Said("ERR the command is longer than a client's may be").into(),
        };
        let (database, databases) = (script.database, self.setup.databases);
        let mut buffer = PrefixedRequest::default();
        let mut parsed = databases::parse(&request, Access::Full, database, databases, &mut buffer);
        let aliases = &self.setup.catalog.aliases();
        let aliases = (!aliases.is_empty()).then(|| aliases.now());
        let own_names = aliases.as_ref();
        let own_names = own_names.map(|aliases| OwnNames::new(aliases, self.setup.catalog.at(script.at_ms)));
        if let Some(rights) = &script.rights
            && !matches!(&parsed.command, Command::Refused(error) if error.is_about_the_words())
        {
            let is_collection = |key: &[u8]| is_collection(&self.setup, database, key, script.at_ms);
            let words = request.words(0);
            let own_words = own_names.and_then(|own_names| own_names.words(parsed.entry, &words, database));
            for words in [Some(words), own_words].iter().flatten() {
                if let Err(text) = rights.check(parsed.entry, words, &is_collection, script.at_ms) {
                    return Called::Reply(Reply::Error(format!("ERR ACL failure in script: {text}")));
                }
            }
        }
        if let Some(own_names) = own_names {
            own_names.give_to(&mut parsed);
        }
        match self.vet_call(parsed, script) {
            Ok((command, is_write)) => self.do_call(command, is_write, script, work),
            Err(error) => error.into(),
        }
    }

    /// What a script may say of all that a client may.
    fn vet_call(&self, parsed: Parsed, script: &Scripting) -> Result<(Command, bool), ClientError> {
        let Parsed { command, entry, .. } = parsed;
        match &command {
            Command::Refused(ClientError::UnknownCommand { .. } | ClientError::UnknownSubcommand { .. }) => {
                return Err(ClientError::Said("ERR Unknown Redis command called from script"));
            }
            Command::Refused(ClientError::WrongArity { .. }) => {
                return Err(ClientError::Said(
                    "ERR Wrong number of args calling Redis command from script",
                ));
            }
            _ => {}
        }
        if entry.other_flags.contains(&"noscript") {
            return Err(ClientError::Said("ERR This Redis command is not allowed from script"));
        }
        let is_write = entry.access == DataAccess::Write;
        if is_write && script.is_read_only {
            return Err(ClientError::Said(
                "ERR Write commands are not allowed from read-only scripts.",
            ));
        }
        if let Command::Refused(error) = command {
            return Err(error);
        }
        if is_write && let Some(error) = crate::durable::refusal_of_writes(&self.setup) {
            return Err(error);
        }
        // No entry goes while a script runs: it would miss what it has just read.
        if entry.adds_memory && !self.has_memory_for(command.data_bytes()) {
            return Err(ClientError::OutOfMemory);
        }
        Ok((command, is_write))
    }

    fn do_call(&mut self, command: Command, is_write: bool, script: &mut Scripting, work: &mut Work) -> Called {
        if let Some(called) = self.find_keys(&command, script) {
            return called;
        }
        if is_write && !std::mem::replace(&mut script.has_written, true) {
            self.keyspace.begin_batch();
        }
        let at_ms = script.at_ms;
        let (shape, body) = match command {
            Command::OnKey(key, action) => {
                return match self.operate(&key, action, at_ms, work).map(PartialReply::Reply) {
                    Begun::Done(part) => Called::Reply(shown(Shape::Whole, part)),
                    Begun::More(task) => Called::Unfinished(Shape::Whole, task),
                };
            }
            Command::MultiKey(multi_key) => several_ask(multi_key),
            Command::Transfer(transfer) => (Shape::Whole, RequestBody::Transfer(transfer)),
            Command::VectorSet(element, vector, options) => {
                let Some(schema) = self.setup.catalog.at(at_ms).find(&element.collection) else {
                    return ClientError::Said("ERR VECSET in a script is for collections that exist").into();
                };
                if let Err(error) = vet(&schema, &vector) {
                    return error.into();
                }
                let (lifetime, only, generation) = (options.lifetime, options.only, schema.generation);
                let setting = SetVector {
                    element,
                    generation,
                    vector,
                    lifetime,
                    only,
                    attributes: options.attributes.map(Bytes::from),
                };
                (Shape::Ok, RequestBody::Set(Box::new(setting)))
            }
            Command::VectorGet(element, form) => (Shape::Vector(form), RequestBody::Get(element)),
            Command::VectorAttributes(element, action) => {
                (Shape::Whole, RequestBody::Attributes(Box::new((element, *action))))
            }
            Command::VectorDelete(elements) => (Shape::Whole, RequestBody::Delete(elements)),
            Command::Publish(message) => return script.publish(*message),
            Command::Select(selected) => {
                script.database = selected;
                return Called::Reply(Reply::ok());
            }
            command if is_askable(&command) => {
                script.begun_with = None;
                return match self.ask_itself(command, script.origin, at_ms, work) {
                    Begun::Done(part) => Called::Reply(shown(Shape::Whole, part)),
                    Begun::More(task) => Called::Unfinished(Shape::Whole, task),
                };
            }
            command => return self.answer_call(command, at_ms),
        };
        match self.execute(body, script.origin, at_ms, work) {
            Begun::Done(part) => Called::Reply(shown(shape, part)),
            Begun::More(task) => Called::Unfinished(shape, task),
        }
    }

    /// What is answered without data.
    fn answer_call(&self, command: Command, at_ms: u64) -> Called {
        let is_answered = matches!(
            command,
            Command::Ping(_)
                | Command::Echo(_)
                | Command::Time
                | Command::LastSave
                | Command::CommandInfo(_)
                | Command::CommandCount
                | Command::CommandList(_)
                | Command::CommandDocs(_)
                | Command::Help(_)
        );
        let mut session = Session::new(0, String::new(), String::new(), 0);
        match is_answered.then(|| answer(command, &mut session, &self.setup, 0, at_ms * 1000)) {
            Some(Ok((Some(reply), _))) => Called::Reply(reply),
            _ => ClientError::Said("ERR This command needs several shards, and is not allowed from script").into(),
        }
    }

    /// Looks where the keys lie. `None` if here, and where the script may reach them.
    fn find_keys(&self, command: &Command, script: &mut Scripting) -> Option<Called> {
        let catalog = self.setup.catalog.at(script.at_ms);
        let decides = || Some(ClientError::Said("ERR A script can't decide about a collection").into());
        match command {
            Command::OnKey(key, action) => {
                if let Action::Key(action) = action
                    && action.may_concern_a_collection()
                    && catalog.holds(key)
                {
                    return decides();
                }
                self.find_key(key, script)
            }
            Command::MultiKey(multi_key) => {
                let is_name = match multi_key {
                    MultiKeyCommand::Delete(keys) => names_a_collection(keys, catalog),
                    MultiKeyCommand::SetStrings(_) => multi_key.keys().any(|key| catalog.holds(key)),
                    _ => false,
                };
                if is_name {
                    return decides();
                }
                multi_key.keys().find_map(|key| self.find_key(key, script))
            }
            Command::Transfer(transfer) => {
                if moves_into_closing(transfer, catalog) || names_collection(transfer, catalog) {
                    return decides();
                }
                let found = self.find_key(&transfer.from, script);
                found.or_else(|| self.find_key(&transfer.to, script))
            }
            Command::VectorSet(element, ..) if !catalog.takes_vectors(&element.collection) => {
                Some(ClientError::Said("ERR VECSET in a script is for collections that exist").into())
            }
            Command::VectorSet(Element { collection, name }, ..)
            | Command::VectorGet(Element { collection, name }, _)
            | Command::VectorAttributes(Element { collection, name }, _) => self.find_element(collection, name, script),
            Command::VectorDelete(elements) => elements
                .iter()
                .find_map(|(collection, name)| self.find_element(collection, name, script)),
            // A collection with a hash tag lies where that does.
            Command::VectorQuery(query) => match self.placement.spread_of(&query.target) {
                Spread::One(shard) if shard != self.id => self.find_key(&query.target, script),
                _ => None,
            },
            _ => None,
        }
    }

    /// An element of a vector set lies where the set does.
    fn find_element(&self, collection: &[u8], name: &[u8], script: &mut Scripting) -> Option<Called> {
        match self.setup.catalog.at(script.at_ms).holds_set(collection) {
            true => self.find_key(collection, script),
            false => self.find_pieces(&[collection, b":", name], script),
        }
    }

    fn find_key(&self, key: &[u8], script: &mut Scripting) -> Option<Called> {
        self.find_pieces(&[key], script)
    }

    fn find_pieces(&self, pieces: &[&[u8]], script: &mut Scripting) -> Option<Called> {
        let slot = slot(pieces);
        let shard = self.placement.shard_of_slot(slot);
        let is_first = script.slot.is_none();
        if shard != self.id {
            return Some(match is_first && script.begun_with.is_some() {
                true => Called::Elsewhere(shard),
                false => ClientError::Said("ERR Script attempted to access a non local key in a cluster node").into(),
            });
        }
        script.begun_with = None;
        let expected = *script.slot.get_or_insert(slot);
        match expected == slot || script.spans_slots {
            true => None,
            false => {
                Some(ClientError::Said("ERR Script attempted to access keys that do not hash to the same slot").into())
            }
        }
    }
}

impl Task for Scripting {
    type Answer = PartialReply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<PartialReply> {
        for _ in 0..CALLS_PER_SLICE {
            let next = std::mem::replace(&mut self.next, Next::Resume(Resume::GoOn));
            let resume = match next {
                _ if shard.setup.scripts.is_killed(shard.id) => Resume::End(match self.is_function {
                    true => Ending::FunctionKilled,
                    false => Ending::Killed,
                }),
                Next::Resume(resume) => resume,
                Next::Command(shape, mut task) => match task.slice(shard, work) {
                    Step::Done(part) => Resume::Reply(shown(shape, part)),
                    Step::More => {
                        self.next = Next::Command(shape, task);
                        break;
                    }
                },
            };
            match self.running.resume(resume) {
                Progress::Slice => break,
                Progress::Ended(reply) => return Step::Done(shard.end_script(self, reply)),
                Progress::Call(call) => {
                    self.next = match shard.call(&call, self, work) {
                        Called::Reply(reply) => Next::Resume(Resume::Reply(reply)),
                        Called::Unfinished(shape, task) => Next::Command(shape, task),
                        Called::Elsewhere(to) => return Step::Done(shard.move_script(self, to)),
                    }
                }
            }
            if work.is_spent() {
                break;
            }
        }
        let untold = self.untold.take();
        if let Some(function) = untold.and_then(|(run, command)| RunningFunction::of(&run, command, self.at_ms)) {
            shard.setup.scripts.note_function(shard.id, function);
        }
        shard.setup.scripts.note_running(shard.id, self.at_ms, self.has_written);
        Step::More
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Scripting {
    fn publish(&mut self, message: Message) -> Called {
        self.message_bytes += message.channel.len() + message.payload.len() + size_of::<Message>();
        if self.message_bytes > SCRIPT_MESSAGE_BYTES_MAX {
            return ClientError::Said("ERR A script can't publish so much").into();
        }
        self.messages.push(Arc::new(message));
        Called::Reply(Reply::Integer(0))
    }
}

fn several_ask(multi_key: MultiKeyCommand) -> (Shape, RequestBody) {
    let (shape, body) = match multi_key {
        MultiKeyCommand::Delete(keys) => (Shape::Whole, MultiKeyRequest::Delete(keys)),
        MultiKeyCommand::Exist(keys) => (Shape::Whole, MultiKeyRequest::Count(keys)),
        MultiKeyCommand::Touch(keys) => (Shape::Whole, MultiKeyRequest::Touch(keys)),
        MultiKeyCommand::GetStrings(keys) => (Shape::Whole, MultiKeyRequest::GetStrings(keys)),
        MultiKeyCommand::SetStrings(setting) => {
            let shape = match setting.reply {
                StringsReply::Ok => Shape::Ok,
                StringsReply::Flag => Shape::Whole,
            };
            let (pairs, lifetime, only) = (setting.pairs, setting.lifetime, setting.only);
            (
                shape,
                MultiKeyRequest::SetStrings(StringsPart { pairs, lifetime, only }),
            )
        }
    };
    (shape, RequestBody::MultiKey(body))
}

/// What one shard answers to a command that it does alone.
fn shown(shape: Shape, part: PartialReply) -> Reply {
    match (shape, part) {
        (_, PartialReply::Refused(error)) => Reply::Error(error.to_string()),
        (_, PartialReply::Deleted(count, _)) => shape.show(PartialReply::Count(count)),
        (Shape::Ok, PartialReply::Count(_)) => Reply::ok(),
        (shape, part) => shape.show(part),
    }
}

/// Lua's memory from which on a script's garbage is collected when it has ended. Below, the next scripts do that in passing.
const SCRIPT_GARBAGE_BYTES: usize = 1 << 20;
