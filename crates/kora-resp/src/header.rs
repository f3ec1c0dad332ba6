//! Header lines: `*3`, `$1536`, and the bounds on what may pretend to be one.

use crate::limits::HEADER_BYTES_MAX;
use crate::number::parse_i64;

/// The number on a header line, after its `*` or `$`.
pub(crate) enum Header {
    /// The number, and how many bytes it took with its CRLF.
    Number { value: i64, bytes: usize },
    /// Its CRLF has not arrived.
    Unfinished,
    /// It is anything but the strictest spelling of an i64, or its CR is not followed by LF.
    NotNumber,
    /// More than [`HEADER_BYTES_MAX`] bytes and no CR.
    Endless,
}

impl Header {
    /// Reads the line which starts behind a `*` or `$`.
    #[inline(always)]
    pub(crate) fn read(line: &[u8]) -> Header {
        // Nearly every header is one of these. A longer one stands before at least a hundred bytes, which hide its cost.
        match *line {
            [one @ b'0'..=b'9', b'\r', b'\n', ..] => Header::Number {
                value: i64::from(one - b'0'),
                bytes: 3,
            },
            [ten @ b'1'..=b'9', one @ b'0'..=b'9', b'\r', b'\n', ..] => Header::Number {
                value: i64::from(ten - b'0') * 10 + i64::from(one - b'0'),
                bytes: 4,
            },
            _ => Header::read_any(line),
        }
    }

    #[inline(never)]
    fn read_any(line: &[u8]) -> Header {
        // The kind byte before `line` counts as part of the header line.
        let window = &line[..line.len().min(HEADER_BYTES_MAX)];
        let Some(end) = window.iter().position(|&byte| byte == b'\r') else {
            return if window.len() == HEADER_BYTES_MAX {
                Header::Endless
            } else {
                Header::Unfinished
            };
        };
        match (parse_i64(&line[..end]), line.get(end + 1)) {
            (Some(_), None) => Header::Unfinished,
            (Some(value), Some(b'\n')) => Header::Number { value, bytes: end + 2 },
            _ => Header::NotNumber,
        }
    }
}
