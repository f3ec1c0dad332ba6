//! Syntax of functions: FCALL, and FUNCTION with what it has below.

use bytes::Bytes;
use kora_resp::glob::{Case, Pattern};
use kora_resp::{Reply, Version, number};
use kora_values::Database;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::function_request::{FunctionChange, FunctionRequest, RestorePolicy};
use crate::limits::{NAME_PATTERN_BYTES_MAX, QUOTED_BYTES_MAX};
use crate::row::{CONTAINER, CommandEntry, DataAccess};
use crate::scripting::{BEHIND, EVALUATION, Evaluation, SCRIPT, ScriptSource};
use crate::syntax::{Argument, FLUSH};

fn call(arguments: &Arguments<'_>, is_read_only: bool) -> Result<Command, ClientError> {
    let count = match number::parse_i64(arguments.word(2)) {
        None => Err("ERR Bad number of keys provided"),
        Some(count) => match usize::try_from(count) {
            Err(_) => Err("ERR Number of keys can't be negative"),
            Ok(count) if count > arguments.count() - 3 => {
                Err("ERR Number of keys can't be greater than number of args")
            }
            Ok(count) => Ok(count),
        },
    };
    // Whether there is such a function is looked at first.
    let fault = count.err();
    let count = count.unwrap_or(0);
    let keys = (3..3 + count).map(|index| arguments.key(index).map(Bytes::copy_from_slice));
    Ok(Command::Evaluate(Box::new(Evaluation {
        source: ScriptSource::Function(arguments.owned(1), fault),
        keys: keys.collect::<Result<_, _>>()?,
        arguments: arguments.owned_from(3 + count),
        database: Database::ZERO,
        is_read_only,
        rights: None,
        version: Version::Resp2,
    })))
}

fn fcall(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    call(arguments, false)
}

fn fcall_ro(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    call(arguments, true)
}

fn change(change: FunctionChange) -> Command {
    Command::Function(Box::new(FunctionRequest::Change(change)))
}

fn load(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let last = arguments.count() - 1;
    match (2..last).find(|index| !arguments.is(*index, "REPLACE")) {
        Some(index) => Ok(unknown("Unknown option given:", arguments.word(index))),
        None => Ok(change(FunctionChange::Load {
            code: arguments.owned(last),
            replaces: last > 2,
        })),
    }
}

fn list(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let (mut pattern, mut with_code, mut index) = (None, false, 2);
    while index < arguments.count() {
        if !with_code && arguments.is(index, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && arguments.is(index, "LIBRARYNAME") {
            index += 1;
            if index == arguments.count() {
                return Err(ClientError::Said("ERR library name argument was not given"));
            }
            let text = arguments.word(index);
            if text.len() > NAME_PATTERN_BYTES_MAX {
                let (bytes, max) = (text.len(), NAME_PATTERN_BYTES_MAX);
                return Err(ClientError::PatternTooLong { bytes, max });
            }
            pattern = Some(Pattern::new(text, Case::Insensitive));
        } else {
            return Ok(unknown("Unknown argument", arguments.word(index)));
        }
        index += 1;
    }
    Ok(Command::Function(Box::new(FunctionRequest::List {
        pattern,
        with_code,
    })))
}

fn delete(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(change(FunctionChange::Delete(arguments.owned(2))))
}

fn flush(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    refuse_more_than(3, "function", arguments)?;
    match arguments.count() == 2 || arguments.is(2, "ASYNC") || arguments.is(2, "SYNC") {
        true => Ok(change(FunctionChange::Flush)),
        false => Err(ClientError::Said("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
    }
}

fn dump(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(change(FunctionChange::Dump))
}

fn restore(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    refuse_more_than(4, "function", arguments)?;
    let policy = if arguments.count() == 3 || arguments.is(3, "APPEND") {
        RestorePolicy::Append
    } else if arguments.is(3, "REPLACE") {
        RestorePolicy::Replace
    } else if arguments.is(3, "FLUSH") {
        RestorePolicy::Flush
    } else {
        return Err(ClientError::Said(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    };
    let payload = arguments.owned(2);
    Ok(change(FunctionChange::Restore { payload, policy }))
}

fn stats(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Function(Box::new(FunctionRequest::Stats)))
}

fn kill(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Function(Box::new(FunctionRequest::Kill)))
}

fn help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(HELP))
}

fn refuse_more_than(count: usize, command: &'static str, arguments: &Arguments<'_>) -> Result<(), ClientError> {
    if arguments.count() <= count {
        return Ok(());
    }
    let subcommand = arguments.word(1).to_vec();
    Err(ClientError::UnknownSubcommandOrArguments { command, subcommand })
}

/// An error about a word, which stands in it.
fn unknown(what: &str, word: &[u8]) -> Command {
    let word = String::from_utf8_lossy(&word[..word.len().min(QUOTED_BYTES_MAX)]);
    Command::Answered(Box::new(Reply::Error(format!("ERR {what} {word}"))))
}

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name collision with another library).",
    "HELP",
    "    Print this help.",
];

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "fcall",
        summary: "Calls a function.",
        reply: "What the function returns.",
        notes: NOTES,
        arguments: &[Argument::string("function"), BEHIND[0], BEHIND[1], BEHIND[2]],
        parse: fcall,
        ..EVALUATION
    },
    CommandEntry {
        name: "fcall_ro",
        summary: "Calls a function that writes nothing.",
        access: DataAccess::Read,
        reply: "What the function returns. An error unless it has the flag `no-writes`.",
        arguments: &[Argument::string("function"), BEHIND[0], BEHIND[1], BEHIND[2]],
        parse: fcall_ro,
        ..EVALUATION
    },
    CommandEntry {
        name: "function",
        group: "scripting",
        summary: "Commands on the libraries of functions that there are.",
        subcommands: SUBCOMMANDS,
        ..CONTAINER
    },
];

