//! Every setting of the server, in one place: [`Config`].
//!
//! A setting is one field. Its name is the field's, with hyphens: the same word in the file, behind `--` on the command
//! line, after `KORA_` (upper case, underscores) in the environment, and in CONFIG GET. Names are Redis's where Redis
//! has the setting. A later source wins: built-in default, file, environment, command line.
//!
//! `value.rs` and `bind.rs` have the fields' types: each is read from text and says what is right when it refuses.

mod access;
mod bind;
mod data_memory;
mod error;
pub(crate) mod invocation;
mod memory;
mod observing;
mod persistence;
mod rewrite;
mod secret_files;
mod shown;
mod text;
mod tls;
mod value;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, FromArgMatches};
use kora_engine::SettingError;
use kora_vector::Storage;
use serde::{Deserialize, Serialize};

pub use self::access::AclPubsubDefault;
pub use self::bind::{Bind, ListenAddress, Necessity};
pub use self::data_memory::{DataMemoryLimit, MaxmemoryPolicy};
pub use self::error::ConfigError;
pub use self::invocation::{Invocation, is_service_link, parse, parse_from, unknown_variables};
pub use self::memory::{ClientMemory, OutputLimit, OutputLimits};
pub use self::observing::{NotifiedEvents, OptionalNumber};
pub use self::persistence::{AppendFsync, OptionalPath, SavePoints, YesNo};
pub(crate) use self::rewrite::rewrite;
pub use self::shown::ShownConfig;
pub use self::tls::{TlsAuthClients, TlsProtocols};
pub use self::value::{
    IdleLaps, LogFormat, LogLevel, MemorySize, Number, PinWorkers, Secret, VectorMetric, VectorQuant,
};

