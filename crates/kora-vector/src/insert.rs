//! Inserting a vector: *prepare* searches its neighbours and chooses links, the long part, which changes nothing;
//! *link* sets them, a short step per link.
//!
//! Both may pause anywhere, and other operations may run meanwhile. What keeps that sound: slots are never reused, so a
//! candidate found is still a node; the root never moves; and a node that is linked but not finished is walked and
//! not returned, as a dead one is.

use crate::graph::{Graph, Link};
use crate::pool::Candidate;
use crate::scratch::Scratch;
use crate::search::{begin_beam, descend, enter, expand};
use crate::select::{Offer, is_diverse, offer};
use crate::space::Space;
use crate::work::{Step, Work};

/// An insertion under way. The slot and its row exist; nothing leads to it before the insertion is resumed to its end.
/// One that is given up leaves its slot unused.
#[derive(Debug)]
pub struct Insertion {
    pub(crate) scratch: Box<Scratch>,
    slot: u32,
    ef: usize,
    stage: Stage,
    /// How far it is.
    pub(crate) progress: Progress,
    /// How large the graph was when the search for neighbours began.
    linked_at_start: usize,
    /// Where the links chosen on each layer begin in `scratch.chosen`, the topmost layer first.
    layers: Vec<usize>,
}

/// How far an insertion is, as the index sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The node is not linked, or not on all its layers.
    Linking,
    /// The node is linked; so many loose ones are to be linked too before it counts.
    Helping(usize),
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// Above the node's own layers, at the nearest node found so far.
    Descend {
        layer: usize,
        at: Candidate,
    },
    /// On one of its layers.
    Beam {
        layer: usize,
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

impl Insertion {
    pub(crate) fn new(scratch: Box<Scratch>, slot: u32, ef: usize) -> Insertion {
        Insertion {
            scratch,
            slot,
            ef,
            stage: Stage::Begin,
            progress: Progress::Linking,
            linked_at_start: 0,
            layers: Vec::new(),
        }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    pub(crate) fn resume(&mut self, space: &Space, graph: &mut Graph, work: &mut Work) -> Step<()> {
        self.scratch.walk.visited.cover(space.len());
        loop {
            if let Step::Done(()) = self.step(space, graph, work) {
                return Step::Done(());
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }

    fn step(&mut self, space: &Space, graph: &mut Graph, work: &mut Work) -> Step<()> {
        if matches!(self.stage, Stage::Begin) {
            space.frame_stored(self.slot, &mut self.scratch.query);
        }
        let Scratch {
            query, walk, chosen, ..
        } = &mut *self.scratch;
        let probe = query.probe();
        match &mut self.stage {
            Stage::Begin => {
                let Some(root) = graph.root() else {
                    graph.plant(self.slot);
                    return Step::Done(());
                };
                self.linked_at_start = graph.linked_count();
                chosen.clear();
                self.layers.clear();
                let at = enter(space, probe, root, &mut walk.distances);
                self.stage = Stage::Descend {
                    layer: graph.height(),
                    at,
                };
            }
            Stage::Descend { layer, at } => {
                if *layer <= graph.level(self.slot) {
                    begin_beam(walk, self.ef, *at, true);
                    self.stage = Stage::Beam { layer: *layer };
                } else if !descend(space, graph, *layer, at, probe, walk, work) {
                    *layer -= 1;
                }
            }
            Stage::Beam { layer } => {
                if !expand(space, graph, *layer, probe, walk, &mut |_| true, work) {
                    self.layers.push(chosen.len());
                    self.stage = Stage::Choose { layer: *layer, next: 0 };
                }
            }
            Stage::Choose { .. } => self.choose(space, graph, work),
            Stage::Link { .. } => return self.link(space, graph, work),
        }
        Step::More
    }

    /// Considers one more result of the beam; then the next layer down, or linking.
    fn choose(&mut self, space: &Space, graph: &mut Graph, work: &mut Work) {
        let Stage::Choose { layer, next } = &mut self.stage else {
            unreachable!("called in this stage")
        };
        let layer = *layer;
        let Scratch {
            walk, bench, chosen, ..
        } = &mut *self.scratch;
        let results = walk.pool.results();
        let first = *self.layers.last().expect("this layer's beginning was pushed");
        // M links, on the base layer too: the other half of its places is for links back.
        if *next < results.len() && chosen.len() - first < graph.capacity(1) {
            let candidate = results[*next];
            *next += 1;
            bench.slots.clear();
            bench
                .slots
                .extend(chosen[first..].iter().map(|candidate| candidate.slot()));
            if is_diverse(space, candidate, &bench.slots, &mut bench.measured, work) {
                chosen.push(candidate);
            }
            return;
        }
        if layer > 0 {
            let nearest = results[0].unexpanded();
            begin_beam(walk, self.ef, nearest, true);
            self.stage = Stage::Beam { layer: layer - 1 };
            return;
        }
        // A graph that doubled while this insertion was suspended has neighbours it never saw. Looking again each time
        // it doubles costs a logarithm, and covers the insertion that began beside an almost empty graph.
        if graph.linked_count() > 2 * self.linked_at_start {
            self.stage = Stage::Begin;
            return;
        }
        self.stage = Stage::Link {
            layer: 0,
            next: 0,
            host: self.slot,
        };
    }

    /// Sets the links of one layer one by one, from the base up: whoever meets the node on a layer can go down from it.
    fn link(&mut self, space: &Space, graph: &mut Graph, work: &mut Work) -> Step<()> {
        let Stage::Link { layer, next, host } = &mut self.stage else {
            unreachable!("called in this stage")
        };
        let Scratch { bench, chosen, .. } = &mut *self.scratch;
        let root = [Candidate::new(0.0, graph.root().expect("this node is not the first"))];
        // Layers the graph did not have when the search began hold the root, and whoever came since.
        let chosen = match self.layers.len().checked_sub(*layer + 1) {
            Some(place) => {
                let end = self.layers.get(place + 1).copied().unwrap_or(chosen.len());
                &chosen[self.layers[place]..end]
            }
            None => &root,
        };
        if *host == self.slot {
            // The list and the pinned link in one step: the node is never reached without the one or the other.
            if *layer == 0 {
                graph.admit(self.slot);
            }
            bench.links.clear();
            bench
                .links
                .extend(chosen.iter().map(|candidate| Link::new(candidate.slot(), false)));
            *host = find_host(graph, *layer, chosen, self.slot);
            if bench.links.len() < graph.capacity(*layer) && bench.links.iter().all(|link| link.slot() != *host) {
                bench.links.push(Link::new(*host, false));
            }
            graph.set_links(*layer, self.slot, &bench.links);
            offer(space, graph, (*layer, *host), self.slot, Offer::Pinned, bench, work);
            return Step::More;
        }
        if let Some(neighbour) = chosen.get(*next) {
            *next += 1;
            if neighbour.slot() != *host {
                offer(
                    space,
                    graph,
                    (*layer, neighbour.slot()),
                    self.slot,
                    Offer::Ordinary,
                    bench,
                    work,
                );
            }
            return Step::More;
        }
        if *layer < graph.level(self.slot) {
            self.stage = Stage::Link {
                layer: *layer + 1,
                next: 0,
                host: self.slot,
            };
            return Step::More;
        }
        Step::Done(())
    }
}

/// The node that shall hold the pinned link to the newcomer: the nearest of the chosen with room for one, or else one
/// further down the tree of pinned links. Thousands of identical vectors all choose the same neighbour, and go down.
///
/// Each step down goes to a node linked later, so it ends, at a leaf at the latest. Which way is taken rotates with the
/// number of the newcomer, so that the tree fills evenly and stays shallow.
fn find_host(graph: &Graph, layer: usize, chosen: &[Candidate], newcomer: u32) -> u32 {
    let pinned = |slot| graph.links(layer, slot).filter(|link| link.is_pinned());
    let has_room = |slot| pinned(slot).count() < graph.pinned_max(layer);
    if let Some(near) = chosen
        .iter()
        .map(|candidate| candidate.slot())
        .find(|&slot| has_room(slot))
    {
        return near;
    }
    let mut host = chosen[0].slot();
    let mut turn = newcomer as usize;
    while !has_room(host) {
        let ways = pinned(host).count();
        host = pinned(host)
            .nth(turn % ways)
            .expect("one of the links just counted")
            .slot();
        turn = if turn < ways { newcomer as usize } else { turn / ways };
    }
    host
}
