//! What a peer may ask for at most.

/// Bytes of an expression. Each candidate of a search is tested with all of it: 16 KiB hold a list of a thousand numbers.
pub const EXPRESSION_BYTES_MAX: usize = 16 << 10;

/// Fields that an expression may name: each is looked for in the whole of the attributes. Together with the lengths it bounds
/// one test to some milliseconds.
pub const FIELDS_MAX: usize = 64;

/// Bytes of a vector's attributes. A filter reads them for each candidate: at about a gigabyte per second this is a
/// tenth of a millisecond for one vector.
pub const ATTRIBUTES_BYTES_MAX: usize = 64 << 10;

/// How deep JSON may be nested in attributes that are checked. The same as in widely used parsers.
pub const NESTING_MAX: usize = 128;

/// Steps of a path, names and places.
pub const PATH_STEPS_MAX: usize = 32;

/// Bytes of a text that is read as a number; longer ones are none. Redis's limit.
pub(crate) const NUMBER_BYTES_MAX: usize = 255;
