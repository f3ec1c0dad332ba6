//! What the twin says about when fields of hashes expire.

use bytes::Bytes;

use super::values::{Held, Value, integer};
use super::{Answer, Expected, Twin, Words, wrong_arity};
use crate::name::Name;
use crate::say::Say;

impl Twin {
    /// The fields that have expired by then are gone, and hashes without fields.
    pub(super) fn expire_fields(&mut self, now_ms: i64) {
        let is_due = |held: &Held| held.deadlines.values().any(|at| *at <= now_ms);
        let due: Vec<Bytes> = self
            .values
            .iter()
            .filter(|(_, held)| is_due(held))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let deadlines = self.values[&key].deadlines.clone();
            let mut fields = self.hash(&key).unwrap_or_default();
            fields.retain(|(field, _)| deadlines.get(field).is_none_or(|at| *at > now_ms));
            self.change(key, Value::Hash(fields));
        }
    }

    /// These fields, which are set, have no deadlines any more.
    pub(super) fn forget_deadlines(&mut self, key: &Bytes, fields: impl Iterator<Item = Bytes>) {
        if let Some(held) = self.values.get_mut(key) {
            fields.for_each(|field| {
                held.deadlines.remove(&field);
            });
        }
    }

    /// The answer to a command on deadlines of fields, if it is one.
    pub(super) fn field_deadline_command(&mut self, name: Name, words: &Words<'_>) -> Option<Answer> {
        Some(match name {
            Name::HExpire => self.expire_named(words, (1000, false), "hexpire"),
            Name::HPExpire => self.expire_named(words, (1, false), "hpexpire"),
            Name::HExpireAt => self.expire_named(words, (1000, true), "hexpireat"),
            Name::HPExpireAt => self.expire_named(words, (1, true), "hpexpireat"),
            Name::HTtl | Name::HPTtl | Name::HExpireTime | Name::HPExpireTime => self.tell_named(name, words),
            Name::HPersist => self.persist_named(words),
            Name::HGetEx => self.hgetex(words),
            Name::HSetEx => self.hsetex(words),
            _ => return None,
        })
    }

    fn expire_named(&mut self, words: &Words<'_>, unit: (i64, bool), command: &str) -> Answer {
        let key = words.any_key(1)?;
        self.hash(&key)?;
        let at = self.field_time(&words.0[2], unit, command)?;
        let has = |word| words.is(3, word);
        let is_conditional = ["NX", "XX", "GT", "LT"].into_iter().any(has);
        let fields = counted(
            words,
            3 + usize::from(is_conditional),
            "Parameter `numFields` should be greater than 0",
        )?;
        let numbers = fields.into_iter().map(|field| {
            let before = match self.deadline_of(&key, &field) {
                None => return -2,
                Some(before) => before,
            };
            let is_refused = (has("NX") && before.is_some())
                || (has("XX") && before.is_none())
                || (has("GT") && before.is_none_or(|before| at <= before))
                || (has("LT") && before.is_some_and(|before| at >= before));
            if is_refused {
                return 0;
            }
            self.set_field_deadline(&key, field, Some(at));
            if at <= self.now_ms() { 2 } else { 1 }
        });
        let numbers = numbers.map(Say::Integer).collect();
        Ok(Expected::Reply(Say::Array(numbers)))
    }

    fn tell_named(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let key = words.any_key(1)?;
        self.hash(&key)?;
        let now_ms = self.now_ms();
        let fields = counted(words, 2, POSITIVE)?;
        let numbers = fields.iter().map(|field| match self.deadline_of(&key, field) {
            None => -2,
            Some(None) => -1,
            Some(Some(at)) => match name {
                Name::HTtl => (at - now_ms + 999) / 1000,
                Name::HPTtl => at - now_ms,
                Name::HExpireTime => (at + 999) / 1000,
                _ => at,
            },
        });
        Ok(Expected::Reply(Say::Array(numbers.map(Say::Integer).collect())))
    }

    fn persist_named(&mut self, words: &Words<'_>) -> Answer {
        let key = words.any_key(1)?;
        self.hash(&key)?;
        let fields = counted(words, 2, POSITIVE)?;
        let numbers = fields.into_iter().map(|field| match self.deadline_of(&key, &field) {
            None => -2,
            Some(None) => -1,
            Some(Some(_)) => {
                self.set_field_deadline(&key, field, None);
                1
            }
        });
        let numbers = numbers.map(Say::Integer).collect();
        Ok(Expected::Reply(Say::Array(numbers)))
    }

    fn hgetex(&mut self, words: &Words<'_>) -> Answer {
        let key = words.any_key(1)?;
        self.hash(&key)?;
        let unit = unit(words, 2);
        let (at, fields_at) = match unit {
            Some(unit) => (Some(self.field_time(&words.0[3], unit, "hgetex")?), 4),
            None if words.is(2, "PERSIST") => (None, 3),
            None => (None, 2),
        };
        let fields = counted(words, fields_at, POSITIVE)?;
        let values = fields.into_iter().map(|field| {
            let held = self.hash(&key).unwrap_or_default();
            let Some((_, value)) = held.into_iter().find(|(name, _)| *name == field) else {
                return Say::Null;
            };
            let before = self.deadline_of(&key, &field).flatten();
            if unit.is_some() || (fields_at == 3 && before.is_some()) {
                self.set_field_deadline(&key, field, at);
            }
            Say::Bulk(value)
        });
        let values = values.collect();
        Ok(Expected::Reply(Say::Array(values)))
    }

    fn hsetex(&mut self, words: &Words<'_>) -> Answer {
        let (mut only, mut at, mut keeps, mut index) = (None, None, false, 2);
        while !words.is(index, "FIELDS") {
            let unit = unit(words, index);
            let is_time = unit.is_some() || words.is(index, "KEEPTTL");
            if index >= words.count() {
                return Err(wrong_arity(Name::HSetEx));
            } else if is_time && (at.is_some() || keeps) {
                return Say::error("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
            } else if let Some(unit) = unit {
                index += 1;
                if index == words.count() {
                    return Say::error("ERR missing expire time");
                }
                at = Some(self.field_time(&words.0[index], unit, "hsetex")?);
            } else if is_time {
                keeps = true;
            } else if !words.is(index, "FNX") && !words.is(index, "FXX") {
                let word = super::quoted(&words.0[index]);
                return Say::error(format!("ERR unknown argument: {word}"));
            } else if only.is_some() {
                return Say::error("ERR Only one of FXX or FNX arguments can be specified");
            } else {
                only = Some(words.is(index, "FXX"));
            }
            index += 1;
        }
        let behind = words.count() - index - 1;
        if behind < 3 {
            return Err(wrong_arity(Name::HSetEx));
        }
        let count = integer(&words.0[index + 1]).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
        let Some(count) = count else {
            return Say::error("ERR invalid number of fields");
        };
        if 2 * count + 1 != behind as i64 {
            return Err(wrong_arity(Name::HSetEx));
        }
        let pairs: Vec<(Bytes, Bytes)> = (index + 2..words.count())
            .step_by(2)
            .map(|index| (words.owned(index), words.owned(index + 1)))
            .collect();
        self.set_pairs(words.any_key(1)?, pairs, only, (at, keeps))
    }

    /// Sets fields if all are there or none is, as is wanted.
    fn set_pairs(
        &mut self,
        key: Bytes,
        pairs: Vec<(Bytes, Bytes)>,
        only: Option<bool>,
        (at, keeps): (Option<i64>, bool),
    ) -> Answer {
        let mut fields = self.hash(&key)?;
        let is_there = |(field, _): &(Bytes, Bytes)| self.deadline_of(&key, field).is_some();
        if only.is_some_and(|wanted| pairs.iter().any(|pair| is_there(pair) != wanted)) {
            return Ok(Expected::Reply(Say::Integer(0)));
        }
        for (field, value) in &pairs {
            match fields.iter_mut().find(|(name, _)| name == field) {
                Some((_, before)) => *before = value.clone(),
                None => fields.push((field.clone(), value.clone())),
            }
        }
        self.change(key.clone(), Value::Hash(fields));
        if !keeps {
            self.forget_deadlines(&key, pairs.iter().map(|(field, _)| field.clone()));
        }
        for (field, _) in pairs {
            if at.is_some() {
                self.set_field_deadline(&key, field, at);
            }
        }
        Ok(Expected::Reply(Say::Integer(1)))
    }

    /// When a field is due, if it is; none if there is no such field.
    fn deadline_of(&self, key: &Bytes, field: &Bytes) -> Option<Option<i64>> {
        let held = self.values.get(key)?;
        let Value::Hash(fields) = &held.value else {
            return None;
        };
        let is_there = fields.iter().any(|(name, _)| name == field);
        is_there.then(|| held.deadlines.get(field).copied())
    }

    fn set_field_deadline(&mut self, key: &Bytes, field: Bytes, at: Option<i64>) {
        let Some(held) = self.values.get_mut(key) else {
            return;
        };
        match at {
            Some(at) => drop(held.deadlines.insert(field, at)),
            None => drop(held.deadlines.remove(&field)),
        }
        self.touch(key);
        self.expire();
    }

    fn field_time(&self, text: &[u8], (unit_ms, absolute): (i64, bool), command: &str) -> Result<i64, Say> {
        let Some(number) = integer(text) else {
            return Say::error("ERR value is not an integer or out of range");
        };
        if number < 0 {
            return Say::error("ERR invalid expire time, must be >= 0");
        }
        let start = if absolute { 0 } else { self.now_ms() };
        match number.checked_mul(unit_ms).filter(|ms| *ms <= LAST_MS - start) {
            Some(ms) => Ok(ms + start),
            None => Say::error(format!("ERR invalid expire time in '{command}' command")),
        }
    }
}

