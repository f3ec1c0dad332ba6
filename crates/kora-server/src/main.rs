//! The `kora` program.

#![deny(unsafe_code)]

mod allocator;

use std::fmt::Display;
use std::process::ExitCode;
use std::thread;

use kora_server::config::{self, Config, Invocation, LogFormat};
use kora_server::{check, demo, log, packaging, ping, returning, serve, transfer};

fn main() -> ExitCode {
    allocator::give_back_at_once();
    allocator::share_arena_of_libc();
    // Set once: nothing else does.
    let _ = returning::COLLECT_FREED.set(allocator::collect_freed);
    match config::parse() {
        Ok(Invocation::Serve(config)) => {
            if let Err(error) = log::start(config.loglevel.tracing_name(), config.log_format) {
                return report::<std::io::Error>(Err(error));
            }
            if config::is_service_link() {
                tracing::info!("KORA_PORT is the address of a Kubernetes service and no setting: ignored");
            }
            for variable in config::unknown_variables() {
                tracing::warn!(variable, "no such setting; config/kora.toml lists them");
            }
            let freeing = thread::Builder::new().name("kora-free".to_owned());
            if let Err(error) = freeing.spawn(allocator::free_large_blocks) {
                return report(Err(error));
            }
            report(serve::run(&config))
        }
        Ok(Invocation::Demo(options, config)) => {
            // The show is what stands on the screen; what a server logs at its start would stand in between.
            if let Err(error) = log::start(quiet(&config), LogFormat::Text) {
                return report::<std::io::Error>(Err(error));
            }
            report(demo::run(&options, *config))
        }
        Ok(Invocation::Ping(options)) => ping::run(&options),
        Ok(Invocation::ShowConfig(config)) => config.show(),
        Ok(Invocation::CheckConfig(config)) => config.check(),
        Ok(Invocation::Completions(shell)) => packaging::completions(shell),
        Ok(Invocation::Manual) => packaging::manual(),
        Ok(Invocation::Check(options)) => check::check(&options),
        Ok(Invocation::Repair(options)) => check::repair(&options),
        Ok(Invocation::Import(options)) => transfer::import(&options),
        Ok(Invocation::Export(options)) => transfer::export(&options),
        Err(error) => error.report(),
    }
}

fn report<E: Display>(outcome: Result<(), E>) -> ExitCode {
    log::finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kora: {error}");
            ExitCode::FAILURE
        }
    }
}

fn quiet(config: &Config) -> &'static str {
    if config.loglevel == Config::default().loglevel {
        "warn"
    } else {
        config.loglevel.tracing_name()
    }
}
