//! Changes of aliases: each ends in a commit.

use bytes::Bytes;

use crate::aliases::Meaning;
use crate::catalog::Generation;
use crate::changes::{Changed, Observer};
use crate::keyspace::Keyspace;
use crate::outcome::Outcome;

impl<O: Observer> Keyspace<O> {
    /// Lets an alias mean this collection from now on. The caller owns the alias's name and has seen that no collection has it.
    pub fn set_alias(&mut self, name: &[u8], collection: &[u8], generation: Generation) {
        let collection = Bytes::copy_from_slice(collection);
        let meaning = Meaning {
            collection: collection.clone(),
            generation,
        };
        self.catalog.aliases().replace(name, Some(meaning));
        self.tell_alias(name, Some(&collection));
    }

    /// Takes an alias away; false if there is none of that name. The caller owns the name.
    pub fn remove_alias(&mut self, name: &[u8]) -> bool {
        let aliases = self.catalog.aliases();
        if aliases.meaning(name).is_none() {
            return false;
        }
        aliases.replace(name, None);
        self.tell_alias(name, None);
        true
    }

    /// Takes away the older ones of those aliases whose names `owns` says are this shard's.
    pub fn remove_aliases_before(&mut self, before: Generation, owns: impl Fn(&[u8]) -> bool) {
        let table = self.catalog.aliases().now();
        for name in table.before(before).filter(|name| owns(name)) {
            self.remove_alias(name);
        }
    }

    fn tell_alias(&mut self, alias: &[u8], collection: Option<&[u8]>) {
        self.changes
            .commit(Changed::elsewhere(), || Outcome::Aliased { alias, collection });
    }
}
