//! Client-side caching: which connections are told of changed keys, and how.
//!
//! A shard remembers who reads which keys (`shard/tracking.rs`): the read and the note are one step, so no change is missed. When
//! a key changes, the worker of the shard sends invalidations to the workers of the clients, over the lanes that keep the order;
//! replies that were sent before an invalidation reach the client before it.

mod delivery;
mod news;
mod state;
mod switching;

pub(crate) use self::news::News;
pub(crate) use self::state::{Invalidation, NewsItem, PrefixList, Tracker, Tracking};
