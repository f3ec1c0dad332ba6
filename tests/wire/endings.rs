//! How connections and servers end: what was received is done, and its replies arrive.

use std::net::TcpStream;

use crate::harness::{Server, WORKER_COUNTS, on_each_worker_count, shown, words};

#[test]
fn quit_is_answered_behind_everything_before_it_and_nothing_behind_it() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        client.send("ECHO a\r\nVECSET q:1 1 1\r\nQUIT\r\nECHO b\r\nVECSET q:2 1 1\r\n");
        client.expect_end("$1\r\na\r\n+OK\r\n+OK\r\n");
        server.connect().says("DBSIZE", ":1\r\n");
    });
}

#[test]
fn a_half_closed_socket_still_gets_its_replies() {
    on_each_worker_count(|server| {
        let (sent, expected) = numbered_echoes(20_000);
        for incomplete in ["", "*2\r\n$4\r\nECHO\r\n$3\r\nab", "PING"] {
            let mut client = server.connect();
            client.send(&sent);
            client.send(incomplete);
            client.close_sending();
            client.expect_end(&expected);
        }
        let mut client = server.connect();
        client.send(words("VECSET h:1 2 0 1"));
        client.send(words("VECQUERY h 1 0 1"));
        client.close_sending();
        client.expect_end("+OK\r\n*2\r\n$3\r\nh:1\r\n$1\r\n0\r\n");
        let mut client = server.connect();
        client.close_sending();
        client.expect_end("");
    });
}

#[test]
fn replies_are_not_lost_to_bytes_that_nobody_looks_at_any_more() {
    on_each_worker_count(|server| {
        // More replies than the kernel's buffers hold, and more requests behind than the server will read.
        let (sent, expected) = large_echoes(400);
        for (end, last_word) in [
            ("QUIT\r\n", "+OK\r\n"),
            ("*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ] {
            let mut client = server.connect();
            let mut sending = client.sibling();
            let bytes = [&sent, end.as_bytes(), &b"PING\r\n".repeat(200_000)].concat();
            let sender = std::thread::spawn(move || sending.send_what_is_taken(&bytes));
            client.expect_end([expected.as_slice(), last_word.as_bytes()].concat());
            sender.join().expect("it does not mind that nobody reads");
        }
    });
}

#[test]
fn shutdown_finishes_what_was_received_and_ends_the_server() {
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut others = server.connect_to_each(workers);
        let mut client = server.connect();
        for other in &mut others {
            other.says("PING", "+PONG\r\n");
            other.send("*2\r\n$4\r\nECHO\r\n$5\r\nunfin");
        }
        client.says("SHUTDOWN NOTHING", "-ERR syntax error\r\n");
        client.send("VECSET s:1 2 1 2\r\nVECQUERY s 1 1 2\r\nSHUTDOWN NOSAVE\r\nECHO behind\r\n");
        client.expect_end("+OK\r\n*2\r\n$3\r\ns:1\r\n$1\r\n0\r\n");
        for other in &mut others {
            other.expect_end("");
        }
        let address = server.address;
        server.wait();
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}

#[test]
fn a_server_that_is_stopped_in_the_middle_of_pipelines_sends_whole_replies_in_order() {
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let (sent, expected) = large_echoes(600);
        let mut clients = server.connect_to_each(workers + 1);
        let senders: Vec<_> = clients
            .iter()
            .map(|client| {
                let (mut sending, sent) = (client.sibling(), sent.clone());
                std::thread::spawn(move || sending.send_what_is_taken(&sent))
            })
            .collect();
        clients[0].expect(&expected[..100_000]);
        server.ask_to_stop();
        for (place, client) in clients.iter_mut().enumerate() {
            let got = client.rest();
            let start = if place == 0 { 100_000 } else { 0 };
            let due = &expected[start..];
            assert!(
                got.len() <= due.len() && got == due[..got.len()],
                "replies out of order"
            );
            let whole = (got.len() + start) % (expected.len() / 600) == 0;
            assert!(
                whole,
                "the last reply is cut: …{}",
                shown(&got[got.len().saturating_sub(40)..])
            );
        }
        for sender in senders {
            sender.join().expect("it does not mind that nobody reads");
        }
        server.wait();
    }
}

#[test]
fn a_stopped_server_waits_for_replies_that_are_owed() {
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let (sent, expected) = numbered_echoes(1_000);
        let mut client = server.connect();
        client.says("VECSET w:1 2 1 2", "+OK\r\n");
        client.send(&sent);
        client.expect(&expected[..10]);
        server.ask_to_stop();
        client.expect_end(&expected[10..]);
        server.wait();
    }
}

/// Small replies, each different.
fn numbered_echoes(count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for number in 0..count {
        sent.extend(words(&format!("ECHO {number:06}")));
        expected.extend_from_slice(format!("$6\r\n{number:06}\r\n").as_bytes());
    }
    (sent, expected)
}

/// Replies of 20,000 bytes, each different.
fn large_echoes(count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for number in 0..count {
        let payload = format!("{number:06}").repeat(20_000 / 6);
        sent.extend(words(&format!("ECHO {payload}")));
        expected.extend_from_slice(format!("${}\r\n{payload}\r\n", payload.len()).as_bytes());
    }
    (sent, expected)
}
