//! What clients hold of the server's memory: their input, what they asked that is under way, replies that they have not
//! taken, and keys that they watch. It is counted in bytes, and all workers draw on one budget.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use kora_mesh::Budget;
use kora_resp::Reply;

/// The sum over a worker's connections, and its part of the budget. Clients that have not authenticated have another one.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    sums: Rc<Sums>,
    budget: Arc<Budget>,
    workers: usize,
}

#[derive(Default, Debug)]
struct Sums {
    held: Cell<usize>,
    /// Replies that are on their way, by estimate, and the rest of requests that have begun to arrive.
    expected: Cell<usize>,
    /// What the budget knows of `held + expected`. Invariant: between that and two pieces more.
    taken: Cell<usize>,
    /// Values that replies share, by the place of their bytes: how many replies, and how many bytes. Each counts once in
    /// `held`.
    shared: RefCell<HashMap<usize, (u32, usize)>>,
}

/// What a reply holds.
#[derive(Default, Debug)]
pub(crate) struct ReplyMemory {
    /// Bytes of its own.
    pub(crate) own: usize,
    /// Large values that it shares with the key and with other replies: where they lie, and their bytes.
    pub(crate) shared: Vec<(usize, usize)>,
}

/// One connection's share. It leaves the sum when it is dropped.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: Ledger,
    /// Buffers of the connection, as it last said.
    buffers: usize,
    /// Part of `buffers`: requests that have arrived, and room for more.
    input: usize,
    /// Requests under way and replies that wait in its reply queue.
    reply_queue: usize,
    /// Values that its replies share, each as often as a reply has it.
    shared: usize,
    /// Replies that this connection waits for, by estimate. It may not grow because of them, but is not dropped for
    /// them: they may turn out small.
    expected: usize,
    /// How many of those are large.
    large: usize,
    /// Part of `expected`: for a command that is about to be tried again.
    reserved: Option<usize>,
    /// Part of `expected`: the rest of a request that arrives.
    arriving: usize,
    /// Since when the client takes nothing of what is written to it, in microseconds of the host's clock.
    pub(crate) stalled_since_us: Option<u64>,
    /// Its client has shown that it reads.
    pub(crate) is_read: bool,
    /// What it holds is no longer in the sum.
    has_left: bool,
}

impl ReplyMemory {
    pub(crate) fn of(reply: &Reply) -> ReplyMemory {
        let mut shared = Vec::new();
        reply.for_each_shared(&mut |bytes| shared.push((bytes.as_ptr().addr(), bytes.len())));
        let elsewhere: usize = shared.iter().map(|(_, bytes)| bytes).sum();
        ReplyMemory {
            own: reply.bytes_hint().saturating_sub(elsewhere),
            shared,
        }
    }
}

impl Ledger {
    /// The ledger of one of so many workers.
    pub(crate) fn new(budget: &Arc<Budget>, workers: usize) -> Ledger {
        Ledger {
            sums: Rc::default(),
            budget: Arc::clone(budget),
            workers,
        }
    }

    pub(crate) fn open(&self) -> Account {
        Account {
            ledger: self.clone(),
            buffers: 0,
            input: 0,
            reply_queue: 0,
            shared: 0,
            expected: 0,
            large: 0,
            reserved: None,
            arriving: 0,
            stalled_since_us: None,
            is_read: false,
            has_left: false,
        }
    }

    /// What the connections of this worker hold.
    pub(crate) fn held(&self) -> usize {
        self.sums.held.get()
    }

    /// What the clients of all workers hold and expect.
    fn total(&self) -> usize {
        let Sums {
            held, expected, taken, ..
        } = &*self.sums;
        let all = usize::try_from(self.budget.taken()).unwrap_or(usize::MAX);
        all.saturating_sub(taken.get()) + held.get() + expected.get()
    }

    fn limit(&self) -> usize {
        usize::try_from(self.budget.limit()).unwrap_or(usize::MAX)
    }

    /// A reply of so many bytes, and a dozen like it, are not to be let in without counting.
    fn is_large(&self, bytes: usize) -> bool {
        bytes > SMALL_BYTES.min(self.limit() / 64)
    }

    /// More is held than there is memory for.
    pub(crate) fn is_over(&self) -> bool {
        self.total() > self.limit()
    }

    /// So much is held that clients have to wait for memory.
    pub(crate) fn is_short(&self) -> bool {
        self.total() >= self.limit() / 4 * 3
    }

