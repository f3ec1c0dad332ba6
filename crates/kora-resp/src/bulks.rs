//! Many bulks, as replies list them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::reply::Reply;

/// A list of bulks, packed end to end in pieces of some 64 KiB.
///
/// A reply of a million bulks that each had their own memory would take a hundred milliseconds to make and to free, and a
/// list of them that grows is copied as a whole each time. Here neither happens at once, and what a bulk takes beside its
/// bytes is four.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Bulks {
    /// Pieces to which nothing is added any more.
    full: VecDeque<Piece>,
    /// The last piece. Most lists have no other. Invariant: there is one if there is any.
    last: Option<Piece>,
    /// About how many bulks there will be.
    expected: usize,
    count: usize,
    /// Bytes of all bulks together.
    bytes: usize,
}

#[derive(Clone, PartialEq, Debug)]
enum Piece {
    /// Each bulk behind its length in four bytes, or [`NULL`] for none. Invariant: never empty.
    Packed(Vec<u8>),
    /// One bulk whose bytes are shared with their owner.
    Shared(Bytes),
}

impl Bulks {
    /// None, and about so many to come.
    pub fn expecting(count: usize) -> Bulks {
        Bulks {
            expected: count,
            ..Bulks::default()
        }
    }

    /// Adds a bulk of few bytes, copied.
    pub fn push(&mut self, bulk: &[u8]) {
        let length = u32::try_from(bulk.len()).expect("no bulk is longer than BULK_BYTES_CEILING");
        self.bytes += bulk.len();
        self.pack(length, bulk);
    }

    /// Adds a bulk: many bytes are shared, few copied.
    pub fn push_bytes(&mut self, bulk: Bytes) {
        if bulk.len() < SHARED_BYTES_MIN {
            return self.push(&bulk);
        }
        self.bytes += bulk.len();
        self.count += 1;
        self.add_piece(Piece::Shared(bulk));
    }

    /// Adds no value.
    pub fn push_null(&mut self) {
        self.pack(NULL, b"");
    }

