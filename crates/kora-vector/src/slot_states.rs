//! What each slot is for: who may be returned, who is on the way out, and what is free.
//!
//! A slot is *vacant*, or it is taken by an insertion under way, or it is *live*, then *dead*. When a batch of the dead
//! is consolidated they are *retired*: nothing may link to them any more. A vector that is moved to another slot leaves a
//! retired one behind too, and a note of where it went. Retired slots become vacant when no operation can still hold them.

use crate::bits::{Bits, Words, each};

/// The slots of an index.
#[derive(Debug, Default)]
pub(crate) struct SlotStates {
    /// How many there are. Invariant: no set holds any at or beyond it.
    slots: u32,
    sets: Sets,
}

/// Which slots are what. There are many small collections: up to 32 slots a set is one word, in place.
#[derive(Debug)]
enum Sets {
    Few([u32; SETS]),
    Many(Box<Many>),
}

#[derive(Debug, Default)]
struct Many {
    sets: [Bits; SETS],
    /// Where vectors of the batch went, the highest slot first. Invariant: empty, or as many as are retired.
    moves: Vec<(u32, u32)>,
}

/// The sets. No slot is in two of them.
#[derive(Clone, Copy, Debug)]
enum Set {
    Live,
    /// Marked, and in no batch yet.
    Dead,
    /// The batch.
    Retired,
    Vacant,
}

impl Default for Sets {
    fn default() -> Sets {
        Sets::Few([0; SETS])
    }
}

impl SlotStates {
    /// So many slots, of which `live` are live, the rest of `taken` is dead, and all others are vacant.
    pub(crate) fn of(slots: usize, live: &Bits, taken: &Bits) -> SlotStates {
        let mut states = SlotStates::default();
        for slot in 0..slots as u32 {
            let next = states.take();
            debug_assert_eq!(next, slot, "none is vacant yet");
        }
        for slot in 0..slots as u32 {
            let set = match (live.holds(slot), taken.holds(slot)) {
                (true, _) => Set::Live,
                (false, true) => Set::Dead,
                (false, false) => Set::Vacant,
            };
            states.set(set, slot);
        }
        states
    }

    /// Copies of which slots are live, and which are vacant, 64 in a word.
    pub(crate) fn copy_sets(&self) -> [Vec<u64>; 2] {
        let words = self.slots().div_ceil(64);
        [Set::Live, Set::Vacant].map(|set| (0..words).map(|place| self.words(set).at(place)).collect())
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots as usize
    }

    pub(crate) fn live_count(&self) -> usize {
        self.count(Set::Live)
    }

    /// How many were live and still take their place: marked, or in the batch.
    pub(crate) fn removed(&self) -> usize {
        self.dead_count() + if self.has_moves() { 0 } else { self.count(Set::Retired) }
    }

    /// How many are marked and in no batch.
    pub(crate) fn dead_count(&self) -> usize {
        self.count(Set::Dead)
    }

    pub(crate) fn vacant_count(&self) -> usize {
        self.count(Set::Vacant)
    }

    #[inline]
    pub(crate) fn is_live(&self, slot: u32) -> bool {
        self.holds(Set::Live, slot)
    }

    /// Whether nothing may link to it.
    #[inline]
    pub(crate) fn is_retired(&self, slot: u32) -> bool {
        self.holds(Set::Retired, slot)
    }

    /// Whether a new link to it would soon be cut.
    #[inline]
    pub(crate) fn is_leaving(&self, slot: u32) -> bool {
        self.holds(Set::Dead, slot) || self.holds(Set::Retired, slot)
    }

    /// The slot to be taken next: the lowest vacant one, or a new one.
    pub(crate) fn take(&mut self) -> u32 {
        if let Some(slot) = self.first(Set::Vacant) {
            self.unset(Set::Vacant, slot);
            return slot;
        }
        let slot = self.slots;
        self.slots += 1;
        if slot >= FEW_MAX {
            let slots = self.slots();
            self.many().sets.iter_mut().for_each(|bits| bits.resize(slots));
        }
        slot
    }

    pub(crate) fn set_live(&mut self, slot: u32) {
        assert!(
            !self.is_leaving(slot) && !self.holds(Set::Vacant, slot),
            "slot {slot} is taken"
        );
        assert!(self.set(Set::Live, slot), "slot {slot} is live already");
    }

    pub(crate) fn set_dead(&mut self, slot: u32) {
        assert!(self.unset(Set::Live, slot), "slot {slot} is not live");
        self.set(Set::Dead, slot);
    }

