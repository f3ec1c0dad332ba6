//! The ring under a lane: one writer, one reader, a fixed number of slots.
//!
//! The ring is rtrb's. The two types here narrow it to what a lane uses, so that the model checker can be given a twin
//! with the same surface: loom cannot see into rtrb, whose atomics are the standard library's. `ring/modelled.rs` says
//! what the twin keeps and what it leaves out.

#[cfg(loom)]
mod modelled;

#[cfg(loom)]
pub(crate) use modelled::{Consumer, Producer, ring};

/// A ring of `capacity` slots, by its two ends.
#[cfg(not(loom))]
pub(crate) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    (Producer(producer), Consumer(consumer))
}

/// The writer's end. rtrb keeps the two ends' counters on cache lines of their own and caches the other side's.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Producer<T>(rtrb::Producer<T>);

#[cfg(not(loom))]
impl<T> Producer<T> {
    pub(crate) fn push(&mut self, item: T) -> Result<(), Full> {
        self.0.push(item).map_err(|_| Full)
    }

    /// Moves all of `items` into the ring with one write of its tail, or none if they do not fit.
    pub(crate) fn push_all(&mut self, items: &mut Vec<T>) -> Result<(), Full> {
        let chunk = self.0.write_chunk_uninit(items.len()).map_err(|_| Full)?;
        chunk.fill_from_iter(items.drain(..));
        Ok(())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.buffer().capacity()
    }
}

/// The reader's end.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Consumer<T>(rtrb::Consumer<T>);

#[cfg(not(loom))]
impl<T> Consumer<T> {
    /// Takes the oldest item. Its slot is free for the writer before this returns; `lane.rs` relies on it.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.0.pop().ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The ring has no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_in_whole_or_not_at_all() {
        let (mut producer, mut consumer) = ring::<u32>(3);
        let mut batch = vec![1, 2];
        assert_eq!(producer.push_all(&mut batch), Ok(()));
        assert!(batch.is_empty());
        batch.extend([3, 4]);
        assert_eq!(producer.push_all(&mut batch), Err(Full));
        assert_eq!(batch, [3, 4]);
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(producer.push_all(&mut batch), Ok(()));
        assert_eq!(
            [consumer.pop(), consumer.pop(), consumer.pop()],
            [Some(2), Some(3), Some(4)]
        );
        assert!(consumer.is_empty());
    }

    #[test]
    fn a_ring_of_one_slot_works() {
        let (mut producer, mut consumer) = ring::<u32>(1);
        for item in 0..5 {
            assert_eq!(producer.push(item), Ok(()));
            assert_eq!(producer.push(99), Err(Full));
            assert_eq!(consumer.pop(), Some(item));
            assert_eq!(consumer.pop(), None);
        }
    }
}
