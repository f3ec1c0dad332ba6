//! What collections do for themselves when no command waits, and which of them may be sampled.

use kora_keyspace::collections::CollectionTable;
use kora_vector::Work;

use super::Shard;
use crate::budgets::CHORE_PART;
use crate::candidate::{Candidate, Version};

impl Shard {
    /// Places of collections: every one that is held has a place below this.
    pub(crate) fn places(&self) -> u32 {
        self.inspect_collections(CollectionTable::places)
    }

    /// The collection at a place, if its recall may be sampled here: it is there, its name is owned here, and the part held
    /// here has a graph.
    pub(crate) fn candidate(&self, place: u32) -> Option<Candidate> {
        self.inspect_collections(|collections| {
            let part = collections.at(place).filter(|part| part.has_graph())?;
            let schema = part.schema();
            let newest = self.setup.catalog.newest(&schema.name)?;
            let is_there = newest.generation == schema.generation && self.owns_name(&schema.name);
            is_there.then(|| Candidate {
                schema: newest,
                version: Version(part.version()),
                live: part.live(),
            })
        })
    }

    /// Lets one collection work for a slice.
    pub(crate) fn keep_up(&mut self) {
        self.note_busy();
        let mut work = Work::new(self.setup.slice_work.div_ceil(CHORE_PART));
        self.keyspace.keep_up(&mut work);
    }
}
