//! Files: which format one has, reading it, writing it.

mod json_line;
mod json_lines;
mod labels;
mod lines;
mod npy;
mod numbers;
mod parquet;
mod vecs;
mod vector_text;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::TransferError;
use crate::row::Row;
use crate::source::{Position, RowSource};

/// A format of files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// One JSON object for each key: everything travels.
    JsonLines,
    /// NumPy's array of two dimensions, keys and attributes in a file beside it.
    Npy,
    /// The little-endian vectors of the TEXMEX data sets, 32-bit floats.
    Fvecs,
    /// The same with bytes.
    Bvecs,
    /// Apache Parquet: columns with keys, vectors and attributes.
    Parquet,
    /// A word and its components on each line: GloVe, and word2vec with its first line.
    VectorText,
}

impl Format {
    /// Whether its rows are lines, which a message names.
    pub(crate) fn has_lines(self) -> bool {
        matches!(self, Self::JsonLines | Self::VectorText)
    }

    /// Whether its length is counted in bytes, and not in rows.
    pub(crate) fn has_bytes(self) -> bool {
        !matches!(self, Self::Npy | Self::Parquet)
    }

    /// Whether whole keys can be in it, so that no collection need be named.
    pub(crate) fn has_keys(self) -> bool {
        matches!(self, Self::JsonLines | Self::Parquet)
    }

    /// The format that the ending of a file's name says.
    pub fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        match ending.to_ascii_lowercase().as_str() {
            "txt" | "vec" => Some(Self::VectorText),
            "pq" => Some(Self::Parquet),
            ending => ending.parse().ok(),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            "npy" => Ok(Self::Npy),
            "parquet" => Ok(Self::Parquet),
            "fvecs" => Ok(Self::Fvecs),
            "bvecs" => Ok(Self::Bvecs),
            "text" => Ok(Self::VectorText),
            _ => Err(format!(
                "`{text}` is no format: jsonl, npy, parquet, fvecs, bvecs or text"
            )),
        }
    }
}

/// A file to read, and what its rows become.
#[derive(Clone, Debug)]
pub(crate) struct FileToRead {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) naming: Naming,
    /// The file with the keys of the rows.
    pub(crate) keys: Option<PathBuf>,
    /// Which members of a JSON object, or columns, that this crate has no use for become attributes.
    pub(crate) attributes: AttributeChoice,
    pub(crate) members: MemberNames,
}

/// What a file of JSON Lines, or of columns, calls what this crate needs.
#[derive(Clone, Debug)]
pub(crate) struct MemberNames {
    pub(crate) id: String,
    pub(crate) vector: String,
}

impl Default for MemberNames {
    fn default() -> Self {
        Self {
            id: "id".to_owned(),
            vector: "vector".to_owned(),
        }
    }
}

impl FileToRead {
    /// Opens it and goes to a place in it.
    pub(crate) fn open(&self, from: Position) -> Result<Box<dyn RowSource>, TransferError> {
        if self.keys.is_some() && !matches!(self.format, Format::Npy | Format::Fvecs | Format::Bvecs) {
            let text = "the keys are in the file itself: a file of keys is for npy, fvecs and bvecs";
            return Err(TransferError::Options(text.into()));
        }
        Ok(match self.format {
            Format::JsonLines => Box::new(json_lines::JsonLines::open(self, from)?),
            Format::Npy => Box::new(npy::NpyRows::open(self, from)?),
            Format::Fvecs | Format::Bvecs => Box::new(vecs::VecsRows::open(self, from)?),
            Format::Parquet => Box::new(parquet::ParquetRows::open(self, from)?),
            Format::VectorText => Box::new(vector_text::VectorText::open(self, from)?),
        })
    }
}

/// Which of the other members of a JSON object, or of the other columns, become a vector's attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum AttributeChoice {
    /// None; a line with one is bad, and a file with such a column is refused, so that nothing is lost unnoticed.
    #[default]
    Refuse,
    /// None; they are passed over.
    None,
    All,
    These(Vec<String>),
}

impl FromStr for AttributeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "all" => Self::All,
            "none" => Self::None,
            names => Self::These(names.split(',').map(str::to_owned).collect()),
        })
    }
}

/// How a vector's key is made from the name that it has in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    /// The collection of all vectors of the file.
    pub(crate) collection: Option<String>,
    /// What stands in the place of a `:` in a name, which would end the collection's name.
    pub(crate) colon: Option<String>,
}

impl Naming {
    /// The key of the vector that the file calls `element`.
    ///
    /// # Errors
    /// Why it has none.
    pub(crate) fn key(&self, element: &[u8]) -> Result<Vec<u8>, String> {
        let collection = self
            .collection
            .as_deref()
            .ok_or("no collection: --collection names it")?;
        let mut key = collection.as_bytes().to_vec();
        key.push(b':');
        match &self.colon {
            _ if element.is_empty() => return Err("the name is empty".into()),
            Some(colon) => element.iter().for_each(|byte| match byte {
                b':' => key.extend_from_slice(colon.as_bytes()),
                byte => key.push(*byte),
            }),
            None if element.contains(&b':') => {
                let name = crate::row::shown(element);
                return Err(format!(
                    "the name `{name}` has a colon; --colon says what stands for it"
                ));
            }
            None => key.extend_from_slice(element),
        }
        Ok(key)
    }
}

/// A file that rows are written to.
pub(crate) trait RowSink {
    /// Writes a row.
    ///
    /// # Errors
    /// Why the format can't hold it, in [`Unwritten::Row`], or what the disk said.
    fn write(&mut self, row: &Row) -> Result<(), Unwritten>;

    /// Writes what is buffered, and tells how long the files are.
    fn lengths(&mut self) -> Result<Vec<u64>, TransferError>;

    /// Completes the file.
    fn finish(&mut self) -> Result<(), TransferError>;
}

/// What an export says that would have to go on with a file whose end tells of all that is before.
pub(crate) const NOT_RESUMED: &str = "an export to parquet begins anew each time: --progress is for jsonl and npy";

/// Why a row was not written.
pub(crate) enum Unwritten {
    /// The format can't hold it.
    Row(String),
    /// Nothing can be written.
    Stop(TransferError),
}

impl From<TransferError> for Unwritten {
    fn from(error: TransferError) -> Self {
        Self::Stop(error)
    }
}

/// Creates a file, or cuts one that an export began and goes on behind it.
pub(crate) fn create(path: &Path, format: Format, lengths: Option<&[u64]>) -> Result<Box<dyn RowSink>, TransferError> {
    match format {
        Format::JsonLines => Ok(Box::new(json_lines::JsonLinesWriter::create(path, lengths)?)),
        Format::Npy => Ok(Box::new(npy::NpyWriter::create(path, lengths)?)),
        Format::Parquet if lengths.is_some() => Err(TransferError::Options(NOT_RESUMED.into())),
        Format::Parquet => Ok(Box::new(parquet::ParquetWriter::create(path)?)),
        Format::Fvecs | Format::Bvecs | Format::VectorText => {
            let text = "this format has no room for deadlines and attributes; export writes jsonl, npy and parquet";
            Err(TransferError::Options(text.into()))
        }
    }
}

#[cfg(test)]
mod tests;
