//! The commands that a connection's own worker answers by itself.

use bytes::Bytes;
use kora_access::{Context, Denial, Reason};
use kora_resp::glob::{Case, Pattern};
use kora_resp::{Reply, Version};

use crate::access;
use crate::aliases;
use crate::command::table::{self, Access};
use crate::command::{ClientSwitch, Command, Credentials, Hello, LibraryAttribute, ReplyMode, SaveWish, docs};
use crate::counts::integer;
use crate::error::ClientError;
use crate::functions;
use crate::info::REDIS_VERSION;
use crate::session::Session;
use crate::setup::Setup;
use crate::tracking::Tracking;

/// What follows from such a command beside its reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    None,
    /// The connection is closed behind its replies.
    Leave,
    /// The server stops, with a snapshot first or without, if that was said.
    Shutdown(Option<bool>),
    /// A snapshot is to be taken.
    Save(SaveWish),
    /// The client is told of all commands from now on.
    Monitor,
}

/// The reply to a command that needs no data, or the command back if it does need some.
pub(crate) fn answer(
    command: Command,
    session: &mut Session,
    setup: &Setup,
    now_us: u64,
    unix_us: u64,
) -> Result<(Option<Reply>, Effect), Command> {
    let reply = match command {
        Command::Refused(error) => Reply::Error(error.to_string()),
        Command::Answered(reply) => *reply,
        Command::Ping(message) if session.is_restricted() => {
            let pong = Reply::Bulk(Bytes::from_static(b"pong"));
            Reply::Array(vec![pong, Reply::Bulk(message.unwrap_or_default())])
        }
        Command::Ping(None) => Reply::Simple("PONG"),
        Command::Ping(Some(message)) | Command::Echo(message) => Reply::Bulk(message),
        Command::Quit => return Ok((Some(Reply::ok()), Effect::Leave)),
        Command::Monitor => return Ok((Some(Reply::ok()), Effect::Monitor)),
        Command::Shutdown(wish) => return Ok((None, Effect::Shutdown(wish))),
        Command::LastSave => Reply::Integer(integer(setup.durability.told.saved_s.get())),
        Command::Save(wish) => match begin_save(wish, setup, unix_us) {
            Ok(_) if wish == SaveWish::Foreground => return Err(Command::Save(wish)),
            Ok(reply) => return Ok((Some(reply), Effect::Save(wish))),
            Err(error) => Reply::Error(error.to_string()),
        },
        Command::Hello(hello) => or_error(greet(*hello, session, setup, (now_us, unix_us))),
        Command::Authenticate(credentials) => {
            let outcome = authenticate("AUTH", &credentials, session, setup, (now_us, unix_us));
            or_error(outcome.map(|()| Reply::ok()))
        }
        Command::Acl(request) => access::answer(request, session, setup, unix_us / 1000).map_err(Command::Acl)?,
        Command::Time => {
            let text = |number: u64| Reply::Text(number.to_string());
            Reply::Array(vec![text(unix_us / 1_000_000), text(unix_us % 1_000_000)])
        }
        Command::Select(database) => {
            session.database = database;
            Reply::ok()
        }
        Command::ClientId => Reply::Integer(integer(session.id)),
        Command::ClientGetName => session.name.clone().map_or(Reply::Null, Reply::Bulk),
        Command::ClientSetName(name) => {
            session.name = Some(name).filter(|name| !name.is_empty());
            Reply::ok()
        }
        Command::ClientSetInfo(attribute, value) => {
            match attribute {
                LibraryAttribute::Name => session.library_name = value,
                LibraryAttribute::Version => session.library_version = value,
            }
            Reply::ok()
        }
        Command::ClientInfo => {
            let mut line = String::new();
            session.describe(now_us, &mut line);
            Reply::Verbatim(line)
        }
        Command::ClientSwitch(ClientSwitch::Reply(mode)) => {
            session.set_reply_mode(mode);
            match mode {
                ReplyMode::On => Reply::ok(),
                ReplyMode::Off | ReplyMode::SkipNext => return Ok((None, Effect::None)),
            }
        }
        Command::ClientSwitch(switch) => {
            session.switch(switch);
            Reply::ok()
        }
        Command::ClientPause { ms, writes_only } => {
            setup.live.pause.begin(unix_us / 1000, ms, writes_only);
            Reply::ok()
        }
        Command::ClientCaching(caches) => Tracking::except_next(session.tracking.as_deref_mut(), caches),
        Command::ClientTrackingInfo => Tracking::describe(session.tracking.as_deref()),
        Command::ClientGetRedirect => Tracking::redirect(session.tracking.as_deref()),
        Command::WaitLog { local } => match local && setup.durability.told.is_log_on.get() == 0 {
            true => Reply::Error(NO_LOG.to_owned()),
            // The connection sends no reply of a client that says this before the log is safe.
            false => Reply::Array(vec![Reply::Integer(i64::from(local)), Reply::Integer(0)]),
        },
        Command::CommandInfo(names) => docs::describe(names.as_deref()),
        Command::CommandCount => Reply::Integer(integer(table::all().count() as u64)),
        Command::CommandDocs(names) => docs::document(names.as_deref()),
        Command::CommandList(filter) => docs::list(filter.as_ref()),
        Command::ScriptLoad(text) => setup.scripts.load(text).map_or_else(Reply::Error, Reply::Text),
        Command::ScriptExists(names) => {
            let exists = |sha: &Bytes| Reply::Integer(i64::from(setup.scripts.find(sha).is_some()));
            Reply::Array(names.iter().map(exists).collect())
        }
        Command::ScriptFlush => {
            setup.scripts.flush();
            Reply::ok()
        }
        Command::ScriptKill => functions::kill(false, setup, unix_us / 1000),
        Command::Function(request) => functions::answer(*request, setup, unix_us / 1000)
            .map_err(|request| Command::Function(Box::new(request)))?,
        Command::ListAliases(collection, database) => {
            aliases::listed(collection.as_deref(), database, &setup.catalog.aliases().now())
        }
        Command::Help(lines) => Reply::Array(lines.iter().map(|line| Reply::Simple(line)).collect()),
        Command::ConfigGet(patterns) => settings(&patterns, setup),
        Command::ConfigSet(changes) => or_error(change(changes, setup).map(|()| Reply::ok())),
        command => return Err(command),
    };
    Ok((Some(reply), Effect::None))
}

