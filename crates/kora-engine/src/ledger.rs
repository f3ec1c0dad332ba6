//! What clients hold of a worker's memory: their input, what they asked that is under way, and replies they have not
//! taken. It is counted in bytes, and there is one budget for all of them.

use std::cell::Cell;
use std::rc::Rc;

/// The sum over all connections of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    held: Rc<Cell<usize>>,
    /// Replies that are on their way, by estimate.
    expected: Rc<Cell<usize>>,
    budget: usize,
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
}

impl Ledger {
    pub(crate) fn new(budget: usize) -> Ledger {
        Ledger {
            held: Rc::new(Cell::new(0)),
            expected: Rc::new(Cell::new(0)),
            budget,
        }
    }

    pub(crate) fn open(&self) -> Account {
        Account {
            ledger: self.clone(),
            buffers: 0,
            line: 0,
            expected: 0,
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// More is held than there is memory for: somebody must go.
    pub(crate) fn is_over(&self) -> bool {
        self.held.get() > self.budget
    }
}

impl Account {
    pub(crate) fn bytes(&self) -> usize {
        self.buffers + self.line
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
        self.expected += bytes;
        self.ledger.expected.set(self.ledger.expected.get() + bytes);
    }

    pub(crate) fn no_longer_expect(&mut self, bytes: usize) {
        self.expected -= bytes;
        self.ledger.expected.set(self.ledger.expected.get() - bytes);
    }

    /// False if the client must not be given more memory for now: the budget is three quarters used, and this client
    /// is one of those who use it. Small ones are always read, so that a few large ones cannot shut everybody out.
    pub(crate) fn may_grow(&self, connections: usize) -> bool {
        let (held, budget) = (self.ledger.held.get() + self.ledger.expected.get(), self.ledger.budget);
        let share = budget / 2 / connections.max(1);
        held < budget / 4 * 3 || self.bytes() + self.expected < share.min(SMALL_BYTES)
    }

    /// Takes the share out of the sum for good: it counts for itself from now on.
    pub(crate) fn leave(&mut self) {
        let alone = Ledger::new(usize::MAX);
        alone.held.set(self.bytes());
        alone.expected.set(self.expected);
        self.ledger.held.set(self.ledger.held.get() - self.bytes());
        self.ledger.expected.set(self.ledger.expected.get() - self.expected);
        self.ledger = alone;
    }

    fn change(&mut self, change: impl FnOnce(&mut Account)) {
        let before = self.bytes();
        change(self);
        let held = self.ledger.held.get() + self.bytes() - before;
        self.ledger.held.set(held);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.ledger.held.set(self.ledger.held.get() - self.bytes());
        self.ledger.expected.set(self.ledger.expected.get() - self.expected);
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
        one.no_longer_expect(50);
        one.set_buffers(50);
        drop(one);
        assert_eq!((two.bytes(), ledger.held()), (0, 0));
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
