//! A mesh against a naive twin.
//!
//! 1. A case is a number of workers, a credit, and a list of steps, each some worker's.
//! 2. All ports are driven on one thread, so the twin can say exactly what every call must return: what is in which
//!    ring and in which order, who has credit, who has mail, who sleeps and who is rung.
//! 3. At the end the mesh is drained: every request was answered once and every reply was taken once.
//!
//! A step that makes no sense in its state (staging without credit, answering nobody) is left out, after checking that
//! the port agrees that it makes none.

#![cfg(not(loom))]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use kora_mesh::limits::STAGED_MAX;
use kora_mesh::{Armed, Port, WorkerId, build};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mesh_does_what_its_naive_twin_does(
        workers in 1_usize..=5,
        credit in prop_oneof![Just(1_usize), 2..=4_usize, 5..=40_usize],
        steps in prop::collection::vec((0..Step::ALL.len(), 0_usize..5, 0_usize..4, 0_usize..24), 0..600),
    ) {
        let mut case = Case::new(workers, credit);
        for (step, worker, peer, times) in steps {
            case.step(Step::ALL[step], worker % workers, peer, times);
            case.check();
        }
        case.drain();
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Stage,
    Flush,
    TakeRequests,
    AnswerOldest,
    AnswerNewest,
    TakeReplies,
    Arm,
    ArmWithOtherWork,
    Disarm,
    RingFromOutside,
}

impl Step {
    const ALL: [Step; 10] = [
        Step::Stage,
        Step::Flush,
        Step::TakeRequests,
        Step::AnswerOldest,
        Step::AnswerNewest,
        Step::TakeReplies,
        Step::Arm,
        Step::ArmWithOtherWork,
        Step::Disarm,
        Step::RingFromOutside,
    ];
}

/// The requests and replies between one worker that asks and one that answers, as plain queues.
#[derive(Clone, Default)]
struct Pair {
    staged: VecDeque<u64>,
    requests: VecDeque<u64>,
    taken: VecDeque<u64>,
    replies: VecDeque<u64>,
}

impl Pair {
    fn unanswered(&self) -> usize {
        self.staged.len() + self.requests.len() + self.taken.len() + self.replies.len()
    }

    fn deliver(&mut self) {
        self.requests.append(&mut self.staged);
    }
}

struct Case {
    credit: usize,
    ports: Vec<Port<u64, u64>>,
    /// `pairs[a][b]`: what a asked of b.
    pairs: Vec<Vec<Pair>>,
    /// `touched[a][b]`: a has something for b that b was not rung for.
    touched: Vec<Vec<bool>>,
    asleep: Vec<bool>,
    alarms: Vec<Arc<Alarm>>,
    wakes: Vec<usize>,
    asked: u64,
    closed: u64,
}

