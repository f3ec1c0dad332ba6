//! Syntax of scripts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use kora_resp::{Version, Words};
use kora_values::Database;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::row::{CONTAINER, CommandEntry, DataAccess, PLAIN};
use crate::syntax::{Argument, FLUSH};

/// A script or a function that is to run.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Which one.
    pub source: ScriptSource,
    /// Its keys.
    pub keys: Vec<Bytes>,
    /// What else it is given.
    pub arguments: Vec<Bytes>,
    /// It may write nothing.
    pub is_read_only: bool,
    /// What it may call, if its client's user may not do everything: the engine knows.
    pub rights: Option<Arc<dyn ScriptRights>>,
    /// In which the client is answered: the engine knows.
    pub version: Version,
    /// Whose names it means.
    pub database: Database,
}

/// The rights that a script's calls are held against.
pub trait ScriptRights: fmt::Debug + Send + Sync {
    /// Whether the script may send this request. `is_collection` says whether a key is the name of a collection.
    ///
    /// # Errors
    /// What it may not do, for the script to be told.
    fn check(
        &self,
        entry: &CommandEntry,
        words: &Words,
        is_collection: &dyn Fn(&[u8]) -> bool,
        at_ms: u64,
    ) -> Result<(), String>;
}

/// How a client says which script it means.
#[derive(Clone, Debug)]
pub enum ScriptSource {
    /// By its text.
    Text(Bytes),
    /// By the SHA-1 of its text, in hexadecimal digits of any case.
    Sha(Bytes),
    /// A function by its name. If the number of keys is none, that is said when it is known that there is such a function.
    Function(Bytes, Option<&'static str>),
}

impl Evaluation {
    pub(crate) fn bytes_held(&self) -> usize {
        let (ScriptSource::Text(text) | ScriptSource::Sha(text) | ScriptSource::Function(text, _)) = &self.source;
        let words = self.keys.iter().chain(&self.arguments);
        text.len() + words.map(|word| word.len() + size_of::<Bytes>()).sum::<usize>()
    }
}

fn evaluation(
    arguments: &Arguments<'_>,
    source: fn(Bytes) -> ScriptSource,
    is_read_only: bool,
) -> Result<Command, ClientError> {
    let count = arguments.integer(2)?;
    let count = usize::try_from(count).map_err(|_| ClientError::Said("ERR Number of keys can't be negative"))?;
    if count > arguments.count() - 3 {
        return Err(ClientError::Said(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let keys = (3..3 + count).map(|index| arguments.key(index).map(Bytes::copy_from_slice));
    Ok(Command::Evaluate(Box::new(Evaluation {
        source: source(arguments.owned(1)),
        keys: keys.collect::<Result<_, _>>()?,
        arguments: arguments.owned_from(3 + count),
        is_read_only,
        rights: None,
        version: Version::Resp2,
        database: Database::ZERO,
    })))
}

fn eval(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    evaluation(arguments, ScriptSource::Text, false)
}

fn eval_ro(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    evaluation(arguments, ScriptSource::Text, true)
}

fn evalsha(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    evaluation(arguments, ScriptSource::Sha, false)
}

fn evalsha_ro(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    evaluation(arguments, ScriptSource::Sha, true)
}

fn load(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ScriptLoad(arguments.owned(2)))
}

fn exists(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ScriptExists(arguments.owned_from(2)))
}

fn flush(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let is_known = arguments.count() == 2 || arguments.is(2, "ASYNC") || arguments.is(2, "SYNC");
    match is_known && arguments.count() <= 3 {
        true => Ok(Command::ScriptFlush),
        false => Err(ClientError::Said("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
}

fn kill(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ScriptKill)
}

fn help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(HELP))
}

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
    "HELP",
    "    Print this help.",
];

pub(crate) const BEHIND: &[Argument] = &[
    Argument::integer("numkeys"),
    Argument::key("key").optional().multiple(),
    Argument::string("arg").optional().multiple(),
];

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "eval",
        summary: "Runs a script in Lua.",
        notes: NOTES,
        arguments: &[Argument::string("script"), BEHIND[0], BEHIND[1], BEHIND[2]],
        parse: eval,
        ..EVALUATION
    },
    CommandEntry {
        name: "eval_ro",
        summary: "Runs a script in Lua that may write nothing.",
        access: DataAccess::Read,
        arguments: &[Argument::string("script"), BEHIND[0], BEHIND[1], BEHIND[2]],
        parse: eval_ro,
        ..EVALUATION
    },
    CommandEntry {
        name: "evalsha",
        summary: "Runs a script that the server knows.",
        arguments: &[Argument::string("sha1"), BEHIND[0], BEHIND[1], BEHIND[2]],
        parse: evalsha,
        ..EVALUATION
    },
    CommandEntry {
        name: "evalsha_ro",
        summary: "Runs a script that the server knows, and that may write nothing.",
        access: DataAccess::Read,
        arguments: &[Argument::string("sha1"), BEHIND[0], BEHIND[1], BEHIND[2]],
        parse: evalsha_ro,
        ..EVALUATION
    },
    CommandEntry {
        name: "script",
        group: "scripting",
        summary: "Commands on the scripts that the server knows.",
        subcommands: SUBCOMMANDS,
        ..CONTAINER
    },
];

