//! The settings of a server that runs: CONFIG GET, CONFIG SET and CONFIG REWRITE.
//!
//! A setting that may change has its name in [`CHANGEABLE`], and [`publish`] writes it where the workers look. They look
//! without a lock, each time that they need it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use kora_engine::{EvictionChoice, EvictionRules, LiveSettings, SettingError, Settings, UseRule, UsersFile};
use kora_mesh::{Gauge, Latest};
use tokio::sync::{Semaphore, watch};

use crate::acceptor::CLIENTS_MAX;
use crate::config::{self, AclPubsubDefault, AppendFsync, Config, OutputLimit, SavePoints};
use crate::descriptors::room_for;
use crate::log;
use crate::tls::{self, CertificateError, TlsConfig};
use crate::users_file;

/// Settings that CONFIG SET may change.
pub const CHANGEABLE: [&str; 30] = [
    "acl-pubsub-default",
    "acllog-max-len",
    "appendfsync",
    "busy-reply-threshold",
    "client-output-buffer-limit",
    "latency-monitor-threshold",
    "lfu-decay-time",
    "lfu-log-factor",
    "loglevel",
    "maxclients",
    "maxmemory",
    "maxmemory-clients",
    "maxmemory-policy",
    "maxmemory-samples",
    "notify-keyspace-events",
    "proto-max-bulk-len",
    "requirepass",
    "save",
    "scripts-across-slots",
    "shutdown-timeout",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "tcp-keepalive",
    "timeout",
    "tls-auth-clients",
    "tls-ca-cert-file",
    "tls-cert-file",
    "tls-key-file",
    "tls-protocols",
    "tracking-table-max-keys",
];

/// What may change while the server runs, as workers and the acceptor read it.
#[derive(Debug)]
pub(crate) struct Live {
    /// What the engines read too.
    pub(crate) engine: Arc<LiveSettings>,
    /// For ordinary clients.
    pub(crate) output: LiveOutputLimit,
    /// For clients that subscribe to something.
    pub(crate) output_to_subscribers: LiveOutputLimit,
    pub(crate) shutdown_timeout_s: Gauge,
    pub(crate) tcp_keepalive_s: Gauge,
    pub(crate) timeout_s: Gauge,
    /// 1 under `appendfsync always`: read before replies are written.
    pub(crate) is_fsync_always: Gauge,
    /// When the log is synced, and when snapshots are taken.
    pub(crate) persistence: Latest<PersistencePolicy>,
    /// What TLS handshakes are done with; none without `tls-port`.
    pub(crate) tls: Latest<Option<TlsConfig>>,
    /// Tells those who wait for something that a setting governs.
    pub(crate) changed: watch::Sender<()>,
}

/// What the log's thread does by itself.
#[derive(Clone, Debug)]
pub(crate) struct PersistencePolicy {
    pub(crate) fsync: AppendFsync,
    pub(crate) save: SavePoints,
}

impl PersistencePolicy {
    fn of(config: &Config) -> PersistencePolicy {
        PersistencePolicy {
            fsync: config.appendfsync,
            save: config.save.clone(),
        }
    }
}

impl Live {
    /// What the settings say when the server starts.
    pub(crate) fn new(config: &Config) -> Live {
        let live = Live {
            engine: Arc::default(),
            output: LiveOutputLimit::new(),
            output_to_subscribers: LiveOutputLimit::new(),
            shutdown_timeout_s: Gauge::new(0),
            tcp_keepalive_s: Gauge::new(0),
            timeout_s: Gauge::new(0),
            is_fsync_always: Gauge::new(0),
            persistence: Latest::new(PersistencePolicy::of(config)),
            tls: Latest::new(None),
            changed: watch::Sender::new(()),
        };
        live.engine.clients_max.set(config.maxclients.get().into());
        live.publish(config);
        if config.requirepass.is_set() {
            live.engine.access.set_password(config.requirepass.reveal());
        }
        live
    }

    /// The longest argument that a client may send now, in bytes.
    pub(crate) fn bulk_bytes_max(&self) -> usize {
        usize::try_from(self.engine.string_bytes_max.get()).unwrap_or(usize::MAX)
    }

