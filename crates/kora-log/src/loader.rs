//! The log's reading end: the snapshot, then the log from there on, everything checked.
//!
//! # Detached segments
//!
//! A segment is detached if it does not continue the one before: the log was off meanwhile, or a sync failed. Such a segment
//! counts only for a snapshot that begins with it. Met behind another one, it ends the log: it belongs to a snapshot that
//! was never finished. So does a last segment that holds nothing and does not begin where the one before ends: the disk
//! failed while it was made.

use std::fmt;
use std::io;

use crate::block::{Block, HEAD_BYTES, Head, MAGIC as BLOCK_MAGIC};
use crate::bytes::Malformed;
use crate::disk::{Disk, DiskFile, read_full};
use crate::limits::{READ_BYTES, SEGMENTS_MAX};
use crate::manifest::{self, Manifest};
use crate::segment::{HEADER_BYTES, SegmentHeader, segment_name, segment_number};
use crate::snapshot::{self, PIECE_HEAD_BYTES, PieceHead, PieceKind, SnapshotHeader, snapshot_name, snapshot_number};

/// Reads what a directory holds.
#[derive(Debug)]
pub struct Loader<D: Disk> {
    disk: D,
    manifest: Manifest,
    /// Numbers of the segments to be read, in order.
    segments: Vec<u64>,
    stage: LoadStage<D::File>,
    /// The stamp of the next frame.
    next_stamp: u64,
    tail: Option<Tail>,
    bytes_read: u64,
    bytes_total: u64,
    /// The bodies of other pieces than records are passed over.
    is_for_records: bool,
}

#[derive(Debug)]
enum LoadStage<F> {
    Snapshot(Open<F>, SnapshotHeader, u64),
    /// The place in `segments` of the next one.
    Between(usize),
    Segment(Open<F>, SegmentHeader, usize),
    Ended,
}

/// A file that is being read.
#[derive(Debug)]
struct Open<F> {
    name: String,
    file: F,
    length: u64,
    offset: u64,
}

/// What was read.
#[derive(Debug)]
pub enum Item {
    /// A piece of the snapshot. All of them come before the first block.
    Piece {
        /// The shard it is of.
        shard: u32,
        /// What it holds.
        kind: PieceKind,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// Frames of the log, in order.
    Block(Block),
    /// A piece that is not read: see [`Loader::open_for_records`].
    Passed,
}

/// An end of the log that is not whole, as a crash leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The file.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// What is wrong with it.
    pub what: String,
}

/// How a directory was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Which files count.
    pub manifest: Manifest,
    /// What was cut off the end.
    pub tail: Option<Tail>,
    /// The number of the next segment.
    pub next_segment: u64,
    /// The number of the next snapshot.
    pub next_snapshot: u64,
    /// The stamp of the next frame.
    pub next_stamp: u64,
}

/// Why a directory can't be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The disk refused.
    Io {
        /// The file.
        file: String,
        /// What the disk says.
        error: io::Error,
    },
    /// A file is not as it was written.
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

impl LoadError {
    pub(crate) fn io(file: &str, error: io::Error) -> LoadError {
        LoadError::Io {
            file: file.to_owned(),
            error,
        }
    }

