//! The list of all commands: name, arity, flags, keys, documentation, parser. Whatever is said about a command to a
//! client (COMMAND, COMMAND DOCS, the reference in the documentation) is read off here.

use bytes::Bytes;
use kora_resp::{Request, glob};

use super::arguments::Arguments;
use super::{Command, admin, connection, vectors};
use crate::error::ClientError;

/// One command, or one subcommand of a container.
pub struct Entry {
    /// Lower case; `container|subcommand` for a subcommand.
    pub name: &'static str,
    /// Number of words with the name; negative: at least that many.
    pub arity: i32,
    /// Redis's flags.
    pub flags: &'static [&'static str],
    /// Positions of the keys: first, last (negative from the end), step; zeros if there are none.
    pub keys: (i32, i32, i32),
    /// Redis's group, or `vector`.
    pub group: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its arguments as one would type them, without the name.
    pub syntax: &'static str,
    /// Allowed before AUTH.
    pub before_auth: bool,
    /// Subcommands, for a container.
    pub subcommands: &'static [Entry],
    parse: fn(&Arguments<'_>) -> Result<Command, ClientError>,
}

/// `FILTERBY` of COMMAND LIST.
#[derive(Clone, PartialEq, Debug)]
pub enum Filter {
    /// Commands of a module; there are no modules.
    Module,
    /// Commands of an ACL category.
    Category(Bytes),
    /// Commands whose name matches a glob pattern.
    Pattern(Bytes),
}

impl Filter {
    pub(crate) fn admits(&self, entry: &Entry) -> bool {
        match self {
            Filter::Module => false,
            Filter::Category(category) => entry
                .categories()
                .iter()
                .any(|known| known.as_bytes()[1..].eq_ignore_ascii_case(category)),
            Filter::Pattern(pattern) => glob::matches(pattern, entry.name.as_bytes(), glob::Case::Insensitive),
        }
    }
}

impl Entry {
    /// Redis's ACL categories that follow from the flags and the group.
    pub fn categories(&self) -> Vec<&'static str> {
        let has = |flag| self.flags.contains(&flag);
        let mut categories = Vec::new();
        if has("write") {
            categories.push("@write");
        }
        if has("readonly") {
            categories.push("@read");
        }
        if has("admin") {
            categories.extend(["@admin", "@dangerous"]);
        }
        categories.push(if has("fast") { "@fast" } else { "@slow" });
        if self.group == "connection" {
            categories.push("@connection");
        }
        if self.group == "vector" {
            categories.push("@vector");
        }
        categories
    }

    fn accepts(&self, words: usize) -> bool {
        let words = i32::try_from(words).unwrap_or(i32::MAX);
        if self.arity >= 0 {
            words == self.arity
        } else {
            words >= -self.arity
        }
    }
}

/// All commands in order of their names, without subcommands.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    COMMANDS.iter()
}

/// The command of that name, in any case of letters; also `container|subcommand`.
pub fn find(name: &[u8]) -> Option<&'static Entry> {
    let container = name.split(|byte| *byte == b'|').next().unwrap_or(name);
    let entry = find_in(COMMANDS, container)?;
    if container.len() == name.len() {
        Some(entry)
    } else {
        find_in(entry.subcommands, name)
    }
}

/// What a request says.
pub struct Parsed {
    /// The command.
    pub command: Command,
    /// Its entry's name, or that of nothing.
    pub name: &'static str,
}

/// Whether the connection may say everything or must authenticate first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It may say everything.
    Full,
    /// It has to authenticate first.
    BeforeAuth,
}

/// Reads a request. What is wrong with it becomes a [`Command::Refused`], which takes its place in the order of
/// replies. The order of checks is Redis's: does it exist, has it as many words, may this connection say it.
///
/// # Panics
/// If the request is empty: an empty request is no command and has no reply.
pub fn parse(request: &Request<'_>, access: Access) -> Parsed {
    let arguments = Arguments::new(request);
    match parse_entry(&arguments, access) {
        Ok((entry, Ok(command))) => Parsed {
            command,
            name: entry.name,
        },
        Ok((entry, Err(error))) => Parsed {
            command: Command::Refused(error),
            name: entry.name,
        },
        Err(error) => Parsed {
            command: Command::Refused(error),
            name: "",
        },
    }
}

