//! Requests out of a connection's bytes: a resumable, flat cursor.
//!
//! redis-protocol can decode requests too, and is the oracle of our tests. It does not read our clients, for four
//! reasons, all reproduced against 6.0.0: it recurses once per nested array without a limit, so that 8,000 times `*1\r\n`
//! overflows a 2 MiB stack before anybody has logged in; it does not look at the two bytes after a bulk; it starts again
//! at byte 0 whenever more has arrived; and it knows no inline requests. Being flat, the cursor here is also several
//! times as fast (`benches/reader.rs`).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::ProtocolError;
use crate::header::Header;
use crate::inline;
use crate::limits::{
    ARGUMENT_BYTES_MIN, ARGUMENTS_KEPT, ARGUMENTS_TRUSTED, INLINE_BYTES_KEPT, LOGIN_ARGUMENTS_MAX,
    LOGIN_BULK_BYTES_MAX, Login, ReaderLimits, TRUSTED_BYTES_MIN, WANTED_BYTES_MIN,
};
use crate::words::{Words, is_nearly_all};

/// Reads one connection's requests.
///
/// A request is an array of bulks (`*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`) or an inline line (`ECHO hi\r\n`). Everything else,
/// and everything beyond the limits, is a [`ProtocolError`]; after one the reader answers nothing else any more.
///
/// What a request is does not depend on how its bytes were cut into reads: tests hold every input against itself one byte
/// at a time.
#[derive(Debug)]
pub struct Reader {
    limits: ReaderLimits,
    stage: ReadStage,
    /// Bytes of the request being read which need not be looked at again: whole arguments, or the part of an inline line
    /// without a line feed. Zero between requests.
    ///
    /// Invariant: at most the length of the `unread` that comes next.
    position: usize,
    /// The least number of bytes the request being read can have in the end, and how many of them the last read saw.
    ///
    /// Invariant: `seen < needed`, or both are zero between requests.
    needed: usize,
    seen: usize,
    /// The arguments found so far, as places in `unread`, or in `unescaped` for an inline request. Kept until the next
    /// read, for the [`Request`] borrows them.
    arguments: Vec<Argument>,
    /// How long the longest of them is, if they are an array's.
    longest: usize,
    unescaped: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum ReadStage {
    /// Nothing of the next request has been read.
    Between,
    /// Inside an array of bulks which lacks `missing` arguments.
    ///
    /// Invariant: `missing > 0`.
    Array { missing: usize },
    /// Inside an inline line.
    Line,
    /// Where the next request starts is not known.
    Broken(ProtocolError),
}

impl Reader {
    /// A reader at the start of a connection. Limits above their ceilings are lowered to them.
    pub fn new(limits: ReaderLimits) -> Reader {
        Reader {
            limits: limits.under_ceilings(),
            stage: ReadStage::Between,
            position: 0,
            needed: 0,
            seen: 0,
            arguments: Vec::new(),
            longest: 0,
            unescaped: Vec::new(),
        }
    }

    /// Changes the limits, as a login or CONFIG SET does. What was already promised within the old ones still counts.
    pub fn set_limits(&mut self, limits: ReaderLimits) {
        self.limits = limits.under_ceilings();
    }

    /// Reads the next request, if all of it is there.
    ///
    /// `unread` starts at the first byte after the last finished request. On `Ok(None)` call again with the same bytes
    /// and more behind them. Whole arguments are not read again, so a new byte costs O(1) however the bytes are cut: at
    /// most one header line of [`HEADER_BYTES_MAX`](crate::limits::HEADER_BYTES_MAX) is looked at twice.
    ///
    /// # Panics
    ///
    /// If `unread` lacks bytes which were there at the last `Ok(None)`.
    pub fn read<'a>(&'a mut self, unread: &'a [u8]) -> Result<Option<Request<'a>>, ProtocolError> {
        assert!(
            self.position <= unread.len(),
            "bytes of an unfinished request were taken away"
        );
        match self.advance(unread) {
            Ok(None) => {
                self.seen = unread.len();
                self.needed = match self.stage {
                    ReadStage::Between if unread.is_empty() => 0,
                    _ => self.needed.max(self.seen + 1),
                };
                Ok(None)
            }
            Ok(Some(End { consumed, text })) => {
                debug_assert!(consumed <= unread.len());
                self.stage = ReadStage::Between;
                (self.position, self.needed, self.seen) = (0, 0, 0);
                let (text, longest) = match text {
                    Text::Unread => (unread, self.longest),
                    Text::Unescaped => (&self.unescaped[..], self.unescaped.len()),
                };
                Ok(Some(Request {
                    arguments: &self.arguments,
                    text,
                    longest,
                    kept: None,
                    consumed,
                }))
            }
            Err(error) => {
                self.stage = ReadStage::Broken(error);
                Err(error)
            }
        }
    }

