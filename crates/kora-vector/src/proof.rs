//! Proof that stored vectors are found, and links for those that are not.
//!
//! Every node can be reached, but a walk goes where distances fall, and that may lead it elsewhere. Where vectors come in an
//! order, a path, document after document, country after country, links are chosen among what is there so far, and a group
//! that comes later may hang on nodes that no walk to it passes. Shuffled data has no such groups.
//!
//! So when a good part of an index has changed and there is time, vectors are walked to, one after the other, as a search for
//! them would. If a walk ends without having met its vector, and not because others are as near, that node is hung on the
//! nearest node where the walk ended, and links are offered both ways between it and a few of those. Where half has changed all
//! are looked at, else one in [`LOOK_ONE_IN`], and all if one of those fails. If some had to be linked, there is another
//! round, since each link may have cost another one. A few are proved beside insertions, too, and more as long as some of those
//! are not met.
//!
//! Vectors that a search for them at ef 100 does not find, in natural order, M 16, under L2 and cosine: of 8,000 points along a
//! path 1,233 and 310 when they were loaded, after a rest none; of 30 documents of 100 parts 125 and 357, after a rest none. That
//! was without what `route` and `astray` do, which leave one of these for the rest. See `hnsw/tests/proof.rs`.
//!
//! Under inner product a vector's nearest is another one, mostly, so nothing is proved there.

use crate::beam::Candidate;
use crate::consolidate::Reader;
use crate::graph::Graph;
use crate::metric::Metric;
use crate::sample::Hardest;
use crate::scratch::{Scratch, Walk};
use crate::search::{begin_beam, begin_descent, descend, expand};
use crate::select::{Offer, offer};
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::tree::rehost;
use crate::work::{Step, Work};

/// What has to be proved, and how far that is.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    /// Vectors that have come or gone since the last sweep began.
    changes: usize,
    /// The same since the last sweep that began with all of them.
    changes_since_all: usize,
    /// The sweep under way.
    sweep: Option<Sweep>,
    /// The proof under way: given up when the dead begin to leave, for which it would have to be waited.
    proof: Option<Box<Proof>>,
    /// Insertions since one was followed by a proof.
    unproved: usize,
    /// So many slots from `next` on are proved beside the next insertions.
    suspected: usize,
    next: usize,
    /// Those that were not met, and those of which an insertion went astray.
    pub(crate) hardest: Hardest,
    /// Which vector was proved last beside an insertion, as a part of all, in units of 2^-32.
    chosen: u32,
}

/// One look at all nodes, or at some.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    /// The slot that is looked at next.
    next: usize,
    /// It looks at one in so many first; at all if one of those fails.
    step: usize,
    /// How many were not met.
    failed: usize,
    /// How many others it follows.
    round: u8,
}

/// One vector that is walked to.
#[derive(Debug)]
struct Proof {
    slot: u32,
    scratch: Box<Scratch>,
    stage: ProofStage,
    _reader: Reader,
}

#[derive(Debug)]
enum ProofStage {
    Begin,
    Descend {
        layer: usize,
        at: Candidate,
    },
    Beam,
    /// It was not met; so many of those where the walk ended were linked with it.
    Link {
        next: usize,
    },
}

/// What a proof came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    Linked,
}

impl Proofs {
    /// A vector has come or gone.
    pub(crate) fn note_change(&mut self) {
        self.changes += 1;
        self.changes_since_all += 1;
    }

    /// Whether there is something to prove.
    pub(crate) fn has_work(&self, space: &Space, states: &SlotStates) -> bool {
        let is_due = self.changes * CHANGED_ONE_IN >= states.live_count().max(1);
        space.metric() != Metric::InnerProduct && (self.proof.is_some() || self.sweep.is_some() || is_due)
    }

    /// Gives up the proof under way; the sweep goes on behind it.
    pub(crate) fn give_up_proof(&mut self) -> Option<Box<Scratch>> {
        self.proof.take().map(|proof| proof.scratch)
    }

    /// Takes a step. `take` gives buffers and a reader for the next proof. Buffers that are not needed any more are returned.
    pub(crate) fn step(
        &mut self,
        (space, graph, states): (&Space, &mut Graph, &SlotStates),
        take: impl FnOnce() -> (Box<Scratch>, Reader),
        work: &mut Work,
    ) -> Option<Box<Scratch>> {
        if self.proof.is_some() {
            return self.resume((space, graph, states), work);
        }
        let sweep = match &mut self.sweep {
            Some(sweep) => sweep,
            None => {
                self.changes = 0;
                let looks_at_all = self.changes_since_all * ALL_ONE_IN >= states.live_count();
                if looks_at_all {
                    self.changes_since_all = 0;
                }
                self.sweep.insert(Sweep::new(0, looks_at_all))
            }
        };
        work.spend(LOOK_WORK);
        match sweep.next_slot(states.slots()) {
            Some(slot) => self.begin((graph, states), slot, take),
            None => {
                let round = sweep.round + 1;
                self.sweep = (sweep.failed > 0 && round < ROUNDS_MAX).then(|| Sweep::new(round, false));
            }
        }
        None
    }

