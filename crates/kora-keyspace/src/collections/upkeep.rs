//! What collections do for themselves when no command waits: a graph that was begun is grown to its end, what was deleted
//! leaves it and gives its memory back. Where deletions outrun that, it is done in between as well.

use std::sync::Arc;

use bytes::Bytes;
use kora_vector::{Step, Work};

use super::collection::Collection;
use crate::catalog::Generation;
use crate::changes::Observer;
use crate::keyspace::Keyspace;

impl<O: Observer> Keyspace<O> {
    /// True if some vector was set or deleted, or some graph was grown, since that was forgotten.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Forgets that.
    pub fn forget_change(&mut self) {
        self.has_changed = false;
    }

    /// True if some collection has something to do.
    pub fn has_upkeep(&self) -> bool {
        !self.upkeep.is_empty()
    }

    /// Lets one collection work for a slice.
    pub fn keep_up(&mut self, work: &mut Work) {
        let Some((name, generation)) = self.upkeep.pop_front() else {
            return;
        };
        let held = self.collections.get_mut(&name);
        // One that was dropped meanwhile has nothing to do any more.
        let Some(part) = held.filter(|part| part.schema().generation == generation) else {
            return;
        };
        let (step, schema) = (part.keep_up(work), Arc::clone(part.schema()));
        self.count_part(&schema);
        match step {
            Step::More => self.upkeep.push_back((name, generation)),
            // It may have got its graph.
            Step::Done(()) => self.has_changed = true,
        }
    }

    /// True if the collection whose turn it is has so much to do that others have to wait for it. If not, it is another one's
    /// turn: of many, one is looked at.
    pub fn finds_overdue(&mut self) -> bool {
        let Some((name, generation)) = self.upkeep.front() else {
            return false;
        };
        let overdue = self
            .collections
            .get(name)
            .filter(|part| part.schema().generation == *generation)
            .is_some_and(Collection::is_overdue);
        if !overdue {
            self.upkeep.rotate_left(1);
        }
        overdue
    }

    /// A collection has changed, or a query of it has ended: it may have found something to do.
    pub(crate) fn note_upkeep(&mut self, name: &Bytes, generation: Generation) {
        if let Some(part) = self.collections.get_mut(name)
            && part.begin_upkeep()
        {
            self.upkeep.push_back((name.clone(), generation));
        }
    }
}
