//! The commands on deadlines of a hash's fields. They may take several slices; no command of another client runs in between.

use bytes::Bytes;
use kora_keyspace::keys::FieldEdit;
use kora_keyspace::{NEVER_MS, ResolvedKey};
use kora_resp::{Reply, Words};
use kora_values::{HashRef, HashValue, SMALL_FIELDS_MAX};
use kora_vector::{Step, Work};

use super::fields::{AfterTake, Purpose};
use super::keys::refused;
use super::task::{Begun, Task};
use super::{Shard, ShardObservers};
use crate::budgets::{DELETION_WORK, FIELD_BYTE_WORK, FIELD_WORK};
use crate::command::{ExpireOnly, FieldDeadlineAction, FieldsSetting, FieldsWanted, LifetimeForm, Only};
use crate::counts::integer;
use crate::error::ClientError;

/// A command that answers a number for each field: what it does to them.
#[derive(Clone, Copy)]
enum EachField {
    /// HEXPIRE and its family.
    Expire(u64, ExpireOnly),
    /// HPERSIST.
    Persist,
    /// HTTL and its family.
    Tell(LifetimeForm),
}

/// Such a command between two slices.
struct Numbered {
    key: Bytes,
    now_ms: u64,
    each: EachField,
    fields: Words,
    found: Vec<Reply>,
    /// It changes something, and that has begun.
    is_in_batch: bool,
}

/// HSETEX between two slices.
struct Setting {
    key: Bytes,
    now_ms: u64,
    /// Fields and values that are not held against the condition yet.
    unchecked: Words,
    /// Those that are not set yet.
    pairs: Words,
    only: Only,
    /// When the fields are due; none if that stays as it is.
    deadline_ms: Option<u64>,
    /// The condition is met, and the first field is set.
    has_begun: bool,
}

impl Shard {
    pub(super) fn act_on_deadlines(
        &mut self,
        place: ResolvedKey<'_>,
        action: FieldDeadlineAction,
        work: &mut Work,
    ) -> Begun<Reply> {
        let begun = match action {
            FieldDeadlineAction::Set(deadline) => self.vet_options(place, deadline).and_then(|deadline| {
                let each = EachField::Expire(deadline.time.at_ms(place.now_ms)?, deadline.only);
                self.begin_each(place, each, deadline.fields, work)
            }),
            FieldDeadlineAction::Remove(fields) => {
                let fields = self.vet_options(place, fields);
                fields.and_then(|fields| self.begin_each(place, EachField::Persist, fields, work))
            }
            FieldDeadlineAction::Tell(fields, form) => {
                self.lookups.note(self.keyspace.exists(place));
                let fields = self.vet_options(place, fields);
                fields.and_then(|fields| self.begin_each(place, EachField::Tell(form), fields, work))
            }
            FieldDeadlineAction::GetFields(wanted) => self
                .vet_options(place, wanted)
                .and_then(|wanted| self.get_fields_and_expire(place, wanted, work)),
            FieldDeadlineAction::SetFields(setting) => self.begin_setting(place, setting, work),
        };
        begun.unwrap_or_else(|error| Begun::Done(Reply::Error(error.to_string())))
    }

    fn get_fields_and_expire(
        &mut self,
        place: ResolvedKey<'_>,
        wanted: FieldsWanted,
        work: &mut Work,
    ) -> Result<Begun<Reply>, ClientError> {
        let then = match wanted.lifetime.at_ms(place.now_ms)? {
            None => AfterTake::Keep,
            Some(at_ms) => AfterTake::Deadline(at_ms),
        };
        Ok(self.begin_fields(place, Purpose::take(wanted.fields, then), work))
    }

    fn begin_each(
        &mut self,
        place: ResolvedKey<'_>,
        each: EachField,
        fields: Words,
        work: &mut Work,
    ) -> Result<Begun<Reply>, ClientError> {
        if let Some(error) = self.setup.too_large(fields.len() * size_of::<Reply>()) {
            return Err(error);
        }
        let numbered = Numbered {
            key: Bytes::copy_from_slice(place.key),
            now_ms: place.now_ms,
            each,
            found: Vec::with_capacity(fields.len()),
            fields,
            is_in_batch: false,
        };
        Ok(self.run(numbered, work))
    }

