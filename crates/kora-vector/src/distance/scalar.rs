//! The definition: what every other kernel must compute, up to the order of its additions.

use crate::arena::Rows;
use crate::code::{CODE_UNIT, CodeProbe, CodeWidth};
use crate::distance::{Batch, Pair};
use crate::fold::is_trusted;
use crate::half::from_half;
use crate::int4::INT4_ZERO;
use crate::residual::{FINE_STEPS, FINE_UNIT};

pub(super) fn dot(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_each(batch, |rows, slot| {
        let row = rows.floats(slot);
        query.iter().zip(row).map(|(q, r)| q * r).sum::<f32>() * row[query.len()] * factor
    })
}

pub(super) fn square(query: &[f32], _: f32, batch: Batch<'_>) -> bool {
    for_each(batch, |rows, slot| {
        let row = rows.floats(slot);
        query.iter().zip(row).map(|(q, r)| (q - r) * (q - r)).sum()
    })
}

pub(super) fn fine_dot(left: &[f32], right: &[f32]) -> Pair {
    let mut pair = Pair {
        sum: 0.0,
        right_square: 0.0,
    };
    for (&l, &r) in left.iter().zip(right) {
        pair.sum += f64::from(l) * f64::from(r);
        pair.right_square += f64::from(r) * f64::from(r);
    }
    pair
}

pub(super) fn fine_square(left: &[f32], right: &[f32]) -> Pair {
    let difference = |(&l, &r): (&f32, &f32)| f64::from(l) - f64::from(r);
    Pair {
        sum: left.iter().zip(right).map(difference).map(|d| d * d).sum(),
        right_square: 0.0,
    }
}

pub(super) fn code_dot(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    let tails = batch.tails;
    for_each(batch, |rows, slot| -decoded_dot(probe, rows, tail(tails, slot).0, slot))
}

pub(super) fn code_square(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
    let tails = batch.tails;
    for_each(batch, |rows, slot| {
        let (scale, square) = tail(tails, slot);
        (probe.tail.square + square) - 2.0 * decoded_dot(probe, rows, scale, slot)
    })
}

pub(super) fn half_dot(query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
    for_each(batch, |rows, slot| {
        let halves = rows.halves(slot);
        let dot: f32 = query.iter().zip(halves).map(|(q, &h)| q * from_half(h)).sum();
        dot * rows.floats(slot)[query.len() / 2] * factor
    })
}

pub(super) fn half_square(query: &[f32], _: f32, batch: Batch<'_>) -> bool {
    for_each(batch, |rows, slot| {
        let unit = rows.floats(slot)[query.len() / 2 + 1];
        let differences = query
            .iter()
            .zip(rows.halves(slot))
            .map(|(q, &h)| q - from_half(h) * unit);
        differences.map(|difference| difference * difference).sum()
    })
}

#[inline(always)]
pub(super) fn decode_halves(halves: &[u16], unit: f32, out: &mut [f32]) {
    for (component, &half) in out.iter_mut().zip(halves) {
        *component = from_half(half) * unit;
    }
}

/// The order of the products is part of the definition: every kernel gives the same bits, and none leaves f32, since
/// what is multiplied by the largest component is at most 1.
#[inline(always)]
pub(super) fn decode_codes(code: &[i8], residual: Option<&[i8]>, largest: f32, out: &mut [f32]) {
    match residual {
        None => {
            for (component, &part) in out.iter_mut().zip(code) {
                *component = f32::from(part) * CODE_UNIT * largest;
            }
        }
        Some(residual) => {
            for ((component, &part), &rest) in out.iter_mut().zip(code).zip(residual) {
                let whole = FINE_STEPS * i32::from(part) + i32::from(rest);
                *component = whole as f32 * FINE_UNIT * largest;
            }
        }
    }
}

/// Writes the distance of each row; true if all can be trusted.
fn for_each(batch: Batch<'_>, distance: impl Fn(&Rows, u32) -> f32) -> bool {
    let mut is_safe = true;
    for (out, &slot) in batch.out.iter_mut().zip(batch.slots) {
        *out = distance(batch.rows, slot);
        is_safe &= is_trusted(*out, batch.floor);
    }
    is_safe
}

/// The scale and the square of a row of codes.
fn tail((table, at): (&Rows, usize), slot: u32) -> (f32, f32) {
    let words = &table.floats(slot)[at..];
    (words[0], words[1])
}

fn decoded_dot(probe: CodeProbe<'_>, rows: &Rows, scale: f32, slot: u32) -> f32 {
    let row = rows.bytes(slot);
    let dot = match probe.width {
        CodeWidth::Eight => integer_dot(probe.code[..probe.dimension].iter().copied(), row.iter().copied()),
        CodeWidth::Four => {
            let half = probe.code.len() / 2;
            let low = row[..half].iter().map(|both| both & 15);
            let high = row[..half].iter().map(|both| both >> 4 & 15);
            integer_dot(
                probe.code.iter().copied(),
                low.chain(high).map(|code| code - INT4_ZERO as i8),
            )
        }
    };
    dot as f32 * (probe.tail.scale * scale)
}

/// Exact: 65,536 products of 127² are below 2³¹.
fn integer_dot(left: impl Iterator<Item = i8>, right: impl Iterator<Item = i8>) -> i32 {
    left.zip(right).map(|(l, r)| i32::from(l) * i32::from(r)).sum()
}
