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
//! end is itself. One departure: here `*` matches the empty text, as everybody would expect, and in Redis it does not
//! (its loop is not entered).

/// Whether letters of either case are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// `a` is not `A`.
    Sensitive,
    /// ASCII letters are equal in both cases.
    Insensitive,
}

/// Whether `pattern` matches the whole of `text`.
///
/// Takes at most `pattern.len() × text.len()` steps and no memory: after a mismatch only the last star moves on. What the
/// stars before it took need never be taken back, for they already took as little as they could.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut rest, mut at) = (pattern, 0);
    // The pattern behind the last star, and where in the text that star may end next.
    let mut retry: Option<(&[u8], usize)> = None;
    loop {
        if let [b'*', behind @ ..] = rest {
            rest = behind;
            retry = Some((behind, at));
            continue;
        }
        if rest.is_empty() && at == text.len() {
            return true;
        }
        let step = text.get(at).and_then(|&byte| one(rest, byte, case));
        if let Some(behind) = step {
            rest = behind;
            at += 1;
            continue;
        }
        match retry {
            Some((behind, end)) if end < text.len() => {
                rest = behind;
                at = end + 1;
                retry = Some((behind, end + 1));
            }
            _ => return false,
        }
    }
}

/// The pattern behind its first element, if that element (not a star) matches `byte`.
fn one(pattern: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', behind @ ..] => Some(behind),
        [b'[', b'^', class @ ..] => {
            let (found, behind) = bracket(class, byte, case);
            (!found).then_some(behind)
        }
        [b'[', class @ ..] => {
            let (found, behind) = bracket(class, byte, case);
            found.then_some(behind)
        }
        [b'\\', literal, behind @ ..] | [literal, behind @ ..] => {
            (fold(*literal, case) == fold(byte, case)).then_some(behind)
        }
    }
}

/// Whether `byte` is in the bracket whose inside starts `class`, and the pattern behind the bracket.
fn bracket(mut class: &[u8], byte: u8, case: Case) -> (bool, &[u8]) {
    let byte = fold(byte, case);
    let mut found = false;
    loop {
        match class {
            [] => return (found, class),
            [b'\\', literal, behind @ ..] => {
                found |= fold(*literal, case) == byte;
                class = behind;
            }
            [b']', behind @ ..] => return (found, behind),
            [first, b'-', last, behind @ ..] => {
                let (first, last) = (fold(*first, case), fold(*last, case));
                found |= (first.min(last)..=first.max(last)).contains(&byte);
                class = behind;
            }
            [literal, behind @ ..] => {
                found |= fold(*literal, case) == byte;
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
