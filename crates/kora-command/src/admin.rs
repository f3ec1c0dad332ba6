//! Syntax of the commands about the server and its clients.

use bytes::Bytes;
use kora_resp::glob::{Case, Pattern};
use kora_resp::number;
use kora_values::Database;

use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::{NAME_PATTERN_BYTES_MAX, NAMES_MAX, SETTING_BYTES_MAX};
use crate::row::Filter;
use crate::setting_error::SettingError;
use crate::{Command, SaveWish};

/// Which clients are meant; what is not given excludes no client.
#[derive(Clone, Default, Debug)]
pub struct ClientFilter {
    /// One of these ids.
    pub ids: Option<Vec<u64>>,
    /// The address the client came from.
    pub address: Option<Bytes>,
    /// The address it came to.
    pub local_address: Option<Bytes>,
    /// The name of its user.
    pub user: Option<Bytes>,
    /// True if the types given exclude ordinary clients.
    pub no_ordinary: bool,
    /// True if the types given exclude clients that subscribe to something.
    pub no_subscribed: bool,
    /// The asking client itself, if it is to be left out.
    pub skip_me: Option<bool>,
}

impl ClientFilter {
    /// Leaves out all clients but those of this type.
    fn exclude_but(&mut self, wanted: ClientType) {
        self.no_ordinary |= wanted != ClientType::Normal;
        self.no_subscribed |= wanted != ClientType::PubSub;
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.address, &self.local_address, &self.user];
        let texts: usize = texts.into_iter().flatten().map(Bytes::len).sum();
        texts + self.ids.as_ref().map_or(0, |ids| ids.capacity() * size_of::<u64>())
    }
}

/// `COMMAND`
pub(crate) fn command(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::CommandInfo(None))
}

/// `COMMAND COUNT`
pub(crate) fn command_count(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::CommandCount)
}

/// `COMMAND INFO [name …]`
pub(crate) fn command_info(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let names = names(arguments, 2)?;
    Ok(Command::CommandInfo((!names.is_empty()).then_some(names)))
}

/// `COMMAND DOCS [name …]`
pub(crate) fn command_docs(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let names = names(arguments, 2)?;
    Ok(Command::CommandDocs((!names.is_empty()).then_some(names)))
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
pub(crate) fn command_list(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    if arguments.count() == 2 {
        return Ok(Command::CommandList(None));
    }
    if arguments.count() != 5 || !arguments.is(2, "FILTERBY") {
        return Err(ClientError::Syntax);
    }
    let value = arguments.owned(4);
    let filter = if arguments.is(3, "MODULE") {
        Filter::Module
    } else if arguments.is(3, "ACLCAT") {
        Filter::Category(value)
    } else if arguments.is(3, "PATTERN") {
        if value.len() > NAME_PATTERN_BYTES_MAX {
            return Err(pattern_too_long(value.len()));
        }
        Filter::Pattern(Pattern::new(&value, Case::Insensitive))
    } else {
        return Err(ClientError::Syntax);
    };
    Ok(Command::CommandList(Some(filter)))
}

/// `COMMAND HELP`
pub(crate) fn command_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full command.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]",
        "    Return a list of all commands in this server.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `CONFIG GET pattern [pattern …]`
pub(crate) fn config_get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let patterns = names(arguments, 2)?;
    // Each is held against every setting in one go.
    if let Some(long) = patterns.iter().find(|pattern| pattern.len() > NAME_PATTERN_BYTES_MAX) {
        return Err(pattern_too_long(long.len()));
    }
    Ok(Command::ConfigGet(patterns))
}

/// `CONFIG SET name value [name value …]`
pub(crate) fn config_set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let words = names(arguments, 2)?;
    if !words.len().is_multiple_of(2) {
        return Err(ClientError::Syntax);
    }
    let mut changes: Vec<(String, String)> = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks_exact(2) {
        let change = change(&pair[0], &pair[1])?;
        if changes.iter().any(|(name, _)| *name == change.0) {
            return Err(refuse_setting(change.0, "duplicate parameter"));
        }
        changes.push(change);
    }
    Ok(Command::ConfigSet(changes))
}

/// One setting's name, in lower case, and its value.
fn change(name: &[u8], value: &[u8]) -> Result<(String, String), ClientError> {
    let shown = &name[..name.len().min(NAME_PATTERN_BYTES_MAX)];
    let shown = String::from_utf8_lossy(shown).to_ascii_lowercase();
    if name.len() > NAME_PATTERN_BYTES_MAX {
        return Err(ClientError::Setting(SettingError::Unknown { name: shown }));
    }
    match str::from_utf8(value) {
        _ if value.len() > SETTING_BYTES_MAX => Err(refuse_setting(shown, "the value is too long")),
        Ok(value) => Ok((shown, value.to_owned())),
        Err(_) => Err(refuse_setting(shown, "the value is no UTF-8 text")),
    }
}

fn refuse_setting(name: String, reason: &str) -> ClientError {
    let reason = reason.to_owned();
    ClientError::Setting(SettingError::Refused { name, reason })
}

/// `CONFIG REWRITE`
pub(crate) fn config_rewrite(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ConfigRewrite)
}

/// `CONFIG RESETSTAT`
pub(crate) fn config_resetstat(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::ConfigResetStat)
}

/// `CONFIG HELP`
pub(crate) fn config_help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Print this help.",
    ]))
}

/// `INFO [section …]`
pub(crate) fn info(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Info(names(arguments, 1)?))
}

/// `DBSIZE`
pub(crate) fn dbsize(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::DatabaseSize(Database::ZERO))
}

/// `TIME`
pub(crate) fn time(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Time)
}

