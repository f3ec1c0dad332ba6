//! `.fvecs` and `.bvecs`: each vector behind its dimension, a little-endian word of 32 bits.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use crate::error::TransferError;
use crate::limits::DIMENSION_MAX;
use crate::row::{Content, Row, Vector};
use crate::source::{Position, RowSource, Taken};

use super::labels::{Label, Labels};
use super::lines::open_at;
use super::numbers::NumberType;
use super::{FileToRead, Format};

/// Reads the vectors of one file.
pub(super) struct VecsRows {
    path: PathBuf,
    reader: BufReader<File>,
    length: u64,
    position: Position,
    number: NumberType,
    labels: Labels,
}

impl VecsRows {
    pub(super) fn open(file: &FileToRead, from: Position) -> Result<Self, TransferError> {
        let (open, length) = open_at(&file.path, from.offset)?;
        let number = match file.format {
            Format::Bvecs => NumberType::U8,
            _ => NumberType::F32,
        };
        Ok(Self {
            path: file.path.clone(),
            reader: BufReader::with_capacity(READ_BYTES, open),
            length,
            position: from,
            number,
            labels: Labels::open(file, from.rows)?,
        })
    }

    /// The components of the next vector. Behind a dimension that can't be, nothing is known to be a vector.
    fn next_vector(&mut self) -> Result<Option<Vec<f32>>, TransferError> {
        let mut head = [0; 4];
        match self
            .reader
            .read(&mut head[..1])
            .map_err(|error| TransferError::file(&self.path, error))?
        {
            0 => return Ok(None),
            _ => self.fill(&mut head[1..])?,
        }
        let announced = u32::from_le_bytes(head);
        let dimension = usize::try_from(announced)
            .ok()
            .filter(|count| (1..=DIMENSION_MAX).contains(count));
        let Some(dimension) = dimension else {
            return Err(self.wrong(&format!(
                "the dimension {announced} is not between 1 and {DIMENSION_MAX}"
            )));
        };
        let mut bytes = vec![0; dimension * self.number.bytes()];
        self.fill(&mut bytes)?;
        self.position.offset += (head.len() + bytes.len()) as u64;
        self.position.rows += 1;
        Ok(Some(self.number.read_row(&bytes)))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), TransferError> {
        match self.reader.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.wrong("the file ends within a vector"))
            }
            Err(error) => Err(TransferError::file(&self.path, error)),
        }
    }

    fn wrong(&self, what: &str) -> TransferError {
        let Position { rows, offset } = self.position;
        TransferError::Format(format!(
            "{}: row {} at byte {offset}: {what}",
            self.path.display(),
            rows + 1
        ))
    }
}

impl RowSource for VecsRows {
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError> {
        let position = self.position;
        let Some(components) = self.next_vector()? else {
            return Ok(None);
        };
        let row = self
            .labels
            .next_label(position.rows)?
            .map(|label| row_of(label, components));
        Ok(Some(Taken { position, row }))
    }

    fn done(&self) -> u64 {
        self.position.offset
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn position(&self) -> Position {
        self.position
    }
}

/// The row of a vector whose key stands elsewhere.
pub(super) fn row_of(label: Label, components: Vec<f32>) -> Row {
    let Label {
        key,
        element,
        attributes,
        expires_at_ms,
    } = label;
    let vector = Vector { components, attributes };
    let content = match element {
        Some((element, form)) => Content::Element { element, vector, form },
        None => Content::Vector(vector),
    };
    Row {
        key,
        content,
        expires_at_ms,
    }
}

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