    fn change(&self, held: impl FnOnce(usize) -> usize) {
        self.sums.held.set(held(self.sums.held.get()));
        self.draw();
    }

    fn change_expected(&self, expected: impl FnOnce(usize) -> usize) {
        self.sums.expected.set(expected(self.sums.expected.get()));
        self.draw();
    }

    /// Takes as many pieces of the budget as are needed, and gives back what is more than a piece too much.
    fn draw(&self) {
        let Sums {
            held, expected, taken, ..
        } = &*self.sums;
        let piece = (self.limit() / self.workers / PIECES).clamp(1, PIECE_BYTES);
        let needed = (held.get() + expected.get()).next_multiple_of(piece);
        if taken.get() < needed {
            self.budget.take((needed - taken.get()) as u64);
            taken.set(needed);
        } else if taken.get() > needed + piece || needed == 0 {
            self.budget.give_back((taken.get() - needed) as u64);
            taken.set(needed);
        }
    }
}

impl Account {
    pub(crate) fn bytes(&self) -> usize {
        self.buffers + self.reply_queue
    }

    /// What it holds, and what it holds with others.
    pub(crate) fn bytes_with_shared(&self) -> usize {
        self.bytes() + self.shared
    }

    /// What requests under way and replies in the reply queue hold, shared values included.
    pub(crate) fn reply_queue_bytes(&self) -> usize {
        self.reply_queue + self.shared
    }

    pub(crate) fn set_buffers(&mut self, input: usize, output: usize) {
        self.input = input;
        let bytes = input + output;
        if bytes != self.buffers {
            self.change(|account| account.buffers = bytes);
        }
    }

    pub(crate) fn set_input(&mut self, bytes: usize) {
        self.set_buffers(bytes, self.buffers - self.input);
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.change(|account| account.reply_queue += bytes);
    }

    pub(crate) fn remove(&mut self, bytes: usize) {
        self.change(|account| account.reply_queue -= bytes);
    }

    /// A reply that waits, with so many bytes that it takes beside its own.
    pub(crate) fn add_reply(&mut self, memory: &ReplyMemory, beside: usize) {
        self.add(memory.own + beside);
        for (place, bytes) in &memory.shared {
            self.shared += bytes;
            let mut shared = self.ledger.sums.shared.borrow_mut();
            let (replies, _) = shared.entry(*place).or_insert((0, *bytes));
            *replies += 1;
            if *replies == 1 {
                drop(shared);
                self.ledger.change(|held| held + bytes);
            }
        }
    }

    /// Forgets values that a reply shared. They are in the sum also when the account has left it.
    pub(crate) fn remove_shared(&mut self, values: &[(usize, usize)]) {
        for (place, bytes) in values {
            self.shared -= bytes;
            let mut shared = self.ledger.sums.shared.borrow_mut();
            let Some((replies, counted)) = shared.get_mut(place) else {
                debug_assert!(false, "what is removed was added");
                continue;
            };
            *replies -= 1;
            if *replies == 0 {
                let counted = *counted;
                shared.remove(place);
                drop(shared);
                self.ledger.change(|held| held - counted);
            }
        }
    }

    pub(crate) fn expect(&mut self, bytes: usize) {
        self.expected += bytes;
        self.ledger.change_expected(|expected| expected + bytes);
        if self.ledger.is_large(bytes) {
            self.large += 1;
            self.ledger.budget.begin_large();
        }
    }

    pub(crate) fn no_longer_expect(&mut self, bytes: usize) {
        self.expected -= bytes;
        self.ledger.change_expected(|expected| expected - bytes);
        // The limit may have changed meanwhile, and with it what is large.
        if self.large > 0 && (self.expected == 0 || self.ledger.is_large(bytes)) {
            let ended = if self.expected == 0 { self.large } else { 1 };
            self.large -= ended;
            (0..ended).for_each(|_| self.ledger.budget.end_large());
        }
    }

    /// False if the client must not be given more memory for now: the budget is three quarters used, and this client
    /// is one of those who use it. Small ones are always read, so that a few large ones cannot starve all others.
    pub(crate) fn may_grow(&self, connections: usize) -> bool {
        let own = self.bytes() + self.expected;
        !self.ledger.is_short() || own < self.small_share(connections)
    }

    /// The same for a request that has arrived: the memory that it lies in becomes less, so only what the client is owed counts.
    pub(crate) fn may_begin(&self, connections: usize) -> bool {
        !self.ledger.is_short() || self.owed() < self.small_share(connections)
    }

