//! The journal of a shard: what became true, as records for the log.
//!
//! A change outside of a batch is a frame of its own, and a batch is one frame. A frame gets its stamp when it is complete,
//! before anything of it can be seen elsewhere: see `kora_log::order`.

use std::sync::Arc;

use kora_keyspace::catalog::{Generation, Schema};
use kora_keyspace::{Library, NEVER_MS, Outcome, ValueRef};
use kora_log::Record;
use kora_log::order::{Chunk, Mark};
use kora_log::record::{
    self, Deadline, encode_field_deadlines, encode_fields, encode_fields_gone, encode_library, encode_vector, put_text,
};
use kora_mesh::Durability;
use kora_values::HashRef;

use super::schema_text::schema_text;

/// What one shard has changed and not handed over yet.
pub(crate) struct Journal {
    durability: Arc<Durability>,
    shard: u32,
    is_on: bool,
    is_in_batch: bool,
    /// Where the frame begins that is being written.
    frame_start: usize,
    chunk: Chunk,
}

impl Journal {
    pub(crate) fn new(durability: Arc<Durability>, shard: u32) -> Journal {
        Journal {
            durability,
            shard,
            is_on: false,
            is_in_batch: false,
            frame_start: 0,
            chunk: Chunk::default(),
        }
    }

    /// Whether changes are written down.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Writes changes down from now on, or no more. Of a batch that is under way nothing is kept: while the log is on for good
    /// this does not change, and a snapshot ends before such a batch or after it.
    pub(crate) fn set_on(&mut self, is_on: bool) {
        if self.is_on != is_on {
            self.is_on = is_on;
            self.is_in_batch = false;
            self.chunk.records.truncate(self.frame_start);
        }
    }

    /// What is complete, to be handed over. An empty chunk if nothing is.
    pub(crate) fn take(&mut self) -> Chunk {
        if self.chunk.marks.is_empty() {
            return Chunk::default();
        }
        let unfinished = self.chunk.records.split_off(self.frame_start);
        self.frame_start = 0;
        let records = std::mem::replace(&mut self.chunk.records, unfinished);
        let marks = std::mem::take(&mut self.chunk.marks);
        Chunk { records, marks }
    }

    /// Writes a change down.
    pub(crate) fn see(&mut self, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::BatchBegin => {
                self.is_in_batch = true;
                return;
            }
            Outcome::BatchEnd => self.is_in_batch = false,
            _ => self.encode(outcome),
        }
        if !self.is_in_batch {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        let end = self.chunk.records.len();
        if end > self.frame_start {
            let stamp = self.durability.stamps.next();
            let shard = self.shard;
            self.chunk.marks.push(Mark { stamp, shard, end });
            self.frame_start = end;
        }
    }

    fn encode(&mut self, outcome: &Outcome<'_>) {
        let out = &mut self.chunk.records;
        match *outcome {
            Outcome::Put {
                key,
                value,
                deadline_ms,
            } => put_value(out, key, value, deadline(deadline_ms)),
            Outcome::Edited { key, offset, bytes, .. } => Record::Patch {
                key,
                offset: offset as u64,
                bytes,
            }
            .encode(out),
            Outcome::FieldSet {
                key,
                field,
                value,
                deadline_ms,
            } => {
                encode_fields(out, key, 1, |out| {
                    put_text(out, field);
                    put_text(out, value);
                });
                if deadline_ms != NEVER_MS {
                    encode_field_deadlines(out, key, [(field, deadline(deadline_ms))].into_iter());
                }
            }
            Outcome::FieldDeadline {
                key,
                field,
                deadline_ms,
            } => encode_field_deadlines(out, key, [(field, deadline(deadline_ms))].into_iter()),
            Outcome::FieldsExpired { key, fields } => {
                encode_fields_gone(out, key, fields.iter().map(|field| &field[..]));
            }
            Outcome::FieldGone { key, field } => encode_fields_gone(out, key, [field].into_iter()),
            Outcome::Deadline { key, deadline_ms } => Record::Deadline {
                key,
                deadline: deadline(deadline_ms),
            }
            .encode(out),
            Outcome::Removed { key, cause } => Record::Gone {
                key,
                cause: cause_of(cause),
            }
            .encode(out),
            Outcome::VectorSet {
                schema,
                name,
                row,
                deadline_ms,
            } => {
                let (collection, deadline) = ((schema.generation.0, &schema.name[..]), deadline(deadline_ms));
                encode_vector(out, collection, name, &row.to_vec(), deadline);
            }
            Outcome::VectorDeadline {
                schema,
                name,
                deadline_ms,
            } => Record::VectorDeadline {
                generation: schema.generation.0,
                collection: &schema.name,
                name,
                deadline: deadline(deadline_ms),
            }
            .encode(out),
            Outcome::VectorRemoved { schema, name, cause } => Record::VectorGone {
                generation: schema.generation.0,
                collection: &schema.name,
                name,
                cause: cause_of(cause),
            }
            .encode(out),
            Outcome::Attributes { schema, name, text } => put_attributes(out, schema, name, text),
            Outcome::Landed { transfer } => Record::Landed { transfer }.encode(out),
            Outcome::LibrarySet { library } => put_library(out, library),
            Outcome::LibraryGone { name } => Record::LibraryGone { name }.encode(out),
            Outcome::Aliased { alias, collection } => put_alias(out, alias, collection.unwrap_or_default()),
            Outcome::Created { .. }
            | Outcome::CollectionDeadline { .. }
            | Outcome::Withdrawn { .. }
            | Outcome::PartDropped { .. }
            | Outcome::Flushed { .. } => encode_of_collection(out, outcome),
            // They are the frame's bounds.
            Outcome::BatchBegin | Outcome::BatchEnd => {}
        }
    }
}

