//! What the twin says about strings and hashes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::lifetimes::Options;
use super::{Answer, Expected, Twin, Words, syntax, wrong_arity};
use crate::name::Name;
use crate::say::Say;

/// What a key holds beside a vector, and when it expires.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) value: Value,
    /// In milliseconds of Unix time.
    pub(crate) expires_ms: Option<i64>,
    /// When fields of a hash are due, likewise.
    pub(crate) deadlines: BTreeMap<Bytes, i64>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    String(Bytes),
    /// Fields in the order they came.
    Hash(Vec<(Bytes, Bytes)>),
}

impl Twin {
    pub(super) fn string_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        match name {
            Name::MGet => return self.mget(words),
            Name::MSet | Name::MSetNx => return self.mset(name, words),
            Name::MSetEx => return self.msetex(words),
            _ => {}
        }
        let key = words.any_key(1)?;
        match name {
            Name::Get => self.string_or_null(&key),
            Name::StrLen => Ok(Expected::Reply(Say::count(
                self.string(&key)?.unwrap_or_default().len(),
            ))),
            Name::Set => self.set_string(key, words),
            Name::SetEx | Name::PSetEx => {
                let unit_ms = if name == Name::SetEx { 1000 } else { 1 };
                let at = self.deadline(&words.0[2], unit_ms, false, name.text())?;
                self.put(key, Value::String(words.owned(3)), Some(at))
            }
            Name::SetNx => {
                let is_there = self.kind(&key).is_some();
                if !is_there {
                    self.put(key, Value::String(words.owned(2)), None)?;
                }
                Ok(Expected::Reply(Say::Integer(i64::from(!is_there))))
            }
            Name::GetSet => {
                let before = self.string_or_null(&key)?;
                self.put(key, Value::String(words.owned(2)), None)?;
                Ok(before)
            }
            Name::GetDel => {
                let before = self.string_or_null(&key)?;
                self.remove(&key);
                Ok(before)
            }
            Name::GetEx => self.getex(key, words),
            Name::Append => {
                let text = [&self.string(&key)?.unwrap_or_default(), words.0[2].as_slice()].concat();
                let length = text.len();
                self.change(key, Value::String(text.into()));
                Ok(Expected::Reply(Say::count(length)))
            }
            Name::GetRange | Name::Substr => {
                let (start, end) = (words.needed_integer(2)?, words.needed_integer(3)?);
                let text = self.string(&key)?.unwrap_or_default();
                let length = text.len() as i64;
                let place = |place: i64| if place < 0 { (length + place).max(0) } else { place };
                let both_before = start < 0 && end < 0 && start > end;
                let (start, end) = (place(start), place(end).min(length - 1));
                let part = match start > end || both_before || length == 0 {
                    true => Bytes::new(),
                    false => text.slice(start as usize..=end as usize),
                };
                Ok(Expected::Reply(Say::Bulk(part)))
            }
            Name::SetRange => self.set_range(key, words),
            Name::Incr => self.add(key, 1),
            Name::Decr => self.add(key, -1),
            Name::IncrBy => self.add(key, words.needed_integer(2)?),
            Name::DecrBy => match words.needed_integer(2)?.checked_neg() {
                Some(amount) => self.add(key, amount),
                None => Say::error("ERR decrement would overflow"),
            },
            Name::IncrByFloat => {
                let before = self.string(&key)?.unwrap_or_else(|| Bytes::from_static(b"0"));
                let sum = add_floats(&before, &words.0[2], "value is not a valid float")?;
                self.change(key, Value::String(sum.clone()));
                Ok(Expected::Reply(Say::Bulk(sum)))
            }
            _ => unreachable!("no command on strings"),
        }
    }

    pub(super) fn hash_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        if let Some(answer) = self.field_deadline_command(name, words) {
            return answer;
        }
        let key = words.any_key(1)?;
        if matches!(name, Name::HSet | Name::HMSet) && !words.count().is_multiple_of(2) {
            return Err(wrong_arity(name));
        }
        let amount = match name {
            Name::HIncrBy => words.needed_integer(3)?,
            _ => 0,
        };
        if name == Name::HScan && words.unsigned(2).is_none() {
            return Say::error("ERR invalid cursor");
        }
        let sample = match name {
            Name::HRandField => Some(words.sample()?),
            _ => None,
        };
        if name == Name::HIncrByFloat {
            add_floats(b"0", &words.0[3], "value is not a valid float")?;
        }
        let mut fields = self.hash(&key)?;
        let find = |fields: &[(Bytes, Bytes)], field: &[u8]| fields.iter().position(|(name, _)| name == field);
        let value = |fields: &[(Bytes, Bytes)], field: &[u8]| {
            find(fields, field).map_or(Say::Null, |place| Say::Bulk(fields[place].1.clone()))
        };
        let put = |fields: &mut Vec<(Bytes, Bytes)>, field: Bytes, value: Bytes| match find(fields, &field) {
            Some(place) => {
                fields[place].1 = value;
                0
            }
            None => {
                fields.push((field, value));
                1
            }
        };
        let pairs = || {
            fields
                .iter()
                .map(|(field, value)| (Say::Bulk(field.clone()), Say::Bulk(value.clone())))
        };
        let say = match name {
            Name::HGet => value(&fields, &words.0[2]),
            Name::HMGet => Say::Array(words.0[2..].iter().map(|field| value(&fields, field)).collect()),
            Name::HExists => Say::count(usize::from(find(&fields, &words.0[2]).is_some())),
            Name::HLen => Say::count(fields.len()),
            Name::HStrLen => Say::count(find(&fields, &words.0[2]).map_or(0, |place| fields[place].1.len())),
            Name::HGetAll => return Ok(Expected::Pairs(pairs().collect())),
            Name::HKeys => return Ok(Expected::Bag(pairs().map(|(field, _)| field).collect())),
            Name::HVals => return Ok(Expected::Bag(pairs().map(|(_, value)| value).collect())),
            Name::HRandField => return Ok(Expected::Drawn(sample.flatten(), pairs().collect())),
            Name::HScan if fields.is_empty() => Say::Array(vec![Say::bulk("0"), Say::Array(Vec::new())]),
            Name::HScan => return hscan(words, &fields),
            Name::HDel => {
                let before = fields.len();
                fields.retain(|(field, _)| !words.0[2..].iter().any(|gone| gone == field));
                let deleted = before - fields.len();
                if deleted > 0 {
                    self.change(key, Value::Hash(fields));
                }
                Say::count(deleted)
            }
            Name::HGetDel => {
                if !words.is(2, "FIELDS") {
                    return Say::error("ERR Mandatory argument FIELDS is missing or not at the right position");
                }
                let count = words.unsigned(3).unwrap_or(0);
                // Beyond what Redis's integers hold it is no number.
                if count == 0 || count > i64::MAX as u64 {
                    return Say::error("ERR Number of fields must be a positive integer");
                }
                if count != (words.count() - 4) as u64 {
                    return Say::error("ERR The `numfields` parameter must match the number of arguments");
                }
                let before = fields.len();
                let mut taken = Vec::new();
                for field in &words.0[4..] {
                    taken.push(match find(&fields, field) {
                        Some(place) => Say::Bulk(fields.remove(place).1),
                        None => Say::Null,
                    });
                }
                if fields.len() < before {
                    self.change(key, Value::Hash(fields));
                }
                Say::Array(taken)
            }
            Name::HSet | Name::HMSet => {
                let mut added = 0;
                for index in (2..words.count()).step_by(2) {
                    added += put(&mut fields, words.owned(index), words.owned(index + 1));
                }
                self.change(key.clone(), Value::Hash(fields));
                let set = (2..words.count()).step_by(2);
                self.forget_deadlines(&key, set.map(|index| words.owned(index)));
                if name == Name::HSet {
                    Say::count(added)
                } else {
                    Say::ok()
                }
            }
            Name::HSetNx => {
                let is_new = find(&fields, &words.0[2]).is_none();
                if is_new {
                    put(&mut fields, words.owned(2), words.owned(3));
                    self.change(key, Value::Hash(fields));
                }
                Say::count(usize::from(is_new))
            }
            Name::HIncrBy => {
                let before = find(&fields, &words.0[2]).map_or(Some(0), |place| integer(&fields[place].1));
                let Some(before) = before else {
                    return Say::error("ERR hash value is not an integer");
                };
                let Some(sum) = before.checked_add(amount) else {
                    return Say::error("ERR increment or decrement would overflow");
                };
                put(&mut fields, words.owned(2), sum.to_string().into());
                self.change(key, Value::Hash(fields));
                Say::Integer(sum)
            }
            Name::HIncrByFloat => {
                let before =
                    find(&fields, &words.0[2]).map_or(Bytes::from_static(b"0"), |place| fields[place].1.clone());
                let sum = add_floats(&before, &words.0[3], "hash value is not a float")?;
                put(&mut fields, words.owned(2), sum.clone());
                self.change(key, Value::Hash(fields));
                Say::Bulk(sum)
            }
            _ => unreachable!("no command on hashes"),
        };
        Ok(Expected::Reply(say))
    }

    /// The string at a key, or an error if something else is there.
    fn string(&self, key: &Bytes) -> Result<Option<Bytes>, Say> {
        match (self.values.get(key).map(|held| &held.value), self.kind(key)) {
            (Some(Value::String(text)), _) => Ok(Some(text.clone())),
            (None, None) => Ok(None),
            _ => wrong_type(),
        }
    }

    pub(super) fn hash(&self, key: &Bytes) -> Result<Vec<(Bytes, Bytes)>, Say> {
        match (self.values.get(key).map(|held| &held.value), self.kind(key)) {
            (Some(Value::Hash(fields)), _) => Ok(fields.clone()),
            (None, None) => Ok(Vec::new()),
            _ => wrong_type(),
        }
    }

    fn string_or_null(&self, key: &Bytes) -> Answer {
        Ok(Expected::Reply(self.string(key)?.map_or(Say::Null, Say::Bulk)))
    }

    /// Changes what a key holds; its expiry stays.
    pub(super) fn change(&mut self, key: Bytes, value: Value) {
        let before = self.values.remove(&key);
        let expires_ms = before.as_ref().and_then(|held| held.expires_ms);
        let mut deadlines = before.map(|held| held.deadlines).unwrap_or_default();
        self.touch(&key);
        if let Value::Hash(fields) = &value {
            deadlines.retain(|field, _| fields.iter().any(|(name, _)| name == field));
            if fields.is_empty() {
                return;
            }
        }
        let held = Held {
            value,
            expires_ms,
            deadlines,
        };
        self.values.insert(key, held);
    }

    /// Sets what a key holds, whatever it held.
    pub(super) fn put(&mut self, key: Bytes, value: Value, expires_ms: Option<i64>) -> Answer {
        if self.collections.contains_key(&key) {
            return Err(name_of_collection(&key));
        }
        self.remove(&key);
        self.touch(&key);
        let held = Held {
            value,
            expires_ms,
            deadlines: BTreeMap::new(),
        };
        self.values.insert(key, held);
        self.expire();
        Ok(Expected::Reply(Say::ok()))
    }

    fn set_string(&mut self, key: Bytes, words: &Words<'_>) -> Answer {
        let options = self.options(words, 3, "set", &["NX", "XX", "GET", "KEEPTTL"])?;
        let has = |word| options.flags.contains(&word);
        if has("NX") && has("XX") {
            return syntax();
        }
        let before = match has("GET") {
            true => Some(self.string_or_null(&key)?),
            false => None,
        };
        let is_there = self.kind(&key).is_some();
        if (has("NX") && is_there) || (has("XX") && !is_there) {
            return Ok(before.unwrap_or(Expected::Reply(Say::Null)));
        }
        let kept = self
            .values
            .get(&key)
            .and_then(|held| held.expires_ms)
            .filter(|_| has("KEEPTTL"));
        let set = self.put(key, Value::String(words.owned(2)), options.expires_ms?.or(kept))?;
        Ok(before.unwrap_or(set))
    }

    fn getex(&mut self, key: Bytes, words: &Words<'_>) -> Answer {
        let options = self.options(words, 2, "getex", &["PERSIST"])?;
        let before = self.string_or_null(&key)?;
        if let Some(held) = self.values.get(&key).cloned() {
            let expires_ms = options.expires_ms?;
            if expires_ms.is_some() || (options.flags.contains(&"PERSIST") && held.expires_ms.is_some()) {
                self.touch(&key);
                self.values.insert(key, Held { expires_ms, ..held });
                self.expire();
            }
        }
        Ok(before)
    }

    fn set_range(&mut self, key: Bytes, words: &Words<'_>) -> Answer {
        let Ok(offset) = usize::try_from(words.needed_integer(2)?) else {
            return Say::error("ERR offset is out of range");
        };
        let before = self.string(&key)?;
        let part = &words.0[3];
        let mut text = before.unwrap_or_default().to_vec();
        if !part.is_empty() {
            if offset + part.len() > 512 << 20 {
                return Say::error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
            }
            text.resize(text.len().max(offset + part.len()), 0);
            text[offset..offset + part.len()].copy_from_slice(part);
            self.change(key, Value::String(text.clone().into()));
        }
        Ok(Expected::Reply(Say::count(text.len())))
    }

    fn add(&mut self, key: Bytes, amount: i64) -> Answer {
        let before = self.string(&key)?;
        let Some(number) = before.map_or(Some(0), |text| integer(&text)) else {
            return Say::error("ERR value is not an integer or out of range");
        };
        let Some(sum) = number.checked_add(amount) else {
            return Say::error("ERR increment or decrement would overflow");
        };
        self.change(key, Value::String(sum.to_string().into()));
        Ok(Expected::Reply(Say::Integer(sum)))
    }

    fn mget(&mut self, words: &Words<'_>) -> Answer {
        let keys = words.keys(1, 1)?;
        let value = |key| self.string(key).ok().flatten().map_or(Say::Null, Say::Bulk);
        Ok(Expected::Reply(Say::Array(keys.iter().map(value).collect())))
    }

    /// What MSETEX says: its keys and options.
    pub(super) fn msetex_words(&self, words: &Words<'_>) -> Result<(Vec<Bytes>, Options), Say> {
        let count = match integer(&words.0[1]) {
            Some(count @ 1..=0x7fff_ffff) => count as usize,
            _ => return Say::error("ERR invalid numkeys value"),
        };
        let options_at = 2 + 2 * count;
        if words.count() < options_at {
            return Say::error("ERR wrong number of key-value pairs");
        }
        let options = self.options(words, options_at, "msetex", &["NX", "XX", "KEEPTTL"])?;
        Ok((Words(&words.0[..options_at]).keys(2, 2)?, options))
    }

    fn msetex(&mut self, words: &Words<'_>) -> Answer {
        let (keys, options) = self.msetex_words(words)?;
        let has = |word| options.flags.contains(&word);
        let expires_ms = options.expires_ms?;
        let is_collection = |key: &&Bytes| self.collections.contains_key(*key);
        if let Some(key) = keys.iter().find(is_collection).filter(|_| !has("NX")) {
            return Err(name_of_collection(key));
        }
        let is_there = |key: &Bytes| self.kind(key).is_some();
        if (has("NX") && keys.iter().any(is_there)) || (has("XX") && !keys.iter().all(is_there)) {
            return Ok(Expected::Reply(Say::Integer(0)));
        }
        for (key, index) in keys.into_iter().zip((3..).step_by(2)) {
            let kept = self.values.get(&key).and_then(|held| held.expires_ms);
            let expires_ms = expires_ms.or(kept.filter(|_| has("KEEPTTL")));
            self.put(key, Value::String(words.owned(index)), expires_ms)?;
        }
        Ok(Expected::Reply(Say::Integer(1)))
    }

    fn mset(&mut self, name: Name, words: &Words<'_>) -> Answer {
        if words.count().is_multiple_of(2) {
            return Err(wrong_arity(name));
        }
        let keys = words.keys(1, 2)?;
        if name == Name::MSetNx && keys.iter().any(|key| self.kind(key).is_some()) {
            return Ok(Expected::Reply(Say::Integer(0)));
        }
        if let Some(key) = keys.iter().find(|key| self.collections.contains_key(*key)) {
            return Err(name_of_collection(key));
        }
        for (key, index) in keys.into_iter().zip((2..).step_by(2)) {
            self.put(key, Value::String(words.owned(index)), None)?;
        }
        Ok(Expected::Reply(match name {
            Name::MSetNx => Say::Integer(1),
            _ => Say::ok(),
        }))
    }
}

