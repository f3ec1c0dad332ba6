//! The server as a whole: how it starts, and how it stops.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use core_affinity::CoreId;
use kora_engine::budgets::SLICE_WORK;
use kora_engine::{Catalog, Databases, Facts, GraphSettings, Host, MeshEnd, Placement, Scripts, Setup, mesh_ends};
use kora_mesh::{Doorbell, Durability, Flag, Phase, SharedCounter};
use kora_vector::Metric;
use kora_vector::hnsw::GRAPH_MIN;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::acceptor::{Accepted, Acceptor, Arrival, CLIENTS_MAX};
use crate::config::{Config, Exposure, VectorMetric};
use crate::descriptors::room_for;
use crate::host::Process;
use crate::http::{Console, Http};
use crate::listening::{listen_for_clients, listen_for_http, listen_for_tls};
use crate::persistence::{Opened, Persistence, Policy, Surroundings, prepare};
use crate::returning::Returning;
use crate::settings::{Live, RunningSettings, read_certificates};
use crate::signals::Signals;
use crate::supervisor;
use crate::tls::Tls;
use crate::users_file;
use crate::worker::Worker;

/// A server that runs.
pub struct Running {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    shutdown: mpsc::Sender<()>,
    acceptor: JoinHandle<()>,
    /// Why the data could not be loaded, if so.
    failure: Arc<OnceLock<String>>,
}

impl Running {
    /// Asks it to stop, as SIGTERM and SHUTDOWN do. [`Running::wait`] tells when it has.
    pub fn stop(&self) {
        // If there is no space, a request is queued already.
        let _ = self.shutdown.try_send(());
    }

    /// Waits until it has stopped: by [`Running::stop`], a signal, or a client's SHUTDOWN.
    ///
    /// # Errors
    /// If the data could not be loaded.
    pub fn wait(self) -> Result<(), StartError> {
        if self.acceptor.join().is_err() {
            tracing::error!("the acceptor panicked");
        }
        match self.failure.get() {
            Some(what) => Err(StartError::Persistence(what.clone())),
            None => Ok(()),
        }
    }
}

