//! The memory that clients hold: one budget for all workers, in which a client that reads is never cut off.

use std::thread;
use std::time::Duration;

use kora_server::config::Config;

use super::harness::{Client, Server, config, request, shown, words};

fn server_with(workers: usize, maxmemory_clients: &str) -> Server {
    Server::with(&Config {
        maxmemory_clients: maxmemory_clients.parse().expect("an amount of memory"),
        ..config(workers)
    })
}

#[test]
fn a_large_value_fits_with_any_number_of_workers() {
    for workers in [1, 8, 32] {
        let server = server_with(workers, "128mb");
        let mut client = server.connect();
        for megabytes in [4, 60] {
            let value = vec![b'x'; megabytes << 20];
            client.send(request(&[b"SET".as_slice(), b"large", &value]));
            client.expect("+OK\r\n");
        }
        client.says("STRLEN large", ":62914560\r\n");
        client.send(words("GET large"));
        assert_eq!(client.reply().len(), (60 << 20) + 13);
    }
}

#[test]
fn channels_that_are_too_many_for_a_reply_stop_no_worker() {
    let server = server_with(4, "64mb");
    let mut subscribers = server.connect_to_each(4);
    for subscriber in &mut subscribers {
        for number in 0..190 {
            let channel = format!("{number:060000}");
            subscriber.send(request(&["SUBSCRIBE", &channel]));
            subscriber.reply();
        }
    }
    // Three of four workers' names are too many already.
    let mut client = server.connect();
    let reply = client.hears("PUBSUB CHANNELS");
    assert!(reply.starts_with(b"-"), "{}", shown(&reply));
    for mut client in server.connect_to_each(4) {
        client.says("PING", "+PONG\r\n");
    }
}

#[test]
fn a_client_that_reads_is_not_cut_off_at_any_depth() {
    for (workers, memory) in [(1, "8mb"), (2, "8mb"), (2, "256mb"), (4, "64mb")] {
        let server = server_with(workers, memory);
        let mut reader = server.connect();
        let value = vec![b'v'; 100_000];
        reader.send(request(&[b"SET".as_slice(), b"b", &value]));
        reader.expect("+OK\r\n");
        let mut sibling = reader.sibling();
        let expected = [b"$100000\r\n".as_slice(), &value, b"\r\n"].concat();
        thread::scope(|scope| {
            scope.spawn(move || sibling.send(words("GET b").repeat(1_400)));
            for _ in 0..1_400 {
                reader.expect(&expected);
            }
        });
        reader.says("PING", "+PONG\r\n");
        // The same with values that no two replies share.
        let mut sibling = reader.sibling();
        let set = request(&[b"SET".as_slice(), b"b", &value]);
        thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..200 {
                    sibling.send(&set);
                    sibling.send(words("GET b"));
                }
            });
            for _ in 0..200 {
                reader.expect("+OK\r\n");
                reader.expect(&expected);
            }
        });
    }
}

#[test]
fn requests_that_do_not_fit_beside_each_other_come_one_after_the_other() {
    for workers in [1, 2] {
        let server = server_with(workers, "64mb");
        let value = vec![b'x'; 40 << 20];
        thread::scope(|scope| {
            for number in 0..4 {
                let (server, value) = (&server, &value);
                scope.spawn(move || {
                    let mut client = server.connect();
                    let key = format!("large:{number}");
                    client.send(request(&[b"SET".as_slice(), key.as_bytes(), value]));
                    client.expect("+OK\r\n");
                });
            }
        });
    }
}

#[test]
fn a_request_that_can_never_fit_is_refused_in_words() {
    let server = server_with(2, "8mb");
    for mut client in server.connect_to_each(2) {
        client.send_what_is_taken(&request(&[b"SET".as_slice(), b"k", &vec![b'x'; 9 << 20]]));
        let said = client.rest();
        let expected = b"-OOM the request is larger than the memory that clients may hold";
        assert!(said.starts_with(expected), "{}", shown(&said));
    }
    server.connect().says("EXISTS k", ":0\r\n");
}

