//! Walking the graph: the greedy descent through the upper layers, the beam on one layer, and the search made of both.

pub(crate) use crate::admission::Admission;
use crate::among::is_wide;
use crate::beam::{Beam, Candidate};
use crate::consolidate::Reader;
use crate::distance::prefetch_line;
use crate::exact::Scan;
use crate::graph::{Graph, Link};
use crate::hnsw::{Hit, Slot};
use crate::listed::Listed;
use crate::meanwhile::Meanwhile;
use crate::probe::Probe;
use crate::scratch::{Scratch, Walk};
use crate::search_parameters::SearchParameters;
use crate::slot_states::SlotStates;
use crate::sort::Sorting;
use crate::space::Space;
use crate::stop_rule::{Growth, StopRule};
use crate::work::{Step, Work};

/// A search under way. It holds its own copy of the query and no reference into the index, so inserts, removals and
/// other searches may run between its slices. The answer is that of the moment when the last of them runs. As long as it is kept,
/// no slot that it has returned is given to another vector.
#[derive(Debug)]
pub struct Search {
    pub(crate) scratch: Box<Scratch>,
    pub(crate) parameters: SearchParameters,
    /// Whether it walks for the second time, with a larger ef.
    pub(crate) has_widened: bool,
    /// Whether it walks for the second time, from other entries.
    pub(crate) has_begun_again: bool,
    pub(crate) statistics: Statistics,
    pub(crate) stage: SearchStage,
    /// None before its first pause.
    pub(crate) meanwhile: Option<Box<Meanwhile>>,
    /// None for one that is done at once.
    _reader: Option<Reader>,
}

/// What a search has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Distances computed, those of the walk and those of the answer.
    pub distances: u64,
    /// Nodes whose links were read.
    pub nodes: u64,
    /// Walks that ended in the wrong place, as it seems, so that it was looked again, more widely.
    pub astray: u64,
    /// Whether every admissible vector was measured, so that nothing nearer can have been missed.
    pub is_exact: bool,
}

#[derive(Debug)]
pub(crate) enum SearchStage {
    /// Nothing of the graph was read yet, so what changes before the first slice changes nothing for the search.
    Begin,
    /// Above the base layer, at the nearest node found so far.
    Descend { layer: usize, at: Candidate },
    /// On the base layer.
    Beam,
    /// Above it, once more and more widely, since the walk went astray.
    Wide { layer: usize },
    /// The beam is done; so many of its results have been measured on the rows.
    Refine { hits: Vec<Candidate> },
    /// No walk: every live vector is measured.
    Scan(Scan),
    /// No walk: those of a list are measured.
    Listed(Listed),
    /// The beam has found so many that they are put in order first.
    Rank(Sorting),
    /// So many hits that they are put in order some at a time.
    Order(Sorting),
}

/// The parts of an index that a search reads.
#[derive(Clone, Copy)]
pub(crate) struct IndexView<'a> {
    pub(crate) space: &'a Space,
    pub(crate) graph: Option<&'a Graph>,
    pub(crate) states: &'a SlotStates,
    pub(crate) growth: Growth,
}

impl Search {
    /// The query was framed into `scratch` before.
    pub(crate) fn walk(scratch: Box<Scratch>, parameters: SearchParameters, reader: Option<Reader>) -> Search {
        Search::new(SearchStage::Begin, scratch, parameters, reader)
    }

    pub(crate) fn scan(scratch: Box<Scratch>, parameters: SearchParameters, reader: Option<Reader>) -> Search {
        let scan = Scan::new(parameters.k.min(parameters.ef));
        let mut search = Search::new(SearchStage::Scan(scan), scratch, parameters, reader);
        search.statistics.is_exact = true;
        search
    }

    fn new(stage: SearchStage, scratch: Box<Scratch>, parameters: SearchParameters, reader: Option<Reader>) -> Search {
        Search {
            scratch,
            parameters,
            has_widened: false,
            has_begun_again: false,
            statistics: Statistics::default(),
            stage,
            meanwhile: None,
            _reader: reader,
        }
    }