type Outcome = (&'static Entry, Result<Command, ClientError>);

fn parse_entry(arguments: &Arguments<'_>, access: Access) -> Result<Outcome, ClientError> {
    let name = arguments.word(0);
    let Some(mut entry) = find_in(COMMANDS, name) else {
        return Err(ClientError::UnknownCommand {
            name: name.to_vec(),
            arguments: quotable(arguments),
        });
    };
    if !entry.subcommands.is_empty() && arguments.count() > 1 {
        let subcommand = arguments.word(1);
        let found = entry
            .subcommands
            .iter()
            .find(|candidate| candidate.name.as_bytes()[entry.name.len() + 1..].eq_ignore_ascii_case(subcommand));
        entry = found.ok_or_else(|| ClientError::UnknownSubcommand {
            command: entry.name,
            subcommand: subcommand.to_vec(),
        })?;
    }
    if !entry.accepts(arguments.count()) {
        return Err(ClientError::WrongArity {
            command: entry.name.to_owned(),
        });
    }
    if access == Access::BeforeAuth && !entry.before_auth {
        return Err(ClientError::NotAuthenticated);
    }
    Ok((entry, (entry.parse)(arguments)))
}

/// As many of the arguments as an error can quote.
fn quotable(arguments: &Arguments<'_>) -> Vec<Vec<u8>> {
    let mut room = crate::limits::QUOTED_BYTES_MAX;
    let mut quoted = Vec::new();
    for index in 1..arguments.count() {
        if room == 0 {
            break;
        }
        let word = arguments.word(index);
        let shown = &word[..word.len().min(room)];
        room -= shown.len();
        quoted.push(shown.to_vec());
    }
    quoted
}

fn find_in(entries: &'static [Entry], name: &[u8]) -> Option<&'static Entry> {
    // Some thirty names: comparing lengths first makes a scan as fast as anything with a hash.
    entries
        .iter()
        .find(|entry| entry.name.as_bytes().eq_ignore_ascii_case(name))
}

/// A container without a subcommand that stands for itself: Redis asks for one by its arity.
fn container(_: &Arguments<'_>) -> Result<Command, ClientError> {
    unreachable!("a container's arity is -2, so it is never parsed itself")
}

/// What most entries have in common; each names what it departs in.
const PLAIN: Entry = Entry {
    name: "",
    arity: 1,
    flags: &["loading", "stale", "fast"],
    keys: (0, 0, 0),
    group: "connection",
    summary: "",
    syntax: "",
    before_auth: false,
    subcommands: &[],
    parse: container,
};

const VECTOR_WRITE: Entry = Entry {
    flags: &["write", "denyoom"],
    keys: (1, 1, 1),
    group: "vector",
    ..PLAIN
};
const VECTOR_READ: Entry = Entry {
    flags: &["readonly"],
    keys: (1, 1, 1),
    group: "vector",
    ..PLAIN
};
const SERVER: Entry = Entry {
    flags: &["loading", "stale"],
    group: "server",
    ..PLAIN
};

const COMMANDS: &[Entry] = &[
    Entry {
        name: "auth",
        arity: -2,
        summary: "Authenticates the connection.",
        syntax: "[username] password",
        before_auth: true,
        parse: connection::auth,
        ..PLAIN
    },
    Entry {
        name: "client",
        arity: -2,
        summary: "A container for commands about client connections.",
        subcommands: CLIENT,
        ..PLAIN
    },
    Entry {
        name: "command",
        arity: -1,
        summary: "Returns detailed information about all commands.",
        subcommands: COMMAND,
        parse: admin::command,
        ..SERVER
    },
    Entry {
        name: "config",
        arity: -2,
        summary: "A container for commands about the server's settings.",
        subcommands: CONFIG,
        ..SERVER
    },
    Entry {
        name: "dbsize",
        flags: &["readonly"],
        summary: "Returns the number of keys: every vector is one.",
        parse: admin::dbsize,
        ..SERVER
    },
    Entry {
        name: "echo",
        arity: 2,
        summary: "Returns the given string.",
        syntax: "message",
        parse: connection::echo,
        ..PLAIN
    },
    Entry {
        name: "flushall",
        arity: -1,
        flags: &["write"],
        summary: "Removes all collections and their vectors. Memory is freed in the background.",
        syntax: "[ASYNC | SYNC]",
        parse: admin::flush,
        ..SERVER
    },
    Entry {
        name: "flushdb",
        arity: -1,
        flags: &["write"],
        summary: "Does what FLUSHALL does: there is one database.",
        syntax: "[ASYNC | SYNC]",
        parse: admin::flush,
        ..SERVER
    },
    Entry {
        name: "hello",
        arity: -1,
        summary: "Chooses the protocol version, and authenticates and names the connection on the way.",
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        before_auth: true,
        parse: connection::hello,
        ..PLAIN
    },
    Entry {
        name: "info",
        arity: -1,
        summary: "Returns information about the server, by sections.",
        syntax: "[section [section ...]]",
        parse: admin::info,
        ..SERVER
    },
    Entry {
        name: "ping",
        arity: -1,
        summary: "Returns PONG, or the given message.",
        syntax: "[message]",
        parse: connection::ping,
        ..PLAIN
    },
    Entry {
        name: "quit",
        arity: -1,
        summary: "Closes the connection when all replies have been sent.",
        before_auth: true,
        parse: connection::quit,
        ..PLAIN
    },
    Entry {
        name: "select",
        arity: 2,
        summary: "Chooses a database; there is only 0.",
        syntax: "index",
        parse: connection::select,
        ..PLAIN
    },
    Entry {
        name: "shutdown",
        arity: -1,
        flags: &["admin", "loading", "stale"],
        summary: "Stops the server when what it has received is done.",
        syntax: "[NOSAVE | SAVE] [NOW] [FORCE]",
        parse: admin::shutdown,
        ..SERVER
    },
    Entry {
        name: "veccreate",
        arity: -4,
        summary: "Makes an empty collection. An error if there is one of that name.",
        syntax: "collection DIM d [METRIC COSINE | L2 | IP] [M m] [EF_CONSTRUCTION n] [EF_SEARCH n]",
        parse: vectors::create,
        ..VECTOR_WRITE
    },
    Entry {
        name: "vecdel",
        arity: -2,
        flags: &["write"],
        keys: (1, -1, 1),
        summary: "Deletes vectors; returns how many there were.",
        syntax: "key [key ...]",
        parse: vectors::delete,
        ..VECTOR_WRITE
    },
    Entry {
        name: "vecdrop",
        arity: 2,
        flags: &["write"],
        summary: "Drops a collection with all its vectors; returns 1, or 0 if there is none. Memory is freed in the background.",
        syntax: "collection",
        parse: vectors::drop,
        ..VECTOR_WRITE
    },
    Entry {
        name: "vecget",
        arity: -2,
        summary: "Returns a vector's components, or with FP32 the bytes of its little-endian 32-bit floats.",
        syntax: "key [FP32]",
        parse: vectors::get,
        ..VECTOR_READ
    },
    Entry {
        name: "vecinfo",
        arity: 2,
        summary: "Describes a collection: dimension, metric, parameters, vectors and memory per shard and in total.",
        syntax: "collection",
        parse: vectors::info,
        ..VECTOR_READ
    },
    Entry {
        name: "veclist",
        keys: (0, 0, 0),
        summary: "Returns the names of all collections in byte order.",
        parse: vectors::list,
        ..VECTOR_READ
    },
    Entry {
        name: "vecquery",
        arity: -4,
        summary: "Returns the k nearest vectors of a collection with their distances, nearest first. The collection is \
                  named exactly, or as name:*, or by the key of one of its vectors.",
        syntax: "collection k <v1 ... vdim | FP32 blob> [EF n]",
        parse: vectors::query,
        ..VECTOR_READ
    },
    Entry {
        name: "vecset",
        arity: -4,
        summary: "Sets the vector of the key collection:element. The first one creates the collection.",
        syntax: "key dim <v1 ... vdim | FP32 blob>",
        parse: vectors::set,
        ..VECTOR_WRITE
    },
];

const CLIENT: &[Entry] = &[
    Entry {
        name: "client|getname",
        arity: 2,
        summary: "Returns the name of the connection.",
        parse: connection::client_getname,
        ..PLAIN
    },
    Entry {
        name: "client|help",
        arity: 2,
        summary: "Returns help about CLIENT.",
        parse: connection::client_help,
        ..PLAIN
    },
    Entry {
        name: "client|id",
        arity: 2,
        summary: "Returns the id of the connection.",
        parse: connection::client_id,
        ..PLAIN
    },
    Entry {
        name: "client|info",
        arity: 2,
        summary: "Describes the connection, as a line of CLIENT LIST.",
        parse: connection::client_info,
        ..PLAIN
    },
    Entry {
        name: "client|kill",
        arity: -3,
        flags: &["admin", "loading", "stale"],
        summary: "Closes connections.",
        syntax: "<ip:port | [ID client-id] [ADDR ip:port] [LADDR ip:port] [USER username] [TYPE type] [SKIPME yes | no]>",
        parse: connection::client_kill,
        ..PLAIN
    },
    Entry {
        name: "client|list",
        arity: -2,
        flags: &["admin", "loading", "stale"],
        summary: "Lists open connections.",
        syntax: "[TYPE type] [ID client-id [client-id ...]]",
        parse: connection::client_list,
        ..PLAIN
    },
    Entry {
        name: "client|setinfo",
        arity: 4,
        summary: "Sets the name or the version of the client's library.",
        syntax: "<LIB-NAME libname | LIB-VER libver>",
        parse: connection::client_setinfo,
        ..PLAIN
    },
    Entry {
        name: "client|setname",
        arity: 3,
        summary: "Sets the name of the connection.",
        syntax: "connection-name",
        parse: connection::client_setname,
        ..PLAIN
    },
];

const COMMAND: &[Entry] = &[
    Entry {
        name: "command|count",
        arity: 2,
        summary: "Returns how many commands there are.",
        parse: admin::command_count,
        ..SERVER
    },
    Entry {
        name: "command|docs",
        arity: -2,
        summary: "Returns the documentation of commands.",
        syntax: "[command-name [command-name ...]]",
        parse: admin::command_docs,
        ..SERVER
    },
    Entry {
        name: "command|help",
        arity: 2,
        summary: "Returns help about COMMAND.",
        parse: admin::command_help,
        ..SERVER
    },
    Entry {
        name: "command|info",
        arity: -2,
        summary: "Returns detailed information about commands.",
        syntax: "[command-name [command-name ...]]",
        parse: admin::command_info,
        ..SERVER
    },
    Entry {
        name: "command|list",
        arity: -2,
        summary: "Returns the names of commands.",
        syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        parse: admin::command_list,
        ..SERVER
    },
];

const CONFIG: &[Entry] = &[
    Entry {
        name: "config|get",
        arity: -3,
        flags: &["admin", "loading", "stale"],
        summary: "Returns the settings whose names match.",
        syntax: "parameter [parameter ...]",
        parse: admin::config_get,
        ..SERVER
    },
    Entry {
        name: "config|help",
        arity: 2,
        summary: "Returns help about CONFIG.",
        parse: admin::config_help,
        ..SERVER
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_order_and_are_documented() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        for entry in COMMANDS.iter().chain(CLIENT).chain(COMMAND).chain(CONFIG) {
            assert!(entry.summary.ends_with('.'), "{} has no summary", entry.name);
            assert!(
                entry
                    .subcommands
                    .iter()
                    .all(|sub| sub.name.starts_with(&format!("{}|", entry.name)))
            );
            let takes_more = entry.arity < 0 || entry.arity > 1 + i32::from(entry.name.contains('|'));
            assert!(
                !takes_more || !entry.syntax.is_empty() || !entry.subcommands.is_empty() || entry.name == "quit",
                "{} takes arguments and does not say which",
                entry.name
            );
        }
    }

    #[test]
    fn a_command_is_found_in_any_case_of_letters() {
        assert_eq!(find(b"VecSet").map(|entry| entry.name), Some("vecset"));
        assert_eq!(find(b"CLIENT|setinfo").map(|entry| entry.name), Some("client|setinfo"));
        assert!(find(b"vecse").is_none() && find(b"client|nothing").is_none() && find(b"|").is_none());
    }
}
