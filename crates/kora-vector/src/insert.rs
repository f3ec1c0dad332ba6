//! Inserting a vector: *prepare* searches its neighbours and chooses links, the long part, which changes nothing;
//! *link* sets them, a short step per link.
//!
//! Both may pause anywhere, and other operations may run meanwhile. What keeps that sound: an insertion is a
//! [`Reader`], so that no slot it knows is given to another vector; what it has found and is retired by the time of
//! linking is left out, what moved is followed; and a node that is linked but not finished is walked and not returned, as
//! a dead one is.

use crate::astray::{enter_from, is_astray};
use crate::beam::Candidate;
use crate::consolidate::{Consolidation, Reader};
use crate::graph::{Graph, Link};
use crate::hnsw::Slot;
use crate::replace::{Replacement, SHORT_EF, is_offered, keep_links, near, take_over};
use crate::route::Route;
use crate::scratch::Scratch;
use crate::search::{begin_beam, begin_descent, descend, enter, expand};
use crate::select::{Offer, fill_up, is_diverse, link_both, offer};
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::tree::find_host;
use crate::work::{Step, Work};

/// An insertion under way. The slot and its row exist; nothing leads to it before the insertion is resumed to its end.
/// One that is given up leaves its slot unused.
#[derive(Debug)]
pub struct Insertion {
    pub(crate) scratch: Box<Scratch>,
    slot: u32,
    ef: usize,
    stage: InsertionStage,
    /// Whose place it takes, if there is one: see `replace`.
    predecessor: Option<u32>,
    /// Whether its neighbours were sought from there on.
    is_short: bool,
    /// How far it is.
    pub(crate) progress: Progress,
    /// Units of work that linking it has cost.
    pub(crate) spent: u64,
    /// How large the graph was when the search for neighbours began.
    linked_at_start: usize,
    /// Where the links chosen on each layer begin in `scratch.chosen`, the topmost layer first.
    layers: Vec<usize>,
    /// How a search for the vector goes.
    route: Route,
    /// None before it knows other slots than its own. Given up with the rest when the insertion ends.
    reader: Option<Reader>,
}

/// How far an insertion is, as the index sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// If the dead are more than there should be, so much work is still to be done on that.
    Consolidating(u64),
    /// The node is not linked, or not on all its layers.
    Linking,
    /// The node is linked; so many loose ones are to be linked too before it counts.
    Helping(usize),
}

#[derive(Debug)]
enum InsertionStage {
    Begin,
    /// Above the node's own layers, at the nearest node found so far.
    Descend {
        layer: usize,
        at: Candidate,
    },
    /// On one of its layers: so many nodes were expanded there, and so many that are on their way out took places.
    Beam {
        layer: usize,
        expanded: usize,
        leaving: usize,
    },
    /// The beam is done; of its results, those before `next` have been considered.
    Choose {
        layer: usize,
        next: usize,
    },
    /// The links on the layers below are set. On this one the node's own list is, if `host` holds the pinned link to it
    /// (and is not the node itself, as before that), and the first `next` neighbours were offered a link back.
    Link {
        layer: usize,
        next: usize,
        host: u32,
    },
}

impl InsertionStage {
    fn beam(layer: usize) -> InsertionStage {
        InsertionStage::Beam {
            layer,
            expanded: 0,
            leaving: 0,
        }
    }
}

impl Insertion {
    pub(crate) fn new(scratch: Box<Scratch>, slot: u32, ef: usize) -> Insertion {
        Insertion {
            scratch,
            slot,
            ef,
            stage: InsertionStage::Begin,
            predecessor: None,
            is_short: false,
            progress: Progress::Linking,
            spent: 0,
            linked_at_start: 0,
            layers: Vec::new(),
            route: Route::default(),
            reader: None,
        }
    }

    /// Lets it take the place of another vector, if that is near. To be called before it is resumed, with a reader.
    pub(crate) fn take_place_of(&mut self, predecessor: u32, reader: Reader) {
        self.predecessor = Some(predecessor);
        self.reader = Some(reader);
    }

    /// What it found on the base layer, nearest first, once it is done: nothing if it took another one's place.
    pub(crate) fn found(&mut self) -> &[Candidate] {
        match self.is_short || self.layers.is_empty() {
            true => &[],
            false => self.scratch.walk.beam.results(),
        }
    }

    /// Whether its first walk ended in the wrong place.
    pub(crate) fn went_astray(&self) -> bool {
        self.route.is_wide()
    }

    /// The slot of its vector, from its beginning on.
    pub fn slot(&self) -> Slot {
        Slot::from_index(self.slot as usize)
    }

