//! The sums with NEON: four f32 or two f64 at a time, in four chains.

use std::arch::aarch64::*;

use crate::code::{CodeProbe, CodeWidth, tail_word};
use crate::distance::{AHEAD, Batch, LANES, Pair, prefetch, prefetch_line};
use crate::fold::is_trusted;
use crate::int4::INT4_ZERO;

pub(super) fn is_runnable() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

#[target_feature(enable = "neon")]
pub(super) fn dot(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<false, false>(query, factor, batch)
}

#[target_feature(enable = "neon")]
pub(super) fn square(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<true, false>(query, factor, batch)
}

#[target_feature(enable = "neon")]
pub(super) fn code_dot(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    for_codes::<false>(probe, batch)
}

#[target_feature(enable = "neon")]
pub(super) fn code_square(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    for_codes::<true>(probe, batch)
}

#[target_feature(enable = "neon")]
pub(super) fn half_dot(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<false, true>(query, factor, batch)
}

#[target_feature(enable = "neon")]
pub(super) fn half_square(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_rows::<true, true>(query, factor, batch)
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

/// The loop over rows of f32 or of halves: fetch ahead, add up one row in four chains, finish with the row's scale.
#[inline]
#[target_feature(enable = "neon")]
fn for_rows<const SQUARE: bool, const HALF: bool>(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    let Batch {
        rows,
        slots,
        out,
        floor,
        ..
    } = batch;
    let mut is_safe = true;
    let end = if HALF { query.len() / 2 } else { query.len() };
    for &slot in slots.iter().take(AHEAD) {
        prefetch(rows.address(slot), end + 1);
    }
    for (i, sum) in out[..slots.len()].iter_mut().enumerate() {
        if let Some(&soon) = slots.get(i + AHEAD) {
            prefetch(rows.address(soon), end + 1);
        }
        let row = rows.address(slots[i]);
        // SAFETY: the row is longer than the query by its scale at least, and one of halves by its unit too.
        let (scale, unit) = unsafe { (*row.add(end), if HALF { *row.add(end + 1) } else { 1.0 }) };
        let mut sums = [vdupq_n_f32(0.0); 4];
        for at in (0..query.len()).step_by(LANES) {
            // An even group of lanes goes to chains 0 and 1, an odd one to 2 and 3.
            let chain = (at / LANES % 2) * 2;
            for half in 0..2 {
                let place = at + 4 * half;
                // SAFETY: the query is a multiple of LANES, twice four, so the loads are within it and the row.
                let (q, r) = unsafe { (vld1q_f32(query.as_ptr().add(place)), load::<HALF>(row, place)) };
                sums[chain + half] = if SQUARE {
                    let difference = if HALF { vfmsq_n_f32(q, r, unit) } else { vsubq_f32(q, r) };
                    vfmaq_f32(sums[chain + half], difference, difference)
                } else {
                    vfmaq_f32(sums[chain + half], q, r)
                };
            }
        }
        let all = vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
        *sum = if SQUARE { all } else { all * scale * factor };
        is_safe &= is_trusted(*sum, floor);
    }
    is_safe
}

/// Four components of a row. They must be within it.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load<const HALF: bool>(row: *const f32, at: usize) -> float32x4_t {
    if !HALF {
        // SAFETY: the caller's promise.
        return unsafe { vld1q_f32(row.add(at)) };
    }
    // SAFETY: the caller's promise.
    let halves = unsafe { vld1_u16(row.cast::<u16>().add(at)) };
    // As `from_half` does it: the intrinsic that converts is not in stable Rust.
    let words = vmovl_u16(halves);
    let magnitude = vshlq_n_u32::<13>(vandq_u32(words, vdupq_n_u32(0x7fff)));
    let value = vmulq_n_f32(vreinterpretq_f32_u32(magnitude), f32::from_bits((127 + 112) << 23));
    let sign = vshlq_n_u32::<16>(vandq_u32(words, vdupq_n_u32(0x8000)));
    vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(value), sign))
}

