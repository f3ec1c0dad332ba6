//! APPEND and SETRANGE where many bytes have to be copied: of a string that a reply shares, or that has no room for more. The
//! copy is made in slices; no command of another client runs in between.

use bytes::Bytes;
use kora_keyspace::ResolvedKey;
use kora_resp::Reply;

use super::keys::refused;
use super::strings::length;
use super::{Shard, Unfinished};
use crate::command::StringAction;
use crate::limits::{STRING_BYTES_PER_SLICE, STRING_ROOM_BYTES_MAX};

/// Such a command between two slices.
pub(crate) struct Rewriting {
    key: Bytes,
    now_ms: u64,
    /// What the string was.
    before: Bytes,
    /// What is written over it, and from where on.
    part: Bytes,
    offset: usize,
    /// What it will be, as far as that was copied.
    written: Vec<u8>,
}

impl Shard {
    /// Begins, if the command is one that takes several slices.
    pub(super) fn begin_rewriting(&self, place: ResolvedKey<'_>, action: &StringAction) -> Option<Box<Unfinished>> {
        let (offset, part) = match action {
            StringAction::Append(tail) => (None, tail),
            StringAction::SetRange(offset, part) if !part.is_empty() => (Some(*offset), part),
            _ => return None,
        };
        // What is refused is refused by the short way.
        let string = self.keyspace.string(place).ok()?;
        let len = string.map_or(0, |string| string.len());
        let offset = offset.unwrap_or(len);
        let end = offset.checked_add(part.len())?;
        let work = string.map_or(end, |string| string.write_work(offset, part.len()));
        if work <= STRING_BYTES_PER_SLICE || end > self.setup.string_bytes_max() {
            return None;
        }
        let before = string.map_or_else(Bytes::new, |string| string.to_bytes());
        let total = len.max(end);
        Some(Box::new(Unfinished::Rewriting(Box::new(Rewriting {
            key: Bytes::copy_from_slice(place.key),
            now_ms: place.now_ms,
            before,
            part: part.clone(),
            offset,
            written: Vec::with_capacity(total + total.min(STRING_ROOM_BYTES_MAX)),
        }))))
    }

    /// Goes on for a slice.
    pub(super) fn rewrite(&mut self, mut rewriting: Box<Rewriting>) -> Result<Reply, Box<Unfinished>> {
        rewriting.write();
        if !rewriting.is_done() {
            return Err(Box::new(Unfinished::Rewriting(rewriting)));
        }
        let Rewriting {
            key,
            now_ms,
            part,
            offset,
            written,
            ..
        } = *rewriting;
        let place = self.keyspace.place(&key, now_ms);
        let outcome = self.keyspace.put_written(place, written, (offset, &part));
        Ok(outcome.map_or_else(|refusal| Reply::Error(refused(refusal).to_string()), length))
    }
}

impl Rewriting {
    /// Copies and clears some.
    fn write(&mut self) {
        let end_of_part = self.offset + self.part.len();
        let mut left = STRING_BYTES_PER_SLICE;
        while left > 0 && !self.is_done() {
            let at = self.written.len();
            let (source, from, end) = match () {
                () if at < self.offset => (&self.before, at, self.before.len().min(self.offset)),
                () if at < end_of_part => (&self.part, at - self.offset, self.part.len()),
                () => (&self.before, at, self.before.len()),
            };
            if from < end {
                let end = end.min(from + left);
                self.written.extend_from_slice(&source[from..end]);
            } else {
                self.written.resize(self.offset.min(at + left), 0);
            }
            left = left.saturating_sub(self.written.len() - at);
        }
    }

    fn is_done(&self) -> bool {
        self.written.len() >= self.before.len().max(self.offset + self.part.len())
    }
}
