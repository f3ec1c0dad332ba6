//! SCAN on one shard: first the names of the collections that it decides about, then strings and hashes, then the vectors
//! it holds, collection by collection.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::KeyType;
use kora_keyspace::catalog::Schema;
use kora_keyspace::limits::SCAN_PREFIX_BITS;
use kora_resp::Bulks;
use kora_values::{Database, said_name};
use kora_vector::{Step, Work};

use super::Shard;
use super::keys::to_bytes;
use super::task::Task;
use crate::budgets::{SCAN_WORK, SLICE_WORK};
use crate::command::ScanFilter;
use crate::cursor::ScanPlace;
use crate::mail::{ScanPart, Scanned};

/// A SCAN between two slices.
pub(super) struct Scan {
    filter: Arc<ScanFilter>,
    /// Where it goes on.
    at: ScanPlace,
    /// Keys that are still to be looked at.
    left: usize,
    /// Bytes of keys for which the reply has room. Invariant: nothing is left when there is none.
    bytes_left: usize,
    /// Keys that were passed and are still to be held against the filter.
    passed: std::vec::IntoIter<Bytes>,
    keys: Bulks,
    /// What has expired by then is not there.
    now_ms: u64,
}

impl Scan {
    pub(super) fn new(body: ScanPart, now_ms: u64) -> Scan {
        Scan {
            now_ms,
            filter: body.filter,
            at: body.at,
            left: body.left,
            bytes_left: body.bytes_left,
            passed: Vec::new().into_iter(),
            keys: Bulks::default(),
        }
    }

    fn pass(&mut self, keys: Vec<Bytes>) {
        self.left = self.left.saturating_sub(keys.len());
        self.passed = keys.into_iter();
    }

    /// Holds a key against the filter; returns the work that it was.
    fn look_at(&mut self, key: Bytes) -> usize {
        let key = said_name(&key);
        let work = self.filter.work(key);
        if self.filter.matches(key) {
            self.bytes_left = self.bytes_left.saturating_sub(key.len());
            self.keys.push(key);
        }
        if self.bytes_left == 0 {
            self.left = 0;
        }
        work
    }

    /// What it has come to.
    fn take_scanned(&mut self, next: Option<ScanPlace>) -> Box<Scanned> {
        Box::new(Scanned {
            keys: std::mem::take(&mut self.keys),
            left: self.left,
            bytes_left: self.bytes_left,
            next,
        })
    }

    /// To the beginning of the next section.
    fn next_section(&mut self) {
        self.at = ScanPlace {
            section: self.at.section + 1,
            position: 0,
        };
    }
}

impl Task for Scan {
    type Answer = Box<Scanned>;

    /// Looks at keys until it has seen as many as were asked for or there are no more.
    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Box<Scanned>> {
        loop {
            let steps = match self.passed.next() {
                Some(key) => self.look_at(key),
                None if self.left == 0 => {
                    let at = self.at;
                    return Step::Done(self.take_scanned(Some(at)));
                }
                None => match self.at.section {
                    0 => shard.scan_names(self),
                    1 => shard.scan_keys(self),
                    section if section - FIRST_COLLECTION < shard.keyspace.collections().places() => {
                        shard.scan_vectors(self)
                    }
                    _ => return Step::Done(self.take_scanned(None)),
                },
            };
            work.spend(SCAN_WORK * steps as u64);
            if work.is_spent() {
                return Step::More;
            }
        }
    }
}

impl Shard {
    /// One bucket of the catalog.
    fn scan_names(&self, scan: &mut Scan) -> usize {
        let bucket = scan.at.position as usize;
        if !scan.filter.wants(KeyType::VectorSet.name()) || bucket >= self.setup.catalog.bucket_count() {
            scan.next_section();
            return 1;
        }
        let schemas = self.setup.catalog.at(scan.now_ms).bucket(bucket);
        let work = 1 + schemas.len();
        let is_meant =
            |schema: &Schema| Database::of(&schema.name) == scan.filter.database && self.owns_name(&schema.name);
        let own = schemas.into_iter().filter(|schema| is_meant(schema));
        let own: Vec<Bytes> = own.map(|schema| schema.name.clone()).collect();
        scan.pass(own);
        scan.at.position += 1;
        work
    }

    /// Some strings and hashes.
    fn scan_keys(&self, scan: &mut Scan) -> usize {
        // Long keys come fewer at a time: one may have the length of a thousand usual ones.
        let wanted = scan.left.min(KEYS_PER_SCAN);
        let keys = self.keyspace.keys().of(scan.filter.database);
        let (entries, next) = keys.scan(scan.at.position, SCAN_PREFIX_BITS, wanted);
        let work = 1 + entries.len();
        let met = entries.len();
        let there = entries.into_iter().filter(|entry| !entry.is_gone(scan.now_ms));
        let wanted = there.filter(|entry| scan.filter.wants(entry.value().kind().name()));
        let keys: Vec<Bytes> = wanted.map(to_bytes).collect();
        scan.left = scan.left.saturating_sub(met - keys.len());
        scan.pass(keys);
        match next {
            Some(position) => scan.at.position = position,
            None => scan.next_section(),
        }
        work
    }

    /// Some vectors of one collection.
    fn scan_vectors(&self, scan: &mut Scan) -> usize {
        // Nothing of a collection that was dropped is shown, though it may still be held.
        let collection = self
            .keyspace
            .collections()
            .at(scan.at.section - FIRST_COLLECTION)
            .filter(|collection| {
                let schema = collection.schema();
                Database::of(&schema.name) == scan.filter.database
                    && self.setup.catalog.at(scan.now_ms).generation_of(&schema.name) == Some(schema.generation)
            });
        // A vector set is one key, which was shown by its name.
        let collection = collection.filter(|collection| collection.schema().set_form().is_none());
        let Some(collection) = collection.filter(|_| scan.filter.wants(KeyType::Vector.name())) else {
            scan.next_section();
            return 1;
        };
        // By the mean: which keys come next is as good as chance.
        let portion = (PORTION_BYTES / collection.key_bytes_mean()).clamp(1, PORTION_MAX);
        let (keys, next) = collection.scan(scan.at.position, scan.left.min(portion), scan.now_ms);
        let work = 1 + keys.len();
        scan.pass(keys);
        match next {
            Some(position) => scan.at.position = position,
            None => scan.next_section(),
        }
        work
    }
}

/// Keys of vectors fetched at once: as many as a slice passes.
const PORTION_MAX: usize = (SLICE_WORK / SCAN_WORK) as usize;

/// Bytes of keys fetched at once, beyond what they are expected to be only by chance.
const PORTION_BYTES: usize = 256 << 10;

/// Keys fetched at once: were all of the longest kind, they would come to 4 MiB.
const KEYS_PER_SCAN: usize = 64;

/// The section of the first collection: behind the names of collections, and strings and hashes.
const FIRST_COLLECTION: u32 = 2;
