//! Bridging the gap that a retired node leaves: those it led to are tied to each other.
//!
//! Of the links to a node four in five come from nodes that it leads to itself. So the circle of those is nearly all there is
//! to repair, and each of them is a candidate for all others: their distances from each other are measured once, while
//! their rows are in the caches, and serve all of them. Who loses a link and may take another in its place is then a matter
//! of bits. What is not seen that way are neighbours from outside the circle: to measure from those as well costs half an
//! insertion more for each of the dead, and is hardly better.
//!
//! 1. Parts of the circle that nothing but the retired one holds together are tied by their nearest pair: so a clump of vectors
//!    is not lost with the one link that led there.
//! 2. Pairs of which both lose a link are tied, the nearest first: each gains as many links to it as it loses. Without that
//!    the best placed gain many and others none.
//! 3. A member that still loses a link takes the nearest that leads somewhere new.
//! 4. Where both lists have room, further pairs are tied. Nodes inserted early into a growing index have links that lead far,
//!    and in a full index there are no early ones: a few more links make up for it.
//!
//! Links to the retired node from outside the circle are left to the sweep (see `repair_links`).
//!
//! Measured with 100,000 words (50-d, M 16, ef_construction 200) after 200,000 changes at random, recall@10 at ef 100 and what
//! a set costs beside one into a fresh index, which has 0.982: nothing but the sweep 0.972 and 0.88; all lists repaired by the
//! heuristic from what the retired lead to 0.978 and 1.19; all of this 0.980 and 1.06, without the last step 0.977.

use crate::beam::Candidate;
use crate::distance::prefetch_line;
use crate::graph::{Graph, Link};
use crate::scratch::{Bench, Measured};
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::work::Work;

/// The nodes that a retired one leads to on a layer.
#[derive(Debug, Default)]
pub(crate) struct Circle {
    members: Vec<u32>,
    /// For each member, a bit for each that it leads to.
    known: Vec<u64>,
    /// How many links each member has.
    lengths: Vec<usize>,
    /// A bit for each member that leads to the retired one.
    losing: u64,
    /// All pairs of members, the nearest first: a candidate's slot stands for both their places.
    pairs: Vec<Candidate>,
}

/// Links the neighbours of a retired node to each other in its place. No link from or to it is pinned.
pub(crate) fn reconnect(
    space: &Space,
    graph: &mut Graph,
    states: &SlotStates,
    (layer, retired): (usize, u32),
    bench: &mut Bench,
    work: &mut Work,
) {
    let Bench { circle, measured, .. } = bench;
    let price = space.walk_price() as u64 + PAIR_WORK;
    let members_max = ((2 * PAIRS_WORK_MAX / price).isqrt() as usize).clamp(2, MEMBERS_MAX);
    let members = graph
        .links(layer, retired)
        .map(Link::slot)
        .filter(|&slot| !states.is_leaving(slot));
    circle.members.clear();
    circle.members.extend(members.take(members_max));
    if circle.members.is_empty() {
        return;
    }
    if layer == 0 {
        circle.members.iter().for_each(|&member| prefetch_list(graph, member));
    }
    circle.measure(space, measured);
    circle.read_lists(graph, (layer, retired));
    work.spend(circle.members.len() as u64 * MEMBER_WORK + circle.pairs.len() as u64 * price);
    circle.hold_together(graph, (layer, retired));
    for tie in [Tie::Both, Tie::Either, Tie::Beside] {
        circle.tie(graph, (layer, retired), tie);
    }
}

/// Who of a pair takes the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// Both, in the place of the retired one.
    Both,
    /// Either of them, in the place of the retired one.
    Either,
    /// Both, beside what they have.
    Beside,
}

impl Circle {
    fn read_lists(&mut self, graph: &Graph, (layer, retired): (usize, u32)) {
        let places = Places::new(&self.members);
        self.losing = 0;
        self.known.clear();
        self.lengths.clear();
        for (place, &member) in self.members.iter().enumerate() {
            let (mut known, mut length) = (0, 0);
            for link in graph.links(layer, member) {
                length += 1;
                if link.slot() == retired {
                    self.losing |= 1 << place;
                } else if let Some(other) = places.find(&self.members, link.slot()) {
                    known |= 1 << other;
                }
            }
            self.known.push(known);
            self.lengths.push(length);
        }
    }

    fn measure(&mut self, space: &Space, measured: &mut Measured) {
        self.pairs.clear();
        for (place, &member) in self.members.iter().enumerate() {
            let others = &self.members[place + 1..];
            let probe = space.probe(member, &mut measured.row);
            let distances = space.measure(probe, others, &mut measured.distances);
            let pairs = (place + 1..).zip(distances);
            self.pairs
                .extend(pairs.map(|(other, &d)| Candidate::new(d, (place * MEMBERS_MAX + other) as u32)));
        }
        self.pairs.sort_unstable();
    }