/// Everything that can be set, with its effective value.
///
/// The one list of settings: this struct is the command line's flags, the file's keys and CONFIG GET's answer.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to listen on, separated by spaces: `*` is every IPv4 interface, `-` before an address lets the server
    /// start without it. `auto`: loopback only, or every interface once a password is set [default: auto]
    #[arg(long, env = "KORA_BIND", value_name = "ADDRESSES")]
    #[serde(with = "text")]
    pub bind: Bind,

    /// TCP port, 0 to 65535; 0 takes any free one and prints it [default: 6379]
    #[arg(long, env = "KORA_PORT")]
    #[serde(with = "text")]
    pub port: Number<u16, 0, 65_535>,

    /// Password that clients must give; empty asks for none [default: none]
    #[arg(long, env = "KORA_REQUIREPASS", hide_env_values = true, value_name = "PASSWORD")]
    #[serde(with = "text")]
    pub requirepass: Secret,

    /// File with the users and their rules, as ACL SAVE writes it; empty keeps users in memory only [default: none]
    #[arg(long, env = "KORA_ACLFILE", value_name = "FILE")]
    #[serde(with = "text")]
    pub aclfile: OptionalPath,

    /// Which channels a new user may hear: resetchannels (none) or allchannels [default: resetchannels]
    #[arg(long, env = "KORA_ACL_PUBSUB_DEFAULT", value_name = "CHANNELS")]
    #[serde(with = "text")]
    pub acl_pubsub_default: AclPubsubDefault,

    /// Entries of the log of what users were denied, 0 to 10000 [default: 128]
    #[arg(long, env = "KORA_ACLLOG_MAX_LEN", value_name = "ENTRIES")]
    #[serde(with = "text")]
    pub acllog_max_len: Number<u64, 0, 10_000>,

    /// Clients connected at once, 1 to 1000000; one more is told so and closed [default: 10000]
    #[arg(long, env = "KORA_MAXCLIENTS", value_name = "CLIENTS")]
    #[serde(with = "text")]
    pub maxclients: Number<u32, 1, 1_000_000>,

    /// Seconds after which a client that says nothing is closed, 0 to 2147483647; 0 is never [default: 0]
    #[arg(long, env = "KORA_TIMEOUT", value_name = "SECONDS")]
    #[serde(with = "text")]
    pub timeout: Number<u64, 0, 2_147_483_647>,

    /// Seconds after which a silent client's machine is asked whether it is still there, 0 to 32767; 0 is never
    /// [default: 300]
    #[arg(long, env = "KORA_TCP_KEEPALIVE", value_name = "SECONDS")]
    #[serde(with = "text")]
    pub tcp_keepalive: Number<u64, 0, 32_767>,

    /// Connections that may wait to be accepted, 1 to 65535 [default: 511]
    #[arg(long, env = "KORA_TCP_BACKLOG", value_name = "CONNECTIONS")]
    #[serde(with = "text")]
    pub tcp_backlog: Number<u32, 1, 65_535>,

    /// TCP port for metrics, health checks and a page to look at, by HTTP, 0 to 65535; 0 is none [default: 0]
    #[arg(long, env = "KORA_HTTP_PORT")]
    #[serde(with = "text")]
    pub http_port: Number<u16, 0, 65_535>,

    /// Addresses to listen on for HTTP, as for `bind` [default: 127.0.0.1 -::1]
    #[arg(long, env = "KORA_HTTP_BIND", value_name = "ADDRESSES")]
    #[serde(with = "text")]
    pub http_bind: Bind,

    /// TCP port for clients that encrypt (TLS), on the addresses of `bind`, 0 to 65535; 0 is none [default: 0]
    #[arg(long, env = "KORA_TLS_PORT")]
    #[serde(with = "text")]
    pub tls_port: Number<u16, 0, 65_535>,

    /// File with the server's certificate and those that vouch for it (PEM) [default: none]
    #[arg(long, env = "KORA_TLS_CERT_FILE", value_name = "FILE")]
    #[serde(with = "text")]
    pub tls_cert_file: OptionalPath,

    /// File with the private key of that certificate (PEM) [default: none]
    #[arg(long, env = "KORA_TLS_KEY_FILE", value_name = "FILE")]
    #[serde(with = "text")]
    pub tls_key_file: OptionalPath,

    /// File with the certificates of the authorities that clients' certificates are checked against (PEM) [default: none]
    #[arg(long, env = "KORA_TLS_CA_CERT_FILE", value_name = "FILE")]
    #[serde(with = "text")]
    pub tls_ca_cert_file: OptionalPath,

    /// Whether clients of the TLS port must show a certificate: yes, no or optional [default: yes]
    #[arg(long, env = "KORA_TLS_AUTH_CLIENTS", value_name = "WHEN")]
    #[serde(with = "text")]
    pub tls_auth_clients: TlsAuthClients,

    /// Versions of TLS that are spoken: TLSv1.2, TLSv1.3 or both [default: TLSv1.2 TLSv1.3]
    #[arg(long, env = "KORA_TLS_PROTOCOLS", value_name = "VERSIONS")]
    #[serde(with = "text")]
    pub tls_protocols: TlsProtocols,

    /// Longest single argument of a request, 1mb to 512mb [default: 64mb]
    #[arg(long, env = "KORA_PROTO_MAX_BULK_LEN", value_name = "MEMORY")]
    #[serde(with = "text")]
    pub proto_max_bulk_len: MemorySize<{ 1 << 20 }, { 512 << 20 }>,

    /// Memory that data may take, in bytes or in percent of the memory that the process may use; 0 is no limit [default: 0]
    #[arg(long, env = "KORA_MAXMEMORY", value_name = "MEMORY")]
    #[serde(with = "text")]
    pub maxmemory: DataMemoryLimit,

    /// What is evicted when data takes more: noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu,
    /// volatile-random or volatile-ttl [default: noeviction]
    #[arg(long, env = "KORA_MAXMEMORY_POLICY", value_name = "POLICY")]
    #[serde(with = "text")]
    pub maxmemory_policy: MaxmemoryPolicy,

    /// Entries compared for each eviction, 1 to 64 [default: 5]
    #[arg(long, env = "KORA_MAXMEMORY_SAMPLES", value_name = "ENTRIES")]
    #[serde(with = "text")]
    pub maxmemory_samples: Number<u32, 1, 64>,

    /// How hard it is for the counter of an entry's uses to grow, 0 to 2147483647 [default: 10]
    #[arg(long, env = "KORA_LFU_LOG_FACTOR", value_name = "FACTOR")]
    #[serde(with = "text")]
    pub lfu_log_factor: Number<u32, 0, 2_147_483_647>,

    /// Minutes without a use after which such a counter is one less, 0 to 2147483647; 0 is never [default: 1]
    #[arg(long, env = "KORA_LFU_DECAY_TIME", value_name = "MINUTES")]
    #[serde(with = "text")]
    pub lfu_decay_time: Number<u32, 0, 2_147_483_647>,

    /// Memory that clients may hold in all, in bytes or percent: requests not answered and replies not taken. `auto`: a
    /// quarter of the memory or 256mb, whichever is less [default: auto]
    #[arg(long, env = "KORA_MAXMEMORY_CLIENTS", value_name = "MEMORY")]
    #[serde(with = "text")]
    pub maxmemory_clients: ClientMemory,

    /// When a client that does not take what it is sent is dropped: a class (`normal`, `pubsub`) and `<hard> <soft>
    /// <seconds>` of it, 0 is no limit [default: normal 0 0 0 pubsub 33554432 8388608 60]
    #[arg(long, env = "KORA_CLIENT_OUTPUT_BUFFER_LIMIT", value_name = "LIMIT")]
    #[serde(with = "text")]
    pub client_output_buffer_limit: OutputLimits,

    /// How many databases there are for SELECT, 1 to 1024 [default: 16]
    #[arg(long, env = "KORA_DATABASES", value_name = "DATABASES")]
    #[serde(with = "text")]
    pub databases: Number<u16, 1, 1_024>,

    /// Milliseconds after which a script lets other clients of its shard have the error BUSY, 0 to 4294967295 [default: 5000]
    #[arg(long, env = "KORA_BUSY_REPLY_THRESHOLD", value_name = "MILLISECONDS")]
    #[serde(with = "text")]
    pub busy_reply_threshold: Number<u64, 0, 4_294_967_295>,

    /// Whether a script's keys may have several slots, as long as one shard holds them: yes or no [default: no]
    #[arg(long, env = "KORA_SCRIPTS_ACROSS_SLOTS", value_name = "YES_OR_NO")]
    #[serde(with = "text")]
    pub scripts_across_slots: YesNo,

    /// Microseconds from which on a command is entered into SLOWLOG, 0 to 4294967295, or -1 for none [default: 10000]
    #[arg(
        long,
        env = "KORA_SLOWLOG_LOG_SLOWER_THAN",
        value_name = "MICROSECONDS",
        allow_negative_numbers = true
    )]
    #[serde(with = "text")]
    pub slowlog_log_slower_than: OptionalNumber,

    /// Entries that SLOWLOG keeps, 0 to 100000 [default: 128]
    #[arg(long, env = "KORA_SLOWLOG_MAX_LEN", value_name = "ENTRIES")]
    #[serde(with = "text")]
    pub slowlog_max_len: Number<u64, 0, 100_000>,

    /// Milliseconds from which on a command is an event of LATENCY, 0 to 4294967295; 0 is none [default: 0]
    #[arg(long, env = "KORA_LATENCY_MONITOR_THRESHOLD", value_name = "MILLISECONDS")]
    #[serde(with = "text")]
    pub latency_monitor_threshold: Number<u64, 0, 4_294_967_295>,

    /// Which events of keys are told to channels: letters of Ag$lshzxeKEtmdnoc, or nothing [default: none]
    #[arg(long, env = "KORA_NOTIFY_KEYSPACE_EVENTS", value_name = "CLASSES")]
    #[serde(with = "text")]
    pub notify_keyspace_events: NotifiedEvents,

    /// Keys that are remembered for clients with CLIENT TRACKING, 1 to 100000000 [default: 1000000]
    #[arg(long, env = "KORA_TRACKING_TABLE_MAX_KEYS", value_name = "KEYS")]
    #[serde(with = "text")]
    pub tracking_table_max_keys: Number<u64, 1, 100_000_000>,

    /// Seconds a stopping server gives to requests that it has received, 0 to 86400 [default: 8]
    #[arg(long, env = "KORA_SHUTDOWN_TIMEOUT", value_name = "SECONDS")]
    #[serde(with = "text")]
    pub shutdown_timeout: Number<u64, 0, 86_400>,

    /// Directory that the data is kept in; empty keeps it in memory only [default: none]
    #[arg(long, env = "KORA_DIR", value_name = "DIRECTORY")]
    #[serde(with = "text")]
    pub dir: OptionalPath,

    /// Whether every change is written to a log in `dir` as it happens: yes or no [default: no]
    #[arg(long, env = "KORA_APPENDONLY", value_name = "YES_OR_NO")]
    #[serde(with = "text")]
    pub appendonly: YesNo,

    /// When the log is made safe against a loss of power: always (before any reply that tells of it), everysec or no
    /// [default: everysec]
    #[arg(long, env = "KORA_APPENDFSYNC", value_name = "WHEN")]
    #[serde(with = "text")]
    pub appendfsync: AppendFsync,

    /// When a snapshot is taken: pairs of seconds and changes; empty takes none by itself [default: 3600 1 300 100 60 10000]
    #[arg(long, env = "KORA_SAVE", value_name = "POINTS")]
    #[serde(with = "text")]
    pub save: SavePoints,

    /// What is logged: trace, debug, verbose, notice, warning or error [default: notice]
    #[arg(long, env = "KORA_LOGLEVEL", value_name = "LEVEL")]
    #[serde(with = "text")]
    pub loglevel: LogLevel,

    /// How the log is written: text, or json with an object on each line [default: text]
    #[arg(long, env = "KORA_LOG_FORMAT", value_name = "FORMAT")]
    #[serde(with = "text")]
    pub log_format: LogFormat,

    /// Worker threads, 0 to 256; 0 is one for each core that the process may use, a container's quota included [default: 0]
    #[arg(long, env = "KORA_WORKERS")]
    #[serde(with = "text")]
    pub workers: Number<usize, 0, 256>,

    /// Whether each worker stays on a core of its own: yes, no, or `auto`, which pins them if the process was given fewer
    /// cores than the machine has [default: auto]
    #[arg(long, env = "KORA_PIN_WORKERS", value_name = "WHEN")]
    #[serde(with = "text")]
    pub pin_workers: PinWorkers,

    /// Shards of the data, 0 to 256; 0 is as many as workers [default: 0]
    #[arg(long, env = "KORA_SHARDS")]
    #[serde(with = "text")]
    pub shards: Number<usize, 0, 256>,

    /// Looks around before an idle worker sleeps, 0 to 10000, or `auto`: 4 if several workers each have a core, else 0
    /// [default: auto]
    #[arg(long, env = "KORA_IDLE_LAPS", value_name = "LAPS")]
    #[serde(with = "text")]
    pub idle_laps: IdleLaps,

    /// Microseconds a worker executes commands before it looks at its sockets again, 10 to 100000 [default: 500]
    #[arg(long, env = "KORA_TURN_BUDGET_US", value_name = "MICROSECONDS")]
    #[serde(with = "text")]
    pub turn_budget_us: Number<u64, 10, 100_000>,

    /// Metric of a collection that a VECSET creates: cosine, l2 or ip [default: cosine]
    #[arg(long, env = "KORA_VECTOR_METRIC", value_name = "METRIC")]
    #[serde(with = "text")]
    pub vector_metric: VectorMetric,

    /// Form in which the vectors of such a collection are kept: f32, f16, q16 or q8 [default: f32]
    #[arg(long, env = "KORA_VECTOR_QUANT", value_name = "FORM")]
    #[serde(with = "text")]
    pub vector_quant: VectorQuant,

    /// Links of a vector on each level of a collection that a VECSET creates, 2 to 512 [default: 16]
    #[arg(long, env = "KORA_VECTOR_M", value_name = "LINKS")]
    #[serde(with = "text")]
    pub vector_m: Number<u32, 2, 512>,

    /// Candidates looked at when a vector is inserted into such a collection, 1 to 100000 [default: 200]
    #[arg(long, env = "KORA_VECTOR_EF_CONSTRUCTION", value_name = "CANDIDATES")]
    #[serde(with = "text")]
    pub vector_ef_construction: Number<u32, 1, 100_000>,

    /// Candidates kept by a VECQUERY without EF on such a collection, 1 to 100000 [default: 100]
    #[arg(long, env = "KORA_VECTOR_EF_SEARCH", value_name = "CANDIDATES")]
    #[serde(with = "text")]
    pub vector_ef_search: Number<u32, 1, 100_000>,

    /// The file that was read, if one was: CONFIG REWRITE writes it.
    #[arg(skip)]
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: Bind::Automatic,
            port: Number::constant(6379),
            requirepass: Secret::default(),
            aclfile: OptionalPath::default(),
            acl_pubsub_default: AclPubsubDefault::ResetChannels,
            acllog_max_len: Number::constant(128),
            maxclients: Number::constant(10_000),
            timeout: Number::constant(0),
            tcp_keepalive: Number::constant(300),
            tcp_backlog: Number::constant(511),
            http_port: Number::constant(0),
            http_bind: Bind::loopback(),
            tls_port: Number::constant(0),
            tls_cert_file: OptionalPath::default(),
            tls_key_file: OptionalPath::default(),
            tls_ca_cert_file: OptionalPath::default(),
            tls_auth_clients: TlsAuthClients::Yes,
            tls_protocols: TlsProtocols::default(),
            proto_max_bulk_len: MemorySize::constant(64 << 20),
            maxmemory: DataMemoryLimit::default(),
            maxmemory_policy: MaxmemoryPolicy::default(),
            maxmemory_samples: Number::constant(5),
            lfu_log_factor: Number::constant(10),
            lfu_decay_time: Number::constant(1),
            maxmemory_clients: ClientMemory::Automatic,
            client_output_buffer_limit: OutputLimits::default(),
            databases: Number::constant(16),
            busy_reply_threshold: Number::constant(5_000),
            scripts_across_slots: YesNo(false),
            slowlog_log_slower_than: OptionalNumber::of(10_000),
            slowlog_max_len: Number::constant(128),
            latency_monitor_threshold: Number::constant(0),
            notify_keyspace_events: NotifiedEvents::default(),
            tracking_table_max_keys: Number::constant(1_000_000),
            shutdown_timeout: Number::constant(8),
            dir: OptionalPath::default(),
            appendonly: YesNo(false),
            appendfsync: AppendFsync::Everysec,
            save: SavePoints::usual(),
            loglevel: LogLevel::Notice,
            log_format: LogFormat::Text,
            workers: Number::constant(0),
            pin_workers: PinWorkers::Automatic,
            shards: Number::constant(0),
            idle_laps: IdleLaps::Automatic,
            turn_budget_us: Number::constant(kora_engine::budgets::TURN_BUDGET_US),
            vector_metric: VectorMetric::Cosine,
            vector_quant: VectorQuant(Storage::F32),
            vector_m: Number::constant(16),
            vector_ef_construction: Number::constant(200),
            vector_ef_search: Number::constant(100),
            file: None,
        }
    }
}

