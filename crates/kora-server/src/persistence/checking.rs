//! Reading a directory without a server: everything is made true in one engine that no client reaches.

use std::path::Path;
use std::sync::Arc;

use kora_engine::{Engine, Host as _, mesh_ends};
use kora_log::Manifest;
use kora_log::loader::{Item, Loader, Tail};
use kora_log::record::{Record, records};
use kora_log::snapshot::PieceKind;
use tokio::sync::Semaphore;

use super::{Opened, advice};
use crate::config::Config;
use crate::disk::Directory;
use crate::host::Process;
use crate::serve;
use crate::settings::{Live, RunningSettings};

/// What a directory holds.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) shards: u32,
    pub(crate) snapshot_bytes: u64,
    pub(crate) log_bytes: u64,
    /// Strings and hashes, also such as have expired and were not removed.
    pub(crate) keys: u64,
    pub(crate) vectors: u64,
    pub(crate) collections: u64,
    /// What is not whole at the end of the log.
    pub(crate) tail: Option<Tail>,
}

/// Reads and checks everything, and changes nothing.
///
/// # Errors
/// What is wrong, with the file and the place in it.
pub(crate) fn check_directory(path: &Path) -> Result<Found, String> {
    with_directory(path, |directory, manifest| {
        let mut loader = Loader::open(directory.clone(), *manifest).map_err(advice)?;
        let log_bytes = loader.progress().1 - manifest.snapshot_bytes;
        let mut engine = engine_for(manifest.shards as usize, loader.progress().1);
        let mut first = Loader::open_for_records(directory.clone(), *manifest).map_err(advice)?;
        make_collections(&mut first, &mut engine)?;
        make_all(&mut loader, &mut engine)?;
        let holdings = engine.holdings();
        Ok(Found {
            shards: manifest.shards,
            snapshot_bytes: manifest.snapshot_bytes,
            log_bytes,
            keys: holdings.keys,
            vectors: holdings.vectors,
            collections: holdings.collections,
            tail: loader.loaded().map_err(advice)?.tail,
        })
    })
}

/// Does something with a directory that holds data and that no server uses.
///
/// # Errors
/// If there is none, or as `act` says.
pub(crate) fn with_directory<T>(
    path: &Path,
    act: impl FnOnce(&Directory, &Manifest) -> Result<T, String>,
) -> Result<T, String> {
    if !path.is_dir() {
        return Err(format!("there is no directory {}", path.display()));
    }
    let opened = Opened::open(path).map_err(|error| error.what)?;
    match opened.manifest {
        Some(manifest) if !manifest.is_empty() => act(&opened.directory, &manifest),
        _ => Err(format!("{} holds no data", path.display())),
    }
}

/// An engine of so many shards.
fn engine_for(shards: usize, load_bytes: u64) -> Engine {
    let config = Config::default();
    let live = Arc::new(Live::new(&config));
    let settings = RunningSettings::new(&config, live, Arc::new(Semaphore::new(0)));
    let setup = Arc::new(serve::setup(&config, 1, shards, (&[], &[]), Process::new(), settings));
    setup.durability.load_bytes.set(load_bytes);
    let mesh_end = mesh_ends(setup.placement, 1).pop().expect("there is one worker");
    Engine::new(mesh_end, setup)
}

/// Collections come before anything that belongs to one: see [`load_collections`](super::loading::load_collections).
fn make_collections(loader: &mut Loader<Directory>, engine: &mut Engine) -> Result<(), String> {
    let now_ms = Process::new().unix_us() / 1000;
    loop {
        let position = loader.position();
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
        let made = engine.replay(shard, &creations, now_ms);
        made.map_err(|fault| damaged(&position, &fault))?;
    }
}

fn make_all(loader: &mut Loader<Directory>, engine: &mut Engine) -> Result<(), String> {
    let now_ms = Process::new().unix_us() / 1000;
    loop {
        let position = loader.position();
        let Some(item) = loader.next_item().map_err(advice)? else {
            break;
        };
        let made = match item {
            Item::Passed => Ok(()),
            Item::Piece {
                shard,
                kind: PieceKind::Index,
                body,
            } => engine.replay_index(shard, &body, now_ms),
            Item::Piece { shard, body, .. } => engine.replay(shard, &body, now_ms),
            Item::Block(block) => block
                .frames()
                .try_for_each(|frame| engine.replay(frame.shard, frame.records, now_ms)),
        };
        made.map_err(|fault| damaged(&position, &fault))?;
    }
    if engine.lacks_pieces() {
        return Err("the snapshot is damaged: a collection is not whole".to_owned());
    }
    let mut landed = engine.take_landed();
    landed.sort_unstable();
    engine.end_replay(&landed, now_ms);
    Ok(())
}

fn damaged((file, offset): &(String, u64), fault: &impl std::fmt::Display) -> String {
    format!("{file} is damaged at byte {offset}: {fault}")
}