    /// What it has cost so far; after its end, in all.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    pub(crate) fn resume(
        &mut self,
        view: IndexView<'_>,
        admission: &mut Admission<'_>,
        work: &mut Work,
    ) -> Step<Vec<Hit>> {
        self.cover(view);
        loop {
            if let Some(hits) = self.advance(view, admission, work) {
                return Step::Done(hits);
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }

    /// Makes room for what it notes of the slots there are, at the beginning of a slice.
    pub(crate) fn cover(&mut self, view: IndexView<'_>) {
        self.scratch.walk.visited.cover(view.space.len());
    }

    /// One step; the answer if it was the last one.
    pub(crate) fn advance(
        &mut self,
        view: IndexView<'_>,
        admission: &mut Admission<'_>,
        work: &mut Work,
    ) -> Option<Vec<Hit>> {
        match self.step(view, admission, work) {
            Step::Done(found) => self.conclude(found, view, admission, work),
            Step::More => None,
        }
    }

    /// Goes on; all that was measured for the answer when there is no more, the nearest first.
    fn step(&mut self, view: IndexView<'_>, admission: &mut Admission<'_>, work: &mut Work) -> Step<Vec<Candidate>> {
        let space = view.space;
        let Scratch { query, walk, .. } = &mut *self.scratch;
        if let SearchStage::Scan(scan) = &mut self.stage {
            return match scan.step(space, view.states, query, admission, work) {
                Some(measured) => {
                    self.statistics.distances += measured as u64;
                    Step::More
                }
                None => {
                    self.stage = SearchStage::Order(Sorting::new(scan.take_hits()));
                    Step::More
                }
            };
        }
        if let SearchStage::Listed(listed) = &mut self.stage {
            match listed.step(space, view.states, query, work) {
                Some(measured) => self.statistics.distances += measured as u64,
                None => self.stage = SearchStage::Order(Sorting::new(listed.take_hits())),
            }
            return Step::More;
        }
        if let SearchStage::Order(sorting) = &mut self.stage {
            return sorting.resume(work);
        }
        let graph = view
            .graph
            .expect("a search that walks began on a graph, and graphs stay");
        match &mut self.stage {
            SearchStage::Begin => self.begin(space, graph),
            SearchStage::Descend { layer: 0, at } => {
                let here = view.states.resolve(at.slot()).unwrap_or(at.slot());
                *at = Candidate::new(at.distance(), here);
                let is_result = view.states.is_live(at.slot()) && admission.admits(at.slot());
                let stop_rule = view.growth.stop_rule(space.metric(), &self.parameters);
                // Where the walk's distances say nothing, nothing follows from them.
                let stop_rule = stop_rule.filter(|_| !self.has_widened);
                begin_beam(walk, self.parameters.ef, stop_rule, *at, is_result);
                walk.neighbourhood.begin();
                self.stage = SearchStage::Beam;
            }
            SearchStage::Descend { layer, at } => {
                if !descend(space, graph, view.states, (*layer, at), query.probe(), walk, work) {
                    *layer -= 1;
                }
                self.statistics.nodes += 1;
                self.statistics.distances += walk.visited.fresh().len() as u64;
            }
            SearchStage::Beam => return self.beam(view, graph, admission, work),
            SearchStage::Wide { .. } => self.look_widely(view, graph, work),
            SearchStage::Refine { .. } => self.refine(view, work),
            SearchStage::Rank(sorting) => {
                if let Step::Done(sorted) = sorting.resume(work) {
                    walk.beam.put_sorted(sorted);
                    self.stage = refining(self.parameters.k);
                }
            }
            SearchStage::Scan(_) | SearchStage::Listed(_) | SearchStage::Order(_) => unreachable!("handled above"),
        }
        Step::More
    }

    /// Begins the walk at the root, or a scan where all nodes have gone.
    fn begin(&mut self, space: &Space, graph: &Graph) {
        self.stage = match graph.root() {
            Some(root) => {
                self.statistics.distances += 1;
                begin_walk(space, graph, root, &mut self.scratch)
            }
            None => {
                self.statistics.is_exact = true;
                SearchStage::Scan(Scan::new(self.parameters.k.min(self.parameters.ef)))
            }
        };
    }

    /// One node of the beam; then refining, or a scan where that is the shorter way.
    fn beam(
        &mut self,
        view: IndexView<'_>,
        graph: &Graph,
        admission: &mut Admission<'_>,
        work: &mut Work,
    ) -> Step<Vec<Candidate>> {
        if let Admission::Among(matches) = admission
            && !is_wide(matches.count(), view.states.live_count())
        {
            self.beam_among(view, graph, matches, work);
            return Step::More;
        }
        let Scratch { query, walk, .. } = &mut *self.scratch;
        let (space, states) = (view.space, view.states);
        let all_live = states.live_count() == graph.linked_count();
        let went_on = match admission {
            Admission::All if all_live => expand(space, graph, states, 0, query.probe(), walk, &mut |_| true, work),
            Admission::All => {
                let mut admits = |slot| states.is_live(slot);
                expand(space, graph, states, 0, query.probe(), walk, &mut admits, work)
            }
            Admission::If(predicate) => {
                let mut admits = |slot| states.is_live(slot) && predicate(Slot::from_index(slot as usize));
                expand(space, graph, states, 0, query.probe(), walk, &mut admits, work)
            }
            Admission::Among(matches) => {
                let mut admits = |slot| states.is_live(slot) && matches.admits(slot);
                expand(space, graph, states, 0, query.probe(), walk, &mut admits, work)
            }
        };
        if !went_on {
            let has_enough = walk.beam.has_enough();
            // All are reached from the root, though perhaps not from where this walk came down.
            if let Some(root) = graph.root().filter(|&root| !has_enough && !walk.visited.holds(root)) {
                let root = enter(space, query.probe(), root, &mut walk.distances);
                offer_or_pass(walk, root, states.is_live(root.slot()) && admission.admits(root.slot()));
                return Step::More;
            }
            if let Some(meanwhile) = &mut self.meanwhile {
                // The dead take no place of those that are left.
                let live = meanwhile.retain_live(&mut walk.beam, states);
                // All are reached, unless nodes were removed while the walk paused: a child of one of those may hang on a node
                // by now that was walked before.
                if !has_enough && matches!(admission, Admission::All) && live < states.live_count() {
                    self.stage = SearchStage::Scan(Scan::new(self.parameters.k.min(self.parameters.ef)));
                    self.statistics.is_exact = true;
                    return Step::More;
                }
            }
            if matches!(admission, Admission::All) && self.begins_again(view, graph, work) {
                return Step::More;
            }
            let walk = &mut self.scratch.walk;
            self.stage = match walk.beam.take_unsorted() {
                Some(results) => SearchStage::Rank(Sorting::new(results)),
                None => refining(self.parameters.k),
            };
            return Step::More;
        }
        self.statistics.nodes += 1;
        self.statistics.distances += walk.visited.fresh().len() as u64;
        let found = walk.beam.result_count();
        if !walk.beam.has_enough() && self.statistics.distances >= TRIAL_DISTANCES {
            // At this rate it would have enough after so many distances.
            let expected = self.statistics.distances * walk.beam.wanted() as u64 / found.max(1) as u64;
            if expected > states.live_count() as u64 {
                self.stage = SearchStage::Scan(Scan::new(self.parameters.k.min(self.parameters.ef)));
                self.statistics.is_exact = true;
            }
        }
        Step::More
    }
}

/// The root, at its distance.
pub(crate) fn enter(space: &Space, probe: Probe<'_>, root: u32, distances: &mut Vec<f32>) -> Candidate {
    Candidate::new(space.measure_one(probe, root, distances), root)
}

/// The same, where a descent begins.
pub(crate) fn begin_descent(space: &Space, probe: Probe<'_>, root: u32, walk: &mut Walk) -> Candidate {
    walk.visited.cover(space.len());
    walk.visited.clear();
    walk.visited.insert(root);
    enter(space, probe, root, &mut walk.distances)
}

/// One step of the greedy descent: moves `at` to its nearest neighbour on this layer, if one is nearer. Nodes measured
/// on the way, on this layer or above, were not nearer than where it led.
pub(crate) fn descend(
    space: &Space,
    graph: &Graph,
    states: &SlotStates,
    (layer, at): (usize, &mut Candidate),
    probe: Probe<'_>,
    walk: &mut Walk,
    work: &mut Work,
) -> bool {
    walk.visited.mark();
    let links = graph.links(layer, at.slot()).map(|link| here(states, link));
    walk.visited.sift(links, graph.capacity(layer));
    let fresh = walk.visited.fresh();
    let distances = space.measure(probe, fresh, &mut walk.distances);
    work.spend_distances(fresh.len() + 1, space.walk_price());
    let neighbours = fresh
        .iter()
        .zip(distances)
        .map(|(&slot, &distance)| Candidate::new(distance, slot));
    match neighbours.min() {
        Some(nearest) if nearest < *at => {
            *at = nearest;
            true
        }
        _ => false,
    }
}

/// Empties the walk's state and puts the first node in, as a result or to be passed through. The beam keeps `capacity` results,
/// or ends at a stop rule.
pub(crate) fn begin_beam(
    walk: &mut Walk,
    capacity: usize,
    stop_rule: Option<StopRule>,
    at: Candidate,
    is_result: bool,
) {
    match stop_rule {
        Some(stop_rule) => walk.beam.reset_within(stop_rule),
        None => walk.beam.reset(capacity),
    }
    walk.visited.clear();
    offer_or_pass(walk, at, is_result);
}

fn offer_or_pass(walk: &mut Walk, at: Candidate, is_result: bool) {
    walk.visited.insert(at.slot());
    if is_result {
        walk.beam.offer(at);
    } else {
        walk.beam.pass_through(at);
    }
}

/// One step of the beam: measures the neighbours of the two nearest candidates not yet expanded. False when none is left
/// that could lead to a better result. Whom `admits` turns away is walked and takes no place.
///
/// Two, since a step is mostly waiting: for the lists, and then for what they name. The second would have been expanded
/// next anyway, unless the first leads to a nearer one, which costs two distances in a hundred and finds as much more.
#[inline]
#[expect(
    clippy::too_many_arguments,
    reason = "the inner loop: each is at hand where it is called"
)]
pub(crate) fn expand(
    space: &Space,
    graph: &Graph,
    states: &SlotStates,
    layer: usize,
    probe: Probe<'_>,
    walk: &mut Walk,
    admits: &mut impl FnMut(u32) -> bool,
    work: &mut Work,
) -> bool {
    if !std::mem::take(&mut walk.is_open) && !open(graph, states, layer, walk) {
        return false;
    }
    let Walk {
        beam,
        visited,
        distances,
        near,
        ..
    } = walk;
    let fresh = visited.fresh();
    let distances = space.measure(probe, fresh, distances);
    work.spend_distances(fresh.len() + 1, space.walk_price());
    for &place in among_nearest(distances, beam.reach(), near) {
        let slot = fresh[place as usize];
        let candidate = Candidate::new(distances[place as usize], slot);
        if admits(slot) {
            beam.offer(candidate);
        } else {
            beam.pass_through(candidate);
        }
    }
    if layer == 0 {
        prefetch_lists(graph, beam);
    }
    true
}

