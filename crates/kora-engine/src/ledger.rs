//! What clients hold of a worker's memory: their input, what they asked that is under way, and replies they have not
//! taken. It is counted in bytes, and there is one budget for all of them.

use std::cell::Cell;
use std::rc::Rc;

/// The sum over all connections of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    sums: Rc<Sums>,
    budget: usize,
}

#[derive(Default, Debug)]
struct Sums {
    held: Cell<usize>,
    /// Replies that are on their way, by estimate.
    expected: Cell<usize>,
    /// How many of those are large.
    large: Cell<usize>,
}

/// One connection's share. It leaves the sum when it is dropped.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: Ledger,
    /// Buffers of the connection, as it last said.
    buffers: usize,
    /// Requests under way and replies that wait in its line.
    line: usize,
    /// Replies that this connection waits for, by estimate. It may not grow because of them, but is not dropped for
    /// them: they may turn out small.
    expected: usize,
    /// How many of those are large.
    large: usize,
    /// Part of `expected`: for a command that is about to be tried again.
    reserved: Option<usize>,
    /// What it holds is no longer in the sum.
    has_left: bool,
}

impl Ledger {
    pub(crate) fn new(budget: usize) -> Ledger {
        Ledger {
            sums: Rc::default(),
            budget,
        }
    }

    pub(crate) fn open(&self) -> Account {
        Account {
            ledger: self.clone(),
            buffers: 0,
            line: 0,
            expected: 0,
            large: 0,
            reserved: None,
            has_left: false,
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.sums.held.get()
    }

    /// A reply of so many bytes, and a dozen like it, are not to be let in without counting.
    fn is_large(&self, bytes: usize) -> bool {
        bytes > SMALL_BYTES.min(self.budget / 64)
    }

    /// More is held than there is memory for: somebody must go.
    pub(crate) fn is_over(&self) -> bool {
        self.held() > self.budget
    }
}

impl Account {
    pub(crate) fn bytes(&self) -> usize {
        self.buffers + self.line
    }

    /// What requests under way and replies in the line hold.
    pub(crate) fn line_bytes(&self) -> usize {
        self.line
    }

    pub(crate) fn set_buffers(&mut self, bytes: usize) {
        self.change(|account| account.buffers = bytes);
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.change(|account| account.line += bytes);
    }

    pub(crate) fn remove(&mut self, bytes: usize) {
        self.change(|account| account.line -= bytes);
    }

    pub(crate) fn expect(&mut self, bytes: usize) {
        let sums = &self.ledger.sums;
        self.expected += bytes;
        sums.expected.set(sums.expected.get() + bytes);
        if self.ledger.is_large(bytes) {
            self.large += 1;
            sums.large.set(sums.large.get() + 1);
        }
    }

    pub(crate) fn no_longer_expect(&mut self, bytes: usize) {
        let sums = &self.ledger.sums;
        self.expected -= bytes;
        sums.expected.set(sums.expected.get() - bytes);
        if self.ledger.is_large(bytes) {
            self.large -= 1;
            sums.large.set(sums.large.get() - 1);
        }
    }

    /// False if the client must not be given more memory for now: the budget is three quarters used, and this client
    /// is one of those who use it. Small ones are always read, so that a few large ones cannot shut everybody out.
    pub(crate) fn may_grow(&self, connections: usize) -> bool {
        let (Ledger { sums, budget }, own) = (&self.ledger, self.bytes() + self.expected);
        sums.held.get() + sums.expected.get() < budget / 4 * 3 || own < self.small_share(connections)
    }

    /// True if a command may start whose reply will be of so many bytes. A small one always may; others if nobody waits
    /// for longer (`is_first`) and there is room beside all that is held and expected.
    ///
    /// One that would never find any is let in when no other large one is under way and clients hold no more than half: so
    /// of those that are too large for the budget there is one at a time.
    pub(crate) fn has_room_for(&self, bytes: usize, is_first: bool, connections: usize) -> bool {
        let (Ledger { sums, budget }, own) = (&self.ledger, self.bytes() + self.expected);
        let fits = || sums.held.get() + sums.expected.get() + bytes < budget / 4 * 3;
        let is_alone = || self.ledger.is_large(bytes) && sums.large.get() == 0 && sums.held.get() <= budget / 2;
        bytes == 0 || own + bytes < self.small_share(connections) || (is_first && (fits() || is_alone()))
    }

