//! Brute force over the live vectors: the oracle of the tests, and the answer where a walk would cost more.

use std::collections::BinaryHeap;

use crate::admission::Admission;
use crate::beam::Candidate;
use crate::limits::TIES_MAX;
use crate::probe::Query;
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::work::Work;

/// A scan under way: the best so far among the slots below `next`.
#[derive(Debug)]
pub(crate) struct Scan {
    next: usize,
    k: usize,
    /// The k nearest, the farthest on top.
    best: BinaryHeap<Candidate>,
    /// Equals of the farthest of `best` that found no place. Invariant: empty unless `best` is full.
    ties: Vec<Candidate>,
}

impl Scan {
    pub(crate) fn new(k: usize) -> Scan {
        Scan {
            next: 0,
            k,
            best: BinaryHeap::new(),
            ties: Vec::new(),
        }
    }

    /// Measures the next few live vectors that are admitted; how many, or none when there are no more. Slots added
    /// meanwhile are seen too. A vector that moved, always to a lower slot, may have been passed by in between: it is
    /// measured where it was.
    pub(crate) fn step(
        &mut self,
        space: &Space,
        states: &SlotStates,
        query: &mut Query,
        admission: &mut Admission<'_>,
        work: &mut Work,
    ) -> Option<usize> {
        let mut looked_at = 0;
        let mut measured = 0;
        let from = std::mem::replace(&mut self.next, space.len());
        for slot in states.live_or_moved_from(from) {
            if looked_at == AT_ONCE {
                self.next = slot as usize;
                break;
            }
            looked_at += 1;
            if admission.admits(slot) {
                self.offer(Candidate::new(space.refine(query, slot), slot), states);
                measured += 1;
            }
        }
        work.spend_distances(2 * measured, space.dimension());
        work.spend_distances(looked_at - measured, 0);
        (looked_at > 0).then_some(measured)
    }

    /// The hits in no order, with the equals of the last.
    pub(crate) fn take_hits(&mut self) -> Vec<Candidate> {
        let mut all = std::mem::take(&mut self.best).into_vec();
        all.append(&mut self.ties);
        all
    }

    fn offer(&mut self, candidate: Candidate, states: &SlotStates) {
        if states.is_retired(candidate.slot()) && self.knows(candidate, states) {
            return;
        }
        if self.best.len() < self.k {
            self.best.push(candidate);
            return;
        }
        let worst = *self.best.peek().expect("k is above 0, and that many were kept");
        if candidate > worst {
            if candidate.distance() == worst.distance() && self.ties.len() < TIES_MAX {
                self.ties.push(candidate);
            }
            return;
        }
        self.best.pop();
        self.best.push(candidate);
        let last = self.best.peek().expect("one was just pushed").distance();
        if worst.distance() != last {
            self.ties.clear();
        } else if self.ties.len() < TIES_MAX {
            self.ties.push(worst);
        }
    }
}

impl Scan {
    /// Whether the vector that was here is among the best already, from where it is now.
    fn knows(&self, candidate: Candidate, states: &SlotStates) -> bool {
        let there = states.resolve(candidate.slot());
        let mut known = self.best.iter().chain(&self.ties);
        known.any(|other| Some(other.slot()) == there)
    }
}

/// Vectors measured between two looks at the allowance.
const AT_ONCE: usize = 64;
