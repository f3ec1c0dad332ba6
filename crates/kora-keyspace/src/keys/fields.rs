//! Every way to change fields of a hash.

use bytes::Bytes;
use kora_values::{HashValue, LongDouble, ValueError};

use super::entry::{MovedValue, Value, ValueRef};
use crate::changes::{Changed, Changes, Observer};
use crate::key::ResolvedKey;
use crate::keyspace::{Keyspace, Refusal};
use crate::outcome::{Cause, Outcome};
use crate::time::NEVER_MS;

/// A hash while its fields are changed. Each change is told as it is made.
pub struct FieldEdit<'e, O> {
    key: &'e [u8],
    hash: &'e mut HashValue,
    changes: &'e mut Changes<O>,
    /// The hash was not there before and no observer was told yet.
    is_untold: bool,
}

impl<O: Observer> Keyspace<O> {
    /// Changes fields of the hash at a key, which counts as used; none if there is nothing. A hash that has lost its last
    /// field goes.
    ///
    /// # Errors
    /// If something else is there.
    pub fn edit_hash<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut FieldEdit<'_, O>) -> R,
    ) -> Result<Option<R>, Refusal> {
        self.changes.begin_batch();
        let edited = self.edit_fields(place, edit);
        self.changes.end_batch();
        edited
    }

    fn edit_fields<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut FieldEdit<'_, O>) -> R,
    ) -> Result<Option<R>, Refusal> {
        let Keyspace { keys, changes, .. } = self;
        let edited = keys.edit(place, |value| match value {
            Value::Hash(hash) => {
                let result = edit(&mut FieldEdit {
                    key: place.key,
                    hash,
                    changes,
                    is_untold: false,
                });
                Ok((result, hash.is_empty()))
            }
            Value::String(_) => Err(Refusal::WrongType),
        });
        match edited {
            Some((Ok((result, is_empty)), changed)) => {
                self.changes.count(changed);
                if is_empty {
                    self.remove(place, Cause::Command);
                }
                Ok(Some(result))
            }
            Some((Err(refusal), changed)) => {
                self.changes.count(changed);
                Err(refusal)
            }
            None => self.refuse_vectors(place).map(|()| None),
        }
    }

    /// The same, with an empty hash if there is nothing. One that stays empty is never there, and one that is empty in the end
    /// is not there any more.
    ///
    /// # Errors
    /// If something else is there.
    pub fn edit_hash_or_new<R>(
        &mut self,
        place: ResolvedKey<'_>,
        edit: impl FnOnce(&mut FieldEdit<'_, O>) -> R,
    ) -> Result<R, Refusal> {
        if self.keys.find(place.hash, place.key).is_some() {
            let edited = self.edit_hash(place, edit)?;
            return Ok(edited.expect("something was there a moment ago"));
        }
        self.refuse_vectors(place)?;
        self.changes.begin_batch();
        let mut hash = Box::new(HashValue::new(self.catalog.hash_seed()));
        let mut fields = FieldEdit {
            key: place.key,
            hash: &mut hash,
            changes: &mut self.changes,
            is_untold: true,
        };
        let result = edit(&mut fields);
        let was_told = !fields.is_untold;
        if !hash.is_empty() {
            let moved = MovedValue::forever(Value::Hash(hash));
            let changed = self.keys.insert_new(place.hash, place.key, moved, place.now_ms);
            self.changes.count(changed);
        } else if was_told {
            // Fields were set and removed again.
            let (key, cause) = (place.key, Cause::Command);
            let changed = Changed::elsewhere();
            self.changes.commit(changed, || Outcome::Removed { key, cause });
        }
        self.changes.end_batch();
        Ok(result)
    }
}

impl<O: Observer> FieldEdit<'_, O> {
    /// The hash as it is now.
    pub fn hash(&self) -> &HashValue {
        self.hash
    }

    /// Makes it a table if `pair_count` pairs are to be set of which nothing is longer than `longest` bytes: see
    /// [`HashValue::expect`].
    pub fn expect(&mut self, pair_count: usize, longest: usize) {
        self.hash.expect(pair_count, longest);
    }

    /// Brings a small hash into the form that has deadlines: see [`HashValue::take_deadlines`].
    pub fn take_deadlines(&mut self) {
        self.hash.take_deadlines();
    }

    /// Sets a field, which has no deadline then; whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_with(field, value, Some(NEVER_MS))
    }

    /// Sets a field, which is due then if a deadline is given, and when it was before if none is; whether it is new.
    pub fn set_with(&mut self, field: &[u8], value: &[u8], deadline_ms: Option<u64>) -> bool {
        let is_new = self.hash.set_with(field, value, deadline_ms);
        self.tell(field);
        is_new
    }

    /// Gives a field a deadline, which may be past, or none; what it had before, if there is such a field.
    pub fn set_deadline(&mut self, field: &[u8], deadline_ms: u64) -> Option<u64> {
        let before = self.hash.set_deadline(field, deadline_ms)?;
        let key = self.key;
        self.changes.commit(Changed::elsewhere(), || Outcome::FieldDeadline {
            key,
            field,
            deadline_ms,
        });
        Some(before)
    }

    /// Like [`set`](FieldEdit::set) with a value that is not copied if it is long: see [`HashValue::set_kept`].
    pub fn set_kept(&mut self, field: &[u8], value: Bytes) -> bool {
        let is_new = self.hash.set_kept(field, value);
        self.tell(field);
        is_new
    }

    /// Deletes a field; whether there was one.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let is_gone = self.hash.remove(field);
        if is_gone {
            let key = self.key;
            self.changes
                .commit(Changed::elsewhere(), || Outcome::FieldGone { key, field });
        }
        is_gone
    }

    /// Adds to the integer that a field holds, 0 if there is none; returns the sum.
    ///
    /// # Errors
    /// If there is no such sum. The field is as it was.
    pub fn increment(&mut self, field: &[u8], by: i64) -> Result<i64, ValueError> {
        let sum = self.hash.increment(field, by)?;
        self.tell(field);
        Ok(sum)
    }

    /// Adds to the float that a field holds, 0 if there is none; returns the sum as it is kept.
    ///
    /// # Errors
    /// If there is no such sum. The field is as it was.
    pub fn increment_float(&mut self, field: &[u8], by: LongDouble) -> Result<String, ValueError> {
        let sum = self.hash.increment_float(field, by)?;
        self.tell(field);
        Ok(sum)
    }

    /// Tells of a field that was set; of the whole hash, if it is its first.
    fn tell(&mut self, field: &[u8]) {
        let (key, hash) = (self.key, &*self.hash);
        let is_first = std::mem::take(&mut self.is_untold);
        self.changes.commit(Changed::elsewhere(), || match is_first {
            true => Outcome::Put {
                key,
                value: ValueRef::Hash(hash.view()),
                deadline_ms: NEVER_MS,
            },
            false => Outcome::FieldSet {
                key,
                field,
                value: hash.get(field).expect("it was set a moment ago").bytes(),
                deadline_ms: hash.deadline_ms(field).unwrap_or(NEVER_MS),
            },
        });
    }
}
