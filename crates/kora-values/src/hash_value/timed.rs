//! A small hash with deadlines of fields: one piece of memory, read from the beginning like any other small hash.

use super::small::{SmallRef, length, make_room, next_text};
use super::{Field, FieldValue};
use crate::block::block_bytes;
use crate::deadline_index::NEVER_MS;

/// Fields, values and deadlines, in the order of the deadlines; fields without one stand at the end, in the order in which they
/// came. Redis has the same order, in which HGETALL shows them.
#[derive(Debug, Default)]
pub(super) struct TimedHash {
    /// For each field: its name, its value and its deadline, each with its length before it, which is one byte. A deadline has
    /// 8 bytes, little-endian, or none.
    bytes: Vec<u8>,
}

/// The bytes of such a hash, wherever they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedRef<'a>(pub(super) &'a [u8]);

/// A field as it lies there.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedField<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// [`NEVER_MS`] if it has none.
    pub(super) deadline_ms: u64,
}

impl<'a> TimedField<'a> {
    pub(super) fn pair(self) -> Field<'a> {
        (self.name, FieldValue::Short(self.value))
    }
}

impl<'a> TimedRef<'a> {
    pub(super) fn len(self) -> usize {
        self.iter().count()
    }

    pub(super) fn find(self, field: &[u8]) -> Option<TimedField<'a>> {
        self.iter().find(|timed| timed.name == field)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = TimedField<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, behind) = next_text(rest)?;
            let (value, behind) = next_text(behind).expect("a value stands behind each field");
            let (deadline, behind) = next_text(behind).expect("a deadline stands behind each value");
            rest = behind;
            let deadline_ms = deadline.try_into().map_or(NEVER_MS, u64::from_le_bytes);
            Some(TimedField {
                name,
                value,
                deadline_ms,
            })
        })
    }

    /// The first deadline of all.
    pub(super) fn first_deadline_ms(self) -> u64 {
        self.iter().next().map_or(NEVER_MS, |timed| timed.deadline_ms)
    }

    /// Whether every field is due by then.
    pub(super) fn is_all_due(self, now_ms: u64) -> bool {
        self.iter().all(|timed| timed.deadline_ms <= now_ms)
    }
}

impl TimedHash {
    /// The fields of a small hash, none of which has a deadline.
    pub(super) fn of_small(small: SmallRef<'_>) -> TimedHash {
        let mut timed = TimedHash::default();
        for (field, value) in small.iter() {
            timed.insert(field, value, NEVER_MS);
        }
        timed
    }

    pub(super) fn view(&self) -> TimedRef<'_> {
        TimedRef(&self.bytes)
    }

    /// Becomes the hash of these bytes.
    pub(super) fn load(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
    }

    /// Sets a field, and its deadline if one is given; whether the field is new. Name and value are no longer than a byte can
    /// say.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], deadline_ms: Option<u64>) -> bool {
        let Some((at, present)) = self.place_of(field) else {
            self.insert(field, value, deadline_ms.unwrap_or(NEVER_MS));
            return true;
        };
        let (before, old_ms) = (present.value.len(), present.deadline_ms);
        match deadline_ms {
            Some(new_ms) if new_ms != NEVER_MS || old_ms != NEVER_MS => {
                self.cut(at, field.len(), before, old_ms);
                self.insert(field, value, new_ms);
            }
            _ => {
                let start = at + 1 + field.len();
                make_room(&mut self.bytes, value.len().saturating_sub(before));
                self.bytes[start] = length(value);
                self.bytes.splice(start + 1..start + 1 + before, value.iter().copied());
            }
        }
        false
    }

    /// Gives a field a deadline, or none; what it had before, if there is such a field.
    pub(super) fn set_deadline(&mut self, field: &[u8], deadline_ms: u64) -> Option<u64> {
        let (at, present) = self.place_of(field)?;
        let old_ms = present.deadline_ms;
        if deadline_ms != NEVER_MS || old_ms != NEVER_MS {
            let value = present.value.to_vec();
            self.cut(at, field.len(), value.len(), old_ms);
            self.insert(field, &value, deadline_ms);
        }
        Some(old_ms)
    }

    /// Deletes a field; whether there was one.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some((at, present)) = self.place_of(field) else {
            return false;
        };
        let (value_bytes, deadline_ms) = (present.value.len(), present.deadline_ms);
        self.cut(at, field.len(), value_bytes, deadline_ms);
        self.bytes.shrink_to(self.bytes.len() * 2);
        true
    }

    pub(super) fn heap_bytes(&self) -> usize {
        block_bytes(self.bytes.capacity())
    }

    /// Where a field begins, and the field.
    fn place_of(&self, field: &[u8]) -> Option<(usize, TimedField<'_>)> {
        let mut at = 0;
        for timed in self.view().iter() {
            if timed.name == field {
                return Some((at, timed));
            }
            at += field_bytes(timed.name.len(), timed.value.len(), timed.deadline_ms);
        }
        None
    }

    /// Takes out the bytes of a field that begins there.
    fn cut(&mut self, at: usize, name_bytes: usize, value_bytes: usize, deadline_ms: u64) {
        self.bytes
            .drain(at..at + field_bytes(name_bytes, value_bytes, deadline_ms));
    }

    /// Adds a field that is not there. Of those with its deadline it is the first, of those without one the last.
    fn insert(&mut self, field: &[u8], value: &[u8], deadline_ms: u64) {
        let mut at = self.bytes.len();
        if deadline_ms != NEVER_MS {
            at = 0;
            let earlier = self.view().iter().take_while(|timed| timed.deadline_ms < deadline_ms);
            for timed in earlier {
                at += field_bytes(timed.name.len(), timed.value.len(), timed.deadline_ms);
            }
        }
        let bytes = deadline_ms.to_le_bytes();
        let deadline: &[u8] = if deadline_ms == NEVER_MS { &[] } else { &bytes };
        let mut added = Vec::with_capacity(field_bytes(field.len(), value.len(), deadline_ms));
        for text in [field, value, deadline] {
            added.push(length(text));
            added.extend_from_slice(text);
        }
        make_room(&mut self.bytes, added.len());
        self.bytes.splice(at..at, added);
    }
}

/// Bytes of a field with its value and its deadline.
fn field_bytes(name_bytes: usize, value_bytes: usize, deadline_ms: u64) -> usize {
    let deadline_bytes = if deadline_ms == NEVER_MS { 0 } else { size_of::<u64>() };
    3 + name_bytes + value_bytes + deadline_bytes
}
