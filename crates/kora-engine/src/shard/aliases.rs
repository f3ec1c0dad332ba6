//! VECALIAS, on the shard that owns the alias's name: the only one that makes, changes or removes an alias or a collection of
//! that name, so that the one never hides the other.

use kora_keyspace::catalog::Generation;
use kora_resp::Reply;

use super::{ReplayFault, Shard};
use crate::command::limits::COLLECTION_NAME_BYTES_MAX;
use crate::command::{AliasChange, NameError};
use crate::error::ClientError;
use crate::limits::ALIASES_MAX;

impl Shard {
    /// Changes what an alias means; answers the whole reply.
    pub(super) fn change_alias(&mut self, change: AliasChange, now_ms: u64) -> Result<Reply, ClientError> {
        match change {
            AliasChange::Add { alias, collection } => {
                if let Some(collection) = self.setup.catalog.aliases().meaning(&alias) {
                    return Err(NameError::AliasExists {
                        alias: alias.to_vec(),
                        collection: collection.to_vec(),
                    }
                    .into());
                }
                self.set_alias(&alias, &collection, now_ms)
            }
            AliasChange::Set { alias, collection } => self.set_alias(&alias, &collection, now_ms),
            AliasChange::Delete(alias) => Ok(Reply::Integer(i64::from(self.keyspace.remove_alias(&alias)))),
        }
    }

    fn set_alias(&mut self, alias: &[u8], collection: &[u8], now_ms: u64) -> Result<Reply, ClientError> {
        // A collection of the alias's name that has expired goes first.
        self.resolve_live(alias, now_ms);
        let catalog = &self.setup.catalog;
        if catalog.newest(alias).is_some() {
            return Err(ClientError::CollectionExists {
                collection: alias.to_vec(),
            });
        }
        if !catalog.at(now_ms).holds(collection) {
            let nothing = || NameError::NothingToMean {
                collection: collection.to_vec(),
            };
            return Err(self.refuse_alias(collection).unwrap_or_else(|| nothing().into()));
        }
        // Each alias is counted once it is there: some workers may be at the last one at the same moment.
        if catalog.aliases().now().len() >= ALIASES_MAX && catalog.aliases().meaning(alias).is_none() {
            return Err(NameError::TooManyAliases.into());
        }
        let generation = catalog.next_generation();
        self.keyspace.set_alias(alias, collection, generation);
        Ok(Reply::ok())
    }

    /// Why a name can't be dropped as a collection's: it is an alias.
    pub(super) fn refuse_alias(&self, name: &[u8]) -> Option<ClientError> {
        let meant = self.setup.catalog.aliases().meaning(name)?;
        let (alias, collection) = (name.to_vec(), meant.to_vec());
        Some(NameError::IsAlias { alias, collection }.into())
    }

    /// Makes a record true: an alias means this collection, or nothing if it is empty.
    pub(super) fn replay_alias(&mut self, name: &[u8], collection: &[u8]) -> Result<(), ReplayFault> {
        if name.len().max(collection.len()) > COLLECTION_NAME_BYTES_MAX {
            let what = "an alias is longer than the limit".to_owned();
            return Err(ReplayFault { what });
        }
        match collection.is_empty() {
            true => drop(self.keyspace.remove_alias(name)),
            false => self.keyspace.set_alias(name, collection, Generation(0)),
        }
        Ok(())
    }
}
