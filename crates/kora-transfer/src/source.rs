//! Where rows come from.

use serde::{Deserialize, Serialize};

use crate::error::TransferError;
use crate::row::Row;

/// A file or a server that yields rows in an order that is the same each time.
pub(crate) trait RowSource {
    /// The next row, or `None` behind the last.
    ///
    /// # Errors
    /// What makes it impossible to read on. A row that is bad by itself is a [`Taken`] with a reason.
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError>;

    /// How far the source was read: to show progress, in the unit of [`RowSource::length`].
    fn done(&self) -> u64;

    /// All that there is to read, in bytes or keys; `None` if that is not known.
    fn length(&self) -> Option<u64>;

    /// Where reading would go on behind the last row taken.
    fn position(&self) -> Position;

    /// What the source has that does not travel, one line for each kind.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A row, and where it stands.
pub(crate) struct Taken {
    /// Reading from here yields this row first, or some that were before it.
    pub(crate) position: Position,
    /// The row, or why it is none.
    pub(crate) row: Result<Row, String>,
}

/// A place in a source. The order of places is the order of rows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Position {
    /// Rows before it; in a text file lines.
    pub(crate) rows: u64,
    /// A byte of the file, or the cursor of SCAN.
    pub(crate) offset: u64,
}
