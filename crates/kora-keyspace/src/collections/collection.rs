//! What one shard holds of one collection: the index, and the names of its slots.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kora_vector::{
    Index, Insertion, Parameters, Search, SearchBuffers, SearchParameters, Slot, Statistics, Step, Work,
};

use super::attributes::Attributes;
use super::counting::PartCount;
use super::description::Description;
use super::dropped::DroppedPart;
use super::element_deadlines::ElementDeadlines;
use super::elements::Elements;
use super::resolve_keys::{ResolveKeys, Resolved};
use crate::catalog::Schema;
use crate::eviction::{UseNote, UseRule};
use crate::limits::SCAN_PREFIX_BITS;
use crate::outcome::VectorRow;
use crate::time::NEVER_MS;

/// One shard's part of a collection.
pub struct Collection {
    schema: Arc<Schema>,
    pub(super) index: Index,
    /// Invariant: a name for each live slot of `index`, which leads there, and for each of an insertion under way.
    pub(super) elements: Elements,
    /// Invariant: of live slots only; none if no vector expires.
    pub(super) deadlines: Option<Box<ElementDeadlines>>,
    /// Invariant: of live slots only; none if no vector ever had some.
    pub(super) attributes: Option<Box<Attributes>>,
    /// Under which deadline the shard's index of deadlines has it; [`NEVER_MS`] if it does not stand there.
    pub(crate) indexed_ms: u64,
    /// How many of its vectors the shard counts among those that expire.
    pub(crate) counted_expiring: usize,
    /// Its place in the table of the shard's collections.
    pub(super) place: u32,
    /// Inserts and searches that hold their place in `index` between slices. While there are any, the index stays.
    pub(super) suspended: u32,
    /// Of these, inserts.
    inserting: u32,
    /// How long names are on average, about.
    name_bytes_mean: f32,
    /// How often a vector was set or deleted. It may wrap: versions that far apart are never compared.
    version: u32,
    /// It stands in the shard's list of those that have something to do.
    pub(super) in_upkeep: bool,
    /// What it took when it was last counted. Invariant between two commands: what it takes.
    pub(crate) counted: PartCount,
}

impl Collection {
    pub(crate) fn new(schema: Arc<Schema>, hash_seed: u64) -> Collection {
        let index = new_index(&schema);
        Collection {
            schema,
            index,
            elements: Elements::new(hash_seed),
            deadlines: None,
            attributes: None,
            indexed_ms: NEVER_MS,
            counted_expiring: 0,
            place: 0,
            suspended: 0,
            inserting: 0,
            name_bytes_mean: 0.0,
            version: 0,
            in_upkeep: false,
            counted: PartCount::default(),
        }
    }

    /// What it is a part of.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Vectors that are there.
    pub fn live(&self) -> usize {
        self.elements.len()
    }

    /// True while a vector is being set.
    pub fn is_inserting(&self) -> bool {
        self.inserting > 0
    }

    /// It becomes the part of another collection. Searches that are under way in it don't find it any more, and so don't say
    /// that they have ended; a snapshot that is being taken of it is given up.
    pub(crate) fn join(&mut self, schema: &Arc<Schema>) {
        debug_assert_eq!(self.inserting, 0, "the caller has waited for that");
        self.index.end_capture();
        self.suspended = 0;
        self.schema = Arc::clone(schema);
        (self.indexed_ms, self.counted_expiring) = (NEVER_MS, 0);
        self.counted = PartCount::default();
        self.in_upkeep = false;
        let mean = self.name_bytes_mean as u64;
        self.schema.name_bytes.set(mean.next_multiple_of(MEAN_STEP_BYTES));
    }

    /// Begins to set a vector. Nothing can be seen of it before [`Collection::resume_set`] is done.
    pub(crate) fn begin_set(&mut self, name: &[u8], vector: &[f32]) -> Unlinked {
        self.suspended += 1;
        self.inserting += 1;
        self.measure(name);
        let insertion = match self.elements.find(name) {
            Some(before) => self.index.begin_replace(before, vector),
            None => self.index.begin_insert(vector),
        };
        self.elements.set_name(insertion.slot(), name);
        Unlinked { insertion }
    }

