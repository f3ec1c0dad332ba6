//! Every kernel against the scalar twin.

use proptest::prelude::*;

use super::*;

/// The kernels this processor can run.
fn kernels() -> Vec<&'static Kernel> {
    let fastest = Kernel::detect();
    if fastest.name == SCALAR.name {
        vec![&SCALAR]
    } else {
        vec![&SCALAR, fastest]
    }
}

fn table(vectors: &[Vec<f32>], scale: f32) -> Rows {
    let length = padded(vectors[0].len());
    let mut rows = Rows::new(length + 1);
    for vector in vectors {
        let row = rows.push();
        rows.floats_mut(row)[..vector.len()].copy_from_slice(vector);
        rows.floats_mut(row)[length] = scale;
    }
    rows
}

/// The sum of the terms' magnitudes: what the rounding of a sum is relative to.
fn magnitude(query: &[f32], row: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    query
        .iter()
        .zip(row)
        .map(|(&q, &r)| term(f64::from(q), f64::from(r)).abs())
        .sum()
}

fn product(q: f64, r: f64) -> f64 {
    q * r
}

fn squared_difference(q: f64, r: f64) -> f64 {
    (q - r) * (q - r)
}

fn agree(kernel: &Kernel, query: &[f32], vectors: &[Vec<f32>]) {
    let rows = table(vectors, 0.5);
    let mut padded_query = query.to_vec();
    padded_query.resize(padded(query.len()), 0.0);
    let slots: Vec<u32> = (0..vectors.len() as u32).rev().collect();
    let mut out = vec![0.0; slots.len()];
    for (term, scale) in [(product as fn(f64, f64) -> f64, 0.5), (squared_difference, 1.0)] {
        if scale == 0.5 {
            kernel.dots(&padded_query, &rows, &slots, &mut out);
        } else {
            kernel.squares(&padded_query, &rows, &slots, &mut out);
        }
        for (&slot, &sum) in slots.iter().zip(&out) {
            let vector = &vectors[slot as usize];
            let want: f64 = query
                .iter()
                .zip(vector)
                .map(|(&q, &r)| term(f64::from(q), f64::from(r)))
                .sum();
            let slack = 1e-5 * magnitude(query, vector, term) + 1e-30;
            let sum = f64::from(sum) / scale;
            assert!(
                (sum - want).abs() <= slack,
                "{} over {}: {sum} is not {want}",
                kernel.name,
                query.len()
            );
            let row = &rows.floats(slot)[..padded_query.len()];
            let fine = if scale == 0.5 {
                kernel.fine_dot(&padded_query, row).sum
            } else {
                kernel.fine_square(&padded_query, row)
            };
            assert!(
                (fine - want).abs() <= 1e-12 * slack / 1e-5 + 1e-90,
                "{}: {fine} is not {want}",
                kernel.name
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_kernel_equals_the_scalar_twin(
        dimension in prop_oneof![1usize..=70, 1usize..=2048],
        count in 1usize..=9,
        seed in any::<u64>(),
    ) {
        let mut state = seed | 1;
        let mut vector = || -> Vec<f32> {
            (0..dimension).map(|_| { state = crate::level::xorshift64(state); (state >> 40) as f32 / 8_388_608.0 - 1.0 }).collect()
        };
        let query = vector();
        let vectors: Vec<Vec<f32>> = (0..count).map(|_| vector()).collect();
        for kernel in kernels() {
            agree(kernel, &query, &vectors);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_kernel_sums_codes_as_the_scalar_twin_does(
        dimension in prop_oneof![1usize..=130, 1usize..=2048],
        seed in any::<u64>(),
    ) {
        let length = padded_code(dimension);
        let at = tail_word(dimension);
        let mut rows = Rows::new((at + 3).max(length / 4));
        let mut state = seed | 1;
        for _ in 0..7 {
            let row = rows.push();
            for part in &mut rows.bytes_mut(row)[..dimension] {
                state = crate::level::xorshift64(state);
                // The ends often: there a sum of pairs is nearest to leaving 16 bits.
                *part = match state >> 61 {
                    0 => -127,
                    1 => 127,
                    _ => ((state >> 40) as i8).max(-127),
                };
            }
            rows.floats_mut(row)[at..at + 2].copy_from_slice(&[0.25, 3.0]);
        }
        let slots = [6, 0, 5, 1, 4, 2, 3];
        for kernel in kernels() {
            for probe_slot in slots {
                let code = &rows.bytes(probe_slot)[..length];
                let tail = crate::code::Tail { scale: 0.25, square: 3.0, largest: 1.0 };
                let probe = CodeProbe { code, dimension, tail };
                let (mut got, mut want) = ([0.0; 7], [0.0; 7]);
                kernel.code_dots(probe, &rows, &slots, &mut got);
                SCALAR.code_dots(probe, &rows, &slots, &mut want);
                prop_assert_eq!(got, want, "{}", kernel.name);
                kernel.code_squares(probe, &rows, &slots, &mut got);
                SCALAR.code_squares(probe, &rows, &slots, &mut want);
                prop_assert_eq!(got, want, "{}", kernel.name);
            }
        }
    }
}

#[test]
fn a_vector_against_itself_gives_its_norm_to_the_bit() {
    for kernel in kernels() {
        for dimension in 1..200 {
            let mut vector: Vec<f32> = (0..dimension).map(|i| (i as f32 * 0.7).sin() / 3.0).collect();
            vector.resize(padded(dimension), 0.0);
            let pair = kernel.fine_dot(&vector, &vector);
            assert_eq!(pair.sum.to_bits(), pair.right_square.to_bits());
        }
    }
}

#[test]
fn components_near_the_end_of_f32_stay_finite_in_the_fine_sums() {
    for kernel in kernels() {
        let large = vec![f32::MAX; 4096];
        let other = vec![-f32::MAX; 4096];
        assert!(kernel.fine_dot(&large, &other).sum.is_finite());
        assert!(kernel.fine_square(&large, &other).is_finite());
        let tiny = vec![f32::from_bits(1); 8];
        assert!(kernel.fine_dot(&tiny, &tiny).sum > 0.0);
    }
}
