//! Every kernel against the scalar twin.

use proptest::prelude::*;

use super::*;
use crate::arena::Reading;
use crate::code::{CodeWidth, has_tail, tail_word};

fn table(vectors: &[Vec<f32>], scale: f32) -> Rows {
    let length = padded(vectors[0].len());
    let mut rows = Rows::new(length + 1, Reading::Otherwise);
    for vector in vectors {
        let row = rows.push();
        rows.floats_mut(row)[..vector.len()].copy_from_slice(vector);
        rows.floats_mut(row)[length] = scale;
    }
    rows
}

fn batch<'a>(rows: &'a Rows, slots: &'a [u32], out: &'a mut [f32]) -> Batch<'a> {
    Batch {
        rows,
        tails: (rows, 0),
        slots,
        out,
        floor: -1.0,
    }
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
    let mut out = vec![0.0; slots.len().next_multiple_of(GROUP)];
    for (term, scale) in [(product as fn(f64, f64) -> f64, 0.5), (squared_difference, 1.0)] {
        if scale == 0.5 {
            assert!(kernel.dots(&padded_query, 1.0, batch(&rows, &slots, &mut out)));
        } else {
            assert!(kernel.squares(&padded_query, batch(&rows, &slots, &mut out)));
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
        for kernel in Kernel::runnable() {
            agree(kernel, &query, &vectors);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_kernel_sums_codes_as_the_scalar_twin_does(
        dimension in prop_oneof![1usize..=260, 1usize..=2048],
        seed in any::<u64>(),
    ) {
        for width in [CodeWidth::Eight, CodeWidth::Four] {
            sum_codes_alike(dimension, width, seed)?;
        }
    }
}

fn sum_codes_alike(dimension: usize, width: CodeWidth, seed: u64) -> Result<(), TestCaseError> {
    let at = tail_word(dimension, width);
    let code_bytes = match width {
        CodeWidth::Eight => dimension,
        CodeWidth::Four => dimension.div_ceil(2),
    };
    let mut rows = Rows::new(code_row_words(dimension, width), Reading::Otherwise);
    let mut others = Rows::new(4, Reading::Otherwise);
    let mut state = seed | 1;
    // The ends often: there a sum of pairs is nearest to leaving 16 bits.
    let mut part = || {
        state = crate::level::xorshift64(state);
        match state >> 61 {
            0 => -127,
            1 => 127,
            _ => ((state >> 40) as i8).max(-127),
        }
    };
    for _ in 0..7 {
        let row = rows.push();
        rows.bytes_mut(row)[..code_bytes].fill_with(&mut part);
        let tail = [0.25 + row as f32, 3.0 - row as f32];
        match has_tail(dimension, width) {
            true => rows.floats_mut(row)[at..at + 2].copy_from_slice(&tail),
            false => {
                others.push();
                others.floats_mut(row)[..2].copy_from_slice(&tail);
            }
        }
    }
    let tails = if has_tail(dimension, width) {
        (&rows, at)
    } else {
        (&others, 0)
    };
    let half = rows.row_words() * 4;
    let slots = [6, 0, 5, 1, 4, 2, 3];
    for kernel in Kernel::runnable() {
        for probe_slot in slots {
            let code: Vec<i8> = match width {
                CodeWidth::Eight => rows.bytes(probe_slot)[..padded_code(dimension)].to_vec(),
                CodeWidth::Four => {
                    let stands = |place: usize| place % half < code_bytes - place / half * (dimension % 2);
                    (0..2 * half)
                        .map(|place| if stands(place) { part() } else { 0 })
                        .collect()
                }
            };
            let probe = CodeProbe {
                code: &code,
                dimension,
                width,
                code_max: 127.0,
                tail: crate::code::Tail {
                    scale: 0.25,
                    square: 3.0,
                    largest: 1.0,
                },
            };
            let (mut got, mut want) = ([0.0; 8], [0.0; 8]);
            kernel.code_dots(
                probe,
                Batch {
                    tails,
                    ..batch(&rows, &slots, &mut got)
                },
            );
            SCALAR.code_dots(
                probe,
                Batch {
                    tails,
                    ..batch(&rows, &slots, &mut want)
                },
            );
            prop_assert_eq!(&got[..7], &want[..7], "{}", kernel.name);
            kernel.code_squares(
                probe,
                Batch {
                    tails,
                    ..batch(&rows, &slots, &mut got)
                },
            );
            SCALAR.code_squares(
                probe,
                Batch {
                    tails,
                    ..batch(&rows, &slots, &mut want)
                },
            );
            prop_assert_eq!(&got[..7], &want[..7], "{}", kernel.name);
        }
    }
    Ok(())
}

#[test]
fn a_vector_against_itself_gives_its_norm_to_the_bit() {
    for kernel in Kernel::runnable() {
        for dimension in 1..200 {
            let mut vector: Vec<f32> = (0..dimension).map(|i| (i as f32 * 0.7).sin() / 3.0).collect();
            vector.resize(padded(dimension), 0.0);
            let pair = kernel.fine_dot(&vector, &vector);
            assert_eq!(pair.sum.to_bits(), pair.right_square.to_bits());
        }
    }
}

#[test]
fn every_kernel_says_which_sums_f32_does_not_hold() {
    let ordinary = vec![0.5f32; 16];
    for (odd, floor) in [(1e25f32, -1.0), (f32::MAX, -1.0), (1e-35, 1e-30), (0.0, 1e-30)] {
        for place in 0..9 {
            let mut vectors = vec![ordinary.clone(); 9];
            vectors[place] = vec![odd; 16];
            let query = vec![if odd > 1.0 { odd } else { 1.0 }; 16];
            let rows = table(&vectors, 1.0);
            let slots: Vec<u32> = (0..9).collect();
            for kernel in Kernel::runnable() {
                let mut out = [0.0; 12];
                let mut batch = batch(&rows, &slots, &mut out);
                batch.floor = floor;
                assert!(!kernel.dots(&query, 1.0, batch), "{} {odd} at {place}", kernel.name);
            }
        }
    }
}

#[test]
fn components_near_the_end_of_f32_stay_finite_in_the_fine_sums() {
    for kernel in Kernel::runnable() {
        let large = vec![f32::MAX; 4096];
        let other = vec![-f32::MAX; 4096];
        assert!(kernel.fine_dot(&large, &other).sum.is_finite());
        assert!(kernel.fine_square(&large, &other).is_finite());
        let tiny = vec![f32::from_bits(1); 8];
        assert!(kernel.fine_dot(&tiny, &tiny).sum > 0.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_kernel_sums_halves_as_it_sums_what_they_say(
        dimension in prop_oneof![1usize..=70, 1usize..=2048],
        unit in prop::sample::select(vec![1.0f32, 1.0 / 1024.0, 32.0]),
        seed in any::<u64>(),
    ) {
        let length = padded(dimension);
        let mut rows = Rows::new(crate::half::half_row_words(dimension), Reading::Otherwise);
        let mut state = seed | 1;
        let mut draw = || { state = crate::level::xorshift64(state); state };
        for _ in 0..7 {
            let row = rows.push();
            for half in &mut rows.halves_mut(row)[..dimension] {
                // Every exponent but the highest, subnormals too, and either sign.
                *half = (draw() >> 40) as u16 & 0xbfff;
            }
            rows.floats_mut(row)[length / 2..length / 2 + 2].copy_from_slice(&[0.5, unit]);
        }
        let mut query: Vec<f32> = (0..dimension).map(|_| (draw() >> 40) as f32 / 8_388_608.0 - 1.0).collect();
        query.resize(length, 0.0);
        let slots = [6, 0, 5, 1, 4, 2, 3];
        for kernel in Kernel::runnable() {
            let (mut dots, mut squares) = ([0.0; 8], [0.0; 8]);
            kernel.half_dots(&query, 1.0, batch(&rows, &slots, &mut dots));
            kernel.half_squares(&query, batch(&rows, &slots, &mut squares));
            for (place, &slot) in slots.iter().enumerate() {
                let mut decoded = vec![0.0; length];
                kernel.decode_halves(&rows.halves(slot)[..length], 1.0, &mut decoded);
                let mut want = vec![0.0; length];
                SCALAR.decode_halves(&rows.halves(slot)[..length], 1.0, &mut want);
                prop_assert_eq!(&decoded, &want, "{}", kernel.name);
                let want: f64 = query.iter().zip(&decoded).map(|(&q, &r)| f64::from(q) * f64::from(r)).sum();
                let slack = 1e-5 * magnitude(&query, &decoded, product) + 1e-30;
                prop_assert!((f64::from(dots[place]) * 2.0 - want).abs() <= slack, "{}", kernel.name);
                decoded.iter_mut().for_each(|component| *component *= unit);
                let want = kernel.fine_square(&query, &decoded);
                prop_assert!((f64::from(squares[place]) - want).abs() <= 1e-5 * want + 1e-30, "{}", kernel.name);
            }
        }
    }

    #[test]
    fn every_kernel_decodes_to_the_same_bits(
        pairs in prop::collection::vec((-127i8..=127, -127i8..=127), 1..300),
        largest in prop_oneof![Just(f32::MAX), Just(f32::from_bits(1)), 1e-40f32..1.0],
    ) {
        let (code, residual): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
        for residual in [None, Some(&residual[..])] {
            let (mut got, mut want) = (vec![0.0; code.len()], vec![0.0; code.len()]);
            SCALAR.decode_codes(&code, residual, largest, &mut want);
            for kernel in Kernel::runnable() {
                kernel.decode_codes(&code, residual, largest, &mut got);
                prop_assert_eq!(&got, &want, "{}", kernel.name);
            }
        }
    }
}
