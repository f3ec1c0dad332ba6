//! The ring's twin for the model checker, built only under `--cfg loom`.
//!
//! Kept, because the proofs in `lane.rs` and `doorbell.rs` rest on it: the two positions are loom's atomics, written
//! with release and read with acquire exactly where rtrb does it; each side knows the other's position only as well as
//! it last read it, and reads it again only when the ring looks full (or empty) by what it knew. So loom explores every
//! stale view of "is there room" and "is there mail" that the memory model allows.
//!
//! Left out: the slots themselves. An item travels through a mutex of the standard library, which loom does not see, so
//! this twin does not show that rtrb hands an item over safely; that is rtrb's own promise. It does assert that a slot
//! is free when written and full when read.

use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicUsize, Ordering};

use super::Full;

/// A ring of `capacity` slots, by its two ends.
pub(crate) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        slots: (0..capacity).map(|_| Mutex::new(None)).collect(),
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(0),
    });
    (
        Producer {
            shared: Arc::clone(&shared),
            tail: 0,
            head_seen: 0,
        },
        Consumer {
            shared,
            head: 0,
            tail_seen: 0,
        },
    )
}

/// Positions count up for ever; a model never sends enough to wrap.
#[derive(Debug)]
struct Shared<T> {
    slots: Vec<Mutex<Option<T>>>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

impl<T> Shared<T> {
    fn fill(&self, position: usize, item: T) {
        let before = self.slots[position % self.slots.len()]
            .lock()
            .expect("never poisoned")
            .replace(item);
        assert!(before.is_none(), "a slot was written twice");
    }

    fn empty(&self, position: usize) -> T {
        let item = self.slots[position % self.slots.len()]
            .lock()
            .expect("never poisoned")
            .take();
        item.expect("a slot was read before it was written")
    }
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Producer<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    /// The head as it was last read; the true one may be further on.
    head_seen: usize,
}

impl<T> Producer<T> {
    pub(crate) fn push(&mut self, item: T) -> Result<(), Full> {
        self.make_room(1)?;
        self.shared.fill(self.tail, item);
        self.publish(1);
        Ok(())
    }

    pub(crate) fn push_all(&mut self, items: &mut Vec<T>) -> Result<(), Full> {
        let count = items.len();
        self.make_room(count)?;
        for (offset, item) in items.drain(..).enumerate() {
            self.shared.fill(self.tail + offset, item);
        }
        self.publish(count);
        Ok(())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.shared.slots.len()
    }

    fn make_room(&mut self, count: usize) -> Result<(), Full> {
        if self.tail + count - self.head_seen > self.capacity() {
            self.head_seen = self.shared.head.load(Ordering::Acquire);
        }
        if self.tail + count - self.head_seen > self.capacity() {
            Err(Full)
        } else {
            Ok(())
        }
    }

    fn publish(&mut self, count: usize) {
        self.tail += count;
        self.shared.tail.store(self.tail, Ordering::Release);
    }
}

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    /// The tail as it was last read; the true one may be further on.
    tail_seen: usize,
}

impl<T> Consumer<T> {
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            self.tail_seen = self.shared.tail.load(Ordering::Acquire);
        }
        if self.head == self.tail_seen {
            return None;
        }
        let item = self.shared.empty(self.head);
        self.head += 1;
        self.shared.head.store(self.head, Ordering::Release);
        Some(item)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.tail_seen && self.head == self.shared.tail.load(Ordering::Acquire)
    }
}
