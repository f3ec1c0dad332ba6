//! The sums with AVX2, FMA and F16C: eight f32, four f64 or 32 codes at a time, and four rows together.

use std::arch::x86_64::*;

use crate::arena::Rows;
use crate::code::{CodeProbe, tail_word};
use crate::distance::{CODE_LANES, LANES, Pair, prefetch, scalar};

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dot(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<false, false>(query, rows, slots, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn square(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<true, false>(query, rows, slots, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn code_dot(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_codes::<false>(probe, rows, slots, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn code_square(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_codes::<true>(probe, rows, slots, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn half_dot(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<false, true>(query, rows, slots, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn half_square(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<true, true>(query, rows, slots, out);
}

/// The scalar loop, which the compiler turns into these instructions; so with the next.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn decode_halves(halves: &[u16], unit: f32, out: &mut [f32]) {
    scalar::decode_halves(halves, unit, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn decode_codes(code: &[i8], residual: Option<&[i8]>, largest: f32, out: &mut [f32]) {
    scalar::decode_codes(code, residual, largest, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn fine_dot(left: &[f32], right: &[f32]) -> Pair {
    let mut sums = [_mm256_setzero_pd(); 2];
    let mut squares = [_mm256_setzero_pd(); 2];
    for at in (0..left.len()).step_by(LANES) {
        let (l, r) = (widen(left, at), widen(right, at));
        for half in 0..2 {
            sums[half] = _mm256_fmadd_pd(l[half], r[half], sums[half]);
            squares[half] = _mm256_fmadd_pd(r[half], r[half], squares[half]);
        }
    }
    Pair {
        sum: total_f64(sums),
        right_square: total_f64(squares),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn fine_square(left: &[f32], right: &[f32]) -> Pair {
    let mut sums = [_mm256_setzero_pd(); 2];
    for at in (0..left.len()).step_by(LANES) {
        let (l, r) = (widen(left, at), widen(right, at));
        for half in 0..2 {
            let difference = _mm256_sub_pd(l[half], r[half]);
            sums[half] = _mm256_fmadd_pd(difference, difference, sums[half]);
        }
    }
    Pair {
        sum: total_f64(sums),
        right_square: 0.0,
    }
}

/// The loop over rows of f32 or of halves: four rows at a time, so that a piece of the query is loaded once for all of
/// them, their chains of additions fill each other's waits, and they are added across in one go.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn for_rows<const SQUARE: bool, const HALF: bool>(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    let end = if HALF { query.len() / 2 } else { query.len() };
    for (slots, out) in slots.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let block = Block::new(rows, slots, end + 1);
        for (group, out) in out.chunks_mut(GROUP).enumerate() {
            let four_rows = block.group(group);
            let mut units = [_mm256_setzero_ps(); GROUP];
            if SQUARE && HALF {
                for (unit, row) in units.iter_mut().zip(four_rows) {
                    // SAFETY: behind the halves stand the two words of scale and unit.
                    *unit = _mm256_set1_ps(unsafe { *row.add(end + 1) });
                }
            }
            let mut sums = [_mm256_setzero_ps(); GROUP];
            for at in (0..query.len()).step_by(LANES) {
                // SAFETY: the query is a multiple of LANES long, so a load of LANES at `at` is within it.
                let q = unsafe { _mm256_loadu_ps(query.as_ptr().add(at)) };
                for i in 0..GROUP {
                    // SAFETY: a block has rows only, and a row holds as many components as the query.
                    let r = unsafe { load::<HALF>(four_rows[i], at) };
                    sums[i] = if SQUARE {
                        let difference = if HALF {
                            _mm256_fnmadd_ps(r, units[i], q)
                        } else {
                            _mm256_sub_ps(q, r)
                        };
                        _mm256_fmadd_ps(difference, difference, sums[i])
                    } else {
                        _mm256_fmadd_ps(q, r, sums[i])
                    };
                }
            }
            let totals = totals_f32(sums);
            for ((sum, total), row) in out.iter_mut().zip(totals).zip(four_rows) {
                // SAFETY: the row is longer than the query by its scale at least.
                let scale = unsafe { *row.add(end) };
                *sum = if SQUARE { total } else { total * scale };
            }
        }
    }
}

/// Eight components of a row. They must be within it.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load<const HALF: bool>(row: *const f32, at: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        if HALF {
            _mm256_cvtph_ps(_mm_loadu_si128(row.cast::<u16>().add(at).cast()))
        } else {
            _mm256_loadu_ps(row.add(at))
        }
    }
}

/// The loop over codes. A product of two signed bytes is made of what the instruction takes, an unsigned and a signed
/// one: |row| times the probe with the row's sign. Two products fit 16 bits, since a code stops at 127.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn for_codes<const SQUARE: bool>(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    let words = tail_word(probe.dimension);
    let ones = _mm256_set1_epi16(1);
    let mask = last_mask(probe.dimension);
    for (slots, out) in slots.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let block = Block::new(rows, slots, words + 2);
        for (group, out) in out.chunks_mut(GROUP).enumerate() {
            let four_rows = block.group(group);
            let mut sums = [_mm256_setzero_si256(); GROUP];
            for at in (0..probe.code.len()).step_by(CODE_LANES) {
                // SAFETY: the probe is padded to a multiple of CODE_LANES.
                let mut p = unsafe { _mm256_loadu_si256(probe.code.as_ptr().add(at).cast()) };
                if at + CODE_LANES > probe.dimension {
                    p = _mm256_and_si256(p, mask);
                }
                for (sum, row) in sums.iter_mut().zip(four_rows) {
                    // SAFETY: a block has rows only, and a row has as many bytes as the padded probe.
                    let r = unsafe { _mm256_loadu_si256(row.cast::<i8>().add(at).cast()) };
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(r), _mm256_sign_epi8(p, r));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            }
            let totals = totals_i32(sums);
            for ((distance, total), row) in out.iter_mut().zip(totals).zip(four_rows) {
                // SAFETY: behind the code stand the words of the tail.
                let (scale, square) = unsafe { (*row.add(words), *row.add(words + 1)) };
                let dot = total as f32 * (probe.tail.scale * scale);
                *distance = if SQUARE {
                    (probe.tail.square + square) - 2.0 * dot
                } else {
                    -dot
                };
            }
        }
    }
}

/// Ones for the components in the last register of a code, zeros for what stands behind them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn last_mask(dimension: usize) -> __m256i {
    let count = (dimension - 1) % CODE_LANES + 1;
    let mut mask = [0i8; CODE_LANES];
    mask[..count].fill(-1);
    // SAFETY: the array holds the 32 bytes that are loaded.
    unsafe { _mm256_loadu_si256(mask.as_ptr().cast()) }
}

/// The rows of up to [`BLOCK`] slots. Where a group of four is not full its last row is repeated: measuring it again is
/// cheaper than a loop for the rest.
struct Block {
    addresses: [*const f32; BLOCK],
    count: usize,
    words: usize,
    /// How many rows beyond the group being measured the caches are asked for.
    ahead: usize,
}

impl Block {
    #[inline]
    fn new(rows: &Rows, slots: &[u32], words: usize) -> Block {
        let mut addresses = [std::ptr::null(); BLOCK];
        let ahead = if words <= SHORT_WORDS { BLOCK } else { GROUP };
        let mut last = std::ptr::null();
        for (i, (address, &slot)) in addresses.iter_mut().zip(slots).enumerate() {
            last = rows.address(slot);
            *address = last;
            if i < GROUP + ahead {
                prefetch(last, words);
            }
        }
        let count = slots.len();
        addresses[count..count.next_multiple_of(GROUP)].fill(last);
        Block {
            addresses,
            count,
            words,
            ahead,
        }
    }

    /// Four rows; those to come are asked from the caches.
    #[inline]
    fn group(&self, group: usize) -> [*const f32; GROUP] {
        let begin = group * GROUP;
        if group > 0 {
            let soon = begin + self.ahead;
            for &address in &self.addresses[soon.min(self.count)..(soon + GROUP).min(self.count)] {
                prefetch(address, self.words);
            }
        }
        std::array::from_fn(|i| self.addresses[begin + i])
    }
}

/// Eight components as twice four f64.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen(vector: &[f32], at: usize) -> [__m256d; 2] {
    let eight: &[f32; LANES] = vector[at..at + LANES]
        .try_into()
        .expect("a padded vector has whole lanes");
    // SAFETY: the array holds the eight f32 that two loads of four read.
    unsafe {
        let low = _mm_loadu_ps(eight.as_ptr());
        let high = _mm_loadu_ps(eight.as_ptr().add(4));
        [_mm256_cvtps_pd(low), _mm256_cvtps_pd(high)]
    }
}

/// The sums of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn totals_f32(sums: [__m256; GROUP]) -> [f32; GROUP] {
    let pairs = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
    let four = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
    let mut totals = [0.0; GROUP];
    // SAFETY: the array holds the four f32 that are stored.
    unsafe { _mm_storeu_ps(totals.as_mut_ptr(), four) };
    totals
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn total_f64(sums: [__m256d; 2]) -> f64 {
    let four = _mm256_add_pd(sums[0], sums[1]);
    let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
}

/// The sums of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn totals_i32(sums: [__m256i; GROUP]) -> [i32; GROUP] {
    let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    let four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
    let mut totals = [0; GROUP];
    // SAFETY: the array holds the four i32 that are stored.
    unsafe { _mm_storeu_si128(totals.as_mut_ptr().cast(), four) };
    totals
}

/// Rows measured together: as many as have all their sums in registers beside their loads.
const GROUP: usize = 4;

/// Rows looked up together: the list of a node at the usual M.
const BLOCK: usize = 32;

/// Rows up to two cache lines long are all asked for at once.
const SHORT_WORDS: usize = 32;
