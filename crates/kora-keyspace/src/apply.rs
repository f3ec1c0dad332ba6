//! Doing again what another keyspace's outcomes say.

use std::sync::Arc;

use bytes::Bytes;
use kora_mesh::{Gauge, SharedDeadline};
use kora_values::StringRef;
use kora_vector::{Step, Work};

use crate::catalog::{Generation, Schema};
use crate::changes::Observer;
use crate::key::{ResolvedKey, key_of};
use crate::keys::{Value, ValueRef};
use crate::keyspace::Keyspace;
use crate::outcome::Outcome;
use crate::time::NEVER_MS;

impl<O: Observer> Keyspace<O> {
    /// Makes an outcome of another keyspace true of this one, which has a catalog of its own. Whatever was here before: to do it
    /// twice is the same as once. What belongs to a collection that is not in the catalog is passed over.
    ///
    /// Nothing expires meanwhile: that it did is an outcome, too.
    pub fn apply(&mut self, outcome: &Outcome<'_>) {
        match *outcome {
            Outcome::Put {
                key,
                value,
                deadline_ms,
            } => {
                let place = self.place(key, BEFORE_ALL_MS);
                self.apply_put(place, value, deadline_ms);
            }
            Outcome::Edited {
                key,
                offset,
                bytes,
                length,
            } => {
                let place = self.place(key, BEFORE_ALL_MS);
                self.apply_edit(place, (offset, bytes, length));
            }
            Outcome::FieldSet {
                key,
                field,
                value,
                deadline_ms,
            } => {
                let place = self.place(key, BEFORE_ALL_MS);
                let is_set = self.edit_hash_or_new(place, |edit| edit.set_with(field, value, Some(deadline_ms)));
                debug_assert!(is_set.is_ok(), "a field is set in a hash");
            }
            Outcome::FieldDeadline {
                key,
                field,
                deadline_ms,
            } => {
                let place = self.place(key, BEFORE_ALL_MS);
                let is_set = self.edit_hash(place, |edit| edit.set_deadline(field, deadline_ms));
                debug_assert!(is_set.is_ok(), "a field of a hash has a deadline");
            }
            Outcome::FieldsExpired { key, fields } => {
                let place = self.place(key, BEFORE_ALL_MS);
                let are_gone = self.edit_hash(place, |edit| {
                    fields.iter().for_each(|field| {
                        edit.remove(field);
                    });
                });
                debug_assert!(are_gone.is_ok(), "fields go from a hash");
            }
            Outcome::FieldGone { key, field } => {
                let place = self.place(key, BEFORE_ALL_MS);
                let is_gone = self.edit_hash(place, |edit| edit.remove(field));
                debug_assert!(is_gone.is_ok(), "a field goes from a hash");
            }
            Outcome::Deadline { key, deadline_ms } => {
                let place = self.place(key, BEFORE_ALL_MS);
                if self.entry(place).is_some() {
                    self.set_deadline(place, deadline_ms);
                }
            }
            Outcome::Removed { key, cause } => {
                let place = self.place(key, BEFORE_ALL_MS);
                if self.entry(place).is_some() {
                    self.remove(place, cause);
                }
            }
            Outcome::VectorSet { .. }
            | Outcome::VectorDeadline { .. }
            | Outcome::Attributes { .. }
            | Outcome::VectorRemoved { .. } => {
                self.apply_to_vector(outcome);
            }
            Outcome::Created { .. } | Outcome::CollectionDeadline { .. } | Outcome::Withdrawn { .. } => {
                self.apply_to_name(outcome);
            }
            Outcome::Aliased { alias, collection } => match collection {
                Some(collection) => self.set_alias(alias, collection, Generation(0)),
                None => drop(self.remove_alias(alias)),
            },
            Outcome::PartDropped { part, cause } => {
                self.drop_part(&part.schema().name, part.schema().generation, cause);
            }
            Outcome::Flushed { before, database, .. } => {
                let mut from = Some(0);
                while let Some(place) = from {
                    from = self.flush(before, database, place);
                }
            }
            Outcome::Landed { transfer } => self.note_landed(transfer),
            Outcome::LibrarySet { library } => self.change_libraries(&[], std::slice::from_ref(library)),
            Outcome::LibraryGone { name } => self.change_libraries(&[Bytes::copy_from_slice(name)], &[]),
            Outcome::BatchBegin => self.begin_batch(),
            Outcome::BatchEnd => self.end_batch(),
        }
    }

