//! The index that lived through replacement beside a fresh one of the same vectors.
//!
//! What is counted (recall, distances, work, slots, bytes) is the same on any machine. Times are not, and this machine is
//! shared: so both indexes take turns in one thread, a few milliseconds each, and both orders are used alike.

use kora_bench::cpu_time;
use kora_vector::{Hit, Index, SearchParameters, Step, Work};

use crate::world::{Costs, World, insert_in_slices, us_since};

/// Prints a line. With an operation it is also done some times more, to see what a set costs beside one more into the
/// fresh index, which is as full.
pub(crate) fn report(world: &mut World, name: &str, operations: usize, operate: Option<fn(&mut World)>) {
    world.index.check().unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let mut fresh = world.fresh();
    let truth: Vec<Vec<Hit>> = world.queries.iter().map(|query| fresh.exact(query, K)).collect();
    let (now, new) = searched(&mut world.index, &mut fresh, &world.queries, &truth);
    let bytes = |index: &Index| index.memory().vectors_bytes + index.memory().links_bytes;
    print!(
        "{name} operations={operations} live={} dead={} vacant={} slots={} recall={:.4} fresh_recall={:.4} query_us={:.1} \
         fresh_query_us={:.1} query_ratio={:.3} distances={:.0} fresh_distances={:.0} bytes={} fresh_bytes={} \
         slice_us_max={:.0} rested_us={:.0}",
        world.live_count(),
        world.index.dead(),
        world.index.vacant(),
        world.index.slots(),
        now.recall,
        new.recall,
        median(&now.us),
        median(&new.us),
        median_ratio(&now.us, &new.us),
        now.distances,
        new.distances,
        bytes(&world.index),
        bytes(&fresh),
        world.costs.slice_us_max,
        world.costs.rested_us,
    );
    match operate {
        Some(operate) => println!(" {}", set_beside(world, &mut fresh, operate)),
        None => println!(" set_us=- fresh_set_us=- set_ratio=- set_work=- fresh_set_work=-"),
    }
    world.forget_costs();
}

/// What was seen of one index.
#[derive(Default)]
struct Seen {
    recall: f64,
    distances: f64,
    /// Microseconds for a query, round by round.
    us: Vec<f64>,
}

/// Both answer all queries some times, a few queries each in turn.
fn searched(index: &mut Index, fresh: &mut Index, queries: &[Vec<f32>], truth: &[Vec<Hit>]) -> (Seen, Seen) {
    let (mut now, mut new) = (Seen::default(), Seen::default());
    let count = queries.len() as f64;
    for round in 0..QUERY_ROUNDS {
        now.us.push(0.0);
        new.us.push(0.0);
        for (number, (queries, truth)) in queries
            .chunks(QUERIES_AT_ONCE)
            .zip(truth.chunks(QUERIES_AT_ONCE))
            .enumerate()
        {
            let mut sides = [(&mut *index, &mut now), (&mut *fresh, &mut new)];
            if (round + number) % 2 == 1 {
                sides.reverse();
            }
            for (index, seen) in sides {
                let (found, distances, us) = search_all(index, queries, truth);
                seen.us[round] += us / count;
                if round == 0 {
                    seen.recall += found as f64 / (count * K as f64);
                    seen.distances += distances as f64 / count;
                }
            }
        }
    }
    (now, new)
}

/// How many right answers, distances and microseconds.
fn search_all(index: &mut Index, queries: &[Vec<f32>], truth: &[Vec<Hit>]) -> (usize, u64, f64) {
    let begun = cpu_time();
    let (mut found, mut distances) = (0, 0);
    for (query, truth) in queries.iter().zip(truth) {
        let mut search = index.begin_search(query, SearchParameters::nearest(K, EF));
        let Step::Done(hits) = index.resume_search(&mut search, &mut Work::unlimited()) else {
            panic!("an unlimited allowance is not spent");
        };
        let farthest = truth.last().map_or(f32::MIN, |hit| hit.distance);
        found += hits.iter().take(K).filter(|hit| hit.distance <= farthest).count();
        distances += search.statistics().distances;
    }
    (found, distances, us_since(begun))
}

/// A tenth of the vectors are changed once more, which is two batches of the dead and what each costs from its beginning to
/// its end, in turn with insertions into the fresh index, which grows by a fiftieth.
fn set_beside(world: &mut World, fresh: &mut Index, operate: fn(&mut World)) -> String {
    let count = world.live_count();
    let (mut now, mut new) = (Vec::new(), Vec::new());
    let (mut now_work, mut new_work, mut now_sets, mut new_sets) = (0, 0, 0, 0);
    for _ in 0..SET_ROUNDS {
        let before = world.costs.slice_us_max;
        world.forget_costs();
        while world.costs.sets < count / 10 / SET_ROUNDS {
            operate(world);
        }
        let costs = world.costs;
        world.costs.slice_us_max = before.max(costs.slice_us_max);
        now.push(costs.set_us / costs.sets as f64);
        (now_work, now_sets) = (now_work + costs.set_work, now_sets + costs.sets);
        let mut costs = Costs::default();
        for _ in 0..count / 50 / SET_ROUNDS {
            let row = world.some_row();
            let _ = insert_in_slices(fresh, &row, None, &mut costs);
        }
        new.push(costs.set_us / costs.sets as f64);
        (new_work, new_sets) = (new_work + costs.set_work, new_sets + costs.sets);
    }
    // The sums, since a batch is dear at its beginning and cheap at its end.
    let mean = |rounds: &[f64]| rounds.iter().sum::<f64>() / rounds.len() as f64;
    format!(
        "set_us={:.1} fresh_set_us={:.1} set_ratio={:.3} set_work={} fresh_set_work={}",
        mean(&now),
        mean(&new),
        mean(&now) / mean(&new),
        now_work / now_sets as u64,
        new_work / new_sets as u64,
    )
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn median_ratio(these: &[f64], those: &[f64]) -> f64 {
    let ratios: Vec<f64> = these.iter().zip(those).map(|(this, that)| this / that).collect();
    median(&ratios)
}

/// Results per query, in every published comparison.
const K: usize = 10;

/// What `vector-ef-search` is by default.
const EF: usize = 100;

/// How often each query is asked of each index.
const QUERY_ROUNDS: usize = 9;

/// So many queries and it is the other's turn: long enough that each finds its own in the caches.
const QUERIES_AT_ONCE: usize = 100;

/// How often sets take turns.
const SET_ROUNDS: usize = 40;
