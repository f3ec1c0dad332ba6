//! An HNSW index, changed by one thread and searched by any while that leaves it alone: geometry, no I/O.
//!
//! # How to read this crate
//!
//! [`hnsw`] is the public face. Behind it, from the bottom: `distance/` sums over vectors, `arena` holds rows that do
//! not move while they are read, `floats`, `half`, `code`, `four` and `residual` are the forms a vector is kept in
//! and [`storage`] and `width` say which, `space` turns sums over rows into distances to a `probe` and `fold` minds
//! the ends of f32, `graph` holds the links and defines a sound graph, `states` knows what each slot is for, `beam` and
//! `scratch` are what a walk remembers, `parameters` says what it seeks and `stop_rule` how far it looks, `search` walks,
//! `select` chooses links, `insert` searches and then links, `replacement` lets a vector take the place of one near
//! it, `exact` measures everything, `in_place` searches what another thread owns, `together` lets several searches take
//! turns. `among` searches those that a filter admits, a set of which `matches` keeps, and `listed` measures all of
//! them. `meanwhile` knows what came and went while a search paused. `route` knows how a search for a new vector goes,
//! `astray` tells which walks ended in the wrong place, and `proof` walks to stored vectors and links those that are
//! not met. `sample` chooses vectors to measure recall with.
//! `consolidate` lets the dead leave and gives memory back; it mends the `tree` that makes all reachable and, with
//! `reconnect`, `repair_links` and `reselect_links`, their neighbours' lists.
//! `persist` is what the parts of a snapshot are read with, which `hnsw`, `graph` and `space` each have in a file of that name.
//!
//! # Departures from the paper
//!
//! The algorithm is that of Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
//! Hierarchical Navigable Small World graphs" (2018). What differs:
//!
//! 1. **The entry stays.** The first node linked is the entry, and is lifted to the highest layer there is, until it dies:
//!    then another one is. The paper makes each node that draws a new highest level the entry; for the walk one is as good
//!    as the other.
//! 2. **Every node has one pinned in-link per layer**, and these are a tree under the entry: so each node stays reachable
//!    however lists are cut. See `graph`.
//! 3. **One sorted beam** instead of a heap of candidates and a heap of results, and two candidates are expanded at once.
//!    See `beam` and `search`.
//! 4. **Duplicates take few links, and short lists are filled up.** The heuristic (algorithm 4) keeps a candidate as far from
//!    the node as from a kept one; if they are the same vector, it adds nothing and is left out. But a node is given half of M
//!    links in any case, the nearest, and a list that is cut keeps M: see `select`.
//! 5. **Deletion marks.** A walk expands a deleted node like any other, but the node takes no place among the results; the walk
//!    continues until enough live ones are found. Deleted nodes are removed later, in batches: see `consolidate`.
//! 6. **A search ends by distance.** It ends when the nearest unexpanded candidate is too far: see `stop_rule`.
//! 7. **The walk's distances are not the answer's.** The walk compares f32 sums; the hits are measured again in f64.
#![deny(unsafe_code)]

mod admission;
mod among;
mod arena;
mod astray;
mod beam;
#[cfg(feature = "bench")]
pub mod bench;
mod bits;
mod code;
mod code_width;
mod consolidate;
mod distance;
mod exact;
mod floats;
mod fold;
pub mod graph;
mod graph_parts;
mod half;
mod hit;
pub mod hnsw;
mod in_place;
mod insert;
mod int4;
mod level;
pub mod limits;
mod listed;
mod matches;
mod meanwhile;
pub mod metric;
pub mod pages;
mod persist;
mod probe;
mod proof;
mod reconnect;
mod repair_links;
mod replace;
mod rerank;
mod reselect_links;
mod residual;
mod route;
mod sample;
mod scratch;
mod search;
mod search_parameters;
mod select;
mod set_form;
mod slot_states;
mod sort;
mod space;
mod stop_rule;
pub mod storage;
mod tables;
mod together;
mod tree;
pub mod work;

pub use graph::Fault;
pub use hnsw::{Hit, Index, IndexCapture, IndexLoading, Memory, Parameters, Slot};
pub use in_place::SearchBuffers;
pub use insert::Insertion;
pub use matches::Matches;
pub use metric::{Metric, Refusal, vet};
pub use persist::LoadFault;
pub use search::{Search, Statistics};
pub use search_parameters::SearchParameters;
pub use set_form::{Quantisation, RawVector, project};
pub use storage::Storage;
pub use together::{Finished, SearchGroup};
pub use work::{Step, Work};
