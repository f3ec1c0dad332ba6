//! The vectors of an index and the distances between them.
//!
//! There are two kinds of distance. The *walk distance* orders candidates: an f32 sum over what the walk reads,
//! monotone in the distance there (under l2 it is the square, under cosine the negated similarity). The *refined
//! distance* is what a hit carries: computed in f64 from the best that is kept of a vector ([`Storage`]), rounded to
//! f32 once, and exactly 0 between identical vectors.
//!
//! Where there are codes of a byte or half a byte per component (see `code`) the walk reads them, and only the refined
//! distance reads the rest.
//!
//! A walk distance that f32 cannot hold (huge or tiny components are legal) is computed again in f64 and folded into
//! the ends of the f32 range, where it still sorts. That costs one well-predicted comparison per distance.

mod persist;

use crate::arena::Rows;
use crate::code::{CodeProbe, CodeWidth, Codes};
use crate::code_width;
use crate::distance::{Batch, GROUP, Kernel, padded, prefetch, unpadded_dot, unpadded_square};
use crate::fold::{SAFE_MIN, cosine, fold, is_tiny, is_trusted, scale};
use crate::hnsw::capacity::{growth_of, row_bytes_of};
use crate::metric::Metric;
use crate::probe::{Probe, Query, Unpacked};
use crate::storage::Storage;
use crate::tables::{Fine, Tables};

/// The stored vectors, and how they are compared.
pub(crate) struct Space {
    metric: Metric,
    storage: Storage,
    /// Whether some vector is so short that sums over it may vanish in f32: then a sum near zero is not believed.
    tiny: bool,
    dimension: u32,
    kernel: &'static Kernel,
    /// The first few vectors that are kept whole, one after the other with nothing between them, as long as there are no
    /// more: a tiny collection costs its vectors. Invariant: empty once there are tables.
    small: Vec<f32>,
    /// None before the first vector that is not early.
    tables: Option<Box<Tables>>,
}

impl Space {
    pub(crate) fn new(metric: Metric, dimension: usize, storage: Storage) -> Space {
        Space {
            metric,
            storage,
            tiny: false,
            dimension: u32::try_from(dimension).expect("DIMENSION_MAX is far below"),
            kernel: Kernel::detect(),
            small: Vec::new(),
            tables: None,
        }
    }

    /// The same, walked on rows. It is empty.
    #[cfg(feature = "bench")]
    pub(crate) fn without_codes(mut self) -> Space {
        self.make_tables(CodeWidth::Eight).codes = None;
        self
    }

    /// Walks read codes of four bits, whatever the vectors will be. It is empty.
    #[cfg(test)]
    pub(crate) fn code_with_four_bits(&mut self) {
        self.make_tables(CodeWidth::Four);
    }

    /// The same, measured with another of the kernels that this processor can run.
    #[cfg(feature = "bench")]
    pub(crate) fn choose_kernel(&mut self, name: &str) {
        let chosen = Kernel::runnable().find(|kernel| kernel.name == name);
        self.kernel = chosen.unwrap_or_else(|| panic!("no kernel {name} here"));
    }

