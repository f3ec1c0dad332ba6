//! Many requests at once, and requests in pieces.

use std::thread;
use std::time::Duration;

use crate::harness::{Client, Server, on_each_worker_count, request, words};

#[test]
fn a_pipeline_of_any_depth_is_answered_in_order_without_being_read_from() {
    on_each_worker_count(|server| {
        for depth in [10_000, 100_000] {
            let mut client = server.connect();
            client.says("FLUSHALL", "+OK\r\n");
            client.says("VECCREATE p DIM 2 METRIC L2 EF_CONSTRUCTION 40", "+OK\r\n");
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for number in 0..depth {
                match number % 100 {
                    // Read-your-writes: the query behind it finds the vector at distance 0, wherever it lies.
                    0 => {
                        sent.extend(words(&format!("VECSET p:{number} 2 {number} 1")));
                        expected.extend_from_slice(b"+OK\r\n");
                    }
                    1 => {
                        let (key, component) = (format!("p:{}", number - 1), number - 1);
                        sent.extend(words(&format!("VECQUERY p 1 {component} 1")));
                        expected.extend_from_slice(format!("*2\r\n${}\r\n{key}\r\n$1\r\n0\r\n", key.len()).as_bytes());
                    }
                    2 => {
                        sent.extend(words(&format!("VECGET p:{}", number - 2)));
                        let component = (number - 2).to_string();
                        let text = format!("*2\r\n${}\r\n{component}\r\n$1\r\n1\r\n", component.len());
                        expected.extend_from_slice(text.as_bytes());
                    }
                    3 => {
                        sent.extend_from_slice(b"PING\r\n");
                        expected.extend_from_slice(b"+PONG\r\n");
                    }
                    4 => {
                        sent.extend(words(&format!("VECSET p:{number} 3 1 2 3")));
                        expected
                            .extend_from_slice(b"-ERR vector dimension mismatch - got 3 but collection 'p' has 2\r\n");
                    }
                    _ => {
                        let payload = format!("payload-{number}");
                        sent.extend(words(&format!("ECHO {payload}")));
                        expected.extend_from_slice(format!("${}\r\n{payload}\r\n", payload.len()).as_bytes());
                    }
                }
            }
            client.send(&sent);
            client.expect(&expected);
            client.says("DBSIZE", format!(":{}\r\n", depth / 100));
        }
    });
}

#[test]
fn commands_that_decide_about_a_collection_keep_their_place_in_a_pipeline() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for round in 0..200 {
            let dimension = 1 + round % 3;
            let ones = vec!["1"; dimension].join(" ");
            for (line, reply) in [
                (format!("VECSET d:a {dimension} {ones}"), "+OK\r\n".to_owned()),
                (format!("VECSET d:b {dimension} {ones}"), "+OK\r\n".to_owned()),
                ("DBSIZE".to_owned(), ":2\r\n".to_owned()),
                (
                    format!("VECQUERY d 1 {ones}"),
                    "*2\r\n$3\r\nd:a\r\n$1\r\n0\r\n".to_owned(),
                ),
                ("VECDEL d:a".to_owned(), ":1\r\n".to_owned()),
                (
                    format!("VECQUERY d 5 {ones}"),
                    "*2\r\n$3\r\nd:b\r\n$1\r\n0\r\n".to_owned(),
                ),
                ("VECLIST".to_owned(), "*1\r\n$1\r\nd\r\n".to_owned()),
                match round % 2 {
                    0 => ("VECDROP d".to_owned(), ":1\r\n".to_owned()),
                    _ => ("FLUSHALL".to_owned(), "+OK\r\n".to_owned()),
                },
                (format!("VECQUERY d 5 {ones}"), "*0\r\n".to_owned()),
                ("VECGET d:b".to_owned(), "$-1\r\n".to_owned()),
                ("VECDROP d".to_owned(), ":0\r\n".to_owned()),
                ("VECLIST".to_owned(), "*0\r\n".to_owned()),
                ("DBSIZE".to_owned(), ":0\r\n".to_owned()),
            ] {
                sent.extend(words(&line));
                expected.extend_from_slice(reply.as_bytes());
            }
        }
        client.send(&sent);
        client.expect(&expected);
    });
}

#[test]
fn a_request_may_be_cut_at_every_byte() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let blob: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut sent = request(&[b"VECSET".as_slice(), b"c:\r\n1", b"2", b"FP32", &blob]);
        sent.extend_from_slice(b"\r\nECHO \"a b\"\r\n*-1\r\n");
        sent.extend(request(&[b"VECGET".as_slice(), b"c:\r\n1", b"FP32"]));
        let expected = [b"+OK\r\n$3\r\na b\r\n$8\r\n".as_slice(), &blob, b"\r\n"].concat();
        for cut in 0..=sent.len() {
            client.send(&sent[..cut]);
            // Not for the order but so that the parts arrive in two reads.
            thread::sleep(Duration::from_micros(500));
            client.send(&sent[cut..]);
            client.expect(&expected);
        }
    });
}

