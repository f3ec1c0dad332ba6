//! What the log asks of a disk: a flat directory of files.

use std::io;

/// One directory.
///
/// Names have no separators. What `create`, `rename` and `remove` did to names is safe after [`Disk::sync_directory`], what
/// `append` and `truncate` did to a file after its [`DiskFile::sync`].
pub trait Disk {
    /// An open file.
    type File: DiskFile;

    /// Makes a file, empty, in place of one of this name.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in place of one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes all changes of names safe.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub trait DiskFile {
    /// Writes at the end, perhaps not all: so many bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes all that was written safe. After a failure nothing is known of what was written since the last success.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads from a place on, perhaps less than fits: so many bytes, 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Writes all of it at the end.
pub(crate) fn append_all(file: &mut impl DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(crate::limits::WRITE_BYTES_MAX)];
        match file.append(piece)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written.min(piece.len())..],
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; so many bytes.
pub(crate) fn read_full(file: &impl DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(offset + filled as u64, &mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Makes a whole file that is safe under its name once this returns: written under another name, synced, renamed, and the
/// directory synced.
pub(crate) fn publish<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<D::File> {
    let temporary = format!("{name}{TEMPORARY}");
    let mut file = disk.create(&temporary)?;
    append_all(&mut file, bytes)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync_directory()?;
    Ok(file)
}

/// Ends the name of a file that is not finished. Such files are removed at a start.
pub(crate) const TEMPORARY: &str = ".tmp";
