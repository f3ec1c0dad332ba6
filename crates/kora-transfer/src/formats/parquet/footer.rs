//! The footer of a Parquet file: its schema, and where the pages of each column are.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::limits::PARQUET_FOOTER_BYTES_MAX;

use super::thrift::{Kind, STRUCT, ThriftReader};

/// What a footer says.
pub(super) struct Footer {
    /// The tree of the columns, each node before its children. The first is the root.
    pub(super) nodes: Vec<Node>,
    pub(super) groups: Vec<RowGroup>,
    /// Texts that the writer added, by name.
    pub(super) texts: Vec<(String, String)>,
}

/// A column, or a group of columns.
#[derive(Default)]
pub(super) struct Node {
    pub(super) name: String,
    /// `None` for a group.
    pub(super) physical: Option<Physical>,
    /// Bytes of a value of [`Physical::Fixed`].
    pub(super) length: usize,
    pub(super) repetition: Repetition,
    pub(super) children: u64,
    pub(super) meaning: Meaning,
}

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    Int96,
    Float,
    Double,
    /// Bytes behind their length.
    Bytes,
    /// Bytes of a length that the schema says.
    Fixed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Repetition {
    #[default]
    Required,
    Optional,
    Repeated,
}

/// What a stored value means.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Meaning {
    /// What it is stored as; bytes are bytes.
    #[default]
    Plain,
    Text,
    Json,
    Unsigned,
    Decimal,
    HalfFloat,
    Uuid,
    Interval,
}

/// Rows whose columns stand together.
#[derive(Default)]
pub(super) struct RowGroup {
    pub(super) rows: u64,
    /// One for each leaf of the tree.
    pub(super) chunks: Vec<Chunk>,
}

/// The pages of a column in one group of rows.
#[derive(Clone, Copy, Default)]
pub(super) struct Chunk {
    /// Parquet's number of the compression.
    pub(super) codec: i64,
    pub(super) start: u64,
    /// Invariant: they end before the footer.
    pub(super) bytes: u64,
}

impl Footer {
    /// Reads the footer at the end of a file of this length.
    pub(super) fn read(file: &File, length: u64) -> Result<Self, String> {
        let too_short = "it is too short for a Parquet file";
        let tail_at = length.checked_sub(TAIL_BYTES).ok_or(too_short)?;
        let mut tail = [0; TAIL_BYTES as usize];
        let read = file.read_exact_at(&mut tail, tail_at);
        read.map_err(|error| error.to_string())?;
        let [a, b, c, d, magic @ ..] = tail;
        match &magic {
            MAGIC => {}
            b"PARE" => return Err("it is encrypted".into()),
            _ => return Err("this is no Parquet file, or its end is missing".into()),
        }
        let bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
        if bytes > PARQUET_FOOTER_BYTES_MAX {
            let limit = PARQUET_FOOTER_BYTES_MAX >> 20;
            return Err(format!("its footer has {bytes} bytes, more than {limit} MiB"));
        }
        let start = tail_at.checked_sub(bytes).filter(|start| *start >= MAGIC.len() as u64);
        let start = start.ok_or("its footer is longer than the file")?;
        let mut footer = vec![0; bytes as usize];
        let read = file.read_exact_at(&mut footer, start);
        read.map_err(|error| error.to_string())?;
        Self::parse(&footer, start).map_err(|what| format!("its footer is damaged: {what}"))
    }

