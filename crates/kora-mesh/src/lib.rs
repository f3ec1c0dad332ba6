//! Messages between workers: lanes, credits, doorbells, and the few things all workers may read.
//!
//! A *worker* is a thread that owns its data alone. It requests other workers' data by a message, or reads it under a lease.
//! This crate is the only way between workers, and knows nothing of what the messages mean. All atomics of the project are
//! here (except the graph's links), and so is the reasoning about them.
//!
//! # The parts
//!
//! | file | what it answers |
//! |---|---|
//! | `mesh.rs` | who is connected to whom, and how long are the rings |
//! | `port.rs` | what can one worker do: ask, answer, flush, sleep |
//! | `lane.rs` | why does an answer always find room, so that full rings cannot deadlock |
//! | `doorbell.rs` | why is no wake-up lost, and why does a busy worker cost no system call |
//! | `copy_on_write_map.rs` | how do all workers read one map without a lock while owners change it |
//! | `sequence.rs`, `flag.rs` | numbers that no two workers draw twice; a flag that is raised once |
//! | `shared_deadline.rs`, `gauge.rs`, `shared_counter.rs` | a deadline on which all workers agree; numbers that all may read |
//! | `budget.rs` | how do all workers draw on one amount |
//! | `latest.rs` | a value that all may read and one replaces at a time |
//! | `read_lease.rs` | how do other workers read data while its owner does not change it |
//! | `ring.rs` | the ring under a lane (rtrb), and its twin for the model checker |
//! | `limits.rs` | every bound, with where it came from |
//!
//! # A turn of a worker
//!
//! ```
//! use std::task::Waker;
//! use kora_mesh::{Armed, build};
//!
//! let mut ports = build::<&str, usize>(2, 4);
//! let mut second = ports.pop().expect("two workers");
//! let mut first = ports.pop().expect("two workers");
//!
//! first.stage(second.worker(), "how long is this?");
//! first.flush();
//!
//! let question = second.take_request(first.worker()).expect("it was flushed");
//! second.answer(first.worker(), question.len());
//! second.flush();
//!
//! assert_eq!(first.take_reply(second.worker()), Some(17));
//! // Nothing waits and no reply is owed, so the worker may sleep; new work wakes it.
//! assert_eq!(first.arm(Waker::noop(), || false), Armed::Park);
//! ```
//!
//! # Three promises
//!
//! 1. **Answering never fails and no worker ever waits for a worker** (`lane.rs`): the reply ring is as long as the
//!    credit, so full rings cannot deadlock. A capacity proves it, not a time-out.
//! 2. **No wake-up is lost** (`doorbell.rs`): publish, fence, look again.
//! 3. **A lane is first in, first out**: requests to one worker arrive in the order they were staged, and replies in
//!    the order they were answered. Nothing is promised between lanes.
//!
//! `tests/loom.rs` checks 1 and 2 with a model checker, `tests/model.rs` 1 and 3 against a naive twin, `tests/soak.rs`
//! all three on real threads that really sleep.

#![forbid(unsafe_code)]

mod budget;
mod copy_on_write_map;
mod doorbell;
mod durability;
mod flag;
mod gauge;
mod lane;
mod latest;
pub mod limits;
mod mesh;
mod port;
mod read_lease;
mod ring;
mod sequence;
mod shared_counter;
mod shared_deadline;
mod sync;
mod use_table;

pub use budget::Budget;
pub use copy_on_write_map::{Bucket, CopyOnWriteMap, Decision};
pub use doorbell::{Armed, Doorbell};
pub use durability::{Durability, Phase, Told, Trouble};
pub use flag::Flag;
pub use gauge::Gauge;
pub use latest::Latest;
pub use mesh::{WorkerId, build, credit_for};
pub use port::{Port, PortStats};
pub use read_lease::ReadLease;
pub use sequence::Sequence;
pub use shared_counter::SharedCounter;
pub use shared_deadline::SharedDeadline;
pub use use_table::UseTable;
