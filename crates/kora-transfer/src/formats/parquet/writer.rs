//! Writes the vectors of one collection as a Parquet file.
//!
//! | column | type |
//! |---|---|
//! | `key` | text |
//! | `vector` | list of 32-bit floats |
//! | `attributes` | text or null |
//! | `expires_at_ms` | 64-bit integer or null |
//!
//! Values are written as they are (`PLAIN`); all but vectors, which do not get smaller by it, are compressed by Snappy.

use std::path::Path;

use crate::commands::blob;
use crate::error::TransferError;
use crate::formats::lines::Output;
use crate::formats::{RowSink, Unwritten, json_line};
use crate::row::{Content, Row};

use super::COLLECTION_TEXT;
use super::footer::MAGIC;
use super::hybrid::write_run;
use super::thrift::{BINARY, I32, STRUCT, ThriftWriter};

/// Writes a file.
pub(in crate::formats) struct ParquetWriter {
    output: Output,
    key: ChunkWriter,
    vector: ChunkWriter,
    attributes: ChunkWriter,
    expires_at_ms: ChunkWriter,
    /// Rows of the group that is not written yet.
    group_rows: i64,
    groups: Vec<GroupWritten>,
    rows: i64,
    /// The collection's parameters as a line of JSON.
    collection: Option<String>,
    /// How large pages and groups become.
    pub(super) page_bytes: usize,
    pub(super) group_bytes: usize,
}

/// A column of the group of rows that is not written yet.
struct ChunkWriter {
    form: Form,
    /// Pages that are complete.
    pages: Vec<u8>,
    /// Their length without compression.
    whole_bytes: i64,
    /// Levels in them.
    levels: i64,
    page: PageWriter,
}

/// The page that is filled.
#[derive(Default)]
struct PageWriter {
    values: Vec<u8>,
    repetition: Vec<u8>,
    definition: Vec<u8>,
    /// The definition level of the last levels, and how many they are.
    run: (u8, u64),
    levels: i32,
}

/// What the schema says of a column.
#[derive(Clone, Copy)]
struct Form {
    path: &'static [&'static str],
    /// Number of the enumeration `Type`.
    physical: i32,
    has_definition: bool,
    is_list: bool,
    is_compressed: bool,
}

/// What the footer says of a group.
struct GroupWritten {
    rows: i64,
    chunks: Vec<ChunkWritten>,
}

struct ChunkWritten {
    form: Form,
    start: i64,
    bytes: i64,
    whole_bytes: i64,
    levels: i64,
}

impl ParquetWriter {
    pub(in crate::formats) fn create(path: &Path) -> Result<Self, TransferError> {
        let mut output = Output::create(path, None)?;
        output.write(MAGIC)?;
        let form = |path, physical| Form {
            path,
            physical,
            has_definition: true,
            is_list: false,
            is_compressed: true,
        };
        let key = Form {
            has_definition: false,
            ..form(&["key"], BYTE_ARRAY)
        };
        let vector = Form {
            is_list: true,
            is_compressed: false,
            ..form(&["vector", "list", "element"], FLOAT)
        };
        Ok(Self {
            output,
            key: ChunkWriter::new(key),
            vector: ChunkWriter::new(vector),
            attributes: ChunkWriter::new(form(&["attributes"], BYTE_ARRAY)),
            expires_at_ms: ChunkWriter::new(form(&["expires_at_ms"], INT64)),
            group_rows: 0,
            groups: Vec::new(),
            rows: 0,
            collection: None,
            page_bytes: PAGE_BYTES,
            group_bytes: GROUP_BYTES,
        })
    }

    fn chunks(&mut self) -> [&mut ChunkWriter; 4] {
        [
            &mut self.key,
            &mut self.vector,
            &mut self.attributes,
            &mut self.expires_at_ms,
        ]
    }

    /// Completes pages and groups that are large enough.
    fn step(&mut self) -> Result<(), TransferError> {
        self.group_rows += 1;
        self.rows += 1;
        let page_bytes = self.page_bytes;
        let mut bytes = 0;
        for chunk in self.chunks() {
            if chunk.page.values.len() >= page_bytes {
                chunk.end_page();
            }
            bytes += chunk.pages.len() + chunk.page.values.len();
        }
        match bytes >= self.group_bytes {
            true => self.end_group(),
            false => Ok(()),
        }
    }

