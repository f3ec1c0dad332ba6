//! Walking the graph: the greedy descent through the upper layers, the beam on one layer, and the search made of both.

use crate::distance::prefetch_line;
use crate::exact::Scan;
use crate::graph::{Graph, Link};
use crate::hnsw::Hit;
use crate::pool::Candidate;
use crate::scratch::{Scratch, Walk};
use crate::space::{Probe, Space};
use crate::work::{Step, Work};

/// A search under way. It holds its own copy of the query and no reference into the index, so inserts, removals and
/// other searches may run between its slices.
#[derive(Debug)]
pub struct Search {
    pub(crate) scratch: Box<Scratch>,
    k: usize,
    ef: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Above the base layer, at the nearest node found so far.
    Descend { layer: usize, at: Candidate },
    /// On the base layer.
    Beam,
    /// Over the first `done` results of the beam the distances are exact.
    Refine { hits: Vec<Hit> },
    /// No walk: every live vector is measured.
    Scan(Scan),
}

/// Which nodes a beam returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Results {
    /// Every node: the dead are links as good as the living until their places are taken.
    Linked,
    /// The living; the dead are walked and take no place.
    Live,
}

impl Search {
    /// The query was framed into `scratch` before.
    pub(crate) fn walk(space: &Space, graph: &Graph, mut scratch: Box<Scratch>, k: usize, ef: usize) -> Search {
        let stage = match graph.root() {
            Some(root) => {
                let at = enter(space, scratch.query.probe(), root, &mut scratch.walk.distances);
                Stage::Descend {
                    layer: graph.height(),
                    at,
                }
            }
            None => Stage::Scan(Scan::new(k)),
        };
        Search { scratch, k, ef, stage }
    }

    pub(crate) fn scan(scratch: Box<Scratch>, k: usize, results: usize) -> Search {
        Search {
            scratch,
            k,
            ef: results,
            stage: Stage::Scan(Scan::new(k.min(results))),
        }
    }

