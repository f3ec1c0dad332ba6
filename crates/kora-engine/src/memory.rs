//! Who of the clients gets memory, who waits for it, and who has to go.
//!
//! A client that reads is never dropped. When clients hold three quarters of what they may, those that hold much are not
//! read from, and commands with large replies wait. What has waited for too long is refused with an error. Only a client
//! that does not take its replies is dropped while memory is short.

use kora_resp::Reply;

use crate::command::Command;
use crate::command::table::{Access, Parsed};
use crate::engine::Engine;
use crate::error::ClientError;
use crate::limits::{SPELLED_BYTES_MAX, SPELLED_BYTES_MAX_SHORT, STALLED_US, STALLED_US_READ, STALLED_US_SHORT};
use crate::reply_queue::{Presence, Taken};
use crate::reply_queues::ReplyQueueId;
use crate::session::Session;
use crate::setup::Host;
use crate::stats::{CommandOutcome, Traffic};
use crate::transaction::Intercepted;

/// What a connection holds outside of the engine.
#[derive(Clone, Copy, Default, Debug)]
pub struct Buffers {
    /// Bytes of requests that have arrived and were not submitted, with the room for more.
    pub input: usize,
    /// Bytes of replies that its socket has not taken.
    pub output: usize,
    /// What came and went since it last told.
    pub traffic: Traffic,
    /// Bytes that are known to be missing from the request that has begun to arrive.
    pub missing: usize,
    /// Since when it has had something to write and the client took none of it, in microseconds of the host's clock.
    pub stalled_since_us: Option<u64>,
    /// Its client has shown that it reads, however slowly.
    pub is_read: bool,
}

/// Whether a connection may be read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Reading {
    /// It may.
    Allowed,
    /// Not for the time being: clients hold too much.
    Paused,
    /// What it has begun to send is more than clients may hold at all.
    Impossible,
}

impl Engine {
    /// What connections received and sent that will say nothing more.
    pub fn count_traffic(&mut self, traffic: Traffic) {
        self.stats.traffic.add(traffic);
    }

    /// A connection is closed that did not take its replies.
    pub fn count_over_output_limit(&mut self) {
        self.stats.clients_over_output_limit += 1;
    }

    /// What the connection's buffers hold now, and whether it may be read from.
    pub fn account(&mut self, id: ReplyQueueId, buffers: Buffers, now_us: u64) -> Reading {
        self.stats.traffic.add(buffers.traffic);
        self.recent.input_bytes.note(self.clock_us, buffers.input as u64);
        self.recent.output_bytes.note(self.clock_us, buffers.output as u64);
        let connections = self.reply_queues.len();
        let reply_queue = self.reply_queues.get(id);
        reply_queue.account.set_buffers(buffers.input, buffers.output);
        reply_queue.account.stalled_since_us = buffers.stalled_since_us;
        reply_queue.account.is_read = buffers.is_read;
        let reading = if reply_queue.account.can_never_hold(buffers.missing) {
            Reading::Impossible
        } else if reply_queue.awaited_bytes.is_none() && reply_queue.account.may_arrive(buffers.missing, connections) {
            Reading::Allowed
        } else {
            Reading::Paused
        };
        self.let_stalled_go(now_us);
        self.wake_room_waiters();
        reading
    }

    /// How many commands have found memory for their replies that had to wait for it. While this grows, a reply queue that waits
    /// comes nearer.
    pub fn rooms_given(&self) -> u64 {
        self.rooms_given
    }

    /// Whether the next request of a connection may begin, which has arrived. While memory is short it may if the client has
    /// taken most of what it is owed: the request leaves the memory that it lies in, so a client that reads always goes on.
    pub fn may_begin(&mut self, id: ReplyQueueId) -> bool {
        let connections = self.reply_queues.len();
        self.reply_queues.get(id).account.may_begin(connections)
    }

    /// Whether a connection may be given more memory.
    fn may_grow(&mut self, id: ReplyQueueId) -> bool {
        let connections = self.reply_queues.len();
        self.reply_queues.get(id).account.may_grow(connections)
    }

