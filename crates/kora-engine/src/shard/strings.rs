//! The commands on strings, executed on the shard where the key lies.

use kora_resp::Reply;
use kora_values::StringValue;

use super::Shard;
use super::key_table::{Carried, NEVER_MS, Value};
use super::keys::Place;
use crate::command::{KeyType, Lifetime, Only, StringAction, StringSetting};
use crate::error::ClientError;
use crate::gather::integer;

impl Shard {
    pub(super) fn act_on_string(&mut self, place: Place<'_>, action: StringAction) -> Result<Reply, ClientError> {
        match action {
            StringAction::Get => self.get_string(place),
            StringAction::Set(setting) => self.set_string(place, setting),
            StringAction::SetIfAbsent(value) => {
                let is_there = self.exists(place);
                if !is_there {
                    self.put(place, Value::String(value), Lifetime::Forever)?;
                }
                Ok(Reply::Integer(i64::from(!is_there)))
            }
            StringAction::GetExpire(lifetime) => self.get_expiring(place, lifetime),
            StringAction::GetDelete => {
                let reply = self.get_string(place)?;
                if reply != Reply::Null {
                    self.delete_key(place);
                }
                Ok(reply)
            }
            StringAction::Append(tail) => self.append(place, &tail),
            StringAction::Length => {
                let string = self.string(place)?;
                Ok(length(string.map_or(0, |string| string.len())))
            }
            StringAction::Range(start, end) => {
                let string = self.string(place)?;
                Ok(Reply::Bulk(
                    string.map(|string| string.range(start, end)).unwrap_or_default(),
                ))
            }
            StringAction::SetRange(offset, part) => self.set_range(place, offset, &part),
            StringAction::Add(amount) => self.add(place, amount),
            StringAction::AddFloat(amount) => self.add_float(place, &amount),
        }
    }

    /// The string at a key, which counts as used; an error if something else is there.
    pub(super) fn string(&mut self, place: Place<'_>) -> Result<Option<&mut StringValue>, ClientError> {
        self.refuse_vectors(place)?;
        let Some(entry) = self.keys.find_mut(place.hash, place.key) else {
            return Ok(None);
        };
        entry.touch(place.now_ms);
        match &mut entry.value {
            Value::String(string) => Ok(Some(string)),
            Value::Hash(_) | Value::Vector(_) => Err(ClientError::WrongType),
        }
    }

    pub(super) fn get_string(&mut self, place: Place<'_>) -> Result<Reply, ClientError> {
        let string = self.string(place)?;
        Ok(string.map_or(Reply::Null, |string| Reply::Bulk(string.to_bytes())))
    }

    fn set_string(&mut self, place: Place<'_>, setting: StringSetting) -> Result<Reply, ClientError> {
        let before = match setting.get {
            true => Some(self.get_string(place)?),
            false => None,
        };
        let may = match setting.only {
            Only::Always => true,
            Only::IfAbsent => !self.exists(place),
            Only::IfPresent => self.exists(place),
        };
        if !may {
            return Ok(before.unwrap_or(Reply::Null));
        }
        let value = Value::String(setting.value);
        self.put(place, value, setting.lifetime)?;
        Ok(before.unwrap_or_else(Reply::ok))
    }

    fn get_expiring(
        &mut self,
        place: Place<'_>,
        lifetime: Result<Lifetime, ClientError>,
    ) -> Result<Reply, ClientError> {
        let reply = self.get_string(place)?;
        if reply == Reply::Null {
            return Ok(reply);
        }
        match lifetime? {
            Lifetime::Keep => {}
            Lifetime::Forever => drop(self.persist(place)),
            Lifetime::Until(deadline) => self.set_expiry(place, deadline.at_ms(place.now_ms)),
        }
        Ok(reply)
    }

    fn append(&mut self, place: Place<'_>, tail: &[u8]) -> Result<Reply, ClientError> {
        let bytes_max = self.setup.string_bytes_max();
        let length_after = match self.string(place)? {
            Some(string) => string.append(tail, bytes_max).map_err(ClientError::Value)?,
            None => {
                self.insert(place, Value::String(StringValue::new(tail)));
                tail.len()
            }
        };
        self.note_change(place.key);
        Ok(length(length_after))
    }

    fn set_range(&mut self, place: Place<'_>, offset: usize, part: &[u8]) -> Result<Reply, ClientError> {
        let bytes_max = self.setup.string_bytes_max();
        let length_after = match self.string(place)? {
            Some(string) => string.set_range(offset, part, bytes_max).map_err(ClientError::Value)?,
            // Nothing is written, so nothing comes to be.
            None if part.is_empty() => return Ok(Reply::Integer(0)),
            None => {
                let mut string = StringValue::new(b"");
                let length_after = string.set_range(offset, part, bytes_max).map_err(ClientError::Value)?;
                self.insert(place, Value::String(string));
                length_after
            }
        };
        if !part.is_empty() {
            self.note_change(place.key);
        }
        Ok(length(length_after))
    }

    fn add(&mut self, place: Place<'_>, amount: i64) -> Result<Reply, ClientError> {
        let sum = match self.string(place)? {
            Some(string) => string.increment(amount).map_err(ClientError::Value)?,
            None => {
                self.insert(place, Value::String(StringValue::of_integer(amount)));
                amount
            }
        };
        self.note_change(place.key);
        Ok(Reply::Integer(sum))
    }

    fn add_float(&mut self, place: Place<'_>, amount: &[u8]) -> Result<Reply, ClientError> {
        let sum = match self.string(place)? {
            Some(string) => string.increment_float(amount).map_err(ClientError::Value)?,
            None => {
                let mut string = StringValue::of_integer(0);
                let sum = string.increment_float(amount).map_err(ClientError::Value)?;
                self.insert(place, Value::String(string));
                sum
            }
        };
        self.note_change(place.key);
        Ok(Reply::Bulk(sum.into()))
    }

    /// Sets what a key holds, whatever it held.
    pub(super) fn put(&mut self, place: Place<'_>, value: Value, lifetime: Lifetime) -> Result<(), ClientError> {
        let expires_ms = match lifetime {
            Lifetime::Forever => Some(NEVER_MS),
            Lifetime::Keep => None,
            Lifetime::Until(deadline) => Some(deadline.at_ms(place.now_ms)),
        };
        if self.keys.has_vectors() && self.kind(place) == Some(KeyType::Vector) {
            self.delete_key(place);
        }
        if let Some(entry) = self.keys.find_mut(place.hash, place.key) {
            let before = std::mem::replace(&mut entry.value, value);
            entry.touch(place.now_ms);
            let has_other_expiry = expires_ms.is_some_and(|expires_ms| expires_ms != entry.expires_ms());
            self.discard(before);
            if let (true, Some(expires_ms)) = (has_other_expiry, expires_ms) {
                self.keys.set_expiry(place.hash, place.key, expires_ms);
            }
        } else {
            self.clear_way(place)?;
            let expires_ms = expires_ms.unwrap_or(NEVER_MS);
            self.keys
                .insert_new(place.hash, place.key, Carried { value, expires_ms }, place.now_ms);
        }
        self.note_change(place.key);
        Ok(())
    }
}

/// A length as RESP's integer.
pub(super) fn length(length: usize) -> Reply {
    Reply::Integer(integer(length as u64))
}
