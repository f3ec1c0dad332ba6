//! The tree of pinned links: the parent of each node, and how the tree is repaired when nodes are removed.
//!
//! A retired node is taken out from below: first the retired ones that hang on it, then each of its other children finds
//! another host, at last its own link is unpinned. After every step each node that stays is in the tree.

use crate::beam::Candidate;
use crate::graph::Graph;
use crate::scratch::Bench;
use crate::select::{Offer, offer};
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::work::Work;

/// Takes one step to get a retired node out of the tree of a layer, beginning with whatever retired hangs on it; `at` is
/// where the last step ended. None when the node is out.
pub(crate) fn detach_step(
    space: &Space,
    graph: &mut Graph,
    states: &SlotStates,
    (layer, slot): (usize, u32),
    at: u32,
    bench: &mut Bench,
    work: &mut Work,
) -> Option<u32> {
    let host = graph
        .host(layer, at)
        .expect("who is in the tree and not the root has a host");
    bench.slots.clear();
    bench.slots.extend(
        graph
            .links(layer, at)
            .filter(|link| link.is_pinned())
            .map(|link| link.slot()),
    );
    work.spend(STEP_WORK);
    if let Some(&retired) = bench.slots.iter().find(|&&child| states.is_retired(child)) {
        return Some(retired);
    }
    let Some(&child) = bench.slots.first() else {
        graph.leave_tree(layer, at);
        return (at != slot).then_some(if states.is_retired(host) { host } else { slot });
    };
    let sibling = bench.slots.get(1).copied();
    graph.unpin(layer, child);
    if let Some(near) = near_host(graph, states, (layer, child), work) {
        attach(space, graph, (layer, near), child, bench, work);
    } else if let Some(sibling) = sibling {
        let host = host_below(graph, layer, sibling, child);
        attach(space, graph, (layer, host), child, bench, work);
    } else {
        take_place(graph, layer, at, child);
        return (at != slot).then_some(if states.is_retired(host) { host } else { slot });
    }
    Some(at)
}

/// Makes another node the entry, one that stays. It has to be linked.
pub(crate) fn move_root(space: &Space, graph: &mut Graph, to: u32, bench: &mut Bench, work: &mut Work) {
    let old = graph.root().expect("a graph with nodes has a root");
    let height = graph.height();
    let level = graph.level(to);
    graph.lift(to, height);
    for layer in 0..=level {
        graph.unpin(layer, to);
    }
    graph.set_root(to);
    for layer in 0..=height {
        let host = host_below(graph, layer, to, old);
        attach(space, graph, (layer, host), old, bench, work);
    }
}

/// The node that shall hold the pinned link to a newcomer: the nearest of the chosen with room for one, or else one
/// further down the tree of pinned links. Thousands of identical vectors all choose the same neighbour, and go down.
pub(crate) fn find_host(graph: &Graph, layer: usize, chosen: &[Candidate], newcomer: u32) -> u32 {
    let near = chosen.iter().map(|candidate| candidate.slot());
    let with_room = near.clone().find(|&slot| graph.has_pinned_room(layer, slot));
    let mut near = near;
    with_room.unwrap_or_else(|| host_below(graph, layer, near.next().expect("some are chosen"), newcomer))
}

/// The node itself, if it has room for a pinned link, or one below it. Each step goes down, so it ends, at a leaf at the
/// latest. Which way is taken rotates with the number of the newcomer, so that the tree fills evenly and stays shallow.
fn host_below(graph: &Graph, layer: usize, top: u32, newcomer: u32) -> u32 {
    let pinned = |slot| graph.links(layer, slot).filter(|link| link.is_pinned());
    let mut host = top;
    let mut turn = newcomer as usize;
    while !graph.has_pinned_room(layer, host) {
        let ways = pinned(host).count();
        host = pinned(host)
            .nth(turn % ways)
            .expect("one of the links just counted")
            .slot();
        turn = if turn < ways { newcomer as usize } else { turn / ways };
    }
    host
}

