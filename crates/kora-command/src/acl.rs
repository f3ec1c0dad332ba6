//! Syntax of the commands about users and their rights.

use bytes::Bytes;
use kora_resp::Words;

use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::PASSWORD_BITS_MAX;
use crate::row::{CONTAINER, CommandEntry, PLAIN};
use crate::syntax::Argument;
use crate::{Command, table};

/// `ACL …`
#[derive(Debug)]
pub enum AclRequest {
    /// `ACL CAT [category]`
    Categories(Option<Bytes>),
    /// `ACL DELUSER user [user …]`
    DeleteUsers(Vec<Bytes>),
    /// `ACL DRYRUN user command [argument …]`: the user, and the command's words.
    DryRun(Bytes, Words),
    /// `ACL GENPASS [bits]`
    GeneratePassword(usize),
    /// `ACL GETUSER user`
    GetUser(Bytes),
    /// `ACL LIST`
    List,
    /// `ACL LOAD`
    Load,
    /// `ACL LOG [count]`
    Log(usize),
    /// `ACL LOG RESET`
    ResetLog,
    /// `ACL SAVE`
    Save,
    /// `ACL SETUSER user [rule …]`
    SetUser(Bytes, Vec<Bytes>),
    /// `ACL USERS`
    Users,
    /// `ACL WHOAMI`
    WhoAmI,
}

impl AclRequest {
    /// True if it takes several steps: all workers hear of it.
    pub fn changes_users(&self) -> bool {
        matches!(
            self,
            AclRequest::DeleteUsers(_) | AclRequest::SetUser(..) | AclRequest::Load | AclRequest::Save
        )
    }

    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            AclRequest::DeleteUsers(names) => crate::bytes_of(names),
            AclRequest::SetUser(name, rules) => name.len() + crate::bytes_of(rules),
            AclRequest::DryRun(name, words) => name.len() + words.bytes_held(),
            AclRequest::GetUser(name) | AclRequest::Categories(Some(name)) => name.len(),
            _ => 0,
        }
    }
}

fn request(request: AclRequest) -> Result<Command, ClientError> {
    Ok(Command::Acl(Box::new(request)))
}

fn cat(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        2 => request(AclRequest::Categories(None)),
        3 => request(AclRequest::Categories(Some(arguments.owned(2)))),
        _ => Err(unknown(arguments)),
    }
}

fn deluser(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::DeleteUsers(arguments.owned_from(2)))
}

fn dryrun(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::DryRun(arguments.owned(2), arguments.words_from(3)))
}

fn genpass(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let bits = match arguments.count() {
        2 => PASSWORD_BITS,
        3 => arguments.integer(2)?,
        _ => return Err(unknown(arguments)),
    };
    match usize::try_from(bits) {
        Ok(bits @ 1..=PASSWORD_BITS_MAX) => request(AclRequest::GeneratePassword(bits)),
        _ => Err(ClientError::Said(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        )),
    }
}

fn getuser(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::GetUser(arguments.owned(2)))
}

fn help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(HELP))
}

fn list(_: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::List)
}

fn load(_: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::Load)
}

fn log(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        2 => request(AclRequest::Log(LOG_ENTRIES)),
        3 if arguments.is(2, "RESET") => request(AclRequest::ResetLog),
        3 => request(AclRequest::Log(usize::try_from(arguments.integer(2)?).unwrap_or(0))),
        _ => Err(unknown(arguments)),
    }
}

fn save(_: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::Save)
}

fn setuser(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::SetUser(arguments.owned(2), arguments.owned_from(3)))
}

fn users(_: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::Users)
}

fn whoami(_: &Arguments<'_>) -> Result<Command, ClientError> {
    request(AclRequest::WhoAmI)
}

/// Redis's answer to a subcommand with words that it does not take.
fn unknown(arguments: &Arguments<'_>) -> ClientError {
    ClientError::UnknownSubcommandOrArguments {
        command: "acl",
        subcommand: arguments.word(1).to_vec(),
    }
}

/// The command that the words of ACL DRYRUN name, if there is one.
pub fn find_command(words: &Words) -> Option<&'static CommandEntry> {
    let mut words = words.iter();
    let entry = table::find(words.next()?)?;
    match words.next() {
        Some(subcommand) if !entry.subcommands.is_empty() => {
            let name = [entry.name.as_bytes(), b"|", subcommand].concat();
            table::find(&name)
        }
        _ => Some(entry),
    }
}

/// Bits of a password of ACL GENPASS.
const PASSWORD_BITS: i64 = 256;

/// How much of the log ACL LOG shows.
const LOG_ENTRIES: usize = 10;

