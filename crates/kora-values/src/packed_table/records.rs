//! The records of a segment: names with what lies there, written one behind the other.

use std::ops::Range;

use super::arena::{Arena, is_long};
use crate::block::block_bytes;

/// What shall lie at a name.
#[derive(Debug)]
pub struct Content<'a, X> {
    /// The caller's note of seven bits.
    pub tag: u8,
    /// Bytes that lie in the table, one part behind the other.
    pub body: [&'a [u8]; 2],
    /// What is too large to lie there, or no bytes.
    pub outside: Option<X>,
}

/// Records, and what they hold outside of their bytes.
///
/// A record is: its tag, how long its name is, how long its body, the place of what lies outside if its tag says so, the name,
/// the body. Lengths have seven bits a byte, the least first; the eighth says that another follows.
#[derive(Debug)]
pub(super) struct Records<X> {
    arena: Arena,
    outside: Vec<Option<X>>,
    /// Places of `outside` where nothing is.
    vacant: Vec<u32>,
}

/// How a record is laid out, from its beginning on.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    tag: u8,
    outside: Option<u32>,
    name: Range<usize>,
    len: usize,
}

impl<X> Default for Records<X> {
    fn default() -> Records<X> {
        Records::expecting(0)
    }
}

impl<X> Records<X> {
    /// None, for those of `bytes` bytes in all.
    pub(super) fn expecting(bytes: usize) -> Records<X> {
        Records {
            arena: Arena::expecting(bytes),
            outside: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// Writes a record; returns its place.
    pub(super) fn push(&mut self, name: &[u8], content: Content<'_, X>) -> u32 {
        let outside = content.outside.map(|outside| self.keep(outside));
        let head = Head::new(content.tag, name.len(), body_len(&content.body), outside);
        self.arena.push(&[head.bytes(), name, content.body[0], content.body[1]])
    }

    pub(super) fn layout(&self, at: u32) -> Layout {
        Layout::read(self.arena.bytes_at(at))
    }

    #[inline]
    pub(super) fn name(&self, at: u32) -> &[u8] {
        let bytes = self.arena.bytes_at(at);
        &bytes[Layout::read(bytes).name]
    }

    /// Something of the first and of the second cache line of a record, read so that they are near.
    #[inline]
    pub(super) fn touched(&self, at: u32) -> u32 {
        let bytes = self.arena.bytes_at(at);
        u32::from(bytes[0]) + u32::from(bytes.get(CACHE_LINE_BYTES).copied().unwrap_or(0))
    }

    #[inline]
    pub(super) fn outside(&self, at: u32) -> Option<&X> {
        let bytes = self.arena.bytes_at(at);
        if bytes[0] & OUTSIDE_BIT == 0 {
            return None;
        }
        self.outside[Layout::read(bytes).outside? as usize].as_ref()
    }

    #[inline]
    pub(super) fn parts(&self, at: u32) -> (u8, &[u8], &[u8], Option<&X>) {
        let bytes = self.arena.bytes_at(at);
        let layout = Layout::read(bytes);
        let outside = layout.outside.and_then(|place| self.outside[place as usize].as_ref());
        (
            layout.tag,
            &bytes[layout.name.clone()],
            &bytes[layout.name.end..layout.len],
            outside,
        )
    }

    /// The body of a record and what lies outside, to be changed where they are.
    pub(super) fn parts_mut(&mut self, at: u32) -> (&mut [u8], Option<&mut X>) {
        let bytes = self.arena.bytes_at_mut(at);
        let layout = Layout::read(bytes);
        let outside = layout.outside.and_then(|place| self.outside[place as usize].as_mut());
        (&mut bytes[layout.name.end..layout.len], outside)
    }

    /// Lets a record have other content. Returns its place, which may be another, and what lay outside.
    pub(super) fn replace(&mut self, at: u32, name: &[u8], content: Content<'_, X>) -> (u32, Option<X>) {
        let old = self.layout(at);
        let gone = old.outside.and_then(|place| self.take_outside(place));
        let outside = content.outside.map(|outside| self.keep(outside));
        let head = Head::new(content.tag, name.len(), body_len(&content.body), outside);
        let parts = [head.bytes(), name, content.body[0], content.body[1]];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > old.len || is_long(old.len) {
            self.arena.forget(at, old.len);
            return (self.arena.push(&parts), gone);
        }
        let mut rest = self.arena.bytes_at_mut(at);
        for part in parts {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = behind;
        }
        self.arena.waste(old.len - len);
        (at, gone)
    }

    /// Forgets a record; returns what lay outside.
    pub(super) fn remove(&mut self, at: u32) -> Option<X> {
        let layout = self.layout(at);
        self.arena.forget(at, layout.len);
        layout.outside.and_then(|place| self.take_outside(place))
    }

    /// Moves a record to others; returns its place there.
    pub(super) fn move_to(&mut self, at: u32, target: &mut Records<X>) -> u32 {
        let layout = self.layout(at);
        let outside = layout.outside.and_then(|place| self.take_outside(place));
        let moved = if is_long(layout.len) {
            target.arena.push_chunk(self.arena.take_chunk(at))
        } else {
            target.arena.push(&[&self.arena.bytes_at(at)[..layout.len]])
        };
        if let Some(outside) = outside {
            let place = target.keep(outside).to_le_bytes();
            let end = layout.name.start;
            target.arena.bytes_at_mut(moved)[end - place.len()..end].copy_from_slice(&place);
        }
        moved
    }

    /// True if all should move to other records, so that unused bytes can go: before `name` gets this content.
    pub(super) fn should_move_before(&self, name: &[u8], content: &Content<'_, X>) -> bool {
        let len = HEAD_BYTES_MAX + name.len() + body_len(&content.body);
        self.arena.should_move_before(len)
    }

    /// True if they should because so much has gone.
    pub(super) fn should_move(&self) -> bool {
        self.arena.should_move() || (self.vacant.len() > OUTSIDE_MIN && self.vacant.len() > self.outside.len() / 2)
    }

    /// Bytes of records that are needed no more.
    pub(super) fn dead(&self) -> usize {
        self.arena.dead()
    }

    /// Bytes of the records.
    pub(super) fn live(&self) -> usize {
        self.arena.live()
    }

    /// Bytes held, without what the things outside point to.
    pub(super) fn bytes(&self) -> usize {
        let outside = self.outside.capacity() * size_of::<Option<X>>();
        self.arena.bytes() + block_bytes(outside) + block_bytes(self.vacant.capacity() * size_of::<u32>())
    }

    /// Takes some of what lies outside, for records that are used no more.
    pub(super) fn take_some(&mut self, most: usize) -> Vec<X> {
        let first = self.outside.len().saturating_sub(most);
        self.outside.drain(first..).flatten().collect()
    }

    fn keep(&mut self, outside: X) -> u32 {
        if let Some(place) = self.vacant.pop() {
            self.outside[place as usize] = Some(outside);
            return place;
        }
        if self.outside.len() == self.outside.capacity() {
            self.outside.reserve_exact(4 + self.outside.len() / 8);
        }
        self.outside.push(Some(outside));
        u32::try_from(self.outside.len() - 1).expect("a segment has fewer records")
    }

    fn take_outside(&mut self, place: u32) -> Option<X> {
        self.vacant.push(place);
        self.outside[place as usize].take()
    }
}

impl Layout {
    #[inline]
    fn read(bytes: &[u8]) -> Layout {
        match *bytes {
            // Nearly all: short, and nothing outside.
            [tag, name_len, body_len, ..] if (tag | name_len | body_len) & 0x80 == 0 => {
                let end = SHORT_HEAD_BYTES + usize::from(name_len);
                Layout {
                    tag,
                    outside: None,
                    name: SHORT_HEAD_BYTES..end,
                    len: end + usize::from(body_len),
                }
            }
            _ => Layout::read_any(bytes),
        }
    }

    #[inline(never)]
    fn read_any(bytes: &[u8]) -> Layout {
        let tag = bytes[0];
        let (name_len, at) = read_length(bytes, 1);
        let (body_len, at) = read_length(bytes, at);
        let (outside, at) = match tag & OUTSIDE_BIT {
            0 => (None, at),
            _ => (Some(read_u32(bytes, at)), at + size_of::<u32>()),
        };
        Layout {
            tag: tag & !OUTSIDE_BIT,
            outside,
            name: at..at + name_len,
            len: at + name_len + body_len,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// The beginning of a record.
struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: usize,
}

impl Head {
    fn new(tag: u8, name_len: usize, body_len: usize, outside: Option<u32>) -> Head {
        debug_assert!(tag & OUTSIDE_BIT == 0, "a tag has seven bits");
        let mut head = Head {
            bytes: [0; HEAD_BYTES_MAX],
            len: 0,
        };
        head.push(tag | if outside.is_some() { OUTSIDE_BIT } else { 0 });
        for mut len in [name_len, body_len] {
            while len > LENGTH_BITS {
                head.push((len & LENGTH_BITS) as u8 | MORE_BIT);
                len >>= 7;
            }
            head.push(len as u8);
        }
        for byte in outside.iter().flat_map(|place| place.to_le_bytes()) {
            head.push(byte);
        }
        head
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn body_len(body: &[&[u8]; 2]) -> usize {
    body[0].len() + body[1].len()
}

/// A length, and where it ends.
fn read_length(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        length |= (usize::from(byte) & LENGTH_BITS) << shift;
        at += 1;
        if byte & MORE_BIT == 0 {
            return (length, at);
        }
        shift += 7;
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..].first_chunk();
    u32::from_le_bytes(*bytes.expect("a record is written as a whole"))
}

/// The bit of a tag that says that something lies outside.
const OUTSIDE_BIT: u8 = 0x80;

/// The bit of a length's byte that says that another one follows, and those that are the length's.
const MORE_BIT: u8 = 0x80;
const LENGTH_BITS: usize = 0x7F;

/// A tag, two lengths below 2⁷.
const SHORT_HEAD_BYTES: usize = 3;

const CACHE_LINE_BYTES: usize = 64;

/// A tag, two lengths below 2³⁵, a place.
const HEAD_BYTES_MAX: usize = 1 + 2 * 5 + size_of::<u32>();

/// Fewer vacant places are not worth a move.
const OUTSIDE_MIN: usize = 64;
