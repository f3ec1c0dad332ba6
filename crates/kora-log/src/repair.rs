//! What would go if the log were cut at a place, and cutting it there.

use std::io;
use std::str::FromStr;

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

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: u64,
    /// The byte of its file.
    pub offset: u64,
}

impl FromStr for Place {
    type Err = String;

    /// A segment's file and a byte of it, with a colon between them.
    fn from_str(text: &str) -> Result<Place, String> {
        let place = text.rsplit_once(':').and_then(|(file, offset)| {
            Some(Place {
                segment: segment_number(file)?,
                offset: offset.parse().ok()?,
            })
        });
        place.ok_or_else(|| format!("{text:?} is no place in a log: say it as log-000012.kora:48213"))
    }
}

/// Looks what would go if the log were cut at a place.
///
/// # Errors
/// If there is no such place in the log.
pub fn survey<D: Disk>(disk: &D, manifest: &Manifest, place: Place) -> Result<Cut, LoadError> {
    let Place {
        segment: number,
        offset,
    } = place;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Loader;
    use crate::block::BlockBuilder;
    use crate::frame::Frame;
    use crate::simulated::SimulatedDisk;
    use crate::writer::Writer;

    #[test]
    fn what_a_cut_takes_away_is_said_before_and_the_rest_can_be_read() {
        let disk = SimulatedDisk::new();
        let manifest = Manifest {
            last_segment: 0,
            ..Manifest::empty(1)
        };
        manifest.publish(&disk).expect("nothing fails");
        let mut writer = Writer::new(disk.clone(), 1, manifest.first_segment, 1, 7);
        let mut ends = Vec::new();
        for stamp in 1..=6 {
            // Two segments of three blocks.
            if stamp % 3 == 1 {
                writer.begin_segment(false).expect("nothing fails");
            }
            let mut block = BlockBuilder::new();
            block.push(Frame {
                stamp,
                shard: 0,
                records: b"",
            });
            writer.write(&mut block).expect("nothing fails");
            ends.push(writer.segment_bytes());
        }
        writer.sync().expect("nothing fails");
        let place: Place = format!("{}:{}", segment_name(2), ends[0]).parse().expect("it is one");
        let cut = survey(&disk, &manifest, place).expect("it is there");
        assert_eq!((cut.frames, cut.segments.len()), (5, 1));
        assert!("log-000002.kora".parse::<Place>().is_err() && "snapshot-000002.kora:7".parse::<Place>().is_err());
        let beyond = Place {
            offset: 1 << 40,
            ..place
        };
        assert!(survey(&disk, &manifest, beyond).is_err());
        apply(&disk, &cut).expect("nothing fails");
        let mut loader = Loader::open(disk, manifest).expect("it is there");
        let mut frames = 0;
        while loader.next_item().expect("it is sound").is_some() {
            frames += 1;
        }
        assert_eq!(frames, 1);
    }
}
