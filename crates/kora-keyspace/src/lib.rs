//! All data of one shard, and the one place where it changes.
//!
//! A [`Keyspace`] holds the keys, the parts of collections and their deadlines. It knows nothing of commands, of clients or of
//! where a key belongs. Whatever changes ends in a commit: it is counted, it gets a [`Sequence`], and an [`Observer`] sees the
//! [`Outcome`]: what became true. Another keyspace that applies the outcomes of one becomes equal to it.

#![forbid(unsafe_code)]

mod alias_changes;
mod aliases;
mod apply;
pub mod catalog;
mod changes;
pub mod collections;
mod compare;
mod drop_queue;
mod eviction;
mod expiry;
mod key;
pub mod keys;
mod keyspace;
mod libraries;
mod library_changes;
pub mod limits;
mod outcome;
mod time;

pub use self::aliases::{AliasTable, Aliases};
pub use self::changes::{Observer, Sequence, Totals};
pub use self::eviction::{EvictionChoice, EvictionPolicy, UseNote, UseRule};
pub use self::key::{KeyType, ResolvedKey, element_of, key_of};
pub use self::keys::ValueRef;
pub use self::keyspace::{KeyCounts, Keyspace, MemoryUse, Refusal};
pub use self::libraries::{Libraries, Library, LibraryFunction};
pub use self::outcome::{Cause, Outcome, VectorRow};
pub use self::time::{NEVER_MS, seconds};
