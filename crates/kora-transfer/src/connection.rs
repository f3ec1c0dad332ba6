//! A connection to a server: requests are queued, sent together, and answered in order.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::address::ServerAddress;
use crate::error::TransferError;
use crate::limits::SOCKET_TIMEOUT;
use crate::reply::{self, Reply, ReplyError};

/// One connection, logged in, its database selected.
pub(crate) struct Connection {
    stream: BufReader<Stream>,
    outbox: Vec<u8>,
    server: String,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) fn open(address: &ServerAddress) -> Result<Self, TransferError> {
        let server = address.to_string();
        let socket = connect(address).map_err(|error| TransferError::Socket {
            server: server.clone(),
            error,
        })?;
        let stream = match address.is_tls {
            true => Stream::Encrypted(Box::new(encrypt(address, socket)?)),
            false => Stream::Plain(socket),
        };
        let mut connection = Self {
            stream: BufReader::with_capacity(READ_BYTES, stream),
            outbox: Vec::new(),
            server,
        };
        connection.log_in(address)?;
        Ok(connection)
    }

    /// Queues a request.
    pub(crate) fn push(&mut self, words: &[&[u8]]) {
        encode(words, &mut self.outbox);
    }

    /// Queues requests that are encoded already.
    pub(crate) fn push_encoded(&mut self, requests: &[u8]) {
        self.outbox.extend_from_slice(requests);
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) -> Result<(), TransferError> {
        let stream = self.stream.get_mut();
        let sent = stream.write_all(&self.outbox).and_then(|()| stream.flush());
        self.outbox.clear();
        sent.map_err(|error| self.socket_error(error))
    }

    /// The next reply. An error that the server sends is one.
    pub(crate) fn reply(&mut self) -> Result<Reply, TransferError> {
        match reply::read(&mut self.stream) {
            Ok(reply) => Ok(reply),
            Err(ReplyError::Socket(error)) => Err(self.socket_error(error)),
            Err(ReplyError::Malformed(what)) => Err(self.unexpected(what)),
        }
    }

    /// The next reply, which must be no error.
    pub(crate) fn answer(&mut self) -> Result<Reply, TransferError> {
        match self.reply()? {
            Reply::Error(text) => Err(self.refused(text)),
            reply => Ok(reply),
        }
    }

    /// One request and its reply.
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Result<Reply, TransferError> {
        self.push(words);
        self.flush()?;
        self.reply()
    }

    /// One request and its reply, which must be no error.
    pub(crate) fn demand(&mut self, words: &[&[u8]]) -> Result<Reply, TransferError> {
        self.push(words);
        self.flush()?;
        self.answer()
    }

    /// The error for a reply that its command does not have.
    pub(crate) fn unexpected(&self, what: &str) -> TransferError {
        TransferError::Protocol {
            server: self.server.clone(),
            what: what.to_owned(),
        }
    }

    pub(crate) fn refused(&self, text: String) -> TransferError {
        TransferError::Refused {
            server: self.server.clone(),
            text,
        }
    }

    /// Whether the server has this command.
    pub(crate) fn knows(&mut self, command: &str) -> Result<bool, TransferError> {
        let reply = self.demand(&[b"COMMAND", b"INFO", command.as_bytes()])?;
        Ok(matches!(reply, Reply::Array(items) if matches!(items.as_slice(), [Reply::Array(_)])))
    }

    fn log_in(&mut self, address: &ServerAddress) -> Result<(), TransferError> {
        if let Some(password) = &address.password {
            match &address.user {
                Some(user) => self.demand(&[b"AUTH", user.as_bytes(), password.as_bytes()])?,
                None => self.demand(&[b"AUTH", password.as_bytes()])?,
            };
        }
        if address.database != 0 {
            self.demand(&[b"SELECT", address.database.to_string().as_bytes()])?;
        }
        Ok(())
    }

    fn socket_error(&self, error: io::Error) -> TransferError {
        let server = self.server.clone();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => TransferError::Socket {
                server,
                error: io::Error::other("the server closed the connection"),
            },
            _ => TransferError::Socket { server, error },
        }
    }
}

/// Appends a request in RESP.
pub(crate) fn encode(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn connect(address: &ServerAddress) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, SOCKET_TIMEOUT) {
            Ok(socket) => {
                socket.set_read_timeout(Some(SOCKET_TIMEOUT))?;
                socket.set_write_timeout(Some(SOCKET_TIMEOUT))?;
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn encrypt(
    address: &ServerAddress,
    socket: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, TransferError> {
    let file = address.ca_file.as_deref();
    let file = file.ok_or_else(|| {
        TransferError::Options("rediss:// needs the file of the authority that signed the server's certificate".into())
    })?;
    let wrong = |what: String| TransferError::Options(format!("{}: {what}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(address.host.clone())
        .map_err(|error| TransferError::Options(format!("{}: {error}", address.host)))?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(|error| wrong(error.to_string()))?;
    Ok(StreamOwned::new(session, socket))
}

enum Stream {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
