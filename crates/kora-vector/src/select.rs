//! Which links a node keeps: the heuristic of the paper's algorithm 4, and the cutting of a full list.

use crate::beam::Candidate;
use crate::graph::{Graph, Link};
use crate::scratch::{Bench, Measured};
use crate::space::Space;
use crate::work::Work;

/// Whether the link offered to a node shall be the pinned one of the new node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// An ordinary link: kept if the heuristic keeps it.
    Ordinary,
    /// The link that keeps the new node reachable: kept in any case.
    Pinned,
}

/// Whether `candidate` deserves a link beside those already `kept`.
///
/// It does unless one of them is nearer to it than the node itself is: a walk that reaches that one finds the candidate
/// from there, and the place is better spent on another direction. This is what makes a graph navigable where the
/// nearest M would all lie in one clump. A duplicate of a kept one adds no direction at all.
pub(crate) fn is_diverse(
    space: &Space,
    candidate: Candidate,
    kept: &[u32],
    measured: &mut Measured,
    work: &mut Work,
) -> bool {
    let Measured { row, distances } = measured;
    let probe = space.probe(candidate.slot(), row);
    // The kept are nearest first, and the nearest refuse most candidates: so a few at a time, to stop early.
    kept.chunks(GROUP).all(|group| {
        work.spend_distances(group.len(), space.walk_price());
        space
            .measure(probe, group, distances)
            .iter()
            .all(|&distance| distance >= candidate.distance() && !space.is_duplicate(distance))
    })
}

/// Offers `node` a link to `newcomer`; a full list is cut to the best of all. Returns whether the link was taken.
pub(crate) fn offer(
    space: &Space,
    graph: &mut Graph,
    place: (usize, u32),
    newcomer: u32,
    offer: Offer,
    bench: &mut Bench,
    work: &mut Work,
) -> bool {
    let (layer, node) = place;
    let link = Link::new(newcomer, offer == Offer::Pinned);
    let capacity = graph.capacity(layer);
    if offer == Offer::Pinned {
        graph.note_host(layer, node, newcomer);
    }
    if graph.links(layer, node).count() < capacity {
        graph.add_link(layer, node, link);
        return true;
    }
    bench.slots.clear();
    bench.slots.extend(graph.links(layer, node).map(Link::slot));
    bench.slots.push(newcomer);
    work.spend_distances(bench.slots.len(), space.walk_price());
    let Measured { row, distances } = &mut bench.measured;
    let distances = space.measure(space.probe(node, row), &bench.slots, distances);
    let mut pinned: Vec<u32> = graph
        .links(layer, node)
        .filter(|link| link.is_pinned())
        .map(Link::slot)
        .collect();
    if offer == Offer::Pinned {
        pinned.push(newcomer);
    }
    bench.candidates.clear();
    bench.candidates.extend(
        bench
            .slots
            .iter()
            .zip(distances)
            .map(|(&slot, &d)| Candidate::new(d, slot)),
    );
    bench.candidates.sort_unstable();

    // The pinned stay, wherever they stand in the order; the others compete for the places that are left.
    let mut places = capacity - pinned.len();
    bench.slots.clear();
    let mut links = Vec::with_capacity(capacity);
    for &candidate in &bench.candidates {
        let slot = candidate.slot();
        let is_pinned = pinned.contains(&slot);
        if !is_pinned {
            if places == 0 || !is_diverse(space, candidate, &bench.slots, &mut bench.measured, work) {
                continue;
            }
            places -= 1;
        }
        bench.slots.push(slot);
        links.push(Link::new(slot, is_pinned));
    }
    graph.set_links(layer, node, &links);
    bench.slots.contains(&newcomer)
}

/// Kept links that are measured together. A guess: the first four refuse most of what is refused.
const GROUP: usize = 4;
