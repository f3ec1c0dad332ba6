//! Many connections at once, each with a random program, some of which leave in the middle: every reply belongs to its
//! own request, in order.
//!
//! Each client has a collection of its own and knows what is in it, so that it can tell its own replies from those of
//! others. All share one more, and ECHO texts that nobody else sends.
//!
//! The long form: `KORA_SOAK_CONNECTIONS=1000 KORA_SOAK_SECONDS=600 cargo test --release -p kora-tests --test soak`.

#[path = "../wire/harness/mod.rs"]
mod harness;

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::{Duration, Instant};

use harness::{Client, Server, WORKER_COUNTS, config, shown, words};
use kora_server::config::{Config, VectorMetric};

#[test]
fn every_reply_belongs_to_its_own_request_while_clients_come_and_go() {
    let connections = from_environment("KORA_SOAK_CONNECTIONS", 200);
    let seconds = from_environment("KORA_SOAK_SECONDS", 9);
    let seed = from_environment("KORA_SOAK_SEED", 1);
    println!("KORA_SOAK_SEED={seed} KORA_SOAK_CONNECTIONS={connections} KORA_SOAK_SECONDS={seconds}");
    for workers in WORKER_COUNTS {
        let server = Server::with(&Config {
            vector_metric: VectorMetric::L2,
            ..config(workers)
        });
        let end = Instant::now() + Duration::from_secs(seconds) / 3;
        server
            .connect()
            .says("VECCREATE shared DIM 2 EF_CONSTRUCTION 20", "+OK\r\n");
        let asked: u64 = thread::scope(|scope| {
            let programs: Vec<_> = (0..connections)
                .map(|number| {
                    let server = &server;
                    let program = move || Program::new(server, number, seed).run_until(end);
                    let thread = thread::Builder::new()
                        .stack_size(256 * 1024)
                        .name(format!("client {number}"));
                    thread.spawn_scoped(scope, program).expect("a thread for each client")
                })
                .collect();
            programs
                .into_iter()
                .map(|program| program.join().expect("each reply was its own"))
                .sum()
        });
        println!("{workers} workers: {asked} requests of {connections} connections");
        let mut client = server.connect();
        client.says("FLUSHALL", "+OK\r\n");
        client.says("DBSIZE", ":0\r\n");
        client.says("VECLIST", "*0\r\n");
    }
}

/// One client after the other, with one random program.
struct Program<'a> {
    server: &'a Server,
    client: Client,
    random: Random,
    number: u64,
    /// Counts up with each connection: what a cut pipeline did is not known, so the next one starts anew.
    life: u64,
    /// What the collection of this life holds.
    known: BTreeMap<u64, u64>,
    /// Makes every text and every vector another.
    unique: u64,
    asked: u64,
}

/// A reply that is known, or one of which only the shape is.
enum Expected {
    Exactly(String),
    PairsUpTo(usize),
}

impl<'a> Program<'a> {
    fn new(server: &'a Server, number: u64, seed: u64) -> Program<'a> {
        Program {
            server,
            client: server.connect(),
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number + 1).wrapping_mul(0xd134_2543_de82_ef95)),
            number,
            life: 0,
            known: BTreeMap::new(),
            unique: 0,
            asked: 0,
        }
    }

    fn run_until(mut self, end: Instant) -> u64 {
        while Instant::now() < end {
            let mut sent = Vec::new();
            let mut expected = Vec::new();
            for _ in 0..1 + self.random.below(40) {
                let (line, reply) = self.next_request();
                sent.extend(words(&line));
                expected.push(reply);
            }
            self.asked += expected.len() as u64;
            self.client.send(&sent);
            match self.random.below(30) {
                0 => self.leave(&expected),
                1 => self.half_close(&expected),
                _ => expected.iter().for_each(|reply| self.hear(reply)),
            }
        }
        self.asked
    }

    fn next_request(&mut self) -> (String, Expected) {
        self.unique += 1;
        let unique = self.unique;
        let collection = format!("own-{}-{}", self.number, self.life);
        let exactly = |text: &str| Expected::Exactly(text.to_owned());
        let element = self.random.below(30);
        match self.random.below(12) {
            0..=2 => {
                self.known.insert(element, unique);
                (
                    format!("VECSET {collection}:{element} 2 {unique} 1"),
                    exactly("+OK\r\n"),
                )
            }
            3 => {
                let deleted = u8::from(self.known.remove(&element).is_some());
                (
                    format!("VECDEL {collection}:{element}"),
                    exactly(&format!(":{deleted}\r\n")),
                )
            }
            4..=5 => {
                let reply = self.known.get(&element).map_or("$-1\r\n".to_owned(), |component| {
                    format!("*2\r\n{}$1\r\n1\r\n", bulk(&component.to_string()))
                });
                (format!("VECGET {collection}:{element}"), Expected::Exactly(reply))
            }
            6 => match self.known.first_key_value() {
                // Each vector is another, so it is the only one at distance 0 of itself.
                Some((element, component)) => (
                    format!("VECQUERY {collection} 1 {component} 1"),
                    Expected::Exactly(format!("*2\r\n{}$1\r\n0\r\n", bulk(&format!("{collection}:{element}")))),
                ),
                None => (format!("VECQUERY {collection} 5 1 1"), exactly("*0\r\n")),
            },
            7 => (
                format!("VECSET shared:{}-{element} 2 {unique} 1", self.number),
                exactly("+OK\r\n"),
            ),
            8 => (format!("VECQUERY shared 5 {unique} 1"), Expected::PairsUpTo(5)),
            9 => (
                format!("VECSET {collection}:{element} 3 1 x 2"),
                exactly("-ERR invalid vector: component 2 is not a number: 'x'\r\n"),
            ),
            _ => {
                let text = format!("{}-{}-{unique}", self.number, self.life);
                (format!("ECHO {text}"), Expected::Exactly(bulk(&text)))
            }
        }
    }

    fn hear(&mut self, expected: &Expected) {
        match expected {
            Expected::Exactly(text) => self.client.expect(text),
            Expected::PairsUpTo(k) => {
                let reply = self.client.reply();
                let counts = (0..=*k).map(|count| format!("*{}\r\n", 2 * count));
                let known = counts.into_iter().any(|head| reply.starts_with(head.as_bytes()));
                assert!(known, "client {}: {}", self.number, shown(&reply));
            }
        }
    }

    /// Goes away with some replies unread, politely or not.
    fn leave(&mut self, expected: &[Expected]) {
        let heard = self.random.below(expected.len() as u64) as usize;
        expected[..heard].iter().for_each(|reply| self.hear(reply));
        let left = self.start_anew();
        if self.random.below(2) == 0 {
            left.reset();
        }
    }

    fn half_close(&mut self, expected: &[Expected]) {
        self.client.close_sending();
        expected.iter().for_each(|reply| self.hear(reply));
        self.client.expect_end("");
        self.start_anew();
    }

    /// A new connection with a new collection; returns the one before.
    fn start_anew(&mut self) -> Client {
        self.life += 1;
        self.known.clear();
        std::mem::replace(&mut self.client, self.server.connect())
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn from_environment(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text}")),
        Err(_) => default,
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
