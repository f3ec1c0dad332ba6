//! The index against brute force, at once and in slices.

mod astray;
mod churn;
mod meanwhile;
mod operations;
mod proof;
mod shapes;

use super::*;
use crate::level::xorshift64;
use crate::metric::vet;

/// Numbers that repeat with their seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = xorshift64(self.0);
        (self.0 >> 33) as usize % bound
    }

    fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A vector near one of twenty centres: real data lies in clumps, and there a graph without the heuristic fails.
    pub(super) fn clumped(&mut self, dimension: usize) -> Vec<f32> {
        let mut centre = Random::new(self.below(20) as u64 + 1_000);
        (0..dimension).map(|_| centre.unit() + 0.3 * self.unit()).collect()
    }
}

pub(super) fn parameters(metric: Metric, dimension: usize, m: usize) -> Parameters {
    Parameters {
        dimension,
        metric,
        m,
        ef_construction: 60,
        storage: Storage::F32,
        seed: 42,
    }
}

/// An index that has a graph from the first vector on.
pub(super) fn graphed(parameters: Parameters) -> Index {
    Index::with_small_max(parameters, 0)
}

pub(super) fn walk(index: &mut Index, query: &[f32], k: usize, ef: usize) -> Vec<Hit> {
    let search = index.begin_walk(query, SearchParameters::nearest(k, ef));
    index.finish(search)
}

pub(super) fn vector_of(index: &Index, slot: Slot) -> Vec<f32> {
    let mut vector = Vec::new();
    index.copy_vector(slot, &mut vector);
    vector
}

/// What holds for every answer, however approximate.
fn assert_honest(index: &mut Index, query: &[f32], hits: &[Hit], wanted: usize) {
    assert!(
        hits.len() >= wanted.min(index.live()),
        "{} hits of {wanted}, {} live",
        hits.len(),
        index.live()
    );
    assert!(
        hits.windows(2)
            .all(|pair| (pair[0].distance, pair[0].slot) < (pair[1].distance, pair[1].slot)),
        "sorted, none twice"
    );
    let truth = index.exact(query, index.live().max(1));
    for hit in hits {
        assert!(index.is_live(hit.slot));
        assert!(truth.contains(hit), "{hit:?} is not what brute force says");
    }
}

fn recall(index: &mut Index, queries: &[Vec<f32>], k: usize, ef: usize) -> f64 {
    let mut found = 0;
    let mut wanted = 0;
    for query in queries {
        let truth = index.exact(query, k);
        let farthest = truth.last().expect("the index is not empty").distance;
        let hits = walk(index, query, k, ef);
        found += hits.iter().filter(|hit| hit.distance <= farthest).count().min(k);
        wanted += k.min(truth.len());
    }
    found as f64 / wanted as f64
}

/// Notes who has moved.
fn follow(index: &mut Index, slots: &mut [Slot]) {
    for (from, to) in index.take_moves() {
        let moved = slots.iter_mut().find(|slot| **slot == from);
        moved.into_iter().for_each(|slot| *slot = to);
    }
}

#[test]
fn a_walk_finds_nearly_what_brute_force_finds() {
    // On rows, on halves, and on codes.
    let kinds = Storage::ALL.map(|storage| (storage, 128, 2_000));
    for (storage, dimension, count) in [(Storage::F32, 16, 5_000)].into_iter().chain(kinds) {
        for metric in Metric::ALL {
            let mut random = Random::new(5);
            let mut index = graphed(Parameters {
                storage,
                ..parameters(metric, dimension, 16)
            });
            for _ in 0..count {
                index.insert(&random.clumped(dimension));
            }
            index.check().unwrap();
            let queries: Vec<Vec<f32>> = (0..100).map(|_| random.clumped(dimension)).collect();
            let recall = recall(&mut index, &queries, 10, 100);
            assert!(recall >= 0.98, "{metric} over {dimension}, {storage}: recall {recall}");
            let hits = walk(&mut index, &queries[0], 10, 100);
            assert_honest(&mut index, &queries[0], &hits, 10);
        }
    }
}

