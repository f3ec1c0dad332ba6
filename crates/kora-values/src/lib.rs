//! Values of keys, beside vectors: what they are and what may be done to them, exactly as Redis has it.
//!
//! This crate knows no key, no command, no clock and no socket. Randomness and limits come in as arguments; what may take
//! long is done in steps.
//!
//! | question | file |
//! |---|---|
//! | where are ten million entries found, and how are they scanned while they change? | `segment_table.rs` |

#![forbid(unsafe_code)]

pub mod segment_table;

pub use crate::segment_table::SegmentTable;
