//! The slots of a reply queue, in memory that a worker's clients lend each other.
//!
//! A pipeline of 1,024 commands takes a quarter of a megabyte of slots, for microseconds. Kept by every client that ever sent
//! one, that would be gigabytes for some thousands of clients; given back to the allocator each time, a pipeline would pay for
//! it. So a queue that is empty hands large room on to its worker, which keeps a few.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Slots in their order, as a [`VecDeque`].
pub(crate) struct ReplySlots<T> {
    slots: VecDeque<T>,
    spare: SpareSlots<T>,
}

/// Large room of queues that are empty. A worker has one of them.
pub(crate) struct SpareSlots<T>(Rc<RefCell<Vec<VecDeque<T>>>>);

impl<T> ReplySlots<T> {
    pub(crate) fn new(spare: SpareSlots<T>) -> ReplySlots<T> {
        ReplySlots {
            slots: VecDeque::new(),
            spare,
        }
    }

    pub(crate) fn push_back(&mut self, slot: T) {
        if self.slots.len() == OWN_SLOTS && self.slots.capacity() < 2 * OWN_SLOTS {
            self.move_to_spare();
        }
        self.slots.push_back(slot);
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let slot = self.slots.pop_front();
        if self.slots.is_empty() && self.slots.capacity() > OWN_SLOTS {
            self.hand_on();
        }
        slot
    }

    /// Goes on in room that another queue has handed on, if there is some.
    fn move_to_spare(&mut self) {
        if let Some(mut room) = self.spare.0.borrow_mut().pop() {
            room.extend(self.slots.drain(..));
            self.slots = room;
        }
    }

    fn hand_on(&mut self) {
        let room = std::mem::take(&mut self.slots);
        let mut spare = self.spare.0.borrow_mut();
        if spare.len() < SPARE_MAX {
            spare.push(room);
        }
    }
}

impl<T> Deref for ReplySlots<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.slots
    }
}

impl<T> DerefMut for ReplySlots<T> {
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        &mut self.slots
    }
}

impl<T> Default for SpareSlots<T> {
    fn default() -> SpareSlots<T> {
        SpareSlots(Rc::default())
    }
}

impl<T> Clone for SpareSlots<T> {
    fn clone(&self) -> SpareSlots<T> {
        SpareSlots(Rc::clone(&self.0))
    }
}

/// Slots that a queue keeps for itself: most pipelines of libraries are no longer.
const OWN_SLOTS: usize = 16;

/// Rooms that a worker keeps: two megabytes at most. As many clients as that are seldom in the middle of a long pipeline.
const SPARE_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_from_an_empty_queue_to_the_next() {
        let spare = SpareSlots::default();
        let [mut one, mut other] = [(); 2].map(|()| ReplySlots::new(spare.clone()));
        (0..1_000).for_each(|number| one.push_back(number));
        let room = one.capacity();
        assert!((0..1_000).all(|number| one.pop_front() == Some(number)));
        assert_eq!(one.pop_front(), None);
        assert!(one.capacity() <= OWN_SLOTS);
        (0..1_000).for_each(|number| other.push_back(number));
        assert_eq!(other.capacity(), room);
        assert!((0..1_000).all(|number| other.pop_front() == Some(number)));
    }

    #[test]
    fn no_more_room_is_kept_than_is_said() {
        let spare = SpareSlots::default();
        let mut queues: Vec<_> = (0..2 * SPARE_MAX).map(|_| ReplySlots::new(spare.clone())).collect();
        queues
            .iter_mut()
            .for_each(|queue| (0..100).for_each(|number| queue.push_back(number)));
        queues.iter_mut().for_each(|queue| while queue.pop_front().is_some() {});
        assert_eq!(spare.0.borrow().len(), SPARE_MAX);
    }
}
