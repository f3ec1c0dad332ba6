//! Snapshots: pieces of what the shards hold, in one file.

use std::io;

use crate::bytes::{Malformed, checksum, u32_at, u64_at};
use crate::disk::{Disk, DiskFile, TEMPORARY, append_all};
use crate::segment::file_id;

/// Writes a snapshot. It counts once a manifest names it.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    number: u64,
    id: u64,
    file: D::File,
    bytes: u64,
    pieces: u64,
    head: Vec<u8>,
}

/// What a piece holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// Records, as in a frame of the log.
    Records = 1,
    /// A part of an index of vectors.
    Index = 2,
    /// Nothing: the snapshot ends here. The length of its body is how many pieces came before.
    End = 3,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins the file of a snapshot with this number.
    ///
    /// # Errors
    /// As the disk says.
    pub fn begin(disk: D, number: u64, shards: u32, random: u64) -> io::Result<SnapshotWriter<D>> {
        let id = file_id(random, !number);
        let mut file = disk.create(&(snapshot_name(number) + TEMPORARY))?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&shards.to_le_bytes());
        header.extend_from_slice(&number.to_le_bytes());
        header.extend_from_slice(&id.to_le_bytes());
        let sum = checksum(id, &[&header]);
        header.extend_from_slice(&sum.to_le_bytes());
        append_all(&mut file, &header)?;
        Ok(SnapshotWriter {
            disk,
            number,
            id,
            file,
            bytes: HEADER_BYTES as u64,
            pieces: 0,
            head: Vec::new(),
        })
    }

    /// Writes a piece of a shard.
    ///
    /// # Errors
    /// As the disk says. Then the snapshot is to be given up.
    pub fn piece(&mut self, shard: u32, kind: PieceKind, body: &[u8]) -> io::Result<()> {
        self.put(shard, kind, body.len() as u64, body)?;
        self.pieces += 1;
        Ok(())
    }

    /// Ends the file, makes it safe under its name, and says how long it is.
    ///
    /// # Errors
    /// As the disk says. Then the snapshot is to be given up.
    pub fn finish(mut self) -> io::Result<u64> {
        self.put(0, PieceKind::End, self.pieces, &[])?;
        self.file.sync()?;
        let name = snapshot_name(self.number);
        self.disk.rename(&(name.clone() + TEMPORARY), &name)?;
        self.disk.sync_directory()?;
        Ok(self.bytes)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// As the disk says.
    pub fn abandon(self) -> io::Result<()> {
        self.disk.remove(&(snapshot_name(self.number) + TEMPORARY))
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn put(&mut self, shard: u32, kind: PieceKind, length: u64, body: &[u8]) -> io::Result<()> {
        self.head.clear();
        self.head.extend_from_slice(&PIECE_MAGIC);
        self.head.extend_from_slice(&[0; 4]);
        self.head.extend_from_slice(&length.to_le_bytes());
        self.head.extend_from_slice(&shard.to_le_bytes());
        self.head.extend_from_slice(&(kind as u32).to_le_bytes());
        let sum = checksum(self.id, &[&self.head[8..], body]);
        self.head[4..8].copy_from_slice(&sum.to_le_bytes());
        append_all(&mut self.file, &self.head)?;
        append_all(&mut self.file, body)?;
        self.bytes += (self.head.len() + body.len()) as u64;
        Ok(())
    }
}

/// What stands at the beginning of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) shards: u32,
    pub(crate) number: u64,
    pub(crate) id: u64,
}

impl SnapshotHeader {
    pub(crate) fn decode(bytes: &[u8]) -> Result<SnapshotHeader, Malformed> {
        if bytes.len() < HEADER_BYTES || bytes[0..8] != MAGIC {
            return Err(Malformed("this is no snapshot"));
        }
        let header = SnapshotHeader {
            shards: u32_at(bytes, 12),
            number: u64_at(bytes, 16),
            id: u64_at(bytes, 24),
        };
        if checksum(header.id, &[&bytes[..32]]) != u32_at(bytes, 32) {
            return Err(Malformed("the checksum of a snapshot's header is wrong"));
        }
        if u32_at(bytes, 8) != VERSION {
            return Err(Malformed("a snapshot of a version that this server does not read"));
        }
        Ok(header)
    }
}

/// The head of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PieceHead {
    pub(crate) shard: u32,
    pub(crate) kind: PieceKind,
    /// Bytes of its body; of the end, pieces before it.
    pub(crate) length: u64,
    checksum: u32,
}

impl PieceHead {
    pub(crate) fn decode(bytes: &[u8]) -> Result<PieceHead, Malformed> {
        if bytes.len() < PIECE_HEAD_BYTES || bytes[0..4] != PIECE_MAGIC {
            return Err(Malformed("no piece begins here"));
        }
        let kind = match u32_at(bytes, 20) {
            1 => PieceKind::Records,
            2 => PieceKind::Index,
            3 => PieceKind::End,
            _ => return Err(Malformed("a piece of a kind that this version does not know")),
        };
        Ok(PieceHead {
            checksum: u32_at(bytes, 4),
            length: u64_at(bytes, 8),
            shard: u32_at(bytes, 16),
            kind,
        })
    }

    pub(crate) fn check(&self, id: u64, head: &[u8], body: &[u8]) -> Result<(), Malformed> {
        if checksum(id, &[&head[8..PIECE_HEAD_BYTES], body]) == self.checksum {
            Ok(())
        } else {
            Err(Malformed("the checksum of a piece is wrong"))
        }
    }
}

/// The name of a snapshot.
pub(crate) fn snapshot_name(number: u64) -> String {
    format!("snapshot-{number:06}.kora")
}

/// The number of a snapshot with this name.
pub(crate) fn snapshot_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("snapshot-")?.strip_suffix(".kora")?.parse().ok()?;
    (snapshot_name(number) == name).then_some(number)
}

/// Begins every snapshot.
pub(crate) const MAGIC: [u8; 8] = *b"KORASNP\n";

/// The version of its format.
pub(crate) const VERSION: u32 = 1;

/// Bytes of its header.
pub(crate) const HEADER_BYTES: usize = 36;

/// Begins every piece.
pub(crate) const PIECE_MAGIC: [u8; 4] = *b"KPCE";

/// Bytes of a piece's head: magic, checksum, length, shard, kind.
pub(crate) const PIECE_HEAD_BYTES: usize = 24;
