//! Syntax of CLIENT: what is said about connections.

use kora_resp::{Reply, number};

use crate::arguments::Arguments;
use crate::connection::{CONNECTION, client_text};
use crate::error::ClientError;
use crate::row::{CommandEntry, PLAIN};

use crate::server_requests::{ClientSwitch, ReplyMode};
use crate::syntax::Argument;
use crate::{Command, KillReply, LibraryAttribute, admin, tracking};

/// `CLIENT ID`
pub(crate) fn client_id(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientId)
}

/// `CLIENT GETNAME`
pub(crate) fn client_getname(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientGetName)
}

/// `CLIENT INFO`
pub(crate) fn client_info(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientInfo)
}

/// `CLIENT SETNAME name`
pub(crate) fn client_setname(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientSetName(client_text(arguments, 2, "Client names")?))
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`
pub(crate) fn client_setinfo(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.is(2, "LIB-NAME") {
        Ok(Command::ClientSetInfo(
            LibraryAttribute::Name,
            client_text(arguments, 3, "lib-name")?,
        ))
    } else if arguments.is(2, "LIB-VER") {
        Ok(Command::ClientSetInfo(
            LibraryAttribute::Version,
            client_text(arguments, 3, "lib-ver")?,
        ))
    } else {
        Err(ClientError::UnrecognizedOption {
            option: arguments.word(2).to_vec(),
        })
    }
}

/// `CLIENT LIST [TYPE type] [ID id …]`
pub(crate) fn client_list(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientList(Box::new(admin::list_filter(arguments)?)))
}

/// `CLIENT KILL address`, `CLIENT KILL [ID id] [ADDR address] [LADDR address] [USER name] [TYPE type] [SKIPME yes|no]`
pub(crate) fn client_kill(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() == 3 {
        let filter = admin::ClientFilter {
            address: Some(arguments.owned(2)),
            ..admin::ClientFilter::default()
        };
        return Ok(Command::ClientKill(Box::new(filter), KillReply::Ok));
    }
    Ok(Command::ClientKill(
        Box::new(admin::kill_filter(arguments)?),
        KillReply::Count,
    ))
}

/// `CLIENT NO-EVICT ON|OFF`
fn client_no_evict(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientSwitch(ClientSwitch::NoEvict(on_or_off(arguments)?)))
}

/// `CLIENT NO-TOUCH ON|OFF`
fn client_no_touch(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientSwitch(ClientSwitch::NoTouch(on_or_off(arguments)?)))
}

/// `CLIENT REPLY ON|OFF|SKIP`
fn client_reply(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let modes = [
        ("ON", ReplyMode::On),
        ("OFF", ReplyMode::Off),
        ("SKIP", ReplyMode::SkipNext),
    ];
    let found = modes.into_iter().find(|(word, _)| arguments.is(2, word));
    let (_, mode) = found.ok_or(ClientError::Syntax)?;
    Ok(Command::ClientSwitch(ClientSwitch::Reply(mode)))
}

/// `CLIENT PAUSE milliseconds [WRITE|ALL]`
fn client_pause(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let writes_only = match arguments.count() {
        3 => false,
        4 if arguments.is(3, "WRITE") => true,
        4 if arguments.is(3, "ALL") => false,
        4 => return Err(ClientError::Said("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => {
            return Err(ClientError::UnknownSubcommandOrArguments {
                command: "client",
                subcommand: arguments.word(1).to_vec(),
            });
        }
    };
    let ms = timeout_ms(arguments, 2)?;
    Ok(Command::ClientPause { ms, writes_only })
}

/// `CLIENT UNPAUSE`
fn client_unpause(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ClientUnpause)
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: no command blocks.
fn client_unblock(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        3 => {}
        4 if arguments.is(3, "TIMEOUT") || arguments.is(3, "ERROR") => {}
        4 => {
            return Err(ClientError::Said(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
        _ => {
            return Err(ClientError::UnknownSubcommandOrArguments {
                command: "client",
                subcommand: arguments.word(1).to_vec(),
            });
        }
    }
    arguments.integer(2)?;
    Ok(Command::Answered(Box::new(Reply::Integer(0))))
}

/// A timeout in milliseconds, in Redis's words where it is none.
pub(crate) fn timeout_ms(arguments: &Arguments<'_>, index: usize) -> Result<u64, ClientError> {
    let ms = number::parse_i64(arguments.word(index))
        .ok_or(ClientError::Said("ERR timeout is not an integer or out of range"))?;
    u64::try_from(ms).map_err(|_| ClientError::Said("ERR timeout is negative"))
}

fn on_or_off(arguments: &Arguments<'_>) -> Result<bool, ClientError> {
    match arguments.is(2, "ON") {
        true => Ok(true),
        false if arguments.is(2, "OFF") => Ok(false),
        false => Err(ClientError::Syntax),
    }
}

/// `CLIENT HELP`
pub(crate) fn client_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are: ID, ADDR, LADDR, USER, TYPE, SKIPME (yes|no).",
        "LIST [TYPE (normal|pubsub)] [ID <client-id> [<client-id> ...]]",
        "    Return information about client connections.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETINFO <LIB-NAME|LIB-VER> <value>",
        "    Set client library name or version.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client. No command blocks.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
        "NO-TOUCH (ON|OFF)",
        "    Will not touch LRU/LFU stats when this mode is on.",
        "HELP",
        "    Print this help.",
    ]))
}

/// The subcommands of CLIENT.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    tracking::CACHING,
    CommandEntry {
        name: "client|getname",
        reply: "The name, or null if it has none.",
        arity: 2,
        summary: "Returns the name of the connection.",
        parse: client_getname,
        ..OF_CLIENT
    },
    tracking::GET_REDIRECT,
    CommandEntry {
        name: "client|help",
        reply: "An array of lines.",
        arity: 2,
        categories: &["@connection"],
        summary: "Returns help about CLIENT.",
        parse: client_help,
        ..PLAIN
    },
    CommandEntry {
        name: "client|id",
        reply: "A number, larger for later connections.",
        arity: 2,
        summary: "Returns the id of the connection.",
        parse: client_id,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|info",
        reply: "One line, as in CLIENT LIST.",
        arity: 2,
        summary: "Describes the connection, as a line of CLIENT LIST.",
        parse: client_info,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|kill",
        reply: "With filters the number of connections closed; `OK` or an error for a single address.",
        notes: "A client that kills itself still gets the reply. With filters it is skipped unless `SKIPME no` is given.",
        arity: -3,
        is_admin: true,
        summary: "Closes connections.",
        arguments: CLIENT_KILL,
        parse: client_kill,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|list",
        reply: "Text, a line for each connection in order of their ids.",
        notes: "Connections of all workers are listed. Types of clients are `normal` and `pubsub`; of the others there are none.",
        arity: -2,
        is_admin: true,
        summary: "Lists open connections.",
        arguments: CLIENT_LIST,
        parse: client_list,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|no-evict",
        reply: "`OK`.",
        notes: "A client that does not take its replies is closed while clients are short of memory (`maxmemory-clients`); with ON this one is not.",
        arity: 3,
        is_admin: true,
        summary: "Protects the connection from being closed for the memory that it holds.",
        arguments: ON_OR_OFF,
        parse: client_no_evict,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|no-touch",
        reply: "`OK`.",
        notes: "With ON, keys that the connection reads or looks at do not count as used; TOUCH still does.",
        arity: 3,
        summary: "Lets the connection read keys without counting them as used.",
        arguments: ON_OR_OFF,
        parse: client_no_touch,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|pause",
        reply: "`OK`.",
        notes: "Commands that come meanwhile wait: all of them but CLIENT UNPAUSE and SHUTDOWN, or with WRITE those that may write, PUBLISH, and scripts that may write. A second PAUSE never shortens the first.",
        arity: -3,
        is_admin: true,
        summary: "Lets clients wait for some time.",
        arguments: CLIENT_PAUSE,
        parse: client_pause,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|reply",
        reply: "`OK` for ON; nothing for OFF and SKIP.",
        notes: "OFF: the server sends no replies until ON. SKIP: it does not send the reply to the next command. Messages of channels are sent all the same.",
        arity: 3,
        summary: "Says whether the connection is sent replies.",
        arguments: CLIENT_REPLY,
        parse: client_reply,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|setinfo",
        reply: "`OK`.",
        arity: 4,
        summary: "Sets the name or the version of the client's library.",
        arguments: CLIENT_SETINFO,
        parse: client_setinfo,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|setname",
        reply: "`OK`.",
        notes: "Names hold no spaces or control characters; an empty one takes the name away.",
        arity: 3,
        summary: "Sets the name of the connection.",
        arguments: &[Argument::string("connection-name")],
        parse: client_setname,
        ..OF_CLIENT
    },
    tracking::TRACKING,
    tracking::TRACKING_INFO,
    CommandEntry {
        name: "client|unblock",
        reply: "0: no command blocks.",
        arity: -3,
        is_admin: true,
        summary: "Ends the waiting of another connection's blocking command; there are no such commands.",
        arguments: CLIENT_UNBLOCK,
        parse: client_unblock,
        ..OF_CLIENT
    },
    CommandEntry {
        name: "client|unpause",
        reply: "`OK`.",
        arity: 2,
        is_admin: true,
        summary: "Ends CLIENT PAUSE.",
        parse: client_unpause,
        ..OF_CLIENT
    },
];

pub(crate) const OF_CLIENT: CommandEntry = CommandEntry {
    is_fast: false,
    other_flags: &["noscript", "loading", "stale"],
    ..CONNECTION
};

const CLIENT_LIST: &[Argument] = &[Argument::one_of(
    "filter",
    &[
        Argument::string("type").after("TYPE"),
        Argument::block("ids", &[Argument::integer("client-id").multiple()]).after("ID"),
    ],
)
.optional()];

const CLIENT_KILL: &[Argument] = &[Argument::one_of(
    "filter",
    &[
        Argument::string("ip:port"),
        Argument::block(
            "filters",
            &[
                Argument::integer("client-id").after("ID").optional(),
                Argument::string("ip:port").after("ADDR").optional(),
                Argument::string("ip:port").after("LADDR").optional(),
                Argument::string("username").after("USER").optional(),
                Argument::string("type").after("TYPE").optional(),
                Argument::one_of("skipme", &[Argument::word("yes", "YES"), Argument::word("no", "NO")])
                    .after("SKIPME")
                    .optional(),
            ],
        ),
    ],
)];

const CLIENT_SETINFO: &[Argument] = &[Argument::one_of(
    "attribute",
    &[
        Argument::string("libname").after("LIB-NAME"),
        Argument::string("libver").after("LIB-VER"),
    ],
)];

const ON_OR_OFF: &[Argument] = &[Argument::one_of(
    "enabled",
    &[Argument::word("on", "ON"), Argument::word("off", "OFF")],
)];

const CLIENT_PAUSE: &[Argument] = &[
    Argument::integer("timeout"),
    Argument::one_of(
        "mode",
        &[Argument::word("write", "WRITE"), Argument::word("all", "ALL")],
    )
    .optional(),
];

const CLIENT_REPLY: &[Argument] = &[Argument::one_of(
    "action",
    &[
        Argument::word("on", "ON"),
        Argument::word("off", "OFF"),
        Argument::word("skip", "SKIP"),
    ],
)];

const CLIENT_UNBLOCK: &[Argument] = &[
    Argument::integer("client-id"),
    Argument::one_of(
        "unblock-type",
        &[Argument::word("timeout", "TIMEOUT"), Argument::word("error", "ERROR")],
    )
    .optional(),
];
