//! The log: what the server says on its standard error.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::LogLevel;

/// Begins to log at this level; RUST_LOG overrides it. Once for a process.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        // Whoever read the log may have gone. That is no reason to stop, and it would complain to where nobody reads.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    // Set twice is a program that would have ended one line above.
    let _ = FILTER.set(handle);
}

/// Logs at this level from now on. Nothing happens in a process that does not log, such as a test.
pub(crate) fn set_level(level: LogLevel) {
    if let Some(filter) = FILTER.get() {
        // It fails if the subscriber is gone, and then nothing is logged at any level.
        let _ = filter.reload(EnvFilter::new(level.tracing_name()));
    }
}

static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();