    /// Publishes how long names are here. All shards of a collection say it, and mean about the same: names are
    /// spread by their hash. It is rounded up, so that it seldom changes.
    fn measure(&mut self, name: &[u8]) {
        // As the mean moves when one more comes to those that are there.
        self.name_bytes_mean += (name.len() as f32 - self.name_bytes_mean) / (self.live() + 1) as f32;
        let mean = self.name_bytes_mean as u64;
        self.schema.name_bytes.set(mean.next_multiple_of(MEAN_STEP_BYTES));
    }

    /// Goes on setting a vector. When it is done, the vector that had the name before is deleted, and the new one expires
    /// then; as that one did, if no deadline is given.
    pub(crate) fn resume_set(
        &mut self,
        unlinked: &mut Unlinked,
        deadline_ms: Option<u64>,
        uses: (&UseRule, u64),
        work: &mut Work,
    ) -> Step<Slot> {
        let step = self.index.resume_insert(&mut unlinked.insertion, work);
        self.follow_moves();
        let Step::Done(slot) = step else {
            return Step::More;
        };
        self.suspended -= 1;
        self.inserting -= 1;
        self.version = self.version.wrapping_add(1);
        let before = self.elements.insert(slot);
        let (rule, now_ms) = uses;
        let used = match before {
            Some(before) => rule.used(self.elements.used(before), now_ms),
            None => rule.fresh(now_ms),
        };
        self.elements.note_use(slot, used);
        let before_ms = before.map_or(NEVER_MS, |before| self.deadline_of(before));
        if let Some(before) = before {
            if let Some(attributes) = &mut self.attributes {
                attributes.redirect(before, slot);
            }
            self.remove(before);
        }
        self.set_deadline(slot, deadline_ms.unwrap_or(before_ms));
        Step::Done(slot)
    }

    /// When the vector of a slot expires; [`NEVER_MS`] if it does not.
    pub(crate) fn deadline_of(&self, slot: Slot) -> u64 {
        self.deadlines.as_ref().map_or(NEVER_MS, |deadlines| deadlines.of(slot))
    }

    /// When the vector of a name expires, if there is one.
    pub fn deadline_of_name(&self, name: &[u8]) -> Option<u64> {
        self.elements.find(name).map(|slot| self.deadline_of(slot))
    }