    /// The predecessor and this node, if that one's place is being taken and still can be.
    fn replacement(&self, graph: &Graph, states: &SlotStates) -> Option<Replacement> {
        let predecessor = self.predecessor.filter(|_| self.is_short)?;
        Replacement::of(graph, states, predecessor, self.slot)
    }

    /// Makes it a reader. To be called before it is resumed.
    pub(crate) fn read(&mut self, consolidation: &Consolidation) {
        self.reader.get_or_insert_with(|| consolidation.reader());
    }

    pub(crate) fn resume(
        &mut self,
        space: &Space,
        graph: &mut Graph,
        states: &SlotStates,
        work: &mut Work,
    ) -> Step<()> {
        debug_assert!(self.reader.is_some(), "a slot that it knows is given to nobody else");
        self.scratch.walk.visited.cover(space.len());
        loop {
            if let Step::Done(()) = self.step(space, graph, states, work) {
                return Step::Done(());
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }

    fn step(&mut self, space: &Space, graph: &mut Graph, states: &SlotStates, work: &mut Work) -> Step<()> {
        if matches!(self.stage, InsertionStage::Begin) {
            space.frame_stored(self.slot, &mut self.scratch.query);
        }
        let Scratch {
            query, walk, chosen, ..
        } = &mut *self.scratch;
        let probe = query.probe();
        match &mut self.stage {
            InsertionStage::Begin => {
                let Some(root) = graph.root() else {
                    graph.plant(self.slot);
                    return Step::Done(());
                };
                self.linked_at_start = graph.linked_count();
                chosen.clear();
                self.layers.clear();
                self.route.clear();
                let both = self
                    .predecessor
                    .and_then(|old| Replacement::of(graph, states, old, self.slot));
                let near = both.and_then(|both| near(space, graph, both, probe, walk, work));
                self.is_short = near.is_some();
                if let Some(at) = near {
                    begin_beam(walk, self.ef.min(SHORT_EF), None, at, false);
                    self.stage = InsertionStage::beam(graph.level(self.slot));
                    return Step::More;
                }
                let at = begin_descent(space, probe, root, walk);
                self.stage = InsertionStage::Descend {
                    layer: graph.height(),
                    at,
                };
            }
            InsertionStage::Descend { layer, at } => {
                // Layers that the graph got after the walk began are none of its own: it never entered them.
                let top = graph.level(self.slot).min(*layer);
                if *layer > 0 && descend(space, graph, states, (*layer, at), probe, walk, work) {
                    return Step::More;
                }
                if *layer > top {
                    self.route.pass(*layer, *at);
                    *layer -= 1;
                } else {
                    if top > 0 {
                        self.route.end(top, *at);
                    }
                    begin_beam(walk, self.ef, None, *at, !states.is_leaving(at.slot()));
                    walk.beam.limit_equals();
                    self.stage = InsertionStage::beam(top);
                }
            }
            InsertionStage::Beam { .. } => self.beam(space, graph, states, work),
            InsertionStage::Choose { .. } => self.choose(space, graph, states, work),
            InsertionStage::Link { .. } => {
                let step = self.link(space, graph, states, work);
                if step == Step::Done(())
                    && let Some(both) = self.replacement(graph, states)
                {
                    take_over(graph, states, both, work);
                }
                return step;
            }
        }
        Step::More
    }

    /// One step of the beam on a layer; then its results are considered, or it begins again from the top and more widely.
    fn beam(&mut self, space: &Space, graph: &mut Graph, states: &SlotStates, work: &mut Work) {
        let InsertionStage::Beam {
            layer,
            expanded,
            leaving,
        } = &mut self.stage
        else {
            unreachable!("called in this stage")
        };
        let layer = *layer;
        let Scratch {
            query,
            walk,
            chosen,
            bench,
            ..
        } = &mut *self.scratch;
        let probe = query.probe();
        // Those that are on their way out make no neighbours. As long as they are few they may take places all the
        // same: to walk on until as many others are found would make an insertion dearer by their share.
        let ef = if self.is_short { self.ef.min(SHORT_EF) } else { self.ef };
        let places = ef / 2;
        // Where nearly all are leaving, the neighbours are sought among so many.
        let others = walk.beam.result_count().saturating_sub((*leaving).min(places));
        let is_enough = *expanded > PATIENCE * self.ef && others > 0;
        let mut admits = |slot| {
            let is_leaving = states.is_leaving(slot);
            *leaving += usize::from(is_leaving);
            !is_leaving || *leaving <= places
        };
        *expanded += 1;
        if !self.is_short {
            self.route.watch(&mut walk.beam);
        }
        if !is_enough && expand(space, graph, states, layer, probe, walk, &mut admits, work) {
            return;
        }
        let may_look_widely = layer == 0 && !self.is_short && self.route.may_look_widely(graph);
        if may_look_widely && is_astray(space, walk.beam.results(), &mut bench.measured, work) {
            self.route.look_widely();
            // Where no other leads to, perhaps: then it leads to those that will come beside it.
            graph.lift(self.slot, 1);
            chosen.clear();
            self.layers.clear();
            let root = graph.root().expect("a graph that was walked has a root");
            let at = begin_descent(space, probe, root, walk);
            begin_beam(walk, self.ef, None, at, !states.is_leaving(root));
            self.stage = InsertionStage::beam(graph.height());
            return;
        }
        if layer <= graph.level(self.slot) {
            self.layers.push(chosen.len());
        }
        self.stage = InsertionStage::Choose { layer, next: 0 };
    }

    /// Considers one more result of the beam; then the next layer down, or linking.
    fn choose(&mut self, space: &Space, graph: &mut Graph, states: &SlotStates, work: &mut Work) {
        let InsertionStage::Choose { layer, next } = &mut self.stage else {
            unreachable!("called in this stage")
        };
        let layer = *layer;
        let Scratch {
            walk, bench, chosen, ..
        } = &mut *self.scratch;
        let results = walk.beam.results();
        if layer > graph.level(self.slot) {
            let nearest = results.first().map(|nearest| nearest.unexpanded());
            let stop = nearest.and_then(|nearest| Some((self.route.stops(layer, nearest).next()?, nearest)));
            if let Some((stop, nearest)) = stop {
                link_both(space, graph, states, (layer, stop.slot(), nearest.slot()), bench, work);
            }
            return self.end_layer(space, graph, states, layer, nearest);
        }
        let first = *self.layers.last().expect("this layer's beginning was pushed");
        // M links, on the base layer too: the other half of its places is for links back.
        if *next < results.len() && chosen.len() - first < graph.capacity(1) {
            let candidate = results[*next];
            *next += 1;
            // A retired node is no neighbour, and neither is the predecessor, which will be retired.
            let predecessor = self.predecessor.and_then(|slot| states.resolve(slot));
            let there = states.resolve(candidate.slot());
            if there.is_none_or(|there| states.is_leaving(there) || Some(there) == predecessor) {
                return;
            }
            bench.slots.clear();
            bench
                .slots
                .extend(chosen[first..].iter().map(|candidate| candidate.slot()));
            if is_diverse(space, candidate, &bench.slots, &mut bench.measured, work) {
                chosen.push(candidate);
            }
            return;
        }
        if layer == 0 {
            let predecessor = self.predecessor.and_then(|slot| states.resolve(slot));
            let stays = |candidate: &&Candidate| {
                let there = states.resolve(candidate.slot());
                there.is_some_and(|there| !states.is_leaving(there) && Some(there) != predecessor)
            };
            fill_up(chosen, first, results.iter().filter(stays), graph.capacity(1) / 2);
        }
        let nearest = results.first().map(|nearest| nearest.unexpanded());
        self.end_layer(space, graph, states, layer, nearest);
    }

    /// The links on a layer are chosen, and this was the nearest of its nodes.
    fn end_layer(
        &mut self,
        space: &Space,
        graph: &Graph,
        states: &SlotStates,
        layer: usize,
        nearest: Option<Candidate>,
    ) {
        let replacement = self.replacement(graph, states);
        let Scratch {
            query, walk, chosen, ..
        } = &mut *self.scratch;
        if let Some(both) = replacement {
            let first = *self.layers.last().expect("this layer's beginning was pushed");
            keep_links(graph, states, layer, both, chosen, first);
        }
        if layer > 0 {
            // Only the root may stay.
            let nearest = nearest.unwrap_or_else(|| {
                let root = graph.root().expect("whoever walks began at one");
                enter(space, query.probe(), root, &mut walk.distances)
            });
            let ef = if self.is_short { self.ef.min(SHORT_EF) } else { self.ef };
            // From all that was found here: what is near on the next layer may be in parts that meet only on this one.
            let entries = &mut self.route.entries;
            entries.clear();
            entries.push(nearest);
            entries.extend(walk.beam.results().iter().skip(1).map(|near| near.unexpanded()));
            enter_from(walk, entries, (ef, None), |slot| !states.is_leaving(slot));
            walk.beam.limit_equals();
            self.stage = InsertionStage::beam(layer - 1);
            return;
        }
        // A graph that doubled while this insertion was suspended has neighbours it never saw. Looking again each time
        // it doubles costs a logarithm, and covers the insertion that began beside an almost empty graph.
        if graph.linked_count() > 2 * self.linked_at_start {
            self.stage = InsertionStage::Begin;
            return;
        }
        self.stage = InsertionStage::Link {
            layer: 0,
            next: 0,
            host: self.slot,
        };
    }

    /// Sets the links of one layer one by one, from the base up: a walk that meets the node on a layer can go down from it.
    fn link(&mut self, space: &Space, graph: &mut Graph, states: &SlotStates, work: &mut Work) -> Step<()> {
        let replacement = self.replacement(graph, states);
        let InsertionStage::Link { layer, next, host } = &mut self.stage else {
            unreachable!("called in this stage")
        };
        let Scratch { bench, chosen, .. } = &mut *self.scratch;
        let root = [Candidate::new(0.0, graph.root().expect("this node is not the first"))];
        // Layers the graph did not have when the search began hold the root, and nodes added since.
        let range = self.layers.len().checked_sub(*layer + 1).map(|place| {
            let end = self.layers.get(place + 1).copied().unwrap_or(chosen.len());
            self.layers[place]..end
        });
        if *host == self.slot {
            let found = range.map_or(&[][..], |range| &chosen[range]);
            let mut staying = staying(states, found);
            if staying.is_empty() {
                // All that were found are retired by now: others are sought.
                if *layer == 0 && !found.is_empty() {
                    self.stage = InsertionStage::Begin;
                    return Step::More;
                }
                staying.extend(root);
            }
            // The list and the pinned link in one step: the node is never reached without the one or the other.
            if *layer == 0 {
                graph.admit(self.slot);
            }
            bench.links.clear();
            bench
                .links
                .extend(staying.iter().map(|candidate| Link::new(candidate.slot(), false)));
            *host = find_host(graph, *layer, &staying, self.slot);
            let is_known = bench.links.iter().any(|link| link.slot() == *host);
            if bench.links.len() < graph.capacity(*layer) && !is_known && !states.is_retired(*host) {
                bench.links.push(Link::new(*host, false));
            }
            graph.set_links(*layer, self.slot, &bench.links);
            offer(space, graph, (*layer, *host), self.slot, Offer::Pinned, bench, work);
            // Where a search ends before it comes so far, links begin as well.
            let stops: Vec<Candidate> = self.route.stops(*layer, staying[0]).collect();
            for stop in self::staying(states, &stops) {
                let stands = graph.is_linked(stop.slot()) && graph.level(stop.slot()) >= *layer;
                if stands && !leads_to(graph, *layer, stop.slot(), self.slot) {
                    offer(
                        space,
                        graph,
                        (*layer, stop.slot()),
                        self.slot,
                        Offer::Ordinary,
                        bench,
                        work,
                    );
                }
            }
            return Step::More;
        }
        let chosen = range.map_or(&root[..], |range| &chosen[range]);
        if let Some(neighbour) = chosen.get(*next) {
            *next += 1;
            let there = states.resolve(neighbour.slot());
            // Links to the predecessor are redirected here at the end.
            let leads_here = |there: u32| {
                leads_to(graph, *layer, there, self.slot)
                    || replacement.is_some_and(|both| leads_to(graph, *layer, there, both.old))
            };
            let is_offered = is_offered(*neighbour);
            if let Some(there) = there.filter(|&there| is_offered && !leads_here(there)) {
                offer(space, graph, (*layer, there), self.slot, Offer::Ordinary, bench, work);
            }
            return Step::More;
        }
        if *layer < graph.level(self.slot) {
            self.stage = InsertionStage::Link {
                layer: *layer + 1,
                next: 0,
                host: self.slot,
            };
            return Step::More;
        }
        Step::Done(())
    }
}

/// Those of the chosen that stay, where they are now.
fn staying(states: &SlotStates, chosen: &[Candidate]) -> Vec<Candidate> {
    let mut staying: Vec<Candidate> = Vec::with_capacity(chosen.len());
    for candidate in chosen {
        if let Some(there) = states.resolve(candidate.slot())
            && staying.iter().all(|other| other.slot() != there)
        {
            staying.push(Candidate::new(candidate.distance(), there));
        }
    }
    staying
}

/// Whether a link is there already, as that of the host is, or that of a node met under two numbers.
fn leads_to(graph: &Graph, layer: usize, slot: u32, target: u32) -> bool {
    graph.links(layer, slot).any(|link| link.slot() == target)
}

/// Nodes that are expanded for each place in the beam while it is not full: only among many dead it takes more than one.
const PATIENCE: usize = 4;
