//! One worker's end of the mesh: ask, answer, flush, sleep.
//!
//! A turn takes what has come, works, and flushes once: one write per ring and one bell per peer, however many messages
//! went. Between turns the worker may sleep; [`Port::arm`] says whether it may.

use std::sync::Arc;
use std::task::Waker;

use crate::doorbell::{Armed, Doorbell, fence_before_ringing};
use crate::lane::{Answerer, Asker};
use crate::mesh::WorkerId;

/// One worker's end of the mesh: a lane to every other worker, a lane from every other worker, and its own doorbell.
///
/// A port moves to its worker's thread and stays there:
///
/// ```compile_fail
/// fn shared_between_threads<T: Sync>() {}
/// shared_between_threads::<kora_mesh::Port<u8, u8>>();
/// ```
#[derive(Debug)]
pub struct Port<Q, R> {
    worker: WorkerId,
    bell: Arc<Doorbell>,

    /// Whether we armed our bell and were not told since that we are up.
    slept: bool,

    /// The lanes, by peer, without ourselves: peer p is at p, or at p − 1 if it is above us.
    links: Box<[Link<Q, R>]>,

    /// The links with something staged, or with mail their peer was not rung for.
    ///
    /// Invariant: holds the index of each link that is `touched`, once.
    touched: Vec<usize>,

    stats: PortStats,
}

/// What a port has done since it was made, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Requests that went into a ring.
    pub requests_sent: u64,
    /// Requests taken from peers.
    pub requests_taken: u64,
    /// Replies that went into a ring.
    pub replies_sent: u64,
    /// Replies taken from peers.
    pub replies_taken: u64,
    /// Flushes that had something to deliver.
    pub flushes: u64,
    /// Sleeping peers woken, each at the price of a system call.
    pub bells_rung: u64,
    /// Times this worker was allowed to sleep.
    pub sleeps: u64,
    /// Times work came between deciding to sleep and sleeping.
    pub sleeps_refused: u64,
}

impl<Q, R> Port<Q, R> {
    pub(crate) fn new(worker: WorkerId, bell: Arc<Doorbell>, links: Box<[Link<Q, R>]>) -> Port<Q, R> {
        let touched = Vec::with_capacity(links.len());
        Port {
            worker,
            bell,
            slept: false,
            links,
            touched,
            stats: PortStats::default(),
        }
    }

    /// Whose port this is.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// How many workers the mesh has, this one counted.
    pub fn workers(&self) -> usize {
        self.links.len() + 1
    }

    /// All workers but this one, in rising order. The iterator does not borrow the port.
    pub fn peers(&self) -> impl Iterator<Item = WorkerId> + use<Q, R> {
        let own = self.worker.index();
        (0..self.workers())
            .filter(move |&index| index != own)
            .map(WorkerId::from_index)
    }

    /// How many requests may still be staged for `peer`.
    pub fn credit(&self, peer: WorkerId) -> usize {
        self.link(peer).asker.credit()
    }

    /// How many requests to `peer`, staged or sent, still wait for their reply to be taken.
    pub fn unanswered(&self, peer: WorkerId) -> usize {
        self.link(peer).asker.unanswered()
    }

    /// How many requests of `peer` were taken here and not answered yet.
    pub fn owed(&self, peer: WorkerId) -> usize {
        self.link(peer).answerer.owed()
    }

    /// Puts a request on the way to `peer`, against one credit. It travels with the next [`flush`](Port::flush) at the
    /// latest.
    ///
    /// Panics if there is no credit: the caller asks [`credit`](Port::credit) first and does without, it never waits.
    pub fn stage(&mut self, peer: WorkerId, request: Q) {
        let index = self.index_of(peer);
        let link = &mut self.links[index];
        self.stats.requests_sent += link.asker.stage(request) as u64;
        link.touch(index, &mut self.touched);
    }

    /// The youngest request that was staged for `peer` and is still here. What is added to it takes no credit of its own.
    pub fn staged_last_mut(&mut self, peer: WorkerId) -> Option<&mut Q> {
        let index = self.index_of(peer);
        self.links[index].asker.staged_last_mut()
    }

    /// Takes the oldest reply of `peer`, and with it one credit back.
    pub fn take_reply(&mut self, peer: WorkerId) -> Option<R> {
        let index = self.index_of(peer);
        let reply = self.links[index].asker.take_reply()?;
        self.stats.replies_taken += 1;
        Some(reply)
    }

