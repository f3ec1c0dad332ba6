//! The order of replies: one reply queue for each connection.

mod pushes;
mod selection;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use kora_resp::{Reply, Version, Writing};

use self::pushes::Piece;
use crate::claims::Asked;
use crate::client_migration::{KillFlag, MigrationTarget};
use crate::command::Command;
use crate::epochs::Epoch;
use crate::error::ClientError;
use crate::gather::{Gate, Gather, ReadTiming};
use crate::ledger::{Account, ReplyMemory};
use crate::limits::PIPELINE_DEPTH;
use crate::plan::Route;
use crate::pubsub::Subscriber;
use crate::reply_slots::{ReplySlots, SpareSlots};
use crate::session::Session;
use crate::slow::NO_TRAIL;
use crate::stats::CounterId;
use crate::tracking::Tracker;
use crate::transaction::{Transaction, Watched};
use crate::under_way::Reserved;

/// The replies owed to one client, in the order its requests arrived.
///
/// Shards answer when they can; clients read in the order they asked. The reply queue is where the two meet: a request takes
/// the next slot, its answer is gathered in that slot, and only the ready prefix may leave.
///
/// When its client has left, a reply queue stays until every slot is filled: what was begun is finished, and a reply can
/// never be delivered to the next client that uses the queue.
pub(crate) struct ReplyQueue {
    pub(crate) session: Session,
    /// What the connection holds of the worker's memory.
    pub(crate) account: Account,
    /// Raised when the client is to be closed at once, whichever worker it is with.
    pub(crate) kill_flag: KillFlag,
    /// To which other worker its commands lead.
    pub(crate) migration_target: MigrationTarget,
    /// What is queued since MULTI, if that was said.
    pub(crate) transaction: Option<Transaction>,
    /// What its client watches.
    pub(crate) watched: Option<Watched>,
    /// What its client subscribes to.
    pub(crate) subscriber: Option<Box<Subscriber>>,
    /// Invariant: `slots[i]` belongs to sequence `head + i`.
    /// Invariant: `slots.len() <= PIPELINE_DEPTH`, and two more for last words.
    slots: ReplySlots<ReplySlot>,
    head: u32,
    /// Messages that the client did not request. Bounded by the limits on the client's output.
    pushes: VecDeque<Piece>,
    /// Invariant: what `pushes` are charged with.
    pushed_bytes: usize,
    /// The reply that is being encoded: of the slot that was before the head.
    leaving: Option<WritingReply>,
    /// What was encoded so far.
    pub(crate) encoded: Encoded,
    /// Slots that still gather.
    waiting: usize,
    /// How many of them await no more than some keys' shards, which takes microseconds.
    briefly_waiting: usize,
    /// Waiting slots of queries that have sent no request yet.
    unread: usize,
    /// Waiting slots behind which nothing may be submitted.
    closed_by: usize,
    /// Waiting slots behind which nothing may be written.
    read_only_by: usize,
    /// Who is noted beside the keys that the command reads which takes the next slot.
    pub(crate) next_tracker: Option<Arc<Tracker>>,
    waker: Option<Waker>,
    /// A command was refused for now; the next change wakes the connection so that it tries again.
    blocked: bool,
    /// It stands in the engine's queue for credit.
    pub(crate) queues_for_credit: bool,
    /// Bytes of a reply for which it stands in the engine's queue for memory.
    pub(crate) awaited_bytes: Option<usize>,
    /// Its next command waits for memory for data.
    pub(crate) memory_wait: Option<MemoryWait>,
    /// Its command has waited for memory for too long, and is refused when it is tried again.
    pub(crate) is_refused_memory: bool,
    /// Memory for data that is kept for the command that begins now.
    pub(crate) reserved: Option<Reserved>,
    presence: Presence,
    /// Its client has gone: what it asked to read need not be read. The lines of a worker's own background tasks are not
    /// abandoned.
    pub(crate) is_abandoned: bool,
    /// What it held when it was dropped for that.
    pub(crate) dropped_bytes: usize,
}

