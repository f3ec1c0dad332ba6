//! The limits of this crate, each with its reason, and the relations between them checked at compile time.

/// The widest vector: 256 KiB of f32. No embedding model in use is wider than a tenth of it.
pub const DIMENSION_MAX: usize = 65_536;

/// The fewest links a node may be given. With one, a layer is a chain and the heuristic has nothing to choose.
pub const M_MIN: usize = 2;

/// The most links a node may be given on an upper layer; the base layer holds twice as many. The paper sees no use
/// beyond 48; the limit keeps one expansion (a node's whole list) short enough for a slice.
pub const M_MAX: usize = 512;

/// The deepest search, and the deepest an insertion may look.
pub const EF_MAX: usize = 100_000;

/// The most results of one query.
pub const K_MAX: usize = 100_000;

/// Slots are numbered below this. The top bit of a link word says that the link is pinned, and the word of all ones
/// ends a list, so a slot has 31 bits and never all of them.
pub const SLOTS_MAX: usize = (1 << 31) - 1;

/// The highest layer. At M 16 layer 7 already takes 16⁷ = 268 million vectors to be expected; only tiny M come near.
pub const LAYER_MAX: usize = 24;

/// Pools of scratch kept by an index between operations. A guess: more than this many searches suspended at once on one
/// index means deep queries, and those pay for their own memory.
pub const SCRATCH_KEPT_MAX: usize = 8;

/// Pages that tables may have asked for and not got yet. Each is made in milliseconds; a table that asks for one more makes
/// it itself.
pub const PAGES_ORDERED_MAX: usize = 64;

/// How many vectors may become live between two slices of a search before it has to begin again. A guess: far more than the
/// other clients of a worker can set in one turn, and 256 KiB.
pub const ARRIVALS_MAX: usize = 65_536;

/// Times that a search begins again because vectors that it had found were removed or replaced and others may have their places.
/// A guess: where more is removed meanwhile each time, nothing is gained by another one.
pub const SEARCHES_AGAIN_MAX: u8 = 3;

/// How many equals of the k-th result an exact search returns beyond k. Beyond it the caller's order among equals is
/// cut by slot. A guess: far above honest ties, far below what a reply could carry.
pub const TIES_MAX: usize = 1_024;

const _: () = assert!(M_MIN >= 2, "the level multiplier 1/ln(M) needs M above 1");
const _: () = assert!(
    2 * M_MAX < u16::MAX as usize,
    "a list's length fits 16 bits wherever it is counted"
);
const _: () = assert!(
    SLOTS_MAX < (u32::MAX >> 1) as usize + 1,
    "a slot leaves the top bit of its link word free"
);
const _: () = assert!(K_MAX <= EF_MAX, "a search as deep as it may be can fill every k");
