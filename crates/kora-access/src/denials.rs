//! What was denied, and the log of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::limits::{LOG_ENTRIES_MAX, LOG_OBJECT_BYTES_MAX};
use crate::rules::shown;
use crate::user::User;

/// Why something was denied. The later ones are graver: of several, the gravest is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// The command is not allowed.
    Command,
    /// A key is not allowed.
    Key,
    /// Name and password do not fit.
    Authentication,
    /// A channel is not allowed.
    Channel,
}

/// What was denied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The command, the key or the channel.
    pub object: Vec<u8>,
}

impl Denial {
    /// What the client is told: nothing of names that it may not know.
    pub fn error(&self, user: &User) -> String {
        match self.reason {
            Reason::Key => "No permissions to access a key".to_owned(),
            Reason::Channel => "No permissions to access a channel".to_owned(),
            Reason::Command | Reason::Authentication => self.explain(user),
        }
    }

    /// What an operator is told.
    pub fn explain(&self, user: &User) -> String {
        let (name, object) = (shown(&user.name), shown(&self.object));
        match self.reason {
            Reason::Command | Reason::Authentication => {
                format!("User {name} has no permissions to run the '{object}' command")
            }
            Reason::Key => format!("User {name} has no permissions to access the '{object}' key"),
            Reason::Channel => format!("User {name} has no permissions to access the '{object}' channel"),
        }
    }

    /// What the client is told of a command that it has queued in a transaction.
    pub fn error_at_exec(&self) -> String {
        let reason = match self.reason {
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments to the command",
            Reason::Command | Reason::Authentication => "no permission to execute the command or subcommand",
        };
        format!(
            "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is \
             no longer allowed for the following reason: {reason}"
        )
    }
}

/// Where something was denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// A command by itself.
    TopLevel,
    /// In a transaction.
    Transaction,
    /// In a script.
    Script,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Context::TopLevel => "toplevel",
            Context::Transaction => "multi",
            Context::Script => "lua",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Authentication => "auth",
            Reason::Channel => "channel",
        })
    }
}

/// Something that was denied, once or several times in a row.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What.
    pub denial: Denial,
    /// Where.
    pub context: Context,
    /// Who wanted it.
    pub user: Vec<u8>,
    /// The connection, as CLIENT INFO describes it.
    pub client: String,
    /// How often.
    pub count: u64,
    /// Unique in the life of the server.
    pub id: u64,
    /// The first time, in milliseconds of Unix time.
    pub first_ms: u64,
    /// The last time, in milliseconds of Unix time.
    pub last_ms: u64,
}

/// What was denied lately, newest first.
#[derive(Clone, Debug, Default)]
pub struct DenialLog {
    entries: VecDeque<Arc<Entry>>,
    /// How many there have been.
    count: u64,
}

impl DenialLog {
    /// What was denied last, newest first.
    pub fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(AsRef::as_ref)
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Notes a denial, and keeps at most so many entries.
    pub fn note(
        &mut self,
        (mut denial, context): (Denial, Context),
        user: &[u8],
        client: String,
        at_ms: u64,
        entries_max: usize,
    ) {
        denial.object.truncate(LOG_OBJECT_BYTES_MAX);
        let user = user[..user.len().min(LOG_OBJECT_BYTES_MAX)].to_vec();
        let is_same = |entry: &Arc<Entry>| {
            entry.denial == denial
                && entry.context == context
                && entry.user == user
                && at_ms.saturating_sub(entry.last_ms) <= GROUPED_MS
        };
        let known = self.entries.iter().take(GROUPED_ENTRIES).position(is_same);
        let entry = match known.and_then(|place| self.entries.remove(place)) {
            Some(known) => Entry {
                client,
                count: known.count + 1,
                last_ms: at_ms,
                ..Entry::clone(&known)
            },
            None => {
                self.count += 1;
                Entry {
                    denial,
                    context,
                    user,
                    client,
                    count: 1,
                    id: self.count - 1,
                    first_ms: at_ms,
                    last_ms: at_ms,
                }
            }
        };
        self.entries.push_front(Arc::new(entry));
        self.entries.truncate(entries_max.min(LOG_ENTRIES_MAX));
    }
}

/// Within this time the same denial is counted, not noted again: Redis's.
const GROUPED_MS: u64 = 60_000;

/// So many of the newest entries are looked at for the same denial: Redis's.
const GROUPED_ENTRIES: usize = 10;
