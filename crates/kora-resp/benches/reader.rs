//! What reading requests and writing floats costs, beside redis-protocol: `cargo bench -p kora-resp`.
//!
//! The machine's speed drifts while a benchmark runs. So nothing here is timed alone: the subjects of a table take
//! turns, one pass each, for many rounds, and each is given its median round and its fastest.
//!
//! `cargo test` runs one round of everything, to see that it still works.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kora_resp::number::{parse_f32, print_f32};
use kora_resp::{Reader, ReaderLimits, Reply, Version, write_reply};
use redis_protocol::resp2::decode::{decode, decode_bytes_mut, decode_range};
use redis_protocol::resp2::types::RangeFrame;

fn main() {
    // Cargo passes `--bench` to `cargo bench` and not to `cargo test`.
    let rounds = if std::env::args().any(|argument| argument == "--bench") {
        ROUNDS
    } else {
        1
    };
    pipeline(rounds);
    text_vector(rounds);
    arriving_vector(rounds);
    printing(rounds);
    replies(rounds);
}

/// One way of doing what a table is about.
struct Subject<'a> {
    name: &'static str,
    pass: Box<dyn FnMut() + 'a>,
}

impl<'a> Subject<'a> {
    fn new(name: &'static str, pass: impl FnMut() + 'a) -> Subject<'a> {
        Subject {
            name,
            pass: Box::new(pass),
        }
    }
}

/// Times `subjects` in turns and prints what one of `items` costs in each.
fn compare(title: &str, items: usize, rounds: usize, mut subjects: Vec<Subject<'_>>) {
    let mut times = vec![Vec::with_capacity(rounds); subjects.len()];
    for _ in 0..rounds {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..PASSES {
                (subject.pass)();
            }
            times.push(start.elapsed() / PASSES);
        }
    }
    println!(
        "\n{title}, {items} items a pass\n{:44} {:>12} {:>12} {:>12}",
        "", "median pass", "an item", "fastest"
    );
    for (subject, mut times) in subjects.iter().zip(times) {
        times.sort_unstable();
        let item = |time: Duration| time.as_secs_f64() * 1e9 / items as f64;
        let median = times[times.len() / 2];
        println!(
            "{:44} {:>9.2} µs {:>9.1} ns {:>9.1} ns",
            subject.name,
            median.as_secs_f64() * 1e6,
            item(median),
            item(times[0])
        );
    }
}

fn pipeline(rounds: usize) {
    let mut bytes = Vec::new();
    for index in 0..PIPELINE_DEPTH {
        bytes.extend(format!("*3\r\n$3\r\nSET\r\n$7\r\nkey:{index:03}\r\n$8\r\nvalue{index:03}\r\n").into_bytes());
    }
    let mut reader = Reader::new(ReaderLimits::default());
    let subjects = vec![
        Subject::new("redis-protocol decode_range", || {
            let mut rest = &bytes[..];
            while let Ok(Some((frame, taken))) = decode_range(rest) {
                black_box(&frame);
                rest = &rest[taken..];
            }
        }),
        Subject::new("redis-protocol decode (owned)", || {
            let mut rest = &bytes[..];
            while let Ok(Some((frame, taken))) = decode(rest) {
                black_box(&frame);
                rest = &rest[taken..];
            }
        }),
        Subject::new("redis-protocol decode_bytes_mut", || {
            let mut rest = BytesMut::from(&bytes[..]);
            while let Ok(Some((frame, ..))) = decode_bytes_mut(&mut rest) {
                black_box(&frame);
            }
        }),
        Subject::new("Reader", || {
            let mut rest = &bytes[..];
            while let Ok(Some(request)) = reader.read(rest) {
                black_box(request.argument(2));
                rest = &rest[request.consumed()..];
            }
        }),
    ];
    compare("A pipeline of SETs", PIPELINE_DEPTH, rounds, subjects);
}

fn text_vector(rounds: usize) {
    let bytes = text_request(&vector());
    let mut reader = Reader::new(ReaderLimits::default());
    let mut parsing_reader = Reader::new(ReaderLimits::default());
    let mut values = Vec::with_capacity(DIMENSION);
    let mut their_values = Vec::with_capacity(DIMENSION);
    let subjects = vec![
        Subject::new("redis-protocol decode_range", || {
            black_box(decode_range(&bytes).expect("a good request"));
        }),
        Subject::new("Reader", || {
            black_box(reader.read(&bytes).expect("a good request"));
        }),
        Subject::new("redis-protocol decode_range, floats", || {
            let Ok(Some((RangeFrame::Array(frames), _))) = decode_range(&bytes) else {
                panic!("an array")
            };
            their_values.clear();
            their_values.extend(frames[3..].iter().map(|frame| match frame {
                RangeFrame::BulkString((start, end)) => parse_f32(&bytes[*start..*end]).expect("a float"),
                _ => panic!("a bulk"),
            }));
            black_box(&their_values);
        }),
        Subject::new("Reader, floats", || {
            let request = parsing_reader
                .read(&bytes)
                .expect("a good request")
                .expect("a whole one");
            values.clear();
            values.extend(
                request
                    .arguments()
                    .skip(3)
                    .map(|text| parse_f32(text).expect("a float")),
            );
            black_box(&values);
        }),
    ];
    compare("A vector as text", DIMENSION, rounds, subjects);
}