/// Why a server does not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// None of the addresses, each of which may be missing, is there.
    NoAddress,
    /// A thread or its event loop cannot be made.
    Thread(io::Error),
    /// The data on disk cannot be used.
    Persistence(String),
    /// The certificates for TLS cannot be used.
    Certificates(String),
    /// The file of users cannot be used.
    Users(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::NoAddress => f.write_str("none of the addresses in `bind` is there to listen on"),
            Self::Persistence(what) | Self::Certificates(what) => f.write_str(what),
            Self::Users(what) => write!(f, "Aborting because of ACL errors: {what}"),
            Self::Thread(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => write!(
                f,
                "cannot start a thread: too many open files; raise the limit (`ulimit -n`), to 64 at least"
            ),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Replaces the users by those of their file, if there is one.
fn read_users(config: &Config, live: &Live) -> Result<(), StartError> {
    let Some(path) = config.aclfile.path() else {
        return Ok(());
    };
    let read = users_file::read(path).and_then(|file| live.engine.access.read(&file.text, &file.path));
    read.map_err(StartError::Users)
}

/// Runs a server until it is stopped.
pub fn run(config: &Config) -> Result<(), StartError> {
    start(config)?.wait()
}

/// Starts a server: all its threads run and it accepts connections when this returns.
///
/// Call it from a thread that is not pinned: the cores it may use are those of the calling thread.
pub fn start(config: &Config) -> Result<Running, StartError> {
    // Read once, before anything is pinned: this reports the calling thread's own mask.
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let workers = match config.workers.get() {
        // Affinity and control groups' quotas count.
        0 => thread::available_parallelism().map_or(cores.len().max(1), NonZero::get),
        workers => workers,
    };
    let opened = open_directory(config)?;
    let shards = shards(config, workers, opened.as_ref())?;
    let listeners = listen_for_clients(config)?;
    let (tls_listeners, http_listeners) = (listen_for_tls(config)?, listen_for_http(config)?);
    let addresses = addresses_of(&listeners)?;
    let tls_addresses = addresses_of(&tls_listeners)?;
    let host = Process::new();
    let live = Arc::new(Live::new(config));
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    read_certificates(config, &live).map_err(|error| StartError::Certificates(error.to_string()))?;
    read_users(config, &live)?;
    let settings = RunningSettings::new(config, Arc::clone(&live), Arc::clone(&clients));
    let reload = settings.reloader();
    let setup = Arc::new(setup(
        config,
        workers,
        shards,
        (&addresses, &tls_addresses),
        host,
        settings,
    ));
    let is_pinned = config.pin_workers.applies(cores.len(), machine_cores());

    let (stopping, stopping_seen) = watch::channel(false);
    let (shutdown, shutdown_asked) = mpsc::channel(1);
    let stop = Arc::new(Flag::new());
    let policy = Policy {
        is_log_on: config.appendonly.0,
        live: Arc::clone(&live),
    };
    let prepared = opened.as_ref().map(|_| prepare(workers, &setup.durability, &policy));
    let (mut ends, starting) = prepared.map_or((Vec::new(), None), |prepared| (prepared.workers, Some(prepared.parts)));
    ends.reverse();
    let mut threads = Vec::new();
    let (arrivals, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(ARRIVALS_MAX)).unzip();
    let arrivals: Arc<[mpsc::Sender<Arrival>]> = arrivals.into();
    let (ready, all_ready) = std::sync::mpsc::channel();
    let mesh_ends = mesh_ends(setup.placement, kora_mesh::credit_for(workers));
    let bells: Vec<_> = mesh_ends.iter().map(MeshEnd::doorbell).collect();
    let (rounds, all_bells): (Arc<SharedCounter>, Arc<[_]>) = (Arc::default(), bells.clone().into());
    for (index, (mesh_end, receiver)) in mesh_ends.into_iter().zip(receivers).enumerate() {
        let worker = Worker {
            mesh_end,
            setup: Arc::clone(&setup),
            core: pick(&cores, index).filter(|_| is_pinned),
            ready: ready.clone(),
            host,
            turn_budget_us: config.turn_budget_us.get(),
            idle_laps: config.idle_laps.count(workers, cores.len()),
            live: Arc::clone(&live),
            persistence: ends.pop(),
            arrivals: receiver,
            peers: Arc::clone(&arrivals),
            stopping: stopping_seen.clone(),
            shutdown: shutdown.clone(),
            returning: Returning::new(Arc::clone(&rounds), Arc::clone(&all_bells)),
            stop: Arc::clone(&stop),
        };
        threads.push(worker.spawn().map_err(StartError::Thread)?);
    }
    drop(ready);
    let started = (0..workers).take_while(|_| all_ready.recv().is_ok()).count();
    if started < workers {
        return Err(give_up(&stop, &bells, threads));
    }
    // On no core of its own, and never waited for: what it makes is given back with the process.
    let pages = thread::Builder::new().name("kora-pages".to_owned());
    pages
        .spawn(kora_vector::pages::make_pages)
        .map_err(StartError::Thread)?;
    let failure = Arc::new(OnceLock::new());
    let persistence = match (opened, starting) {
        (Some(opened), Some(parts)) => {
            let (told, asked) = (Arc::clone(&failure), shutdown.clone());
            let surroundings = Surroundings {
                durability: Arc::clone(&setup.durability),
                bells: bells.clone(),
                host,
                shards,
                random: random_seed(),
                give_up: Box::new(move |what| {
                    // It is the first and the only one.
                    let _ = told.set(what);
                    let _ = asked.try_send(());
                }),
            };
            let started = crate::persistence::start(opened, policy, surroundings, parts);
            Some(started.map_err(StartError::Thread)?)
        }
        _ => None,
    };
    if !http_listeners.is_empty() {
        let http = Http {
            listeners: http_listeners,
            console: Console::new(Arc::clone(&arrivals), Arc::clone(&clients)),
            live: Arc::clone(&live),
            durability: Arc::clone(&setup.durability),
            stopping: stopping_seen.clone(),
        };
        // Never waited for: nothing is lost with what it still has to say.
        http.start().map_err(StartError::Thread)?;
    }
    let (tls_accepted, others) = mpsc::channel(ARRIVALS_MAX);
    let over = watch::Sender::new(false);
    let tls = match tls_listeners.is_empty() {
        true => None,
        false => {
            let tls = Tls {
                listeners: tls_listeners,
                accepted: tls_accepted,
                live: Arc::clone(&live),
                stopping: stopping_seen,
                over: over.subscribe(),
            };
            Some(tls.start().map_err(StartError::Thread)?)
        }
    };
    let listening = Listening {
        reload: Box::new(reload),
        others,
        listeners,
        workers: arrivals,
        clients,
        live: Arc::clone(&live),
        stopping,
        shutdown: shutdown_asked,
    };
    let signals = shutdown.clone();
    let (listens, has_begun) = std::sync::mpsc::channel();
    let acceptor = thread::Builder::new()
        .name("kora-acceptor".to_owned())
        .spawn(move || {
            let outcome = accept_until_stopped(listening, signals, &listens);
            if let Err(error) = outcome {
                // The thread that starts the server hears of it, and says so.
                let _ = listens.send(Err(error));
            }
            over.send_replace(true);
            wind_up(&stop, &bells, threads, persistence);
            if tls.is_some_and(|tls| tls.join().is_err()) {
                tracing::error!("the thread for TLS panicked");
            }
            tracing::info!("stopped");
        })
        .map_err(StartError::Thread)?;
    has_begun
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the acceptor ended")))
        .map_err(StartError::Thread)?;
    // When all is open that the server itself needs.
    let maxclients = room_for(config.maxclients.get(), 0);
    live.engine.clients_max.set(maxclients.into());
    // Not before signals are heard: a program that reads that line may send one.
    tell_start(config, &setup, &addresses, cores.len());
    supervisor::tell_ready();
    Ok(Running {
        addresses,
        shutdown,
        acceptor,
        failure,
    })
}

/// What the acceptor's thread is given: it makes its event loop itself.
struct Listening {
    /// Called at SIGHUP.
    reload: Box<dyn Fn() + Send>,
    listeners: Vec<std::net::TcpListener>,
    /// Connections that come from elsewhere.
    others: mpsc::Receiver<Accepted>,
    workers: Arc<[mpsc::Sender<Arrival>]>,
    clients: Arc<Semaphore>,
    live: Arc<Live>,
    stopping: watch::Sender<bool>,
    shutdown: mpsc::Receiver<()>,
}

/// Stops the workers and what keeps their data, and waits for them.
fn wind_up(
    stop: &Flag,
    bells: &[Arc<Doorbell>],
    threads: Vec<JoinHandle<io::Result<()>>>,
    persistence: Option<Persistence>,
) {
    supervisor::tell_stopping();
    if let Some(persistence) = &persistence
        && !persistence.save_last()
    {
        tracing::error!("stops without the snapshot that was wanted");
    }
    stop.raise();
    for bell in bells {
        bell.ring();
    }
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a worker could not start"),
            Err(_) => tracing::error!("a worker panicked"),
        }
    }
    if let Some(persistence) = persistence {
        persistence.stop();
    }
}

