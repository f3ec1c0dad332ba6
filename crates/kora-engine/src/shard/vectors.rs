//! The commands on vectors, executed on the shard where the vectors lie.

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_keyspace::collections::{Collection, Description};
use kora_keyspace::{Cause, key_of};
use kora_values::Database;
use kora_vector::{Step, Work};

use super::Shard;
use super::counting::is_there;
use super::task::Task;
use crate::budgets::ELEMENT_WORK;
use crate::command::{self, Element, ElementList};
use crate::error::ClientError;
use crate::mail::Sample;

impl Task for Delete {
    type Answer = Result<u64, ClientError>;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Self::Answer> {
        while self.next < self.elements.len() {
            let (collection, name) = self.elements.element(self.next);
            if shard.keyspace.has_due_vector(self.now_ms) {
                shard.keyspace.resolve_vector(collection, name, self.now_ms);
            }
            let is_there = shard
                .keyspace
                .remove_vector(collection, name, self.now_ms, Cause::Command);
            self.deleted += u64::from(is_there);
            if !is_there {
                let refusal = shard.vet_element(collection, name, self.now_ms);
                self.refusal = self.refusal.take().or(refusal);
            }
            self.next += 1;
            work.spend(ELEMENT_WORK);
            if work.is_spent() && self.next < self.elements.len() {
                return Step::More;
            }
        }
        Step::Done(self.refusal.take().map_or(Ok(self.deleted), Err))
    }
}

impl Shard {
    /// The key of some vector of so many that there are.
    pub(super) fn random_vector(&mut self, database: Database, live: usize, now_ms: u64) -> Option<Bytes> {
        let mut place = ((u128::from(self.draw()) * live as u128) >> 64) as usize;
        let draw = self.draw();
        let there = |part: &&Collection| is_there(part, database, now_ms);
        for collection in self.keyspace.collections().iter().filter(there) {
            let keys = collection.keys();
            if place < keys {
                return match collection.schema().set_form() {
                    Some(_) => Some(collection.schema().name.clone()),
                    None => collection.random(draw, now_ms),
                };
            }
            place -= keys;
        }
        None
    }

    pub(super) fn get(&mut self, element: &Element, at_ms: u64) -> Result<Option<Box<[f32]>>, ClientError> {
        let Element { collection, name } = element;
        let vector = self.keyspace.use_vector(collection, name, at_ms);
        let refusal = match vector {
            None => self.vet_element(collection, name, at_ms),
            Some(_) => None,
        };
        self.lookups.note(vector.is_some() || refusal.is_some());
        refusal.map_or(Ok(vector), Err)
    }

    /// Why the key of a vector that is not there can't be one: it holds a string or a hash.
    pub(super) fn vet_element(&mut self, collection: &[u8], name: &[u8], now_ms: u64) -> Option<ClientError> {
        let key = key_of(collection, name);
        // The elements of a vector set have no keys, nor have those with a `:` in their names; and where there was one a
        // moment ago, this may be the wrong shard.
        let has_no_key = name.contains(&b':') || self.setup.catalog.at(now_ms).holds_set(collection);
        if has_no_key || self.placement.shard_of(&key) != self.id {
            return None;
        }
        self.resolve_live(&key, now_ms);
        self.refuse_other_type(&key)
    }

    /// Why a key is neither a collection's nor a vector's: it holds a string or a hash. What has expired was removed.
    pub(super) fn refuse_other_type(&self, key: &[u8]) -> Option<ClientError> {
        let place = self.keyspace.place(key, 0);
        self.keyspace.entry(place).map(|_| ClientError::WrongType)
    }

    pub(super) fn holds(&mut self, element: &Element, at_ms: u64) -> Result<bool, ClientError> {
        let Element { collection, name } = element;
        match self.keyspace.holds_vector(collection, name, at_ms) {
            true => Ok(true),
            false => self.vet_element(collection, name, at_ms).map_or(Ok(false), Err),
        }
    }

    pub(super) fn describe(&self, schema: &Schema) -> Description {
        let part = self.keyspace.part_of(schema);
        part.map_or_else(Description::default, |collection| collection.describe())
    }

    /// Some vector, and a query near it: as far away as its neighbours are, in a direction of its own.
    pub(super) fn sample(&self, schema: &Schema, random: u64) -> Option<Sample> {
        let (vector, spacing) = self.keyspace.part_of(schema)?.sample(random)?;
        let spacing = spacing.map_or(PERTURBATION, f64::from);
        let query = perturbed(&vector, spacing, schema, random).unwrap_or_else(|| vector.clone());
        Some(Sample { vector, query })
    }

    pub(super) fn assert_owns(&self, schema: &Schema, name: &[u8]) {
        // The other half of the assertion in `router.rs`: who routed this here used the same function.
        assert_eq!(self.placement.shard_of_vector(schema, name), self.id);
    }
}

/// A vector moved by so many of its lengths; none if nothing is left of it.
fn perturbed(vector: &[f32], lengths: f64, schema: &Schema, mut random: u64) -> Option<Box<[f32]>> {
    let square: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
    // Uniform in ±1, a component has a variance of a third.
    let step = lengths * (3.0 * square / vector.len() as f64).sqrt();
    let moved: Box<[f32]> = vector
        .iter()
        .map(|component| {
            random = random
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let unit = (random >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            let moved = f64::from(*component) + step * unit;
            moved.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
        })
        .collect();
    command::vet(&moved, schema.graph.metric).is_ok().then_some(moved)
}

/// How far a query is from the vector that it was, in lengths of that, where nothing is known of its neighbours.
const PERTURBATION: f64 = 0.1;

/// A VECDEL between two slices.
pub(super) struct Delete {
    elements: ElementList,
    next: usize,
    deleted: u64,
    /// What is answered in the end if a key held a string or a hash.
    refusal: Option<ClientError>,
    now_ms: u64,
}

impl Delete {
    pub(super) fn new(elements: ElementList, now_ms: u64) -> Delete {
        Delete {
            elements,
            next: 0,
            deleted: 0,
            refusal: None,
            now_ms,
        }
    }
}
