//! Which commands are under way that may set vectors, and who waits for those that are.

use kora_mesh::WorkerId;

use crate::mail::Ticket;

/// Commands are counted in two eras. Whoever wants to know when all commands are answered that are under way now ends the
/// current era, and waits until none of it is left.
#[derive(Default)]
pub(crate) struct Eras {
    current: Era,
    under_way: [usize; 2],
    /// They wait for the end of the era before this one.
    waiting: Vec<(WorkerId, Ticket)>,
    /// They came while others waited: this era ends when those are answered. Both are bounded by the workers, of which each
    /// asks one thing at a time.
    late: Vec<(WorkerId, Ticket)>,
}

/// In which of the two a command was begun.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Era {
    #[default]
    Even,
    Odd,
}

impl Eras {
    pub(crate) fn current(&self) -> Era {
        self.current
    }

    pub(crate) fn begin(&mut self, era: Era) {
        self.under_way[era as usize] += 1;
    }

    pub(crate) fn end(&mut self, era: Era) {
        self.under_way[era as usize] -= 1;
    }

    pub(crate) fn wait(&mut self, worker: WorkerId, ticket: Ticket) {
        self.late.push((worker, ticket));
    }

    /// True if it is worth while to ask for somebody whose wait is over.
    pub(crate) fn has_news(&self) -> bool {
        self.is_past_over() && !(self.waiting.is_empty() && self.late.is_empty())
    }

    /// Somebody for whom nothing is left to wait for.
    pub(crate) fn take_done(&mut self) -> Option<(WorkerId, Ticket)> {
        if self.waiting.is_empty() && !self.late.is_empty() && self.is_past_over() {
            self.current = self.current.other();
            self.waiting = std::mem::take(&mut self.late);
        }
        match self.is_past_over() {
            true => self.waiting.pop(),
            false => None,
        }
    }

    fn is_past_over(&self) -> bool {
        self.under_way[self.current.other() as usize] == 0
    }
}

impl Era {
    fn other(self) -> Era {
        match self {
            Era::Even => Era::Odd,
            Era::Odd => Era::Even,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_waits_for_what_was_under_way_and_not_for_what_came_later() {
        let mut eras = Eras::default();
        let who = |line| (WorkerId::from_index(0), Ticket { line, sequence: 0 });
        let begin = |eras: &mut Eras| {
            let era = eras.current();
            eras.begin(era);
            era
        };
        let first = begin(&mut eras);
        eras.wait(who(1).0, who(1).1);
        assert!(eras.has_news());
        assert_eq!(eras.take_done(), None);
        let second = begin(&mut eras);
        eras.wait(who(2).0, who(2).1);
        assert!(!eras.has_news());
        eras.end(first);
        assert_eq!(eras.take_done(), Some(who(1)));
        assert_eq!(eras.take_done(), None);
        let third = begin(&mut eras);
        eras.end(second);
        assert_eq!(eras.take_done(), Some(who(2)));
        eras.end(third);
        assert!(!eras.has_news());
    }
}
