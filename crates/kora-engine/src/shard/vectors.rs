//! The commands on vectors, executed on the shard where the vectors lie.

use std::sync::Arc;

use bytes::Bytes;
use kora_vector::{Search, Step, Work};

use super::collection::Collection;
use super::key_table::seconds;
use super::keys::Place;
use super::naming::Naming;
use super::reading::hits_of;
use super::{Shard, Unfinished};
use crate::catalog::Schema;
use crate::command::{self, Element, ElementList, KeyType, element_of};
use crate::limits::{ELEMENTS_PER_SLICE, QUERY_AGAIN_MAX};
use crate::mail::{Description, Hits, Part, Question};

impl Shard {
    /// Deletes, some elements at a time.
    pub(super) fn delete(&mut self, mut delete: Delete) -> Result<Part, Box<Unfinished>> {
        let end = (delete.next + ELEMENTS_PER_SLICE).min(delete.elements.len());
        for place in delete.next..end {
            let (collection, name) = delete.elements.element(place);
            if self.keys.has_vectors() {
                self.place(&[collection, b":", name].concat(), delete.now_ms);
            }
            let is_there = self.delete_element(collection, name, delete.now_ms);
            if is_there && !self.watches.is_empty() {
                self.watches.note(&[collection, b":", name].concat());
            }
            delete.deleted += u64::from(is_there);
        }
        delete.next = end;
        if end == delete.elements.len() {
            Ok(Part::Count(delete.deleted))
        } else {
            Err(Box::new(Unfinished::Delete(delete)))
        }
    }

    fn delete_element(&mut self, collection: &[u8], name: &[u8], now_ms: u64) -> bool {
        self.assert_owns(collection, name);
        let Some(collection) = self.current(collection, now_ms) else {
            return false;
        };
        if !collection.delete(name) {
            return false;
        }
        let (remains, is_empty) = (collection.renew_if_empty(), collection.live() == 0);
        let schema = Arc::clone(collection.schema());
        self.live -= 1;
        self.has_changed = true;
        if is_empty {
            self.note_emptied(&schema);
        }
        self.graveyard_take(remains);
        self.note_upkeep(&schema.name, schema.generation);
        if self.keys.has_vectors() {
            let key = [&schema.name, b":".as_slice(), name].concat();
            self.keys.remove(self.keys.hash(&key), &key);
        }
        true
    }

    /// What a key holds that holds no string and no hash.
    pub(super) fn vector_kind(&self, place: Place<'_>) -> Option<KeyType> {
        let (key, catalog) = (place.key, self.setup.catalog.at(place.now_ms));
        if catalog.is_empty() {
            return None;
        }
        if catalog.holds(key) {
            return Some(KeyType::VectorSet);
        }
        let (name, element) = element_of(key)?;
        let newest = catalog.generation_of(name)?;
        let collection = self.collections.get(name)?;
        let is_there = collection.schema().generation == newest && collection.holds(element);
        is_there.then_some(KeyType::Vector)
    }

    /// Deletes the vector of a key; false if there is none.
    pub(super) fn delete_vector(&mut self, key: &[u8], now_ms: u64) -> bool {
        element_of(key).is_some_and(|(collection, name)| self.delete_element(collection, name, now_ms))
    }

