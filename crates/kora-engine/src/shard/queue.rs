//! Who is served next on a shard: each client in turn, one ask or one slice of one at a time.
//!
//! A client that loads at full speed has a thousand asks waiting here; another one's query waits for one of them, not for
//! a thousand. Within a client the order is that of its asks, and nothing overtakes an ask that goes on in slices.

use std::collections::{BTreeMap, VecDeque};

use super::task::Unfinished;
use crate::mail::{Origin, ReplyId, RequestBody};

/// What waits for its turn. Bounded by what the lanes' credit and the own clients' lines let in.
#[derive(Default)]
pub(crate) struct Queue {
    /// Whose turn is next. Invariant: each key of `clients`, once, but for the one that is being served.
    turns: VecDeque<Origin>,
    clients: BTreeMap<Origin, Client>,
    len: usize,
    /// The first client in `turns` has the shard to itself until it is done.
    is_taken: bool,
}

/// What one client has waiting. Invariant: never without a first ask, but while that is being served.
struct Client {
    /// The client has gone: what it asked to read and has not begun is not read.
    is_gone: bool,
    first: Option<(ReplyId, QueueStage)>,
    behind: VecDeque<(ReplyId, RequestBody, u64)>,
}

/// An ask that has not begun, or one between two slices.
pub(crate) enum QueueStage {
    /// And when its command was taken from its connection, in milliseconds of Unix time.
    Fresh(RequestBody, u64),
    Suspended(Unfinished),
}

impl QueueStage {
    /// True of what changes a collection in several steps, or begins to.
    pub(crate) fn is_long(&self) -> bool {
        match self {
            QueueStage::Fresh(body, _) => matches!(body, RequestBody::Set(_) | RequestBody::SetMany(_)),
            QueueStage::Suspended(task) => task.keeps_busy(),
        }
    }
}

impl Queue {
    pub(crate) fn push(&mut self, origin: Origin, reply_id: ReplyId, body: RequestBody, at_ms: u64) {
        self.len += 1;
        if let Some(client) = self.clients.get_mut(&origin) {
            client.is_gone |= matches!(body, RequestBody::Leave);
            client.behind.push_back((reply_id, body, at_ms));
            return;
        }
        let first = Some((reply_id, QueueStage::Fresh(body, at_ms)));
        self.clients.insert(
            origin,
            Client {
                is_gone: false,
                first,
                behind: VecDeque::new(),
            },
        );
        self.turns.push_back(origin);
    }

    /// Takes out what is to be served next. It is followed by [`Queue::suspend`] or [`Queue::finish`].
    pub(crate) fn pop(&mut self) -> Option<(Origin, ReplyId, QueueStage)> {
        let origin = self.turns.pop_front()?;
        let client = self.clients.get_mut(&origin).expect("whoever has a turn waits");
        let (reply_id, stage) = client.first.take().expect("no client has a turn without a request");
        Some((origin, reply_id, stage))
    }

    /// Counts a client among those that wait, as if what is to be suspended next had been taken out.
    pub(crate) fn admit(&mut self, origin: Origin) {
        let client = Client {
            is_gone: false,
            first: None,
            behind: VecDeque::new(),
        };
        let before = self.clients.insert(origin, client);
        assert!(before.is_none(), "the shard was open to whoever had nothing waiting");
        self.len += 1;
    }

    /// What was taken out goes on when the others have had their turn, or before them if it is exclusive.
    pub(crate) fn suspend(&mut self, origin: Origin, reply_id: ReplyId, task: Unfinished) {
        let client = self.clients.get_mut(&origin).expect("it is being served");
        let is_exclusive = task.is_exclusive();
        client.first = Some((reply_id, QueueStage::Suspended(task)));
        self.is_taken = is_exclusive;
        match is_exclusive {
            true => self.turns.push_front(origin),
            false => self.turns.push_back(origin),
        }
    }

    /// What was taken out is done.
    pub(crate) fn finish(&mut self, origin: Origin) {
        self.len -= 1;
        self.is_taken = false;
        let client = self.clients.get_mut(&origin).expect("it is being served");
        match client.behind.pop_front() {
            Some((reply_id, body, at_ms)) => {
                client.first = Some((reply_id, QueueStage::Fresh(body, at_ms)));
                self.turns.push_back(origin);
            }
            None => drop(self.clients.remove(&origin)),
        }
    }

    /// True if the client that is being served has gone.
    pub(crate) fn is_gone(&self, origin: Origin) -> bool {
        self.clients.get(&origin).is_some_and(|client| client.is_gone)
    }

    /// Asks that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if a client has the shard to itself.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// True if nothing of this client waits and no client has the shard to itself.
    pub(crate) fn is_open_to(&self, origin: Origin) -> bool {
        self.len == 0 || (!self.is_taken && !self.clients.contains_key(&origin))
    }

    /// # Panics
    /// If the queue is not sound between two asks.
    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.turns.len(), self.clients.len(), "each client has one turn");
        let waiting: usize = self.clients.values().map(|client| 1 + client.behind.len()).sum();
        assert_eq!(waiting, self.len);
        assert!(self.clients.values().all(|client| client.first.is_some()));
    }
}

#[cfg(test)]
mod tests {
    use kora_mesh::WorkerId;

    use super::*;

    #[test]
    fn a_query_waits_for_one_ask_of_a_loader_and_each_client_keeps_its_order() {
        let mut queue = Queue::default();
        let origin = |reply_queue| Origin {
            worker: WorkerId::from_index(0),
            reply_queue,
        };
        for sequence in 0..100 {
            queue.push(
                origin(1),
                ReplyId {
                    reply_queue: 1,
                    sequence,
                },
                RequestBody::Count(kora_values::Database::ZERO),
                0,
            );
        }
        queue.push(
            origin(2),
            ReplyId {
                reply_queue: 2,
                sequence: 0,
            },
            RequestBody::Count(kora_values::Database::ZERO),
            0,
        );
        let mut served = Vec::new();
        while let Some((origin, reply_id, _)) = queue.pop() {
            queue.finish(origin);
            queue.assert_sound();
            served.push((reply_id.reply_queue, reply_id.sequence));
        }
        assert_eq!(served[..3], [(1, 0), (2, 0), (1, 1)]);
        assert!(queue.is_empty() && served.iter().filter(|(reply_queue, _)| *reply_queue == 1).is_sorted());
    }
}
