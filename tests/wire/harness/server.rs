//! A real server on a free port, stopped when it goes out of scope.

use std::net::SocketAddr;

use kora_server::config::{Config, Number};
use kora_server::serve::{self, Running};

use super::Client;

/// A running server.
pub(crate) struct Server {
    running: Option<Running>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// A server with so many workers and defaults otherwise.
    pub(crate) fn start(workers: usize) -> Server {
        Server::with(&config(workers))
    }

    pub(crate) fn with(config: &Config) -> Server {
        let running = serve::start(config).expect("a server starts on a free port");
        Server {
            address: running.addresses[0],
            running: Some(running),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// As many connections as it takes to have one on each worker: they go to the workers in turn.
    pub(crate) fn connect_to_each(&self, workers: usize) -> Vec<Client> {
        (0..workers).map(|_| self.connect()).collect()
    }

    /// Asks it to stop and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        self.running.as_ref().expect("it runs until it is dropped").stop();
    }

    /// Waits for somebody else's SHUTDOWN.
    pub(crate) fn wait(mut self) {
        self.running
            .take()
            .expect("it runs until it is dropped")
            .wait()
            .expect("nothing was to be loaded");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            let _ = running.wait();
        }
    }
}

/// Defaults, but on a free port, and not waiting long for connections that a failed test left open.
pub(crate) fn config(workers: usize) -> Config {
    Config {
        port: Number::new(0).expect("0 is any free port"),
        workers: Number::new(workers).expect("few workers"),
        shutdown_timeout: Number::new(5).expect("a few seconds"),
        ..Config::default()
    }
}

/// Runs a test against a new server of each size.
pub(crate) fn on_each_worker_count(test: impl Fn(&Server)) {
    for workers in WORKER_COUNTS {
        println!("with {workers} workers:");
        test(&Server::start(workers));
    }
}

/// One worker has no mesh, two have one lane each way, four are more than most test machines have cores.
pub(crate) const WORKER_COUNTS: [usize; 3] = [1, 2, 4];
