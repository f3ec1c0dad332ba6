//! What a connection holds, told to the engine; and what follows when that is too much.

use std::io;
use std::time::Duration;

use kora_engine::{Buffers, Host as _, Reading};
use tokio::time::Instant;

use crate::connection::{Connection, Intake, READ_BURST_BYTES, READ_BYTES};

impl Connection {
    /// Sends what the socket takes, and notes since when the client has taken nothing.
    pub(crate) fn write_output(&mut self) -> io::Result<()> {
        let mut taken = match self.output.is_empty() {
            true => 0,
            false => self.output.write_to(&self.stream)?,
        };
        self.count_sent(taken);
        if self.output.is_empty() {
            self.stalled_since_us = None;
            return Ok(());
        }
        let now_us = self.host.now_us();
        let since_us = *self.stalled_since_us.get_or_insert(now_us);
        let stalled_us = now_us.saturating_sub(since_us);
        if taken == 0 && stalled_us > STALL_LOOK_US {
            // The kernel says that a socket can be written to when a third of its buffer is free, which takes a client on
            // a slow line longer than the others should wait. It takes less all the same, even if the client reads nothing.
            taken = self.output.press_to(&self.stream)?;
            self.count_sent(taken);
        } else if taken > 0 && stalled_us >= RESUMED_US {
            self.resumed = (self.resumed + 1).min(RESUMED_ENOUGH);
        }
        if taken > 0 {
            self.stalled_since_us = Some(now_us);
        }
        Ok(())
    }

    fn count_sent(&mut self, bytes: usize) {
        self.traffic.sent_bytes += bytes as u64;
        self.sent_bytes = self.sent_bytes.saturating_add(bytes as u64);
        self.traffic.writes += u64::from(bytes > 0);
    }

    /// True if its client has shown that it reads what it is sent, however slowly.
    fn is_read(&self) -> bool {
        self.resumed >= RESUMED_ENOUGH || self.sent_bytes > KERNEL_BYTES_MAX
    }

    /// True if the client has taken nothing of what waits for it for so long.
    pub(crate) fn is_stalled_for(&self, us: u64) -> bool {
        self.stalled_since_us
            .is_some_and(|since_us| self.host.now_us().saturating_sub(since_us) >= us)
    }

    /// Replies that the client has not taken, spelled or not, and what it asked that is under way.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.output.len() + self.engine.borrow_mut().owed_bytes(self.reply_queue)
    }

    /// Bytes that the client has promised and not sent. One that promises and then is silent has no claim to memory until it
    /// sends more: else some promises would keep all others waiting.
    pub(crate) fn missing(&self) -> usize {
        let missing = self.reader.missing();
        let is_silent = || self.paused_since.is_none() && self.heard_at.is_some_and(|at| at.elapsed() > SILENCE);
        if missing > READ_BURST_BYTES && is_silent() {
            0
        } else {
            missing
        }
    }

    /// Memory of requests that have arrived, with room for the next read.
    pub(crate) fn input_bytes_held(&self) -> usize {
        self.input.capacity().min(self.input.len() + READ_BYTES)
    }

    /// Tells the engine what the buffers hold, and hears whether more may be read.
    pub(crate) fn settle_account(&mut self) {
        match self.reader.missing() > READ_BURST_BYTES {
            true => drop(self.heard_at.get_or_insert_with(Instant::now)),
            false => self.heard_at = None,
        }
        let buffers = Buffers {
            input: self.input_bytes_held(),
            output: self.output.bytes_held(),
            traffic: std::mem::take(&mut self.traffic),
            missing: self.missing(),
            stalled_since_us: self.stalled_since_us,
            is_read: self.is_read(),
        };
        let now_us = self.stalled_since_us.map_or(0, |_| self.host.now_us());
        let mut engine = self.engine.borrow_mut();
        match engine.account(self.reply_queue, buffers, now_us) {
            Reading::Allowed => {
                self.paused_since = None;
                return;
            }
            Reading::Impossible if self.intake == Intake::Open => {
                engine.refuse_size(self.reply_queue);
                self.intake = Intake::Deaf;
                self.unheard = true;
                return;
            }
            Reading::Impossible | Reading::Paused => {}
        }
        if self.is_waiting && self.rooms_given != engine.rooms_given() {
            self.rooms_given = engine.rooms_given();
            self.paused_since = None;
        }
        let since = *self.paused_since.get_or_insert_with(Instant::now);
        // It has waited for so long that its client had better hear why.
        if since.elapsed() > PAUSE_MAX && self.output.is_empty() {
            self.paused_since = None;
            engine.refuse_for_memory(self.reply_queue, buffers.missing);
        }
    }

    pub(crate) fn is_over_output_limit(&mut self) -> bool {
        let limit = match self.engine.borrow_mut().is_subscribed(self.reply_queue) {
            true => &self.live.output_to_subscribers,
            false => &self.live.output,
        };
        // What a client with a cache of its own is told of changed keys has the limit of messages.
        let pushed_max = self.live.output_to_subscribers.hard_bytes.get();
        if pushed_max > 0 && self.engine.borrow_mut().pushed_bytes(self.reply_queue) as u64 > pushed_max {
            return true;
        }
        let (hard_bytes, soft_bytes) = (limit.hard_bytes.get(), limit.soft_bytes.get());
        if hard_bytes == 0 && soft_bytes == 0 {
            return false;
        }
        let waiting = self.unread_bytes() as u64;
        if soft_bytes == 0 || waiting <= soft_bytes {
            self.over_soft_since = None;
        } else if self
            .over_soft_since
            .get_or_insert_with(Instant::now)
            .elapsed()
            .as_secs()
            >= limit.soft_s.get()
        {
            return true;
        }
        hard_bytes > 0 && waiting > hard_bytes
    }
}

/// How long a client may make a pause within a large request without losing its claim to memory for the rest.
const SILENCE: Duration = Duration::from_secs(1);

/// A client that takes more of what it is sent after so long has read: what the kernels still moved between their buffers was
/// moved long before.
const RESUMED_US: u64 = 100_000;

/// So often, since a busy machine may make any pause longer.
const RESUMED_ENOUGH: u8 = 2;

/// Bytes that the buffers of both kernels can hold for a client that reads nothing: Linux lets a sender's
/// grow to 4 MB and a receiver's to 6 MB (`tcp_wmem`, `tcp_rmem`).
const KERNEL_BYTES_MAX: u64 = 16 << 20;

/// A little less, so that each such look finds the time over.
const STALL_LOOK_US: u64 = 400_000;

/// How long a command or the rest of a request waits for memory before it is refused. Long beside the time that clients need
/// to take their replies, short beside a user's patience.
const PAUSE_MAX: Duration = Duration::from_secs(10);