#[test]
fn clients_that_have_sent_a_byte_hold_hardly_more() {
    let server = server_with(2, "8mb");
    let mut clients: Vec<Client> = (0..600).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("*"));
    for client in &mut clients {
        client.send("1\r\n$4\r\nPING\r\n");
        client.expect("+PONG\r\n");
    }
    assert_eq!(evicted(&mut clients[0]), 0);
}

#[test]
fn strangers_cost_no_authenticated_client_its_place() {
    let server = Server::with(&Config {
        maxmemory_clients: "8mb".parse().expect("an amount of memory"),
        requirepass: "secret".parse().expect("any text is a password"),
        ..config(2)
    });
    let mut clients = server.connect_to_each(20);
    for client in &mut clients {
        client.says("AUTH secret", "+OK\r\n");
        // It holds more than any stranger does.
        client.send("*2\r\n$4\r\nECHO\r\n$40000\r\n");
        client.send(vec![b'x'; 39_999]);
    }
    let mut strangers: Vec<Client> = (0..300).map(|_| server.connect()).collect();
    for stranger in &mut strangers {
        stranger.send_what_is_taken(b"*2\r\n$4\r\nAUTH\r\n$16000\r\n");
        stranger.send_what_is_taken(&vec![b'x'; 15_000]);
    }
    thread::sleep(Duration::from_millis(300));
    for client in &mut clients {
        client.send("x\r\n");
        client.expect([b"$40000\r\n".as_slice(), &[b'x'; 40_000], b"\r\n"].concat());
    }
    assert!(evicted(&mut clients[0]) > 0, "of the strangers some have gone");
}

#[test]
fn deaf_clients_go_before_a_reading_one_is_refused_anything() {
    for workers in [1, 2] {
        let server = server_with(workers, "16mb");
        let mut client = server.connect();
        let value = vec![b'v'; 15_000];
        client.send(request(&[b"SET".as_slice(), b"b", &value]));
        client.expect("+OK\r\n");
        let mut deaf = server.connect_to_each(12);
        // Values of this length are copied into each reply.
        deaf.iter_mut().for_each(|deaf| deaf.send(words("GET b").repeat(1_500)));
        let expected = [b"$15000\r\n".as_slice(), &value, b"\r\n"].concat();
        for _ in 0..300 {
            client.send(words("GET b").repeat(10));
            for _ in 0..10 {
                client.expect(&expected);
            }
        }
        let large = vec![b'x'; 8 << 20];
        client.send(request(&[b"SET".as_slice(), b"large", &large]));
        client.expect("+OK\r\n");
    }
}

#[test]
fn keys_that_are_watched_count() {
    let server = server_with(2, "64mb");
    let mut client = server.connect();
    let before = held(&mut client);
    let keys: Vec<Vec<u8>> = (0..100)
        .map(|number| format!("{{k}}{number:060000}").into_bytes())
        .collect();
    let arguments: Vec<&[u8]> = [b"WATCH".as_slice()]
        .into_iter()
        .chain(keys.iter().map(Vec::as_slice))
        .collect();
    client.asks(&arguments, "+OK\r\n");
    assert!(held(&mut client) > before + 6_000_000);
    client.says("UNWATCH", "+OK\r\n");
    assert!(held(&mut client) < before + 1_000_000);
}

/// Clients that were dropped for others.
fn evicted(client: &mut Client) -> u64 {
    number_in_info(client, "INFO stats", "evicted_clients:")
}

fn held(client: &mut Client) -> u64 {
    number_in_info(client, "INFO memory", "mem_clients_normal:")
}

fn number_in_info(client: &mut Client, line: &str, name: &str) -> u64 {
    let info = String::from_utf8(client.hears(line)).expect("INFO is text");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("it has the field");
    line.parse().expect("a number")
}