const HELP: &[&str] = &[
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
    "HELP",
    "    Print this help.",
];

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[CommandEntry {
    name: "acl",
    summary: "A container for commands about users and their rights.",
    subcommands: SUBCOMMANDS,
    group: "server",
    ..CONTAINER
}];

const SUBCOMMANDS: &[CommandEntry] = &[
    CommandEntry {
        name: "acl|cat",
        arity: -2,
        summary: "Lists the categories of commands, or the commands of a category.",
        reply: "An array of names.",
        arguments: &[Argument::string("category").optional()],
        parse: cat,
        ..ACL
    },
    CommandEntry {
        name: "acl|deluser",
        arity: -3,
        is_admin: true,
        summary: "Deletes users and closes their connections.",
        reply: "How many users were deleted.",
        notes: "The user `default` stays.",
        arguments: &[Argument::string("username").multiple()],
        parse: deluser,
        ..ACL
    },
    CommandEntry {
        name: "acl|dryrun",
        arity: -4,
        is_admin: true,
        summary: "Says whether a user may run a command, without running it.",
        reply: "`OK`, or a text that says what the user may not do.",
        arguments: &[
            Argument::string("username"),
            Argument::string("command"),
            Argument::string("arg").optional().multiple(),
        ],
        parse: dryrun,
        ..ACL
    },
    CommandEntry {
        name: "acl|genpass",
        arity: -2,
        summary: "Draws a password.",
        reply: "Hexadecimal digits, one for each four bits.",
        arguments: &[Argument::integer("bits").optional()],
        parse: genpass,
        ..ACL
    },
    CommandEntry {
        name: "acl|getuser",
        arity: 3,
        is_admin: true,
        summary: "Shows the rules of a user.",
        reply: "A map: `flags`, `passwords` (their SHA-256), `commands`, `keys`, `channels`, `selectors`. Null if there is no such user.",
        arguments: &[Argument::string("username")],
        parse: getuser,
        ..ACL
    },
    CommandEntry {
        name: "acl|help",
        arity: 2,
        other_flags: &["loading", "stale"],
        summary: "Returns help about ACL.",
        reply: "An array of lines.",
        parse: help,
        ..ACL
    },
    CommandEntry {
        name: "acl|list",
        arity: 2,
        is_admin: true,
        summary: "Lists all users with their rules, as they stand in a file.",
        reply: "An array of texts.",
        parse: list,
        ..ACL
    },
    CommandEntry {
        name: "acl|load",
        arity: 2,
        is_admin: true,
        summary: "Reads the users from the file of the setting `aclfile`.",
        reply: "`OK`, or an error that names each line that is wrong; then nothing has changed.",
        notes: "Connections of users that are not in the file are closed.",
        parse: load,
        ..ACL
    },
    CommandEntry {
        name: "acl|log",
        arity: -2,
        is_admin: true,
        summary: "Lists what was denied lately, newest first.",
        reply: "An array of maps: `count`, `reason`, `context`, `object`, `username`, `age-seconds`, `client-info`, `entry-id`, `timestamp-created`, `timestamp-last-updated`. `OK` to RESET.",
        arguments: &[Argument::one_of(
            "operation",
            &[Argument::integer("count"), Argument::word("reset", "RESET")],
        )
        .optional()],
        parse: log,
        ..ACL
    },
    CommandEntry {
        name: "acl|save",
        arity: 2,
        is_admin: true,
        summary: "Writes the users into the file of the setting `aclfile`.",
        reply: "`OK`, or an error.",
        notes: "The file is replaced as a whole, so a crash leaves the old or the new one.",
        parse: save,
        ..ACL
    },
    CommandEntry {
        name: "acl|setuser",
        arity: -3,
        is_admin: true,
        summary: "Creates or changes a user.",
        reply: "`OK`, or an error; then nothing has changed.",
        notes: "See `docs/security.md` for the rules.",
        arguments: &[
            Argument::string("username"),
            Argument::string("rule").optional().multiple(),
        ],
        parse: setuser,
        ..ACL
    },
    CommandEntry {
        name: "acl|users",
        arity: 2,
        is_admin: true,
        summary: "Lists the names of all users.",
        reply: "An array of names.",
        parse: users,
        ..ACL
    },
    CommandEntry {
        name: "acl|whoami",
        arity: 2,
        summary: "Returns the name of the connection's user.",
        reply: "The name.",
        parse: whoami,
        ..ACL
    },
];

const ACL: CommandEntry = CommandEntry {
    group: "server",
    other_flags: &["noscript", "loading", "stale"],
    ..PLAIN
};
