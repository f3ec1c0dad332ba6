//! The directory that the data is kept in.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use kora_log::{Disk, DiskFile};

/// A directory of this machine, which this process alone writes to for as long as the lock is held.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// Keeps other processes out of a [`Directory`].
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct DirectoryFile {
    file: File,
}

impl Directory {
    /// The directory at this path, made if it is not there, and its lock.
    ///
    /// # Errors
    /// If it can't be made or written to, or another process has locked it.
    pub(crate) fn lock(path: &Path) -> io::Result<(Directory, DirectoryLock)> {
        fs::create_dir_all(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options.open(path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another process uses this directory",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok((Directory { path: path.to_owned() }, DirectoryLock { _file: file }))
    }
}

impl Disk for Directory {
    type File = DirectoryFile;

    fn create(&self, name: &str) -> io::Result<DirectoryFile> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let file = options.open(self.path.join(name)).map_err(|error| named(name, error))?;
        file.set_len(0)?;
        Ok(DirectoryFile { file })
    }

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        let path = self.path.join(name);
        let writable = OpenOptions::new().read(true).append(true).open(&path);
        // A directory that is only checked may be one that can't be written to.
        let file = writable.or_else(|_| File::open(&path))?;
        Ok(DirectoryFile { file })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to)).map_err(|error| named(to, error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name)).map_err(|error| named(name, error))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(io::Result::transpose).collect()
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for DirectoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.append(bytes),
            written => written,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// The same error, with the name of the file. The caller that opens a file adds its name.
fn named(name: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The file whose lock is the directory's.
const LOCK: &str = "LOCK";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_process_s_and_keeps_what_was_written() {
        let path = std::env::temp_dir().join(format!("kora-disk-{}", std::process::id()));
        let (directory, lock) = Directory::lock(&path).expect("it can be made");
        assert!(Directory::lock(&path).is_err(), "it is in use");
        drop(lock);
        let _lock = Directory::lock(&path).expect("it is free");
        let mut file = directory.create("one.tmp").expect("it can be made");
        file.append(b"abcdef").expect("there is room");
        file.truncate(4).expect("it can be cut");
        file.append(b"xy").expect("there is room");
        file.sync().expect("it can be synced");
        directory.rename("one.tmp", "one").expect("it is there");
        directory.sync_directory().expect("it can be synced");
        let file = directory.open("one").expect("it is there");
        let mut bytes = [0; 9];
        assert_eq!(file.read_at(1, &mut bytes).expect("it can be read"), 5);
        assert_eq!(&bytes[..5], b"bcdxy");
        assert_eq!(file.length().expect("it is there"), 6);
        directory.remove("one").expect("it is there");
        fs::remove_dir_all(&path).expect("it is there");
    }
}
