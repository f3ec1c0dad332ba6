//! How far a walk looks.
//!
//! In the paper a beam ends when what is left is farther than the ef-th best result. But how far that is says little about what
//! was missed: where many vectors stand around a query at nearly the same distance the ef nearest are not enough, and where the k
//! nearest stand by themselves they are far more than enough. So a search's beam ends here when what is left is farther than the
//! k-th best by a factor, as in "Distance Adaptive Beam Search for Provably Accurate Graph-Based Nearest Neighbor Search"
//! (Al-Jazzazi, Diwan, Gou, Musco, Musco, Suel; NeurIPS 2025, arXiv 2505.15636). There the factor is given; here it follows
//! from ef and from the index: it is what lies between the k-th and the ef-th nearest of its vectors ([`Growth`]), so that
//! walks keep about ef candidates on average (up to ef 40 within a twentieth, at ef 160 a quarter more), and none fewer than
//! half or more than three times as many.
//!
//! Distances computed for the same recall@10, against beams that end at the ef-th on the same graph, in process: 100,000 × 50
//! (GloVe) 0.89 at 0.95 and 0.76 at 0.99; 83,000 × 384 (MiniLM) 0.89 and 0.76, over two parts 0.87 and 0.77.
//!
//! Insertions end at the ef-th. With the same rule they took 0.75 to 0.86 of the time, but their graphs took 1.04 to 1.1
//! times the distances at recall 0.98 and more (384-d): in a dense group all links led to the group.

use crate::beam::{Candidate, SORTED_MAX};
use crate::limits::EF_MAX;
use crate::metric::Metric;
use crate::search_parameters::SearchParameters;

/// How the distances from a vector to its neighbours grow with their rank, in one index: the j-th nearest lies about
/// (j / i)^(1 / x) times as far as the i-th, in squares of distances, with an x that is learned from what is inserted.
///
/// 2x is what is called the intrinsic dimension, and learned about as in Levina and Bickel, "Maximum Likelihood Estimation
/// of Intrinsic Dimension" (2004), though from two ranks only. The mean is that of x and not of its inverse, since it is the
/// number of candidates that is to come out right on average: with the other one searches kept 1.3 times as many as they
/// were to keep (100,000 × 50, ef 40).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Growth {
    /// x: 8 for GloVe in 50 dimensions, 10 to 12 for MiniLM.
    half_dimension: f32,
    /// How many vectors that is the mean of, as far as they are counted.
    seen: u32,
}

/// Where one beam ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopRule {
    /// The result that distances are compared with, counted from 1. At most `least`.
    rank: usize,
    /// The square of the stop rule is so many times that of this result. At least 1.
    factor: f32,
    /// What is to be added to a walk distance to make it a square.
    shift: f32,
    /// The beam does not end before there are so many results, nor nearer than the last of these.
    pub(crate) least: usize,
    /// There are never more results.
    pub(crate) most: usize,
}

impl Growth {
    /// Takes account of what an insertion has found: its candidates, nearest first, of which `m` are to become links. They say
    /// nothing if they are too few, or too near to each other.
    pub(crate) fn observe(&mut self, found: &[Candidate], m: usize, metric: Metric) {
        let far = found.len().min(m * RANKS_BETWEEN);
        let Some(shift) = shift(metric).filter(|_| far >= 2 * m) else {
            return;
        };
        let [near_square, far_square] = [m, far].map(|rank| found[rank - 1].distance() + shift);
        let half_dimension = (far as f32 / m as f32).ln() / (far_square / near_square).ln();
        if near_square > shift * ROUNDING && !half_dimension.is_nan() {
            self.seen = (self.seen + 1).min(SEEN_MAX);
            let half_dimension = half_dimension.clamp(1.0, HALF_DIMENSION_MAX);
            self.half_dimension += (half_dimension - self.half_dimension) / self.seen as f32;
        }
    }

