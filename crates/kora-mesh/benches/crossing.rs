//! What it costs to have a command done by another worker.
//!
//! ```sh
//! cargo bench -p kora-mesh --bench crossing
//! ```
//!
//! Two threads, each with tokio's current-thread runtime, each on its own core. Client loops run as tasks on the first;
//! each sends a batch of trivial commands to the second and waits for all replies. Three ways to cross:
//!
//! - **mpsc + oneshot**: tokio's channel there, a oneshot per command back;
//! - **mpsc of Vec**: one message per batch, and an mpsc per client back;
//! - **mesh**: this crate, the port polled by the runtime's root future, with 0, 5 or 20 idle laps before it sleeps.
//!
//! Rounds of all ways are interleaved, and the median is printed, since the machine may be noisy.

#[cfg(loom)]
fn main() {}

#[cfg(not(loom))]
fn main() {
    crossing::run();
}

#[cfg(not(loom))]
mod crossing {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::thread;
    use std::time::{Duration, Instant};

    use core_affinity::CoreId;
    use kora_mesh::{Armed, Flag, Port, WorkerId, build};
    use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
    use tokio::sync::{mpsc, oneshot};
    use tokio::task::JoinHandle;

    pub(super) fn run() {
        // Once, before anything is pinned: a pinned thread sees only its own core.
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        assert!(cores.len() >= 2, "this measures two workers on two cores");
        println!("median of {ROUNDS} rounds; µs a round trip of one batch, and million commands a second");
        let names = WAYS.map(|way| format!("{:>21}", way.name()));
        println!("{:>14} {}", "tasks x batch", names.join(""));
        for (tasks, batch) in [(1, 1), (1, 16), (16, 1), (64, 1), (64, 16)] {
            let load = Load {
                tasks,
                batch,
                trips: (TRIPS / tasks).max(TRIPS / 16),
            };
            let mut times = WAYS.map(|_| Vec::new());
            for _ in 0..ROUNDS {
                for (way, times) in WAYS.iter().zip(&mut times) {
                    times.push(way.time(load, cores[0], cores[1]));
                }
            }
            let cells = times.map(|mut times| {
                times.sort_unstable();
                let seconds = times[ROUNDS / 2].as_secs_f64();
                let commands = (load.tasks * load.batch * load.trips) as f64;
                format!(
                    "{:>11.2} µs {:>5.2} M",
                    seconds * 1e6 / load.trips as f64,
                    commands / seconds / 1e6
                )
            });
            println!("{:>14} {}", format!("{tasks} x {batch}"), cells.join(""));
        }
    }

    #[derive(Clone, Copy)]
    struct Load {
        tasks: usize,
        batch: usize,
        /// How often each task sends a batch and waits for it.
        trips: usize,
    }

    #[derive(Clone, Copy)]
    enum Way {
        Oneshot,
        Vector,
        Mesh { idle_laps: u32 },
    }

    impl Way {
        fn name(self) -> String {
            match self {
                Way::Oneshot => "mpsc + oneshot".into(),
                Way::Vector => "mpsc of Vec".into(),
                Way::Mesh { idle_laps } => format!("mesh, {idle_laps} laps"),
            }
        }

        fn time(self, load: Load, near: CoreId, far: CoreId) -> Duration {
            match self {
                Way::Oneshot => by_oneshot(load, near, far),
                Way::Vector => by_vector(load, near, far),
                Way::Mesh { idle_laps } => by_mesh(load, idle_laps, near, far),
            }
        }
    }

