//! The request reader on any bytes, cut in any way.
//!
//! The first byte chooses the limits, the second how the rest arrives: in pieces of that many bytes. What must hold:
//!
//! 1. Reading ends: every request takes at least a byte and no more than there are.
//! 2. A request within an array is the one spelling of its arguments, and within the limits.
//! 3. The pieces do not matter: requests, bytes taken and error are those of the bytes in one piece.
//! 4. Room is asked for inside a request only, and never more than has arrived (or one socket read).

use kora_resp::limits::{LOGIN_ARGUMENTS_MAX, LOGIN_BULK_BYTES_MAX, TRUSTED_BYTES_MIN, WANTED_BYTES_MIN};
use kora_resp::{Login, ProtocolError, Reader, ReaderLimits};

/// Panics if one of the four does not hold.
pub fn check(bytes: &[u8]) {
    let [choice, piece_bytes, stream @ ..] = bytes else {
        return;
    };
    let limits = limits(*choice);
    let whole = read(stream, stream.len(), limits);
    let cut = read(stream, usize::from(*piece_bytes).max(1), limits);
    assert_eq!(whole, cut, "in pieces of {piece_bytes} bytes");
}

#[derive(Debug, PartialEq)]
struct Seen {
    requests: Vec<Vec<Vec<u8>>>,
    consumed: usize,
    error: Option<ProtocolError>,
}

fn read(stream: &[u8], piece_bytes: usize, limits: ReaderLimits) -> Seen {
    let mut reader = Reader::new(limits);
    let mut seen = Seen {
        requests: Vec::new(),
        consumed: 0,
        error: None,
    };
    let mut arrived = 0;
    while arrived < stream.len() {
        arrived = (arrived + piece_bytes).min(stream.len());
        loop {
            let unread = &stream[seen.consumed..arrived];
            match reader.read(unread) {
                Ok(Some(request)) => {
                    let arguments: Vec<Vec<u8>> = request.arguments().map(<[u8]>::to_vec).collect();
                    assert!((1..=unread.len()).contains(&request.consumed()));
                    check_request(&arguments, &unread[..request.consumed()], limits);
                    seen.consumed += request.consumed();
                    seen.requests.push(arguments);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.read(unread).err(), Some(error), "an error is the last word");
                    seen.error = Some(error);
                    return seen;
                }
            }
        }
        let rest = arrived - seen.consumed;
        assert_eq!(reader.wanted() == 0, rest == 0);
        assert!(rest >= TRUSTED_BYTES_MIN || reader.wanted() <= rest.max(WANTED_BYTES_MIN));
    }
    seen
}

fn check_request(arguments: &[Vec<u8>], bytes: &[u8], limits: ReaderLimits) {
    assert!(bytes.len() <= limits.request_bytes_max.max(limits.inline_bytes_max + 2));
    assert!(arguments.len() <= limits.arguments_max);
    assert!(limits.login == Login::Done || arguments.len() <= LOGIN_ARGUMENTS_MAX);
    for argument in arguments {
        assert!(argument.len() <= limits.bulk_bytes_max.max(limits.inline_bytes_max));
        assert!(limits.login == Login::Done || argument.len() <= LOGIN_BULK_BYTES_MAX);
    }
    if bytes[0] == b'*' && !arguments.is_empty() {
        assert_eq!(spelled(arguments), bytes);
    }
}

fn spelled(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn limits(choice: u8) -> ReaderLimits {
    match choice % 3 {
        0 => ReaderLimits::default(),
        1 => ReaderLimits::unauthenticated(),
        _ => ReaderLimits {
            arguments_max: 4,
            bulk_bytes_max: 16,
            request_bytes_max: 64,
            inline_bytes_max: 16,
            ..ReaderLimits::default()
        },
    }
}