#[test]
fn what_the_codes_have_in_the_wrong_order_is_refined() {
    for storage in [Storage::F32, Storage::Q16] {
        for metric in Metric::ALL {
            // All near one place, some steps of a code apart: the codes' order is wrong about many.
            let mut random = Random::new(17);
            let centre = random.clumped(64);
            let mut near = || -> Vec<f32> { centre.iter().map(|x| x + 0.03 * random.unit()).collect() };
            let mut index = graphed(Parameters {
                storage,
                ..parameters(metric, 64, 16)
            });
            for _ in 0..2_000 {
                index.insert(&near());
            }
            // A beam so deep that it holds the answer: what is missing was not refined.
            let queries: Vec<Vec<f32>> = (0..50).map(|_| near()).collect();
            let recall = recall(&mut index, &queries, 10, 500);
            println!("{storage} {metric} {recall}");
            assert!(recall >= 0.99, "{storage} {metric}: recall {recall}");
        }
    }
}

#[test]
fn many_that_are_nearly_the_same_are_looked_for_again_with_a_larger_ef() {
    for metric in Metric::ALL {
        let mut random = Random::new(23);
        let mut index = graphed(parameters(metric, 128, 16));
        index.walk_on_four_bits();
        let centres: Vec<Vec<f32>> = (0..40).map(|_| (0..128).map(|_| random.unit()).collect()).collect();
        let mut near = |centre: &[f32]| -> Vec<f32> { centre.iter().map(|x| x + 0.1 * random.unit()).collect() };
        for _ in 0..60 {
            for centre in &centres {
                index.insert(&near(centre));
            }
        }
        let queries: Vec<Vec<f32>> = centres.iter().map(|centre| near(centre)).collect();
        let recall = recall(&mut index, &queries, 10, 20);
        println!("{metric} {recall}");
        assert!(recall >= 0.85, "{metric}: recall {recall}");
    }
}

#[test]
fn nodes_of_upper_layers_are_as_well_linked_below_as_others() {
    let mut random = Random::new(13);
    let mut index = graphed(parameters(Metric::L2, 16, 8));
    for _ in 0..3_000 {
        index.insert(&random.clumped(16));
    }
    let graph = index.graph().unwrap();
    let mean_degree = |is_upper: bool| {
        let slots = (0..3_000).filter(|&slot| (graph.level(slot) > 0) == is_upper);
        let degrees: Vec<usize> = slots.map(|slot| graph.links(0, slot).count()).collect();
        degrees.iter().sum::<usize>() as f64 / degrees.len() as f64
    };
    assert!(
        mean_degree(true) > 0.9 * mean_degree(false),
        "{} of {}",
        mean_degree(true),
        mean_degree(false)
    );
}

#[test]
fn ten_thousand_identical_vectors_are_all_reachable() {
    for metric in Metric::ALL {
        let mut random = Random::new(7);
        let mut index = graphed(parameters(metric, 8, 16));
        for _ in 0..500 {
            index.insert(&random.clumped(8));
        }
        let same = random.clumped(8);
        let copies: Vec<Slot> = (0..10_000).map(|_| index.insert(&same)).collect();
        for _ in 0..500 {
            index.insert(&random.clumped(8));
        }
        index.check().unwrap();
        if metric != Metric::InnerProduct {
            let hits = walk(&mut index, &same, 10, 50);
            assert!(hits.len() >= 10 && hits.iter().all(|hit| hit.distance == 0.0));
        }
        copies.iter().for_each(|&slot| index.remove(slot));
        let queries: Vec<Vec<f32>> = (0..40).map(|_| random.clumped(8)).collect();
        let recall = recall(&mut index, &queries, 10, 100);
        let wanted = if metric == Metric::InnerProduct { 0.6 } else { 0.95 };
        assert!(recall >= wanted, "{metric}: recall {recall}");
    }
}

