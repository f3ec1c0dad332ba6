//! Loading the sample as a program would: several connections, each with a pipeline.

use std::fmt;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::CallError;

use super::sample::{DIMENSION, Sample};
use super::{COLLECTION, Target};

/// What was loaded, and how fast.
pub(super) struct Loaded {
    vectors: usize,
    connections: usize,
    elapsed: Duration,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.vectors as f64 / seconds;
        let Self {
            vectors, connections, ..
        } = self;
        write!(
            f,
            "{vectors} word vectors of {DIMENSION} dimensions over {connections} connections "
        )?;
        write!(f, "in {seconds:.1} s ({rate:.0} per second)")
    }
}

/// Sets every word of the sample.
pub(super) fn load(sample: &Sample, target: &Target) -> Result<Loaded, CallError> {
    let vectors = sample.words.len();
    let start = Instant::now();
    let bar = progress_bar(vectors);
    let share = vectors.div_ceil(CONNECTIONS);
    let outcome = thread::scope(|scope| {
        let parts = (0..CONNECTIONS).map(|part| (part * share).min(vectors)..((part + 1) * share).min(vectors));
        let loaders: Vec<_> = parts
            .map(|part| scope.spawn(|| load_part(sample, part, target, &bar)))
            .collect();
        loaders
            .into_iter()
            .try_for_each(|loader| loader.join().expect("a loader returns its errors"))
    });
    bar.finish_and_clear();
    outcome.map(|()| Loaded {
        vectors,
        connections: CONNECTIONS,
        elapsed: start.elapsed(),
    })
}

fn load_part(sample: &Sample, part: Range<usize>, target: &Target, bar: &ProgressBar) -> Result<(), CallError> {
    let mut client = target.connect()?;
    let dimension = DIMENSION.to_string();
    let indices: Vec<usize> = part.collect();
    for batch in indices.chunks(PIPELINE_DEPTH) {
        for &index in batch {
            let key = format!("{COLLECTION}:{}", sample.words[index]);
            client.push(&[
                b"VECSET",
                key.as_bytes(),
                dimension.as_bytes(),
                b"FP32",
                &blob(sample.vector(index)),
            ]);
        }
        client.flush()?;
        for _ in batch {
            client.reply()?;
            bar.inc(1);
        }
    }
    Ok(())
}

/// A vector as FP32: little-endian single precision.
pub(super) fn blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|component| component.to_le_bytes()).collect()
}

/// On the standard error; draws nothing where that is no terminal.
fn progress_bar(vectors: usize) -> ProgressBar {
    let bar = ProgressBar::new(vectors as u64);
    let style = ProgressStyle::with_template("Loading {bar:40} {pos}/{len} vectors, {per_sec}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Four connections keep a worker on every core of a small machine busy.
const CONNECTIONS: usize = 4;

/// Vectors in flight on each connection: 128 are 30 kB, which every socket buffer holds.
const PIPELINE_DEPTH: usize = 128;
