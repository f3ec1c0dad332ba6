//! The types of the settings about what is kept on disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::BadValue;

/// A file or directory, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalPath(Option<PathBuf>);

impl OptionalPath {
    /// The path, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

impl FromStr for OptionalPath {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        Ok(Self((!text.is_empty()).then(|| PathBuf::from(text))))
    }
}

impl fmt::Display for OptionalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => path.display().fmt(f),
            None => Ok(()),
        }
    }
}

/// `yes` or `no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YesNo(pub bool);

impl FromStr for YesNo {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "yes" => Ok(Self(true)),
            "no" => Ok(Self(false)),
            _ => Err(BadValue::new(text, "yes or no".to_owned())),
        }
    }
}

impl fmt::Display for YesNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "yes" } else { "no" })
    }
}

/// When the log is synced; Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before any reply that tells of what was written.
    Always,
    /// Once a second.
    Everysec,
    /// When the system likes.
    No,
}

impl FromStr for AppendFsync {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "always" => Ok(Self::Always),
            "everysec" => Ok(Self::Everysec),
            "no" => Ok(Self::No),
            _ => Err(BadValue::new(text, "always, everysec or no".to_owned())),
        }
    }
}

impl fmt::Display for AppendFsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Everysec => "everysec",
            Self::No => "no",
        })
    }
}

/// When a snapshot is taken: after so many seconds, if at least so many changes were made. The first that holds counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavePoints(Vec<(u64, u64)>);

impl SavePoints {
    /// Redis's default.
    pub(crate) fn usual() -> SavePoints {
        SavePoints(vec![(3600, 1), (300, 100), (60, 10_000)])
    }

    /// Whether none is taken without being asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is due that many seconds and changes after the last.
    pub fn is_due(&self, seconds: u64, changes: u64) -> bool {
        self.0
            .iter()
            .any(|&(after_s, of_changes)| seconds >= after_s && changes >= of_changes)
    }
}

impl FromStr for SavePoints {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let refusal = || BadValue::new(text, SAVE_FORM.to_owned());
        let numbers: Vec<u64> = text
            .split_ascii_whitespace()
            .map(|word| word.parse().ok().filter(|number| *number > 0).ok_or_else(refusal))
            .collect::<Result<_, _>>()?;
        if !numbers.len().is_multiple_of(2) || numbers.len() > 2 * SAVE_POINTS_MAX {
            return Err(refusal());
        }
        Ok(Self(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))
    }
}

impl fmt::Display for SavePoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(seconds, changes)| format!("{seconds} {changes}"))
            .collect();
        f.write_str(&words.join(" "))
    }
}

const SAVE_FORM: &str = "pairs of whole numbers, seconds and changes, such as `3600 1 300 100`; empty for none";

/// More points than anybody needs.
const SAVE_POINTS_MAX: usize = 64;
