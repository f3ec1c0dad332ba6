//! The `kora` program.

#![deny(unsafe_code)]

mod allocator;

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use kora_server::config::{self, Config, Invocation};
use kora_server::{demo, ping, serve};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    allocator::give_back_at_once();
    match config::parse() {
        Ok(Invocation::Serve(config)) => {
            log(config.loglevel.tracing_name());
            for variable in config::unknown_variables() {
                tracing::warn!(variable, "no such setting; config/kora.toml lists them");
            }
            report(serve::run(&config))
        }
        Ok(Invocation::Demo(options, config)) => {
            // The show is what stands on the screen; what a server logs at its start would stand in between.
            log(quiet(&config));
            report(demo::run(&options, *config))
        }
        Ok(Invocation::Ping(options)) => ping::run(&options),
        Err(error) => error.report(),
    }
}

fn report<E: Display>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kora: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to standard error; RUST_LOG overrides the setting.
fn log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colour = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(colour)
        // Whoever read the log may have gone. That is no reason to stop, and it would complain to where nobody reads.
        .log_internal_errors(false)
        .init();
}

fn quiet(config: &Config) -> &'static str {
    if config.loglevel == Config::default().loglevel {
        "warn"
    } else {
        config.loglevel.tracing_name()
    }
}
