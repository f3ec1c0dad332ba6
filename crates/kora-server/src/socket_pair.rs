//! Connections inside the process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// Two ends of a TCP connection that no other program has a part in: the first blocks, the second is what a worker takes.
pub(crate) fn socket_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    ours.set_nodelay(true)?;
    for _ in 0..STRANGERS_MAX {
        let (theirs, address) = listener.accept()?;
        if address == ours.local_addr()? {
            theirs.set_nonblocking(true)?;
            theirs.set_nodelay(true)?;
            return Ok((ours, theirs));
        }
        // Another program of this machine connected in between.
    }
    Err(io::Error::other("other programs connect to a port that is not theirs"))
}

/// Connections of other programs that are turned away before the pair is given up.
const STRANGERS_MAX: usize = 16;
