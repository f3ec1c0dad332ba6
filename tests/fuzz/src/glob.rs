//! Glob patterns against a matcher that is made differently: elements parsed first, then a table of what matches where.
//!
//! The first byte chooses case and how many of the bytes are the pattern; the others are the text.

use kora_resp::glob::{Case, Pattern};

/// Panics if the two matchers disagree, or if a text does not match itself escaped.
pub fn check(bytes: &[u8]) {
    let [choice, rest @ ..] = bytes else { return };
    let case = if choice % 2 == 0 {
        Case::Sensitive
    } else {
        Case::Insensitive
    };
    let (pattern, text) = rest.split_at(usize::from(choice / 2).min(rest.len()));
    assert_eq!(matches(pattern, text, case), tabled(&elements(pattern), text, case));

    let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
    assert!(matches(&escaped, text, case));
    assert!(matches(&[b"*", &escaped[..], b"*"].concat(), text, case));
    assert!(matches(b"*", text, case));
}

fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    Pattern::new(pattern, case).matches(text)
}

enum Element {
    Star,
    /// One byte of these ranges, or of none of them if `negated`.
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
}

fn literal(byte: u8) -> Element {
    Element::Class {
        negated: false,
        ranges: vec![(byte, byte)],
    }
}

fn elements(pattern: &[u8]) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        let byte = pattern[at];
        at += 1;
        elements.push(match byte {
            b'*' => Element::Star,
            b'?' => Element::Class {
                negated: false,
                ranges: vec![(0, u8::MAX)],
            },
            b'[' => {
                let negated = pattern.get(at) == Some(&b'^');
                let (ranges, end) = ranges(pattern, at + usize::from(negated));
                at = end;
                Element::Class { negated, ranges }
            }
            b'\\' if at < pattern.len() => {
                at += 1;
                literal(pattern[at - 1])
            }
            _ => literal(byte),
        });
    }
    elements
}

/// The ranges of a bracket whose inside starts at `at`, and where the pattern goes on.
fn ranges(pattern: &[u8], mut at: usize) -> (Vec<(u8, u8)>, usize) {
    let mut ranges = Vec::new();
    while at < pattern.len() && pattern[at] != b']' {
        if pattern[at] == b'\\' && at + 1 < pattern.len() {
            ranges.push((pattern[at + 1], pattern[at + 1]));
            at += 2;
        } else if at + 2 < pattern.len() && pattern[at + 1] == b'-' {
            ranges.push((pattern[at], pattern[at + 2]));
            at += 3;
        } else {
            ranges.push((pattern[at], pattern[at]));
            at += 1;
        }
    }
    (ranges, (at + 1).min(pattern.len()))
}

/// `matched[i]`: the elements so far match the first `i` bytes of the text.
fn tabled(elements: &[Element], text: &[u8], case: Case) -> bool {
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for element in elements {
        match element {
            Element::Star => {
                let first = matched.iter().position(|&matched| matched).unwrap_or(matched.len());
                matched[first..].fill(true);
            }
            Element::Class { negated, ranges } => {
                for end in (1..=text.len()).rev() {
                    matched[end] = matched[end - 1] && contains(ranges, text[end - 1], case) != *negated;
                }
                matched[0] = false;
            }
        }
    }
    matched[text.len()]
}

fn contains(ranges: &[(u8, u8)], byte: u8, case: Case) -> bool {
    let fold = |byte: u8| {
        if case == Case::Insensitive {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
    };
    ranges.iter().any(|&(first, last)| {
        let (first, last, byte) = (fold(first), fold(last), fold(byte));
        (first <= byte && byte <= last) || (last <= byte && byte <= first)
    })
}
