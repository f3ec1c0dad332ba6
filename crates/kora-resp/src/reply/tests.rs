use proptest::prelude::*;
use redis_protocol::resp2::decode::decode as decode_resp2;
use redis_protocol::resp2::types::OwnedFrame as Decoded2;
use redis_protocol::resp3::decode::complete::decode as decode_resp3;
use redis_protocol::resp3::types::OwnedFrame as Decoded3;

use super::*;
use crate::number::FloatText;

#[track_caller]
fn assert_spelled(reply: Reply, resp2: &str, resp3: &str) {
    for (version, expected) in [(Version::Resp2, resp2), (Version::Resp3, resp3)] {
        let mut out = BytesMut::from(&b"+before\r\n"[..]);
        write_reply(reply.clone(), version, &mut out);
        assert_eq!(
            out[9..].escape_ascii().to_string(),
            expected.as_bytes().escape_ascii().to_string(),
            "{version:?}"
        );
        assert!(
            reply.bytes_hint() >= expected.len(),
            "{reply:?} hints at {}",
            reply.bytes_hint()
        );
    }
}

#[track_caller]
fn assert_spelled_alike(reply: Reply, both: &str) {
    assert_spelled(reply, both, both);
}

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

/// An empty text stands for no value.
fn bulks<const COUNT: usize>(texts: [&str; COUNT]) -> Bulks {
    let mut bulks = Bulks::default();
    for text in texts {
        match text {
            "" => bulks.push_null(),
            text => bulks.push(text.as_bytes()),
        }
    }
    bulks
}

#[test]
fn scalars_are_spelled_as_the_protocols_say() {
    assert_spelled_alike(Reply::ok(), "+OK\r\n");
    assert_spelled_alike(Reply::Error("WRONGTYPE no".into()), "-WRONGTYPE no\r\n");
    assert_spelled_alike(Reply::Integer(-42), ":-42\r\n");
    assert_spelled_alike(Reply::Bulk(Bytes::from_static(b"a\r\n\0")), "$4\r\na\r\n\0\r\n");
    assert_spelled_alike(Reply::Bulk(Bytes::new()), "$0\r\n\r\n");
    assert_spelled_alike(text("é"), "$2\r\né\r\n");
    assert_spelled(
        Reply::Verbatim("# Server\r\n".into()),
        "$10\r\n# Server\r\n\r\n",
        "=14\r\ntxt:# Server\r\n\r\n",
    );
    assert_spelled(Reply::Null, "$-1\r\n", "_\r\n");
    assert_spelled(Reply::NullArray, "*-1\r\n", "_\r\n");
    assert_spelled(Reply::Boolean(true), ":1\r\n", "#t\r\n");
    assert_spelled(Reply::Boolean(false), ":0\r\n", "#f\r\n");
}