    fn by_oneshot(load: Load, near: CoreId, far: CoreId) -> Duration {
        let (send, mut receive) = mpsc::unbounded_channel::<(u64, oneshot::Sender<u64>)>();
        let server = on_core(far, move |runtime| {
            runtime.block_on(async move {
                while let Some((command, reply)) = receive.recv().await {
                    reply.send(command).expect("the client waits");
                }
            });
        });
        let client = on_core(near, move |runtime| {
            timed(&runtime, load, move |task| {
                let send = send.clone();
                async move {
                    let mut waiting = Vec::with_capacity(load.batch);
                    for _ in 0..load.trips {
                        for _ in 0..load.batch {
                            let (reply, replied) = oneshot::channel();
                            send.send((task as u64, reply)).expect("the server listens");
                            waiting.push(replied);
                        }
                        for replied in waiting.drain(..) {
                            replied.await.expect("the server answers");
                        }
                    }
                }
            })
        });
        let elapsed = client.join().expect("the client ended well");
        server.join().expect("the server ended well");
        elapsed
    }

    fn by_vector(load: Load, near: CoreId, far: CoreId) -> Duration {
        let (send, mut receive) = mpsc::unbounded_channel::<(Vec<u64>, mpsc::UnboundedSender<Vec<u64>>)>();
        let server = on_core(far, move |runtime| {
            runtime.block_on(async move {
                while let Some((commands, reply)) = receive.recv().await {
                    reply.send(commands).expect("the client waits");
                }
            });
        });
        let client = on_core(near, move |runtime| {
            timed(&runtime, load, move |task| {
                let send = send.clone();
                async move {
                    let (reply, mut replied) = mpsc::unbounded_channel();
                    for _ in 0..load.trips {
                        let commands = vec![task as u64; load.batch];
                        send.send((commands, reply.clone())).expect("the server listens");
                        replied.recv().await.expect("the server answers");
                    }
                }
            })
        });
        let elapsed = client.join().expect("the client ended well");
        server.join().expect("the server ended well");
        elapsed
    }

    fn by_mesh(load: Load, idle_laps: u32, near: CoreId, far: CoreId) -> Duration {
        let mut ports = build::<u64, u64>(2, CREDIT);
        let (far_port, near_port) = (ports.pop().expect("two workers"), ports.pop().expect("two workers"));
        let stop = Arc::new(Flag::new());
        let far_bell = Arc::clone(far_port.doorbell());
        let server_stop = Arc::clone(&stop);
        let server = on_core(far, move |runtime| {
            let mut turns = Turns::new(far_port, idle_laps);
            runtime.block_on(poll_fn(|context| {
                turns.poll(context, || server_stop.is_raised(), answer)
            }));
        });
        let client = on_core(near, move |runtime| {
            let shared = Rc::new(RefCell::new(Clients::new(load.tasks)));
            let mut turns = Turns::new(near_port, idle_laps);
            let tasks: Vec<JoinHandle<()>> = (0..load.tasks)
                .map(|task| runtime.spawn_local(ask(Rc::clone(&shared), task, load)))
                .collect();
            let start = Instant::now();
            runtime.block_on(poll_fn(|context| {
                shared.borrow_mut().root = Some(context.waker().clone());
                let done = || shared.borrow().done == load.tasks;
                let step = |port: &mut Port<u64, u64>| shared.borrow_mut().turn(port);
                turns.poll(context, done, step)
            }));
            assert!(tasks.iter().all(JoinHandle::is_finished));
            start.elapsed()
        });
        let elapsed = client.join().expect("the client ended well");
        stop.raise();
        far_bell.ring();
        server.join().expect("the server ended well");
        elapsed
    }

    /// The root future of a worker: turns, idle laps, sleep.
    struct Turns {
        port: Port<u64, u64>,
        idle_laps: u32,
        idle: u32,
    }

    impl Turns {
        fn new(port: Port<u64, u64>, idle_laps: u32) -> Turns {
            Turns {
                port,
                idle_laps,
                idle: 0,
            }
        }

