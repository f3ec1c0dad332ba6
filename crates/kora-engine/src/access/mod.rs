//! Users and what they may do, as all workers share them. What rules mean stands in kora-access.

mod answers;
mod checking;

use std::sync::Arc;

use kora_access::{Context, Denial, DenialLog, NewUsers, User, Users};
use kora_mesh::{Gauge, Latest};
use kora_resp::Words;
use kora_values::Database;

use crate::command::scripting::ScriptRights;
use crate::command::table::CommandEntry;
use crate::setup::Setup;

pub use answers::UsersFile;
pub(crate) use answers::{answer, change, load, save};
pub(crate) use checking::refusal_at_exec;

/// All users, and what they were denied.
#[derive(Debug)]
pub struct AccessControl {
    users: Latest<Users>,
    /// That of `users`. A worker that sees another one than a connection has looks at the connection's user again.
    version: Gauge,
    /// 1 if some user may not do everything.
    are_limited: Gauge,
    denials: Latest<DenialLog>,
    /// How much of what was denied is kept.
    pub log_entries_max: Gauge,
    /// 1 if new users may hear all channels.
    pub new_users_hear_all: Gauge,
}

impl Default for AccessControl {
    /// One user, who may do everything without a password.
    fn default() -> AccessControl {
        AccessControl {
            users: Latest::new(Users::default()),
            version: Gauge::new(0),
            are_limited: Gauge::new(0),
            denials: Latest::new(DenialLog::default()),
            log_entries_max: Gauge::new(128),
            new_users_hear_all: Gauge::new(0),
        }
    }
}

impl AccessControl {
    /// All users now.
    pub fn users(&self) -> Arc<Users> {
        self.users.get()
    }

    /// Gives the user `default` this password, or none.
    pub fn set_password(&self, password: Option<&str>) {
        let _: Result<(), ()> = self.replace(|users| Ok(users.with_password(password)));
    }

    /// Replaces all users by those that a file names.
    ///
    /// # Errors
    /// A text that says what is wrong with the file; then nothing has changed.
    pub fn read(&self, text: &[u8], path: &str) -> Result<(), String> {
        self.replace(|users| users.read(text, path, self.new_users()))
    }

    /// True if connections have to log in.
    pub fn need_login(&self) -> bool {
        self.users().need_login()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    pub(crate) fn are_limited(&self) -> bool {
        self.are_limited.get() != 0
    }

    pub(crate) fn replace<E>(&self, next: impl FnOnce(&Users) -> Result<Users, E>) -> Result<(), E> {
        self.users.replace(next)?;
        let users = self.users();
        self.are_limited.set(u64::from(users.are_limited()));
        self.version.set(users.version());
        Ok(())
    }

    pub(crate) fn new_users(&self) -> NewUsers {
        NewUsers {
            have_all_channels: self.new_users_hear_all.get() != 0,
        }
    }

    /// Notes what a user was denied.
    pub(crate) fn note(&self, denial: (Denial, Context), user: &[u8], client: String, at_ms: u64) {
        let entries_max = usize::try_from(self.log_entries_max.get()).unwrap_or(usize::MAX);
        let _: Result<(), ()> = self.denials.replace(|log| {
            let mut log = log.clone();
            log.note(denial, user, client, at_ms, entries_max);
            Ok(log)
        });
    }
}

/// What a script may call: the rights of its client's user.
#[derive(Debug)]
pub(crate) struct RightsOfClient {
    pub(crate) live: Arc<crate::settings::LiveSettings>,
    pub(crate) user: Arc<User>,
    /// The client, as CLIENT INFO describes it.
    pub(crate) client: String,
}

impl ScriptRights for RightsOfClient {
    fn check(
        &self,
        entry: &CommandEntry,
        words: &Words,
        is_collection: &dyn Fn(&[u8]) -> bool,
        at_ms: u64,
    ) -> Result<(), String> {
        self.user.check(entry, words, is_collection).map_err(|denial| {
            let text = denial.error(&self.user);
            let client = self.client.clone();
            self.live
                .access
                .note((denial, Context::Script), &self.user.name, client, at_ms);
            text
        })
    }
}

/// True if a key of a database is the name of a collection whose vectors have keys of their own. A vector set is one key.
pub(crate) fn is_collection(setup: &Setup, database: Database, key: &[u8], at_ms: u64) -> bool {
    let (catalog, name) = (setup.catalog.at(at_ms), database.stored(key));
    catalog.holds(&name) && !catalog.holds_set(&name)
}
