//! The thread that writes snapshots: pieces come from the workers, and go into a file.

use std::io;
use std::sync::mpsc::{Receiver, Sender};

use kora_log::snapshot::{PieceKind, SnapshotWriter};

use super::Message;
use crate::disk::Directory;

/// What the thread is told.
pub(crate) enum SnapshotMessage {
    /// A snapshot begins, of so many workers.
    Begin {
        /// Its number.
        number: u64,
        /// The workers.
        workers: usize,
    },
    /// A piece of a shard.
    Piece {
        /// Of which snapshot.
        number: u64,
        /// Of which shard.
        shard: u32,
        /// What it is.
        kind: PieceKind,
        /// Its bytes.
        piece: Vec<u8>,
    },
    /// A worker has handed over everything.
    Done {
        /// Of which snapshot.
        number: u64,
        /// Which worker.
        worker: usize,
    },
    /// Nothing more comes of the snapshot under way.
    Abandon,
}

/// A snapshot under way.
struct UnderWay {
    number: u64,
    writer: SnapshotWriter<Directory>,
    workers_left: Vec<usize>,
}

/// Writes snapshots for as long as there are workers. How each ended is told to the log's thread.
pub(super) fn write_snapshots(
    directory: &Directory,
    shards: u32,
    random: u64,
    inbox: Receiver<SnapshotMessage>,
    log: &Sender<Message>,
) {
    // A worker that shares its core with this thread gets it as soon as it is woken, and not when a time slice of the kernel's
    // has ended. Without that PING's p99 grew from 1 to 4 ms. Where it is refused, snapshots are written all the same.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut under_way: Option<UnderWay> = None;
    while let Ok(message) = inbox.recv() {
        let number = under_way.as_ref().map(|under_way| under_way.number);
        let outcome = match message {
            SnapshotMessage::Begin { number, workers } => {
                abandon(under_way.take());
                match SnapshotWriter::begin(directory.clone(), number, shards, random) {
                    Ok(writer) => {
                        let workers_left = (0..workers).collect();
                        under_way = Some(UnderWay {
                            number,
                            writer,
                            workers_left,
                        });
                        continue;
                    }
                    Err(error) => (number, Err(error)),
                }
            }
            SnapshotMessage::Piece {
                number: other,
                shard,
                kind,
                piece,
            } if number == Some(other) => match put(under_way.as_mut(), shard, kind, &piece) {
                Ok(()) => continue,
                Err(error) => (other, Err(error)),
            },
            SnapshotMessage::Done { number: other, worker } if number == Some(other) => {
                match finish(&mut under_way, worker) {
                    Some(outcome) => (other, outcome),
                    None => continue,
                }
            }
            SnapshotMessage::Abandon => {
                abandon(under_way.take());
                continue;
            }
            // Of a snapshot that failed.
            SnapshotMessage::Piece { .. } | SnapshotMessage::Done { .. } => continue,
        };
        abandon(under_way.take());
        let (number, outcome) = outcome;
        if log.send(Message::Captured { number, outcome }).is_err() {
            return;
        }
    }
}

fn put(under_way: Option<&mut UnderWay>, shard: u32, kind: PieceKind, piece: &[u8]) -> io::Result<()> {
    match under_way {
        Some(under_way) => under_way.writer.piece(shard, kind, piece),
        None => Ok(()),
    }
}

/// Notes that a worker is done; the outcome, if all are.
fn finish(under_way: &mut Option<UnderWay>, worker: usize) -> Option<io::Result<u64>> {
    let mut whole = under_way.take()?;
    whole.workers_left.retain(|other| *other != worker);
    if whole.workers_left.is_empty() {
        return Some(whole.writer.finish());
    }
    *under_way = Some(whole);
    None
}

/// The thread's niceness. With it a tenth of a core is left where a worker is always busy.
const NICE: i32 = 10;

/// Removes the file of one that was not finished. If that fails, the next start does it.
fn abandon(under_way: Option<UnderWay>) {
    if let Some(under_way) = under_way {
        let _ = under_way.writer.abandon();
    }
}
