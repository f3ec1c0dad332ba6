//! A shard's part of a snapshot: everything that it holds, some at a time, while commands go on. Why that is exact stands in
//! `kora_log`.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::ValueRef;
use kora_keyspace::catalog::{Generation, Schema};
use kora_keyspace::collections::PartCapture;
use kora_keyspace::limits::SCAN_PREFIX_BITS;
use kora_log::Record;
use kora_log::record::encode_vector;
use kora_log::snapshot::PieceKind;
use kora_values::Database;
use kora_vector::{Step, Work};

use super::journal::{deadline, put_alias, put_attributes, put_collection, put_fields, put_library, put_value};
use super::{CHORE_PART, Shard};
use crate::router::LIBRARIES_SHARD;

/// How far it is.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    stage: CaptureStage,
    /// Records that were written and are no whole piece yet.
    records: Vec<u8>,
    /// Whole pieces that were not handed over: two at most.
    pieces: VecDeque<Piece>,
}

/// What is handed over at once.
pub(crate) type Piece = (PieceKind, Vec<u8>);

#[derive(Debug, Default)]
enum CaptureStage {
    #[default]
    Begin,
    /// Libraries of functions, if they are decided about here; the one that was written last.
    Libraries(Option<Bytes>),
    /// Collections whose names are owned here; the next bucket of the catalog.
    Names(usize),
    /// Strings and hashes; the databases of which they are, the next place in the table of the first, and the hash that is being
    /// written, with the place of its next fields.
    Keys(Vec<Database>, Option<u32>, Vec<(Bytes, u64)>),
    /// Vectors; the next part's place.
    Parts(u32),
    /// The part of this place is brought to a state in which it can be written down as it is.
    Prepare(u32, Arc<Schema>),
    /// It is written down.
    Index(u32, Arc<Schema>, Box<PartCapture>),
    /// The vectors of the part of this place and generation, one by one, and the place of its next names.
    Vectors(u32, Generation, u32),
    /// What changes at once is complete, and then the end.
    Settle,
    Ended,
}

impl Capture {
    /// The next piece that is whole, if there is one.
    pub(crate) fn take(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }

    /// Takes back what could not be handed over.
    pub(crate) fn put_back(&mut self, piece: Piece) {
        self.pieces.push_front(piece);
    }

    /// Whether there is more to write and room for it.
    pub(crate) fn has_work(&self) -> bool {
        self.pieces.is_empty() && !self.is_ended()
    }

    /// Whether everything was written and handed over.
    pub(crate) fn is_done(&self) -> bool {
        self.is_ended() && self.pieces.is_empty()
    }

    fn is_ended(&self) -> bool {
        matches!(self.stage, CaptureStage::Ended)
    }

    /// The records that were written are a piece, if there are any.
    fn end_records(&mut self) {
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.pieces.push_back((PieceKind::Records, records));
        }
    }
}

/// A part whose capture was given up, with the capture if it had begun.
pub(super) type GivenUp = (Arc<Schema>, Option<Box<PartCapture>>);

impl CaptureStage {
    /// The part that is being captured.
    fn into_part(self) -> Option<GivenUp> {
        match self {
            CaptureStage::Prepare(_, schema) => Some((schema, None)),
            CaptureStage::Index(_, schema, part) => Some((schema, Some(part))),
            _ => None,
        }
    }
}

impl Shard {
    /// Begins to write down what it holds, or gives that up.
    pub(crate) fn set_capture(&mut self, is_wanted: bool) {
        let new = is_wanted.then(Box::default);
        if let Some(old) = std::mem::replace(&mut self.capture, new) {
            self.given_up.extend(old.stage.into_part());
        }
    }

    /// What it writes down, if it does.
    pub(crate) fn capture_mut(&mut self) -> Option<&mut Capture> {
        self.capture.as_deref_mut()
    }

    /// Whether there is more to write down, and room for it, or something to be put right.
    pub(crate) fn has_capture_work(&self) -> bool {
        !self.given_up.is_empty() || self.capture.as_ref().is_some_and(|capture| capture.has_work())
    }

