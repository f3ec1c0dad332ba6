//! Writing rows to a server over several connections.
//!
//! A key always goes over the same connection, so of two rows for one key the later one wins. Each connection has a thread,
//! which sends a batch, reads its replies and reports them; a batch whose connection breaks is sent again.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::address::ServerAddress;
use crate::commands;
use crate::connection::Connection;
use crate::error::TransferError;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, BATCHES_WAITING_MAX, RECONNECT_PATIENCE, RECONNECT_PAUSE};
use crate::reply::Reply;
use crate::row::Row;
use crate::source::Position;

/// Writes rows to one server.
pub(crate) struct Loader {
    lanes: Vec<Lane>,
    reports: Receiver<Report>,
    /// Batches that were handed to a thread and not reported yet, with the place of their first rows.
    in_flight: BTreeMap<u64, Position>,
    next_batch: u64,
    outcome: Outcome,
    /// A connection gave up: its batches stay in flight.
    has_failed: bool,
}

/// What became of rows since the last look.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Rows that the server took.
    pub(crate) written: u64,
    /// Rows that the server refused: where they stand, their keys, and the server's error.
    pub(crate) refused: Vec<(Position, Vec<u8>, String)>,
}

impl Loader {
    /// Connects `connections` times.
    pub(crate) fn open(address: &ServerAddress, connections: usize) -> Result<Self, TransferError> {
        let (sender, reports) = channel();
        let lanes = (0..connections)
            .map(|_| Lane::open(address, sender.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            lanes,
            reports,
            in_flight: BTreeMap::new(),
            next_batch: 0,
            outcome: Outcome::default(),
            has_failed: false,
        })
    }

    /// Writes a row, soon; one that depends on others after all before it.
    ///
    /// # Errors
    /// What made a connection give up.
    pub(crate) fn push(&mut self, row: &Row, position: Position) -> Result<(), TransferError> {
        if row.is_barrier() {
            self.finish()?;
        }
        let mut hasher = DefaultHasher::new();
        row.key.hash(&mut hasher);
        // Less than the number of lanes, which is a usize.
        let index = (hasher.finish() % self.lanes.len() as u64) as usize;
        let batch = &mut self.lanes[index].batch;
        let replies = commands::write(row, &mut batch.requests);
        batch.rows.push(SentRow {
            position,
            key: row.key.clone(),
            replies,
        });
        if batch.requests.len() >= BATCH_BYTES_MAX || batch.rows.len() >= BATCH_ROWS_MAX {
            self.dispatch(index)
        } else {
            Ok(())
        }
    }

    /// Sends what is left and waits for all replies, unless a connection has given up.
    pub(crate) fn finish(&mut self) -> Result<(), TransferError> {
        if self.has_failed {
            return Ok(());
        }
        for index in 0..self.lanes.len() {
            self.dispatch(index)?;
        }
        while !self.in_flight.is_empty() {
            match self.reports.recv() {
                Ok(report) => self.take_report(report)?,
                Err(_) => return Err(self.lost_thread()),
            }
        }
        Ok(())
    }

    /// What became of rows since this was last called.
    pub(crate) fn take_outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.outcome)
    }

    /// Every row before this place has its reply. `next` is the place behind all that were pushed.
    pub(crate) fn settled_before(&self, next: Position) -> Position {
        let waiting = self
            .lanes
            .iter()
            .filter_map(|lane| lane.batch.rows.first())
            .map(|row| row.position);
        waiting
            .chain(self.in_flight.values().copied())
            .chain([next])
            .min()
            .unwrap_or(next)
    }

    fn dispatch(&mut self, index: usize) -> Result<(), TransferError> {
        let batch = std::mem::take(&mut self.lanes[index].batch);
        let Some(first) = batch.rows.first().map(|row| row.position) else {
            return Ok(());
        };
        let number = self.next_batch;
        self.next_batch += 1;
        self.in_flight.insert(number, first);
        let is_sent = self.lanes[index]
            .queue
            .as_ref()
            .is_some_and(|queue| queue.send((number, batch)).is_ok());
        // A thread that ended has reported why.
        while let Ok(report) = self.reports.try_recv() {
            self.take_report(report)?;
        }
        match is_sent {
            true => Ok(()),
            false => Err(self.lost_thread()),
        }
    }

    fn take_report(&mut self, report: Report) -> Result<(), TransferError> {
        self.has_failed |= report.outcome.is_err();
        let mut refused = report.outcome?;
        self.in_flight.remove(&report.batch);
        self.outcome.written += (report.rows - refused.len()) as u64;
        self.outcome.refused.append(&mut refused);
        Ok(())
    }

    fn lost_thread(&self) -> TransferError {
        TransferError::Options("a thread of the import ended early".into())
    }
}