    /// The attributes of a vector, empty if it has none; none if there is no such vector.
    pub fn attributes_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.elements.find(name).map(|slot| self.attributes_at(slot))
    }

    pub(super) fn attributes_at(&self, slot: Slot) -> &[u8] {
        self.attributes.as_ref().map_or(b"", |attributes| attributes.of(slot))
    }

    /// Gives the vector of a live slot these attributes, or none if they are empty.
    pub(super) fn put_attributes(&mut self, slot: Slot, text: &[u8]) {
        if !text.is_empty() || self.attributes.is_some() {
            self.attributes.get_or_insert_default().put(slot, text);
        }
    }

    /// Lets the vector of a live slot expire then.
    pub(crate) fn set_deadline(&mut self, slot: Slot, deadline_ms: u64) {
        match &mut self.deadlines {
            None if deadline_ms == NEVER_MS => {}
            None => self.deadlines.insert(Box::default()).set(slot, deadline_ms),
            Some(deadlines) => {
                deadlines.set(slot, deadline_ms);
                if deadlines.len() == 0 {
                    self.deadlines = None;
                }
            }
        }
    }

    /// The vector that expires first: when, and its name.
    pub(crate) fn first_deadline(&self) -> Option<(u64, &[u8])> {
        let (deadline_ms, slot) = self.deadlines.as_ref()?.first()?;
        Some((deadline_ms, self.elements.name(slot)))
    }

    /// How the shard's index of deadlines has it, if it stands there.
    pub(crate) fn indexed_deadline(&self) -> Option<(u64, u32)> {
        (self.indexed_ms != NEVER_MS).then_some((self.indexed_ms, self.place))
    }

    /// How many vectors expire.
    pub fn expiring(&self) -> usize {
        self.deadlines.as_ref().map_or(0, |deadlines| deadlines.len())
    }

    /// Gives the names of vectors that have moved to their new slots.
    pub(super) fn follow_moves(&mut self) {
        for (from, to) in self.index.take_moves() {
            self.elements.redirect(from, to);
            if let Some(deadlines) = &mut self.deadlines {
                deadlines.redirect(from, to);
            }
            if let Some(attributes) = &mut self.attributes {
                attributes.redirect(from, to);
            }
            self.elements.retire(from);
        }
        // Their chunks go with the slots.
        self.elements.truncate(self.index.slots());
        if let Some(attributes) = &mut self.attributes {
            attributes.truncate(self.index.slots());
        }
        self.forget_stale();
    }

    fn remove(&mut self, slot: Slot) {
        self.set_deadline(slot, NEVER_MS);
        if let Some(attributes) = &mut self.attributes {
            attributes.put(slot, b"");
        }
        self.index.remove(slot);
        self.elements.retire(slot);
        self.forget_stale();
    }

    /// Forgets names of slots whose vector was removed or moved, some at a time, once no reader can hold them.
    fn forget_stale(&mut self) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.suspended > 0 {
                return;
            }
            let Some(slot) = self.elements.take_retired() else {
                return;
            };
            // No search is suspended, so a slot that was taken again is live.
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

    /// What a vector that is there takes: its share of the index and of the table of names, and its name.
    pub fn bytes_of(&self, name: &[u8]) -> usize {
        let memory = self.index.memory();
        let of_index = (memory.vectors_bytes + memory.links_bytes) / self.index.slots().max(1);
        let deadlines = self
            .deadlines
            .as_ref()
            .map_or(0, |deadlines| deadlines.bytes() / deadlines.len().max(1));
        let attributes = self.attributes_of(name).map_or(0, <[u8]>::len);
        of_index + self.elements.bytes() / self.live().max(1) + name.len() + deadlines + attributes
    }

    /// Bytes of the names of its vectors, of their deadlines and of their attributes.
    pub(super) fn names_and_notes_bytes(&self) -> usize {
        let deadlines = self.deadlines.as_ref().map_or(0, |deadlines| deadlines.bytes());
        let attributes = self.attributes.as_ref().map_or(0, |attributes| attributes.bytes());
        self.elements.bytes() + deadlines + attributes
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// True if there is a vector of that name.
    pub fn holds(&self, name: &[u8]) -> bool {
        self.elements.find(name).is_some()
    }

    /// The slot of the vector of that name.
    pub fn slot_of(&self, name: &[u8]) -> Option<Slot> {
        self.elements.find(name)
    }

    /// The vector of a slot as it is kept.
    pub(crate) fn row(&self, slot: Slot) -> VectorRow<'_> {
        VectorRow {
            index: &self.index,
            slot,
        }
    }

    /// The vector of a name as it is kept.
    pub fn row_of(&self, name: &[u8]) -> Option<VectorRow<'_>> {
        self.elements.find(name).map(|slot| self.row(slot))
    }

    /// Keys of vectors that have not expired, in the order of a scan, from a position on: as many as are wanted or a few more.
    /// And the position to go on from, if there may be more.
    pub fn scan(&self, from: u32, wanted: usize, now_ms: u64) -> (Vec<Bytes>, Option<u32>) {
        let (mut slots, next) = self.elements.scan(from, wanted);
        if self.deadlines.is_some() {
            slots.retain(|slot| self.deadline_of(*slot) > now_ms);
        }
        (slots.into_iter().map(|slot| self.key(slot)).collect(), next)
    }

    /// The names of its vectors in the order of a scan, from a position on: as many as are wanted or a few more. And the
    /// position to go on from, if there may be more.
    pub fn names(&self, from: u32, wanted: usize) -> (Vec<&[u8]>, Option<u32>) {
        let (slots, next) = self.elements.scan(from, wanted);
        (slots.into_iter().map(|slot| self.elements.name(slot)).collect(), next)
    }

    /// The key of some vector: the first one behind a random place in the order of a scan. None if that has expired.
    pub fn random(&self, draw: u64, now_ms: u64) -> Option<Bytes> {
        let from = (draw >> (64 - SCAN_PREFIX_BITS)) as u32;
        let (mut slots, _) = self.elements.scan(from, 1);
        if slots.is_empty() {
            (slots, _) = self.elements.scan(0, 1);
        }
        let slot = slots.first().filter(|slot| self.deadline_of(**slot) > now_ms);
        slot.map(|slot| self.key(*slot))
    }

    /// The mean length of a key, in bytes: the collection's name and its elements' names, about.
    pub fn key_bytes_mean(&self) -> usize {
        self.schema.name.len() + 1 + self.name_bytes_mean as usize
    }

    /// Tells how it is now from how it was before a vector was set or deleted.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// True if queries walk a graph, and so may miss something.
    pub fn has_graph(&self) -> bool {
        self.index.levels() > 0
    }

    /// Some vector, chosen by a number, and how far it is from its neighbours in units of its length, if that is known.
    pub fn sample(&self, random: u64) -> Option<(Box<[f32]>, Option<f32>)> {
        let (slot, mut vector) = (self.index.sample(random)?, Vec::new());
        self.index.copy_vector(slot, &mut vector);
        Some((vector.into_boxed_slice(), self.index.spacing(slot)))
    }

    /// Begins a search along the graph, which holds its place in the index until its hits are resolved.
    pub fn begin_search(&mut self, vector: &[f32], parameters: SearchParameters) -> Search {
        self.suspended += 1;
        self.index.begin_search(vector, parameters)
    }

    /// The same over every vector.
    pub fn begin_exact(&mut self, vector: &[f32], k: usize) -> Search {
        self.suspended += 1;
        self.index.begin_exact(vector, k)
    }

    /// Goes on with a search. When it is done, the keys of the best k hits are to be found with
    /// [`Collection::resolve_hits`] to the end; they may take `bytes_left` bytes.
    pub fn resume_search(
        &mut self,
        search: &mut Search,
        k: usize,
        bytes_left: usize,
        work: &mut Work,
    ) -> Step<ResolveKeys> {
        let Step::Done(hits) = self.index.resume_search(search, work) else {
            return Step::More;
        };
        Step::Done(ResolveKeys::new(hits, k, bytes_left))
    }

    /// Finds the whole keys of hits, some at a time.
    pub fn resolve_hits(&mut self, hits: &mut ResolveKeys, work: &mut Work) -> Step<Resolved> {
        let step = hits.resume(self, work);
        if step != Step::More {
            self.suspended -= 1;
        }
        step
    }

    /// Searches at once, as [`Collection::begin_search`] and what follows would, and changes nothing. None if it can't be done
    /// so with the work that is left.
    pub fn query_in_place(
        &self,
        vector: &[f32],
        (k, parameters): (usize, SearchParameters),
        (bytes_left, note): (usize, UseNote),
        buffers: &mut SearchBuffers,
        work: &mut Work,
    ) -> Option<(Resolved, Statistics)> {
        let (hits, statistics) = self.index.search_in_place(buffers, vector, parameters, work)?;
        match ResolveKeys::new(hits, k, bytes_left).noting(note).resume(self, work) {
            Step::Done(resolved) => Some((resolved, statistics)),
            Step::More => None,
        }
    }

    /// The attributes of a vector that a search has found, wherever it is by now; of its successor, if it was replaced.
    pub(super) fn attributes_of_hit(&self, slot: Slot) -> &[u8] {
        let there = self
            .index
            .find(slot)
            .or_else(|| self.elements.find(self.elements.name(slot)));
        there.map_or(b"", |there| self.attributes_at(there))
    }

    /// The name of a slot, which stays the same for as long as a search is under way that has found it.
    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        self.elements.name(slot)
    }

    pub(super) fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    /// Something holds its place in the index from now on.
    pub(super) fn suspend(&mut self) {
        self.suspended += 1;
    }

    /// It does no more.
    pub(super) fn resume(&mut self) {
        self.suspended -= 1;
    }

    /// The slots of its names in the order of a scan: see [`Collection::names`].
    pub(super) fn slots_of_names(&self, from: u32, wanted: usize) -> (Vec<Slot>, Option<u32>) {
        self.elements.scan(from, wanted)
    }

    /// Names a slot of the index that is read for this part, and notes its use; false if the name leads to another one.
    #[must_use]
    pub(super) fn name_slot(&mut self, slot: Slot, name: &[u8], used: u32) -> bool {
        self.measure(name);
        self.elements.set_name(slot, name);
        self.elements.note_use(slot, used);
        self.elements.insert(slot).is_none()
    }

    /// Gives a part the index whose slots were named.
    pub(super) fn set_index(&mut self, index: Index) {
        self.index = index;
    }

    /// An index of nothing but deleted vectors is replaced by a new one; returns the old one, to be freed in slices.
    pub(crate) fn renew_if_empty(&mut self) -> Option<DroppedPart> {
        if self.suspended > 0 || self.live() > 0 || self.index.slots() == 0 {
            return None;
        }
        let index = std::mem::replace(&mut self.index, new_index(&self.schema));
        let elements = self.elements.renew();
        Some(DroppedPart::new(index, elements, None, self.attributes.take()))
    }

    pub(crate) fn into_dropped(self) -> DroppedPart {
        DroppedPart::new(self.index, self.elements, self.deadlines, self.attributes)
    }

    /// What it consists of.
    pub fn describe(&self) -> Description {
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
            attributed: self.attributes.as_ref().map_or(0, |attributes| attributes.count()),
            attributes_bytes: self.attributes.as_ref().map_or(0, |attributes| attributes.bytes()),
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
        assert_eq!(self.counted_expiring, self.expiring(), "the shard counts what expires");
        if let Some(attributes) = &self.attributes {
            attributes.assert_sound(|slot| self.index.is_live(slot));
        }
        assert_eq!(self.counted, self.count(), "what it takes is counted");
        let Some(deadlines) = &self.deadlines else {
            assert_eq!(self.indexed_ms, NEVER_MS, "nothing expires");
            return;
        };
        deadlines.assert_sound();
        assert!(deadlines.len() > 0, "deadlines are held where some vector expires");
        let first = deadlines.first().map_or(NEVER_MS, |(first_ms, slot)| {
            assert!(self.index.is_live(slot), "a vector that is there expires");
            first_ms
        });
        assert_eq!(self.indexed_ms, first, "the shard knows the first deadline");
    }

    fn key(&self, slot: Slot) -> Bytes {
        key_of(&self.schema, self.elements.name(slot))
    }
}

/// A vector that has its slot and its name but can't be found yet.
pub struct Unlinked {
    insertion: Insertion,
}

/// The whole key of an element.
fn key_of(schema: &Schema, name: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(schema.name.len() + 1 + name.len());
    key.put_slice(&schema.name);
    key.put_u8(b':');
    key.put_slice(name);
    key.freeze()
}

fn new_index(schema: &Schema) -> Index {
    Index::with_graph_from(parameters_of(schema), schema.graph.graph_min)
}

/// What each part's index is made with.
pub(super) fn parameters_of(schema: &Schema) -> Parameters {
    Parameters {
        dimension: schema.dimension,
        metric: schema.graph.metric,
        m: schema.graph.m,
        ef_construction: schema.graph.ef_construction,
        storage: schema.graph.storage,
        seed: schema.generation.0,
    }
}

/// Names of one kind differ by a few bytes, and an estimate is enough.
const MEAN_STEP_BYTES: u64 = 16;

/// Names forgotten each time that something is done, each some fifty nanoseconds: more than there come.
const FORGOTTEN_AT_ONCE: usize = 64;
