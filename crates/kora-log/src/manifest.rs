//! The manifest: which files of the directory count.
//!
//! It is replaced as a whole (written under another name, synced, renamed), so there is always one. A snapshot exists from
//! the moment on that a manifest names it.

use std::io;

use crate::bytes::{Malformed, checksum, u32_at, u64_at};
use crate::disk::{Disk, TEMPORARY, publish, read_full};
use crate::limits::{MANIFEST_BYTES_MAX, SHARDS_MAX};
use crate::loader::LoadError;
use crate::segment::segment_number;
use crate::snapshot::snapshot_number;

/// Which files count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Shards that the data is divided into; it belongs to the directory.
    pub shards: u32,
    /// The number of the snapshot; 0 if there is none.
    pub snapshot: u64,
    /// Bytes of its file.
    pub snapshot_bytes: u64,
    /// When it was complete, in milliseconds of Unix time.
    pub saved_ms: u64,
    /// The log is replayed from this segment on.
    pub first_segment: u64,
    /// And up to this one; 0 if it goes on.
    pub last_segment: u64,
    /// The stamp of the first frame of the first segment.
    pub first_stamp: u64,
    /// The last stamp that was drawn while the snapshot was taken. With less of the log than that the snapshot is nothing:
    /// its entries are from different times. 0 if there is none.
    pub until_stamp: u64,
}

impl Manifest {
    /// Reads the manifest; none if there is none yet.
    ///
    /// # Errors
    /// If it can't be read or is not as it was written.
    pub fn read<D: Disk>(disk: &D) -> Result<Option<Manifest>, LoadError> {
        let names = disk.list().map_err(|error| LoadError::io(NAME, error))?;
        if !names.iter().any(|name| name == NAME) {
            return Ok(None);
        }
        let file = disk.open(NAME).map_err(|error| LoadError::io(NAME, error))?;
        let mut bytes = vec![0; MANIFEST_BYTES_MAX as usize];
        let length = read_full(&file, 0, &mut bytes).map_err(|error| LoadError::io(NAME, error))?;
        let manifest = Manifest::decode(&bytes[..length]).map_err(|what| LoadError::damaged(NAME, 0, what))?;
        Ok(Some(manifest))
    }

    /// What a directory has before anything is saved in it: no snapshot, and no segment. The first segment is the second, so
    /// that the log that is named ends before it begins.
    pub fn empty(shards: u32) -> Manifest {
        Manifest {
            shards,
            first_segment: 2,
            last_segment: 1,
            first_stamp: 1,
            ..Manifest::default()
        }
    }

    /// Whether it names neither a snapshot nor a segment.
    pub fn is_empty(&self) -> bool {
        self.snapshot == 0 && !self.is_open() && self.last_segment < self.first_segment
    }

    /// A file of ours in a directory without a manifest, if there is one. A server publishes a manifest before it makes any
    /// other file, so that the manifest was lost.
    ///
    /// # Errors
    /// As the disk says.
    pub fn orphan<D: Disk>(disk: &D) -> io::Result<Option<String>> {
        let names = disk.list()?;
        let is_orphan = |name: &&String| segment_number(name).is_some() || snapshot_number(name).is_some();
        Ok(names.iter().find(is_orphan).cloned())
    }

    /// Makes it the one that counts, safely.
    ///
    /// # Errors
    /// As the disk says; then the one before counts, or this one does.
    pub fn publish<D: Disk>(&self, disk: &D) -> io::Result<()> {
        publish(disk, NAME, &self.encode()).map(drop)
    }

    /// Removes files of ours that it does not need: older ones, and unfinished ones. Those that can't be removed are left.
    pub fn remove_others<D: Disk>(&self, disk: &D) -> io::Result<()> {
        for name in disk.list()? {
            let is_old_segment = segment_number(&name).is_some_and(|number| !self.counts_segment(number));
            let is_old_snapshot = snapshot_number(&name).is_some_and(|number| number != self.snapshot);
            let is_unfinished = name.strip_suffix(TEMPORARY).is_some_and(is_ours);
            if is_old_segment || is_old_snapshot || is_unfinished {
                disk.remove(&name)?;
            }
        }
        disk.sync_directory()
    }

    /// Whether the log goes on behind what it names.
    pub fn is_open(&self) -> bool {
        self.last_segment == 0
    }

    /// Whether a segment belongs to the log that it names.
    pub(crate) fn counts_segment(&self, number: u64) -> bool {
        number >= self.first_segment && (self.is_open() || number <= self.last_segment)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.shards.to_le_bytes());
        for number in [
            self.snapshot,
            self.snapshot_bytes,
            self.saved_ms,
            self.first_segment,
            self.last_segment,
            self.first_stamp,
            self.until_stamp,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(0, &[&bytes]);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Manifest, Malformed> {
        if bytes.len() != BYTES || bytes[0..8] != MAGIC {
            return Err(Malformed("this is no manifest"));
        }
        if checksum(0, &[&bytes[..BYTES - 4]]) != u32_at(bytes, BYTES - 4) {
            return Err(Malformed("the checksum of the manifest is wrong"));
        }
        if u32_at(bytes, 8) != VERSION {
            return Err(Malformed("a manifest of a version that this server does not read"));
        }
        let manifest = Manifest {
            shards: u32_at(bytes, 12),
            snapshot: u64_at(bytes, 16),
            snapshot_bytes: u64_at(bytes, 24),
            saved_ms: u64_at(bytes, 32),
            first_segment: u64_at(bytes, 40),
            last_segment: u64_at(bytes, 48),
            first_stamp: u64_at(bytes, 56),
            until_stamp: u64_at(bytes, 64),
        };
        if !(1..=SHARDS_MAX).contains(&manifest.shards) {
            return Err(Malformed("a manifest with a number of shards beyond the limit"));
        }
        Ok(manifest)
    }
}

/// Whether a file of this name is one that this crate makes.
fn is_ours(name: &str) -> bool {
    name == NAME || segment_number(name).is_some() || snapshot_number(name).is_some()
}

/// The name of its file.
pub const NAME: &str = "MANIFEST";

/// Begins a manifest.
pub(crate) const MAGIC: [u8; 8] = *b"KORAMAN\n";

/// The version of its format.
pub(crate) const VERSION: u32 = 1;

/// Its bytes.
pub(crate) const BYTES: usize = 76;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = Manifest {
            shards: 2,
            snapshot: 3,
            snapshot_bytes: 4,
            saved_ms: 5,
            first_segment: 6,
            last_segment: 7,
            first_stamp: 8,
            until_stamp: 9,
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(Manifest::decode(&changed).is_err(), "byte {at}");
            assert!(Manifest::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
