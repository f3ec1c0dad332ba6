//! Reranking: a walk measures distances to codes, the answer to stored vectors, so the order of the walk's results is corrected.

use crate::beam::Candidate;
use crate::space::Space;

/// How many of the results, in the order of the walk, may be among the best k once their distances are exact: k, as
/// many as the walk's order is wrong about, and those which it cannot tell from the last of these.
pub(crate) fn worth_refining(space: &Space, results: &[Candidate], k: usize) -> usize {
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
pub(crate) fn is_settled(
    space: &Space,
    hits: &[Candidate],
    results: &[Candidate],
    k: usize,
    distances: &mut Vec<f32>,
) -> bool {
    let Some(next) = results.get(hits.len()) else {
        return true;
    };
    let nearest = space.refined_of_walk(next.distance()) - 2.0 * error_of_walk(space, hits, results);
    let kth = nth_distance(hits, k, distances);
    nearest > kth + space.tolerance(kth)
}

/// Whether the walk was wrong by more than what lies between the best of the results, the k or the better half, and the farthest:
/// then others as good may have been turned away by the walk. It is so where many vectors are nearly the same. All were refined.
pub(crate) fn is_blurred(
    space: &Space,
    hits: &[Candidate],
    results: &[Candidate],
    k: usize,
    distances: &mut Vec<f32>,
) -> bool {
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
