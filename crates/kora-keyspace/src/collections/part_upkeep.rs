//! What a part of a collection does for itself: its index consolidates, and a small one is packed.

use kora_vector::{Step, Work};

use super::attributes::Attributes;
use super::collection::Collection;
use super::counting::is_worth_packing;
use super::element_deadlines::ElementDeadlines;

impl Collection {
    /// True if it has something to do that is not noted yet.
    pub(crate) fn begin_upkeep(&mut self) -> bool {
        let has_work = self.index.has_upkeep() || self.has_spare_names() || self.can_pack();
        let is_news = !self.in_upkeep && has_work;
        self.in_upkeep |= is_news;
        is_news
    }

    /// True if it should do so although others wait.
    pub(crate) fn is_overdue(&self) -> bool {
        self.index.is_overdue() || self.can_pack()
    }

    /// Does what it has to do.
    pub(crate) fn keep_up(&mut self, work: &mut Work) -> Step<()> {
        let step = self.work(work);
        self.in_upkeep = step == Step::More || self.has_spare_names();
        if self.in_upkeep { Step::More } else { Step::Done(()) }
    }

    /// Works until a slot is free. Done if it can't go on.
    pub(super) fn vacate(&mut self, work: &mut Work) -> Step<()> {
        if self.can_pack() {
            self.pack();
            work.spend((self.index.slots() * self.index.slot_bytes()) as u64);
        }
        let step = self.index.vacate(work);
        self.follow_moves();
        step
    }

    /// Does some of it.
    fn work(&mut self, work: &mut Work) -> Step<()> {
        if self.can_pack() {
            self.pack();
        }
        let step = self.index.tend(work);
        self.follow_moves();
        step
    }

    /// True if names are held for slots that have gone.
    fn has_spare_names(&self) -> bool {
        self.elements.reaches_beyond(self.index.slots())
    }

    /// True if it would give memory back by having its vectors copied, and nothing remembers where they are.
    pub(super) fn can_pack(&self) -> bool {
        self.suspended == 0 && self.index.is_packable() && is_worth_packing(&self.index)
    }

    /// Copies the vectors that are there into an index of no other slots, with their names and what belongs to them.
    pub(super) fn pack(&mut self) {
        let (index, places) = self.index.packed();
        let mut elements = self.elements.empty_like();
        let mut deadlines = ElementDeadlines::default();
        let mut attributes = Attributes::default();
        for (from, to) in &places {
            elements.set_name(*to, self.elements.name(*from));
            elements.insert(*to);
            elements.note_use(*to, self.elements.used(*from));
            deadlines.set(*to, self.deadline_of(*from));
            attributes.put(*to, self.attributes_at(*from));
        }
        (self.index, self.elements) = (index, elements);
        self.deadlines = (deadlines.len() > 0).then(|| Box::new(deadlines));
        self.attributes = (attributes.count() > 0).then(|| Box::new(attributes));
    }
}
