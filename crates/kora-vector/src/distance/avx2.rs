//! The sums with AVX2 and FMA: eight f32 or four f64 at a time, four chains of additions so that none waits for another.

use std::arch::x86_64::*;

use crate::arena::Rows;
use crate::code::CodeProbe;
use crate::distance::{AHEAD, CODE_LANES, LANES, Pair, prefetch};

#[target_feature(enable = "avx2,fma")]
pub(super) fn dot(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<false>(query, rows, slots, out);
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn square(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<true>(query, rows, slots, out);
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn code_dot(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_codes::<false>(probe, rows, slots, out);
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn code_square(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_codes::<true>(probe, rows, slots, out);
}

#[target_feature(enable = "avx2,fma")]
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

#[target_feature(enable = "avx2,fma")]
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

/// The loop that both f32 sums share: fetch ahead, add up one row in four chains, finish with the row's scale.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn for_rows<const SQUARE: bool>(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for &slot in slots.iter().take(AHEAD) {
        prefetch(rows.address(slot), query.len() + 1);
    }
    for (i, sum) in out.iter_mut().enumerate() {
        if let Some(&soon) = slots.get(i + AHEAD) {
            prefetch(rows.address(soon), query.len() + 1);
        }
        let row = rows.address(slots[i]);
        let mut sums = [_mm256_setzero_ps(); 4];
        let mut at = 0;
        while at + 4 * LANES <= query.len() {
            for (chain, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `at + 4 · LANES` is within the query, and the row is longer than the query.
                *sum = unsafe {
                    add::<SQUARE>(
                        *sum,
                        query.as_ptr().add(at + chain * LANES),
                        row.add(at + chain * LANES),
                    )
                };
            }
            at += 4 * LANES;
        }
        let mut chain = 0;
        while at < query.len() {
            // SAFETY: the query is a multiple of LANES, so one more load is within it, and the row is longer.
            sums[chain] = unsafe { add::<SQUARE>(sums[chain], query.as_ptr().add(at), row.add(at)) };
            chain += 1;
            at += LANES;
        }
        let all = total_f32(_mm256_add_ps(
            _mm256_add_ps(sums[0], sums[1]),
            _mm256_add_ps(sums[2], sums[3]),
        ));
        // SAFETY: the row is longer than the query by its scale at least.
        let scale = unsafe { *row.add(query.len()) };
        *sum = if SQUARE { all } else { all * scale };
    }
}

/// Eight more terms. Both pointers must be valid for LANES f32.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn add<const SQUARE: bool>(sum: __m256, query: *const f32, row: *const f32) -> __m256 {
    // SAFETY: the caller's promise.
    let (q, r) = unsafe { (_mm256_loadu_ps(query), _mm256_loadu_ps(row)) };
    if SQUARE {
        let difference = _mm256_sub_ps(q, r);
        return _mm256_fmadd_ps(difference, difference, sum);
    }
    _mm256_fmadd_ps(q, r, sum)
}

/// The loop over codes. A product of two signed bytes is made of what the instruction takes, an unsigned and a signed one:
/// |row| times the probe with the row's sign. Two products fit 16 bits, since a code stops at 127.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn for_codes<const SQUARE: bool>(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    let words = probe.code.len() / 4;
    for &slot in slots.iter().take(AHEAD) {
        prefetch(rows.address(slot), words + 2);
    }
    let ones = _mm256_set1_epi16(1);
    for (i, distance) in out.iter_mut().enumerate() {
        if let Some(&soon) = slots.get(i + AHEAD) {
            prefetch(rows.address(soon), words + 2);
        }
        let row = rows.address(slots[i]);
        let mut sums = [_mm256_setzero_si256(); 2];
        for (step, at) in (0..probe.code.len()).step_by(CODE_LANES).enumerate() {
            // SAFETY: the code is a multiple of CODE_LANES long, and the row is longer.
            let (p, r) = unsafe {
                let p = probe.code.as_ptr().add(at).cast();
                (
                    _mm256_loadu_si256(p),
                    _mm256_loadu_si256(row.cast::<i8>().add(at).cast()),
                )
            };
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(r), _mm256_sign_epi8(p, r));
            sums[step % 2] = _mm256_add_epi32(sums[step % 2], _mm256_madd_epi16(pairs, ones));
        }
        let dot = total_i32(_mm256_add_epi32(sums[0], sums[1])) as f32;
        // SAFETY: behind the code stand the two words of the tail.
        let (scale, square) = unsafe { (*row.add(words), *row.add(words + 1)) };
        let dot = dot * (probe.tail.scale * scale);
        *distance = if SQUARE {
            (probe.tail.square + square) - 2.0 * dot
        } else {
            -dot
        };
    }
}

/// Eight components as twice four f64.
#[inline]
#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
fn total_f32(eight: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn total_f64(sums: [__m256d; 2]) -> f64 {
    let four = _mm256_add_pd(sums[0], sums[1]);
    let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn total_i32(eight: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
}
