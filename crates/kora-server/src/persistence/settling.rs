//! How the clients of a worker wait until the log is safe: the log's thread moves a gauge and rings the worker's bell, and the
//! worker wakes all of them in its turn. Waking each from the log's thread would take a system call for each.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::timeout;

use super::WorkerPersistence;

/// A worker's end of what is kept on disk, on the thread of the worker, with the clients that wait for it.
#[derive(Clone)]
pub(crate) struct LocalPersistence {
    end: WorkerPersistence,
    waiting: Rc<Waiting>,
}

/// The clients that wait.
#[derive(Default)]
struct Waiting {
    wakers: RefCell<Vec<Waker>>,
    /// How often they were woken.
    wakes: Cell<u64>,
    /// Up to which stamp all was safe when they were woken last.
    durable: Cell<u64>,
}

impl Deref for LocalPersistence {
    type Target = WorkerPersistence;

    fn deref(&self) -> &WorkerPersistence {
        &self.end
    }
}

impl LocalPersistence {
    pub(crate) fn new(end: WorkerPersistence) -> LocalPersistence {
        LocalPersistence {
            end,
            waiting: Rc::default(),
        }
    }

    /// Waits until what replies may tell of by now is safe, if it has to be or is wanted. False if it could not be made safe:
    /// then the replies must not be sent, unless they are to commands that only read.
    pub(crate) async fn settle(&self, is_wanted: bool) -> bool {
        if !self.end.policy.is_log_on || (self.end.policy.live.is_fsync_always.get() == 0 && !is_wanted) {
            return true;
        }
        let durability = &self.end.durability;
        let until = durability.stamps.last();
        let is_safe = || durability.durable.get() >= until;
        // A client that asks again and again has one waker in the list.
        let mut listed_at = None;
        let mut poll_settled = |context: &mut Context<'_>| {
            if is_safe() || durability.is_log_failing() {
                return Poll::Ready(());
            }
            let wakes = self.waiting.wakes.get();
            if !is_wanted || listed_at.replace(wakes) != Some(wakes) {
                self.waiting.wakers.borrow_mut().push(context.waker().clone());
            }
            Poll::Pending
        };
        if !is_wanted {
            poll_fn(poll_settled).await;
            return is_safe();
        }
        loop {
            durability.sync_wanted.set(until);
            if timeout(WISH_AGAIN, poll_fn(&mut poll_settled)).await.is_ok() {
                return is_safe();
            }
        }
    }

    /// Whether clients wait for what has happened since they were woken last.
    pub(crate) fn has_settled(&self) -> bool {
        let durability = &self.end.durability;
        let has_news = durability.durable.get() != self.waiting.durable.get() || durability.is_log_failing();
        has_news && !self.waiting.wakers.borrow().is_empty()
    }

    /// Wakes the clients that wait, if something has happened.
    pub(crate) fn wake_settled(&self) {
        if self.has_settled() {
            self.waiting.durable.set(self.end.durability.durable.get());
            self.waiting.wakes.update(|wakes| wakes.wrapping_add(1));
            let wakers = std::mem::take(&mut *self.waiting.wakers.borrow_mut());
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

/// After so long a client that waits for the disk asks for a sync again.
const WISH_AGAIN: Duration = Duration::from_millis(100);
