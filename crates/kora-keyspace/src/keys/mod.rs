//! Keys with strings and hashes.

mod changing;
mod fields;
mod key_table;

pub use self::fields::FieldEdit;
pub(crate) use self::key_table::Due;
pub use self::key_table::{Entry, KeyTable, LOOKED_FOR_MAX, MovedValue, Value};
