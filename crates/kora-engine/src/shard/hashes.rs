//! The commands on hashes, executed on the shard where the key lies. Those on many fields stand in `fields.rs`.

use bytes::Bytes;
use kora_resp::Reply;
use kora_values::{FieldValue, HashValue, LongDouble, ValueError};

use super::fields::Task;
use super::key_table::Value;
use super::keys::Place;
use super::strings::length;
use super::{Shard, Unfinished};
use crate::command::{HashAction, HashScan};
use crate::error::ClientError;

impl Shard {
    pub(super) fn act_on_hash(&mut self, place: Place<'_>, action: HashAction) -> Result<Reply, Box<Unfinished>> {
        let outcome = match action {
            HashAction::Set(words, reply) => {
                return self.begin_fields(place, Task::set(words, reply));
            }
            HashAction::GetMany(fields) => return self.begin_fields(place, Task::get(fields)),
            HashAction::Delete(fields) => return self.begin_fields(place, Task::delete(fields)),
            HashAction::All(part) => return self.begin_fields(place, Task::all(part)),
            HashAction::Random(Some(sample)) => return self.begin_fields(place, Task::sample(sample)),
            HashAction::Scan(cursor, scan) => match self.vet_scan(place, scan) {
                Ok(Some(scan)) => return self.begin_fields(place, Task::scan(cursor, scan)),
                Ok(None) => Ok(Reply::Array(vec![
                    Reply::Text("0".to_owned()),
                    Reply::Array(Vec::new()),
                ])),
                Err(error) => Err(error),
            },
            HashAction::SetIfAbsent(field, value) => self.set_field_if_absent(place, &field, &value),
            HashAction::Get(field) => self.look_up(place, &field, |value| {
                value.map_or(Reply::Null, |value| Reply::Bulk(value.to_bytes()))
            }),
            HashAction::Exists(field) => {
                self.look_up(place, &field, |value| Reply::Integer(i64::from(value.is_some())))
            }
            HashAction::ValueLength(field) => self.look_up(place, &field, |value| {
                length(value.map_or(0, |value| value.bytes().len()))
            }),
            HashAction::Length => self.hash(place).map(|hash| length(hash.map_or(0, |hash| hash.len()))),
            HashAction::Add(field, amount) => {
                self.add_to_field(place, |hash| hash.increment(&field, amount).map(Reply::Integer))
            }
            HashAction::AddFloat(field, amount) => self.add_float_to_field(place, &field, &amount),
            HashAction::Random(None) => self.random_field(place),
        };
        Ok(outcome.unwrap_or_else(|error| Reply::Error(error.to_string())))
    }

    /// The hash at a key, which counts as used; an error if something else is there.
    pub(super) fn hash(&mut self, place: Place<'_>) -> Result<Option<&mut HashValue>, ClientError> {
        self.refuse_vectors(place)?;
        let Some(entry) = self.keys.find_mut(place.hash, place.key) else {
            return Ok(None);
        };
        entry.touch(place.now_ms);
        match &mut entry.value {
            Value::Hash(hash) => Ok(Some(hash)),
            Value::String(_) | Value::Vector(_) => Err(ClientError::WrongType),
        }
    }

    /// The hash at a key, made if there is nothing.
    pub(super) fn hash_or_new(&mut self, place: Place<'_>) -> Result<&mut HashValue, ClientError> {
        if self.hash(place)?.is_none() {
            let hash = HashValue::new(self.setup.catalog.hash_seed());
            self.insert(place, Value::Hash(Box::new(hash)));
        }
        match self.keys.find_mut(place.hash, place.key).map(|entry| &mut entry.value) {
            Some(Value::Hash(hash)) => Ok(hash),
            _ => unreachable!("a hash was seen there, or made, a moment ago"),
        }
    }

    fn look_up(
        &mut self,
        place: Place<'_>,
        field: &Bytes,
        show: impl FnOnce(Option<FieldValue<'_>>) -> Reply,
    ) -> Result<Reply, ClientError> {
        let hash = self.hash(place)?;
        Ok(show(hash.and_then(|hash| hash.get(field))))
    }

    fn set_field_if_absent(&mut self, place: Place<'_>, field: &Bytes, value: &Bytes) -> Result<Reply, ClientError> {
        let hash = self.hash_or_new(place)?;
        let is_there = hash.get(field).is_some();
        if !is_there {
            hash.set(field, value);
            self.note_change(place.key);
        }
        Ok(Reply::Integer(i64::from(!is_there)))
    }

    /// Adds to what a field holds; what cannot be added to leaves everything as it is.
    fn add_to_field(
        &mut self,
        place: Place<'_>,
        add: impl FnOnce(&mut HashValue) -> Result<Reply, ValueError>,
    ) -> Result<Reply, ClientError> {
        let outcome = add(self.hash_or_new(place)?);
        match &outcome {
            Ok(_) => self.note_change(place.key),
            Err(_) => self.delete_if_empty(place),
        }
        outcome.map_err(ClientError::Value)
    }

    fn add_float_to_field(&mut self, place: Place<'_>, field: &Bytes, amount: &Bytes) -> Result<Reply, ClientError> {
        // Looked at before the key, as in Redis.
        let amount = LongDouble::parse(amount).ok_or(ClientError::Value(ValueError::NotAFloat))?;
        if !amount.is_finite() {
            return Err(ClientError::Value(ValueError::NotFinite));
        }
        self.add_to_field(place, |hash| {
            hash.increment_float(field, amount).map(|sum| Reply::Bulk(sum.into()))
        })
    }

    fn random_field(&mut self, place: Place<'_>) -> Result<Reply, ClientError> {
        let mut draws = self.draw();
        let Some(hash) = self.hash(place)? else {
            return Ok(Reply::Null);
        };
        let field = hash.random(|| super::keys::next_draw(&mut draws));
        Ok(field.map_or(Reply::Null, |(field, _)| Reply::Bulk(Bytes::copy_from_slice(field))))
    }

    /// The options of HSCAN are looked at only where there is a hash; nothing otherwise.
    fn vet_scan(
        &mut self,
        place: Place<'_>,
        scan: Result<HashScan, ClientError>,
    ) -> Result<Option<HashScan>, ClientError> {
        match self.hash(place)? {
            None => Ok(None),
            Some(_) => scan.map(Some),
        }
    }

    /// A hash without fields is none.
    pub(super) fn delete_if_empty(&mut self, place: Place<'_>) {
        if let Ok(Some(hash)) = self.hash(place)
            && hash.is_empty()
        {
            self.delete_key(place);
        }
    }
}