/// What was encoded for a client: between two of them lies what was encoded meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    /// Replies, whole.
    pub replies: u64,
    /// Messages that are no replies, or parts of them.
    pub pushes: u64,
    /// The beginning of another reply is encoded, too.
    pub is_within_reply: bool,
}

/// Whether the client still reads replies. A later state may follow an earlier one, not the other way round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Presence {
    /// The connection is served.
    Here,
    /// It is closed when the replies owed have been sent: QUIT, or bytes that are no request.
    Leaving,
    /// It is closed at once: CLIENT KILL.
    Killed,
    /// It is closed at once: it held too much memory.
    Dropped,
    /// It has gone.
    Gone,
}

pub(crate) struct ReplySlot {
    /// The version the client spoke when it asked: HELLO changes it for later replies only.
    version: Version,
    taken: Taken,
    /// It awaits, or awaited, no more than some keys' shards.
    is_brief: bool,
    state: State,
    /// Memory for data that is kept for it until it is answered.
    reserved: Option<Reserved>,
    /// Values that its reply shares, as the account has them.
    shared: Vec<(usize, usize)>,
    /// Its reply is not sent: CLIENT REPLY.
    is_mute: bool,
    /// Who is noted beside the keys that it reads.
    tracker: Option<Arc<Tracker>>,
}

/// The room of queues that are empty, for those of the same worker.
pub(crate) type SpareReplySlots = SpareSlots<ReplySlot>;

/// What a slot takes beside what it holds: the account has it from the command's beginning until its reply is written.
const SLOT_BYTES: usize = size_of::<ReplySlot>();

enum State {
    Waiting(Gather),
    /// The gather has been taken out to be worked on; it is put back or becomes a reply in the same step.
    Taken,
    Ready(Reply),
}

/// A reply on its way out.
struct WritingReply {
    writing: Writing,
    /// What the account still holds for it.
    bytes: usize,
    shared: Vec<(usize, usize)>,
}

/// A command's wait for memory for data.
#[derive(Clone, Copy)]
pub(crate) struct MemoryWait {
    /// When it began, in microseconds of the host's clock.
    pub(crate) since_us: u64,
    /// What all shards were asked about what they could evict.
    pub(crate) asked: Asked,
}

/// When a slot was taken, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) counter: CounterId,
    pub(crate) since_us: u64,
    /// What the request holds, and from then on its reply. In the connection's account until the reply has left.
    pub(crate) bytes: usize,
    /// An estimate of what the reply will hold.
    pub(crate) expected: usize,
    /// In which epoch it was begun, if it may set vectors.
    pub(crate) epoch: Option<Epoch>,
    /// Where its words are.
    pub(crate) trail: u64,
    /// Where it went.
    pub(crate) route: Route,
}

impl Taken {
    /// Of a command that holds nothing: it is refused, or no client's.
    pub(crate) fn of_nothing(counter: CounterId, since_us: u64) -> Taken {
        Taken {
            counter,
            since_us,
            bytes: 0,
            expected: 0,
            epoch: None,
            trail: NO_TRAIL,
            route: Route::Here,
        }
    }
}

impl ReplyQueue {
    pub(crate) fn new(session: Session, kill_flag: KillFlag, account: Account, spare: SpareReplySlots) -> ReplyQueue {
        ReplyQueue {
            session,
            account,
            kill_flag,
            migration_target: MigrationTarget::default(),
            transaction: None,
            watched: None,
            subscriber: None,
            pushes: VecDeque::new(),
            pushed_bytes: 0,
            slots: ReplySlots::new(spare),
            head: 0,
            leaving: None,
            encoded: Encoded::default(),
            waiting: 0,
            briefly_waiting: 0,
            unread: 0,
            closed_by: 0,
            read_only_by: 0,
            next_tracker: None,
            waker: None,
            blocked: false,
            queues_for_credit: false,
            awaited_bytes: None,
            is_refused_memory: false,
            memory_wait: None,
            reserved: None,
            presence: Presence::Here,
            is_abandoned: false,
            dropped_bytes: 0,
        }
    }