    /// Writes every setting that may change where it is read, but for those that are told elsewhere: the level of the
    /// log, and `maxclients`, of which the system has to be asked.
    fn publish(&self, config: &Config) {
        self.engine.string_bytes_max.set(config.proto_max_bulk_len.bytes());
        self.engine.busy_reply_ms.set(config.busy_reply_threshold.get());
        self.engine
            .scripts_across_slots
            .set(u64::from(config.scripts_across_slots.0));
        let uses = UseRule {
            counts: config.maxmemory_policy.0.counts_uses(),
            log_factor: config.lfu_log_factor.get(),
            decay_minutes: config.lfu_decay_time.get(),
            ..UseRule::default()
        };
        let choice = EvictionChoice {
            policy: config.maxmemory_policy.0,
            samples: config.maxmemory_samples.get() as usize,
        };
        let rules = EvictionRules { choice, uses };
        self.engine.data_memory.set(config.maxmemory.bytes(), rules);
        self.engine.slow.set(
            config.slowlog_log_slower_than.get(),
            config.slowlog_max_len.get(),
            config.latency_monitor_threshold.get(),
        );
        let events = config.notify_keyspace_events.0;
        self.engine.notified_events.set(events.bits());
        self.engine.tracked_keys_max.set(config.tracking_table_max_keys.get());
        let client_bytes = config.maxmemory_clients.bytes();
        self.engine.client_memory.set_limit(client_bytes);
        let stranger_bytes = (client_bytes / STRANGERS_SHARE).min(STRANGER_BYTES_MAX);
        self.engine.stranger_memory.set_limit(stranger_bytes);
        let access = &self.engine.access;
        access.log_entries_max.set(config.acllog_max_len.get());
        let hear_all = config.acl_pubsub_default == AclPubsubDefault::AllChannels;
        access.new_users_hear_all.set(u64::from(hear_all));
        let limits = config.client_output_buffer_limit;
        self.output.set(limits.normal);
        self.output_to_subscribers.set(limits.pubsub);
        self.shutdown_timeout_s.set(config.shutdown_timeout.get());
        self.tcp_keepalive_s.set(config.tcp_keepalive.get());
        self.timeout_s.set(config.timeout.get());
        let policy = PersistencePolicy::of(config);
        self.is_fsync_always.set(u64::from(policy.fsync == AppendFsync::Always));
        let _: Result<(), ()> = self.persistence.replace(|_| Ok(policy));
        self.changed.send_replace(());
    }
}

/// See [`OutputLimit`]: three numbers, read one by one.
#[derive(Debug)]
pub(crate) struct LiveOutputLimit {
    pub(crate) hard_bytes: Gauge,
    pub(crate) soft_bytes: Gauge,
    pub(crate) soft_s: Gauge,
}

impl LiveOutputLimit {
    fn new() -> LiveOutputLimit {
        LiveOutputLimit {
            hard_bytes: Gauge::new(0),
            soft_bytes: Gauge::new(0),
            soft_s: Gauge::new(0),
        }
    }

    fn set(&self, limit: OutputLimit) {
        self.hard_bytes.set(limit.hard_bytes);
        self.soft_bytes.set(limit.soft_bytes);
        self.soft_s.set(limit.soft_seconds);
    }
}

/// The settings of one server.
pub(crate) struct RunningSettings {
    config: Arc<Latest<Config>>,
    live: Arc<Live>,
    /// Tells how many clients are connected.
    clients: Arc<Semaphore>,
    /// `bind` as it was when the server began to listen: a password that is set later opens no interface.
    bound: String,
    /// One rewrites the file at a time.
    rewriting: Arc<Semaphore>,
}

impl RunningSettings {
    pub(crate) fn new(config: &Config, live: Arc<Live>, clients: Arc<Semaphore>) -> RunningSettings {
        RunningSettings {
            config: Arc::new(Latest::new(config.clone())),
            live,
            clients,
            bound: config.listening(),
            rewriting: Arc::new(Semaphore::new(1)),
        }
    }
}

impl RunningSettings {
    /// What the engines read of it.
    pub(crate) fn for_engines(&self) -> Arc<LiveSettings> {
        Arc::clone(&self.live.engine)
    }
}

