//! The pages of a column in one group of rows: their headers, read and decompressed one at a time.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::limits::PARQUET_PAGE_BYTES_MAX;

use super::footer::Chunk;
use super::thrift::{Kind, ThriftReader};

/// The pages of a chunk that were not read yet.
pub(super) struct Pages {
    file: Arc<File>,
    codec: Codec,
    at: u64,
    end: u64,
    /// For the next header.
    head: Vec<u8>,
}

/// A page as it was before its compression.
pub(super) enum Page {
    Dictionary { values: u32, encoding: i64, bytes: Vec<u8> },
    Data(DataPage),
}

/// A page with values.
pub(super) struct DataPage {
    /// Values, nulls among them.
    pub(super) values: u32,
    pub(super) encoding: i64,
    pub(super) bytes: Vec<u8>,
    pub(super) levels: LevelPlace,
}

/// Where the levels of a page stand.
#[derive(Clone, Copy)]
pub(super) enum LevelPlace {
    /// Each behind a length of 32 bits, those of repetition first.
    Prefixed,
    /// These lengths, those of repetition first.
    Lengths { repetition: usize, definition: usize },
}

#[derive(Clone, Copy, Debug)]
enum Codec {
    None,
    Snappy,
    Gzip,
    Zstd,
}

impl Pages {
    pub(super) fn open(file: &Arc<File>, chunk: Chunk) -> Result<Self, String> {
        Ok(Self {
            file: Arc::clone(file),
            codec: Codec::from_number(chunk.codec)?,
            at: chunk.start,
            end: chunk.start + chunk.bytes,
            head: Vec::new(),
        })
    }

    /// The next page, or `None` behind the last.
    pub(super) fn next_page(&mut self) -> Result<Option<Page>, String> {
        while self.at < self.end {
            let header = self.next_header()?;
            let (packed, whole) = (header.packed, header.whole);
            if packed > self.end - self.at {
                return Err("a page is longer than its column".into());
            }
            if packed.max(whole) > PARQUET_PAGE_BYTES_MAX {
                let limit = PARQUET_PAGE_BYTES_MAX >> 20;
                return Err(format!("a page is larger than {limit} MiB"));
            }
            let at = self.at;
            self.at += packed;
            if header.kind == INDEX_PAGE {
                continue;
            }
            let mut bytes = vec![0; packed as usize];
            let read = self.file.read_exact_at(&mut bytes, at);
            read.map_err(|error| error.to_string())?;
            if header.crc.is_some_and(|crc| crc != crc32fast::hash(&bytes)) {
                return Err("a page is damaged: its checksum is another".into());
            }
            return self.page(header, bytes).map(Some);
        }
        Ok(None)
    }

    fn next_header(&mut self) -> Result<Header, String> {
        let length = (self.end - self.at).min(HEADER_BYTES_MAX);
        self.head.resize(length as usize, 0);
        let read = self.file.read_exact_at(&mut self.head, self.at);
        read.map_err(|error| error.to_string())?;
        let mut reader = ThriftReader::new(&self.head);
        let header = Header::read(&mut reader).map_err(|what| format!("the header of a page is damaged: {what}"))?;
        self.at += reader.position() as u64;
        Ok(header)
    }

    fn page(&self, header: Header, bytes: Vec<u8>) -> Result<Page, String> {
        let whole = header.whole as usize;
        match header.kind {
            DICTIONARY_PAGE => Ok(Page::Dictionary {
                values: header.values,
                encoding: header.encoding,
                bytes: self.codec.unpack(bytes, 0, whole)?,
            }),
            DATA_PAGE if header.levels_are_packed => {
                Err("its levels are in the deprecated form BIT_PACKED; write it anew with a newer writer".into())
            }
            DATA_PAGE => Ok(Page::Data(DataPage {
                values: header.values,
                encoding: header.encoding,
                bytes: self.codec.unpack(bytes, 0, whole)?,
                levels: LevelPlace::Prefixed,
            })),
            DATA_PAGE_V2 => {
                let (repetition, definition) = (header.repetition, header.definition);
                let levels = repetition.checked_add(definition).filter(|levels| *levels <= whole);
                let levels = levels.ok_or("the levels of a page are longer than the page")?;
                let codec = if header.is_packed { self.codec } else { Codec::None };
                Ok(Page::Data(DataPage {
                    values: header.values,
                    encoding: header.encoding,
                    bytes: codec.unpack(bytes, levels, whole)?,
                    levels: LevelPlace::Lengths { repetition, definition },
                }))
            }
            kind => Err(format!("a page has the unknown type {kind}")),
        }
    }
}

/// The struct `PageHeader` with the one that it holds.
struct Header {
    kind: i64,
    /// Bytes in the file.
    packed: u64,
    /// Bytes after decompression, levels included.
    whole: u64,
    /// Of the bytes in the file, if the writer counted one.
    crc: Option<u32>,
    values: u32,
    encoding: i64,
    levels_are_packed: bool,
    /// Bytes of levels that stand before what is compressed.
    repetition: usize,
    definition: usize,
    /// Whether the values of a page of version 2 are compressed.
    is_packed: bool,
}

