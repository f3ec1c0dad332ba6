//! APPEND and SETRANGE where many bytes have to be copied: of a string that a reply shares, or that has no room for more. The
//! copy is made in slices; no command of another client runs in between.

use bytes::Bytes;
use kora_keyspace::ResolvedKey;
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::keys::refused;
use super::strings::length;
use super::task::{Begun, Task};
use crate::budgets::STRING_BYTE_WORK;
use crate::command::StringAction;
use crate::error::ClientError;
use crate::limits::{STRING_BYTES_AT_ONCE_MAX, STRING_ROOM_BYTES_MAX};

/// Such a command between two slices.
struct Rewriting {
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
    pub(super) fn begin_rewriting(&self, place: ResolvedKey<'_>, action: &StringAction) -> Option<Begun<Reply>> {
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
        if work <= STRING_BYTES_AT_ONCE_MAX || end > self.setup.string_bytes_max() {
            return None;
        }
        let before = string.map_or_else(Bytes::new, |string| string.to_bytes());
        Some(Begun::More(Box::new(Rewriting {
            key: Bytes::copy_from_slice(place.key),
            now_ms: place.now_ms,
            before,
            part: part.clone(),
            offset,
            written: Vec::new(),
        })))
    }
}

impl Task for Rewriting {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        if !self.has_memory() {
            return Step::Done(Reply::Error(ClientError::OutOfMemory.to_string()));
        }
        self.write(work);
        if !self.is_done() {
            return Step::More;
        }
        let place = shard.keyspace.place(&self.key, self.now_ms);
        let written = std::mem::take(&mut self.written);
        let outcome = shard.keyspace.put_written(place, written, (self.offset, &self.part));
        Step::Done(outcome.map_or_else(|refusal| Reply::Error(refused(refusal).to_string()), length))
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Rewriting {
    /// False if the system has less memory than the settings allow.
    fn has_memory(&mut self) -> bool {
        let total = self.before.len().max(self.offset + self.part.len());
        let capacity = total + total.min(STRING_ROOM_BYTES_MAX);
        self.written.capacity() > 0 || self.written.try_reserve_exact(capacity).is_ok()
    }

    /// Copies and clears some.
    fn write(&mut self, work: &mut Work) {
        let end_of_part = self.offset + self.part.len();
        while !self.is_done() {
            let left = usize::try_from(work.left() / STRING_BYTE_WORK)
                .unwrap_or(usize::MAX)
                .max(1);
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
            work.spend((self.written.len() - at) as u64 * STRING_BYTE_WORK);
            if work.is_spent() {
                break;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.written.len() >= self.before.len().max(self.offset + self.part.len())
    }
}
