//! Keys with strings and hashes.

mod changing;
mod due_fields;
mod entry;
mod fields;
mod key_table;
mod key_tables;

pub use self::entry::{KeyEntry, MovedValue, Value, ValueRef};
pub use self::fields::FieldEdit;
pub(crate) use self::key_table::Due;
pub use self::key_table::{KeyTable, PREFETCHED_MAX};
pub use self::key_tables::KeyTables;