    /// How many candidates a search is to keep whose caller asked for `ef`: more where there are many at nearly the same
    /// distance, since so many more must be told apart for the same recall.
    ///
    /// Recall@10 at ef 100 under cosine, without and with this: 15,000 × 100 normally distributed (x 22) 0.69 and 0.98, for
    /// 3.2 times the distances; 10,000 × 128 uniform (x 25) 0.83 and 0.99, for 2.7 times. Words have 7 to 8 and are searched
    /// as before.
    pub(crate) fn effort(&self, ef: usize) -> usize {
        if self.seen < SEEN_MIN {
            return ef;
        }
        let factor = (self.half_dimension / HALF_DIMENSION_USUAL).powf(EFFORT_POWER);
        ((ef as f32 * factor.clamp(1.0, EFFORT_MAX)) as usize).min(EF_MAX)
    }

    /// What it knows: as it was learned, and of how many.
    pub(crate) fn parts(&self) -> (f32, u32) {
        (self.half_dimension, self.seen)
    }

    /// The same again; none if it cannot have been learned.
    pub(crate) fn of_parts(half_dimension: f32, seen: u32) -> Option<Growth> {
        let is_learned = seen <= SEEN_MAX && (1.0..=HALF_DIMENSION_MAX).contains(&half_dimension);
        let is_nothing = seen == 0 && half_dimension == 0.0;
        (is_learned || is_nothing).then_some(Growth { half_dimension, seen })
    }

    /// Where the beam of a search is to end. None as long as too little is known, where distances have no zero, and where a beam
    /// would not keep so many in order.
    pub(crate) fn stop_rule(&self, metric: Metric, parameters: &SearchParameters) -> Option<StopRule> {
        let SearchParameters { k, ef, expected, .. } = *parameters;
        let shift = shift(metric).filter(|_| self.seen >= SEEN_MIN && ef <= SORTED_MAX / 2)?;
        let rank = expected.min(ef);
        Some(StopRule {
            rank,
            factor: (ef as f32 / rank as f32).powf(1.0 / self.half_dimension),
            shift,
            least: k.min(ef).max(ef / 2),
            most: (ef * 3).min(SORTED_MAX),
        })
    }
}

impl StopRule {
    /// What a candidate must be below, given the results in order, of which there are at least `least`.
    #[inline]
    pub(crate) fn bound(&self, results: &[Candidate]) -> Candidate {
        debug_assert!((1..=self.least).contains(&self.rank) && self.least <= results.len());
        let square = (results[self.rank - 1].distance() + self.shift).max(0.0);
        // A distance at the end of f32 is one, too.
        let distance = (square * self.factor - self.shift).min(f32::MAX);
        Candidate::farthest_at(distance).max(results[self.least - 1])
    }
}

/// What makes a square of a walk distance, up to a factor.
pub(crate) fn shift(metric: Metric) -> Option<f32> {
    match metric {
        Metric::L2 => Some(0.0),
        // The square between two unit vectors is 2 − 2 cos.
        Metric::Cosine => Some(1.0),
        Metric::InnerProduct => None,
    }
}

/// Growth is seen between the m-th candidate and the one whose rank is so many times as high.
const RANKS_BETWEEN: usize = 4;

/// The mean is of about so many of the last vectors: it follows what is put into the index.
const SEEN_MAX: u32 = 1_024;

/// Before so many were seen nothing is said. A graph begins with [`GRAPH_MIN`](crate::hnsw::GRAPH_MIN) vectors.
const SEEN_MIN: u32 = 64;

/// An x above this makes a search look at more: that of words and sentences is at most this, see [`Growth`].
const HALF_DIMENSION_USUAL: f32 = 12.0;

/// By how much: ef 200 was enough for recall 0.96 at an x of 17, 400 at one of 22 to 25 (10,000 to 15,000 vectors).
const EFFORT_POWER: f32 = 2.5;

/// And no more than by this.
const EFFORT_MAX: f32 = 5.0;

/// Of a square that is a difference nothing is left below this part of what was subtracted: f32 rounds it off.
const ROUNDING: f32 = 1e-6;

