//! The sums with AVX2, FMA and F16C: eight f32, four f64 or 32 codes at a time, and four rows together.

use std::arch::x86_64::*;

use crate::code::{CodeProbe, CodeWidth, tail_word};
use crate::distance::x86::{BLOCK, Block, Tails, Trust, code_distances, four_words, store};
use crate::distance::{Batch, CODE_LANES, GROUP, LANES, Pair, scalar};
use crate::int4::INT4_ZERO;

pub(super) fn is_runnable() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn dot(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<false, false>(query, factor, batch)
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn square(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<true, false>(query, factor, batch)
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn code_dot(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    match probe.width {
        CodeWidth::Eight => for_codes::<false, false>(probe, batch),
        CodeWidth::Four => for_codes::<false, true>(probe, batch),
    }
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn code_square(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    match probe.width {
        CodeWidth::Eight => for_codes::<true, false>(probe, batch),
        CodeWidth::Four => for_codes::<true, true>(probe, batch),
    }
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn half_dot(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<false, true>(query, factor, batch)
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn half_square(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<true, true>(query, factor, batch)
}

/// The scalar loop, which the compiler turns into these instructions; so with the next.
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn decode_halves(halves: &[u16], unit: f32, out: &mut [f32]) {
    scalar::decode_halves(halves, unit, out);
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn decode_codes(code: &[i8], residual: Option<&[i8]>, largest: f32, out: &mut [f32]) {
    scalar::decode_codes(code, residual, largest, out);
}

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
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

#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
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
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn for_rows<const SQUARE: bool, const HALF: bool>(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    let end = if HALF { query.len() / 2 } else { query.len() };
    let mut trust = Trust::new(batch.floor);
    for (slots, out) in batch.slots.chunks(BLOCK).zip(batch.out.chunks_mut(BLOCK)) {
        let block = Block::new(batch.rows, slots, end + 1 + usize::from(HALF));
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let four_rows = block.group(group);
            let mut units = [_mm256_setzero_ps(); GROUP];
            if SQUARE && HALF {
                for (unit, row) in units.iter_mut().zip(four_rows) {
                    // SAFETY: behind the halves stand the two words of scale and unit.
                    *unit = _mm256_set1_ps(unsafe { *row.add(end + 1) });
                }
            }
            let mut sums = [_mm256_setzero_ps(); GROUP];
            let mut at = 0;
            while at < query.len() {
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
                at += LANES;
            }
            let mut totals = totals_f32(sums);
            if !SQUARE {
                // SAFETY: a row is longer than the query by its scale at least.
                let scales = unsafe { four_words(four_rows, end) };
                totals = _mm_mul_ps(_mm_mul_ps(totals, scales), _mm_set1_ps(factor));
            }
            trust.note(totals);
            store(totals, out);
        }
    }
    trust.is_whole()
}

/// Eight components of a row. They must be within it.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
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
/// one: |probe| times the row with the probe's sign. Two products fit 16 bits, since a code stops at 127. Codes of
/// four bits are unsigned as they stand in the row, by [`INT4_ZERO`] too large: what that adds to a sum is taken off in the end.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn for_codes<const SQUARE: bool, const FOUR: bool>(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    let words = tail_word(probe.dimension, probe.width);
    let last = load_code(probe, probe.code.len() - CODE_LANES);
    let last = _mm256_and_si256(last, last_mask(probe.dimension));
    let excess = match FOUR {
        true => INT4_ZERO as i32 * probe.code.iter().map(|&code| i32::from(code)).sum::<i32>(),
        false => 0,
    };
    let excess = _mm_set1_epi32(excess);
    let mut trust = Trust::new(batch.floor);
    for (slots, out) in batch.slots.chunks(BLOCK).zip(batch.out.chunks_mut(BLOCK)) {
        let block = Block::new(batch.rows, slots, words);
        let tails = Tails::new(batch.rows, batch.tails, slots);
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let four_rows = block.group(group);
            // SAFETY: a block has rows only, and a row of codes is a whole number of CODE_LANES.
            let sums = unsafe {
                match FOUR {
                    true => sums_of_four(probe, four_rows),
                    false => sums_of_eight(probe, last, four_rows),
                }
            };
            let four_tails = tails.group(group, four_rows);
            // SAFETY: a tail begins with these two words.
            let (scales, squares) = unsafe { (four_words(four_tails, 0), four_words(four_tails, 1)) };
            let dots = _mm_sub_epi32(totals_i32(sums), excess);
            let distances = code_distances::<SQUARE>(probe.tail, dots, (scales, squares));
            trust.note(distances);
            store(distances, out);
        }
    }
    trust.is_whole()
}

/// The products of a probe with four rows, of which `last` are the components in the last register. The rows must have as many
/// bytes as the padded probe.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
unsafe fn sums_of_eight(probe: CodeProbe<'_>, last: __m256i, rows: [*const f32; GROUP]) -> [__m256i; GROUP] {
    let whole = probe.code.len() - CODE_LANES;
    let mut sums = [_mm256_setzero_si256(); GROUP];
    let mut at = 0;
    while at < whole {
        // SAFETY: the caller's promise.
        unsafe { add_products(&mut sums, load_code(probe, at), rows, at) };
        at += CODE_LANES;
    }
    // SAFETY: as above.
    unsafe { add_products(&mut sums, last, rows, whole) };
    sums
}

/// The same with codes of four bits, half as many bytes. Four products fit 16 bits: 15 · 127 · 4.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
unsafe fn sums_of_four(probe: CodeProbe<'_>, rows: [*const f32; GROUP]) -> [__m256i; GROUP] {
    let (row_bytes, mask) = (probe.code.len() / 2, _mm256_set1_epi8(15));
    let mut sums = [_mm256_setzero_si256(); GROUP];
    for at in (0..row_bytes).step_by(CODE_LANES) {
        let (low, high) = (load_code(probe, at), load_code(probe, row_bytes + at));
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the caller's promise.
            let both = unsafe { _mm256_loadu_si256(row.cast::<i8>().add(at).cast()) };
            let of_low = _mm256_maddubs_epi16(_mm256_and_si256(both, mask), low);
            let of_high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(both), mask), high);
            let fours = _mm256_add_epi16(of_low, of_high);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(fours, _mm256_set1_epi16(1)));
        }
    }
    sums
}

