//! Every bound of this crate, by name.

/// Bytes of a script's text. Its compilation can't be interrupted and takes about 10 ms for so many; the longest scripts
/// of well-known libraries have 60 KB.
pub const SCRIPT_BYTES_MAX: usize = 256 * 1024;

/// Memory that a script may hold, in bytes: strings, tables, and what the collector has not freed yet. To grow the largest table
/// of so many takes some milliseconds, which nothing can interrupt.
pub const MEMORY_BYTES_MAX: usize = 16 << 20;

/// Work of one slice, in units of about a nanosecond: as long as a slice of other commands.
pub(crate) const SLICE_WORK: u64 = 200_000;

/// Lua instructions after which the hook charges their work.
pub(crate) const INSTRUCTIONS_PER_CHARGE: i32 = 100;

/// Work of so many instructions: 10 ns each.
pub(crate) const CHARGE_WORK: u64 = 1_000;

/// Work of one command, without what it does to data.
pub(crate) const CALL_WORK: u64 = 1_000;

/// Work of one element that is converted or copied between Lua and Rust.
pub(crate) const ELEMENT_WORK: u64 = 100;

/// Allocations of fewer bytes are charged with the instructions that make them.
pub(crate) const SMALL_BYTES: usize = 4_096;

/// Stack of a script in bytes, of which the system gives what is touched. Lua nests at most 200 calls of C functions,
/// the deepest recursion of this crate is [`JSON_DEPTH_MAX`].
pub(crate) const STACK_BYTES: usize = 2 << 20;

/// Compiled scripts that a machine keeps; with one more it forgets all and compiles anew. The same of libraries.
pub(crate) const COMPILED_MAX: usize = 1_024;

/// Functions of one library.
pub const LIBRARY_FUNCTIONS_MAX: usize = 1_024;

/// Bytes of the name of a library or a function.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of what a library says of one of its functions.
pub const DESCRIPTION_BYTES_MAX: usize = 4_096;

/// How deep tables may nest in a reply.
pub(crate) const REPLY_DEPTH_MAX: usize = 200;

/// How deep JSON may nest, as in Redis.
pub(crate) const JSON_DEPTH_MAX: usize = 1_000;

/// How deep MessagePack may nest, as in Redis.
pub(crate) const PACK_DEPTH_MAX: usize = 16;

/// How deep the matcher of patterns recurses.
pub(crate) const PATTERN_DEPTH_MAX: usize = 200;

/// Captures of one pattern, as in Lua.
pub(crate) const CAPTURES_MAX: usize = 32;

/// Values that a function may return or take at once: Lua's stack has room for 8,000.
pub(crate) const VALUES_MAX: usize = 7_000;

/// Bytes of a message that redis.log writes.
pub const LOG_BYTES_MAX: usize = 1_024;
