//! The name of each slot.

use kora_vector::Slot;

/// Slot → name, for those slots that have one. A name that is forgotten gives its bytes back.
pub(crate) struct SlotNames {
    #[expect(clippy::vec_box, reason = "a list that grows moves pointers only")]
    chunks: Vec<Box<Chunk>>,
    bytes: usize,
}

/// Some names, each behind its length, in any order: small, so that putting one in order copies little.
struct Chunk {
    /// Where each begins in `text`, or `NONE`.
    starts: [u32; CHUNK_SLOTS],
    text: Vec<u8>,
    /// Bytes of `text` that are of no use any more. Invariant: at most as many as are of use, and then `GARBAGE_MIN`.
    garbage: usize,
}

impl SlotNames {
    pub(crate) fn new() -> SlotNames {
        SlotNames {
            chunks: Vec::new(),
            bytes: 0,
        }
    }

    /// Names a slot, whatever its name was.
    pub(crate) fn set(&mut self, slot: Slot, name: &[u8]) {
        while self.chunks.len() <= slot.index() / CHUNK_SLOTS {
            let chunk = Box::new(Chunk::new());
            self.bytes += chunk.bytes();
            self.chunks.push(chunk);
        }
        self.change(slot, |chunk, place| {
            chunk.forget(place);
            chunk.put(place, name);
        });
    }

    /// Forgets a slot's name.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.change(slot, Chunk::forget);
    }

    /// True if something is held for slots from `slots` on.
    pub(crate) fn reaches_beyond(&self, slots: usize) -> bool {
        self.chunks.len() > slots.div_ceil(CHUNK_SLOTS)
    }

    /// Gives back some of what is held for the slots from `slots` on, which have gone.
    pub(crate) fn truncate(&mut self, slots: usize) {
        for _ in 0..CHUNKS_FREED_AT_ONCE {
            if !self.reaches_beyond(slots) {
                break;
            }
            let chunk = self.chunks.pop().expect("there are more");
            self.bytes -= chunk.bytes();
        }
        if self.chunks.capacity() > 4 * self.chunks.len() {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
    }

    /// A slot's name. Empty if it has none.
    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        let chunk = self.chunks.get(slot.index() / CHUNK_SLOTS);
        chunk.map_or(&[], |chunk| chunk.name(slot.index() % CHUNK_SLOTS))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.chunks.capacity() * size_of::<Box<Chunk>>()
    }

    /// Frees one chunk; false when there is none left. For names that are no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        self.chunks.pop().is_some()
    }

    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Chunk, usize)) {
        let Some(chunk) = self.chunks.get_mut(slot.index() / CHUNK_SLOTS) else {
            return;
        };
        self.bytes -= chunk.bytes();
        change(chunk, slot.index() % CHUNK_SLOTS);
        self.bytes += chunk.bytes();
    }
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            starts: [NONE; CHUNK_SLOTS],
            text: Vec::new(),
            garbage: 0,
        }
    }

    fn name(&self, place: usize) -> &[u8] {
        match self.starts[place] {
            NONE => &[],
            start => &self.text[self.extent(start)],
        }
    }

    /// Where a name lies, behind its length.
    fn extent(&self, start: u32) -> std::ops::Range<usize> {
        let start = start as usize;
        let (length, head) = match self.text[start] {
            LONG => {
                let bytes = [1, 2, 3].map(|at| usize::from(self.text[start + at]));
                (bytes[0] | bytes[1] << 8 | bytes[2] << 16, 4)
            }
            length => (usize::from(length), 1),
        };
        start + head..start + head + length
    }

    fn put(&mut self, place: usize, name: &[u8]) {
        let length = name.len();
        assert!(length <= crate::limits::KEY_BYTES_MAX, "a name is part of a key");
        // By an eighth at a time: doubling would leave a third of the memory unused, and 64 names are quickly copied.
        if self.text.capacity() - self.text.len() < length + 4 {
            self.text.reserve_exact(length + 4 + self.text.len() / 8);
        }
        self.starts[place] = self.text.len() as u32;
        if length < usize::from(LONG) {
            self.text.push(length as u8);
        } else {
            self.text
                .extend([LONG, length as u8, (length >> 8) as u8, (length >> 16) as u8]);
        }
        self.text.extend_from_slice(name);
    }

    fn forget(&mut self, place: usize) {
        let start = std::mem::replace(&mut self.starts[place], NONE);
        if start == NONE {
            return;
        }
        self.garbage += self.extent(start).end - start as usize;
        if self.garbage > self.text.len() / 2 + GARBAGE_MIN || self.garbage == self.text.len() {
            self.compact();
        }
    }

    /// Copies the names that are of use.
    fn compact(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.garbage);
        for place in 0..CHUNK_SLOTS {
            let start = self.starts[place];
            if start != NONE {
                let whole = start as usize..self.extent(start).end;
                self.starts[place] = text.len() as u32;
                text.extend_from_slice(&self.text[whole]);
            }
        }
        self.text = text;
        self.garbage = 0;
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + size_of::<Chunk>()
    }
}

