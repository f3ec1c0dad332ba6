//! Real threads that really sleep, on the shortest rings there are.
//!
//! 1. Every worker has requests for every other and answers theirs. With one slot and one credit per lane, hardly
//!    anything can be done without the other side, so the workers fall asleep all the time.
//! 2. They sleep by `thread::park`, woken only through the `Waker` they armed with: a lost wake-up stops a worker for
//!    ever, and soon all of them.
//! 3. How often a worker looks again before it sleeps is drawn from a seeded generator, so that arming meets ringing at
//!    every distance.
//! 4. When all requests are answered the workers sleep until a stop flag is raised: the case in which the second look
//!    must see more than the mesh.
//!
//! A watchdog on the main thread ends a hanging run with a failure. Its limit is far beyond any slow machine; it does
//! not measure.

#![cfg(not(loom))]

use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use kora_mesh::{Armed, Doorbell, Flag, Port, PortStats, WorkerId, build};

#[test]
fn two_workers_on_one_slot_lose_no_wake_up() {
    soak(Soak {
        workers: 2,
        credit: 1,
        requests_per_peer: 40_000,
        seed: 1,
    });
}

#[test]
fn four_workers_on_two_slots_lose_no_wake_up() {
    soak(Soak {
        workers: 4,
        credit: 2,
        requests_per_peer: 5_000,
        seed: 2,
    });
}

#[test]
fn work_brought_from_outside_the_mesh_wakes_a_worker_alone() {
    const ITEMS: usize = 40_000;
    let mut port = build::<u64, u64>(1, 1).pop().unwrap();
    let bell = Arc::clone(port.doorbell());
    // One place, so that whoever brings items cannot run far ahead and the worker sleeps often.
    let (bring, intake) = sync_channel(1);
    let (report, reported) = channel();
    let worker = thread::spawn(move || {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let intake = Mutex::new(std::iter::from_fn(move || intake.try_recv().ok()).peekable());
        let mut next = 0;
        while next < ITEMS {
            port.disarm();
            for item in intake.lock().unwrap().by_ref() {
                assert_eq!(item, next);
                next += 1;
            }
            let work_waits = || intake.lock().unwrap().peek().is_some();
            if next < ITEMS && port.arm(&waker, work_waits) == Armed::Park {
                thread::park();
            }
        }
        report.send(port.stats()).unwrap();
    });
    let bringer = thread::spawn(move || {
        for item in 0..ITEMS {
            bring.send(item).unwrap();
            bell.ring();
        }
    });
    let stats = reported
        .recv_timeout(WATCHDOG)
        .expect("the worker sleeps on work that waits");
    worker.join().unwrap();
    bringer.join().unwrap();
    println!("alone: {stats:?}");
}

struct Soak {
    workers: usize,
    credit: usize,
    requests_per_peer: u64,
    seed: u64,
}

fn soak(soak: Soak) {
    let Soak {
        workers,
        credit,
        requests_per_peer,
        seed,
    } = soak;
    let ports = build::<u64, u64>(workers, credit);
    let bells: Vec<Arc<Doorbell>> = ports.iter().map(|port| Arc::clone(port.doorbell())).collect();
    let stop = Arc::new(Flag::new());
    let (report, reported) = channel();
    let threads: Vec<_> = ports
        .into_iter()
        .map(|port| {
            let (stop, report) = (Arc::clone(&stop), report.clone());
            let worker = Worker::new(port, requests_per_peer, seed);
            thread::spawn(move || worker.run(&stop, &report))
        })
        .collect();
    for done in 0..workers {
        let waited = reported.recv_timeout(WATCHDOG);
        waited.unwrap_or_else(|_| panic!("{done} of {workers} workers are done, the others hang (SEED={seed})"));
    }
    stop.raise();
    for bell in &bells {
        bell.ring();
    }
    for _ in 0..workers {
        let stats: PortStats = reported
            .recv_timeout(WATCHDOG)
            .unwrap_or_else(|_| panic!("a worker sleeps through the stop flag (SEED={seed})"))
            .expect("the second report has the counters");
        println!("{workers} workers, credit {credit}: {stats:?}");
        assert_eq!(stats.replies_taken, requests_per_peer * (workers as u64 - 1));
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("the worker found all its replies in order"));
}

struct Worker {
    port: Port<u64, u64>,
    /// By peer: the next number to ask with, the next reply expected, the next request expected.
    asked: Vec<u64>,
    answered: Vec<u64>,
    served: Vec<u64>,
    requests_per_peer: u64,
    random: u64,
}

impl Worker {
    fn new(port: Port<u64, u64>, requests_per_peer: u64, seed: u64) -> Worker {
        let zeros = vec![0; port.workers()];
        let random = (seed << 16) + port.worker().index() as u64 + 1;
        Worker {
            port,
            asked: zeros.clone(),
            answered: zeros.clone(),
            served: zeros,
            requests_per_peer,
            random,
        }
    }

    /// Reports once when all its requests are answered, and once more, with the counters, when it has seen the flag.
    fn run(mut self, stop: &Flag, report: &Sender<Option<PortStats>>) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut reported = false;
        let mut laps_left = 0;
        loop {
            self.port.disarm();
            if self.turn() {
                laps_left = self.draw_laps();
            }
            if !reported && self.is_done() {
                reported = true;
                report.send(None).expect("the main thread listens");
            }
            if stop.is_raised() {
                report.send(Some(self.port.stats())).expect("the main thread listens");
                return;
            }
            if laps_left > 0 {
                laps_left -= 1;
                std::hint::spin_loop();
            } else if self.port.arm(&waker, || stop.is_raised()) == Armed::Park {
                thread::park();
            }
        }
    }

    /// Everything that can be done now; whether that was anything.
    fn turn(&mut self) -> bool {
        let mut worked = false;
        for peer in self.port.peers() {
            let place = peer.index();
            while let Some(reply) = self.port.take_reply(peer) {
                assert_eq!(reply, tagged(self.port.worker(), self.answered[place]));
                self.answered[place] += 1;
                worked = true;
            }
            while let Some(request) = self.port.take_request(peer) {
                assert_eq!(request, tagged(peer, self.served[place]));
                self.served[place] += 1;
                self.port.answer(peer, request);
                worked = true;
            }
            while self.asked[place] < self.requests_per_peer && self.port.credit(peer) > 0 {
                self.port.stage(peer, tagged(self.port.worker(), self.asked[place]));
                self.asked[place] += 1;
                worked = true;
            }
        }
        self.port.flush();
        worked
    }

    fn is_done(&self) -> bool {
        self.port
            .peers()
            .all(|peer| self.answered[peer.index()] == self.requests_per_peer)
    }

    /// Mostly none, so that most turns end in sleep; sometimes up to 63.
    fn draw_laps(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if self.random.is_multiple_of(4) {
            (self.random >> 32) % 64
        } else {
            0
        }
    }
}

/// A message that says whose it is, so that a reply to the wrong worker is noticed.
fn tagged(asker: WorkerId, number: u64) -> u64 {
    ((asker.index() as u64) << 48) | number
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Far beyond the second or two that a soak takes on a loaded machine.
const WATCHDOG: Duration = Duration::from_secs(120);
