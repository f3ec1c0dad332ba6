//! Shapes of data in the orders in which they come: what an index in process loses of them, and what it costs.
//!
//! # Syntax
//! `shapes [--shape NAME]... [--metric M]... [--order O]... [--file NAME DIMENSION PATH] [--ef N]... [--lost N] [--quant Q]
//! [--seed N] [--delete]` prints one line for each cell; `--lost` bounds how many vectors are searched for themselves.
//! `shapes --write DIRECTORY` writes each shape as files of f32, for other libraries.
//! `loaded` is measured at the end of the insertions, `rested` after what an index does then when there is time, whose cost per
//! vector stands under `us/ins`.
//! A vector is *lost* if a query for itself, k 1, does not find a vector at distance 0.

mod data;

use std::time::Duration;

use data::{MAKERS, Random, Shape};
use kora_bench::{cpu_time, read_floats};
use kora_vector::{Hit, Index, Metric, Parameters, SearchParameters, Slot, Statistics, Step, Storage, Work};

struct Options {
    shapes: Vec<String>,
    metrics: Vec<Metric>,
    orders: Vec<String>,
    efs: Vec<usize>,
    storage: Storage,
    seed: u64,
    deletes: bool,
    file: Option<(String, usize, String)>,
    lost_max: usize,
}

fn main() {
    let mut options = Options {
        shapes: Vec::new(),
        metrics: Vec::new(),
        orders: Vec::new(),
        efs: Vec::new(),
        storage: Storage::F32,
        seed: 1,
        deletes: false,
        file: None,
        lost_max: 4_000,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{name} has a value"));
        match name.as_str() {
            "--shape" => options.shapes.push(value()),
            "--metric" => options
                .metrics
                .push(Metric::parse(value().as_bytes()).expect("a metric")),
            "--order" => options.orders.push(value()),
            "--ef" => options.efs.push(value().parse().expect("a number")),
            "--lost" => options.lost_max = value().parse().expect("a number"),
            "--seed" => options.seed = value().parse().expect("a number"),
            "--quant" => options.storage = Storage::parse(value().as_bytes()).expect("a storage"),
            "--delete" => options.deletes = true,
            "--file" => options.file = Some((value(), value().parse().expect("a number"), value())),
            "--write" => return write(&value()),
            _ => panic!("no option {name}"),
        }
    }
    if options.efs.is_empty() {
        options.efs = vec![100];
    }
    if options.metrics.is_empty() {
        options.metrics = vec![Metric::L2, Metric::Cosine];
    }
    if options.orders.is_empty() {
        options.orders = ["natural", "sorted", "reversed", "shuffled"].map(String::from).to_vec();
    }
    println!(
        "{:18} {:4} {:6} {:8} {:7} {:>6} {:>5} {:>6} {:>6} {:>6} {:>7} {:>7} {:>7} {:>5}",
        "shape",
        "ef",
        "metric",
        "order",
        "part",
        "live",
        "lost",
        "recall",
        "decile",
        "worst",
        "us/ins",
        "us/qry",
        "dist",
        "B/vec"
    );
    if let Some((name, dimension, path)) = &options.file {
        let all = read_floats(path);
        let vectors: Vec<Vec<f32>> = all.chunks_exact(*dimension).map(<[f32]>::to_vec).collect();
        let (mut base, mut queries) = (Vec::new(), Vec::new());
        let step = (vectors.len() / 1_000).max(2);
        for (place, vector) in vectors.into_iter().enumerate() {
            if place % step == 1 && queries.len() < 1_000 {
                queries.push(vector)
            } else {
                base.push(vector)
            }
        }
        let name: &'static str = name.clone().leak();
        run(
            &Shape {
                name,
                dimension: *dimension,
                vectors: base,
                queries,
            },
            &options,
        );
        return;
    }
    for (name, make) in MAKERS {
        if options.shapes.is_empty() || options.shapes.iter().any(|shape| shape == name) {
            run(&make(&mut Random::new(42)), &options);
        }
    }
}