    /// Reads the struct `FileMetaData`. Chunks end at `end` at the latest.
    fn parse(bytes: &[u8], end: u64) -> Result<Self, String> {
        let mut reader = ThriftReader::new(bytes);
        let mut footer = Self {
            nodes: Vec::new(),
            groups: Vec::new(),
            texts: Vec::new(),
        };
        let mut rows = 0;
        reader.fields(|reader, number, kind| {
            match number {
                2 => reader.items(kind, |reader, kind| {
                    footer.nodes.push(node(reader, kind)?);
                    Ok(())
                })?,
                3 => rows = reader.count(kind)?,
                4 => reader.items(kind, |reader, kind| {
                    footer.groups.push(group(reader, kind)?);
                    Ok(())
                })?,
                5 => reader.items(kind, |reader, kind| {
                    footer.texts.push(text(reader, kind)?);
                    Ok(())
                })?,
                8 => return Err("columns are encrypted".into()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let leaves = footer.nodes.iter().filter(|node| node.physical.is_some()).count();
        let mut sum = 0u64;
        for group in &footer.groups {
            sum = sum.checked_add(group.rows).ok_or("there are too many rows")?;
            if group.chunks.len() != leaves {
                let count = group.chunks.len();
                return Err(format!("{count} of {leaves} columns are in a group of rows"));
            }
            let is_within =
                |chunk: &Chunk| matches!(chunk.start.checked_add(chunk.bytes), Some(chunk_end) if chunk_end <= end);
            if !group.chunks.iter().all(is_within) {
                return Err("a column is said to be behind the end of the file".into());
            }
        }
        match sum == rows {
            true => Ok(footer),
            false => Err(format!("{sum} rows are in groups and {rows} in all")),
        }
    }
}

fn is_struct(kind: Kind) -> Result<(), String> {
    match kind {
        STRUCT => Ok(()),
        _ => Err(format!("a list has items of the type {kind} and not structs")),
    }
}

fn string(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<String, String> {
    let bytes = reader.binary(kind)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Reads the struct `KeyValue`.
fn text(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<(String, String), String> {
    is_struct(kind)?;
    let (mut name, mut value) = Default::default();
    reader.fields(|reader, number, kind| {
        match number {
            1 => name = string(reader, kind)?,
            2 => value = string(reader, kind)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((name, value))
}

/// Reads the struct `SchemaElement`.
fn node(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<Node, String> {
    is_struct(kind)?;
    let mut node = Node::default();
    reader.fields(|reader, number, kind| {
        match number {
            1 => node.physical = Some(Physical::from_number(reader.integer(kind)?)?),
            2 => {
                // Writers give one to other types too, even a negative one.
                node.length = usize::try_from(reader.integer(kind)?).unwrap_or(0);
            }
            3 => {
                node.repetition = match reader.integer(kind)? {
                    0 => Repetition::Required,
                    1 => Repetition::Optional,
                    2 => Repetition::Repeated,
                    other => return Err(format!("a column has the unknown repetition {other}")),
                }
            }
            4 => node.name = string(reader, kind)?,
            5 => node.children = reader.count(kind)?,
            6 => {
                let meaning = Meaning::from_converted(reader.integer(kind)?);
                if node.meaning == Meaning::Plain {
                    node.meaning = meaning;
                }
            }
            // It tells more than the older field 6.
            10 => node.meaning = logical(reader, kind)?.unwrap_or(node.meaning),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    // Some writers say of a column that it has no children.
    match (node.physical, node.children) {
        (Some(_), 1..) => Err("a column has both values and children".into()),
        (Some(Physical::Fixed), _) if node.length == 0 => Err("values of a fixed length have none".into()),
        _ => Ok(node),
    }
}

/// Reads the union `LogicalType`; `None` if it means nothing here.
fn logical(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<Option<Meaning>, String> {
    is_struct(kind)?;
    let mut meaning = None;
    reader.fields(|reader, number, kind| {
        meaning = match number {
            1 | 4 => Some(Meaning::Text),
            5 => Some(Meaning::Decimal),
            12 => Some(Meaning::Json),
            14 => Some(Meaning::Uuid),
            15 => Some(Meaning::HalfFloat),
            10 => {
                is_struct(kind)?;
                let mut is_signed = true;
                reader.fields(|_, number, kind| match number {
                    2 => {
                        is_signed = ThriftReader::boolean(kind)?;
                        Ok(true)
                    }
                    _ => Ok(false),
                })?;
                meaning = (!is_signed).then_some(Meaning::Unsigned);
                return Ok(true);
            }
            _ => None,
        };
        Ok(false)
    })?;
    Ok(meaning)
}

/// Reads the struct `RowGroup`.
fn group(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<RowGroup, String> {
    is_struct(kind)?;
    let mut group = RowGroup::default();
    reader.fields(|reader, number, kind| {
        match number {
            1 => reader.items(kind, |reader, kind| {
                group.chunks.push(chunk(reader, kind)?);
                Ok(())
            })?,
            3 => group.rows = reader.count(kind)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(group)
}

/// Reads the struct `ColumnChunk`.
fn chunk(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<Chunk, String> {
    is_struct(kind)?;
    let mut found = None;
    reader.fields(|reader, number, kind| {
        match number {
            1 => return Err("its columns are in other files".into()),
            3 => found = Some(chunk_metadata(reader, kind)?),
            8 => return Err("columns are encrypted".into()),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    found.ok_or_else(|| "nothing is said of a column".into())
}

/// Reads the struct `ColumnMetaData`.
fn chunk_metadata(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<Chunk, String> {
    is_struct(kind)?;
    let mut chunk = Chunk::default();
    let (mut data, mut dictionary) = (None, None);
    reader.fields(|reader, number, kind| {
        match number {
            4 => chunk.codec = reader.integer(kind)?,
            7 => chunk.bytes = reader.count(kind)?,
            9 => data = Some(reader.count(kind)?),
            11 => dictionary = Some(reader.count(kind)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let data = data.ok_or("the place of a column is missing")?;
    // Some writers say 0 where there is no dictionary.
    let dictionary = dictionary.filter(|start| *start > 0);
    chunk.start = dictionary.map_or(data, |start| start.min(data));
    Ok(chunk)
}

impl Physical {
    fn from_number(number: i64) -> Result<Self, String> {
        Ok(match number {
            0 => Self::Boolean,
            1 => Self::Int32,
            2 => Self::Int64,
            3 => Self::Int96,
            4 => Self::Float,
            5 => Self::Double,
            6 => Self::Bytes,
            7 => Self::Fixed,
            _ => return Err(format!("a column has the unknown type {number}")),
        })
    }

    /// Bytes of a value; `None` for those with a length of their own, and for those of a bit.
    pub(super) fn width(self, fixed: usize) -> Option<usize> {
        match self {
            Self::Boolean | Self::Bytes => None,
            Self::Int32 | Self::Float => Some(4),
            Self::Int64 | Self::Double => Some(8),
            Self::Int96 => Some(12),
            Self::Fixed => Some(fixed),
        }
    }
}

impl Meaning {
    /// From the enumeration `ConvertedType`.
    fn from_converted(number: i64) -> Self {
        match number {
            0 | 4 => Self::Text,
            5 => Self::Decimal,
            11..=14 => Self::Unsigned,
            19 => Self::Json,
            21 => Self::Interval,
            _ => Self::Plain,
        }
    }
}

/// What a file begins and ends with.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";

/// The length of the footer and [`MAGIC`].
const TAIL_BYTES: u64 = 8;
