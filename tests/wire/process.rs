//! What a server costs the machine. These measure the whole process, so they run alone and one after the other.

mod harness;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use harness::{Client, Server, WORKER_COUNTS, config, request, words};
use kora_server::config::Config;

#[test]
fn an_idle_server_uses_no_cpu() {
    let _alone = alone();
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut clients = server.connect_to_each(20);
        for client in &mut clients {
            client.says("VECSET idle:1 2 1 2", "+OK\r\n");
            client.says("VECQUERY idle 1 1 2", "*2\r\n$6\r\nidle:1\r\n$1\r\n0\r\n");
        }
        // A client that does not take its replies, one that ends and does not take its last ones, half a request.
        let (mut deaf, mut leaving, mut halfway) = (server.connect(), server.connect(), server.connect());
        let echo = request(&[b"ECHO".as_slice(), &vec![b'x'; 10_000_000]]);
        deaf.send(&echo);
        leaving.send(&echo);
        leaving.send("QUIT\r\n");
        halfway.send("*2\r\n$4\r\nECHO\r\n$100\r\nhalf");
        thread::sleep(Duration::from_millis(500));
        let before = cpu_ticks();
        thread::sleep(Duration::from_secs(2));
        let used = cpu_ticks() - before;
        assert!(used <= 2, "{used} ticks of 10 ms in 2 s with {workers} workers");
    }
}

#[test]
fn clients_that_never_read_do_not_take_the_memory() {
    let _alone = alone();
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut client = server.connect();
        fill(&mut client, "big");
        let before = resident_bytes();
        // 275 kB a reply, 1.1 GB in all.
        let query = words("VECQUERY big 500 1 1").repeat(500);
        let mut deaf = server.connect_to_each(8);
        for deaf in &mut deaf {
            deaf.send_what_is_taken(&query);
        }
        let mut most = 0;
        for _ in 0..200 {
            client.says("PING", "+PONG\r\n");
            client.says("VECQUERY nothing 1 1", "*0\r\n");
            most = most.max(resident_bytes());
            thread::sleep(Duration::from_millis(5));
        }
        let grown = most.saturating_sub(before) >> 20;
        println!("{workers} workers: {grown} MiB more");
        // The budget for clients is 256 MiB at most. Replies are made and encoded before somebody looks, and the
        // allocator holds back what was freed: 60 to 110 MiB on the day this was written.
        assert!(grown <= 512, "{grown} MiB more with {workers} workers");
        drop(deaf);
        client.says("PING", "+PONG\r\n");
    }
}

#[test]
fn many_clients_that_ask_for_much_at_once_get_it_one_after_the_other() {
    let _alone = alone();
    for workers in WORKER_COUNTS {
        let server = Server::with(&Config {
            maxmemory_clients: "32mb".parse().expect("an amount of memory"),
            ..config(workers)
        });
        let mut client = server.connect();
        let mut sent = Vec::new();
        for number in 0..VECTORS {
            sent.extend(request(&[
                "VECSET",
                &format!("many:{number}"),
                "2",
                "1",
                &number.to_string(),
            ]));
        }
        client.send(&sent);
        client.expect(b"+OK\r\n".repeat(VECTORS));
        let before = resident_bytes();
        // 4 MB each while they are made, and as many in the end.
        let query = words(&format!("VECQUERY many {VECTORS} 1 1"));
        let mut askers = server.connect_to_each(40);
        askers.iter_mut().for_each(|asker| asker.send(&query));
        let first = askers[0].reply();
        assert!(first.len() > 400_000);
        let most = resident_bytes();
        for asker in &mut askers[1..] {
            assert!(asker.reply() == first, "{workers} workers");
        }
        let grown = most.max(resident_bytes()).saturating_sub(before) >> 20;
        println!("{workers} workers: {grown} MiB more");
        // 26 to 32 MiB on the day this was written; 160 if all were made at once.
        assert!(grown <= 64, "{grown} MiB more with {workers} workers");
    }
}

#[test]
fn a_reply_that_clients_may_not_hold_is_refused_and_the_connection_lives() {
    for workers in WORKER_COUNTS {
        let server = Server::with(&Config {
            maxmemory_clients: "8mb".parse().expect("an amount of memory"),
            ..config(workers)
        });
        let mut client = server.connect();
        for collection in ["big", "{a}"] {
            // 10 MB a reply.
            fill_with(&mut client, collection, 20_000);
            client.send(words(&format!("VECQUERY {collection} 500 1 1")));
            let reply = client.reply();
            let bytes_max = 8 << 20;
            let text = format!("-ERR the reply would take more than the {bytes_max} bytes of memory");
            assert!(reply.starts_with(text.as_bytes()), "{}", reply.escape_ascii());
            client.send(words(&format!("VECQUERY {collection} 20 1 1")));
            assert!(client.reply().starts_with(b"*40\r\n"));
        }
    }
}

