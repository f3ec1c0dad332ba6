//! What comes and goes while a search is paused.
//!
//! A search that takes several slices has passed slots by in which vectors become live later: a vector that is replaced gets
//! such a slot, and its old one is dead when the search ends. Without more it would be in neither place, though it was there
//! all the time. So a paused search is told every slot that becomes live, measures those vectors at its end beside what it
//! found, and leaves out what has died. The answer is that of the moment when its last slice runs.
//!
//! What has died took places among the results. A walk has more of them than it returns, mostly; where too few are left, it
//! looks at those, and then begins again, a few times at most.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::beam::{Beam, Candidate};
use crate::exact::Scan;
use crate::hnsw::Hit;
use crate::limits::{ARRIVALS_MAX, EF_MAX, SEARCHES_AGAIN_MAX};
use crate::listed::Listed;
use crate::search::{Admission, IndexView, Search, SearchStage, best};
use crate::slot_states::SlotStates;
use crate::work::Work;

/// The slots that became live since the first of the searches paused that are paused now.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Each of those searches holds it as well.
    pauses: Arc<()>,
    /// The last of them, at most [`ARRIVALS_MAX`].
    slots: VecDeque<u32>,
    /// How many came before those.
    forgotten: u64,
}

/// What a search keeps from its first pause on.
#[derive(Debug)]
pub(crate) struct Meanwhile {
    _pause: Arc<()>,
    /// How many arrivals it was told.
    told: u64,
    /// Slots that became live since it began.
    arrived: Vec<u32>,
    /// Results that it left out because they had died.
    died: usize,
    /// So many results more than usual are measured, since others of them died.
    more: usize,
    /// Times that it began again.
    again: u8,
}

impl Arrivals {
    /// A slot has become live. False if no search is paused any more, so that none has to be told.
    pub(crate) fn note(&mut self, slot: u32) -> bool {
        if Arc::strong_count(&self.pauses) == 1 {
            return false;
        }
        if self.slots.len() == ARRIVALS_MAX {
            self.slots.pop_front();
            self.forgotten += 1;
        }
        self.slots.push_back(slot);
        true
    }

    /// For a search that pauses.
    pub(crate) fn begin(&self) -> Box<Meanwhile> {
        Box::new(Meanwhile {
            _pause: Arc::clone(&self.pauses),
            told: self.forgotten + self.slots.len() as u64,
            arrived: Vec::new(),
            died: 0,
            more: 0,
            again: 0,
        })
    }

    /// Tells a search what has arrived since it was told last. False if that is not known any more.
    fn tell(&self, meanwhile: &mut Meanwhile) -> bool {
        let is_known = meanwhile.told >= self.forgotten;
        let first = meanwhile.told.saturating_sub(self.forgotten) as usize;
        meanwhile.arrived.extend(self.slots.range(first..));
        meanwhile.told = self.forgotten + self.slots.len() as u64;
        is_known
    }
}

impl Meanwhile {
    /// Drops results of a walk whose vectors have died; how many are live.
    pub(crate) fn retain_live(&mut self, beam: &mut Beam, states: &SlotStates) -> usize {
        let (mut live, before) = (0, beam.result_count());
        beam.retain(|candidate| {
            live += usize::from(states.is_live(candidate.slot()));
            states.resolve_live(candidate.slot()).is_some()
        });
        self.died += before - beam.result_count();
        live
    }
}

impl Search {
    /// Whether it was left in the middle: vectors may have come, gone and moved meanwhile.
    pub(crate) fn has_paused(&self) -> bool {
        self.meanwhile.is_some()
    }

    /// Hears what has become live since its last slice.
    pub(crate) fn hear(&mut self, arrivals: &Arrivals, view: IndexView<'_>, admission: &Admission<'_>) {
        if let Some(meanwhile) = &mut self.meanwhile
            && !arrivals.tell(meanwhile)
        {
            self.begin_again(0, view, admission);
        }
    }

    /// How many results more than usual are worth to be measured, since some may die before it ends.
    pub(crate) fn spare(&self) -> usize {
        let spare = SPARE_MIN + self.parameters.k / SPARE_ONE_IN;
        self.meanwhile.as_ref().map_or(0, |meanwhile| spare + meanwhile.more)
    }

    /// Whether so many of what was measured have died that more is to be measured.
    pub(crate) fn wants_more(&mut self, measured: &[Candidate], states: &SlotStates) -> bool {
        let Some(meanwhile) = &mut self.meanwhile else {
            return false;
        };
        let live = measured
            .iter()
            .filter(|candidate| states.resolve_live(candidate.slot()).is_some());
        let missing = self.parameters.k.saturating_sub(live.count());
        meanwhile.more += missing;
        missing > 0
    }

