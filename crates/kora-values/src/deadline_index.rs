//! What is due first: times with what they are for, in order.

use crate::block::block_bytes;

/// The deadline of what does not expire.
pub const NEVER_MS: u64 = u64::MAX;

/// Times in milliseconds, each with a number of 32 bits: ordered by both, each pair at most once.
///
/// Pairs lie in pieces of up to [`PIECE_ITEMS_MAX`], as 64 bits each: the distance from the piece's base, and the number. So a
/// pair takes 8 bytes and little beside, where a tree of the standard library takes 24 to 40. The pieces stand in a list;
/// times mostly come in order, and then a piece is filled to its end.
#[derive(Debug, Default)]
pub struct DeadlineIndex {
    /// In the order of their pairs. Invariant: none is empty.
    pieces: Vec<Piece>,
    len: usize,
    /// Invariant: the sum of the blocks of the pieces' items.
    item_bytes: usize,
}

#[derive(Debug)]
struct Piece {
    /// What the items' times are counted from.
    base_ms: u64,
    /// Distance and number. Invariant: in order, without equal ones.
    items: Vec<u64>,
}

impl DeadlineIndex {
    /// An index of nothing.
    pub fn new() -> DeadlineIndex {
        DeadlineIndex::default()
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first pair.
    pub fn first(&self) -> Option<(u64, u32)> {
        self.pieces.first().map(Piece::first)
    }

    /// The last pair.
    pub fn last(&self) -> Option<(u64, u32)> {
        self.pieces.last().map(Piece::last)
    }

    /// Some pairs in a row, from a random one on: `wanted` of them, fewer where there are no more. Each is about as likely as
    /// any other.
    pub fn sample(&self, random: u64, wanted: usize) -> impl Iterator<Item = (u64, u32)> {
        let piece = below((random >> 32) as u32, self.pieces.len());
        let first = self
            .pieces
            .get(piece)
            .map_or(0, |piece| below(random as u32, piece.items.len()));
        let rest = self.pieces.iter().skip(piece);
        let pairs = rest.flat_map(|piece| piece.items.iter().map(|item| pair(piece.base_ms, *item)));
        pairs.skip(first).take(wanted)
    }

    /// Adds a pair, unless it is there.
    pub fn insert(&mut self, at_ms: u64, number: u32) {
        let index = self.piece_before(at_ms, number);
        let Some(item) = self.pieces.get(index).and_then(|piece| piece.item(at_ms, number)) else {
            let place = self.pieces.partition_point(|piece| piece.first() < (at_ms, number));
            self.add_piece(place, Piece::new(at_ms, number));
            return;
        };
        let Err(place) = self.pieces[index].items.binary_search(&item) else {
            return;
        };
        if self.pieces[index].items.len() < PIECE_ITEMS_MAX {
            self.change(index, |items| {
                if items.len() == items.capacity() {
                    items.reserve_exact(1 + items.len() / 8);
                }
                items.insert(place, item);
            });
            self.len += 1;
        } else if place == PIECE_ITEMS_MAX && index + 1 == self.pieces.len() {
            self.add_piece(index + 1, Piece::new(at_ms, number));
        } else {
            self.divide(index);
            self.insert(at_ms, number);
        }
    }

    /// Takes out a pair, if it is there.
    pub fn remove(&mut self, at_ms: u64, number: u32) {
        let index = self.piece_before(at_ms, number);
        let item = self.pieces.get(index).and_then(|piece| piece.item(at_ms, number));
        let Some(Ok(place)) = item.map(|item| self.pieces[index].items.binary_search(&item)) else {
            return;
        };
        self.change(index, |items| {
            items.remove(place);
            if items.len() < items.capacity() / 2 {
                items.shrink_to(items.len() + items.len() / 8);
            }
        });
        self.len -= 1;
        if self.pieces[index].items.is_empty() {
            self.drop_piece(index);
        } else {
            self.merge(index);
        }
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.pieces
            .iter()
            .flat_map(|piece| piece.items.iter().map(|item| pair(piece.base_ms, *item)))
    }

    /// The average of all times, as far as some of the pieces tell: each is taken to have the average of its ends. Exact if there
    /// are one or two pairs.
    pub fn mean_ms(&self) -> Option<u64> {
        let step = self.pieces.len().div_ceil(PIECES_ASKED_MAX).max(1);
        let (mut sum, mut count) = (0_u128, 0_u128);
        for piece in self.pieces.iter().step_by(step) {
            let (first, last) = (piece.first().0, pair(piece.base_ms, *piece.items.last()?).0);
            sum += u128::from(first + (last - first) / 2) * piece.items.len() as u128;
            count += piece.items.len() as u128;
        }
        (count > 0).then(|| u64::try_from(sum / count).unwrap_or(u64::MAX))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.item_bytes + block_bytes(self.pieces.capacity() * size_of::<Piece>())
    }

    /// Frees some pairs; false when there are none left. For an index that is used no more.
    pub fn dismantle(&mut self) -> bool {
        let Some(piece) = self.pieces.pop() else {
            return false;
        };
        self.len -= piece.items.len();
        self.item_bytes -= piece.bytes();
        true
    }

    /// The last piece that begins with the pair or before it; the first, if all begin behind it.
    fn piece_before(&self, at_ms: u64, number: u32) -> usize {
        let behind = self.pieces.partition_point(|piece| piece.first() <= (at_ms, number));
        behind.saturating_sub(1)
    }

    fn add_piece(&mut self, place: usize, piece: Piece) {
        self.len += piece.items.len();
        self.item_bytes += piece.bytes();
        if self.pieces.len() == self.pieces.capacity() {
            self.pieces.reserve_exact(4 + self.pieces.len() / 8);
        }
        self.pieces.insert(place, piece);
    }

    fn drop_piece(&mut self, index: usize) {
        let gone = self.pieces.remove(index);
        self.len -= gone.items.len();
        self.item_bytes -= gone.bytes();
        if self.pieces.len() < self.pieces.capacity() / 4 {
            self.pieces.shrink_to(self.pieces.len() * 2);
        }
    }

    /// Makes two pieces of one.
    fn divide(&mut self, index: usize) {
        let base_ms = self.pieces[index].base_ms;
        let mut upper = Vec::new();
        self.change(index, |items| {
            upper = items.split_off(items.len() / 2);
            items.shrink_to_fit();
        });
        self.len -= upper.len();
        let piece = Piece { base_ms, items: upper };
        self.add_piece(index + 1, piece);
    }

    /// Makes one piece of a small one and that behind it, if that is small, too, and their times are near.
    fn merge(&mut self, index: usize) {
        let [one, other, ..] = &self.pieces[index..] else {
            return;
        };
        let together = one.items.len() + other.items.len();
        let (last_ms, number) = other.last();
        if together > PIECE_ITEMS_MAX / 2 || one.item(last_ms, number).is_none() {
            return;
        }
        let base_ms = one.base_ms;
        let moved: Vec<u64> = other
            .items
            .iter()
            .filter_map(|item| {
                let (at_ms, number) = pair(other.base_ms, *item);
                item_of(base_ms, at_ms, number)
            })
            .collect();
        self.drop_piece(index + 1);
        self.len += moved.len();
        self.change(index, |items| {
            items.reserve_exact(moved.len());
            items.extend(moved);
        });
    }

    /// Changes the items of a piece, and counts what they take then.
    fn change(&mut self, index: usize, change: impl FnOnce(&mut Vec<u64>)) {
        let piece = &mut self.pieces[index];
        let before = piece.bytes();
        change(&mut piece.items);
        self.item_bytes = self.item_bytes + piece.bytes() - before;
    }
}

impl Piece {
    fn new(at_ms: u64, number: u32) -> Piece {
        // As much room before it as behind it.
        let base_ms = at_ms.saturating_sub(1 << 31);
        let item = item_of(base_ms, at_ms, number).expect("it is near its base");
        Piece {
            base_ms,
            items: vec![item],
        }
    }

