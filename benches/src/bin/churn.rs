//! One index in process, one thread, that lives through replacement: `benches/churn.py` runs it.
//!
//! # Syntax
//! `churn ROWS DIMENSION METRIC STORAGE SCENARIO OPERATIONS LIVE`, a file of f32. It loads LIVE rows, does to them what the
//! scenario says, and prints at ten points a line of `name=value`: the index that lived through it beside a fresh one of
//! the same vectors.

use kora_bench::{cpu_time, read_floats};
use kora_vector::{Hit, Index, Metric, Parameters, Slot, Step, Storage, Work};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, rows, dimension, metric, storage, scenario, operations, live] = &arguments[..] else {
        panic!("churn ROWS DIMENSION METRIC STORAGE SCENARIO OPERATIONS LIVE");
    };
    let number = |text: &String| -> usize { text.parse().unwrap_or_else(|_| panic!("{text} is not a number")) };
    let parameters = Parameters {
        dimension: number(dimension),
        metric: Metric::parse(metric.as_bytes()).unwrap_or_else(|| panic!("no metric {metric}")),
        m: 16,
        ef_construction: 200,
        storage: Storage::parse(storage.as_bytes()).unwrap_or_else(|| panic!("no storage {storage}")),
        seed: 1,
    };
    let mut world = World::new(parameters, read_floats(rows), number(live));
    let operations = number(operations);
    world.load();
    world.report("loaded", 0);
    match scenario.as_str() {
        "random" => world.replace_at_random(operations),
        "shrink" => world.delete_most(),
        "order" => world.delete_in_order(operations),
        "topic" => world.delete_topics(operations),
        "reload" => world.reload(operations),
        "drift" => world.drift(operations),
        _ => panic!("no scenario {scenario}"),
    }
}

struct World {
    rows: Vec<f32>,
    queries: Vec<Vec<f32>>,
    index: Index,
    /// Which row each live vector is, and where; by key.
    live: Vec<(usize, Slot)>,
    /// Which key is in a slot.
    keys: Vec<usize>,
    wanted: usize,
    random: u64,
    /// Time spent on operations, how many, and the longest slice.
    spent_us: f64,
    operations: usize,
    slice_us_max: f64,
    /// Time spent on upkeep between operations.
    rested_us: f64,
}

impl World {
    fn new(parameters: Parameters, rows: Vec<f32>, wanted: usize) -> World {
        let dimension = parameters.dimension;
        let count = rows.len() / dimension;
        let queries = (count - QUERIES..count).map(|row| rows[row * dimension..][..dimension].to_vec());
        assert!(wanted + QUERIES <= count, "{wanted} of {count} rows");
        World {
            queries: queries.collect(),
            index: Index::new(parameters),
            rows,
            live: Vec::new(),
            keys: Vec::new(),
            wanted,
            random: 88_172_645_463_325_252,
            spent_us: 0.0,
            operations: 0,
            slice_us_max: 0.0,
            rested_us: 0.0,
        }
    }

    fn load(&mut self) {
        while self.live.len() < self.wanted {
            self.add(self.live.len());
        }
    }

    /// A vector of a key dies and another row takes its place, as VECSET does it.
    fn replace_at_random(&mut self, operations: usize) {
        self.forget_costs();
        for point in 1..=POINTS {
            for _ in 0..operations / POINTS {
                let (key, row) = (self.below(self.live.len()), self.below(self.row_count()));
                self.replace(key, row);
            }
            self.report("random", point * (operations / POINTS));
        }
    }

    fn delete_most(&mut self) {
        for _ in 0..self.wanted * 9 / 10 {
            let key = self.below(self.live.len());
            self.remove(key);
        }
        self.report("shrunk_at_once", self.wanted * 9 / 10);
        self.rest();
        self.report("shrunk", self.wanted * 9 / 10);
    }

    /// The oldest go, others come.
    fn delete_in_order(&mut self, operations: usize) {
        self.forget_costs();
        let mut next = self.wanted;
        for point in 1..=POINTS {
            for _ in 0..operations / POINTS {
                let (key, row) = (next % self.wanted, next % self.row_count());
                self.replace(key, row);
                next += 1;
            }
            self.report("order", point * (operations / POINTS));
        }
    }

