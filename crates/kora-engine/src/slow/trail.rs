//! The words of the commands that came last, so that those of a slow one can be told.
//!
//! Which command will be slow is not known when it comes. So the beginning of every command is copied into a ring, over those of
//! older ones: some tens of bytes in order, without an allocation.

use bytes::Bytes;
use kora_resp::Request;

use crate::command::secrets::{REDACTED, Secrets};

/// A ring of words. It takes memory when the first command comes.
#[derive(Default)]
pub(crate) struct Trail {
    ring: Box<[u8]>,
    /// How much was ever written: the place of the next command, modulo the ring's length. Starts behind [`NO_TRAIL`].
    written: u64,
}

/// The place of a command whose words were not copied.
pub(crate) const NO_TRAIL: u64 = 0;

impl Trail {
    /// Copies the beginning of a command, without its secrets; its place.
    pub(crate) fn remember(&mut self, request: &Request<'_>, secrets: Secrets) -> u64 {
        if self.ring.is_empty() {
            self.ring = vec![0; RING_BYTES].into();
            self.written = RING_BYTES as u64;
        }
        // A command lies in one piece.
        let start = self.written as usize % RING_BYTES;
        if start + COMMAND_BYTES_MAX > RING_BYTES {
            self.written += (RING_BYTES - start) as u64;
        }
        let place = self.written;
        let start = place as usize % RING_BYTES;
        let count = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let mut end = self.put(start, &count.to_le_bytes());
        for index in 0..request.len().min(WORDS_SHOWN_MAX) {
            let word = match secrets.hide(index, request.len(), |index| request.argument(index)) {
                true => REDACTED,
                false => request.argument(index),
            };
            let length = u32::try_from(word.len()).unwrap_or(u32::MAX);
            end = self.put(end, &length.to_le_bytes());
            end = self.put(end, &word[..word.len().min(WORD_BYTES_SHOWN_MAX)]);
        }
        self.written += (end - start) as u64;
        place
    }

    /// The words of a command as SLOWLOG shows them, unless others have taken their place.
    pub(crate) fn recall(&self, place: u64) -> Option<Vec<Bytes>> {
        if place == NO_TRAIL || self.written - place > RING_BYTES as u64 {
            return None;
        }
        let mut at = place as usize % RING_BYTES;
        let mut take = |bytes: usize| {
            let taken = self.ring.get(at..at + bytes);
            at += bytes;
            taken
        };
        let count = number(take(4)?)?;
        let mut words = Vec::new();
        for index in 0..count.min(WORDS_SHOWN_MAX) {
            if index + 1 == WORDS_SHOWN_MAX && count > WORDS_SHOWN_MAX {
                let left = count - WORDS_SHOWN_MAX + 1;
                words.push(format!("... ({left} more arguments)").into());
                break;
            }
            let length = number(take(4)?)?;
            let shown = take(length.min(WORD_BYTES_SHOWN_MAX))?;
            words.push(match length - shown.len() {
                0 => Bytes::copy_from_slice(shown),
                left => [shown, format!("... ({left} more bytes)").as_bytes()].concat().into(),
            });
        }
        Some(words)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> usize {
        let end = at + bytes.len();
        self.ring[at..end].copy_from_slice(bytes);
        end
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// Of each worker: the words of ten thousand small commands.
const RING_BYTES: usize = 1 << 20;

/// As in Redis.
const WORDS_SHOWN_MAX: usize = 32;
const WORD_BYTES_SHOWN_MAX: usize = 128;

/// The most that one command takes: how many words, and each with its length.
const COMMAND_BYTES_MAX: usize = 4 + WORDS_SHOWN_MAX * (4 + WORD_BYTES_SHOWN_MAX);

#[cfg(test)]
mod tests {
    use kora_resp::{Reader, ReaderLimits};

    use super::*;

    fn remember(trail: &mut Trail, words: &[&[u8]]) -> u64 {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        let mut reader = Reader::new(ReaderLimits::default());
        let request = reader.read(&bytes).unwrap().unwrap();
        trail.remember(&request, Secrets::None)
    }

    #[test]
    fn words_are_shown_as_redis_shows_them() {
        let mut trail = Trail::default();
        let long = [b'x'; 200];
        let many: Vec<&[u8]> = vec![b"w"; 40];
        let (one, two) = (
            remember(&mut trail, &[b"SET", b"k", &long]),
            remember(&mut trail, &many),
        );
        let shown = trail.recall(one).unwrap();
        assert_eq!(shown[..2], [Bytes::from("SET"), Bytes::from("k")]);
        assert_eq!(shown[2], format!("{}... (72 more bytes)", "x".repeat(128)));
        let shown = trail.recall(two).unwrap();
        assert_eq!((shown.len(), &shown[31][..]), (32, &b"... (9 more arguments)"[..]));
        assert_eq!(trail.recall(NO_TRAIL), None);
    }

    #[test]
    fn what_was_overwritten_is_not_recalled() {
        let mut trail = Trail::default();
        let long = [b'x'; 128];
        let mut places = Vec::new();
        for number in 0..50_000_u32 {
            places.push(remember(
                &mut trail,
                &[&number.to_le_bytes(), &long[..number as usize % 128]],
            ));
        }
        let mut recalled = 0;
        for (number, place) in places.into_iter().enumerate() {
            if let Some(words) = trail.recall(place) {
                recalled += 1;
                assert_eq!(words[0][..], (number as u32).to_le_bytes());
            }
        }
        assert!(recalled > 10_000, "{recalled}");
        assert_eq!(Trail::default().recall(NO_TRAIL), None);
    }
}