    /// True if this command belongs to a transaction, or to what surrounds one.
    pub(crate) fn is_transacting(&self, command: &Command) -> bool {
        self.transaction.is_some()
            || match command {
                Command::Multi | Command::Exec | Command::Discard | Command::Watch(_) | Command::Unwatch => true,
                Command::Reset => true,
                Command::Refused(ClientError::WrongArity { command }) => command == "exec",
                Command::Refused(ClientError::ExecDenied(_)) => true,
                _ => false,
            }
    }

    /// True if one more request may take a slot.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.len() < PIPELINE_DEPTH
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed_by > 0
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only_by > 0
    }

    /// True if an earlier request of this client is still being answered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// How a query of this client may read that begins now: nothing that its client asked of anybody before may be under way,
    /// and of several that read one comes after the other.
    pub(crate) fn reads_of_new(&self) -> ReadTiming {
        match self.waiting {
            0 => ReadTiming::Now,
            waiting if waiting == self.unread => ReadTiming::Later,
            _ => ReadTiming::Never,
        }
    }

    /// How one may read whose turn has come, and whose gather was taken out: those that are unread wait for theirs behind it.
    pub(crate) fn reads_of_taken(&self) -> ReadTiming {
        match self.waiting == self.unread + 1 {
            true => ReadTiming::Now,
            false => ReadTiming::Never,
        }
    }

    /// Gives out the next slot.
    pub(crate) fn take_slot(&mut self, gather: Gather, taken: Taken) -> u32 {
        assert!(self.has_room(), "the engine looks for room before it gives out a slot");
        self.take_last_slot(gather, taken)
    }

    /// A slot for what is still to be done when the client has gone: there is always one.
    pub(crate) fn take_last_slot(&mut self, gather: Gather, taken: Taken) -> u32 {
        let sequence = self.head.wrapping_add(self.slots.len() as u32);
        self.account.add(taken.bytes + SLOT_BYTES);
        self.account.expect(taken.expected);
        let (is_brief, is_mute) = (gather.is_brief(), self.session.take_mute());
        let tracker = self.next_tracker.take();
        self.slots.push_back(ReplySlot {
            is_mute,
            tracker,
            version: self.session.version,
            taken,
            is_brief,
            state: State::Waiting(gather),
            reserved: self.reserved.take(),
            shared: Vec::new(),
        });
        self.waiting += 1;
        self.briefly_waiting += usize::from(is_brief);
        self.count_gate(sequence, 1);
        sequence
    }

    /// When the command of a slot was taken, in microseconds of the host's clock.
    pub(crate) fn since_us(&mut self, sequence: u32) -> u64 {
        self.slot(sequence).taken.since_us
    }

    /// Who is noted beside the keys that a slot's command reads.
    pub(crate) fn tracker_of(&mut self, sequence: u32) -> Option<Arc<Tracker>> {
        self.slot(sequence).tracker.clone()
    }

    /// What is known of the command of a slot.
    pub(crate) fn taken(&mut self, sequence: u32) -> Taken {
        self.slot(sequence).taken
    }

    /// A slot whose reply is known already.
    pub(crate) fn put_reply(&mut self, reply: Reply, taken: Taken) {
        assert!(self.has_room(), "the engine looks for room before it gives out a slot");
        self.put_last_reply(reply, taken);
    }

    /// The last reply of a connection, for which there is always a slot.
    pub(crate) fn put_last_reply(&mut self, reply: Reply, taken: Taken) {
        self.settle_database(&reply);
        let memory = ReplyMemory::of(&reply);
        self.account.add_reply(&memory, SLOT_BYTES);
        let taken = Taken {
            bytes: memory.own,
            ..taken
        };
        self.reserved = None;
        let is_mute = self.session.take_mute();
        self.slots.push_back(ReplySlot {
            is_mute,
            tracker: None,
            version: self.session.version,
            taken,
            is_brief: false,
            state: State::Ready(reply),
            reserved: None,
            shared: memory.shared,
        });
        self.wake_if_head_ready();
    }

    /// Takes out what a slot has gathered. It must be put back or filled before anything else happens to the reply queue.
    pub(crate) fn take_gather(&mut self, sequence: u32) -> Gather {
        self.count_gate(sequence, -1);
        match std::mem::replace(&mut self.slot(sequence).state, State::Taken) {
            State::Waiting(gather) => gather,
            State::Taken | State::Ready(_) => panic!("an answer came for a slot that awaits none"),
        }
    }

    /// Puts back what a slot has gathered: more is to come.
    pub(crate) fn put_gather(&mut self, sequence: u32, gather: Gather) {
        self.slot(sequence).state = State::Waiting(gather);
        self.count_gate(sequence, 1);
        self.wake_if_unblocked();
    }

    /// Fills a slot whose gather was taken out; says when it was taken and for what.
    pub(crate) fn fill(&mut self, sequence: u32, reply: Reply) -> Taken {
        self.settle_database(&reply);
        let (reply, memory) = match self.is_heard() {
            true => {
                let memory = ReplyMemory::of(&reply);
                (reply, memory)
            }
            false => (Reply::Null, ReplyMemory::default()),
        };
        self.account.add_reply(&memory, 0);
        let slot = self.slot(sequence);
        debug_assert!(matches!(slot.state, State::Taken));
        slot.state = State::Ready(reply);
        slot.reserved = None;
        let (taken, is_brief) = (slot.taken, slot.is_brief);
        slot.taken.bytes = memory.own;
        slot.shared = memory.shared;
        self.account.no_longer_expect(taken.expected);
        self.account.remove(taken.bytes);
        self.waiting -= 1;
        self.briefly_waiting -= usize::from(is_brief);
        self.wake_if_head_ready();
        self.wake_if_unblocked();
        taken
    }

    /// Encodes the ready prefix, or the beginning of it if that is much: the caller drains again.
    pub(crate) fn drain(&mut self, bytes_max: usize, out: &mut BytesMut) {
        if !self.is_heard() || !self.has_ready() {
            return;
        }
        let end = out.len() + bytes_max;
        while out.len() < end {
            if self.is_push_next() {
                self.encoded.pushes += 1;
                self.write_push(end, out);
                continue;
            }
            let Some(mut leaving) = self.leaving.take().or_else(|| self.pop_ready()) else {
                break;
            };
            let start = out.len();
            if leaving.writing.write(end - start, out) {
                self.encoded.replies += 1;
                self.encoded.is_within_reply = false;
                self.account.remove(leaving.bytes);
                self.account.remove_shared(&leaving.shared);
                continue;
            }
            // What is written counts where it was written to.
            let written = (out.len() - start).min(leaving.bytes);
            self.account.remove(written);
            leaving.bytes -= written;
            self.leaving = Some(leaving);
            self.encoded.is_within_reply = true;
        }
    }

    fn pop_ready(&mut self) -> Option<WritingReply> {
        if !matches!(self.slots.front()?.state, State::Ready(_)) {
            return None;
        }
        let ReplySlot {
            version,
            taken,
            state,
            shared,
            is_mute,
            ..
        } = self.slots.pop_front()?;
        self.head = self.head.wrapping_add(1);
        // There is space for one more. The caller drains again without being woken.
        self.blocked = false;
        let State::Ready(mut reply) = state else { return None };
        if is_mute {
            reply = Reply::Sequence(Vec::new());
        }
        Some(WritingReply {
            writing: Writing::new(reply, version),
            bytes: taken.bytes + SLOT_BYTES,
            shared,
        })
    }

    /// True if something can be drained, and is not held back for what comes in a moment.
    pub(crate) fn has_ready(&self) -> bool {
        let head_is_ready = || {
            let head = self.slots.front();
            head.is_some_and(|slot| matches!(slot.state, State::Ready(_)))
        };
        self.leaving.is_some() || self.is_push_next() || (head_is_ready() && !self.is_held_back())
    }

    /// Replies of a pipeline leave together: one part of its commands is answered at once, the others some microseconds later
    /// by another worker, and to send twice costs more than all of them. Only little is held back, and only for what is brief.
    fn is_held_back(&self) -> bool {
        let is_brief = self.waiting > 0 && self.waiting == self.briefly_waiting;
        is_brief && self.account.reply_queue_bytes() < HELD_BACK_BYTES_MAX
    }

    /// True if no reply is owed.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.leaving.is_none() && self.pushes.is_empty()
    }

    pub(crate) fn presence(&self) -> Presence {
        self.presence
    }

    pub(crate) fn set_presence(&mut self, presence: Presence) {
        if presence < self.presence {
            // A client that was killed by another and by itself is not served again: its replies are dropped.
            return;
        }
        self.presence = presence;
        if presence == Presence::Dropped {
            // Out of the sum at once, and not when its buffers are freed a moment later: until then the next largest
            // would be dropped for what this one held, and the next.
            self.dropped_bytes = self.account.bytes();
            self.account.leave();
        }
        if !self.is_heard() {
            self.forget_replies();
        }
        self.wake();
    }

    /// True if the client will read the replies that are owed.
    fn is_heard(&self) -> bool {
        matches!(self.presence, Presence::Here | Presence::Leaving)
    }

    /// A client that asks for much and leaves holds nothing of it: not what is ready, nor (in `fill`) what is to come.
    fn forget_replies(&mut self) {
        self.forget_pushes();
        if let Some(leaving) = self.leaving.take() {
            self.account.remove(leaving.bytes);
            self.account.remove_shared(&leaving.shared);
        }
        for slot in self.slots.iter_mut() {
            if let State::Ready(reply) = &mut slot.state {
                *reply = Reply::Null;
                self.account.remove(slot.taken.bytes);
                self.account.remove_shared(&std::mem::take(&mut slot.shared));
                slot.taken.bytes = 0;
            }
        }
    }

    /// Whom to wake when a reply is ready or a refused command may be tried again.
    pub(crate) fn set_waker(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) if known.will_wake(waker) => {}
            known => *known = Some(waker.clone()),
        }
    }

    /// A command was refused for now.
    pub(crate) fn block(&mut self) {
        self.blocked = true;
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Lets the connection try again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
        self.wake();
    }

    fn slot(&mut self, sequence: u32) -> &mut ReplySlot {
        let place = sequence.wrapping_sub(self.head) as usize;
        self.slots
            .get_mut(place)
            .expect("a slot is kept until its reply has left")
    }

    fn count_gate(&mut self, sequence: u32, change: isize) {
        let State::Waiting(gather) = &self.slot(sequence).state else {
            return;
        };
        let (gate, is_unread) = (gather.gate(), gather.is_unread());
        let count = |count: &mut usize| {
            *count = count
                .checked_add_signed(change)
                .expect("what a slot closes it opens once");
        };
        if is_unread {
            count(&mut self.unread);
        }
        match gate {
            Gate::Open => {}
            Gate::ReadOnly => count(&mut self.read_only_by),
            Gate::Closed => count(&mut self.closed_by),
        }
    }

    fn wake_if_head_ready(&self) {
        if self.has_ready() {
            self.wake();
        }
    }

    fn wake_if_unblocked(&mut self) {
        if self.blocked {
            self.unblock();
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// Replies and requests under way of one connection, up to which its replies are held back: some hundred small ones.
const HELD_BACK_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
