//! Each kind against the numbers it is documented with.

use std::collections::HashSet;

use super::*;
use crate::{Index, Metric, Parameters, vet};

/// 10,000 frequent words of GloVe, 50 dimensions, as the repository ships them.
fn glove() -> Vec<Vec<f32>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../kora-server/sample/vectors.f16");
    let bytes = std::fs::read(path).expect("the sample is part of the repository");
    let halves = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let components: Vec<f32> = halves.map(crate::half::from_half).collect();
    components.chunks_exact(50).map(<[f32]>::to_vec).collect()
}

fn index(metric: Metric, storage: Storage, vectors: &[Vec<f32>]) -> Index {
    let mut index = Index::new(Parameters {
        dimension: vectors[0].len(),
        metric,
        m: 8,
        ef_construction: 16,
        storage,
        seed: 3,
    });
    for vector in vectors {
        index.insert(vector);
    }
    index
}

fn read(index: &Index, slot: crate::Slot) -> Vec<f32> {
    let mut vector = vec![7.0];
    index.copy_vector(slot, &mut vector);
    vector
}

fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// The distance as it is defined, in f64.
fn distance(metric: Metric, left: &[f32], right: &[f32]) -> f64 {
    let pairs = || left.iter().zip(right).map(|(&l, &r)| (f64::from(l), f64::from(r)));
    let dot: f64 = pairs().map(|(l, r)| l * r).sum();
    match metric {
        Metric::Cosine => 1.0 - dot / (norm(left) * norm(right)),
        Metric::L2 => pairs().map(|(l, r)| (l - r) * (l - r)).sum::<f64>().sqrt(),
        Metric::InnerProduct => -dot,
    }
}

/// How far a distance may be off, by the documentation.
fn distance_error(metric: Metric, storage: Storage, query: &[f32], vector: &[f32]) -> f64 {
    let vector_error = (vector.len() as f64).sqrt() * f64::from(storage.component_error(vector));
    let own = match metric {
        Metric::Cosine => 2.0 * vector_error / norm(vector),
        Metric::L2 => vector_error,
        Metric::InnerProduct => vector_error * norm(query),
    };
    // A hit's distance is rounded to f32 once.
    own + 1e-7 * distance(metric, query, vector).abs() + 1e-13
}

/// Holds every vector that comes back, and every distance of every tenth, to the documented errors.
fn assert_within_errors(metric: Metric, storage: Storage, vectors: &[Vec<f32>], queries: &[Vec<f32>]) {
    let mut index = index(metric, storage, vectors);
    for (slot, vector) in vectors.iter().enumerate() {
        let slot = crate::Slot::from_index(slot);
        let back = read(&index, slot);
        let error = f64::from(storage.component_error(vector));
        for (&x, &y) in vector.iter().zip(&back) {
            assert!(
                y.is_finite() && (f64::from(x) - f64::from(y)).abs() <= error,
                "{storage} {metric}: {x} is {y}"
            );
        }
        assert_eq!(back.len(), vector.len());
        if storage == Storage::F16 {
            let floor = f64::from(vector.iter().fold(0.0f32, |a, x| a.max(x.abs()))) * 2f64.powi(-39);
            for (&x, &y) in vector.iter().zip(&back) {
                let bound = (f64::from(x).abs() / 2_048.0)
                    .max(floor)
                    .max(f64::from(f32::from_bits(1)) / 2.0);
                assert!((f64::from(x) - f64::from(y)).abs() <= bound, "{x} is {y} as a half");
            }
        }
        if slot.index().is_multiple_of(50) && metric != Metric::InnerProduct && vet(&back, metric).is_ok() {
            assert_eq!(index.exact(&back, 1)[0].distance, 0.0, "{storage} {metric}: {back:?}");
        }
    }
    for query in queries {
        for hit in index.exact(query, vectors.len()).iter().step_by(10) {
            let vector = &vectors[hit.slot.index()];
            let (got, want) = (f64::from(hit.distance), distance(metric, query, vector));
            let want = want.clamp(f64::from(f32::MIN), f64::from(f32::MAX));
            let bound = distance_error(metric, storage, query, vector);
            assert!(
                (got - want).abs() <= bound,
                "{storage} {metric}: {got} is not {want} within {bound}"
            );
        }
    }
}

