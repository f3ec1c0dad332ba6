//! What VECALIAS changes.

use bytes::Bytes;

/// `VECALIAS ADD | SET alias collection`, `VECALIAS DEL alias`
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AliasChange {
    /// A new alias.
    Add {
        /// The other name.
        alias: Bytes,
        /// The collection's own name.
        collection: Bytes,
    },
    /// A new alias, or another meaning of one.
    Set {
        /// The other name.
        alias: Bytes,
        /// The collection's own name.
        collection: Bytes,
    },
    /// There shall be no such alias.
    Delete(Bytes),
}

impl AliasChange {
    /// The alias.
    pub fn alias(&self) -> &Bytes {
        match self {
            AliasChange::Add { alias, .. } | AliasChange::Set { alias, .. } | AliasChange::Delete(alias) => alias,
        }
    }

    /// Bytes held.
    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            AliasChange::Add { alias, collection } | AliasChange::Set { alias, collection } => {
                alias.len() + collection.len()
            }
            AliasChange::Delete(alias) => alias.len(),
        }
    }
}
