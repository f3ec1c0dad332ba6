//! Records of the log and of snapshots, made true again.

mod values;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::{Generation, MadeBy, Schema};
use kora_keyspace::collections::{PartLoading, PartPiece};
use kora_keyspace::keys::{FieldEdit, MovedValue, Value};
use kora_keyspace::{Cause, KeyType, NEVER_MS, key_of};
use kora_log::Record;
use kora_log::record::{self, Deadline, components};
use kora_values::{Database, StringValue, said_name};
use kora_vector::{LoadFault, Metric, Step, Work, vet};

use super::library_text::read_library;
use super::schema_text::read_schema;
use super::{Shard, ShardObservers};
use crate::limits::KEY_BYTES_MAX;
use crate::moved::MovedSet;

/// What a shard must remember until all of the log is read.
#[derive(Default)]
pub(crate) struct Replay {
    /// Values on their way to other shards: by the number of the transfer, with their keys.
    leaving: HashMap<u64, (Bytes, LeavingValue)>,
    /// Numbers of the transfers that ended here.
    landed: Vec<u64>,
    /// A part of a collection that is being read.
    part: Option<PartInLoad>,
    /// Hashes that are there and have no field so far, and when they expire. A keyspace holds no such hash.
    bare_hashes: HashMap<Box<[u8]>, u64>,
}

/// A part of a collection whose pieces are being read.
enum PartInLoad {
    Loading(Box<PartLoading>),
    /// There is no such collection: the log tells what became of it.
    Unknown,
}

/// A value on its way.
enum LeavingValue {
    Value(MovedValue),
    /// With its deadline and its attributes, which are empty if it has none.
    Vector(Arc<Schema>, Box<[f32]>, u64, Bytes),
    /// A vector set, as it was.
    Set(Box<MovedSet>),
}

/// Why a record can't be made true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayFault {
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ReplayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for ReplayFault {}

