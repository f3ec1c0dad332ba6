//! The vectors of an index and the distances between them.
//!
//! There are two kinds of distance. The *walk distance* orders candidates: an f32 sum over the rows, monotone in the
//! true distance (under l2 it is the square, under cosine the negated similarity). The *refined distance* is what a hit
//! carries: computed in f64 from the raw vectors, rounded to f32 once, and exactly 0 between identical vectors.
//!
//! From [`CODED_DIMENSION_MIN`] dimensions on the walk reads codes of a byte per component instead of the rows (see `code`),
//! and only the refined distance reads these.
//!
//! A walk distance that f32 cannot hold (huge or tiny components are legal) is computed again in f64 and folded into the
//! ends of the f32 range, where it still sorts. That costs one well-predicted comparison per distance.

use crate::arena::Rows;
use crate::code::{CodeProbe, Codes, Tail};
use crate::distance::{Kernel, padded, prefetch, unpadded_dot, unpadded_square};
use crate::metric::Metric;

/// The stored vectors, raw as given, and how they are compared.
pub(crate) struct Space {
    metric: Metric,
    dimension: usize,
    /// A row: the components, zeros up to `length`, then the scale: 1/norm under cosine, NaN where that or a product
    /// with it would leave f32; 1 under the other metrics.
    rows: Rows,
    /// The first few vectors, one after the other with nothing between them, as long as there are no more: a tiny
    /// collection costs its vectors. Invariant: empty once `rows` is not.
    early: Vec<f32>,
    /// The dimension, padded for the kernels.
    length: usize,
    kernel: &'static Kernel,
    /// What the walk reads, in place of the rows. Invariant: one code per row.
    codes: Option<Codes>,
    /// Whether some vector is so short that sums over it may vanish in f32: then a sum near zero is not believed.
    tiny: bool,
}

/// The vector that others are measured against: a query, or a stored row.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    /// Padded.
    floats: &'a [f32],
    /// Multiplies a dot product, beside the row's own scale.
    scale: f32,
    /// The same vector as a code, where the walk reads codes; else empty.
    code: CodeProbe<'a>,
}

/// A query in the form the walk needs, in buffers that are reused.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// As given, padded.
    raw: Vec<f32>,
    /// Under cosine 1/norm, NaN where f32 does not hold it; else 1.
    scale: f32,
    /// The squared norm in f64, added up as the fine kernel does.
    square: f64,
    /// The query as a code, where the walk reads codes; else empty.
    code: Vec<i8>,
    dimension: usize,
    tail: Tail,
}

impl Query {
    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe {
            floats: &self.raw,
            scale: self.scale,
            code: CodeProbe {
                code: &self.code,
                dimension: self.dimension,
                tail: self.tail,
            },
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.raw.capacity() * size_of::<f32>() + self.code.capacity()
    }
}

impl Space {
    pub(crate) fn new(metric: Metric, dimension: usize) -> Space {
        let length = padded(dimension);
        let line = if length < LINE_WORDS { length } else { LINE_WORDS };
        let row_words = (length + 1).next_multiple_of(line);
        let codes = (dimension >= CODED_DIMENSION_MIN).then(|| Codes::new(metric, dimension));
        Space {
            metric,
            dimension,
            rows: Rows::new(row_words),
            early: Vec::new(),
            length,
            kernel: Kernel::detect(),
            codes,
            tiny: false,
        }
    }

    /// What a walk distance costs, in components read.
    pub(crate) fn walk_price(&self) -> usize {
        // A component of one byte instead of four.
        if self.codes.is_some() {
            self.dimension / 4
        } else {
            self.dimension
        }
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len().max(self.early.len() / self.dimension)
    }