const SUBCOMMANDS: &[CommandEntry] = &[
    CommandEntry {
        name: "script|exists",
        arity: -3,
        summary: "Says which scripts the server knows.",
        reply: "An array of 1 and 0, one for each.",
        arguments: &[Argument::string("sha1").multiple()],
        parse: exists,
        ..SCRIPT
    },
    CommandEntry {
        name: "script|flush",
        arity: -2,
        summary: "Forgets all scripts.",
        reply: "`OK`.",
        arguments: FLUSH,
        parse: flush,
        ..SCRIPT
    },
    CommandEntry {
        name: "script|help",
        arity: 2,
        other_flags: &["loading", "stale"],
        summary: "Lists the subcommands of SCRIPT.",
        reply: "An array of texts.",
        parse: help,
        ..SCRIPT
    },
    CommandEntry {
        name: "script|kill",
        arity: 2,
        other_flags: &["noscript", "allow_busy"],
        summary: "Ends the scripts that run for longer than `busy-reply-threshold` and have written nothing.",
        reply: "`OK`; `NOTBUSY` if there is none, `UNKILLABLE` if all have written.",
        parse: kill,
        ..SCRIPT
    },
    CommandEntry {
        name: "script|load",
        arity: 3,
        other_flags: &["noscript", "stale"],
        summary: "Lets the server know a script without running it.",
        reply: "The SHA-1 by which EVALSHA calls it.",
        arguments: &[Argument::string("script")],
        parse: load,
        ..SCRIPT
    },
];

const NOTES: &str = "The script runs whole on the shard of its keys, and nothing else happens there meanwhile. All its keys must have one slot, declared or not, as those with one hash tag have; with the setting `scripts-across-slots` they may have several as long as one shard holds them, and with one worker that is always so. Lua 5.1 with `redis`, `cjson`, `cmsgpack`, `struct` and `bit` as in Redis. It runs in slices: other shards do not wait for it. A script that runs for longer than `busy-reply-threshold` lets other clients of its shard have the error `BUSY`. PUBLISH in a script answers 0, and its message is sent when the script has ended. Commands that need another shard are refused in a script, and those that decide about which collections there are: KEYS, SCAN, RANDOMKEY and DBSIZE answer where there is one shard, VECQUERY where all of the collection lies on the script's.";

/// What commands have in common that run something.
pub(crate) const EVALUATION: CommandEntry = CommandEntry {
    arity: -3,
    access: DataAccess::None,
    group: "scripting",
    categories: &["@scripting"],
    other_flags: &["noscript", "stale", "skip_monitor", "no_mandatory_keys", "movablekeys"],
    reply: "What the script returns.",
    ..PLAIN
};

/// What subcommands of SCRIPT and FUNCTION have in common.
pub(crate) const SCRIPT: CommandEntry = CommandEntry {
    group: "scripting",
    categories: &["@scripting"],
    other_flags: &["noscript"],
    ..PLAIN
};
