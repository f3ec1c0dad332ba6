//! A worker: one thread, pinned to one core, with its own event loop, its engine and its connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use core_affinity::CoreId;
use kora_engine::{Engine, Host as _, MeshEnd, Setup};
use kora_mesh::Flag;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use crate::acceptor::Arrival;
use crate::connection::{Connection, ReadBuffer, Shared};
use crate::host::Process;
use crate::persistence::{LocalPersistence, WorkerLoading, WorkerPersistence};
use crate::returning::Returning;
use crate::settings::Live;
use crate::turn::Turn;

/// What a worker is given when it starts.
pub(crate) struct Worker {
    pub(crate) mesh_end: MeshEnd,
    pub(crate) setup: Arc<Setup>,
    pub(crate) core: Option<CoreId>,
    /// Told once it runs; dropped without a word if it can't.
    pub(crate) ready: std::sync::mpsc::Sender<()>,
    pub(crate) host: Process,
    pub(crate) turn_budget_us: u64,
    pub(crate) idle_laps: u32,
    pub(crate) live: Arc<Live>,
    /// Where changes are handed over, and where the data comes from, if it is kept on disk.
    pub(crate) persistence: Option<(WorkerPersistence, WorkerLoading)>,
    /// New connections.
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    /// Where connections go that had better be with another worker: by the workers' numbers.
    pub(crate) peers: Arc<[mpsc::Sender<Arrival>]>,
    /// Up when connections are to finish.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Where SHUTDOWN is sent.
    pub(crate) shutdown: mpsc::Sender<()>,
    /// How freed memory goes back to the system.
    pub(crate) returning: Returning,
    /// Up when all connections of all workers have finished.
    pub(crate) stop: Arc<Flag>,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn spawn(self) -> io::Result<JoinHandle<io::Result<()>>> {
        let name = format!("kora-worker-{}", self.mesh_end.worker().index());
        thread::Builder::new().name(name).spawn(|| self.run())
    }

    fn run(self) -> io::Result<()> {
        let worker = self.mesh_end.worker().index();
        if let Some(core) = self.core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!(worker, core = core.id, "could not be pinned to its core");
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .event_interval(EVENT_INTERVAL)
            .build_local(LocalOptions::default())?;
        // The thread that starts the server waits for it, or has given up for another worker's sake.
        let _ = self.ready.send(());
        let engine = Rc::new(RefCell::new(Engine::new(self.mesh_end, self.setup)));
        let (budget_us, idle_laps, stop) = (self.turn_budget_us, self.idle_laps, self.stop);
        let returning = self.returning;
        let (mut arrivals, mut stopping_seen) = (self.arrivals, self.stopping);
        let stopping = Rc::new(Cell::new(false));
        let live = self.live;
        let (persistence, loading) = self.persistence.unzip();
        let persistence = persistence.map(LocalPersistence::new);
        let shared = Shared {
            engine: Rc::clone(&engine),
            host: self.host,
            turn_budget_us: budget_us,
            live: Arc::clone(&live),
            persistence: persistence.clone(),
            read_buffer: ReadBuffer::default(),
            peers: self.peers,
            stopping: Rc::clone(&stopping),
            shutdown: self.shutdown,
        };
        runtime.block_on(async move {
            let shared_host = shared.host;
            let turn = Turn {
                engine,
                host: shared.host,
                budget_us,
                idle_laps,
                laps: 0,
                loading,
                persistence: persistence.clone(),
                returning,
                alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
                stop,
            };
            tokio::task::spawn_local(async move {
                while let Some(arrival) = arrivals.recv().await {
                    match Connection::new(arrival, shared.clone()) {
                        Ok(connection) => drop(tokio::task::spawn_local(connection.serve())),
                        Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                    }
                }
            });
            tokio::task::spawn_local(close_idle(Rc::clone(&turn.engine), shared_host, live));
            let engine = Rc::clone(&turn.engine);
            tokio::task::spawn_local(async move {
                // The receiver is gone, or it was sent before.
                let _ = stopping_seen.wait_for(|is_stopping| *is_stopping).await;
                stopping.set(true);
                engine.borrow_mut().wake_connections();
            });
            let engine = Rc::clone(&turn.engine);
            turn.await;
            if let Some(persistence) = &persistence {
                persistence.hand_over(&mut engine.borrow_mut());
            }
        });
        Ok(())
    }
}

/// Closes clients that have said nothing for as long as the setting `timeout` says.
async fn close_idle(engine: Rc<RefCell<Engine>>, host: Process, live: Arc<Live>) {
    let mut changed = live.changed.subscribe();
    loop {
        match live.timeout_s.get() {
            // The server has stopped if the setting can change no more.
            0 if changed.changed().await.is_err() => return,
            0 => {}
            seconds => {
                let since_us = host.now_us().saturating_sub(seconds.saturating_mul(1_000_000));
                let closed = engine.borrow_mut().close_idle(since_us);
                if closed > 0 {
                    tracing::debug!(clients = closed, "closed: idle for longer than `timeout`");
                }
                // Its outcome does not matter: the setting is looked at again either way.
                let _ = tokio::time::timeout(IDLE_LOOK, changed.changed()).await;
            }
        }
    }
}

/// How often it is looked for clients that are idle: as exact as whole seconds are.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// Tasks polled between two polls of the root future and of the sockets; tokio's own figure is 61. So many, that all who have
/// asked in the same moment are met in one round, as with one look at the sockets in Redis. The mesh does not wait for that:
/// connections' tasks let the engine have its turn when one is due (`decoding.rs`).
const EVENT_INTERVAL: u32 = 128;
