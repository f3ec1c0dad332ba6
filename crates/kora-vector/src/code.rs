//! Eight bits a component, or four: what the graph of a wide index is built and walked on.
//!
//! A code of eight is a vector divided by its own largest component and rounded to −127…127, so the range follows the data,
//! vector by vector. It answers which of two vectors is nearer, nearly always, at a quarter of the memory traffic; the
//! few best are then measured on the rows themselves. 384 dimensions, 100,000 vectors: × 2.3 queries and × 2.5 inserts
//! at equal recall (Zen 3, prototype).
//!
//! A code of four ([`four`](crate::four)) is half the traffic again. Queries are measured against it with eight bits. When it is
//! good enough is decided in [`width`](crate::width).

use crate::arena::{Reading, Rows};
use crate::distance::{CODE_LANES, LINE_WORDS, prefetch_line};
use crate::int4::{INT4_MAX, encode_int4, spread_int4};
use crate::metric::Metric;

/// One code per slot.
pub(crate) struct Codes {
    metric: Metric,
    /// A row: the code, and where it leaves room in its last cache line, from the next whole word on, its tail: scale, square
    /// and largest component. 52 dimensions fit a cache line with it.
    rows: Rows,
    /// The tails, where each would begin another cache line: four of them share one here.
    tails: Option<Rows>,
    dimension: usize,
    width: CodeWidth,
}

/// The bits of a code for each component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CodeWidth {
    #[default]
    Eight,
    /// A byte holds a component in its low half, and in its high half the one that is half the dimension behind.
    Four,
}

/// A code that others are measured against.
#[derive(Clone, Copy)]
pub(crate) struct CodeProbe<'a> {
    /// Against codes of eight bits: `padded_code(dimension)` bytes; what stands behind the dimension does not count, and may be
    /// anything. Against codes of four: a byte for each low half of a row, then one for each high half, 0 where no component
    /// stands.
    pub(crate) code: &'a [i8],
    pub(crate) dimension: usize,
    /// Of the rows that it is measured against.
    pub(crate) width: CodeWidth,
    /// The code of the tail's largest component.
    pub(crate) code_max: f32,
    pub(crate) tail: Tail,
}

impl CodeProbe<'_> {
    /// The probe of an index whose walk reads no codes.
    pub(crate) const EMPTY: CodeProbe<'static> = CodeProbe {
        code: &[],
        dimension: 0,
        width: CodeWidth::Eight,
        code_max: CODE_MAX,
        tail: Tail {
            scale: 0.0,
            square: 0.0,
            largest: 0.0,
        },
    };
}

/// What turns sums over a code back into sums over the vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tail {
    /// A component is its code times this. Under cosine it makes the decoded vector one of length 1.
    pub(crate) scale: f32,
    /// The squared length of the decoded vector, so that distances between codes are true distances between points:
    /// never below 0, and 0 between equal codes.
    pub(crate) square: f32,
    /// The largest component of the vector as it was given, without its sign, or with four bits the largest that the code can
    /// say: decoding multiplies by it, and the first two cannot say it under cosine, nor where it is near the ends of f32.
    pub(crate) largest: f32,
}