#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Case {
    fn new(workers: usize, credit: usize) -> Case {
        Case {
            credit,
            ports: build(workers, credit),
            pairs: vec![vec![Pair::default(); workers]; workers],
            touched: vec![vec![false; workers]; workers],
            asleep: vec![false; workers],
            alarms: (0..workers).map(|_| Arc::default()).collect(),
            wakes: vec![0; workers],
            asked: 0,
            closed: 0,
        }
    }

    fn step(&mut self, step: Step, worker: usize, peer: usize, times: usize) {
        let others = self.ports.len() - 1;
        // The peer-th of the others; a worker alone can still flush and sleep.
        let peer = (others > 0).then(|| (worker + 1 + peer % others) % (others + 1));
        match (step, peer) {
            (Step::Flush, _) => self.flush(worker),
            (Step::Arm, _) => self.arm(worker, false),
            (Step::ArmWithOtherWork, _) => self.arm(worker, true),
            (Step::Disarm, _) => {
                self.ports[worker].disarm();
                self.asleep[worker] = false;
            }
            (Step::RingFromOutside, _) => {
                let rung = self.ports[worker].doorbell().ring();
                assert_eq!(rung, self.rung(worker));
            }
            (_, None) => {}
            (Step::Stage, Some(peer)) => (0..times).for_each(|_| self.stage(worker, peer)),
            (Step::TakeRequests, Some(peer)) => (0..times).for_each(|_| self.take_request(worker, peer)),
            (Step::AnswerOldest, Some(peer)) => (0..times).for_each(|_| self.answer(worker, peer, VecDeque::pop_front)),
            (Step::AnswerNewest, Some(peer)) => (0..times).for_each(|_| self.answer(worker, peer, VecDeque::pop_back)),
            (Step::TakeReplies, Some(peer)) => (0..times).for_each(|_| self.take_reply(worker, peer)),
        }
    }

    fn stage(&mut self, worker: usize, peer: usize) {
        let pair = &mut self.pairs[worker][peer];
        if pair.unanswered() == self.credit {
            return;
        }
        self.asked += 1;
        pair.staged.push_back(self.asked);
        if pair.staged.len() == STAGED_MAX {
            pair.deliver();
        }
        self.touched[worker][peer] = true;
        self.ports[worker].stage(id(peer), self.asked);
    }

    fn flush(&mut self, worker: usize) {
        let mut expected = 0;
        for peer in 0..self.ports.len() {
            self.pairs[worker][peer].deliver();
            let touched = std::mem::take(&mut self.touched[worker][peer]);
            expected += usize::from(touched && self.rung(peer));
        }
        assert_eq!(self.ports[worker].flush(), expected);
    }

    fn take_request(&mut self, worker: usize, peer: usize) {
        let pair = &mut self.pairs[peer][worker];
        let expected = pair.requests.pop_front();
        pair.taken.extend(expected);
        assert_eq!(self.ports[worker].take_request(id(peer)), expected);
    }

    fn answer(&mut self, worker: usize, peer: usize, which: fn(&mut VecDeque<u64>) -> Option<u64>) {
        let pair = &mut self.pairs[peer][worker];
        let Some(request) = which(&mut pair.taken) else {
            return;
        };
        pair.replies.push_back(request);
        self.touched[worker][peer] = true;
        self.ports[worker].answer(id(peer), request);
    }

    fn take_reply(&mut self, worker: usize, peer: usize) {
        let expected = self.pairs[worker][peer].replies.pop_front();
        self.closed += u64::from(expected.is_some());
        assert_eq!(self.ports[worker].take_reply(id(peer)), expected);
    }

    fn arm(&mut self, worker: usize, other_work: bool) {
        if self.touched[worker].contains(&true) {
            return;
        }
        let expected = if self.has_mail(worker) || other_work {
            Armed::Stay
        } else {
            Armed::Park
        };
        self.asleep[worker] = expected == Armed::Park;
        let waker = Waker::from(Arc::clone(&self.alarms[worker]));
        assert_eq!(self.ports[worker].arm(&waker, || other_work), expected);
    }

    /// Somebody rings this worker: whether it slept, and if so it sleeps no more.
    fn rung(&mut self, worker: usize) -> bool {
        let slept = std::mem::take(&mut self.asleep[worker]);
        self.wakes[worker] += usize::from(slept);
        slept
    }

    fn has_mail(&self, worker: usize) -> bool {
        let mut peers = 0..self.ports.len();
        peers.any(|peer| !self.pairs[peer][worker].requests.is_empty() || !self.pairs[worker][peer].replies.is_empty())
    }

    fn check(&self) {
        for (worker, port) in self.ports.iter().enumerate() {
            assert_eq!(port.has_mail(), self.has_mail(worker));
            assert_eq!(port.has_staged(), self.touched[worker].contains(&true));
            assert_eq!(self.alarms[worker].0.load(Ordering::Relaxed), self.wakes[worker]);
            for peer in port.peers() {
                let unanswered = self.pairs[worker][peer.index()].unanswered();
                assert!(unanswered <= self.credit);
                assert_eq!(port.unanswered(peer), unanswered);
                assert_eq!(port.credit(peer), self.credit - unanswered);
                assert_eq!(port.owed(peer), self.pairs[peer.index()][worker].taken.len());
            }
        }
    }

    /// Lets every worker do all it can until nothing is under way. Each round moves every message at least one place,
    /// and a message has four places to pass.
    fn drain(&mut self) {
        for _ in 0..4 {
            for worker in 0..self.ports.len() {
                for peer in (0..self.ports.len()).filter(|&peer| peer != worker) {
                    for _ in 0..self.credit {
                        self.take_request(worker, peer);
                        self.answer(worker, peer, VecDeque::pop_front);
                        self.take_reply(worker, peer);
                    }
                    // What was taken before the drain began.
                    while !self.pairs[peer][worker].taken.is_empty() {
                        self.answer(worker, peer, VecDeque::pop_front);
                    }
                }
                self.flush(worker);
            }
        }
        self.check();
        assert_eq!(self.closed, self.asked, "requests lost or doubled");
        let sent = |count: fn(&Port<u64, u64>) -> u64| self.ports.iter().map(count).sum::<u64>();
        assert_eq!(sent(|port| port.stats().requests_sent), self.asked);
        assert_eq!(sent(|port| port.stats().requests_taken), self.asked);
        assert_eq!(sent(|port| port.stats().replies_sent), self.asked);
        assert_eq!(sent(|port| port.stats().replies_taken), self.asked);
    }
}

fn id(index: usize) -> WorkerId {
    WorkerId::from_index(index)
}
