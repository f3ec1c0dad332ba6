//! One listener for all: new connections go to the workers in turn. Where their keys are they may go later by themselves.
//!
//! The kernel could spread them (SO_REUSEPORT), but does it unevenly by hash, and a second server started by mistake
//! would silently take half of them.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use kora_engine::MigratingClient;
use rustix::net::sockopt;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::settings::Live;

/// A connection on its way to its worker.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) client: ArrivingClient,
    /// One of `maxclients`; given back when the connection ends.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Whose connection it is.
pub(crate) enum ArrivingClient {
    /// A client that has not sent anything yet.
    New {
        id: u64,
        address: SocketAddr,
        local_address: SocketAddr,
    },
    /// A client that migrates from another worker.
    MigratingClient(MigratingClient),
}

/// A connection that is not served yet.
pub(crate) struct Accepted {
    /// It does not block.
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) local_address: SocketAddr,
}

/// Accepts until it is told to stop, then sees the connections out.
pub(crate) struct Acceptor {
    pub(crate) listeners: Vec<TcpListener>,
    /// Connections that come from elsewhere than the listeners: from the port for TLS.
    pub(crate) others: mpsc::Receiver<Accepted>,
    pub(crate) workers: Arc<[mpsc::Sender<Arrival>]>,
    /// As many permits as there can be clients, whatever `maxclients` says now.
    pub(crate) clients: Arc<Semaphore>,
    pub(crate) live: Arc<Live>,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) shutdown: mpsc::Receiver<()>,
    /// Told at a second signal: nothing more is waited for.
    pub(crate) hurry: Arc<Notify>,
}

impl Acceptor {
    pub(crate) async fn run(mut self) {
        let mut accepting = JoinSet::new();
        let (accepted, mut arrivals) = mpsc::channel(ACCEPTED_MAX);
        for listener in self.listeners.drain(..) {
            let accepted = accepted.clone();
            accepting.spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok(connection) => {
                            if accepted.send(connection).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => {
                            // Too many open files, mostly: others must close before it can go on.
                            tracing::warn!(%error, "a connection could not be accepted");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            });
        }
        let mut next_id = 1;
        loop {
            tokio::select! {
                Some((stream, address)) = arrivals.recv() => {
                    if let Some(accepted) = self.prepare(stream, address) {
                        next_id += u64::from(self.admit(accepted, next_id).await);
                    }
                }
                Some(accepted) = self.others.recv() => {
                    next_id += u64::from(self.admit(accepted, next_id).await);
                }
                _ = self.shutdown.recv() => break,
            }
        }
        accepting.shutdown().await;
        self.see_out().await;
    }

    /// Sets what sockets of clients have set.
    fn prepare(&self, stream: tokio::net::TcpStream, address: SocketAddr) -> Option<Accepted> {
        let prepared = stream.local_addr().and_then(|local_address| {
            stream.set_nodelay(true)?;
            keep_alive(&stream, self.live.tcp_keepalive_s.get())?;
            Ok(Accepted {
                stream: stream.into_std()?,
                address,
                local_address,
            })
        });
        match prepared {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                tracing::debug!(%address, %error, "a connection was gone before it was taken in");
                None
            }
        }
    }

    /// Sends a connection to its worker; false if there are too many.
    async fn admit(&self, accepted: Accepted, id: u64) -> bool {
        let Accepted {
            mut stream,
            address,
            local_address,
        } = accepted;
        let permit = match (self.connected() as u64) < self.live.engine.clients_max.get() {
            true => Arc::clone(&self.clients).try_acquire_owned().ok(),
            false => None,
        };
        let Some(permit) = permit else {
            self.live.engine.connections_rejected.add();
            // The client may not read it: it is told once, without waiting.
            let _ = stream.write(b"-ERR max number of clients reached\r\n");
            tracing::warn!(%address, "refused a connection: max number of clients reached");
            return false;
        };
        let client = ArrivingClient::New {
            id,
            address,
            local_address,
        };
        let worker = usize::try_from(id).unwrap_or(0) % self.workers.len();
        let arrival = Arrival { stream, client, permit };
        self.workers[worker].send(arrival).await.is_ok()
    }

    /// Lets the connections finish what they have received.
    async fn see_out(&self) {
        tracing::info!("stopping: no new connections, finishing what was received");
        self.stopping.send_replace(true);
        let all_gone = self.clients.acquire_many(CLIENTS_MAX as u32);
        let patience = Duration::from_secs(self.live.shutdown_timeout_s.get());
        tokio::select! {
            gone = timeout(patience, all_gone) => {
                if gone.is_err() {
                    tracing::warn!(
                        connections = self.connected(),
                        "shutdown-timeout is over; closing connections that have not finished"
                    );
                }
            }
            () = self.hurry.notified() => tracing::warn!(
                connections = self.connected(),
                "told to stop again; closing connections that have not finished"
            ),
        }
    }
}

impl Acceptor {
    fn connected(&self) -> usize {
        CLIENTS_MAX - self.clients.available_permits()
    }
}

/// Lets the kernel ask whether the client's machine is still there, as Redis does: first after so many seconds of silence,
/// then after each third of that; three questions without an answer end the connection.
pub(crate) fn keep_alive(stream: &tokio::net::TcpStream, seconds: u64) -> io::Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(seconds))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs((seconds / 3).max(1)))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

/// The largest `maxclients`.
pub(crate) const CLIENTS_MAX: usize = 1_000_000;

/// Connections accepted and not yet handed to a worker, beside those in the kernel's backlog.
const ACCEPTED_MAX: usize = 64;

/// Long enough for some connection to close, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
