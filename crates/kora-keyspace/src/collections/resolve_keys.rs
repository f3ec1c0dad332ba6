//! The keys of hits: a query of a hundred thousand neighbours in slices, and never more memory than a reply may
//! take.

use std::vec;

use bytes::{BufMut, Bytes, BytesMut};
use kora_vector::{Hit, Slot, Step, Work};

use super::collection::Collection;
use super::ties::Ties;
use crate::eviction::UseNote;

/// What a search has found, while its keys are put together. The answer is that of the moment when the search ended: what is
/// removed later is in it, and the name of its slot stays for as long.
///
/// The index breaks ties by slot; a client must not see that, so they are broken by name here: the index hands over every
/// hit that it cannot tell from the k-th.
pub struct ResolveKeys {
    /// Invariant: by distance.
    hits: vec::IntoIter<Hit>,
    /// Those at the distance of the last one taken from `hits`, while more of them are to come.
    ties: Ties,
    stage: ResolveStage,
    distance: f32,
    k: usize,
    resolved: Vec<(Bytes, f32)>,
    /// The attributes of each that is resolved, empty if it has none; none at all unless they are wanted.
    attributes: Option<Vec<Bytes>>,
    /// The components of each that is resolved; none at all unless they are wanted.
    vectors: Option<Vec<Bytes>>,
    /// Bytes that keys may still take.
    bytes_left: usize,
    note: Option<UseNote>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ResolveStage {
    /// Hits at one distance are being put in order.
    Ordering,
    /// Their keys are being found.
    Resolving,
}

/// The best k hits with their keys, by distance and key; `None` if they take more memory than there is.
pub type Resolved = Option<Vec<(Bytes, f32)>>;

impl ResolveKeys {
    /// Of these hits, which stand by distance, the best k and what equals the k-th; their keys may take so many bytes.
    pub fn new(hits: Vec<Hit>, k: usize, bytes_left: usize) -> ResolveKeys {
        ResolveKeys {
            hits: hits.into_iter(),
            ties: Ties::default(),
            stage: ResolveStage::Resolving,
            distance: f32::NEG_INFINITY,
            k,
            resolved: Vec::new(),
            attributes: None,
            vectors: None,
            bytes_left,
            note: None,
        }
    }

    /// Lets the first hits count as used.
    #[must_use]
    pub fn noting(mut self, note: UseNote) -> ResolveKeys {
        self.note = Some(note);
        self
    }

    /// Finds attributes, too.
    #[must_use]
    pub fn with_attributes(mut self) -> ResolveKeys {
        self.attributes = Some(Vec::new());
        self
    }

    /// The attributes of the hits, if they were wanted: as many, in the same order.
    pub fn take_attributes(&mut self) -> Vec<Bytes> {
        self.attributes.take().unwrap_or_default()
    }

    /// Finds components, too.
    #[must_use]
    pub fn with_vectors(mut self) -> ResolveKeys {
        self.vectors = Some(Vec::new());
        self
    }

    /// The components of the hits as little-endian 32-bit floats, if they were wanted: as many, in the same order.
    pub fn take_vectors(&mut self) -> Vec<Bytes> {
        self.vectors.take().unwrap_or_default()
    }

