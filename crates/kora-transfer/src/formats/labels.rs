//! Keys of rows that stand in another file than the vectors.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::TransferError;
use crate::row::{Row, SetForm};
use crate::source::Position;

use super::json_line;
use super::lines::{Line, Lines};
use super::npy::NpyHeader;
use super::numbers::NumberType;
use super::{FileToRead, Format, Naming};

/// What a row without a name is called.
pub(super) struct Labels {
    naming: Naming,
    kind: Kind,
}

/// The key of a row and all that belongs to it besides its components.
#[derive(Debug, PartialEq)]
pub(super) struct Label {
    pub(super) key: Vec<u8>,
    /// For a vector of a set that is one key.
    pub(super) element: Option<(Vec<u8>, SetForm)>,
    pub(super) attributes: Option<Vec<u8>>,
    pub(super) expires_at_ms: Option<u64>,
}

enum Kind {
    /// The number of the row, from 0.
    Numbers,
    /// A name on each line.
    Names(Lines),
    /// An object on each line, as an export to npy writes it.
    Objects {
        lines: Lines,
        collection: Option<Row>,
    },
    Array(StringArray),
}

impl Labels {
    /// Opens the file with the keys, and passes over those of the first rows.
    pub(super) fn open(file: &FileToRead, rows: u64) -> Result<Self, TransferError> {
        let start = Position::default();
        let kind = match &file.keys {
            None => Kind::Numbers,
            Some(path) => match Format::of_path(path) {
                Some(Format::JsonLines) => objects(path)?,
                Some(Format::Npy) => Kind::Array(StringArray::open(path)?),
                _ => Kind::Names(Lines::open(path, start)?),
            },
        };
        let mut labels = Self {
            naming: file.naming.clone(),
            kind,
        };
        if !matches!(labels.kind, Kind::Numbers) {
            for row in 0..rows {
                // A bad one was counted when its row was.
                let _ = labels.next_label(row)?;
            }
        }
        Ok(labels)
    }

    /// The collection that the file begins with, if it has one and no row was passed over.
    pub(super) fn take_collection(&mut self) -> Option<Row> {
        match &mut self.kind {
            Kind::Objects { collection, .. } => collection.take(),
            _ => None,
        }
    }

    /// The label of the row with this number, or what is wrong with it. Called for each row in order.
    pub(super) fn next_label(&mut self, row: u64) -> Result<Result<Label, String>, TransferError> {
        let ended = || TransferError::Format(format!("the file of keys ends before row {}", row + 1));
        let name = match &mut self.kind {
            Kind::Numbers => Ok(row.to_string().into_bytes()),
            Kind::Names(lines) => match lines.next_line()?.ok_or_else(ended)?.1 {
                Line::Text(name) => Ok(name),
                Line::TooLong => Err("the key is too long".to_owned()),
            },
            Kind::Objects { lines, .. } => {
                return Ok(match lines.next_line()?.ok_or_else(ended)?.1 {
                    Line::Text(line) => json_line::label(&line, &self.naming),
                    Line::TooLong => Err("the line of the key is too long".into()),
                });
            }
            Kind::Array(array) => Ok(array.next_name()?.ok_or_else(ended)?),
        };
        Ok(name.and_then(|name| self.naming.key(&name)).map(|key| Label {
            key,
            element: None,
            attributes: None,
            expires_at_ms: None,
        }))
    }
}

/// The lines of a file, behind the one of the collection.
fn objects(path: &Path) -> Result<Kind, TransferError> {
    let start = Position::default();
    let mut lines = Lines::open(path, start)?;
    let first = match lines.next_line()? {
        Some((_, Line::Text(line))) => json_line::collection(&line),
        _ => None,
    };
    Ok(match first {
        Some(row) => Kind::Objects {
            lines,
            collection: Some(row),
        },
        None => Kind::Objects {
            lines: Lines::open(path, start)?,
            collection: None,
        },
    })
}

/// A `.npy` file with an array of one dimension: texts or whole numbers.
struct StringArray {
    path: PathBuf,
    reader: BufReader<File>,
    item: Item,
    /// Invariant: at least one byte.
    buffer: Vec<u8>,
    left: u64,
}

enum Item {
    /// UTF-32 with zeros at the end.
    Unicode {
        is_big_endian: bool,
    },
    /// Bytes with zeros at the end.
    Bytes,
    Integer(NumberType),
}

impl StringArray {
    fn open(path: &Path) -> Result<Self, TransferError> {
        let (reader, header) = NpyHeader::open(path)?;
        let wrong = || {
            let name = path.display();
            TransferError::Format(format!(
                "{name}: the keys must be an array of one dimension, of texts or whole numbers"
            ))
        };
        let [count] = header.shape[..] else {
            return Err(wrong());
        };
        let (item, bytes) = item_of(&header.descr).ok_or_else(wrong)?;
        let buffer = vec![0; bytes];
        Ok(Self {
            path: path.to_owned(),
            reader,
            item,
            buffer,
            left: count,
        })
    }

    fn next_name(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let read = self.reader.read_exact(&mut self.buffer);
        read.map_err(|error| TransferError::file(&self.path, error))?;
        Ok(Some(match self.item {
            Item::Bytes => {
                let end = self
                    .buffer
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |last| last + 1);
                self.buffer[..end].to_vec()
            }
            Item::Integer(number) => number.read_integer(&self.buffer).to_string().into_bytes(),
            Item::Unicode { is_big_endian } => {
                let words = self.buffer.chunks_exact(4).map(|word| {
                    let word: [u8; 4] = word.try_into().unwrap_or_default();
                    if is_big_endian {
                        u32::from_be_bytes(word)
                    } else {
                        u32::from_le_bytes(word)
                    }
                });
                let text: String = words
                    .map(|word| char::from_u32(word).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect();
                text.trim_end_matches('\0').as_bytes().to_vec()
            }
        }))
    }
}

fn item_of(descr: &str) -> Option<(Item, usize)> {
    if let Some(number) = NumberType::from_numpy(descr) {
        return number.is_integer().then_some((Item::Integer(number), number.bytes()));
    }
    let (order, rest) = descr.split_at_checked(1)?;
    let (kind, length) = rest.split_at_checked(1)?;
    let length: usize = length
        .parse()
        .ok()
        .filter(|length| (1..=NAME_CHARS_MAX).contains(length))?;
    match kind {
        "S" => Some((Item::Bytes, length)),
        "U" => Some((
            Item::Unicode {
                is_big_endian: order == ">",
            },
            4 * length,
        )),
        _ => None,
    }
}

/// The longest text of an array: a key of the server has at most 64 KiB.
const NAME_CHARS_MAX: usize = 64 << 10;