/// `FLUSHALL [ASYNC|SYNC]`: both answer at once and free in slices, so both are the same.
pub(crate) fn flush_all(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    flush(arguments, None)
}

/// `FLUSHDB [ASYNC|SYNC]`
pub(crate) fn flush_database(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    flush(arguments, Some(Database::ZERO))
}

fn flush(arguments: &Arguments<'_>, database: Option<Database>) -> Result<Command, ClientError> {
    match arguments.count() {
        1 => Ok(Command::Flush(database)),
        2 if arguments.is(1, "ASYNC") || arguments.is(1, "SYNC") => Ok(Command::Flush(database)),
        _ => Err(ClientError::Syntax),
    }
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE]`: what was received is always finished.
pub(crate) fn shutdown(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let known = |index| {
        ["NOSAVE", "SAVE", "NOW", "FORCE"]
            .iter()
            .any(|word| arguments.is(index, word))
    };
    let says = |word| (1..arguments.count()).any(|index| arguments.is(index, word));
    match (says("SAVE"), says("NOSAVE")) {
        _ if !(1..arguments.count()).all(known) => Err(ClientError::Syntax),
        (true, true) => Err(ClientError::Syntax),
        (true, false) => Ok(Command::Shutdown(Some(true))),
        (false, true) => Ok(Command::Shutdown(Some(false))),
        (false, false) => Ok(Command::Shutdown(None)),
    }
}

/// `SAVE`
pub(crate) fn save(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Save(SaveWish::Foreground))
}

/// `BGSAVE [SCHEDULE]`
pub(crate) fn background_save(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        1 => Ok(Command::Save(SaveWish::Background)),
        2 if arguments.is(1, "SCHEDULE") => Ok(Command::Save(SaveWish::Scheduled)),
        _ => Err(ClientError::Syntax),
    }
}

/// `BGREWRITEAOF`
pub(crate) fn rewrite_log(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Save(SaveWish::Rewrite))
}

/// `LASTSAVE`
pub(crate) fn last_save(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::LastSave)
}

/// `[TYPE type] [ID id …]` of CLIENT LIST
pub(crate) fn list_filter(arguments: &Arguments<'_>) -> Result<ClientFilter, ClientError> {
    let mut filter = ClientFilter::default();
    if arguments.count() == 2 {
        return Ok(filter);
    }
    if arguments.is(2, "TYPE") && arguments.count() == 4 {
        filter.exclude_but(client_type(arguments, 3)?);
    } else if arguments.is(2, "ID") && arguments.count() > 3 {
        filter.ids = Some(
            (3..arguments.count())
                .map(|index| id(arguments, index))
                .collect::<Result<_, _>>()?,
        );
    } else {
        return Err(ClientError::Syntax);
    }
    Ok(filter)
}

/// `[ID id] [ADDR address] [LADDR address] [USER name] [TYPE type] [SKIPME yes|no]` of CLIENT KILL
pub(crate) fn kill_filter(arguments: &Arguments<'_>) -> Result<ClientFilter, ClientError> {
    let mut filter = ClientFilter {
        skip_me: Some(true),
        ..ClientFilter::default()
    };
    for option in (2..arguments.count()).step_by(2) {
        let value = option + 1;
        if value == arguments.count() {
            return Err(ClientError::Syntax);
        }
        if arguments.is(option, "ID") {
            filter.ids = Some(vec![id(arguments, value)?]);
        } else if arguments.is(option, "ADDR") {
            filter.address = Some(arguments.owned(value));
        } else if arguments.is(option, "LADDR") {
            filter.local_address = Some(arguments.owned(value));
        } else if arguments.is(option, "USER") {
            filter.user = Some(arguments.owned(value));
        } else if arguments.is(option, "TYPE") {
            filter.exclude_but(client_type(arguments, value)?);
        } else if arguments.is(option, "SKIPME") && arguments.is(value, "yes") {
            filter.skip_me = Some(true);
        } else if arguments.is(option, "SKIPME") && arguments.is(value, "no") {
            filter.skip_me = Some(false);
        } else {
            return Err(ClientError::Syntax);
        }
    }
    Ok(filter)
}

/// The words from `start` on, each of which the reply may spend much more on than its own length.
fn names(arguments: &Arguments<'_>, start: usize) -> Result<Vec<Bytes>, ClientError> {
    match arguments.count() - start {
        ..=NAMES_MAX => Ok(arguments.owned_from(start)),
        got => Err(ClientError::OutOfRange {
            what: "the number of names",
            min: 0,
            max: NAMES_MAX,
            got: got.to_string().into_bytes(),
        }),
    }
}

fn pattern_too_long(bytes: usize) -> ClientError {
    let max = NAME_PATTERN_BYTES_MAX;
    ClientError::PatternTooLong { bytes, max }
}

fn id(arguments: &Arguments<'_>, index: usize) -> Result<u64, ClientError> {
    let parsed = number::parse_i64(arguments.word(index)).and_then(|id| u64::try_from(id).ok());
    parsed.filter(|id| *id > 0).ok_or(ClientError::ClientId)
}

/// A type of clients; an error for one that Redis does not know either.
fn client_type(arguments: &Arguments<'_>, index: usize) -> Result<ClientType, ClientError> {
    if arguments.is(index, "normal") {
        return Ok(ClientType::Normal);
    }
    if arguments.is(index, "pubsub") {
        return Ok(ClientType::PubSub);
    }
    let known = ["master", "replica", "slave"]
        .iter()
        .any(|name| arguments.is(index, name));
    if known {
        Ok(ClientType::Replication)
    } else {
        Err(ClientError::Syntax)
    }
}

/// `TYPE` of CLIENT LIST and KILL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientType {
    Normal,
    PubSub,
    /// Masters and replicas, of which there are none.
    Replication,
}
