//! Data in the orders in which it comes, after a rest: every vector is found.

use proptest::prelude::*;

use super::*;

/// 8,000 points along a line that winds without crossing itself, one after the other.
fn path() -> Vec<Vec<f32>> {
    let at = |number: usize| {
        let t = 4.0 * std::f32::consts::PI * number as f32 / 8_000.0;
        vec![t.cos() + 0.1 * t, t.sin(), (2.0 * t).cos() + 1.5, 0.3 * t]
    };
    (0..8_000).map(at).collect()
}

/// 30 documents of 100 parts, one document after the other.
fn documents() -> Vec<Vec<f32>> {
    let mut random = Random::new(8);
    let mut vectors = Vec::new();
    for _ in 0..30 {
        let centre: Vec<f32> = (0..48).map(|_| random.unit()).collect();
        let near = |random: &mut Random| centre.iter().map(|x| x + 0.02 * random.unit()).collect();
        vectors.extend((0..100).map(|_| near(&mut random)));
    }
    vectors
}

/// How many vectors a search for them does not find.
fn lost(index: &mut Index, vectors: &[Vec<f32>]) -> usize {
    let is_lost = |vector: &&Vec<f32>| walk(index, vector, 1, 100)[0].distance > 1e-6;
    vectors.iter().filter(is_lost).count()
}

#[test]
fn what_came_in_order_is_found_after_a_rest() {
    // One of the path may be left: links are offered, and most nodes there stand too deep to be hung elsewhere.
    for (name, vectors, most) in [("path", path(), 4), ("documents", documents(), 0)] {
        for metric in [Metric::L2, Metric::Cosine] {
            let mut index = graphed(parameters(metric, vectors[0].len(), 16));
            for vector in &vectors {
                index.insert(vector);
            }
            let before = lost(&mut index, &vectors);
            let mut slices = 0;
            while index.tend(&mut Work::new(100_000)) == Step::More {
                slices += 1;
            }
            assert!(slices > 10 && !index.has_upkeep());
            assert_eq!(index.check(), Ok(()));
            let after = lost(&mut index, &vectors);
            println!("{name} {metric}: {before} lost, after a rest {after}");
            assert!(after <= most, "{name} {metric}: {before} lost, after a rest {after}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However it is interrupted, and whatever goes meanwhile.
    #[test]
    fn proofs_come_to_an_end_and_keep_the_graph_sound(
        seed in any::<u64>(),
        metric in prop::sample::select(Metric::ALL.to_vec()),
        m in 2usize..=8,
        work in 1u64..50_000,
    ) {
        let mut random = Random::new(seed);
        let mut index = graphed(parameters(metric, 4, m));
        let (mut live, start) = (Vec::new(), random.below(4_000));
        for (number, vector) in path()[start..start + 1_000].iter().enumerate() {
            let slot = index.insert(vector);
            live.push(slot);
            if number % 3 == 0 {
                let _ = index.tend(&mut Work::new(work));
                for (from, to) in index.take_moves() {
                    live.iter_mut().filter(|slot| **slot == from).for_each(|slot| *slot = to);
                }
                if random.below(2) == 0 {
                    index.remove(live.swap_remove(random.below(live.len())));
                }
            }
            if number % 50 == 0 {
                prop_assert_eq!(index.check(), Ok(()), "after {}", number);
            }
        }
        let mut slices = 0u64;
        while index.tend(&mut Work::new(work)) == Step::More {
            slices += 1;
            prop_assert!(slices < 2_000_000, "there is always something to do");
        }
        prop_assert_eq!(index.check(), Ok(()));
    }
}