    pub(crate) fn resume(&mut self, space: &Space, graph: &Graph, work: &mut Work) -> Step<Vec<Hit>> {
        self.scratch.walk.visited.cover(space.len());
        loop {
            if let Step::Done(hits) = self.step(space, graph, work) {
                return Step::Done(hits);
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }

    fn step(&mut self, space: &Space, graph: &Graph, work: &mut Work) -> Step<Vec<Hit>> {
        let Scratch { query, walk, .. } = &mut *self.scratch;
        match &mut self.stage {
            Stage::Descend { layer: 0, at } => {
                begin_beam(walk, self.ef, *at, graph, Results::Live);
                self.stage = Stage::Beam;
            }
            Stage::Descend { layer, at } => {
                if !descend(space, graph, *layer, at, query.probe(), walk, work) {
                    *layer -= 1;
                }
            }
            Stage::Beam => {
                if !expand(space, graph, 0, query.probe(), walk, Results::Live, work) {
                    self.stage = Stage::Refine { hits: Vec::new() };
                }
            }
            Stage::Refine { hits } => {
                let results = walk.pool.results();
                let worth = worth_refining(space, results, self.k);
                let from = hits.len();
                let to = (from + REFINED_AT_ONCE).min(worth);
                results[from..to]
                    .iter()
                    .for_each(|candidate| space.prefetch(candidate.slot()));
                // A node may have died since the beam found it: its place is not filled again, which a removal that
                // races a query may cost.
                hits.extend(results[from..to].iter().map(|candidate| {
                    let slot = candidate.slot();
                    Hit::new(space.refine(query, slot), slot)
                }));
                work.spend_distances(2 * (to - from), space.dimension());
                if to == worth {
                    let mut hits = std::mem::take(hits);
                    hits.retain(|hit| graph.is_live(hit.slot.number()));
                    cut(&mut hits, self.k);
                    return Step::Done(hits);
                }
            }
            Stage::Scan(scan) => {
                if scan.step(space, graph, query, work) {
                    let mut hits = scan.take_hits();
                    hits.retain(|hit| graph.is_live(hit.slot.number()));
                    return Step::Done(hits);
                }
            }
        }
        Step::More
    }
}

/// The root, at its distance: where every walk begins.
pub(crate) fn enter(space: &Space, probe: Probe<'_>, root: u32, distances: &mut Vec<f32>) -> Candidate {
    Candidate::new(space.measure_one(probe, root, distances), root)
}

/// One step of the greedy descent: moves `at` to its nearest neighbour on this layer, if one is nearer.
pub(crate) fn descend(
    space: &Space,
    graph: &Graph,
    layer: usize,
    at: &mut Candidate,
    probe: Probe<'_>,
    walk: &mut Walk,
    work: &mut Work,
) -> bool {
    walk.fresh.clear();
    walk.fresh.extend(graph.links(layer, at.slot()).map(Link::slot));
    space.measure(probe, &walk.fresh, &mut walk.distances);
    work.spend_distances(walk.fresh.len() + 1, space.walk_price());
    let neighbours = walk
        .fresh
        .iter()
        .zip(&walk.distances)
        .map(|(&slot, &distance)| Candidate::new(distance, slot));
    match neighbours.min() {
        Some(nearest) if nearest < *at => {
            *at = nearest;
            true
        }
        _ => false,
    }
}

/// Empties the walk's state and puts the first node in.
pub(crate) fn begin_beam(walk: &mut Walk, capacity: usize, at: Candidate, graph: &Graph, results: Results) {
    walk.pool.reset(capacity);
    walk.visited.clear();
    walk.visited.insert(at.slot());
    admit(walk, at, graph, results);
}

/// One step of the beam: measures the neighbours of the nearest candidate not yet expanded. False when none is left that
/// could lead to a better result.
#[inline]
pub(crate) fn expand(
    space: &Space,
    graph: &Graph,
    layer: usize,
    probe: Probe<'_>,
    walk: &mut Walk,
    results: Results,
    work: &mut Work,
) -> bool {
    let Some(at) = walk.pool.next() else {
        return false;
    };
    let slots = graph.links(layer, at.slot()).map(Link::slot);
    walk.visited.sift(slots, graph.capacity(layer), &mut walk.fresh);
    space.measure(probe, &walk.fresh, &mut walk.distances);
    work.spend_distances(walk.fresh.len() + 1, space.walk_price());
    // With no dead node there is nothing to ask about liveness.
    let results = if graph.live_count() == graph.linked_count() {
        Results::Linked
    } else {
        results
    };
    for i in 0..walk.fresh.len() {
        let candidate = Candidate::new(walk.distances[i], walk.fresh[i]);
        if candidate < walk.pool.bound() {
            admit(walk, candidate, graph, results);
        }
    }
    if layer == 0
        && let Some(upcoming) = walk.pool.upcoming()
    {
        let list = graph.base_address(upcoming.slot());
        (0..graph.capacity(0) * 4)
            .step_by(64)
            .for_each(|line| prefetch_line(list.wrapping_add(line)));
    }
    true
}

#[inline]
fn admit(walk: &mut Walk, candidate: Candidate, graph: &Graph, results: Results) {
    if results == Results::Live && !graph.is_live(candidate.slot()) {
        walk.pool.pass_through(candidate);
    } else {
        walk.pool.offer(candidate);
    }
}

/// How many of the results, in the order of the walk, may be among the best k once their distances are exact: k, as many
/// as the walk's order is wrong about, and those which it cannot tell from the last of these.
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

/// Sorts by (distance, slot) and keeps the best k, with every equal of the k-th.
fn cut(hits: &mut Vec<Hit>, k: usize) {
    hits.sort_unstable_by(Hit::order);
    if let Some(last) = hits.get(k - 1).copied() {
        let equals = hits[k..].iter().take_while(|hit| hit.distance == last.distance).count();
        hits.truncate(k + equals);
    }
}

/// Results refined between two looks at the allowance.
const REFINED_AT_ONCE: usize = 32;
