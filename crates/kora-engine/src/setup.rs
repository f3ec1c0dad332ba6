//! What all engines of one server share, and what an engine may ask of the world.

use std::sync::Arc;

use kora_mesh::{Durability, Gauge, Port, ReadLease, WorkerId};

use crate::claims::ClaimBoard;
use crate::databases::Databases;
use crate::error::ClientError;
use crate::leased::ReadLeases;
use crate::limits::REPLY_BYTES_MAX;
use crate::mail::{Request, Response};
use crate::router::{Placement, Spread};
use crate::scripts::Scripts;
use crate::settings::{LiveSettings, Settings};
use kora_keyspace::catalog::{Catalog, GraphSettings};

/// What all engines share. Nothing in it changes while the server runs, but for the catalog and `live`.
pub struct Setup {
    /// Where keys live.
    pub placement: Placement,
    /// The collections that exist.
    pub catalog: Arc<Catalog>,
    /// How many databases there are.
    pub databases: Databases,
    /// The scripts that are known, and those that run.
    pub scripts: Arc<Scripts>,
    /// For collections that do not say otherwise.
    pub graph: GraphSettings,
    /// What may change while the server runs, as the engines read it.
    pub live: Arc<LiveSettings>,
    /// What the workers and the log's thread tell each other.
    pub durability: Arc<Durability>,
    /// How much is done in a slice, in components read: `SLICE_WORK` in a server. In a simulation less, so that what is done
    /// to small graphs takes more than one.
    pub slice_work: u64,
    /// Every setting, for CONFIG.
    pub settings: Box<dyn Settings>,
    /// What INFO says about the process.
    pub facts: Facts,
}

/// What INFO says about the process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Kōra's version.
    pub kora_version: String,
    /// Operating system and architecture.
    pub os: String,
    /// Process id.
    pub process_id: u32,
    /// Names this run of the server: 40 hexadecimal digits, drawn at random when it starts.
    pub run_id: String,
    /// The port that clients connect to.
    pub tcp_port: u16,
    /// The program that runs, and the file that it has its settings from, if there is one.
    pub executable: String,
    /// See `executable`.
    pub config_file: String,
    /// What is listened on, as INFO says it: `name=tcp,bind=127.0.0.1,port=6379`.
    pub listeners: Vec<String>,
    /// When the server started, in microseconds of the host's clock.
    pub since_us: u64,
}

/// One worker's end of the mesh: what an engine is made of beside the [`Setup`]. Made for all workers at once, then
/// each is sent to its thread.
pub struct MeshEnd {
    pub(crate) port: Port<Request, Response>,
    /// Thousandths of its time that each worker works.
    pub(crate) loads: Arc<[Gauge]>,
    pub(crate) leases: ReadLeases,
    pub(crate) claims: Arc<ClaimBoard>,
}

impl MeshEnd {
    /// Whose it is.
    pub fn worker(&self) -> WorkerId {
        self.port.worker()
    }

    /// The bell that wakes this worker.
    pub fn doorbell(&self) -> Arc<kora_mesh::Doorbell> {
        Arc::clone(self.port.doorbell())
    }
}

/// The mesh ends of all workers. `credit` bounds the unanswered requests of each ordered pair of workers.
pub fn mesh_ends(placement: Placement, credit: usize) -> Vec<MeshEnd> {
    let workers = placement.worker_count();
    let loads: Arc<[Gauge]> = (0..workers).map(|_| Gauge::new(0)).collect();
    let leases: ReadLeases = placement.shards().map(|_| ReadLease::new()).collect();
    let ports = kora_mesh::build(workers, credit);
    let bells: Vec<_> = ports.iter().map(|port| Arc::clone(port.doorbell())).collect();
    let claims = Arc::new(ClaimBoard::new(placement, &bells));
    ports
        .into_iter()
        .map(|port| MeshEnd {
            port,
            loads: Arc::clone(&loads),
            leases: Arc::clone(&leases),
            claims: Arc::clone(&claims),
        })
        .collect()
}

impl Setup {
    /// Memory that all clients together may hold now, in bytes.
    pub(crate) fn client_bytes_max(&self) -> usize {
        usize::try_from(self.live.client_memory.limit()).unwrap_or(usize::MAX)
    }

    /// Bytes that one shard's part of an answer about this collection may take. Parts of an answer overlap in what they
    /// offer, so each may be as large as the reply, as long as few are; of a single part that is the limit.
    pub(crate) fn hits_bytes_max(&self, collection: &[u8]) -> usize {
        match self.placement.spread_of(collection) {
            Spread::One(_) => self.client_bytes_max() / 2,
            Spread::All => self.client_bytes_max() / 2 / self.placement.shard_count().clamp(1, PARTS_HELD),
        }
    }

    /// Why a reply cannot be given whose parts take so many bytes, if it can't. It may take half of what clients may hold, so
    /// that two of them find room.
    pub(crate) fn too_large(&self, bytes_hint: usize) -> Option<ClientError> {
        let bytes_max = self.client_bytes_max().min(REPLY_BYTES_MAX);
        (2 * bytes_hint > bytes_max).then_some(ClientError::ReplyTooLarge { bytes_max })
    }

    /// The longest string that commands may make of shorter ones now, in bytes.
    pub(crate) fn string_bytes_max(&self) -> usize {
        usize::try_from(self.live.string_bytes_max.get()).unwrap_or(usize::MAX)
    }

    /// All workers.
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.placement.worker_count()).map(WorkerId::from_index)
    }
}

/// Parts of an answer that may be large at once; of more shards each holds less.
const PARTS_HELD: usize = 4;

/// What an engine may ask of the world: it has no clock and no files of its own, so that a simulation can be its world.
pub trait Host {
    /// A clock that never goes back, in microseconds.
    fn now_us(&self) -> u64;

    /// The time of day, in microseconds of Unix time. It may be set, also back.
    fn unix_us(&self) -> u64;

    /// Memory of the process that is in RAM, in bytes.
    fn resident_bytes(&self) -> u64;

    /// Has the calling thread give memory that it does not need back to the system.
    fn release_memory(&self);

    /// CPU time of the calling thread, in microseconds.
    fn thread_cpu_us(&self) -> u64;

    /// CPU time of the process in the kernel and outside it, in microseconds.
    fn cpu_us(&self) -> CpuTime;
}

/// CPU time of a process, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// In the kernel.
    pub system_us: u64,
    /// Outside the kernel.
    pub user_us: u64,
}