#[test]
fn floats_are_the_same_text_in_both_versions() {
    assert_spelled(Reply::Double(0.1), "$3\r\n0.1\r\n", ",0.1\r\n");
    assert_spelled(Reply::Double(-0.0), "$2\r\n-0\r\n", ",-0\r\n");
    assert_spelled(
        Reply::Double(-f32::MIN_POSITIVE),
        "$14\r\n-1.1754944e-38\r\n",
        ",-1.1754944e-38\r\n",
    );
    assert_spelled(Reply::Double(f32::INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    assert_spelled(Reply::Double(f32::NAN), "$3\r\nnan\r\n", ",nan\r\n");
    assert_spelled(
        Reply::Floats(vec![1.0, 1.5]),
        "*2\r\n$1\r\n1\r\n$3\r\n1.5\r\n",
        "*2\r\n,1\r\n,1.5\r\n",
    );
    assert_spelled_alike(Reply::Floats(vec![]), "*0\r\n");
}

#[test]
fn aggregates_are_flat_arrays_in_resp2() {
    let pair = || vec![Reply::Integer(1), Reply::Null];
    assert_spelled(Reply::Array(pair()), "*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n");
    assert_spelled(
        Reply::BulkPairs(Box::new(bulks(["a", "1", "b", ""]))),
        "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$-1\r\n",
        "*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n_\r\n",
    );
    assert_spelled(
        Reply::BulkMap(Box::new(bulks(["a", "1", "b", ""]))),
        "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$-1\r\n",
        "%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n_\r\n",
    );
    assert_spelled(
        Reply::Interleaved(Box::new(Interleaved::new(
            vec![1, 0, 1],
            vec![bulks(["a"]), bulks(["b", ""])],
        ))),
        "*3\r\n$1\r\nb\r\n$1\r\na\r\n$-1\r\n",
        "*3\r\n$1\r\nb\r\n$1\r\na\r\n_\r\n",
    );
    assert_spelled(Reply::Set(pair()), "*2\r\n:1\r\n$-1\r\n", "~2\r\n:1\r\n_\r\n");
    assert_spelled(Reply::Push(pair()), "*2\r\n:1\r\n$-1\r\n", ">2\r\n:1\r\n_\r\n");
    assert_spelled(Reply::Sequence(pair()), ":1\r\n$-1\r\n", ":1\r\n_\r\n");
    assert_spelled(Reply::Sequence(Vec::new()), "", "");
    let map = Reply::Map(vec![(text("a"), Reply::Map(vec![])), (text("b"), Reply::Array(vec![]))]);
    assert_spelled(
        map,
        "*4\r\n$1\r\na\r\n*0\r\n$1\r\nb\r\n*0\r\n",
        "%2\r\n$1\r\na\r\n%0\r\n$1\r\nb\r\n*0\r\n",
    );
    let scored = Reply::Scored(vec![(Bytes::from_static(b"x"), 0.0), (Bytes::from_static(b"y"), 1.5)]);
    assert_spelled(
        scored,
        "*4\r\n$1\r\nx\r\n$1\r\n0\r\n$1\r\ny\r\n$3\r\n1.5\r\n",
        "*2\r\n*2\r\n$1\r\nx\r\n,0\r\n*2\r\n$1\r\ny\r\n,1.5\r\n",
    );
    assert_spelled_alike(Reply::Scored(vec![]), "*0\r\n");
    assert_spelled(
        Reply::Rows(vec![[text("x"), Reply::Double(1.5), Reply::Null].into()]),
        "*3\r\n$1\r\nx\r\n$3\r\n1.5\r\n$-1\r\n",
        "*1\r\n*3\r\n$1\r\nx\r\n,1.5\r\n_\r\n",
    );
}

#[test]
fn a_quoted_client_can_not_end_the_line() {
    let error = Reply::Error("ERR unknown command 'x\r\n+OK\r\n$1\n'".into());
    assert_spelled_alike(error, "-ERR unknown command 'x  +OK  $1 '\r\n");
    assert_spelled_alike(Reply::Simple("a\nb\r"), "+a b \r\n");
}

/// Around every power of ten and of two: redis-protocol reserves by a logarithm, which is too large just below some.
#[test]
fn integers_and_lengths_of_any_size_are_spelled_exactly() {
    let powers = (0..19)
        .map(|exponent| 10i64.pow(exponent))
        .chain((0..63).map(|exponent| 1i64 << exponent));
    for power in powers {
        for value in [power - 1, power, power + 1, -power + 1, -power, -power - 1] {
            assert_spelled_alike(Reply::Integer(value), &format!(":{value}\r\n"));
        }
    }
    assert_spelled_alike(Reply::Integer(i64::MAX), ":9223372036854775807\r\n");
    assert_spelled_alike(Reply::Integer(i64::MIN), ":-9223372036854775808\r\n");
    for power in (0..7).map(|exponent| 10usize.pow(exponent)) {
        for length in [power - 1, power, power + 1] {
            let body = "x".repeat(length);
            assert_spelled_alike(text(&body), &format!("${length}\r\n{body}\r\n"));
            let nulls = Reply::Array(vec![Reply::Integer(0); length]);
            assert_spelled_alike(nulls, &format!("*{length}\r\n{}", ":0\r\n".repeat(length)));
        }
    }
}

#[test]
fn a_reply_is_small_enough_to_be_sent_between_workers() {
    assert!(size_of::<Reply>() <= 40, "{}", size_of::<Reply>());
    assert!(size_of::<(Bytes, f32)>() <= 40);
}

fn nested(depth: usize) -> Reply {
    (0..depth).fold(Reply::Null, |inside, _| Reply::Array(vec![inside]))
}

#[test]
fn the_deepest_reply_is_written() {
    let mut out = BytesMut::new();
    write_reply(nested(REPLY_DEPTH_MAX), Version::Resp3, &mut out);
    assert_eq!(out.len(), REPLY_DEPTH_MAX * 4 + 3);
}

#[test]
#[should_panic(expected = "REPLY_DEPTH_MAX")]
fn a_deeper_reply_is_a_bug() {
    write_reply(nested(REPLY_DEPTH_MAX + 1), Version::Resp3, &mut BytesMut::new());
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let scalar = prop_oneof![
        prop::sample::select(&["OK", "PONG", ""][..]).prop_map(Reply::Simple),
        "[ -~\r\n]{0,12}".prop_map(|text| Reply::Error(format!("ERR {text}"))),
        any::<i64>().prop_map(Reply::Integer),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Reply::Bulk(bytes.into())),
        ".{0,6}".prop_map(Reply::Text),
        ".{0,6}".prop_map(Reply::Verbatim),
        Just(Reply::Null),
        Just(Reply::NullArray),
        prop::num::f32::NORMAL.prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        prop::collection::vec((any::<u64>(), prop::num::f32::ANY), 0..4).prop_map(|pairs| Reply::Scored(
            pairs
                .into_iter()
                .map(|(name, score)| (name.to_string().into(), score))
                .collect()
        )),
        prop::collection::vec(prop::num::f32::ANY, 0..4).prop_map(Reply::Floats),
        any_bulks().prop_map(|bulks| Reply::Bulks(Box::new(bulks))),
        any_bulks().prop_map(|bulks| Reply::BulkMap(Box::new(bulks))),
        any_bulks().prop_map(|bulks| Reply::BulkPairs(Box::new(bulks))),
    ];
    scalar.prop_recursive(4, 32, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            several.clone().prop_map(Reply::Array),
            several.prop_map(Reply::Push),
            prop::collection::vec(
                prop::collection::vec(inner.clone(), 0..4).prop_map(Vec::into_boxed_slice),
                0..3
            )
            .prop_map(Reply::Rows),
            prop::collection::btree_map("[a-z\\r\\n]{0,3}", inner, 0..4)
                .prop_map(|map| Reply::Map(map.into_iter().map(|(key, value)| (Reply::Text(key), value)).collect())),
            prop::collection::btree_set(any::<i64>(), 0..4)
                .prop_map(|set| Reply::Set(set.into_iter().map(Reply::Integer).collect())),
        ]
    })
}

