//! Sums over vectors: the only arithmetic in the crate that is worth an instruction set.
//!
//! Two sums are walked with in f32, one query against many rows (`dot`, `square`), and the same two are refined with in
//! f64, one pair at a time. [`scalar`] is their definition; the other files say the same faster. An index asks for its
//! [`Kernel`] once, when it is made: the processor does not change, so nothing is detected per call.
//!
//! There are variants for AVX2 with FMA, for NEON (whose tests run on other processors, too, emulated:
//! `crates/kora-vector/tests/neon`), and for AVX-512 where that gains: in the sums over codes.
//!
//! NumKong (once SimSIMD) is the library that does the same; `benches/` has a bench of both (`--bin kernels`). On rows
//! out of memory, which is what a walk reads, these take 0.4 to 0.8 of its time, since they fetch ahead and measure four
//! rows together; on cached rows the same or less, but for codes up to 128 dimensions, 1.25 (Zen 4, November 2026).
//!
//! Rows and queries are padded with zeros to a multiple of [`LANES`], so no kernel has a tail. Behind the padding
//! stands the row's *scale* (1/norm under cosine, else 1): a dot product comes back multiplied by it. A row of halves
//! has its *unit* behind that: a component is its half times the unit.
#![allow(unsafe_code)]

use crate::arena::Rows;
use crate::code::{CodeProbe, CodeWidth, code_row_words, padded_code};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The sums and decodings, as one instruction set computes them.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    /// Which instruction set.
    pub(crate) name: &'static str,
    /// Whether this processor has it.
    is_runnable: fn() -> bool,
    dot: ManyRows,
    square: ManyRows,
    fine_dot: OnePair,
    fine_square: OnePair,
    code_dot: ManyCodes,
    code_square: ManyCodes,
    half_dot: ManyRows,
    half_square: ManyRows,
    decode_halves: DecodeHalves,
    decode_codes: DecodeCodes,
}

/// Rows to be measured, and where their distances go.
pub(crate) struct Batch<'a> {
    pub(crate) rows: &'a Rows,
    /// Of rows of codes, where their tails stand: in which rows, and from which word on.
    pub(crate) tails: (&'a Rows, usize),
    pub(crate) slots: &'a [u32],
    /// As long as `slots`, up to the next multiple of [`GROUP`]: what is written behind the last says nothing.
    pub(crate) out: &'a mut [f32],
    /// What is no farther from zero than this is not trusted; a negative number trusts all.
    pub(crate) floor: f32,
}

/// Writes one sum per row, a product times `factor`; true if all can be trusted. Unsafe to call: the processor must have
/// the kernel's instructions, the query must be `padded(dimension)` long, the rows longer than that, every slot a row,
/// and `out` as long as it should be.
type ManyRows = unsafe fn(query: &[f32], factor: f32, batch: Batch<'_>) -> bool;

/// Writes one distance per row of codes; true if all can be trusted. Unsafe to call: the processor must have the
/// kernel's instructions, the probe be padded, the rows at least as long, their tails where they are said to be, every
/// slot a row, and `out` as long as it should be.
type ManyCodes = unsafe fn(probe: CodeProbe<'_>, batch: Batch<'_>) -> bool;

/// Unsafe to call: the processor must have the kernel's instructions, and both slices be equally long and padded.
type OnePair = unsafe fn(left: &[f32], right: &[f32]) -> Pair;

/// Writes each half times the unit. Unsafe to call: the processor must have the kernel's instructions.
type DecodeHalves = unsafe fn(halves: &[u16], unit: f32, out: &mut [f32]);

/// Writes the component that each code says, with its residual if there are any. Unsafe to call: as `DecodeHalves`.
type DecodeCodes = unsafe fn(code: &[i8], residual: Option<&[i8]>, largest: f32, out: &mut [f32]);

/// Two sums of one pair of vectors, in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    /// The sum asked for: of products, or of squared differences.
    pub(crate) sum: f64,
    /// The squared norm of the right vector, added up in the same order as the sum of products: a vector against itself
    /// gives the same bits twice. 0 where it was not asked for.
    pub(crate) right_square: f64,
}

