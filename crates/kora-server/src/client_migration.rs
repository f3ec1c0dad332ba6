//! From worker to worker: a client goes to where its keys are, with its socket.

use crate::acceptor::{Arrival, ArrivingClient};
use crate::connection::{Connection, Intake};

impl Connection {
    /// The worker at which this client had better be, if it can go there now: neither side holds anything of a request or a
    /// reply then, but for what is still in the socket.
    pub(crate) fn migration_target(&self) -> Option<usize> {
        let is_between = self.intake == Intake::Open
            && self.input.is_empty()
            && self.ahead.is_empty()
            && self.output.is_empty()
            && self.paused_since.is_none();
        let worker = is_between.then(|| self.engine.borrow_mut().migration_target(self.reply_queue))??;
        // Who arrives faster than they are taken in had better wait where they are.
        (self.peers[worker].capacity() > ARRIVALS_LEFT_MIN).then_some(worker)
    }

    /// Goes on at another worker.
    pub(crate) async fn go_to(self, worker: usize) {
        let migrating_client = {
            let mut engine = self.engine.borrow_mut();
            engine.count_traffic(self.traffic);
            engine.depart(self.reply_queue)
        };
        let id = migrating_client.id();
        let stream = match self.stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(client = id, %error, "a connection broke on its way to another worker");
                return;
            }
        };
        let arrival = Arrival {
            stream,
            client: ArrivingClient::MigratingClient(migrating_client),
            permit: self.permit,
        };
        // The receiver is gone only if the server has stopped.
        let _ = self.peers[worker].send(arrival).await;
    }
}

/// Room that is left to new connections where those from other workers arrive.
const ARRIVALS_LEFT_MIN: usize = 8;
