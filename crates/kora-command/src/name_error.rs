//! What can be wrong with the names of collections and of their elements.

use std::fmt;

use kora_values::said_name;

use crate::error::{ClientError, Quoted};
use crate::limits::ALIASES_MAX;

/// Why a name is refused. `Display` is the error reply.
#[derive(Clone, PartialEq, Debug)]
pub enum NameError {
    /// COLLECTION where an element is named, without the words that belong to it.
    ElementSyntax,
    /// VECALIAS ADD of an alias that exists.
    AliasExists {
        /// The alias.
        alias: Vec<u8>,
        /// What it means.
        collection: Vec<u8>,
    },
    /// An alias where a collection's own name is wanted.
    IsAlias {
        /// The alias.
        alias: Vec<u8>,
        /// What it means.
        collection: Vec<u8>,
    },
    /// VECALIAS of a collection that does not exist.
    NothingToMean {
        /// Its name.
        collection: Vec<u8>,
    },
    /// There are as many aliases as there can be.
    TooManyAliases,
    /// RENAME of a vector set of very many bytes.
    SetTooLarge {
        /// Its name.
        name: Vec<u8>,
        /// How many.
        bytes: usize,
    },
}

impl From<NameError> for ClientError {
    fn from(error: NameError) -> ClientError {
        ClientError::Name(error)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ElementSyntax => f.write_str(
                "ERR an element is named by its key, or by COLLECTION, its collection's name, ELEMENT and its name there",
            ),
            Self::AliasExists { alias, collection } => write!(
                f,
                "ERR '{}' is an alias of '{}' already: VECALIAS SET changes it",
                Quoted(said_name(alias)),
                Quoted(said_name(collection))
            ),
            Self::IsAlias { alias, collection } => write!(
                f,
                "ERR '{}' is an alias of '{}': the collection's own name is wanted here",
                Quoted(said_name(alias)),
                Quoted(said_name(collection))
            ),
            Self::NothingToMean { collection } => write!(f, "ERR no such collection '{}'", Quoted(said_name(collection))),
            Self::TooManyAliases => write!(f, "ERR there are {ALIASES_MAX} aliases, and there can't be more"),
            Self::SetTooLarge { name, bytes } => write!(
                f,
                "ERR the vector set '{}' has {bytes} bytes, which is too much to be renamed at once: VECALIAS gives it another name",
                Quoted(said_name(name))
            ),
        }
    }
}
