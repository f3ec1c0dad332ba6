//! Searching among those vectors that a filter admits, so that k are found if there are k.
//!
//! Where they are few each of them is measured, and none else. Where they are many the graph is walked, and a node that is not
//! admitted is not measured: its neighbours that are take its place, as in ACORN-1 (Patel, Kraft, Guestrin, Zaharia, "ACORN:
//! Performant and Predicate-Agnostic Search Over Vector Embeddings and Structured Data", 2024), which leaves the graph as it
//! is. What ACORN-1 loses is kept here: where nothing is admitted around a node, its neighbours are walked whatever they are; and
//! all that are admitted are measured when the walk has measured as many, or comes to an end before it has enough, or finds
//! them much rarer around the query than they are elsewhere.

use crate::admission::Admission;
use crate::beam::Candidate;
use crate::graph::Graph;
use crate::hnsw::{Hit, Index};
use crate::limits::EF_MAX;
use crate::listed::Listed;
use crate::matches::Matches;
use crate::probe::Probe;
use crate::scratch::{Scratch, Walk};
use crate::search::{IndexView, Search, SearchStage, among_nearest, here, refining};
use crate::search_parameters::SearchParameters;
use crate::slot_states::SlotStates;
use crate::sort::Sorting;
use crate::space::Space;
use crate::work::{Step, Work};

impl Index {
    /// Begins a search for the nearest among some vectors. To be resumed with [`Index::resume_search_among`].
    ///
    /// Panics if the query has not the index's dimension, or a number of the aim is 0 or beyond its limit.
    pub fn begin_search_among(&mut self, query: &[f32], parameters: SearchParameters, matches: &Matches) -> Search {
        if self.lists(&parameters, matches.count()) {
            let scratch = self.frame(query, &parameters);
            let mut search = Search::scan(scratch, parameters, Some(self.consolidation.reader()));
            search.stage = SearchStage::Listed(Listed::new(matches.slots().collect()));
            return search;
        }
        let (count, live) = (matches.count(), self.live());
        let ef = match count as f64 / live.max(1) as f64 {
            _ if is_wide(count, live) => parameters.ef,
            share if share < SPARSE => parameters.ef * 2,
            _ => parameters.ef + parameters.ef / 4,
        };
        self.begin_walk(
            query,
            SearchParameters {
                ef: ef.min(EF_MAX),
                ..parameters
            },
        )
    }

    /// Goes on with a search that [`Index::begin_search_among`] has begun. The set is the same, though vectors may have come,
    /// gone and moved.
    pub fn resume_search_among(&mut self, search: &mut Search, matches: &Matches, work: &mut Work) -> Step<Vec<Hit>> {
        self.resume(search, Admission::Among(matches), work)
    }

    /// Whether so many are all measured, which is exact.
    pub fn lists(&self, parameters: &SearchParameters, matches: usize) -> bool {
        self.is_scanned(parameters.ef) || matches <= parameters.k.max(LISTED_PER_RESULT * parameters.ef)
    }
}

impl Search {
    /// One node of the beam among some; then refining, or measuring all of them where that is the shorter way or the only one.
    pub(crate) fn beam_among(&mut self, view: IndexView<'_>, graph: &Graph, matches: &Matches, work: &mut Work) {
        let Scratch { query, walk, .. } = &mut *self.scratch;
        let (space, states) = (view.space, view.states);
        let expanded = expand_among(space, graph, states, query.probe(), walk, matches, work);
        let (read, measured) = expanded.unwrap_or_default();
        self.statistics.nodes += read as u64;
        self.statistics.distances += measured as u64;
        let (has_enough, count) = (walk.beam.has_enough(), matches.count());
        let is_long = !has_enough && self.statistics.distances > count as u64;
        let is_lost = walk.neighbourhood.is_desert(count, states.live_count()) || (expanded.is_none() && !has_enough);
        if is_long || is_lost {
            self.stage = SearchStage::Listed(Listed::new(matches.slots().collect()));
            self.statistics.is_exact = true;
        } else if expanded.is_none() {
            if let Some(meanwhile) = &mut self.meanwhile {
                meanwhile.retain_live(&mut walk.beam, states);
            }
            self.stage = match walk.beam.take_unsorted() {
                Some(results) => SearchStage::Rank(Sorting::new(results)),
                None => refining(self.parameters.k),
            };
        }
    }
}