    /// What a walk distance costs, in components of an f32 read.
    pub(crate) fn walk_price(&self) -> usize {
        let tables = self.tables();
        match &tables.fine {
            _ if tables.codes.is_some() => self.dimension() / 4,
            Fine::Halves(_) => self.dimension() / 2,
            _ => self.dimension(),
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn storage(&self) -> Storage {
        self.storage
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension as usize
    }

    pub(crate) fn len(&self) -> usize {
        match &self.tables {
            Some(tables) => tables.len(),
            None => self.small.len() / self.dimension(),
        }
    }

    /// The dimension, padded for the kernels.
    fn length(&self) -> usize {
        padded(self.dimension())
    }

    /// Which instruction set the distances are computed with.
    pub(crate) fn kernel_name(&self) -> &'static str {
        self.kernel.name
    }

    pub(crate) fn bytes(&self) -> usize {
        self.small.capacity() * size_of::<f32>() + self.tables.as_ref().map_or(0, |tables| tables.bytes())
    }

    /// Bytes of a slot.
    pub(crate) fn slot_bytes(&self) -> usize {
        match &self.tables {
            Some(tables) => row_bytes_of(tables.each()),
            None => self.dimension() * size_of::<f32>(),
        }
    }

    /// Bytes that it grows by for one more slot.
    pub(crate) fn growth_bytes(&self) -> usize {
        match &self.tables {
            Some(tables) => growth_of(tables.each()),
            None => self.slot_bytes(),
        }
    }

    /// The same without any vector: what comes lies in the same form.
    pub(crate) fn empty_like(&self) -> Space {
        let mut space = Space::new(self.metric, self.dimension(), self.storage);
        (space.tiny, space.kernel) = (self.tiny, self.kernel);
        // Fewer than are early at most may have settled already; they stay so.
        if let Some(tables) = &self.tables {
            space.make_tables(tables.codes.as_ref().map_or(CodeWidth::Eight, Codes::width));
        }
        space
    }

    /// Stores in the next slot what another space of the same form has in one, bit for bit.
    pub(crate) fn put_copy(&mut self, slot: u32, other: &Space, from: u32) {
        let Some(tables) = &mut self.tables else {
            let start = from as usize * self.dimension();
            self.put_small(slot, &other.small[start..start + other.dimension()]);
            return;
        };
        for (rows, theirs) in tables.rows().zip(other.tables().each()) {
            rows.reach(slot);
            rows.floats_mut(slot).copy_from_slice(theirs.floats(from));
        }
    }

    /// Stores a vector in a slot that no thread reads, or in the next one: all that is kept of it is in place when this
    /// returns, before any link can name it.
    pub(crate) fn put(&mut self, slot: u32, vector: &[f32]) {
        if self.is_small(slot) {
            self.put_small(slot, vector);
        } else {
            self.settle();
            self.put_row(slot, vector);
        }
    }

    /// Stores what one slot holds in another one too. Not for early vectors.
    pub(crate) fn copy(&mut self, from: u32, to: u32) {
        self.rows().for_each(|rows| rows.copy(from, to));
    }

    /// Forgets the slots from `len` on. Not for early vectors.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.rows().for_each(|rows| rows.truncate(len));
    }

    /// Frees a chunk that no slot needs; the bytes freed, or none if there is none.
    pub(crate) fn release_spare(&mut self) -> Option<usize> {
        self.rows().find_map(Rows::release_spare)
    }

    /// Moves the early vectors into rows, as a graph needs them.
    pub(crate) fn settle(&mut self) {
        if self.tables.is_none() {
            let small = std::mem::take(&mut self.small);
            let width = code_width::choose(self.kernel, self.metric, self.dimension(), &small);
            self.make_tables(width);
            for (slot, vector) in small.chunks_exact(self.dimension()).enumerate() {
                self.put_row(slot as u32, vector);
            }
        }
    }

    /// Writes the vector that is kept in a slot: as it was given, as nearly as the storage has it.
    pub(crate) fn copy_vector(&self, slot: u32, vector: &mut Vec<f32>) {
        match self.whole(slot) {
            Some(whole) => {
                vector.clear();
                vector.reserve_exact(self.dimension());
                vector.extend_from_slice(&whole[..self.dimension()]);
            }
            None => self.decode(slot, self.dimension(), vector),
        }
    }

    /// Writes a query into the form the walk needs.
    pub(crate) fn frame(&mut self, vector: &[f32], query: &mut Query) {
        query.raw.clear();
        query.raw.extend_from_slice(vector);
        self.tiny |= is_tiny(self.complete(query));
    }

