//! A vector set that gets another key: its part leaves the table of its shard whole, and is taken into that of another one, or
//! of the same, as the part of a new collection. No vector is copied.
//!
//! An observer hears what became true: that the one set went, that there is another, and each of its vectors. The last is said
//! some vectors at a time, by [`Keyspace::tell_set`], since there may be many.

use std::sync::Arc;

use super::collection::Collection;
use super::counting::PartCount;
use crate::catalog::Schema;
use crate::changes::{Changed, Observer};
use crate::keyspace::Keyspace;
use crate::outcome::{Cause, Outcome};

impl<O: Observer> Keyspace<O> {
    /// Takes out a vector set whose name this shard owns, to be put elsewhere: the move of this number. None if it is not there
    /// any more. Searches that are under way in it find that it has gone. The caller has seen that no vector is being set.
    pub fn take_set(&mut self, schema: &Schema, transfer: u64) -> Option<Box<Collection>> {
        let newest = self.catalog.newest(&schema.name)?;
        if newest.generation != schema.generation {
            return None;
        }
        let schema = self.catalog.withdraw(&schema.name)?;
        self.forget_collection_deadline(schema.deadline.end(), schema.generation);
        self.emptied.remove(&schema.generation);
        let cause = Cause::Moved { transfer };
        self.changes
            .commit(Changed::elsewhere(), || Outcome::Withdrawn { schema: &schema, cause });
        self.take_part(&schema.name).map(Box::new)
    }

    /// Takes a set in under a name that is free, as the part of this collection, which becomes visible to all workers. Its
    /// vectors are to be told next, in the same batch.
    pub fn land_set(&mut self, mut part: Box<Collection>, schema: &Arc<Schema>) {
        part.join(schema);
        self.create(schema);
        self.hold_part(*part);
        self.note_upkeep(&schema.name, schema.generation);
    }

    /// Lets go of a set that was taken out and can be put nowhere: it is freed in slices.
    pub fn drop_set(&mut self, part: Box<Collection>) {
        self.drops.push_part(part.into_dropped());
    }

    /// Tells observers of about so many vectors of a part, from a place in the order of a scan on; the place to go on from, if
    /// there are more.
    pub fn tell_vectors(&mut self, schema: &Arc<Schema>, from: u32, wanted: usize) -> Option<u32> {
        if !self.changes.observers.is_listening() {
            return None;
        }
        let part = self.collections.get(&schema.name)?;
        let (slots, next) = part.slots_of_names(from, wanted);
        for slot in slots {
            self.changes.commit(Changed::elsewhere(), || Outcome::VectorSet {
                schema,
                name: part.name(slot),
                row: part.row(slot),
                deadline_ms: part.deadline_of(slot),
            });
            let text = part.attributes_at(slot);
            if !text.is_empty() {
                self.changes.commit(Changed::elsewhere(), || Outcome::Attributes {
                    schema,
                    name: part.name(slot),
                    text,
                });
            }
        }
        next
    }

    /// Takes a part out of the table, and out of all that is counted of those that are held.
    pub(crate) fn take_part(&mut self, name: &[u8]) -> Option<Collection> {
        let part = self.collections.remove(name)?;
        if let Some(item) = part.indexed_deadline() {
            self.vector_deadlines.remove(&item);
        }
        self.live -= part.live();
        self.vector_keys -= part.keys();
        self.expiring_vectors -= part.counted_expiring;
        let (keys, expiring) = (part.keys(), part.counted_expiring);
        self.count_in_database(name, [keys, expiring], [0, 0]);
        self.parts_counted.exchange(part.counted, PartCount::default());
        self.part_weights.change(part.place(), part.counted.live, 0);
        self.table_bytes = self.collections.bytes();
        Some(part)
    }

    /// Holds a part from now on. What is held of an earlier collection of its name goes.
    pub(crate) fn hold_part(&mut self, part: Collection) {
        let schema = Arc::clone(part.schema());
        self.detach(&schema.name, Cause::Dropped);
        self.newest_held = self.newest_held.max(Some(schema.generation));
        self.live += part.live();
        self.vector_keys += part.keys();
        self.count_in_database(&schema.name, [0, 0], [part.keys(), 0]);
        self.has_changed = true;
        self.collections.insert(part);
        self.table_bytes = self.collections.bytes();
        self.count_part(&schema);
        self.index_deadline(&schema.name);
    }
}
