//! Everybody is served, whatever the others do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::{Server, WORKER_COUNTS, on_each_worker_count, request, words};

#[test]
fn a_query_and_a_ping_are_answered_while_another_connection_loads_at_full_speed() {
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut client = server.connect();
        client.says("VECSET seen:1 2 1 2", "+OK\r\n");
        let loading = AtomicBool::new(true);
        thread::scope(|scope| {
            for loader in 0..workers {
                let (server, loading) = (&server, &loading);
                scope.spawn(move || load(server, loader, loading));
            }
            for _ in 0..30 {
                client.says("PING", "+PONG\r\n");
                client.says("VECQUERY seen 1 1 2", "*2\r\n$6\r\nseen:1\r\n$1\r\n0\r\n");
            }
            loading.store(false, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_client_that_never_reads_keeps_nobody_else_waiting() {
    on_each_worker_count(|server| {
        let mut client = server.connect();
        let mut sent = Vec::new();
        for number in 0..500 {
            let key = format!("big:{number:0500}");
            sent.extend(request(&["VECSET", &key, "2", "1", &number.to_string()]));
        }
        client.send(&sent);
        client.expect(b"+OK\r\n".repeat(500));
        // 275 kB a reply, 27 MB in all: more than the kernel's buffers hold, less than a worker's budget.
        let mut deaf = server.connect();
        let query = words("VECQUERY big 500 1 1").repeat(100);
        let mut sending = deaf.sibling();
        let sender = thread::spawn(move || sending.send_what_is_taken(&query));
        for _ in 0..200 {
            client.says("PING", "+PONG\r\n");
        }
        client.says("VECQUERY nothing 1 1", "*0\r\n");
        for mut other in server.connect_to_each(4) {
            other.says("PING", "+PONG\r\n");
        }
        // It reads at last: nothing was lost, everything is in order.
        let first = deaf.reply();
        for _ in 1..100 {
            assert!(deaf.reply() == first, "each reply is the same");
        }
        sender.join().expect("everything was taken");
        deaf.says("PING", "+PONG\r\n");
    });
}

fn load(server: &Server, loader: usize, loading: &AtomicBool) {
    let mut client = server.connect();
    let mut number = 0_u64;
    while loading.load(Ordering::Relaxed) {
        let mut sent = Vec::new();
        for _ in 0..200 {
            number += 1;
            let (x, y) = ((number * 7_919) % 1_000 + 1, (number * 104_729) % 1_000);
            sent.extend(words(&format!("VECSET load{loader}:{number} 4 {x} {y} {number} 1")));
        }
        client.send(&sent);
        client.expect(b"+OK\r\n".repeat(200));
    }
}