/// Pairs of bulks, of which the second may be no value.
fn any_bulks() -> impl Strategy<Value = Bulks> {
    prop::collection::vec((any::<u16>(), any::<bool>()), 0..4).prop_map(|pairs| {
        let mut bulks = Bulks::default();
        for (key, is_there) in pairs {
            bulks.push(key.to_string().as_bytes());
            match is_there {
                true => bulks.push_bytes(Bytes::from(vec![b'v'; usize::from(key)])),
                false => bulks.push_null(),
            }
        }
        bulks
    })
}

/// The bulks, each as a reply of its own.
fn apart(bulks: &Bulks) -> Vec<Reply> {
    let mut unpacking = Unpacking::new(bulks.clone());
    let mut replies = Vec::new();
    while !unpacking.is_empty() {
        let shared = unpacking.next(|bulk| {
            replies.push(bulk.map_or(Reply::Null, |bulk| Reply::Bulk(Bytes::copy_from_slice(bulk))));
        });
        replies.extend(shared);
    }
    replies
}

fn bulk2(text: impl Into<Vec<u8>>) -> Decoded2 {
    Decoded2::BulkString(text.into())
}

/// What a RESP2 client must understand.
fn understood2(reply: &Reply) -> Decoded2 {
    let all = |replies: &[Reply]| Decoded2::Array(replies.iter().map(understood2).collect());
    match reply {
        Reply::Simple(text) => Decoded2::SimpleString(text.as_bytes().to_vec()),
        Reply::Error(text) => Decoded2::Error(text.replace(['\r', '\n'], " ")),
        Reply::Integer(value) => Decoded2::Integer(*value),
        Reply::Bulk(bytes) => bulk2(bytes.to_vec()),
        Reply::Text(text) | Reply::Verbatim(text) => bulk2(text.as_bytes()),
        Reply::Null | Reply::NullArray => Decoded2::Null,
        Reply::Double(value) => bulk2(FloatText::new(*value).as_bytes()),
        Reply::Boolean(value) => Decoded2::Integer(i64::from(*value)),
        Reply::Array(replies) | Reply::Set(replies) | Reply::Push(replies) => all(replies),
        Reply::Bulks(bulks) | Reply::BulkMap(bulks) | Reply::BulkPairs(bulks) => all(&apart(bulks)),
        Reply::Interleaved(_) | Reply::Sequence(_) | Reply::Spelled(_) => unreachable!("none is drawn"),
        Reply::Map(pairs) => Decoded2::Array(
            pairs
                .iter()
                .flat_map(|(key, value)| [understood2(key), understood2(value)])
                .collect(),
        ),
        Reply::Scored(pairs) => Decoded2::Array(
            pairs
                .iter()
                .flat_map(|(name, score)| [bulk2(name.to_vec()), bulk2(FloatText::new(*score).as_bytes())])
                .collect(),
        ),
        Reply::Number(value) => bulk2(print_f64(*value)),
        Reply::Rows(rows) => Decoded2::Array(rows.iter().flatten().map(understood2).collect()),
        Reply::MapOfPairs(rows) => Decoded2::Array(rows.iter().flatten().map(understood2).collect()),
        Reply::Floats(values) => Decoded2::Array(
            values
                .iter()
                .map(|value| bulk2(FloatText::new(*value).as_bytes()))
                .collect(),
        ),
    }
}

