//! Attributes of a collection's vectors, by slot, and which of them pass the filters that were asked lately.

use std::sync::Arc;

use kora_filter::AskedFilter;
use kora_vector::{Matches, Slot, Work};

use crate::limits::FILTERS_KEPT_MAX;

/// The attributes of one part of a collection. A part whose vectors have none has none of this.
#[derive(Default)]
pub(crate) struct Attributes {
    /// By slot, in pieces that come and go with the slots. Invariant: of live slots only, and none is empty.
    pieces: Vec<Option<Box<Piece>>>,
    /// Invariant: how many of the pieces are there.
    piece_count: usize,
    /// How many vectors have some.
    count: usize,
    /// Bytes of all texts.
    text_bytes: usize,
    filters: Vec<KeptFilter>,
    /// Number of the next filter that is kept.
    next_filter: u64,
}

type Piece = [Option<Box<[u8]>>; PIECE_SLOTS];

/// A filter, and the slots whose attributes pass it.
struct KeptFilter {
    number: u64,
    asked: Arc<AskedFilter>,
    /// Invariant: right for all slots below `next`, and holds none from there on but those that were changed since.
    matches: Matches,
    /// The first slot that was not looked at yet.
    next: usize,
    /// Searches under way that use it.
    users: u32,
    /// Attributes tested on behalf of changes since a search used it last.
    tested: usize,
}

impl Attributes {
    /// The attributes of a slot's vector; empty if it has none.
    pub(crate) fn of(&self, slot: Slot) -> &[u8] {
        let piece = self.pieces.get(slot.index() / PIECE_SLOTS).and_then(Option::as_ref);
        piece
            .and_then(|piece| piece[slot.index() % PIECE_SLOTS].as_deref())
            .unwrap_or_default()
    }

    /// Gives a slot's vector these attributes, or none if they are empty.
    pub(crate) fn put(&mut self, slot: Slot, text: &[u8]) {
        let text = (!text.is_empty()).then(|| Box::from(text));
        self.replace(slot, text);
    }

    /// A vector has moved to another slot.
    pub(crate) fn redirect(&mut self, from: Slot, to: Slot) {
        let text = self.replace(from, None);
        self.replace(to, text);
    }

    fn replace(&mut self, slot: Slot, text: Option<Box<[u8]>>) -> Option<Box<[u8]>> {
        let (piece, place) = (slot.index() / PIECE_SLOTS, slot.index() % PIECE_SLOTS);
        if text.is_none() && self.of(slot).is_empty() {
            return None;
        }
        for kept in &mut self.filters {
            let passes = text.as_deref().is_some_and(|text| kept.asked.matches(text));
            kept.matches.put(slot, passes);
            kept.tested += 1;
        }
        if self.pieces.len() <= piece {
            self.pieces.resize_with(piece + 1, || None);
        }
        self.count += usize::from(text.is_some());
        self.text_bytes += text.as_deref().map_or(0, <[u8]>::len);
        self.piece_count += usize::from(self.pieces[piece].is_none());
        let piece = self.pieces[piece].get_or_insert_with(|| Box::new([const { None }; PIECE_SLOTS]));
        let before = std::mem::replace(&mut piece[place], text);
        self.count -= usize::from(before.is_some());
        self.text_bytes -= before.as_deref().map_or(0, <[u8]>::len);
        before
    }

    /// Gives back what is held for slots from `slots` on, which have gone.
    pub(crate) fn truncate(&mut self, slots: usize) {
        let first = slots.div_ceil(PIECE_SLOTS).min(self.pieces.len());
        self.piece_count -= self.pieces.drain(first..).flatten().count();
    }

    /// How many vectors have some.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Bytes held beside its own.
    pub(crate) fn bytes(&self) -> usize {
        let pieces = self.piece_count * size_of::<Piece>() + self.pieces.capacity() * size_of::<Option<Box<Piece>>>();
        let filters = self
            .filters
            .iter()
            .map(|kept| kept.matches.bytes() + kept.asked.bytes());
        self.text_bytes + pieces + filters.sum::<usize>()
    }

    /// Frees some; false when there is nothing left. For attributes that are no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        let Some(piece) = self.pieces.pop() else {
            return false;
        };
        self.piece_count -= usize::from(piece.is_some());
        let texts = piece.iter().flat_map(|piece| piece.iter().flatten());
        self.text_bytes -= texts.map(|text| text.len()).sum::<usize>();
        true
    }
}

impl Attributes {
    /// Begins to use a filter: its number here. Filters that changes paid more for than a search would are forgotten, and of too
    /// many the one that was not used for longest.
    pub(crate) fn use_filter(&mut self, asked: &Arc<AskedFilter>) -> u64 {
        let paid_max = self.count.max(TESTED_MIN);
        self.filters.retain(|kept| kept.users > 0 || kept.tested <= paid_max);
        let known = self.filters.iter().position(|kept| *kept.asked == **asked);
        let mut kept = match known {
            Some(place) => self.filters.remove(place),
            None => {
                self.next_filter += 1;
                KeptFilter {
                    number: self.next_filter,
                    asked: Arc::clone(asked),
                    matches: Matches::default(),
                    next: 0,
                    users: 0,
                    tested: 0,
                }
            }
        };
        kept.users += 1;
        kept.tested = 0;
        let number = kept.number;
        // In the order of their last use.
        self.filters.push(kept);
        if self.filters.len() > FILTERS_KEPT_MAX
            && let Some(oldest) = self.filters.iter().position(|kept| kept.users == 0)
        {
            self.filters.remove(oldest);
        }
        number
    }