    /// Takes the oldest request of `peer`. It must be answered, once, now or in a later turn.
    pub fn take_request(&mut self, peer: WorkerId) -> Option<Q> {
        let index = self.index_of(peer);
        let request = self.links[index].answerer.take_request()?;
        self.stats.requests_taken += 1;
        Some(request)
    }

    /// Answers one request that was taken from `peer`. There is always room.
    ///
    /// The reply goes into its ring at once, where a peer that is awake finds it; a sleeping one is rung by the next
    /// [`flush`](Port::flush). Panics if no request of `peer` is unanswered.
    pub fn answer(&mut self, peer: WorkerId, reply: R) {
        let index = self.index_of(peer);
        let link = &mut self.links[index];
        link.answerer.answer(reply);
        self.stats.replies_sent += 1;
        link.touch(index, &mut self.touched);
    }

    /// Delivers all that was staged, and wakes each peer that sleeps and has something new; returns how many were.
    pub fn flush(&mut self) -> usize {
        if self.touched.is_empty() {
            return 0;
        }
        for &index in &self.touched {
            self.stats.requests_sent += self.links[index].asker.push_staged() as u64;
        }
        // One fence for all bells: it stands between the last push and the first look at a bell.
        fence_before_ringing();
        let mut rung = 0;
        for index in self.touched.drain(..) {
            let link = &mut self.links[index];
            link.touched = false;
            rung += usize::from(link.bell.ring_after_fence());
        }
        self.stats.flushes += 1;
        self.stats.bells_rung += rung as u64;
        rung
    }

    /// Whether something waits for a flush: a request not yet in its ring, or a peer not yet rung.
    pub fn has_staged(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Whether any peer's request or reply waits to be taken.
    pub fn has_mail(&self) -> bool {
        self.links.iter().any(Link::has_mail)
    }

    /// Whether any peer's reply waits to be taken.
    pub fn has_replies(&self) -> bool {
        self.links.iter().any(|link| link.asker.has_reply())
    }

    /// This worker's own bell, for threads that bring it work outside the mesh: the acceptor, signals.
    pub fn doorbell(&self) -> &Arc<Doorbell> {
        &self.bell
    }

    /// Asks to sleep. `Armed::Park` means nothing waits and `waker` will be woken by new work.
    ///
    /// `work_waits` is the caller's part of the second look, and must look at *everything* beside the mesh that may end
    /// the sleep: its own queues, the intake, the stop flag. Panics if something is staged, since its receiver might
    /// then sleep for ever too.
    pub fn arm(&mut self, waker: &Waker, work_waits: impl FnOnce() -> bool) -> Armed {
        assert!(!self.has_staged(), "a worker wants to sleep on mail it has not flushed");
        let armed = self.bell.arm(waker, || self.has_mail() || work_waits());
        match armed {
            Armed::Park => self.stats.sleeps += 1,
            Armed::Stay => self.stats.sleeps_refused += 1,
        }
        self.slept = armed == Armed::Park;
        armed
    }

    /// Says that the worker is awake, so that no thread rings in vain. Call it at the start of each turn.
    pub fn disarm(&mut self) {
        if self.slept {
            self.slept = false;
            self.bell.disarm();
        }
    }

    /// What this port has done so far.
    pub fn stats(&self) -> PortStats {
        self.stats
    }

    fn link(&self, peer: WorkerId) -> &Link<Q, R> {
        &self.links[self.index_of(peer)]
    }

    fn index_of(&self, peer: WorkerId) -> usize {
        let (own, peer) = (self.worker.index(), peer.index());
        assert!(peer != own, "a worker has no lane to itself");
        if peer < own { peer } else { peer - 1 }
    }
}

/// What a worker has of one peer: the lane it asks on, the lane it answers on, the peer's bell.
///
/// Aligned to 128 bytes so that no two ports share a cache line at the edges of their tables: the counters in here are
/// written at every message.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Link<Q, R> {
    asker: Asker<Q, R>,
    answerer: Answerer<Q, R>,
    bell: Arc<Doorbell>,
    /// Whether the link stands in the port's `touched`.
    touched: bool,
}

impl<Q, R> Link<Q, R> {
    pub(crate) fn new(asker: Asker<Q, R>, answerer: Answerer<Q, R>, bell: Arc<Doorbell>) -> Link<Q, R> {
        Link {
            asker,
            answerer,
            bell,
            touched: false,
        }
    }

    fn touch(&mut self, index: usize, touched: &mut Vec<usize>) {
        if !self.touched {
            self.touched = true;
            touched.push(index);
        }
    }

