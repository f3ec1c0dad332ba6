//! What signals mean to a server.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

/// Hears the signals that would else end the process at once. From when it is made on, none of them does.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// SIGTERM and SIGINT stop the server, and said again they end it at once. SIGHUP has the certificates read again; it is
    /// also what a terminal sends that closes. SIGUSR1 and SIGUSR2 mean nothing: a server does not end for them.
    pub(crate) async fn heed(mut self, shutdown: mpsc::Sender<()>, hurry: Arc<Notify>, reload: Box<dyn Fn() + Send>) {
        let mut is_stopping = false;
        loop {
            let (name, meaning) = tokio::select! {
                _ = self.terminate.recv() => ("SIGTERM", Meaning::Stop),
                _ = self.interrupt.recv() => ("SIGINT", Meaning::Stop),
                _ = self.hangup.recv() => ("SIGHUP", Meaning::Reload),
                _ = self.user_1.recv() => ("SIGUSR1", Meaning::Nothing),
                _ = self.user_2.recv() => ("SIGUSR2", Meaning::Nothing),
            };
            match meaning {
                Meaning::Nothing => tracing::info!("got {name}, which changes nothing: CONFIG SET changes settings"),
                Meaning::Reload => {
                    tracing::info!("got {name}");
                    reload();
                }
                Meaning::Stop if is_stopping => hurry.notify_one(),
                Meaning::Stop => {
                    tracing::info!("got {name}");
                    is_stopping = true;
                    // If there is no room, a client has asked already.
                    let _ = shutdown.try_send(());
                }
            }
        }
    }
}

/// What a signal means to a server.
enum Meaning {
    Stop,
    Reload,
    Nothing,
}
