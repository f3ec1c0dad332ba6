//! What each slot is for: who may be returned, who is on the way out, and what is free.
//!
//! A slot is *vacant*, or it is taken by an insertion under way, or it is *live*, then *dead*. When a batch of the dead
//! is consolidated they are *doomed*: nothing may link to them any more. A vector that is moved to another slot leaves a
//! doomed one behind too, and a note of where it went. Doomed slots become vacant when nobody can still hold them.

/// The slots of an index.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// How many there are. Invariant: no bit is set at or beyond it.
    slots: usize,
    live: Bits,
    /// Marked, and in no batch yet.
    dead: Bits,
    /// The batch.
    doomed: Bits,
    vacant: Bits,
    /// Where vectors of the batch went, the highest slot first. Invariant: empty, or as many as are doomed.
    moves: Vec<(u32, u32)>,
}

impl Roll {
    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.count
    }

    /// How many were live and still take their place: marked, or in the batch.
    pub(crate) fn removed(&self) -> usize {
        self.dead.count + if self.moves.is_empty() { self.doomed.count } else { 0 }
    }

    /// How many are marked and in no batch.
    pub(crate) fn dead_count(&self) -> usize {
        self.dead.count
    }

    pub(crate) fn vacant_count(&self) -> usize {
        self.vacant.count
    }

    #[inline]
    pub(crate) fn is_live(&self, slot: u32) -> bool {
        self.live.holds(slot)
    }

    /// Whether nothing may link to it.
    #[inline]
    pub(crate) fn is_doomed(&self, slot: u32) -> bool {
        self.doomed.holds(slot)
    }

    /// Whether a new link to it would soon be cut.
    #[inline]
    pub(crate) fn is_leaving(&self, slot: u32) -> bool {
        self.dead.holds(slot) || self.doomed.holds(slot)
    }

    /// The slot to be taken next: the lowest vacant one, or a new one.
    pub(crate) fn take(&mut self) -> u32 {
        match self.vacant.take_first() {
            Some(slot) => slot,
            None => {
                self.slots += 1;
                for bits in [&mut self.live, &mut self.dead, &mut self.doomed, &mut self.vacant] {
                    bits.resize(self.slots);
                }
                (self.slots - 1) as u32
            }
        }
    }

    pub(crate) fn set_live(&mut self, slot: u32) {
        assert!(
            !self.is_leaving(slot) && !self.vacant.holds(slot),
            "slot {slot} is taken"
        );
        assert!(self.live.set(slot), "slot {slot} is live already");
    }

    pub(crate) fn set_dead(&mut self, slot: u32) {
        assert!(self.live.unset(slot), "slot {slot} is not live");
        self.dead.set(slot);
    }

    /// Dooms all that are dead.
    pub(crate) fn doom_dead(&mut self) {
        assert!(self.doomed.count == 0, "one batch after the other");
        std::mem::swap(&mut self.dead, &mut self.doomed);
    }

    /// Whether moving the live and forgetting the end would make it shorter. It would not, where an insertion under way has
    /// one of the last slots.
    pub(crate) fn can_shrink(&self) -> bool {
        let is_open_ended = self.slots > 1 && self.vacant.holds(self.slots as u32 - 1);
        let first = self.vacant.first_from(self.vacant.first);
        is_open_ended
            || first
                .zip(self.live.last_before(self.live.end))
                .is_some_and(|(first, last)| first < last)
    }

    /// The highest live slot, if there is a vacant one below it: those two.
    pub(crate) fn next_move(&mut self) -> Option<(u32, u32)> {
        let (from, to) = (self.live.last()?, self.vacant.first()?);
        (to < from).then_some((from, to))
    }

    /// The vector of `from` is the one of `to` from now on.
    pub(crate) fn note_move(&mut self, from: u32, to: u32) {
        assert!(self.live.unset(from), "only the live move");
        assert!(self.vacant.unset(to), "to where nobody is");
        self.live.set(to);
        self.doomed.set(from);
        debug_assert!(self.moves.last().is_none_or(|last| last.0 > from), "from the end on");
        self.moves.push((from, to));
    }

    /// Whether the batch is one of moves.
    #[inline]
    pub(crate) fn has_moves(&self) -> bool {
        !self.moves.is_empty()
    }

    /// Where the vector of a slot is now: there, or where it was moved; none if it is doomed to go.
    #[inline]
    pub(crate) fn resolve(&self, slot: u32) -> Option<u32> {
        if !self.doomed.holds(slot) {
            return Some(slot);
        }
        let place = self.moves.binary_search_by(|(from, _)| slot.cmp(from)).ok()?;
        Some(self.moves[place].1)
    }

    /// The lowest doomed slot.
    pub(crate) fn first_doomed(&mut self) -> Option<u32> {
        self.doomed.first()
    }

    /// The next doomed slot from `from` on.
    pub(crate) fn next_doomed(&self, from: u32) -> Option<u32> {
        self.doomed.from(from as usize).next()
    }

    /// Lets a doomed slot be taken again.
    pub(crate) fn vacate(&mut self, slot: u32) {
        assert!(self.doomed.unset(slot), "slot {slot} is doomed");
        self.vacant.set(slot);
    }

    /// The batch is done.
    pub(crate) fn forget_moves(&mut self) {
        assert!(self.doomed.count == 0, "all are vacant");
        self.moves = Vec::new();
    }

    /// Forgets the vacant slots at the end.
    pub(crate) fn truncate(&mut self) {
        while self.slots > 1 && self.vacant.holds(self.slots as u32 - 1) {
            let whole = self.slots.is_multiple_of(64) && self.slots > 64;
            if whole && self.vacant.words[self.slots / 64 - 1] == u64::MAX {
                self.slots -= 64;
                self.vacant.words[self.slots / 64] = 0;
                self.vacant.count -= 64;
            } else {
                self.slots -= 1;
                self.vacant.unset(self.slots as u32);
            }
        }
        for bits in [&mut self.live, &mut self.dead, &mut self.doomed, &mut self.vacant] {
            bits.resize(self.slots);
            bits.words.shrink_to_fit();
            bits.first = bits.first.min(bits.words.len());
            bits.end = bits.end.min(bits.words.len());
        }
    }

    /// The live slots from `from` on, ascending.
    pub(crate) fn live_from(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        self.live.from(from)
    }

    /// The same, and those whose vector has been moved elsewhere.
    pub(crate) fn live_or_moved_from(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        let moved = if self.has_moves() { &self.doomed.words[..] } else { &[] };
        each(&self.live.words, moved, from)
    }

    pub(crate) fn bytes(&self) -> usize {
        let bits = [&self.live, &self.dead, &self.doomed, &self.vacant];
        bits.map(|bits| bits.words.capacity() * 8).iter().sum::<usize>() + self.moves.capacity() * 8
    }
}

