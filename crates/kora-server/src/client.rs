//! A small blocking client: how `kora demo` and `kora ping` speak to a server, over a real socket like anybody else.
//!
//! Requests are queued, flushed together and answered in order, so a pipeline is `push` × n, `flush`, `reply` × n.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// Requests not yet written.
    outbox: Vec<u8>,
    /// Bytes read; those before `taken` belong to replies that were handed out.
    inbox: Vec<u8>,
    /// Invariant: `taken <= inbox.len()`.
    taken: usize,
    /// The longest reply that is read.
    reply_bytes_max: usize,
}

impl Client {
    /// Connects; `timeout` bounds this and every later read and write.
    pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> Result<Self, CallError> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        Ok(Self::over(stream, timeout, REPLY_BYTES_MAX)?)
    }

    /// Speaks over a connection that is there already. The decoder recurses as deep as a reply nests: more than
    /// [`REPLY_BYTES_MAX`] only of a server that is trusted.
    pub(crate) fn over(stream: TcpStream, timeout: Duration, reply_bytes_max: usize) -> io::Result<Self> {
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            outbox: Vec::new(),
            inbox: Vec::new(),
            taken: 0,
            reply_bytes_max,
        })
    }

    /// Gives the password, if there is one to give.
    pub(crate) fn authenticate(&mut self, password: Option<&str>) -> Result<(), CallError> {
        match password {
            Some(password) => self.call(&[b"AUTH", password.as_bytes()]).map(drop),
            None => Ok(()),
        }
    }

    /// Queues a request.
    pub(crate) fn push(&mut self, arguments: &[&[u8]]) {
        self.outbox
            .extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
        for argument in arguments {
            self.outbox
                .extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            self.outbox.extend_from_slice(argument);
            self.outbox.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what is queued.
    pub(crate) fn flush(&mut self) -> Result<(), CallError> {
        self.stream.write_all(&self.outbox)?;
        self.outbox.clear();
        Ok(())
    }

    /// The next reply; one that is an error is [`CallError::Refused`].
    pub(crate) fn reply(&mut self) -> Result<OwnedFrame, CallError> {
        loop {
            let unread = &self.inbox[self.taken..];
            // The decoder recurses as deep as a reply nests. What it is shown at once bounds the depth.
            let shown = &unread[..unread.len().min(self.reply_bytes_max)];
            match decode(shown).map_err(|error| CallError::Malformed(error.to_string()))? {
                Some((OwnedFrame::Error(text), length)) => {
                    self.taken += length;
                    return Err(CallError::Refused(text));
                }
                Some((frame, length)) => {
                    self.taken += length;
                    return Ok(frame);
                }
                None if shown.len() == self.reply_bytes_max => return Err(CallError::TooLong(self.reply_bytes_max)),
                None => self.read_more()?,
            }
        }
    }

    /// One request and its reply.
    pub(crate) fn call(&mut self, arguments: &[&[u8]]) -> Result<OwnedFrame, CallError> {
        self.push(arguments);
        self.flush()?;
        self.reply()
    }

    fn read_more(&mut self) -> Result<(), CallError> {
        self.inbox.drain(..self.taken);
        self.taken = 0;
        let start = self.inbox.len();
        self.inbox.resize(start + READ_BYTES, 0);
        let count = self.stream.read(&mut self.inbox[start..]);
        self.inbox.truncate(start + *count.as_ref().unwrap_or(&0));
        match count? {
            0 => Err(CallError::Closed),
            _ => Ok(()),
        }
    }
}

/// Why there is no reply, or that it is an error.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The socket failed.
    Socket(io::Error),
    /// The server closed the connection.
    Closed,
    /// What came is not RESP.
    Malformed(String),
    /// The reply is longer than this client reads: longer than so many bytes.
    TooLong(usize),
    /// The server answered with this error.
    Refused(String),
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What a read time-out is called on Linux, and what it means.
            Self::Socket(error) if error.kind() == io::ErrorKind::WouldBlock => f.write_str("no answer in time"),
            Self::Socket(error) => error.fmt(f),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Malformed(reason) => write!(f, "the answer is not RESP: {reason}"),
            Self::TooLong(bytes_max) => write!(f, "the answer is longer than {bytes_max} bytes"),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

/// The longest reply that is understood: 16 KiB hold 100 neighbours with long names. As arrays nested in arrays (4 bytes
/// each) they are 4,096 levels, which the decoder survives on a 2 MiB stack; 8,000 it does not.
const REPLY_BYTES_MAX: usize = 16 << 10;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that reads one request and then says `answer`, byte by byte.
    fn connected_to_one_that_says(answer: Vec<u8>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]).unwrap();
            for byte in answer {
                // The client may have left: that is its right.
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
            }
        });
        Client::connect(address, Duration::from_secs(10)).unwrap()
    }

    fn answer_to_ping(answer: &[u8]) -> Result<OwnedFrame, CallError> {
        connected_to_one_that_says(answer.to_vec()).call(&[b"PING"])
    }

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut client = connected_to_one_that_says(Vec::new());
        client.push(&[b"SET", b"k", b""]);
        assert_eq!(client.outbox, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies_come_in_order_however_the_bytes_are_cut() {
        let mut client = connected_to_one_that_says(b"+PONG\r\n-ERR no\r\n*2\r\n:1\r\n$1\r\na\r\n".to_vec());
        assert_eq!(
            client.call(&[b"PING"]).unwrap(),
            OwnedFrame::SimpleString(b"PONG".to_vec())
        );
        assert!(matches!(client.reply(), Err(CallError::Refused(text)) if text == "ERR no"));
        let array = vec![OwnedFrame::Integer(1), OwnedFrame::BulkString(b"a".to_vec())];
        assert_eq!(client.reply().unwrap(), OwnedFrame::Array(array));
        assert!(matches!(client.reply(), Err(CallError::Closed)));
    }

    #[test]
    fn a_server_that_talks_nonsense_is_an_error_and_nothing_worse() {
        assert!(matches!(
            answer_to_ping(b"HTTP/1.1 200 OK\r\n"),
            Err(CallError::Malformed(_))
        ));
        assert!(matches!(answer_to_ping(b""), Err(CallError::Closed)));
        assert!(matches!(
            answer_to_ping(&b"*1\r\n".repeat(8_000)),
            Err(CallError::TooLong(_))
        ));
    }
}