    /// The answer, from all that was measured, in order; or none, if it has begun again.
    pub(crate) fn conclude(
        &mut self,
        mut found: Vec<Candidate>,
        view: IndexView<'_>,
        admission: &mut Admission<'_>,
        work: &mut Work,
    ) -> Option<Vec<Hit>> {
        if self.has_paused() {
            self.bring_up_to_date(&mut found, view, admission, work);
            let lacking = self.lacking(found.len(), view, admission);
            let again = self.meanwhile.as_ref().map_or(0, |meanwhile| meanwhile.again);
            if lacking > 0 && again < SEARCHES_AGAIN_MAX {
                self.begin_again(lacking, view, admission);
                return None;
            }
            self.statistics.is_exact &= lacking == 0;
        } else if view.states.has_moves() {
            // A scan meets a vector that others have moved where it was as well.
            follow(&mut found, view.states);
            put_in_order_once(&mut found);
        }
        self.add_also(&mut found, view, admission);
        let mut hits = best(&found, self.parameters.k);
        hits.retain(|hit| hit.distance <= self.parameters.radius);
        Some(hits)
    }

    /// Adds the vector that is measured in any case.
    fn add_also(&mut self, found: &mut Vec<Candidate>, view: IndexView<'_>, admission: &mut Admission<'_>) {
        let Some(slot) = self.parameters.also else {
            return;
        };
        if let Some(there) = view
            .states
            .resolve_live(slot.number())
            .filter(|&there| admission.admits(there))
        {
            let own = Candidate::new(view.space.refine(&mut self.scratch.query, there), there);
            if let Err(place) = found.binary_search(&own) {
                found.insert(place, own);
            }
        }
    }

    /// Leaves out what has died, follows what has moved, and adds what has arrived.
    fn bring_up_to_date(
        &mut self,
        found: &mut Vec<Candidate>,
        view: IndexView<'_>,
        admission: &mut Admission<'_>,
        work: &mut Work,
    ) {
        let Some(meanwhile) = &mut self.meanwhile else {
            return;
        };
        let IndexView { space, states, .. } = view;
        meanwhile.died += follow(found, states);
        for there in meanwhile.arrived.iter().filter_map(|&slot| states.resolve_live(slot)) {
            if admission.admits(there) {
                found.push(Candidate::new(space.refine(&mut self.scratch.query, there), there));
            }
        }
        work.spend_distances(2 * meanwhile.arrived.len(), space.dimension());
        if !meanwhile.arrived.is_empty() || states.has_moves() {
            // Some may have been met as well, or in both places.
            put_in_order_once(found);
        }
    }

    /// How many results fewer are left than there may be, because others have died.
    fn lacking(&self, found: usize, view: IndexView<'_>, admission: &Admission<'_>) -> usize {
        if self.meanwhile.as_ref().is_none_or(|meanwhile| meanwhile.died == 0) {
            return 0;
        }
        let there = match admission {
            Admission::All => view.states.live_count(),
            Admission::If(_) => usize::MAX,
            Admission::Among(matches) => matches.count(),
        };
        self.parameters
            .k
            .min(self.parameters.ef)
            .min(there)
            .saturating_sub(found)
    }

    /// Begins again, to find as many more.
    fn begin_again(&mut self, more: usize, view: IndexView<'_>, admission: &Admission<'_>) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.arrived.clear();
            meanwhile.died = 0;
            meanwhile.more = 0;
            meanwhile.again = meanwhile.again.saturating_add(1);
        }
        let more = 2 * more;
        self.stage = match (admission, view.graph) {
            (Admission::Among(matches), _) if self.statistics.is_exact => {
                SearchStage::Listed(Listed::new(matches.slots().collect()))
            }
            (_, Some(_)) if !self.statistics.is_exact => {
                self.parameters.ef = (self.parameters.ef + more).min(EF_MAX);
                SearchStage::Begin
            }
            _ => SearchStage::Scan(Scan::new(self.parameters.k.min(self.parameters.ef) + more)),
        };
    }
}

/// Names each result by the slot where it is now, and leaves out what has died; how many those are.
fn follow(found: &mut Vec<Candidate>, states: &SlotStates) -> usize {
    let before = found.len();
    found.retain_mut(|candidate| match states.resolve_live(candidate.slot()) {
        Some(there) => {
            *candidate = Candidate::new(candidate.distance(), there);
            true
        }
        None => false,
    });
    before - found.len()
}

/// The nearest first, each once.
fn put_in_order_once(found: &mut Vec<Candidate>) {
    found.sort_unstable();
    found.dedup();
}

/// A search that has paused measures so many more than it returns, and for so many returned another one. A guess: in the time
/// between two slices of a search hardly more of its results are replaced.
const SPARE_MIN: usize = 4;
const SPARE_ONE_IN: usize = 32;
