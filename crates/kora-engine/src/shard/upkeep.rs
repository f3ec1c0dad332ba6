//! What collections do for themselves when nobody asks anything: a graph that was begun is grown to its end, what was
//! deleted leaves it and gives its memory back. Where deletions outrun that, it is done in between as well.

use std::collections::VecDeque;

use bytes::Bytes;
use kora_vector::{Step, Work};

use super::Shard;
use super::collection::Collection;
use crate::catalog::Generation;
use crate::limits::SLICE_WORK;

/// Collections that have something to do, each once.
pub(crate) type Upkeep = VecDeque<(Bytes, Generation)>;

impl Shard {
    /// True if some collection has something to do.
    pub(crate) fn has_upkeep(&self) -> bool {
        !self.upkeep.is_empty()
    }

    /// Lets one collection work for a slice.
    pub(crate) fn keep_up(&mut self) {
        let Some((name, generation)) = self.upkeep.pop_front() else {
            return;
        };
        let held = self.collections.get_mut(&name);
        // One that was dropped meanwhile has nothing to do any more.
        let Some(collection) = held.filter(|collection| collection.schema().generation == generation) else {
            return;
        };
        match collection.keep_up(&mut Work::new(SLICE_WORK)) {
            Step::More => self.upkeep.push_back((name, generation)),
            Step::Done(()) => {}
        }
    }

    /// The same, although others wait, if that is overdue. Of many collections one is looked at.
    pub(crate) fn keep_up_if_overdue(&mut self) -> bool {
        let Some((name, generation)) = self.upkeep.front() else {
            return false;
        };
        let overdue = self
            .collections
            .get(name)
            .filter(|collection| collection.schema().generation == *generation)
            .is_some_and(Collection::is_overdue);
        if overdue {
            self.keep_up();
        } else {
            self.upkeep.rotate_left(1);
        }
        overdue
    }

    /// Notes a collection that has found something to do.
    pub(super) fn note_upkeep(&mut self, name: &Bytes, generation: Generation) {
        if let Some(collection) = self.collections.get_mut(name)
            && collection.begin_upkeep()
        {
            self.upkeep.push_back((name.clone(), generation));
        }
    }
}