    /// All that is near a vector goes, and comes back later.
    fn delete_topics(&mut self, operations: usize) {
        self.forget_costs();
        let size = self.wanted / 20;
        let rounds = (operations / size / 2).max(1);
        for round in 1..=rounds {
            let row = self.below(self.wanted);
            let center = self.row(row).to_vec();
            let near = self.index.exact(&center, size);
            let mut rows = Vec::new();
            for hit in near {
                let key = self.keys[hit.slot.index()];
                rows.push(self.live[key].0);
                self.remove(key);
            }
            self.rest();
            if round == rounds {
                self.report("topic_gone", round * size);
            }
            rows.into_iter().for_each(|row| self.add(row));
        }
        self.report("topic_back", 2 * rounds * size);
    }

    fn reload(&mut self, rounds: usize) {
        for round in 1..=rounds {
            while self.live.len() > 1 {
                let key = self.below(self.live.len());
                self.remove(key);
            }
            self.rest();
            self.forget_costs();
            self.load();
            self.report("reload", round);
        }
    }

    /// Each vector moves a little, many times.
    fn drift(&mut self, operations: usize) {
        self.forget_costs();
        let dimension = self.index.parameters().dimension;
        for point in 1..=POINTS {
            for _ in 0..operations / POINTS {
                let key = self.below(self.live.len());
                let row = self.live[key].0;
                for component in 0..dimension {
                    let step = (self.below(2_000) as f32 / 1_000.0 - 1.0) * DRIFT;
                    self.rows[row * dimension + component] += step;
                }
                self.replace(key, row);
            }
            self.report("drift", point * (operations / POINTS));
        }
    }

    fn add(&mut self, row: usize) {
        let slot = self.insert(row);
        self.live.push((row, slot));
        self.note(self.live.len() - 1, slot);
    }

    fn replace(&mut self, key: usize, row: usize) {
        let slot = self.insert(row);
        let (_, before) = std::mem::replace(&mut self.live[key], (row, slot));
        self.index.remove(before);
        self.note(key, slot);
    }

    fn remove(&mut self, key: usize) {
        let (_, slot) = self.live.swap_remove(key);
        self.index.remove(slot);
        if let Some(&(_, slot)) = self.live.get(key) {
            self.note(key, slot);
        }
    }

    /// Lets it do what it does when nobody asks anything.
    fn rest(&mut self) {
        while self.index.has_upkeep() {
            let begun = cpu_time();
            let _ = self.index.tend(&mut Work::new(SLICE_WORK));
            self.note_slice(begun);
            self.rested_us += (cpu_time() - begun).as_secs_f64() * 1e6;
            self.follow();
        }
    }

    /// Inserts in slices, as a server does.
    fn insert(&mut self, row: usize) -> Slot {
        let dimension = self.index.parameters().dimension;
        let begun = cpu_time();
        let vector = &self.rows[row * dimension..][..dimension];
        let mut insertion = self.index.begin_insert(vector);
        loop {
            let slice = cpu_time();
            let step = self.index.resume_insert(&mut insertion, &mut Work::new(SLICE_WORK));
            self.note_slice(slice);
            self.follow();
            if let Step::Done(slot) = step {
                self.spent_us += (cpu_time() - begun).as_secs_f64() * 1e6;
                self.operations += 1;
                return slot;
            }
        }
    }

    fn note_slice(&mut self, begun: std::time::Duration) {
        let us = (cpu_time() - begun).as_secs_f64() * 1e6;
        self.slice_us_max = self.slice_us_max.max(us);
    }

    fn follow(&mut self) {
        let moves = self.index.take_moves();
        for (from, to) in moves {
            let key = self.keys[from.index()];
            self.live[key].1 = to;
            self.note(key, to);
        }
    }

    fn note(&mut self, key: usize, slot: Slot) {
        if self.keys.len() <= slot.index() {
            self.keys.resize(slot.index() + 1, usize::MAX);
        }
        self.keys[slot.index()] = key;
    }