    /// Keeps the array that was read last, whose bytes have become memory of their own.
    ///
    /// # Panics
    ///
    /// If they are not the bytes that it consumed.
    pub fn keep(&mut self, bytes: Bytes) -> KeptRequest {
        let end = self.arguments.last().map(|last| last.end() + 2);
        assert!(
            bytes.first() == Some(&b'*') && end == Some(bytes.len()),
            "an array's own bytes"
        );
        KeptRequest {
            text: bytes,
            places: Arc::new(std::mem::take(&mut self.arguments)),
            longest: self.longest,
        }
    }

    /// How many more bytes to have room for: a lower bound of what the request being read still lacks, zero between
    /// requests.
    ///
    /// It is what the client promised, but never more than as much again as it has already sent (or one socket read, if
    /// that is more): a promise alone reserves nothing. Of a large argument it is all from [`TRUSTED_BYTES_MIN`] on, so that
    /// what has come is not copied to a larger place again and again; the system gives memory for it as it arrives.
    pub fn wanted(&self) -> usize {
        match self.seen >= TRUSTED_BYTES_MIN {
            true => self.needed - self.seen,
            false => (self.needed - self.seen).min(self.seen.max(WANTED_BYTES_MIN)),
        }
    }

    /// Bytes that the client has promised and not sent yet, as far as they are known: those of the argument that arrives.
    pub fn missing(&self) -> usize {
        self.needed - self.seen
    }

    fn advance(&mut self, unread: &[u8]) -> Result<Option<End>, ProtocolError> {
        match self.stage {
            ReadStage::Between => {
                self.forget_arguments();
                match unread.first() {
                    None => Ok(None),
                    Some(b'*') => self.read_count(unread),
                    Some(_) => {
                        self.stage = ReadStage::Line;
                        self.read_line(unread)
                    }
                }
            }
            ReadStage::Array { missing } => self.read_arguments(unread, missing),
            ReadStage::Line => self.read_line(unread),
            ReadStage::Broken(error) => Err(error),
        }
    }

    /// Reads `*3\r\n` and goes on to the arguments. Counts below one, `*-1` of a null array among them, are requests
    /// without arguments, as in Redis.
    fn read_count(&mut self, unread: &[u8]) -> Result<Option<End>, ProtocolError> {
        let (count, bytes) = match Header::read(&unread[1..]) {
            Header::Number { value, bytes } => (value, 1 + bytes),
            Header::Unfinished => return Ok(None),
            Header::NotNumber => return Err(ProtocolError::InvalidCount),
            Header::Endless => return Err(ProtocolError::TooBigCountHeader),
        };
        let Ok(missing @ 1..) = usize::try_from(count) else {
            // Not negative means too large for this platform, otherwise there is nothing to wait for.
            let empty = End {
                consumed: bytes,
                text: Text::Unread,
            };
            return if count > 0 {
                Err(ProtocolError::TooManyArguments(self.limits.arguments_max))
            } else {
                Ok(Some(empty))
            };
        };
        self.check_count(missing)?;
        self.position = bytes;
        self.read_arguments(unread, missing)
    }

    fn read_arguments(&mut self, unread: &[u8], mut missing: usize) -> Result<Option<End>, ProtocolError> {
        let mut position = self.position;
        while missing > 0 {
            match self.read_argument(unread, position)? {
                Found::Whole(argument) => {
                    if self.arguments.len() == self.arguments.capacity() && self.arguments.len() >= ARGUMENTS_TRUSTED {
                        self.arguments.reserve_exact(missing);
                    }
                    self.arguments.push(argument);
                    self.longest = self.longest.max(argument.end() - argument.start());
                    position = argument.end() + 2;
                    missing -= 1;
                }
                Found::Part { end } => {
                    self.position = position;
                    self.needed = end + (missing - 1) * ARGUMENT_BYTES_MIN;
                    self.stage = ReadStage::Array { missing };
                    return Ok(None);
                }
            }
        }
        Ok(Some(End {
            consumed: position,
            text: Text::Unread,
        }))
    }

