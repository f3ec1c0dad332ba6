//! What an index does beside what it is asked: it grows its graph to the end, consolidates, and frees itself in steps.

use super::{Index, Insertion};
use crate::consolidate::{IndexParts, Urgency};
use crate::work::{FREED_BYTES_PER_UNIT, Step, Work};

impl Index {
    /// True if [`Index::tend`] would find something to do.
    pub fn has_upkeep(&self) -> bool {
        self.has_unlinked() || self.consolidates(Urgency::Idle) || self.has_to_prove()
    }

    /// True if [`Index::tend`] should be called also while there is other work: vectors are removed faster than
    /// insertions can see to it.
    pub fn is_overdue(&self) -> bool {
        self.states.removed() * OVERDUE_ONE_IN > self.states.live_count() && self.consolidates(Urgency::Insert)
    }

    /// Goes on growing the graph, where that was begun and inserts have paused, with consolidation, and with the proof that
    /// vectors are found. Done when there is
    /// nothing to do, which is seen at once, so that it may be called whenever there is time; there may be something when
    /// a search or an insertion has ended.
    pub fn tend(&mut self, work: &mut Work) -> Step<()> {
        self.note_change();
        while self.has_unlinked() {
            if self.link_unlinked(work) == Step::More || work.is_spent() {
                return Step::More;
            }
        }
        while self.consolidates(Urgency::Idle) {
            if self.consolidate(Urgency::Idle, work) == Step::More && work.is_spent() {
                return Step::More;
            }
        }
        while self.has_to_prove() {
            self.prove(work);
            if work.is_spent() {
                return Step::More;
            }
        }
        Step::Done(())
    }

    /// Goes on with what frees a slot, until one is vacant. Never cuts the tables, as [`Index::tend`] does: a vector waits for
    /// the slot. Done if one is vacant, or if there is nothing to do before a search, an insertion or a capture has ended.
    pub fn vacate(&mut self, work: &mut Work) -> Step<()> {
        self.note_change();
        while self.states.vacant_count() == 0 {
            let step = match self.has_unlinked() {
                true => self.link_unlinked(work),
                false if self.consolidates(Urgency::Insert) => match self.consolidate(Urgency::Insert, work) {
                    Step::More => Step::More,
                    Step::Done(()) => return Step::Done(()),
                },
                false => return Step::Done(()),
            };
            if work.is_spent() || (self.has_unlinked() && step == Step::More) {
                return Step::More;
            }
        }
        Step::Done(())
    }

    /// Frees some of the index's memory, so that dropping a large one causes no stall. After the first step the index is
    /// good for nothing but the next; after `Done`, dropping it costs nothing.
    pub fn dismantle_step(&mut self, work: &mut Work) -> Step<()> {
        loop {
            let links = || self.built.as_mut()?.release_chunk();
            let Some(bytes) = self.space.release_chunk().or_else(links) else {
                return Step::Done(());
            };
            work.spend(bytes as u64 / FREED_BYTES_PER_UNIT);
            if work.is_spent() {
                return Step::More;
            }
        }
    }

    /// Goes on with linking the first loose slot. Done when it is linked, or needs not to be.
    pub(super) fn link_unlinked(&mut self, work: &mut Work) -> Step<()> {
        let built = self.built.as_mut().expect("slots are loose only beside a graph");
        let slot = built.unlinked.start;
        // A slot that is not live was removed, or its own insertion will link it.
        if built.conversion.is_none() && self.states.is_live(slot) && !built.graph.is_linked(slot) {
            let scratch = built.scratches.pop().unwrap_or_default();
            let mut conversion = Insertion::new(scratch, slot, self.ef_construction as usize);
            conversion.read(&self.consolidation);
            built.conversion = Some(Box::new(conversion));
        }
        if let Some(conversion) = &mut built.conversion
            && conversion.resume(&self.space, &mut built.graph, &self.states, work) == Step::More
        {
            return Step::More;
        }
        if let Some(mut conversion) = built.conversion.take() {
            built.learn(&mut conversion, self.space.metric());
            built.keep_scratch(conversion.scratch);
        }
        built.unlinked.start += 1;
        Step::Done(())
    }

