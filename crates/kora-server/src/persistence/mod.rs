//! What is kept on disk: a directory, the thread that writes the log, the thread that writes snapshots, and loading.
//!
//! Workers hand what they have changed to the log's thread at the end of their turns, and never wait for it. Under
//! `appendfsync always` a connection's replies wait until what they tell of is safe.

mod checking;
mod loading;
mod replies;
mod saving;
mod settling;
mod snapshotting;
mod writing;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;

use kora_engine::{Engine, Host as _, SaveWish};
use kora_log::loader::{LoadError, Loader};
use kora_log::order::Chunk;
use kora_log::{Manifest, Writer};
use kora_mesh::{Doorbell, Durability, Trouble};

pub(crate) use self::checking::{Found, check_directory, with_directory};
use self::loading::{LoadMessage, load, load_collections};
pub(crate) use self::loading::{LoadProgress, WorkerLoading};
pub(crate) use self::settling::LocalPersistence;
use self::snapshotting::{SnapshotMessage, write_snapshots};
use self::writing::{Writing, WritingParts};
use crate::disk::{Directory, DirectoryLock};
use crate::host::Process;
use crate::settings::Live;

/// What the settings say about persistence.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Whether there is a log for good.
    pub(crate) is_log_on: bool,
    /// The rest, which may change.
    pub(crate) live: Arc<Live>,
}

/// A directory that was looked at and is this process's.
pub(crate) struct Opened {
    directory: Directory,
    lock: DirectoryLock,
    manifest: Option<Manifest>,
}

/// One worker's end.
#[derive(Clone)]
pub(crate) struct WorkerPersistence {
    messages: Sender<Message>,
    pieces: SyncSender<SnapshotMessage>,
    worker: usize,
    durability: Arc<Durability>,
    policy: Policy,
}

/// What the log's thread is told.
pub(crate) enum Message {
    /// Frames of a shard, behind all that were told of it before.
    Frames {
        /// The shard.
        shard: usize,
        /// What it changed.
        chunk: Chunk,
    },
    /// Numbers of values that left for another shard, or have arrived where they went.
    Transfers(Vec<u64>),
    /// A client wants a snapshot.
    Save(SaveWish),
    /// Whether the client that stops the server wants a snapshot first.
    LastWish(bool),
    /// All shards were captured, or the snapshot can't be written.
    Captured {
        /// Which snapshot.
        number: u64,
        /// How long it is, in bytes.
        outcome: io::Result<u64>,
    },
    /// The server is stopping: a last snapshot, if the settings or the client want one. Answered when that is done, with
    /// false if it failed.
    LastSave {
        /// Told the outcome.
        done: SyncSender<bool>,
    },
    /// All workers have stopped.
    Stop,
}

/// The persistence of a server that runs.
pub(crate) struct Persistence {
    messages: Sender<Message>,
    thread: thread::JoinHandle<()>,
}

/// Why a directory can't be used.
#[derive(Debug)]
pub(crate) struct PersistenceError {
    /// What is wrong, and what to do.
    pub(crate) what: String,
}

impl Opened {
    /// Looks at a directory and locks it.
    pub(crate) fn open(path: &Path) -> Result<Opened, PersistenceError> {
        let refuse = |what: String| PersistenceError {
            what: format!("cannot use the directory {}: {what}", path.display()),
        };
        let (directory, lock) = Directory::lock(path).map_err(|error| refuse(error.to_string()))?;
        let manifest = Manifest::read(&directory).map_err(|error| refuse(error.to_string()))?;
        if manifest.is_none()
            && let Some(file) = Manifest::orphan(&directory).map_err(|error| refuse(error.to_string()))?
        {
            return Err(refuse(format!(
                "there is {file} and no MANIFEST, which says what of it counts. Restore the directory from a backup, or empty it"
            )));
        }
        Ok(Opened {
            directory,
            lock,
            manifest,
        })
    }

    /// How many shards the data in it is divided into; none if there is no data.
    pub(crate) fn shards(&self) -> Option<usize> {
        let manifest = self.manifest.filter(|manifest| !manifest.is_empty());
        manifest.map(|manifest| manifest.shards as usize)
    }
}

/// What [`start`] needs to know of the server.
pub(crate) struct Surroundings {
    pub(crate) durability: Arc<Durability>,
    pub(crate) bells: Vec<Arc<Doorbell>>,
    pub(crate) host: Process,
    pub(crate) shards: usize,
    pub(crate) random: u64,
    /// Called if the data can't be loaded.
    pub(crate) give_up: Box<dyn FnOnce(String) + Send>,
}