    fn report(&mut self, name: &str, operations: usize) {
        self.index.check().unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let mut fresh = Index::new(self.index.parameters());
        let rows: Vec<usize> = self.live.iter().map(|(row, _)| *row).collect();
        for &row in &rows {
            fresh.insert(self.row(row));
        }
        let truth: Vec<Vec<Hit>> = self.queries.iter().map(|query| fresh.exact(query, K)).collect();
        let now = searched(&mut self.index, &self.queries, &truth);
        let new = searched(&mut fresh, &self.queries, &truth);
        let bytes = |index: &Index| index.memory().vectors_bytes + index.memory().links_bytes;
        let fresh_bytes = bytes(&fresh);
        let fresh_us = self.set_further(&mut fresh);
        println!(
            "{name} operations={operations} live={} dead={} vacant={} slots={} recall={:.4} fresh_recall={:.4} query_us={:.1} \
             fresh_query_us={:.1} distances={:.0} fresh_distances={:.0} set_us={:.1} fresh_set_us={fresh_us:.1} bytes={} \
             fresh_bytes={fresh_bytes} slice_us_max={:.0} rested_us={:.0}",
            self.live.len(),
            self.index.dead(),
            self.index.vacant(),
            self.index.slots(),
            now.0,
            new.0,
            now.1,
            new.1,
            now.2,
            new.2,
            self.spent_us / self.operations.max(1) as f64,
            bytes(&self.index),
            self.slice_us_max,
            self.rested_us,
        );
        self.forget_costs();
    }

    /// What it costs to insert one more into a fresh index that is as full. An insertion costs more the larger the index:
    /// the mean over its whole growth would be less.
    fn set_further(&mut self, fresh: &mut Index) -> f64 {
        let rows: Vec<usize> = (0..FURTHER).map(|_| self.below(self.row_count())).collect();
        let begun = cpu_time();
        for row in rows {
            fresh.insert(self.row(row));
        }
        (cpu_time() - begun).as_secs_f64() * 1e6 / FURTHER as f64
    }

    fn forget_costs(&mut self) {
        (self.spent_us, self.operations, self.slice_us_max, self.rested_us) = (0.0, 0, 0.0, 0.0);
    }

    fn row(&self, row: usize) -> &[f32] {
        let dimension = self.index.parameters().dimension;
        &self.rows[row * dimension..][..dimension]
    }

    fn row_count(&self) -> usize {
        self.rows.len() / self.index.parameters().dimension - QUERIES
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound
    }
}

/// Recall, microseconds and distances of a query.
fn searched(index: &mut Index, queries: &[Vec<f32>], truth: &[Vec<Hit>]) -> (f64, f64, f64) {
    let begun = cpu_time();
    let (mut found, mut distances) = (0, 0);
    for (query, truth) in queries.iter().zip(truth) {
        let mut search = index.begin_search(query, K, EF);
        let Step::Done(hits) = index.resume_search(&mut search, &mut Work::unlimited()) else {
            panic!("an unlimited allowance is not spent");
        };
        let farthest = truth.last().map_or(f32::MIN, |hit| hit.distance);
        found += hits.iter().take(K).filter(|hit| hit.distance <= farthest).count();
        distances += search.statistics().distances;
    }
    let us = (cpu_time() - begun).as_secs_f64() * 1e6;
    let count = queries.len() as f64;
    (found as f64 / (count * K as f64), us / count, distances as f64 / count)
}

/// Results per query, in every published comparison.
const K: usize = 10;

/// What `vector-ef-search` is by default.
const EF: usize = 100;

/// Rows at the end that are sought and never stored.
const QUERIES: usize = 1_000;

/// Vectors inserted into a fresh index for their cost.
const FURTHER: usize = 2_000;

/// Reports of a scenario.
const POINTS: usize = 5;

/// Work of a slice, as in the server.
const SLICE_WORK: u64 = 1 << 20;

/// How far a component drifts at once, at most: a word of GloVe has components of about 0.4.
const DRIFT: f32 = 0.05;
