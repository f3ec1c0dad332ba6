//! The server's settings as CONFIG sees them, and those that may change while the engines run.
//!
//! To add a setting that CONFIG SET may change: a field of the server's `Config`, its name in the server's
//! `CHANGEABLE`, and, if an engine reads it, a field here that the server's `publish` writes.

use std::sync::{Arc, mpsc};

pub use crate::pause::Pause;
pub use crate::slow::SlowSettings;
pub use kora_command::SettingError;
pub use kora_keyspace::{EvictionChoice, EvictionPolicy, UseRule};
use kora_mesh::{Budget, Gauge, Latest, SharedCounter};

use crate::access::{AccessControl, UsersFile};

/// Settings that CONFIG SET may change and engines read. A worker reads them without a lock, each time that it needs them:
/// a change applies from its next look on.
#[derive(Debug)]
pub struct LiveSettings {
    /// The longest string that commands may make of shorter ones, in bytes: what a client may send in one piece.
    pub string_bytes_max: Gauge,
    /// Clients that may be connected at once, for INFO.
    pub clients_max: Gauge,
    /// Connections that were refused because there were too many, for INFO.
    pub connections_rejected: SharedCounter,
    /// Memory that clients may hold: what they sent that is not answered, replies that they have not taken, keys that they
    /// watch. In bytes.
    pub client_memory: Arc<Budget>,
    /// Memory that data may take, and what workers have told that it takes.
    pub data_memory: DataMemory,
    /// The same as `client_memory` for clients that have not authenticated.
    pub stranger_memory: Arc<Budget>,
    /// From which time on a command is slow.
    pub slow: SlowSettings,
    /// The bits of the [`EventClasses`](crate::command::EventClasses) that are told to channels.
    pub notified_events: Gauge,
    /// Keys that clients with caches of their own may have read, of all shards.
    pub tracked_keys_max: Gauge,
    /// Clients that MONITOR.
    pub monitors: SharedCounter,
    /// What CLIENT PAUSE has said.
    pub pause: Pause,
    /// Milliseconds after which a script that runs lets other clients of its shard have an error.
    pub busy_reply_ms: Gauge,
    /// 1 if the keys of a script may have several slots, as long as one shard holds them.
    pub scripts_across_slots: Gauge,
    /// Who may do what.
    pub access: AccessControl,
}

impl Default for LiveSettings {
    /// What an engine takes that no server has told anything: strings of up to 512 MiB, 1 GiB for clients, and no password.
    fn default() -> LiveSettings {
        LiveSettings {
            string_bytes_max: Gauge::new(512 << 20),
            clients_max: Gauge::new(0),
            connections_rejected: SharedCounter::new(),
            slow: SlowSettings::default(),
            notified_events: Gauge::new(0),
            tracked_keys_max: Gauge::new(1_000_000),
            monitors: SharedCounter::new(),
            pause: Pause::default(),
            busy_reply_ms: Gauge::new(5_000),
            scripts_across_slots: Gauge::new(0),
            client_memory: Arc::new(Budget::new(1 << 30)),
            data_memory: DataMemory::default(),
            stranger_memory: Arc::new(Budget::new(16 << 20)),
            access: AccessControl::default(),
        }
    }
}

/// The memory of the data of all workers together. A worker tells what its shards take in steps, so these numbers are a
/// little old.
#[derive(Debug)]
pub struct DataMemory {
    /// What the data takes, and how much it may: [`NO_LIMIT`] if there is no limit.
    pub used: Budget,
    /// What the data would take once everything that is being freed is free: this decides whether something is evicted. Its
    /// limit is not used.
    pub wanted: Budget,
    /// What large commands may add that are under way. Its limit is not used.
    pub under_way: Budget,
    /// The most that it has taken.
    pub peak: Gauge,
    /// What is evicted when there is too much.
    rules: Latest<EvictionRules>,
    /// How often the rules were changed. Workers read this often, and the rules only when it has changed.
    version: Gauge,
}

