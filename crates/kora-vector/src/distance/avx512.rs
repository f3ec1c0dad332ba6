//! The sums over codes with AVX-512 VNNI: 64 codes at a time. Beside AVX2 a whole query takes 0.98 of the time at 50
//! dimensions, 0.90 at 128, 0.80 to 0.87 at 384, 0.72 at 768 and 0.70 at 1,536 (`--bin index`, both in turn, Zen 4,
//! November 2026). With registers half as wide it was 0.80 at 768. Sums over f32 and halves gained nothing: they wait
//! for memory.

use std::arch::x86_64::*;

use crate::code::{CodeProbe, CodeWidth, tail_word};
use crate::distance::avx2;
use crate::distance::x86::{BLOCK, Block, Tails, Trust, code_distances, four_words, store};
use crate::distance::{Batch, GROUP};
use crate::int4::INT4_ZERO;

/// Also asked for, though not used: VBMI2. Processors that have VNNI without it lower their clock for a while when they
/// multiply in registers this wide (Cascade Lake).
pub(super) fn is_runnable() -> bool {
    avx2::is_runnable()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512vbmi2")
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn code_dot(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    match probe.width {
        CodeWidth::Eight => for_codes::<false, false>(probe, batch),
        CodeWidth::Four => for_codes::<false, true>(probe, batch),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn code_square(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    match probe.width {
        CodeWidth::Eight => for_codes::<true, false>(probe, batch),
        CodeWidth::Four => for_codes::<true, true>(probe, batch),
    }
}

/// The loop over codes. The instruction multiplies an unsigned by a signed byte and adds four products to an i32. A
/// row's byte becomes unsigned when 128 is added, which is its highest bit the other way round; what that adds to a
/// sum, 128 times the sum of the probe, is taken off in the end. Neither leaves 32 bits, so the difference is exact. Codes of
/// four bits are unsigned as they stand in the row, by [`INT4_ZERO`] too large.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
fn for_codes<const SQUARE: bool, const FOUR: bool>(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    let words = tail_word(probe.dimension, probe.width);
    let ends = if FOUR {
        (probe.code.len(), _mm512_setzero_si512())
    } else {
        last_of(probe)
    };
    let zero = if FOUR { INT4_ZERO as i32 } else { 128 };
    let excess = _mm_set1_epi32(zero * sum_of(probe, ends));
    let mut trust = Trust::new(batch.floor);
    for (slots, out) in batch.slots.chunks(BLOCK).zip(batch.out.chunks_mut(BLOCK)) {
        let block = Block::new(batch.rows, slots, words);
        let tails = Tails::new(batch.rows, batch.tails, slots);
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let four_rows = block.group(group);
            // SAFETY: a block has rows only, and a row of codes is a whole number of WIDE_LANES.
            let sums = unsafe {
                match FOUR {
                    true => sums_of_four(probe, four_rows),
                    false => sums_of_eight(probe, ends, four_rows),
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

/// How many components of a probe stand in whole registers before the last, and the last.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
fn last_of(probe: CodeProbe<'_>) -> (usize, __m512i) {
    let whole = (probe.dimension - 1) / WIDE_LANES * WIDE_LANES;
    let rest = u64::MAX >> (WIDE_LANES - (probe.dimension - whole));
    // SAFETY: the bytes that the mask names are within the dimension, and so within the probe.
    (whole, unsafe {
        _mm512_maskz_loadu_epi8(rest, probe.code.as_ptr().add(whole))
    })
}

/// The products of a probe with four rows. They must be whole numbers of WIDE_LANES; so with the next.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
unsafe fn sums_of_eight(
    probe: CodeProbe<'_>,
    (whole, last): (usize, __m512i),
    rows: [*const f32; GROUP],
) -> [__m512i; GROUP] {
    let mut sums = [_mm512_setzero_si512(); GROUP];
    let mut at = 0;
    while at < whole {
        // SAFETY: the caller's promise.
        unsafe { add_products(&mut sums, load_code(probe, at), rows, at) };
        at += WIDE_LANES;
    }
    // SAFETY: as above.
    unsafe { add_products(&mut sums, last, rows, whole) };
    sums
}

/// The same with codes of four bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
unsafe fn sums_of_four(probe: CodeProbe<'_>, rows: [*const f32; GROUP]) -> [__m512i; GROUP] {
    let (row_bytes, mask) = (probe.code.len() / 2, _mm512_set1_epi8(15));
    let mut sums = [_mm512_setzero_si512(); GROUP];
    for at in (0..row_bytes).step_by(WIDE_LANES) {
        let (low, high) = (load_code(probe, at), load_code(probe, row_bytes + at));
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the caller's promise.
            let both = unsafe { _mm512_loadu_si512(row.cast::<i8>().add(at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_and_si512(both, mask), low);
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_and_si512(_mm512_srli_epi16::<4>(both), mask), high);
        }
    }
    sums
}

/// Adds the products of 64 components of the probe with those of four rows. They must be within the rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
unsafe fn add_products(sums: &mut [__m512i; GROUP], probe: __m512i, rows: [*const f32; GROUP], at: usize) {
    for (sum, row) in sums.iter_mut().zip(rows) {
        // SAFETY: the caller's promise.
        let row = unsafe { _mm512_loadu_si512(row.cast::<i8>().add(at).cast()) };
        *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(row, _mm512_set1_epi8(-128)), probe);
    }
}

/// The sum of a probe's codes: below 2²³ in size, as 65,536 of 127 are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
fn sum_of(probe: CodeProbe<'_>, (whole, last): (usize, __m512i)) -> i32 {
    let ones = _mm512_set1_epi8(1);
    let mut sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, last);
    for at in (0..whole).step_by(WIDE_LANES) {
        sum = _mm512_dpbusd_epi32(sum, ones, load_code(probe, at));
    }
    _mm512_reduce_add_epi32(sum)
}

/// 64 components of a probe.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
fn load_code(probe: CodeProbe<'_>, at: usize) -> __m512i {
    let piece = &probe.code[at..at + WIDE_LANES];
    // SAFETY: the piece holds the 64 bytes that are loaded.
    unsafe { _mm512_loadu_si512(piece.as_ptr().cast()) }
}

/// The sums of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c,bmi2,lzcnt")]
fn totals_i32([a, b, c, d]: [__m512i; GROUP]) -> __m128i {
    let add = _mm512_add_epi32;
    let ab = add(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = add(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    // Each quarter holds a sum of its part of a, b, c and d.
    let all = add(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64::<1>(all));
    _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
}

/// The bytes of a register.
const WIDE_LANES: usize = 64;