    /// Expects a reply that will be asked for in a moment.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        assert!(self.reserved.is_none(), "a connection has one command that waits");
        self.expect(bytes);
        self.reserved = Some(bytes);
    }

    /// Gives a reservation up, for the command it was made for; true if there was one.
    pub(crate) fn take_reserved(&mut self) -> bool {
        let reserved = self.reserved.take();
        if let Some(bytes) = reserved {
            self.no_longer_expect(bytes);
        }
        reserved.is_some()
    }

    /// Takes what is held out of the sum for good: it counts for itself from now on. What is expected stays: the shards
    /// go on gathering it.
    pub(crate) fn leave(&mut self) {
        if !self.has_left {
            let held = &self.ledger.sums.held;
            held.set(held.get() - self.bytes());
            self.has_left = true;
        }
    }

    fn small_share(&self, connections: usize) -> usize {
        SMALL_BYTES.min(self.ledger.budget / 2 / connections.max(1))
    }

    fn change(&mut self, change: impl FnOnce(&mut Account)) {
        let before = self.bytes();
        change(self);
        if !self.has_left {
            let held = &self.ledger.sums.held;
            held.set(held.get() + self.bytes() - before);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.leave();
        let sums = &self.ledger.sums;
        sums.expected.set(sums.expected.get() - self.expected);
        sums.large.set(sums.large.get() - self.large);
    }
}

/// What an ordinary connection holds at most: a read buffer, a pipeline of small commands and their replies.
const SMALL_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_all_accounts_and_forgets_those_that_have_gone() {
        let ledger = Ledger::new(1000);
        let (mut one, mut two) = (ledger.open(), ledger.open());
        one.set_buffers(300);
        one.add(200);
        two.set_buffers(100);
        one.set_buffers(50);
        one.remove(150);
        assert_eq!((one.bytes(), two.bytes(), ledger.held()), (100, 100, 200));
        drop(one);
        assert_eq!(ledger.held(), 100);
    }

    #[test]
    fn whoever_leaves_is_out_of_the_sum_and_goes_on_counting_for_itself() {
        let ledger = Ledger::new(1000);
        let (mut one, two) = (ledger.open(), ledger.open());
        one.add(1200);
        one.expect(100);
        assert!(ledger.is_over());
        one.leave();
        assert_eq!((one.bytes(), ledger.held()), (1200, 0));
        one.remove(200);
        assert_eq!(ledger.sums.expected.get(), 100, "the shards go on gathering it");
        one.no_longer_expect(50);
        one.set_buffers(50);
        drop(one);
        assert_eq!((two.bytes(), ledger.held(), ledger.sums.expected.get()), (0, 0, 0));
    }

    #[test]
    fn large_replies_find_room_or_come_one_at_a_time_and_small_ones_always_come() {
        let ledger = Ledger::new(1 << 20);
        let (mut one, mut two, mut three) = (ledger.open(), ledger.open(), ledger.open());
        let too_large = 10 << 20;
        assert!(one.has_room_for(too_large, true, 3), "nobody else is in the way");
        one.expect(too_large);
        assert!(!two.has_room_for(too_large, true, 3) && !two.has_room_for(100 << 10, true, 3));
        assert!(two.has_room_for(1 << 10, false, 3));
        one.no_longer_expect(too_large);
        one.add(600 << 10);
        assert!(!two.has_room_for(too_large, true, 3), "what was replied is still held");
        one.remove(600 << 10);
        assert!(two.has_room_for(too_large, true, 3));
        two.reserve(300 << 10);
        assert!(three.has_room_for(400 << 10, true, 3) && !three.has_room_for(500 << 10, true, 3));
        assert!(two.take_reserved() && !two.take_reserved() && three.has_room_for(500 << 10, true, 3));
        three.expect(too_large);
        drop(three);
        assert!(two.has_room_for(too_large, true, 3));
    }

    #[test]
    fn whoever_holds_much_stops_first() {
        let ledger = Ledger::new(1 << 20);
        let (mut large, mut small) = (ledger.open(), ledger.open());
        large.set_buffers(800 << 10);
        small.set_buffers(1 << 10);
        assert!(!large.may_grow(2) && small.may_grow(2) && !ledger.is_over());
        large.set_buffers(1 << 20);
        assert!(ledger.is_over());
    }
}
