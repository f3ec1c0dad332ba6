//! Walks that end in the wrong place, and samples that crowds don't hide.

use super::*;
use crate::search::Statistics;

/// A crowd, and one other for each hundred of it.
fn crowd(random: &mut Random) -> Vec<Vec<f32>> {
    let at = |random: &mut Random, spread: f32| -> Vec<f32> { (0..32).map(|_| 1.0 + spread * random.unit()).collect() };
    (0..3_000)
        .map(|number| match number % 100 {
            0 => at(random, 20.0),
            _ => at(random, 0.01),
        })
        .collect()
}

fn search(index: &mut Index, query: &[f32], ef: usize) -> (Vec<Hit>, Statistics) {
    let mut search = index.begin_walk(query, SearchParameters::nearest(1, ef));
    let mut work = Work::unlimited();
    let Step::Done(hits) = index.resume_search(&mut search, &mut work) else {
        panic!("unlimited work is not spent");
    };
    (hits, search.statistics())
}

#[test]
fn a_query_far_from_a_crowd_is_looked_for_again_and_scanned_if_that_is_little() {
    let mut random = Random::new(51);
    let vectors = crowd(&mut random);
    let mut index = graphed(parameters(Metric::L2, 32, 16));
    for vector in vectors.iter().filter(|vector| vector[0] < 1.1 && vector[0] > 0.9) {
        index.insert(vector);
    }
    let alone: Vec<f32> = (0..32).map(|_| 1.0 + random.unit().signum() * 20.0).collect();
    let (hits, statistics) = search(&mut index, &alone, 100);
    assert_eq!(hits[0].distance, index.exact(&alone, 1)[0].distance);
    assert!(statistics.is_exact && statistics.astray == 2, "{statistics:?}");
    // With ef 10 so many are not scanned: the walk has taken about twice as long, and that is told.
    let (_, statistics) = search(&mut index, &alone, 10);
    assert!(!statistics.is_exact && statistics.astray == 1, "{statistics:?}");
    let (_, statistics) = search(&mut index, &vectors[5], 100);
    assert!(!statistics.is_exact && statistics.astray == 0, "{statistics:?}");
}

#[test]
fn a_crowd_does_not_hide_the_others_from_samples() {
    let mut random = Random::new(52);
    let vectors = crowd(&mut random);
    for metric in [Metric::L2, Metric::Cosine] {
        let mut index = graphed(parameters(metric, 32, 16));
        let slots: Vec<Slot> = vectors.iter().map(|vector| index.insert(vector)).collect();
        let mut others = 0;
        for _ in 0..400 {
            let number = (random.below(1 << 30) as u64) << 30 | random.below(1 << 30) as u64;
            let sampled = index.sample(number).expect("there are vectors");
            let place = slots.iter().position(|&slot| slot == sampled).expect("a live slot");
            let spacing = index.spacing(sampled);
            if place % 100 == 0 {
                others += 1;
                assert!(spacing.is_some_and(|spacing| spacing > 0.3), "{metric}: {spacing:?}");
            } else {
                assert!(spacing.is_none_or(|spacing| spacing < 0.1), "{metric}: {spacing:?}");
            }
        }
        // Evenly chosen, it would be 4.
        assert!((40..250).contains(&others), "{metric}: {others} of 400");
    }
}