#[test]
fn the_same_seed_and_operations_make_the_same_answers() {
    let run = || {
        let mut random = Random::new(9);
        let mut index = graphed(parameters(Metric::Cosine, 10, 8));
        let mut slots = Vec::new();
        for i in 0..1_500 {
            slots.push(index.insert(&random.clumped(10)));
            follow(&mut index, &mut slots);
            if i % 3 == 0 {
                index.remove(slots.swap_remove(random.below(slots.len())));
            }
        }
        (0..50)
            .map(|_| walk(&mut index, &random.clumped(10), 10, 20))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_vector_finds_itself_at_exactly_zero() {
    let mut random = Random::new(10);
    for metric in [Metric::Cosine, Metric::L2] {
        for scale in [1.0, 3e38 / 1.3, 1e-44, 1e-20, 1e19] {
            let mut index = graphed(parameters(metric, 7, 8));
            let vectors: Vec<Vec<f32>> = (0..300)
                .map(|_| random.clumped(7).iter().map(|x| x * scale).collect())
                .collect();
            let vectors: Vec<Vec<f32>> = vectors.into_iter().filter(|v| vet(v, metric).is_ok()).collect();
            assert!(vectors.len() > 200, "scale {scale}");
            let slots: Vec<Slot> = vectors.iter().map(|vector| index.insert(vector)).collect();
            index.check().unwrap();
            let mut found = 0;
            for (vector, slot) in vectors.iter().zip(slots) {
                assert_eq!(&vector_of(&index, slot), vector);
                assert_eq!(index.exact(vector, 1)[0].distance, 0.0, "{metric} at scale {scale}");
                let hits = walk(&mut index, vector, 1, 40);
                assert!(hits.iter().all(|hit| hit.distance.is_finite()));
                found += usize::from(hits[0].distance == 0.0);
            }
            // A walk may miss; at most one in a hundred does here, at whatever scale.
            assert!(
                found * 100 >= vectors.len() * 99,
                "{metric} at scale {scale}: {found} of {}",
                vectors.len()
            );
        }
    }
}

#[test]
fn ties_with_the_last_hit_come_along() {
    let mut index = graphed(parameters(Metric::L2, 2, 8));
    for i in 0..40 {
        index.insert(if i % 2 == 0 { &[1.0, 0.0] } else { &[3.0, 0.0] });
    }
    for hits in [walk(&mut index, &[0.0, 0.0], 3, 40), index.exact(&[0.0, 0.0], 3)] {
        assert_eq!(hits.len(), 20);
        assert!(hits.iter().all(|hit| hit.distance == 1.0 && hit.slot.index() % 2 == 0));
    }
    assert_eq!(index.exact(&[0.0, 0.0], 20).len(), 20);
    assert_eq!(index.exact(&[0.0, 0.0], 21).len(), 40);
}

/// On clumps of few dimensions and of many: there the ef nearest reach far, and here not.
#[test]
fn a_walk_that_looks_as_far_as_it_must_finds_more_for_the_same_work() {
    let mut random = Random::new(21);
    let mut uneven = |count: usize| -> Vec<Vec<f32>> {
        let vector = |_| {
            let clump = random.below(12);
            let mut centre = Random::new(clump as u64 + 1_000);
            let width = |place: usize| if place < 2 * clump { 0.5 } else { 0.01 };
            (0..24)
                .map(|place| centre.unit() + width(place) * random.unit())
                .collect()
        };
        (0..count).map(vector).collect()
    };
    let (vectors, queries) = (uneven(6_000), uneven(300));
    let mut index = graphed(parameters(Metric::L2, 24, 8));
    for vector in &vectors {
        index.insert(vector);
    }
    let truth: Vec<Vec<Hit>> = queries.iter().map(|query| index.exact(query, 10)).collect();
    let measure = |index: &mut Index| {
        let (mut found, mut distances) = (0, 0);
        for (query, truth) in queries.iter().zip(&truth) {
            let mut search = index.begin_walk(query, SearchParameters::nearest(10, 24));
            let Step::Done(hits) = index.resume_search(&mut search, &mut Work::unlimited()) else {
                panic!("an unlimited allowance is not spent");
            };
            found += hits.iter().filter(|hit| truth.contains(hit)).count();
            distances += search.statistics().distances;
        }
        (found as f64 / 3_000.0, distances as f64 / 300.0)
    };
    let (recall, distances) = measure(&mut index);
    index.built.as_mut().expect("it has a graph").growth = Growth::default();
    let (plain_recall, plain_distances) = measure(&mut index);
    println!("{recall} for {distances}, else {plain_recall} for {plain_distances}");
    assert!(
        (0.9..1.1).contains(&(distances / plain_distances)),
        "{distances}, else {plain_distances}"
    );
    assert!(
        1.0 - recall < 0.8 * (1.0 - plain_recall),
        "{recall}, else {plain_recall}"
    );
}

#[test]
fn a_pool_smaller_than_k_gives_what_it_holds() {
    let mut random = Random::new(11);
    let mut index = graphed(parameters(Metric::Cosine, 6, 8));
    for _ in 0..2_000 {
        index.insert(&random.clumped(6));
    }
    let found = index.search(&random.clumped(6), 10, 4).len();
    assert!((4..=10).contains(&found), "{found}");
    assert_eq!(walk(&mut index, &random.clumped(6), 3_000, 2_500).len(), 2_000);
}

#[test]
fn dismantling_frees_everything_in_steps() {
    let mut random = Random::new(12);
    let mut index = graphed(parameters(Metric::L2, 64, 16));
    for _ in 0..3_000 {
        index.insert(&random.clumped(64));
    }
    let mut steps = 1;
    while index.dismantle_step(&mut Work::new(1)) == Step::More {
        steps += 1;
    }
    assert!(steps > 10);
    let memory = index.memory();
    assert_eq!((memory.vectors_bytes, memory.scratch_bytes), (0, 0));
}

#[test]
fn a_small_index_grows_a_graph_while_every_answer_stays_good() {
    let mut random = Random::new(14);
    let mut index = Index::new(parameters(Metric::L2, 8, 8));
    let mut was_exact_until = 0;
    for count in 1..=2_000 {
        index.insert(&random.clumped(8));
        if count % 50 == 0 {
            let query = random.clumped(8);
            let mut search = index.begin_walk(&query, SearchParameters::nearest(5, 60));
            let Step::Done(hits) = index.resume_search(&mut search, &mut Work::unlimited()) else {
                panic!("an unlimited allowance is not spent");
            };
            assert_honest(&mut index, &query, &hits, 5);
            if search.statistics().is_exact {
                was_exact_until = count;
            }
            index.check().unwrap();
        }
    }
    assert!((1_024..1_600).contains(&was_exact_until), "{was_exact_until}");
    let queries: Vec<Vec<f32>> = (0..100).map(|_| random.clumped(8)).collect();
    let recall = recall(&mut index, &queries, 10, 100);
    assert!(recall >= 0.98, "recall {recall}");
}

#[test]
fn ten_vectors_cost_less_than_a_kilobyte_beside_themselves() {
    for dimension in [4, 50, 384] {
        let mut random = Random::new(15);
        let mut index = Index::new(parameters(Metric::Cosine, dimension, 16));
        for _ in 0..10 {
            index.insert(&random.clumped(dimension));
        }
        index.search(&random.clumped(dimension), 3, 100);
        let memory = index.memory();
        let all = size_of::<Index>() + memory.vectors_bytes + memory.links_bytes + memory.scratch_bytes;
        assert!(all - 10 * dimension * 4 < 1_000, "{dimension}: {all}");
    }
}

#[test]
fn a_predicate_is_answered_as_brute_force_answers_it() {
    let mut random = Random::new(16);
    let mut index = graphed(parameters(Metric::Cosine, 12, 12));
    for _ in 0..6_000 {
        index.insert(&random.clumped(12));
    }
    for one_in in [1, 3, 20, 200, 3_000] {
        let mut found = 0;
        let mut wanted = 0;
        for _ in 0..30 {
            let query = random.clumped(12);
            let mut admits = |slot: Slot| slot.index().is_multiple_of(one_in);
            let mut search = index.begin_walk(&query, SearchParameters::nearest(10, 60));
            let Step::Done(hits) = index.resume_search_where(&mut search, &mut Work::unlimited(), &mut admits) else {
                panic!("an unlimited allowance is not spent");
            };
            let all = index.exact(&query, 6_000);
            let truth: Vec<Hit> = all.into_iter().filter(|hit| admits(hit.slot)).take(10).collect();
            found += truth.iter().filter(|hit| hits.contains(hit)).count();
            wanted += truth.len();
            assert!(one_in < 3_000 || search.statistics().is_exact);
        }
        assert!(found * 100 >= wanted * 97, "one in {one_in}: {found} of {wanted}");
    }
}
