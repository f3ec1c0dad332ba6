use super::*;
use crate::limits::{ARGUMENTS_MAX, BULK_BYTES_MAX, HEADER_BYTES_MAX, INLINE_BYTES_MAX};
use crate::reply::Reply;

/// Everything a connection would see: the requests of `bytes` in order, and the error that ended them.
#[derive(Debug, PartialEq)]
struct Seen {
    requests: Vec<Vec<Vec<u8>>>,
    consumed: usize,
    error: Option<ProtocolError>,
}

/// Reads `bytes` as they arrive in pieces which end at `cuts` and at the end.
fn read_cut(bytes: &[u8], cuts: &[usize], limits: ReaderLimits) -> Seen {
    let mut reader = Reader::new(limits);
    let mut seen = Seen {
        requests: Vec::new(),
        consumed: 0,
        error: None,
    };
    for end in cuts.iter().copied().chain([bytes.len()]) {
        loop {
            match reader.read(&bytes[seen.consumed..end]) {
                Ok(Some(request)) => {
                    seen.requests.push(request.arguments().map(<[u8]>::to_vec).collect());
                    seen.consumed += request.consumed();
                }
                Ok(None) => break,
                Err(error) => {
                    seen.error = Some(error);
                    return seen;
                }
            }
        }
        let rest = end - seen.consumed;
        assert!(
            reader.wanted() <= rest.max(WANTED_BYTES_MIN),
            "a promise reserved {}",
            reader.wanted()
        );
        assert_eq!(
            reader.wanted() == 0,
            rest == 0,
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
    seen
}

/// Reads `bytes` whole and byte by byte, which must be the same.
#[track_caller]
fn read(bytes: &[u8]) -> Seen {
    read_within(bytes, ReaderLimits::default())
}

#[track_caller]
fn read_within(bytes: &[u8], limits: ReaderLimits) -> Seen {
    let whole = read_cut(bytes, &[], limits);
    let every_byte: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(
        whole,
        read_cut(bytes, &every_byte, limits),
        "{:?}",
        bytes.escape_ascii().to_string()
    );
    whole
}

#[track_caller]
fn assert_requests(bytes: &[u8], requests: &[&[&[u8]]]) {
    let seen = read(bytes);
    assert_eq!((seen.error, seen.consumed), (None, bytes.len()), "{seen:?}");
    assert_eq!(seen.requests, requests);
}

#[track_caller]
fn assert_error(bytes: &[u8], error: ProtocolError) {
    assert_eq!(read(bytes).error, Some(error), "{:?}", bytes.escape_ascii().to_string());
}

#[test]
fn arrays_of_bulks_and_lines_follow_one_another() {
    assert_requests(b"", &[]);
    assert_requests(b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]);
    assert_requests(
        b"*2\r\n$3\r\nGET\r\n$0\r\n\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\n\0\r\n$4\r\n\r\n\r\n\r\nECHO 'a b'\n",
        &[
            &[b"GET", b""],
            &[b"PING"],
            &[b"SET", b"\0", b"\r\n\r\n"],
            &[b"ECHO", b"a b"],
        ],
    );
}

#[test]
fn requests_without_arguments_are_read_as_such() {
    assert_requests(
        b"*0\r\n*-1\r\n\r\n\n  \r\n*-9\r\nPING\n",
        &[&[], &[], &[], &[], &[], &[], &[b"PING"]],
    );
}

#[test]
fn a_count_that_is_no_number_of_arguments_is_refused() {
    for count in ["", "-", "+1", "01", "1 ", " 1", "1e3", "x", "-0", "9223372036854775808"] {
        assert_error(format!("*{count}\r\n").as_bytes(), ProtocolError::InvalidCount);
    }
    for count in ["2147483648", "1048577"] {
        assert_error(
            format!("*{count}\r\n").as_bytes(),
            ProtocolError::TooManyArguments(ARGUMENTS_MAX),
        );
    }
    assert_error(b"*1\n$4\nPING\n\r\n", ProtocolError::InvalidCount);
    assert_error(b"*1\rx", ProtocolError::InvalidCount);
    assert_error(b"*1\0\r\n", ProtocolError::InvalidCount);
}

#[test]
fn a_length_that_is_no_size_of_an_argument_is_refused() {
    for length in ["", "-", "-1", "-2", "+1", "01", "1 ", "x", "18446744073709551616"] {
        assert_error(
            format!("*1\r\n${length}\r\n").as_bytes(),
            ProtocolError::InvalidBulkLength,
        );
    }
    for length in ["67108865", "9223372036854775807"] {
        assert_error(
            format!("*1\r\n${length}\r\n").as_bytes(),
            ProtocolError::TooLongBulk(BULK_BYTES_MAX),
        );
    }
    assert_error(b"*1\r\n$4\nPING\n\r\n", ProtocolError::InvalidBulkLength);
    assert_error(b"*1\r\n$1\r$", ProtocolError::InvalidBulkLength);
}

#[test]
fn only_bulks_stand_in_a_request() {
    for (kind, got) in [
        (":1", b':'),
        ("+OK", b'+'),
        ("*1", b'*'),
        ("%1", b'%'),
        ("_", b'_'),
        (",1.5", b','),
        ("\r\n", b'\r'),
    ] {
        assert_error(format!("*1\r\n{kind}\r\n").as_bytes(), ProtocolError::ExpectedBulk(got));
    }
    assert_error(b"*2\r\n$1\r\na\r\n\0", ProtocolError::ExpectedBulk(0));
}

#[test]
fn types_of_resp3_are_words_of_a_line() {
    assert_requests(
        b"%1\r\n~2\r\n:3\r\n$4\r\n_\r\n",
        &[&[b"%1"], &[b"~2"], &[b":3"], &[b"$4"], &[b"_"]],
    );
}

#[test]
fn nested_arrays_cost_no_stack() {
    assert_error(&b"*1\r\n".repeat(8_000), ProtocolError::ExpectedBulk(b'*'));
    assert_error(&b"*2\r\n".repeat(2), ProtocolError::ExpectedBulk(b'*'));
}

#[test]
fn both_bytes_after_a_bulk_are_checked() {
    for end in ["XY", "\rX", "X\n", "\n\r", "\n\n", "\r\r", "\0\0", "$4"] {
        assert_error(
            format!("*1\r\n$3\r\nfoo{end}\r\n").as_bytes(),
            ProtocolError::ExpectedBulkEnd,
        );
    }
    // One byte is enough to know.
    assert_error(b"*1\r\n$3\r\nfooX", ProtocolError::ExpectedBulkEnd);
}

#[test]
fn a_header_without_an_end_is_refused_at_its_limit() {
    let digits = "1".repeat(HEADER_BYTES_MAX);
    assert_error(format!("*{digits}").as_bytes(), ProtocolError::TooBigCountHeader);
    assert_error(format!("*1\r\n${digits}").as_bytes(), ProtocolError::TooBigBulkHeader);
    // The longest line that has an end is a number out of range, one byte less is still waited for.
    let digits = &digits[1..];
    assert_error(format!("*{digits}\r\n").as_bytes(), ProtocolError::InvalidCount);
    assert_error(
        format!("*1\r\n${digits}\r\n").as_bytes(),
        ProtocolError::InvalidBulkLength,
    );
    assert_eq!(read(format!("*{digits}").as_bytes()).error, None);
}

#[test]
fn a_promise_is_refused_when_it_is_made_and_never_reserved() {
    let limits = ReaderLimits {
        arguments_max: 3,
        bulk_bytes_max: 5,
        request_bytes_max: 28,
        ..ReaderLimits::default()
    };
    let error = |bytes: &[u8]| read_within(bytes, limits).error;
    assert_eq!(
        error(b"*3\r\n$5\r\nhello\r\n$1\r\na\r\n$1\r\nb\r\n"),
        Some(ProtocolError::TooBigRequest(28))
    );
    assert_eq!(error(b"*3\r\n$5\r\nhello\r\n$0\r\n\r\n$0\r\n\r\n"), None);
    assert_eq!(error(b"*4\r\n"), Some(ProtocolError::TooManyArguments(3)));
    assert_eq!(error(b"*1\r\n$6\r\n"), Some(ProtocolError::TooLongBulk(5)));
    assert_eq!(error(b"a b c d\n"), Some(ProtocolError::TooManyArguments(3)));
    assert_eq!(error(&[b'a'; 29]), Some(ProtocolError::TooBigInline(28)));

    let mut reader = Reader::new(ReaderLimits::default());
    assert!(reader.read(b"*1048576\r\n$67108864\r\nabc").unwrap().is_none());
    assert_eq!(reader.wanted(), WANTED_BYTES_MIN);
    let mut reader = Reader::new(ReaderLimits::default());
    assert!(reader.read(b"*2\r\n$3\r\nGET\r\n$10\r\nabc").unwrap().is_none());
    assert_eq!(reader.wanted(), 7 + 2);
}

#[test]
fn a_long_promise_is_reserved_as_fast_as_it_is_kept() {
    let mut bytes = b"*1\r\n$67108864\r\n".to_vec();
    let mut reader = Reader::new(ReaderLimits::default());
    while bytes.len() < 1 << 20 {
        assert!(reader.read(&bytes).unwrap().is_none());
        assert_eq!(reader.wanted(), bytes.len().max(WANTED_BYTES_MIN));
        bytes.resize(bytes.len() + reader.wanted(), b'x');
    }
}

#[test]
fn before_login_little_is_read() {
    let limits = ReaderLimits::unauthenticated();
    let error = |bytes: &[u8]| read_within(bytes, limits).error;
    assert_eq!(error(b"*10\r\n$16384\r\n"), None);
    assert_eq!(error(b"*11\r\n"), Some(ProtocolError::UnauthenticatedCount));
    assert_eq!(
        error(b"*1\r\n$16385\r\n"),
        Some(ProtocolError::UnauthenticatedBulkLength)
    );
    assert_eq!(error(b"1 2 3 4 5 6 7 8 9 10\n"), None);
    assert_eq!(
        error(b"1 2 3 4 5 6 7 8 9 10 11\n"),
        Some(ProtocolError::UnauthenticatedCount)
    );
    assert_eq!(error(&[b'a'; LOGIN_BULK_BYTES_MAX]), None);
    assert_eq!(
        error(&[b'a'; LOGIN_BULK_BYTES_MAX + 1]),
        Some(ProtocolError::TooBigInline(LOGIN_BULK_BYTES_MAX))
    );

    // A login in the middle of a pipeline frees what comes after it.
    let mut reader = Reader::new(limits);
    let bytes = b"AUTH x\r\n*11\r\n";
    let login = reader.read(bytes).unwrap().unwrap().consumed();
    reader.set_limits(ReaderLimits::default());
    assert!(reader.read(&bytes[login..]).unwrap().is_none());
}

#[test]
fn an_inline_line_is_bounded_wherever_it_is_cut() {
    let all_cuts = [
        &[][..],
        &[1, INLINE_BYTES_MAX],
        &[INLINE_BYTES_MAX + 1],
        &[INLINE_BYTES_MAX + 2],
    ];
    for end in [&b"\n"[..], b"\r\n"] {
        let longest = [&vec![b'a'; INLINE_BYTES_MAX][..], end].concat();
        let longer = [b"a", &longest[..]].concat();
        for cuts in all_cuts {
            let fits = |cut: &&usize| **cut < longest.len();
            let cuts: Vec<usize> = cuts.iter().filter(fits).copied().collect();
            let seen = read_cut(&longest, &cuts, ReaderLimits::default());
            assert_eq!(seen.requests[0][0].len(), INLINE_BYTES_MAX);
            let seen = read_cut(&longer, &cuts, ReaderLimits::default());
            let error = ProtocolError::TooBigInline(INLINE_BYTES_MAX);
            assert_eq!((seen.requests.len(), seen.error), (0, Some(error)));
        }
    }
    let unended = [&vec![b'a'; INLINE_BYTES_MAX][..], b"\rb"].concat();
    assert_error(&unended, ProtocolError::TooBigInline(INLINE_BYTES_MAX));
    assert_error(b"SET \"a\r\n", ProtocolError::UnbalancedQuotes);
}

#[test]
fn limits_lowered_below_what_has_arrived_end_the_line() {
    let mut reader = Reader::new(ReaderLimits::default());
    assert!(reader.read(&[b'a'; 100]).unwrap().is_none());
    reader.set_limits(ReaderLimits {
        inline_bytes_max: 50,
        ..ReaderLimits::default()
    });
    assert_eq!(reader.read(&[b'a'; 101]).unwrap_err(), ProtocolError::TooBigInline(50));
}

#[test]
fn after_an_error_nothing_is_read_any_more() {
    let mut reader = Reader::new(ReaderLimits::default());
    assert_eq!(reader.read(b"*x\r\n").unwrap_err(), ProtocolError::InvalidCount);
    for bytes in [&b"*x\r\n"[..], b"", b"*1\r\n$4\r\nPING\r\n"] {
        assert_eq!(reader.read(bytes).unwrap_err(), ProtocolError::InvalidCount);
    }
}

#[test]
fn the_room_of_a_large_request_is_given_back() {
    let mut large = format!("*{}\r\n", ARGUMENTS_KEPT * 4).into_bytes();
    large.extend(b"$0\r\n\r\n".repeat(ARGUMENTS_KEPT * 4));
    let mut reader = Reader::new(ReaderLimits::default());
    assert_eq!(reader.read(&large).unwrap().unwrap().len(), ARGUMENTS_KEPT * 4);
    assert!(reader.read(b"").unwrap().is_none());
    assert!(reader.arguments.capacity() <= ARGUMENTS_KEPT);

    let line = [&vec![b'a'; INLINE_BYTES_MAX][..], b"\n"].concat();
    assert_eq!(reader.read(&line).unwrap().unwrap().len(), 1);
    assert!(reader.read(b"").unwrap().is_none());
    assert!(reader.unescaped.capacity() <= INLINE_BYTES_KEPT);
}

#[test]
#[should_panic(expected = "taken away")]
fn bytes_of_an_unfinished_request_must_stay() {
    let mut reader = Reader::new(ReaderLimits::default());
    assert!(reader.read(b"*2\r\n$4\r\nECHO\r\n").unwrap().is_none());
    let _ = reader.read(b"*2\r\n");
}

#[test]
fn a_request_gives_its_arguments_in_every_way() {
    let mut reader = Reader::new(ReaderLimits::default());
    let request = reader.read(b"*2\r\n$4\r\nECHO\r\n$2\r\nh\xff\r\n").unwrap().unwrap();
    assert_eq!((request.len(), request.is_empty()), (2, false));
    assert_eq!(
        (request.argument(0), request.get(1), request.get(2)),
        (&b"ECHO"[..], Some(&b"h\xff"[..]), None)
    );
    assert_eq!(request.arguments().next_back(), Some(&b"h\xff"[..]));
    assert_eq!(format!("{request:?}"), r#"["ECHO", "h\\xff"]"#);
}

#[test]
fn errors_read_as_in_redis() {
    for (error, text) in [
        (ProtocolError::InvalidCount, "invalid multibulk length"),
        (
            ProtocolError::TooManyArguments(1_048_576),
            "invalid multibulk length: at most 1048576 arguments are allowed",
        ),
        (ProtocolError::TooBigCountHeader, "too big mbulk count string"),
        (ProtocolError::UnauthenticatedCount, "unauthenticated multibulk length"),
        (ProtocolError::ExpectedBulk(b'*'), "expected '$', got '*'"),
        (ProtocolError::ExpectedBulk(b' '), "expected '$', got ' '"),
        (ProtocolError::ExpectedBulk(b'\n'), "expected '$', got '\\x0a'"),
        (ProtocolError::ExpectedBulk(0xff), "expected '$', got '\\xff'"),
        (ProtocolError::InvalidBulkLength, "invalid bulk length"),
        (
            ProtocolError::TooLongBulk(67_108_864),
            "invalid bulk length: proto-max-bulk-len allows at most 67108864 bytes",
        ),
        (ProtocolError::TooBigBulkHeader, "too big bulk count string"),
        (ProtocolError::UnauthenticatedBulkLength, "unauthenticated bulk length"),
        (ProtocolError::ExpectedBulkEnd, "expected CRLF after a bulk"),
        (
            ProtocolError::TooBigRequest(9),
            "too big request: at most 9 bytes are allowed",
        ),
        (
            ProtocolError::TooBigInline(65_536),
            "too big inline request: at most 65536 bytes are allowed",
        ),
        (ProtocolError::UnbalancedQuotes, "unbalanced quotes in request"),
    ] {
        assert_eq!(error.to_string(), format!("Protocol error: {text}"));
        assert_eq!(Reply::from(error), Reply::Error(format!("ERR Protocol error: {text}")));
    }
}
