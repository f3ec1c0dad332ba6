//! `.npy`, NumPy's file of one array: a header that is a Python literal, then the rows.
//!
//! Keys, attributes and deadlines stand in a file of JSON Lines beside it, a line for each row: `words.npy` has
//! `words.keys.jsonl`.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::commands::blob;
use crate::error::TransferError;
use crate::limits::{DIMENSION_MAX, NPY_HEADER_BYTES_MAX};
use crate::row::{Content, Row};
use crate::source::{Position, RowSource, Taken};

use super::labels::Labels;
use super::lines::{Output, open_at};
use super::numbers::NumberType;
use super::vecs::row_of;
use super::{FileToRead, RowSink, Unwritten, json_line};

/// What a header says.
pub(super) struct NpyHeader {
    /// The type of the items, as NumPy writes it.
    pub(super) descr: String,
    pub(super) shape: Vec<u64>,
    /// Where the items begin.
    bytes: u64,
}

impl NpyHeader {
    /// Reads the header; the reader stands at the first item.
    pub(super) fn open(path: &Path) -> Result<(BufReader<File>, Self), TransferError> {
        let (file, _) = open_at(path, 0)?;
        let mut reader = BufReader::with_capacity(READ_BYTES, file);
        let wrong = |what: &str| TransferError::Format(format!("{}: {what}", path.display()));
        let mut start = [0; 8];
        let read = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong("the file ends within the header"),
            _ => TransferError::file(path, error),
        };
        reader.read_exact(&mut start).map_err(read)?;
        if !start.starts_with(MAGIC) {
            return Err(wrong("this is no .npy file"));
        }
        // Version 1 has a length of 16 bits, later ones of 32.
        let mut length = [0; 4];
        let length_bytes = if start[6] == 1 { 2 } else { 4 };
        reader.read_exact(&mut length[..length_bytes]).map_err(read)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > NPY_HEADER_BYTES_MAX {
            return Err(wrong("the header is too long"));
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(read)?;
        let text = String::from_utf8(text).map_err(|_| wrong("the header is no text"))?;
        let (descr, shape) = parse(&text).map_err(|what| wrong(&format!("{what} in the header {text:?}")))?;
        let bytes = (start.len() + length_bytes + length) as u64;
        Ok((reader, Self { descr, shape, bytes }))
    }
}

/// The type and the shape in a header like `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
fn parse(header: &str) -> Result<(String, Vec<u64>), &'static str> {
    let after = |name: &str| {
        let (_, rest) = header.split_once(name)?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = after("'descr'").ok_or("no type")?;
    let descr = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
    let (descr, _) = descr.ok_or("a type of several fields")?;
    let order = after("'fortran_order'").ok_or("no order")?;
    if !order.starts_with("False") {
        return Err("columns are stored one after the other (fortran_order)");
    }
    let shape = after("'shape'").and_then(|rest| rest.strip_prefix('('));
    let (shape, _) = shape.and_then(|rest| rest.split_once(')')).ok_or("no shape")?;
    let numbers = shape.split(',').map(str::trim).filter(|number| !number.is_empty());
    let shape: Result<Vec<u64>, _> = numbers.map(str::parse).collect();
    Ok((descr.to_owned(), shape.map_err(|_| "no shape")?))
}

/// Reads the rows of an array of two dimensions.
pub(super) struct NpyRows {
    path: PathBuf,
    reader: BufReader<File>,
    number: NumberType,
    rows: u64,
    /// Bytes of one row. Invariant: at least one.
    row: Vec<u8>,
    position: Position,
    labels: Labels,
    /// The collection that the file of keys begins with.
    collection: Option<Row>,
}

impl NpyRows {
    pub(super) fn open(file: &FileToRead, from: Position) -> Result<Self, TransferError> {
        let (mut reader, header) = NpyHeader::open(&file.path)?;
        let wrong = |what: String| TransferError::Format(format!("{}: {what}", file.path.display()));
        let [rows, dimension] = header.shape[..] else {
            return Err(wrong(format!(
                "the array has {} dimensions and not 2",
                header.shape.len()
            )));
        };
        let number = NumberType::from_numpy(&header.descr);
        let number = number.ok_or_else(|| wrong(format!("items of type {} are no vectors", header.descr)))?;
        let dimension = usize::try_from(dimension)
            .ok()
            .filter(|count| (1..=DIMENSION_MAX).contains(count));
        let dimension = dimension.ok_or_else(|| wrong(format!("rows must have 1 to {DIMENSION_MAX} items")))?;
        let offset = from.offset.max(header.bytes);
        if from.offset > 0 {
            let went = reader.seek(SeekFrom::Start(offset));
            went.map_err(|error| TransferError::file(&file.path, error))?;
        }
        let mut labels = Labels::open(file, from.rows)?;
        Ok(Self {
            path: file.path.clone(),
            reader,
            number,
            rows,
            row: vec![0; dimension * number.bytes()],
            position: Position {
                rows: from.rows,
                offset,
            },
            collection: labels.take_collection(),
            labels,
        })
    }
}

