//! Replies in RESP2, read from a socket.

use std::io::{self, BufRead, Read};

use crate::limits::{BULK_BYTES_MAX, REPLY_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_LINE_BYTES_MAX};

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
    Null,
}

impl Reply {
    /// The bytes of a bulk.
    pub(crate) fn into_bulk(self) -> Option<Vec<u8>> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn into_array(self) -> Option<Vec<Reply>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// A number, also one that is sent as text.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bulk(_) | Self::Simple(_) => self.text()?.parse().ok(),
            _ => None,
        }
    }

    /// The text of a bulk or a simple string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Simple(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a name in a map that RESP2 writes as a flat array.
    pub(crate) fn field(&self, name: &str) -> Option<&Reply> {
        let Self::Array(items) = self else { return None };
        let mut pairs = items.chunks_exact(2);
        pairs.find(|pair| pair[0].text() == Some(name)).map(|pair| &pair[1])
    }
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum ReplyError {
    /// The socket failed or was closed.
    Socket(io::Error),
    /// What came is not RESP2, or larger than a limit.
    Malformed(&'static str),
}

impl From<io::Error> for ReplyError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// Reads one reply. Memory grows with the bytes that come, never with a length that was announced.
pub(crate) fn read(source: &mut impl BufRead) -> Result<Reply, ReplyError> {
    read_nested(source, REPLY_DEPTH_MAX, &mut REPLY_BYTES_MAX.clone())
}

fn read_nested(source: &mut impl BufRead, depth: usize, budget: &mut usize) -> Result<Reply, ReplyError> {
    let line = read_line(source)?;
    // An item takes memory besides its bytes.
    spend(budget, line.len() + size_of::<Reply>())?;
    let (&kind, rest) = line
        .split_first()
        .ok_or(ReplyError::Malformed("a line of a reply is empty"))?;
    let text = || String::from_utf8_lossy(rest).into_owned();
    match kind {
        b'+' => Ok(Reply::Simple(text())),
        b'-' => Ok(Reply::Error(text())),
        b':' => Ok(Reply::Integer(number(rest)?)),
        b'$' => match number(rest)? {
            -1 => Ok(Reply::Null),
            length => read_bulk(source, length, budget),
        },
        b'*' => match number(rest)? {
            -1 => Ok(Reply::Null),
            _ if depth == 0 => Err(ReplyError::Malformed("a reply nests too deep")),
            count => {
                let mut items = Vec::new();
                for _ in 0..u64::try_from(count).map_err(|_| ReplyError::Malformed("an array has a negative length"))? {
                    items.push(read_nested(source, depth - 1, budget)?);
                }
                Ok(Reply::Array(items))
            }
        },
        _ => Err(ReplyError::Malformed(
            "a reply begins with a byte that RESP does not have",
        )),
    }
}

fn read_bulk(source: &mut impl BufRead, length: i64, budget: &mut usize) -> Result<Reply, ReplyError> {
    let length = usize::try_from(length).ok().filter(|length| *length <= BULK_BYTES_MAX);
    let length = length.ok_or(ReplyError::Malformed("a string of a reply has no possible length"))?;
    spend(budget, length)?;
    let mut bytes = Vec::new();
    source.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    let mut end = [0; 2];
    // Fewer bytes than announced: the connection was closed, which the next read says.
    source.read_exact(&mut end)?;
    match &end {
        b"\r\n" => Ok(Reply::Bulk(bytes)),
        _ => Err(ReplyError::Malformed("a string of a reply is longer than announced")),
    }
}

/// A line without its end.
fn read_line(source: &mut impl BufRead) -> Result<Vec<u8>, ReplyError> {
    let mut line = Vec::new();
    source
        .by_ref()
        .take(REPLY_LINE_BYTES_MAX as u64)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(ReplyError::Socket(io::ErrorKind::UnexpectedEof.into()));
    }
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(line.to_vec()),
        None if line.len() < REPLY_LINE_BYTES_MAX && !line.ends_with(b"\n") => {
            Err(ReplyError::Socket(io::ErrorKind::UnexpectedEof.into()))
        }
        None => Err(ReplyError::Malformed("a line of a reply has no end")),
    }
}

fn number(digits: &[u8]) -> Result<i64, ReplyError> {
    let text = std::str::from_utf8(digits).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or(ReplyError::Malformed("a number of a reply is none"))
}

fn spend(budget: &mut usize, bytes: usize) -> Result<(), ReplyError> {
    *budget = budget
        .checked_sub(bytes)
        .ok_or(ReplyError::Malformed("a reply is too large"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(mut bytes: &[u8]) -> Result<Reply, ReplyError> {
        read(&mut bytes)
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let bytes = b"*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n";
        let items = vec![
            Reply::Simple("OK".into()),
            Reply::Error("ERR no".into()),
            Reply::Integer(-7),
            Reply::Bulk(b"a\r\n".to_vec()),
            Reply::Null,
            Reply::Null,
        ];
        assert_eq!(read_from(bytes).unwrap(), Reply::Array(items));
        for length in 0..bytes.len() {
            assert!(
                matches!(read_from(&bytes[..length]), Err(ReplyError::Socket(_))),
                "{length}"
            );
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error_and_takes_no_memory() {
        let nested = b"*1\r\n".repeat(100_000);
        let long_line = [b"+".as_slice(), &[b'a'; REPLY_LINE_BYTES_MAX]].concat();
        for bytes in [
            b"HTTP/1.1 200 OK\r\n".as_slice(),
            b"\r\n",
            b"+OK\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$999999999999\r\n",
            b"*-2\r\n",
            b"$1\r\nab\r\n",
            &nested,
            &long_line,
        ] {
            assert!(matches!(read_from(bytes), Err(ReplyError::Malformed(_))));
        }
        assert!(matches!(
            read_from(b"*4000000000\r\n:1\r\n"),
            Err(ReplyError::Socket(_))
        ));
    }

    #[test]
    fn a_flat_map_is_searched_by_name() {
        let map = Reply::Array(vec![
            Reply::Bulk(b"size".to_vec()),
            Reply::Integer(3),
            Reply::Bulk(b"x".to_vec()),
        ]);
        assert_eq!(map.field("size").and_then(Reply::integer), Some(3));
        assert_eq!(map.field("x"), None);
    }
}
