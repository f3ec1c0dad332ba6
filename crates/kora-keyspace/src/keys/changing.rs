//! Every way to change a string, a hash, or what a key holds at all.

use kora_values::{StringValue, ValueError};

use super::entry::{MovedValue, Value};
use crate::changes::{Changed, Observer};
use crate::key::{KeyType, ResolvedKey};
use crate::keys::KeyTables;
use crate::keyspace::{Keyspace, Refusal};
use crate::limits::EDITED_BYTES_MIN;
use crate::outcome::{Cause, Outcome};
use crate::time::NEVER_MS;

impl<O: Observer> Keyspace<O> {
    /// Sets what a key holds, whatever it held, and when it expires; as it did before, if no deadline is given.
    ///
    /// # Errors
    /// If the key is the name of a collection.
    pub fn put(&mut self, place: ResolvedKey<'_>, value: Value, deadline_ms: Option<u64>) -> Result<(), Refusal> {
        match self
            .keys
            .replace(place.hash, place.key, value, deadline_ms, place.now_ms)
        {
            Ok((before, changed)) => {
                self.changes.commit(changed, || put_of(&self.keys, place));
                self.discard(before);
            }
            Err(value) => {
                let deadline_ms = deadline_ms.unwrap_or(NEVER_MS);
                match self.vector_kind(place) {
                    None => self.insert(place, MovedValue { value, deadline_ms }),
                    Some(KeyType::VectorSet) => {
                        return Err(Refusal::NameOfCollection {
                            name: place.key.to_vec(),
                        });
                    }
                    Some(_) => {
                        self.changes.begin_batch();
                        self.remove(place, Cause::Overwritten);
                        self.insert(place, MovedValue { value, deadline_ms });
                        self.changes.end_batch();
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts `tail` behind a string, or makes it one; returns how long it is.
    ///
    /// # Errors
    /// If something else is there, or it would be longer than `bytes_max`.
    pub fn append(&mut self, place: ResolvedKey<'_>, tail: &[u8], bytes_max: usize) -> Result<usize, Refusal> {
        match self.edit_string(place, |string| string.append(tail, bytes_max))? {
            Some((length, changed)) => {
                self.commit_edit(place, changed, (length - tail.len(), tail, length));
                Ok(length)
            }
            None => {
                self.insert(place, MovedValue::forever(Value::String(StringValue::new(tail))));
                Ok(tail.len())
            }
        }
    }

    /// Writes `part` over a string from `offset` on, or makes it one; returns how long it is. An empty part changes nothing.
    ///
    /// # Errors
    /// If something else is there, or it would be longer than `bytes_max`.
    pub fn set_range(
        &mut self,
        place: ResolvedKey<'_>,
        offset: usize,
        part: &[u8],
        bytes_max: usize,
    ) -> Result<usize, Refusal> {
        if part.is_empty() {
            return Ok(self.string(place)?.map_or(0, |string| string.len()));
        }
        let write = |string: &mut StringValue| string.set_range(offset, part, bytes_max);
        match self.edit_string(place, write)? {
            Some((length, changed)) => {
                self.commit_edit(place, changed, (offset, part, length));
                Ok(length)
            }
            None => self.make_string(place, StringValue::new(b""), write),
        }
    }

    /// Puts a string that was written elsewhere in the place of the one that it was made of: what is new are the `part` from
    /// `offset` on, and zeros before it.
    ///
    /// # Errors
    /// If something else is there.
    pub fn put_written(
        &mut self,
        place: ResolvedKey<'_>,
        bytes: Vec<u8>,
        (offset, part): (usize, &[u8]),
    ) -> Result<usize, Refusal> {
        let length = bytes.len();
        let mut written = Some(StringValue::changed(bytes));
        let replace = |string: &mut StringValue| {
            *string = written.take().unwrap_or_else(|| string.clone());
            Ok(())
        };
        match self.edit_string(place, replace)? {
            Some(((), changed)) => self.commit_edit(place, changed, (offset, part, length)),
            None => {
                let value = Value::String(written.take().unwrap_or_else(|| StringValue::new(b"")));
                self.insert(place, MovedValue::forever(value));
            }
        }
        Ok(length)
    }

    /// Adds to the integer that a string is, 0 if there is none; returns the sum.
    ///
    /// # Errors
    /// If something else is there, or there is no such sum.
    pub fn increment(&mut self, place: ResolvedKey<'_>, by: i64) -> Result<i64, Refusal> {
        match self.edit_string(place, |string| string.increment(by))? {
            Some((sum, changed)) => {
                self.changes.commit(changed, || put_of(&self.keys, place));
                Ok(sum)
            }
            None => {
                self.insert(place, MovedValue::forever(Value::String(StringValue::of_integer(by))));
                Ok(by)
            }
        }
    }

    /// Adds to the float that a string is, 0 if there is none; returns the sum as it is kept.
    ///
    /// # Errors
    /// If something else is there, or there is no such sum.
    pub fn increment_float(&mut self, place: ResolvedKey<'_>, by: &[u8]) -> Result<String, Refusal> {
        let add = |string: &mut StringValue| string.increment_float(by);
        match self.edit_string(place, add)? {
            Some((sum, changed)) => {
                self.changes.commit(changed, || put_of(&self.keys, place));
                Ok(sum)
            }
            None => self.make_string(place, StringValue::of_integer(0), add),
        }
    }

    /// Deletes what a key holds, but for a collection; false if there is nothing.
    pub fn remove(&mut self, place: ResolvedKey<'_>, cause: Cause) -> bool {
        match self.keys.remove(place.hash, place.key) {
            Some((outside, changed)) => {
                self.changes
                    .commit(changed, || Outcome::Removed { key: place.key, cause });
                self.discard(outside);
                true
            }
            None => self.remove_vector_of(place, cause),
        }
    }

    /// Takes a string or a hash from its key, to be put elsewhere: the move of this number.
    pub fn take(&mut self, place: ResolvedKey<'_>, transfer: u64) -> Option<MovedValue> {
        let (moved, changed) = self.keys.take(place.hash, place.key)?;
        let cause = Cause::Moved { transfer };
        self.changes
            .commit(changed, || Outcome::Removed { key: place.key, cause });
        Some(moved)
    }

    /// Puts a value that was taken elsewhere, whatever the key held. One that has expired meanwhile is not there.
    ///
    /// # Errors
    /// If the key is the name of a collection.
    pub fn put_moved(&mut self, place: ResolvedKey<'_>, moved: MovedValue) -> Result<(), Refusal> {
        match moved.deadline_ms > place.now_ms {
            true => self.put(place, moved.value, Some(moved.deadline_ms)),
            false => {
                self.remove(place, Cause::Overwritten);
                self.discard(Some(moved.value));
                Ok(())
            }
        }
    }

    /// Notes that the move of this number has come to its end. Whatever it brings is set next, in the same batch.
    pub fn note_landed(&mut self, transfer: u64) {
        self.changes
            .commit(Changed::elsewhere(), || Outcome::Landed { transfer });
    }

    /// Adds a key that is not there: the caller has looked.
    pub(crate) fn insert(&mut self, place: ResolvedKey<'_>, moved: MovedValue) {
        let changed = self.keys.insert_new(place.hash, place.key, moved, place.now_ms);
        self.changes.commit(changed, || put_of(&self.keys, place));
    }

    /// Edits the string at a key, which counts as used; what was returned and changed, none if there is nothing. A string
    /// that refuses is as it was.
    fn edit_string<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut StringValue) -> Result<R, ValueError>,
    ) -> Result<Option<(R, Changed)>, Refusal> {
        let edited = self.keys.edit(place, |value| match value {
            Value::String(string) => edit(string).map_err(Refusal::Value),
            Value::Hash(_) => Err(Refusal::WrongType),
        });
        match edited {
            Some((Ok(result), changed)) => Ok(Some((result, changed))),
            Some((Err(refusal), changed)) => {
                self.changes.count(changed);
                Err(refusal)
            }
            None => self.refuse_vectors(place).map(|()| None),
        }
    }

    /// Makes a string that is written to before it is there.
    fn make_string<R>(
        &mut self,
        place: ResolvedKey<'_>,
        mut string: StringValue,
        write: impl FnOnce(&mut StringValue) -> Result<R, ValueError>,
    ) -> Result<R, Refusal> {
        let result = write(&mut string).map_err(Refusal::Value)?;
        self.insert(place, MovedValue::forever(Value::String(string)));
        Ok(result)
    }

    /// A long string is told by what was written, a short one whole.
    fn commit_edit(
        &mut self,
        place: ResolvedKey<'_>,
        changed: Changed,
        (offset, bytes, length): (usize, &[u8], usize),
    ) {
        let key = place.key;
        self.changes.commit(changed, || match length >= EDITED_BYTES_MIN {
            true => Outcome::Edited {
                key,
                offset,
                bytes,
                length,
            },
            false => put_of(&self.keys, place),
        });
    }
}

/// That a key holds what it holds.
pub(crate) fn put_of<'a>(keys: &'a KeyTables, place: ResolvedKey<'a>) -> Outcome<'a> {
    let entry = keys.find(place.hash, place.key).expect("it was put a moment ago");
    Outcome::Put {
        key: place.key,
        value: entry.value(),
        deadline_ms: entry.deadline_ms(),
    }
}
