//! Replies, and how each is spelled in RESP2 and RESP3.
//!
//! redis-protocol spells every scalar. The headers of aggregates and the text of floats are written here: its encoders take
//! an aggregate as a finished tree of frames (a second one beside [`Reply`], and a hash map for every map), and a double
//! only as f64, so that the f32 0.1 would read 0.10000000149011612. Tests hold every spelling against its decoders.

use std::borrow::Cow;
use std::vec;

use bytes::{BufMut, Bytes, BytesMut};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::encode::extend_encode_borrowed as encode_resp2;
use redis_protocol::resp2::types::BorrowedFrame as Resp2;
use redis_protocol::resp3::encode::complete::extend_encode_borrowed as encode_resp3;
use redis_protocol::resp3::types::{BorrowedFrame as Resp3, VerbatimStringFormat};

use crate::bulks::{Bulks, Interleaved, SHARED_BYTES_MIN, Unpacking};
use crate::limits::{HEADER_BYTES_MAX, REPLY_DEPTH_MAX};
use crate::number::{Digits, print_f64, spell};

/// The protocol a client has chosen with HELLO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// What every client speaks at first.
    #[default]
    Resp2,
    /// With maps, doubles, sets, booleans and pushes.
    Resp3,
}

/// What a server can say, before it is known in which version.
///
/// At most [`REPLY_DEPTH_MAX`] deep. Replies are built by commands, never from the shape of what a client sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+OK`.
    Simple(&'static str),
    /// `-ERR …`: the code, then the reason. Line ends in it are written as spaces, so it may quote a client.
    Error(String),
    /// `:42`.
    Integer(i64),
    /// A bulk of any bytes.
    Bulk(Bytes),
    /// A bulk of text.
    Text(String),
    /// Text to be shown as it is: `=…txt:…`, in RESP2 a bulk.
    Verbatim(String),
    /// No value: `_`, in RESP2 the null bulk.
    Null,
    /// No array: `_`, in RESP2 the null array.
    NullArray,
    /// `,1.5`, in RESP2 a bulk of the same text.
    Double(f32),
    /// The same of a double as Redis spells it: see [`print_f64`](crate::number::print_f64).
    Number(f64),
    /// `#t` or `#f`, in RESP2 the integers 1 and 0.
    Boolean(bool),
    /// An array.
    Array(Vec<Reply>),
    /// A map, in RESP2 an array in which keys and values alternate.
    Map(Vec<(Reply, Reply)>),
    /// An array of bulks.
    Bulks(Box<Bulks>),
    /// A map of bulks in which keys and values alternate, in RESP2 an array of them.
    BulkMap(Box<Bulks>),
    /// Bulks of which each two make an array, in RESP2 an array of all of them.
    BulkPairs(Box<Bulks>),
    /// An array of bulks that lie in several lists.
    Interleaved(Box<Interleaved>),
    /// A set, in RESP2 an array.
    Set(Vec<Reply>),
    /// Names with scores: an array of `[bulk, double]` pairs, in RESP2 an array in which names and bulk texts alternate.
    Scored(Vec<(Bytes, f32)>),
    /// An array of arrays, in RESP2 one array of all that these hold.
    Rows(Vec<Box<[Reply]>>),
    /// A map of the first of each three to an array of the other two, in RESP2 one array of all of them.
    MapOfPairs(Vec<[Reply; 3]>),
    /// An array of doubles, in RESP2 of bulk texts.
    Floats(Vec<f32>),
    /// Not an answer but a message: `>`, in RESP2 an array.
    Push(Vec<Reply>),
    /// Several replies, one behind the other: SUBSCRIBE has one for each channel. Never inside another reply.
    Sequence(Vec<Reply>),
    /// Spelled already, in the version of whom it is for: what a script returns, whose shape is the script's.
    Spelled(Bytes),
}

impl Reply {
    /// `+OK`.
    pub fn ok() -> Reply {
        Reply::Simple("OK")
    }

    /// An estimate of the bytes this reply takes, held and spelled, whichever is more: what a connection's output is
    /// accounted by before it is written. Never below the encoded size.
    pub fn bytes_hint(&self) -> usize {
        self.bytes_hint_at(0)
    }

