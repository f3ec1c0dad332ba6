//! Glob patterns, as Redis's `stringmatchlen` reads them.
//!
//! | pattern | matches |
//! |---|---|
//! | `*` | any bytes, none too |
//! | `?` | one byte |
//! | `[abc]`, `[a-c]`, `[^a-c]` | one byte of these, or none of these |
//! | `\x` | the byte `x` itself, inside brackets too |
//!
//! A bracket that is not closed ends with the pattern; a range written backwards is turned round; a backslash at the very
//! end is itself. One departure: here `*` matches the empty text, as expected, and in Redis it does not
//! (its loop is not entered).

/// Whether letters of either case are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// `a` is not `A`.
    Sensitive,
    /// ASCII letters are equal in both cases.
    Insensitive,
}

/// A pattern that texts can be held against.
///
/// Reads each byte of a text once and for each takes as many steps as the pattern has elements, 64 of them at a time; a
/// text that can no longer match, or can no longer fail to, is not read to its end. The elements that a match may have
/// come to are bits (Baeza-Yates and Gonnet 1992, "A new approach to text searching"); a star is a bit that stays.
///
/// Going back to the last star after a mismatch, as Redis does, takes no memory, but pattern × text steps: a third of a
/// second for a kilobyte of pattern and one longest key.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// 64-bit words that hold a bit for each element and one for the end.
    words: usize,
    /// For each byte, the elements that match it: `256 * words` words.
    matching: Box<[u64]>,
    /// Elements before which a star stands.
    stars: Box<[u64]>,
    /// How many elements there are. The bit of that number means that the pattern is at its end.
    elements: usize,
    case: Case,
}

impl Pattern {
    /// Takes memory and time for each 64 of the pattern's elements: 2 KiB to be filled.
    pub fn new(pattern: &[u8], case: Case) -> Pattern {
        let words = pattern.len() / 64 + 1;
        let mut compiled = Pattern {
            words,
            matching: vec![0; 256 * words].into(),
            stars: vec![0; words].into(),
            elements: 0,
            case,
        };
        let mut rest = pattern;
        while let Some(first) = rest.first() {
            let (word, bit) = (compiled.elements / 64, 1 << (compiled.elements % 64));
            if *first == b'*' {
                compiled.stars[word] |= bit;
                rest = &rest[1..];
                continue;
            }
            let (set, behind) = element(rest, case);
            for byte in set.bytes() {
                compiled.matching[usize::from(byte) * words + word] |= bit;
            }
            rest = behind;
            compiled.elements += 1;
        }
        compiled
    }

    /// Whether it matches the whole of `text`.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self.words {
            1 => self.matches_with(&mut [0], text),
            words => self.matches_with(&mut vec![0; words], text),
        }
    }

    /// True if its last element is a star: with a text it matches all that begin with that text.
    pub fn ends_in_star(&self) -> bool {
        self.stars[self.elements / 64] >> (self.elements % 64) & 1 == 1
    }

    /// Memory that it holds.
    pub fn bytes(&self) -> usize {
        (self.matching.len() + self.stars.len()) * size_of::<u64>()
    }

    /// How much work it is to hold a text of so many bytes against it, in steps of a nanosecond or less.
    pub fn steps(&self, text_bytes: usize) -> usize {
        self.words * text_bytes
    }

    /// `at` has a bit for each element that a match may have come to.
    fn matches_with(&self, at: &mut [u64], text: &[u8]) -> bool {
        let (end_word, end) = (self.elements / 64, 1 << (self.elements % 64));
        let ends_in_star = self.stars[end_word] & end != 0;
        at[0] = 1;
        for byte in text {
            if ends_in_star && at[end_word] & end != 0 {
                return true;
            }
            let matching = &self.matching[usize::from(fold(*byte, self.case)) * self.words..][..self.words];
            let (mut carry, mut any) = (0, 0);
            for ((at, matching), stars) in at.iter_mut().zip(matching).zip(&self.stars) {
                let stepped = *at & matching;
                *at = stepped << 1 | carry | *at & stars;
                carry = stepped >> 63;
                any |= *at;
            }
            if any == 0 {
                return false;
            }
        }
        at[end_word] & end != 0
    }
}

/// The bytes that an element matches, a bit each.
#[derive(Clone, Copy, Default)]
struct Set([u64; 4]);

impl Set {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    fn others(self) -> Set {
        Set(self.0.map(|word| !word))
    }

    fn holds(self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }

    fn bytes(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |byte| self.holds(*byte))
    }
}

/// What the first element of a pattern, which is no star, matches, and the pattern behind it. Of letters that are equal
/// only the small one is in the set.
fn element(pattern: &[u8], case: Case) -> (Set, &[u8]) {
    let mut set = Set::default();
    match pattern {
        [] => (set, pattern),
        [b'?', behind @ ..] => (set.others(), behind),
        [b'[', b'^', class @ ..] => {
            let (set, behind) = bracket(class, case);
            (set.others(), behind)
        }
        [b'[', class @ ..] => bracket(class, case),
        [b'\\', literal, behind @ ..] | [literal, behind @ ..] => {
            set.add(fold(*literal, case));
            (set, behind)
        }
    }
}

/// What is in the bracket whose inside starts `class`, and the pattern behind the bracket.
fn bracket(mut class: &[u8], case: Case) -> (Set, &[u8]) {
    let mut set = Set::default();
    loop {
        match class {
            [] => return (set, class),
            [b']', behind @ ..] => return (set, behind),
            [first, b'-', last, behind @ ..] if *first != b'\\' => {
                let (first, last) = (fold(*first, case), fold(*last, case));
                (first.min(last)..=first.max(last)).for_each(|byte| set.add(byte));
                class = behind;
            }
            [b'\\', literal, behind @ ..] | [literal, behind @ ..] => {
                set.add(fold(*literal, case));
                class = behind;
            }
        }
    }
}

fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests;