    /// Writes some more of what it holds. Its collections are not leased.
    pub(crate) fn go_on_capturing(&mut self) {
        for (schema, part) in std::mem::take(&mut self.given_up) {
            self.keyspace.end_part_capture(&schema, part.map(|part| *part));
        }
        if let Some(mut capture) = self.capture.take() {
            if capture.has_work() {
                self.capture_slice(&mut capture);
            }
            self.capture = Some(capture);
        }
    }

    fn capture_slice(&mut self, capture: &mut Capture) {
        let bytes_max = capture.records.len() + SLICE_BYTES;
        let mut entries = 0;
        while capture.records.len() < bytes_max && entries < SLICE_ENTRIES && capture.pieces.is_empty() {
            capture.stage = match std::mem::take(&mut capture.stage) {
                CaptureStage::Prepare(place, schema) => {
                    let next = self.prepare_part(place, schema);
                    if !matches!(next, CaptureStage::Vectors(..)) {
                        capture.stage = next;
                        return;
                    }
                    next
                }
                CaptureStage::Index(place, schema, part) => {
                    capture.end_records();
                    capture.stage = self.capture_index(place, schema, part, &mut capture.pieces);
                    return;
                }
                CaptureStage::Ended => {
                    capture.end_records();
                    capture.stage = CaptureStage::Ended;
                    return;
                }
                stage => self.capture_some(stage, &mut capture.records),
            };
            entries += ENTRIES_AT_ONCE;
        }
        if capture.records.len() >= PIECE_BYTES || capture.is_ended() {
            capture.end_records();
        }
    }

    fn prepare_part(&mut self, place: u32, schema: Arc<Schema>) -> CaptureStage {
        let mut work = Work::new(self.setup.slice_work.div_ceil(CHORE_PART));
        match self.keyspace.begin_part_capture(&schema, &mut work) {
            Step::More => CaptureStage::Prepare(place, schema),
            Step::Done(Some(part)) => CaptureStage::Index(place, schema, Box::new(part)),
            Step::Done(None) => CaptureStage::Vectors(place, schema.generation, 0),
        }
    }

    fn capture_index(
        &mut self,
        place: u32,
        schema: Arc<Schema>,
        mut part: Box<PartCapture>,
        pieces: &mut VecDeque<Piece>,
    ) -> CaptureStage {
        let mut piece = Vec::new();
        let step = self.keyspace.capture_part(&mut part, SLICE_BYTES, &mut piece);
        pieces.push_back((PieceKind::Index, piece));
        if step == Step::More {
            return CaptureStage::Index(place, schema, part);
        }
        self.keyspace.end_part_capture(&schema, Some(*part));
        CaptureStage::Parts(place + 1)
    }

    fn capture_some(&self, stage: CaptureStage, out: &mut Vec<u8>) -> CaptureStage {
        match stage {
            CaptureStage::Begin => {
                let aliases = self.setup.catalog.aliases().now();
                let own = aliases.iter().filter(|(name, _)| self.owns_name(name));
                own.for_each(|(name, collection)| put_alias(out, name, collection));
                match self.id == LIBRARIES_SHARD {
                    true => CaptureStage::Libraries(None),
                    false => CaptureStage::Names(0),
                }
            }
            CaptureStage::Libraries(last) => match self.setup.catalog.libraries().after(last.as_ref()) {
                Some(library) => {
                    put_library(out, library);
                    CaptureStage::Libraries(Some(library.name.clone()))
                }
                None => CaptureStage::Names(0),
            },
            CaptureStage::Names(bucket) if bucket < self.setup.catalog.bucket_count() => {
                // At a time at which nothing has expired.
                let all = self.setup.catalog.at(0).bucket(bucket);
                let own = all
                    .iter()
                    .filter(|schema| self.placement.shard_of(&schema.name) == self.id);
                own.for_each(|schema| put_collection(out, schema));
                CaptureStage::Names(bucket + 1)
            }
            CaptureStage::Names(_) => {
                let databases = self.setup.databases.all().collect();
                CaptureStage::Keys(databases, Some(0), Vec::new())
            }
            CaptureStage::Keys(mut databases, next, mut hashes) => match (hashes.pop(), next) {
                (Some((key, from)), _) => {
                    if let Some(from) = self.capture_fields(&key, from, out) {
                        hashes.push((key, from));
                    }
                    CaptureStage::Keys(databases, next, hashes)
                }
                (None, Some(from)) => match databases.last() {
                    None => CaptureStage::Parts(0),
                    Some(database) => {
                        let next = self.capture_keys((*database, from), &mut hashes, out);
                        CaptureStage::Keys(databases, next, hashes)
                    }
                },
                (None, None) => {
                    databases.pop();
                    CaptureStage::Keys(databases, Some(0), hashes)
                }
            },
            CaptureStage::Parts(place) if place < self.keyspace.collections().places() => {
                match self.keyspace.collections().at(place) {
                    Some(part) => CaptureStage::Prepare(place, Arc::clone(part.schema())),
                    None => CaptureStage::Parts(place + 1),
                }
            }
            CaptureStage::Parts(_) => CaptureStage::Settle,
            CaptureStage::Vectors(place, generation, from) => {
                match self.capture_vectors(place, generation, from, out) {
                    Some(from) => CaptureStage::Vectors(place, generation, from),
                    None => CaptureStage::Parts(place + 1),
                }
            }
            // They are gone on with where the shard may be changed.
            CaptureStage::Prepare(..) | CaptureStage::Index(..) => stage,
            CaptureStage::Settle if self.keyspace.is_in_batch() => CaptureStage::Settle,
            CaptureStage::Settle | CaptureStage::Ended => CaptureStage::Ended,
        }
    }