/// Vectors that strain a code: huge, tiny, one component far above the others, only one at all, equal ones.
fn adversarial(dimension: usize) -> Vec<Vec<f32>> {
    let wave = |scale: f64| -> Vec<f32> {
        (0..dimension)
            .map(|i| ((i as f64 * 0.7 + 1.0).sin() * scale) as f32)
            .collect()
    };
    let mut vectors: Vec<Vec<f32>> = [
        3.4e38, 1e30, 1e19, 70_000.0, 1.0, 1e-5, 1e-19, 1e-30, 1e-38, 1e-42, 1e-44,
    ]
    .into_iter()
    .map(wave)
    .collect();
    for (large, small) in [
        (3e38, 1e-3),
        (1.0, 1e-3),
        (1.0, 1e-30),
        (60_000.0, 1e-9),
        (1e-40, 1e-44),
    ] {
        let mut vector = wave(small);
        vector[dimension / 2] = large;
        vectors.push(vector);
    }
    let mut single = vec![0.0; dimension];
    single[dimension - 1] = -f32::MAX;
    vectors.push(single);
    vectors.push(vec![f32::MAX; dimension]);
    vectors.push(vec![f32::from_bits(1); dimension]);
    vectors.push(vec![-65_504.0; dimension]);
    vectors
}

#[test]
fn every_kind_keeps_real_vectors_within_its_errors() {
    let mut vectors = glove();
    let queries = vectors.split_off(9_995);
    vectors.truncate(1_500);
    for storage in Storage::ALL {
        for metric in Metric::ALL {
            assert_within_errors(metric, storage, &vectors, &queries);
        }
    }
}

#[test]
fn every_kind_keeps_vectors_of_any_magnitude_within_its_errors() {
    for dimension in [1, 3, 50, 129] {
        let vectors = adversarial(dimension);
        for storage in Storage::ALL {
            for metric in Metric::ALL {
                assert_within_errors(metric, storage, &vectors, &vectors);
            }
        }
    }
}

#[test]
fn what_comes_back_can_be_set_again_without_a_change() {
    let mut vectors = adversarial(50);
    vectors.extend(glove().into_iter().take(300));
    for storage in Storage::ALL {
        let first = index(Metric::L2, storage, &vectors);
        let back: Vec<Vec<f32>> = (0..vectors.len())
            .map(|i| read(&first, crate::Slot::from_index(i)))
            .collect();
        let second = index(Metric::L2, storage, &back);
        for (i, vector) in back.iter().enumerate() {
            assert_eq!(
                vector,
                &read(&second, crate::Slot::from_index(i)),
                "{storage}: {:?}",
                vectors[i]
            );
        }
    }
}

#[test]
fn every_kind_tells_as_many_of_the_nearest_as_it_says() {
    let mut vectors = glove();
    let queries = vectors.split_off(9_900);
    for (metric, ceilings) in [
        (Metric::Cosine, [1.0, 0.995, 0.995, 0.95]),
        (Metric::L2, [1.0, 0.995, 0.995, 0.95]),
    ] {
        let mut whole = index(metric, Storage::F32, &vectors);
        for (storage, ceiling) in Storage::ALL.into_iter().zip(ceilings) {
            let mut kept = index(metric, storage, &vectors);
            let mut found = 0;
            for query in &queries {
                let slots = |hits: Vec<crate::Hit>| -> HashSet<crate::Slot> {
                    hits.into_iter().take(10).map(|hit| hit.slot).collect()
                };
                found += slots(whole.exact(query, 10))
                    .intersection(&slots(kept.exact(query, 10)))
                    .count();
            }
            let share = found as f64 / (10 * queries.len()) as f64;
            assert!(share >= ceiling, "{storage} {metric}: {share}");
            // Printed by `cargo test -p kora-vector storage -- --nocapture`, for the documentation.
            println!("{storage} {metric}: {share}");
        }
    }
}

#[test]
fn an_index_takes_the_bytes_that_its_kind_says() {
    let words = glove();
    for dimension in [4, 31, 32, 50, 128, 384] {
        let vectors: Vec<Vec<f32>> = words
            .iter()
            .take(2_048)
            .map(|word| word.iter().copied().cycle().take(dimension).collect())
            .collect();
        for storage in Storage::ALL {
            let held = index(Metric::L2, storage, &vectors).memory().vectors_bytes;
            let said = 2_048 * storage.row_bytes(dimension);
            // A table may hold one chunk of 1 MiB that is not full.
            assert!(
                (said..=said + (2 << 20)).contains(&held),
                "{storage} {dimension}: {held}, not {said}"
            );
        }
    }
    let bytes = |dimension| Storage::ALL.map(|storage| storage.row_bytes(dimension));
    assert_eq!(bytes(50), [320, 128, 128, 64]);
    assert_eq!(bytes(384), [2_000, 832, 784, 400]);
}

#[test]
fn names_are_read_back_in_any_case() {
    for storage in Storage::ALL {
        assert_eq!(Storage::parse(storage.name().to_lowercase().as_bytes()), Some(storage));
    }
    assert_eq!(Storage::parse(b"Q4"), None);
    assert_eq!(Storage::default(), Storage::F32);
}
