//! Lines of a text file, with their places.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::TransferError;
use crate::limits::LINE_BYTES_MAX;
use crate::source::Position;

/// Reads lines one after the other.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    length: u64,
    position: Position,
}

/// A line without its end, or only the fact that it is longer than a limit.
pub(super) enum Line {
    Text(Vec<u8>),
    TooLong,
}

impl Lines {
    pub(super) fn open(path: &Path, from: Position) -> Result<Self, TransferError> {
        let (file, length) = open_at(path, from.offset)?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(READ_BYTES, file),
            length,
            position: from,
        })
    }

    /// The next line with its place, or `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<(Position, Line)>, TransferError> {
        let position = self.position;
        let mut text = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(LINE_BYTES_MAX as u64)
            .read_until(b'\n', &mut text);
        let mut bytes = read.map_err(|error| TransferError::file(&self.path, error))? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        let is_too_long = bytes == LINE_BYTES_MAX as u64 && !text.ends_with(b"\n");
        if is_too_long {
            bytes += skip_line(&mut self.reader).map_err(|error| TransferError::file(&self.path, error))?;
        }
        self.position = Position {
            rows: position.rows + 1,
            offset: position.offset + bytes,
        };
        if is_too_long {
            return Ok(Some((position, Line::TooLong)));
        }
        if text.ends_with(b"\n") {
            text.pop();
        }
        if text.ends_with(b"\r") {
            text.pop();
        }
        Ok(Some((position, Line::Text(text))))
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

/// Reads to the end of a line without keeping it.
fn skip_line(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut bytes = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(bytes);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n').map(|index| index + 1);
        let count = end.unwrap_or(buffer.len());
        reader.consume(count);
        bytes += count as u64;
        if end.is_some() {
            return Ok(bytes);
        }
    }
}

/// Opens a file for reading from a byte on; its length comes with it.
pub(super) fn open_at(path: &Path, offset: u64) -> Result<(File, u64), TransferError> {
    let opened = File::open(path).and_then(|mut file| {
        let metadata = file.metadata()?;
        // It would open, and the first read would fail with less to say.
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok((file, metadata.len()))
    });
    opened.map_err(|error| TransferError::file(path, error))
}

/// Writes a file from its start, or from where an export had come.
pub(super) struct Output {
    path: PathBuf,
    writer: BufWriter<File>,
    length: u64,
}

impl Output {
    pub(super) fn create(path: &Path, length: Option<u64>) -> Result<Self, TransferError> {
        let opened = match length {
            // What stands there is the user's: it is replaced only where an export had begun it.
            None => OpenOptions::new().write(true).create_new(true).open(path),
            Some(length) => OpenOptions::new().write(true).open(path).and_then(|mut file| {
                if file.metadata()?.len() < length {
                    return Err(io::Error::other(
                        "it is shorter than the export that began it had written",
                    ));
                }
                file.set_len(length)?;
                file.seek(SeekFrom::Start(length))?;
                Ok(file)
            }),
        };
        let file = opened.map_err(|error| TransferError::file(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            writer: BufWriter::with_capacity(READ_BYTES, file),
            length: length.unwrap_or(0),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.length += bytes.len() as u64;
        let written = self.writer.write_all(bytes);
        written.map_err(|error| TransferError::file(&self.path, error))
    }

    /// Bytes written, those that are buffered included.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes what is buffered; the length of the file.
    pub(super) fn flush(&mut self) -> Result<u64, TransferError> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| TransferError::file(&self.path, error))?;
        Ok(self.length)
    }

    /// Replaces the first bytes.
    pub(super) fn rewrite_start(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let written = self
            .writer
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.writer.write_all(bytes));
        written
            .and_then(|()| self.writer.seek(SeekFrom::End(0)).map(drop))
            .map_err(|error| TransferError::file(&self.path, error))
    }

    /// Writes everything to the disk.
    pub(super) fn finish(&mut self) -> Result<(), TransferError> {
        self.flush()?;
        let synced = self.writer.get_ref().sync_all();
        synced.map_err(|error| TransferError::file(&self.path, error))
    }
}

/// How much is read and written at once.
const READ_BYTES: usize = 256 << 10;