fn hscan(words: &Words<'_>, fields: &[(Bytes, Bytes)]) -> Answer {
    let (mut pattern, mut at, mut no_values) = (None, 3, false);
    while at < words.count() {
        let has_value = at + 1 < words.count();
        if words.is(at, "NOVALUES") {
            no_values = true;
            at += 1;
            continue;
        } else if words.is(at, "COUNT") && has_value {
            if words.needed_integer(at + 1)? < 1 {
                return syntax();
            }
        } else if words.is(at, "MATCH") && has_value {
            pattern = Some(words.owned(at + 1));
        } else {
            return syntax();
        }
        at += 2;
    }
    let matches = |field: &[u8]| {
        pattern
            .as_ref()
            .is_none_or(|pattern| super::keys::is_match(pattern, field))
    };
    let there = fields.iter().filter(|(field, _)| matches(field));
    let pairs = there.map(|(field, value)| (Say::Bulk(field.clone()), Say::Bulk(value.clone())));
    Ok(Expected::FieldsScanned(pairs.collect(), no_values))
}

/// Adds numbers that are exact in binary, as programs have them where floats are added.
fn add_floats(before: &[u8], amount: &[u8], not_a_float: &str) -> Result<Bytes, Say> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let Some(before) = number(before) else {
        return Say::error(format!("ERR {not_a_float}"));
    };
    match number(amount) {
        Some(amount) => Ok((before + amount).to_string().into()),
        None => Say::error("ERR value is not a valid float"),
    }
}

pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

pub(super) fn wrong_type<T>() -> Result<T, Say> {
    Say::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

pub(super) fn name_of_collection(key: &Bytes) -> Say {
    let name = super::quoted(key);
    Say::Error(format!(
        "ERR '{name}' is the name of a collection: DEL or VECDROP drops it with all its vectors"
    ))
}