    /// Dooms all that are dead.
    pub(crate) fn retire_dead(&mut self) {
        assert!(self.count(Set::Retired) == 0, "one batch after the other");
        let (dead, retired) = (Set::Dead as usize, Set::Retired as usize);
        match &mut self.sets {
            Sets::Few(words) => words.swap(dead, retired),
            Sets::Many(many) => many.sets.swap(dead, retired),
        }
    }

    /// Whether moving the live and forgetting the end would make it shorter. It would not, where an insertion under way has
    /// one of the last slots.
    pub(crate) fn can_shrink(&self) -> bool {
        let is_open_ended = self.slots > 1 && self.holds(Set::Vacant, self.slots - 1);
        let Sets::Many(many) = &self.sets else {
            return is_open_ended;
        };
        let first = many.sets[Set::Vacant as usize].lowest();
        let last = many.sets[Set::Live as usize].highest();
        is_open_ended || first.zip(last).is_some_and(|(first, last)| first < last)
    }

    /// The highest live slot, if there is a vacant one below it: those two. None either when the highest is beyond those
    /// that have moved, because an insertion has ended there meanwhile: it has to wait for the next batch.
    pub(crate) fn next_move(&mut self) -> Option<(u32, u32)> {
        let many = self.many();
        let from = many.sets[Set::Live as usize].last()?;
        let to = many.sets[Set::Vacant as usize].first()?;
        let is_next = many.moves.last().is_none_or(|last| from < last.0);
        (to < from && is_next).then_some((from, to))
    }

    /// The vector of `from` is the one of `to` from now on.
    pub(crate) fn note_move(&mut self, from: u32, to: u32) {
        assert!(self.unset(Set::Live, from), "only the live move");
        assert!(self.unset(Set::Vacant, to), "to where nobody is");
        self.set(Set::Live, to);
        self.set(Set::Retired, from);
        let moves = &mut self.many().moves;
        debug_assert!(moves.last().is_none_or(|last| last.0 > from), "from the end on");
        moves.push((from, to));
    }

    /// Whether the batch is one of moves.
    #[inline]
    pub(crate) fn has_moves(&self) -> bool {
        match &self.sets {
            Sets::Few(_) => false,
            Sets::Many(many) => !many.moves.is_empty(),
        }
    }

    /// Where the vector of a slot is now: there, or where it was moved; none if it is retired to go.
    #[inline]
    pub(crate) fn resolve(&self, slot: u32) -> Option<u32> {
        if !self.holds(Set::Retired, slot) {
            return Some(slot);
        }
        let Sets::Many(many) = &self.sets else {
            return None;
        };
        let place = many.moves.binary_search_by(|(from, _)| slot.cmp(from)).ok()?;
        Some(many.moves[place].1)
    }

    /// The same, if the vector is live.
    #[inline]
    pub(crate) fn resolve_live(&self, slot: u32) -> Option<u32> {
        self.resolve(slot).filter(|&there| self.is_live(there))
    }

    /// The lowest retired slot.
    pub(crate) fn first_retired(&mut self) -> Option<u32> {
        self.first(Set::Retired)
    }

    /// The next retired slot from `from` on.
    pub(crate) fn next_retired(&self, from: u32) -> Option<u32> {
        each(self.words(Set::Retired), Words::One(0), from as usize).next()
    }

    /// Lets a retired slot be taken again.
    pub(crate) fn vacate(&mut self, slot: u32) {
        assert!(self.unset(Set::Retired, slot), "slot {slot} is retired");
        self.set(Set::Vacant, slot);
    }

    /// The batch is done.
    pub(crate) fn forget_moves(&mut self) {
        assert!(self.count(Set::Retired) == 0, "all are vacant");
        if let Sets::Many(many) = &mut self.sets {
            many.moves = Vec::new();
        }
    }

    /// Forgets the vacant slots at the end.
    pub(crate) fn truncate(&mut self) {
        let mut slots = self.slots;
        let many = self.many();
        let vacant = &mut many.sets[Set::Vacant as usize];
        while slots > 1 && vacant.holds(slots - 1) {
            if slots.is_multiple_of(64) && slots > 64 && vacant.unset_whole(slots as usize / 64 - 1) {
                slots -= 64;
            } else {
                slots -= 1;
                vacant.unset(slots);
            }
        }
        for bits in &mut many.sets {
            bits.resize(slots as usize);
            bits.shrink();
        }
        self.slots = slots;
    }

    /// The live slots from `from` on, ascending.
    pub(crate) fn live_from(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        each(self.words(Set::Live), Words::One(0), from)
    }

    /// The same, and those whose vector has been moved elsewhere.
    pub(crate) fn live_or_moved_from(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        let moved = if self.has_moves() {
            self.words(Set::Retired)
        } else {
            Words::One(0)
        };
        each(self.words(Set::Live), moved, from)
    }

