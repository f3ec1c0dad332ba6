//! The lines of all connections of one worker.

use crate::reply_queue::{Presence, ReplyQueue, SpareReplySlots};

/// Names a reply queue of one worker while its connection lives, and until everything it began is finished.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReplyQueueId(pub(crate) u32);

/// A slab of lines. A place is given to another connection only when nothing can arrive for the one before.
#[derive(Default)]
pub(crate) struct ReplyQueues {
    places: Vec<Option<ReplyQueue>>,
    free: Vec<u32>,
    /// Room for slots that queues hand on to each other.
    pub(crate) spare: SpareReplySlots,
}

impl ReplyQueues {
    pub(crate) fn add(&mut self, reply_queue: ReplyQueue) -> ReplyQueueId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("maxclients is far below 2^32")
        });
        self.places[place as usize] = Some(reply_queue);
        ReplyQueueId(place)
    }

    /// # Panics
    /// If the reply queue was given up: its id is not used after that.
    pub(crate) fn get(&mut self, id: ReplyQueueId) -> &mut ReplyQueue {
        self.places[id.0 as usize]
            .as_mut()
            .expect("a line outlives whoever can name it")
    }

    pub(crate) fn find(&mut self, id: ReplyQueueId) -> Option<&mut ReplyQueue> {
        self.places.get_mut(id.0 as usize)?.as_mut()
    }

    /// Gives the place up, if its client has gone and nothing more can arrive for it.
    pub(crate) fn give_up_if_done(&mut self, id: ReplyQueueId) {
        let reply_queue = self.get(id);
        if reply_queue.presence() == Presence::Gone && !reply_queue.is_waiting() {
            self.places[id.0 as usize] = None;
            self.free.push(id.0);
        }
    }

    /// Connections that are served, from a place on.
    pub(crate) fn served_from(&mut self, start: usize) -> impl Iterator<Item = (usize, &mut ReplyQueue)> {
        let places = self.places.iter_mut().enumerate().skip(start);
        places
            .filter_map(|(place, reply_queue)| Some((place, reply_queue.as_mut()?)))
            .filter(|(_, reply_queue)| reply_queue.presence() != Presence::Gone)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
