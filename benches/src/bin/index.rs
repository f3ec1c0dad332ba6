//! One index in process, one thread, driven line by line: `benches/index.py` runs it beside other libraries.
//!
//! # Syntax
//! `index BASE QUERIES DIMENSION METRIC M EF_CONSTRUCTION STORAGE [KERNEL]`, files of f32; a kernel can be named if it was
//! built with the feature `choice`. It builds and answers `built SECONDS
//! BYTES_PER_VECTOR`; then each line `EF` on its input is answered by `searched RECALL MICROSECONDS DISTANCES`. Times
//! are processor time.

use std::io::BufRead;

use kora_bench::{cpu_time, read_floats};
#[cfg(feature = "choice")]
use kora_vector::bench::choose_kernel;
use kora_vector::{Hit, Index, Metric, Parameters, SearchParameters, Step, Storage, Work};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [
        _,
        base,
        queries,
        dimension,
        metric,
        m,
        ef_construction,
        storage,
        kernel @ ..,
    ] = &arguments[..]
    else {
        panic!("index BASE QUERIES DIMENSION METRIC M EF_CONSTRUCTION STORAGE [KERNEL]");
    };
    let number = |text: &String| -> usize { text.parse().unwrap_or_else(|_| panic!("{text} is not a number")) };
    let dimension = number(dimension);
    let metric = Metric::parse(metric.as_bytes()).unwrap_or_else(|| panic!("no metric {metric}"));
    let parameters = Parameters {
        dimension,
        metric,
        m: number(m),
        ef_construction: number(ef_construction),
        storage: Storage::parse(storage.as_bytes()).unwrap_or_else(|| panic!("no storage {storage}")),
        seed: 1,
    };
    let base = read_floats(base);
    let queries = read_floats(queries);

    let mut index = Index::new(parameters);
    if let [kernel] = kernel {
        choose_kernel(&mut index, kernel);
    }
    let begun = cpu_time();
    for vector in base.chunks_exact(dimension) {
        index.insert(vector);
    }
    let seconds = (cpu_time() - begun).as_secs_f64();
    let memory = index.memory();
    let bytes = (memory.vectors_bytes + memory.links_bytes) as f64 / index.live() as f64;
    println!("built {seconds:.3} {bytes:.1}");

    let truth: Vec<Vec<Hit>> = queries
        .chunks_exact(dimension)
        .map(|query| index.exact(query, K))
        .collect();
    for line in std::io::stdin().lock().lines() {
        let ef = number(&line.expect("lines of text").trim().to_string());
        println!("{}", searched(&mut index, &queries, &truth, ef));
    }
}

#[cfg(not(feature = "choice"))]
fn choose_kernel(_: &mut Index, kernel: &str) {
    panic!("built without `--features choice`, so no choice of {kernel}");
}

/// Searches with every query once.
fn searched(index: &mut Index, queries: &[f32], truth: &[Vec<Hit>], ef: usize) -> String {
    let dimension = index.parameters().dimension;
    let begun = cpu_time();
    let mut distances = 0;
    let answers: Vec<Vec<Hit>> = queries
        .chunks_exact(dimension)
        .map(|query| {
            let mut search = index.begin_search(query, SearchParameters::nearest(K, ef));
            let Step::Done(hits) = index.resume_search(&mut search, &mut Work::unlimited()) else {
                panic!("an unlimited allowance is not spent");
            };
            distances += search.statistics().distances;
            hits
        })
        .collect();
    let microseconds = (cpu_time() - begun).as_secs_f64() * 1e6;
    let right = |(hits, truth): (&Vec<Hit>, &Vec<Hit>)| {
        let farthest = truth.last().map_or(f32::MIN, |hit| hit.distance);
        hits.iter().take(K).filter(|hit| hit.distance <= farthest).count()
    };
    let found: usize = answers.iter().zip(truth).map(right).sum();
    let count = truth.len() as f64;
    let recall = found as f64 / (count * K as f64);
    format!(
        "searched {recall:.4} {:.2} {:.0}",
        microseconds / count,
        distances as f64 / count
    )
}

/// Results per query, in every published comparison.
const K: usize = 10;
