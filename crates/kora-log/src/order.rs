//! The frames of several workers, in the order of their stamps.
//!
//! A worker draws a stamp for each frame when the frame is complete, before anything of it can be seen elsewhere. So if one
//! worker knew of another's change before it made its own, the other's stamp is the smaller one. Workers hand frames over
//! at the end of their turns; a frame whose predecessor has not been handed over waits for it.

use std::collections::VecDeque;

use crate::block::BlockBuilder;
use crate::frame::Frame;
use crate::limits::BLOCK_BYTES_MAX;

/// Frames that a worker hands over together.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Their records, one behind the other.
    pub records: Vec<u8>,
    /// Where each ends. Stamps grow.
    pub marks: Vec<Mark>,
}

/// The end of a frame in a [`Chunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The frame's stamp.
    pub stamp: u64,
    /// The shard it is of.
    pub shard: u32,
    /// The place in the chunk's bytes behind its last record.
    pub end: usize,
}

/// Brings frames into their order.
#[derive(Debug)]
pub struct Order {
    next_stamp: u64,
    /// For each worker, what it handed over and is not taken.
    queues: Vec<Queue>,
    /// Bytes of records that wait.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    /// Frames of the first chunk that were taken, and where their bytes end.
    taken: usize,
    taken_bytes: usize,
}

impl Order {
    /// Nothing waits, and this is the first stamp to come.
    pub fn new(workers: usize, next_stamp: u64) -> Order {
        Order {
            next_stamp,
            queues: (0..workers).map(|_| Queue::default()).collect(),
            bytes: 0,
        }
    }

    /// Takes in what a worker hands over, after all that it handed over before.
    pub fn push(&mut self, worker: usize, chunk: Chunk) {
        if !chunk.marks.is_empty() {
            self.bytes += chunk.records.len();
            self.queues[worker].chunks.push_back(chunk);
        }
    }

    /// Bytes of records that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// The stamp of the frame that comes next.
    pub fn next_stamp(&self) -> u64 {
        self.next_stamp
    }

    /// Moves frames into a block, in their order, until the next one is missing or the block is full.
    pub fn fill(&mut self, block: &mut BlockBuilder) {
        while block.len() < BLOCK_BYTES_MAX && block.frame_count() < u32::MAX {
            let next = self.next_stamp;
            let Some(queue) = self.queues.iter_mut().find(|queue| queue.front_stamp() == Some(next)) else {
                return;
            };
            // A worker's frames often follow each other.
            while queue.front_stamp() == Some(self.next_stamp) && block.len() < BLOCK_BYTES_MAX {
                self.bytes -= queue.take_front(block);
                self.next_stamp += 1;
            }
        }
    }
}

impl Queue {
    fn front_stamp(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.marks[self.taken].stamp)
    }

    /// Moves the first frame into a block, and says how many bytes of records it has. There is one.
    fn take_front(&mut self, block: &mut BlockBuilder) -> usize {
        let chunk = &self.chunks[0];
        let mark = chunk.marks[self.taken];
        let records = &chunk.records[self.taken_bytes..mark.end];
        block.push(Frame {
            stamp: mark.stamp,
            shard: mark.shard,
            records,
        });
        let bytes = records.len();
        self.taken += 1;
        self.taken_bytes = mark.end;
        if self.taken == chunk.marks.len() {
            self.chunks.pop_front();
            (self.taken, self.taken_bytes) = (0, 0);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::{Block, HEAD_BYTES};

    proptest! {
        #[test]
        fn frames_come_out_in_the_order_of_their_stamps(
            owners in prop::collection::vec((0..3usize, 0..40usize), 1..80),
            cuts in prop::collection::vec(any::<u8>(), 1..80),
        ) {
            // Frame i is of worker `owners[i].0`; a worker hands over after some of its frames.
            let mut chunks: Vec<VecDeque<Chunk>> = (0..3).map(|_| VecDeque::from([Chunk::default()])).collect();
            for (stamp, &(worker, length)) in (10..).zip(&owners) {
                if cuts[stamp as usize % cuts.len()] % 3 == 0 {
                    chunks[worker].push_back(Chunk::default());
                }
                let chunk = chunks[worker].back_mut().expect("there is one");
                chunk.records.extend(std::iter::repeat_n(stamp as u8, length));
                chunk.marks.push(Mark { stamp, shard: worker as u32, end: chunk.records.len() });
            }
            let mut order = Order::new(3, 10);
            let mut found = Vec::new();
            let mut turn = 0usize;
            while chunks.iter().any(|queue| !queue.is_empty()) {
                turn += 1;
                let worker = usize::from(cuts[turn % cuts.len()]) % 3;
                if let Some(chunk) = chunks[worker].pop_front() {
                    order.push(worker, chunk);
                } else {
                    (0..3).filter_map(|other| Some((other, chunks[other].pop_front()?))).for_each(|(other, chunk)| order.push(other, chunk));
                }
                let mut block = BlockBuilder::new();
                order.fill(&mut block);
                if block.is_empty() {
                    continue;
                }
                let bytes = block.seal(1, found.len() as u64 + 10, 0).to_vec();
                let block = Block::check(1, &bytes[..HEAD_BYTES], bytes[HEAD_BYTES..].to_vec()).expect("whole");
                found.extend(block.frames().map(|frame| (frame.shard as usize, frame.records.to_vec())));
            }
            let wanted: Vec<(usize, Vec<u8>)> =
                (10u64..).zip(&owners).map(|(stamp, &(worker, length))| (worker, vec![stamp as u8; length])).collect();
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(order.waiting_bytes(), 0);
        }
    }
}