    fn end_group(&mut self) -> Result<(), TransferError> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut written = Vec::new();
        let mut start = self.output.length() as i64;
        let mut parts = Vec::new();
        for chunk in self.chunks() {
            let (told, pages) = chunk.end(start);
            start += told.bytes;
            written.push(told);
            parts.push(pages);
        }
        parts.iter().try_for_each(|pages| self.output.write(pages))?;
        self.groups.push(GroupWritten {
            rows: std::mem::take(&mut self.group_rows),
            chunks: written,
        });
        Ok(())
    }

    /// The struct `FileMetaData`.
    fn footer(&self) -> Vec<u8> {
        let mut out = ThriftWriter::default();
        out.begin();
        out.i32(1, FORMAT_VERSION);
        write_schema(&mut out);
        out.i64(3, self.rows);
        out.list(4, STRUCT, self.groups.len());
        self.groups.iter().for_each(|group| group.write(&mut out));
        if let Some(text) = &self.collection {
            out.list(5, STRUCT, 1);
            out.begin();
            out.text(1, COLLECTION_TEXT);
            out.text(2, text);
            out.end();
        }
        out.text(6, concat!("kora version ", env!("CARGO_PKG_VERSION")));
        out.end();
        out.into_bytes()
    }
}

impl RowSink for ParquetWriter {
    fn write(&mut self, row: &Row) -> Result<(), Unwritten> {
        let refuse = |text: &str| Err(Unwritten::Row(text.into()));
        let vector = match &row.content {
            Content::Vector(vector) => vector,
            Content::Collection(_) => {
                let mut line = Vec::new();
                json_line::write_label(row, &mut line);
                let text = String::from_utf8_lossy(line.trim_ascii_end());
                self.collection = Some(text.into_owned());
                return Ok(());
            }
            Content::Element { .. } | Content::SetDeadline => {
                return refuse("parquet holds the vectors of collections; jsonl and npy hold vector sets too");
            }
            Content::String(_) | Content::Hash { .. } => return refuse("parquet holds vectors only"),
        };
        if std::str::from_utf8(&row.key).is_err() {
            return refuse("the key is not UTF-8, and parquet holds texts");
        }
        let attributes = vector.attributes.as_deref().filter(|text| !text.is_empty());
        if attributes.is_some_and(|text| std::str::from_utf8(text).is_err()) {
            return refuse("the attributes are not UTF-8, and parquet holds texts");
        }
        self.key.page.push(0, Some(&text_value(&row.key)));
        self.vector.page.push_list(&vector.components);
        let text = attributes.map(text_value);
        self.attributes.page.push(1, text.as_deref());
        let time = row.expires_at_ms.map(u64::to_le_bytes);
        self.expires_at_ms
            .page
            .push(1, time.as_ref().map(|bytes| bytes.as_slice()));
        Ok(self.step()?)
    }

    fn lengths(&mut self) -> Result<Vec<u64>, TransferError> {
        Err(TransferError::Options(crate::formats::NOT_RESUMED.into()))
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        self.end_group()?;
        let footer = self.footer();
        self.output.write(&footer)?;
        self.output.write(&(footer.len() as u32).to_le_bytes())?;
        self.output.write(MAGIC)?;
        self.output.finish()
    }
}

/// Bytes behind their length.
fn text_value(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::from((text.len() as u32).to_le_bytes());
    value.extend_from_slice(text);
    value
}

impl PageWriter {
    /// A value with its definition level, or null.
    fn push(&mut self, level: u8, value: Option<&[u8]>) {
        self.define(if value.is_some() { level } else { 0 }, 1);
        self.values.extend_from_slice(value.unwrap_or_default());
    }

    fn push_list(&mut self, components: &[f32]) {
        let count = components.len() as u64;
        write_run(0, 1, &mut self.repetition);
        if count > 1 {
            write_run(1, count - 1, &mut self.repetition);
        }
        match count {
            // An empty list has levels as well.
            0 => self.define(0, 1),
            _ => self.define(1, count),
        }
        self.values.extend_from_slice(&blob(components));
    }

    fn define(&mut self, level: u8, count: u64) {
        self.levels += count as i32;
        if self.run.0 != level {
            self.end_run();
        }
        self.run = (level, self.run.1 + count);
    }

    fn end_run(&mut self) {
        if self.run.1 > 0 {
            write_run(self.run.0, self.run.1, &mut self.definition);
        }
        self.run.1 = 0;
    }
}

impl ChunkWriter {
    fn new(form: Form) -> Self {
        Self {
            form,
            pages: Vec::new(),
            whole_bytes: 0,
            levels: 0,
            page: PageWriter::default(),
        }
    }

    fn end_page(&mut self) {
        let mut page = std::mem::take(&mut self.page);
        if page.levels == 0 {
            return;
        }
        page.end_run();
        let mut bytes = Vec::new();
        let levels = [
            (self.form.is_list, &page.repetition),
            (self.form.has_definition, &page.definition),
        ];
        for (_, levels) in levels.into_iter().filter(|(is_there, _)| *is_there) {
            bytes.extend((levels.len() as u32).to_le_bytes());
            bytes.extend_from_slice(levels);
        }
        bytes.append(&mut page.values);
        let whole = bytes.len();
        if self.form.is_compressed {
            // It fails for 4 GiB only, and beyond PAGE_BYTES a page has one value, which is no longer than a server's.
            bytes = snap::raw::Encoder::new().compress_vec(&bytes).unwrap_or_default();
        }
        let header = page_header(whole, &bytes, page.levels);
        self.levels += i64::from(page.levels);
        self.whole_bytes += (header.len() + whole) as i64;
        self.pages.extend(header);
        self.pages.append(&mut bytes);
    }