    pub(crate) fn damaged(file: &str, offset: u64, what: Malformed) -> LoadError {
        LoadError::Damaged {
            file: file.to_owned(),
            offset,
            what: what.to_string(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io { file, error } => write!(f, "{file}: {error}"),
            LoadError::Damaged { file, offset, what } => write!(f, "{file} is damaged at byte {offset}: {what}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl<D: Disk> Loader<D> {
    /// Looks at a directory with this manifest.
    ///
    /// # Errors
    /// If a file that counts is missing or has not its length.
    pub fn open(disk: D, manifest: Manifest) -> Result<Loader<D>, LoadError> {
        let names = disk.list().map_err(|error| LoadError::io(manifest::NAME, error))?;
        let mut segments: Vec<u64> = names
            .iter()
            .filter_map(|name| segment_number(name))
            .filter(|number| manifest.counts_segment(*number))
            .collect();
        segments.sort_unstable();
        let wanted = if manifest.is_open() {
            // An open log has its first segment before the manifest is published.
            manifest.first_segment.saturating_add(segments.len().max(1) as u64)
        } else {
            manifest.last_segment.saturating_add(1)
        };
        let whole = manifest.first_segment..wanted;
        if wanted - manifest.first_segment.min(wanted) > SEGMENTS_MAX {
            return Err(LoadError::damaged(
                manifest::NAME,
                0,
                Malformed("it names too many segments"),
            ));
        }
        if let Some(missing) = whole.clone().find(|number| segments.binary_search(number).is_err()) {
            let what = io::Error::new(io::ErrorKind::NotFound, "this part of the log is missing");
            return Err(LoadError::io(&segment_name(missing), what));
        }
        let mut bytes_total = manifest.snapshot_bytes;
        for number in &segments {
            let name = segment_name(*number);
            bytes_total += Open::new(&disk, name)?.length;
        }
        let stage = match manifest.snapshot {
            0 => LoadStage::Between(0),
            number => Loader::open_snapshot(&disk, &manifest, number)?,
        };
        Ok(Loader {
            next_stamp: manifest.first_stamp,
            disk,
            manifest,
            segments,
            stage,
            tail: None,
            bytes_read: 0,
            bytes_total,
            is_for_records: false,
        })
    }

    /// The same, to look what records the snapshot has: of other pieces nothing is read, and so nothing checked.
    ///
    /// # Errors
    /// As [`Loader::open`].
    pub fn open_for_records(disk: D, manifest: Manifest) -> Result<Loader<D>, LoadError> {
        let loader = Loader::open(disk, manifest)?;
        Ok(Loader {
            is_for_records: true,
            ..loader
        })
    }

    /// The next thing that was read; none at the end.
    ///
    /// # Errors
    /// If something is damaged. Then the directory is as it was.
    pub fn next_item(&mut self) -> Result<Option<Item>, LoadError> {
        loop {
            match std::mem::replace(&mut self.stage, LoadStage::Ended) {
                LoadStage::Snapshot(open, header, pieces) => {
                    if let Some(piece) = self.next_piece(open, header, pieces)? {
                        return Ok(Some(piece));
                    }
                }
                LoadStage::Between(place) => self.open_segment(place)?,
                LoadStage::Segment(open, header, place) => {
                    if let Some(block) = self.next_block(open, header, place)? {
                        return Ok(Some(Item::Block(block)));
                    }
                }
                LoadStage::Ended => return Ok(None),
            }
        }
    }

    /// Bytes that were read, and of how many.
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes_read, self.bytes_total)
    }

    /// Which file is being read, and where, for messages about what it says.
    pub fn position(&self) -> (String, u64) {
        match &self.stage {
            LoadStage::Snapshot(open, ..) | LoadStage::Segment(open, ..) => (open.name.clone(), open.offset),
            LoadStage::Between(place) => (segment_name(self.segments.get(*place).copied().unwrap_or(0)), 0),
            LoadStage::Ended => (manifest::NAME.to_owned(), 0),
        }
    }

    /// How the directory was found. To be asked at the end.
    ///
    /// # Errors
    /// As the disk says.
    pub fn loaded(&self) -> Result<Loaded, LoadError> {
        let names = self.disk.list().map_err(|error| LoadError::io(manifest::NAME, error))?;
        let snapshots = names.iter().filter_map(|name| snapshot_number(name));
        Ok(Loaded {
            manifest: self.manifest,
            tail: self.tail.clone(),
            // Later files do not count, and go when the log is settled.
            next_segment: self
                .segments
                .last()
                .map_or(self.manifest.first_segment, |last| last + 1),
            next_snapshot: snapshots.max().unwrap_or(0).max(self.manifest.snapshot) + 1,
            next_stamp: self.next_stamp,
        })
    }

    /// Cuts the tail off and removes what does not count, safely: from then on every reader finds the same.
    ///
    /// # Errors
    /// As the disk says.
    pub fn settle(&self, loaded: &Loaded) -> io::Result<()> {
        if let Some(tail) = &loaded.tail {
            let mut file = self.disk.open(&tail.file)?;
            file.truncate(tail.offset)?;
            file.sync()?;
        }
        for name in self.disk.list()? {
            let is_left = segment_number(&name).is_some_and(|number| !self.segments.contains(&number));
            if is_left {
                self.disk.remove(&name)?;
            }
        }
        self.manifest.remove_others(&self.disk)
    }

    fn open_snapshot(disk: &D, manifest: &Manifest, number: u64) -> Result<LoadStage<D::File>, LoadError> {
        let mut open = Open::new(disk, snapshot_name(number))?;
        if open.length != manifest.snapshot_bytes {
            return Err(open.damaged(Malformed("it has not the length that the manifest tells")));
        }
        let bytes = open.take(snapshot::HEADER_BYTES as u64)?;
        let header = SnapshotHeader::decode(&bytes).map_err(|what| open.damaged_at(0, what))?;
        if header.number != number || header.shards != manifest.shards {
            return Err(open.damaged_at(0, Malformed("it is not the snapshot that the manifest tells of")));
        }
        Ok(LoadStage::Snapshot(open, header, 0))
    }

    /// Reads a piece; none if that was the end.
    fn next_piece(
        &mut self,
        mut open: Open<D::File>,
        header: SnapshotHeader,
        pieces: u64,
    ) -> Result<Option<Item>, LoadError> {
        let start = open.offset;
        let bytes = open.take(PIECE_HEAD_BYTES as u64)?;
        let head = PieceHead::decode(&bytes).map_err(|what| open.damaged_at(start, what))?;
        let is_end = head.kind == PieceKind::End;
        if self.is_for_records && head.kind == PieceKind::Index && head.length <= open.length - open.offset {
            open.offset += head.length;
            self.stage = LoadStage::Snapshot(open, header, pieces + 1);
            return Ok(Some(Item::Passed));
        }
        let body = if is_end { Vec::new() } else { open.take(head.length)? };
        head.check(header.id, &bytes, &body)
            .map_err(|what| open.damaged_at(start, what))?;
        self.bytes_read += open.offset - start;
        if is_end {
            if head.length != pieces || open.offset != open.length {
                return Err(open.damaged_at(start, Malformed("the snapshot does not end where it says")));
            }
            self.stage = LoadStage::Between(0);
            return Ok(None);
        }
        if head.shard >= header.shards {
            return Err(open.damaged_at(start, Malformed("a piece of a shard that there is not")));
        }
        self.stage = LoadStage::Snapshot(open, header, pieces + 1);
        Ok(Some(Item::Piece {
            shard: head.shard,
            kind: head.kind,
            body,
        }))
    }

    fn open_segment(&mut self, place: usize) -> Result<(), LoadError> {
        let Some(&number) = self.segments.get(place) else {
            let last = self.segments.last().copied().unwrap_or(self.manifest.first_segment);
            return self.check_end(&segment_name(last));
        };
        let mut open = Open::new(&self.disk, segment_name(number))?;
        let bytes = open.take(HEADER_BYTES as u64)?;
        let header = SegmentHeader::decode(&bytes).map_err(|what| open.damaged_at(0, what))?;
        if header.number != number || header.shards != self.manifest.shards {
            return Err(open.damaged_at(0, Malformed("it is not the segment that belongs here")));
        }
        if header.is_detached && place > 0 {
            self.segments.truncate(place);
            return self.check_end(&segment_name(self.segments[place - 1]));
        }
        if header.first_stamp != self.next_stamp {
            if self.is_unused(place) {
                self.segments.truncate(place);
                return self.check_end(&segment_name(self.segments[place - 1]));
            }
            return Err(open.damaged_at(0, Malformed("it does not begin where the one before ends")));
        }
        self.bytes_read += HEADER_BYTES as u64;
        self.stage = LoadStage::Segment(open, header, place);
        Ok(())
    }

    /// Reads a block with frames; none at the end of the segment.
    fn next_block(
        &mut self,
        mut open: Open<D::File>,
        header: SegmentHeader,
        place: usize,
    ) -> Result<Option<Block>, LoadError> {
        if open.offset == open.length {
            self.stage = LoadStage::Between(place + 1);
            return Ok(None);
        }
        let start = open.offset;
        match open.take_block(header.id, self.next_stamp)? {
            Ok(block) => {
                self.bytes_read += open.offset - start;
                self.next_stamp = block.next_stamp();
                self.stage = LoadStage::Segment(open, header, place);
                Ok((block.head.frames > 0).then_some(block))
            }
            Err(what) => {
                self.end_at(&open, start, header, place, what)?;
                Ok(None)
            }
        }
    }

    /// The segment is not whole from here on: that is the tail of the log, or damage.
    fn end_at(
        &mut self,
        open: &Open<D::File>,
        start: u64,
        header: SegmentHeader,
        place: usize,
        what: Malformed,
    ) -> Result<(), LoadError> {
        let is_last = match self.segments.get(place + 1) {
            None => self.manifest.is_open(),
            Some(&next) => self.is_detached(next) || self.is_unused(place + 1),
        };
        if !is_last || open.was_safe(start, header.id, self.next_stamp)? {
            return Err(open.damaged_at(start, what));
        }
        self.segments.truncate(place + 1);
        self.bytes_read += open.length - start;
        self.tail = Some(Tail {
            file: open.name.clone(),
            offset: start,
            bytes: open.length - start,
            what: what.to_string(),
        });
        self.check_end(&open.name)
    }

    /// The log may end here only if it reaches as far as the snapshot needs.
    fn check_end(&self, name: &str) -> Result<(), LoadError> {
        if self.next_stamp <= self.manifest.until_stamp {
            let offset = self.tail.as_ref().map_or(0, |tail| tail.offset);
            let what = Malformed("the log ends before the snapshot does that it belongs to");
            return Err(LoadError::damaged(name, offset, what));
        }
        Ok(())
    }

    /// Whether this segment is the last and holds nothing: a crash came before it was used, or the disk failed while it was
    /// made, and the one before was gone on with.
    fn is_unused(&self, place: usize) -> bool {
        let is_last = place > 0 && place + 1 == self.segments.len();
        let opened = Open::new(&self.disk, segment_name(self.segments[place]));
        is_last && opened.is_ok_and(|open| open.length <= HEADER_BYTES as u64)
    }

    fn is_detached(&self, number: u64) -> bool {
        let header = Open::new(&self.disk, segment_name(number)).and_then(|mut open| open.take(HEADER_BYTES as u64));
        header.is_ok_and(|bytes| SegmentHeader::decode(&bytes).is_ok_and(|header| header.is_detached))
    }
}

impl<F: DiskFile> Open<F> {
    fn new<D: Disk<File = F>>(disk: &D, name: String) -> Result<Open<F>, LoadError> {
        let file = disk.open(&name).map_err(|error| LoadError::io(&name, error))?;
        let length = file.length().map_err(|error| LoadError::io(&name, error))?;
        Ok(Open {
            name,
            file,
            length,
            offset: 0,
        })
    }

    /// Takes so many bytes from where it is.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, LoadError> {
        if length > self.length - self.offset {
            return Err(self.damaged(Malformed("the file ends too soon")));
        }
        let bytes = self.read(self.offset, length)?;
        self.offset += length;
        Ok(bytes)
    }

    /// Reads bytes that the file's length promises.
    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, LoadError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let count = read_full(&self.file, offset, &mut bytes).map_err(|error| LoadError::io(&self.name, error))?;
        if count < bytes.len() {
            return Err(self.damaged_at(offset, Malformed("the file ends too soon")));
        }
        Ok(bytes)
    }