    /// What a connection holds of requests that have arrived, counted as soon as it is much: many others may be read from before
    /// the whole account of this one is settled.
    pub fn note_input(&mut self, id: ReplyQueueId, bytes: usize) {
        self.reply_queues.get(id).account.set_input(bytes);
    }

    /// True while clients hold so much that some have to wait: then each is read from in small pieces, so that hundreds that
    /// send at the same moment do not pass the limit before that is counted.
    pub fn is_short_of_memory(&self) -> bool {
        self.ledger.is_short()
    }

    /// Bytes of replies that are spelled at once for a connection, and that may wait for its socket: enough for many small
    /// ones in one write, and less while memory is short, for what is not spelled shares its values with the data.
    pub fn spelled_bytes_max(&mut self, id: ReplyQueueId) -> usize {
        match self.may_grow(id) {
            true => SPELLED_BYTES_MAX,
            false => SPELLED_BYTES_MAX_SHORT,
        }
    }

    /// Bytes of requests under way and of replies that the connection has not taken from the engine.
    pub fn owed_bytes(&mut self, id: ReplyQueueId) -> usize {
        let reply_queue = self.reply_queues.get(id);
        // What it subscribes to is in its account, too, and waits for no client to read it.
        let subscriptions = reply_queue
            .subscriber
            .as_ref()
            .map_or(0, |subscriber| subscriber.bytes());
        reply_queue.account.reply_queue_bytes() - subscriptions
    }

    /// Refuses what has waited for memory for too long: a command that waits gets an error; a connection of whose next request
    /// so many bytes are missing that they can't be read gets one too, and is closed behind it.
    pub fn refuse_for_memory(&mut self, id: ReplyQueueId, missing: usize) {
        let reply_queue = self.reply_queues.get(id);
        if reply_queue.awaited_bytes.take().is_some() {
            self.room_waiters.retain(|waiter| *waiter != id);
            let reply_queue = self.reply_queues.get(id);
            reply_queue.is_refused_memory = true;
            reply_queue.unblock();
        } else if reply_queue.is_empty() && missing > crate::ledger::SMALL_BYTES {
            self.refuse_with(id, ClientError::OutOfClientMemory.to_string());
        }
    }

    /// Ends a connection that begins to send more than clients may hold.
    pub fn refuse_size(&mut self, id: ReplyQueueId) {
        self.refuse_with(id, ClientError::LargerThanClientMemory.to_string());
    }

    /// True if there is memory for a reply of so many bytes. Otherwise the connection queues for it: it is woken when room
    /// was kept for it.
    pub(crate) fn finds_room(&mut self, id: ReplyQueueId, bytes: usize) -> bool {
        let (connections, is_first) = (self.reply_queues.len(), self.room_waiters.is_empty());
        let reply_queue = self.reply_queues.get(id);
        if reply_queue.account.take_reserved() {
            return true;
        }
        if reply_queue.awaited_bytes.is_none() {
            if reply_queue.account.has_room_for(bytes, is_first, connections) {
                return true;
            }
            reply_queue.awaited_bytes = Some(bytes);
            self.room_waiters.push_back(id);
        }
        self.reply_queues.get(id).block();
        false
    }

    /// Answers a command that has waited for memory for too long with an error.
    pub(crate) fn refuse_for_now(&mut self, id: ReplyQueueId, name: &'static str, since_us: u64) {
        let counter = self.stats.by_command.counter(name);
        let reply = Reply::Error(ClientError::OutOfClientMemory.to_string());
        self.stats.note_refusal(counter, &reply);
        self.clock_us = since_us;
        let taken = Taken::of_nothing(counter, since_us);
        let reply_queue = self.reply_queues.get(id);
        reply_queue.spoil_transaction();
        reply_queue.put_reply(reply, taken);
    }

