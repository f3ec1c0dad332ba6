//! The commands on strings, executed on the shard where the key lies.

use kora_keyspace::keys::Value;
use kora_keyspace::{Cause, NEVER_MS, ResolvedKey};
use kora_resp::Reply;
use kora_values::StringRef;

use super::Shard;
use super::keys::refused;
use crate::command::{Lifetime, Only, StringAction, StringSetting};
use crate::counts::integer;
use crate::error::ClientError;

impl Shard {
    pub(super) fn act_on_string(&mut self, place: ResolvedKey<'_>, action: StringAction) -> Result<Reply, ClientError> {
        match action {
            StringAction::Get => self.get_string(place),
            StringAction::Set(setting) => self.set_string(place, setting),
            StringAction::SetIfAbsent(value) => {
                let is_there = self.keyspace.exists(place);
                if !is_there {
                    self.put(place, Value::String(value), Lifetime::Forever)?;
                }
                Ok(Reply::Integer(i64::from(!is_there)))
            }
            StringAction::GetExpire(lifetime) => self.get_expiring(place, lifetime),
            StringAction::GetDelete => {
                let reply = self.get_string(place)?;
                if reply != Reply::Null {
                    self.keyspace.remove(place, Cause::Command);
                }
                Ok(reply)
            }
            StringAction::Append(tail) => {
                let bytes_max = self.setup.string_bytes_max();
                let appended = self.keyspace.append(place, &tail, bytes_max);
                appended.map(length).map_err(refused)
            }
            StringAction::Length => {
                let string = self.read_string(place)?;
                Ok(length(string.map_or(0, |string| string.len())))
            }
            StringAction::Range(start, end) => {
                let string = self.read_string(place)?;
                Ok(Reply::Bulk(
                    string.map(|string| string.range(start, end)).unwrap_or_default(),
                ))
            }
            StringAction::SetRange(offset, part) => {
                let bytes_max = self.setup.string_bytes_max();
                Ok(length(
                    self.keyspace
                        .set_range(place, offset, &part, bytes_max)
                        .map_err(refused)?,
                ))
            }
            StringAction::Add(amount) => Ok(Reply::Integer(self.keyspace.increment(place, amount).map_err(refused)?)),
            StringAction::AddFloat(amount) => {
                let sum = self.keyspace.increment_float(place, &amount).map_err(refused)?;
                Ok(Reply::Bulk(sum.into()))
            }
        }
    }

    pub(super) fn get_string(&self, place: ResolvedKey<'_>) -> Result<Reply, ClientError> {
        let string = self.read_string(place)?;
        Ok(string.map_or(Reply::Null, |string| Reply::Bulk(string.to_bytes())))
    }

    /// The string at a key, for a command that reads it.
    pub(super) fn read_string(&self, place: ResolvedKey<'_>) -> Result<Option<StringRef<'_>>, ClientError> {
        let string = self.keyspace.string(place);
        self.lookups.note(!matches!(string, Ok(None)));
        string.map_err(refused)
    }

    fn set_string(&mut self, place: ResolvedKey<'_>, setting: StringSetting) -> Result<Reply, ClientError> {
        let before = match setting.get {
            true => Some(self.get_string(place)?),
            false => None,
        };
        let may = match setting.only {
            Only::Always => true,
            Only::IfAbsent => !self.keyspace.exists(place),
            Only::IfPresent => self.keyspace.exists(place),
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
        place: ResolvedKey<'_>,
        lifetime: Result<Lifetime, ClientError>,
    ) -> Result<Reply, ClientError> {
        let reply = self.get_string(place)?;
        if reply == Reply::Null {
            return Ok(reply);
        }
        match lifetime? {
            Lifetime::Keep => {}
            Lifetime::Forever => drop(self.persist(place)),
            Lifetime::Until(deadline) => {
                self.keyspace.set_deadline(place, deadline.at_ms(place.now_ms));
            }
        }
        Ok(reply)
    }

    /// Sets what a key holds, whatever it held.
    pub(super) fn put(&mut self, place: ResolvedKey<'_>, value: Value, lifetime: Lifetime) -> Result<(), ClientError> {
        let deadline_ms = match lifetime {
            Lifetime::Forever => Some(NEVER_MS),
            Lifetime::Keep => None,
            Lifetime::Until(deadline) => Some(deadline.at_ms(place.now_ms)),
        };
        self.keyspace.put(place, value, deadline_ms).map_err(refused)
    }
}

/// A length as RESP's integer.
pub(super) fn length(length: usize) -> Reply {
    Reply::Integer(integer(length as u64))
}
