//! Why a transfer stopped.

use std::fmt;
use std::io;

use crate::progress::Summary;

/// Why a transfer stopped. Rows that are bad do not stop it, unless that was asked for.
#[derive(Debug)]
pub enum TransferError {
    /// The options contradict each other or lack something.
    Options(String),
    /// A file can't be opened, read or written.
    File {
        /// Its name.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not what its format says, from here on.
    Format(String),
    /// A server can't be reached, or a socket failed.
    Socket {
        /// Which server.
        server: String,
        /// What the system said.
        error: io::Error,
    },
    /// A server sent what is no reply, or not the one that its command has.
    Protocol {
        /// Which server.
        server: String,
        /// What is wrong with it.
        what: String,
    },
    /// A server refused what the transfer can't go on without.
    Refused {
        /// Which server.
        server: String,
        /// The error that it sent.
        text: String,
    },
    /// More rows were bad than was allowed; the last one is named.
    TooManyBad(String),
    /// It was under way.
    Stopped {
        /// Why it stopped.
        error: Box<TransferError>,
        /// What had been done.
        summary: Box<Summary>,
        /// So many rows of the file need not be read again.
        rows: Option<u64>,
    },
}

impl TransferError {
    pub(crate) fn file(name: &std::path::Path, error: io::Error) -> Self {
        let name = name.display().to_string();
        Self::File { name, error }
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(text) | Self::Format(text) => f.write_str(text),
            Self::File { name, error } => write!(f, "{name}: {error}"),
            // What a read time-out is called on Linux, and what it means.
            Self::Socket { server, error } if error.kind() == io::ErrorKind::WouldBlock => {
                write!(f, "{server}: no answer in time")
            }
            Self::Socket { server, error } => write!(f, "{server}: {error}"),
            Self::Protocol { server, what } => write!(f, "{server}: {what}"),
            Self::Refused { server, text } => write!(f, "{server}: {text}"),
            Self::TooManyBad(row) => write!(f, "too many bad rows: {row}"),
            Self::Stopped { error, summary, rows } => {
                write!(f, "{error}\nstopped after {summary}")?;
                match rows {
                    Some(rows) => write!(f, "\n--skip {rows} goes on from there"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for TransferError {}
