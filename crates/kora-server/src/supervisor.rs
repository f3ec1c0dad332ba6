//! What systemd is told (sd_notify): that the server serves, and that it stops.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The server accepts connections.
pub(crate) fn tell_ready() {
    tell("READY=1\nSTATUS=serving");
}

/// The server finishes what it has received.
pub(crate) fn tell_stopping() {
    tell("STOPPING=1\nSTATUS=stopping");
}

/// Does nothing where no supervisor asks.
fn tell(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = tell_at(&name, state) {
        tracing::warn!(%error, "the supervisor could not be told {state:?}");
    }
}

fn tell_at(name: &OsStr, state: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        // A name that is in no folder.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_hears_what_it_is_told() {
        let path = env::temp_dir().join(format!("kora-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        tell_at(path.as_os_str(), "READY=1").unwrap();
        let mut buffer = [0; 32];
        let count = socket.recv(&mut buffer).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&buffer[..count], b"READY=1");
        assert!(tell_at(path.as_os_str(), "READY=1").is_err());
    }
}