    /// What follows an insertion: now and then a proof of some vector, and of those behind it if that was not met. Vectors that
    /// came one after the other are lost together.
    pub(crate) fn sample(
        &mut self,
        (space, graph, states): (&Space, &mut Graph, &SlotStates),
        take: impl FnOnce() -> (Box<Scratch>, Reader),
        work: &mut Work,
    ) -> Option<Box<Scratch>> {
        if space.metric() == Metric::InnerProduct {
            return None;
        }
        self.unproved += 1;
        if self.proof.is_none() {
            let slot = self.next_sample(states.slots())?;
            self.begin((graph, states), slot, take);
        }
        self.proof.as_ref()?;
        self.resume((space, graph, states), work)
    }

    /// The slot that is to be proved now, if there is one.
    fn next_sample(&mut self, slots: usize) -> Option<u32> {
        if self.suspected > 0 {
            self.suspected -= 1;
            let slot = self.next % slots.max(1);
            self.next = slot + 1;
            return Some(slot as u32);
        }
        if self.unproved < SAMPLED_ONE_IN {
            return None;
        }
        self.unproved = 0;
        self.chosen = self.chosen.wrapping_add(STRIDE);
        Some(((u64::from(self.chosen) * slots as u64) >> 32) as u32)
    }

    /// Goes on with the proof under way.
    fn resume(
        &mut self,
        (space, graph, states): (&Space, &mut Graph, &SlotStates),
        work: &mut Work,
    ) -> Option<Box<Scratch>> {
        let proof = self.proof.as_mut()?;
        let slot = proof.slot as usize;
        let Step::Done(verdict) = proof.resume(space, graph, states, work) else {
            return None;
        };
        if verdict == Verdict::Linked {
            (self.next, self.suspected) = (slot + 1, SUSPECTED);
            self.hardest.note(slot as u32);
        }
        if let Some(sweep) = &mut self.sweep {
            sweep.failed += usize::from(verdict == Verdict::Linked);
        }
        self.give_up_proof()
    }

    /// Begins the proof of a vector, if there is one.
    fn begin(
        &mut self,
        (graph, states): (&Graph, &SlotStates),
        slot: u32,
        take: impl FnOnce() -> (Box<Scratch>, Reader),
    ) {
        if (slot as usize) < states.slots() && states.is_live(slot) && graph.host(0, slot).is_some() {
            let (scratch, reader) = take();
            self.proof = Some(Box::new(Proof {
                slot,
                scratch,
                stage: ProofStage::Begin,
                _reader: reader,
            }));
        }
    }
}

impl Sweep {
    fn new(round: u8, looks_at_all: bool) -> Sweep {
        Sweep {
            next: 0,
            step: if looks_at_all { 1 } else { LOOK_ONE_IN },
            failed: 0,
            round,
        }
    }

    /// The next slot of so many; none when the sweep is over.
    fn next_slot(&mut self, slots: usize) -> Option<u32> {
        if self.next >= slots && self.step > 1 && self.failed > 0 {
            (self.step, self.next) = (1, 0);
        }
        let slot = self.next;
        self.next += self.step;
        (slot < slots).then_some(slot as u32)
    }
}

impl Proof {
    fn resume(&mut self, space: &Space, graph: &mut Graph, states: &SlotStates, work: &mut Work) -> Step<Verdict> {
        self.scratch.walk.visited.cover(space.len());
        // What is leaving meanwhile is the business of a later sweep.
        if !states.is_live(self.slot) || graph.host(0, self.slot).is_none() {
            return Step::Done(Verdict::Met);
        }
        loop {
            if let Step::Done(verdict) = self.step(space, graph, states, work) {
                return Step::Done(verdict);
            }
            if work.is_spent() {
                return Step::More;
            }
        }
    }

