//! What a connection does so that no reply tells of what is not safe.

use std::time::Duration;

use tokio::time::sleep;

use super::WorkerPersistence;
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
        while self.persistence.as_ref().is_some_and(WorkerPersistence::is_congested) {
            sleep(LOG_LOOK).await;
        }
    }

    /// Waits until what the replies tell of is safe, if `appendfsync` or the client asks for it. False if they must not be sent.
    pub(crate) async fn is_output_safe(&mut self) -> bool {
        let Some(persistence) = &self.persistence else {
            return true;
        };
        if self.output.is_empty() {
            return true;
        }
        let is_safe = persistence.settle(std::mem::take(&mut self.awaits_log)).await;
        is_safe || !std::mem::take(&mut self.may_have_written)
    }
}

/// How often a connection that waits for the log looks whether it has caught up.
const LOG_LOOK: Duration = Duration::from_millis(20);