/// Whether a RESP3 client understood what was said. The decoder's maps and sets have no order.
fn understood3(reply: &Reply, decoded: &Decoded3) -> bool {
    let all = |replies: &[Reply], data: &[Decoded3]| {
        replies.len() == data.len() && replies.iter().zip(data).all(|(reply, frame)| understood3(reply, frame))
    };
    let double = |value: f32, frame: &Decoded3| match frame {
        Decoded3::Double { data, .. } => *data as f32 == value || (data.is_nan() && value.is_nan()),
        _ => false,
    };
    match (reply, decoded) {
        (Reply::Simple(text), Decoded3::SimpleString { data, .. }) => text.as_bytes() == data,
        (Reply::Error(text), Decoded3::SimpleError { data, .. }) => text.replace(['\r', '\n'], " ") == *data,
        (Reply::Integer(value), Decoded3::Number { data, .. }) => value == data,
        (Reply::Bulk(bytes), Decoded3::BlobString { data, .. }) => bytes == data,
        (Reply::Text(text), Decoded3::BlobString { data, .. }) => text.as_bytes() == data,
        (Reply::Verbatim(text), Decoded3::VerbatimString { data, format: VerbatimStringFormat::Text, .. }) => {
            text.as_bytes() == data
        }
        (Reply::Null | Reply::NullArray, Decoded3::Null) => true,
        (Reply::Double(value), frame) => double(*value, frame),
        (Reply::Number(value), Decoded3::Double { data, .. }) => value == data,
        (Reply::Boolean(value), Decoded3::Boolean { data, .. }) => value == data,
        (Reply::Array(replies), Decoded3::Array { data, .. }) => all(replies, data),
        (Reply::Push(replies), Decoded3::Push { data, .. }) => all(replies, data),
        (Reply::Map(pairs), Decoded3::Map { data, .. }) => {
            pairs.len() == data.len()
                && pairs.iter().all(|(key, value)| {
                    data.iter().any(|(key3, value3)| understood3(key, key3) && understood3(value, value3))
                })
        }
        (Reply::Bulks(bulks), Decoded3::Array { data, .. }) => all(&apart(bulks), data),
        (Reply::BulkMap(bulks), Decoded3::Map { data, .. }) => {
            // A key may stand there twice, and the decoder keeps one.
            let pairs = apart(bulks);
            let is_met = |key: &Reply| data.iter().any(|(key3, _)| understood3(key, key3));
            pairs.chunks(2).all(|pair| is_met(&pair[0]))
        }
        (Reply::BulkPairs(bulks), Decoded3::Array { data, .. }) => {
            let pairs = apart(bulks);
            pairs.len() == 2 * data.len()
                && pairs.chunks(2).zip(data).all(|(pair, frame)| match frame {
                    Decoded3::Array { data, .. } => all(pair, data),
                    _ => false,
                })
        }
        (Reply::Set(replies), Decoded3::Set { data, .. }) => {
            replies.len() == data.len()
                && replies.iter().all(|reply| data.iter().any(|frame| understood3(reply, frame)))
        }
        (Reply::Rows(rows), Decoded3::Array { data, .. }) => {
            let is_row = |(row, frame): (&[Reply], &Decoded3)| {
                matches!(frame, Decoded3::Array { data, .. } if all(row, data))
            };
            rows.len() == data.len() && rows.iter().map(AsRef::as_ref).zip(data).all(is_row)
        }
        (Reply::Scored(pairs), Decoded3::Array { data, .. }) => {
            pairs.len() == data.len()
                && pairs.iter().zip(data).all(|((name, score), pair)| match pair {
                    Decoded3::Array { data, .. } => {
                        matches!(&data[..], [Decoded3::BlobString { data, .. }, frame] if data == name && double(*score, frame))
                    }
                    _ => false,
                })
        }
        (Reply::Floats(values), Decoded3::Array { data, .. }) => {
            values.len() == data.len() && values.iter().zip(data).all(|(value, frame)| double(*value, frame))
        }
        _ => false,
    }
}