/// The first half of such a step: takes the two nearest candidates and finds out which of their neighbours are to be measured.
/// False when no candidate is left.
#[inline]
pub(crate) fn open(graph: &Graph, states: &SlotStates, layer: usize, walk: &mut Walk) -> bool {
    let Walk { beam, visited, .. } = walk;
    let Some(at) = beam.next() else {
        return false;
    };
    let also = beam.next();
    if layer == 0 {
        prefetch_lists(graph, beam);
    }
    visited.mark();
    for node in [Some(at), also].into_iter().flatten() {
        let links = graph.links(layer, node.slot());
        if states.has_moves() {
            let slots = links.map(|link| here(states, link));
            visited.sift(slots, graph.capacity(layer));
        } else {
            visited.sift(links.map(Link::slot), graph.capacity(layer));
        }
    }
    true
}

/// The places of the distances within reach. Most are not, and no branch depends on which.
#[inline]
pub(crate) fn among_nearest<'a>(distances: &[f32], reach: f32, near: &'a mut Vec<u32>) -> &'a [u32] {
    if near.len() < distances.len() {
        near.resize(distances.len(), 0);
    }
    let mut count = 0;
    for (place, &distance) in distances.iter().enumerate() {
        near[count] = place as u32;
        count += usize::from(distance <= reach);
    }
    &near[..count]
}

