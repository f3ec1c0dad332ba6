//! Where dropped collections wait to be freed: in slices, when there is time, so that dropping a million vectors costs
//! nobody anything.

use std::collections::VecDeque;

use kora_vector::{Step, Work};

use super::collection::Remains;
use super::held::LetGo;

/// What is to be freed, oldest first. It holds what was once held live and grows by nothing else, so it needs no limit.
#[derive(Default)]
pub(crate) struct Graveyard {
    remains: VecDeque<Remains>,
    /// Whole tables of collections, taken by FLUSHALL.
    tables: VecDeque<LetGo>,
}

impl Graveyard {
    pub(crate) fn bury(&mut self, remains: Remains) {
        self.remains.push_back(remains);
    }

    pub(crate) fn bury_all(&mut self, table: LetGo) {
        self.tables.push_back(table);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remains.is_empty() && self.tables.is_empty()
    }

    /// Frees for one slice.
    pub(crate) fn dismantle(&mut self, work: &mut Work) {
        while !work.is_spent() {
            if let Some(remains) = self.remains.front_mut() {
                if let Step::Done(()) = remains.dismantle(work) {
                    self.remains.pop_front();
                }
                work.spend(COLLECTION_FREE_WORK);
                continue;
            }
            let Some(table) = self.tables.front_mut() else { return };
            match (table.collections.next(), table.names.next()) {
                (None, None) => drop(self.tables.pop_front()),
                (collection, _name) => {
                    let remains = collection.flatten().map(|collection| collection.into_remains());
                    self.remains.extend(remains);
                    work.spend(NAME_FREE_WORK);
                }
            }
        }
    }
}

/// A name and a place in the table.
const NAME_FREE_WORK: u64 = 256;

/// The fixed parts of a collection: about ten blocks to give back.
const COLLECTION_FREE_WORK: u64 = 2048;
