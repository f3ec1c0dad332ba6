use super::*;
use crate::hnsw::{Parameters, Slot};
use crate::metric::Metric;
use crate::storage::Storage;

fn index_of(count: usize, dimension: usize, random: &mut u64) -> Index {
    let mut index = Index::with_small_max(
        Parameters {
            dimension,
            metric: Metric::Cosine,
            m: 12,
            ef_construction: 60,
            storage: Storage::F32,
            seed: 7,
        },
        0,
    );
    for _ in 0..count {
        index.insert(&vector(random, dimension));
    }
    index
}

fn next(random: &mut u64) -> u64 {
    *random = random
        .wrapping_mul(0x5851_f42d_4c95_7f2d)
        .wrapping_add(0x1405_7b7e_f767_814f);
    *random >> 33
}

fn vector(random: &mut u64, dimension: usize) -> Vec<f32> {
    let mut centre = next(random) % 20 + 1_000;
    let unit = |random: &mut u64| (next(random) % 2_001) as f32 / 1_000.0 - 1.0;
    (0..dimension).map(|_| unit(&mut centre) + 0.5 * unit(random)).collect()
}

fn search(index: &mut Index, query: &[f32], matches: &Matches, work_max: u64) -> (Vec<Hit>, bool) {
    let mut search = index.begin_search_among(query, SearchParameters::nearest(10, 60), matches);
    loop {
        if let Step::Done(hits) = index.resume_search_among(&mut search, matches, &mut Work::new(work_max)) {
            return (hits, search.statistics().is_exact);
        }
    }
}

/// The best k of all that are in the set.
fn truth(index: &mut Index, query: &[f32], matches: &Matches) -> Vec<Hit> {
    let all = index.exact(query, index.live().max(1));
    all.into_iter().filter(|hit| matches.holds(hit.slot)).take(10).collect()
}

#[test]
fn k_are_found_wherever_they_are() {
    let mut random = 3;
    let mut index = index_of(12_000, 12, &mut random);
    let corner = vector(&mut random, 12);
    let by_nearness: Vec<Slot> = index.exact(&corner, 12_000).iter().map(|hit| hit.slot).collect();
    for share in [2, 5, 50, 500, 6_000, 13_000] {
        let kept = 12_000 / share;
        let spread: Vec<Slot> = (0..kept).map(|number| Slot::from_index(number * share)).collect();
        // All of them on one side, and the query on the other or right there.
        let cases = [
            (spread.as_slice(), None),
            (&by_nearness[..kept], Some(-1.0)),
            (&by_nearness[..kept], Some(1.0)),
        ];
        for (slots, side) in cases {
            let mut matches = Matches::default();
            slots.iter().for_each(|&slot| matches.put(slot, true));
            let (mut found, mut wanted) = (0, 0);
            for _ in 0..20 {
                let own = vector(&mut random, 12);
                let beside = |side: f32| {
                    corner
                        .iter()
                        .zip(&own)
                        .map(|(far, own)| side * far + 0.3 * own)
                        .collect()
                };
                let query = side.map_or(own.clone(), beside);
                let truth = truth(&mut index, &query, &matches);
                let (hits, is_exact) = search(&mut index, &query, &matches, 20_000);
                assert!(hits.len() >= truth.len(), "{} of {}", hits.len(), truth.len());
                assert!(hits.iter().all(|hit| matches.holds(hit.slot)));
                let common = truth.iter().filter(|hit| hits.contains(hit)).count();
                assert!(!is_exact || common == truth.len());
                found += common;
                wanted += truth.len();
            }
            assert!(
                found * 100 >= wanted * 97,
                "one in {share}, {side:?}: {found} of {wanted}"
            );
        }
    }
}

#[test]
fn what_is_removed_meanwhile_is_no_hit() {
    let mut random = 5;
    let mut index = index_of(6_000, 12, &mut random);
    let mut matches = Matches::default();
    (0..6_000)
        .step_by(2)
        .for_each(|number| matches.put(Slot::from_index(number), true));
    for round in 0..40 {
        let query = vector(&mut random, 12);
        let parameters = SearchParameters::nearest(10, if round % 2 == 0 { 30 } else { 4_000 });
        let mut search = index.begin_search_among(&query, parameters, &matches);
        let hits = loop {
            if let Step::Done(hits) = index.resume_search_among(&mut search, &matches, &mut Work::new(5_000)) {
                break hits;
            }
            let slot = Slot::from_index(next(&mut random) as usize % 6_000);
            if index.is_live(slot) {
                index.remove(slot);
                matches.put(slot, false);
            }
        };
        // One that is removed behind the walk is not replaced by another.
        assert!(
            !hits.is_empty()
                && hits
                    .iter()
                    .all(|hit| index.is_live(hit.slot) && matches.holds(hit.slot))
        );
    }
}

#[test]
fn among_a_few_vectors_too_those_that_are_admitted_are_found() {
    for count in [0, 1, 10, 40, 900] {
        let mut random = 9;
        let parameters = index_of(0, 8, &mut random).parameters();
        let mut index = Index::new(parameters);
        (0..count).for_each(|_| {
            index.insert(&vector(&mut random, 8));
        });
        let mut matches = Matches::default();
        (0..count)
            .step_by(3)
            .for_each(|number| matches.put(Slot::from_index(number), true));
        let query = vector(&mut random, 8);
        let truth = truth(&mut index, &query, &matches);
        assert_eq!(search(&mut index, &query, &matches, 1 << 20), (truth, true));
    }
}
