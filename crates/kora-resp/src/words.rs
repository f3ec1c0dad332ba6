//! Words of a request that outlive it.

use std::sync::Arc;

use bytes::Bytes;

use crate::request::Argument;

/// Some words of one request, in their order, taken one after the other.
///
/// A request may have a million words. Memory of their own for each would take a tenth of a second at once and as long to
/// free; here they share one piece, and each takes eight bytes more.
#[derive(Clone, Default, Debug)]
pub struct Words {
    text: Bytes,
    places: Places,
    /// The first that was not taken yet. Invariant: at most as many as there are places.
    at: usize,
}

/// Where each word lies in their text.
#[derive(Clone, Debug)]
enum Places {
    /// As of most requests with words: HSET of a field, DEL of a key or two.
    Few([Argument; FEW_MAX], usize),
    Many(Arc<Vec<Argument>>),
}

impl Words {
    /// A word by itself.
    pub fn one(word: &[u8]) -> Words {
        Words {
            places: Places::few([Argument::new(0, word.len())].into_iter()),
            text: Bytes::copy_from_slice(word),
            at: 0,
        }
    }

    /// Copies of words that lie near each other in `text`.
    pub(crate) fn copied(text: &[u8], places: &[Argument]) -> Words {
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Words::default();
        };
        let (start, end) = (first.start(), last.end());
        let moved = places.iter().map(|place| place.without(start));
        Words {
            text: Bytes::copy_from_slice(&text[start..end]),
            places: match places.len() <= FEW_MAX {
                true => Places::few(moved),
                false => Places::Many(Arc::new(moved.collect())),
            },
            at: 0,
        }
    }

    /// Words that stay where they are.
    pub(crate) fn shared(text: Bytes, places: Arc<Vec<Argument>>, at: usize) -> Words {
        Words {
            text,
            places: Places::Many(places),
            at,
        }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.places.all().len() - self.at
    }

    /// True if none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that they hold.
    pub fn bytes_held(&self) -> usize {
        self.text.len() + size_of_val(self.places.all())
    }

    /// The words that are left.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.places.all()[self.at..].iter().map(|place| place.of(&self.text))
    }

    /// One of those that are left, if there are so many.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let place = self.places.all().get(self.at + index)?;
        Some(place.of(&self.text))
    }

    /// Takes the next one.
    pub fn take_next(&mut self) -> Option<&[u8]> {
        let place = self.places.all().get(self.at)?;
        self.at += 1;
        Some(place.of(&self.text))
    }

    /// Takes the next two, if there are two left.
    pub fn take_pair(&mut self) -> Option<(&[u8], &[u8])> {
        let [first, second] = self.places.all().get(self.at..self.at + 2)? else {
            return None;
        };
        self.at += 2;
        Some((first.of(&self.text), second.of(&self.text)))
    }

    /// No words, and room for so many of the same request.
    pub fn empty_part(&self, room: usize) -> Words {
        Words {
            text: self.text.clone(),
            places: Places::Many(Arc::new(Vec::with_capacity(room))),
            at: 0,
        }
    }

    /// Moves the next `count` of `from` behind these.
    ///
    /// # Panics
    /// If they are of another request, or fewer are left.
    pub fn move_from(&mut self, from: &mut Words, count: usize) {
        assert_eq!(self.text.as_ptr(), from.text.as_ptr(), "words of one request");
        let moved = &from.places.all()[from.at..from.at + count];
        self.places.many().extend_from_slice(moved);
        from.at += count;
    }
}

impl Places {
    /// # Panics
    /// If there are more than [`FEW_MAX`].
    fn few(places: impl ExactSizeIterator<Item = Argument>) -> Places {
        let mut few = [Argument::default(); FEW_MAX];
        let count = places.len();
        assert!(count <= FEW_MAX);
        few.iter_mut().zip(places).for_each(|(kept, place)| *kept = place);
        Places::Few(few, count)
    }

    fn all(&self) -> &[Argument] {
        match self {
            Places::Few(few, count) => &few[..*count],
            Places::Many(places) => places,
        }
    }

    /// As a list that can grow.
    fn many(&mut self) -> &mut Vec<Argument> {
        if let Places::Few(..) = self {
            *self = Places::Many(Arc::new(self.all().to_vec()));
        }
        match self {
            Places::Many(places) => Arc::make_mut(places),
            Places::Few(..) => unreachable!("made many a moment ago"),
        }
    }
}

impl Default for Places {
    fn default() -> Places {
        Places::few(std::iter::empty())
    }
}

/// Words whose places need no memory of their own: a field and its value.
const FEW_MAX: usize = 2;

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
                assert_eq!((shared.len(), shared.get(0)), (copied.len(), copied.get(0)));
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