/// Accepts until the server is to stop, and sees the connections out.
fn accept_until_stopped(
    listening: Listening,
    shutdown: mpsc::Sender<()>,
    listens: &std::sync::mpsc::Sender<io::Result<()>>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let hurry = Arc::new(Notify::new());
        let signals = Signals::new()?;
        tokio::spawn(signals.heed(shutdown, Arc::clone(&hurry), listening.reload));
        let listeners = listening
            .listeners
            .into_iter()
            .map(TcpListener::from_std)
            .collect::<io::Result<Vec<_>>>()?;
        let acceptor = Acceptor {
            listeners,
            others: listening.others,
            workers: listening.workers,
            clients: listening.clients,
            live: listening.live,
            stopping: listening.stopping,
            shutdown: listening.shutdown,
            hurry,
        };
        // It waits for that.
        let _ = listens.send(Ok(()));
        acceptor.run().await;
        Ok(())
    })
}

/// Looks at the directory of the data, if there is one.
fn open_directory(config: &Config) -> Result<Option<Opened>, StartError> {
    match config.dir.path() {
        Some(path) => Opened::open(path)
            .map(Some)
            .map_err(|error| StartError::Persistence(error.what)),
        None if config.appendonly.0 => Err(StartError::Persistence(
            "`appendonly yes` needs a directory for the log: set `dir`".to_owned(),
        )),
        None => Ok(None),
    }
}

/// How many shards there are: those of the directory, if there is data in it.
fn shards(config: &Config, workers: usize, opened: Option<&Opened>) -> Result<usize, StartError> {
    match (config.shards.get(), opened.and_then(Opened::shards)) {
        (0, None) => Ok(workers),
        (0, Some(shards)) => Ok(shards),
        (wanted, Some(shards)) if wanted != shards => Err(StartError::Persistence(format!(
            "the data in `dir` is divided into {shards} shards and not into {wanted}: set `shards` to {shards} or to 0"
        ))),
        (wanted, _) => Ok(wanted),
    }
}

pub(crate) fn setup(
    config: &Config,
    workers: usize,
    shards: usize,
    (addresses, tls_addresses): (&[SocketAddr], &[SocketAddr]),
    host: Process,
    settings: RunningSettings,
) -> Setup {
    let metric = match config.vector_metric {
        VectorMetric::Cosine => Metric::Cosine,
        VectorMetric::L2 => Metric::L2,
        VectorMetric::InnerProduct => Metric::InnerProduct,
    };
    Setup {
        placement: Placement::new(shards, workers),
        databases: Databases::new(config.databases.get()),
        catalog: Arc::new(Catalog::new(random_seed())),
        scripts: Arc::new(Scripts::new(shards, random_seed())),
        graph: GraphSettings {
            metric,
            storage: config.vector_quant.0,
            m: config.vector_m.get() as usize,
            ef_construction: config.vector_ef_construction.get() as usize,
            ef_search: config.vector_ef_search.get() as usize,
            graph_min: GRAPH_MIN,
        },
        slice_work: SLICE_WORK,
        live: settings.for_engines(),
        settings: Box::new(settings),
        durability: Arc::new(durability(config, workers)),
        facts: Facts {
            kora_version: env!("CARGO_PKG_VERSION").to_owned(),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            process_id: std::process::id(),
            run_id: random_run_id(),
            tcp_port: addresses.first().map_or(0, SocketAddr::port),
            executable: std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string()),
            config_file: config_file(config),
            listeners: listeners(addresses, tls_addresses),
            since_us: host.now_us(),
        },
    }
}

