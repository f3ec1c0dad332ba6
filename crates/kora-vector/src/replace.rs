//! The short way to replace a vector by one that is near it: the new node takes over the old one's place.
//!
//! # Why not in the same slot
//!
//! Searches and insertions that pause hold slots and distances. A slot that got another vector under their hands would
//! make them tell a distance that is not there, and would close the door to readers on other threads. So the new vector
//! has a slot of its own, as any other, and the old one is removed as any other; what is spared is nearly all of the
//! search for neighbours, and the repair of the lists of its neighbours.
//!
//! # How
//!
//! 1. The old vector is *near* if the new one lies much nearer to it than to any of its neighbours ([`near`]).
//! 2. Then its level becomes the new node's, and a small beam that begins there finds the neighbours; from those the
//!    heuristic chooses as always. The links of the old node come beside them ([`keep_links`]): they were chosen among more
//!    candidates, and the old node's list is as long as it is because others offered themselves. Without them lists shrink
//!    to what one insertion chooses, with few links that lead far.
//! 3. Nodes that lead to the old node are not offered the new one: at the end their link is redirected ([`take_over`]). The old
//!    node leads to the new one alone from then on. So its neighbours are not reconnected when it is removed (see `reconnect`),
//!    and lists that name it still, those of nodes that it did not know, get the new one in its place (see `repair_links`).
//!
//! Where the old vector is not near, the new one is inserted as if there were none, only not linked to the old.
//!
//! # Measured
//!
//! See `benches/results/churn.md`, scenarios `drift` (this) and `apart` (the same vectors, each set beside the old one, which
//! is deleted then).

use crate::beam::Candidate;
use crate::graph::{Graph, Link};
use crate::probe::Probe;
use crate::scratch::Walk;
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::work::Work;

/// A node whose vector is replaced, and the new one.
#[derive(Clone, Copy)]
pub(crate) struct Replacement {
    pub(crate) old: u32,
    pub(crate) new: u32,
}

impl Replacement {
    /// That of a predecessor, wherever it stands by now, if its place can be taken: it is linked, stays for the time being,
    /// and stands on as many layers. The root's can't, since it has to stay on the highest.
    pub(crate) fn of(graph: &Graph, states: &SlotStates, predecessor: u32, new: u32) -> Option<Replacement> {
        let old = states.resolve(predecessor)?;
        let can = graph.host(0, old).is_some() && graph.level(old) == graph.level(new);
        can.then_some(Replacement { old, new })
    }
}

/// The old node at its distance from the new vector, if that is near.
///
/// How near is told by what walk distances exceed the new vector's distance from itself, which works for each metric: it is
/// the square of the way under l2, and about that under cosine.
pub(crate) fn near(
    space: &Space,
    graph: &Graph,
    Replacement { old, new }: Replacement,
    probe: Probe<'_>,
    walk: &mut Walk,
    work: &mut Work,
) -> Option<Candidate> {
    walk.neighbours.clear();
    walk.neighbours.extend([new, old]);
    walk.neighbours.extend(graph.links(0, old).map(Link::slot));
    work.spend_distances(walk.neighbours.len(), space.walk_price());
    let distances = space.measure(probe, &walk.neighbours, &mut walk.distances);
    let (own, way) = (distances[0], distances[1]);
    let nearest = distances[2..].iter().copied().fold(f32::INFINITY, f32::min);
    (way - own <= (nearest - own) * NEAR).then(|| Candidate::new(way, old))
}

/// Lets the new node keep links of the old one beside those that were `chosen`, which begin at `first`: as many as the
/// old one had, or as are enough.
pub(crate) fn keep_links(
    graph: &Graph,
    states: &SlotStates,
    layer: usize,
    Replacement { old, new }: Replacement,
    chosen: &mut Vec<Candidate>,
    first: usize,
) {
    let enough = graph.capacity(layer) * 3 / 4;
    let wanted = graph.links(layer, old).count().min(enough);
    for slot in graph.links(layer, old).filter_map(|link| states.resolve(link.slot())) {
        if chosen.len() - first >= wanted {
            return;
        }
        let is_chosen = chosen[first..].iter().any(|candidate| candidate.slot() == slot);
        if slot != new && !is_chosen && !states.is_leaving(slot) {
            chosen.push(Candidate::new(KEPT, slot));
        }
    }
}

/// Whether a node was chosen by the heuristic and so is to be offered a link back.
pub(crate) fn is_offered(chosen: Candidate) -> bool {
    chosen.distance() < KEPT
}

/// Turns the links to the old node to the new one, which is linked, and lets the old one lead there alone: with what is
/// pinned to it, until it leaves.
pub(crate) fn take_over(
    graph: &mut Graph,
    states: &SlotStates,
    Replacement { old, new }: Replacement,
    work: &mut Work,
) {
    let mut links = Vec::with_capacity(graph.capacity(0));
    for layer in 0..=graph.level(old) {
        links.clear();
        links.extend(graph.links(layer, old));
        work.spend(links.len() as u64 * LOOK_WORK);
        for from in links.iter().filter_map(|link| states.resolve(link.slot())) {
            let is_turned = graph.links(layer, from).any(|link| link == Link::new(old, false))
                && graph.links(layer, from).all(|link| link.slot() != new);
            if is_turned && from != new {
                graph.redirect(layer, from, old, new);
            }
        }
        links.retain(|link| link.is_pinned() && link.slot() != new);
        // Lists of two may be pinned altogether.
        if links.len() < graph.capacity(layer) {
            links.insert(0, Link::new(new, graph.host(layer, new) == Some(old)));
        }
        graph.set_links(layer, old, &links);
    }
}

/// The beam of the short way.
pub(crate) const SHORT_EF: usize = 64;

/// The old vector is near if the way from it is at most this part of the way to the nearest of its neighbours, both squared:
/// 0.45 of it.
const NEAR: f32 = 0.2;

/// The distance of a link that was kept without being measured.
const KEPT: f32 = f32::MAX;

/// A look at a list: 0.1 µs.
const LOOK_WORK: u64 = 256;