fn encode_of_collection(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    match *outcome {
        Outcome::Created { schema } => put_collection(out, schema),
        Outcome::CollectionDeadline { schema, deadline_ms } => Record::CollectionDeadline {
            generation: schema.generation.0,
            collection: &schema.name,
            deadline: deadline(deadline_ms),
        }
        .encode(out),
        Outcome::Withdrawn { schema, cause } => Record::Drop {
            generation: schema.generation.0,
            collection: &schema.name,
            cause: cause_of(cause),
        }
        .encode(out),
        Outcome::PartDropped { part, cause } => Record::PartGone {
            generation: part.schema().generation.0,
            collection: &part.schema().name,
            cause: cause_of(cause),
        }
        .encode(out),
        Outcome::Flushed {
            before: Generation(generation),
            database,
            ..
        } => match database {
            None => Record::Flush { generation }.encode(out),
            Some(database) => Record::FlushDatabase {
                generation,
                database: u64::from(database.number()),
            }
            .encode(out),
        },
        _ => debug_assert!(false, "not about a collection"),
    }
}

/// Writes a key's whole state.
pub(super) fn put_value(out: &mut Vec<u8>, key: &[u8], value: ValueRef<'_>, deadline: Deadline) {
    match value {
        ValueRef::String(string) => {
            let mut digits = kora_values::Digits::default();
            let value = string.bytes(&mut digits);
            Record::Set { key, value, deadline }.encode(out);
        }
        ValueRef::Hash(hash) => {
            Record::Hash { key, deadline }.encode(out);
            let mut from = Some(0);
            while let Some(place) = from {
                from = put_fields(out, key, hash, place);
            }
        }
    }
}

/// Writes some fields of a hash, from a place on; the next place, if there are more.
pub(super) fn put_fields(out: &mut Vec<u8>, key: &[u8], hash: HashRef<'_>, from: u64) -> Option<u64> {
    let (fields, next) = hash.scan_timed(from, FIELDS_AT_ONCE);
    if !fields.is_empty() {
        let count = fields.len() as u64;
        encode_fields(out, key, count, |out| {
            for ((field, value), _) in &fields {
                put_text(out, field);
                put_text(out, value.bytes());
            }
        });
    }
    // Backwards: of those with one deadline a small hash has that in front which was given it last.
    let due = fields.iter().rev().filter(|(_, deadline_ms)| *deadline_ms != NEVER_MS);
    let due: Vec<(&[u8], Deadline)> = due
        .map(|((field, _), deadline_ms)| (*field, deadline(*deadline_ms)))
        .collect();
    if !due.is_empty() {
        encode_field_deadlines(out, key, due.into_iter());
    }
    next
}

/// Writes that there is this collection.
pub(super) fn put_collection(out: &mut Vec<u8>, schema: &Schema) {
    let deadline_ms = schema.deadline.end();
    Record::Create {
        generation: schema.generation.0,
        collection: &schema.name,
        schema: &schema_text(schema),
        deadline: deadline(deadline_ms),
    }
    .encode(out);
}

/// Writes that there is this library of functions.
pub(super) fn put_library(out: &mut Vec<u8>, library: &Library) {
    let count = library.functions.len() as u64;
    encode_library(out, &library.name, &library.code, count, |out| {
        for function in &library.functions {
            put_text(out, &function.name);
            put_text(out, &[function.flags]);
            let description = function.description.as_ref();
            put_text(
                out,
                &description.map_or_else(Vec::new, |text| [b"\x01", &text[..]].concat()),
            );
        }
    });
}

/// Writes what an alias means; nothing if it is not there.
pub(super) fn put_alias(out: &mut Vec<u8>, name: &[u8], collection: &[u8]) {
    Record::Alias { name, collection }.encode(out);
}

/// Writes what attributes a vector has; none if the text is empty.
pub(super) fn put_attributes(out: &mut Vec<u8>, schema: &Schema, name: &[u8], text: &[u8]) {
    Record::Attributes {
        generation: schema.generation.0,
        collection: &schema.name,
        name,
        text,
    }
    .encode(out);
}

pub(super) fn deadline(deadline_ms: u64) -> Deadline {
    match deadline_ms {
        NEVER_MS => Deadline::Never,
        ms => Deadline::At(ms),
    }
}

fn cause_of(cause: kora_keyspace::Cause) -> record::Cause {
    use kora_keyspace::Cause;
    match cause {
        Cause::Moved { transfer } => record::Cause::Moved(transfer),
        Cause::Command => record::Cause::Command,
        Cause::Expired => record::Cause::Expired,
        Cause::Evicted => record::Cause::Evicted,
        Cause::Overwritten => record::Cause::Replaced,
        Cause::Dropped => record::Cause::Dropped,
    }
}

/// Fields in one record: few enough that a record stays small, many enough that the key is not repeated often.
const FIELDS_AT_ONCE: usize = 512;
