//! Connections to the server from inside its own process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kora_mesh::Sequence;
use tokio::sync::{Semaphore, mpsc};

use crate::acceptor::{Arrival, ArrivingClient};
use crate::client::{CallError, Client};
use crate::socket_pair::socket_pair;

/// Opens connections to workers: private pairs of sockets, one end of which a worker serves as it serves any client. So the
/// HTTP port works whatever addresses the server listens on, and has no rights of its own.
pub(crate) struct Console {
    workers: Arc<[mpsc::Sender<Arrival>]>,
    clients: Arc<Semaphore>,
    /// Numbers the connections.
    drawn: Sequence,
}

/// The user and password that an HTTP request brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Console {
    pub(crate) fn new(workers: Arc<[mpsc::Sender<Arrival>]>, clients: Arc<Semaphore>) -> Console {
        Console {
            workers,
            clients,
            drawn: Sequence::starting_at(FIRST_ID),
        }
    }

    /// How many workers there are.
    pub(super) fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// A connection to one of the workers, authenticated if there is something to authenticate with.
    pub(super) fn connect(&self, credentials: Option<&Credentials>) -> Result<Client, CallError> {
        let worker = self.drawn.last() as usize % self.workers.len();
        let mut client = self.connect_to(worker)?;
        if let Some(Credentials { user, password }) = credentials {
            client.call(&[b"AUTH", user.as_bytes(), password.as_bytes()])?;
        }
        Ok(client)
    }

    /// A connection to this worker.
    pub(super) fn connect_to(&self, worker: usize) -> Result<Client, CallError> {
        let (ours, theirs) = socket_pair()?;
        let permit = Arc::clone(&self.clients)
            .try_acquire_owned()
            .map_err(|_| io::Error::other("max number of clients reached"))?;
        let client = ArrivingClient::New {
            id: self.drawn.next(),
            address: ours.local_addr()?,
            local_address: theirs.local_addr()?,
        };
        let arrival = Arrival {
            stream: theirs,
            client,
            permit,
        };
        self.workers[worker]
            .try_send(arrival)
            .map_err(|_| io::Error::other("the worker takes no more connections at the moment"))?;
        Ok(Client::over(ours, CALL_TIMEOUT, REPLY_BYTES_MAX)?)
    }
}

/// The numbers of these clients: above all that connections from outside get, and within the 63 bits that clients read.
const FIRST_ID: u64 = 1 << 62;

/// How long an answer is waited for. A health check's usual patience is longer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest reply: INFO of 256 workers, and the 200 neighbours of an element with the longest keys that a page shows.
const REPLY_BYTES_MAX: usize = 1 << 20;