    /// Completes the column of a group that begins at `start` in the file: what the footer says of it, and its bytes.
    fn end(&mut self, start: i64) -> (ChunkWritten, Vec<u8>) {
        self.end_page();
        let pages = std::mem::take(&mut self.pages);
        let written = ChunkWritten {
            form: self.form,
            start,
            bytes: pages.len() as i64,
            whole_bytes: std::mem::take(&mut self.whole_bytes),
            levels: std::mem::take(&mut self.levels),
        };
        (written, pages)
    }
}

/// The struct `PageHeader` of a page of version 1.
fn page_header(whole: usize, packed: &[u8], levels: i32) -> Vec<u8> {
    let mut out = ThriftWriter::default();
    out.begin();
    out.i32(1, DATA_PAGE);
    out.i32(2, whole as i32);
    out.i32(3, packed.len() as i32);
    out.i32(4, crc32fast::hash(packed) as i32);
    out.field(5, STRUCT);
    out.begin();
    out.i32(1, levels);
    out.i32(2, PLAIN);
    out.i32(3, RLE);
    out.i32(4, RLE);
    out.end();
    out.end();
    out.into_bytes()
}

impl GroupWritten {
    /// The struct `RowGroup`.
    fn write(&self, out: &mut ThriftWriter) {
        out.begin();
        out.list(1, STRUCT, self.chunks.len());
        self.chunks.iter().for_each(|chunk| chunk.write(out));
        out.i64(2, self.chunks.iter().map(|chunk| chunk.whole_bytes).sum());
        out.i64(3, self.rows);
        out.end();
    }
}

impl ChunkWritten {
    /// The struct `ColumnChunk`.
    fn write(&self, out: &mut ThriftWriter) {
        out.begin();
        out.i64(2, self.start);
        out.field(3, STRUCT);
        out.begin();
        out.i32(1, self.form.physical);
        out.list(2, I32, 2);
        out.zigzag(i64::from(PLAIN));
        out.zigzag(i64::from(RLE));
        out.list(3, BINARY, self.form.path.len());
        self.form.path.iter().for_each(|name| out.binary(name.as_bytes()));
        out.i32(4, if self.form.is_compressed { SNAPPY } else { UNCOMPRESSED });
        out.i64(5, self.levels);
        out.i64(6, self.whole_bytes);
        out.i64(7, self.bytes);
        out.i64(9, self.start);
        out.end();
        out.end();
    }
}

/// The list of `SchemaElement`s.
fn write_schema(out: &mut ThriftWriter) {
    out.list(2, STRUCT, 7);
    let group = |out: &mut ThriftWriter, repetition, name, children, converted| {
        out.begin();
        if let Some(repetition) = repetition {
            out.i32(3, repetition);
        }
        out.text(4, name);
        out.i32(5, children);
        if let Some(converted) = converted {
            out.i32(6, converted);
        }
        out.end();
    };
    let value = |out: &mut ThriftWriter, physical, repetition, name, converted| {
        out.begin();
        out.i32(1, physical);
        out.i32(3, repetition);
        out.text(4, name);
        if let Some(converted) = converted {
            out.i32(6, converted);
        }
        out.end();
    };
    group(out, None, "schema", 4, None);
    value(out, BYTE_ARRAY, REQUIRED, "key", Some(UTF8));
    group(out, Some(REQUIRED), "vector", 1, Some(LIST_OF_VALUES));
    group(out, Some(REPEATED), "list", 1, None);
    value(out, FLOAT, REQUIRED, "element", None);
    value(out, BYTE_ARRAY, OPTIONAL, "attributes", Some(UTF8));
    value(out, INT64, OPTIONAL, "expires_at_ms", None);
}

/// How large a page becomes, as other writers have them.
const PAGE_BYTES: usize = 1 << 20;

/// How large a group of rows becomes: it is in memory until it is written.
const GROUP_BYTES: usize = 64 << 20;

/// Of the format, for pages of version 1.
const FORMAT_VERSION: i32 = 1;

// The enumerations `Type`, `FieldRepetitionType`, `ConvertedType`, `CompressionCodec`, `PageType` and `Encoding`.
const INT64: i32 = 2;
const FLOAT: i32 = 4;
const BYTE_ARRAY: i32 = 6;
const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;
const UTF8: i32 = 0;
const LIST_OF_VALUES: i32 = 3;
const UNCOMPRESSED: i32 = 0;
const SNAPPY: i32 = 1;
const DATA_PAGE: i32 = 0;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
