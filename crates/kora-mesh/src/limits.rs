//! Every bound of this crate.

/// The most workers one mesh can have.
///
/// 256: beyond any single machine we expect to meet, and the mesh grows with its square: at 256 workers and the least
/// credit it already has 65,280 lanes.
pub const WORKERS_MAX: usize = 256;

/// The least credit [`credit_for`](crate::credit_for) gives a lane.
///
/// 64: one deep pipeline of one client still travels in one flush. A guess, not yet measured.
pub const CREDIT_MIN: usize = 64;

/// The most credit a lane can have.
///
/// 1,024: two workers then hold at most a thousand requests for each other, a few milliseconds of work; more would only
/// be a longer queue. A guess, not yet measured.
pub const CREDIT_MAX: usize = 1024;

/// The unanswered requests one worker may have in all, shared out evenly between its lanes.
///
/// 8,192: with messages of 64 bytes the rings of 8 workers take 7 MB, those of 64 workers 66 MB.
pub const CREDIT_TOTAL: usize = 8192;

/// So many requests staged for one peer are pushed at once, without waiting for the flush.
///
/// 16: the batch that pays for one write of the ring's tail; a peer that is awake can start on it while we go on.
/// Seastar chose the same figure.
pub const STAGED_MAX: usize = 16;

/// The buckets of a [`CopyOnWriteMap`](crate::CopyOnWriteMap).
///
/// 1,024: a change copies one bucket, so with 100,000 names it copies about a hundred entries. An empty map takes
/// 8 kB.
pub const MAP_BUCKETS: usize = 1024;

const _: () = assert!(
    CREDIT_MIN >= STAGED_MAX,
    "a full batch must fit into the smallest lane a server uses"
);
const _: () = assert!(CREDIT_MIN <= CREDIT_MAX && CREDIT_MAX <= CREDIT_TOTAL);
const _: () = assert!(WORKERS_MAX <= u16::MAX as usize + 1, "a WorkerId is a u16");
const _: () = assert!(MAP_BUCKETS.is_power_of_two(), "a bucket is chosen by masking a hash");