    /// The same for one search, which changes nothing here. False if that cannot be: the query is so short that sums with it
    /// may vanish, and so far none was.
    #[must_use]
    pub(crate) fn frame_in_place(&self, vector: &[f32], query: &mut Query) -> bool {
        query.raw.clear();
        query.raw.extend_from_slice(vector);
        let is_tiny = is_tiny(self.complete(query));
        self.tiny || !is_tiny
    }

    /// The same with a stored vector.
    pub(crate) fn frame_stored(&self, slot: u32, query: &mut Query) {
        self.copy_vector(slot, &mut query.raw);
        self.complete(query);
    }

    /// A stored vector as the one that others are measured against, unpacked into the buffer if the walk needs it so.
    #[inline]
    pub(crate) fn probe<'a>(&'a self, slot: u32, buffer: &'a mut Unpacked) -> Probe<'a> {
        let code = CodeProbe::EMPTY;
        let tables = self.tables();
        match &tables.fine {
            _ if tables.codes.is_some() => Probe {
                floats: &[],
                scale: 0.0,
                code: tables
                    .codes
                    .as_ref()
                    .map_or(code, |codes| codes.probe(slot, &mut buffer.code)),
            },
            Fine::Halves(halves) => {
                self.decode(slot, self.length(), &mut buffer.floats);
                Probe {
                    floats: &buffer.floats,
                    scale: halves.scale(slot) / halves.unit(slot),
                    code,
                }
            }
            Fine::Floats(floats) => Probe {
                floats: floats.vector(slot),
                scale: floats.scale(slot),
                code,
            },
            Fine::Residuals(_) => unreachable!("residuals stand beside codes"),
        }
    }

    /// The walk distance from the probe to each slot, in the order of `slots`. The buffer keeps what it grew to.
    #[inline]
    pub(crate) fn measure<'a>(&self, probe: Probe<'_>, slots: &[u32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        let room = slots.len().next_multiple_of(GROUP);
        if buffer.len() < room {
            buffer.resize(room, 0.0);
        }
        let out = &mut buffer[..room];
        let floor = if self.tiny { SAFE_MIN } else { -1.0 };
        if !self.measure_batch(probe, slots, out, floor) {
            self.measure_again(probe, slots, out, floor);
        }
        &out[..slots.len()]
    }

    /// The same as f32 arithmetic gives it; whether all can be trusted.
    #[inline]
    fn measure_batch(&self, probe: Probe<'_>, slots: &[u32], out: &mut [f32], floor: f32) -> bool {
        let (kernel, factor) = (self.kernel, -probe.scale);
        let is_square = self.metric == Metric::L2;
        let batch = |rows, out| Batch {
            rows,
            tails: (rows, 0),
            slots,
            out,
            floor,
        };
        let tables = self.tables();
        match (&tables.codes, &tables.fine) {
            (Some(codes), _) => {
                let batch = Batch {
                    tails: codes.tails(),
                    ..batch(codes.rows(), out)
                };
                match is_square {
                    true => kernel.code_squares(probe.code, batch),
                    false => kernel.code_dots(probe.code, batch),
                }
            }
            (None, Fine::Floats(floats)) if is_square => kernel.squares(probe.floats, batch(floats.rows(), out)),
            (None, Fine::Floats(floats)) => kernel.dots(probe.floats, factor, batch(floats.rows(), out)),
            (None, Fine::Halves(halves)) if is_square => kernel.half_squares(probe.floats, batch(halves.rows(), out)),
            (None, Fine::Halves(halves)) => kernel.half_dots(probe.floats, factor, batch(halves.rows(), out)),
            (None, Fine::Residuals(_)) => unreachable!("residuals stand beside codes"),
        }
    }

    /// The walk distance to one slot.
    pub(crate) fn measure_one(&self, probe: Probe<'_>, slot: u32, buffer: &mut Vec<f32>) -> f32 {
        self.measure(probe, &[slot], buffer)[0]
    }