impl Drop for Loader {
    /// Lets the threads end; one that waits for a server is left to the end of the process.
    fn drop(&mut self) {
        for lane in &mut self.lanes {
            lane.queue = None;
            if self.in_flight.is_empty()
                && let Some(thread) = lane.thread.take()
            {
                // It reports its errors and does not panic; if it did, nothing is left to do.
                let _ = thread.join();
            }
        }
    }
}

/// One connection: what is collected for it, and the way to its thread.
struct Lane {
    batch: Batch,
    queue: Option<SyncSender<(u64, Batch)>>,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    fn open(address: &ServerAddress, reports: Sender<Report>) -> Result<Self, TransferError> {
        let mut link = Link {
            address: address.clone(),
            connection: Some(Connection::open(address)?),
        };
        let (queue, batches) = sync_channel::<(u64, Batch)>(BATCHES_WAITING_MAX);
        let thread = thread::Builder::new().name("kora-import".to_owned()).spawn(move || {
            for (number, batch) in batches {
                let outcome = link.write(&batch);
                let is_over = outcome.is_err();
                let report = Report {
                    batch: number,
                    rows: batch.rows.len(),
                    outcome,
                };
                if reports.send(report).is_err() || is_over {
                    return;
                }
            }
        });
        let thread = thread.map_err(|error| TransferError::Socket {
            server: address.to_string(),
            error,
        })?;
        Ok(Self {
            batch: Batch::default(),
            queue: Some(queue),
            thread: Some(thread),
        })
    }
}

/// Requests, and the rows that they write.
#[derive(Default)]
struct Batch {
    requests: Vec<u8>,
    rows: Vec<SentRow>,
}

struct SentRow {
    position: Position,
    key: Vec<u8>,
    /// How many replies it has.
    replies: usize,
}

/// What a thread tells of a batch.
struct Report {
    batch: u64,
    rows: usize,
    outcome: Result<Refusals, TransferError>,
}

type Refusals = Vec<(Position, Vec<u8>, String)>;

/// A connection that is made again when it breaks.
struct Link {
    address: ServerAddress,
    connection: Option<Connection>,
}

impl Link {
    fn write(&mut self, batch: &Batch) -> Result<Refusals, TransferError> {
        let mut patience_ends = None;
        loop {
            let error = match self.try_to_write(batch) {
                Ok(Written::Whole(refusals)) => return Ok(refusals),
                // It answers, so it will have loaded one day.
                Ok(Written::ServerIsLoading) => {
                    thread::sleep(RECONNECT_PAUSE);
                    continue;
                }
                Err(error @ TransferError::Socket { .. }) => error,
                Err(error) => return Err(error),
            };
            self.connection = None;
            let now = Instant::now();
            if now >= *patience_ends.get_or_insert(now + RECONNECT_PATIENCE) {
                return Err(error);
            }
            thread::sleep(RECONNECT_PAUSE);
        }
    }

    fn try_to_write(&mut self, batch: &Batch) -> Result<Written, TransferError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            connection => connection.insert(Connection::open(&self.address)?),
        };
        connection.push_encoded(&batch.requests);
        connection.flush()?;
        let mut refusals = Vec::new();
        let mut is_loading = false;
        for row in &batch.rows {
            let mut refusal = None;
            for _ in 0..row.replies {
                if let Reply::Error(text) = connection.reply()? {
                    is_loading |= text.starts_with("LOADING");
                    refusal = refusal.or(Some(text));
                }
            }
            match refusal {
                Some(text) if concerns_all_rows(&text) && !is_loading => return Err(connection.refused(text)),
                Some(text) => refusals.push((row.position, row.key.clone(), text)),
                None => {}
            }
        }
        match is_loading {
            true => Ok(Written::ServerIsLoading),
            false => Ok(Written::Whole(refusals)),
        }
    }
}

enum Written {
    Whole(Refusals),
    ServerIsLoading,
}

/// Whether the next row would get the same error: there is no room, no right, no disk.
fn concerns_all_rows(error: &str) -> bool {
    let code = error.split(' ').next().unwrap_or_default();
    [
        "OOM",
        "NOAUTH",
        "NOPERM",
        "MISCONF",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
    ]
    .contains(&code)
}
