//! Which bytes are on disk, in what order, and what do they say?
//!
//! One log for the whole server, in one order that respects cause and effect, and snapshots beside it. What is read back
//! after a crash is a prefix of what happened. This crate has no threads, no clock and no commands: [`Writer`] and
//! [`Loader`] are state machines over a [`Disk`], so that a simulation can be the disk ([`simulated`]).
//!
//! # How to read this crate
//!
//! [`record`] says what became true, [`frame`] holds the records of one execution, [`block`] the frames of one write,
//! `segment` a run of blocks in one file, [`snapshot`] the pieces of a snapshot and [`manifest`] which files count.
//! [`order`] brings the frames of several workers into the order of their stamps. `docs/files.md` says it all byte by byte.
//!
//! # Why a snapshot of keys may be taken at any time
//!
//! A snapshot begins with a new segment of the log; then every shard writes down what it holds, some entries at a time,
//! while commands go on. Loading reads the snapshot and replays the whole log from the snapshot's first segment on. The
//! result is exact, although the entries were captured at different times:
//!
//! 1. A record is *blind*: it says what is there now and never depends on what was there before, so replaying it twice, or
//!    on top of a later state, changes nothing that a later record does not set right.
//! 2. If a record in the log says a key's whole state (`SET`, `HASH`, `GONE`, `FLUSH`), everything captured of that key is
//!    overwritten, whenever it was captured.
//! 3. If none does, the key was there throughout with one type. Only `FIELDS`, `FIELDS GONE`, `FIELD DEADLINES`, `PATCH`
//!    and `DEADLINE` touched it; of these the last one wins at each field, its deadline and each byte, and what none of
//!    them touched was captured unchanged.
//! 4. A record of a part (`FIELDS`, `FIELD DEADLINES`, `PATCH`, `DEADLINE`) that meets nothing, or another type, is
//!    skipped: a record of the whole state follows.
//!
//! The condition is that a snapshot counts only once the log is on disk up to the end of the capture: the manifest is
//! published after that ([`manifest`]). `tests/law.rs` is this proof as a property test.
//!
//! # Torn or corrupt?
//!
//! A crash leaves a tail that is not whole. Such a tail is cut with a message. A bad block is a tail only if nothing behind
//! it says that it had been on disk: each block tells up to which stamp the log was synced when the block was written. If a
//! later whole block says that the bad one was synced, the file was damaged afterwards, and loading refuses.

#![forbid(unsafe_code)]

pub mod block;
mod bytes;
pub mod disk;
#[cfg(test)]
mod format;
pub mod frame;
pub mod limits;
pub mod loader;
pub mod log;
pub mod manifest;
pub mod order;
pub mod record;
pub mod repair;
mod segment;
pub mod simulated;
pub mod snapshot;
pub mod writer;

pub use bytes::Malformed;
pub use disk::{Disk, DiskFile};
pub use loader::{Item, LoadError, Loader};
pub use log::Log;
pub use manifest::Manifest;
pub use record::Record;
pub use writer::Writer;