impl Codes {
    pub(crate) fn new(metric: Metric, dimension: usize, width: CodeWidth) -> Codes {
        Codes {
            metric,
            rows: Rows::new(code_row_words(dimension, width), Reading::AtRandom),
            tails: (!has_tail(dimension, width)).then(|| Rows::new(TAIL_ROW_WORDS, Reading::AtRandom)),
            dimension,
            width,
        }
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(crate) fn width(&self) -> CodeWidth {
        self.width
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.allocated_bytes() + self.tails.as_ref().map_or(0, Rows::allocated_bytes)
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.rows.chunk_count() + self.tails.as_ref().map_or(0, Rows::chunk_count)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// In which rows the tails stand, and from which word on.
    #[inline(always)]
    pub(crate) fn tails(&self) -> (&Rows, usize) {
        match &self.tails {
            Some(tails) => (tails, 0),
            None => (&self.rows, tail_word(self.dimension, self.width)),
        }
    }

    /// Each table, to be read.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Rows> {
        std::iter::once(&self.rows).chain(&self.tails)
    }

    /// Each table.
    pub(crate) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Rows> {
        std::iter::once(&mut self.rows).chain(&mut self.tails)
    }

    pub(crate) fn put(&mut self, row: u32, vector: &[f32]) {
        self.tables_mut().for_each(|table| table.reach(row));
        let code = self.rows.bytes_mut(row);
        let tail = match self.width {
            CodeWidth::Eight => encode(vector, self.metric, &mut code[..self.dimension]),
            CodeWidth::Four => encode_int4(vector, self.metric, code),
        };
        self.put_tail(row, tail);
    }

    /// What stands in a row before its tail, without padding, and the tail.
    pub(crate) fn stored(&self, slot: u32) -> (&[i8], Tail) {
        (&self.rows.bytes(slot)[..self.stored_bytes()], self.tail(slot))
    }

    /// How many bytes that are.
    pub(crate) fn stored_bytes(&self) -> usize {
        match self.width {
            CodeWidth::Eight => self.dimension,
            CodeWidth::Four => self.dimension.div_ceil(2),
        }
    }

    /// Writes a code as it was stored.
    pub(crate) fn restore(&mut self, row: u32, code: &[i8], tail: Tail) {
        self.tables_mut().for_each(|table| table.reach(row));
        self.rows.bytes_mut(row)[..code.len()].copy_from_slice(code);
        self.put_tail(row, tail);
    }

    fn put_tail(&mut self, row: u32, tail: Tail) {
        let words = match &mut self.tails {
            Some(tails) => tails.floats_mut(row),
            None => &mut self.rows.floats_mut(row)[tail_word(self.dimension, self.width)..],
        };
        words[..TAIL_WORDS].copy_from_slice(&[tail.scale, tail.square, tail.largest]);
    }

    /// A row's code without padding, and the largest component. Of eight bits.
    pub(crate) fn code(&self, slot: u32) -> (&[i8], f32) {
        debug_assert_eq!(self.width, CodeWidth::Eight);
        (&self.rows.bytes(slot)[..self.dimension], self.tail(slot).largest)
    }

    /// A row that others are measured against, spread in the buffer if it has to be.
    #[inline]
    pub(crate) fn probe<'a>(&'a self, slot: u32, spread: &'a mut Vec<i8>) -> CodeProbe<'a> {
        let row = self.rows.bytes(slot);
        let code = match self.width {
            CodeWidth::Eight => &row[..padded_code(self.dimension)],
            CodeWidth::Four => {
                spread.resize(2 * row.len(), 0);
                spread_int4(row, self.dimension, spread);
                spread
            }
        };
        CodeProbe {
            code,
            dimension: self.dimension,
            width: self.width,
            code_max: match self.width {
                CodeWidth::Eight => CODE_MAX,
                CodeWidth::Four => INT4_MAX,
            },
            tail: self.tail(slot),
        }
    }

    fn tail(&self, slot: u32) -> Tail {
        let (table, at) = self.tails();
        let words = &table.floats(slot)[at..];
        Tail {
            scale: words[0],
            square: words[1],
            largest: words[2],
        }
    }

    /// Writes a query's code, as a probe has it.
    pub(crate) fn frame(&self, vector: &[f32], code: &mut Vec<i8>) -> Tail {
        code.clear();
        match self.width {
            CodeWidth::Eight => {
                code.resize(padded_code(self.dimension), 0);
                encode(vector, self.metric, &mut code[..self.dimension])
            }
            CodeWidth::Four => {
                let (half, low) = (self.dimension.div_ceil(2), self.rows.row_words() * 4);
                code.resize(2 * low, 0);
                let tail = encode(vector, self.metric, &mut code[..self.dimension]);
                code.copy_within(half..self.dimension, low);
                code[half..low.min(self.dimension)].fill(0);
                code[low + self.dimension - half..].fill(0);
                tail
            }
        }
    }

    /// The walk distance in f64, for where f32 does not hold it.
    pub(crate) fn measure_wide(&self, probe: CodeProbe<'_>, slot: u32) -> f64 {
        let mut spread = Vec::new();
        let other = self.probe(slot, &mut spread);
        let counted = match self.width {
            CodeWidth::Eight => self.dimension,
            CodeWidth::Four => probe.code.len(),
        };
        let sum = |left: CodeProbe<'_>, right: CodeProbe<'_>| -> f64 {
            let pairs = left.code[..counted].iter().zip(right.code);
            pairs
                .map(|(&l, &r)| i64::from(i32::from(l) * i32::from(r)))
                .sum::<i64>() as f64
        };
        let step = |probe: CodeProbe<'_>| f64::from(probe.tail.largest) / f64::from(probe.code_max);
        let (left, right) = (step(probe), step(other));
        match self.metric {
            Metric::L2 => {
                let squares = left * left * sum(probe, probe) + right * right * sum(other, other);
                squares - 2.0 * (left * right * sum(probe, other))
            }
            Metric::InnerProduct => -(left * right * sum(probe, other)),
            Metric::Cosine => match (sum(probe, probe) * sum(other, other)).sqrt() {
                // A zero vector, which only vector sets keep, is at a right angle to everything.
                0.0 => 0.0,
                product => -sum(probe, other) / product,
            },
        }
    }

    /// Where a row begins, for the caches' sake, and its words.
    pub(crate) fn row(&self, slot: u32) -> (*const f32, usize) {
        (self.rows.address(slot), self.rows.row_words())
    }

    /// Asks the caches for a row's tail, if it does not stand behind the row.
    pub(crate) fn prefetch_tail(&self, slot: u32) {
        if let Some(tails) = &self.tails {
            prefetch_line(tails.address(slot).cast());
        }
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.tables_mut().find_map(Rows::release_chunk)
    }
}

/// The word of a row at which the tail stands.
pub(crate) fn tail_word(dimension: usize, width: CodeWidth) -> usize {
    match width {
        CodeWidth::Eight => dimension.div_ceil(4),
        CodeWidth::Four => dimension.div_ceil(8),
    }
}

/// The words that the code of a vector takes, with its tail.
pub(crate) fn code_words(dimension: usize, width: CodeWidth) -> usize {
    let of_tail = if has_tail(dimension, width) { 0 } else { TAIL_ROW_WORDS };
    code_row_words(dimension, width) + of_tail
}

/// The words of a row: whole cache lines, as the kernels read them.
pub(crate) fn code_row_words(dimension: usize, width: CodeWidth) -> usize {
    tail_word(dimension, width).next_multiple_of(LINE_WORDS)
}

/// Whether the tail stands in the row: it takes no cache line of its own there. With eight bits at 384, 768 and 1,536 dimensions
/// it would, a seventh, a thirteenth and a twenty-fifth of what a walk reads.
pub(crate) fn has_tail(dimension: usize, width: CodeWidth) -> bool {
    tail_word(dimension, width) + TAIL_WORDS <= code_row_words(dimension, width)
}

/// The bytes of a code that the kernels read.
pub(crate) fn padded_code(dimension: usize) -> usize {
    dimension.next_multiple_of(CODE_LANES)
}

/// Writes the code of a vector, equally long.
fn encode(vector: &[f32], metric: Metric, code: &mut [i8]) -> Tail {
    let largest = largest_of(vector);
    if (SAFE_MIN..SAFE_MAX).contains(&largest) {
        let factor = CODE_MAX / largest;
        for (place, component) in code.iter_mut().zip(vector) {
            // Added to 1.5 · 2²³, a number leaves its nearest integer in the low bits: rounding and conversion in one.
            *place = (component * factor + ROUNDING).to_bits() as i8;
        }
    } else if largest > 0.0 {
        let factor = f64::from(CODE_MAX) / f64::from(largest);
        for (place, &component) in code.iter_mut().zip(vector) {
            *place = (f64::from(component) * factor).round() as i8;
        }
    } else {
        code.fill(0);
    }
    tail_of(code, largest, metric)
}

/// The tail of a code of eight bits.
pub(crate) fn tail_of(code: &[i8], largest: f32, metric: Metric) -> Tail {
    let square: i64 = code
        .iter()
        .map(|&part| i64::from(i32::from(part) * i32::from(part)))
        .sum();
    if metric == Metric::Cosine {
        return Tail {
            scale: 1.0 / (square as f64).sqrt() as f32,
            square: 1.0,
            largest,
        };
    }
    let scale = largest / CODE_MAX;
    Tail {
        scale,
        square: scale * scale * square as f32,
        largest,
    }
}

/// The largest component, without its sign.
pub(crate) fn largest_of(vector: &[f32]) -> f32 {
    vector
        .iter()
        .fold(0.0f32, |largest, component| largest.max(component.abs()))
}

/// The words behind a code.
const TAIL_WORDS: usize = 3;

/// Those of a tail that stands elsewhere: a power of two, so that none lies in two cache lines.
const TAIL_ROW_WORDS: usize = 4;

/// The largest code. Not 128: the kernel takes absolute values in a byte.
pub(crate) const CODE_MAX: f32 = 127.0;

/// What a step of a code is of the largest component.
pub(crate) const CODE_UNIT: f32 = 1.0 / CODE_MAX;

const _: () = assert!(
    CODE_MAX * CODE_UNIT == 1.0,
    "the largest component comes back, and no further"
);

/// 1.5 · 2²³.
pub(crate) const ROUNDING: f32 = 12_582_912.0;

/// Largest components for which the factor is a normal f32.
pub(crate) const SAFE_MIN: f32 = 1e-30;
pub(crate) const SAFE_MAX: f32 = 1e30;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::distance::{Batch, GROUP, Kernel};

