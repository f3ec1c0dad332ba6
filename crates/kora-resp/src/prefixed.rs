//! Requests of which some words get a prefix: names that stand for something else than what was sent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::request::{Argument, KeptRequest, Request};

/// A request with some prefixed words, in memory of its own. Used again and again, it allocates nothing once warm.
#[derive(Default, Debug)]
pub struct PrefixedRequest {
    text: Vec<u8>,
    arguments: Vec<Argument>,
    longest: usize,
}

impl PrefixedRequest {
    /// Takes these words, each with whether it gets the prefix.
    pub fn fill<'w>(&mut self, words: impl Iterator<Item = (&'w [u8], bool)>, prefix: &[u8]) {
        self.clear();
        for (word, is_prefixed) in words {
            let start = self.text.len();
            if is_prefixed {
                self.text.extend_from_slice(prefix);
            }
            self.text.extend_from_slice(word);
            let argument = Argument::new(start, self.text.len());
            self.longest = self.longest.max(argument.end() - start);
            self.arguments.push(argument);
        }
    }

    /// It as a request like any other.
    pub fn request(&self) -> Request<'_> {
        Request::of_places(&self.arguments, &self.text, self.longest)
    }

    /// Forgets the words, and gives back what only unusually many needed.
    pub fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(TEXT_BYTES_KEPT);
        self.arguments.clear();
        self.arguments.shrink_to(ARGUMENTS_KEPT);
        self.longest = 0;
    }
}

impl KeptRequest {
    /// The same request with a prefix before some of its words, whose places ascend; and as it was sent, in the same memory. No
    /// word is copied: a prefix is written over what stands before its word, the header `$3\r\n`, which is needed no more.
    ///
    /// # Panics
    /// If the prefix is longer than the shortest header.
    pub fn with_prefix(self, prefix: &[u8], mut places: impl Iterator<Item = usize>) -> (KeptRequest, KeptRequest) {
        assert!(prefix.len() <= HEADER_BYTES_MIN, "a header stands before each word");
        // Only the request itself holds the memory of one that was just read.
        let mut text = self
            .text
            .try_into_mut()
            .unwrap_or_else(|text| BytesMut::from(&text[..]));
        let mut prefixed = Vec::clone(&self.places);
        let mut longest = self.longest;
        while let Some(argument) = places.next().and_then(|place| prefixed.get_mut(place)) {
            let (start, end) = (argument.start() - prefix.len(), argument.end());
            text[start..start + prefix.len()].copy_from_slice(prefix);
            *argument = Argument::new(start, end);
            longest = longest.max(end - start);
        }
        let text: Bytes = text.freeze();
        let prefixed = KeptRequest {
            text: text.clone(),
            places: Arc::new(prefixed),
            longest,
        };
        (KeptRequest { text, ..self }, prefixed)
    }
}

/// `$3\r\n`
const HEADER_BYTES_MIN: usize = 4;

/// Memory for the words that is kept for the next request.
const TEXT_BYTES_KEPT: usize = 16 * 1024;

/// Words for which there is room kept.
const ARGUMENTS_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reader, ReaderLimits};

    const SENT: &[u8] = b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$2\r\nxy\r\n$0\r\n\r\n$1\r\nz\r\n";

    #[test]
    fn words_get_a_prefix_and_others_do_not() {
        let mut reader = Reader::new(ReaderLimits::default());
        let request = reader.read(SENT).expect("sound").expect("whole");
        let mut prefixed = PrefixedRequest::default();
        for _ in 0..2 {
            let words = request.arguments().enumerate();
            prefixed.fill(words.map(|(place, word)| (word, place % 2 == 1)), b"123");
            let all: Vec<&[u8]> = prefixed.request().arguments().collect();
            assert_eq!(all, [&b"MSET"[..], b"123a", b"xy", b"123", b"z"]);
            assert_eq!(prefixed.request().length_max(), 4);
        }
    }

    #[test]
    fn a_kept_request_gets_prefixes_in_its_own_memory() {
        let mut reader = Reader::new(ReaderLimits::default());
        let whole = Bytes::from(SENT.to_vec());
        reader.read(&whole).expect("sound").expect("whole");
        let at = whole.as_ptr();
        let (sent, prefixed) = reader.keep(whole).with_prefix(b"123", [1, 3].into_iter());
        let words = |kept: &KeptRequest| -> Vec<Vec<u8>> { kept.request().arguments().map(<[u8]>::to_vec).collect() };
        assert_eq!(words(&sent), [&b"MSET"[..], b"a", b"xy", b"", b"z"]);
        assert_eq!(words(&prefixed), [&b"MSET"[..], b"123a", b"xy", b"123", b"z"]);
        assert_eq!(
            prefixed.request().argument(0).as_ptr(),
            at.wrapping_add(8),
            "nothing was copied"
        );
    }
}
