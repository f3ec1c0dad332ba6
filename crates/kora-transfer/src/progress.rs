//! How far a transfer is: on a terminal, and in a file from which it goes on.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::bad_rows::BadRows;
use crate::error::TransferError;
use crate::limits::{PROGRESS_BYTES_MAX, PROGRESS_PERIOD};
use crate::source::Position;

/// What a transfer did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Rows written to the target.
    pub rows: u64,
    /// Rows whose deadline had passed.
    pub expired: u64,
    /// Rows that were left out because something is wrong with them.
    pub bad: BadRows,
    /// What the source has that does not travel, one line for each kind.
    pub left_out: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        let rate = self.rows as f64 / seconds;
        write!(f, "{} rows in {seconds:.1} s ({rate:.0} per second)", self.rows)?;
        if self.expired > 0 {
            write!(f, "\n{} rows had expired", self.expired)?;
        }
        if self.bad.count > 0 {
            write!(f, "\n{}", self.bad)?;
        }
        for line in &self.left_out {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// A bar on the standard error, with rate and estimated time; nothing where that is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    rows: u64,
    start: Instant,
}

impl Bar {
    /// `verb` says what is done: `importing`. `is_bytes` says what the length counts.
    pub(crate) fn new(verb: &'static str, length: Option<u64>, is_bytes: bool) -> Self {
        let bar = match length {
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::new_spinner(),
        };
        let template = match (length, is_bytes) {
            (Some(_), true) => "{prefix} {bar:30} {bytes}/{total_bytes}, {msg}, {eta} left",
            (Some(_), false) => "{prefix} {bar:30} {pos}/{len} keys, {msg}, {eta} left",
            (None, _) => "{prefix} {msg}",
        };
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self {
            bar: bar.with_prefix(verb),
            rows: 0,
            start: Instant::now(),
        }
    }

    /// `done` of the length are done, with so many rows.
    pub(crate) fn set(&mut self, done: u64, rows: u64) {
        self.rows = rows;
        let rate = rows as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        self.bar.set_position(done);
        self.bar.set_message(format!("{rows} rows, {rate:.0} per second"));
    }

    pub(crate) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.start.elapsed()
    }
}

/// What is kept in the progress file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// What is transferred, from where and to where. Progress of another transfer is of no use.
    pub(crate) transfer: String,
    /// All rows before it are there.
    pub(crate) position: Position,
    /// How long the files of an export were.
    #[serde(default)]
    pub(crate) lengths: Vec<u64>,
}

/// The file in which progress is kept, if one was asked for.
pub(crate) struct ProgressFile {
    path: Option<PathBuf>,
    saved: Instant,
}

impl ProgressFile {
    /// The file, and the progress that it holds.
    ///
    /// # Errors
    /// If it can't be read or belongs to another transfer.
    pub(crate) fn open(path: Option<&Path>, transfer: &str) -> Result<(Self, Option<Progress>), TransferError> {
        let file = Self {
            path: path.map(Path::to_owned),
            saved: Instant::now(),
        };
        let Some(path) = path else {
            return Ok((file, None));
        };
        let mut text = String::new();
        match File::open(path) {
            Ok(open) => open.take(PROGRESS_BYTES_MAX).read_to_string(&mut text).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((file, None)),
            Err(error) => Err(error),
        }
        .map_err(|error| TransferError::file(path, error))?;
        let wrong = |what: &str| {
            let name = path.display();
            TransferError::Options(format!(
                "{name} {what}; remove it to begin from the start, or name another file"
            ))
        };
        let progress: Progress =
            serde_json::from_str(&text).map_err(|_| wrong("is no progress of an import or export"))?;
        match progress.transfer == transfer {
            true => Ok((file, Some(progress))),
            false => Err(wrong("is the progress of another transfer, or its source has changed")),
        }
    }

    /// Whether it is time to save.
    pub(crate) fn is_due(&self) -> bool {
        self.path.is_some() && self.saved.elapsed() >= PROGRESS_PERIOD
    }

    /// Replaces what it holds, whole.
    pub(crate) fn save(&mut self, progress: &Progress) -> Result<(), TransferError> {
        let Some(path) = &self.path else { return Ok(()) };
        self.saved = Instant::now();
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let text = serde_json::to_vec(progress).map_err(|error| TransferError::file(path, error.into()))?;
        let written = File::create(&new).and_then(|mut file| file.write_all(&text));
        written
            .and_then(|()| fs::rename(&new, path))
            .map_err(|error| TransferError::file(path, error))
    }

    /// The transfer is complete.
    pub(crate) fn remove(&self) {
        if let Some(path) = &self.path {
            // If it stays, the next transfer says so.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept_for_one_transfer() {
        let path = std::env::temp_dir().join(format!("kora-progress-{}", std::process::id()));
        let (mut file, none) = ProgressFile::open(Some(&path), "a").unwrap();
        assert_eq!(none, None);
        let progress = Progress {
            transfer: "a".into(),
            position: Position { rows: 3, offset: 70 },
            lengths: vec![7],
        };
        file.save(&progress).unwrap();
        assert_eq!(ProgressFile::open(Some(&path), "a").unwrap().1, Some(progress));
        assert!(ProgressFile::open(Some(&path), "b").is_err());
        fs::write(&path, b"{\"transfer\": 7}").unwrap();
        assert!(ProgressFile::open(Some(&path), "a").is_err());
        file.remove();
        assert!(ProgressFile::open(Some(&path), "a").unwrap().1.is_none());
    }
}
