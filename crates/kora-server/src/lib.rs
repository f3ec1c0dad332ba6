//! The outside world of Kōra: sockets, time, signals, CPU pinning.

mod client;
pub mod config;
pub mod demo;
pub mod ping;