    /// Writes some entries, and of large hashes that they are there; the next place, if there are more.
    fn capture_keys(
        &self,
        (database, from): (Database, u32),
        hashes: &mut Vec<(Bytes, u64)>,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let keys = self.keyspace.keys().of(database);
        let (entries, next) = keys.scan(from, SCAN_PREFIX_BITS, ENTRIES_AT_ONCE);
        for entry in entries {
            let deadline = deadline(entry.deadline_ms());
            match entry.value() {
                ValueRef::Hash(hash) if hash.len() > LARGE_FIELDS => {
                    let key = entry.key();
                    Record::Hash { key, deadline }.encode(out);
                    hashes.push((Bytes::copy_from_slice(key), 0));
                }
                value => put_value(out, entry.key(), value, deadline),
            }
        }
        next
    }

    /// Writes some fields; the next place, if there are more. A hash that has gone meanwhile is at its end.
    fn capture_fields(&self, key: &[u8], from: u64, out: &mut Vec<u8>) -> Option<u64> {
        let place = self.keyspace.place(key, 0);
        let value = self.keyspace.entry(place).map(|entry| entry.value());
        match value {
            Some(ValueRef::Hash(hash)) => put_fields(out, key, hash, from),
            _ => None,
        }
    }

    /// Writes some vectors; the next place, if there are more. A part that has gone meanwhile is at its end.
    fn capture_vectors(&self, place: u32, generation: Generation, from: u32, out: &mut Vec<u8>) -> Option<u32> {
        let part = self.keyspace.collections().at(place)?;
        if part.schema().generation != generation {
            return None;
        }
        let (names, next) = part.names(from, ENTRIES_AT_ONCE);
        let collection = (generation.0, &part.schema().name[..]);
        for name in names {
            if let (Some(row), Some(deadline_ms)) = (part.row_of(name), part.deadline_of_name(name)) {
                encode_vector(out, collection, name, &row.to_vec(), deadline(deadline_ms));
                if let Some(text) = part.attributes_of(name).filter(|text| !text.is_empty()) {
                    put_attributes(out, part.schema(), name, text);
                }
            }
        }
        next
    }
}

/// Bytes of records in one piece of a snapshot: large beside its head, small beside the memory of a server.
const PIECE_BYTES: usize = 256 << 10;

/// Bytes that are written in one slice, and in one piece of an index, if no single entry is larger: some tens of microseconds.
const SLICE_BYTES: usize = 16 << 10;

/// Entries looked at in one slice.
const SLICE_ENTRIES: usize = 256;

/// Entries looked at together.
const ENTRIES_AT_ONCE: usize = 64;

/// A hash of more fields is written in several slices.
const LARGE_FIELDS: usize = 512;