    /// Reads `$5\r\nhello\r\n` at `position`.
    #[inline]
    fn read_argument(&self, unread: &[u8], position: usize) -> Result<Found, ProtocolError> {
        let (length, start) = match unread[position..] {
            [] => {
                return Ok(Found::Part {
                    end: position + ARGUMENT_BYTES_MIN,
                });
            }
            [b'$', ref header @ ..] => match Header::read(header) {
                Header::Number { value, bytes } => (value, position + 1 + bytes),
                Header::Unfinished => {
                    return Ok(Found::Part {
                        end: position + ARGUMENT_BYTES_MIN,
                    });
                }
                Header::NotNumber => return Err(ProtocolError::InvalidBulkLength),
                Header::Endless => return Err(ProtocolError::TooBigBulkHeader),
            },
            [got, ..] => return Err(ProtocolError::ExpectedBulk(got)),
        };
        let length = usize::try_from(length).map_err(|_| ProtocolError::InvalidBulkLength)?;
        self.check_bulk(length)?;
        let end = start + length;
        if end + 2 > self.limits.request_bytes_max {
            return Err(ProtocolError::TooBigRequest(self.limits.request_bytes_max));
        }
        match unread.get(end..) {
            Some([b'\r', b'\n', ..]) => Ok(Found::Whole(Argument::new(start, end))),
            None | Some([] | [b'\r']) => Ok(Found::Part { end: end + 2 }),
            Some(_) => Err(ProtocolError::ExpectedBulkEnd),
        }
    }

    /// Reads an inline request up to its line feed.
    fn read_line(&mut self, unread: &[u8]) -> Result<Option<End>, ProtocolError> {
        let line_bytes_max = match self.limits.login {
            Login::Done => self.limits.inline_bytes_max,
            Login::Awaited => self.limits.inline_bytes_max.min(LOGIN_BULK_BYTES_MAX),
        }
        .min(self.limits.request_bytes_max);
        // The line's end, of one or two bytes, does not count.
        let window = &unread[..unread.len().min(line_bytes_max + 2)];
        // Limits may have been lowered below what was already searched.
        let searched = self.position.min(window.len());
        let Some(distance) = window[searched..].iter().position(|&byte| byte == b'\n') else {
            self.position = window.len();
            let may_end = window.len() == line_bytes_max + 1 && window.ends_with(b"\r");
            return if window.len() > line_bytes_max && !may_end {
                Err(ProtocolError::TooBigInline(line_bytes_max))
            } else {
                Ok(None)
            };
        };
        // A carriage return before the line feed is a blank, and blanks at the end mean nothing.
        let line_feed = searched + distance;
        if line_feed > line_bytes_max && unread[line_bytes_max] != b'\r' {
            return Err(ProtocolError::TooBigInline(line_bytes_max));
        }
        inline::split(&unread[..line_feed], &mut self.unescaped, &mut self.arguments)?;
        self.check_count(self.arguments.len())?;
        Ok(Some(End {
            consumed: line_feed + 1,
            text: Text::Unescaped,
        }))
    }

    fn check_count(&self, count: usize) -> Result<(), ProtocolError> {
        if count > self.limits.arguments_max {
            return Err(ProtocolError::TooManyArguments(self.limits.arguments_max));
        }
        match self.limits.login {
            Login::Awaited if count > LOGIN_ARGUMENTS_MAX => Err(ProtocolError::UnauthenticatedCount),
            _ => Ok(()),
        }
    }

    fn check_bulk(&self, length: usize) -> Result<(), ProtocolError> {
        if length > self.limits.bulk_bytes_max {
            return Err(ProtocolError::TooLongBulk(self.limits.bulk_bytes_max));
        }
        match self.limits.login {
            Login::Awaited if length > LOGIN_BULK_BYTES_MAX => Err(ProtocolError::UnauthenticatedBulkLength),
            _ => Ok(()),
        }
    }

