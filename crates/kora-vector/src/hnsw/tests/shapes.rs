//! Data that is not spread evenly, in the order in which it comes: it is found all the same.

use super::*;

/// Most of them are nearest to the same few, which can't lead to all.
#[test]
fn vectors_of_very_different_lengths_are_found() {
    let mut random = Random::new(31);
    let mut vectors = Vec::new();
    for _ in 0..4_000 {
        let length = 10f32.powf(3.0 * (random.unit() + 1.0) / 2.0);
        vectors.push((0..24).map(|_| length * random.unit()).collect::<Vec<f32>>());
    }
    let mut index = graphed(parameters(Metric::L2, 24, 16));
    for vector in &vectors[200..] {
        index.insert(vector);
    }
    let recall = recall(&mut index, &vectors[..200], 10, 100);
    assert!(recall >= 0.96, "recall {recall}");
}

#[test]
fn a_group_of_equal_vectors_is_found() {
    let mut random = Random::new(32);
    let groups: Vec<Vec<f32>> = (0..40).map(|_| random.clumped(24)).collect();
    for metric in [Metric::L2, Metric::Cosine] {
        let mut index = graphed(parameters(metric, 24, 16));
        for _ in 0..50 {
            for vector in &groups {
                index.insert(vector);
            }
        }
        let recall = recall_of_equals(&mut index, &groups);
        assert!(recall >= 0.99, "{metric}: recall {recall}");
    }
}

/// The share of the 50 equals of each that a search for them finds.
fn recall_of_equals(index: &mut Index, groups: &[Vec<f32>]) -> f64 {
    let equals = |vector: &Vec<f32>| {
        let hits = walk(index, vector, 50, 100);
        hits.iter().filter(|hit| hit.distance == 0.0).count().min(50)
    };
    groups.iter().map(equals).sum::<usize>() as f64 / (50 * groups.len()) as f64
}
