//! Encrypted connections, on a port of their own.
//!
//! A thread does the handshakes and the encryption, and hands the plain bytes to a worker over a private pair of sockets
//! ([`socket_pair`]). So workers know nothing of TLS, a handshake never delays a command, and an encrypted client is in
//! all else a client like any other: it counts in `maxclients`, and what it may hold is bounded in the same way.

mod certificates;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::certificates::{CertificateError, TlsConfig, load};
use crate::acceptor::{Accepted, keep_alive};
use crate::settings::Live;
use crate::socket_pair::socket_pair;

/// What the port for encrypted connections is made of.
pub(crate) struct Tls {
    pub(crate) listeners: Vec<TcpListener>,
    /// Where connections go that are ready to be served.
    pub(crate) accepted: mpsc::Sender<Accepted>,
    pub(crate) live: Arc<Live>,
    /// True once the server stops: no new connections then, and those there are end with their clients'.
    pub(crate) stopping: watch::Receiver<bool>,
    /// True once workers serve no client any more.
    pub(crate) over: watch::Receiver<bool>,
}

impl Tls {
    /// Starts the thread that serves the port. It ends soon after `over`.
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("kora-tls".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve()) {
                tracing::error!(%error, "the TLS port is closed");
            }
        })
    }

    async fn serve(self) -> io::Result<()> {
        let mut accepting = JoinSet::new();
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        for listener in self.listeners {
            let port = Port {
                listener: tokio::net::TcpListener::from_std(listener)?,
                accepted: self.accepted.clone(),
                live: Arc::clone(&self.live),
                handshakes: Arc::clone(&handshakes),
            };
            accepting.spawn(port.accept(self.stopping.clone(), self.over.clone()));
        }
        while accepting.join_next().await.is_some() {}
        Ok(())
    }
}

/// One address that is listened on.
struct Port {
    listener: tokio::net::TcpListener,
    accepted: mpsc::Sender<Accepted>,
    live: Arc<Live>,
    /// One permit for each handshake under way.
    handshakes: Arc<Semaphore>,
}

impl Port {
    async fn accept(self, mut stopping: watch::Receiver<bool>, mut over: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                let permit = Arc::clone(&self.handshakes).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                (permit, connection) = next => match connection {
                    Ok((stream, address)) => {
                        let (accepted, live) = (self.accepted.clone(), Arc::clone(&self.live));
                        connections.spawn(async move {
                            let opened = open(stream, address, &live, &accepted).await;
                            drop(permit);
                            if let Some((mut encrypted, mut plain)) = opened {
                                // Either side may break off: that is how connections end.
                                let _ = copy_bidirectional(&mut encrypted, &mut plain).await;
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a TLS connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = raised(&mut stopping) => break,
            }
        }
        drop(self.listener);
        // Connections end when their workers let them go. What those wrote last is still on its way then.
        let last_words = async {
            raised(&mut over).await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = async { while connections.join_next().await.is_some() {} } => {}
            () = last_words => {}
        }
    }
}

/// Waits until this is true.
async fn raised(flag: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, with which it is true too.
    let _ = flag.wait_for(|is_up| *is_up).await;
}

type Encrypted = tokio_rustls::server::TlsStream<TcpStream>;

/// Makes a connection of bytes that are plain for the server and encrypted for the client.
async fn open(
    stream: TcpStream,
    address: SocketAddr,
    live: &Live,
    accepted: &mpsc::Sender<Accepted>,
) -> Option<(Encrypted, TcpStream)> {
    let config = (*live.tls.get()).clone()?;
    let local_address = stream.local_addr().ok()?;
    stream.set_nodelay(true).ok()?;
    keep_alive(&stream, live.tcp_keepalive_s.get()).ok()?;
    let encrypted = match timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(encrypted)) => encrypted,
        Ok(Err(error)) => {
            tracing::info!(%address, %error, "a TLS handshake failed");
            return None;
        }
        Err(_) => {
            tracing::info!(%address, "a TLS handshake took too long");
            return None;
        }
    };
    let pair = socket_pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((TcpStream::from_std(ours)?, theirs))
    });
    let (ours, theirs) = match pair {
        Ok(pair) => pair,
        Err(error) => {
            tracing::warn!(%error, "a TLS connection could not be taken in");
            return None;
        }
    };
    let connection = Accepted {
        stream: theirs,
        address,
        local_address,
    };
    accepted.send(connection).await.ok()?;
    Some((encrypted, ours))
}

/// Handshakes at once: others wait in the kernel's queue. One takes about a millisecond of CPU.
const HANDSHAKES_MAX: usize = 256;

/// Redis gives a handshake no limit; ten seconds are what slow links of good will need.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long clients have to take what they are owed once the server is over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Long enough for some connection to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
