//! The collections that a shard holds, found by name or by their section of the shard's scan.

use std::collections::{HashMap, hash_map, hash_map::Entry};
use std::vec;

use bytes::Bytes;

use super::collection::Collection;

/// At most one collection of each name.
#[derive(Default)]
pub(crate) struct Held {
    /// Where each stands in `collections`.
    places: HashMap<Bytes, u32>,
    /// Boxed: a list that grows moves pointers only.
    collections: Vec<Option<Box<Collection>>>,
    /// Places given up, to be given out again: a collection keeps its place while it is held, which is all that a scan
    /// relies on.
    free: Vec<u32>,
}

/// Collections that are no longer held: what is to be freed of them, and their names.
pub(crate) struct LetGo {
    pub(crate) collections: vec::IntoIter<Option<Box<Collection>>>,
    pub(crate) names: hash_map::IntoKeys<Bytes, u32>,
}

impl Held {
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Collection> {
        self.at(*self.places.get(name)?)
    }

    pub(crate) fn get_mut(&mut self, name: &[u8]) -> Option<&mut Collection> {
        let place = *self.places.get(name)?;
        self.collections[place as usize].as_deref_mut()
    }

    /// The collection at a place, if one stands there.
    pub(crate) fn at(&self, place: u32) -> Option<&Collection> {
        self.collections.get(place as usize)?.as_deref()
    }

    /// Every place is below this.
    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.collections.len()).expect("the catalog bounds the collections")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Collection> {
        self.collections.iter().flatten().map(Box::as_ref)
    }

    /// Adds a collection.
    ///
    /// # Panics
    /// If one of that name is held.
    pub(crate) fn insert(&mut self, collection: Collection) -> &mut Collection {
        let place = self.free.pop().unwrap_or_else(|| {
            self.collections.push(None);
            self.places() - 1
        });
        match self.places.entry(collection.schema().name.clone()) {
            Entry::Occupied(_) => panic!("the earlier collection of that name was let go first"),
            Entry::Vacant(entry) => entry.insert(place),
        };
        self.collections[place as usize].insert(Box::new(collection))
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Collection> {
        let place = self.places.remove(name)?;
        self.free.push(place);
        self.collections[place as usize].take().map(|collection| *collection)
    }

    /// Lets all go, at once.
    pub(crate) fn clear(&mut self) -> LetGo {
        let Held {
            places, collections, ..
        } = std::mem::take(self);
        LetGo {
            collections: collections.into_iter(),
            names: places.into_keys(),
        }
    }
}
