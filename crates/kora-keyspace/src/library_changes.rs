//! The way to change which libraries of functions there are.

use bytes::Bytes;

use crate::changes::{Changed, Observer};
use crate::keyspace::Keyspace;
use crate::libraries::Library;
use crate::outcome::Outcome;

impl<O: Observer> Keyspace<O> {
    /// Lets libraries of these names go, and those others be there, at one moment. One shard does that, for all.
    pub fn change_libraries(&mut self, gone: &[Bytes], set: &[Library]) {
        let (before, now) = self.catalog.change_libraries(gone, set);
        self.libraries_bytes = now.bytes();
        self.begin_batch();
        for name in gone {
            if before.get(name).is_some() && now.get(name).is_none() {
                self.changes
                    .commit(Changed::elsewhere(), || Outcome::LibraryGone { name });
            }
        }
        for library in set {
            self.changes
                .commit(Changed::elsewhere(), || Outcome::LibrarySet { library });
        }
        self.end_batch();
    }
}
