//! What collections do for themselves when nobody asks anything: a graph that was begun is grown to its end, what was
//! deleted leaves it and gives its memory back. Where deletions outrun that, it is done in between as well.

use std::collections::VecDeque;

use bytes::Bytes;
use kora_vector::{Step, Work};

use super::Shard;
use super::collection::Collection;
use super::held::Held;
use crate::catalog::Generation;
use crate::sampling::Candidate;

/// Collections that have something to do, each once.
pub(crate) type Upkeep = VecDeque<(Bytes, Generation)>;

impl Shard {
    /// True if some vector was set or deleted, or some graph was grown, since that was forgotten.
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed
    }

    pub(crate) fn forget_change(&mut self) {
        self.has_changed = false;
    }

    /// Places of collections: every one that is held has a place below this.
    pub(crate) fn places(&self) -> u32 {
        self.collections.inspect(Held::places)
    }

    /// The collection at a place, if its recall may be sampled here: it is there, its name is owned here, and the part held
    /// here has a graph.
    pub(crate) fn candidate(&self, place: u32) -> Option<Candidate> {
        self.collections.inspect(|held| {
            let collection = held.at(place).filter(|collection| collection.has_graph())?;
            let schema = collection.schema();
            let newest = self.setup.catalog.newest(&schema.name)?;
            let is_there = newest.generation == schema.generation && self.owns_name(&schema.name);
            is_there.then(|| Candidate {
                schema: newest,
                version: collection.version(),
                live: collection.live(),
            })
        })
    }

    /// True if some collection has something to do.
    pub(crate) fn has_upkeep(&self) -> bool {
        !self.upkeep.is_empty()
    }

    /// Lets one collection work for a slice.
    pub(crate) fn keep_up(&mut self) {
        let Some((name, generation)) = self.upkeep.pop_front() else {
            return;
        };
        self.note_busy();
        let held = self.collections.get_mut(&name);
        // One that was dropped meanwhile has nothing to do any more.
        let Some(collection) = held.filter(|collection| collection.schema().generation == generation) else {
            return;
        };
        match collection.keep_up(&mut Work::new(self.setup.slice_work.div_ceil(CHORE_PART))) {
            Step::More => self.upkeep.push_back((name, generation)),
            // It may have got its graph.
            Step::Done(()) => self.has_changed = true,
        }
    }

    /// True if the collection whose turn it is has so much to do that others have to wait for it. If not, it is another one's
    /// turn: of many, one is looked at.
    pub(crate) fn finds_overdue(&mut self) -> bool {
        let Some((name, generation)) = self.upkeep.front() else {
            return false;
        };
        let overdue = self
            .collections
            .get(name)
            .filter(|collection| collection.schema().generation == *generation)
            .is_some_and(Collection::is_overdue);
        if !overdue {
            self.upkeep.rotate_left(1);
        }
        overdue
    }

    /// A collection has changed, or a query of it has ended: it may have found something to do.
    pub(super) fn note_upkeep(&mut self, name: &Bytes, generation: Generation) {
        if let Some(collection) = self.collections.get_mut(name)
            && collection.begin_upkeep()
        {
            self.upkeep.push_back((name.clone(), generation));
        }
    }
}

/// A slice of a chore is allowed such a part of an ordinary one: what it touches lies cold in memory. With a whole one, 200,000
/// vectors expiring beside queries on a busy machine had 116 slices above 0.9 ms, the longest 1.7; and a million vectors that
/// were freed had slices of 1.0 to 1.6 ms, eight mebibytes each.
pub(super) const CHORE_PART: u64 = 2;