    /// What this shard holds of the collection whose vector has this key, if there is one, and its name there.
    pub(super) fn vector_of<'k>(&mut self, place: Place<'k>) -> Option<(&mut Collection, &'k [u8])> {
        let (collection, name) = element_of(place.key)?;
        let collection = self.current(collection, place.now_ms)?;
        collection.holds(name).then_some((collection, name))
    }

    /// The key of some vector of so many that there are.
    pub(super) fn random_vector(&mut self, live: usize, now_ms: u64) -> Option<Bytes> {
        let mut place = ((u128::from(self.draw()) * live as u128) >> 64) as usize;
        let draw = self.draw();
        let there = |part: &&Collection| !part.schema().fuse.is_over(now_ms);
        for collection in self.collections.iter().filter(there) {
            if place < collection.live() {
                return collection.random(draw);
            }
            place -= collection.live();
        }
        None
    }

    pub(super) fn get(&mut self, element: &Element, at_ms: u64) -> Part {
        self.assert_owns(&element.collection, &element.name);
        if self.is_due(&element.key(), at_ms) {
            return Part::Vector(None);
        }
        let vector = self
            .current(&element.collection, at_ms)
            .and_then(|collection| collection.use_vector(&element.name, seconds(at_ms)));
        Part::Vector(vector)
    }

    pub(super) fn holds(&mut self, element: &Element, at_ms: u64) -> Part {
        self.assert_owns(&element.collection, &element.name);
        if self.is_due(&element.key(), at_ms) {
            return Part::Holds(false);
        }
        Part::Holds(
            self.current(&element.collection, at_ms)
                .is_some_and(|collection| collection.holds(&element.name)),
        )
    }

    /// Begins to search. The answer says which generation it is about; the asker compares.
    pub(super) fn query(&mut self, question: Arc<Question>, ef: usize, at_ms: u64) -> Result<Part, Box<Unfinished>> {
        // What has expired takes no place among the hits: it is deleted before the search begins, in slices if it is much.
        if self.keys.has_vectors() && self.keys.has_due(at_ms) {
            self.reclaim_keys(at_ms);
            if self.keys.has_due(at_ms) {
                return Err(Box::new(Unfinished::Expiry(question, ef, at_ms)));
            }
        }
        let newest = self.setup.catalog.at(at_ms).generation_of(&question.schema.name);
        if newest != Some(question.schema.generation) {
            return Ok(Part::Hits(Hits::of_other(newest)));
        }
        let Some(collection) = self.held(&question.schema).filter(|collection| collection.live() > 0) else {
            return Ok(Part::Hits(Hits::nothing_in(question.schema.generation)));
        };
        let search = collection.begin_search(&question, ef);
        self.resume_query(Query {
            question,
            search,
            ef,
            naming: None,
            again: 0,
        })
    }

    pub(super) fn resume_query(&mut self, mut query: Query) -> Result<Part, Box<Unfinished>> {
        let mut work = Work::new(self.setup.slice_work);
        let room = self.setup.hits_bytes_max(&query.question.schema.name);
        let Some(collection) = self.held(&query.question.schema) else {
            return Ok(Part::Hits(Hits::default()));
        };
        let Question { k, radius, .. } = *query.question;
        let mut naming = match query.naming.take() {
            Some(naming) => naming,
            None => match collection.resume_search(&mut query.search, k, room, &mut work) {
                Step::More => return Err(Box::new(Unfinished::Query(query))),
                Step::Done(naming) => naming,
            },
        };
        let Step::Done(named) = collection.name_hits(&mut naming, &mut work) else {
            query.naming = Some(naming);
            return Err(Box::new(Unfinished::Query(query)));
        };
        // Emptied while this query held its place.
        let remains = collection.renew_if_empty();
        let live = collection.live();
        self.graveyard_take(remains);
        // A vector that was replaced meanwhile took a place and was then not there: sought again, with what is there now.
        let found = named.as_ref().map_or(k, Vec::len);
        if radius.is_none() && found < k.min(live).min(query.ef) && query.again < QUERY_AGAIN_MAX {
            let again = query.again + 1;
            let collection = self.held(&query.question.schema).expect("held a moment ago");
            let search = collection.begin_search(&query.question, query.ef);
            let (question, ef, naming) = (query.question, query.ef, None);
            return Err(Box::new(Unfinished::Query(Query {
                question,
                search,
                ef,
                naming,
                again,
            })));
        }
        let Query {
            question, search, ef, ..
        } = query;
        let statistics = search.statistics();
        // It may be the last whom consolidation waits for.
        drop(search);
        self.note_upkeep(&question.schema.name, question.schema.generation);
        Ok(Part::Hits(hits_of(named, statistics, &question, ef, live)))
    }

    pub(super) fn describe(&mut self, schema: &Schema) -> Part {
        let description = self
            .held(schema)
            .map_or_else(Description::default, |collection| collection.describe());
        Part::Description(description)
    }

    /// Some vector, perturbed by a tenth of its length: so near that its neighbours are about those of a stored vector, and
    /// so far that it is none.
    pub(super) fn sample(&mut self, schema: &Schema, random: u64) -> Part {
        let vector = self.held(schema).and_then(|collection| collection.sample(random));
        Part::Vector(vector.map(|vector| perturbed(vector, schema, random)))
    }

    /// What this shard holds of the collection that has this name at that time.
    pub(super) fn current(&mut self, name: &[u8], now_ms: u64) -> Option<&mut Collection> {
        let newest = self.setup.catalog.at(now_ms).generation_of(name)?;
        self.collections
            .get_mut(name)
            .filter(|collection| collection.schema().generation == newest)
    }

    /// What this shard holds of exactly this collection.
    pub(super) fn held(&mut self, schema: &Schema) -> Option<&mut Collection> {
        self.collections
            .get_mut(&schema.name)
            .filter(|collection| collection.schema().generation == schema.generation)
    }

    /// The same, made if there is nothing yet. What is held of an earlier collection of that name is buried.
    pub(super) fn collection_for(&mut self, schema: &Arc<Schema>) -> &mut Collection {
        let held = self
            .collections
            .get(&schema.name)
            .map(|collection| collection.schema().generation);
        if held != Some(schema.generation) {
            debug_assert!(
                held < Some(schema.generation),
                "the catalog's newest is never older than what is held"
            );
            self.detach(&schema.name);
            self.newest_held = self.newest_held.max(Some(schema.generation));
            let collection = Collection::new(Arc::clone(schema), self.setup.catalog.hash_seed());
            return self.collections.insert(collection);
        }
        self.collections.get_mut(&schema.name).expect("looked up a moment ago")
    }

    pub(super) fn assert_owns(&self, collection: &[u8], name: &[u8]) {
        // The other half of the assertion in `router.rs`: who routed this here used the same function.
        assert_eq!(self.placement.shard_of_element(collection, name), self.id);
    }
}

fn perturbed(vector: Box<[f32]>, schema: &Schema, mut random: u64) -> Box<[f32]> {
    let square: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
    // Uniform in ±1, a component has a variance of a third.
    let step = PERTURBATION * (3.0 * square / vector.len() as f64).sqrt();
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
    // A vector of next to no length may lose the rest of it.
    match command::vet(&moved, schema.graph.metric) {
        Ok(()) => moved,
        Err(_) => vector,
    }
}

/// How far a sample is from the vector that it was, in lengths of that.
const PERTURBATION: f64 = 0.1;

/// A VECQUERY between two slices.
pub(crate) struct Query {
    question: Arc<Question>,
    search: Search,
    ef: usize,
    /// What it has found, from then on.
    naming: Option<Naming>,
    /// Times that it was begun again.
    again: u8,
}

/// A VECDEL between two slices.
pub(crate) struct Delete {
    elements: ElementList,
    next: usize,
    deleted: u64,
    now_ms: u64,
}

impl Delete {
    pub(crate) fn new(elements: ElementList, now_ms: u64) -> Delete {
        Delete {
            elements,
            next: 0,
            deleted: 0,
            now_ms,
        }
    }
}