impl Shard {
    /// Makes a record true, at a time in milliseconds of Unix time. Nothing expires meanwhile: that it did is a record, too.
    ///
    /// # Errors
    /// If it says what no server has written.
    pub(crate) fn replay(&mut self, record: &Record<'_>, now_ms: u64) -> Result<(), ReplayFault> {
        match *record {
            Record::Set { key, value, deadline } => {
                self.vet_key(key)?;
                fault_unless(value.len() <= STRING_BYTES_MAX, "a string is longer than the limit")?;
                self.replay_put(key, Value::String(StringValue::new(value)), deadline, now_ms)
            }
            Record::Hash { key, deadline } => {
                self.vet_key(key)?;
                self.replay_gone(key, now_ms);
                self.replay.bare_hashes.insert(key.into(), deadline_ms(deadline));
                Ok(())
            }
            Record::Fields { key, fields } => {
                let texts: Vec<&[u8]> = fields.iter().collect();
                let set = |edit: &mut FieldEdit<'_, ShardObservers>| {
                    texts.chunks_exact(2).for_each(|pair| {
                        edit.set(pair[0], pair[1]);
                    });
                };
                self.replay_fields(key, now_ms, set);
                Ok(())
            }
            Record::FieldsGone { key, names } => {
                self.replay_fields_gone(key, now_ms, names.iter());
                Ok(())
            }
            Record::FieldDeadlines { key, fields } => {
                let place = self.keyspace.place(key, now_ms);
                if self.keyspace.kind(place) == Some(KeyType::Hash) {
                    let set = |edit: &mut FieldEdit<'_, ShardObservers>| {
                        fields.iter().for_each(|(field, deadline)| {
                            edit.set_deadline(field, deadline_ms(deadline));
                        });
                    };
                    drop(self.keyspace.edit_hash(place, set));
                }
                Ok(())
            }
            Record::Patch { key, offset, bytes } => {
                let place = self.keyspace.place(key, now_ms);
                if self.keyspace.kind(place) == Some(KeyType::String) {
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    let written = self.keyspace.set_range(place, offset, bytes, STRING_BYTES_MAX);
                    return written
                        .map(drop)
                        .map_err(|_| fault("a string is patched beyond its limit"));
                }
                Ok(())
            }
            Record::Deadline { key, deadline } => {
                // A deadline that has passed by now may be moved on by a record that follows.
                let place = self.keyspace.place(key, BEFORE_ALL_MS);
                if let Some(bare) = self.replay.bare_hashes.get_mut(key) {
                    *bare = deadline_ms(deadline);
                } else if self.keyspace.entry(place).is_some() {
                    self.keyspace.set_deadline(place, deadline_ms(deadline));
                }
                Ok(())
            }
            Record::Gone { key, cause } => {
                let place = self.keyspace.place(key, now_ms);
                if let record::Cause::Moved(transfer) = cause
                    && let Some(moved) = self.keyspace.take(place, transfer)
                {
                    self.setup.catalog.go_on_from(transfer + 1);
                    let key = Bytes::copy_from_slice(key);
                    self.replay.leaving.insert(transfer, (key, LeavingValue::Value(moved)));
                }
                self.replay_gone(key, now_ms);
                Ok(())
            }
            Record::Landed { transfer } => {
                self.setup.catalog.go_on_from(transfer + 1);
                self.replay.landed.push(transfer);
                Ok(())
            }
            Record::Alias { name, collection } => self.replay_alias(name, collection),
            Record::Flush { generation } => {
                self.replay_flush(generation, None);
                self.replay.bare_hashes.clear();
                Ok(())
            }
            Record::FlushDatabase { generation, database } => {
                let database = usize::try_from(database).ok().and_then(Database::new);
                let database = database.ok_or_else(|| fault("a database beyond the limit"))?;
                self.replay_flush(generation, Some(database));
                let bare_hashes = &mut self.replay.bare_hashes;
                bare_hashes.retain(|key, _| Database::of(key) != database);
                Ok(())
            }
            Record::Library { name, code, functions } => {
                let library = read_library(name, code, functions).ok_or_else(|| fault("a library is not one"))?;
                self.keyspace.change_libraries(&[], &[library]);
                Ok(())
            }
            Record::LibraryGone { name } => {
                self.keyspace.change_libraries(&[Bytes::copy_from_slice(name)], &[]);
                Ok(())
            }
            _ => self.replay_of_collection(record),
        }
    }

    /// Reads a piece of a part of a collection. All pieces of a snapshot together have so many bytes at most.
    ///
    /// # Errors
    /// If it is none that a server has written.
    pub(crate) fn replay_index(&mut self, piece: &[u8], bytes_max: u64, now_ms: u64) -> Result<(), ReplayFault> {
        let refuse = |fault: LoadFault| ReplayFault {
            what: fault.to_string(),
        };
        let begun = self.replay.part.take();
        self.replay.part = match (PartPiece::read(piece).map_err(refuse)?, begun) {
            (
                PartPiece::Head {
                    generation,
                    name,
                    index,
                },
                None,
            ) => Some(match self.schema_of(name, generation.0) {
                None => PartInLoad::Unknown,
                Some(schema) => {
                    let hash_seed = self.setup.catalog.hash_seed();
                    let part = PartLoading::begin(&schema, index, hash_seed, bytes_max, now_ms).map_err(refuse)?;
                    PartInLoad::Loading(Box::new(part))
                }
            }),
            (PartPiece::More(more), Some(PartInLoad::Loading(mut part))) => {
                let schema = Arc::clone(part.schema());
                let belongs = |name: &[u8]| self.placement.shard_of_vector(&schema, name) == self.id;
                part.piece(more, belongs).map_err(refuse)?;
                Some(PartInLoad::Loading(part))
            }
            (PartPiece::More(_), Some(PartInLoad::Unknown)) => Some(PartInLoad::Unknown),
            (PartPiece::End, Some(PartInLoad::Loading(mut part))) => {
                part.end();
                self.keyspace.put_part(*part).map_err(refuse)?;
                None
            }
            // A part may have been dropped before even its head was written.
            (PartPiece::End, Some(PartInLoad::Unknown)) | (PartPiece::Abandoned, _) => None,
            _ => return Err(fault("the pieces of a collection are not in order")),
        };
        Ok(())
    }

    /// Whether a part that was begun is not whole.
    pub(crate) fn lacks_pieces(&self) -> bool {
        self.replay.part.is_some()
    }

    /// Numbers of the transfers that ended here.
    pub(crate) fn take_landed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.replay.landed)
    }

    /// All is read, and these transfers have ended. What was on its way otherwise goes back to where it came from, if its
    /// key is free; parts of collections that are gone go.
    pub(crate) fn end_replay(&mut self, landed: &[u64], now_ms: u64) {
        let leaving = std::mem::take(&mut self.replay.leaving);
        for (transfer, (key, value)) in leaving {
            let place = self.keyspace.place(&key, now_ms);
            if landed.binary_search(&transfer).is_ok() || self.keyspace.exists(place) {
                continue;
            }
            self.keyspace.begin_batch();
            self.keyspace.note_landed(transfer);
            match value {
                LeavingValue::Value(moved) => {
                    let put = self.keyspace.put_moved(place, moved);
                    debug_assert!(put.is_ok(), "the key is free");
                }
                LeavingValue::Vector(schema, vector, deadline_ms, attributes) => {
                    if self.is_current(&schema) {
                        self.replay_vector(&schema, &key, &vector, deadline_ms);
                        let name = &key[schema.name.len() + 1..];
                        self.keyspace
                            .set_attributes(&schema.name, name, &attributes, BEFORE_ALL_MS);
                    }
                }
                LeavingValue::Set(set) => {
                    let mut landing = self.begin_landing(&key, *set, now_ms);
                    while self.tell_landed(&mut landing, &mut Work::new(u64::MAX)) == Step::More {}
                }
            }
            self.keyspace.end_batch();
        }
        let parts: Vec<Arc<Schema>> = self
            .keyspace
            .collections()
            .iter()
            .map(|part| Arc::clone(part.schema()))
            .collect();
        for schema in parts {
            if !self.is_current(&schema) {
                self.keyspace.drop_part(&schema.name, schema.generation, Cause::Dropped);
            }
        }
        for bucket in 0..self.setup.catalog.bucket_count() {
            for schema in self.setup.catalog.at(0).bucket(bucket) {
                let is_own = self.placement.shard_of(&schema.name) == self.id;
                let is_empty = self.keyspace.part_of(&schema).is_none_or(|part| part.live() == 0);
                if is_own && is_empty && schema.made_by != MadeBy::Veccreate {
                    self.keyspace.note_emptied(&schema);
                }
            }
        }
    }

    fn replay_of_collection(&mut self, record: &Record<'_>) -> Result<(), ReplayFault> {
        match *record {
            Record::Vector {
                generation,
                collection,
                name,
                components: bytes,
                deadline,
            } => {
                let Some(schema) = self.schema_of(collection, generation) else {
                    return Ok(());
                };
                let key = key_of(collection, name);
                self.vet_key(&key)?;
                let vector: Vec<f32> = components(bytes).collect();
                fault_unless(
                    vector.len() == schema.dimension,
                    "a vector has another dimension than its collection",
                )?;
                // A vector set takes zero vectors, which only cosine refuses.
                let metric = schema.set_form().map_or(schema.graph.metric, |_| Metric::L2);
                vet(&vector, metric).map_err(|refusal| fault(&refusal.to_string()))?;
                if self.keeps_vector(&schema, &key, name, &vector) {
                    // The snapshot has it, or a record before: what it took to link it is not spent again.
                    let element = (collection, name);
                    self.keyspace
                        .set_element_deadline(element, deadline_ms(deadline), BEFORE_ALL_MS);
                    return Ok(());
                }
                self.replay_vector(&schema, &key, &vector, deadline_ms(deadline));
            }
            Record::VectorDeadline {
                generation,
                collection,
                name,
                deadline,
            } => {
                if self.schema_of(collection, generation).is_some() {
                    let element = (collection, name);
                    self.keyspace
                        .set_element_deadline(element, deadline_ms(deadline), BEFORE_ALL_MS);
                }
            }
            Record::Attributes {
                generation,
                collection,
                name,
                text,
            } => {
                // A vector set takes any bytes.
                fault_unless(
                    text.len() <= kora_filter::limits::ATTRIBUTES_BYTES_MAX,
                    "attributes are longer than the limit",
                )?;
                // In a snapshot it may be of a vector that goes with a record behind it.
                if self.schema_of(collection, generation).is_some() {
                    self.keyspace.set_attributes(collection, name, text, BEFORE_ALL_MS);
                }
            }
            Record::VectorGone {
                generation,
                collection,
                name,
                cause,
            } => {
                if let Some(schema) = self.schema_of(collection, generation) {
                    self.replay_vector_gone(&schema, name, cause);
                }
            }
            Record::Create {
                generation,
                collection,
                schema,
                deadline,
            } => {
                self.vet_key(collection)?;
                let known = self.setup.catalog.newest(collection);
                if known.as_ref().is_some_and(|known| known.generation.0 >= generation) {
                    return Ok(());
                }
                let read = read_schema(collection, generation, schema, self.setup.graph.graph_min);
                let schema = read.ok_or_else(|| fault("a collection is described as this version does not"))?;
                if known.is_some() {
                    self.keyspace.withdraw(collection, Cause::Dropped);
                }
                self.setup.catalog.go_on_from(generation + 1);
                self.keyspace.create(&schema);
                if let Deadline::At(ms) = deadline {
                    let place = self.keyspace.place(collection, BEFORE_ALL_MS);
                    self.keyspace.set_deadline(place, ms);
                }
            }
            Record::CollectionDeadline {
                generation,
                collection,
                deadline,
            } => {
                if self.schema_of(collection, generation).is_some() {
                    let place = self.keyspace.place(collection, BEFORE_ALL_MS);
                    self.keyspace.set_deadline(place, deadline_ms(deadline));
                }
            }
            Record::Drop {
                generation,
                collection,
                cause,
            } => {
                if let record::Cause::Moved(transfer) = cause {
                    self.setup.catalog.go_on_from(transfer + 1);
                    self.replay_set_leaving(collection, generation, transfer);
                } else if self.schema_of(collection, generation).is_some() {
                    self.keyspace.withdraw(collection, Cause::Dropped);
                }
            }
            Record::PartGone {
                generation, collection, ..
            } => {
                let name = Bytes::copy_from_slice(collection);
                self.keyspace.drop_part(&name, Generation(generation), Cause::Dropped);
            }
            _ => return Err(fault("a record that this version does not write")),
        }
        Ok(())
    }

    fn replay_flush(&mut self, generation: u64, database: Option<Database>) {
        let mut from = Some(0);
        while let Some(place) = from {
            from = self.keyspace.flush(Generation(generation), database, place);
        }
    }

    fn replay_vector(&mut self, schema: &Arc<Schema>, key: &[u8], vector: &[f32], deadline_ms: u64) {
        let key = Bytes::copy_from_slice(key);
        let mut insertion = self.keyspace.begin_vector(schema, key, vector);
        let mut work = Work::new(u64::MAX);
        let deadline = Some(deadline_ms);
        while self
            .keyspace
            .resume_vector(&mut insertion, deadline, BEFORE_ALL_MS, &mut work)
            == Step::More
        {}
        drop(insertion);
        self.keyspace.note_insertion_ended(schema);
    }

    /// Whether the vector of a name is this one, to the bit, and nothing stands before it.
    fn keeps_vector(&self, schema: &Schema, key: &[u8], name: &[u8], vector: &[f32]) -> bool {
        let place = self.keyspace.place(key, BEFORE_ALL_MS);
        let row = self.keyspace.part_of(schema).and_then(|part| part.row_of(name));
        let is_same = row.is_some_and(|row| {
            let kept = row.to_vec();
            kept.iter()
                .zip(vector)
                .all(|(kept, told)| kept.to_bits() == told.to_bits())
        });
        is_same && (!schema.has_key(name) || self.keyspace.kind(place) == Some(KeyType::Vector))
    }

    fn replay_vector_gone(&mut self, schema: &Arc<Schema>, name: &[u8], cause: record::Cause) {
        if let record::Cause::Moved(transfer) = cause {
            self.setup.catalog.go_on_from(transfer + 1);
            let key = Bytes::from(key_of(&schema.name, name));
            let place = self.keyspace.place(&key, BEFORE_ALL_MS);
            let deadline_ms = self.keyspace.deadline_of(place).unwrap_or(NEVER_MS);
            let attributes = self
                .keyspace
                .vector_at(place)
                .map(|(part, name)| part.attributes_of(name));
            let attributes = Bytes::copy_from_slice(attributes.flatten().unwrap_or_default());
            if let Some(vector) = self.keyspace.use_vector(&schema.name, name, BEFORE_ALL_MS) {
                let leaving = LeavingValue::Vector(Arc::clone(schema), vector, deadline_ms, attributes);
                self.replay.leaving.insert(transfer, (key.clone(), leaving));
            }
        }
        self.keyspace
            .remove_vector(&schema.name, name, BEFORE_ALL_MS, Cause::Command);
    }

    /// A vector set is on its way to another key.
    fn replay_set_leaving(&mut self, name: &[u8], generation: u64, transfer: u64) {
        let Some(schema) = self.schema_of(name, generation) else {
            return;
        };
        if let Some(part) = self.keyspace.take_set(&schema, transfer) {
            let set = MovedSet { part, schema, transfer };
            let leaving = LeavingValue::Set(Box::new(set));
            self.replay
                .leaving
                .insert(transfer, (Bytes::copy_from_slice(name), leaving));
        }
    }

    /// The collection of this name, if it is this one.
    fn schema_of(&self, name: &[u8], generation: u64) -> Option<Arc<Schema>> {
        let newest = self.setup.catalog.newest(name)?;
        (newest.generation == Generation(generation)).then_some(newest)
    }

    fn is_current(&self, schema: &Schema) -> bool {
        self.schema_of(&schema.name, schema.generation.0).is_some()
    }

    fn vet_key(&self, key: &[u8]) -> Result<(), ReplayFault> {
        let (database, databases) = (Database::of(key), self.setup.databases);
        if !databases.has(database) {
            let (number, count) = (database.number(), databases.count());
            return Err(ReplayFault {
                what: format!("a key is of database {number}, and the setting `databases` is {count}"),
            });
        }
        fault_unless(said_name(key).len() <= KEY_BYTES_MAX, "a key is longer than the limit")
    }
}

fn deadline_ms(deadline: Deadline) -> u64 {
    match deadline {
        Deadline::Never => NEVER_MS,
        Deadline::At(ms) => ms,
    }
}

fn fault(what: &str) -> ReplayFault {
    ReplayFault { what: what.to_owned() }
}

fn fault_unless(holds: bool, what: &str) -> Result<(), ReplayFault> {
    if holds { Ok(()) } else { Err(fault(what)) }
}

/// A time at which nothing has expired.
const BEFORE_ALL_MS: u64 = 0;

/// Strings up to this length are read whatever the settings say now: the longest that Redis allows.
const STRING_BYTES_MAX: usize = 512 << 20;
