//! What the demo shows once the words are loaded.

use std::io::Write;
use std::time::{Duration, Instant};

use redis_protocol::resp2::types::OwnedFrame;

use crate::client::{CallError, Client};

use super::exact::Exact;
use super::load::blob;
use super::sample::Sample;
use super::{COLLECTION, DemoError, Target};

/// A few words and their neighbours as a table. A word's own vector is stored too, so it finds itself first, at 0.
pub(super) fn neighbours(out: &mut impl Write, sample: &Sample, client: &mut Client) -> Result<(), DemoError> {
    let mut rows = vec![vec![
        "query".to_owned(),
        "time".to_owned(),
        "nearest, with cosine distance".to_owned(),
    ]];
    for word in WORDS_SHOWN {
        let known = sample.position(word);
        let index = known.ok_or_else(|| DemoError::Sample(format!("the sample lacks `{word}`")))?;
        let (hits, took) = query(client, sample.vector(index), NEIGHBOURS_SHOWN)?;
        let mut row = vec![word.to_owned(), milliseconds(took)];
        row.extend(hits.iter().map(Hit::to_text));
        rows.push(row);
    }
    for row in aligned(&rows) {
        writeln!(out, "{row}")?;
    }
    Ok(())
}

/// The rows as lines, each column as wide as its widest cell. A row's last cell may stick out: nothing follows it.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(&row[..row.len().saturating_sub(1)]) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Measures how many of the true nearest neighbours the index finds.
///
/// A query is the sum of two words: a place among the vectors where none is stored. Asking for stored vectors would
/// flatter the index, as each is linked to its neighbours.
pub(super) fn recall(out: &mut impl Write, sample: &Sample, client: &mut Client) -> Result<(), DemoError> {
    let count = sample.words.len();
    let mut recall_sum = 0.0;
    let mut times = Vec::with_capacity(RECALL_QUERIES);
    for number in 0..RECALL_QUERIES {
        let (left, right) = (number * LEFT_STEP % count, number * RIGHT_STEP % count);
        let query_vector: Vec<f32> = sample
            .vector(left)
            .iter()
            .zip(sample.vector(right))
            .map(|(left, right)| left + right)
            .collect();
        let (hits, took) = query(client, &query_vector, RECALL_NEIGHBOURS)?;
        let found: Option<Vec<usize>> = hits.iter().map(|hit| sample.position(hit.word())).collect();
        let found = found.ok_or_else(|| DemoError::Call("VECQUERY found a word that was never set".to_owned()))?;
        let share_returned = found.len() as f64 / RECALL_NEIGHBOURS as f64;
        recall_sum += Exact::search(sample, &query_vector).recall(&found) * share_returned;
        times.push(took);
    }
    times.sort_unstable();
    let (median, slowest) = (
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() * 99 / 100]),
    );
    writeln!(
        out,
        "\nrecall@{RECALL_NEIGHBOURS} {:.3}: of the {RECALL_NEIGHBOURS} words that an exact search finds nearest, over \
         {RECALL_QUERIES} queries.\nA query took {median} (median), {slowest} (99th percentile).",
        recall_sum / RECALL_QUERIES as f64
    )?;
    Ok(())
}

/// Commands for the person to go on with.
pub(super) fn lines_to_try(out: &mut impl Write, target: &Target) -> Result<(), DemoError> {
    let (host, port) = (target.address.ip(), target.address.port());
    let (login, password) = match target.password {
        Some(_) => ("export REDISCLI_AUTH=…  # the password\n  ", ", password=\"…\""),
        None => ("", ""),
    };
    let cli = if host.is_loopback() {
        format!("redis-cli -p {port}")
    } else {
        format!("redis-cli -h {host} -p {port}")
    };
    writeln!(
        out,
        "\nTry it:\n  {login}{cli} VECINFO {COLLECTION}\n  \
         {cli} VECQUERY {COLLECTION} 5 $({cli} VECGET {COLLECTION}:music)\n  \
         {cli} CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru  # evicts what was used least recently\n\n  \
         # Python, with `pip install redis`\n  \
         import redis\n  \
         r = redis.Redis(\"{host}\", {port}{password})\n  \
         vector = r.execute_command(\"VECGET\", \"{COLLECTION}:music\", \"FP32\")\n  \
         r.execute_command(\"VECQUERY\", \"{COLLECTION}\", 5, \"FP32\", vector)"
    )?;
    Ok(())
}

