//! Paths into attributes: `.name`, `.name.inner[3]`.

use std::{error, fmt};

use crate::limits::PATH_STEPS_MAX;

/// Which part of attributes is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Invariant: the first is a name, and there are at most [`PATH_STEPS_MAX`].
    steps: Box<[PathStep]>,
}

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// Into the member of an object that has this name.
    Name(Box<[u8]>),
    /// Into the element of an array that has this place, counted from 0.
    Place(usize),
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The byte where it goes wrong.
    pub position: usize,
}

impl Path {
    /// A path as a command gives it: a dot may stand before the first name or be left out.
    pub fn parse(text: &[u8]) -> Result<Path, PathError> {
        let start = usize::from(text.first() == Some(&b'.'));
        let (path, end) = Path::read(text, start)?;
        match end == text.len() {
            true => Ok(path),
            false => Err(PathError { position: end }),
        }
    }

    /// Reads a path that begins with a name at `start`: the path, and where it ends.
    pub(crate) fn read(text: &[u8], start: usize) -> Result<(Path, usize), PathError> {
        let mut at = start + name_length(&text[start..]);
        if at == start {
            return Err(PathError { position: start });
        }
        let mut steps = vec![PathStep::Name(text[start..at].into())];
        loop {
            let step = match text[at..] {
                [b'.', ..] => {
                    let length = name_length(&text[at + 1..]);
                    if length == 0 {
                        return Err(PathError { position: at + 1 });
                    }
                    let name = &text[at + 1..at + 1 + length];
                    at += 1 + length;
                    PathStep::Name(name.into())
                }
                [b'[', ..] => {
                    let (place, end) = place_of(text, at + 1)?;
                    at = end;
                    PathStep::Place(place)
                }
                _ => break,
            };
            if steps.len() == PATH_STEPS_MAX {
                return Err(PathError { position: at });
            }
            steps.push(step);
        }
        let steps = steps.into_boxed_slice();
        Ok((Path { steps }, at))
    }

    /// The field of this name, whatever bytes it has.
    pub(crate) fn of_name(name: &[u8]) -> Path {
        let steps = Box::new([PathStep::Name(name.into())]);
        Path { steps }
    }

    pub(crate) fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let name = |step: &PathStep| match step {
            PathStep::Name(name) => name.len(),
            PathStep::Place(_) => 0,
        };
        self.steps.iter().map(|step| size_of::<PathStep>() + name(step)).sum()
    }

    /// The JSON text of the value that this path leads to in attributes; none if it leads nowhere.
    pub fn find<'a>(&self, attributes: &'a [u8]) -> Option<&'a [u8]> {
        let at = crate::field::seek(attributes, self)?;
        let end = crate::field::value_end(at)?;
        Some(&at[..end])
    }
}

/// How many bytes of a name stand at the beginning of a text.
pub(crate) fn name_length(text: &[u8]) -> usize {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.iter().position(|byte| !is_of_name(byte)).unwrap_or(text.len())
}

/// The number that stands at `start` and the bracket behind it.
fn place_of(text: &[u8], start: usize) -> Result<(usize, usize), PathError> {
    let length = text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = start + length;
    let digits = std::str::from_utf8(&text[start..end]).unwrap_or_default();
    match (digits.parse(), text.get(end)) {
        (Ok(place), Some(b']')) => Ok((place, end + 1)),
        _ => Err(PathError { position: end }),
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a path at byte {}", self.position)
    }
}

impl error::Error for PathError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_text_of_a_value() {
        let attributes = br#" { "a" : {"b":[1, {"c": "x,}"} , [ 2 ]]}, "n": -1.5e3 , "last":null}"#;
        let find = |path: &str| {
            let path = Path::parse(path.as_bytes()).unwrap();
            path.find(attributes).map(|found| std::str::from_utf8(found).unwrap())
        };
        assert_eq!(find("a.b[0]"), Some("1"));
        assert_eq!(find(".a.b[1].c"), Some("\"x,}\""));
        assert_eq!(find(".a.b[2][0]"), Some("2"));
        assert_eq!(find("a.b"), Some(r#"[1, {"c": "x,}"} , [ 2 ]]"#));
        assert_eq!(find("n"), Some("-1.5e3"));
        assert_eq!(find("last"), Some("null"));
        for nowhere in ["b", "a.c", "a[0]", "a.b[3]", "n.x", "last.x", "a.b[1].c.d"] {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_place() {
        for (text, position) in [
            ("", 0),
            (".", 1),
            ("a..b", 2),
            ("a.", 2),
            ("a[x]", 2),
            ("a[1", 3),
            ("a b", 1),
            ("[0]", 0),
        ] {
            assert_eq!(Path::parse(text.as_bytes()), Err(PathError { position }), "{text}");
        }
        let deep = vec!["a"; PATH_STEPS_MAX + 1].join(".");
        assert!(Path::parse(deep.as_bytes()).is_err());
    }
}
