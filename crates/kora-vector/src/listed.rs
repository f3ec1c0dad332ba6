//! Measuring the vectors of a list: the exact answer among few.

use crate::beam::Candidate;
use crate::probe::Query;
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::work::Work;

/// A list that is being measured.
#[derive(Debug)]
pub(crate) struct Listed {
    slots: Vec<u32>,
    /// Those before this place are measured.
    next: usize,
    /// Those of them that were live then.
    found: Vec<Candidate>,
}

impl Listed {
    pub(crate) fn new(slots: Vec<u32>) -> Listed {
        let found = Vec::with_capacity(slots.len());
        Listed { slots, next: 0, found }
    }

    /// Measures the next few, each where it is by now; how many, or none when there are no more.
    pub(crate) fn step(
        &mut self,
        space: &Space,
        states: &SlotStates,
        query: &mut Query,
        work: &mut Work,
    ) -> Option<usize> {
        let some = &self.slots[self.next..self.slots.len().min(self.next + AT_ONCE)];
        if some.is_empty() {
            return None;
        }
        self.next += some.len();
        some.iter().for_each(|&slot| space.prefetch(slot));
        let before = self.found.len();
        for &slot in some {
            if let Some(there) = states.resolve_live(slot) {
                self.found.push(Candidate::new(space.refine(query, there), there));
            }
        }
        let measured = self.found.len() - before;
        work.spend_distances(2 * measured, space.dimension());
        work.spend_distances(some.len() - measured, 0);
        Some(measured)
    }

    pub(crate) fn take_hits(&mut self) -> Vec<Candidate> {
        std::mem::take(&mut self.found)
    }
}

/// Vectors measured between two looks at the allowance.
const AT_ONCE: usize = 32;