/// 64 names of some tens of bytes: putting them in order copies a KiB or two.
const CHUNK_SLOTS: usize = 64;

/// Chunks given back in one step, each two blocks that lie anywhere in memory: about 1 µs.
const CHUNKS_FREED_AT_ONCE: usize = 64;

/// So many bytes may be of no use in any chunk: a single name of usual length should not make it be put in order.
const GARBAGE_MIN: usize = 128;

/// A place without a name.
const NONE: u32 = u32::MAX;

/// A length that is written in the next three bytes.
const LONG: u8 = u8::MAX;

// Twice over, for what is of no use, and the lengths.
const _: () = assert!(2 * CHUNK_SLOTS * (crate::limits::KEY_BYTES_MAX + 4) < NONE as usize);
const _: () = assert!(crate::limits::KEY_BYTES_MAX < 1 << 24);

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_slot_keeps_its_name_while_others_come_and_go() {
        let mut names = SlotNames::new();
        let mut twin: HashMap<usize, Vec<u8>> = HashMap::new();
        let mut state = 88_172_645_463_325_252_u64;
        for step in 0..50_000_usize {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let slot = state as usize % 1_000;
            if state & (1 << 40) == 0 {
                names.forget(Slot::from_index(slot));
                twin.remove(&slot);
            } else {
                let length = if step % 5_000 == 0 {
                    60_000
                } else {
                    (state >> 20) as usize % 40
                };
                let name = vec![step as u8; length];
                names.set(Slot::from_index(slot), &name);
                twin.insert(slot, name);
            }
        }
        for slot in 0..1_000 {
            let expected = twin.get(&slot).map_or(&[][..], Vec::as_slice);
            assert_eq!(names.name(Slot::from_index(slot)), expected);
        }
        let held: usize = names.chunks.iter().map(|chunk| chunk.bytes()).sum();
        assert!(names.bytes() >= held);
        (0..1_000).for_each(|slot| names.forget(Slot::from_index(slot)));
        names.truncate(100);
        assert_eq!(names.chunks.len(), 2);
        assert!(names.chunks.iter().all(|chunk| chunk.text.capacity() == 0));
    }

    #[test]
    fn names_of_many_slots_go_in_steps_and_all_of_them() {
        let mut names = SlotNames::new();
        let slots = 100 * CHUNK_SLOTS * CHUNKS_FREED_AT_ONCE;
        (0..slots).for_each(|index| names.set(Slot::from_index(index), &index.to_le_bytes()));
        let full = names.bytes();
        let mut steps = 0;
        while names.reaches_beyond(CHUNK_SLOTS) {
            names.truncate(CHUNK_SLOTS);
            steps += 1;
        }
        assert_eq!(steps, 100, "as many at once as the limit says");
        assert!(names.bytes() * 1000 < full, "{} of {full} bytes", names.bytes());
        assert_eq!(names.name(Slot::from_index(7)), 7_usize.to_le_bytes());
        assert_eq!(names.name(Slot::from_index(CHUNK_SLOTS)), b"");
    }

    #[test]
    fn a_name_costs_its_bytes_and_a_few_more() {
        let mut names = SlotNames::new();
        (0..10_000).for_each(|slot| names.set(Slot::from_index(slot), b"a name of twenty one."));
        let each = names.bytes() as f64 / 10_000.0 - 21.0;
        assert!((5.0..10.0).contains(&each), "{each}");
    }
}
