//! The name of each slot, stored end to end.

use kora_vector::Slot;

/// Slot → name. Names are only added, in the order of their slots; a slot is never given another name.
pub(crate) struct SlotNames {
    /// Invariant: all but the last hold CHUNK_SLOTS names.
    chunks: Vec<Chunk>,
    bytes: usize,
}

/// Small chunks, so that growing one copies little.
#[derive(Default)]
struct Chunk {
    /// Where each name ends in `text`.
    ends: Vec<u32>,
    text: Vec<u8>,
}

impl SlotNames {
    pub(crate) fn new() -> SlotNames {
        SlotNames {
            chunks: Vec::new(),
            bytes: 0,
        }
    }

    /// Names the next slot.
    pub(crate) fn push(&mut self, name: &[u8]) -> Slot {
        if self.chunks.last().is_none_or(|chunk| chunk.ends.len() == CHUNK_SLOTS) {
            self.chunks.push(Chunk::default());
        }
        let before = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().expect("one was pushed if there was none");
        let held = chunk.bytes();
        chunk.text.extend_from_slice(name);
        chunk
            .ends
            .push(u32::try_from(chunk.text.len()).expect("CHUNK_SLOTS names of KEY_BYTES_MAX fit 32 bits"));
        self.bytes += chunk.bytes() - held;
        Slot::from_index(before * CHUNK_SLOTS + chunk.ends.len() - 1)
    }

    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        let chunk = &self.chunks[slot.index() / CHUNK_SLOTS];
        let place = slot.index() % CHUNK_SLOTS;
        let start = if place == 0 { 0 } else { chunk.ends[place - 1] as usize };
        &chunk.text[start..chunk.ends[place] as usize]
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Frees one chunk; false when there is none left. For names that are no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        self.chunks.pop().is_some()
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// 256 names of some tens of bytes: a chunk that grows copies a few KiB.
const CHUNK_SLOTS: usize = 256;

const _: () = assert!(CHUNK_SLOTS * crate::limits::KEY_BYTES_MAX <= u32::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_keeps_its_name() {
        let mut names = SlotNames::new();
        let expected: Vec<Vec<u8>> = (0..1000_usize).map(|index| vec![index as u8; index % 40]).collect();
        for (index, name) in expected.iter().enumerate() {
            assert_eq!(names.push(name).index(), index);
        }
        for (index, name) in expected.iter().enumerate() {
            assert_eq!(names.name(Slot::from_index(index)), name.as_slice());
        }
        assert!(names.bytes() > expected.iter().map(Vec::len).sum());
    }
}
