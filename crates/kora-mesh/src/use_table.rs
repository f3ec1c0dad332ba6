//! A word for each of many things: when it was used, or how often.

use crate::sync::{AtomicU32, Ordering};

/// Words by number. The owner of the table makes room for them; a reader on any thread may write a word.
///
/// A word is only a note: it makes nothing else visible, and of two writes at the same moment one is lost.
#[derive(Debug, Default)]
pub struct UseTable {
    /// The words of [`CHUNK_WORDS`] things each; the first chunk may be shorter.
    chunks: Vec<Box<[AtomicU32]>>,
}

impl UseTable {
    /// The word of a thing; 0 if there is no room for it.
    pub fn get(&self, number: usize) -> u32 {
        self.word(number).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Writes the word of a thing, if there is room for it.
    pub fn set(&self, number: usize, word: u32) {
        if let Some(place) = self.word(number) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// Makes room for a thing and all before it.
    pub fn reach(&mut self, number: usize) {
        let chunks = number / CHUNK_WORDS + 1;
        if self.chunks.is_empty() {
            // As long as there are few things, their words are all that is held.
            self.chunks.reserve_exact(1);
            self.chunks.push(new_chunk(0));
        }
        self.grow_first(if chunks > 1 { CHUNK_WORDS } else { number + 1 });
        while self.chunks.len() < chunks {
            self.chunks.push(new_chunk(CHUNK_WORDS));
        }
    }

    /// Forgets the things from `count` on, some chunks at a time.
    pub fn truncate(&mut self, count: usize) {
        for _ in 0..CHUNKS_FREED_AT_ONCE {
            if self.chunks.len() <= count.div_ceil(CHUNK_WORDS).max(1) {
                return;
            }
            self.chunks.pop();
        }
    }

    /// Frees a chunk; false when there is none left. For a table that is no longer used.
    pub fn dismantle(&mut self) -> bool {
        self.chunks.pop().is_some()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let first = self.chunks.first().map_or(0, |chunk| size_of_val::<[AtomicU32]>(chunk));
        let others = self.chunks.len().saturating_sub(1) * CHUNK_WORDS * size_of::<AtomicU32>();
        first + others + self.chunks.capacity() * size_of::<Box<[AtomicU32]>>()
    }

    fn word(&self, number: usize) -> Option<&AtomicU32> {
        self.chunks.get(number / CHUNK_WORDS)?.get(number % CHUNK_WORDS)
    }

    /// Gives the first chunk room for so many words at least.
    fn grow_first(&mut self, words: usize) {
        let first = &mut self.chunks[0];
        if first.len() >= words {
            return;
        }
        let capacity = (words + words / 4).next_multiple_of(STEP_WORDS).min(CHUNK_WORDS);
        let grown = new_chunk(capacity);
        for (word, place) in first.iter().zip(&grown) {
            place.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        *first = grown;
    }
}

fn new_chunk(words: usize) -> Box<[AtomicU32]> {
    (0..words).map(|_| AtomicU32::new(0)).collect()
}

/// A chunk is a page of the system.
const CHUNK_WORDS: usize = 1024;

/// The first one grows by so many words: a collection of ten vectors is to cost little.
const STEP_WORDS: usize = 4;

/// Chunks freed in one step: each takes a microsecond.
const CHUNKS_FREED_AT_ONCE: usize = 16;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_while_the_table_grows_and_shrinks() {
        let mut table = UseTable::default();
        assert_eq!((table.get(3), table.bytes()), (0, 0));
        for number in 0..5_000 {
            table.reach(number);
            table.set(number, number as u32 * 3);
        }
        assert!((0..5_000).all(|number| table.get(number) == number as u32 * 3));
        assert!(table.bytes() < 5 * 4_096 + 300, "{}", table.bytes());
        table.truncate(2_000);
        assert_eq!((table.get(1_999), table.get(4_000)), (5_997, 0));
        table.set(4_000, 1);
        assert_eq!(table.get(4_000), 0, "there is no room for it");
        let steps = std::iter::from_fn(|| table.dismantle().then_some(())).count();
        assert_eq!(steps, 2);
    }

    #[test]
    fn few_words_take_little_and_a_far_one_is_reached() {
        let mut table = UseTable::default();
        (0..10).for_each(|number| table.reach(number));
        assert!(table.bytes() <= 12 * 4 + 4 * 16, "{}", table.bytes());
        table.reach(3_000);
        table.set(3_000, 7);
        table.set(20, 8);
        assert_eq!((table.get(3_000), table.get(20)), (7, 8));
    }
}
