//! The HTTP port: metrics for Prometheus, health checks, and a page that shows what the server does.
//!
//! It is no second way to the data: each HTTP request opens a connection to a worker as a Redis client does
//! ([`Console`]), gives it the user and password of the request, and asks in RESP. Whatever a user may not read by RESP
//! is refused here too, and a slow HTTP client holds no worker up.

mod answers;
mod console;
mod info;
mod metrics;
mod neighbours;
mod requests;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kora_mesh::Durability;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub(crate) use self::console::Console;
use self::requests::Site;
use crate::settings::Live;

/// What the HTTP port is made of.
pub(crate) struct Http {
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) console: Console,
    pub(crate) live: Arc<Live>,
    pub(crate) durability: Arc<Durability>,
    /// True once the server stops: the port closes at once, since nothing is lost with it.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Http {
    /// Starts the thread that serves the port.
    pub(crate) fn start(self) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(CALLS_MAX)
            .thread_name("kora-http-call")
            .build()?;
        thread::Builder::new().name("kora-http".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve()) {
                tracing::error!(%error, "the HTTP port is closed");
            }
            // A call that waits for a worker does not hold the stop up.
            runtime.shutdown_background();
        })
    }

    async fn serve(self) -> io::Result<()> {
        let site = Arc::new(Site {
            console: self.console,
            live: self.live,
            durability: self.durability,
        });
        let mut stopping = self.stopping;
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, Arc::clone(&site), Arc::clone(&connections)));
        }
        // An error means that the server is gone, which is a stop too.
        let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
        Ok(())
    }
}

async fn accept(listener: tokio::net::TcpListener, site: Arc<Site>, connections: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    serve_connection(stream, site).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIMEOUT, serving).await {
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection broke off"),
        Err(_) => tracing::debug!("an HTTP connection was open for too long"),
        Ok(Ok(())) => {}
    }
}

/// HTTP connections at once; the next one waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;

/// Threads that ask the server on behalf of HTTP requests.
const CALLS_MAX: usize = 8;

/// How long a client may take for the head of a request, and how long a connection may stay idle: longer than
/// Prometheus' usual interval of 15 s, so that it keeps its connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection is kept in all: a client that reads a byte a second is let go then.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);

/// The longest head of a request; hyper's least is 8 KiB.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Long enough for some connection to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
