//! The slots of a segment: in the order of their hashes, with gaps.

use std::cell::Cell;

use crate::block::block_bytes;

/// What a table knows of a record without a look at it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) hash: u32,
    /// Where the record lies in the arena of the segment.
    pub(super) at: u32,
    /// The caller's note: when the record was used, or how often. A read changes it.
    pub(super) used: Cell<u32>,
}

impl Slot {
    fn vacant() -> Slot {
        Slot {
            hash: 0,
            at: NOWHERE,
            used: Cell::new(0),
        }
    }

    fn is_vacant(&self) -> bool {
        self.at == NOWHERE
    }
}

/// Slots in the order of their hashes: linear probing from a home that grows with the hash (as in a hash table sorted by
/// hash; Amble and Knuth 1974), so that a split divides them at one place, and a change of size is one pass in order.
///
/// Invariants: hashes never decrease. A slot lies at its home or behind it, and none between is vacant.
#[derive(Debug, Default)]
pub(super) struct Slots {
    places: Vec<Slot>,
    len: usize,
    /// Leading bits of a hash that say nothing here, for all have them.
    depth: u32,
}

impl Slots {
    /// These slots, which come in the order of their hashes.
    pub(super) fn of(depth: u32, slots: &[Slot]) -> Slots {
        let mut spread = Slots {
            places: Vec::new(),
            len: slots.len(),
            depth,
        };
        let mut capacity = capacity_for(slots.len());
        while !spread.fill(slots, capacity) {
            capacity = capacity_beyond(capacity);
        }
        spread
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, vacant ones too.
    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&self, place: usize) -> Option<&Slot> {
        self.places.get(place).filter(|slot| !slot.is_vacant())
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Slot {
        &mut self.places[place]
    }

    /// Something of where a slot of this hash is looked for, read so that it is near. Nothing is decided by what is read: so
    /// the processor reads for the next hash before this one's memory has answered.
    #[inline]
    pub(super) fn touched(&self, hash: u32) -> u32 {
        let home = self.home(hash);
        let read = |place: usize| self.places.get(place).map_or(0, |slot| slot.at);
        read(home) ^ read(home + CACHE_LINE_BYTES / size_of::<Slot>())
    }

    /// The place of the slot with this hash that `is` the one.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is: impl FnMut(&Slot) -> bool) -> Option<usize> {
        let home = self.home(hash);
        for (distance, slot) in self.places.get(home..)?.iter().enumerate() {
            if slot.hash >= hash || slot.is_vacant() {
                if slot.hash != hash || slot.is_vacant() {
                    return None;
                }
                if is(slot) {
                    return Some(home + distance);
                }
            }
        }
        None
    }

    /// Adds a slot; returns its place.
    pub(super) fn insert(&mut self, slot: Slot) -> usize {
        if self.len >= len_max(self.places.len()) {
            self.grow();
        }
        loop {
            let mut place = self.home(slot.hash);
            while self.get(place).is_some_and(|other| other.hash < slot.hash) {
                place += 1;
            }
            let mut vacant = place;
            while self.get(vacant).is_some() {
                vacant += 1;
            }
            if vacant < self.places.len() {
                self.places[place..=vacant].rotate_right(1);
                self.places[place] = slot;
                self.len += 1;
                return place;
            }
            self.grow();
        }
    }

    /// Takes out the slot at a place.
    pub(super) fn remove(&mut self, place: usize) -> Slot {
        let mut end = place + 1;
        while self.get(end).is_some_and(|next| self.home(next.hash) < end) {
            end += 1;
        }
        self.places[place..end].rotate_left(1);
        let slot = std::mem::replace(&mut self.places[end - 1], Slot::vacant());
        self.len -= 1;
        if self.places.len() > CAPACITY_MIN && self.len < self.places.len() / 2 {
            let slots: Vec<Slot> = self.iter().cloned().collect();
            *self = Slots::of(self.depth, &slots);
        }
        slot
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.places.iter().filter(|slot| !slot.is_vacant())
    }

    /// The slots of this hash and of larger ones.
    pub(super) fn iter_from(&self, hash: u32) -> impl Iterator<Item = &Slot> {
        let behind = self.places.iter().skip(self.home(hash));
        behind.filter(move |slot| !slot.is_vacant() && slot.hash >= hash)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.places.iter_mut().filter(|slot| !slot.is_vacant())
    }

    pub(super) fn bytes(&self) -> usize {
        block_bytes(self.places.len() * size_of::<Slot>())
    }

    /// Where the slot of a hash lies, if no other takes its place. Not less than that of a smaller hash.
    #[inline]
    pub(super) fn home(&self, hash: u32) -> usize {
        let rest = hash.checked_shl(self.depth).unwrap_or(0);
        ((u64::from(rest) * homes(self.places.len()) as u64) >> 32) as usize
    }

    fn grow(&mut self) {
        let slots: Vec<Slot> = self.iter().cloned().collect();
        let mut capacity = capacity_beyond(self.places.len());
        while !self.fill(&slots, capacity) {
            capacity = capacity_beyond(capacity);
        }
    }

    /// Gives slots their places among so many; false if the last ones don't suffice.
    fn fill(&mut self, slots: &[Slot], capacity: usize) -> bool {
        self.places = vec![Slot::vacant(); capacity];
        let mut next = 0;
        for slot in slots {
            let place = self.home(slot.hash).max(next);
            if place >= capacity {
                return false;
            }
            self.places[place] = slot.clone();
            next = place + 1;
        }
        true
    }

    /// # Panics
    /// If the slots are not sound.
    pub(super) fn assert_sound(&self) {
        let mut last = 0;
        for (place, slot) in self.places.iter().enumerate().filter(|(_, slot)| !slot.is_vacant()) {
            let home = self.home(slot.hash);
            assert!(home <= place && slot.hash >= last, "in order, at home or behind it");
            assert!((home..place).all(|place| self.get(place).is_some()), "no gap before it");
            last = slot.hash;
        }
        assert_eq!(self.iter().count(), self.len);
    }
}

/// How many of the places are homes. Behind them lie some more, for what finds the last homes taken.
fn homes(capacity: usize) -> usize {
    capacity - capacity / 32 - capacity.min(4) / 4
}

/// At seven eighths a search reads 5 places on average, which lie side by side.
fn len_max(capacity: usize) -> usize {
    capacity / 8 * 7
}

/// The fewest places for so many slots; none for none.
fn capacity_for(len: usize) -> usize {
    let mut capacity = 0;
    while len_max(capacity) < len {
        capacity = capacity_beyond(capacity.max(len));
    }
    capacity
}

/// The next size: what fits into the next larger block, so that none of it is wasted.
fn capacity_beyond(capacity: usize) -> usize {
    let bytes = block_bytes((capacity + 1) * size_of::<Slot>());
    (bytes / size_of::<Slot>()).max(CAPACITY_MIN)
}

const CACHE_LINE_BYTES: usize = 64;

/// The place of what is in no arena.
const NOWHERE: u32 = u32::MAX;

/// The least that slots have room for.
const CAPACITY_MIN: usize = 8;

// Millions of these are what a table is made of.
const _: () = assert!(size_of::<Slot>() == 12);
