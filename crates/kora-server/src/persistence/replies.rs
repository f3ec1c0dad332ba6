//! What a connection does so that no reply tells of what is not safe.

use std::time::Duration;

use kora_engine::{Encoded, Standing};
use tokio::time::sleep;

use crate::connection::Connection;

impl Connection {
    /// Hands over what this connection's commands have changed.
    pub(crate) fn hand_over(&self) {
        if let Some(persistence) = &self.persistence {
            persistence.hand_over(&mut self.engine.borrow_mut());
        }
    }

    /// Waits while the log lags far behind.
    pub(crate) async fn wait_for_log(&self) {
        while self
            .persistence
            .as_ref()
            .is_some_and(|persistence| persistence.is_congested())
        {
            sleep(LOG_LOOK).await;
        }
    }

    /// What of the output may be sent already: all that there is before more replies are encoded.
    pub(crate) fn confirmed(&self) -> Confirmed {
        Confirmed {
            bytes: self.output.len(),
            encoded: self.engine.borrow_mut().encoded(self.reply_queue),
        }
    }

    /// Waits until what the new replies tell of is safe, if `appendfsync` or the client asks for it. If the disk fails, a
    /// client that may have written gets its error for each of them: the changes are in memory, and it is not known whether
    /// they are on disk.
    /// False if there is something among them that no error can stand for; then nothing of it may be sent.
    pub(crate) async fn make_output_safe(&mut self, confirmed: Confirmed) -> bool {
        let Some(persistence) = &self.persistence else {
            return true;
        };
        if self.output.len() == confirmed.bytes {
            return true;
        }
        let is_safe = persistence.settle(std::mem::take(&mut self.awaits_log)).await;
        if !self.may_have_written {
            return true;
        }
        // A command that is still under way may be one that writes.
        let standing = self.engine.borrow_mut().standing(self.reply_queue);
        self.may_have_written = !matches!(standing, Standing::Served { owed: false, .. });
        is_safe || self.refuse_since(confirmed)
    }

    fn refuse_since(&mut self, confirmed: Confirmed) -> bool {
        let mut engine = self.engine.borrow_mut();
        let (before, now) = (confirmed.encoded, engine.encoded(self.reply_queue));
        if before.is_within_reply || now.is_within_reply || before.pushes != now.pushes {
            return false;
        }
        // The trouble may have ended since.
        let error = engine.refusal_of_writes().unwrap_or_else(|| PASSED_TROUBLE.to_owned());
        self.output.truncate(confirmed.bytes);
        for _ in before.replies..now.replies {
            self.output.room().extend_from_slice(format!("-{error}\r\n").as_bytes());
        }
        true
    }
}

/// The part of a connection's output that may be sent.
#[derive(Clone, Copy)]
pub(crate) struct Confirmed {
    bytes: usize,
    encoded: Encoded,
}

/// What a client is told whose change could not be made safe, when the disk works again.
const PASSED_TROUBLE: &str = "MISCONF Errors writing to the AOF file: Input/output error";

/// How often a connection that waits for the log looks whether it has caught up.
const LOG_LOOK: Duration = Duration::from_millis(20);