impl Config {
    /// The defaults, overlaid by the file, overlaid by what the environment and the command line say (`flags` holds
    /// both; clap lets a flag win over its variable).
    pub fn load(flags: &ArgMatches) -> Result<Self, ConfigError> {
        let mut config = Self::from_file(invocation::config_path(flags))?;
        config.update_from_arg_matches(flags)?;
        config.take_secrets(flags)?;
        Ok(config)
    }

    /// The defaults overlaid by `path`, or without one by [`CONFIG_PATH`], which need not exist.
    fn from_file(path: Option<&Path>) -> Result<Self, ConfigError> {
        let chosen = path.unwrap_or(Path::new(CONFIG_PATH));
        match fs::read_to_string(chosen) {
            Ok(text) => Ok(Self {
                file: Some(chosen.to_owned()),
                ..Self::from_text(chosen, &text)?
            }),
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError::Unreadable {
                path: chosen.to_owned(),
                error,
            }),
        }
    }

    /// The defaults overlaid by a file of this text; errors name it by its path.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::in_file(path, text, &error))
    }

    /// The addresses to listen on. What [`Bind::Automatic`] means depends on the password: an open cache on a public
    /// interface is found by strangers within hours.
    pub fn listen_addresses(&self) -> Vec<ListenAddress> {
        self.bind.addresses(self.requirepass.is_set())
    }

    /// The addresses to listen on for HTTP.
    pub fn http_addresses(&self) -> Vec<ListenAddress> {
        self.http_bind.addresses(self.requirepass.is_set())
    }

    /// Who can reach the server, for the line that it logs at the start.
    pub fn exposure(&self) -> Exposure {
        if self.listen_addresses().iter().all(|address| is_loopback(address.ip)) {
            Exposure::LoopbackOnly
        } else if self.requirepass.is_set() {
            Exposure::NetworkWithPassword
        } else {
            Exposure::NetworkWithoutPassword
        }
    }

    /// Every setting's name and effective value as text, by name: what CONFIG GET answers, and
    /// therefore with the password in it, as Redis does. Not for logs.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings: Vec<_> = self.texts().into_iter().collect();
        for (name, value) in &mut settings {
            match name.as_str() {
                "bind" => *value = self.listening(),
                // Clients expect a number of bytes.
                "maxmemory" => *value = self.maxmemory.bytes().unwrap_or(0).to_string(),
                _ => {}
            }
        }
        settings
    }

    /// The addresses that are listened on, as CONFIG GET shows them.
    pub(crate) fn listening(&self) -> String {
        bind::to_text(&self.listen_addresses())
    }

    /// The same settings but for these, each of which must be `changeable`. The first that is not, or whose value is wrong,
    /// is what the refusal names.
    pub(crate) fn changed(&self, changes: &[(String, String)], changeable: &[&str]) -> Result<Self, SettingError> {
        let mut texts = self.texts();
        let mut changed = self.clone();
        for (name, value) in changes {
            let Some(text) = texts.get_mut(name) else {
                return Err(SettingError::Unknown { name: name.clone() });
            };
            if !changeable.contains(&name.as_str()) {
                // Libraries and test suites set this one to what it is.
                if name == "appendonly" && text == value {
                    continue;
                }
                return Err(SettingError::immutable(name));
            }
            text.clone_from(value);
            changed = toml::Table::from_iter(texts.iter().map(|(name, text)| (name.clone(), text.clone().into())))
                .try_into()
                .map_err(|error: toml::de::Error| SettingError::Refused {
                    name: name.clone(),
                    reason: error.message().to_owned(),
                })?;
        }
        changed.file.clone_from(&self.file);
        Ok(changed)
    }

    /// The settings that are not what they are by default, for the log.
    pub(crate) fn departures(&self) -> String {
        let defaults = Self::default().public_texts();
        let mut texts = self.public_texts();
        texts.retain(|name, text| defaults.get(name) != Some(text));
        let pairs: Vec<String> = texts.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
        pairs.join(" ")
    }

    /// The settings that the file names; its values may have been overruled.
    fn names_in_file(&self) -> Vec<String> {
        let text = self.file.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let table = text.and_then(|text| toml::from_str::<toml::Table>(&text).ok());
        table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
    }

    /// Every setting's name and the text that it is read from, but for the password.
    fn public_texts(&self) -> BTreeMap<String, String> {
        let table = toml::Table::try_from(self).expect("every field is written as a text");
        let text = |value: &toml::Value| value.as_str().expect("every field is written as a text").to_owned();
        table.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// Every setting's name and the text that it is read from, the password's too.
    fn texts(&self) -> BTreeMap<String, String> {
        let mut texts = self.public_texts();
        let password = self.requirepass.reveal().unwrap_or_default();
        texts.insert("requirepass".to_owned(), password.to_owned());
        texts
    }
}

/// Who can reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Programs on this machine only.
    LoopbackOnly,
    /// Anyone who can reach an interface and knows the password.
    NetworkWithPassword,
    /// Anyone who can reach an interface: worth a warning.
    NetworkWithoutPassword,
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The file that is read without `--config`, under the current directory, if it is there.
pub const CONFIG_PATH: &str = "config/kora.toml";

/// The flag that names another file; it can't stand in the file itself, so it is no field of [`Config`].
const CONFIG_FLAG: &str = "config";

#[cfg(test)]
mod tests;
