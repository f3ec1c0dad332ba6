//! Commands that clients, GUIs and exporters send to every server, and to which there is little to say here: there are no
//! replicas, no modules and no debugger.

use kora_resp::{Reply, number};

use crate::Command;
use crate::arguments::Arguments;
use crate::clients::timeout_ms;
use crate::error::ClientError;
use crate::row::{CONTAINER, CommandEntry, DataAccess, PLAIN};
use crate::syntax::Argument;

/// `ROLE`
fn role(_: &Arguments<'_>) -> Result<Command, ClientError> {
    let parts = vec![
        Reply::Text("master".to_owned()),
        Reply::Integer(0),
        Reply::Array(Vec::new()),
    ];
    Ok(answered(Reply::Array(parts)))
}

/// `WAIT replicas timeout`: none will ever have anything, so there is nothing to wait for.
fn wait(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    arguments.integer(1)?;
    timeout_ms(arguments, 2)?;
    Ok(answered(Reply::Integer(0)))
}

/// `WAITAOF local replicas timeout`
fn wait_log(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let local = arguments.integer(1)?;
    if !(0..=1).contains(&local) {
        return Err(ClientError::Said(
            "ERR value is out of range, value must between 0 and 1",
        ));
    }
    let replicas = arguments.integer(2)?;
    if replicas < 0 {
        return Err(ClientError::Said("ERR value is out of range, must be positive"));
    }
    timeout_ms(arguments, 3)?;
    Ok(Command::WaitLog { local: local == 1 })
}

/// `MODULE LIST`
fn module_list(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(answered(Reply::Array(Vec::new())))
}

/// `MODULE LOAD`, `LOADEX` and `UNLOAD`: refused as by a Redis that does not allow them.
fn module_change(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Err(ClientError::Said(
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

/// `DEBUG …`: refused as by a Redis that does not allow it.
fn debug(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Err(ClientError::Said(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

/// `LOLWUT [VERSION number] [argument …]`
fn lolwut(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() > 2 && arguments.is(1, "VERSION") {
        number::parse_i64(arguments.word(2)).ok_or(ClientError::NotInteger)?;
    }
    Ok(answered(Reply::Verbatim(PICTURE.to_owned())))
}

/// `MODULE HELP`
fn module_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST",
        "    Return a list of loaded modules. There are none.",
        "LOAD <path> [<arg> ...]",
        "    Refused.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Refused.",
        "UNLOAD <name>",
        "    Refused.",
        "HELP",
        "    Print this help.",
    ]))
}

fn answered(reply: Reply) -> Command {
    Command::Answered(Box::new(reply))
}

/// A greedy walk on two layers: from the entry point down to the nearest.
const PICTURE: &str = "
      o-----------o
     /|            \\
    o |             o          layer 1
      |              \\.
   .  |  .   .     .   \\  .
  o---o---o---o---o     o--o   layer 0
       \\ /     \\ /       \\ |
        o---o---o---------(x)

Who is near? Kōra, in the words of Redis ver. 8.2.3
";

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "debug",
        reply: "An error, as Redis's with its default settings.",
        arity: -2,
        is_admin: true,
        summary: "Is refused.",
        arguments: &[
            Argument::string("subcommand"),
            Argument::string("arg").optional().multiple(),
        ],
        parse: debug,
        ..OF_SERVER
    },
    CommandEntry {
        name: "lolwut",
        reply: "A text with a picture, and the version of the Redis whose replies Kōra follows.",
        arity: -1,
        access: DataAccess::Read,
        is_fast: true,
        other_flags: &[],
        summary: "Draws a picture.",
        arguments: &[
            Argument::integer("version").after("VERSION").optional(),
            Argument::string("arg").optional().multiple(),
        ],
        parse: lolwut,
        ..OF_SERVER
    },
    CommandEntry {
        name: "module",
        arity: -2,
        summary: "A container for commands about modules; there are none.",
        subcommands: MODULE,
        group: "server",
        ..CONTAINER
    },
    CommandEntry {
        name: "role",
        reply: "An array: `master`, 0, and an empty array, for there are no replicas.",
        is_fast: true,
        categories: &["@admin", "@dangerous"],
        summary: "Returns the role of the server.",
        parse: role,
        ..OF_SERVER
    },
    CommandEntry {
        name: "wait",
        reply: "0, at once: there are no replicas.",
        arity: 3,
        arguments: &[Argument::integer("numreplicas"), Argument::integer("timeout")],
        summary: "Returns how many replicas have what the connection wrote.",
        parse: wait,
        ..WAITING
    },
    CommandEntry {
        name: "waitaof",
        reply: "An array of two numbers: 1 if what was written is safe on this server's disk, and 0 replicas. An error if it is asked for with `appendonly no`.",
        notes: "With 1 as `numlocal` the reply comes when the log is on disk, however long that takes; nothing is waited for otherwise.",
        arity: 4,
        arguments: &[
            Argument::integer("numlocal"),
            Argument::integer("numreplicas"),
            Argument::integer("timeout"),
        ],
        summary: "Waits until what the connection wrote is on disk.",
        parse: wait_log,
        ..WAITING
    },
];

const MODULE: &[CommandEntry] = &[
    CommandEntry {
        name: "module|help",
        reply: "An array of lines.",
        arity: 2,
        summary: "Returns help about MODULE.",
        parse: module_help,
        ..PLAIN_OF_SERVER
    },
    CommandEntry {
        name: "module|list",
        reply: "An empty array.",
        arity: 2,
        is_admin: true,
        other_flags: &["noscript"],
        summary: "Lists modules; there are none.",
        parse: module_list,
        ..OF_SERVER
    },
    CommandEntry {
        name: "module|load",
        reply: "An error.",
        arity: -3,
        summary: "Is refused.",
        arguments: &[Argument::string("path"), Argument::string("arg").optional().multiple()],
        ..MODULE_CHANGE
    },
    CommandEntry {
        name: "module|loadex",
        reply: "An error.",
        arity: -3,
        summary: "Is refused.",
        arguments: &[Argument::string("path"), Argument::string("arg").optional().multiple()],
        ..MODULE_CHANGE
    },
    CommandEntry {
        name: "module|unload",
        reply: "An error.",
        arity: 3,
        summary: "Is refused.",
        arguments: &[Argument::string("name")],
        ..MODULE_CHANGE
    },
];

const PLAIN_OF_SERVER: CommandEntry = CommandEntry {
    group: "server",
    ..PLAIN
};

const OF_SERVER: CommandEntry = CommandEntry {
    other_flags: &["noscript", "loading", "stale"],
    ..PLAIN_OF_SERVER
};

const MODULE_CHANGE: CommandEntry = CommandEntry {
    is_admin: true,
    other_flags: &["noscript", "no_async_loading"],
    parse: module_change,
    ..PLAIN_OF_SERVER
};

const WAITING: CommandEntry = CommandEntry {
    other_flags: &["blocking"],
    categories: &["@blocking", "@connection"],
    group: "generic",
    ..PLAIN
};
