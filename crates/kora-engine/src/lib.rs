//! What commands mean and where they run: synchronous, deterministic, without sockets or a clock of its own.
//!
//! An [`Engine`] is everything one worker knows. A request becomes a command (`kora-command`), takes its place in its
//! connection's reply queue (`reply_queue.rs`), is routed by its key (`router.rs`) to a shard (`shard/`), here or through the
//! mesh, and what the shards answer is gathered (`gather/`) into one reply.

#![forbid(unsafe_code)]

mod access;
mod aliases;
mod answer;
mod background_task;
pub mod budgets;
mod candidate;
mod claims;
mod client_migration;
mod clients;
mod counts;
mod cursor;
mod databases;
mod durable;
mod engine;
mod epochs;
mod eviction;
mod fit;
mod function_payload;
mod functions;
mod gather;
mod info;
mod leased;
mod ledger;
pub mod limits;
mod mail;
mod maintenance;
mod memory;
mod memory_report;
mod monitors;
mod moved;
mod parsing;
mod pause;
mod pausing;
mod plan;
mod pubsub;
mod recall;
mod recording;
mod reply_estimate;
mod reply_queue;
mod reply_queues;
mod reply_slots;
pub mod router;
mod sampling;
mod scripts;
mod session;
mod settings;
mod setup;
mod shard;
mod slow;
mod stats;
mod submit;
mod tracking;
mod transaction;
mod turn;
mod under_way;

pub use kora_command as command;
pub use kora_command::SaveWish;
use kora_command::error;

pub use access::{AccessControl, UsersFile};
pub use client_migration::MigratingClient;
pub use cursor::Cursor;
pub use databases::Databases;
pub use durable::{CapturedPiece, Holdings};
pub use engine::{Admission, Engine, Progress, Standing};
pub use kora_keyspace::catalog::{Catalog, Generation, GraphSettings, MadeBy, Schema};
pub use mail::{Request, Response};
pub use memory::{Buffers, Reading};
pub use reply_queue::Encoded;
pub use reply_queues::ReplyQueueId;
pub use router::{Placement, ShardId};
pub use scripts::Scripts;
pub use session::Session;
pub use settings::{
    DataMemory, EvictionChoice, EvictionPolicy, EvictionRules, LiveSettings, NO_LIMIT, Pause, SettingError, Settings,
    SlowSettings, UseRule,
};
pub use setup::{CpuTime, Facts, Host, MeshEnd, Setup, mesh_ends};
pub use shard::{Recorder, ReplayFault};
pub use stats::{CommandCounter, CommandStats, ErrorStats, Histogram, LookupCounts, Traffic, WorkerStats};
