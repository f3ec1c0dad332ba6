//! Mending the list of a node that loses neighbours: other links take their places.

use crate::graph::{Graph, Link};
use crate::pool::Candidate;
use crate::roll::Roll;
use crate::scratch::{Bench, Measured, Scratch};
use crate::select::is_diverse;
use crate::space::Space;
use crate::work::Work;

/// Takes the doomed out of a node's list. Whoever moved is followed. In the place of each that goes comes one of those that
/// the doomed led to, if the heuristic finds that it deserves a link beside the ones that stay.
pub(crate) fn mend(
    space: &Space,
    graph: &mut Graph,
    roll: &Roll,
    (layer, slot): (usize, u32),
    scratch: &mut Scratch,
    work: &mut Work,
) {
    work.spend(LOOK_WORK);
    if !graph.links(layer, slot).any(|link| roll.is_doomed(link.slot())) {
        return;
    }
    let bench = &mut scratch.bench;
    bench.links.clear();
    bench.gone.clear();
    for link in graph.links(layer, slot) {
        match roll.resolve(link.slot()) {
            Some(there) => {
                debug_assert!(
                    bench.links.iter().all(|link| link.slot() != there),
                    "nobody linked there before"
                );
                bench.links.push(Link::new(there, link.is_pinned()));
            }
            None => {
                debug_assert!(!link.is_pinned(), "the doomed left the tree");
                bench.gone.push(link.slot());
            }
        }
    }
    let lost = bench.gone.len();
    if lost > 0 {
        gather(graph, roll, (layer, slot), scratch, work);
        let full = (scratch.bench.links.len() + lost).max(graph.capacity(1));
        choose(space, slot, (lost, full), &mut scratch.bench, work);
    }
    let bench = &mut scratch.bench;
    // Whoever goes down from a layer above may come here first, and has to find the way to the others.
    if let Some(host) = graph.host(layer, slot)
        && bench.links.len() < graph.capacity(layer)
        && bench.links.iter().all(|link| link.slot() != host)
    {
        bench.links.push(Link::new(host, false));
    }
    graph.set_links(layer, slot, &bench.links);
}

/// Collects whom the doomed lead to, in `bench.slots`. Where they lead to each other mostly, as in the middle of a deleted
/// topic, those others' links are looked at too.
fn gather(graph: &Graph, roll: &Roll, (layer, slot): (usize, u32), scratch: &mut Scratch, work: &mut Work) {
    let Scratch { walk, bench, .. } = scratch;
    let visited = &mut walk.visited;
    visited.cover(roll.slots());
    visited.clear();
    visited.insert(slot);
    bench.links.iter().for_each(|link| visited.insert(link.slot()));
    bench.gone.iter().for_each(|&doomed| visited.insert(doomed));
    bench.slots.clear();
    let lost = bench.gone.len();
    let mut next = 0;
    while let Some(&doomed) = bench.gone.get(next) {
        next += 1;
        if next > lost && (next > FOLLOWED_MAX || bench.slots.len() >= CANDIDATES_MIN + CANDIDATES_PER_LOST * lost) {
            return;
        }
        work.spend(LOOK_WORK);
        visited.mark();
        visited.sift(graph.links(layer, doomed).map(Link::slot), graph.capacity(layer));
        for &other in visited.fresh() {
            if roll.is_doomed(other) {
                bench.gone.push(other);
            } else if !roll.is_leaving(other) && bench.slots.len() < CANDIDATES_MAX {
                bench.slots.push(other);
            }
        }
    }
}

/// Adds the nearest of the candidates that deserve it to the links, as many as were lost.
fn choose(space: &Space, slot: u32, (lost, full): (usize, usize), bench: &mut Bench, work: &mut Work) {
    let Measured { row, distances } = &mut bench.measured;
    work.spend_distances(bench.slots.len(), space.walk_price());
    let distances = space.measure(space.probe(slot, row), &bench.slots, distances);
    bench.candidates.clear();
    let measured = bench.slots.iter().zip(distances);
    bench
        .candidates
        .extend(measured.map(|(&slot, &distance)| Candidate::new(distance, slot)));
    bench.candidates.sort_unstable();
    bench.slots.clear();
    bench.slots.extend(bench.links.iter().map(|link| link.slot()));
    for &candidate in bench.candidates.iter().take(TRIED_MIN + TRIED_PER_LOST * lost) {
        if bench.links.len() == full {
            return;
        }
        if is_diverse(space, candidate, &bench.slots, &mut bench.measured, work) {
            bench.slots.push(candidate.slot());
            bench.links.push(Link::new(candidate.slot(), false));
        }
    }
}

/// A look at a list: about what a distance costs.
const LOOK_WORK: u64 = 64;

/// Lists of the doomed that are read for one node. Its own lost neighbours are fewer than a list is long.
const FOLLOWED_MAX: usize = 192;

/// With so many candidates, and so many more for each lost link, the doomed of the doomed are left alone.
const CANDIDATES_MIN: usize = 16;
const CANDIDATES_PER_LOST: usize = 4;

/// Candidates that are measured for one node, at most.
const CANDIDATES_MAX: usize = 256;

/// Candidates that are tried, nearest first, and more for each lost link.
const TRIED_MIN: usize = 8;
const TRIED_PER_LOST: usize = 4;