#[test]
fn a_command_may_come_one_byte_a_millisecond() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        for byte in request(&["VECSET", "slow:1", "2", "0.25", "1"]) {
            client.send([byte]);
            thread::sleep(Duration::from_millis(1));
        }
        client.expect("+OK\r\n");
        for byte in "VECGET slow:1\r\n".bytes() {
            client.send([byte]);
            thread::sleep(Duration::from_millis(1));
        }
        client.expect("*2\r\n$4\r\n0.25\r\n$1\r\n1\r\n");
    });
}

#[test]
fn a_large_argument_is_echoed_whole() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let large: Vec<u8> = (0..8_000_000u32).map(|number| ((number * 31) >> 3) as u8).collect();
        let mut expected = b"$8000000\r\n".to_vec();
        expected.extend_from_slice(&large);
        expected.extend_from_slice(b"\r\n+PONG\r\n");
        let mut sent = request(&[b"ECHO".as_slice(), &large]);
        sent.extend_from_slice(b"PING\r\n");
        client.send(&sent);
        client.expect(&expected);
    });
}

#[test]
fn large_requests_stand_between_small_ones() {
    on_each_worker_count(|server| {
        let keys: Vec<String> = (0..20_000).map(|number| format!("key:{number}")).collect();
        let values: Vec<String> = (0..20_000).map(|number| format!("value of {number}")).collect();
        let of = |command: &str, more: &[&String]| {
            let all = command.split(' ').map(str::to_owned);
            request(
                &all.chain(more.iter().map(|word| word.to_string()))
                    .collect::<Vec<String>>(),
            )
        };
        let pairs: Vec<&String> = keys.iter().zip(&values).flat_map(|(key, value)| [key, value]).collect();
        let all: Vec<&String> = keys.iter().collect();
        let mut found = format!("*{}\r\n", values.len());
        for value in &values {
            found.push_str(&format!("${}\r\n{value}\r\n", value.len()));
        }
        let small = (words("PING"), "+PONG\r\n".to_owned());
        let long = "x".repeat(200_000);
        let exchange = [
            small.clone(),
            (of("MSET", &pairs), "+OK\r\n".to_owned()),
            (of("SET long", &[&long]), "+OK\r\n".to_owned()),
            small.clone(),
            (of("MGET", &all), found.clone()),
            (of("HSET h", &pairs), ":20000\r\n".to_owned()),
            (of("EXISTS", &all), ":20000\r\n".to_owned()),
            (of("DEL", &all), ":20000\r\n".to_owned()),
            (of("MSETNX", &pairs), ":1\r\n".to_owned()),
            (of("MSETNX", &pairs), ":0\r\n".to_owned()),
            (of("HMGET h", &all), found),
            small.clone(),
            (of("HDEL h", &all), ":20000\r\n".to_owned()),
            (of("GET long", &[]), format!("$200000\r\n{long}\r\n")),
            (of("TOUCH", &all), ":20000\r\n".to_owned()),
            (of("SPELL", &all[..12_000]), String::new()),
            (of("UNLINK", &all), ":20000\r\n".to_owned()),
            small,
        ];
        let mut client = server.connect();
        let mut sender = client.sibling();
        let sent: Vec<u8> = exchange.iter().flat_map(|(request, _)| request.clone()).collect();
        // Pieces that are no multiple of anything, so that requests end anywhere in what is read at a time.
        let sending = thread::spawn(move || sent.chunks(77_777).for_each(|piece| sender.send(piece)));
        for (_, reply) in &exchange {
            match reply.is_empty() {
                true => assert!(client.reply().starts_with(b"-ERR unknown command")),
                false => client.expect(reply),
            }
        }
        sending.join().expect("the requests were taken");
    });
}

#[test]
fn neighbours_in_a_pipeline_travel_to_another_worker_together() {
    let server = Server::start(2);
    let mut client = server.connect();
    let requests_sent = |client: &mut Client| -> u64 {
        let info = String::from_utf8(client.hears("INFO workers")).expect("INFO is text");
        let counts = info.split("requests_sent=").skip(1);
        counts
            .map(|rest| {
                rest.split(',')
                    .next()
                    .expect("a number")
                    .parse::<u64>()
                    .expect("a number")
            })
            .sum()
    };
    let before = requests_sent(&mut client);
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for round in 1..=2 {
        for number in 0..100 {
            sent.extend(words(&format!("INCR number:{number}")));
            expected.extend_from_slice(format!(":{round}\r\n").as_bytes());
        }
    }
    // Of four keys hardly ever all lie on one worker.
    for number in 0..50 {
        let keys = [0, 1, 2, 3].map(|more| format!("number:{}", number + more));
        sent.extend(words(&format!("MGET {}", keys.join(" "))));
        expected.extend_from_slice(b"*4\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n2\r\n");
        sent.extend(words(&format!("EXISTS {} number:none", keys.join(" "))));
        expected.extend_from_slice(b":4\r\n");
    }
    client.send(&sent);
    client.expect(&expected);
    // About half of 200 lie on the other worker. INFO itself asks it once or twice.
    let after = requests_sent(&mut client);
    let messages = after - before;
    assert!((1..40).contains(&messages), "{messages} messages for 300 commands");
}