    /// Whether two vectors at this walk distance may count as one and the same for the graph: a link to the second adds
    /// nothing to a link to the first.
    pub(crate) fn is_duplicate(&self, distance: f32) -> bool {
        match self.metric {
            // The f32 similarity of a vector with itself is 1 within some roundings.
            Metric::Cosine => distance <= -1.0 + 1e-6,
            Metric::L2 => distance == 0.0,
            // A dot product says nothing about sameness.
            Metric::InnerProduct => false,
        }
    }

    /// How many results of a walk, beyond the k best, are worth refining because the walk may have their order wrong.
    pub(crate) fn doubtful(&self, k: usize) -> usize {
        if self.tables().codes.is_some() {
            k.max(DOUBTFUL_MIN)
        } else {
            0
        }
    }

    /// What a refined distance would be if the walk were right.
    pub(crate) fn refined_of_walk(&self, distance: f32) -> f32 {
        match self.metric {
            Metric::Cosine => 1.0 + distance,
            Metric::L2 => distance.max(0.0).sqrt(),
            Metric::InnerProduct => distance,
        }
    }

    /// How far two walk distances may lie apart although the refined ones are equal.
    pub(crate) fn tolerance(&self, distance: f32) -> f32 {
        let absolute = if self.metric == Metric::Cosine { TOLERANCE } else { 0.0 };
        (distance.abs() * TOLERANCE).max(absolute)
    }

    /// The distance that a hit carries.
    pub(crate) fn refine(&self, query: &mut Query, slot: u32) -> f32 {
        let vector = match self.whole(slot) {
            Some(whole) => whole,
            None => {
                self.decode(slot, self.length(), &mut query.decoded);
                &query.decoded
            }
        };
        // An early vector is not padded.
        let distance = if vector.len() < self.length() {
            let raw = &query.raw[..self.dimension()];
            match self.metric {
                Metric::L2 => unpadded_square(raw, vector).sqrt(),
                Metric::Cosine => cosine(unpadded_dot(raw, vector), query.square),
                Metric::InnerProduct => -unpadded_dot(raw, vector).sum,
            }
        } else {
            self.measure_wide(&query.raw, query.square, vector)
        };
        // Adding 0 turns −0 into 0.
        let distance = distance + 0.0;
        distance.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.small = Vec::new();
        let freed = self.tables.as_mut()?.release_chunk();
        if freed.is_none() {
            self.tables = None;
        }
        freed
    }

