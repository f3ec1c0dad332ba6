//! The collections of which a shard holds a part, found by name or by their section of the shard's scan.

use std::vec;

use kora_values::SegmentTable;
use kora_values::segment_table::{Hashed, hash};

use super::collection::Collection;

/// At most one collection of each name.
pub struct CollectionTable {
    /// Keys the hash: random in a server, so that no client can choose names that collide.
    hash_seed: u64,
    /// Where each stands in `collections`. The names themselves stand there.
    places: SegmentTable<NamedPart>,
    /// Boxed: a list that grows moves pointers only.
    collections: Vec<Option<Box<Collection>>>,
    /// Places given up, to be given out again: a collection keeps its place while it is held, which is all that a scan
    /// relies on.
    free: Vec<u32>,
}

struct NamedPart {
    /// Of the collection's name.
    hash: u32,
    at: u32,
}

impl Hashed for NamedPart {
    fn hash(&self) -> u32 {
        self.hash
    }
}

/// Collections that are no longer held: what is to be freed of them.
pub(crate) struct DroppedTable {
    pub(crate) collections: vec::IntoIter<Option<Box<Collection>>>,
    places: SegmentTable<NamedPart>,
}

impl DroppedTable {
    /// Frees some of what led to them; false when there is nothing left.
    pub(crate) fn dismantle(&mut self) -> bool {
        self.places.dismantle().is_some()
    }
}

impl CollectionTable {
    pub(crate) fn new(hash_seed: u64) -> CollectionTable {
        CollectionTable {
            hash_seed,
            places: SegmentTable::new(),
            collections: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The collection of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Collection> {
        self.at(self.place(name)?)
    }

    pub(crate) fn get_mut(&mut self, name: &[u8]) -> Option<&mut Collection> {
        let place = self.place(name)?;
        self.collections[place as usize].as_deref_mut()
    }

    fn place(&self, name: &[u8]) -> Option<u32> {
        let is_it = |place: &NamedPart| self.is_named(place.at, name);
        self.places
            .find(hash(self.hash_seed, name), is_it)
            .map(|place| place.at)
    }

    fn is_named(&self, place: u32, name: &[u8]) -> bool {
        self.at(place)
            .is_some_and(|collection| collection.schema().name == name)
    }

    /// The collection at a place, if one stands there.
    pub fn at(&self, place: u32) -> Option<&Collection> {
        self.collections.get(place as usize)?.as_deref()
    }

    /// Every place is below this.
    pub fn places(&self) -> u32 {
        u32::try_from(self.collections.len()).expect("the catalog bounds the collections")
    }

    /// Every one.
    pub fn iter(&self) -> impl Iterator<Item = &Collection> {
        self.collections.iter().flatten().map(Box::as_ref)
    }

    /// Bytes that the table takes, without the collections.
    pub(crate) fn bytes(&self) -> usize {
        self.places.bytes()
            + self.collections.capacity() * size_of::<Option<Box<Collection>>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// Adds a collection.
    ///
    /// # Panics
    /// If one of that name is held.
    pub(crate) fn insert(&mut self, mut collection: Collection) {
        let name = &collection.schema().name;
        assert!(
            self.place(name).is_none(),
            "the earlier collection of that name was let go first"
        );
        let hash = hash(self.hash_seed, name);
        let at = self.free.pop().unwrap_or_else(|| {
            self.collections.push(None);
            self.places() - 1
        });
        self.places.insert_new(NamedPart { hash, at });
        collection.place = at;
        self.collections[at as usize] = Some(Box::new(collection));
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Collection> {
        let at = self.place(name)?;
        let gone = self.places.remove(hash(self.hash_seed, name), |place| place.at == at);
        debug_assert!(gone.is_some(), "found a moment ago");
        self.free.push(at);
        self.collections[at as usize].take().map(|collection| *collection)
    }

    /// Lets all go, at once.
    pub(crate) fn clear(&mut self) -> DroppedTable {
        let empty = CollectionTable::new(self.hash_seed);
        let CollectionTable {
            places, collections, ..
        } = std::mem::replace(self, empty);
        DroppedTable {
            collections: collections.into_iter(),
            places,
        }
    }
}
