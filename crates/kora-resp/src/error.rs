//! What breaks a connection: bytes after which the place of the next request is no longer known.

use std::{error, fmt};

use crate::reply::Reply;

/// The client broke the protocol. The stream can't be trusted any more: send the error, then close.
///
/// Displayed, it is Redis's text from `Protocol error:` on; as a [`Reply`] the code `ERR ` stands before it, as in Redis.
/// Where a limit was passed, the limit follows Redis's text.
/// The variants of which Redis has no words (it does not check) are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A `*` header that is no number.
    InvalidCount,
    /// More arguments than the limit, which it holds.
    TooManyArguments(usize),
    /// A `*` header line without an end.
    TooBigCountHeader,
    /// More arguments than a client may send before it logs in.
    UnauthenticatedCount,
    /// Something else where an argument's `$` had to be; holds the byte found.
    ExpectedBulk(u8),
    /// A `$` header that is no number, or is negative (a null).
    InvalidBulkLength,
    /// A `$` header that promises more bytes than the limit, which it holds.
    TooLongBulk(usize),
    /// A `$` header line without an end.
    TooBigBulkHeader,
    /// A longer argument than a client may send before it logs in.
    UnauthenticatedBulkLength,
    /// An argument that is not followed by CRLF. Not in Redis.
    ExpectedBulkEnd,
    /// The arguments announced so far exceed what one request may hold, so many bytes. Not in Redis, which closes without a
    /// word.
    TooBigRequest(usize),
    /// An inline request of more bytes than the limit, which it holds, or without an end.
    TooBigInline(usize),
    /// An inline request whose quote is not closed, or closed in the middle of a word.
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            ProtocolError::InvalidCount => f.write_str("invalid multibulk length"),
            ProtocolError::TooManyArguments(max) => {
                write!(f, "invalid multibulk length: at most {max} arguments are allowed")
            }
            ProtocolError::TooBigCountHeader => f.write_str("too big mbulk count string"),
            ProtocolError::UnauthenticatedCount => f.write_str("unauthenticated multibulk length"),
            // Redis prints the byte as it is; a control character would end or garble the error line it stands in.
            ProtocolError::ExpectedBulk(got @ (b' '..=b'~')) => write!(f, "expected '$', got '{}'", char::from(*got)),
            ProtocolError::ExpectedBulk(got) => write!(f, "expected '$', got '\\x{got:02x}'"),
            ProtocolError::InvalidBulkLength => f.write_str("invalid bulk length"),
            ProtocolError::TooLongBulk(max) => {
                write!(f, "invalid bulk length: proto-max-bulk-len allows at most {max} bytes")
            }
            ProtocolError::TooBigBulkHeader => f.write_str("too big bulk count string"),
            ProtocolError::UnauthenticatedBulkLength => f.write_str("unauthenticated bulk length"),
            ProtocolError::ExpectedBulkEnd => f.write_str("expected CRLF after a bulk"),
            ProtocolError::TooBigRequest(max) => write!(f, "too big request: at most {max} bytes are allowed"),
            ProtocolError::TooBigInline(max) => write!(f, "too big inline request: at most {max} bytes are allowed"),
            ProtocolError::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

impl error::Error for ProtocolError {}

impl From<ProtocolError> for Reply {
    fn from(error: ProtocolError) -> Reply {
        Reply::Error(format!("ERR {error}"))
    }
}