    /// Ends the use of a filter.
    pub(crate) fn release_filter(&mut self, number: u64) {
        if let Some(kept) = self.filters.iter_mut().find(|kept| kept.number == number) {
            kept.users -= 1;
        }
    }

    /// Tests more attributes against a filter that is used. True when all slots below `slots` were tested.
    pub(crate) fn test(&mut self, number: u64, slots: usize, work: &mut Work) -> bool {
        let Some(place) = self.filters.iter().position(|kept| kept.number == number) else {
            return true;
        };
        let mut kept = self.filters.swap_remove(place);
        let mut units = 0;
        while kept.next < slots && units < work.left().max(1) {
            let slot = Slot::from_index(kept.next);
            let text = self.of(slot);
            kept.matches.put(slot, kept.asked.matches(text));
            units += TEST_WORK + text.len() as u64 * TEST_WORK_PER_BYTE;
            kept.next += 1;
        }
        work.spend(units);
        let is_done = kept.next >= slots;
        self.filters.push(kept);
        is_done
    }

    /// How many slots' attributes were tested against a filter that is used.
    pub(crate) fn tested(&self, number: u64) -> usize {
        let kept = self.filters.iter().find(|kept| kept.number == number);
        kept.map_or(0, |kept| kept.next)
    }

    /// The slots that pass a filter that is used.
    pub(crate) fn matches(&self, number: u64) -> Option<&Matches> {
        let kept = self.filters.iter().find(|kept| kept.number == number)?;
        Some(&kept.matches)
    }

    /// # Panics
    /// If a count or a set of matches is wrong.
    pub(crate) fn assert_sound(&self, is_live: impl Fn(Slot) -> bool) {
        let (mut count, mut text_bytes) = (0, 0);
        for index in 0..self.pieces.len() * PIECE_SLOTS {
            let slot = Slot::from_index(index);
            let text = self.of(slot);
            count += usize::from(!text.is_empty());
            text_bytes += text.len();
            assert!(
                text.is_empty() || is_live(slot),
                "only a vector that is there has attributes"
            );
            for kept in self.filters.iter().filter(|kept| index < kept.next) {
                let passes = kept.asked.matches(text);
                assert_eq!(
                    kept.matches.holds(slot),
                    passes,
                    "a set of matches follows the attributes"
                );
            }
        }
        assert_eq!(
            (count, text_bytes),
            (self.count, self.text_bytes),
            "attributes are counted"
        );
        assert_eq!(self.pieces.iter().flatten().count(), self.piece_count);
    }
}

/// Slots whose attributes lie in one piece of memory.
const PIECE_SLOTS: usize = 32;

/// A filter is not forgotten for fewer tests than this: some tens of microseconds.
const TESTED_MIN: usize = 256;

/// What a test costs, in units of work: some 40 ns,
const TEST_WORK: u64 = 128;

/// and a nanosecond or less for each byte of attributes.
const TEST_WORK_PER_BYTE: u64 = 3;

#[cfg(test)]
mod tests {
    use kora_filter::Dialect;
    use proptest::prelude::*;

    use super::*;

    fn asked(text: &str) -> Arc<AskedFilter> {
        Arc::new(AskedFilter::compile(text.as_bytes(), Dialect::Kora).unwrap())
    }

    proptest! {
        /// Whatever changes while and after a filter's matches are found, they are right.
        #[test]
        fn matches_follow_the_attributes(
            operations in prop::collection::vec((0usize..3, 0usize..700, 0u8..4), 1..120),
        ) {
            let mut attributes = Attributes::default();
            let mut twin = std::collections::BTreeMap::new();
            let filters = [asked(".n > 1"), asked(".n == 1")];
            let numbers = filters.each_ref().map(|filter| attributes.use_filter(filter));
            for (operation, index, value) in operations {
                let slot = Slot::from_index(index);
                match operation {
                    0 => {
                        let text = if value == 0 { String::new() } else { format!("{{\"n\":{value}}}") };
                        attributes.put(slot, text.as_bytes());
                        twin.insert(index, value);
                    }
                    1 => {
                        let to = (index * 7 + 1) % 700;
                        let moved = twin.remove(&index);
                        if to != index && twin.get(&to).is_none_or(|value| *value == 0) {
                            attributes.redirect(slot, Slot::from_index(to));
                            moved.map(|moved| twin.insert(to, moved));
                        } else {
                            attributes.put(slot, b"");
                        }
                    }
                    _ => {
                        attributes.test(numbers[usize::from(value) % 2], 700, &mut Work::new(1_000));
                    }
                }
                attributes.assert_sound(|_| true);
            }
            for number in numbers {
                while !attributes.test(number, 700, &mut Work::new(1_000)) {}
            }
            attributes.assert_sound(|_| true);
            let above = twin.values().filter(|value| **value > 1).count();
            prop_assert_eq!(attributes.matches(numbers[0]).map(Matches::count), Some(above));
            prop_assert_eq!(attributes.count(), twin.values().filter(|value| **value > 0).count());
        }
    }

    #[test]
    fn filters_that_are_no_longer_asked_are_forgotten() {
        let mut attributes = Attributes::default();
        for number in 0..100 {
            let filter = asked(&format!(".n == {number}"));
            let number = attributes.use_filter(&filter);
            attributes.release_filter(number);
        }
        assert_eq!(attributes.filters.len(), FILTERS_KEPT_MAX);
        for _ in 0..=TESTED_MIN {
            attributes.put(Slot::from_index(1), b"{\"n\":1}");
        }
        attributes.use_filter(&asked("1"));
        assert_eq!(attributes.filters.len(), 1);
    }
}
