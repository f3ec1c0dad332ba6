//! VECALIAS, on the shard that owns the alias's name: the only one that makes, changes or removes an alias or a collection of
//! that name, so that the one never hides the other.

use kora_resp::Reply;

use super::Shard;
use crate::command::AliasChange;
use crate::error::ClientError;
use crate::limits::ALIASES_MAX;

impl Shard {
    /// Changes what an alias means; answers the whole reply.
    pub(super) fn change_alias(&mut self, change: AliasChange, now_ms: u64) -> Result<Reply, ClientError> {
        match change {
            AliasChange::Add { alias, collection } => {
                if let Some(collection) = self.setup.catalog.aliases().meaning(&alias) {
                    return Err(ClientError::AliasExists {
                        alias: alias.to_vec(),
                        collection: collection.to_vec(),
                    });
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
            return Err(match catalog.aliases().meaning(collection) {
                Some(meant) => ClientError::NameOfAlias {
                    alias: collection.to_vec(),
                    collection: meant.to_vec(),
                },
                None => ClientError::NoCollectionToMean {
                    collection: collection.to_vec(),
                },
            });
        }
        // Each alias is counted once it is there: some workers may be at the last one at the same moment.
        if catalog.aliases().now().len() >= ALIASES_MAX && catalog.aliases().meaning(alias).is_none() {
            return Err(ClientError::TooManyAliases);
        }
        let generation = catalog.next_generation();
        self.keyspace.set_alias(alias, collection, generation);
        Ok(Reply::ok())
    }

    /// Why a name can't be dropped as a collection's: it is an alias.
    pub(super) fn refuse_alias(&self, name: &[u8]) -> Option<ClientError> {
        let meant = self.setup.catalog.aliases().meaning(name)?;
        Some(ClientError::NameOfAlias {
            alias: name.to_vec(),
            collection: meant.to_vec(),
        })
    }
}
