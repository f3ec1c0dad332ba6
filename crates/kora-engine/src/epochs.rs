//! Counts the running commands that may set vectors, for workers that wait until those are answered (quiescence).

use kora_mesh::WorkerId;

use crate::mail::ReplyId;

/// Commands are counted in two epochs. To wait until all commands that run now are answered, a worker ends the current epoch
/// and waits until none of its commands is left.
#[derive(Default)]
pub(crate) struct Epochs {
    current: Epoch,
    under_way: [usize; 2],
    /// Workers that wait for the end of the epoch before this one.
    waiting: Vec<(WorkerId, ReplyId)>,
    /// Workers that began to wait meanwhile: this epoch ends when the others are answered. Both lists are bounded by the number
    /// of workers, each of which waits once at a time.
    late: Vec<(WorkerId, ReplyId)>,
}

/// The epoch in which a command began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Epoch {
    #[default]
    Even,
    Odd,
}

impl Epochs {
    pub(crate) fn current(&self) -> Epoch {
        self.current
    }

    pub(crate) fn begin(&mut self, epoch: Epoch) {
        self.under_way[epoch as usize] += 1;
    }

    pub(crate) fn end(&mut self, epoch: Epoch) {
        self.under_way[epoch as usize] -= 1;
    }

    pub(crate) fn wait(&mut self, worker: WorkerId, reply_id: ReplyId) {
        self.late.push((worker, reply_id));
    }

    /// True if a worker's wait may be over.
    pub(crate) fn has_news(&self) -> bool {
        self.is_past_over() && !(self.waiting.is_empty() && self.late.is_empty())
    }

    /// A worker whose wait is over.
    pub(crate) fn take_done(&mut self) -> Option<(WorkerId, ReplyId)> {
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

impl Epoch {
    fn other(self) -> Epoch {
        match self {
            Epoch::Even => Epoch::Odd,
            Epoch::Odd => Epoch::Even,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_waits_for_commands_that_ran_before_and_not_for_later_ones() {
        let mut epochs = Epochs::default();
        let who = |reply_queue| {
            (
                WorkerId::from_index(0),
                ReplyId {
                    reply_queue,
                    sequence: 0,
                },
            )
        };
        let begin = |epochs: &mut Epochs| {
            let epoch = epochs.current();
            epochs.begin(epoch);
            epoch
        };
        let first = begin(&mut epochs);
        epochs.wait(who(1).0, who(1).1);
        assert!(epochs.has_news());
        assert_eq!(epochs.take_done(), None);
        let second = begin(&mut epochs);
        epochs.wait(who(2).0, who(2).1);
        assert!(!epochs.has_news());
        epochs.end(first);
        assert_eq!(epochs.take_done(), Some(who(1)));
        assert_eq!(epochs.take_done(), None);
        let third = begin(&mut epochs);
        epochs.end(second);
        assert_eq!(epochs.take_done(), Some(who(2)));
        epochs.end(third);
        assert!(!epochs.has_news());
    }
}
