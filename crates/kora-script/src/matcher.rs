//! Lua's patterns, matched step by step. The algorithm is that of `lstrlib.c` in Lua 5.1 (Copyright © 1994–2012 Lua.org,
//! PUC-Rio, MIT), written anew so that its steps are counted and its depth is bounded: a pattern of a few bytes can take years.

use crate::limits::{CAPTURES_MAX, PATTERN_DEPTH_MAX};
use crate::machine::{Fault, Meter};

/// One text held against one pattern.
pub(crate) struct Matcher<'m> {
    meter: &'m Meter,
    text: &'m [u8],
    pattern: &'m [u8],
    pub(crate) captures: Vec<Capture>,
    depth: usize,
    /// Steps that were not charged yet.
    steps: u32,
}

/// What a pair of parentheses has found.
#[derive(Clone, Copy)]
pub(crate) struct Capture {
    pub(crate) start: usize,
    pub(crate) length: Length,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// It is not closed yet.
    Open,
    /// `()`: it is the place itself.
    Position,
    Bytes(usize),
}

type Found = Result<Option<usize>, Fault>;

impl<'m> Matcher<'m> {
    pub(crate) fn new(text: &'m [u8], pattern: &'m [u8], meter: &'m Meter) -> Matcher<'m> {
        Matcher {
            meter,
            text,
            pattern,
            captures: Vec::new(),
            depth: 0,
            steps: 0,
        }
    }

    /// Where a match that begins here ends, if there is one. `at` is a place in the pattern.
    pub(crate) fn match_here(&mut self, start: usize, at: usize) -> Found {
        self.captures.clear();
        self.depth = 0;
        self.go_on(start, at)
    }

    fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps < STEPS_PER_CHARGE {
            return Ok(());
        }
        self.steps = 0;
        self.meter.tick(u64::from(STEPS_PER_CHARGE) * 10)
    }

    fn go_on(&mut self, start: usize, at: usize) -> Found {
        if self.depth >= PATTERN_DEPTH_MAX {
            return fault("pattern too complex");
        }
        self.depth += 1;
        let found = self.match_items(start, at);
        self.depth -= 1;
        found
    }

    fn match_items(&mut self, mut start: usize, mut at: usize) -> Found {
        loop {
            self.step()?;
            let Some(&first) = self.pattern.get(at) else {
                return Ok(Some(start));
            };
            match (first, self.pattern.get(at + 1)) {
                (b'(', Some(b')')) => return self.open(start, at + 2, Length::Position),
                (b'(', _) => return self.open(start, at + 1, Length::Open),
                (b')', _) => return self.close(start, at + 1),
                (b'%', Some(b'b')) => match self.match_balanced(start, at + 2)? {
                    Some(end) => (start, at) = (end, at + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    let set = at + 2;
                    if self.pattern.get(set) != Some(&b'[') {
                        return fault("missing '[' after '%f' in pattern");
                    }
                    let end = self.class_end(set)?;
                    let before = if start == 0 { 0 } else { self.text[start - 1] };
                    let here = self.text.get(start).copied().unwrap_or(0);
                    if self.is_in_set(before, set, end - 1) || !self.is_in_set(here, set, end - 1) {
                        return Ok(None);
                    }
                    at = end;
                }
                (b'%', Some(digit)) if digit.is_ascii_digit() => match self.match_capture(start, *digit)? {
                    Some(end) => (start, at) = (end, at + 2),
                    None => return Ok(None),
                },
                (b'$', None) => return Ok((start == self.text.len()).then_some(start)),
                _ => {
                    let end = self.class_end(at)?;
                    let is_match = start < self.text.len() && self.is_single(self.text[start], at, end);
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if is_match && let Some(found) = self.go_on(start + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            at = end + 1;
                        }
                        Some(b'*') => return self.expand_most(start, at, end),
                        Some(b'+') if is_match => return self.expand_most(start + 1, at, end),
                        Some(b'+') => return Ok(None),
                        Some(b'-') => return self.expand_least(start, at, end),
                        _ if !is_match => return Ok(None),
                        _ => (start, at) = (start + 1, end),
                    }
                }
            }
        }
    }