/// Where a link leads to: a moved vector is found at its new slot.
pub(crate) fn here(states: &SlotStates, link: Link) -> u32 {
    states.resolve(link.slot()).unwrap_or(link.slot())
}

/// Asks the caches for the links of the nodes that are likely to be expanded next.
#[inline]
fn prefetch_lists(graph: &Graph, beam: &Beam) {
    for upcoming in beam.upcoming() {
        let list = graph.base_address(upcoming.slot());
        (0..graph.capacity(0) * 4)
            .step_by(64)
            .for_each(|line| prefetch_line(list.wrapping_add(line)));
    }
}

/// At the root, on the highest layer.
fn begin_walk(space: &Space, graph: &Graph, root: u32, scratch: &mut Scratch) -> SearchStage {
    let at = begin_descent(space, scratch.query.probe(), root, &mut scratch.walk);
    let layer = graph.height();
    SearchStage::Descend { layer, at }
}

/// Before the first result is refined, with room for as many as a short answer mostly takes.
pub(crate) fn refining(k: usize) -> SearchStage {
    let hits = Vec::with_capacity(2 * k.min(SHORT_ANSWER_MAX));
    SearchStage::Refine { hits }
}

/// The best k, with every equal of the k-th.
pub(crate) fn best(sorted: &[Candidate], k: usize) -> Vec<Hit> {
    let equals = match sorted.get(k - 1) {
        Some(last) => sorted[k..]
            .iter()
            .take_while(|hit| hit.distance() == last.distance())
            .count(),
        None => 0,
    };
    let hit = |candidate: &Candidate| Hit::new(candidate.distance(), candidate.slot());
    sorted[..sorted.len().min(k + equals)].iter().map(hit).collect()
}

/// So many results at most are looked at again after each few refined, which costs as many steps each time.
pub(crate) const SHORT_ANSWER_MAX: usize = 32;

/// Distances after which a walk that has not filled its beam is judged. A guess: about what a whole search at ef 50
/// costs.
const TRIAL_DISTANCES: u64 = 1_000;