fn addresses_of(listeners: &[std::net::TcpListener]) -> Result<Vec<SocketAddr>, StartError> {
    let addresses = listeners.iter().map(std::net::TcpListener::local_addr);
    addresses.collect::<Result<_, _>>().map_err(StartError::Thread)
}

/// The file that the settings were read from, with its whole path; empty if there is none.
fn config_file(config: &Config) -> String {
    let path = config
        .file
        .as_ref()
        .map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// What is listened on, as INFO says it.
fn listeners(addresses: &[SocketAddr], tls_addresses: &[SocketAddr]) -> Vec<String> {
    let line = |name: &str, addresses: &[SocketAddr]| {
        let binds: String = addresses
            .iter()
            .map(|address| format!(",bind={}", address.ip()))
            .collect();
        let port = addresses.first()?.port();
        Some(format!("name={name}{binds},port={port}"))
    };
    [("tcp", addresses), ("tls", tls_addresses)]
        .into_iter()
        .filter_map(|(name, addresses)| line(name, addresses))
        .collect()
}

/// What workers and the log's thread tell each other. The data is being loaded until that thread says otherwise.
fn durability(config: &Config, workers: usize) -> Durability {
    let durability = Durability::new(workers);
    durability.set_phase(Phase {
        is_loading: config.dir.path().is_some(),
        ..Phase::default()
    });
    durability
}

fn tell_start(config: &Config, setup: &Setup, addresses: &[SocketAddr], cores: usize) {
    let (workers, shards) = (setup.placement.worker_count(), setup.placement.shard_count());
    tracing::info!(
        workers,
        shards,
        cores,
        idle_laps = config.idle_laps.count(workers, cores),
        "Kōra {}",
        setup.facts.kora_version
    );
    let file = config.file.as_ref().map(|path| path.display().to_string());
    let file = file.as_deref().unwrap_or("no file");
    match config.departures() {
        departures if departures.is_empty() => tracing::info!("settings: all by default ({file})"),
        departures => tracing::info!("settings: {departures} ({file}), all others by default"),
    }
    match config.exposure() {
        _ if setup.live.access.need_login() => {}
        Exposure::LoopbackOnly => {
            tracing::info!("no password is set, so only this machine can connect; see `bind` and `requirepass`");
        }
        Exposure::NetworkWithoutPassword => {
            tracing::warn!("anybody who can reach this machine can connect: no password is set");
        }
        // A file of users may have taken the password away again.
        Exposure::NetworkWithPassword => tracing::warn!("`requirepass` means nothing: `aclfile` says otherwise"),
    }
    for address in addresses {
        tracing::info!("listening on {address}");
    }
}

/// Stops the workers that have started where another one could not; returns why it could not.
fn give_up(stop: &Flag, bells: &[Arc<Doorbell>], threads: Vec<JoinHandle<io::Result<()>>>) -> StartError {
    stop.raise();
    for bell in bells {
        bell.ring();
    }
    let outcomes: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    let error = outcomes.into_iter().find_map(|outcome| outcome.ok()?.err());
    StartError::Thread(error.unwrap_or_else(|| io::Error::other("a worker ended")))
}

/// Cores of the machine that are online, whether this process may use them or not.
fn machine_cores() -> usize {
    // A list of ranges: `0-3,8`.
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = |range: &str| -> Option<usize> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((last.parse::<usize>().ok()? + 1).saturating_sub(first.parse().ok()?))
    };
    online.trim().split(',').filter_map(count).sum()
}

fn pick(cores: &[CoreId], worker: usize) -> Option<CoreId> {
    (!cores.is_empty()).then(|| cores[worker % cores.len()])
}

/// A number that no client can know, from what std seeds its hash maps with.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// 160 bits, as 40 hexadecimal digits.
fn random_run_id() -> String {
    let digits: String = (0..3).map(|_| format!("{:016x}", random_seed())).collect();
    digits[..40].to_owned()
}

/// Connections on their way to one worker.
const ARRIVALS_MAX: usize = 256;