/// The same request in the pieces a network brings: what a stateless decoder pays for starting again.
fn arriving_vector(rounds: usize) {
    let bytes = text_request(&vector());
    let ends: Vec<usize> = (0..bytes.len())
        .step_by(SEGMENT_BYTES)
        .skip(1)
        .chain([bytes.len()])
        .collect();
    let mut reader = Reader::new(ReaderLimits::default());
    let subjects = vec![
        Subject::new("redis-protocol decode_range", || {
            for end in &ends {
                black_box(decode_range(&bytes[..*end]).expect("a good request"));
            }
        }),
        Subject::new("Reader", || {
            for end in &ends {
                black_box(reader.read(&bytes[..*end]).expect("a good request"));
            }
        }),
    ];
    compare("The same, 1,448 bytes at a time", DIMENSION, rounds, subjects);
}

fn printing(rounds: usize) {
    let values = vector();
    let (mut ours, mut theirs) = (BytesMut::new(), String::new());
    let subjects = vec![
        Subject::new("print_f32 (zmij)", || {
            ours.clear();
            for value in &values {
                print_f32(*value, &mut ours);
            }
            black_box(&ours);
        }),
        Subject::new("std Display", || {
            use std::fmt::Write;
            theirs.clear();
            for value in &values {
                write!(theirs, "{value}").expect("a string takes everything");
            }
            black_box(&theirs);
        }),
    ];
    compare("Printing a vector", DIMENSION, rounds, subjects);
}

fn replies(rounds: usize) {
    let floats = Reply::Floats(vector());
    let hits = (0..HITS).map(|index| (Bytes::from(format!("embedding:doc{index}")), 0.1 + index as f32 / 7.0));
    let scored = Reply::Scored(hits.collect());
    let many = vec![Reply::Integer(42); HITS];
    let write = |reply: &Reply, version, out: &mut BytesMut| {
        out.clear();
        write_reply(reply.clone(), version, out);
        black_box(&out);
    };
    let mut out = [(); 6].map(|()| BytesMut::new());
    let [one, two, three, four, five, six] = &mut out;
    let vectors = vec![
        Subject::new("Floats, RESP2", || write(&floats, Version::Resp2, one)),
        Subject::new("Floats, RESP3", || write(&floats, Version::Resp3, two)),
    ];
    compare("Replying a vector", DIMENSION, rounds, vectors);
    let hits = vec![
        Subject::new("Scored, RESP2", || write(&scored, Version::Resp2, three)),
        Subject::new("Scored, RESP3", || write(&scored, Version::Resp3, four)),
        Subject::new("as many integers, RESP2", || {
            five.clear();
            many.iter()
                .for_each(|reply| write_reply(reply.clone(), Version::Resp2, five));
            black_box(&five);
        }),
        Subject::new("as many integers, RESP3", || {
            six.clear();
            many.iter()
                .for_each(|reply| write_reply(reply.clone(), Version::Resp3, six));
            black_box(&six);
        }),
    ];
    compare("Replying hits", HITS, rounds, hits);
}

/// Values such as embeddings hold: between -1 and 1, with all the digits of an f32.
fn vector() -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..DIMENSION).map(|_| next()).collect()
}

fn text_request(values: &[f32]) -> Vec<u8> {
    let mut bytes = BytesMut::from(
        &format!(
            "*{}\r\n$6\r\nVECSET\r\n$14\r\nembedding:doc1\r\n$4\r\n1536\r\n",
            values.len() + 3
        )[..],
    );
    let mut text = BytesMut::new();
    for value in values {
        text.clear();
        print_f32(*value, &mut text);
        write_reply(Reply::Bulk(Bytes::copy_from_slice(&text)), Version::Resp2, &mut bytes);
    }
    bytes.to_vec()
}

const PIPELINE_DEPTH: usize = 100;
const DIMENSION: usize = 1_536;
const HITS: usize = 100;

/// What an Ethernet segment carries.
const SEGMENT_BYTES: usize = 1_448;

const ROUNDS: usize = 300;
const PASSES: u32 = 20;