/// The unit of a time, and whether it is of Unix time.
fn unit(words: &Words<'_>, index: usize) -> Option<(i64, bool)> {
    let units = [
        ("EX", (1000, false)),
        ("PX", (1, false)),
        ("EXAT", (1000, true)),
        ("PXAT", (1, true)),
    ];
    let found = units.into_iter().find(|(word, _)| words.is(index, word));
    found.map(|(_, unit)| unit)
}

/// `FIELDS count field …` from there on.
fn counted(words: &Words<'_>, at: usize, not_positive: &str) -> Result<Vec<Bytes>, Say> {
    if !words.is(at, "FIELDS") {
        return Say::error("ERR Mandatory argument FIELDS is missing or not at the right position");
    }
    let count = words.0.get(at + 1).and_then(|count| integer(count));
    let Some(count) = count.filter(|count| *count > 0) else {
        return Say::error(format!("ERR {not_positive}"));
    };
    if count != (words.count() - at - 2) as i64 {
        return Say::error("ERR The `numfields` parameter must match the number of arguments");
    }
    Ok((at + 2..words.count()).map(|index| words.owned(index)).collect())
}

const POSITIVE: &str = "Number of fields must be a positive integer";

/// The latest time at which a field may be due, in milliseconds of Unix time.
const LAST_MS: i64 = 0x3FFF_FFFF_FFFF;
