//! CLIENT PAUSE: clients of a worker whose commands wait.

use std::collections::BTreeSet;

use crate::command::table::Parsed;
use crate::engine::Engine;
use crate::reply_queues::ReplyQueueId;

/// The clients of one worker that wait because of a pause.
#[derive(Debug, Default)]
pub(crate) struct Paused {
    /// By the numbers of their reply queues, some of which may have gone.
    waiting: BTreeSet<u32>,
    /// When the first of them may try again, in milliseconds of Unix time.
    first_ms: Option<u64>,
}

impl Engine {
    /// True if the command has to wait because of a pause. Its connection is woken when that ends.
    pub(crate) fn is_paused(&mut self, id: ReplyQueueId, parsed: &Parsed, now_ms: u64) -> bool {
        let Some(end_ms) = self.setup.live.pause.holds_back(parsed, now_ms) else {
            return false;
        };
        self.paused.waiting.insert(id.0);
        self.paused.first_ms = Some(self.paused.first_ms.map_or(end_ms, |first_ms| first_ms.min(end_ms)));
        // It sets its timer to the end of the pause.
        if let Some(sleeper) = self.sleeper.take() {
            sleeper.wake();
        }
        true
    }

    /// When clients that wait because of a pause may try again, in milliseconds of Unix time.
    pub(crate) fn pause_end_ms(&self) -> Option<u64> {
        self.paused.first_ms
    }

    /// Lets them try again when that time has come.
    pub(crate) fn wake_paused_if_due(&mut self, now_ms: u64) {
        if self.paused.first_ms.is_some_and(|first_ms| first_ms <= now_ms) {
            self.wake_paused();
        }
    }

    /// Lets all clients try again that wait because of a pause: it may have ended, and if not they wait on.
    pub(crate) fn wake_paused(&mut self) {
        let Paused { waiting, .. } = std::mem::take(&mut self.paused);
        for id in waiting {
            if let Some(reply_queue) = self.reply_queues.find(ReplyQueueId(id)) {
                reply_queue.unblock();
            }
        }
    }
}
