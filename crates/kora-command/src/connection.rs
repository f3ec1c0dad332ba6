//! Syntax of the commands about one's own connection.

use bytes::Bytes;
use kora_resp::{Version, number};

use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::CLIENT_TEXT_BYTES_MAX;
use crate::row::{CONTAINER, CommandEntry, PLAIN};
use crate::syntax::Argument;
use crate::{Command, clients, keys};

/// A user's name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, if one was given; there is one user, `default`.
    pub user: Option<Bytes>,
    /// The password.
    pub password: Bytes,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
#[derive(Debug)]
pub struct Hello {
    /// The version that the connection speaks from this command's reply on.
    pub version: Option<Version>,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// The connection's name.
    pub name: Option<Bytes>,
}

/// `PING [message]`
pub(crate) fn ping(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        1 => Ok(Command::Ping(None)),
        2 => Ok(Command::Ping(Some(arguments.owned(1)))),
        _ => Err(ClientError::UnfitCount { command: "ping" }),
    }
}

/// `ECHO message`
pub(crate) fn echo(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Echo(arguments.owned(1)))
}

/// `RESET`
pub(super) fn reset(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Reset)
}

/// `QUIT`
pub(crate) fn quit(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Quit)
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(crate) fn hello(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut hello = Hello {
        version: None,
        credentials: None,
        name: None,
    };
    if arguments.count() > 1 {
        hello.version = Some(match number::parse_i64(arguments.word(1)) {
            Some(2) => Version::Resp2,
            Some(3) => Version::Resp3,
            Some(_) => return Err(ClientError::UnsupportedProtocol),
            None => return Err(ClientError::ProtocolNotInteger),
        });
    }
    let mut next = 2;
    while next < arguments.count() {
        let left = arguments.count() - next - 1;
        if arguments.is(next, "AUTH") && left >= 2 {
            let (user, password) = (arguments.owned(next + 1), arguments.owned(next + 2));
            hello.credentials = Some(Credentials {
                user: Some(user),
                password,
            });
            next += 3;
        } else if arguments.is(next, "SETNAME") && left >= 1 {
            hello.name = Some(client_text(arguments, next + 1, "Client names")?);
            next += 2;
        } else {
            let option = arguments.word(next).to_vec();
            return Err(ClientError::HelloSyntax { option });
        }
    }
    Ok(Command::Hello(Box::new(hello)))
}

/// `AUTH [user] password`
pub(crate) fn auth(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let credentials = match arguments.count() {
        2 => Credentials {
            user: None,
            password: arguments.owned(1),
        },
        3 => Credentials {
            user: Some(arguments.owned(1)),
            password: arguments.owned(2),
        },
        _ => return Err(ClientError::Syntax),
    };
    Ok(Command::Authenticate(credentials))
}

/// `SELECT index`
pub(crate) fn select(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let database = keys::database(arguments, 1)?.ok_or(ClientError::DatabaseIndex)?;
    Ok(Command::Select(database))
}

/// Text that stands in CLIENT LIST: no byte that could be taken for its separators.
pub(crate) fn client_text(
    arguments: &Arguments<'_>,
    index: usize,
    attribute: &'static str,
) -> Result<Bytes, ClientError> {
    let bytes = arguments.word(index).len();
    if bytes > CLIENT_TEXT_BYTES_MAX {
        return Err(ClientError::ClientTextTooLong { attribute, bytes });
    }
    if arguments.word(index).iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(arguments.owned(index))
    } else {
        Err(ClientError::ClientText { attribute })
    }
}

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "auth",
        reply: "`OK`, or an error.",
        notes: "Without a username it is the user `default`, whose password is the setting `requirepass`; ACL SETUSER makes others.",
        arity: -2,
        summary: "Authenticates the connection.",
        arguments: &[Argument::string("username").optional(), Argument::string("password")],
        parse: auth,
        ..BEFORE_AUTH
    },
    CommandEntry {
        name: "client",
        arity: -2,
        summary: "A container for commands about client connections.",
        subcommands: clients::ENTRIES,
        ..CONTAINER
    },
    CommandEntry {
        name: "echo",
        reply: "The message.",
        arity: 2,
        summary: "Returns the given string.",
        arguments: &[Argument::string("message")],
        parse: echo,
        ..CONNECTION
    },
    CommandEntry {
        name: "hello",
        reply: "A map: `server`, `version`, `proto`, `id`, `mode`, `role`, `modules`. `server` is `redis` and `version` that of the Redis whose replies Kōra follows, because libraries compare both; Kōra's own are in INFO.",
        notes: "The reply is already in the version chosen.",
        arity: -1,
        summary: "Chooses the protocol version, and optionally authenticates and names the connection.",
        arguments: HELLO,
        parse: hello,
        ..BEFORE_AUTH
    },
    CommandEntry {
        name: "ping",
        reply: "`PONG`, or the message.",
        arity: -1,
        other_flags: &[],
        summary: "Returns PONG, or the given message.",
        arguments: &[Argument::string("message").optional()],
        parse: ping,
        ..CONNECTION
    },
    CommandEntry {
        name: "quit",
        reply: "`OK`; then the connection is closed.",
        notes: "Replies still owed are sent first.",
        arity: -1,
        summary: "Closes the connection when all replies have been sent.",
        parse: quit,
        ..BEFORE_AUTH
    },
    CommandEntry {
        name: "reset",
        reply: "`RESET`.",
        notes: "The connection speaks RESP2 again and has no name, transaction, watched keys or subscriptions. If a password is set, it must authenticate again.",
        summary: "Resets the connection to its initial state.",
        parse: reset,
        ..BEFORE_AUTH
    },
    CommandEntry {
        name: "select",
        reply: "`OK`, or an error if there is no such database.",
        notes: "Each database has keys and collections of its own. How many there are is the setting `databases`. Between MULTI and EXEC it holds for the commands behind it, and for the connection once EXEC has executed them.",
        arity: 2,
        summary: "Chooses the database of the commands that follow.",
        arguments: &[Argument::integer("index")],
        parse: select,
        ..CONNECTION
    },
];

pub(crate) const CONNECTION: CommandEntry = CommandEntry {
    categories: &["@connection"],
    is_fast: true,
    ..PLAIN
};

const BEFORE_AUTH: CommandEntry = CommandEntry {
    before_auth: true,
    other_flags: &["noscript", "loading", "stale", "allow_busy"],
    ..CONNECTION
};

const HELLO: &[Argument] = &[Argument::block(
    "arguments",
    &[
        Argument::integer("protover"),
        Argument::block("auth", &[Argument::string("username"), Argument::string("password")])
            .after("AUTH")
            .optional(),
        Argument::string("clientname").after("SETNAME").optional(),
    ],
)
.optional()];