    /// Shows the bytes of every bulk that is so long that its bytes are not copied into a reply but shared with whoever
    /// keeps the value. Each bulk is shown, also where several have the same bytes.
    pub fn for_each_shared(&self, show: &mut impl FnMut(&Bytes)) {
        match self {
            Reply::Bulk(bytes) if bytes.len() >= SHARED_BYTES_MIN => show(bytes),
            Reply::Array(replies) | Reply::Set(replies) | Reply::Push(replies) => {
                replies.iter().for_each(|reply| reply.for_each_shared(show));
            }
            Reply::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                key.for_each_shared(show);
                value.for_each_shared(show);
            }),
            Reply::Bulks(bulks) | Reply::BulkMap(bulks) | Reply::BulkPairs(bulks) => bulks.for_each_shared(show),
            Reply::Interleaved(interleaved) => interleaved.for_each_shared(show),
            _ => {}
        }
    }

    fn bytes_hint_at(&self, depth: usize) -> usize {
        assert!(depth <= REPLY_DEPTH_MAX, "replies nest at most REPLY_DEPTH_MAX deep");
        let inside = |replies: &[Reply]| {
            replies
                .iter()
                .map(|reply| reply.bytes_hint_at(depth + 1))
                .sum::<usize>()
        };
        let held = match self {
            Reply::Simple(_) | Reply::Integer(_) | Reply::Null | Reply::NullArray => 0,
            Reply::Double(_) | Reply::Number(_) | Reply::Boolean(_) => 0,
            Reply::Error(text) | Reply::Text(text) | Reply::Verbatim(text) => text.len(),
            Reply::Bulk(bytes) | Reply::Spelled(bytes) => bytes.len(),
            Reply::Array(replies) | Reply::Set(replies) | Reply::Push(replies) | Reply::Sequence(replies) => {
                inside(replies)
            }
            Reply::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| key.bytes_hint_at(depth + 1) + value.bytes_hint_at(depth + 1))
                .sum(),
            Reply::Bulks(bulks) | Reply::BulkMap(bulks) | Reply::BulkPairs(bulks) => bulks.bytes_hint(),
            Reply::Interleaved(interleaved) => interleaved.bytes_hint(),
            Reply::Scored(pairs) => pairs.iter().map(|(name, _)| name.len() + SCORED_BYTES).sum(),
            Reply::Rows(rows) => rows.iter().map(|row| inside(row) + SCALAR_BYTES).sum(),
            Reply::MapOfPairs(rows) => rows.iter().map(|row| inside(row) + SCALAR_BYTES).sum(),
            Reply::Floats(values) => values.len() * FLOAT_BYTES,
        };
        held + SCALAR_BYTES
    }
}

/// Appends `reply` to `out` as `version` spells it.
///
/// # Panics
///
/// If the reply nests deeper than [`REPLY_DEPTH_MAX`], which no command can build.
pub fn write_reply(reply: Reply, version: Version, out: &mut BytesMut) {
    let finished = Writing::new(reply, version).write(usize::MAX, out);
    debug_assert!(finished, "there was room for all of it");
}

/// A reply that is being spelled, some of it at a time: one of a hundred thousand neighbours takes as long as thousands of
/// small ones, and its memory goes as it is spelled.
#[derive(Debug)]
pub struct Writing {
    version: Version,
    /// What comes next.
    next: Option<Reply>,
    /// What comes after that: aggregates that were begun, outermost first, and a pair's value where its key was.
    /// Invariant: at most [`REPLY_DEPTH_MAX`] aggregates.
    rest: Vec<Rest>,
}

/// What is left of a reply.
#[derive(Debug)]
enum Rest {
    Value(Option<Reply>),
    Replies(vec::IntoIter<Reply>),
    Pairs(vec::IntoIter<(Reply, Reply)>),
    Scored(vec::IntoIter<(Bytes, f32)>),
    Rows(vec::IntoIter<Box<[Reply]>>),
    MapOfPairs(vec::IntoIter<[Reply; 3]>),
    Floats(vec::IntoIter<f32>),
    Bulks {
        bulks: Unpacking,
        /// How many have been spelled, if each two of them are to be an array.
        paired: Option<usize>,
    },
    Interleaved(vec::IntoIter<u8>, Vec<Unpacking>),
    /// The rest of a bulk of many bytes.
    Bytes(Bytes),
    /// The rest of what is spelled already.
    Spelled(Bytes),
}

impl Writing {
    /// Nothing of it is spelled yet.
    pub fn new(reply: Reply, version: Version) -> Writing {
        Writing {
            version,
            next: Some(reply),
            rest: Vec::new(),
        }
    }

