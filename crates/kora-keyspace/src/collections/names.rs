//! Every way to change which collections there are. Only the shard that owns a name does that.

use std::sync::Arc;

use crate::catalog::{Generation, MadeBy, Schema};
use crate::changes::{Changed, Observer};
use crate::key::ResolvedKey;
use crate::keyspace::Keyspace;
use crate::limits::{BUCKET_WORK, NAMES_PER_SLICE};
use crate::outcome::{Cause, Outcome};
use crate::time::NEVER_MS;

impl<O: Observer> Keyspace<O> {
    /// Makes a collection visible to all workers. The caller owns its name and has seen that it is free.
    pub fn create(&mut self, schema: &Arc<Schema>) {
        self.catalog.publish(schema);
        self.changes
            .commit(Changed::elsewhere(), || Outcome::Created { schema });
    }

    /// Withdraws the collection of a name, if there is one, and lets go of what this shard holds of it. Other shards do so
    /// when they hear of it; from now on no command finds their parts.
    pub fn withdraw(&mut self, name: &[u8], cause: Cause) -> Option<Arc<Schema>> {
        let schema = self.catalog.withdraw(name)?;
        self.forget_collection_deadline(schema.deadline.end(), schema.generation);
        self.changes
            .commit(Changed::elsewhere(), || Outcome::Withdrawn { schema: &schema, cause });
        self.drop_part(&schema.name, schema.generation, cause);
        Some(schema)
    }

    /// Withdraws the older ones of the collections whose names `owns` says are this shard's, from a bucket of the catalog on,
    /// for a slice. The bucket to go on from, if there is more.
    pub fn withdraw_before(
        &mut self,
        before: Generation,
        mut bucket: usize,
        owns: impl Fn(&[u8]) -> bool,
    ) -> Option<usize> {
        let catalog = Arc::clone(&self.catalog);
        let mut looked_at = 0;
        while looked_at < NAMES_PER_SLICE && bucket < catalog.bucket_count() {
            looked_at += BUCKET_WORK + catalog.bucket_len(bucket);
            let mut gone = Vec::new();
            catalog.withdraw_where(bucket, |schema| {
                let goes = schema.generation < before && owns(&schema.name);
                if goes {
                    gone.push(Arc::clone(schema));
                }
                goes
            });
            for schema in &gone {
                self.forget_collection_deadline(schema.deadline.end(), schema.generation);
                let cause = Cause::Dropped;
                self.changes
                    .commit(Changed::elsewhere(), || Outcome::Withdrawn { schema, cause });
            }
            bucket += 1;
        }
        (bucket < catalog.bucket_count()).then_some(bucket)
    }

    /// When the collection of a name expires that is there.
    pub(crate) fn collection_deadline(&self, place: ResolvedKey<'_>) -> Option<u64> {
        let schema = self.catalog.at(place.now_ms).find(place.key)?;
        Some(schema.deadline.end())
    }

    /// Lets the collection of a name expire then, or never; false if it is not there any more.
    pub(crate) fn set_collection_deadline(&mut self, place: ResolvedKey<'_>, deadline_ms: u64) -> bool {
        let Some(schema) = self.catalog.at(place.now_ms).find(place.key) else {
            return false;
        };
        if deadline_ms <= place.now_ms {
            schema.deadline.cut();
            self.withdraw_over(&schema.name, Cause::Command);
            return true;
        }
        let before_ms = schema.deadline.end();
        if !schema.deadline.move_to(deadline_ms) {
            return false;
        }
        self.forget_collection_deadline(before_ms, schema.generation);
        // As it was noted: there is a latest time.
        let deadline_ms = schema.deadline.end();
        if deadline_ms != NEVER_MS {
            self.catalog.expiring_collections().add();
            self.expiring.insert(deadline_ms, &schema);
        }
        self.changes
            .commit(Changed::elsewhere(), || Outcome::CollectionDeadline {
                schema: &schema,
                deadline_ms,
            });
        true
    }

    /// Withdraws the collection of this name if it has expired: then another value may have the name.
    pub(crate) fn clear_expired_name(&mut self, name: &[u8], now_ms: u64) {
        if self.expiring.is_empty() {
            return;
        }
        let newest = self.catalog.newest(name);
        if newest.is_some_and(|schema| schema.deadline.is_over(now_ms)) {
            self.withdraw_over(name, Cause::Expired);
            self.expired += 1;
        }
    }

    /// Withdraws some collections that have expired.
    pub(crate) fn withdraw_expired(&mut self, now_ms: u64) {
        let mut work = 0;
        while work < NAMES_PER_SLICE
            && let Some(name) = self.expiring.first_due(now_ms)
        {
            work += BUCKET_WORK + self.catalog.names_per_bucket();
            self.clear_expired_name(&name, now_ms);
        }
    }

    fn withdraw_over(&mut self, name: &[u8], cause: Cause) {
        // Until all its parts are gone it counts among those that expire.
        self.catalog.expiring_collections().add();
        let schema = self.withdraw(name, cause).expect("its owner has seen it");
        self.expiring.push_withdrawn(schema);
    }

    /// A collection that was withdrawn does not expire any more.
    pub(crate) fn forget_collection_deadline(&mut self, deadline_ms: u64, generation: Generation) {
        if self.expiring.remove(deadline_ms, generation) {
            self.catalog.expiring_collections().subtract();
        }
    }

    /// True if a collection has expired of which shards may still hold parts.
    pub fn has_withdrawn(&self) -> bool {
        self.expiring.has_withdrawn()
    }

    /// A collection that has expired and of which shards may still hold parts. The caller that takes it says when they do not.
    pub fn take_withdrawn(&mut self) -> Option<Arc<Schema>> {
        self.expiring.take_withdrawn()
    }

    /// Names of collections that expire. For tests and the simulation.
    pub fn expiring_names(&self) -> impl Iterator<Item = &[u8]> {
        self.expiring.iter().map(|(_, _, name)| &name[..])
    }

    /// Withdraws a vector set whose name this shard owns if it has lost its last element and nothing is under way in it. Whether
    /// it has gone.
    pub fn withdraw_if_empty(&mut self, schema: &Arc<Schema>) -> bool {
        if self.part_of(schema).is_some_and(|part| !part.is_idle_and_empty()) {
            return false;
        }
        self.emptied.remove(&schema.generation);
        self.withdraw(&schema.name, Cause::Command);
        true
    }

    /// True if some collection may have lost its last vector.
    pub fn has_emptied(&self) -> bool {
        !self.emptied.is_empty()
    }

    /// A collection that may have lost its last vector.
    pub fn take_emptied(&mut self) -> Option<Arc<Schema>> {
        self.emptied.pop_first().map(|(_, schema)| schema)
    }

    /// Notes that a collection may have lost its last vector, if it goes with that.
    pub fn note_emptied(&mut self, schema: &Arc<Schema>) {
        if schema.made_by != MadeBy::Veccreate {
            self.emptied.insert(schema.generation, Arc::clone(schema));
        }
    }
}