        fn poll(
            &mut self,
            context: &mut Context<'_>,
            done: impl Fn() -> bool,
            mut turn: impl FnMut(&mut Port<u64, u64>) -> bool,
        ) -> Poll<()> {
            self.port.disarm();
            let worked = turn(&mut self.port);
            self.port.flush();
            if done() {
                return Poll::Ready(());
            }
            self.idle = if worked { 0 } else { self.idle + 1 };
            // A lap: the runtime serves its tasks and sockets, and polls this again.
            if self.idle < self.idle_laps || self.port.arm(context.waker(), &done) == Armed::Stay {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        }
    }

    fn answer(port: &mut Port<u64, u64>) -> bool {
        let peer = WorkerId::from_index(0);
        let mut worked = false;
        while let Some(command) = port.take_request(peer) {
            port.answer(peer, command);
            worked = true;
        }
        worked
    }

    /// What the client tasks share with the root future of their worker.
    struct Clients {
        root: Option<Waker>,
        unstaged: Vec<(usize, usize)>,
        waiting: Vec<usize>,
        wakers: Vec<Option<Waker>>,
        done: usize,
    }

    impl Clients {
        fn new(tasks: usize) -> Clients {
            let wakers = (0..tasks).map(|_| None).collect();
            Clients {
                root: None,
                unstaged: Vec::new(),
                waiting: vec![0; tasks],
                wakers,
                done: 0,
            }
        }

        fn turn(&mut self, port: &mut Port<u64, u64>) -> bool {
            let peer = WorkerId::from_index(1);
            let mut worked = false;
            while let Some(task) = port.take_reply(peer) {
                let task = task as usize;
                self.waiting[task] -= 1;
                if self.waiting[task] == 0
                    && let Some(waker) = self.wakers[task].take()
                {
                    waker.wake();
                }
                worked = true;
            }
            for (task, batch) in self.unstaged.drain(..) {
                (0..batch).for_each(|_| port.stage(peer, task as u64));
                worked = true;
            }
            worked
        }

        fn wake_root(&mut self) {
            if let Some(root) = self.root.take() {
                root.wake();
            }
        }
    }

    async fn ask(shared: Rc<RefCell<Clients>>, task: usize, load: Load) {
        for _ in 0..load.trips {
            {
                let mut clients = shared.borrow_mut();
                clients.waiting[task] = load.batch;
                clients.unstaged.push((task, load.batch));
                clients.wake_root();
            }
            poll_fn(|context| {
                let mut clients = shared.borrow_mut();
                if clients.waiting[task] == 0 {
                    return Poll::Ready(());
                }
                clients.wakers[task] = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
        }
        let mut clients = shared.borrow_mut();
        clients.done += 1;
        clients.wake_root();
    }

    /// Runs all client tasks to their end and tells how long that took.
    fn timed<F: Future<Output = ()> + 'static>(
        runtime: &LocalRuntime,
        load: Load,
        client: impl Fn(usize) -> F,
    ) -> Duration {
        let start = Instant::now();
        let tasks: Vec<JoinHandle<()>> = (0..load.tasks).map(|task| runtime.spawn_local(client(task))).collect();
        // The channel closes, and so the server ends, when the last client has.
        drop(client);
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("the client ended well");
            }
        });
        start.elapsed()
    }

    fn on_core<T: Send + 'static>(
        core: CoreId,
        work: impl FnOnce(LocalRuntime) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        thread::spawn(move || {
            core_affinity::set_for_current(core);
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .build_local(LocalOptions::default())
                .expect("the runtime starts");
            work(runtime)
        })
    }

    const WAYS: [Way; 5] = [
        Way::Oneshot,
        Way::Vector,
        Way::Mesh { idle_laps: 0 },
        Way::Mesh { idle_laps: 5 },
        Way::Mesh { idle_laps: 20 },
    ];

    /// At least as many as the largest load has on the way.
    const CREDIT: usize = 1024;

    /// As the server's runtime.
    const EVENT_INTERVAL: u32 = 128;

    const TRIPS: usize = 8_000;
    const ROUNDS: usize = 5;
}