    /// Appends more of it to `out`, until that has grown by `bytes` or a little more; true when all of it is spelled.
    ///
    /// # Panics
    ///
    /// If the reply nests deeper than [`REPLY_DEPTH_MAX`], which no command can build.
    pub fn write(&mut self, bytes: usize, out: &mut BytesMut) -> bool {
        let end = out.len().saturating_add(bytes);
        let version = self.version;
        while out.len() < end {
            if let Some(reply) = self.next.take() {
                self.begin(reply, out);
                continue;
            }
            let Some(rest) = self.rest.last_mut() else { break };
            let is_finished = match rest {
                Rest::Value(reply) => {
                    self.next = reply.take();
                    true
                }
                Rest::Replies(replies) => {
                    self.next = replies.next();
                    self.next.is_none()
                }
                Rest::Pairs(pairs) => match pairs.next() {
                    Some((key, value)) => {
                        self.next = Some(key);
                        self.rest.push(Rest::Value(Some(value)));
                        false
                    }
                    None => true,
                },
                Rest::Scored(pairs) => {
                    let pair = pairs.next();
                    pair.iter()
                        .for_each(|(name, score)| write_scored(name, *score, version, out));
                    pair.is_none()
                }
                Rest::Rows(rows) => match rows.next() {
                    Some(row) => {
                        if version == Version::Resp3 {
                            header(b'*', row.len(), out);
                        }
                        self.rest.push(Rest::Replies(row.into_vec().into_iter()));
                        false
                    }
                    None => true,
                },
                Rest::MapOfPairs(rows) => match rows.next() {
                    Some([key, first, second]) => {
                        self.next = Some(key);
                        let pair = vec![first, second];
                        self.rest.push(match version {
                            Version::Resp2 => Rest::Replies(pair.into_iter()),
                            Version::Resp3 => Rest::Value(Some(Reply::Array(pair))),
                        });
                        false
                    }
                    None => true,
                },
                Rest::Floats(values) => {
                    let value = values.next();
                    value.iter().for_each(|value| write_double(*value, version, out));
                    value.is_none()
                }
                Rest::Bulks { bulks, paired } => {
                    if let Some(spelled) = paired {
                        if spelled.is_multiple_of(2) && !bulks.is_empty() {
                            header(b'*', 2, out);
                        }
                        *spelled += 1;
                    }
                    self.next = bulks.next(|bulk| write_bulk(bulk, version, out));
                    self.next.is_none() && bulks.is_empty()
                }
                Rest::Interleaved(order, lists) => match order.next() {
                    Some(list) => {
                        self.next = lists[usize::from(list)].next(|bulk| write_bulk(bulk, version, out));
                        false
                    }
                    None => true,
                },
                Rest::Bytes(bytes) => {
                    let part = bytes.split_to(bytes.len().min(end - out.len()));
                    out.put_slice(&part);
                    if bytes.is_empty() {
                        out.put_slice(b"\r\n");
                    }
                    bytes.is_empty()
                }
                Rest::Spelled(bytes) => {
                    let part = bytes.split_to(bytes.len().min(end - out.len()));
                    out.put_slice(&part);
                    bytes.is_empty()
                }
            };
            if is_finished {
                self.rest.pop();
            }
        }
        self.next.is_none() && self.rest.is_empty()
    }

