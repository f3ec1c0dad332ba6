//! The commands on hashes, executed on the shard where the key lies. Those on many fields stand in `fields.rs`.

use bytes::Bytes;
use kora_keyspace::ResolvedKey;
use kora_resp::Reply;
use kora_values::{FieldValue, HashRef, LongDouble, ValueError};
use kora_vector::Work;

use super::Shard;
use super::fields::{AfterTake, Purpose};
use super::keys::refused;
use super::strings::length;
use super::task::Begun;
use crate::command::{HashAction, HashScan};
use crate::error::ClientError;

impl Shard {
    pub(super) fn act_on_hash(&mut self, place: ResolvedKey<'_>, action: HashAction, work: &mut Work) -> Begun<Reply> {
        let outcome = match action {
            HashAction::Set(words, reply) => {
                return self.begin_fields(place, Purpose::set(words, reply), work);
            }
            HashAction::GetMany(fields) => return self.begin_fields(place, Purpose::get(fields), work),
            HashAction::Delete(fields) => return self.begin_fields(place, Purpose::delete(fields), work),
            HashAction::Take(fields) => match self.vet_options(place, fields) {
                Ok(fields) => return self.begin_fields(place, Purpose::take(fields, AfterTake::Remove), work),
                Err(error) => Err(error),
            },
            HashAction::Deadlines(action) => return self.act_on_deadlines(place, *action, work),
            HashAction::All(part) => return self.begin_fields(place, Purpose::all(part), work),
            HashAction::Random(Some(sample)) => return self.begin_fields(place, Purpose::sample(sample), work),
            HashAction::Scan(cursor, scan) => match self.vet_scan(place, scan) {
                Ok(Some(scan)) => return self.begin_fields(place, Purpose::scan(cursor, scan), work),
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
            HashAction::Length => {
                let hash = self.read_hash(place);
                hash.map(|hash| length(hash.map_or(0, |hash| hash.len())))
            }
            HashAction::Add(field, amount) => self.add_to_field(place, &field, amount),
            HashAction::AddFloat(field, amount) => self.add_float_to_field(place, &field, &amount),
            HashAction::Random(None) => self.random_field(place),
        };
        Begun::Done(outcome.unwrap_or_else(|error| Reply::Error(error.to_string())))
    }

    fn look_up(
        &self,
        place: ResolvedKey<'_>,
        field: &Bytes,
        show: impl FnOnce(Option<FieldValue<'_>>) -> Reply,
    ) -> Result<Reply, ClientError> {
        let hash = self.read_hash(place)?;
        Ok(show(hash.and_then(|hash| hash.get(field))))
    }

    /// The hash at a key, for a command that reads it.
    pub(super) fn read_hash(&self, place: ResolvedKey<'_>) -> Result<Option<HashRef<'_>>, ClientError> {
        let hash = self.keyspace.hash(place);
        self.lookups.note(!matches!(hash, Ok(None)));
        hash.map_err(refused)
    }

    fn set_field_if_absent(
        &mut self,
        place: ResolvedKey<'_>,
        field: &Bytes,
        value: &Bytes,
    ) -> Result<Reply, ClientError> {
        let is_set = self.keyspace.edit_hash_or_new(place, |edit| {
            let is_free = edit.hash().get(field).is_none();
            is_free && edit.set(field, value)
        });
        is_set.map(|is_set| Reply::Integer(i64::from(is_set))).map_err(refused)
    }

    /// Adds to what a field holds; what cannot be added to leaves everything as it is.
    fn add_to_field(&mut self, place: ResolvedKey<'_>, field: &Bytes, amount: i64) -> Result<Reply, ClientError> {
        let add = self
            .keyspace
            .edit_hash_or_new(place, |edit| edit.increment(field, amount));
        Ok(Reply::Integer(add.map_err(refused)?.map_err(ClientError::Value)?))
    }

    fn add_float_to_field(
        &mut self,
        place: ResolvedKey<'_>,
        field: &Bytes,
        amount: &Bytes,
    ) -> Result<Reply, ClientError> {
        // Looked at before the key, as in Redis.
        let amount = LongDouble::parse(amount).ok_or(ClientError::Value(ValueError::NotAFloat))?;
        if !amount.is_finite() {
            return Err(ClientError::Value(ValueError::NotFinite));
        }
        let add = self
            .keyspace
            .edit_hash_or_new(place, |edit| edit.increment_float(field, amount));
        Ok(Reply::Bulk(add.map_err(refused)?.map_err(ClientError::Value)?.into()))
    }

    fn random_field(&mut self, place: ResolvedKey<'_>) -> Result<Reply, ClientError> {
        let mut draws = self.draw();
        let Some(hash) = self.read_hash(place)? else {
            return Ok(Reply::Null);
        };
        let field = hash.random(|| super::keys::next_draw(&mut draws));
        Ok(field.map_or(Reply::Null, |(field, _)| Reply::Bulk(Bytes::copy_from_slice(field))))
    }

    /// What was said behind the key, which is looked at only where there is no value of another type.
    pub(super) fn vet_options<T>(
        &self,
        place: ResolvedKey<'_>,
        options: Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.keyspace.hash(place).map_err(refused)?;
        options
    }

    /// The options of HSCAN are looked at only where there is a hash; nothing otherwise.
    fn vet_scan(
        &self,
        place: ResolvedKey<'_>,
        scan: Result<HashScan, ClientError>,
    ) -> Result<Option<HashScan>, ClientError> {
        match self.keyspace.hash(place).map_err(refused)? {
            None => {
                self.lookups.note(false);
                Ok(None)
            }
            Some(_) => scan.map(Some),
        }
    }
}