    proptest! {
        #[test]
        fn a_component_is_off_by_half_a_step_at_most(
            vector in prop::collection::vec(prop_oneof![-1.0f32..1.0, -1e-3f32..1e-3], 1..300),
            exponent in -40i32..38,
        ) {
            let vector: Vec<f32> = vector.iter().map(|x| (f64::from(*x) * 10f64.powi(exponent)) as f32).collect();
            let mut code = vec![0; vector.len()];
            let tail = encode(&vector, Metric::L2, &mut code);
            let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let step = f64::from(largest) / 127.0;
            for (&part, &component) in code.iter().zip(&vector) {
                let decoded = f64::from(part) * step;
                prop_assert!((decoded - f64::from(component)).abs() <= step * 0.50001, "{component} from {part}");
            }
            prop_assert!(tail.scale.is_finite());
        }
    }

    #[test]
    fn equal_codes_are_at_distance_zero_and_a_cosine_code_has_length_one() {
        let kernel = Kernel::detect();
        let mut out = [0.0; GROUP];
        // Codes with their tails in the row, and beside it.
        let cases = [Metric::L2, Metric::Cosine].map(|metric| {
            let of_width = |width| [100, 101, 128].map(|dimension| (metric, dimension, width));
            [of_width(CodeWidth::Eight), of_width(CodeWidth::Four)]
        });
        for (metric, dimension, width) in cases.into_iter().flatten().flatten() {
            let vector: Vec<f32> = (0..dimension).map(|i| (i as f32 * 0.37).sin()).collect();
            let mut codes = Codes::new(metric, dimension, width);
            let mut spread = Vec::new();
            codes.put(0, &vector);
            let batch = Batch {
                rows: codes.rows(),
                tails: codes.tails(),
                slots: &[0],
                out: &mut out,
                floor: -1.0,
            };
            if metric == Metric::L2 {
                kernel.code_squares(codes.probe(0, &mut spread), batch);
                assert_eq!(out[0], 0.0);
            } else {
                kernel.code_dots(codes.probe(0, &mut spread), batch);
                assert!((out[0] + 1.0).abs() < 1e-6);
            }
        }
    }
}
