//! JSON Lines: an object on each line, `json_line.rs` says which.

use std::path::Path;

use crate::error::TransferError;
use crate::row::Row;
use crate::source::{Position, RowSource, Taken};

use super::json_line;
use super::lines::{Line, Lines, Output};
use super::{FileToRead, RowSink, Unwritten};

/// Reads a file.
pub(super) struct JsonLines {
    lines: Lines,
    file: FileToRead,
}

impl JsonLines {
    pub(super) fn open(file: &FileToRead, from: Position) -> Result<Self, TransferError> {
        Ok(Self {
            lines: Lines::open(&file.path, from)?,
            file: file.clone(),
        })
    }
}

impl RowSource for JsonLines {
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError> {
        while let Some((position, line)) = self.lines.next_line()? {
            let row = match line {
                Line::Text(text) if text.trim_ascii().is_empty() => continue,
                Line::Text(text) => {
                    let FileToRead {
                        naming,
                        members,
                        attributes,
                        ..
                    } = &self.file;
                    json_line::row(&text, naming, members, attributes)
                }
                Line::TooLong => Err("the line is too long".into()),
            };
            return Ok(Some(Taken { position, row }));
        }
        Ok(None)
    }

    fn done(&self) -> u64 {
        self.lines.position().offset
    }

    fn length(&self) -> Option<u64> {
        Some(self.lines.length())
    }

    fn position(&self) -> Position {
        self.lines.position()
    }
}

/// Writes a file.
pub(super) struct JsonLinesWriter {
    output: Output,
    line: Vec<u8>,
}

impl JsonLinesWriter {
    pub(super) fn create(path: &Path, lengths: Option<&[u64]>) -> Result<Self, TransferError> {
        Ok(Self {
            output: Output::create(path, lengths.and_then(|lengths| lengths.first().copied()))?,
            line: Vec::new(),
        })
    }
}

impl RowSink for JsonLinesWriter {
    fn write(&mut self, row: &Row) -> Result<(), Unwritten> {
        self.line.clear();
        json_line::write(row, &mut self.line);
        Ok(self.output.write(&self.line)?)
    }

    fn lengths(&mut self) -> Result<Vec<u64>, TransferError> {
        Ok(vec![self.output.flush()?])
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        self.output.finish()
    }
}
