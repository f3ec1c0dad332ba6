//! Reranking: a walk measures distances to codes, the answer to stored vectors, so the order of the walk's results is corrected.

use crate::beam::Candidate;
use crate::limits::EF_MAX;
use crate::scratch::Scratch;
use crate::search::{IndexView, SHORT_ANSWER_MAX, Search, SearchStage};
use crate::sort::Sorting;
use crate::space::Space;
use crate::work::Work;

impl Search {
    /// Measures a few results of the beam on the rows; when it is enough, puts them in order, or walks again with a larger ef.
    pub(crate) fn refine(&mut self, view: IndexView<'_>, work: &mut Work) {
        let (space, k, spare) = (view.space, self.parameters.k, self.spare());
        let Scratch { query, walk, .. } = &mut *self.scratch;
        let SearchStage::Refine { hits } = &mut self.stage else {
            unreachable!("called in this stage")
        };
        let has_enough = walk.beam.has_enough();
        let results = walk.beam.results();
        let from = hits.len();
        // A short answer's k best first, then a few at a time, as long as they may still change what is expected of it.
        let is_short = k <= SHORT_ANSWER_MAX && space.doubtful(k) > 0;
        let mut worth = results.len().min(worth_refining(space, results, k) + spare);
        let mut at_once = REFINED_AT_ONCE;
        if is_short {
            worth = worth.max(results.len().min(DOUBTED_MAX));
            let doubted = from.saturating_sub(k);
            at_once = at_once.min((k.saturating_sub(from)).max(doubted / 2).max(DOUBTED_AT_ONCE));
        }
        let to = (from + at_once).min(worth);
        let some = &results[from..to];
        some.iter().for_each(|candidate| space.prefetch(candidate.slot()));
        let mut refine =
            |candidate: &Candidate| Candidate::new(space.refine(query, candidate.slot()), candidate.slot());
        hits.extend(some.iter().map(&mut refine));
        work.spend_distances(2 * some.len(), space.dimension());
        self.statistics.distances += some.len() as u64;
        let is_settled = is_short
            && to >= k + spare
            && is_settled(
                space,
                hits,
                results,
                self.parameters.expected + spare,
                &mut walk.distances,
            );
        let may_widen = is_short && !self.has_widened && has_enough && to == results.len();
        if may_widen && is_blurred(space, hits, results, k, &mut walk.distances) {
            self.has_widened = true;
            self.parameters.ef = (self.parameters.ef * WIDENED).min(EF_MAX);
            self.stage = SearchStage::Begin;
        } else if to == worth || is_settled {
            let (hits, left) = (std::mem::take(hits), results.len() - to);
            self.stage = match left > 0 && self.wants_more(&hits, view.states) {
                true => SearchStage::Refine { hits },
                false => SearchStage::Order(Sorting::new(hits)),
            };
        }
    }
}

/// How many of the results, in the order of the walk, may be among the best k once their distances are exact: k, as
/// many as the walk's order is wrong about, and those which it cannot tell from the last of these.
fn worth_refining(space: &Space, results: &[Candidate], k: usize) -> usize {
    let sure = k + space.doubtful(k);
    match results.get(sure - 1) {
        Some(last) => {
            let reach = last.distance() + space.tolerance(last.distance());
            sure + results[sure..]
                .iter()
                .take_while(|candidate| candidate.distance() <= reach)
                .count()
        }
        None => results.len(),
    }
}

/// Whether none of the results that are left is likely to be among the best k: each would have to be nearer than the
/// walk says by more than twice what the walk was wrong by about any of those refined. Where distances are folded into
/// the ends of f32 that error is huge, and nothing is settled.
fn is_settled(space: &Space, hits: &[Candidate], results: &[Candidate], k: usize, distances: &mut Vec<f32>) -> bool {
    let Some(next) = results.get(hits.len()) else {
        return true;
    };
    let nearest = space.refined_of_walk(next.distance()) - 2.0 * error_of_walk(space, hits, results);
    let kth = nth_distance(hits, k, distances);
    nearest > kth + space.tolerance(kth)
}

/// Whether the walk was wrong by more than what lies between the best of the results, the k or the better half, and the farthest:
/// then others as good may have been turned away by the walk. It is so where many vectors are nearly the same. All were refined.
fn is_blurred(space: &Space, hits: &[Candidate], results: &[Candidate], k: usize, distances: &mut Vec<f32>) -> bool {
    let farthest = results
        .last()
        .map_or(f32::MAX, |last| space.refined_of_walk(last.distance()));
    let counted = k.min(hits.len().div_ceil(2));
    farthest - error_of_walk(space, hits, results) < nth_distance(hits, counted, distances)
}

/// By how much the walk was wrong about any of those refined, which are the first of the results.
fn error_of_walk(space: &Space, hits: &[Candidate], results: &[Candidate]) -> f32 {
    let errors = hits
        .iter()
        .zip(results)
        .map(|(hit, candidate)| space.refined_of_walk(candidate.distance()) - hit.distance());
    errors.fold(0.0f32, |largest, error| largest.max(error.abs()))
}

/// The distance of the n-th best of at least n hits.
fn nth_distance(hits: &[Candidate], n: usize, distances: &mut Vec<f32>) -> f32 {
    distances.clear();
    distances.extend(hits.iter().map(|hit| hit.distance()));
    *distances.select_nth_unstable_by(n - 1, f32::total_cmp).1
}

/// Results refined between two looks at the allowance.
const REFINED_AT_ONCE: usize = 32;

/// The first few beyond the k best of a short answer; then half as many again as were refined so far.
const DOUBTED_AT_ONCE: usize = 4;

/// Where so many are refined and the answer may still change, codes say nothing there, and it is left at that.
const DOUBTED_MAX: usize = 1_000;

/// Where the walk cannot tell the results apart it is done again with so many times the ef, once.
const WIDENED: usize = 4;