/// A set of slots.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    /// How many are in it.
    count: usize,
    /// Invariant: no word before this one holds any.
    first: usize,
    /// Invariant: no word from this one on holds any.
    end: usize,
}

impl Bits {
    fn resize(&mut self, slots: usize) {
        self.words.resize(slots.div_ceil(64), 0);
    }

    #[inline]
    fn holds(&self, slot: u32) -> bool {
        self.words[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// False if it was there.
    fn set(&mut self, slot: u32) -> bool {
        let is_new = !self.holds(slot);
        self.words[slot as usize / 64] |= 1 << (slot % 64);
        self.count += usize::from(is_new);
        self.first = self.first.min(slot as usize / 64);
        self.end = self.end.max(slot as usize / 64 + 1);
        is_new
    }

    /// False if it was not there.
    fn unset(&mut self, slot: u32) -> bool {
        let was_there = self.holds(slot);
        self.words[slot as usize / 64] &= !(1 << (slot % 64));
        self.count -= usize::from(was_there);
        was_there
    }

    fn first(&mut self) -> Option<u32> {
        let first = self.first_from(self.first);
        self.first = first.map_or(self.words.len(), |first| first as usize / 64);
        first
    }

    fn first_from(&self, word: usize) -> Option<u32> {
        let place = word + self.words[word..].iter().position(|&word| word != 0)?;
        Some(place as u32 * 64 + self.words[place].trailing_zeros())
    }

    fn take_first(&mut self) -> Option<u32> {
        let first = self.first()?;
        self.unset(first);
        Some(first)
    }

    fn last(&mut self) -> Option<u32> {
        let last = self.last_before(self.end);
        self.end = last.map_or(0, |last| last as usize / 64 + 1);
        last
    }

    fn last_before(&self, word: usize) -> Option<u32> {
        let place = self.words[..word].iter().rposition(|&word| word != 0)?;
        Some(place as u32 * 64 + 63 - self.words[place].leading_zeros())
    }

    fn from(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        each(&self.words, &[], from)
    }
}

/// The slots from `from` on that are in one of the two.
fn each<'a>(one: &'a [u64], other: &'a [u64], from: usize) -> impl Iterator<Item = u32> + 'a {
    let word = move |at: usize| one.get(at).copied().unwrap_or(0) | other.get(at).copied().unwrap_or(0);
    let first = word(from / 64) & (u64::MAX << (from % 64));
    let rest = (from / 64 + 1..one.len()).map(move |at| (at, word(at)));
    std::iter::once((from / 64, first))
        .chain(rest)
        .flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(at as u32 * 64 + bit)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_listed_from_anywhere() {
        let mut roll = Roll::default();
        (0..300).for_each(|slot| assert_eq!(roll.take(), slot));
        let slots = [0, 1, 63, 64, 127, 200, 299];
        slots.iter().for_each(|&slot| roll.set_live(slot));
        roll.set_dead(64);
        for from in 0..310 {
            let want: Vec<u32> = slots
                .into_iter()
                .filter(|&slot| slot as usize >= from && slot != 64)
                .collect();
            assert_eq!(roll.live_from(from).collect::<Vec<_>>(), want, "from {from}");
        }
        assert_eq!((roll.live_count(), roll.removed()), (6, 1));
    }

    #[test]
    fn slots_come_round_and_moves_are_remembered_until_all_are_vacant() {
        let mut roll = Roll::default();
        (0..200).for_each(|slot| assert_eq!(roll.take(), slot));
        (0..200).for_each(|slot| roll.set_live(slot));
        (0..200)
            .filter(|slot| slot % 4 != 0)
            .for_each(|slot| roll.set_dead(slot));
        roll.doom_dead();
        while let Some(slot) = roll.next_doomed(0) {
            assert_eq!(roll.resolve(slot), None);
            roll.vacate(slot);
        }
        roll.forget_moves();
        let mut moved = Vec::new();
        while let Some((from, to)) = roll.next_move() {
            roll.note_move(from, to);
            moved.push((from, to));
        }
        assert_eq!(moved.len(), 37, "the 50 that are left stand below 50");
        assert!(
            moved
                .iter()
                .all(|&(from, to)| roll.resolve(from) == Some(to) && to < 50)
        );
        assert_eq!(roll.live_or_moved_from(0).count(), 50 + 37);
        moved.iter().for_each(|&(from, _)| roll.vacate(from));
        roll.forget_moves();
        roll.truncate();
        assert_eq!((roll.slots(), roll.live_count(), roll.vacant_count()), (50, 50, 0));
        assert_eq!(roll.take(), 50);
    }
}