    /// Which instruction set the distances are computed with.
    pub(crate) fn kernel_name(&self) -> &'static str {
        self.kernel.name
    }

    pub(crate) fn bytes(&self) -> usize {
        let early = self.early.capacity() * size_of::<f32>();
        early + self.rows.allocated_bytes() + self.codes.as_ref().map_or(0, Codes::bytes)
    }

    /// Stores a vector: its row is complete when this returns, before any link can name it.
    pub(crate) fn push(&mut self, vector: &[f32]) -> u32 {
        if self.rows.len() == 0 {
            if self.early.len() < EARLY_MAX * self.dimension {
                self.early.reserve_exact(self.dimension);
                self.early.extend_from_slice(vector);
                self.tiny |= is_tiny(unpadded_dot(vector, vector).sum);
                return self.len() as u32 - 1;
            }
            self.settle();
        }
        self.push_row(vector)
    }

    /// Moves the early vectors into rows, as a graph needs them.
    pub(crate) fn settle(&mut self) {
        let early = std::mem::take(&mut self.early);
        for vector in early.chunks_exact(self.dimension) {
            self.push_row(vector);
        }
    }

    /// The vector, as it was given.
    pub(crate) fn vector(&self, slot: u32) -> &[f32] {
        if self.rows.len() == 0 {
            let start = slot as usize * self.dimension;
            return &self.early[start..start + self.dimension];
        }
        &self.rows.floats(slot)[..self.dimension]
    }

    /// Writes a query into the form the walk needs.
    pub(crate) fn frame(&mut self, vector: &[f32], query: &mut Query) {
        query.dimension = self.dimension;
        query.raw.clear();
        query.raw.extend_from_slice(vector);
        query.raw.resize(self.length, 0.0);
        query.square = self.kernel.fine_dot(&query.raw, &query.raw).sum;
        query.scale = scale(self.metric, query.square);
        self.tiny |= is_tiny(query.square);
        if let Some(codes) = &self.codes {
            query.tail = codes.frame(vector, &mut query.code);
        }
    }

    /// A stored vector as the one that others are measured against.
    pub(crate) fn probe(&self, slot: u32) -> Probe<'_> {
        let row = self.rows.floats(slot);
        let none = CodeProbe {
            code: &[],
            dimension: 0,
            tail: Tail::default(),
        };
        let code = self.codes.as_ref().map_or(none, |codes| codes.probe(slot));
        Probe {
            floats: &row[..self.length],
            scale: row[self.length],
            code,
        }
    }

    /// The walk distance from the probe to each slot, in the order of `slots`.
    #[inline]
    pub(crate) fn measure(&self, probe: Probe<'_>, slots: &[u32], out: &mut Vec<f32>) {
        out.resize(slots.len(), 0.0);
        match (&self.codes, self.metric) {
            (Some(codes), _) => codes.measure(self.kernel, probe.code, slots, out),
            (None, Metric::L2) => self.kernel.squares(probe.floats, &self.rows, slots, out),
            (None, Metric::Cosine | Metric::InnerProduct) => {
                self.kernel.dots(probe.floats, &self.rows, slots, out);
                let scale = -probe.scale;
                out.iter_mut().for_each(|distance| *distance *= scale);
            }
        }
        let floor = if self.tiny { SAFE_MIN } else { -1.0 };
        // Written so that NaN is unsafe too. All are looked at together first, without a branch for each.
        let is_safe = |distance: &f32| (distance.abs() > floor) & (distance.abs() < SAFE_MAX);
        if !out.iter().fold(true, |safe, distance| safe & is_safe(distance)) {
            self.measure_again(probe, slots, out, is_safe);
        }
    }

    /// The walk distance to one slot.
    pub(crate) fn measure_one(&self, probe: Probe<'_>, slot: u32, out: &mut Vec<f32>) -> f32 {
        self.measure(probe, &[slot], out);
        out[0]
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
        if self.codes.is_some() { k.max(DOUBTFUL_MIN) } else { 0 }
    }

    /// How far two walk distances may lie apart although the refined ones are equal.
    pub(crate) fn tolerance(&self, distance: f32) -> f32 {
        let absolute = if self.metric == Metric::Cosine { TOLERANCE } else { 0.0 };
        (distance.abs() * TOLERANCE).max(absolute)
    }

    /// The distance that a hit carries.
    pub(crate) fn refine(&self, query: &Query, slot: u32) -> f32 {
        let distance = if self.rows.len() == 0 {
            let (query_raw, vector) = (&query.raw[..self.dimension], self.vector(slot));
            match self.metric {
                Metric::L2 => unpadded_square(query_raw, vector).sqrt(),
                Metric::Cosine => cosine(unpadded_dot(query_raw, vector), query.square),
                Metric::InnerProduct => -unpadded_dot(query_raw, vector).sum,
            }
        } else {
            let row = &self.rows.floats(slot)[..self.length];
            match self.metric {
                Metric::L2 => self.kernel.fine_square(&query.raw, row).sqrt(),
                Metric::Cosine => cosine(self.kernel.fine_dot(&query.raw, row), query.square),
                Metric::InnerProduct => -self.kernel.fine_dot(&query.raw, row).sum,
            }
        };
        // Adding 0 turns −0 into 0.
        let distance = distance + 0.0;
        distance.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.early = Vec::new();
        self.rows
            .release_chunk()
            .or_else(|| self.codes.as_mut()?.release_chunk())
    }

    /// Asks the caches for the row that `refine` will read.
    pub(crate) fn prefetch(&self, slot: u32) {
        prefetch(self.rows.address(slot), self.length + 1);
    }

    fn push_row(&mut self, vector: &[f32]) -> u32 {
        let slot = self.rows.push();
        let row = self.rows.floats_mut(slot);
        row[..vector.len()].copy_from_slice(vector);
        let square = self.kernel.fine_dot(&row[..self.length], &row[..self.length]).sum;
        row[self.length] = scale(self.metric, square);
        self.tiny |= is_tiny(square);
        if let Some(codes) = &mut self.codes {
            codes.push(vector);
        }
        slot
    }

    /// Replaces those walk distances that f32 arithmetic could not give.
    #[cold]
    #[inline(never)]
    fn measure_again(&self, probe: Probe<'_>, slots: &[u32], out: &mut [f32], is_safe: impl Fn(&f32) -> bool) {
        for (distance, &slot) in out.iter_mut().zip(slots) {
            if !is_safe(distance) {
                *distance = self.measure_folded(probe, slot);
            }
        }
    }

    fn measure_folded(&self, probe: Probe<'_>, slot: u32) -> f32 {
        let row = &self.rows.floats(slot)[..self.length];
        match self.metric {
            Metric::L2 => fold(self.kernel.fine_square(probe.floats, row)),
            Metric::InnerProduct => fold(-self.kernel.fine_dot(probe.floats, row).sum),
            Metric::Cosine => {
                let square = self.kernel.fine_dot(probe.floats, probe.floats).sum;
                (cosine(self.kernel.fine_dot(probe.floats, row), square) - 1.0) as f32
            }
        }
    }
}

