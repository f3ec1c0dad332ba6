//! Words of a request that outlive it.

use std::slice;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::WHOLE_ARGUMENT_BYTES_MIN;
use crate::request::Argument;

/// Some words of one request, in their order, taken one after the other.
///
/// A request may have a million words. Memory of their own for each would take a tenth of a second at once and as long to
/// free; here they share one piece, and each takes eight bytes more, or four where they are few.
#[derive(Clone, Debug)]
pub struct Words(Form);

#[derive(Clone, Debug)]
enum Form {
    /// As of most requests: in one piece of memory, each behind its length in four bytes.
    Packed {
        bytes: Vec<u8>,
        /// Where the first stands that was not taken yet.
        at: usize,
        /// How many were not taken yet. Invariant: so many stand from `at` on.
        left: usize,
    },
    /// In the request's text, which they share with others.
    Placed {
        text: Bytes,
        places: Arc<Vec<Argument>>,
        /// The first that was not taken yet. Invariant: at most as many as there are places.
        at: usize,
    },
}

impl Words {
    /// A word by itself.
    pub fn one(word: &[u8]) -> Words {
        let mut words = Words::default();
        words.push(word, LENGTH_BYTES + word.len());
        words
    }

    /// Two words by themselves.
    pub fn pair(one: &[u8], other: &[u8]) -> Words {
        let mut words = Words::default();
        let packed_bytes = 2 * LENGTH_BYTES + one.len() + other.len();
        words.push(one, packed_bytes);
        words.push(other, packed_bytes);
        words
    }

    /// Some words by themselves.
    pub fn of<'w>(words: impl Iterator<Item = &'w [u8]>) -> Words {
        let mut all = Words::default();
        words.for_each(|word| all.push(word, 0));
        all
    }

    /// Copies of words that lie near each other in `text`.
    pub(crate) fn copied(text: &[u8], places: &[Argument]) -> Words {
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Words::default();
        };
        let (start, end) = (first.start(), last.end());
        let packed_bytes = end - start + LENGTH_BYTES * places.len();
        if packed_bytes <= PACKED_BYTES_MAX {
            let mut words = Words::default();
            places.iter().for_each(|place| words.push(place.of(text), packed_bytes));
            return words;
        }
        let moved = places.iter().map(|place| place.without(start));
        Words(Form::Placed {
            text: Bytes::copy_from_slice(&text[start..end]),
            places: Arc::new(moved.collect()),
            at: 0,
        })
    }

    /// Words that stay where they are.
    pub(crate) fn shared(text: Bytes, places: Arc<Vec<Argument>>, at: usize) -> Words {
        Words(Form::Placed { text, places, at })
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed { left, .. } => *left,
            Form::Placed { places, at, .. } => places.len() - at,
        }
    }

    /// True if none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that they hold.
    pub fn bytes_held(&self) -> usize {
        match &self.0 {
            Form::Packed { bytes, .. } => bytes.capacity(),
            Form::Placed { text, places, .. } => text.len() + size_of_val(&places[..]),
        }
    }

    /// The words that are left.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        match &self.0 {
            Form::Packed { bytes, at, left } => Iter::Packed {
                rest: &bytes[*at..],
                left: *left,
            },
            Form::Placed { text, places, at } => Iter::Placed {
                text,
                places: places[*at..].iter(),
            },
        }
    }

    /// The first of those that are left.
    pub fn first(&self) -> Option<&[u8]> {
        self.iter().next()
    }

    /// Takes the next one.
    pub fn take_next(&mut self) -> Option<&[u8]> {
        match &mut self.0 {
            Form::Packed { bytes, at, left } => {
                *left = left.checked_sub(1)?;
                let (word, _) = unpack(&bytes[*at..]);
                *at += LENGTH_BYTES + word.len();
                Some(word)
            }
            Form::Placed { text, places, at } => {
                let place = places.get(*at)?;
                *at += 1;
                Some(place.of(text))
            }
        }
    }

    /// Takes the next two, if there are two left.
    pub fn take_pair(&mut self) -> Option<(&[u8], &[u8])> {
        match &mut self.0 {
            Form::Packed { bytes, at, left } => {
                *left = left.checked_sub(2)?;
                let (first, rest) = unpack(&bytes[*at..]);
                let (second, _) = unpack(rest);
                *at += 2 * LENGTH_BYTES + first.len() + second.len();
                Some((first, second))
            }
            Form::Placed { text, places, at } => {
                let [first, second] = places.get(*at..*at + 2)? else {
                    return None;
                };
                *at += 2;
                Some((first.of(text), second.of(text)))
            }
        }
    }

    /// The second of the next two, if they lie in a kept request and it is nearly all of that: whoever holds on to it holds
    /// hardly anything else.
    pub fn kept_second(&self) -> Option<Bytes> {
        let Form::Placed { text, places, at } = &self.0 else {
            return None;
        };
        let place = places.get(*at + 1)?;
        is_nearly_all(place, text).then(|| text.slice(place.start()..place.end()))
    }

    /// No words, and room for about so many of the same request.
    pub fn empty_part(&self, room: usize) -> Words {
        match &self.0 {
            Form::Packed { .. } => Words::default(),
            Form::Placed { text, .. } => Words(Form::Placed {
                text: text.clone(),
                places: Arc::new(Vec::with_capacity(room)),
                at: 0,
            }),
        }
    }

    /// Moves the next `count` of `from` behind these, or all if fewer are left.
    ///
    /// # Panics
    /// If these are of one request's text and those are not.
    pub fn move_from(&mut self, from: &mut Words, count: usize) {
        match (&mut self.0, &mut from.0) {
            (
                Form::Placed { text, places, .. },
                Form::Placed {
                    text: other,
                    places: moved,
                    at,
                },
            ) => {
                assert_eq!(text.as_ptr(), other.as_ptr(), "words of one request");
                let end = moved.len().min(*at + count);
                Arc::make_mut(places).extend_from_slice(&moved[*at..end]);
                *at = end;
            }
            (Form::Packed { .. }, Form::Packed { bytes, at, .. }) => {
                // What is left may all come here. With many parts that would be much for each.
                let room = (bytes.len() - *at).min(PART_BYTES);
                for _ in 0..count {
                    let Some(word) = from.take_next() else { break };
                    self.push(word, room);
                }
            }
            _ => panic!("words of one request"),
        }
    }

    /// Adds a word to packed ones; if it is the first, with room for so many bytes.
    fn push(&mut self, word: &[u8], room: usize) {
        let Form::Packed { bytes, left, .. } = &mut self.0 else {
            unreachable!("only packed words are pushed");
        };
        if bytes.capacity() == 0 {
            bytes.reserve_exact(room.max(LENGTH_BYTES + word.len()));
        }
        let length = u32::try_from(word.len()).expect("requests are at most REQUEST_BYTES_CEILING long");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(word);
        *left += 1;
    }
}

