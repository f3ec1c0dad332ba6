//! The parts that records are written of.

use super::{Cause, Deadline};
use crate::bytes::{Malformed, put_bytes, put_integer, take_byte, take_integer};

/// Writes a record of fields, whose names and values `write` puts one behind the other with [`put_text`]: `count` pairs.
pub fn encode_fields(out: &mut Vec<u8>, key: &[u8], count: u64, write: impl FnOnce(&mut Vec<u8>)) {
    begin(out, Kind::Fields, key);
    put_integer(out, count);
    write(out);
}

/// Writes a record of fields that are gone.
pub fn encode_fields_gone<'a>(out: &mut Vec<u8>, key: &[u8], names: impl ExactSizeIterator<Item = &'a [u8]>) {
    begin(out, Kind::FieldsGone, key);
    put_integer(out, names.len() as u64);
    names.for_each(|name| put_bytes(out, name));
}

/// Writes a record of when fields are due.
pub fn encode_field_deadlines<'a>(
    out: &mut Vec<u8>,
    key: &[u8],
    fields: impl ExactSizeIterator<Item = (&'a [u8], Deadline)>,
) {
    begin(out, Kind::FieldDeadlines, key);
    put_integer(out, fields.len() as u64);
    let mut time = Vec::new();
    for (name, deadline) in fields {
        time.clear();
        deadline.put(&mut time);
        put_bytes(out, name);
        put_bytes(out, &time);
    }
}

/// Writes a record of a vector whose components are numbers; its collection is given by generation and name.
pub fn encode_vector(
    out: &mut Vec<u8>,
    (generation, collection): (u64, &[u8]),
    name: &[u8],
    components: &[f32],
    deadline: Deadline,
) {
    begin_vector(out, Kind::Vector, generation, collection, name);
    deadline.put(out);
    put_integer(out, components.len() as u64 * 4);
    components
        .iter()
        .for_each(|component| out.extend_from_slice(&component.to_le_bytes()));
}

/// Writes a record of a library of so many functions, of which `write` puts names, flags and descriptions, one behind the
/// other, with [`put_text`].
pub fn encode_library(out: &mut Vec<u8>, name: &[u8], code: &[u8], count: u64, write: impl FnOnce(&mut Vec<u8>)) {
    begin(out, Kind::Library, name);
    put_bytes(out, code);
    put_integer(out, count);
    write(out);
}

/// Writes a text of a record of fields, or of a library's functions.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_bytes(out, text);
}

impl Deadline {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        put_integer(
            out,
            match self {
                Deadline::Never => 0,
                // Shifted by one, so that all of them can be said but the very last.
                Deadline::At(ms) => ms.saturating_add(1),
            },
        );
    }

    pub(super) fn take(bytes: &mut &[u8]) -> Result<Deadline, Malformed> {
        Ok(match take_integer(bytes)? {
            0 => Deadline::Never,
            shifted => Deadline::At(shifted - 1),
        })
    }
}

impl Cause {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        let code = match self {
            Cause::Command => 0,
            Cause::Expired => 1,
            Cause::Evicted => 2,
            Cause::Replaced => 3,
            Cause::Dropped => 4,
            Cause::Moved(transfer) => {
                out.push(5);
                return put_integer(out, transfer);
            }
        };
        out.push(code);
    }

    pub(super) fn take(bytes: &mut &[u8]) -> Result<Cause, Malformed> {
        Ok(match take_byte(bytes)? {
            0 => Cause::Command,
            1 => Cause::Expired,
            2 => Cause::Evicted,
            3 => Cause::Replaced,
            4 => Cause::Dropped,
            5 => Cause::Moved(take_integer(bytes)?),
            _ => return Err(Malformed("a cause that this version does not know")),
        })
    }
}

/// The first byte of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Set = 1,
    Hash = 2,
    Fields = 3,
    FieldsGone = 4,
    Patch = 5,
    Deadline = 6,
    Gone = 7,
    Vector = 8,
    VectorDeadline = 9,
    Attributes = 10,
    VectorGone = 11,
    Create = 12,
    CollectionDeadline = 13,
    Drop = 14,
    Flush = 15,
    Landed = 16,
    PartGone = 17,
    FieldDeadlines = 18,
    Alias = 19,
    FlushDatabase = 20,
    Library = 24,
    LibraryGone = 25,
}

impl Kind {
    pub(crate) const ALL: [Kind; 22] = [
        Kind::Set,
        Kind::Hash,
        Kind::Fields,
        Kind::FieldsGone,
        Kind::Patch,
        Kind::Deadline,
        Kind::Gone,
        Kind::Vector,
        Kind::VectorDeadline,
        Kind::Attributes,
        Kind::VectorGone,
        Kind::Create,
        Kind::CollectionDeadline,
        Kind::Drop,
        Kind::Flush,
        Kind::Landed,
        Kind::PartGone,
        Kind::FieldDeadlines,
        Kind::Alias,
        Kind::FlushDatabase,
        Kind::Library,
        Kind::LibraryGone,
    ];
}

pub(super) fn begin(out: &mut Vec<u8>, kind: Kind, key: &[u8]) {
    out.push(kind as u8);
    put_bytes(out, key);
}

pub(super) fn begin_number(out: &mut Vec<u8>, kind: Kind, number: u64) {
    out.push(kind as u8);
    put_integer(out, number);
}

pub(super) fn begin_collection(out: &mut Vec<u8>, kind: Kind, generation: u64, collection: &[u8]) {
    begin_number(out, kind, generation);
    put_bytes(out, collection);
}

pub(super) fn begin_vector(out: &mut Vec<u8>, kind: Kind, generation: u64, collection: &[u8], name: &[u8]) {
    begin_collection(out, kind, generation, collection);
    put_bytes(out, name);
}