    /// Moves all of `other` behind what is here.
    pub fn append(&mut self, other: &mut Bulks) {
        let Bulks {
            full,
            last,
            count,
            bytes,
            ..
        } = std::mem::take(other);
        full.into_iter().chain(last).for_each(|piece| self.add_piece(piece));
        self.count += count;
        self.bytes += bytes;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Shows every bulk whose bytes are shared.
    pub(crate) fn for_each_shared(&self, show: &mut impl FnMut(&Bytes)) {
        for piece in self.full.iter().chain(&self.last) {
            if let Piece::Shared(bytes) = piece {
                show(bytes);
            }
        }
    }

    /// What they take, held and spelled, whichever is more.
    pub fn bytes_hint(&self) -> usize {
        self.bytes + self.count * BULK_BYTES
    }

    fn pack(&mut self, length: u32, bulk: &[u8]) {
        self.count += 1;
        let needed = LENGTH_BYTES + bulk.len();
        let is_first = self.last.is_none();
        let piece = match &mut self.last {
            Some(Piece::Packed(piece)) if piece.len() + needed <= PIECE_BYTES => piece,
            _ => {
                // Most lists are short, so that the first piece grows; where there is a second one, there are many.
                let room = match is_first {
                    true => needed
                        .saturating_mul(self.expected)
                        .clamp(FIRST_BYTES, FIRST_BYTES_EXPECTED_MAX),
                    false => PIECE_BYTES,
                };
                self.add_piece(Piece::Packed(Vec::with_capacity(room.max(needed))));
                let Some(Piece::Packed(piece)) = &mut self.last else {
                    unreachable!("added a moment ago");
                };
                piece
            }
        };
        piece.extend_from_slice(&length.to_le_bytes());
        piece.extend_from_slice(bulk);
    }

    fn add_piece(&mut self, piece: Piece) {
        self.full.extend(self.last.replace(piece));
    }
}

/// Bulks that are taken out one after the other; a piece is freed when its last bulk has left.
#[derive(Debug)]
pub(crate) struct Unpacking {
    full: VecDeque<Piece>,
    /// The piece behind those.
    last: Option<Piece>,
    /// Where the first piece goes on.
    at: usize,
}

impl Unpacking {
    pub(crate) fn new(bulks: Bulks) -> Unpacking {
        Unpacking {
            full: bulks.full,
            last: bulks.last,
            at: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none() && self.full.is_empty()
    }

    /// Hands over the next bulk, `None` where there is no value. One that is shared is returned instead. Nothing happens if all
    /// have left.
    pub(crate) fn next(&mut self, write: impl FnOnce(Option<&[u8]>)) -> Option<Reply> {
        if let Some(Piece::Packed(piece)) = self.full.front().or(self.last.as_ref()) {
            let start = self.at + LENGTH_BYTES;
            let length = piece[self.at..start]
                .try_into()
                .expect("a bulk stands behind its length");
            self.at = match u32::from_le_bytes(length) {
                NULL => {
                    write(None);
                    start
                }
                length => {
                    let end = start + length as usize;
                    write(Some(&piece[start..end]));
                    end
                }
            };
            if self.at < piece.len() {
                return None;
            }
        }
        self.at = 0;
        match self.full.pop_front().or_else(|| self.last.take())? {
            Piece::Shared(bulk) => Some(Reply::Bulk(bulk)),
            Piece::Packed(_) => None,
        }
    }
}

/// Several lists of bulks of which each in turn gives the next one, in some order: what several shards have of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Interleaved {
    /// Whose turn it is. Invariant: each list stands here as often as it has bulks.
    order: Vec<u8>,
    lists: Vec<Bulks>,
}

impl Interleaved {
    /// # Panics
    /// If the order does not name each list as often as it has bulks.
    pub fn new(order: Vec<u8>, lists: Vec<Bulks>) -> Interleaved {
        let count: usize = lists.iter().map(Bulks::len).sum();
        assert_eq!(order.len(), count, "each list gives all that it has");
        Interleaved { order, lists }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn bytes_hint(&self) -> usize {
        self.lists.iter().map(Bulks::bytes_hint).sum::<usize>() + self.order.len()
    }

    pub(crate) fn for_each_shared(&self, show: &mut impl FnMut(&Bytes)) {
        self.lists.iter().for_each(|list| list.for_each_shared(show));
    }

    pub(crate) fn into_parts(self) -> (std::vec::IntoIter<u8>, Vec<Unpacking>) {
        let lists = self.lists.into_iter().map(Unpacking::new).collect();
        (self.order.into_iter(), lists)
    }
}

/// The length of no value. Bulks are at most 512 MiB.
const NULL: u32 = u32::MAX;

/// What stands before each bulk.
const LENGTH_BYTES: usize = size_of::<u32>();

/// A piece is made so large: spelling it takes some tens of microseconds, and a list of a million has few hundred.
const PIECE_BYTES: usize = 64 * 1024;

/// The first piece at least: a handful of short fields.
const FIRST_BYTES: usize = 128;

/// And at most: if the others are as long as the first, values of a hundred bytes for ten keys have room.
const FIRST_BYTES_EXPECTED_MAX: usize = 1024;

/// From 16 KiB on copying costs more than sharing.
pub(crate) const SHARED_BYTES_MIN: usize = 16 << 10;

/// `$536870912\r\n`, the line end behind it, and half of the `*2\r\n` before a pair: more than what it takes in memory.
const BULK_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out_in_order_and_piece_by_piece() {
        let mut bulks = Bulks::default();
        let mut twin: Vec<Option<Vec<u8>>> = Vec::new();
        for number in 0..5_000_usize {
            // Now and then more than a piece, of which some are shared.
            let length = if number % 97 == 0 { number * 20 } else { number % 40 };
            let bulk = vec![number as u8; length];
            match number % 3 {
                0 => bulks.push_null(),
                1 => bulks.push(&bulk),
                _ => bulks.push_bytes(Bytes::from(bulk.clone())),
            }
            twin.push((number % 3 != 0).then_some(bulk));
        }
        let mut other = bulks.clone();
        bulks.append(&mut other);
        assert!(other.is_empty() && bulks.len() == 10_000 && bulks.full.len() > 20);
        assert!(bulks.full.iter().any(|piece| matches!(piece, Piece::Shared(_))));
        let payload: usize = twin.iter().flatten().map(Vec::len).sum();
        assert_eq!(bulks.bytes, 2 * payload);
        let mut unpacking = Unpacking::new(bulks);
        let mut met = Vec::new();
        while !unpacking.is_empty() {
            if let Some(Reply::Bulk(shared)) = unpacking.next(|bulk| met.push(bulk.map(<[u8]>::to_vec))) {
                met.push(Some(shared.to_vec()));
            }
        }
        assert_eq!(met, [twin.clone(), twin].concat());
    }
}
