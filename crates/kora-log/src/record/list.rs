//! Parts of a record that are lists.

use super::Deadline;
use crate::bytes::{Malformed, take_bytes, take_integer};

/// Byte strings, one behind the other.
#[derive(Clone, Copy, PartialEq)]
pub struct List<'a> {
    pub(super) count: u64,
    /// Invariant: exactly `count` strings behind their lengths.
    pub(super) bytes: &'a [u8],
}

impl<'a> List<'a> {
    /// How many.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || take_bytes(&mut rest).ok())
    }

    pub(super) fn take(bytes: &mut &'a [u8], per_item: u64) -> Result<List<'a>, Malformed> {
        let items = take_integer(bytes)?;
        let count = items
            .checked_mul(per_item)
            .ok_or(Malformed("a list is longer than what is there"))?;
        let start = *bytes;
        for _ in 0..count {
            take_bytes(bytes)?;
        }
        Ok(List {
            count,
            bytes: &start[..start.len() - bytes.len()],
        })
    }
}

impl std::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Names of fields, each with its deadline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldDeadlines<'a> {
    /// Names and times, in turn. Invariant: a time is an integer, and nothing more, as a [`Deadline`] is written.
    pub(super) list: List<'a>,
}

impl<'a> FieldDeadlines<'a> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Deadline)> + use<'a> {
        let mut texts = self.list.iter();
        std::iter::from_fn(move || {
            let (name, mut time) = (texts.next()?, texts.next()?);
            Deadline::take(&mut time).ok().map(|deadline| (name, deadline))
        })
    }

    pub(super) fn take(bytes: &mut &'a [u8]) -> Result<FieldDeadlines<'a>, Malformed> {
        let list = List::take(bytes, 2)?;
        for mut time in list.iter().skip(1).step_by(2) {
            Deadline::take(&mut time)?;
            if !time.is_empty() {
                return Err(Malformed("a field's deadline has bytes behind it"));
            }
        }
        Ok(FieldDeadlines { list })
    }
}