/// The ends of the workers, and what goes on behind them once that is started.
pub(crate) struct Prepared {
    pub(crate) workers: Vec<(WorkerPersistence, WorkerLoading)>,
    pub(crate) parts: Parts,
}

/// What [`start`] needs of them.
pub(crate) struct Parts {
    inbox: Receiver<Message>,
    messages: Sender<Message>,
    pieces: SyncSender<SnapshotMessage>,
    piece_inbox: Receiver<SnapshotMessage>,
    loads: Vec<SyncSender<LoadMessage>>,
    faults: Receiver<String>,
}

/// Makes the ends of so many workers.
pub(crate) fn prepare(workers: usize, durability: &Arc<Durability>, policy: &Policy) -> Prepared {
    let (messages, inbox) = channel();
    let (pieces, piece_inbox) = sync_channel(PIECES_MAX);
    let (fault, faults) = channel();
    let (mut ends, mut loads) = (Vec::new(), Vec::new());
    for worker in 0..workers {
        let (load, loading) = sync_channel(LOADS_MAX);
        loads.push(load);
        let end = WorkerPersistence {
            messages: messages.clone(),
            pieces: pieces.clone(),
            worker,
            durability: Arc::clone(durability),
            policy: policy.clone(),
        };
        ends.push((end, WorkerLoading::new(loading, fault.clone())));
    }
    Prepared {
        workers: ends,
        parts: Parts {
            inbox,
            messages,
            pieces,
            piece_inbox,
            loads,
            faults,
        },
    }
}

/// Starts the threads: they load the data, then write down what changes.
pub(crate) fn start(
    opened: Opened,
    policy: Policy,
    surroundings: Surroundings,
    parts: Parts,
) -> io::Result<Persistence> {
    let messages = parts.messages.clone();
    let (shards, random) = (surroundings.shards as u32, surroundings.random);
    let directory = opened.directory.clone();
    let captured = parts.messages.clone();
    thread::Builder::new()
        .name("kora-snapshot".to_owned())
        .spawn(move || write_snapshots(&directory, shards, random, parts.piece_inbox, &captured))?;
    let run = move || {
        // Held as long as anything is written.
        let _lock = opened.lock;
        let loaded = begin(
            &opened.directory,
            opened.manifest,
            &policy,
            &surroundings,
            &parts.loads,
            &parts.faults,
        );
        // The workers see by that that nothing more comes, and look for nothing more.
        drop(parts.loads);
        let (writer, manifest, next_snapshot) = match loaded {
            Ok(begun) => begun,
            Err(what) => return (surroundings.give_up)(what),
        };
        let parts = WritingParts {
            inbox: parts.inbox,
            pieces: parts.pieces,
            durability: surroundings.durability,
            bells: surroundings.bells,
            host: surroundings.host,
        };
        Writing::new(writer, manifest, next_snapshot, policy, shards as usize, parts).run();
    };
    let thread = thread::Builder::new().name("kora-log".to_owned()).spawn(run)?;
    Ok(Persistence { messages, thread })
}

/// Loads the data and begins to write. The writer, what counts of the directory, and the number of the next snapshot.
fn begin(
    directory: &Directory,
    manifest: Option<Manifest>,
    policy: &Policy,
    surroundings: &Surroundings,
    loads: &[SyncSender<LoadMessage>],
    faults: &Receiver<String>,
) -> Result<(Writer<Directory>, Manifest, u64), String> {
    let Surroundings {
        durability,
        bells,
        host,
        shards,
        random,
        ..
    } = surroundings;
    let tell = |error: io::Error| format!("cannot write to the directory: {error}");
    let mut manifest = match manifest.filter(|manifest| !manifest.is_empty()) {
        Some(manifest) => manifest,
        None => {
            let empty = Manifest::empty(*shards as u32);
            empty.publish(directory).map_err(tell)?;
            empty
        }
    };
    let mut loader = Loader::open(directory.clone(), manifest).map_err(advice)?;
    let mut first = Loader::open_for_records(directory.clone(), manifest).map_err(advice)?;
    durability.loading_since_s.set(host.unix_us() / 1_000_000);
    durability.load_bytes.set(first.progress().1);
    load_collections(&mut first, loads, bells)?;
    load(&mut loader, loads, faults, durability, bells, *host)?;
    let loaded = loader.loaded().map_err(advice)?;
    if let Some(tail) = &loaded.tail {
        tracing::warn!(
            file = tail.file,
            offset = tail.offset,
            bytes = tail.bytes,
            "the log ends with what is not whole ({}), as a crash leaves it: cut off",
            tail.what
        );
    }
    loader.settle(&loaded).map_err(tell)?;
    let mut writer = Writer::new(
        directory.clone(),
        *shards as u32,
        loaded.next_segment,
        loaded.next_stamp,
        *random,
    );
    durability.stamps.go_on_from(loaded.next_stamp);
    durability.transfers.go_on_from(loaded.next_stamp);
    durability.durable.set(loaded.next_stamp - 1);
    durability.told.has_directory.set(1);
    durability.told.saved_s.set(manifest.saved_ms / 1000);
    durability.told.snapshot_bytes.set(manifest.snapshot_bytes);
    durability.told.is_log_on.set(u64::from(policy.is_log_on));
    if policy.is_log_on {
        match writing::begin_log(&mut writer, &mut manifest) {
            // Reads are answered, and the log's thread tries again.
            Err(error) if writing::is_full(&error) => durability.trouble.set(Trouble::Full as u64),
            begun => begun.map_err(tell)?,
        }
    }
    loading::end(loads, faults, durability, bells, policy.is_log_on)?;
    Ok((writer, manifest, loaded.next_snapshot))
}

