//! Apache Parquet: columns in groups of rows, each column in pages.
//!
//! The crate `parquet` of Apache is not used. Its decoders panic on pages that contradict each other, which ends a program
//! that is built with `panic = "abort"`, its schema reader recurses as deep as a file says, and lengths that a header
//! announces are allocated. Here every length is checked against the bytes that are there.
//!
//! | read | how |
//! |---|---|
//! | pages | versions 1 and 2; not compressed, or by Snappy, gzip or Zstandard |
//! | encodings | all that the format defines but the deprecated `BIT_PACKED` |
//! | columns | values and lists of values: all types but `INT96`, decimal numbers and intervals |
//!
//! After the specification of the format, `apache/parquet-format`.

mod cell;
mod column;
mod footer;
mod hybrid;
mod page;
mod rows;
mod schema;
mod thrift;
mod values;
mod writer;

pub(super) use rows::ParquetRows;
pub(super) use writer::ParquetWriter;

/// The text of the footer that holds the parameters of the collection, as a line of JSON Lines does.
const COLLECTION_TEXT: &str = "kora.collection";

#[cfg(test)]
mod tests;
