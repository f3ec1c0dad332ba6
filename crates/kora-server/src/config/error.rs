//! Why a start was refused before it began.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is wrong with the settings, or that the command line asked for help.
#[derive(Debug)]
pub enum ConfigError {
    /// The command line is wrong; also `--help` and `--version`, which clap answers the
    /// same way.
    Flags(clap::Error),
    /// An environment variable has a bad value.
    Variable {
        /// The variable.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The file can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file has an unknown key, a bad value or is not TOML.
    InFile {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// The text of that line.
        source: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl ConfigError {
    /// Says it where it belongs: help on the standard output with status 0, mistakes on the standard error with
    /// status 2, as command lines do.
    pub fn report(&self) -> ExitCode {
        if let Self::Flags(error) = self {
            // A closed output is nothing that one could still report.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
        eprintln!("kora: {self}");
        ExitCode::from(EXIT_USAGE)
    }

    /// clap names the flag even where the value stood in the flag's variable.
    pub(super) fn in_words(words: &[OsString], error: clap::Error) -> Self {
        let flag = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(usage)) => usage.split(' ').next().unwrap_or_default(),
            _ => return Self::Flags(error),
        };
        let was_said = |word: &OsString| word.to_string_lossy().split('=').next() == Some(flag);
        match (error.kind(), error.source()) {
            (ErrorKind::ValueValidation, Some(reason)) if !words.iter().any(was_said) => {
                let name = flag.trim_start_matches('-').to_uppercase().replace('-', "_");
                Self::Variable {
                    name: format!("KORA_{name}"),
                    reason: reason.to_string(),
                }
            }
            _ => Self::Flags(error),
        }
    }

    pub(super) fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let source = text.lines().nth(line - 1).unwrap_or_default();
        // A line that holds a password is not repeated on a terminal or in a log.
        let source = if source.contains("requirepass") {
            "requirepass = ***"
        } else {
            source
        };
        Self::InFile {
            path: path.to_owned(),
            line,
            source: source.trim().to_owned(),
            reason: error.message().to_owned(),
        }
    }
}

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        Self::Flags(error)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags(error) => error.fmt(f),
            Self::Variable { name, reason } => write!(f, "{name}: {reason}"),
            Self::Unreadable { path, error } => write!(f, "{}: {error}", path.display()),
            Self::InFile {
                path,
                line,
                source,
                reason,
            } => {
                write!(f, "{}:{line}: {reason}\n    {source}", path.display())
            }
        }
    }
}

impl Error for ConfigError {}

/// A text that is not a value of its setting.
#[derive(Debug, PartialEq, Eq)]
pub struct BadValue {
    given: String,
    right: String,
}

impl BadValue {
    pub(super) fn new(given: &str, right: impl Into<String>) -> Self {
        Self {
            given: given.to_owned(),
            right: right.into(),
        }
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.given, self.right)
    }
}

impl Error for BadValue {}

/// clap's own status for a wrong command line.
const EXIT_USAGE: u8 = 2;