    /// Goes on for one slice.
    pub(crate) fn resume(&mut self, collection: &Collection, work: &mut Work) -> Step<Resolved> {
        // The keys of one slice share one piece of memory: one allocation instead of thousands.
        let (mut keys, mut ends) = self.make_room(collection);
        let mut components = Vec::new();
        let step = loop {
            if self.resolved.len() + ends.len() == self.k {
                break Step::Done(());
            }
            match self.next_hit(collection, work) {
                Some(Some(slot)) => {
                    work.spend(NAME_WORK);
                    let name = collection.name(slot);
                    let mut bytes = collection.schema().name.len() + 1 + name.len();
                    if let Some(attributes) = &mut self.attributes {
                        let text = collection.attributes_of_hit(slot);
                        work.spend(NAME_WORK + text.len() as u64 / BYTES_PER_WORK);
                        bytes += text.len() + size_of::<Bytes>();
                        attributes.push(Bytes::copy_from_slice(text));
                    }
                    let vector_bytes = size_of::<f32>() * collection.schema().dimension;
                    if self.vectors.is_some() {
                        bytes += vector_bytes + size_of::<Bytes>();
                    }
                    if bytes + HIT_BYTES > self.bytes_left {
                        return Step::Done(None);
                    }
                    self.bytes_left -= bytes + HIT_BYTES;
                    let rank = self.resolved.len() + ends.len();
                    if let Some(note) = self.note.as_ref().filter(|note| rank < note.hits) {
                        collection.touch_slot(slot, &note.rule, note.now_ms);
                    }
                    if let Some(vectors) = &mut self.vectors {
                        work.spend(NAME_WORK + vector_bytes as u64 / BYTES_PER_WORK);
                        let mut vector = BytesMut::with_capacity(vector_bytes);
                        collection.put_components_of_hit(slot, &mut components, &mut vector);
                        vectors.push(vector.freeze());
                    }
                    keys.put_slice(&collection.schema().name);
                    keys.put_u8(b':');
                    keys.put_slice(name);
                    ends.push((keys.len(), self.distance));
                }
                Some(None) => {}
                None => break Step::Done(()),
            }
            if work.is_spent() {
                break Step::More;
            }
        };
        let keys = keys.freeze();
        let mut start = 0;
        for (end, distance) in ends {
            self.resolved.push((keys.slice(start..end), distance));
            start = end;
        }
        match step {
            Step::Done(()) => Step::Done(Some(std::mem::take(&mut self.resolved))),
            Step::More => Step::More,
        }
    }

    /// Room for the keys of the next hits. Their names are looked at together, so that they come from memory at once.
    fn make_room(&mut self, collection: &Collection) -> (BytesMut, Vec<(usize, f32)>) {
        let hits = self.hits.as_slice();
        let count = hits.len().min(self.k - self.resolved.len()).min(ROOM_AHEAD);
        let names: usize = hits[..count].iter().map(|hit| collection.name(hit.slot).len()).sum();
        self.resolved.reserve(count);
        let bytes = names + count * (collection.schema().name.len() + 1);
        (
            BytesMut::with_capacity(bytes.min(self.bytes_left)),
            Vec::with_capacity(count),
        )
    }

    /// Comes a step nearer to the next hit in order, and returns it if it is reached. `None` if there are no more.
    fn next_hit(&mut self, collection: &Collection, work: &mut Work) -> Option<Option<Slot>> {
        let compare = |a: Slot, b: Slot| {
            let (a, b) = (collection.name(a), collection.name(b));
            work.spend(COMPARISON_WORK + a.len().min(b.len()) as u64 / BYTES_PER_WORK);
            a.cmp(b)
        };
        let next = self.hits.as_slice().first().copied();
        match (self.stage, next) {
            (ResolveStage::Ordering, Some(hit)) if hit.distance == self.distance => {
                self.hits.next();
                self.ties.push(hit.slot, compare);
                Some(None)
            }
            (ResolveStage::Ordering, _) => {
                self.stage = ResolveStage::Resolving;
                Some(None)
            }
            (ResolveStage::Resolving, next) => {
                let first = self.ties.pop(compare);
                if first.is_none() {
                    // Adding zero makes a zero of either sign the one that is printed `0`.
                    self.distance = next?.distance + 0.0;
                    self.stage = ResolveStage::Ordering;
                }
                Some(first)
            }
        }
    }
}

impl Collection {
    /// Appends the components of a hit as little-endian 32-bit floats. Its slot keeps them for as long as the search is under way
    /// that has found it.
    fn put_components_of_hit(&self, slot: Slot, buffer: &mut Vec<f32>, bytes: &mut BytesMut) {
        let index = self.index();
        index.copy_vector(index.find(slot).unwrap_or(slot), buffer);
        buffer.iter().for_each(|component| bytes.put_f32_le(*component));
    }
}

/// A hit beside its key: a range of bytes and a distance.
const HIT_BYTES: usize = size_of::<(Bytes, f32)>();

/// Hits that room is made for at the beginning of a slice: as many as most queries ask for.
const ROOM_AHEAD: usize = 64;

/// Naming a hit takes some 150 ns where its name comes from memory.
const NAME_WORK: u64 = 512;

/// A comparison of two names that come from memory.
const COMPARISON_WORK: u64 = 64;

/// Bytes of two names that are compared in the time of a unit of work.
const BYTES_PER_WORK: u64 = 4;
