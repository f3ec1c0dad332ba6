//! The log's writing end: blocks go to the end of a segment, and are safe once that is synced.

use std::io;

use crate::block::BlockBuilder;
use crate::disk::{Disk, DiskFile, append_all, publish};
use crate::segment::{HEADER_BYTES, SegmentHeader, file_id, segment_name};

/// Writes the log.
///
/// After an error the caller tries again, or begins another segment; nothing is written twice and nothing is left out.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    disk: D,
    shards: u32,
    /// What the ids of files are made of.
    random: u64,
    segment: Option<Segment<D::File>>,
    next_segment: u64,
    /// The stamp of the next frame to be written.
    next_stamp: u64,
    /// Everything up to this stamp is safe.
    durable: u64,
}

#[derive(Debug)]
struct Segment<F> {
    number: u64,
    id: u64,
    file: F,
    /// Bytes of the header and of whole blocks.
    whole_bytes: u64,
    /// A write failed: behind the whole blocks may be a part of one.
    is_torn: bool,
    /// A sync failed, so nothing is known of what was written since the one before.
    is_distrusted: bool,
}

/// Where a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its number.
    pub segment: u64,
    /// The stamp of its first frame.
    pub stamp: u64,
}

impl<D: Disk> Writer<D> {
    /// A writer that has no segment yet. `random` differs at each start.
    pub fn new(disk: D, shards: u32, next_segment: u64, next_stamp: u64, random: u64) -> Writer<D> {
        Writer {
            disk,
            shards,
            random,
            segment: None,
            next_segment,
            next_stamp,
            durable: next_stamp.saturating_sub(1),
        }
    }

    /// Begins a segment; the one before is synced first. A detached one does not continue the one before (see
    /// [`loader`](crate::loader)).
    ///
    /// # Errors
    /// As the disk says. Then there is the segment that there was.
    pub fn begin_segment(&mut self, is_detached: bool) -> io::Result<Start> {
        if !is_detached && self.segment.is_some() {
            self.sync()?;
        }
        let number = self.next_segment;
        let header = SegmentHeader {
            number,
            id: file_id(self.random, number),
            first_stamp: self.next_stamp,
            shards: self.shards,
            is_detached,
        };
        let file = publish(&self.disk, &segment_name(number), &header.encode())?;
        self.segment = Some(Segment {
            number,
            id: header.id,
            file,
            whole_bytes: HEADER_BYTES as u64,
            is_torn: false,
            is_distrusted: false,
        });
        self.next_segment += 1;
        Ok(Start {
            segment: number,
            stamp: self.next_stamp,
        })
    }

    /// Writes a block whose first frame is the next one. It is there, but not safe, when this returns.
    ///
    /// # Errors
    /// As the disk says. Then nothing of it counts, and the same block may be tried again.
    pub fn write(&mut self, block: &mut BlockBuilder) -> io::Result<()> {
        let (next_stamp, durable) = (self.next_stamp, self.durable);
        let segment = self.segment.as_mut().ok_or_else(no_segment)?;
        if segment.is_distrusted {
            return Err(distrusted());
        }
        if segment.is_torn {
            segment.file.truncate(segment.whole_bytes)?;
            segment.is_torn = false;
        }
        let bytes = block.seal(segment.id, next_stamp, durable);
        if let Err(error) = append_all(&mut segment.file, bytes) {
            // Space that a part of a block takes is space that is missing. If it can't be cut now, it is before the next write.
            segment.is_torn = segment.file.truncate(segment.whole_bytes).is_err();
            return Err(error);
        }
        segment.whole_bytes += bytes.len() as u64;
        self.next_stamp += u64::from(block.frame_count());
        Ok(())
    }

    /// Makes safe what was written, and says up to which stamp everything is.
    ///
    /// # Errors
    /// As the disk says. Then this segment is never trusted again: another one has to be begun, and what is not safe has to
    /// come from a snapshot.
    pub fn sync(&mut self) -> io::Result<u64> {
        if let Some(segment) = &mut self.segment
            && self.durable + 1 < self.next_stamp
        {
            if segment.is_distrusted {
                return Err(distrusted());
            }
            if let Err(error) = segment.file.sync() {
                segment.is_distrusted = true;
                return Err(error);
            }
            self.durable = self.next_stamp - 1;
        }
        Ok(self.durable)
    }

    /// Ends the segment: a last block without frames says that all of it was safe, so that damage to any of it is known as
    /// such at the next start.
    ///
    /// # Errors
    /// As the disk says.
    pub fn close(&mut self) -> io::Result<()> {
        if self.segment.is_none() {
            return Ok(());
        }
        self.sync()?;
        self.write(&mut BlockBuilder::new())?;
        if let Some(segment) = &mut self.segment {
            segment.file.sync()?;
        }
        self.segment = None;
        Ok(())
    }

    /// Whether the segment can't be written to any more.
    pub fn is_distrusted(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.is_distrusted)
    }

    /// The number of the segment; none if there is none.
    pub fn segment(&self) -> Option<u64> {
        self.segment.as_ref().map(|segment| segment.number)
    }

    /// Bytes of the segment.
    pub fn segment_bytes(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.whole_bytes)
    }

    /// Everything up to this stamp is safe.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The stamp of the next frame to be written.
    pub fn next_stamp(&self) -> u64 {
        self.next_stamp
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }
}

fn no_segment() -> io::Error {
    io::Error::other("no segment was begun")
}

fn distrusted() -> io::Error {
    io::Error::other("an earlier sync of this segment failed")
}