    /// Bytes held beside its own.
    pub(crate) fn bytes(&self) -> usize {
        let Sets::Many(many) = &self.sets else {
            return 0;
        };
        let sets: usize = many.sets.iter().map(Bits::bytes).sum();
        sets + many.moves.capacity() * size_of::<(u32, u32)>() + size_of::<Many>()
    }

    #[inline]
    fn holds(&self, set: Set, slot: u32) -> bool {
        match &self.sets {
            Sets::Few(words) => words[set as usize] >> slot & 1 == 1,
            Sets::Many(many) => many.sets[set as usize].holds(slot),
        }
    }

    /// False if it was there.
    fn set(&mut self, set: Set, slot: u32) -> bool {
        match &mut self.sets {
            Sets::Few(words) => {
                let before = words[set as usize];
                words[set as usize] |= 1 << slot;
                words[set as usize] != before
            }
            Sets::Many(many) => many.sets[set as usize].set(slot),
        }
    }

    /// False if it was not there.
    fn unset(&mut self, set: Set, slot: u32) -> bool {
        match &mut self.sets {
            Sets::Few(words) => {
                let before = words[set as usize];
                words[set as usize] &= !(1 << slot);
                words[set as usize] != before
            }
            Sets::Many(many) => many.sets[set as usize].unset(slot),
        }
    }

    fn count(&self, set: Set) -> usize {
        match &self.sets {
            Sets::Few(words) => words[set as usize].count_ones() as usize,
            Sets::Many(many) => many.sets[set as usize].count(),
        }
    }

    fn first(&mut self, set: Set) -> Option<u32> {
        match &mut self.sets {
            Sets::Few(words) => {
                let word = words[set as usize];
                (word != 0).then(|| word.trailing_zeros())
            }
            Sets::Many(many) => many.sets[set as usize].first(),
        }
    }

    fn words(&self, set: Set) -> Words<'_> {
        match &self.sets {
            Sets::Few(words) => Words::One(u64::from(words[set as usize])),
            Sets::Many(many) => many.sets[set as usize].words(),
        }
    }

    /// The sets in the form that has room for many slots, and for moves.
    fn many(&mut self) -> &mut Many {
        if let Sets::Few(words) = &self.sets {
            let sets = words.map(|word| Bits::of(u64::from(word)));
            let moves = Vec::new();
            self.sets = Sets::Many(Box::new(Many { sets, moves }));
        }
        match &mut self.sets {
            Sets::Many(many) => many,
            Sets::Few(_) => unreachable!("replaced above"),
        }
    }
}

/// How many sets there are.
const SETS: usize = 4;

/// So many slots are few: the bits of a word.
const FEW_MAX: u32 = u32::BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_listed_from_anywhere() {
        let mut states = SlotStates::default();
        (0..300).for_each(|slot| assert_eq!(states.take(), slot));
        let slots = [0, 1, 63, 64, 127, 200, 299];
        slots.iter().for_each(|&slot| states.set_live(slot));
        states.set_dead(64);
        for from in 0..310 {
            let want: Vec<u32> = slots
                .into_iter()
                .filter(|&slot| slot as usize >= from && slot != 64)
                .collect();
            assert_eq!(states.live_from(from).collect::<Vec<_>>(), want, "from {from}");
        }
        assert_eq!((states.live_count(), states.removed()), (6, 1));
    }

    #[test]
    fn slots_come_round_and_moves_are_remembered_until_all_are_vacant() {
        let mut states = SlotStates::default();
        (0..200).for_each(|slot| assert_eq!(states.take(), slot));
        (0..200).for_each(|slot| states.set_live(slot));
        (0..200)
            .filter(|slot| slot % 4 != 0)
            .for_each(|slot| states.set_dead(slot));
        states.retire_dead();
        while let Some(slot) = states.next_retired(0) {
            assert_eq!(states.resolve(slot), None);
            states.vacate(slot);
        }
        states.forget_moves();
        let mut moved = Vec::new();
        while let Some((from, to)) = states.next_move() {
            states.note_move(from, to);
            moved.push((from, to));
        }
        assert_eq!(moved.len(), 37, "the 50 that are left stand below 50");
        assert!(
            moved
                .iter()
                .all(|&(from, to)| states.resolve(from) == Some(to) && to < 50)
        );
        assert_eq!(states.live_or_moved_from(0).count(), 50 + 37);
        moved.iter().for_each(|&(from, _)| states.vacate(from));
        states.forget_moves();
        states.truncate();
        assert_eq!(
            (states.slots(), states.live_count(), states.vacant_count()),
            (50, 50, 0)
        );
        assert_eq!(states.take(), 50);
    }
}