    /// Forgets the last request, and gives back what only an unusually large one needed.
    fn forget_arguments(&mut self) {
        self.arguments.clear();
        self.longest = 0;
        if self.arguments.capacity() > ARGUMENTS_KEPT {
            self.arguments.shrink_to(ARGUMENTS_KEPT);
        }
        if self.unescaped.capacity() > INLINE_BYTES_KEPT {
            self.unescaped.clear();
            self.unescaped.shrink_to(INLINE_BYTES_KEPT);
        }
    }
}

/// One request: its arguments, the command's name first, in the connection's own bytes.
///
/// A request without arguments (`*0\r\n`, a blank line) is to be skipped without a reply.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    arguments: &'a [Argument],
    text: &'a [u8],
    /// No argument is longer.
    longest: usize,
    /// Where it is kept, if it is.
    kept: Option<&'a KeptRequest>,
    consumed: usize,
}

impl<'a> Request<'a> {
    /// The arguments of these places in a text.
    pub(crate) fn of_places(arguments: &'a [Argument], text: &'a [u8], longest: usize) -> Request<'a> {
        Request {
            arguments,
            text,
            longest,
            kept: None,
            consumed: 0,
        }
    }

    /// The number of arguments, the command's name included.
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Whether there is nothing to do and nothing to reply.
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// The argument at `index`; 0 is the command's name.
    ///
    /// # Panics
    ///
    /// If there are not that many.
    pub fn argument(&self, index: usize) -> &'a [u8] {
        self.arguments[index].of(self.text)
    }

    /// The argument at `index`, if there are that many.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.arguments.get(index).map(|argument| argument.of(self.text))
    }

    /// All arguments in order.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone + use<'a> {
        let text = self.text;
        self.arguments.iter().map(move |argument| argument.of(text))
    }

    /// How long the arguments are, without looking at them.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + use<'a> {
        self.arguments.iter().map(|argument| argument.end() - argument.start())
    }

    /// No argument is longer: known without a look at each, of which there may be a million.
    pub fn length_max(&self) -> usize {
        self.longest
    }

    /// The arguments from `index` on, for whoever needs them for longer: they are copied, or stay where they are if the
    /// request is kept.
    pub fn words(&self, index: usize) -> Words {
        match self.kept {
            Some(kept) => Words::shared(kept.text.clone(), Arc::clone(&kept.places), index),
            None => Words::copied(self.text, &self.arguments[index..]),
        }
    }

    /// The argument at `index` where it is, if the request is kept and that argument is nearly all of it: whoever holds on to
    /// it holds hardly anything else.
    pub fn kept(&self, index: usize) -> Option<Bytes> {
        let (kept, argument) = (self.kept?, self.arguments[index]);
        is_nearly_all(&argument, &kept.text).then(|| kept.text.slice(argument.start()..argument.end()))
    }

    /// How far to advance `unread` before the next read.
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

/// A large request in memory of its own, of which what outlives it may be a part.
#[derive(Debug)]
pub struct KeptRequest {
    pub(crate) text: Bytes,
    pub(crate) places: Arc<Vec<Argument>>,
    pub(crate) longest: usize,
}

impl KeptRequest {
    /// It as a request like any other.
    pub fn request(&self) -> Request<'_> {
        Request {
            arguments: &self.places,
            text: &self.text,
            longest: self.longest,
            kept: Some(self),
            consumed: self.text.len(),
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.arguments().map(|argument| argument.escape_ascii().to_string()))
            .finish()
    }
}

/// Where an argument lies. Half the size of a `Range<usize>`: a text vector has thousands.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Argument {
    start: u32,
    end: u32,
}

impl Argument {
    pub(crate) fn new(start: usize, end: usize) -> Argument {
        // Requests are at most REQUEST_BYTES_CEILING long, which limits.rs holds below u32::MAX.
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Argument {
            start: start as u32,
            end: end as u32,
        }
    }

    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    pub(crate) fn end(self) -> usize {
        self.end as usize
    }

    /// Where it lies in a text that lacks the first `bytes`.
    pub(crate) fn without(self, bytes: usize) -> Argument {
        Argument::new(self.start() - bytes, self.end() - bytes)
    }

    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// A request is whole: it took `consumed` bytes and its arguments lie in `text`.
struct End {
    consumed: usize,
    text: Text,
}

enum Text {
    Unread,
    Unescaped,
}

enum Found {
    Whole(Argument),
    /// The argument will end at `end` or later, its CRLF included.
    Part {
        end: usize,
    },
}

#[cfg(test)]
mod tests;
