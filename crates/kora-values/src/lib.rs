//! Values of keys, beside vectors: what they are and what may be done to them, exactly as Redis has it.
//!
//! This crate knows no key, no command, no clock and no socket. Randomness and limits come in as arguments; what may take
//! long is done in steps.
//!
//! | question | file |
//! |---|---|
//! | what is a string, and what may be done to it? | `string_value.rs` |
//! | what is a hash, and what may be done to it? | `hash_value.rs`; small ones `hash_value/small.rs`, with deadlines `timed.rs`; large ones `large.rs` |
//! | how are some of its fields drawn? | `hash_value/sample.rs` |
//! | which text is an integer? | `integer.rs` |
//! | which text is a float, and how is a sum of floats printed? | `float.rs` |
//! | what does a client read when it cannot be done? | `error.rs` |
//! | how much memory does a block take? | `block.rs` |
//! | which database does a stored name belong to? | `database.rs` |
//! | where do millions of small records lie, and what do they take? | `packed_table.rs` |
//! | what is due first? | `deadline_index.rs` |
//! | where are ten million entries found, and how are they scanned while they change? | `segment_table.rs` |

#![forbid(unsafe_code)]

mod block;
pub mod database;
mod deadline_index;
mod directory;
mod error;
mod float;
mod hash_value;
mod integer;
pub mod packed_table;
pub mod segment_table;
mod string_value;

pub use crate::block::block_bytes;
pub use crate::database::{Database, said_name};
pub use crate::deadline_index::{DeadlineIndex, NEVER_MS};
pub use crate::error::ValueError;
pub use crate::float::LongDouble;
pub use crate::hash_value::{
    Field, FieldValue, HashEncoding, HashPacking, HashRef, HashValue, SMALL_BYTES_MAX, SMALL_FIELDS_MAX, Sample,
};
pub use crate::integer::Digits;
pub use crate::packed_table::PackedTable;
pub use crate::segment_table::SegmentTable;
pub use crate::string_value::{StringEncoding, StringPacking, StringRef, StringValue};
