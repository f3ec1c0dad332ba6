//! Whether two keyspaces hold the same, for tests and the simulation.

use std::collections::BTreeMap;

use kora_values::{Digits, HashRef};

use crate::changes::Observer;
use crate::collections::{Collection, CollectionTable};
use crate::keys::{KeyEntry, ValueRef};
use crate::keyspace::Keyspace;

impl<O: Observer> Keyspace<O> {
    /// Holds all that can be seen of this keyspace against another one, which has its own catalog: keys, values and deadlines,
    /// collections that exist, vectors bit for bit. The parts of collections stand apart, since they may be leased.
    ///
    /// # Panics
    /// If they are not equal, with the first difference.
    pub fn assert_equal<P: Observer>(&self, parts: &CollectionTable, other: &Keyspace<P>) {
        assert_eq!(self.keys().len(), other.keys().len(), "as many keys");
        for entry in self.keys().iter() {
            let key = String::from_utf8_lossy(entry.key());
            let twin = other.keys().find(other.keys().hash(entry.key()), entry.key());
            let twin = twin.unwrap_or_else(|| panic!("key {key:?} is missing"));
            assert_eq!(entry.deadline_ms(), twin.deadline_ms(), "the deadline of {key:?}");
            assert_eq!(contents(entry), contents(twin), "what {key:?} holds");
        }
        self.assert_equal_names(other);
        let there = parts.iter().filter(|part| self.is_current(part));
        let there: BTreeMap<&[u8], &Collection> = there.map(|part| (&part.schema().name[..], part)).collect();
        for part in other.collections().iter().filter(|part| other.is_current(part)) {
            let is_held = there.contains_key(&part.schema().name[..]);
            assert!(is_held || part.live() == 0, "{:?} has vectors", part.schema().name);
        }
        for part in there.values() {
            let twin = other.part_of(part.schema());
            let name = &part.schema().name;
            assert_eq!(
                vectors(part),
                twin.map(vectors).unwrap_or_default(),
                "vectors of {name:?}"
            );
        }
    }

    /// Both catalogs have the same collections.
    fn assert_equal_names<P: Observer>(&self, other: &Keyspace<P>) {
        assert_eq!(self.listed(), other.listed(), "the same collections");
        let (libraries, twins) = (self.catalog.libraries(), other.catalog.libraries());
        assert_eq!(libraries.len(), twins.len(), "as many libraries");
        for library in libraries.iter() {
            let twin = twins.get(&library.name);
            let is_same = twin.is_some_and(|twin| twin.is_same(library));
            assert!(is_same, "the library {:?} is {twin:?}", library.name);
        }
        let (aliases, twins) = (self.catalog.aliases().now(), other.catalog.aliases().now());
        assert!(aliases.iter().eq(twins.iter()), "the same aliases");
        for schema in (0..self.catalog.bucket_count()).flat_map(|bucket| self.catalog.bucket(bucket)) {
            let name = &schema.name;
            let twin = other.catalog.newest(name);
            let twin = twin.unwrap_or_else(|| panic!("collection {name:?} is missing"));
            assert_eq!(schema.generation, twin.generation, "the generation of {name:?}");
            assert_eq!(schema.dimension, twin.dimension, "the dimension of {name:?}");
            assert_eq!(schema.graph, twin.graph, "the settings of {name:?}");
            assert_eq!(schema.made_by, twin.made_by, "how {name:?} was made");
            assert_eq!(schema.label, twin.label, "the label of {name:?}");
            assert_eq!(schema.deadline.end(), twin.deadline.end(), "the deadline of {name:?}");
        }
    }

    /// Names and generations of all collections, in one order.
    fn listed(&self) -> BTreeMap<Vec<u8>, String> {
        let all = (0..self.catalog.bucket_count()).flat_map(|bucket| self.catalog.bucket(bucket));
        all.map(|schema| {
            (
                schema.name.to_vec(),
                format!("{:?}, until {:?}", schema.generation, schema.deadline.end()),
            )
        })
        .collect()
    }

    /// True if commands find the part: its collection was not withdrawn.
    fn is_current(&self, part: &Collection) -> bool {
        let newest = self.catalog.newest(&part.schema().name);
        newest.is_some_and(|newest| newest.generation == part.schema().generation)
    }
}

/// What an entry holds, in one order.
fn contents(entry: KeyEntry<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    match entry.value() {
        ValueRef::String(string) => {
            let bytes = string.bytes(&mut Digits::new()).to_vec();
            BTreeMap::from([(b"string".to_vec(), bytes)])
        }
        ValueRef::Hash(hash) => fields(hash),
    }
}

fn fields(hash: HashRef<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (mut found, mut from) = (BTreeMap::new(), Some(0));
    while let Some(at) = from {
        let (fields, next) = hash.scan_timed(at, AT_ONCE);
        found.extend(fields.into_iter().map(|((field, value), deadline_ms)| {
            let held = [value.bytes(), &deadline_ms.to_be_bytes()].concat();
            ([b"field ", field].concat(), held)
        }));
        from = next;
    }
    found
}

/// The vectors of a part: deadline, components, bit for bit, and attributes, by name.
fn vectors(part: &Collection) -> BTreeMap<Vec<u8>, (u64, Vec<u32>, Vec<u8>)> {
    let (mut found, mut from) = (BTreeMap::new(), Some(0));
    while let Some(at) = from {
        let (names, next) = part.names(at, AT_ONCE);
        for name in names {
            let row = part.row_of(name).expect("its name leads to it");
            let bits = row.to_vec().into_iter().map(f32::to_bits).collect();
            let deadline_ms = part.deadline_of_name(name).expect("its name leads to it");
            let attributes = part.attributes_of(name).unwrap_or_default().to_vec();
            found.insert(name.to_vec(), (deadline_ms, bits, attributes));
        }
        from = next;
    }
    found
}

/// Fields or vectors looked at in one step.
const AT_ONCE: usize = 512;