impl RowSource for NpyRows {
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError> {
        let position = self.position;
        if let Some(collection) = self.collection.take() {
            let row = Ok(collection);
            return Ok(Some(Taken { position, row }));
        }
        if position.rows == self.rows {
            return Ok(None);
        }
        self.reader
            .read_exact(&mut self.row)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    let (path, row, rows) = (self.path.display(), position.rows + 1, self.rows);
                    TransferError::Format(format!("{path}: the file ends in row {row} of {rows}"))
                }
                _ => TransferError::file(&self.path, error),
            })?;
        self.position.rows += 1;
        self.position.offset += self.row.len() as u64;
        let components = self.number.read_row(&self.row);
        let label = self.labels.next_label(position.rows)?;
        let row = label.map(|label| row_of(label, components));
        Ok(Some(Taken { position, row }))
    }

    fn done(&self) -> u64 {
        self.position.rows
    }

    fn length(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn position(&self) -> Position {
        self.position
    }
}

/// Writes the vectors of one collection.
pub(super) struct NpyWriter {
    array: Output,
    labels: Output,
    line: Vec<u8>,
    /// Of the first vector; the others have the same.
    dimension: Option<usize>,
}

impl NpyWriter {
    pub(super) fn create(path: &Path, lengths: Option<&[u64]>) -> Result<Self, TransferError> {
        let length = |index: usize| lengths.and_then(|lengths| lengths.get(index).copied());
        let mut array = Output::create(path, length(0))?;
        if lengths.is_none() {
            // Space for the header, which is known at the end.
            array.write(&[b' '; HEADER_BYTES])?;
        }
        Ok(Self {
            array,
            labels: Output::create(&path.with_extension("keys.jsonl"), length(1))?,
            line: Vec::new(),
            dimension: length(2)
                .and_then(|dimension| usize::try_from(dimension).ok())
                .filter(|count| *count > 0),
        })
    }
}

impl RowSink for NpyWriter {
    fn write(&mut self, row: &Row) -> Result<(), Unwritten> {
        match &row.content {
            Content::Vector(vector) | Content::Element { vector, .. } => {
                let dimension = *self.dimension.get_or_insert(vector.components.len());
                if dimension != vector.components.len() {
                    let text = format!(
                        "it has {} components and the first {dimension}",
                        vector.components.len()
                    );
                    return Err(Unwritten::Row(text));
                }
                self.array.write(&blob(&vector.components))?;
            }
            // The file of keys may begin with it: an export that goes on tells it once more.
            Content::Collection(_) if self.labels.length() > 0 => return Ok(()),
            Content::Collection(_) => {}
            Content::SetDeadline => {
                let text = "npy has no place for the deadline of a vector set";
                return Err(Unwritten::Row(text.into()));
            }
            _ => return Err(Unwritten::Row("npy holds vectors only".into())),
        }
        self.line.clear();
        json_line::write_label(row, &mut self.line);
        Ok(self.labels.write(&self.line)?)
    }

    fn lengths(&mut self) -> Result<Vec<u64>, TransferError> {
        let dimension = self.dimension.unwrap_or(0) as u64;
        Ok(vec![self.array.flush()?, self.labels.flush()?, dimension])
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        let dimension = self.dimension.unwrap_or(0);
        let bytes = self.array.flush()? - HEADER_BYTES as u64;
        let rows = bytes / (4 * dimension.max(1)) as u64;
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}");
        let mut header = Vec::from(MAGIC);
        header.extend([1, 0]);
        header.extend((HEADER_BYTES as u16 - 10).to_le_bytes());
        header.extend(text.bytes());
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        self.array.rewrite_start(&header)?;
        self.array.finish()?;
        self.labels.finish()
    }
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// The header that is written: 64 bytes divide it, as NumPy asks, and the longest text fits.
const HEADER_BYTES: usize = 128;

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