    fn first(&self) -> (u64, u32) {
        pair(self.base_ms, self.items[0])
    }

    fn last(&self) -> (u64, u32) {
        pair(self.base_ms, self.items[self.items.len() - 1])
    }

    /// A pair as an item of this piece, if its time is near enough.
    fn item(&self, at_ms: u64, number: u32) -> Option<u64> {
        item_of(self.base_ms, at_ms, number)
    }

    fn bytes(&self) -> usize {
        block_bytes(self.items.capacity() * size_of::<u64>())
    }
}

/// A number below `bound`, each about as likely; 0 if there is none.
fn below(random: u32, bound: usize) -> usize {
    ((u64::from(random) * bound as u64) >> 32) as usize
}

fn item_of(base_ms: u64, at_ms: u64, number: u32) -> Option<u64> {
    let distance = u32::try_from(at_ms.checked_sub(base_ms)?).ok()?;
    Some(u64::from(distance) << 32 | u64::from(number))
}

fn pair(base_ms: u64, item: u64) -> (u64, u32) {
    (base_ms + (item >> 32), item as u32)
}

/// Pairs of a piece: 4 KiB, which an insertion moves half of in less than a tenth of a microsecond; a million pairs have
/// some thousand pieces, whose list is as quickly moved.
const PIECE_ITEMS_MAX: usize = 512;

/// Pieces that the average is told by: some microseconds.
const PIECES_ASKED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn pairs() -> impl Strategy<Value = (u64, u32)> {
        let time = prop_oneof![
            6 => 1_000_000_u64..1_002_000,
            1 => any::<u64>(),
            1 => (0..40_u64).prop_map(|month| month << 31),
        ];
        (time, 0..4_u32)
    }

    proptest! {
        #[test]
        fn an_index_agrees_with_a_set(steps in proptest::collection::vec((any::<bool>(), pairs()), 1..3000), drain: bool) {
            let (mut index, mut twin) = (DeadlineIndex::new(), BTreeSet::new());
            let few = steps.len() / 4;
            for (number, (inserts, (at_ms, item))) in steps.into_iter().enumerate() {
                // At first it grows, whatever the steps are.
                if inserts || number < few {
                    index.insert(at_ms, item);
                    twin.insert((at_ms, item));
                } else {
                    index.remove(at_ms, item);
                    twin.remove(&(at_ms, item));
                }
                prop_assert_eq!(index.first(), twin.first().copied());
                prop_assert_eq!(index.last(), twin.last().copied());
                prop_assert_eq!(index.len(), twin.len());
            }
            prop_assert!(index.iter().eq(twin.iter().copied()));
            let recounted: usize = index.pieces.iter().map(Piece::bytes).sum();
            prop_assert_eq!(index.item_bytes, recounted);
            while drain && let Some((at_ms, item)) = index.first() {
                prop_assert_eq!(twin.pop_first(), Some((at_ms, item)));
                index.remove(at_ms, item);
            }
            while index.dismantle() {}
            prop_assert_eq!((index.len(), index.item_bytes), (0, 0));
        }
    }

    #[test]
    fn a_pair_takes_little_in_any_order() {
        for (name, step) in [("in order", 1_u64), ("in no order", 7_919)] {
            let mut index = DeadlineIndex::new();
            for number in 0..100_000_u64 {
                index.insert(1_700_000_000_000 + number * step % 100_003 * 50, number as u32);
            }
            let each = index.bytes() as f64 / index.len() as f64;
            assert!(each < 13.0, "{each} bytes {name}");
        }
    }
}