    /// Whether there is something to consolidate. Not before the graph is complete: the loose have no place in it.
    pub(super) fn consolidates(&self, urgency: Urgency) -> bool {
        !self.has_unlinked() && self.consolidation.has_work(&self.states, self.graph(), urgency)
    }

    pub(super) fn consolidate(&mut self, urgency: Urgency, work: &mut Work) -> Step<()> {
        // It is a reader, and goes on only when there is time: the batch would wait for it.
        if let Some(scratch) = self.built.as_mut().and_then(|built| built.proofs.give_up_proof()) {
            self.keep_scratch(scratch);
        }
        let mut scratch = self.take_scratch();
        let parts = IndexParts {
            space: &mut self.space,
            graph: self.built.as_mut().map(|built| &mut built.graph),
            states: &mut self.states,
            scratch: &mut scratch,
        };
        let step = self.consolidation.step(parts, urgency, work);
        self.keep_scratch(scratch);
        step
    }

    /// Whether there is something to prove. Not while the dead leave, nor before all are linked.
    fn has_to_prove(&self) -> bool {
        let proofs = self.built.as_ref().map(|built| &built.proofs);
        let is_due = proofs.is_some_and(|proofs| proofs.has_work(&self.space, &self.states));
        is_due && !self.has_unlinked() && self.consolidation.progress().is_none()
    }

    fn prove(&mut self, work: &mut Work) {
        let Some(built) = self.built.as_deref_mut() else {
            return;
        };
        let (graph, scratches, consolidation) = (&mut built.graph, &mut built.scratches, &self.consolidation);
        let take = || (scratches.pop().unwrap_or_default(), consolidation.reader());
        let spare = built.proofs.step((&self.space, graph, &self.states), take, work);
        spare.into_iter().for_each(|scratch| built.keep_scratch(scratch));
    }

    /// What follows an insertion for the proof that vectors are found.
    pub(super) fn prove_some(&mut self, work: &mut Work) {
        if self.has_unlinked() || self.consolidation.progress().is_some() {
            return;
        }
        let Some(built) = self.built.as_deref_mut() else {
            return;
        };
        let (graph, scratches, consolidation) = (&mut built.graph, &mut built.scratches, &self.consolidation);
        let take = || (scratches.pop().unwrap_or_default(), consolidation.reader());
        let spare = built.proofs.sample((&self.space, graph, &self.states), take, work);
        spare.into_iter().for_each(|scratch| built.keep_scratch(scratch));
    }

    /// What an insertion is to do for consolidation, by what insertions cost: the more, the more are dead.
    pub(super) fn share(&self) -> u64 {
        let spent = self.built.as_ref().map_or(0, |built| built.insert_work);
        let (removed, live) = (self.states.removed() as u64, self.states.live_count() as u64);
        let by_share = spent.saturating_mul(removed * SHARE_PER_DEAD) / live.max(1);
        by_share.clamp(SHARE_MIN, spent.saturating_mul(SHARE_MAX).max(SHARE_MIN))
    }
}

/// With one dead for each so many live an insertion spends as much again on consolidation as on itself: at the twentieth at
/// which a batch begins, four fifths. A dead vector takes a small part of the work of an inserted one; so, one removed for each
/// inserted, a batch is over before half as many more have died.
const SHARE_PER_DEAD: u64 = 16;

/// An insertion spends at most so many times its own work on consolidation: it is to end some time.
const SHARE_MAX: u64 = 4;

/// And at least this, if there is anything to do: about what ten distances cost.
const SHARE_MIN: u64 = 4_096;

/// With more dead than one for so many live, removals have outrun insertions.
const OVERDUE_ONE_IN: usize = 4;
