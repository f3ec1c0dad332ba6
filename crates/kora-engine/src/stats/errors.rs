//! Replies that were errors, by their first words.

/// How many errors were replied, and how many of each kind: Redis's `Errorstats`.
#[derive(Clone, Debug, Default)]
pub struct ErrorStats {
    total: u64,
    /// Kinds in the order in which they first came. Invariant: at most [`KINDS_MAX`].
    kinds: Vec<(Box<str>, u64)>,
}

impl ErrorStats {
    /// An error of this text was replied.
    pub(crate) fn note(&mut self, text: &str) {
        self.total += 1;
        self.add(kind_of(text), 1);
    }

    /// Errors of all kinds.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds another worker's.
    pub(crate) fn merge(&mut self, other: &ErrorStats) {
        self.total += other.total;
        for (kind, count) in &other.kinds {
            self.add(kind, *count);
        }
    }

    /// Kinds with their counts, in order of their names.
    pub fn sorted(&self) -> Vec<(&str, u64)> {
        let mut sorted: Vec<_> = self.kinds.iter().map(|(kind, count)| (&**kind, *count)).collect();
        sorted.sort_unstable();
        sorted
    }

    fn add(&mut self, kind: &str, count: u64) {
        if let Some((_, counted)) = self.kinds.iter_mut().find(|(known, _)| **known == *kind) {
            *counted += count;
        } else if self.kinds.len() < KINDS_MAX {
            self.kinds.push((kind.into(), count));
        }
    }
}

/// The first word of an error. A script may make any text an error: what could not stand in INFO is cut off.
fn kind_of(text: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b':' && byte != b'=';
    let end = text
        .bytes()
        .take(KIND_BYTES_MAX)
        .take_while(|byte| is_plain(*byte))
        .count();
    &text[..end]
}

/// Kinds that are counted; errors of others count in the total only. Kōra's commands have some thirty; scripts make more.
/// Redis counts as many.
const KINDS_MAX: usize = 128;

/// The longest first word of Kōra's own errors has 13 bytes.
const KIND_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_first_words() {
        let mut stats = ErrorStats::default();
        for text in ["ERR no", "WRONGTYPE it is", "ERR again", "é", "a:b c"] {
            stats.note(text);
        }
        let mut other = ErrorStats::default();
        other.note("WRONGTYPE");
        stats.merge(&other);
        assert_eq!(stats.total(), 6);
        assert_eq!(stats.sorted(), [("", 1), ("ERR", 2), ("WRONGTYPE", 2), ("a", 1)]);
    }

    #[test]
    fn kinds_are_bounded() {
        let mut stats = ErrorStats::default();
        for number in 0..1000 {
            stats.note(&format!("E{number} text"));
        }
        stats.note(&"x".repeat(1 << 20));
        assert_eq!((stats.total(), stats.sorted().len()), (1001, KINDS_MAX));
    }
}