    /// Asks the caches for what `refine` will read. Of a few vectors there are no tables, and no need.
    pub(crate) fn prefetch(&self, slot: u32) {
        let Some(tables) = &self.tables else { return };
        match &tables.fine {
            Fine::Floats(floats) => prefetch(floats.rows().address(slot), self.length()),
            Fine::Halves(halves) => prefetch(halves.rows().address(slot), halves.rows().row_words()),
            Fine::Residuals(residuals) => {
                if let Some(codes) = &tables.codes {
                    let (row, words) = codes.row(slot);
                    prefetch(row, words);
                }
                if let Some(residuals) = residuals {
                    prefetch(residuals.address(slot), residuals.row_words());
                }
            }
        }
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.chunk_count())
    }

    /// Whatever walks, measures on tables.
    #[inline(always)]
    pub(crate) fn tables(&self) -> &Tables {
        self.tables.as_ref().expect("a graph's vectors are settled")
    }

    /// Makes the tables, with codes of this width, if there are none yet.
    fn make_tables(&mut self, width: CodeWidth) -> &mut Tables {
        let (metric, dimension, storage) = (self.metric, self.dimension(), self.storage);
        let make = || Box::new(Tables::new(metric, dimension, storage, width));
        self.tables.get_or_insert_with(make)
    }

    fn rows(&mut self) -> impl Iterator<Item = &mut Rows> {
        self.tables.iter_mut().flat_map(|tables| tables.rows())
    }

    /// Whether this slot is one of the early ones, or will be.
    fn is_small(&self, slot: u32) -> bool {
        self.tables.is_none() && self.storage == Storage::F32 && (slot as usize) < EARLY_MAX
    }

    fn put_small(&mut self, slot: u32, vector: &[f32]) {
        let start = slot as usize * self.dimension();
        if start == self.small.len() {
            self.small.reserve_exact(self.dimension());
            self.small.extend_from_slice(vector);
        } else {
            self.small[start..start + vector.len()].copy_from_slice(vector);
        }
        self.tiny |= is_tiny(unpadded_dot(vector, vector).sum);
    }

    /// A vector as it was given, if it is kept so: with its padding, or without while it is early.
    #[inline]
    fn whole(&self, slot: u32) -> Option<&[f32]> {
        let Some(tables) = &self.tables else {
            let start = slot as usize * self.dimension();
            return Some(&self.small[start..start + self.dimension()]);
        };
        match &tables.fine {
            Fine::Floats(floats) => Some(floats.vector(slot)),
            Fine::Halves(_) | Fine::Residuals(_) => None,
        }
    }

    fn put_row(&mut self, slot: u32, vector: &[f32]) {
        let (kernel, metric, length) = (self.kernel, self.metric, self.length());
        let mut square = 0.0;
        let tables = self.make_tables(CodeWidth::Eight);
        match &mut tables.fine {
            Fine::Floats(floats) => floats.put(slot, vector, |row| {
                square = kernel.fine_dot(row, row).sum;
                scale(metric, square)
            }),
            Fine::Halves(halves) => {
                halves.put(slot, vector);
                let mut decoded = vec![0.0; length];
                kernel.decode_halves(halves.halves(slot), halves.unit(slot), &mut decoded);
                square = kernel.fine_dot(&decoded, &decoded).sum;
                halves.set_scale(slot, scale(metric, square) * halves.unit(slot));
            }
            Fine::Residuals(_) => square = unpadded_dot(vector, vector).sum,
        }
        if let Some(codes) = &mut tables.codes {
            codes.put(slot, vector);
            if let Fine::Residuals(Some(residuals)) = &mut tables.fine {
                let (code, largest) = codes.code(slot);
                residuals.put(slot, vector, code, largest);
            }
        }
        self.tiny |= is_tiny(square);
    }

    /// Writes what is kept of a vector, and zeros up to `length`.
    fn decode(&self, slot: u32, length: usize, out: &mut Vec<f32>) {
        let dimension = self.dimension();
        out.resize(length, 0.0);
        out[dimension..].fill(0.0);
        let out_vector = &mut out[..dimension];
        let tables = self.tables();
        match &tables.fine {
            Fine::Floats(floats) => out_vector.copy_from_slice(&floats.vector(slot)[..dimension]),
            Fine::Halves(halves) => {
                let unit = halves.unit(slot);
                self.kernel
                    .decode_halves(&halves.halves(slot)[..dimension], unit, out_vector);
            }
            Fine::Residuals(residuals) => {
                let codes = tables.codes.as_ref().expect("residuals stand beside codes");
                let (code, largest) = codes.code(slot);
                let residual = residuals.as_ref().map(|residuals| residuals.residual(slot));
                self.kernel.decode_codes(code, residual, largest, out_vector);
            }
        }
    }

    /// Pads a query and adds what follows from its components; gives the squared norm.
    fn complete(&self, query: &mut Query) -> f64 {
        query.dimension = self.dimension();
        match self.tables.as_ref().and_then(|tables| tables.codes.as_ref()) {
            Some(codes) => {
                query.width = codes.width();
                query.tail = codes.frame(&query.raw, &mut query.code);
            }
            None => query.code.clear(),
        }
        query.raw.resize(self.length(), 0.0);
        query.square = self.kernel.fine_dot(&query.raw, &query.raw).sum;
        query.scale = scale(self.metric, query.square);
        query.square
    }

    /// The true distance, in f64.
    fn measure_wide(&self, raw: &[f32], square: f64, vector: &[f32]) -> f64 {
        match self.metric {
            Metric::L2 => self.kernel.fine_square(raw, vector).sqrt(),
            Metric::Cosine => cosine(self.kernel.fine_dot(raw, vector), square),
            Metric::InnerProduct => -self.kernel.fine_dot(raw, vector).sum,
        }
    }

    /// Replaces those walk distances that f32 arithmetic could not give.
    #[cold]
    #[inline(never)]
    fn measure_again(&self, probe: Probe<'_>, slots: &[u32], out: &mut [f32], floor: f32) {
        let mut decoded = Vec::new();
        for (distance, &slot) in out.iter_mut().zip(slots) {
            if is_trusted(*distance, floor) {
                continue;
            }
            if let Some(codes) = &self.tables().codes {
                *distance = fold(codes.measure_wide(probe.code, slot));
                continue;
            }
            self.decode(slot, self.length(), &mut decoded);
            *distance = match self.metric {
                Metric::L2 => fold(self.kernel.fine_square(probe.floats, &decoded)),
                Metric::InnerProduct => fold(-self.kernel.fine_dot(probe.floats, &decoded).sum),
                Metric::Cosine => {
                    let square = self.kernel.fine_dot(probe.floats, probe.floats).sum;
                    (cosine(self.kernel.fine_dot(probe.floats, &decoded), square) - 1.0) as f32
                }
            };
        }
    }
}

