//! The budgets of time that act together, and the prices of work that they are spent on. What bounds memory and counts
//! stands in `limits.rs`.
//!
//! A worker serves everything in one loop, so each part of it hands the thread back after a while:
//!
//! ```text
//! slice        one piece of one client's command on a shard     SLICE_WORK, about 0.2 to 0.5 ms
//! round        one slice of each shard, one ask to the worker   ≤ (shards of the worker + 1) slices
//! turn         rounds until TURN_BUDGET_US have passed          ≤ TURN_BUDGET_US + one round
//!              or DELIVERY_US, if there is something to deliver ≤ DELIVERY_US + one round
//! connection   decodes and submits for DECODE_US, executes      ≤ DECODE_US + INLINE_BUDGET_US + one round
//!              small commands for INLINE_BUDGET_US
//! ```
//!
//! Many connections may be served between two turns: each lets the engine have its turn if the last one ended
//! TURN_DUE_US ago. So a peer's request waits for one connection's share, or for one turn, and not for the number of
//! connections.

use crate::limits::QUEUED_PER_SLICE;

/// Work of one slice, in component reads (see `kora_vector::Work`): about 0.2 to 0.5 ms on a Zen 3 core with rows that
/// come from memory. Long enough that nearly every query and every insert below 400 dimensions is one slice.
pub const SLICE_WORK: u64 = 1 << 20;

/// A slice of a maintenance task is allowed such a part of an ordinary one: what it touches lies cold in memory. With a whole
/// one, 200,000 vectors expiring beside queries on a busy machine had 116 slices above 0.9 ms, the longest 1.7; and a million
/// vectors that were freed had slices of 1.0 to 1.6 ms, eight mebibytes each.
pub const CHORE_PART: u64 = 2;

/// The default of `turn-budget-us`: how long a turn executes before it looks at its sockets. As long as one long slice, so
/// that a turn is not made of less than what cannot be interrupted.
pub const TURN_BUDGET_US: u64 = 500;

/// After so many microseconds a turn ends early if it has something to deliver: a reply to a client, an answer to a peer.
/// Delivering costs one or two microseconds, so that this costs a loaded worker about one part in a hundred, and a query
/// beside a loader waits for a tenth of a millisecond instead of a whole turn.
pub const DELIVERY_US: u64 = 100;

/// How long a worker works on a snapshot before it rests, in microseconds: as long as a turn.
pub const CAPTURE_BURST_US: u64 = TURN_BUDGET_US;

/// How long that rest is, in microseconds: with it a snapshot takes an eighth of a worker's time while clients ask. With a
/// quarter, the p99 of PING was 2.1 times what it is without a snapshot; with an eighth 1.7 and 2.1 times in two runs. A
/// million keys and 200,000 vectors take 2.2 s instead of 1.4.
pub const CAPTURE_REST_US: u64 = 7 * CAPTURE_BURST_US;

/// Time spent executing inside connections' own tasks between two turns, in microseconds: beyond it commands wait for the
/// turn, so that a deep pipeline cannot keep the worker from its peers and its other sockets.
pub const INLINE_BUDGET_US: u64 = 100;

/// How long connections' tasks may go on without a turn, in microseconds: as long as they may execute commands by themselves.
pub const TURN_DUE_US: u64 = INLINE_BUDGET_US;

/// How long a connection's requests are decoded at one go, in microseconds, however few they are: COMMAND DOCS takes as long
/// as a hundred others.
pub const DECODE_US: u64 = 200;

/// How long may pass, in microseconds, before the thread's CPU clock is read again: a system call that would cost too
/// much for each command. So `slice_us_max` may count so much of what was executed before.
pub const CPU_LOOK_US: u64 = 200;

const _: () = assert!(INLINE_BUDGET_US <= DELIVERY_US && DELIVERY_US <= TURN_BUDGET_US);
const _: () = assert!(DECODE_US + INLINE_BUDGET_US <= TURN_BUDGET_US);

/// The price of looking at one of several keys: each takes well under a microsecond.
pub const KEY_WORK: u64 = SLICE_WORK / 512;

/// The price of a command of a transaction, beside what it does: it is looked at, sent, executed, and its answer is taken, in
/// about a microsecond each.
pub const QUEUED_WORK: u64 = SLICE_WORK / QUEUED_PER_SLICE as u64;

/// The price of a byte of a key that is hashed or compared: a slice takes 256 KiB of them.
pub const KEY_BYTE_WORK: u64 = SLICE_WORK / (256 << 10);

/// The price of deleting a key or a field, because it expired or a command says so. What it held lies anywhere in memory,
/// and where many go, each may be the last on its page, which then goes back to the system.
pub const DELETION_WORK: u64 = SLICE_WORK / 32;

/// The price of deleting a vector: under a microsecond.
pub const ELEMENT_WORK: u64 = SLICE_WORK / 512;

/// The price of looking at a field of a hash.
pub const FIELD_WORK: u64 = SLICE_WORK / 512;

/// The price of a byte of fields and values that is read or written: a slice copies 256 KiB, in some tens of microseconds.
pub const FIELD_BYTE_WORK: u64 = SLICE_WORK / (256 << 10);

/// The price of a byte of a large string that is copied or cleared: a slice takes 256 KiB. The first touch of their pages
/// takes most of the time, about 0.1 ms.
pub const STRING_BYTE_WORK: u64 = SLICE_WORK / (256 << 10);

/// The price of a byte of a watched key that is hashed: about a nanosecond.
pub const WATCHED_BYTE_WORK: u64 = SLICE_WORK / (256 << 10);

/// The price of looking up a watched key, short as it is.
pub const WATCHED_KEY_WORK: u64 = 256 * WATCHED_BYTE_WORK;

/// The price of a byte of arguments and replies in a message of several commands: a slice takes 64 KiB.
pub const MESSAGE_BYTE_WORK: u64 = SLICE_WORK / (64 << 10);

/// The price of a byte of a dump of functions that its checksum is of, or that is read: two or three nanoseconds.
pub const CHECKED_BYTE_WORK: u64 = SLICE_WORK / (64 << 10);

/// The price of a step of SCAN: it passes a key, or holds one against a pattern.
pub const SCAN_WORK: u64 = SLICE_WORK / 512;

/// The price of a collection's name in VECLIST or FLUSHALL: to withdraw one and free what was said of it takes about half a
/// microsecond.
pub const NAME_WORK: u64 = SLICE_WORK / 1024;

/// The price of a hit of a query that is merged with those of other shards: about a tenth of a microsecond.
pub const HIT_WORK: u64 = SLICE_WORK / 4096;

/// The price of a byte of attributes in which the value of a path is looked for: about a nanosecond.
pub const ATTRIBUTE_BYTE_WORK: u64 = SLICE_WORK / (256 << 10);