const SUBCOMMANDS: &[CommandEntry] = &[
    CommandEntry {
        name: "function|delete",
        arity: 3,
        access: DataAccess::Write,
        summary: "Deletes a library with its functions.",
        reply: "`OK`.",
        arguments: &[Argument::string("library-name")],
        parse: delete,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|dump",
        arity: 2,
        summary: "Returns all libraries as FUNCTION RESTORE takes them.",
        reply: "A string.",
        notes: "The form is Redis's: each server restores what the other one has dumped.",
        parse: dump,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|flush",
        arity: -2,
        access: DataAccess::Write,
        summary: "Deletes all libraries.",
        reply: "`OK`.",
        arguments: FLUSH,
        parse: flush,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|help",
        arity: 2,
        other_flags: &["loading", "stale"],
        summary: "Lists the subcommands of FUNCTION.",
        reply: "An array of texts.",
        parse: help,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|kill",
        arity: 2,
        other_flags: &["noscript", "allow_busy"],
        summary: "Ends the functions that run for longer than `busy-reply-threshold` and have written nothing.",
        reply: "`OK`; `NOTBUSY` if there is none, `UNKILLABLE` if all have written.",
        parse: kill,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|list",
        arity: -2,
        summary: "Lists libraries and their functions.",
        reply: "For each library a map: its name, its engine, its functions with their descriptions and flags, and its code if that is wanted.",
        arguments: &[
            Argument::pattern("library-name-pattern")
                .after("LIBRARYNAME")
                .optional(),
            Argument::word("withcode", "WITHCODE").optional(),
        ],
        parse: list,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|load",
        arity: -3,
        access: DataAccess::Write,
        adds_memory: true,
        summary: "Makes a library of functions.",
        reply: "The library's name.",
        notes: LOAD_NOTES,
        arguments: &[
            Argument::word("replace", "REPLACE").optional(),
            Argument::string("function-code"),
        ],
        parse: load,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|restore",
        arity: -3,
        access: DataAccess::Write,
        adds_memory: true,
        summary: "Makes the libraries that FUNCTION DUMP has returned.",
        reply: "`OK`. All of them are made, or none if one of them can't be.",
        arguments: &[
            Argument::string("serialized-value"),
            Argument::one_of(
                "policy",
                &[
                    Argument::word("flush", "FLUSH"),
                    Argument::word("append", "APPEND"),
                    Argument::word("replace", "REPLACE"),
                ],
            )
            .optional(),
        ],
        parse: restore,
        ..SCRIPT
    },
    CommandEntry {
        name: "function|stats",
        arity: 2,
        other_flags: &["noscript", "allow_busy"],
        summary: "Says which function runs for longer than a slice, and how many functions there are.",
        reply: "A map. Of several functions that run, the one is shown that began first.",
        parse: stats,
        ..SCRIPT
    },
];

const NOTES: &str = "The function runs as a script does: see EVAL. It is called with two tables, the keys and the other words. A library that has changed since is loaded anew on each shard when one of its functions is first called there; what it keeps in variables of its own is the shard's.";

const LOAD_NOTES: &str = "The code begins with `#!lua name=…`, and registers functions with `redis.register_function`. It must do so within about half a second. Libraries stay until they are deleted, also over a restart if the server saves its data; FLUSHALL leaves them. There are at most 512 libraries with 2,048 functions and 4 MiB of code.";
