//! What one shard holds of one collection: the index, and the names of its slots.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kora_vector::{Desk, Index, Insertion, Parameters, Search, Slot, Statistics, Step, Work};

use super::elements::Elements;
use super::naming::{Named, Naming};
use super::remains::Remains;
use crate::catalog::Schema;
use crate::cursor::SCAN_PREFIX_BITS;
use crate::mail::{Description, Question};
use crate::sampling::Version;

/// One shard's part of a collection.
pub(crate) struct Collection {
    schema: Arc<Schema>,
    index: Index,
    /// Invariant: a name for each live slot of `index`, which leads there, and for each of an insertion under way.
    elements: Elements,
    /// Inserts and searches that hold their place in `index` between slices. While there are any, the index stays.
    suspended: u32,
    /// How long names are on average, about.
    name_bytes_mean: f32,
    /// How often a vector was set or deleted. It may wrap: nobody compares versions that far apart.
    version: u32,
    /// It stands in the shard's list of those that have something to do.
    in_upkeep: bool,
}

impl Collection {
    pub(crate) fn new(schema: Arc<Schema>, hash_seed: u64) -> Collection {
        let index = new_index(&schema);
        Collection {
            schema,
            index,
            elements: Elements::new(hash_seed),
            suspended: 0,
            name_bytes_mean: 0.0,
            version: 0,
            in_upkeep: false,
        }
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Vectors that are there.
    pub(crate) fn live(&self) -> usize {
        self.elements.len()
    }

    /// Begins to set a vector. Nothing can be seen of it before [`Collection::resume_set`] is done.
    pub(crate) fn begin_set(&mut self, name: &[u8], vector: &[f32]) -> Unlinked {
        self.suspended += 1;
        self.measure(name);
        let insertion = match self.elements.find(name) {
            Some(before) => self.index.begin_replace(before, vector),
            None => self.index.begin_insert(vector),
        };
        self.elements.set_name(insertion.slot(), name);
        Unlinked { insertion }
    }

    /// Tells everybody how long names are here. All shards of a collection say it, and mean about the same: names are
    /// spread by their hash. It is rounded up, so that it seldom changes.
    fn measure(&mut self, name: &[u8]) {
        // As the mean moves when one more comes to those that are there.
        self.name_bytes_mean += (name.len() as f32 - self.name_bytes_mean) / (self.live() + 1) as f32;
        let mean = self.name_bytes_mean as u64;
        self.schema.name_bytes.set(mean.next_multiple_of(MEAN_STEP_BYTES));
    }

    /// Goes on setting a vector. When it is done, the vector that had the name before is deleted.
    pub(crate) fn resume_set(&mut self, unlinked: &mut Unlinked, used_s: u32, work: &mut Work) -> Step<()> {
        let step = self.index.resume_insert(&mut unlinked.insertion, work);
        self.follow_moves();
        let Step::Done(slot) = step else {
            return Step::More;
        };
        self.suspended -= 1;
        self.version = self.version.wrapping_add(1);
        if let Some(before) = self.elements.insert(slot, used_s) {
            self.remove(before);
        }
        Step::Done(())
    }

    /// Gives the names of vectors that have moved to their new slots.
    fn follow_moves(&mut self) {
        for (from, to) in self.index.take_moves() {
            self.elements.redirect(from, to);
            self.elements.retire(from);
        }
        // Their chunks go with the slots.
        self.elements.truncate(self.index.slots());
        self.forget_stale();
    }

    fn remove(&mut self, slot: Slot) {
        self.index.remove(slot);
        self.elements.retire(slot);
        self.forget_stale();
    }

    /// Forgets names of slots whose vector was removed or moved, some at a time, once nobody may want them.
    fn forget_stale(&mut self) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.suspended > 0 {
                return;
            }
            let Some(slot) = self.elements.take_retired() else {
                return;
            };
            // Nobody is suspended, so that a slot that was taken again is live.
            if !self.index.is_live(slot) {
                self.elements.forget_name(slot);
            }
        }
    }

    /// Deletes a vector; false if there is none of that name.
    pub(crate) fn delete(&mut self, name: &[u8]) -> bool {
        let found = self.elements.remove(name);
        if let Some(slot) = found {
            self.version = self.version.wrapping_add(1);
            self.remove(slot);
        }
        found.is_some()
    }

    /// A vector, which counts as used then.
    pub(crate) fn use_vector(&mut self, name: &[u8], used_s: u32) -> Option<Box<[f32]>> {
        let slot = self.elements.touch(name, used_s)?;
        let mut vector = Vec::new();
        self.index.copy_vector(slot, &mut vector);
        Some(vector.into_boxed_slice())
    }

    /// Lets a vector count as used.
    pub(crate) fn touch(&mut self, name: &[u8], used_s: u32) {
        self.elements.touch(name, used_s);
    }

    /// When a vector was last used, in seconds of Unix time.
    pub(crate) fn used_s(&self, name: &[u8]) -> Option<u32> {
        self.elements.used_s(name)
    }

    /// What a vector that is there takes: its share of the index and of the table of names, and its name.
    pub(crate) fn bytes_of(&self, name: &[u8]) -> usize {
        let memory = self.index.memory();
        let of_index = (memory.vectors_bytes + memory.links_bytes) / self.index.slots().max(1);
        of_index + self.elements.bytes() / self.live().max(1) + name.len()
    }

    pub(crate) fn holds(&self, name: &[u8]) -> bool {
        self.elements.find(name).is_some()
    }

    /// Keys of vectors in the order of a scan, from a position on: as many as are wanted or a few more. And the position
    /// to go on from, if there may be more.
    pub(crate) fn scan(&self, from: u32, wanted: usize) -> (Vec<Bytes>, Option<u32>) {
        let (slots, next) = self.elements.scan(from, wanted);
        (slots.into_iter().map(|slot| self.key(slot)).collect(), next)
    }

    /// The key of some vector: the first one behind a random place in the order of a scan.
    pub(crate) fn random(&self, draw: u64) -> Option<Bytes> {
        let from = (draw >> (64 - SCAN_PREFIX_BITS)) as u32;
        let (mut slots, _) = self.elements.scan(from, 1);
        if slots.is_empty() {
            (slots, _) = self.elements.scan(0, 1);
        }
        slots.first().map(|slot| self.key(*slot))
    }

    /// The mean length of a key, in bytes: the collection's name and its elements' names, about.
    pub(crate) fn key_bytes_mean(&self) -> usize {
        self.schema.name.len() + 1 + self.name_bytes_mean as usize
    }

    /// Tells how it is now from how it was before a vector was set or deleted.
    pub(crate) fn version(&self) -> Version {
        Version(self.version)
    }

    /// True if queries walk a graph, and so may miss something.
    pub(crate) fn has_graph(&self) -> bool {
        self.index.levels() > 0
    }

    /// Some vector, chosen by a number.
    pub(crate) fn sample(&self, random: u64) -> Option<Box<[f32]>> {
        let mut vector = Vec::new();
        self.index.copy_vector(self.index.sample(random)?, &mut vector);
        Some(vector.into_boxed_slice())
    }

    pub(crate) fn begin_search(&mut self, question: &Question, ef: usize) -> Search {
        self.suspended += 1;
        if question.exact {
            return self.index.begin_exact(&question.vector, question.k);
        }
        self.index.begin_search(&question.vector, question.aim(ef))
    }

    /// Goes on with a search. When it is done, the best k hits are to be named with [`Collection::name_hits`] to the end;
    /// their keys may take `room` bytes.
    pub(crate) fn resume_search(
        &mut self,
        search: &mut Search,
        k: usize,
        room: usize,
        work: &mut Work,
    ) -> Step<Naming> {
        let Step::Done(hits) = self.index.resume_search(search, work) else {
            return Step::More;
        };
        Step::Done(Naming::new(hits, k, room))
    }

    /// Gives hits their whole keys, some at a time.
    pub(crate) fn name_hits(&mut self, naming: &mut Naming, work: &mut Work) -> Step<Named> {
        let step = naming.resume(self, work);
        if step != Step::More {
            self.suspended -= 1;
        }
        step
    }

    /// Searches at once, as [`Collection::begin_search`] and what follows would, and changes nothing. None if it can't be done
    /// so with the work that is left.
    pub(crate) fn query_in_place(
        &self,
        question: &Question,
        ef: usize,
        room: usize,
        desk: &mut Desk,
        work: &mut Work,
    ) -> Option<(Named, Statistics)> {
        let aim = question.aim(ef);
        let (hits, statistics) = self.index.search_in_place(desk, &question.vector, aim, work)?;
        match Naming::new(hits, question.k, room).resume(self, work) {
            Step::Done(named) => Some((named, statistics)),
            Step::More => None,
        }
    }

    /// Whether a vector that a search has found is still there, wherever it is by now. The name of its slot stays the same
    /// for as long as the search is under way.
    pub(crate) fn is_there(&self, slot: Slot) -> bool {
        self.index.find(slot).is_some()
    }

    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        self.elements.name(slot)
    }

    /// True if it has something to do and nobody knows yet.
    pub(crate) fn begin_upkeep(&mut self) -> bool {
        let is_news = !self.in_upkeep && (self.index.has_upkeep() || self.has_spare_names());
        self.in_upkeep |= is_news;
        is_news
    }

    /// True if it should do so although others wait.
    pub(crate) fn is_overdue(&self) -> bool {
        self.index.is_overdue()
    }

    /// Does what it has to do.
    pub(crate) fn keep_up(&mut self, work: &mut Work) -> Step<()> {
        let step = self.index.tend(work);
        self.follow_moves();
        self.in_upkeep = step == Step::More || self.has_spare_names();
        if self.in_upkeep { Step::More } else { Step::Done(()) }
    }

    /// True if names are held for slots that have gone.
    fn has_spare_names(&self) -> bool {
        self.elements.reaches_beyond(self.index.slots())
    }

    /// An index of nothing but deleted vectors is replaced by a new one; returns the old one, to be freed in slices.
    pub(crate) fn renew_if_empty(&mut self) -> Option<Remains> {
        if self.suspended > 0 || self.live() > 0 || self.index.slots() == 0 {
            return None;
        }
        let index = std::mem::replace(&mut self.index, new_index(&self.schema));
        let elements = self.elements.renew();
        Some(Remains::new(Arc::clone(&self.schema), index, elements).without_keys())
    }

    pub(crate) fn into_remains(self) -> Remains {
        Remains::new(self.schema, self.index, self.elements)
    }

    pub(crate) fn describe(&self) -> Description {
        let memory = self.index.memory();
        Description {
            live: self.live(),
            deleted: self.index.dead(),
            slots: self.index.slots(),
            vacant: self.index.vacant(),
            chunks: self.index.chunks(),
            consolidated: self.index.consolidated(),
            levels: self.index.levels(),
            vectors_bytes: memory.vectors_bytes,
            links_bytes: memory.links_bytes,
            keys_bytes: self.elements.bytes(),
        }
    }

    /// The written definition of a sound collection, for tests and the simulation.
    ///
    /// # Panics
    /// If it is not sound, with what is wrong.
    pub(crate) fn assert_sound(&self) {
        if let Err(fault) = self.index.check() {
            panic!("collection {:?}: {fault:?}", self.schema.name);
        }
        assert_eq!(self.index.live(), self.elements.len(), "as many live slots as names");
    }

    fn key(&self, slot: Slot) -> Bytes {
        key_of(&self.schema, self.elements.name(slot))
    }
}

/// A vector that has its slot and its name but can't be found yet.
pub(crate) struct Unlinked {
    insertion: Insertion,
}

/// The whole key of an element.
pub(super) fn key_of(schema: &Schema, name: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(schema.name.len() + 1 + name.len());
    key.put_slice(&schema.name);
    key.put_u8(b':');
    key.put_slice(name);
    key.freeze()
}

fn new_index(schema: &Schema) -> Index {
    let parameters = Parameters {
        dimension: schema.dimension,
        metric: schema.graph.metric,
        m: schema.graph.m,
        ef_construction: schema.graph.ef_construction,
        storage: schema.graph.storage,
        seed: schema.generation.0,
    };
    Index::with_graph_from(parameters, schema.graph.graph_min)
}

/// Names of one kind differ by a few bytes, and nobody needs to know so exactly.
const MEAN_STEP_BYTES: u64 = 16;

/// Names forgotten each time that something is done, each some fifty nanoseconds: more than there come.
const FORGOTTEN_AT_ONCE: usize = 64;