/// So many vectors are kept without padding before they become rows.
const EARLY_MAX: usize = 32;

/// The relative error of an f32 sum in eight chains or more, with room: measured below 4e-7 at 2,048 dimensions.
const TOLERANCE: f32 = 2e-6;

/// With codes at least this many results beyond k are refined. At k 10 the 20 best of the walk hold the 10 best as
/// surely as the whole beam does (384 dimensions, recall 0.9966, prototype).
const DOUBTFUL_MIN: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn component() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -1.0f32..1.0,
            1 => Just(0.0f32),
            1 => Just(f32::MAX),
            1 => Just(-f32::MAX),
            1 => Just(f32::from_bits(1)),
            1 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
        ]
    }

    proptest! {
        #[test]
        fn every_distance_is_a_number_and_identical_vectors_are_at_zero(
            vectors in prop::collection::vec(prop::collection::vec(component(), 6), 2..6),
        ) {
            for metric in Metric::ALL {
                let mut space = Space::new(metric, 6, Storage::F32);
                let mut query = Query::default();
                let vectors: Vec<&Vec<f32>> =
                    vectors.iter().filter(|vector| crate::metric::vet(vector, metric).is_ok()).collect();
                let slots: Vec<u32> = (0..vectors.len() as u32).collect();
                slots.iter().zip(&vectors).for_each(|(&slot, vector)| space.put(slot, vector));
                space.settle();
                let mut out = Vec::new();
                for (vector, &own) in vectors.iter().zip(&slots) {
                    space.frame(vector, &mut query);
                    let out = space.measure(query.probe(), &slots, &mut out);
                    prop_assert!(out.iter().all(|distance| distance.is_finite()), "{metric}: {out:?}");
                    for &slot in &slots {
                        let distance = space.refine(&mut query, slot);
                        prop_assert!(distance.is_finite());
                        if metric == Metric::Cosine {
                            prop_assert!((0.0..=2.0).contains(&distance));
                        }
                    }
                    if metric != Metric::InnerProduct {
                        prop_assert_eq!(space.refine(&mut query, own), 0.0);
                    }
                    let mut kept = Vec::new();
                    space.copy_vector(own, &mut kept);
                    prop_assert_eq!(&kept, *vector);
                }
            }
        }
    }
}
