//! What a search that looks at every vector finds: the measure of the index.

use super::sample::Sample;

/// Cosine distances of one query to every word of the sample.
pub(super) struct Exact {
    /// `distances[i]` belongs to `sample.words[i]`.
    distances: Vec<f64>,
}

impl Exact {
    pub(super) fn search(sample: &Sample, query: &[f32]) -> Self {
        let distances = (0..sample.words.len())
            .map(|index| cosine_distance(query, sample.vector(index)))
            .collect();
        Self { distances }
    }

    /// The share of the `found` words that are among the nearest `found.len()`. A word as near as the last of those
    /// counts too: either of two equals is a right answer.
    pub(super) fn recall(&self, found: &[usize]) -> f64 {
        let mut sorted = self.distances.clone();
        let count = found.len().min(sorted.len());
        if count == 0 {
            return 0.0;
        }
        let (_, &mut farthest, _) = sorted.select_nth_unstable_by(count - 1, f64::total_cmp);
        let hits = found
            .iter()
            .filter(|&&index| self.distances[index] <= farthest + TIE)
            .count();
        hits as f64 / found.len() as f64
    }
}

fn cosine_distance(left: &[f32], right: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    1.0 - dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// Distances closer than single precision can tell apart.
const TIE: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_the_true_neighbours() {
        let exact = Exact {
            distances: vec![0.3, 0.0, 0.5, 0.1, 0.1, 0.9],
        };
        assert_eq!(exact.recall(&[1, 3]), 1.0);
        assert_eq!(exact.recall(&[1, 4]), 1.0);
        assert_eq!(exact.recall(&[1, 2]), 0.5);
        assert_eq!(exact.recall(&[5, 2]), 0.0);
        assert_eq!(exact.recall(&[0, 1, 2, 3, 4, 5]), 1.0);
    }

    #[test]
    fn a_word_is_its_own_nearest_neighbour() {
        let sample = Sample::shipped().unwrap();
        for index in [0, 17, 9_999] {
            let exact = Exact::search(&sample, sample.vector(index));
            assert_eq!(exact.recall(&[index]), 1.0);
            assert!(exact.distances[index].abs() < TIE);
        }
    }
}
