//! Opening the addresses that the server listens on.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Config, ListenAddress, Necessity};
use crate::serve::StartError;

/// Listens for clients on every address of the settings. With port 0 the first takes a free port and the others take the
/// same.
pub(crate) fn listen_for_clients(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    listen(&config.listen_addresses(), config.port.get(), config)
}

/// Listens for clients that encrypt, if there are to be any.
pub(crate) fn listen_for_tls(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    match config.tls_port.get() {
        0 => Ok(Vec::new()),
        port => listen(&config.listen_addresses(), port, config),
    }
}

/// Listens for HTTP on every address of the settings, if there is to be HTTP.
pub(crate) fn listen_for_http(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    match config.http_port.get() {
        0 => Ok(Vec::new()),
        port => listen(&config.http_addresses(), port, config),
    }
}

fn listen(addresses: &[ListenAddress], mut port: u16, config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let backlog = i32::try_from(config.tcp_backlog.get()).unwrap_or(i32::MAX);
    let mut listeners = Vec::new();
    for &ListenAddress { ip, necessity } in addresses {
        let address = SocketAddr::new(ip, port);
        match listen_on(address, backlog) {
            Ok(listener) => {
                port = listener
                    .local_addr()
                    .map_err(|error| StartError::Listen { address, error })?
                    .port();
                listeners.push(listener);
            }
            Err(error) if necessity == Necessity::IfAvailable && is_missing(&error) => {
                tracing::debug!(%address, %error, "goes without this address");
            }
            Err(error) => return Err(StartError::Listen { address, error }),
        }
    }
    if listeners.is_empty() {
        Err(StartError::NoAddress)
    } else {
        Ok(listeners)
    }
}

fn listen_on(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that starts again must not wait for the connections of the one before to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The IPv4 addresses are listened on by themselves.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// True if this machine does not have the address at all.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// The kernel was built without this family of addresses.
const EAFNOSUPPORT: i32 = 97;