    fn apply_put(&mut self, place: ResolvedKey<'_>, value: ValueRef<'_>, deadline_ms: u64) {
        let value = match value {
            ValueRef::String(string) => Value::String(string.to_value()),
            ValueRef::Hash(hash) => {
                let mut copy = Box::new(hash.empty_like());
                let mut from = Some(0);
                while let Some(at) = from {
                    from = copy.copy_some(hash, at, FIELDS_AT_ONCE).1;
                }
                Value::Hash(copy)
            }
        };
        let is_put = self.put(place, value, Some(deadline_ms));
        debug_assert!(is_put.is_ok(), "where a value was put, there is no collection");
    }

    /// What stands before the bytes stays; the string may be longer already.
    fn apply_edit(&mut self, place: ResolvedKey<'_>, (offset, bytes, length): (usize, &[u8], usize)) {
        let held = self.string(place).ok().flatten().map_or(0, StringRef::len);
        debug_assert!(
            offset + bytes.len() <= length.max(held),
            "what is written is within the string"
        );
        let is_written = self.set_range(place, offset, bytes, usize::MAX);
        debug_assert!(is_written.is_ok(), "a string was edited");
    }

    fn apply_to_vector(&mut self, outcome: &Outcome<'_>) {
        match *outcome {
            Outcome::VectorSet {
                schema,
                name,
                row,
                deadline_ms,
            } => {
                let Some(schema) = self.own_schema(schema) else { return };
                let key = key_of(&schema.name, name).into();
                let mut insertion = self.begin_vector(&schema, key, &row.to_vec());
                let mut work = Work::new(u64::MAX);
                while self.resume_vector(&mut insertion, Some(deadline_ms), BEFORE_ALL_MS, &mut work) == Step::More {}
                drop(insertion);
                self.note_insertion_ended(&schema);
            }
            Outcome::VectorDeadline {
                schema,
                name,
                deadline_ms,
            } => {
                if let Some(schema) = self.own_schema(schema) {
                    self.set_element_deadline((&schema.name, name), deadline_ms, BEFORE_ALL_MS);
                }
            }
            Outcome::Attributes { schema, name, text } => {
                if let Some(schema) = self.own_schema(schema) {
                    self.set_attributes(&schema.name, name, text, BEFORE_ALL_MS);
                }
            }
            Outcome::VectorRemoved { schema, name, cause } => {
                if let Some(schema) = self.own_schema(schema) {
                    self.remove_vector(&schema.name, name, BEFORE_ALL_MS, cause);
                }
            }
            _ => unreachable!("the caller has looked"),
        }
    }

    fn apply_to_name(&mut self, outcome: &Outcome<'_>) {
        match *outcome {
            Outcome::Created { schema } if self.own_schema(schema).is_none() => {
                self.withdraw(&schema.name, crate::Cause::Dropped);
                let schema = Arc::new(Schema {
                    name: schema.name.clone(),
                    label: schema.label.clone(),
                    name_bytes: Gauge::new(0),
                    leaving: Gauge::new(0),
                    deadline: SharedDeadline::new(),
                    ..**schema
                });
                self.create(&schema);
            }
            Outcome::Created { .. } => {}
            Outcome::CollectionDeadline { schema, deadline_ms } => {
                if let Some(schema) = self.own_schema(schema) {
                    let place = self.place(&schema.name, BEFORE_ALL_MS);
                    self.set_collection_deadline(place, deadline_ms);
                }
            }
            Outcome::Withdrawn { schema, cause } => {
                if self.own_schema(schema).is_some() {
                    self.withdraw(&schema.name, cause);
                }
            }
            _ => unreachable!("the caller has looked"),
        }
    }

    /// This catalog's collection that is the other one's.
    fn own_schema(&self, schema: &Schema) -> Option<Arc<Schema>> {
        let newest = self.catalog.newest(&schema.name)?;
        (newest.generation == schema.generation).then_some(newest)
    }
}

/// A time at which nothing has expired.
const BEFORE_ALL_MS: u64 = 0;

/// Fields copied at once.
const FIELDS_AT_ONCE: usize = 512;

const _: () = assert!(BEFORE_ALL_MS < NEVER_MS);
