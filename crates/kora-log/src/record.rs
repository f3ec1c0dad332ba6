//! Records: what became true.
//!
//! A record is an outcome, never a command: it holds bytes, absolute times and vectors as they were given, so that
//! applying it can't fail and applying it twice changes nothing.

mod list;
mod parts;

pub use self::list::{FieldDeadlines, List};
pub(crate) use self::parts::Kind;
use self::parts::{begin, begin_collection, begin_number, begin_vector};
pub use self::parts::{
    encode_field_deadlines, encode_fields, encode_fields_gone, encode_library, encode_vector, put_text,
};
use crate::bytes::{Malformed, put_bytes, put_integer, take_byte, take_bytes, take_integer};

/// One thing that became true on a shard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record<'a> {
    /// A key holds this string.
    Set {
        /// The key.
        key: &'a [u8],
        /// All of the string.
        value: &'a [u8],
        /// When it expires.
        deadline: Deadline,
    },
    /// A key holds an empty hash, whatever was there. Its fields follow.
    Hash {
        /// The key.
        key: &'a [u8],
        /// When it expires.
        deadline: Deadline,
    },
    /// A hash has these fields, without deadlines, and keeps its others.
    Fields {
        /// The key.
        key: &'a [u8],
        /// Names and values, in turn.
        fields: List<'a>,
    },
    /// A hash does not have these fields.
    FieldsGone {
        /// The key.
        key: &'a [u8],
        /// Their names.
        names: List<'a>,
    },
    /// Fields of a hash are due then, those of them that are there.
    FieldDeadlines {
        /// The key.
        key: &'a [u8],
        /// Their names and deadlines.
        fields: FieldDeadlines<'a>,
    },
    /// A string holds these bytes from a place on; it is filled with zeros up to there if it was shorter.
    Patch {
        /// The key.
        key: &'a [u8],
        /// The place of the first byte.
        offset: u64,
        /// What stands there.
        bytes: &'a [u8],
    },
    /// A key expires then.
    Deadline {
        /// The key.
        key: &'a [u8],
        /// When.
        deadline: Deadline,
    },
    /// A key is not there.
    Gone {
        /// The key.
        key: &'a [u8],
        /// Why it went.
        cause: Cause,
    },
    /// A collection holds a vector under a name.
    Vector {
        /// The generation of the collection.
        generation: u64,
        /// The collection's name.
        collection: &'a [u8],
        /// The vector's name in the collection.
        name: &'a [u8],
        /// Its components, each a little-endian f32.
        components: &'a [u8],
        /// When it expires.
        deadline: Deadline,
    },
    /// A vector expires then.
    VectorDeadline {
        /// The generation of the collection.
        generation: u64,
        /// The collection's name.
        collection: &'a [u8],
        /// The vector's name in the collection.
        name: &'a [u8],
        /// When.
        deadline: Deadline,
    },
    /// A vector's attributes are these bytes; none if they are empty.
    Attributes {
        /// The generation of the collection.
        generation: u64,
        /// The collection's name.
        collection: &'a [u8],
        /// The vector's name in the collection.
        name: &'a [u8],
        /// The text.
        text: &'a [u8],
    },
    /// A collection does not hold a vector of this name.
    VectorGone {
        /// The generation of the collection.
        generation: u64,
        /// The collection's name.
        collection: &'a [u8],
        /// The vector's name in the collection.
        name: &'a [u8],
        /// Why it went.
        cause: Cause,
    },
    /// A collection exists. Written by the owner of its name.
    Create {
        /// Its generation: another collection of the same name has another one.
        generation: u64,
        /// Its name.
        collection: &'a [u8],
        /// How it was made, as the engine spells it.
        schema: &'a [u8],
        /// When it expires.
        deadline: Deadline,
    },
    /// A collection expires then.
    CollectionDeadline {
        /// Its generation.
        generation: u64,
        /// Its name.
        collection: &'a [u8],
        /// When.
        deadline: Deadline,
    },
    /// A collection does not exist. Written by the owner of its name.
    Drop {
        /// Its generation.
        generation: u64,
        /// Its name.
        collection: &'a [u8],
        /// Why it went.
        cause: Cause,
    },
    /// A shard holds no vectors of a collection.
    PartGone {
        /// Its generation.
        generation: u64,
        /// Its name.
        collection: &'a [u8],
        /// Why they went.
        cause: Cause,
    },
    /// An alias means a collection, or is not there. Written by the owner of its name.
    Alias {
        /// The alias.
        name: &'a [u8],
        /// The collection's name; empty if there is no such alias.
        collection: &'a [u8],
    },
    /// A shard holds no keys, and no vectors of collections whose generation is below this one.
    Flush {
        /// Collections made from here on stay.
        generation: u64,
    },
    /// A shard holds no keys of a database, and no vectors of its collections whose generation is below this one.
    FlushDatabase {
        /// Collections made from here on stay.
        generation: u64,
        /// The database's number.
        database: u64,
    },
    /// The next record's value came from another shard, under this number; see [`Cause::Moved`].
    Landed {
        /// Number of the transfer: drawn once for the whole server.
        transfer: u64,
    },
    /// There is a library of functions of this name, and it is this one.
    Library {
        /// Its name.
        name: &'a [u8],
        /// All of its code, first line included.
        code: &'a [u8],
        /// What it registers: of each function its name, its flags, and its description, as the engine spells them.
        functions: List<'a>,
    },
    /// There is no library of functions of this name.
    LibraryGone {
        /// The name.
        name: &'a [u8],
    },
}

