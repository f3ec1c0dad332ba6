//! Data between servers and files: `kora export`, `kora import` and migration from a running Redis.
//!
//! Everything is a stream of [`Row`]s: a string, a hash, a vector, a collection. A [`RowSource`] yields them, from a file or
//! from a server; a sink takes them, a server ([`load::Loader`]) or a file. This crate speaks RESP over a socket as any client
//! does, so the server may be a remote one. It knows nothing of the engine.
//!
//! Every byte is hostile, whether it comes from a file or from a server: lengths are checked against named limits
//! (`limits.rs`), memory grows with what was read and never with what a header announces, and a row that is wrong is
//! counted and named instead of ending the import.
#![forbid(unsafe_code)]

mod address;
mod bad_rows;
mod commands;
mod connection;
mod error;
mod export;
mod formats;
mod import;
mod limits;
mod load;
mod progress;
mod reply;
mod row;
mod server_source;
mod source;
mod target;
mod vector_sets;

pub use address::ServerAddress;
pub use bad_rows::BadRows;
pub use error::TransferError;
pub use export::{ExportOptions, export};
pub use formats::Format;
pub use import::{Creation, ImportFrom, ImportOptions, import};
pub use progress::Summary;