/// One neighbour: its key, and the distance as the server printed it.
struct Hit {
    key: String,
    distance: f64,
}

impl Hit {
    fn word(&self) -> &str {
        self.key
            .strip_prefix(COLLECTION)
            .and_then(|rest| rest.strip_prefix(':'))
            .unwrap_or(&self.key)
    }

    fn to_text(&self) -> String {
        // An exact 0 is worth showing as one: the vector found itself.
        match self.distance {
            0.0 => format!("{} 0", self.word()),
            distance => format!("{} {distance:.3}", self.word()),
        }
    }
}

/// One VECQUERY, with the time it took to come and go.
fn query(client: &mut Client, vector: &[f32], count: usize) -> Result<(Vec<Hit>, Duration), DemoError> {
    let (count, vector) = (count.to_string(), blob(vector));
    let start = Instant::now();
    let reply = client.call(&[b"VECQUERY", COLLECTION.as_bytes(), count.as_bytes(), b"FP32", &vector])?;
    let took = start.elapsed();
    let hits =
        hits(&reply).ok_or_else(|| DemoError::from(CallError::Malformed("not keys with distances".to_owned())))?;
    Ok((hits, took))
}

/// RESP2: key, distance, key, distance, …
fn hits(reply: &OwnedFrame) -> Option<Vec<Hit>> {
    let OwnedFrame::Array(frames) = reply else { return None };
    let text = |frame: &OwnedFrame| match frame {
        OwnedFrame::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    };
    let pairs = frames.chunks(2).map(|pair| match pair {
        [key, distance] => Some(Hit {
            key: text(key)?,
            distance: text(distance)?.parse().ok()?,
        }),
        _ => None,
    });
    pairs.collect()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

const WORDS_SHOWN: [&str; 6] = ["king", "paris", "monday", "music", "doctor", "coffee"];

const NEIGHBOURS_SHOWN: usize = 4;

const RECALL_QUERIES: usize = 500;

const RECALL_NEIGHBOURS: usize = 10;

/// Two primes, so that the pairs of words wander over the whole sample and are the same in every run.
const LEFT_STEP: usize = 1_009;
const RIGHT_STEP: usize = 7_919;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let rows = [
            row(&["a", "12 ms", "b"]),
            row(&["a", "as wide as it likes"]),
            row(&["king", "1 ms", "queen"]),
        ];
        assert_eq!(
            aligned(&rows),
            ["a     12 ms  b", "a     as wide as it likes", "king  1 ms   queen"]
        );
    }

    fn bulk(text: &str) -> OwnedFrame {
        OwnedFrame::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_reply_is_read_as_keys_with_distances() {
        let reply = OwnedFrame::Array(vec![
            bulk("glove:king"),
            bulk("0"),
            bulk("glove:queen"),
            bulk("0.21614"),
        ]);
        let texts: Vec<_> = hits(&reply).unwrap().iter().map(Hit::to_text).collect();
        assert_eq!(texts, ["king 0", "queen 0.216"]);
    }

    #[test]
    fn a_reply_of_another_shape_is_refused() {
        assert!(hits(&bulk("glove:king")).is_none());
        assert!(hits(&OwnedFrame::Array(vec![bulk("glove:king")])).is_none());
        assert!(hits(&OwnedFrame::Array(vec![bulk("glove:king"), bulk("near")])).is_none());
        assert!(hits(&OwnedFrame::Array(vec![bulk("glove:king"), OwnedFrame::Integer(0)])).is_none());
    }
}