/// 1 − cosine similarity, from the dot product and both squared norms.
fn cosine(pair: crate::distance::Pair, left_square: f64) -> f64 {
    // The root of the product, not the product of the roots: √(x·x) is exactly x, so a vector against itself divides
    // two equal numbers. The squares of f32 norms times each other stay within 1e-180 and 1e+172.
    let distance = 1.0 - pair.sum / (left_square * pair.right_square).sqrt();
    // What is left of parallel vectors after rounding is noise, not distance.
    if distance < COSINE_NOISE {
        0.0
    } else {
        distance.min(2.0)
    }
}

/// 1/norm under cosine, or NaN where a sum with it might leave f32: NaN spreads to every product, and is looked for there.
fn scale(metric: Metric, square: f64) -> f32 {
    if metric != Metric::Cosine {
        return 1.0;
    }
    let norm = square.sqrt();
    if (NORM_SAFE_MIN..NORM_SAFE_MAX).contains(&norm) {
        (1.0 / norm) as f32
    } else {
        f32::NAN
    }
}

/// Whether products with a vector of this squared norm may vanish in f32. The zero vector's do, and rightly.
fn is_tiny(square: f64) -> bool {
    square > 0.0 && square < NORM_SAFE_MIN * NORM_SAFE_MIN
}