/// What is wrong with the data, and what to do about it.
fn advice(error: LoadError) -> String {
    match &error {
        LoadError::Damaged { file, offset, .. } if file.starts_with("log-") => format!(
            "{error}. Restore the directory from a backup, or see what `kora repair DIR --truncate-at {file}:{offset}` would take away"
        ),
        LoadError::Damaged { .. } => format!("{error}. Restore the directory from a backup"),
        LoadError::Io { error: cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
            format!("{error}. Restore the directory from a backup")
        }
        LoadError::Io { .. } => error.to_string(),
    }
}

impl Persistence {
    /// Takes the last snapshot, if one is wanted, while the workers still run. False if it failed.
    pub(crate) fn save_last(&self) -> bool {
        let (done, outcome) = sync_channel(1);
        let is_told = self.messages.send(Message::LastSave { done }).is_ok();
        // A thread that has gone has said why.
        !is_told || outcome.recv().unwrap_or(true)
    }

    /// All workers have stopped: writes what is left.
    pub(crate) fn stop(self) {
        // A thread that has gone has nothing to write.
        let _ = self.messages.send(Message::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the log's thread panicked");
        }
    }
}

impl WorkerPersistence {
    /// Hands over what the engine has changed, captured, and been asked for.
    pub(crate) fn hand_over(&self, engine: &mut Engine) {
        engine.hand_over(&mut |shard, chunk| {
            let handed = &self.durability.handed_bytes[self.worker];
            handed.set(handed.get() + chunk.records.len() as u64);
            // The log's thread ends after the workers do, but for one whose data could not be loaded.
            let _ = self.messages.send(Message::Frames { shard, chunk });
        });
        let transfers = engine.take_transfers();
        if !transfers.is_empty() {
            let _ = self.messages.send(Message::Transfers(transfers));
        }
        if let Some(wish) = engine.take_save_wish() {
            let _ = self.messages.send(Message::Save(wish));
        }
        if let Some(wish) = engine.take_last_save_wish() {
            let _ = self.messages.send(Message::LastWish(wish));
        }
        let worker = self.worker;
        engine.hand_over_pieces(&mut |number, piece| {
            let message = match piece {
                Some((shard, kind, piece)) => SnapshotMessage::Piece {
                    number,
                    shard,
                    kind,
                    piece,
                },
                None => SnapshotMessage::Done { number, worker },
            };
            match self.pieces.try_send(message) {
                Err(TrySendError::Full(SnapshotMessage::Piece { shard, kind, piece, .. })) => {
                    Err(Some((shard, kind, piece)))
                }
                Err(TrySendError::Full(_)) => Err(None),
                Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            }
        });
    }

    /// Whether so much waits to be written that clients have to wait before they say more. While the disk fails nothing
    /// waits: writes are refused then.
    pub(crate) fn is_congested(&self) -> bool {
        let handed: u64 = self.durability.handed_bytes.iter().map(|bytes| bytes.get()).sum();
        let waiting = handed.saturating_sub(self.durability.written_bytes.get());
        waiting > WAITING_BYTES_MAX && self.durability.trouble().is_none()
    }
}

/// Pieces of a snapshot on their way to its thread, each of 256 KiB or one large entry.
const PIECES_MAX: usize = 8;

/// Bytes that were changed and are not written yet: what the log may lag behind before clients wait for it.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// Messages on their way to a worker that loads.
const LOADS_MAX: usize = 16;