    /// Spells a scalar, or the header of an aggregate.
    fn begin(&mut self, reply: Reply, out: &mut BytesMut) {
        let version = self.version;
        let (kind, count, rest) = match reply {
            Reply::Sequence(replies) => return self.rest.push(Rest::Replies(replies.into_iter())),
            Reply::Spelled(bytes) => return self.rest.push(Rest::Spelled(bytes)),
            Reply::Array(replies) => (b'*', replies.len(), Rest::Replies(replies.into_iter())),
            Reply::Set(replies) => (kind(version, b'~'), replies.len(), Rest::Replies(replies.into_iter())),
            Reply::Push(replies) => (kind(version, b'>'), replies.len(), Rest::Replies(replies.into_iter())),
            Reply::Map(pairs) => match version {
                Version::Resp2 => (b'*', pairs.len() * 2, Rest::Pairs(pairs.into_iter())),
                Version::Resp3 => (b'%', pairs.len(), Rest::Pairs(pairs.into_iter())),
            },
            Reply::Bulks(bulks) => (b'*', bulks.len(), unpacking(*bulks)),
            Reply::BulkMap(bulks) => match version {
                Version::Resp2 => (b'*', bulks.len(), unpacking(*bulks)),
                Version::Resp3 => (b'%', bulks.len() / 2, unpacking(*bulks)),
            },
            Reply::BulkPairs(bulks) => match version {
                Version::Resp2 => (b'*', bulks.len(), unpacking(*bulks)),
                Version::Resp3 => {
                    let (count, paired) = (bulks.len() / 2, Some(0));
                    let bulks = Unpacking::new(*bulks);
                    (b'*', count, Rest::Bulks { bulks, paired })
                }
            },
            Reply::Interleaved(interleaved) => {
                let count = interleaved.len();
                let (order, lists) = interleaved.into_parts();
                (b'*', count, Rest::Interleaved(order, lists))
            }
            Reply::Scored(pairs) => match version {
                Version::Resp2 => (b'*', pairs.len() * 2, Rest::Scored(pairs.into_iter())),
                Version::Resp3 => (b'*', pairs.len(), Rest::Scored(pairs.into_iter())),
            },
            Reply::Rows(rows) => match version {
                Version::Resp2 => {
                    let count = rows.iter().map(|row| row.len()).sum();
                    (b'*', count, Rest::Rows(rows.into_iter()))
                }
                Version::Resp3 => (b'*', rows.len(), Rest::Rows(rows.into_iter())),
            },
            Reply::MapOfPairs(rows) => match version {
                Version::Resp2 => (b'*', rows.len() * 3, Rest::MapOfPairs(rows.into_iter())),
                Version::Resp3 => (b'%', rows.len(), Rest::MapOfPairs(rows.into_iter())),
            },
            Reply::Floats(values) => (b'*', values.len(), Rest::Floats(values.into_iter())),
            Reply::Bulk(bytes) if bytes.len() > WHOLE_BYTES_MAX => {
                header(b'$', bytes.len(), out);
                return self.rest.push(Rest::Bytes(bytes));
            }
            scalar => return write_scalar(&scalar, version, out),
        };
        header(kind, count, out);
        self.rest.push(rest);
        let depth = self
            .rest
            .iter()
            .filter(|rest| !matches!(rest, Rest::Value(_) | Rest::Bytes(_) | Rest::Spelled(_)))
            .count();
        assert!(depth <= REPLY_DEPTH_MAX, "replies nest at most REPLY_DEPTH_MAX deep");
    }
}

fn write_scalar(scalar: &Reply, version: Version, out: &mut BytesMut) {
    match (scalar, version) {
        (Reply::Double(value), _) => write_double(*value, version, out),
        (Reply::Number(value), _) => write_double_text(&print_f64(*value), version, out),
        (Reply::NullArray, Version::Resp2) => out.put_slice(b"*-1\r\n"),
        (Reply::Bulk(bytes), _) => bulk(bytes, out),
        (Reply::Text(text), _) | (Reply::Verbatim(text), Version::Resp2) => bulk(text.as_bytes(), out),
        (Reply::Integer(value), _) => integer(*value, out),
        (scalar, Version::Resp2) => write_resp2(scalar, out),
        (scalar, Version::Resp3) => write_resp3(scalar, out),
    }
}

fn unpacking(bulks: Bulks) -> Rest {
    Rest::Bulks {
        bulks: Unpacking::new(bulks),
        paired: None,
    }
}

fn write_bulk(data: Option<&[u8]>, version: Version, out: &mut BytesMut) {
    match (data, version) {
        (Some(data), _) => bulk(data, out),
        (None, Version::Resp2) => out.put_slice(b"$-1\r\n"),
        (None, Version::Resp3) => out.put_slice(b"_\r\n"),
    }
}

fn write_scored(name: &[u8], score: f32, version: Version, out: &mut BytesMut) {
    if version == Version::Resp3 {
        header(b'*', 2, out);
    }
    bulk(name, out);
    write_double(score, version, out);
}

/// Our own digits: redis-protocol would widen the f32 and print the digits of the f64.
fn write_double(value: f32, version: Version, out: &mut BytesMut) {
    let mut digits = Digits::new();
    write_double_text(spell(value, &mut digits), version, out);
}