/// Maps a number that f32 holds badly to one that it holds, keeping the order: beyond the safe range the logarithm grows
/// where the number would. Exact zero stays zero.
fn fold(value: f64) -> f32 {
    let size = value.abs();
    let folded = if size >= f64::from(SAFE_MAX) {
        f64::from(SAFE_MAX) * (1.0 + (size / f64::from(SAFE_MAX)).log2())
    } else if size <= f64::from(SAFE_MIN) && size > 0.0 {
        f64::from(SAFE_MIN) / (1.0 + (f64::from(SAFE_MIN) / size).log2())
    } else {
        size
    };
    folded.copysign(value) as f32
}

/// Sums of f32 products between these are trusted: far enough from both ends that a partial sum has not left f32 without
/// the whole showing it.
const SAFE_MIN: f32 = 1e-30;
const SAFE_MAX: f32 = 1e30;

/// Norms whose products, and whose products with an inverse norm, stay between the two above.
const NORM_SAFE_MIN: f64 = 1e-12;
const NORM_SAFE_MAX: f64 = 1e15;

/// f64 rounding in a cosine: about √65,536 roundings of 1.1e-16 at the widest vector, and a little more.
const COSINE_NOISE: f64 = 1e-13;

/// The relative error of an f32 sum in eight chains or more, with room: measured below 4e-7 at 2,048 dimensions.
const TOLERANCE: f32 = 2e-6;

/// So many vectors are kept without padding before they become rows.
const EARLY_MAX: usize = 32;

/// From here on the walk reads codes. At 50 dimensions they answer × 1.35 as fast as rows at recall 0.95 and × 1.14 at 0.99
/// (100,000 vectors, `benches/index.py`, Zen 4, November 2026); below 32 a code takes as many cache lines as a row.
const CODED_DIMENSION_MIN: usize = 32;

/// With codes at least this many results beyond k are refined. At k 10 the 20 best of the walk hold the 10 best as
/// surely as the whole pool does (384 dimensions, recall 0.9966, prototype).
const DOUBTFUL_MIN: usize = 10;

/// The f32 of a cache line. Rows are whole lines, so that none straddles one more than it must.
const LINE_WORDS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folding_keeps_the_order_of_all_magnitudes() {
        let mut last = f32::NEG_INFINITY;
        for exponent in (-90..=86).rev() {
            let folded = fold(-(10f64.powi(exponent)));
            assert!(
                folded > last && folded.is_finite(),
                "1e{exponent}: {folded} after {last}"
            );
            last = folded;
        }
        assert!(fold(0.0) > last);
        last = fold(0.0);
        for exponent in -90..=86 {
            let folded = fold(10f64.powi(exponent));
            assert!(
                folded > last && folded.is_finite(),
                "1e{exponent}: {folded} after {last}"
            );
            last = folded;
        }
    }

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
                let mut space = Space::new(metric, 6);
                let mut query = Query::default();
                let vectors: Vec<&Vec<f32>> =
                    vectors.iter().filter(|vector| crate::metric::vet(vector, metric).is_ok()).collect();
                let slots: Vec<u32> = vectors.iter().map(|vector| space.push(vector)).collect();
                space.settle();
                let mut out = Vec::new();
                for (vector, &own) in vectors.iter().zip(&slots) {
                    space.frame(vector, &mut query);
                    space.measure(query.probe(), &slots, &mut out);
                    prop_assert!(out.iter().all(|distance| distance.is_finite()), "{metric}: {out:?}");
                    for &slot in &slots {
                        let distance = space.refine(&query, slot);
                        prop_assert!(distance.is_finite());
                        if metric == Metric::Cosine {
                            prop_assert!((0.0..=2.0).contains(&distance));
                        }
                    }
                    if metric != Metric::InnerProduct {
                        prop_assert_eq!(space.refine(&query, own), 0.0);
                    }
                    prop_assert_eq!(space.vector(own), &vector[..]);
                }
            }
        }
    }
}