    fn begin_setting(
        &mut self,
        place: ResolvedKey<'_>,
        setting: FieldsSetting,
        work: &mut Work,
    ) -> Result<Begun<Reply>, ClientError> {
        let deadline_ms = setting.lifetime.at_ms(place.now_ms)?;
        // Whatever is there besides is an error before the condition is looked at.
        self.keyspace.hash(place).map_err(refused)?;
        let unchecked = match setting.only {
            Only::Always => Words::default(),
            Only::IfAbsent | Only::IfPresent => setting.pairs.clone(),
        };
        let setting = Setting {
            key: Bytes::copy_from_slice(place.key),
            now_ms: place.now_ms,
            unchecked,
            pairs: setting.pairs,
            only: setting.only,
            deadline_ms,
            has_begun: false,
        };
        Ok(self.run(setting, work))
    }
}

impl Task for Numbered {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        let key = self.key.clone();
        let place = shard.keyspace.place(&key, self.now_ms);
        if let EachField::Tell(form) = self.each {
            let hash = shard.keyspace.hash(place).ok().flatten();
            return match self.tell(hash, form, work) {
                true => Step::Done(self.reply()),
                false => Step::More,
            };
        }
        if !std::mem::replace(&mut self.is_in_batch, true) {
            shard.keyspace.begin_batch();
        }
        let mut expired = 0;
        let edited = shard
            .keyspace
            .edit_hash(place, |edit| expired = self.change(edit, work));
        shard.keyspace.note_expired_fields(expired);
        // The type was looked at, and nothing else happens meanwhile: there is a hash, or nothing.
        let is_there = matches!(edited, Ok(Some(())));
        let is_done = if is_there {
            self.fields.is_empty()
        } else {
            self.tell(None, LEFT, work)
        };
        if !is_done {
            return Step::More;
        }
        shard.keyspace.end_batch();
        Step::Done(self.reply())
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Numbered {
    fn reply(&mut self) -> Reply {
        Reply::Array(std::mem::take(&mut self.found))
    }

    /// Tells of some fields what they have left; true if these were all.
    fn tell(&mut self, hash: Option<HashRef<'_>>, form: LifetimeForm, work: &mut Work) -> bool {
        while !work.is_spent()
            && let Some(field) = self.fields.take_next()
        {
            let deadline_ms = hash.and_then(|hash| hash.deadline_ms(field));
            let left = lifetime(deadline_ms, form, self.now_ms);
            self.found.push(Reply::Integer(left));
            work.spend(FIELD_WORK + FIELD_BYTE_WORK * field.len() as u64);
        }
        self.fields.is_empty()
    }

    /// Changes some fields; returns how many went because their deadline is past.
    fn change(&mut self, edit: &mut FieldEdit<'_, ShardObservers>, work: &mut Work) -> u64 {
        let mut expired = 0;
        if let EachField::Expire(..) = self.each {
            edit.take_deadlines();
        }
        while let Some(field) = self.fields.take_next() {
            let before = edit.hash().deadline_ms(field);
            let number = match (self.each, before) {
                (_, None) => NO_FIELD,
                (EachField::Expire(at_ms, only), Some(before)) if !admits(only, before, at_ms) => 0,
                (EachField::Expire(at_ms, _), _) if at_ms <= self.now_ms => {
                    edit.remove(field);
                    expired += 1;
                    work.spend(DELETION_WORK);
                    2
                }
                (EachField::Expire(at_ms, _), _) => {
                    edit.set_deadline(field, at_ms);
                    1
                }
                (EachField::Persist | EachField::Tell(_), Some(NEVER_MS)) => NO_DEADLINE,
                (EachField::Persist | EachField::Tell(_), Some(_)) => {
                    edit.set_deadline(field, NEVER_MS);
                    1
                }
            };
            self.found.push(Reply::Integer(number));
            work.spend(price(edit.hash()) + FIELD_BYTE_WORK * field.len() as u64);
            if work.is_spent() {
                break;
            }
        }
        expired
    }
}

impl Task for Setting {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        let key = self.key.clone();
        let place = shard.keyspace.place(&key, self.now_ms);
        if !self.unchecked.is_empty() {
            let hash = shard.keyspace.hash(place).ok().flatten();
            match self.check(hash, work) {
                Step::Done(true) => {}
                Step::Done(false) => return Step::Done(Reply::Integer(0)),
                Step::More => return Step::More,
            }
        }
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first {
            shard.keyspace.begin_batch();
        }
        let mut expired = 0;
        let set = shard.keyspace.edit_hash_or_new(place, |edit| {
            if is_first {
                self.prepare(edit);
            }
            expired = self.set_some(edit, work);
        });
        shard.keyspace.note_expired_fields(expired);
        if set.is_ok() && !self.pairs.is_empty() {
            return Step::More;
        }
        shard.keyspace.end_batch();
        Step::Done(match set {
            Ok(()) => Reply::Integer(1),
            Err(refusal) => Reply::Error(refused(refusal).to_string()),
        })
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Setting {
    /// Holds some fields against the condition; whether all meet it.
    fn check(&mut self, hash: Option<HashRef<'_>>, work: &mut Work) -> Step<bool> {
        while let Some((field, _)) = self.unchecked.take_pair() {
            let is_there = hash.is_some_and(|hash| hash.get(field).is_some());
            if is_there != (self.only == Only::IfPresent) {
                return Step::Done(false);
            }
            work.spend(FIELD_WORK + FIELD_BYTE_WORK * field.len() as u64);
            if work.is_spent() && !self.unchecked.is_empty() {
                return Step::More;
            }
        }
        Step::Done(true)
    }

    /// Brings the hash into the form that it will have, as Redis does before it sets the first field.
    fn prepare(&self, edit: &mut FieldEdit<'_, ShardObservers>) {
        // Of many pairs it does not matter how long they are.
        let few = self.pairs.iter().take(2 * SMALL_FIELDS_MAX);
        edit.expect(self.pairs.len() / 2, few.map(<[u8]>::len).max().unwrap_or(0));
        if self.deadline_ms.is_some_and(|deadline_ms| deadline_ms != NEVER_MS) {
            edit.take_deadlines();
        }
    }

    /// Sets some fields; returns how many went because their deadline is past.
    fn set_some(&mut self, edit: &mut FieldEdit<'_, ShardObservers>, work: &mut Work) -> u64 {
        let mut expired = 0;
        loop {
            let kept = match self.deadline_ms {
                Some(NEVER_MS) => self.pairs.kept_second(),
                _ => None,
            };
            let Some((field, value)) = self.pairs.take_pair() else {
                break;
            };
            // A value that stays in its request's memory is not copied.
            let copied = kept.as_ref().map_or(value.len(), |_| 0);
            match (kept, self.deadline_ms) {
                (Some(value), _) => {
                    edit.set_kept(field, value);
                }
                (None, Some(deadline_ms)) if deadline_ms <= self.now_ms => {
                    edit.set(field, value);
                    edit.remove(field);
                    expired += 1;
                    work.spend(DELETION_WORK);
                }
                (None, deadline_ms) => {
                    edit.set_with(field, value, deadline_ms);
                }
            }
            work.spend(price(edit.hash()) + FIELD_BYTE_WORK * (field.len() + copied) as u64);
            if work.is_spent() {
                break;
            }
        }
        expired
    }
}

/// Whether the condition allows another deadline. What has none is due later than everything.
fn admits(only: ExpireOnly, before: u64, at_ms: u64) -> bool {
    let has_deadline = before != NEVER_MS;
    !((only.if_none && has_deadline)
        || (only.if_some && !has_deadline)
        || (only.if_later && at_ms <= before)
        || (only.if_earlier && at_ms >= before))
}

/// What a field has left, or when it is due.
fn lifetime(deadline_ms: Option<u64>, form: LifetimeForm, now_ms: u64) -> i64 {
    let Some(deadline_ms) = deadline_ms else {
        return NO_FIELD;
    };
    if deadline_ms == NEVER_MS {
        return NO_DEADLINE;
    }
    let ms = match form.absolute {
        true => deadline_ms,
        false => deadline_ms.saturating_sub(now_ms),
    };
    integer(match form.in_ms {
        true => ms,
        // Rounded up, as in Redis, where a key's time is rounded to the nearest.
        false => ms.div_ceil(1000),
    })
}

/// The price of changing a field. In a small hash what stands behind it may be moved.
fn price(hash: &HashValue) -> u64 {
    let moved = hash.view().pack().map_or(0, |(_, bytes)| bytes.len() / MOVED_PART);
    FIELD_WORK + FIELD_BYTE_WORK * moved as u64
}

/// What is answered where there is no such field.
const NO_FIELD: i64 = -2;

/// What is answered where a field has no deadline.
const NO_DEADLINE: i64 = -1;

/// Where there is no hash any form answers the same.
const LEFT: LifetimeForm = LifetimeForm {
    in_ms: false,
    absolute: false,
};

/// To look through the bytes of a small hash and to move them takes such a part of what it takes to copy them into a reply.
const MOVED_PART: usize = 16;
