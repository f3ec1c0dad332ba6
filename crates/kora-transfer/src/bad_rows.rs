//! Rows that are bad: counted, the first ones named.

use std::fmt;

use crate::error::TransferError;
use crate::limits::BAD_ROWS_NAMED_MAX;

/// Rows that could not be taken over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BadRows {
    /// How many there are.
    pub count: u64,
    /// The first of them, with the reason: `line 17: no vector`.
    pub named: Vec<String>,
    /// With more than these the transfer stops.
    max: Option<u64>,
}

impl BadRows {
    pub(crate) fn with_max(max: Option<u64>) -> Self {
        Self { max, ..Self::default() }
    }

    /// Counts a row.
    ///
    /// # Errors
    /// If it is one too many.
    pub(crate) fn note(&mut self, place: &str, reason: &str) -> Result<(), TransferError> {
        self.count += 1;
        let named = format!("{place}: {reason}");
        let is_over = self.max.is_some_and(|max| self.count > max);
        if self.named.len() < BAD_ROWS_NAMED_MAX {
            self.named.push(named.clone());
        }
        match is_over {
            true => Err(TransferError::TooManyBad(named)),
            false => Ok(()),
        }
    }
}

impl fmt::Display for BadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.count == 1 { "row was" } else { "rows were" };
        write!(f, "{} bad {rows} left out", self.count)?;
        for named in &self.named {
            write!(f, "\n  {named}")?;
        }
        let more = self.count - self.named.len() as u64;
        match more {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