/// Whether so many of the live vectors are so large a share that the others can be walked through.
pub(crate) fn is_wide(matches: usize, live: usize) -> bool {
    matches as f64 > WIDE * live as f64
}

/// The nodes around one that is expanded.
#[derive(Debug, Default)]
pub(crate) struct Neighbourhood {
    admitted: Vec<u32>,
    others: Vec<u32>,
    /// Links that were followed since the beam began, and how many of them led to one that is admitted.
    asked: u64,
    passed: u64,
}

impl Neighbourhood {
    /// A beam begins.
    pub(crate) fn begin(&mut self) {
        (self.asked, self.passed) = (0, 0);
    }

    /// Whether those that are admitted are much rarer around here than elsewhere: then the nearest of them are far, where many
    /// are as far, and a walk does not tell them apart.
    pub(crate) fn is_desert(&self, matches: usize, live: usize) -> bool {
        let expected = self.asked.saturating_mul(matches as u64) / live.max(1) as u64;
        expected >= EXPECTED_MIN && self.passed * DESERT_SHARE < expected
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.admitted.capacity() + self.others.capacity()) * size_of::<u32>()
    }
}

/// One step of a beam among those that are admitted: how many nodes' links it read and how many it measured; none when there is
/// nothing left to expand.
///
/// Of the neighbours those that are admitted are measured. The lists of the others are read until as many are found as there are
/// neighbours, and they count as expanded by that.
fn expand_among(
    space: &Space,
    graph: &Graph,
    states: &SlotStates,
    probe: Probe<'_>,
    walk: &mut Walk,
    matches: &Matches,
    work: &mut Work,
) -> Option<(usize, usize)> {
    let Walk {
        beam,
        visited,
        distances,
        near,
        neighbourhood,
        ..
    } = walk;
    let at = beam.next()?;
    let admits = |slot: u32| matches.admits(slot) && states.is_live(slot);
    let Neighbourhood {
        admitted,
        others,
        asked,
        passed,
    } = neighbourhood;
    admitted.clear();
    others.clear();
    for link in graph.links(0, at.slot()) {
        let slot = here(states, link);
        let passes = admits(slot);
        *asked += 1;
        *passed += u64::from(passes);
        if visited.holds(slot) {
            continue;
        }
        if passes {
            visited.insert(slot);
            admitted.push(slot);
        } else {
            others.push(slot);
        }
    }
    let wanted = admitted.len() + others.len();
    let mut read = 0;
    while read < others.len() && admitted.len() < wanted {
        let slot = others[read];
        read += 1;
        visited.insert(slot);
        for link in graph.links(0, slot) {
            let slot = here(states, link);
            let passes = admits(slot);
            *asked += 1;
            *passed += u64::from(passes);
            if passes && !visited.holds(slot) {
                visited.insert(slot);
                admitted.push(slot);
            }
        }
    }
    work.spend(read as u64 * LIST_WORK);
    let is_barren = admitted.is_empty();
    let measured = if is_barren { &*others } else { &*admitted };
    let distances = space.measure(probe, measured, distances);
    work.spend_distances(measured.len() + 1, space.walk_price());
    for &place in among_nearest(distances, beam.reach(), near) {
        let candidate = Candidate::new(distances[place as usize], measured[place as usize]);
        match is_barren {
            true => beam.pass_through(candidate),
            false => beam.offer(candidate),
        }
    }
    Some((1 + read, measured.len()))
}

/// Up to so many for each result that a walk keeps are all measured: a walk among all measures 20 to 22 (100,000 × 50, M 16),
/// each of them as dear as one of a list.
const LISTED_PER_RESULT: usize = 50;

/// A walk among more than this share of the live vectors passes through the others as through removed ones.
const WIDE: f64 = 0.75;

/// Below this share a walk keeps twice as many candidates, since it comes by fewer nodes, and a quarter more where more are
/// admitted. At ef 50, where all are found with a recall of 0.967 (100,000 × 50): 0.924 of 3 % without, 0.956 of 30 %.
const SPARSE: f64 = 0.1;

/// What is said of the surroundings is said when so many admitted ones were to be expected there.
const EXPECTED_MIN: u64 = 32;

/// Where there is less than one in so many of what was expected, those that are admitted lie elsewhere.
const DESERT_SHARE: u64 = 4;

/// What it costs to read a list of links and to ask for each of them, in units of work.
const LIST_WORK: u64 = 256;

#[cfg(test)]
mod tests;