/// True of an argument that a request's memory may be held for.
pub(crate) fn is_nearly_all(argument: &Argument, text: &[u8]) -> bool {
    let bytes = argument.end() - argument.start();
    bytes >= WHOLE_ARGUMENT_BYTES_MIN && bytes >= text.len() - text.len() / 16
}

impl Default for Words {
    fn default() -> Words {
        Words(Form::Packed {
            bytes: Vec::new(),
            at: 0,
            left: 0,
        })
    }
}

/// The words that are left, which are not taken.
#[derive(Clone)]
enum Iter<'a> {
    Packed {
        rest: &'a [u8],
        left: usize,
    },
    Placed {
        text: &'a [u8],
        places: slice::Iter<'a, Argument>,
    },
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Iter::Packed { rest, left } => {
                *left = left.checked_sub(1)?;
                let (word, behind) = unpack(rest);
                *rest = behind;
                Some(word)
            }
            Iter::Placed { text, places } => places.next().map(|place| place.of(text)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Iter::Packed { left, .. } => *left,
            Iter::Placed { places, .. } => places.len(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The word behind its length, and what stands behind it.
fn unpack(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().expect("a word stands behind its length");
    rest.split_at(u32::from_le_bytes(*length) as usize)
}

/// What stands before each packed word.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Words are packed up to here: to copy so many bytes once more takes less than a piece of memory for their places.
const PACKED_BYTES_MAX: usize = 4096;

/// A part has room for so many bytes at first, if so many are left: some ten keys.
const PART_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reader, ReaderLimits};

    const REQUEST: &[u8] = b"*6\r\n$4\r\nMSET\r\n$1\r\na\r\n$0\r\n\r\n$2\r\nbc\r\n$1\r\n1\r\n$1\r\nd\r\n";

    fn texts(words: &Words) -> Vec<&[u8]> {
        words.iter().collect()
    }

    #[test]
    fn words_are_the_same_whether_they_were_copied_or_stayed_where_they_were() {
        let mut reader = Reader::new(ReaderLimits::default());
        let request = reader.read(REQUEST).expect("sound").expect("whole");
        let copies: Vec<Words> = (0..=6).map(|from| request.words(from)).collect();
        let whole = Bytes::from_static(REQUEST);
        let kept = reader.keep(whole.clone());
        let all: Vec<&[u8]> = kept.request().arguments().collect();
        for (from, mut copied) in copies.into_iter().enumerate() {
            let mut shared = kept.request().words(from);
            assert!(texts(&copied) == all[from..] && texts(&shared) == all[from..]);
            while let Some(word) = shared.take_next() {
                assert!(whole.as_ptr_range().contains(&word.as_ptr()));
                assert_eq!(Some(word), copied.take_next());
                assert_eq!((shared.len(), shared.first()), (copied.len(), copied.first()));
            }
            assert!(shared.is_empty() && copied.is_empty() && shared.take_pair().is_none());
        }
    }

    #[test]
    fn a_reader_goes_on_while_its_last_request_is_kept() {
        let mut reader = Reader::new(ReaderLimits::default());
        reader.read(REQUEST).expect("sound").expect("whole");
        let kept = reader.keep(Bytes::from_static(REQUEST));
        let next = reader.read(b"PING\r\n").expect("sound").expect("whole");
        assert_eq!(next.argument(0), b"PING");
        assert_eq!(texts(&kept.request().words(3)), [b"bc".as_slice(), b"1", b"d"]);
    }

    #[test]
    fn words_are_divided_in_their_order() {
        let mut reader = Reader::new(ReaderLimits::default());
        let request = reader.read(REQUEST).expect("sound").expect("whole");
        let mut words = request.words(1);
        let (mut some, mut others) = (words.empty_part(2), words.empty_part(0));
        some.move_from(&mut words, 2);
        others.move_from(&mut words, 1);
        some.move_from(&mut words, 1);
        assert_eq!(texts(&some), [b"a".as_slice(), b"", b"1"]);
        assert_eq!(some.take_pair(), Some((b"a".as_slice(), b"".as_slice())));
        assert!(some.take_pair().is_none() && some.len() == 1, "one is no pair");
        assert_eq!(
            (texts(&others), texts(&words)),
            (vec![b"bc".as_slice()], vec![b"d".as_slice()])
        );
        assert_eq!(texts(&Words::one(b"x")), [b"x"]);
    }
}
