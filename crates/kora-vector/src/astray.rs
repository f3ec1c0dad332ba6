//! Walks that went astray, and looking again from the top, more widely.
//!
//! A walk follows falling distances from one entry. Where groups of vectors lie far from each other it may end in the wrong
//! group, and no larger beam helps: everything around is of that group. Its results tell: the nearest of them lies much nearer
//! to its own neighbours than to what was sought ([`is_astray`]). Where a vector really lies alone they say the same, so all
//! that follows is bounded.
//!
//! A second walk goes down through the upper layers with a beam on each instead of a single node, and enters the base layer from
//! all that it found. Those layers hold one vector in M, so beams there see far.

use crate::beam::{Candidate, SORTED_MAX};
use crate::exact::Scan;
use crate::graph::Graph;
use crate::scratch::{Measured, Scratch, Walk};
use crate::search::{IndexView, Search, SearchStage, begin_beam, begin_descent, expand};
use crate::space::Space;
use crate::stop_rule::{StopRule, shift};
use crate::work::Work;

/// Whether the nearest of the results, in order, lies much farther from what was sought than from its own neighbours.
pub(crate) fn is_astray(space: &Space, results: &[Candidate], measured: &mut Measured, work: &mut Work) -> bool {
    let Some((nearest, others)) = results.split_first() else {
        return false;
    };
    let (Some(shift), Some(others)) = (shift(space.metric()), others.get(..NEIGHBOURS)) else {
        return false;
    };
    let reach = (nearest.distance() + shift) / ASTRAY;
    // Rounded off, where distances are differences.
    if reach <= shift * ROUNDING {
        return false;
    }
    let mut slots = [0; NEIGHBOURS];
    slots
        .iter_mut()
        .zip(others)
        .for_each(|(slot, other)| *slot = other.slot());
    work.spend_distances(NEIGHBOURS, space.walk_price());
    let Measured { row, distances } = measured;
    let probe = space.probe(nearest.slot(), row);
    space
        .measure(probe, &slots, distances)
        .iter()
        .all(|distance| distance + shift < reach)
}

/// Begins a beam with what a beam on the layer above found.
pub(crate) fn enter_from(
    walk: &mut Walk,
    entries: &[Candidate],
    (capacity, stop_rule): (usize, Option<StopRule>),
    mut is_result: impl FnMut(u32) -> bool,
) {
    let Some((first, others)) = entries.split_first() else {
        return;
    };
    begin_beam(walk, capacity, stop_rule, *first, is_result(first.slot()));
    for &entry in others {
        if !walk.visited.holds(entry.slot()) {
            walk.visited.insert(entry.slot());
            if is_result(entry.slot()) {
                walk.beam.offer(entry);
            } else {
                walk.beam.pass_through(entry);
            }
        }
    }
}

impl Search {
    /// Whether its walk went astray and another one begins; a scan if it was the second, and there are not too many vectors.
    pub(crate) fn begins_again(&mut self, view: IndexView<'_>, graph: &Graph, work: &mut Work) -> bool {
        let Scratch {
            query,
            walk,
            bench,
            chosen,
            ..
        } = &mut *self.scratch;
        let (space, ef) = (view.space, self.parameters.ef);
        let is_scanned = view.states.live_count() <= ef.saturating_mul(SCANNED_PER_RESULT);
        let may = match self.has_begun_again {
            true => is_scanned,
            false => graph.height() > 0,
        };
        // Larger beams are not in order before their end.
        if !may || ef > SORTED_MAX || !is_astray(space, walk.beam.results(), &mut bench.measured, work) {
            return false;
        }
        self.statistics.astray += 1;
        if std::mem::replace(&mut self.has_begun_again, true) {
            self.stage = SearchStage::Scan(Scan::new(self.parameters.k.min(ef)));
            self.statistics.is_exact = true;
            return true;
        }
        let Some(root) = graph.root() else {
            return false;
        };
        chosen.clear();
        let earlier = walk.beam.results().iter().take(EARLIER_KEPT);
        chosen.extend(earlier.map(|near| near.unexpanded()));
        let at = begin_descent(space, query.probe(), root, walk);
        begin_beam(walk, WIDE_EF, None, at, true);
        self.statistics.distances += 1;
        self.stage = SearchStage::Wide { layer: graph.height() };
        true
    }

    /// One step of the second walk above the base layer.
    pub(crate) fn look_widely(&mut self, view: IndexView<'_>, graph: &Graph, work: &mut Work) {
        let (space, states) = (view.space, view.states);
        let Scratch {
            query, walk, chosen, ..
        } = &mut *self.scratch;
        let SearchStage::Wide { layer } = &mut self.stage else {
            unreachable!("called in this stage")
        };
        if expand(space, graph, states, *layer, query.probe(), walk, &mut |_| true, work) {
            self.statistics.nodes += 1;
            self.statistics.distances += walk.visited.fresh().len() as u64;
            return;
        }
        let mut entries: Vec<Candidate> = walk.beam.results().iter().map(|near| near.unexpanded()).collect();
        *layer -= 1;
        if *layer > 0 {
            enter_from(walk, &entries, (WIDE_EF, None), |_| true);
            return;
        }
        entries.append(chosen);
        entries.iter_mut().for_each(|entry| {
            *entry = Candidate::new(entry.distance(), states.resolve(entry.slot()).unwrap_or(entry.slot()))
        });
        let stop_rule = view
            .growth
            .stop_rule(space.metric(), &self.parameters)
            .filter(|_| !self.has_widened);
        enter_from(walk, &entries, (self.parameters.ef, stop_rule), |slot| {
            states.is_live(slot)
        });
        walk.neighbourhood.begin();
        self.stage = SearchStage::Beam;
    }
}

/// Results of the first walk that the second one goes on from.
const EARLIER_KEPT: usize = 32;

/// Nodes that the second walk keeps on each upper layer: as many as an insertion does by default.
const WIDE_EF: usize = 200;

/// A walk that went astray twice is followed by a scan of at most so many vectors for each result that was asked for: then that
/// costs at most four times what a walk does, see `WALK_PER_RESULT`.
const SCANNED_PER_RESULT: usize = 48;

/// Neighbours of the nearest result that are looked at.
const NEIGHBOURS: usize = 5;

/// The square of the distance to the nearest result is more than so many times those to its neighbours. A guess: true of 8 in
/// 39,000 words where they are inserted (GloVe, 50-d), and of every vector that is far from a group which it seeks.
const ASTRAY: f32 = 4.0;

/// What f32 leaves of a difference.
const ROUNDING: f32 = 1e-5;
