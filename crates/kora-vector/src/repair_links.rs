//! Repairs the list of a node that loses neighbours: other links take their places.
//!
//! Most links to a retired node have been reconnected by now (see `reconnect`). What is left are links it did not return. On the
//! base layer most of those lists are repaired without measuring. Who was worth a link stood in some direction, and the nearest
//! to it stands there too: so that one takes the place, if the list has not links enough without, or has no other link there. For
//! one lost link in four the dead node's farthest is tried first, and taken if the heuristic finds that it leads somewhere
//! new. Lists that are short, or lose many links at once as at the rim of a deleted topic, and those of upper layers, of which
//! there are few and which all walks pass, are repaired by the heuristic from all that the retired lead to.
//!
//! The test of recall under replacement in `hnsw`, whose vectors lie in clumps, finds 0.988 beside 1.000 of a new index, mean
//! of six worlds, and 0.962 without bridging and without regard to nodes that have no other link there.

use crate::beam::Candidate;
use crate::graph::{Graph, Link};
use crate::scratch::{Bench, Measured, Scratch};
use crate::select::is_diverse;
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::work::Work;

/// Removes the retired nodes from a node's list. Links to moved vectors are updated. Removed links are replaced by neighbours of
/// the retired nodes.
pub(crate) fn repair_links(
    space: &Space,
    graph: &mut Graph,
    states: &SlotStates,
    (layer, slot): (usize, u32),
    scratch: &mut Scratch,
    work: &mut Work,
) {
    work.spend(LOOK_WORK);
    if !graph.links(layer, slot).any(|link| states.is_retired(link.slot())) {
        return;
    }
    let bench = &mut scratch.bench;
    bench.links.clear();
    bench.gone.clear();
    for link in graph.links(layer, slot) {
        match states.resolve(link.slot()) {
            Some(there) => {
                debug_assert!(
                    bench.links.iter().all(|link| link.slot() != there),
                    "nobody linked there before"
                );
                bench.links.push(Link::new(there, link.is_pinned()));
            }
            None => {
                debug_assert!(!link.is_pinned(), "retired nodes are not in the tree");
                bench.gone.push(link.slot());
            }
        }
    }
    let lost = bench.gone.len();
    let before = bench.links.len() + lost;
    let has_many = bench.links.len() >= graph.capacity(1) && lost * MANY_ONE_IN <= before;
    if lost > 0 && layer == 0 && has_many {
        inherit(space, graph, states, slot, bench, work);
    } else if lost > 0 {
        let full = before.max(graph.capacity(1));
        gather(graph, states, (layer, slot), scratch, work);
        choose(space, slot, (lost, full), &mut scratch.bench, work);
    }
    let bench = &mut scratch.bench;
    // A walk that comes down from a layer above may arrive here first, and has to reach the others.
    if let Some(host) = graph.host(layer, slot)
        && bench.links.len() < graph.capacity(layer)
        && bench.links.iter().all(|link| link.slot() != host)
    {
        bench.links.push(Link::new(host, false));
    }
    graph.set_links(layer, slot, &bench.links);
}

/// Puts the links of a retired node on the base layer in the order that [`inherit`] wants, the nearest first. To be called when
/// nothing hangs on the node any more.
pub(crate) fn arrange(space: &Space, graph: &mut Graph, slot: u32, bench: &mut Bench, work: &mut Work) {
    bench.slots.clear();
    bench.slots.extend(graph.links(0, slot).map(Link::slot));
    sort_by_distance(space, slot, bench, work);
    bench.links.clear();
    let sorted = bench.candidates.iter();
    bench.links.extend(sorted.map(|near| Link::new(near.slot(), false)));
    graph.set_links(0, slot, &bench.links);
}

