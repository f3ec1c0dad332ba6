//! The sums with NEON: four f32 or two f64 at a time, in four chains.

use std::arch::aarch64::*;

use crate::arena::Rows;
use crate::code::{CodeProbe, tail_word};
use crate::distance::{AHEAD, LANES, Pair, prefetch};

#[target_feature(enable = "neon")]
pub(super) fn dot(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<false>(query, rows, slots, out);
}

#[target_feature(enable = "neon")]
pub(super) fn square(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_rows::<true>(query, rows, slots, out);
}

#[target_feature(enable = "neon")]
pub(super) fn code_dot(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_codes::<false>(probe, rows, slots, out);
}

#[target_feature(enable = "neon")]
pub(super) fn code_square(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for_codes::<true>(probe, rows, slots, out);
}

#[target_feature(enable = "neon")]
pub(super) fn fine_dot(left: &[f32], right: &[f32]) -> Pair {
    let mut sums = [vdupq_n_f64(0.0); 4];
    let mut squares = [vdupq_n_f64(0.0); 4];
    for at in (0..left.len()).step_by(LANES) {
        let (l, r) = (widen(left, at), widen(right, at));
        for part in 0..4 {
            sums[part] = vfmaq_f64(sums[part], l[part], r[part]);
            squares[part] = vfmaq_f64(squares[part], r[part], r[part]);
        }
    }
    Pair {
        sum: total_f64(sums),
        right_square: total_f64(squares),
    }
}

#[target_feature(enable = "neon")]
pub(super) fn fine_square(left: &[f32], right: &[f32]) -> Pair {
    let mut sums = [vdupq_n_f64(0.0); 4];
    for at in (0..left.len()).step_by(LANES) {
        let (l, r) = (widen(left, at), widen(right, at));
        for part in 0..4 {
            let difference = vsubq_f64(l[part], r[part]);
            sums[part] = vfmaq_f64(sums[part], difference, difference);
        }
    }
    Pair {
        sum: total_f64(sums),
        right_square: 0.0,
    }
}

/// The loop that both f32 sums share: fetch ahead, add up one row in four chains, finish with the row's scale.
#[inline]
#[target_feature(enable = "neon")]
fn for_rows<const SQUARE: bool>(query: &[f32], rows: &Rows, slots: &[u32], out: &mut [f32]) {
    for &slot in slots.iter().take(AHEAD) {
        prefetch(rows.address(slot), query.len() + 1);
    }
    for (i, sum) in out.iter_mut().enumerate() {
        if let Some(&soon) = slots.get(i + AHEAD) {
            prefetch(rows.address(soon), query.len() + 1);
        }
        let row = rows.address(slots[i]);
        let mut sums = [vdupq_n_f32(0.0); 4];
        for at in (0..query.len()).step_by(LANES) {
            // An even group of lanes goes to chains 0 and 1, an odd one to 2 and 3.
            let chain = (at / LANES % 2) * 2;
            for half in 0..2 {
                let (q, r) = (
                    query.as_ptr().wrapping_add(at + 4 * half),
                    row.wrapping_add(at + 4 * half),
                );
                // SAFETY: the query is a multiple of LANES, twice four, so the load is within it; the row is longer.
                sums[chain + half] = unsafe { add::<SQUARE>(sums[chain + half], q, r) };
            }
        }
        let all = vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
        // SAFETY: the row is longer than the query by its scale at least.
        let scale = unsafe { *row.add(query.len()) };
        *sum = if SQUARE { all } else { all * scale };
    }
}

/// Four more terms. Both pointers must be valid for four f32.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add<const SQUARE: bool>(sum: float32x4_t, query: *const f32, row: *const f32) -> float32x4_t {
    // SAFETY: the caller's promise.
    let (q, r) = unsafe { (vld1q_f32(query), vld1q_f32(row)) };
    if SQUARE {
        let difference = vsubq_f32(q, r);
        return vfmaq_f32(sum, difference, difference);
    }
    vfmaq_f32(sum, q, r)
}

/// The loop over codes: products of bytes in 16 bits, added in pairs to 32.
#[inline]
#[target_feature(enable = "neon")]
fn for_codes<const SQUARE: bool>(probe: CodeProbe<'_>, rows: &Rows, slots: &[u32], out: &mut [f32]) {
    let words = tail_word(probe.dimension);
    let mut mask = [0i8; 16];
    mask[..(probe.dimension - 1) % 16 + 1].fill(-1);
    // SAFETY: the array holds the 16 bytes that are loaded.
    let mask = unsafe { vld1q_s8(mask.as_ptr()) };
    for &slot in slots.iter().take(AHEAD) {
        prefetch(rows.address(slot), words + 2);
    }
    for (i, distance) in out.iter_mut().enumerate() {
        if let Some(&soon) = slots.get(i + AHEAD) {
            prefetch(rows.address(soon), words + 2);
        }
        let row = rows.address(slots[i]);
        let mut sums = [vdupq_n_s32(0); 2];
        for at in (0..probe.dimension).step_by(16) {
            // SAFETY: the probe is padded to a multiple of CODE_LANES, twice 16, and a row has as many bytes.
            let (mut p, r) = unsafe {
                (
                    vld1q_s8(probe.code.as_ptr().add(at)),
                    vld1q_s8(row.cast::<i8>().add(at)),
                )
            };
            if at + 16 > probe.dimension {
                p = vandq_s8(p, mask);
            }
            sums[0] = vpadalq_s16(sums[0], vmull_s8(vget_low_s8(p), vget_low_s8(r)));
            sums[1] = vpadalq_s16(sums[1], vmull_high_s8(p, r));
        }
        let dot = vaddvq_s32(vaddq_s32(sums[0], sums[1])) as f32;
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

/// Eight components as four times two f64.
#[inline]
#[target_feature(enable = "neon")]
fn widen(vector: &[f32], at: usize) -> [float64x2_t; 4] {
    let eight: &[f32; LANES] = vector[at..at + LANES]
        .try_into()
        .expect("a padded vector has whole lanes");
    // SAFETY: the array holds the eight f32 that two loads of four read.
    let (low, high) = unsafe { (vld1q_f32(eight.as_ptr()), vld1q_f32(eight.as_ptr().add(4))) };
    [
        vcvt_f64_f32(vget_low_f32(low)),
        vcvt_high_f64_f32(low),
        vcvt_f64_f32(vget_low_f32(high)),
        vcvt_high_f64_f32(high),
    ]
}

#[inline]
#[target_feature(enable = "neon")]
fn total_f64(sums: [float64x2_t; 4]) -> f64 {
    vaddvq_f64(vaddq_f64(vaddq_f64(sums[0], sums[1]), vaddq_f64(sums[2], sums[3])))
}
