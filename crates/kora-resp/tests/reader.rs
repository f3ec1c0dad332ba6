//! The reader against redis-protocol, and against itself however the bytes are cut.
//!
//! For every byte string that starts as an array:
//!
//! 1. If the reader yields a request, redis-protocol yields the same arguments and takes the same bytes; and these bytes are
//!    the one spelling of the arguments.
//! 2. If redis-protocol yields a flat array of bulks, and the bytes it took are the one spelling (every terminator a CRLF,
//!    every number without signs and leading zeros, all of which it lets pass), so does the reader.
//!
//! The inputs are pipelines of good requests with a few bytes changed, and soups of the protocol's own tokens: random
//! bytes would nearly all end at their first header.

use kora_resp::{ProtocolError, Reader, ReaderLimits};
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_192))]

    #[test]
    fn the_reader_agrees_with_redis_protocol(bytes in any_bytes()) {
        let mut rest = &bytes[..];
        while rest.first() == Some(&b'*') {
            match agreed(rest)? {
                Some(consumed) => rest = &rest[consumed..],
                None => break,
            }
        }
    }

    #[test]
    fn what_is_read_does_not_depend_on_the_cuts(
        bytes in any_bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        limits in any_limits(),
    ) {
        let whole = read_cut(&bytes, &[], limits);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&read_cut(&bytes, &cuts, limits), &whole);
        let every_byte: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&read_cut(&bytes, &every_byte, limits), &whole);
    }
}

/// Every request, the bytes they took, and the error behind them.
type Seen = (Vec<Vec<Vec<u8>>>, usize, Option<ProtocolError>);

fn read_cut(bytes: &[u8], cuts: &[usize], limits: ReaderLimits) -> Seen {
    let mut reader = Reader::new(limits);
    let (mut requests, mut consumed) = (Vec::new(), 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        loop {
            match reader.read(&bytes[consumed..end]) {
                Ok(Some(request)) => {
                    requests.push(request.arguments().map(<[u8]>::to_vec).collect());
                    assert!(request.consumed() > 0, "a request takes at least its line end");
                    consumed += request.consumed();
                }
                Ok(None) => break,
                Err(error) => return (requests, consumed, Some(error)),
            }
        }
    }
    (requests, consumed, None)
}

/// Holds the first request of `bytes` against the oracle; its length, if there is one.
fn agreed(bytes: &[u8]) -> Result<Option<usize>, TestCaseError> {
    let mut reader = Reader::new(ReaderLimits::default());
    let ours = reader.read(bytes);
    let theirs = decode_range(bytes);
    if let Ok(Some(request)) = &ours {
        let consumed = request.consumed();
        match &theirs {
            Ok(Some((frame, taken))) => {
                let arguments = arguments(frame, bytes);
                let ours: Vec<&[u8]> = request.arguments().collect();
                prop_assert!(
                    ours.is_empty() || spelled(&ours) == bytes[..consumed],
                    "we read {:?}",
                    request
                );
                prop_assert_eq!(Some(ours), arguments);
                prop_assert_eq!(consumed, *taken);
            }
            // Redis takes any negative count for an empty request, redis-protocol only the null array.
            Err(_) => prop_assert!(
                request.is_empty() && bytes.starts_with(b"*-"),
                "only we read {:?}",
                request
            ),
            Ok(None) => prop_assert!(false, "only we read {:?}", request),
        }
        return Ok(Some(consumed));
    }
    if let Ok(Some((frame, taken))) = &theirs
        && let Some(arguments) = arguments(frame, bytes)
    {
        prop_assert!(
            spelled(&arguments) != bytes[..*taken],
            "we answer {:?} to {:?}",
            ours,
            arguments
        );
    }
    Ok(None)
}

/// The bulks of a flat array; `None` if it is anything else.
fn arguments<'a>(frame: &RangeFrame, bytes: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    match frame {
        RangeFrame::Null => Some(Vec::new()),
        RangeFrame::Array(frames) => frames
            .iter()
            .map(|frame| match frame {
                RangeFrame::BulkString((start, end)) => Some(&bytes[*start..*end]),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn spelled(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let request = prop::collection::vec(prop::collection::vec(any_byte(), 0..12), 0..5)
        .prop_map(|arguments| spelled(&arguments.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    let line = prop::collection::vec(any_byte(), 0..12).prop_map(|line| [&line[..], b"\r\n"].concat());
    let good = prop::collection::vec(prop_oneof![4 => request, 1 => line], 1..4).prop_map(|requests| requests.concat());
    let changed = (
        good.clone(),
        prop::collection::vec((any::<prop::sample::Index>(), any_token()), 1..3),
    )
        .prop_map(|(mut bytes, changes)| {
            for (place, token) in changes {
                let start = place.index(bytes.len());
                let end = (start + token.len()).min(bytes.len());
                // Half of the changes put something in, the others replace as many bytes.
                let end = if start % 2 == 0 { start } else { end };
                bytes.splice(start..end, token.iter().copied());
            }
            bytes
        });
    let soup = prop::collection::vec(any_token(), 0..16).prop_map(|tokens| [&b"*"[..], &tokens.concat()].concat());
    prop_oneof![1 => good, 2 => changed, 2 => soup]
}

fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(&b" \r\n\"'\\$*0"[..])]
}

fn any_token() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(&TOKENS[..])
}

fn any_limits() -> impl Strategy<Value = ReaderLimits> {
    let tight = ReaderLimits {
        arguments_max: 3,
        bulk_bytes_max: 8,
        request_bytes_max: 40,
        inline_bytes_max: 8,
        ..ReaderLimits::default()
    };
    prop::sample::select(vec![ReaderLimits::default(), ReaderLimits::unauthenticated(), tight])
}

const TOKENS: [&[u8]; 28] = [
    b"*",
    b"$",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"*1\r\n",
    b"*2\r\n",
    b"$0\r\n\r\n",
    b"$1\r\na\r\n",
    b"$3\r\nfoo\r\n",
    b"$2\r\n",
    b"$-1\r\n",
    b"-",
    b"+",
    b"0",
    b"1",
    b"2",
    b"9",
    b"10",
    b"1048577",
    b"99999999999999999999999999999999",
    b":1\r\n",
    b"+OK\r\n",
    b"\"",
    b"'",
    b"\0",
];