const NO_LOG: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// What is said of a snapshot that is to be taken.
fn begin_save(wish: SaveWish, setup: &Setup, unix_us: u64) -> Result<Reply, ClientError> {
    let told = &setup.durability.told;
    if told.has_directory.get() == 0 {
        return Err(ClientError::NoDirectory);
    }
    let is_under_way = told.saving_since_s.get() != 0;
    if !is_under_way {
        // The log's thread begins it a moment later; INFO tells of it from the reply on.
        told.saving_since_s.set((unix_us / 1_000_000).max(1));
    }
    match wish {
        SaveWish::Foreground | SaveWish::Background if is_under_way => Err(ClientError::SaveUnderWay),
        SaveWish::Scheduled if is_under_way => Ok(Reply::Simple("Background saving scheduled")),
        SaveWish::Rewrite if is_under_way => Ok(Reply::Simple("Background append only file rewriting scheduled")),
        SaveWish::Rewrite => Ok(Reply::Simple("Background append only file rewriting started")),
        SaveWish::Foreground | SaveWish::Background | SaveWish::Scheduled => {
            Ok(Reply::Simple("Background saving started"))
        }
    }
}

fn or_error(outcome: Result<Reply, ClientError>) -> Reply {
    outcome.unwrap_or_else(|error| Reply::Error(error.to_string()))
}

fn greet(hello: Hello, session: &mut Session, setup: &Setup, at_us: (u64, u64)) -> Result<Reply, ClientError> {
    if let Some(credentials) = &hello.credentials {
        authenticate("HELLO", credentials, session, setup, at_us)?;
    }
    if session.access == Access::BeforeAuth {
        return Err(ClientError::HelloNotAuthenticated);
    }
    if let Some(name) = hello.name {
        session.name = Some(name).filter(|name| !name.is_empty());
    }
    session.version = hello.version.unwrap_or(session.version);
    let version = match session.version {
        Version::Resp2 => 2,
        Version::Resp3 => 3,
    };
    let text = |text: &'static str| Reply::Bulk(Bytes::from_static(text.as_bytes()));
    Ok(Reply::Map(vec![
        // Clients with a cache of their own look for this name; INFO tells what the server is.
        (text("server"), text("redis")),
        (text("version"), text(REDIS_VERSION)),
        (text("proto"), Reply::Integer(version)),
        (text("id"), Reply::Integer(integer(session.id))),
        (text("mode"), text("standalone")),
        (text("role"), text("master")),
        (text("modules"), Reply::Array(Vec::new())),
    ]))
}

fn authenticate(
    command: &str,
    credentials: &Credentials,
    session: &mut Session,
    setup: &Setup,
    (now_us, unix_us): (u64, u64),
) -> Result<(), ClientError> {
    let access = &setup.live.access;
    let users = access.users();
    if credentials.user.is_none() && users.default_user().needs_no_password {
        return Err(ClientError::NoPasswordConfigured);
    }
    let name = credentials.user.as_deref().unwrap_or(b"default");
    match users.authenticate(name, &credentials.password) {
        Some(user) => {
            session.log_in(user, users.version());
            Ok(())
        }
        None => {
            let denial = Denial {
                reason: Reason::Authentication,
                object: command.as_bytes().to_vec(),
            };
            let client = session.line(now_us);
            access.note((denial, Context::TopLevel), name, client, unix_us / 1000);
            Err(ClientError::WrongPassword)
        }
    }
}

fn settings(patterns: &[Bytes], setup: &Setup) -> Reply {
    let patterns: Vec<Pattern> = patterns
        .iter()
        .map(|text| Pattern::new(text, Case::Insensitive))
        .collect();
    let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name.as_bytes()));
    let all = setup.settings.all();
    let own = all.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let matching = own.filter(|(name, _)| matches(name));
    let text = |text: &str| Reply::Text(text.to_owned());
    Reply::Map(matching.map(|(name, value)| (text(name), text(value))).collect())
}

fn change(changes: Vec<(String, String)>, setup: &Setup) -> Result<(), ClientError> {
    setup.settings.set(&changes).map_err(ClientError::Setting)
}
