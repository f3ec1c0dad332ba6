//! What would go if the log were cut at a place, and cutting it there.

use std::io;

use crate::block::{Block, HEAD_BYTES, Head};
use crate::disk::{Disk, DiskFile, read_full};
use crate::loader::LoadError;
use crate::manifest::Manifest;
use crate::segment::{HEADER_BYTES, SegmentHeader, segment_name, segment_number};

/// What a cut would take away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The segment that is cut.
    pub segment: u64,
    /// Where.
    pub offset: u64,
    /// Bytes that go, those of later segments included.
    pub bytes: u64,
    /// Whole frames among them: executions of commands.
    pub frames: u64,
    /// Later segments, which go as a whole.
    pub segments: Vec<u64>,
}

/// Looks what would go if segment `number` were cut at `offset`.
///
/// # Errors
/// If there is no such place in the log.
pub fn survey<D: Disk>(disk: &D, manifest: &Manifest, number: u64, offset: u64) -> Result<Cut, LoadError> {
    let listed = |error| LoadError::io(crate::manifest::NAME, error);
    let mut segments: Vec<u64> = disk
        .list()
        .map_err(listed)?
        .iter()
        .filter_map(|name| segment_number(name))
        .filter(|other| manifest.counts_segment(*other) && *other >= number)
        .collect();
    segments.sort_unstable();
    let refuse = |what: &str| LoadError::io(&segment_name(number), io::Error::new(io::ErrorKind::InvalidInput, what));
    if segments.first() != Some(&number) {
        return Err(refuse("the log has no such segment"));
    }
    if offset < HEADER_BYTES as u64 {
        return Err(refuse("a segment's header can't be cut away"));
    }
    let mut cut = Cut {
        segment: number,
        offset,
        segments: segments[1..].to_vec(),
        ..Cut::default()
    };
    for (place, number) in segments.into_iter().enumerate() {
        let name = segment_name(number);
        let broken = |error| LoadError::io(&name, error);
        let file = disk.open(&name).map_err(broken)?;
        let length = file.length().map_err(broken)?;
        if place == 0 && offset > length {
            return Err(refuse("the segment is shorter"));
        }
        cut.bytes += length - if place == 0 { offset } else { 0 };
        let mut header = vec![0; HEADER_BYTES];
        read_full(&file, 0, &mut header).map_err(broken)?;
        if let Ok(header) = SegmentHeader::decode(&header) {
            let from = if place == 0 { offset } else { HEADER_BYTES as u64 };
            cut.frames += count_frames(&file, header.id, from, length).map_err(broken)?;
        }
    }
    Ok(cut)
}

/// Cuts the log.
///
/// # Errors
/// As the disk says.
pub fn apply<D: Disk>(disk: &D, cut: &Cut) -> io::Result<()> {
    // The last ones first: what is left is a log at each moment.
    for number in cut.segments.iter().rev() {
        disk.remove(&segment_name(*number))?;
    }
    disk.sync_directory()?;
    let mut file = disk.open(&segment_name(cut.segment))?;
    file.truncate(cut.offset)?;
    file.sync()
}

/// Frames of whole blocks from a place on. Where no block begins, the next byte is looked at.
fn count_frames(file: &impl DiskFile, id: u64, from: u64, length: u64) -> io::Result<u64> {
    let (mut at, mut frames) = (from, 0);
    while at + HEAD_BYTES as u64 <= length {
        let mut head_bytes = vec![0; HEAD_BYTES];
        read_full(file, at, &mut head_bytes)?;
        let head = Head::read(&head_bytes).filter(|head| head.length <= length - at - HEAD_BYTES as u64);
        let block = match head {
            None => None,
            Some(head) => {
                let mut body = vec![0; usize::try_from(head.length).unwrap_or(0)];
                read_full(file, at + HEAD_BYTES as u64, &mut body)?;
                Block::check(id, &head_bytes, body).ok()
            }
        };
        match block {
            Some(block) => {
                frames += u64::from(block.head.frames);
                at += HEAD_BYTES as u64 + block.head.length;
            }
            None => at += 1,
        }
    }
    Ok(frames)
}
