//! What a vector is called.

use bytes::Bytes;
use kora_values::Database;

/// Identity of a vector: the collection and its name within it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Element {
    /// The collection's name.
    pub collection: Bytes,
    /// The name within the collection. Made by a command that names collection and element as two arguments it may
    /// hold a `:` and is then not reached by a key.
    pub name: Bytes,
}

impl Element {
    /// An element in memory of its own.
    pub(crate) fn copied(collection: &[u8], name: &[u8]) -> Element {
        Element {
            collection: Bytes::copy_from_slice(collection),
            name: Bytes::copy_from_slice(name),
        }
    }

    /// Makes it one of a database: its collection has the name that is stored.
    pub(crate) fn enter(&mut self, database: Database) {
        if !database.stores_as_said(&self.collection) {
            self.collection = database.stored(&self.collection).into();
        }
    }

    /// The whole key.
    pub fn key(&self) -> Vec<u8> {
        [&self.collection, b":".as_slice(), &self.name].concat()
    }
}

/// Many elements in little memory: VECDEL may name a million.
#[derive(Clone, Default, Debug)]
pub struct ElementList {
    /// Their names, end to end, each after its collection's.
    text: Vec<u8>,
    /// Where each collection's name ends in `text`, and where the element's does.
    ends: Vec<(u32, u32)>,
}

impl ElementList {
    /// Adds one.
    ///
    /// # Panics
    /// If the names together exceed 4 GiB; a request is far smaller.
    pub fn push(&mut self, collection: &[u8], name: &[u8]) {
        let end = |text: &Vec<u8>| u32::try_from(text.len()).expect("a request is far smaller than 4 GiB");
        self.text.extend_from_slice(collection);
        let middle = end(&self.text);
        self.text.extend_from_slice(name);
        self.ends.push((middle, end(&self.text)));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<(u32, u32)>()
    }

    /// Collection and name of one.
    ///
    /// # Panics
    /// If there is none at that place.
    pub fn element(&self, place: usize) -> (&[u8], &[u8]) {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before].1 as usize);
        let (middle, end) = self.ends[place];
        (
            &self.text[start..middle as usize],
            &self.text[middle as usize..end as usize],
        )
    }

    /// Collections and names of all.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).map(|place| self.element(place))
    }
}