#[test]
fn a_bulk_of_many_bytes_is_spelled_in_pieces() {
    let bytes: Bytes = (0..200_000_u32).map(|number| number as u8).collect();
    let mut writing = Writing::new(
        Reply::Array(vec![Reply::Bulk(bytes.clone()), Reply::Null]),
        Version::Resp2,
    );
    let mut out = BytesMut::new();
    let mut steps = 0;
    while !writing.write(1000, &mut out) {
        steps += 1;
        assert!(out.len() <= steps * 1000 + 100, "{} bytes in {steps} steps", out.len());
    }
    assert!(steps >= 200, "{steps}");
    let expected = [b"*2\r\n$200000\r\n", &bytes[..], b"\r\n$-1\r\n"].concat();
    assert!(out == expected, "it is spelled as one in a single piece is");
}

proptest! {
    #[test]
    fn a_reply_written_in_pieces_is_the_same(reply in any_reply(), bytes in 1_usize..40) {
        for version in [Version::Resp2, Version::Resp3] {
            let (mut whole, mut pieces) = (BytesMut::new(), BytesMut::new());
            write_reply(reply.clone(), version, &mut whole);
            let mut writing = Writing::new(reply.clone(), version);
            let mut steps = 0;
            while !writing.write(bytes, &mut pieces) {
                steps += 1;
                prop_assert!(pieces.len() >= steps * bytes, "each step writes what it may");
            }
            prop_assert_eq!(&whole, &pieces);
        }
    }

    #[test]
    fn what_is_written_is_what_a_client_reads(replies in prop::collection::vec(any_reply(), 1..4)) {
        let (mut resp2, mut resp3) = (BytesMut::new(), BytesMut::new());
        for reply in &replies {
            write_reply(reply.clone(), Version::Resp2, &mut resp2);
            write_reply(reply.clone(), Version::Resp3, &mut resp3);
        }
        let (mut rest2, mut rest3) = (&resp2[..], &resp3[..]);
        for reply in &replies {
            let (frame, bytes) = decode_resp2(rest2).unwrap().expect("a whole frame");
            prop_assert_eq!(frame, understood2(reply));
            prop_assert!(bytes <= reply.bytes_hint());
            rest2 = &rest2[bytes..];
            let (frame, bytes) = decode_resp3(rest3).unwrap().expect("a whole frame");
            prop_assert!(understood3(reply, &frame), "{:?} was read as {:?}", reply, frame);
            prop_assert!(bytes <= reply.bytes_hint());
            rest3 = &rest3[bytes..];
        }
        prop_assert_eq!((rest2.len(), rest3.len()), (0, 0));
    }
}