    /// Takes a block whose first frame has this stamp, or says what is wrong with it.
    fn take_block(&mut self, id: u64, next_stamp: u64) -> Result<Result<Block, Malformed>, LoadError> {
        let left = self.length - self.offset;
        if left < HEAD_BYTES as u64 {
            return Ok(Err(Malformed("the head of a block is not whole")));
        }
        let head_bytes = self.read(self.offset, HEAD_BYTES as u64)?;
        let Some(head) = Head::read(&head_bytes) else {
            return Ok(Err(Malformed("no block begins here")));
        };
        if head.length > left - HEAD_BYTES as u64 {
            return Ok(Err(Malformed("a block is not whole")));
        }
        let frames = self.read(self.offset + HEAD_BYTES as u64, head.length)?;
        Ok(match Block::check(id, &head_bytes, frames) {
            Ok(block) if block.head.first_stamp != next_stamp => Err(Malformed("a block is missing before this one")),
            Ok(block) => {
                self.offset += HEAD_BYTES as u64 + head.length;
                Ok(block)
            }
            Err(what) => Err(what),
        })
    }

    /// Whether a whole block behind this place says that the frame with this stamp was safe when it was written.
    fn was_safe(&self, start: u64, id: u64, stamp: u64) -> Result<bool, LoadError> {
        // What is checked for it is bounded: bytes that look like heads again and again are no tail that a crash leaves.
        let mut budget = (self.length - start).saturating_mul(CHECKED_TIMES_MAX);
        let mut window_start = start + 1;
        while window_start < self.length {
            let length = (self.length - window_start).min(READ_BYTES as u64);
            let window = self.read(window_start, length)?;
            for place in heads_in(&window) {
                let at = window_start + place as u64;
                let Some(head) = self.head_at(at)? else { continue };
                if head.durable < stamp {
                    continue;
                }
                let whole = HEAD_BYTES as u64 + head.length;
                if whole > budget {
                    return Ok(true);
                }
                budget -= whole;
                let head_bytes = self.read(at, HEAD_BYTES as u64)?;
                let frames = self.read(at + HEAD_BYTES as u64, head.length)?;
                if Block::check(id, &head_bytes, frames).is_ok() {
                    return Ok(true);
                }
            }
            // Windows overlap, so that no head is cut in two.
            if window_start + length == self.length {
                break;
            }
            window_start += length - (BLOCK_MAGIC.len() as u64 - 1);
        }
        Ok(false)
    }

    /// The head at a place, if a block that it describes fits behind it.
    fn head_at(&self, at: u64) -> Result<Option<Head>, LoadError> {
        let left = self.length - at;
        if left < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let head = Head::read(&self.read(at, HEAD_BYTES as u64)?);
        Ok(head.filter(|head| head.length <= left - HEAD_BYTES as u64))
    }

    fn damaged(&self, what: Malformed) -> LoadError {
        self.damaged_at(self.offset, what)
    }

    fn damaged_at(&self, offset: u64, what: Malformed) -> LoadError {
        LoadError::damaged(&self.name, offset, what)
    }
}

/// Places where a block may begin.
fn heads_in(window: &[u8]) -> impl Iterator<Item = usize> + '_ {
    window
        .windows(BLOCK_MAGIC.len())
        .enumerate()
        .filter(|(_, bytes)| bytes[0] == BLOCK_MAGIC[0] && *bytes == BLOCK_MAGIC)
        .map(|(place, _)| place)
}

/// So many times the length of a tail is checked at most to find out whether it is one.
const CHECKED_TIMES_MAX: u64 = 16;
