//! What a change has made true: the one thing that is told of it.

use std::sync::Arc;

use kora_values::Database;
use kora_vector::{Index, Slot};

use crate::catalog::{Generation, Schema};
use crate::collections::{Collection, CollectionTable};
use crate::keys::{KeyTables, ValueRef};
use crate::libraries::Library;

/// What became true of the data of a shard. It borrows everything.
///
/// An outcome says what is there now and never which command did it: to apply one again changes nothing, and
/// [`Keyspace::apply`](crate::Keyspace::apply) makes it true of another keyspace whatever was there before. Times are in
/// milliseconds of Unix time; [`NEVER_MS`](crate::NEVER_MS) is the deadline of what does not expire.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// The key holds this value, whatever it held, and expires then. An empty hash is being made: its fields follow.
    Put {
        /// The key.
        key: &'a [u8],
        /// What it holds.
        value: ValueRef<'a>,
        /// When it expires.
        deadline_ms: u64,
    },
    /// The key's string has these bytes from there on; what is between its old end and `offset` is zeros. It extends and
    /// overwrites, and never cuts.
    Edited {
        /// The key.
        key: &'a [u8],
        /// Where the bytes begin.
        offset: usize,
        /// The bytes.
        bytes: &'a [u8],
        /// How long the string is.
        length: usize,
    },
    /// A field of the key's hash has this value, and is due then.
    FieldSet {
        /// The key.
        key: &'a [u8],
        /// The field.
        field: &'a [u8],
        /// What it holds.
        value: &'a [u8],
        /// When it is due.
        deadline_ms: u64,
    },
    /// A field of the key's hash is due then.
    FieldDeadline {
        /// The key.
        key: &'a [u8],
        /// The field.
        field: &'a [u8],
        /// When it is due.
        deadline_ms: u64,
    },
    /// The key's hash does not have this field.
    FieldGone {
        /// The key.
        key: &'a [u8],
        /// The field.
        field: &'a [u8],
    },
    /// The key's hash does not have these fields, whose deadlines have come. If it has no other, it is removed next, in the same
    /// batch, and some of its fields may not be named.
    FieldsExpired {
        /// The key.
        key: &'a [u8],
        /// The fields.
        fields: &'a [Vec<u8>],
    },
    /// The key, of a string or a hash, expires then.
    Deadline {
        /// The key.
        key: &'a [u8],
        /// When it expires.
        deadline_ms: u64,
    },
    /// The key holds no string and no hash.
    Removed {
        /// The key.
        key: &'a [u8],
        /// Why.
        cause: Cause,
    },
    /// A collection has this vector under this name.
    VectorSet {
        /// The collection.
        schema: &'a Arc<Schema>,
        /// The vector's name there.
        name: &'a [u8],
        /// The vector as it is kept.
        row: VectorRow<'a>,
        /// When it expires.
        deadline_ms: u64,
    },
    /// A vector expires then.
    VectorDeadline {
        /// The collection.
        schema: &'a Arc<Schema>,
        /// The vector's name there.
        name: &'a [u8],
        /// When it expires.
        deadline_ms: u64,
    },
    /// A vector has these attributes, whatever it had.
    Attributes {
        /// The collection.
        schema: &'a Arc<Schema>,
        /// The vector's name there.
        name: &'a [u8],
        /// The attributes; none if it is empty.
        text: &'a [u8],
    },
    /// A collection has no vector of this name.
    VectorRemoved {
        /// The collection.
        schema: &'a Arc<Schema>,
        /// The name.
        name: &'a [u8],
        /// Why.
        cause: Cause,
    },
    /// There is this collection. Told by the shard that owns its name, as are the next two.
    Created {
        /// The collection.
        schema: &'a Arc<Schema>,
    },
    /// A collection expires then.
    CollectionDeadline {
        /// The collection.
        schema: &'a Arc<Schema>,
        /// When it expires.
        deadline_ms: u64,
    },
    /// There is no such collection any more.
    Withdrawn {
        /// The collection.
        schema: &'a Arc<Schema>,
        /// Why.
        cause: Cause,
    },
    /// An alias means this collection, or there is no such alias. Told by the shard that owns its name.
    Aliased {
        /// The alias.
        alias: &'a [u8],
        /// The collection's own name.
        collection: Option<&'a [u8]>,
    },
    /// This shard holds no vector of a collection that was withdrawn or has expired.
    PartDropped {
        /// What was held, as it was.
        part: &'a Collection,
        /// Why.
        cause: Cause,
    },
    /// This shard holds no string, no hash, and no vector of collections older than `before`: none at all, or none of a
    /// database.
    Flushed {
        /// Of which database; of all if none is said.
        database: Option<Database>,
        /// The generation with which the flush began.
        before: Generation,
        /// What was held, as it was.
        keys: &'a KeyTables,
        /// The same of collections, if all went at once; otherwise each follows as an [`Outcome::PartDropped`].
        parts: Option<&'a CollectionTable>,
    },
    /// A value or a vector that went with [`Cause::Moved`] has arrived: it is set next, in the same batch, or is not there
    /// because its deadline has come or its collection has gone. Each move has a number of its own, of all shards, and what was
    /// copied has none.
    Landed {
        /// Which move.
        transfer: u64,
    },
    /// There is this library of functions, whatever had its name. Told by the shard that decides about libraries, as is
    /// the next.
    LibrarySet {
        /// The library.
        library: &'a Library,
    },
    /// There is no library of functions of this name.
    LibraryGone {
        /// The name.
        name: &'a [u8],
    },
    /// What follows, up to the [`Outcome::BatchEnd`], became true at once.
    BatchBegin,
    /// The end of that.
    BatchEnd,
}

/// Why something went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// A command said so.
    Command,
    /// Its deadline came.
    Expired,
    /// Its memory was needed.
    Evicted,
    /// Something else has its key now.
    Overwritten,
    /// It has another key now, or is on its way there.
    Moved {
        /// Which move: see [`Outcome::Landed`].
        transfer: u64,
    },
    /// Its collection was dropped, or everything was.
    Dropped,
}

/// A vector where it is kept.
#[derive(Clone, Copy)]
pub struct VectorRow<'a> {
    /// The index that keeps it.
    pub index: &'a Index,
    /// Its slot there.
    pub slot: Slot,
}

impl VectorRow<'_> {
    /// Its components, as nearly as the storage has them.
    pub fn to_vec(self) -> Vec<f32> {
        let mut vector = Vec::new();
        self.index.copy_vector(self.slot, &mut vector);
        vector
    }
}
