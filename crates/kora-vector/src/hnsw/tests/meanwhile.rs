//! Searches in slices, between which vectors are replaced, removed and moved.

use super::*;
use crate::matches::Matches;

/// An index whose vectors have keys, as the keys of a collection.
struct Keyed {
    index: Index,
    /// Where the vector of each key is.
    slots: Vec<Option<Slot>>,
    matches: Matches,
}

/// The ways to search.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Walk,
    Exact,
    Among,
}

impl Keyed {
    fn new(count: usize, dimension: usize, storage: Storage) -> Keyed {
        let index = graphed(Parameters {
            storage,
            ..parameters(Metric::L2, dimension, 8)
        });
        let (slots, matches) = (vec![None; count], Matches::default());
        let mut keyed = Keyed { index, slots, matches };
        let mut random = Random::new(7);
        (0..count).for_each(|key| keyed.set(key, &random.clumped(dimension)));
        keyed
    }

    fn vector(&self, key: usize) -> Vec<f32> {
        vector_of(&self.index, self.slots[key].expect("it is there"))
    }

    fn set(&mut self, key: usize, vector: &[f32]) {
        let before = self.slots[key];
        let mut insertion = match before {
            Some(before) => self.index.begin_replace(before, vector),
            None => self.index.begin_insert(vector),
        };
        while self.index.resume_insert(&mut insertion, &mut Work::unlimited()) == Step::More {}
        self.follow();
        self.remove(key);
        self.slots[key] = Some(insertion.slot());
        self.matches.put(insertion.slot(), true);
    }

    fn remove(&mut self, key: usize) {
        if let Some(slot) = self.slots[key].take() {
            self.index.remove(slot);
            self.matches.put(slot, false);
        }
    }

    fn follow(&mut self) {
        for (from, to) in self.index.take_moves() {
            let moved = self.slots.iter_mut().find(|slot| **slot == Some(from));
            *moved.expect("only the live move") = Some(to);
            self.matches.put(from, false);
            self.matches.put(to, true);
        }
    }

    /// The keys that a search in slices of so much work finds, if this is done after each slice. And how many slices that took.
    fn search(
        &mut self,
        query: &[f32],
        (way, k, units): (Way, usize, u64),
        mut meanwhile: impl FnMut(&mut Keyed, usize),
    ) -> (Vec<usize>, usize) {
        let parameters = SearchParameters::nearest(k, 60.max(k));
        let mut search = match way {
            Way::Walk => self.index.begin_walk(query, parameters),
            Way::Exact => self.index.begin_exact(query, k),
            Way::Among => self.index.begin_search_among(query, parameters, &self.matches),
        };
        for slice in 0.. {
            let mut work = Work::new(units);
            let step = match way {
                Way::Among => self.index.resume_search_among(&mut search, &self.matches, &mut work),
                _ => self.index.resume_search(&mut search, &mut work),
            };
            if let Step::Done(hits) = step {
                let key_of = |hit: &Hit| self.slots.iter().position(|slot| *slot == Some(hit.slot));
                let keys = hits.iter().take(k).map(|hit| key_of(hit).expect("the vector is there"));
                return (keys.collect(), slice);
            }
            meanwhile(self, slice);
            let _ = self.index.tend(&mut Work::new(5_000));
            self.follow();
        }
        unreachable!("it goes on until it is done")
    }
}

const WAYS: [Way; 3] = [Way::Walk, Way::Exact, Way::Among];

#[test]
fn what_is_replaced_while_it_is_searched_for_is_found_in_its_new_place() {
    for (storage, dimension) in [(Storage::F32, 8), (Storage::F32, 100), (Storage::Q8, 100)] {
        for way in WAYS {
            let mut keyed = Keyed::new(1_500, dimension, storage);
            let mut slices = 0;
            for key in 0..20 {
                let query = keyed.vector(key);
                let (found, paused) = keyed.search(&query, (way, 10, 4_000), |keyed, _| {
                    let same = keyed.vector(key);
                    keyed.set(key, &same);
                });
                slices += paused;
                assert_eq!(
                    found.first(),
                    Some(&key),
                    "{way:?} {storage:?}: {found:?} in {paused} slices"
                );
                assert_eq!(found.len(), 10);
            }
            assert!(slices > 20, "{way:?} paused {slices} times");
            assert_eq!(keyed.index.check(), Ok(()));
        }
    }
}

#[test]
fn all_that_are_there_throughout_are_in_an_answer_of_all() {
    for way in WAYS {
        let mut keyed = Keyed::new(1_200, 8, Storage::F32);
        let mut random = Random::new(3);
        let query = random.clumped(8);
        let (mut found, slices) = keyed.search(&query, (way, 1_200, 30_000), |keyed, _| {
            for _ in 0..5 {
                let (key, other) = (random.below(1_200), random.clumped(8));
                keyed.set(key, &other);
            }
        });
        found.sort_unstable();
        assert!(slices > 3, "{way:?} paused {slices} times");
        assert!(found.iter().copied().eq(0..1_200), "{way:?}: {} of 1200", found.len());
    }
}

#[test]
fn as_many_as_are_left_are_found_though_half_of_them_go_meanwhile() {
    for way in WAYS {
        let mut keyed = Keyed::new(2_000, 8, Storage::F32);
        let query = keyed.vector(0);
        // Every second one of the nearest goes while the search is under way, some in each slice.
        let nearest = keyed.search(&query, (Way::Exact, 1_000, u64::MAX), |_, _| {}).0;
        let mut going = nearest.iter().copied().step_by(2);
        let (found, slices) = keyed.search(&query, (way, 600, 30_000), |keyed, _| {
            going.by_ref().take(40).for_each(|key| keyed.remove(key));
        });
        assert!(slices > 3, "{way:?} paused {slices} times");
        assert_eq!(found.len(), 600, "{way:?}");
        if way == Way::Exact {
            let truth = keyed.search(&query, (Way::Exact, 600, u64::MAX), |_, _| {}).0;
            assert_eq!(found, truth);
        }
    }
}

#[test]
fn a_vector_that_is_set_again_and_again_without_a_rest_stays_found() {
    let mut keyed = Keyed::new(1_500, 8, Storage::F32);
    let vector = keyed.vector(3);
    for round in 0..300 {
        keyed.set(3, &vector);
        let (found, _) = keyed.search(&vector, (Way::Walk, 3, u64::MAX), |_, _| {});
        assert_eq!((found.first(), found.len()), (Some(&3), 3), "after {round}");
    }
    assert_eq!(keyed.index.check(), Ok(()));
}
