//! How many bits a component the walk reads: four where they tell the vectors of this index apart well enough.
//!
//! That depends on the data. Most embeddings have components of about one size, and vectors that point anywhere: half the bytes
//! then cost next to no recall. Where a few components are much larger than the rest, or all vectors point nearly the same way,
//! the differences between vectors drown in what four bits lose. So the first vectors of an index are measured against each
//! other both ways, and the width is theirs for the index's life.

use crate::code::{CODE_MAX, CodeProbe, CodeWidth, Codes};
use crate::distance::{Batch, GROUP, Kernel};
use crate::int4::likeness_of_int4;
use crate::metric::Metric;

/// The width for an index that begins with these vectors, one after the other.
pub(crate) fn choose(kernel: &Kernel, metric: Metric, dimension: usize, vectors: &[f32]) -> CodeWidth {
    let sample = SAMPLE * dimension;
    let is_enough = (FOUR_DIMENSION_MIN..=FOUR_DIMENSION_MAX).contains(&dimension)
        && vectors.len() >= sample
        && likeness(dimension, &vectors[..sample / 2]) >= LIKENESS_MIN
        && noise(kernel, metric, dimension, &vectors[..sample]).is_some_and(|noise| noise <= NOISE_MAX);
    if is_enough { CodeWidth::Four } else { CodeWidth::Eight }
}

/// The cosine between a vector and its code of four bits, on average.
fn likeness(dimension: usize, vectors: &[f32]) -> f64 {
    let all = vectors.chunks_exact(dimension);
    let count = all.len() as f64;
    all.map(likeness_of_int4).sum::<f64>() / count
}

/// How much distances over codes of four bits deviate from those over codes of eight, in deviations of the latter: from each of
/// these vectors to the nearer half of the others, since it is among neighbours that a walk has to choose. None where that cannot
/// be said: all are equally far apart, or distances leave f32.
fn noise(kernel: &Kernel, metric: Metric, dimension: usize, vectors: &[f32]) -> Option<f64> {
    let distances_over = |width| distances(kernel, Codes::new(metric, dimension, width), metric, vectors);
    let count = vectors.len() / dimension;
    let (exact, coarse) = (distances_over(CodeWidth::Eight), distances_over(CodeWidth::Four));
    let (mut of_errors, mut of_distances) = (0.0, 0.0);
    for (from, (exact, coarse)) in exact.chunks_exact(count).zip(coarse.chunks_exact(count)).enumerate() {
        let mut pairs: Vec<(f64, f64)> = exact.iter().copied().zip(coarse.iter().copied()).collect();
        pairs.swap_remove(from);
        pairs.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let nearer = &pairs[..count / 2];
        of_errors += variance(nearer.iter().map(|(exact, coarse)| coarse - exact));
        of_distances += variance(nearer.iter().map(|(exact, _)| *exact));
    }
    let noise = (of_errors / of_distances).sqrt();
    noise.is_finite().then_some(noise)
}

/// The walk distances from each vector to all.
fn distances(kernel: &Kernel, mut codes: Codes, metric: Metric, vectors: &[f32]) -> Vec<f64> {
    let dimension = codes.dimension();
    for (slot, vector) in vectors.chunks_exact(dimension).enumerate() {
        codes.put(slot as u32, vector);
    }
    let slots: Vec<u32> = (0..codes.len() as u32).collect();
    let mut out = vec![0.0; slots.len().next_multiple_of(GROUP)];
    let (mut code, mut all) = (Vec::new(), Vec::new());
    for vector in vectors.chunks_exact(dimension) {
        let tail = codes.frame(vector, &mut code);
        let probe = CodeProbe {
            code: &code,
            dimension,
            width: codes.width(),
            code_max: CODE_MAX,
            tail,
        };
        let batch = Batch {
            rows: codes.rows(),
            tails: codes.tails(),
            slots: &slots,
            out: &mut out,
            floor: -1.0,
        };
        match metric {
            Metric::L2 => kernel.code_squares(probe, batch),
            Metric::Cosine | Metric::InnerProduct => kernel.code_dots(probe, batch),
        };
        all.extend(out[..slots.len()].iter().map(|&distance| f64::from(distance)));
    }
    all
}

fn variance(numbers: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let count = numbers.len() as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    numbers.map(|number| (number - mean) * (number - mean)).sum::<f64>() / count
}

/// At 64 dimensions a code of four bits takes as many cache lines as one of eight; at 96 one in place of two.
const FOUR_DIMENSION_MIN: usize = 96;

/// Beyond it the choice would take more than a slice, a millisecond: the insertion that makes it takes 0.75 ms at 1,536
/// dimensions.
const FOUR_DIMENSION_MAX: usize = 2_048;

/// So many vectors are looked at; fewer say too little, and more take longer than an insertion.
const SAMPLE: usize = 16;

/// Vectors whose components are normally distributed have 0.994; with four components twice as large as the rest 0.992, four
/// times 0.980.
const LIKENESS_MIN: f64 = 0.99;

/// 32 of 50,000 MiniLM sentence embeddings (384 dimensions) have a noise of 0.06 to 0.11, and a query at the same ef, with
/// next to the same recall, took 0.61 to 0.85 of the time. The same moved so that all cosines are about 0.5: 0.10 to 0.18, and
/// 0.78 to 1.04; about 0.8: 0.20 to 0.28, and 0.7 to 1.3. With four components ten times as large: 0.37 to 0.42, and recall was
/// out of reach (Zen 4, `--bin index`).
const NOISE_MAX: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors with components of one size, which a generator gives.
    fn vectors(count: usize, dimension: usize) -> Vec<f32> {
        let mut state = 9u64;
        let mut uniform = || {
            state = crate::level::xorshift64(state);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..count * dimension)
            .map(|_| uniform() + uniform() + uniform())
            .collect()
    }

    #[test]
    fn ordinary_vectors_are_walked_with_four_bits_and_odd_ones_with_eight() {
        let ordinary = vectors(32, 128);
        let mut with_outliers = ordinary.clone();
        with_outliers
            .chunks_exact_mut(128)
            .for_each(|vector| vector[..4].iter_mut().for_each(|x| *x *= 20.0));
        let mut one_way = ordinary.clone();
        one_way
            .chunks_exact_mut(128)
            .for_each(|vector| vector.iter_mut().for_each(|x| *x += 5.0));
        let equal = vec![0.5; 32 * 128];
        let huge: Vec<f32> = ordinary.iter().map(|x| x * 1e30).collect();
        for kernel in Kernel::runnable() {
            for metric in [Metric::Cosine, Metric::L2, Metric::InnerProduct] {
                let chosen = |vectors: &[f32]| choose(kernel, metric, 128, vectors);
                assert_eq!(chosen(&ordinary), CodeWidth::Four, "{metric}");
                assert_eq!(
                    chosen(&ordinary[..15 * 128]),
                    CodeWidth::Eight,
                    "too few to say, {metric}"
                );
                assert_eq!(chosen(&equal), CodeWidth::Eight, "{metric}");
                assert_eq!(chosen(&with_outliers), CodeWidth::Eight, "{metric}");
            }
            assert_eq!(choose(kernel, Metric::Cosine, 128, &one_way), CodeWidth::Eight);
            assert_eq!(choose(kernel, Metric::L2, 128, &huge), CodeWidth::Eight);
            assert_eq!(choose(kernel, Metric::Cosine, 64, &vectors(32, 64)), CodeWidth::Eight);
        }
    }
}