/// A host for a node that has lost its own, among those it leads to: best one that leads back already.
fn near_host(graph: &Graph, states: &SlotStates, (layer, slot): (usize, u32), work: &mut Work) -> Option<u32> {
    let mut climbs_left = CLIMBS_MAX;
    let mut may = |&host: &u32| {
        !states.is_retired(host)
            && graph.has_pinned_room(layer, host)
            && !hangs_below(graph, layer, (host, slot), ANCESTORS_MAX, &mut climbs_left)
    };
    let leads_back = |&host: &u32| graph.links(layer, host).any(|link| link.slot() == slot);
    let known = || graph.links(layer, slot).map(|link| link.slot());
    let near = known()
        .filter(leads_back)
        .find(&mut may)
        .or_else(|| known().find(&mut may));
    work.spend((CLIMBS_MAX - climbs_left) as u64 * CLIMB_WORK);
    near
}

/// Whether a node hangs on the other one in the tree, directly or not; true if that takes too long to find out.
fn hangs_below(
    graph: &Graph,
    layer: usize,
    (slot, top): (u32, u32),
    ancestors_max: usize,
    climbs_left: &mut usize,
) -> bool {
    let mut at = slot;
    for _ in 0..ancestors_max {
        if at == top || *climbs_left == 0 {
            return true;
        }
        *climbs_left -= 1;
        match graph.host(layer, at) {
            Some(host) => at = host,
            None => return false,
        }
    }
    true
}

/// Hangs a node that nothing is pinned to on this host.
fn attach(
    space: &Space,
    graph: &mut Graph,
    (layer, host): (usize, u32),
    slot: u32,
    bench: &mut Bench,
    work: &mut Work,
) {
    if graph.links(layer, host).any(|link| link.slot() == slot) {
        graph.pin(layer, host, slot);
    } else {
        offer(space, graph, (layer, host), slot, Offer::Pinned, bench, work);
    }
}

/// Hangs a node on another host. False if that has no room, or hangs on the node itself, or stands too deep to tell.
pub(crate) fn rehost(
    space: &Space,
    graph: &mut Graph,
    host: u32,
    slot: u32,
    bench: &mut Bench,
    work: &mut Work,
) -> bool {
    let mut climbs_left = CLIMBS_MAX;
    if graph.host(0, slot).is_none_or(|before| before == host) || !graph.has_pinned_room(0, host) {
        return false;
    }
    let is_below = hangs_below(graph, 0, (host, slot), CLIMBS_MAX, &mut climbs_left);
    work.spend((CLIMBS_MAX - climbs_left) as u64 * CLIMB_WORK);
    if !is_below {
        graph.unpin(0, slot);
        attach(space, graph, (0, host), slot, bench, work);
    }
    !is_below
}

/// Hangs the last child of a node in its place on its host.
fn take_place(graph: &mut Graph, layer: usize, leaving: u32, child: u32) {
    let host = graph.host(layer, leaving).expect("it is in the tree");
    graph.leave_tree(layer, leaving);
    if !graph.links(layer, host).any(|link| link.slot() == child) {
        graph.redirect(layer, host, leaving, child);
    }
    graph.pin(layer, host, child);
}

/// A tree of newcomers is a few dozen deep. One of vectors that came in their order along a line is as deep as there are
/// vectors, and climbing all of it would take longer than it is worth.
const ANCESTORS_MAX: usize = 64;

/// Nor is all of it climbed from each neighbour in one step: a few dozen ways up are enough to find one that may be taken.
const CLIMBS_MAX: usize = 1_024;

/// A look at a host, which is a cache miss in a large index: 0.05 µs.
const CLIMB_WORK: u64 = 128;

/// A step looks at a node's list and at those of its child's neighbours: it was measured at 1 µs (20,000 × 50, M 16, Zen 3).
const STEP_WORK: u64 = 2_048;
