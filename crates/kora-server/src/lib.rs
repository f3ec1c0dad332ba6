//! The outside world of Kōra: sockets, time, signals, CPU pinning.

pub mod config;
pub mod demo;
pub mod ping;