#[test]
fn a_late_reader_of_long_keys_is_paused_and_not_dropped() {
    let _alone = alone();
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        println!("{workers} workers:");
        // One collection is on all shards; the others each on one, which may be another worker's than the client's.
        for collection in ["big", "{a}", "{b}"] {
            fill(&mut server.connect(), collection);
            // 275 kB a reply, 357 MB in all: more than the 256 MiB of all clients.
            let count = 1_300;
            let query = words(&format!("VECQUERY {collection} 500 1 1")).repeat(count);
            let mut late = server.connect();
            let mut sibling = late.sibling();
            thread::scope(|scope| {
                scope.spawn(move || sibling.send(&query));
                // The server has made all replies that it wants to hold when it has nothing more to do.
                await_rest();
                let first = late.reply();
                for number in 1..count {
                    assert!(
                        late.reply() == first,
                        "{collection}, reply {number} with {workers} workers"
                    );
                }
            });
        }
    }
}

#[test]
fn clients_that_leave_in_the_middle_of_a_pipeline_leave_no_memory_behind() {
    let _alone = alone();
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let mut client = server.connect();
        fill(&mut client, "big");
        let query = words("VECQUERY big 500 1 1").repeat(300);
        let mut most = 0;
        let before = resident_bytes();
        for _ in 0..5 {
            for mut leaving in server.connect_to_each(8) {
                leaving.send_what_is_taken(&query);
                leaving.reset();
            }
            client.says("PING", "+PONG\r\n");
            most = most.max(resident_bytes());
        }
        let grown = most.saturating_sub(before) >> 20;
        println!("{workers} workers: {grown} MiB more");
        assert!(grown <= 512, "{grown} MiB more with {workers} workers");
        for mut other in server.connect_to_each(4) {
            other.says("DBSIZE", ":500\r\n");
        }
    }
}

#[test]
fn requests_that_repeat_a_name_a_hundred_thousand_times_are_not_multiplied() {
    let _alone = alone();
    for workers in WORKER_COUNTS {
        let server = Server::start(workers);
        let before = resident_bytes();
        for (command, subcommand, word) in [
            ("COMMAND", "INFO", "client"),
            ("COMMAND", "DOCS", "client"),
            ("CONFIG", "GET", "*"),
            ("CLIENT", "LIST", "ID"),
            ("INFO", "all", "all"),
        ] {
            let mut client = server.connect();
            let mut arguments = vec![word; 100_000];
            (arguments[0], arguments[1]) = (command, subcommand);
            client.send_what_is_taken(&request(&arguments));
            // Whatever it is told, or whether it is dropped: the others are served.
            server.connect().says("PING", "+PONG\r\n");
            let grown = resident_bytes().saturating_sub(before) >> 20;
            println!("{command} {subcommand}: {grown} MiB more");
            assert!(
                grown <= 512,
                "{command} {subcommand} …: {grown} MiB more with {workers} workers"
            );
        }
    }
}

/// Of the collection of which many clients want all.
const VECTORS: usize = 20_000;

/// Until this process does nothing any more.
fn await_rest() {
    let mut before = cpu_ticks();
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(100));
        let now = cpu_ticks();
        if now <= before + 1 {
            return;
        }
        before = now;
    }
}

/// 500 vectors with elements of 500 bytes.
fn fill(client: &mut Client, collection: &str) {
    fill_with(client, collection, 500);
}

/// 500 vectors with elements of so many bytes.
fn fill_with(client: &mut Client, collection: &str, name_bytes: usize) {
    let mut sent = Vec::new();
    for number in 0..500 {
        sent.extend(request(&[
            "VECSET",
            &format!("{collection}:{number:0name_bytes$}"),
            "2",
            "1",
            &number.to_string(),
        ]));
    }
    client.send(&sent);
    client.expect(b"+OK\r\n".repeat(500));
}

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// utime and stime of this process, in ticks of 10 ms: the 12th and 13th field behind its name.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let behind_name = stat.rsplit(')').next().expect("the name is in parentheses");
    let ticks = |field| -> u64 {
        let text = behind_name.split(' ').nth(field).expect("it has 52 fields");
        text.parse().expect("a number")
    };
    ticks(12) + ticks(13)
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .expect("the second field")
        .parse()
        .expect("a number");
    pages * 4096
}
