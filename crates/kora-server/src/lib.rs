//! The outside world of Kōra: sockets, time, signals, CPU pinning.
#![forbid(unsafe_code)]

mod acceptor;
mod account;
pub mod check;
mod client;
mod client_migration;
pub mod config;
mod connection;
mod control_group;
mod decoding;
pub mod demo;
mod descriptors;
mod disk;
mod host;
mod http;
mod listening;
pub mod log;
mod output;
pub mod packaging;
mod persistence;
pub mod ping;
pub mod returning;
pub mod serve;
pub mod settings;
mod signals;
mod socket_pair;
mod supervisor;
mod tls;
pub mod transfer;
mod turn;
mod users_file;
mod worker;
