//! Which database a client's requests mean.

use kora_resp::Reply;
use kora_values::Database;

use super::ReplyQueue;

impl ReplyQueue {
    /// The database of the names in the client's next request, if nothing goes wrong before.
    #[inline]
    pub(crate) fn database(&self) -> Database {
        let queued = self.transaction.as_ref().and_then(|transaction| transaction.selected);
        queued.or(self.session.selecting).unwrap_or(self.session.database)
    }

    /// A transaction has ended with this reply: what it selects is selected if it was executed.
    pub(super) fn settle_database(&mut self, reply: &Reply) {
        if let Some(database) = self.session.selecting.take()
            && matches!(reply, Reply::Array(_))
        {
            self.session.database = database;
        }
    }
}