/// The loop over codes: products of bytes in 16 bits, added in pairs to 32.
#[inline]
#[target_feature(enable = "neon")]
fn for_codes<const SQUARE: bool>(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    let Batch {
        rows,
        tails,
        slots,
        out,
        floor,
    } = batch;
    let mut is_safe = true;
    let (words, at) = (tail_word(probe.dimension, probe.width), tails.1);
    let excess = match probe.width {
        CodeWidth::Eight => 0,
        CodeWidth::Four => INT4_ZERO as i32 * probe.code.iter().map(|&code| i32::from(code)).sum::<i32>(),
    };
    for &slot in slots.iter().take(AHEAD) {
        prefetch(rows.address(slot), words);
        prefetch_line(tails.0.address(slot).wrapping_add(at).cast());
    }
    for (i, distance) in out[..slots.len()].iter_mut().enumerate() {
        if let Some(&soon) = slots.get(i + AHEAD) {
            prefetch(rows.address(soon), words);
            prefetch_line(tails.0.address(soon).wrapping_add(at).cast());
        }
        let row = rows.address(slots[i]);
        // SAFETY: the probe is padded, and a row has as many bytes as are read.
        let dot = unsafe {
            match probe.width {
                CodeWidth::Eight => products(probe, row),
                CodeWidth::Four => four_products(probe, row) - excess,
            }
        };
        let dot = dot as f32;
        let tail = tails.0.address(slots[i]);
        // SAFETY: a tail begins with these two words.
        let (scale, square) = unsafe { (*tail.add(at), *tail.add(at + 1)) };
        let dot = dot * (probe.tail.scale * scale);
        *distance = if SQUARE {
            (probe.tail.square + square) - 2.0 * dot
        } else {
            -dot
        };
        is_safe &= is_trusted(*distance, floor);
    }
    is_safe
}

/// The sum over a row of codes of eight bits. The probe must be padded to a multiple of CODE_LANES, twice 16, and the row have as
/// many bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn products(probe: CodeProbe<'_>, row: *const f32) -> i32 {
    let mut mask = [0i8; 16];
    mask[..(probe.dimension - 1) % 16 + 1].fill(-1);
    // SAFETY: the array holds the 16 bytes that are loaded.
    let mask = unsafe { vld1q_s8(mask.as_ptr()) };
    let mut sums = [vdupq_n_s32(0); 2];
    for at in (0..probe.dimension).step_by(16) {
        // SAFETY: the caller's promise.
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
    vaddvq_s32(vaddq_s32(sums[0], sums[1]))
}

/// The sum over a row of codes of four bits as they stand there, unsigned. The probe must be twice as long as the row, which is a
/// multiple of 16 bytes. Two products fit 16 bits: 15 · 127 · 2.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn four_products(probe: CodeProbe<'_>, row: *const f32) -> i32 {
    let row_bytes = probe.code.len() / 2;
    let mut sums = [vdupq_n_s32(0); 2];
    for at in (0..row_bytes).step_by(16) {
        // SAFETY: the caller's promise.
        let (low, high, both) = unsafe {
            (
                vld1q_s8(probe.code.as_ptr().add(at)),
                vld1q_s8(probe.code.as_ptr().add(row_bytes + at)),
                vld1q_u8(row.cast::<u8>().add(at)),
            )
        };
        let of_low = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
        let of_high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(both));
        let first = vmlal_s8(
            vmull_s8(vget_low_s8(low), vget_low_s8(of_low)),
            vget_low_s8(high),
            vget_low_s8(of_high),
        );
        let second = vmlal_high_s8(vmull_high_s8(low, of_low), high, of_high);
        sums[0] = vpadalq_s16(sums[0], first);
        sums[1] = vpadalq_s16(sums[1], second);
    }
    vaddvq_s32(vaddq_s32(sums[0], sums[1]))
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
