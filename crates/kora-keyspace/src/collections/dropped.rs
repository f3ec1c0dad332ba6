//! A part of a collection that is no longer held, to be freed a little at a time.

use kora_vector::{Index, Step, Work};

use super::attributes::Attributes;
use super::element_deadlines::ElementDeadlines;
use super::elements::Elements;

/// What was held of a collection that was dropped or has lost its last vector.
pub(crate) struct DroppedPart {
    index: Index,
    elements: Elements,
    deadlines: Option<Box<ElementDeadlines>>,
    attributes: Option<Box<Attributes>>,
}

impl DroppedPart {
    pub(super) fn new(
        index: Index,
        elements: Elements,
        deadlines: Option<Box<ElementDeadlines>>,
        attributes: Option<Box<Attributes>>,
    ) -> DroppedPart {
        DroppedPart {
            index,
            elements,
            deadlines,
            attributes,
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let deadlines = self.deadlines.as_ref().map_or(0, |deadlines| deadlines.bytes());
        let attributes = self.attributes.as_ref().map_or(0, |attributes| attributes.bytes());
        index_bytes(&self.index) + self.elements.bytes() + deadlines + attributes
    }

    /// Frees some.
    pub(crate) fn dismantle(&mut self, work: &mut Work) -> Step<()> {
        if let Step::More = self.index.dismantle_step(work) {
            return Step::More;
        }
        while self.deadlines.as_mut().is_some_and(|deadlines| deadlines.dismantle())
            || self
                .attributes
                .as_mut()
                .is_some_and(|attributes| attributes.dismantle())
            || self.elements.dismantle()
        {
            work.spend(CHUNK_FREE_WORK);
            if work.is_spent() {
                return Step::More;
            }
        }
        Step::Done(())
    }
}

/// Bytes that an index takes, with what it keeps for the next operation.
pub(super) fn index_bytes(index: &Index) -> usize {
    let memory = index.memory();
    memory.vectors_bytes + memory.links_bytes + memory.scratch_bytes
}

/// Giving a chunk back costs about as much as reading some thousand components.
const CHUNK_FREE_WORK: u64 = 4096;
