//! The file of users (the setting `aclfile`): read when the server starts and by ACL LOAD, written by ACL SAVE.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use kora_access::limits::FILE_BYTES_MAX;
use kora_engine::UsersFile;

/// Reads the file.
///
/// # Errors
/// A text that names the file, as Redis has it.
pub(crate) fn read(path: &Path) -> Result<UsersFile, String> {
    let shown = path.display();
    let refuse = |error: std::io::Error| format!("Error loading ACLs, opening file '{shown}': {error}");
    let mut text = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let file = File::open(path).map_err(refuse)?;
    file.take(limit).read_to_end(&mut text).map_err(refuse)?;
    if text.len() > FILE_BYTES_MAX {
        return Err(format!(
            "Error loading ACLs, '{shown}' has more than {FILE_BYTES_MAX} bytes"
        ));
    }
    Ok(UsersFile {
        text,
        path: shown.to_string(),
    })
}

/// Reads the file on a thread of its own: a disk may be slow.
pub(crate) fn begin_reading(path: &Path) -> Receiver<Result<UsersFile, String>> {
    let path = path.to_owned();
    on_thread(move || read(&path))
}

/// Writes the file on a thread of its own. The new file takes the place of the old one in one step, when it is on disk.
pub(crate) fn begin_writing(path: &Path, text: Vec<u8>) -> Receiver<Result<(), String>> {
    let path = path.to_owned();
    on_thread(move || {
        write(&path, &text).map_err(|error| {
            tracing::error!(path = %path.display(), %error, "the users could not be written");
            error.to_string()
        })
    })
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    // A link stays one, and the file that it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_and_rename(&beside, &path, text);
    if written.is_err() {
        // What is left of it is of no use; if it can't go either, it is not in the way.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_and_rename(beside: &Path, path: &Path, text: &[u8]) -> std::io::Result<()> {
    // For the server only: an attacker who has the hash of a weak password can guess the password.
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(beside)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Receiver<Result<T, String>> {
    let (said, heard) = mpsc::channel();
    let answer = said.clone();
    let thread = thread::Builder::new().name("kora-users".to_owned()).spawn(move || {
        // The client may have gone meanwhile.
        let _ = answer.send(work());
    });
    if let Err(error) = thread {
        // The receiver is still here: it is returned below.
        let _ = said.send(Err(error.to_string()));
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("kora-users-{}.acl", std::process::id()));
        let written = begin_writing(&path, b"user a on\n".to_vec()).recv().unwrap();
        assert_eq!(written, Ok(()));
        let file = begin_reading(&path).recv().unwrap().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::remove_file(&path).unwrap();
        assert_eq!((file.text.as_slice(), mode & 0o777), (&b"user a on\n"[..], 0o600));
        let gone = read(&path).unwrap_err();
        assert!(gone.starts_with("Error loading ACLs, opening file '"), "{gone}");
        assert!(
            begin_writing(Path::new("/nowhere/users"), Vec::new())
                .recv()
                .unwrap()
                .is_err()
        );
    }
}