    fn expand_most(&mut self, start: usize, at: usize, end: usize) -> Found {
        let mut count = 0;
        while start + count < self.text.len() && self.is_single(self.text[start + count], at, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(found) = self.go_on(start + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn expand_least(&mut self, mut start: usize, at: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.go_on(start, end + 1)? {
                return Ok(Some(found));
            }
            if start < self.text.len() && self.is_single(self.text[start], at, end) {
                start += 1;
            } else {
                return Ok(None);
            }
        }
    }

    fn open(&mut self, start: usize, at: usize, length: Length) -> Found {
        if self.captures.len() >= CAPTURES_MAX {
            return fault("too many captures");
        }
        let level = self.captures.len();
        self.captures.push(Capture { start, length });
        let found = self.go_on(start, at)?;
        if found.is_none() {
            self.captures.truncate(level);
        }
        Ok(found)
    }

    fn close(&mut self, start: usize, at: usize) -> Found {
        let open = self.captures.iter().rposition(|capture| capture.length == Length::Open);
        let Some(level) = open else {
            return fault("invalid pattern capture");
        };
        self.captures[level].length = Length::Bytes(start - self.captures[level].start);
        let found = self.go_on(start, at)?;
        if found.is_none() {
            self.captures[level].length = Length::Open;
        }
        Ok(found)
    }

    fn match_balanced(&mut self, start: usize, at: usize) -> Found {
        let (Some(&opening), Some(&closing)) = (self.pattern.get(at), self.pattern.get(at + 1)) else {
            return fault("unbalanced pattern");
        };
        if self.text.get(start) != Some(&opening) {
            return Ok(None);
        }
        let mut depth = 1;
        for place in start + 1..self.text.len() {
            self.step()?;
            let byte = self.text[place];
            if byte == closing {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(place + 1));
                }
            } else if byte == opening {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn match_capture(&mut self, start: usize, digit: u8) -> Found {
        let level = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let Some(Capture {
            start: from,
            length: Length::Bytes(bytes),
        }) = self.captures.get(level).copied()
        else {
            return fault("invalid capture index");
        };
        let is_same = self.text[start..].starts_with(&self.text[from..from + bytes]);
        self.meter.tick(bytes as u64 / 16)?;
        Ok(is_same.then_some(start + bytes))
    }

    /// Where the single item that begins here ends.
    fn class_end(&self, at: usize) -> Result<usize, Fault> {
        let mut place = at + 1;
        match self.pattern[at] {
            b'%' if place >= self.pattern.len() => fault("malformed pattern (ends with '%')"),
            b'%' => Ok(place + 1),
            b'[' => {
                if self.pattern.get(place) == Some(&b'^') {
                    place += 1;
                }
                loop {
                    let Some(&byte) = self.pattern.get(place) else {
                        return fault("malformed pattern (missing ']')");
                    };
                    place += if byte == b'%' && place + 1 < self.pattern.len() {
                        2
                    } else {
                        1
                    };
                    if self.pattern.get(place) == Some(&b']') {
                        return Ok(place + 1);
                    }
                }
            }
            _ => Ok(place),
        }
    }

    fn is_single(&self, byte: u8, at: usize, end: usize) -> bool {
        match self.pattern[at] {
            b'.' => true,
            b'%' => is_in_class(byte, self.pattern[at + 1]),
            b'[' => self.is_in_set(byte, at, end - 1),
            literal => literal == byte,
        }
    }

    /// True if the byte is in the set between the brackets at `at` and `end`.
    fn is_in_set(&self, byte: u8, mut at: usize, end: usize) -> bool {
        let mut positive = true;
        if self.pattern.get(at + 1) == Some(&b'^') {
            positive = false;
            at += 1;
        }
        at += 1;
        while at < end {
            if self.pattern[at] == b'%' && at + 1 < end {
                if is_in_class(byte, self.pattern[at + 1]) {
                    return positive;
                }
                at += 2;
            } else if self.pattern.get(at + 1) == Some(&b'-') && at + 2 < end {
                if (self.pattern[at]..=self.pattern[at + 2]).contains(&byte) {
                    return positive;
                }
                at += 3;
            } else {
                if self.pattern[at] == byte {
                    return positive;
                }
                at += 1;
            }
        }
        !positive
    }
}

/// `%a` and its like; the upper-case letter is the opposite.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0B,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in == class.is_ascii_lowercase()
}

fn fault<T>(message: &str) -> Result<T, Fault> {
    Err(Fault::Here(message.to_owned()))
}

const STEPS_PER_CHARGE: u32 = 256;
