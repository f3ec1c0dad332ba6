//! Why a value could not be changed.

use std::{error, fmt};

/// Why a value could not be changed as asked; it is as it was. Displayed in Redis's words, without the code `ERR` before
/// them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueError {
    /// What should be an integer is none, or does not fit in 64 bits.
    NotAnInteger,
    /// What should be a float is none.
    NotAFloat,
    /// What a hash's field holds should be an integer and is none.
    FieldNotAnInteger,
    /// What a hash's field holds should be a float and is none.
    FieldNotAFloat,
    /// The sum does not fit in 64 bits.
    IntegerOverflow,
    /// The sum is too large for a float.
    FloatOverflow,
    /// A field cannot be changed by an infinite amount.
    NotFinite,
    /// The string would be longer than strings may be.
    TooLong,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueError::NotAnInteger => "value is not an integer or out of range",
            ValueError::NotAFloat => "value is not a valid float",
            ValueError::FieldNotAnInteger => "hash value is not an integer",
            ValueError::FieldNotAFloat => "hash value is not a float",
            ValueError::IntegerOverflow => "increment or decrement would overflow",
            ValueError::FloatOverflow => "increment would produce NaN or Infinity",
            ValueError::NotFinite => "value is NaN or Infinity",
            ValueError::TooLong => "string exceeds maximum allowed size (proto-max-bulk-len)",
        })
    }
}

impl error::Error for ValueError {}
