//! An HNSW index owned by one thread: geometry, no I/O.
//!
//! # How to read this crate
//!
//! [`hnsw`] is the public face. Behind it, from the bottom: `distance/` sums over vectors, `arena` holds rows that
//! never move, `floats`, `half`, `code` and `residual` are the forms a vector is kept in and [`storage`] says which,
//! `space` turns sums over rows into distances and `fold` minds the ends of f32, `graph` holds the links and defines a
//! sound graph, `pool` and `scratch` are what a walk remembers, `search` walks, `select` chooses links, `insert`
//! searches and then links, `exact` measures everything.
//!
//! # Departures from the paper
//!
//! The algorithm is that of Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
//! Hierarchical Navigable Small World graphs" (2018). What differs:
//!
//! 1. **The entry never moves.** The first node linked stays the entry, and is lifted to the highest layer there is. The
//!    paper makes each node that draws a new highest level the entry; for the walk one is as good as the other, and a fixed
//!    root lets an operation be suspended without watching it.
//! 2. **Every node has one pinned in-link per layer**, from a node linked before it: so each node stays reachable however
//!    lists are cut. See `graph`.
//! 3. **One sorted pool** instead of a heap of candidates and a heap of results. See `pool`.
//! 4. **Duplicates take one link.** The heuristic (algorithm 4) keeps a candidate as far from the node as from a kept one; if
//!    they are the same vector, it adds nothing and is left out, so that a thousand copies do not fill each other's lists.
//! 5. **Removal marks.** A dead node is walked and linked like any other and takes no place among the results; the walk
//!    goes on until enough living ones are found.
//! 6. **The walk's distances are not the answer's.** The walk compares f32 sums; the hits are measured again in f64.
#![deny(unsafe_code)]

mod arena;
#[cfg(feature = "bench")]
pub mod bench;
mod code;
mod distance;
mod exact;
mod floats;
mod fold;
pub mod graph;
mod half;
pub mod hnsw;
mod insert;
mod level;
pub mod limits;
pub mod metric;
mod pool;
mod residual;
mod roll;
mod scratch;
mod search;
mod select;
mod sort;
mod space;
pub mod storage;
pub mod work;

pub use graph::Fault;
pub use hnsw::{Hit, Index, Memory, Parameters, Slot};
pub use insert::Insertion;
pub use metric::{Metric, Refusal, vet};
pub use search::{Search, Statistics};
pub use storage::Storage;
pub use work::{Step, Work};