/// What is evicted when memory is needed, and how it is chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvictionRules {
    /// Which entries, and how they are sampled.
    pub choice: EvictionChoice,
    /// What is noted of an entry's use.
    pub uses: UseRule,
}

impl Default for EvictionRules {
    /// Redis's defaults.
    fn default() -> EvictionRules {
        EvictionRules {
            choice: EvictionChoice {
                policy: EvictionPolicy::NoEviction,
                samples: 5,
            },
            uses: UseRule::default(),
        }
    }
}

impl Default for DataMemory {
    fn default() -> DataMemory {
        DataMemory {
            used: Budget::new(NO_LIMIT),
            wanted: Budget::new(NO_LIMIT),
            under_way: Budget::new(NO_LIMIT),
            peak: Gauge::new(0),
            rules: Latest::new(EvictionRules::default()),
            version: Gauge::new(0),
        }
    }
}

impl DataMemory {
    /// How many bytes the data may take, if there is a limit.
    pub fn limit(&self) -> Option<u64> {
        Some(self.used.limit()).filter(|limit| *limit != NO_LIMIT)
    }

    /// The rules as they are now.
    pub fn rules(&self) -> Arc<EvictionRules> {
        self.rules.get()
    }

    /// Changes limit and rules. A worker applies them from its next command on.
    pub fn set(&self, limit: Option<u64>, rules: EvictionRules) {
        let _: Result<(), ()> = self.rules.replace(|_| Ok(rules));
        self.used.set_limit(limit.unwrap_or(NO_LIMIT));
        self.version.set(self.version.get() + 1);
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// A worker or a shard whose share has changed by no more does not tell it: the numbers are all workers', so they are to be
    /// written seldom. No more than such a part of the limit, so that what many have not told yet is little.
    pub(crate) fn told_step(&self) -> u64 {
        (self.used.limit() / TOLD_ONE_IN).min(TOLD_BYTES_MAX)
    }
}

/// In bytes, whatever the limit.
const TOLD_BYTES_MAX: u64 = 16 << 10;

/// With eight workers less than a thousandth of the limit is not told.
const TOLD_ONE_IN: u64 = 16 << 10;

/// The limit of a [`Budget`] that has none.
pub const NO_LIMIT: u64 = u64::MAX;

/// What CONFIG does to the settings. The engine knows their names and values as text only.
pub trait Settings: Send + Sync {
    /// Every setting with its value, by name.
    fn all(&self) -> Vec<(String, String)>;

    /// Sets all of these, or none of them and says why. Names are in lower case, and each stands there once.
    fn set(&self, changes: &[(String, String)]) -> Result<(), SettingError>;

    /// Begins to write the settings into the file that they came from. The outcome follows when it is on disk.
    fn rewrite(&self) -> mpsc::Receiver<Result<(), SettingError>>;

    /// Begins to read the file of users. `None` if there is none.
    fn read_users(&self) -> Option<mpsc::Receiver<Result<UsersFile, String>>> {
        None
    }

    /// Begins to write the file of users. `None` if there is none.
    fn write_users(&self, text: Vec<u8>) -> Option<mpsc::Receiver<Result<(), String>>> {
        drop(text);
        None
    }
}

/// Settings that never change: those of a simulation.
impl Settings for Vec<(String, String)> {
    fn all(&self) -> Vec<(String, String)> {
        self.clone()
    }

    fn set(&self, changes: &[(String, String)]) -> Result<(), SettingError> {
        match changes.first() {
            None => Ok(()),
            Some((name, _)) if self.iter().any(|(known, _)| known == name) => Err(SettingError::immutable(name)),
            Some((name, _)) => Err(SettingError::Unknown { name: name.clone() }),
        }
    }

    fn rewrite(&self) -> mpsc::Receiver<Result<(), SettingError>> {
        let (said, heard) = mpsc::channel();
        said.send(Err(SettingError::NoFile)).expect("the receiver is here");
        heard
    }
}