/// Where candidates are all equally far one of them would count for thousands.
const HALF_DIMENSION_MAX: f32 = 50.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::beam::Beam;

    /// Candidates whose squares grow with the rank as they do in 2 · `half_dimension` dimensions.
    fn growing(half_dimension: f32, count: usize, metric: Metric) -> Vec<Candidate> {
        let farthest = if metric == Metric::Cosine { 0.1 } else { 1e-12 };
        let square = |rank: usize| farthest * (rank as f32 / count as f32).powf(1.0 / half_dimension);
        let shift = shift(metric).unwrap_or(0.0);
        (1..=count)
            .map(|rank| Candidate::new(square(rank) - shift, rank as u32))
            .collect()
    }

    #[test]
    fn the_horizon_lies_where_the_ef_th_nearest_does_and_follows_the_vectors() {
        for metric in [Metric::Cosine, Metric::L2] {
            let mut growth = Growth::default();
            for half_dimension in [3.0, 12.0] {
                let found = growing(half_dimension, 200, metric);
                assert!(
                    growth.seen >= SEEN_MIN || growth.stop_rule(metric, &SearchParameters::nearest(10, 40)).is_none()
                );
                (0..10 * SEEN_MAX).for_each(|_| growth.observe(&found, 16, metric));
                let stop_rule = growth
                    .stop_rule(metric, &SearchParameters::nearest(10, 40))
                    .expect("enough was seen");
                let inside = found.partition_point(|&candidate| candidate < stop_rule.bound(&found));
                assert!((39..=41).contains(&inside), "{metric} {half_dimension}: {inside}");
                assert_eq!((stop_rule.least, stop_rule.most), (20, 120));
            }
        }
    }

    #[test]
    fn what_says_nothing_is_not_learned() {
        let mut growth = Growth::default();
        let same = vec![Candidate::new(0.0, 1); 100];
        let few = growing(5.0, 31, Metric::L2);
        let products = growing(5.0, 100, Metric::InnerProduct);
        for _ in 0..1_000 {
            growth.observe(&same, 16, Metric::L2);
            growth.observe(&few, 16, Metric::L2);
            growth.observe(&products, 16, Metric::InnerProduct);
        }
        assert_eq!(growth.seen, 0);
        // From here on to where f32 ends.
        let huge = [vec![Candidate::new(1.0, 1); 32], vec![Candidate::new(f32::MAX, 2); 32]].concat();
        let far = vec![Candidate::new(f32::MAX, 1); 100];
        for _ in 0..1_000 {
            growth.observe(&huge, 16, Metric::L2);
            growth.observe(&far, 16, Metric::L2);
        }
        let stop_rule = growth
            .stop_rule(Metric::L2, &SearchParameters::nearest(1, 1_000))
            .expect("enough was seen");
        assert!(stop_rule.bound(&vec![Candidate::new(f32::MAX, 1); 500]) >= Candidate::new(f32::MAX, 1));
    }

    proptest! {
        /// However they come, those within the stop rule are expanded, nearest first, and no others.
        #[test]
        fn a_beam_ends_at_its_horizon(
            distances in prop::collection::vec(0u32..1_000, 1..200),
            (k, expected, ef) in (1usize..20, 1usize..20, 1usize..60),
            half_dimension in 1.0f32..8.0,
        ) {
            let mut growth = Growth::default();
            (0..SEEN_MIN).for_each(|_| growth.observe(&growing(half_dimension, 100, Metric::L2), 16, Metric::L2));
            let parameters = SearchParameters { expected: expected.min(k), ..SearchParameters::nearest(k, ef) };
            let stop_rule = growth.stop_rule(Metric::L2, &parameters).expect("enough was seen");
            let mut all: Vec<Candidate> =
                distances.iter().enumerate().map(|(slot, &square)| Candidate::new(square as f32, slot as u32)).collect();
            let mut beam = Beam::default();
            beam.reset_within(stop_rule);
            all.iter().for_each(|&candidate| beam.offer(candidate));
            let mut expanded = Vec::new();
            while let Some(candidate) = beam.next() {
                expanded.push(candidate);
            }
            all.sort_unstable();
            let bound = all.get(stop_rule.least - 1).map_or(f32::MAX, |last| {
                let reference = all[expected.min(k).min(ef) - 1].distance();
                (reference * stop_rule.factor).max(last.distance())
            });
            all.retain(|candidate| candidate.distance() <= bound);
            all.truncate(stop_rule.most);
            // Of those just as far as the last some may be left out.
            prop_assert!(expanded.len() >= all.len().min(stop_rule.least));
            prop_assert!(all.starts_with(&expanded));
            prop_assert!(all[expanded.len()..].iter().all(|left| Some(left.distance()) == expanded.last().map(|l| l.distance())));
            prop_assert_eq!(beam.has_enough(), distances.len() >= stop_rule.least);
        }
    }
}
