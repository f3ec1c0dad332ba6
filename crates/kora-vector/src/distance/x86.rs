//! What the kernels of both x86-64 instruction sets share: how rows are found and fetched, four at a time, and what is
//! done with four sums. BMI2 and LZCNT help to find the rows.

use std::arch::x86_64::*;

use crate::arena::Rows;
use crate::code::Tail;
use crate::distance::{GROUP, LINE_WORDS, prefetch, prefetch_line};
use crate::fold::SAFE_MAX;

/// The word at one place of four rows. It must be within them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) unsafe fn four_words(rows: [*const f32; GROUP], at: usize) -> __m128 {
    // SAFETY: the caller's promise.
    let [a, b, c, d] = rows.map(|row| unsafe { *row.add(at) });
    _mm_setr_ps(a, b, c, d)
}

/// Distances of four rows from the sums over their codes, and the scales and squares of their tails.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn code_distances<const SQUARE: bool>(probe: Tail, dots: __m128i, rows: (__m128, __m128)) -> __m128 {
    let (scales, squares) = rows;
    let dots = _mm_mul_ps(_mm_cvtepi32_ps(dots), _mm_mul_ps(_mm_set1_ps(probe.scale), scales));
    if SQUARE {
        let both = _mm_add_ps(_mm_set1_ps(probe.square), squares);
        _mm_sub_ps(both, _mm_add_ps(dots, dots))
    } else {
        _mm_xor_ps(dots, _mm_set1_ps(-0.0))
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
pub(super) fn store(distances: __m128, out: &mut [f32]) {
    let out: &mut [f32; GROUP] = out.try_into().expect("a whole group");
    // SAFETY: the array holds the four f32 that are stored.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), distances) };
}

/// Whether all distances so far can be trusted, in four lanes: see [`is_trusted`](crate::fold::is_trusted).
pub(super) struct Trust {
    floor: __m128,
    all: __m128,
}

impl Trust {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
    pub(super) fn new(floor: f32) -> Trust {
        Trust {
            floor: _mm_set1_ps(floor),
            all: _mm_castsi128_ps(_mm_set1_epi32(-1)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
    pub(super) fn note(&mut self, distances: __m128) {
        let sizes = _mm_andnot_ps(_mm_set1_ps(-0.0), distances);
        let above = _mm_cmp_ps::<_CMP_GT_OQ>(sizes, self.floor);
        let below = _mm_cmp_ps::<_CMP_LT_OQ>(sizes, _mm_set1_ps(SAFE_MAX));
        self.all = _mm_and_ps(self.all, _mm_and_ps(above, below));
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
    pub(super) fn is_whole(&self) -> bool {
        _mm_movemask_ps(self.all) == 0b1111
    }
}

/// The rows of up to [`BLOCK`] slots. Where a group of four is not full the first row is repeated: measuring it again is
/// cheaper than a loop for the rest.
pub(super) struct Block {
    addresses: [*const f32; BLOCK],
    count: usize,
    words: usize,
    /// How many rows beyond the group being measured the caches are asked for.
    ahead: usize,
}

impl Block {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
    pub(super) fn new(rows: &Rows, slots: &[u32], words: usize) -> Block {
        let mut addresses = [rows.address(slots[0]); BLOCK];
        let is_short = words <= SHORT_WORDS;
        for (address, &slot) in addresses.iter_mut().zip(slots) {
            *address = rows.address(slot);
            if is_short {
                prefetch_line(address.cast());
                if words > LINE_WORDS {
                    prefetch_line(address.wrapping_add(LINE_WORDS).cast());
                }
                if words > 2 * LINE_WORDS {
                    prefetch(address.wrapping_add(2 * LINE_WORDS), words - 2 * LINE_WORDS);
                }
            }
        }
        let ahead = if is_short { BLOCK } else { GROUP };
        if !is_short {
            for &address in &addresses[..slots.len().min(GROUP + ahead)] {
                prefetch(address, words);
            }
        }
        Block {
            addresses,
            count: slots.len(),
            words,
            ahead,
        }
    }

    /// Four rows; those to come are asked from the caches.
    #[inline]
    pub(super) fn group(&self, group: usize) -> [*const f32; GROUP] {
        let begin = group * GROUP;
        let soon = begin + self.ahead;
        if group > 0 && soon < self.count {
            for &address in &self.addresses[soon..(soon + GROUP).min(self.count)] {
                prefetch(address, self.words);
            }
        }
        std::array::from_fn(|i| self.addresses[begin + i])
    }
}

/// Where the tails of a block's rows stand.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack while a block is measured"
)]
pub(super) enum Tails {
    /// In the rows, from this word on.
    Within(usize),
    Beside([*const f32; BLOCK]),
}

impl Tails {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,bmi2,lzcnt")]
    pub(super) fn new(rows: &Rows, (table, at): (&Rows, usize), slots: &[u32]) -> Tails {
        if std::ptr::eq(rows, table) {
            return Tails::Within(at);
        }
        let mut tails = [table.address(slots[0]).wrapping_add(at); BLOCK];
        for (tail, &slot) in tails.iter_mut().zip(slots) {
            *tail = table.address(slot).wrapping_add(at);
            prefetch_line(tail.cast());
        }
        Tails::Beside(tails)
    }

    /// Those of four rows.
    #[inline]
    pub(super) fn group(&self, group: usize, four_rows: [*const f32; GROUP]) -> [*const f32; GROUP] {
        match self {
            Tails::Within(at) => four_rows.map(|row| row.wrapping_add(*at)),
            Tails::Beside(tails) => std::array::from_fn(|i| tails[group * GROUP + i]),
        }
    }
}

/// Rows looked up together: the list of a node at the usual M.
pub(super) const BLOCK: usize = 32;

/// Rows up to four cache lines long are all asked for at once. With two at most, as it was, queries of 84,000 × 384 on four bits
/// took 1.04 to 1.16 times as long (Emerald Rapids, both in turn); with eight, those of 768 dimensions were no quicker.
const SHORT_WORDS: usize = 64;
