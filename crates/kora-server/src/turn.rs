//! The root future of a worker: it lets the engine have its turns, and sleeps when there is nothing to do.
//!
//! It is polled by the runtime itself and not spawned: waking a spawned task from another thread takes a mutex and a
//! system call each time, waking the root future one system call for each sleep.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kora_engine::{Engine, Host as _, Progress};
use kora_mesh::{Armed, Flag};
use tokio::time::{Instant, Sleep};

use crate::host::Process;
use crate::persistence::{LoadProgress, LocalPersistence, WorkerLoading};
use crate::returning::Returning;

/// Ends when the stop flag is up.
pub(crate) struct Turn {
    pub(crate) engine: Rc<RefCell<Engine>>,
    pub(crate) host: Process,
    pub(crate) budget_us: u64,
    /// Looks around before sleeping. A sleep and a wake-up cost 12 µs, a look under 1 µs.
    pub(crate) idle_laps: u32,
    /// Laps made since there was something to do.
    pub(crate) laps: u32,
    /// Ends a sleep when a key expires, a collection's recall may be sampled, or a snapshot is gone on with.
    pub(crate) alarm: Pin<Box<Sleep>>,
    /// Where the data comes from until all of it is here.
    pub(crate) loading: Option<WorkerLoading>,
    /// Where changes are handed over, if they are kept on disk.
    pub(crate) persistence: Option<LocalPersistence>,
    /// How freed memory goes back to the system.
    pub(crate) returning: Returning,
    pub(crate) stop: Arc<Flag>,
}

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let turn = self.get_mut();
        if turn.stop.is_raised() {
            return Poll::Ready(());
        }
        let mut engine = turn.engine.borrow_mut();
        let loaded = turn
            .loading
            .as_mut()
            .map(|loading| loading.go_on(&mut engine, &turn.host, LOAD_BUDGET_US));
        if loaded == Some(LoadProgress::Ended) {
            turn.loading = None;
        }
        turn.laps = match engine.turn(&turn.host, turn.budget_us) {
            Progress::Worked => 0,
            Progress::Idle => turn.laps + 1,
        };
        if let Some(persistence) = &turn.persistence {
            persistence.hand_over(&mut engine);
            persistence.wake_settled();
        }
        if loaded == Some(LoadProgress::Worked) {
            turn.laps = 0;
        }
        // A lap: the runtime serves its tasks and its sockets without waiting, then polls us again.
        if turn.laps < turn.idle_laps.max(1) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        turn.laps = 0;
        let now_us = turn.host.now_us();
        turn.returning.look(&engine, now_us);
        turn.returning.collect_if_due();
        if turn.loading.is_some() {
            // What comes from the disk rings no bell that this sleep could miss.
            turn.alarm.as_mut().reset(Instant::now() + LOAD_LOOK);
            if turn.alarm.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let (stop, returning) = (&turn.stop, &turn.returning);
        let has_settled = || turn.persistence.as_ref().is_some_and(LocalPersistence::has_settled);
        let next_us = returning.next_us(&engine, now_us);
        if engine.park(context.waker(), || {
            stop.is_raised() || returning.is_due() || has_settled()
        }) == Armed::Stay
        {
            context.waker().wake_by_ref();
        } else if let Some(us) = next_look_us(&engine, turn.host.now_us(), next_us) {
            let delay = Duration::from_micros(us).min(ALARM_MAX);
            turn.alarm.as_mut().reset(Instant::now() + delay);
            if turn.alarm.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

/// In how many microseconds a worker that sleeps looks again at its engine, or at the memory that goes back to the system.
fn next_look_us(engine: &Engine, now_us: u64, returning_us: Option<u64>) -> Option<u64> {
    let alarm_us = engine.next_alarm_us(now_us).into_iter().chain(returning_us).min();
    let rest_us = engine.capture_rest_us(now_us);
    alarm_us.map(|us| us.max(ALARM_US_MIN)).into_iter().chain(rest_us).min()
}

/// How long records are made true before sockets are looked at again, in microseconds.
const LOAD_BUDGET_US: u64 = 5_000;

/// How often a worker that loads looks for more.
const LOAD_LOOK: Duration = Duration::from_millis(1);

/// Keys that expire one soon after the other are reclaimed together: no command finds an expired key, so there is time.
const ALARM_US_MIN: u64 = 10_000;

/// The time of day may be set meanwhile, and then keys expire sooner.
const ALARM_MAX: Duration = Duration::from_secs(60);
