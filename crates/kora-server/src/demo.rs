//! `kora demo`: a real server with real vectors, shown.
//!
//! The demo is a client like any other: it starts the server in this process and speaks to it over sockets. The word
//! vectors are in `sample.rs`, loading them in `load.rs`, the queries that are shown in `show.rs`, and what an exact
//! search would have found in `exact.rs`.

mod exact;
mod load;
mod sample;
mod show;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use clap::Args;

use crate::client::{CallError, Client};
use crate::config::{Config, Necessity, Number};
use crate::serve::{self, StartError};

use self::sample::{Sample, SampleError};

/// The options of `kora demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Leaves after the show instead of serving until Ctrl-C
    #[arg(long)]
    pub exit: bool,
}

/// Starts a server, shows it, and serves until Ctrl-C or `--exit`.
pub fn run(options: &DemoOptions, mut config: Config) -> Result<(), DemoError> {
    let mut out = io::stdout();
    let sample = Sample::shipped()?;
    if config.port == Config::default().port && is_taken(&config) {
        writeln!(out, "Port {} is taken; the demo uses a free one.", config.port)?;
        config.port = Number::constant(0);
    }
    let target = Target {
        password: config.requirepass.reveal().map(str::to_owned),
        ..Target::default()
    };
    let running = serve::start(&config)?;
    let target = Target {
        address: reachable(running.addresses[0]),
        ..target
    };
    present(&mut out, &sample, &target)?;
    if options.exit {
        running.stop();
    } else {
        writeln!(out, "\nServing on {} until Ctrl-C.", target.address)?;
    }
    running.wait()?;
    Ok(())
}

fn present(out: &mut impl Write, sample: &Sample, target: &Target) -> Result<(), DemoError> {
    writeln!(out, "Kōra serves on {}.", target.address)?;
    let loaded = load::load(sample, target)?;
    writeln!(out, "Loaded {loaded}.\n")?;
    let mut client = target.connect()?;
    show::neighbours(out, sample, &mut client)?;
    show::recall(out, sample, &mut client)?;
    show::lines_to_try(out, target)
}

/// The server that the demo speaks to.
struct Target {
    address: SocketAddr,
    password: Option<String>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            password: None,
        }
    }
}

impl Target {
    fn connect(&self) -> Result<Client, CallError> {
        let mut client = Client::connect(self.address, ANSWER_TIMEOUT)?;
        client.authenticate(self.password.as_deref())?;
        Ok(client)
    }
}

/// Whether another program listens where this one would.
fn is_taken(config: &Config) -> bool {
    let addresses = config.listen_addresses();
    let mut required = addresses
        .iter()
        .filter(|address| address.necessity == Necessity::Required);
    required.any(|address| {
        let attempt = TcpListener::bind((address.ip, config.port.get()));
        attempt.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    })
}

/// "Every interface" is an address to listen on, not one to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

/// Why the show did not go on.
#[derive(Debug)]
pub enum DemoError {
    /// The server did not start.
    Start(StartError),
    /// The server did not answer as it should.
    Call(String),
    /// The program's own sample is broken.
    Sample(String),
    /// The output is closed.
    Output(io::Error),
}

impl From<StartError> for DemoError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<CallError> for DemoError {
    fn from(error: CallError) -> Self {
        Self::Call(error.to_string())
    }
}

impl From<SampleError> for DemoError {
    fn from(error: SampleError) -> Self {
        Self::Sample(error.to_string())
    }
}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Call(reason) | Self::Sample(reason) => f.write_str(reason),
            Self::Output(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DemoError {}

/// Where the words live: `glove:king` is the element `king` of this collection.
const COLLECTION: &str = "glove";

/// A server that is silent for so long is broken: the slowest answer of the show takes milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
