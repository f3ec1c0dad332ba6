//! Loading: the log's thread reads and checks, and each worker makes true what concerns its shards.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, sync_channel};

use kora_engine::{Engine, Host as _};
use kora_log::loader::{Item, Loader};
use kora_log::record::{Record, records};
use kora_log::snapshot::PieceKind;
use kora_mesh::{Doorbell, Durability, Phase};

use super::advice;
use crate::disk::Directory;
use crate::host::Process;

/// What a worker is told while the data is loaded.
pub(crate) enum LoadMessage {
    /// Records of one of its shards, or a piece of an index, and where it stands for messages.
    Piece {
        /// The shard.
        shard: u32,
        /// What it is.
        kind: PieceKind,
        /// Its bytes.
        piece: Vec<u8>,
        /// File and offset.
        position: (Arc<str>, u64),
    },
    /// Answered when everything before it is done.
    Barrier(SyncSender<()>),
    /// Asks which values that left other shards have arrived.
    Landed(SyncSender<Vec<u64>>),
    /// All is read, and these values have arrived; answered when it is done.
    End(Arc<[u64]>, SyncSender<()>),
}

/// A worker's end while the data is loaded.
pub(crate) struct WorkerLoading {
    inbox: Receiver<LoadMessage>,
    /// Where it says that something can't be made true.
    fault: Sender<String>,
}

/// How far a worker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LoadProgress {
    /// There was something, and there may be more.
    Worked,
    /// There was nothing for now.
    Idle,
    /// There will be nothing more.
    Ended,
}

impl WorkerLoading {
    pub(super) fn new(inbox: Receiver<LoadMessage>, fault: Sender<String>) -> WorkerLoading {
        WorkerLoading { inbox, fault }
    }

    /// Does what it is told, for about `budget_us`.
    pub(crate) fn go_on(&mut self, engine: &mut Engine, host: &Process, budget_us: u64) -> LoadProgress {
        let start_us = host.now_us();
        let mut progress = LoadProgress::Idle;
        while host.now_us().saturating_sub(start_us) < budget_us {
            match self.inbox.try_recv() {
                Ok(message) => self.take(message, engine, host),
                Err(TryRecvError::Empty) => return progress,
                Err(TryRecvError::Disconnected) => return LoadProgress::Ended,
            }
            progress = LoadProgress::Worked;
        }
        progress
    }

    fn take(&self, message: LoadMessage, engine: &mut Engine, host: &Process) {
        let now_ms = host.unix_us() / 1000;
        match message {
            LoadMessage::Piece {
                shard,
                kind,
                piece,
                position: (file, offset),
            } => {
                let replayed = match kind {
                    PieceKind::Index => engine.replay_index(shard, &piece, now_ms),
                    PieceKind::Records | PieceKind::End => engine.replay(shard, &piece, now_ms),
                };
                if let Err(fault) = replayed {
                    // The loader may have given up already.
                    let _ = self.fault.send(format!("{file} is damaged at byte {offset}: {fault}"));
                }
            }
            LoadMessage::Barrier(done) => drop(done.send(())),
            LoadMessage::Landed(done) => {
                if engine.lacks_pieces() {
                    let _ = self
                        .fault
                        .send("the snapshot is damaged: a collection is not whole".to_owned());
                }
                let _ = done.send(engine.take_landed());
            }
            LoadMessage::End(landed, done) => {
                engine.end_replay(&landed, now_ms);
                let _ = done.send(());
            }
        }
    }
}

/// Reads which collections a snapshot has and lets the workers make them, before anything that belongs to one: its shards
/// write their pieces side by side, and the pieces lie in the file as they came.
pub(super) fn load_collections(
    loader: &mut Loader<Directory>,
    loads: &[SyncSender<LoadMessage>],
    bells: &[Arc<Doorbell>],
) -> Result<(), String> {
    let workers = Workers { loads, bells };
    loop {
        let (file, offset) = loader.position();
        let position = (Arc::from(file), offset);
        let (shard, body) = match loader.next_item().map_err(advice)? {
            Some(Item::Piece { shard, body, .. }) => (shard, body),
            Some(Item::Passed) => continue,
            Some(Item::Block(_)) | None => return Ok(()),
        };
        let mut creations = Vec::new();
        for record in records(&body) {
            if let Ok(record @ Record::Create { .. }) = record {
                record.encode(&mut creations);
            }
        }
        if !creations.is_empty() {
            workers.hand(shard, PieceKind::Records, creations, &position)?;
        }
    }
}