    /// Requests under way and replies that its client has not taken, and those to come.
    fn owed(&self) -> usize {
        self.bytes() - self.input + self.expected
    }

    /// True if a command may start whose reply will be of so many bytes. A small one always may; others if no client waits
    /// for longer (`is_first`) and there is room beside all that is held and expected.
    ///
    /// One that would never find any is let in when no other large one is under way and clients hold no more than half: so
    /// of those that are too large for the budget there is one at a time.
    pub(crate) fn has_room_for(&self, bytes: usize, is_first: bool, connections: usize) -> bool {
        let (ledger, own) = (&self.ledger, self.owed());
        let fits = || ledger.total().saturating_add(bytes) < ledger.limit() / 4 * 3;
        let is_alone = || ledger.is_large(bytes) && ledger.budget.large() == 0 && ledger.total() <= ledger.limit() / 2;
        bytes == 0 || own + bytes < self.small_share(connections) || (is_first && (fits() || is_alone()))
    }

    /// True if the rest of a request that arrives, so many bytes, may be read: a small one always may; a large one when
    /// there is room for all of it. So two of them never wait for each other's memory, each half read.
    pub(crate) fn may_arrive(&mut self, bytes: usize, connections: usize) -> bool {
        if bytes <= self.arriving {
            // What has arrived counts as a buffer.
            let arrived = self.arriving - bytes;
            self.arriving = bytes;
            self.no_longer_expect_part(arrived);
            return bytes > 0 || self.may_grow(connections);
        }
        if bytes <= SMALL_BYTES {
            return self.may_grow(connections);
        }
        let more = bytes - self.arriving;
        let fits = self.has_room_for(more, true, connections);
        if fits {
            self.arriving = bytes;
            self.expected += more;
            self.ledger.change_expected(|expected| expected + more);
        }
        fits
    }

    /// True if the rest of a request of so many bytes can never be read, for clients may not hold as much.
    pub(crate) fn can_never_hold(&self, bytes: usize) -> bool {
        self.buffers + bytes > self.ledger.limit()
    }

    fn no_longer_expect_part(&mut self, bytes: usize) {
        self.expected -= bytes;
        self.ledger.change_expected(|expected| expected - bytes);
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

    /// From now on it is in this ledger: its client has authenticated.
    pub(crate) fn join(&mut self, ledger: &Ledger) {
        debug_assert!(self.shared == 0, "who is not authenticated reads no values");
        let (held, expected) = (self.bytes(), self.expected);
        if !self.has_left {
            self.ledger.change(|sum| sum - held);
            ledger.change(|sum| sum + held);
        }
        self.ledger.change_expected(|sum| sum - expected);
        ledger.change_expected(|sum| sum + expected);
        (0..self.large).for_each(|_| {
            self.ledger.budget.end_large();
            ledger.budget.begin_large();
        });
        self.ledger = ledger.clone();
    }

    /// True if it is in this ledger.
    pub(crate) fn is_in(&self, ledger: &Ledger) -> bool {
        Rc::ptr_eq(&self.ledger.sums, &ledger.sums)
    }

    /// Takes what is held out of the sum for good: it counts for itself from now on. What is expected stays: the shards
    /// go on gathering it.
    pub(crate) fn leave(&mut self) {
        if !self.has_left {
            let bytes = self.bytes();
            self.ledger.change(|held| held - bytes);
            self.has_left = true;
        }
    }

    fn small_share(&self, connections: usize) -> usize {
        SMALL_BYTES.min(self.ledger.limit() / 2 / self.ledger.workers / connections.max(1))
    }

    fn change(&mut self, change: impl FnOnce(&mut Account)) {
        let before = self.bytes();
        change(self);
        if !self.has_left {
            let after = self.bytes();
            self.ledger.change(|held| held + after - before);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.leave();
        let expected = self.expected;
        self.ledger.change_expected(|sum| sum - expected);
        (0..self.large).for_each(|_| self.ledger.budget.end_large());
    }
}

/// What an ordinary connection holds at most: a read buffer, a pipeline of small commands and their replies.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;

/// A worker takes the budget in pieces of so many bytes at most, so that small commands seldom write the shared number.
const PIECE_BYTES: usize = 64 * 1024;

/// And in so small ones that a worker's part would have so many: what is rounded up is a sixteenth of the whole at most.
const PIECES: usize = 32;

#[cfg(test)]
mod tests;