    fn step(&mut self, space: &Space, graph: &mut Graph, states: &SlotStates, work: &mut Work) -> Step<Verdict> {
        let slot = self.slot;
        let Scratch { query, walk, bench, .. } = &mut *self.scratch;
        match &mut self.stage {
            ProofStage::Begin => {
                space.frame_stored(slot, query);
                let root = graph.root().expect("a node with a host is not the only one");
                let at = begin_descent(space, query.probe(), root, walk);
                let layer = graph.height();
                self.stage = ProofStage::Descend { layer, at };
            }
            ProofStage::Descend { layer: 0, at } => {
                if at.slot() == slot {
                    return Step::Done(Verdict::Met);
                }
                begin_beam(walk, PROOF_EF, None, *at, states.is_live(at.slot()));
                walk.beam.limit_equals();
                self.stage = ProofStage::Beam;
            }
            ProofStage::Descend { layer, at } => {
                if !descend(space, graph, states, (*layer, at), query.probe(), walk, work) {
                    *layer -= 1;
                }
            }
            ProofStage::Beam => {
                let mut admits = |slot| states.is_live(slot);
                let went_on = expand(space, graph, states, 0, query.probe(), walk, &mut admits, work);
                if walk.visited.holds(slot) {
                    return Step::Done(Verdict::Met);
                }
                if !went_on {
                    let own = space.measure_one(query.probe(), slot, &mut walk.distances);
                    let results = walk.beam.results();
                    let farthest = results.get(PROOF_EF / 2 - 1).or(results.last());
                    let farthest = farthest.map_or(f32::MAX, |farthest| farthest.distance());
                    // Where as many are as near as the beam takes of equals, none of them has to be met.
                    if farthest <= own + space.tolerance(own) {
                        return Step::Done(Verdict::Met);
                    }
                    self.stage = ProofStage::Link { next: 0 };
                }
            }
            ProofStage::Link { next: 0 } => {
                hang(space, graph, states, slot, (walk, bench), work);
                self.stage = ProofStage::Link { next: 1 };
            }
            ProofStage::Link { next } => {
                let place = *next - 1;
                *next += 1;
                let Some(near) = walk.beam.results().get(place).filter(|_| place < LINKED_MAX) else {
                    return Step::Done(Verdict::Linked);
                };
                let near = near.slot();
                if states.is_live(near) && near != slot && graph.is_linked(near) {
                    for (from, to) in [(near, slot), (slot, near)] {
                        if graph.links(0, from).all(|link| link.slot() != to) {
                            offer(space, graph, (0, from), to, Offer::Ordinary, bench, work);
                        }
                    }
                }
            }
        }
        Step::More
    }
}

/// Hangs a node on the nearest of those where the walk ended that has room for it and does not hang on it.
fn hang(
    space: &Space,
    graph: &mut Graph,
    states: &SlotStates,
    slot: u32,
    (walk, bench): (&mut Walk, &mut crate::scratch::Bench),
    work: &mut Work,
) {
    for near in walk.beam.results().iter().map(|near| near.slot()) {
        let may = states.is_live(near) && near != slot && graph.is_linked(near);
        if may && rehost(space, graph, near, slot, bench, work) {
            return;
        }
    }
}

/// Nodes that a walk keeps: fewer than a search at the default EF does over two shards, which ends with 35 at the earliest (see
/// `stop_rule`), so that what it meets such a search meets.
const PROOF_EF: usize = 32;

/// Sweeps that follow each other at most, as long as some were not met.
const ROUNDS_MAX: u8 = 4;

/// Nodes where the walk ended that get links to the vector and from it. A guess: one link may be cut by the next offer.
const LINKED_MAX: usize = 4;

/// A sweep begins when one in so many live vectors has come or gone. A guess: a proof costs about a tenth of an insertion.
const CHANGED_ONE_IN: usize = 4;

/// It begins with all of them when one in so many has come or gone since it last did so: so that of what was loaded before a rest
/// each is proved. A guess: where vectors come and go all the time, two proofs for each.
const ALL_ONE_IN: usize = 2;

/// Else a first look is at one slot in so many: 5 in 1,000 that are not met are seen in 2,000 slots with a probability of 0.7,
/// and where fewer are lost in more, so are they.
const LOOK_ONE_IN: usize = 8;

/// One insertion in so many is followed by a proof, which costs about a tenth of one.
const SAMPLED_ONE_IN: usize = 16;

/// After a vector that was not met so many others are proved, one beside each insertion, and as many again if one of those is not
/// met. So where more than one in so many is lost, insertions prove all the time, and take a tenth longer.
const SUSPECTED: usize = 64;

/// The golden section of 2^32: multiples of it are spread evenly, however many there are.
const STRIDE: u32 = 0x9E37_79B9;

/// A look at a slot.
const LOOK_WORK: u64 = 128;