    fn has_mail(&self) -> bool {
        self.asker.has_reply() || self.answerer.has_request()
    }
}

#[cfg(not(loom))]
const _: () = {
    const fn moves_to_its_thread<T: Send>() {}
    moves_to_its_thread::<Port<u8, u8>>();
};

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::mesh::build;

    fn pair(credit: usize) -> (Port<u32, u32>, Port<u32, u32>) {
        let mut ports = build(2, credit);
        let second = ports.pop().expect("two workers");
        (ports.pop().expect("two workers"), second)
    }

    #[test]
    fn a_request_is_seen_after_the_flush_and_not_before() {
        let (mut first, mut second) = pair(4);
        first.stage(second.worker(), 5);
        assert!(first.has_staged() && !second.has_mail());
        first.flush();
        assert!(!first.has_staged() && second.has_mail());
        assert_eq!(second.take_request(first.worker()), Some(5));
        assert!(!second.has_mail());
        assert_eq!(second.owed(first.worker()), 1);
    }

    #[test]
    fn a_flush_rings_each_sleeping_peer_once_and_nobody_else() {
        let mut ports = build::<u32, u32>(4, 4);
        let [zero, one, two, three] = ports.get_disjoint_mut([0, 1, 2, 3]).unwrap();
        assert_eq!(one.arm(Waker::noop(), || false), Armed::Park);
        assert_eq!(three.arm(Waker::noop(), || false), Armed::Park);
        for request in 0..3 {
            zero.stage(one.worker(), request);
            zero.stage(two.worker(), request);
        }
        assert_eq!(zero.flush(), 1);
        assert_eq!(zero.flush(), 0);
        zero.stage(one.worker(), 3);
        assert_eq!(zero.flush(), 0, "one was woken before and has not slept since");
        let stats = zero.stats();
        assert_eq!((stats.requests_sent, stats.flushes, stats.bells_rung), (7, 2, 1));
    }

    #[test]
    fn mail_or_the_callers_own_work_refuses_a_sleep() {
        let (mut first, mut second) = pair(4);
        assert_eq!(second.arm(Waker::noop(), || true), Armed::Stay);
        first.stage(second.worker(), 1);
        first.flush();
        assert_eq!(second.arm(Waker::noop(), || false), Armed::Stay);
        second.take_request(first.worker());
        assert_eq!(second.arm(Waker::noop(), || false), Armed::Park);
        assert_eq!((second.stats().sleeps, second.stats().sleeps_refused), (1, 2));
    }

    #[test]
    fn a_worker_that_is_up_again_is_not_rung() {
        let (mut first, mut second) = pair(4);
        assert_eq!(second.arm(Waker::noop(), || false), Armed::Park);
        second.disarm();
        first.stage(second.worker(), 1);
        assert_eq!(first.flush(), 0);
    }

    #[test]
    #[should_panic(expected = "has not flushed")]
    fn sleeping_on_unflushed_mail_is_a_bug_of_the_caller() {
        let (mut first, second) = pair(4);
        first.stage(second.worker(), 1);
        let _ = first.arm(Waker::noop(), || false);
    }

    #[test]
    fn a_worker_alone_has_no_peers_and_may_always_sleep() {
        let mut alone = build::<u32, u32>(1, 4).pop().unwrap();
        assert_eq!((alone.workers(), alone.peers().count()), (1, 0));
        assert!(!alone.has_mail() && !alone.has_staged());
        assert_eq!(alone.flush(), 0);
        assert_eq!(alone.arm(Waker::noop(), || false), Armed::Park);
        assert!(alone.doorbell().ring());
    }

    #[test]
    #[should_panic(expected = "no lane to itself")]
    fn a_worker_does_not_write_to_itself() {
        let (mut first, _second) = pair(4);
        first.stage(first.worker(), 1);
    }

    #[test]
    fn messages_nobody_took_are_freed_with_the_mesh() {
        let message = Arc::new(());
        let mut ports = build::<Arc<()>, Arc<()>>(2, 4);
        let (first, second) = (WorkerId::from_index(0), WorkerId::from_index(1));
        ports[0].stage(second, Arc::clone(&message));
        ports[0].flush();
        ports[0].stage(second, Arc::clone(&message));
        let taken = ports[1].take_request(first).unwrap();
        ports[1].answer(first, taken);
        drop(ports);
        assert_eq!(Arc::strong_count(&message), 1);
    }
}