    /// Answers a command that needs memory with an error: there is too much data, and nothing may be evicted.
    pub(crate) fn refuse_for_data(&mut self, id: ReplyQueueId, parsed: &Parsed, since_us: u64, host: &dyn Host) {
        let counter = self.stats.by_command.counter(parsed.entry.name);
        self.stats.by_command.count(counter, CommandOutcome::Rejected, 0);
        self.clock_us = since_us;
        let taken = Taken::of_nothing(counter, since_us);
        if matches!(parsed.command, Command::Exec) {
            let reply = Reply::Error(ClientError::ExecOutOfMemory.to_string());
            match self.abort_transaction(id, reply, taken) {
                Intercepted::Answered(reply) => self.put_answer(id, Some(reply), taken, host),
                Intercepted::Begun(next, taken) => self.take_slot(id, next, taken, host),
                Intercepted::No(_) => {}
            }
            return;
        }
        let reply_queue = self.reply_queues.get(id);
        reply_queue.spoil_transaction();
        reply_queue.put_reply(Reply::Error(ClientError::OutOfMemory.to_string()), taken);
    }

    /// Keeps room for as many waiting connections as there is room for, and lets them try again.
    pub(crate) fn wake_room_waiters(&mut self) {
        while let Some(id) = self.room_waiters.front() {
            let connections = self.reply_queues.len();
            let reply_queue = self.reply_queues.get(*id);
            let bytes = reply_queue.awaited_bytes.expect("a line that waits says for how much");
            let is_heard = matches!(reply_queue.presence(), Presence::Here | Presence::Leaving);
            if is_heard && !reply_queue.account.has_room_for(bytes, true, connections) {
                return;
            }
            self.room_waiters.pop_front();
            reply_queue.awaited_bytes = None;
            if is_heard {
                reply_queue.account.reserve(bytes);
                self.rooms_given += 1;
            }
            reply_queue.unblock();
        }
    }

    /// The ledger of a client: those that have not authenticated have a small one for themselves.
    pub(crate) fn ledger_of(&self, session: &Session) -> &crate::ledger::Ledger {
        match session.access {
            Access::Full => &self.ledger,
            Access::BeforeAuth => &self.strangers,
        }
    }

    /// Counts a client that has authenticated with the others.
    pub(crate) fn note_access(&mut self, id: ReplyQueueId) {
        let reply_queue = self.reply_queues.get(id);
        if reply_queue.session.access == Access::Full && !reply_queue.account.is_in(&self.ledger) {
            reply_queue.account.join(&self.ledger);
        }
    }

    /// Drops strangers while they hold more than they may, and while memory is short the largest client that does not take
    /// what it is sent: sooner if clients hold more than they may.
    fn let_stalled_go(&mut self, now_us: u64) {
        if self.strangers.is_over() {
            self.drop_largest(|reply_queue, strangers| reply_queue.account.is_in(strangers));
        }
        if self.ledger.is_short() {
            let is_over = self.ledger.is_over();
            let stalled_us = |reply_queue: &crate::reply_queue::ReplyQueue| {
                let since_us = reply_queue.account.stalled_since_us?;
                let patience_us = match (reply_queue.account.is_read, is_over) {
                    (true, _) => STALLED_US_READ,
                    (false, true) => STALLED_US_SHORT,
                    (false, false) => STALLED_US,
                };
                let holds_much = reply_queue.account.bytes_with_shared() > crate::ledger::SMALL_BYTES;
                Some(now_us.saturating_sub(since_us)).filter(|us| *us >= patience_us && holds_much)
            };
            let served = self.reply_queues.served_from(0);
            let longest_us = served
                .filter_map(|(_, reply_queue)| stalled_us(reply_queue))
                .max()
                .unwrap_or(0);
            // A client that reads may have been kept from it for a moment: one that never does has stalled for longer.
            self.drop_largest(|reply_queue, _| stalled_us(reply_queue).is_some_and(|us| us >= longest_us / 2));
        }
    }

    fn drop_largest(&mut self, may: impl Fn(&crate::reply_queue::ReplyQueue, &crate::ledger::Ledger) -> bool) {
        let largest = self
            .reply_queues
            .served_from(0)
            .map(|(_, reply_queue)| reply_queue)
            .filter(|reply_queue| !matches!(reply_queue.presence(), Presence::Dropped | Presence::Killed))
            .filter(|reply_queue| !reply_queue.session.is_kept && may(reply_queue, &self.strangers))
            .max_by_key(|reply_queue| reply_queue.account.bytes_with_shared());
        if let Some(reply_queue) = largest {
            reply_queue.set_presence(Presence::Dropped);
            self.stats.clients_dropped += 1;
        }
    }
}