/// Reads everything, and lets the workers make it true.
pub(super) fn load(
    loader: &mut Loader<Directory>,
    loads: &[SyncSender<LoadMessage>],
    faults: &Receiver<String>,
    durability: &Durability,
    bells: &[Arc<Doorbell>],
    host: Process,
) -> Result<(), String> {
    let start_us = host.now_us();
    let mut told_us = start_us;
    let workers = Workers { loads, bells };
    loop {
        let (file, offset) = loader.position();
        let Some(item) = loader.next_item().map_err(advice)? else {
            break;
        };
        let position = (Arc::from(file), offset);
        match item {
            Item::Passed => {}
            Item::Piece { shard, kind, body } => workers.hand(shard, kind, body, &position)?,
            Item::Block(block) => {
                let mut run: Option<(u32, Vec<u8>)> = None;
                for frame in block.frames() {
                    match &mut run {
                        Some((shard, records)) if *shard == frame.shard => records.extend_from_slice(frame.records),
                        _ => {
                            let before = run.replace((frame.shard, frame.records.to_vec()));
                            before.map_or(Ok(()), |(shard, records)| {
                                workers.hand(shard, PieceKind::Records, records, &position)
                            })?;
                        }
                    }
                }
                run.map_or(Ok(()), |(shard, records)| {
                    workers.hand(shard, PieceKind::Records, records, &position)
                })?;
            }
        }
        if let Ok(fault) = faults.try_recv() {
            return Err(fault);
        }
        let (done, all) = loader.progress();
        durability.loaded_bytes.set(done);
        let now_us = host.now_us();
        if now_us - told_us > TELL_US {
            told_us = now_us;
            let eta_s = (now_us - start_us) / 1_000_000 * all.saturating_sub(done) / done.max(1);
            tracing::info!(percent = done * 100 / all.max(1), eta_s, "loading");
        }
    }
    workers.wait_for_all()?;
    match faults.try_recv() {
        Ok(fault) => Err(fault),
        Err(_) => {
            let ms = (host.now_us() - start_us) / 1000;
            tracing::info!(bytes = loader.progress().1, ms, "loaded");
            Ok(())
        }
    }
}

/// Everything was read: lets the workers settle what was on its way, and then serve.
pub(super) fn end(
    loads: &[SyncSender<LoadMessage>],
    faults: &Receiver<String>,
    durability: &Durability,
    bells: &[Arc<Doorbell>],
    is_log_on: bool,
) -> Result<(), String> {
    let workers = Workers { loads, bells };
    // What is settled now is written down.
    let phase = Phase {
        is_loading: true,
        is_journal_on: is_log_on,
        capture: 0,
    };
    durability.set_phase(phase);
    let mut landed: Vec<u64> = workers.ask_all(LoadMessage::Landed)?.concat();
    landed.sort_unstable();
    let landed: Arc<[u64]> = landed.into();
    workers.ask_all(|done| LoadMessage::End(Arc::clone(&landed), done))?;
    if let Ok(fault) = faults.try_recv() {
        return Err(fault);
    }
    durability.set_phase(Phase {
        is_loading: false,
        ..phase
    });
    for bell in bells {
        bell.ring();
    }
    Ok(())
}

struct Workers<'a> {
    loads: &'a [SyncSender<LoadMessage>],
    bells: &'a [Arc<Doorbell>],
}

impl Workers<'_> {
    /// Hands a piece to the worker of its shard. A collection is there for all before anything behind it is handed over.
    fn hand(&self, shard: u32, kind: PieceKind, piece: Vec<u8>, position: &(Arc<str>, u64)) -> Result<(), String> {
        let creates = |record| matches!(record, Ok(Record::Create { .. }));
        let has_create = kind == PieceKind::Records && records(&piece).any(creates);
        let worker = shard as usize % self.loads.len();
        let message = LoadMessage::Piece {
            shard,
            kind,
            piece,
            position: position.clone(),
        };
        self.tell(worker, message)?;
        if has_create {
            let (done, is_done) = sync_channel(1);
            self.tell(worker, LoadMessage::Barrier(done))?;
            is_done.recv().map_err(|_| GONE.to_owned())?;
        }
        Ok(())
    }

    fn wait_for_all(&self) -> Result<(), String> {
        self.ask_all(LoadMessage::Barrier).map(drop)
    }

    fn ask_all<T>(&self, ask: impl Fn(SyncSender<T>) -> LoadMessage) -> Result<Vec<T>, String> {
        let mut answers = Vec::new();
        for worker in 0..self.loads.len() {
            let (answer, answered) = sync_channel(1);
            self.tell(worker, ask(answer))?;
            answers.push(answered);
        }
        let all = answers
            .into_iter()
            .map(|answered| answered.recv().map_err(|_| GONE.to_owned()));
        all.collect()
    }

    fn tell(&self, worker: usize, message: LoadMessage) -> Result<(), String> {
        self.loads[worker].send(message).map_err(|_| GONE.to_owned())?;
        self.bells[worker].ring();
        Ok(())
    }
}

/// A worker ended while data was loaded: the server is being stopped.
const GONE: &str = "stopped while loading";

/// How often progress is logged.
const TELL_US: u64 = 2_000_000;
