//! Sends requests that are encoded already over some connections, and says how long each took.
//!
//! ```text
//! load ADDRESS REQUESTS CONNECTIONS DEPTH [once REPLIES | until-eof]
//! ```
//!
//! REQUESTS is a file of requests, each behind its length (32 bits, little-endian). Connection i of n sends the i-th of
//! every n, DEPTH at a time. `once` goes through the file once and writes the replies to REPLIES in the requests' order,
//! in the same form; `until-eof` goes round until the standard input ends. It prints one line: requests answered, seconds,
//! and the latencies' median, 99th percentile and maximum in microseconds. An error reply ends it.
//!
//! A thread for each connection and blocking reads: it costs a third of what the quickest server here does.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [address, requests, connections, depth, mode @ ..] = &words[..] else {
        panic!("load ADDRESS REQUESTS CONNECTIONS DEPTH [once REPLIES | until-eof]");
    };
    let bytes = fs::read(requests)?;
    let requests = split(&bytes);
    let connections: usize = connections.parse().expect("a number of connections");
    let depth: usize = depth.parse().expect("a number of requests");
    let endless = mode[0] == "until-eof";
    let ended = AtomicBool::new(false);
    let begun = Instant::now();
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        if endless {
            scope.spawn(|| {
                io::stdin().read_to_end(&mut Vec::new()).expect("it can be read");
                ended.store(true, Ordering::Relaxed);
            });
        }
        let threads: Vec<_> = (0..connections)
            .map(|first| {
                let own: Vec<&[u8]> = requests.iter().skip(first).step_by(connections).copied().collect();
                let ended = endless.then_some(&ended);
                scope.spawn(move || run(address, &own, depth, ended).expect("the server answers"))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends"))
            .collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let mut latencies: Vec<u64> = outcomes
        .iter()
        .flat_map(|outcome| outcome.nanoseconds.iter().copied())
        .collect();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{} {seconds:.6} {:.1} {:.1} {:.1}",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    if !endless {
        write_in_order(&mode[1], &outcomes, requests.len())?;
    }
    Ok(())
}

/// What one connection heard, in the order it asked.
struct Outcome {
    nanoseconds: Vec<u64>,
    replies: Vec<Vec<u8>>,
}

/// Asks everything once, or again and again until `ended`.
fn run(address: &str, requests: &[&[u8]], depth: usize, ended: Option<&AtomicBool>) -> io::Result<Outcome> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut outcome = Outcome {
        nanoseconds: Vec::new(),
        replies: Vec::new(),
    };
    let mut received = Vec::new();
    loop {
        for batch in requests.chunks(depth) {
            if ended.is_some_and(|ended| ended.load(Ordering::Relaxed)) {
                return Ok(outcome);
            }
            let begun = Instant::now();
            stream.write_all(&batch.concat())?;
            for _ in batch {
                let reply = next_reply(&mut stream, &mut received)?;
                outcome
                    .nanoseconds
                    .push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
                assert!(reply[0] != b'-', "{}", String::from_utf8_lossy(&reply));
                if ended.is_none() {
                    outcome.replies.push(reply);
                }
            }
        }
        if ended.is_none() {
            return Ok(outcome);
        }
    }
}

fn next_reply(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = reply_end(received) {
            return Ok(received.drain(..end).collect());
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => received.extend_from_slice(&buffer[..bytes]),
        }
    }
}

/// Where the first reply ends, if all of it is there. RESP2 only: nobody says HELLO here.
fn reply_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut wanted = 1;
    while wanted > 0 {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let text = str::from_utf8(&bytes[at + 1..at + line]).ok();
        let number = || {
            text.and_then(|text| text.parse::<i64>().ok())
                .expect("a length is a number")
        };
        let kind = bytes[at];
        at += line + 2;
        wanted -= 1;
        match kind {
            b'*' => wanted += number().max(0),
            b'$' if number() >= 0 => at += number() as usize + 2,
            _ => {}
        }
        if at > bytes.len() || (at == bytes.len() && wanted > 0) {
            return None;
        }
    }
    Some(at)
}

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut requests = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (request, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        requests.push(request);
        bytes = rest;
    }
    requests
}

fn write_in_order(path: &str, outcomes: &[Outcome], count: usize) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(path)?);
    for index in 0..count {
        let reply = &outcomes[index % outcomes.len()].replies[index / outcomes.len()];
        out.write_all(&u32::try_from(reply.len()).expect("far below 4 GiB").to_le_bytes())?;
        out.write_all(reply)?;
    }
    out.flush()
}