fn write_double_text(text: &str, version: Version, out: &mut BytesMut) {
    let text = text.as_bytes();
    match version {
        Version::Resp2 => header(b'$', text.len(), out),
        Version::Resp3 => out.put_u8(b','),
    }
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

/// Most of what a cache says is one of these two; redis-protocol's encoders measure by the logarithm of an f64, which takes
/// longer than to spell them.
fn bulk(data: &[u8], out: &mut BytesMut) {
    out.reserve(data.len() + HEADER_BYTES_MAX);
    header(b'$', data.len(), out);
    out.put_slice(data);
    out.put_slice(b"\r\n");
}

fn integer(value: i64, out: &mut BytesMut) {
    match usize::try_from(value) {
        Ok(value) => header(b':', value, out),
        Err(_) => out.put_slice(format!(":{value}\r\n").as_bytes()),
    }
}

fn write_resp2(scalar: &Reply, out: &mut BytesMut) {
    let one_line;
    let frame = match scalar {
        Reply::Simple(text) => {
            one_line = on_one_line(text);
            Resp2::SimpleString(one_line.as_bytes())
        }
        Reply::Error(text) => {
            one_line = on_one_line(text);
            Resp2::Error(&one_line)
        }
        Reply::Boolean(value) => Resp2::Integer(i64::from(*value)),
        Reply::Null => Resp2::Null,
        _ => unreachable!("Writing spells the others itself"),
    };
    encode(out, |out| encode_resp2(out, &frame, false));
}

fn write_resp3(scalar: &Reply, out: &mut BytesMut) {
    let one_line;
    let attributes = None;
    let frame = match scalar {
        Reply::Simple(text) => {
            one_line = on_one_line(text);
            Resp3::SimpleString {
                data: one_line.as_bytes(),
                attributes,
            }
        }
        Reply::Error(text) => {
            one_line = on_one_line(text);
            Resp3::SimpleError {
                data: &one_line,
                attributes,
            }
        }
        Reply::Boolean(value) => Resp3::Boolean {
            data: *value,
            attributes,
        },
        Reply::Verbatim(text) => Resp3::VerbatimString {
            data: text.as_bytes(),
            format: VerbatimStringFormat::Text,
            attributes,
        },
        Reply::Null | Reply::NullArray => Resp3::Null,
        _ => unreachable!("Writing spells the others itself"),
    };
    encode(out, |out| encode_resp3(out, &frame, false));
}

/// Lets one of redis-protocol's encoders append a frame.
fn encode(out: &mut BytesMut, append: impl FnOnce(&mut BytesMut) -> Result<usize, RedisProtocolError>) {
    let end = append(out).expect("the encoder makes the room it needs");
    // It makes room by the logarithm of an f64 and fills up with NULs: one too many for an integer such as
    // 999999999999999999. What it returns is where the frame really ends.
    out.truncate(end);
}

/// A line end inside a line would start a frame of the quoted client's making.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
        Cow::Owned(text.replace(['\r', '\n'], " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// RESP2 has one aggregate, the array.
fn kind(version: Version, resp3: u8) -> u8 {
    match version {
        Version::Resp2 => b'*',
        Version::Resp3 => resp3,
    }
}

fn header(kind: u8, count: usize, out: &mut BytesMut) {
    // Nearly every header is of one digit: a pair, a short text, a float.
    if count < 10 {
        return out.put_slice(&[kind, b'0' + count as u8, b'\r', b'\n']);
    }
    let mut line = [0; HEADER_BYTES_MAX];
    let mut start = line.len();
    let mut push = |byte| {
        start -= 1;
        line[start] = byte;
    };
    push(b'\n');
    push(b'\r');
    let mut rest = count;
    while rest > 0 {
        push(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
    push(kind);
    out.put_slice(&line[start..]);
}

/// A [`Reply`] of 40 bytes in its vector, rounded up. What stands around a text is less: a header of 22 bytes, `txt:`, two
/// line ends; and so is the longest integer.
const SCALAR_BYTES: usize = 48;

/// A bulk of more bytes is spelled some of it at a time: copying half a gibibyte takes a quarter of a second.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// A pair in its vector (40 bytes) and the headers and line ends of pair, name and score, or those and the text.
const SCORED_BYTES: usize = 80;

/// `$15\r\n-1.17549435e-38\r\n`, rounded up.
const FLOAT_BYTES: usize = 24;

#[cfg(test)]
mod tests;