/// When something expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deadline {
    /// It does not.
    #[default]
    Never,
    /// Then, in milliseconds of Unix time.
    At(u64),
}

/// Why something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A command removed it.
    Command,
    /// Its time had come.
    Expired,
    /// Memory was needed.
    Evicted,
    /// Something else took its place.
    Replaced,
    /// Its collection went.
    Dropped,
    /// It is on its way to another shard, under this number.
    Moved(u64),
}

impl<'a> Record<'a> {
    /// Writes it behind what is there.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Record::Set { key, value, deadline } => {
                begin(out, Kind::Set, key);
                deadline.put(out);
                put_bytes(out, value);
            }
            Record::Hash { key, deadline } => {
                begin(out, Kind::Hash, key);
                deadline.put(out);
            }
            Record::Fields { key, fields } => encode_fields(out, key, fields.count / 2, |out| {
                out.extend_from_slice(fields.bytes);
            }),
            Record::FieldsGone { key, names } => {
                begin(out, Kind::FieldsGone, key);
                put_integer(out, names.count);
                out.extend_from_slice(names.bytes);
            }
            Record::FieldDeadlines { key, fields } => {
                begin(out, Kind::FieldDeadlines, key);
                put_integer(out, fields.list.count / 2);
                out.extend_from_slice(fields.list.bytes);
            }
            Record::Patch { key, offset, bytes } => {
                begin(out, Kind::Patch, key);
                put_integer(out, offset);
                put_bytes(out, bytes);
            }
            Record::Deadline { key, deadline } => {
                begin(out, Kind::Deadline, key);
                deadline.put(out);
            }
            Record::Gone { key, cause } => {
                begin(out, Kind::Gone, key);
                cause.put(out);
            }
            Record::Vector {
                generation,
                collection,
                name,
                components,
                deadline,
            } => {
                begin_vector(out, Kind::Vector, generation, collection, name);
                deadline.put(out);
                put_bytes(out, components);
            }
            Record::VectorDeadline {
                generation,
                collection,
                name,
                deadline,
            } => {
                begin_vector(out, Kind::VectorDeadline, generation, collection, name);
                deadline.put(out);
            }
            Record::Attributes {
                generation,
                collection,
                name,
                text,
            } => {
                begin_vector(out, Kind::Attributes, generation, collection, name);
                put_bytes(out, text);
            }
            Record::VectorGone {
                generation,
                collection,
                name,
                cause,
            } => {
                begin_vector(out, Kind::VectorGone, generation, collection, name);
                cause.put(out);
            }
            Record::Create {
                generation,
                collection,
                schema,
                deadline,
            } => {
                begin_collection(out, Kind::Create, generation, collection);
                deadline.put(out);
                put_bytes(out, schema);
            }
            Record::CollectionDeadline {
                generation,
                collection,
                deadline,
            } => {
                begin_collection(out, Kind::CollectionDeadline, generation, collection);
                deadline.put(out);
            }
            Record::Drop {
                generation,
                collection,
                cause,
            } => {
                begin_collection(out, Kind::Drop, generation, collection);
                cause.put(out);
            }
            Record::PartGone {
                generation,
                collection,
                cause,
            } => {
                begin_collection(out, Kind::PartGone, generation, collection);
                cause.put(out);
            }
            Record::Alias { name, collection } => {
                begin(out, Kind::Alias, name);
                put_bytes(out, collection);
            }
            Record::Flush { generation } => begin_number(out, Kind::Flush, generation),
            Record::FlushDatabase { generation, database } => {
                begin_number(out, Kind::FlushDatabase, generation);
                put_integer(out, database);
            }
            Record::Landed { transfer } => begin_number(out, Kind::Landed, transfer),
            Record::Library { name, code, functions } => encode_library(out, name, code, functions.count / 3, |out| {
                out.extend_from_slice(functions.bytes);
            }),
            Record::LibraryGone { name } => begin(out, Kind::LibraryGone, name),
        }
    }

    /// Takes one off the front of `bytes`.
    ///
    /// # Errors
    /// If they do not begin with a record.
    pub fn decode(bytes: &mut &'a [u8]) -> Result<Record<'a>, Malformed> {
        let kind = take_byte(bytes)?;
        let kind = *Kind::ALL
            .iter()
            .find(|known| **known as u8 == kind)
            .ok_or(Malformed("a record of a kind that this version does not know"))?;
        match kind {
            Kind::Set
            | Kind::Hash
            | Kind::Fields
            | Kind::FieldsGone
            | Kind::FieldDeadlines
            | Kind::Patch
            | Kind::Deadline
            | Kind::Gone => {
                let key = take_bytes(bytes)?;
                Record::decode_of_key(kind, key, bytes)
            }
            Kind::Vector | Kind::VectorDeadline | Kind::Attributes | Kind::VectorGone => {
                let (generation, collection) = (take_integer(bytes)?, take_bytes(bytes)?);
                Record::decode_of_vector(kind, (generation, collection), bytes)
            }
            Kind::Create | Kind::CollectionDeadline | Kind::Drop | Kind::PartGone => {
                let (generation, collection) = (take_integer(bytes)?, take_bytes(bytes)?);
                Record::decode_of_collection(kind, (generation, collection), bytes)
            }
            Kind::Alias => Ok(Record::Alias {
                name: take_bytes(bytes)?,
                collection: take_bytes(bytes)?,
            }),
            Kind::Flush => Ok(Record::Flush {
                generation: take_integer(bytes)?,
            }),
            Kind::FlushDatabase => Ok(Record::FlushDatabase {
                generation: take_integer(bytes)?,
                database: take_integer(bytes)?,
            }),
            Kind::Landed => Ok(Record::Landed {
                transfer: take_integer(bytes)?,
            }),
            Kind::Library => Ok(Record::Library {
                name: take_bytes(bytes)?,
                code: take_bytes(bytes)?,
                functions: List::take(bytes, 3)?,
            }),
            Kind::LibraryGone => Ok(Record::LibraryGone {
                name: take_bytes(bytes)?,
            }),
        }
    }

    fn decode_of_key(kind: Kind, key: &'a [u8], bytes: &mut &'a [u8]) -> Result<Record<'a>, Malformed> {
        Ok(match kind {
            Kind::Set => Record::Set {
                key,
                deadline: Deadline::take(bytes)?,
                value: take_bytes(bytes)?,
            },
            Kind::Hash => Record::Hash {
                key,
                deadline: Deadline::take(bytes)?,
            },
            Kind::Fields => Record::Fields {
                key,
                fields: List::take(bytes, 2)?,
            },
            Kind::FieldsGone => Record::FieldsGone {
                key,
                names: List::take(bytes, 1)?,
            },
            Kind::FieldDeadlines => Record::FieldDeadlines {
                key,
                fields: FieldDeadlines::take(bytes)?,
            },
            Kind::Patch => Record::Patch {
                key,
                offset: take_integer(bytes)?,
                bytes: take_bytes(bytes)?,
            },
            Kind::Deadline => Record::Deadline {
                key,
                deadline: Deadline::take(bytes)?,
            },
            _ => Record::Gone {
                key,
                cause: Cause::take(bytes)?,
            },
        })
    }

    fn decode_of_vector(
        kind: Kind,
        (generation, collection): (u64, &'a [u8]),
        bytes: &mut &'a [u8],
    ) -> Result<Record<'a>, Malformed> {
        let name = take_bytes(bytes)?;
        Ok(match kind {
            Kind::Vector => {
                let deadline = Deadline::take(bytes)?;
                let components = take_bytes(bytes)?;
                if components.is_empty() || !components.len().is_multiple_of(4) {
                    return Err(Malformed("a vector's bytes are no whole components"));
                }
                Record::Vector {
                    generation,
                    collection,
                    name,
                    components,
                    deadline,
                }
            }
            Kind::VectorDeadline => Record::VectorDeadline {
                generation,
                collection,
                name,
                deadline: Deadline::take(bytes)?,
            },
            Kind::Attributes => Record::Attributes {
                generation,
                collection,
                name,
                text: take_bytes(bytes)?,
            },
            _ => Record::VectorGone {
                generation,
                collection,
                name,
                cause: Cause::take(bytes)?,
            },
        })
    }

    fn decode_of_collection(
        kind: Kind,
        (generation, collection): (u64, &'a [u8]),
        bytes: &mut &'a [u8],
    ) -> Result<Record<'a>, Malformed> {
        Ok(match kind {
            Kind::Create => Record::Create {
                generation,
                collection,
                deadline: Deadline::take(bytes)?,
                schema: take_bytes(bytes)?,
            },
            Kind::CollectionDeadline => Record::CollectionDeadline {
                generation,
                collection,
                deadline: Deadline::take(bytes)?,
            },
            Kind::Drop => Record::Drop {
                generation,
                collection,
                cause: Cause::take(bytes)?,
            },
            _ => Record::PartGone {
                generation,
                collection,
                cause: Cause::take(bytes)?,
            },
        })
    }
}

/// A frame's or piece's records, one after the other. Ends after an error.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = Record::decode(&mut bytes);
        if record.is_err() {
            bytes = &[];
        }
        Some(record)
    })
}

/// A vector's components, from the bytes of a record.
pub fn components(bytes: &[u8]) -> impl ExactSizeIterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|word| {
        let mut le = [0; 4];
        le.copy_from_slice(word);
        f32::from_le_bytes(le)
    })
}

#[cfg(test)]
mod tests;