impl Kernel {
    /// The fastest kernel this processor can run.
    pub(crate) fn detect() -> &'static Kernel {
        Kernel::runnable().next().unwrap_or(&SCALAR)
    }

    /// The kernels this processor can run, the fastest first.
    pub(crate) fn runnable() -> impl Iterator<Item = &'static Kernel> {
        KERNELS.iter().copied().filter(|kernel| (kernel.is_runnable)())
    }

    /// For each slot the dot product of the query and its row, times the row's scale and `factor`. True if all can be
    /// trusted; so with the next.
    #[inline]
    pub(crate) fn dots(&self, query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
        check(query, &batch);
        // SAFETY: the instructions were detected when this kernel was chosen, `check` asserts the lengths, and
        // `Rows::address` asserts each slot.
        unsafe { (self.dot)(query, factor, batch) }
    }

    /// For each slot the squared Euclidean distance of the query and its row.
    #[inline]
    pub(crate) fn squares(&self, query: &[f32], batch: Batch<'_>) -> bool {
        check(query, &batch);
        // SAFETY: as in `dots`.
        unsafe { (self.square)(query, 1.0, batch) }
    }

    /// For each slot the negated dot product of the probe and its row, decoded.
    #[inline]
    pub(crate) fn code_dots(&self, probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
        check_codes(probe, &batch);
        // SAFETY: the instructions were detected when this kernel was chosen, `check_codes` asserts the lengths, and
        // `Rows::address` asserts each slot.
        unsafe { (self.code_dot)(probe, batch) }
    }

    /// For each slot the squared Euclidean distance of the probe and its row, decoded.
    #[inline]
    pub(crate) fn code_squares(&self, probe: CodeProbe<'_>, batch: Batch<'_>) -> bool {
        check_codes(probe, &batch);
        // SAFETY: as in `code_dots`.
        unsafe { (self.code_square)(probe, batch) }
    }

    /// For each slot the dot product of the query and its row of halves, times the row's scale and `factor`.
    #[inline]
    pub(crate) fn half_dots(&self, query: &[f32], factor: f32, batch: Batch<'_>) -> bool {
        check_halves(query, &batch);
        // SAFETY: the instructions were detected when this kernel was chosen, `check_halves` asserts the lengths, and
        // `Rows::address` asserts each slot.
        unsafe { (self.half_dot)(query, factor, batch) }
    }

    /// For each slot the squared Euclidean distance of the query and its row of halves.
    #[inline]
    pub(crate) fn half_squares(&self, query: &[f32], batch: Batch<'_>) -> bool {
        check_halves(query, &batch);
        // SAFETY: as in `half_dots`.
        unsafe { (self.half_square)(query, 1.0, batch) }
    }

    /// Writes each half times the unit.
    pub(crate) fn decode_halves(&self, halves: &[u16], unit: f32, out: &mut [f32]) {
        assert!(halves.len() == out.len(), "a component per half");
        // SAFETY: the instructions were detected when this kernel was chosen.
        unsafe { (self.decode_halves)(halves, unit, out) }
    }

    /// Writes the component that each code says, with its residual if there are any.
    pub(crate) fn decode_codes(&self, code: &[i8], residual: Option<&[i8]>, largest: f32, out: &mut [f32]) {
        assert!(code.len() == out.len(), "a component per code");
        // SAFETY: as in `decode_halves`.
        unsafe { (self.decode_codes)(code, residual, largest, out) }
    }

    /// The dot product, and the squared norm of `right`.
    pub(crate) fn fine_dot(&self, left: &[f32], right: &[f32]) -> Pair {
        assert!(
            left.len() == right.len() && left.len().is_multiple_of(LANES),
            "both vectors are padded alike"
        );
        // SAFETY: the instructions were detected when this kernel was chosen; the lengths are asserted above.
        unsafe { (self.fine_dot)(left, right) }
    }

    /// The squared Euclidean distance.
    pub(crate) fn fine_square(&self, left: &[f32], right: &[f32]) -> f64 {
        assert!(
            left.len() == right.len() && left.len().is_multiple_of(LANES),
            "both vectors are padded alike"
        );
        // SAFETY: as in `fine_dot`.
        unsafe { (self.fine_square)(left, right).sum }
    }
}

/// The dot product, and the squared norm of `right`, of vectors without padding: for the few that are kept so.
pub(crate) fn unpadded_dot(left: &[f32], right: &[f32]) -> Pair {
    scalar::fine_dot(left, right)
}

/// The squared Euclidean distance of vectors without padding.
pub(crate) fn unpadded_square(left: &[f32], right: &[f32]) -> f64 {
    scalar::fine_square(left, right).sum
}

/// How long a row of this dimension is once it is padded, its scale not counted.
pub(crate) fn padded(dimension: usize) -> usize {
    dimension.next_multiple_of(LANES)
}

/// Asks the caches for the head of a row that will be read soon. The rest of a long row is the hardware's to foresee.
#[inline(always)]
pub(crate) fn prefetch(row: *const f32, words: usize) {
    let end = words.min(PREFETCH_WORDS_MAX);
    let mut at = 0;
    while at < end {
        prefetch_line(row.wrapping_add(at).cast());
        at += LINE_WORDS;
    }
}