impl RunningSettings {
    /// Reads again, when it is called, what the settings only name: the certificates.
    pub(crate) fn reloader(&self) -> impl Fn() + Send + use<> {
        let (config, live) = (Arc::clone(&self.config), Arc::clone(&self.live));
        move || match read_certificates(&config.get(), &live) {
            Ok(false) => tracing::info!("there is nothing to read again: no `tls-port`"),
            Ok(true) => tracing::info!("the certificates were read again"),
            Err(error) => tracing::error!(%error, "the certificates stay as they were"),
        }
    }
}

/// Reads the certificates if there is a port for TLS: handshakes from now on are done with them. False if there is none.
pub(crate) fn read_certificates(config: &Config, live: &Live) -> Result<bool, CertificateError> {
    if config.tls_port.get() == 0 {
        return Ok(false);
    }
    let certificates = tls::load(config)?;
    live.tls.replace(|_| Ok(Some(certificates)))?;
    Ok(true)
}

impl Settings for RunningSettings {
    fn all(&self) -> Vec<(String, String)> {
        let mut all = self.config.get().settings();
        for (name, value) in &mut all {
            if name == "bind" {
                value.clone_from(&self.bound);
            }
        }
        all
    }

    fn set(&self, changes: &[(String, String)]) -> Result<(), SettingError> {
        self.config.replace(|config| {
            let next = config.changed(changes, &CHANGEABLE)?;
            if changes.iter().any(|(name, _)| name.starts_with("tls-")) {
                read_certificates(&next, &self.live).map_err(|error| SettingError::Refused {
                    name: error.setting().to_owned(),
                    reason: error.to_string(),
                })?;
            }
            if next.maxclients != config.maxclients {
                self.make_room_for(next.maxclients.get())?;
            }
            self.live.publish(&next);
            if next.requirepass != config.requirepass {
                // Only then: ACL SETUSER may have given the user another password meanwhile.
                self.live.engine.access.set_password(next.requirepass.reveal());
            }
            if next.loglevel != config.loglevel {
                log::set_level(next.loglevel);
            }
            Ok(next)
        })
    }

    fn rewrite(&self) -> Receiver<Result<(), SettingError>> {
        let (said, heard) = mpsc::channel();
        let config = self.config.get();
        let refuse = |reason: &str| SettingError::Unwritable {
            reason: reason.to_owned(),
        };
        let Some(path) = config.file.clone() else {
            // The receiver is still here: it is returned below.
            let _ = said.send(Err(SettingError::NoFile));
            return heard;
        };
        let Ok(turn) = Arc::clone(&self.rewriting).try_acquire_owned() else {
            let _ = said.send(Err(refuse("another client is having it written")));
            return heard;
        };
        let answer = said.clone();
        let write = move || {
            let outcome = config::rewrite(&path, &config);
            drop(turn);
            if let Err(error) = &outcome {
                tracing::warn!(path = %path.display(), %error, "the settings could not be written");
            }
            // The client may have gone meanwhile.
            let _ = answer.send(outcome.map_err(|reason| SettingError::Unwritable { reason }));
        };
        let thread = thread::Builder::new().name("kora-rewrite".to_owned()).spawn(write);
        if let Err(error) = thread {
            let _ = said.send(Err(refuse(&error.to_string())));
        }
        heard
    }

    fn read_users(&self) -> Option<Receiver<Result<UsersFile, String>>> {
        self.config.get().aclfile.path().map(users_file::begin_reading)
    }

    fn write_users(&self, text: Vec<u8>) -> Option<Receiver<Result<(), String>>> {
        let config = self.config.get();
        config.aclfile.path().map(|path| users_file::begin_writing(path, text))
    }
}

impl RunningSettings {
    fn make_room_for(&self, clients: u32) -> Result<(), SettingError> {
        let connected = CLIENTS_MAX - self.clients.available_permits();
        let room = room_for(clients, connected as u64);
        if room < clients {
            return Err(SettingError::Refused {
                name: "maxclients".to_owned(),
                reason: format!(
                    "The operating system is not able to handle the specified number of clients, try with {room}"
                ),
            });
        }
        self.live.engine.clients_max.set(clients.into());
        Ok(())
    }
}

/// Clients that have not authenticated may hold this part of what the others may, beside it.
const STRANGERS_SHARE: u64 = 8;

/// And no more than this: a login of a thousand clients at once.
const STRANGER_BYTES_MAX: u64 = 16 << 20;