    /// Ties parts of the circle that nothing but the retired one holds together, each by its nearest pair.
    fn hold_together(&mut self, graph: &mut Graph, (layer, retired): (usize, u32)) {
        // For each member, who is in its part.
        let mut parts: [u64; MEMBERS_MAX] = std::array::from_fn(|place| 1 << place);
        let join = |parts: &mut [u64; MEMBERS_MAX], one: usize, other: usize| {
            let joined = parts[one] | parts[other];
            if joined != parts[one] || joined != parts[other] {
                each(joined, |place| parts[place] = joined);
            }
        };
        for (one, &known) in self.known.iter().enumerate() {
            each(known, |other| join(&mut parts, one, other));
        }
        let all = u64::MAX >> (MEMBERS_MAX - self.members.len());
        for at in 0..self.pairs.len() {
            if parts[0] == all {
                return;
            }
            let (one, other) = self.places(at);
            if parts[one] >> other & 1 == 0 {
                let one_takes = self.take(graph, (layer, retired), one, other);
                let other_takes = self.take(graph, (layer, retired), other, one);
                if one_takes || other_takes {
                    join(&mut parts, one, other);
                }
            }
        }
    }

    /// Takes it in the place of the retired one or beside what there is. False if there is no place.
    fn take(&mut self, graph: &mut Graph, (layer, retired): (usize, u32), one: usize, other: usize) -> bool {
        if self.loses(one) {
            self.exchange(graph, (layer, retired), one, other);
        } else if self.lengths[one] < graph.capacity(layer) {
            self.add(graph, layer, one, other);
        } else {
            return false;
        }
        true
    }

    fn places(&self, pair: usize) -> (usize, usize) {
        let places = self.pairs[pair].slot() as usize;
        (places / MEMBERS_MAX, places % MEMBERS_MAX)
    }

    /// Goes through all pairs, the nearest first.
    fn tie(&mut self, graph: &mut Graph, (layer, retired): (usize, u32), tie: Tie) {
        let enough = graph.capacity(layer) * 3 / 4;
        // Whose pairs with a member were seen: who is nearer to it than those to come.
        let mut nearer = [0u64; MEMBERS_MAX];
        for at in 0..self.pairs.len() {
            let (one, other) = self.places(at);
            // A link leads somewhere new unless a known node is nearer to its end: see `select`.
            let one_may = self.known[one] & (nearer[other] | 1 << other) == 0;
            let other_may = self.known[other] & (nearer[one] | 1 << one) == 0;
            nearer[one] |= 1 << other;
            nearer[other] |= 1 << one;
            match tie {
                Tie::Both if one_may && other_may && self.loses(one) && self.loses(other) => {
                    self.exchange(graph, (layer, retired), one, other);
                    self.exchange(graph, (layer, retired), other, one);
                }
                Tie::Either if one_may && self.loses(one) => self.exchange(graph, (layer, retired), one, other),
                Tie::Either if other_may && self.loses(other) => self.exchange(graph, (layer, retired), other, one),
                Tie::Beside if one_may && other_may && self.lengths[one].max(self.lengths[other]) < enough => {
                    self.add(graph, layer, one, other);
                    self.add(graph, layer, other, one);
                }
                _ => {}
            }
        }
    }

    fn loses(&self, one: usize) -> bool {
        self.losing >> one & 1 == 1
    }

    fn exchange(&mut self, graph: &mut Graph, (layer, retired): (usize, u32), one: usize, other: usize) {
        graph.redirect(layer, self.members[one], retired, self.members[other]);
        self.known[one] |= 1 << other;
        self.losing &= !(1 << one);
    }

    fn add(&mut self, graph: &mut Graph, layer: usize, one: usize, other: usize) {
        graph.add_link(layer, self.members[one], Link::new(self.members[other], false));
        self.known[one] |= 1 << other;
        self.lengths[one] += 1;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.members.capacity() * 4
            + (self.known.capacity() + self.lengths.capacity() + self.pairs.capacity()) * size_of::<u64>()
    }
}

fn each(mut bits: u64, mut act: impl FnMut(usize)) {
    while bits != 0 {
        act(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

fn prefetch_list(graph: &Graph, slot: u32) {
    let list = graph.base_address(slot);
    (0..graph.capacity(0) * 4)
        .step_by(64)
        .for_each(|line| prefetch_line(list.wrapping_add(line)));
}

/// At which place a member stands: a table with a few free places for each that is taken.
struct Places {
    table: [u8; PLACES],
}

impl Places {
    fn new(members: &[u32]) -> Places {
        let mut table = [FREE; PLACES];
        for (place, &member) in members.iter().enumerate() {
            let mut at = member as usize % PLACES;
            while table[at] != FREE {
                at = (at + 1) % PLACES;
            }
            table[at] = place as u8;
        }
        Places { table }
    }

    fn find(&self, members: &[u32], slot: u32) -> Option<usize> {
        let mut at = slot as usize % PLACES;
        while self.table[at] != FREE {
            let place = usize::from(self.table[at]);
            if members[place] == slot {
                return Some(place);
            }
            at = (at + 1) % PLACES;
        }
        None
    }
}

/// A member has a bit in a word. Lists are longer only for M above 32, and then the sweep does the rest.
const MEMBERS_MAX: usize = 64;

const PLACES: usize = 256;
const FREE: u8 = u8::MAX;

/// A member's row and list come from memory, at the same time as those of the others: 0.1 µs.
const MEMBER_WORK: u64 = 256;

/// A circle is dealt with in one step, and so of wide vectors it is smaller: this is a third of a millisecond.
const PAIRS_WORK_MAX: u64 = 1 << 20;

/// A pair is sorted among the others and looked at four times, beside its distance. Charged with 24, a slice took 0.66 ms of
/// 50 dimensions where that of a walk takes 0.29; with this 0.41, and of 384 dimensions 0.32.
const PAIR_WORK: u64 = 112;
