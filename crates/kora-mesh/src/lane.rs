//! A lane: the two rings between one worker that asks and one that answers.
//!
//! ```text
//!   worker a                                                     worker b
//!   Asker ── staged ──►  requests: a → b, CREDIT slots  ──────►  Answerer
//!     ▲                                                              │
//!     └────────────────  replies:  b → a, CREDIT slots  ◄────────────┘
//! ```
//!
//! # Why an answer always finds room
//!
//! Staging a request takes one credit, taking its reply gives it back, and there are CREDIT of them. So of all requests
//! a request is in exactly one of these places, and together they hold at most CREDIT:
//!
//! > staged + in the request ring + taken and not answered + in the reply ring = `unanswered` ≤ CREDIT
//!
//! Each ring holds at most what the sum allows, and has CREDIT slots. So when *b* answers, the request it answers was
//! one of the sum and not in the reply ring: at most CREDIT − 1 replies are there, and one slot is free. In the same
//! way a staged request always finds a slot in the request ring. Neither push can fail, so neither is ever waited for.
//!
//! # Why the writer *sees* that there is room
//!
//! The sum counts what is; a writer knows only what has become visible to it. Take the reply ring and its writer *b*
//! pushing reply number i + CREDIT. Its slot was freed when *a* took reply i, and that write precedes, in *a*, the push
//! of the request which the credit of reply i paid for, or of a later one. *b* has taken that request, or it could not
//! have answered as many: pushing is a release, taking an acquire, so the freed slot is visible to *b*. The request
//! ring is the same argument with the two workers' parts exchanged. It holds because [`Consumer::pop`] frees the slot
//! before it returns: reading in batches that free their slots at the end would break it.
//!
//! # Why full rings cannot deadlock
//!
//! A cycle of waits needs someone who waits for room. The answerer never does (above). The asker without credit does
//! not wait either: it is told so, goes on with its turn, and takes requests of others. Taking requests never depends
//! on sending them.

use crate::limits::STAGED_MAX;
use crate::ring::{Consumer, Producer, ring};

/// Makes a lane by its two ends.
pub(crate) fn lane<Q, R>(credit: usize) -> (Asker<Q, R>, Answerer<Q, R>) {
    let (request_producer, request_consumer) = ring(credit);
    let (reply_producer, reply_consumer) = ring(credit);
    // The proof above in one line: if a reply ring were shorter, an answer could find no room.
    assert!(reply_producer.capacity() >= credit && request_producer.capacity() >= credit);
    let asker = Asker {
        credit,
        unanswered: 0,
        staged: Vec::with_capacity(credit.min(STAGED_MAX)),
        requests: request_producer,
        replies: reply_consumer,
    };
    let answerer = Answerer {
        owed: 0,
        requests: request_consumer,
        replies: reply_producer,
    };
    (asker, answerer)
}

/// The end that asks.
#[derive(Debug)]
pub(crate) struct Asker<Q, R> {
    /// How many requests may be unanswered. Never changes.
    credit: usize,

    /// Requests staged or sent whose reply was not taken.
    ///
    /// Invariant: `unanswered <= credit`.
    unanswered: usize,

    /// Requests not yet in the ring, oldest first.
    ///
    /// Invariant: `staged.len() < STAGED_MAX` between calls, so it never grows beyond its first allocation.
    staged: Vec<Q>,

    requests: Producer<Q>,
    replies: Consumer<R>,
}

impl<Q, R> Asker<Q, R> {
    pub(crate) fn credit(&self) -> usize {
        self.credit - self.unanswered
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Takes one credit. A full batch goes into the ring at once; returns how many requests did.
    pub(crate) fn stage(&mut self, request: Q) -> usize {
        assert!(self.unanswered < self.credit, "a request was staged without credit");
        self.unanswered += 1;
        self.staged.push(request);
        if self.staged.len() == STAGED_MAX {
            self.push_staged()
        } else {
            0
        }
    }

    /// The youngest request that is staged and not in the ring yet: more may be added to it.
    pub(crate) fn staged_last_mut(&mut self) -> Option<&mut Q> {
        self.staged.last_mut()
    }

    /// Moves what is staged into the ring; returns how many requests that were.
    pub(crate) fn push_staged(&mut self) -> usize {
        let count = self.staged.len();
        if count > 0 {
            self.requests
                .push_all(&mut self.staged)
                .expect("credit bounds unanswered requests");
        }
        count
    }

    /// Gives one credit back with every reply.
    pub(crate) fn take_reply(&mut self) -> Option<R> {
        let reply = self.replies.pop()?;
        assert!(self.unanswered > 0, "a reply came without a request");
        self.unanswered -= 1;
        Some(reply)
    }

    pub(crate) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }
}

/// The end that answers.
#[derive(Debug)]
pub(crate) struct Answerer<Q, R> {
    /// Requests taken and not answered.
    owed: usize,
    requests: Consumer<Q>,
    replies: Producer<R>,
}

impl<Q, R> Answerer<Q, R> {
    pub(crate) fn take_request(&mut self) -> Option<Q> {
        let request = self.requests.pop()?;
        self.owed += 1;
        Some(request)
    }

    /// Answers one of the requests that were taken; which one, the reply itself says.
    pub(crate) fn answer(&mut self, reply: R) {
        assert!(self.owed > 0, "an answer was given to nobody's request");
        self.owed -= 1;
        // A reply always finds room: the ring has CREDIT slots and we hold at most CREDIT unanswered requests of this
        // peer. If this fails, credits are being minted somewhere, and waiting here would only turn that bug into a
        // deadlock.
        self.replies.push(reply).expect("credit bounds unanswered requests");
    }

    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    pub(crate) fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn credit_comes_back_with_the_reply_and_not_before() {
        let (mut asker, mut answerer) = lane::<u32, u32>(1);
        asker.stage(7);
        assert_eq!(asker.credit(), 0);
        assert_eq!(asker.push_staged(), 1);
        assert_eq!(answerer.take_request(), Some(7));
        assert_eq!((asker.credit(), answerer.owed()), (0, 1));
        answerer.answer(70);
        assert_eq!((asker.credit(), answerer.owed()), (0, 0));
        assert_eq!(asker.take_reply(), Some(70));
        assert_eq!((asker.credit(), asker.unanswered()), (1, 0));
    }

    #[test]
    fn a_full_batch_is_pushed_without_a_flush() {
        let (mut asker, mut answerer) = lane::<usize, ()>(STAGED_MAX + 1);
        for request in 0..STAGED_MAX - 1 {
            assert_eq!(asker.stage(request), 0);
        }
        assert!(!answerer.has_request());
        assert_eq!(asker.stage(STAGED_MAX - 1), STAGED_MAX);
        assert_eq!(asker.stage(STAGED_MAX), 0);
        let taken: Vec<usize> = std::iter::from_fn(|| answerer.take_request()).collect();
        assert_eq!(taken, (0..STAGED_MAX).collect::<Vec<usize>>());
    }

    #[test]
    #[should_panic(expected = "without credit")]
    fn staging_without_credit_is_a_bug_of_the_caller() {
        let (mut asker, _answerer) = lane::<u32, u32>(1);
        asker.stage(1);
        asker.stage(2);
    }

    #[test]
    #[should_panic(expected = "nobody's request")]
    fn answering_twice_is_a_bug_of_the_caller() {
        let (mut asker, mut answerer) = lane::<u32, u32>(2);
        asker.stage(1);
        asker.push_staged();
        answerer.take_request();
        answerer.answer(1);
        answerer.answer(1);
    }
}