/// Asks the caches for the line at this address; any address is allowed.
#[inline(always)]
pub(crate) fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it faults on no address, and SSE is part of x86_64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast())
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch is a hint; it faults on no address and writes no register.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly))
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

fn check(query: &[f32], batch: &Batch<'_>) {
    assert!(
        query.len().is_multiple_of(LANES) && query.len() < batch.rows.row_words(),
        "the query is padded, the row longer"
    );
    check_out(batch);
}

fn check_halves(query: &[f32], batch: &Batch<'_>) {
    assert!(
        query.len().is_multiple_of(LANES) && query.len() / 2 + 2 <= batch.rows.row_words(),
        "the query is padded; a row holds as many halves, scale and unit"
    );
    check_out(batch);
}

fn check_codes(probe: CodeProbe<'_>, batch: &Batch<'_>) {
    let row_words = code_row_words(probe.dimension, probe.width);
    let probe_bytes = match probe.width {
        CodeWidth::Eight => padded_code(probe.dimension),
        CodeWidth::Four => 2 * row_words * 4,
    };
    assert!(probe.code.len() == probe_bytes, "the probe is padded");
    assert!(
        row_words <= batch.rows.row_words(),
        "a row holds as many bytes as are read"
    );
    let (tails, at) = batch.tails;
    assert!(
        at + 2 <= tails.row_words() && batch.rows.len() <= tails.len(),
        "each row has a tail of scale and square"
    );
    check_out(batch);
}

fn check_out(batch: &Batch<'_>) {
    assert!(
        batch.out.len() == batch.slots.len().next_multiple_of(GROUP),
        "one distance per slot, in whole groups"
    );
}

/// All that were compiled, the fastest first.
static KERNELS: &[&Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    &AVX512,
    #[cfg(target_arch = "x86_64")]
    &AVX2,
    #[cfg(target_arch = "aarch64")]
    &NEON,
    &SCALAR,
];

static SCALAR: Kernel = Kernel {
    name: "scalar",
    is_runnable: || true,
    dot: scalar::dot,
    square: scalar::square,
    fine_dot: scalar::fine_dot,
    fine_square: scalar::fine_square,
    code_dot: scalar::code_dot,
    code_square: scalar::code_square,
    half_dot: scalar::half_dot,
    half_square: scalar::half_square,
    decode_halves: scalar::decode_halves,
    decode_codes: scalar::decode_codes,
};

#[cfg(target_arch = "x86_64")]
static AVX512: Kernel = Kernel {
    name: "avx512",
    is_runnable: avx512::is_runnable,
    code_dot: avx512::code_dot,
    code_square: avx512::code_square,
    ..AVX2
};

#[cfg(target_arch = "x86_64")]
const AVX2: Kernel = Kernel {
    name: "avx2",
    is_runnable: avx2::is_runnable,
    dot: avx2::dot,
    square: avx2::square,
    fine_dot: avx2::fine_dot,
    fine_square: avx2::fine_square,
    code_dot: avx2::code_dot,
    code_square: avx2::code_square,
    half_dot: avx2::half_dot,
    half_square: avx2::half_square,
    decode_halves: avx2::decode_halves,
    decode_codes: avx2::decode_codes,
};

#[cfg(target_arch = "aarch64")]
static NEON: Kernel = Kernel {
    name: "neon",
    is_runnable: neon::is_runnable,
    dot: neon::dot,
    square: neon::square,
    fine_dot: neon::fine_dot,
    fine_square: neon::fine_square,
    code_dot: neon::code_dot,
    code_square: neon::code_square,
    half_dot: neon::half_dot,
    half_square: neon::half_square,
    decode_halves: scalar::decode_halves,
    decode_codes: scalar::decode_codes,
};

/// Rows are padded to this many components: the f32 of one AVX2 register, two of NEON.
pub(crate) const LANES: usize = 8;

/// Codes are padded to this many components: the bytes of one AVX2 register, two of NEON.
pub(crate) const CODE_LANES: usize = 32;

/// Rows measured together: as many as have all their sums in registers beside their loads.
pub(crate) const GROUP: usize = 4;

/// Rows fetched ahead of the one being summed. 3 to 6 were equally good, 12 too many (100,000 × 384, Zen 3).
#[cfg(target_arch = "aarch64")]
const AHEAD: usize = 4;

/// The f32 of a cache line.
pub(crate) const LINE_WORDS: usize = 16;

/// The part of a row that is asked for: 32 lines, 512 components.
const PREFETCH_WORDS_MAX: usize = 512;

#[cfg(test)]
mod tests;