/// Takes neighbours of the retired nodes: the farthest here and there, or else the nearest unless there are links enough.
fn inherit(space: &Space, graph: &Graph, states: &SlotStates, slot: u32, bench: &mut Bench, work: &mut Work) {
    let enough = graph.capacity(0) * 11 / 16;
    let Bench {
        slots,
        measured,
        links,
        gone,
        ..
    } = bench;
    slots.clear();
    slots.extend(links.iter().map(|link| link.slot()));
    for &retired in &*gone {
        work.spend(LOOK_WORK);
        let is_new = |other: &u32| *other != slot && !slots.contains(other) && !states.is_leaving(*other);
        let mut heir = None;
        if (slot ^ retired).is_multiple_of(FARTHEST_ONE_IN) {
            let known = graph.links(0, retired).map(Link::slot);
            heir = known.filter(is_new).last().filter(|&far| {
                work.spend_distances(1, space.walk_price());
                let probe = space.probe(slot, &mut measured.row);
                let distance = space.measure_one(probe, far, &mut measured.distances);
                is_diverse(space, Candidate::new(distance, far), slots, measured, work)
            });
        }
        // A link to where no other leads may be the only way from one clump to another.
        let is_alone = || !graph.links(0, retired).any(|link| slots.contains(&link.slot()));
        if heir.is_none() && (slots.len() < enough || is_alone()) {
            heir = graph.links(0, retired).map(Link::slot).find(is_new);
        }
        if let Some(heir) = heir {
            slots.push(heir);
            links.push(Link::new(heir, false));
        }
    }
}

/// Collects the neighbours of the retired nodes in `bench.slots`. Where they mostly lead to each other, as inside
/// a deleted topic, the links of those are collected, too.
fn gather(graph: &Graph, states: &SlotStates, (layer, slot): (usize, u32), scratch: &mut Scratch, work: &mut Work) {
    let Scratch { walk, bench, .. } = scratch;
    let visited = &mut walk.visited;
    visited.cover(states.slots());
    visited.clear();
    visited.insert(slot);
    bench.links.iter().for_each(|link| visited.insert(link.slot()));
    bench.gone.iter().for_each(|&retired| visited.insert(retired));
    bench.slots.clear();
    let lost = bench.gone.len();
    let mut next = 0;
    while let Some(&retired) = bench.gone.get(next) {
        next += 1;
        if next > lost && (next > FOLLOWED_MAX || bench.slots.len() >= CANDIDATES_MIN + CANDIDATES_PER_LOST * lost) {
            return;
        }
        work.spend(LOOK_WORK);
        visited.mark();
        visited.sift(graph.links(layer, retired).map(Link::slot), graph.capacity(layer));
        for &other in visited.fresh() {
            if states.is_retired(other) {
                bench.gone.push(other);
            } else if !states.is_leaving(other) && bench.slots.len() < CANDIDATES_MAX {
                bench.slots.push(other);
            }
        }
    }
}

/// Adds the nearest of the candidates that deserve it to the links, as many as were lost.
fn choose(space: &Space, slot: u32, (lost, full): (usize, usize), bench: &mut Bench, work: &mut Work) {
    sort_by_distance(space, slot, bench, work);
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

/// Measures `bench.slots` from a node, and leaves them in `bench.candidates`, the nearest first.
pub(crate) fn sort_by_distance(space: &Space, slot: u32, bench: &mut Bench, work: &mut Work) {
    let Measured { row, distances } = &mut bench.measured;
    work.spend_distances(bench.slots.len(), space.walk_price());
    let distances = space.measure(space.probe(slot, row), &bench.slots, distances);
    bench.candidates.clear();
    let measured = bench.slots.iter().zip(distances);
    bench
        .candidates
        .extend(measured.map(|(&slot, &distance)| Candidate::new(distance, slot)));
    bench.candidates.sort_unstable();
}

/// A list that loses more than one link of so many is repaired by measuring.
const MANY_ONE_IN: usize = 4;

/// For one lost link in so many the farthest is tried. More often was no better, for words and for clumps.
const FARTHEST_ONE_IN: u32 = 4;

/// A look at a list: 0.1 µs.
pub(crate) const LOOK_WORK: u64 = 256;

/// Lists of the retired that are read for one node. Its own lost neighbours are fewer than a list is long.
const FOLLOWED_MAX: usize = 192;

/// With so many candidates, and so many more for each lost link, the retired of the retired are left alone.
const CANDIDATES_MIN: usize = 16;
const CANDIDATES_PER_LOST: usize = 4;

/// Candidates that are measured for one node, at most.
const CANDIDATES_MAX: usize = 256;

/// Candidates that are tried, nearest first, and more for each lost link.
const TRIED_MIN: usize = 8;
const TRIED_PER_LOST: usize = 4;