impl Header {
    fn read(reader: &mut ThriftReader<'_>) -> Result<Self, String> {
        let mut header = Self {
            kind: -1,
            packed: 0,
            whole: 0,
            crc: None,
            values: 0,
            encoding: -1,
            levels_are_packed: false,
            repetition: 0,
            definition: 0,
            is_packed: true,
        };
        reader.fields(|reader, number, kind| {
            match number {
                1 => header.kind = reader.integer(kind)?,
                2 => header.whole = reader.count(kind)?,
                3 => header.packed = reader.count(kind)?,
                4 => header.crc = Some(reader.integer(kind)? as u32),
                5 | 7 => reader.fields(|reader, number, kind| header.take_values(reader, number, kind))?,
                8 => reader.fields(|reader, number, kind| header.take_version_2(reader, number, kind))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(header)
    }

    /// A field of `DataPageHeader` or `DictionaryPageHeader`.
    fn take_values(&mut self, reader: &mut ThriftReader<'_>, number: i64, kind: Kind) -> Result<bool, String> {
        match number {
            1 => self.values = values(reader, kind)?,
            2 => self.encoding = reader.integer(kind)?,
            // A dictionary's field 3 is a boolean: whether it is sorted.
            3 | 4 if ThriftReader::boolean(kind).is_err() => {
                self.levels_are_packed |= reader.integer(kind)? == BIT_PACKED;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A field of `DataPageHeaderV2`.
    fn take_version_2(&mut self, reader: &mut ThriftReader<'_>, number: i64, kind: Kind) -> Result<bool, String> {
        let bytes = |length: u64| usize::try_from(length).map_err(|_| "levels are too long".to_owned());
        match number {
            1 => self.values = values(reader, kind)?,
            4 => self.encoding = reader.integer(kind)?,
            5 => self.definition = bytes(reader.count(kind)?)?,
            6 => self.repetition = bytes(reader.count(kind)?)?,
            7 => self.is_packed = ThriftReader::boolean(kind)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn values(reader: &mut ThriftReader<'_>, kind: Kind) -> Result<u32, String> {
    let count = reader.count(kind)?;
    u32::try_from(count).map_err(|_| format!("{count} values are too many for a page"))
}

impl Codec {
    /// From the enumeration `CompressionCodec`.
    fn from_number(number: i64) -> Result<Self, String> {
        let name = match number {
            0 => return Ok(Self::None),
            1 => return Ok(Self::Snappy),
            2 => return Ok(Self::Gzip),
            6 => return Ok(Self::Zstd),
            3 => "LZO",
            4 => "BROTLI",
            5 => "LZ4",
            7 => "LZ4_RAW",
            _ => return Err(format!("it has the unknown compression {number}")),
        };
        Err(format!(
            "its compression is {name}; snappy, zstd, gzip and none can be read"
        ))
    }

    /// A page of `whole` bytes, of which the first `plain` are not compressed.
    fn unpack(self, packed: Vec<u8>, plain: usize, whole: usize) -> Result<Vec<u8>, String> {
        let (start, rest) = packed
            .split_at_checked(plain)
            .ok_or("the levels of a page are cut short")?;
        let length = whole - plain;
        let mut bytes = match self {
            Self::None if packed.len() == whole => return Ok(packed),
            Self::None => return Err(wrong_length(packed.len(), whole)),
            // A page that has nothing but nulls may have no bytes at all.
            _ if length == 0 => return Ok(start.to_vec()),
            Self::Snappy => {
                let told = snap::raw::decompress_len(rest).map_err(damaged)?;
                if told != length || length / SNAPPY_RATIO_MAX > rest.len() {
                    return Err(wrong_length(told, length));
                }
                let mut bytes = vec![0; whole];
                bytes[..plain].copy_from_slice(start);
                let unpacked = snap::raw::Decoder::new().decompress(rest, &mut bytes[plain..]);
                unpacked.map_err(damaged)?;
                return Ok(bytes);
            }
            Self::Gzip => unpack_stream(flate2::read::MultiGzDecoder::new(rest), start, length)?,
            Self::Zstd => {
                let stream = ruzstd::decoding::StreamingDecoder::new(rest).map_err(damaged)?;
                unpack_stream(stream, start, length)?
            }
        };
        match bytes.len() == whole {
            true => {
                bytes.shrink_to_fit();
                Ok(bytes)
            }
            false => Err(wrong_length(bytes.len(), whole)),
        }
    }
}

/// What stands before, and at most one byte more than the length that is expected.
fn unpack_stream(stream: impl Read, start: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = start.to_vec();
    stream
        .take(length as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    Ok(bytes)
}

fn damaged(error: impl std::fmt::Display) -> String {
    format!("a page can't be decompressed: {error}")
}

fn wrong_length(found: usize, expected: usize) -> String {
    format!("a page has {found} bytes and should have {expected}")
}

/// The header of a page at most: it has the least and the greatest value, which writers cut.
const HEADER_BYTES_MAX: u64 = 64 << 10;

/// What Snappy can save at most: a copy of 64 bytes takes three.
const SNAPPY_RATIO_MAX: usize = 64;

// The enumeration `PageType`.
const DATA_PAGE: i64 = 0;
const INDEX_PAGE: i64 = 1;
const DICTIONARY_PAGE: i64 = 2;
const DATA_PAGE_V2: i64 = 3;

/// Of the enumeration `Encoding`: levels without runs.
const BIT_PACKED: i64 = 4;