/// Adds the products of 32 components of the probe with those of four rows. They must be within the rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
unsafe fn add_products(sums: &mut [__m256i; GROUP], probe: __m256i, rows: [*const f32; GROUP], at: usize) {
    let sizes = _mm256_abs_epi8(probe);
    for (sum, row) in sums.iter_mut().zip(rows) {
        // SAFETY: the caller's promise.
        let row = unsafe { _mm256_loadu_si256(row.cast::<i8>().add(at).cast()) };
        let pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(row, probe));
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
}

/// 32 components of a probe.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn load_code(probe: CodeProbe<'_>, at: usize) -> __m256i {
    let piece = &probe.code[at..at + CODE_LANES];
    // SAFETY: the piece holds the 32 bytes that are loaded.
    unsafe { _mm256_loadu_si256(piece.as_ptr().cast()) }
}

/// Ones for the components in the last register of a code, zeros for what stands behind them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn last_mask(dimension: usize) -> __m256i {
    let count = (dimension - 1) % CODE_LANES + 1;
    let mut mask = [0i8; CODE_LANES];
    mask[..count].fill(-1);
    // SAFETY: the array holds the 32 bytes that are loaded.
    unsafe { _mm256_loadu_si256(mask.as_ptr().cast()) }
}

/// Eight components as twice four f64.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
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

#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn total_f64(sums: [__m256d; 2]) -> f64 {
    let four = _mm256_add_pd(sums[0], sums[1]);
    let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
}

/// The sums of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn totals_f32(sums: [__m256; GROUP]) -> __m128 {
    let pairs = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
    _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs))
}

/// The sums of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
fn totals_i32(sums: [__m256i; GROUP]) -> __m128i {
    let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs))
}
