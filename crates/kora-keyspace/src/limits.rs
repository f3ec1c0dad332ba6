//! Every bound of a shard's data, by name.

/// Longest key (`collection:element`), in bytes.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// Work of one slice, in component reads (see `kora_vector::Work`): about 0.2 to 0.5 ms on a Zen 3 core with rows that
/// come from memory. Long enough that nearly every query and every insert below 400 dimensions is one slice.
pub const SLICE_WORK: u64 = 1 << 20;

/// Keys or fields that one slice deletes, because they expired or a command says so. What they held lies anywhere in memory,
/// and where many go, each may be the last on its page, which then goes back to the system.
pub const DELETED_PER_SLICE: usize = 32;

/// Bits of a name's hash by which a scan goes: a cursor of SCAN has room for them beside the shard and the collection, and
/// few names of a million share a prefix.
pub const SCAN_PREFIX_BITS: u32 = 19;

/// Names of collections looked at in one slice: to withdraw one and free what was said of it takes about half a
/// microsecond.
pub const NAMES_PER_SLICE: usize = 1024;

/// To look at a bucket of the catalog costs about as much as to look at so many names.
pub const BUCKET_WORK: usize = 64;

/// Places of collections looked at in one slice of FLUSHALL or DBSIZE.
pub const PLACES_PER_SLICE: u32 = 512;

/// From this length on a string that is edited is told by what was written, and not whole.
pub const EDITED_BYTES_MIN: usize = 512;

/// Filters of which a part of a collection remembers what passes: each change of attributes is tested against all of them, and
/// each takes a bit for a vector.
pub const FILTERS_KEPT_MAX: usize = 16;
