//! Why a start was refused before it began.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is wrong with the settings, or that the command line asked for help.
#[derive(Debug)]
pub enum ConfigError {
    /// The command line or an environment variable is wrong; also `--help` and `--version`, which clap answers the
    /// same way.
    Flags(clap::Error),
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

impl std::error::Error for ConfigError {}

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

impl std::error::Error for BadValue {}

/// clap's own status for a wrong command line.
const EXIT_USAGE: u8 = 2;
