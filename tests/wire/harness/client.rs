//! A client that sends and expects bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Received and not yet expected.
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Client {
            stream,
            received: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the server takes what it is sent");
    }

    /// Sends as much as the server takes before it closes the connection.
    pub(crate) fn send_what_is_taken(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Another hand on the same connection: one sends while the other reads.
    pub(crate) fn sibling(&self) -> Client {
        Client {
            stream: self.stream.try_clone().expect("a descriptor is free"),
            received: Vec::new(),
        }
    }

    /// The next bytes are these.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        while self.received.len() < expected.len() && self.received == expected[..self.received.len()] {
            if self.receive() == 0 {
                break;
            }
        }
        let common = self.received.len().min(expected.len());
        let got = &self.received[..common];
        assert_eq!(
            shown(got),
            shown(expected),
            "after these came: {}",
            shown(&self.received[common..])
        );
        self.received.drain(..expected.len());
    }

    /// Sends words separated by blanks, and expects this reply.
    #[track_caller]
    pub(crate) fn says(&mut self, line: &str, expected: impl AsRef<[u8]>) {
        self.send(words(line));
        self.expect_for(line, expected.as_ref());
    }

    /// Sends a request of any bytes, and expects this reply.
    #[track_caller]
    pub(crate) fn asks(&mut self, arguments: &[&[u8]], expected: impl AsRef<[u8]>) {
        self.send(request(arguments));
        self.expect(expected);
    }

    /// Sends words and returns the whole reply.
    #[track_caller]
    pub(crate) fn hears(&mut self, line: &str) -> Vec<u8> {
        self.send(words(line));
        self.reply()
    }

    /// The next whole reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = whole_reply(&self.received) {
                return self.received.drain(..end).collect();
            }
            assert!(
                self.receive() > 0,
                "closed in the middle of a reply: {}",
                shown(&self.received)
            );
        }
    }

    /// The server closes the connection, and these are the last bytes before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, expected: impl AsRef<[u8]>) {
        self.expect(expected);
        while self.receive() > 0 {}
        assert_eq!(shown(&self.received), "", "nothing else comes");
    }

    /// Everything until the server closes the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.receive() > 0 {}
        std::mem::take(&mut self.received)
    }

    /// Says that it will send no more.
    pub(crate) fn close_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it was open");
    }

    /// Ends the connection with a reset instead of a farewell.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket has the option");
    }

    /// Bytes received; 0 at the end.
    #[track_caller]
    fn receive(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(bytes) => {
                self.received.extend_from_slice(&buffer[..bytes]);
                bytes
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}; received so far: {}", shown(&self.received)),
        }
    }

    #[track_caller]
    fn expect_for(&mut self, line: &str, expected: &[u8]) {
        println!("> {}", &line[..line.len().min(120)]);
        self.expect(expected);
    }
}

/// A request as an array of bulks.
pub(crate) fn request(arguments: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A request of words separated by blanks.
pub(crate) fn words(line: &str) -> Vec<u8> {
    request(&line.split_ascii_whitespace().collect::<Vec<_>>())
}

/// Bytes as one reads them in a failure.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 2_000;
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let rest = bytes.len() - cut.len();
    let text = cut.escape_ascii().to_string();
    if rest == 0 {
        text
    } else {
        format!("{text}… and {rest} bytes")
    }
}

/// Where the first reply ends, if all of it is there.
pub(crate) fn whole_reply(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let number = || -> i64 {
        let text = str::from_utf8(&bytes[1..line_end]).expect("a header is ASCII");
        text.parse().expect("a header is a number")
    };
    let mut end = line_end + 2;
    let parts = match bytes[0] {
        b'+' | b'-' | b':' | b',' | b'_' | b'#' => 0,
        b'$' | b'=' => {
            if number() >= 0 {
                end += number() as usize + 2;
            }
            0
        }
        b'*' | b'~' | b'>' => number().max(0),
        b'%' => number() * 2,
        other => panic!("{other:#x} starts no reply: {}", shown(bytes)),
    };
    for _ in 0..parts {
        end += whole_reply(bytes.get(end..)?)?;
    }
    (end <= bytes.len()).then_some(end)
}

/// Long, for test machines are slow; what waits this long will wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);