fn write(directory: &str) {
    for (name, make) in MAKERS {
        let shape = make(&mut Random::new(42));
        for (part, rows) in [("base", &shape.vectors), ("queries", &shape.queries)] {
            let bytes: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
            let path = format!("{directory}/{name}.{}.{part}.f32", shape.dimension);
            std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

fn run(shape: &Shape, options: &Options) {
    for &metric in &options.metrics {
        for order in &options.orders {
            let mut vectors = shape.vectors.clone();
            match order.as_str() {
                "natural" => {}
                "sorted" => vectors.sort_by(|one, two| one.partial_cmp(two).expect("numbers")),
                "reversed" => vectors.reverse(),
                "shuffled" => Random::new(options.seed + 5).shuffle(&mut vectors),
                _ => panic!("no order {order}"),
            }
            let mut index = Index::new(Parameters {
                dimension: shape.dimension,
                metric,
                m: 16,
                ef_construction: 200,
                storage: options.storage,
                seed: options.seed,
            });
            let begun = cpu_time();
            let mut slots: Vec<Slot> = Vec::new();
            for vector in &vectors {
                slots.push(index.insert(vector));
                follow(&mut index, &mut slots);
            }
            let spent = (cpu_time() - begun) / vectors.len() as u32;
            let cell = (shape.name, metric, order.as_str());
            measure(&mut index, cell, "loaded", (&vectors, &shape.queries), spent, options);
            let begun = cpu_time();
            while index.tend(&mut Work::unlimited()) == Step::More {}
            follow(&mut index, &mut slots);
            let rest = (cpu_time() - begun) / vectors.len() as u32;
            measure(&mut index, cell, "rested", (&vectors, &shape.queries), rest, options);
            if options.deletes {
                let begun = cpu_time();
                let half = vectors.len() / 2;
                // The first half goes, as what is oldest does; queries are for what stays.
                let stays: std::collections::HashSet<usize> = slots[half..].iter().map(|slot| slot.index()).collect();
                let mut near = |query: &&Vec<f32>| stays.contains(&index.exact(query, 1)[0].slot.index());
                let queries: Vec<Vec<f32>> = shape.queries.iter().filter(|query| near(query)).cloned().collect();
                // Copies are all as near: then it can't be said of which half a query is.
                let queries = if queries.is_empty() {
                    shape.queries.clone()
                } else {
                    queries
                };
                for place in 0..half {
                    index.remove(slots[place]);
                    follow(&mut index, &mut slots);
                }
                while index.tend(&mut Work::unlimited()) == Step::More {}
                follow(&mut index, &mut slots);
                let spent = (cpu_time() - begun) / half as u32;
                measure(&mut index, cell, "halved", (&vectors[half..], &queries), spent, options);
            }
            index.check().expect("a sound graph");
        }
    }
}

fn follow(index: &mut Index, slots: &mut [Slot]) {
    let moves = index.take_moves();
    if moves.is_empty() {
        return;
    }
    let moves: std::collections::HashMap<usize, Slot> =
        moves.into_iter().map(|(from, to)| (from.index(), to)).collect();
    for slot in slots {
        if let Some(to) = moves.get(&slot.index()) {
            *slot = *to;
        }
    }
}

fn search(index: &mut Index, query: &[f32], k: usize, ef: usize) -> (Vec<Hit>, Statistics) {
    let mut search = index.begin_search(query, SearchParameters::nearest(k, ef));
    let Step::Done(hits) = index.resume_search(&mut search, &mut Work::unlimited()) else {
        panic!("an unlimited allowance is not spent");
    };
    (hits, search.statistics())
}

fn measure(
    index: &mut Index,
    (name, metric, order): (&str, Metric, &str),
    part: &str,
    (vectors, queries): (&[Vec<f32>], &[Vec<f32>]),
    spent: Duration,
    options: &Options,
) {
    let truth: Vec<Vec<Hit>> = queries.iter().map(|query| index.exact(query, 10)).collect();
    for &ef in &options.efs {
        let mut lost = 0;
        if metric != Metric::InnerProduct {
            let step = vectors.len().div_ceil(options.lost_max);
            for vector in vectors.iter().step_by(step) {
                let (hits, _) = search(index, vector, 1, ef);
                let mut exact = || index.exact(vector, 1)[0].distance;
                // Under a lossy storage a vector is not at distance 0 from what was kept of it.
                lost += usize::from(hits[0].distance != 0.0 && hits[0].distance > exact());
            }
        }
        let begun = cpu_time();
        let found: Vec<(Vec<Hit>, Statistics)> = queries.iter().map(|query| search(index, query, 10, ef)).collect();
        let time = (cpu_time() - begun) / queries.len() as u32;
        let mut recalls: Vec<f64> = found
            .iter()
            .zip(&truth)
            .map(|((hits, _), truth)| {
                let farthest = truth.last().map_or(f32::MIN, |hit| hit.distance);
                hits.iter().take(10).filter(|hit| hit.distance <= farthest).count() as f64 / truth.len().min(10) as f64
            })
            .collect();
        recalls.sort_by(f64::total_cmp);
        let mean = |recalls: &[f64]| recalls.iter().sum::<f64>() / recalls.len() as f64;
        let distances = found.iter().map(|(_, statistics)| statistics.distances).sum::<u64>() / queries.len() as u64;
        let memory = index.memory();
        let bytes = (memory.vectors_bytes + memory.links_bytes) / index.live();
        println!(
            "{name:18} {ef:4} {metric:6} {order:8} {part:7} {:6} {lost:5} {:6.4} {:6.3} {:6.3} {:7.1} {:7.1} {distances:7} {bytes:5}",
            index.live(),
            mean(&recalls),
            mean(&recalls[..recalls.len() / 10]),
            recalls[0],
            spent.as_secs_f64() * 1e6,
            time.as_secs_f64() * 1e6,
        );
    }
}
