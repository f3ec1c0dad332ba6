//! Searching an index from other threads while its owner does not change it. Any number of threads may do so at once.

use crate::admission::Admission;
use crate::hnsw::{Hit, Index};
use crate::scratch::Scratch;
use crate::search::{Search, Statistics};
use crate::search_parameters::SearchParameters;
use crate::work::{OVERHEAD, Step, Work};

/// A thread's buffers for searches in place, kept from one search to the next.
#[derive(Debug, Default)]
pub struct SearchBuffers {
    scratch: Box<Scratch>,
}

impl Index {
    /// Searches at once, as [`Index::begin_search`] and [`Index::resume_search`] would, and changes nothing: the hits, and what
    /// they cost.
    ///
    /// None if it can't be done so: it would take more than the work that is left, or something must be noted first. Then the
    /// owner has to search.
    ///
    /// Panics if the query has not the index's dimension, or a number of the aim is 0 or beyond its limit.
    pub fn search_in_place(
        &self,
        buffers: &mut SearchBuffers,
        query: &[f32],
        parameters: SearchParameters,
        work: &mut Work,
    ) -> Option<(Vec<Hit>, Statistics)> {
        self.assert_fits(query);
        parameters.check();
        let parameters = self.with_effort(parameters);
        let price = self.search_price(parameters.ef);
        if price > work.left() || !self.space.frame_in_place(query, &mut buffers.scratch.query) {
            return None;
        }
        let (view, scratch) = (self.view(), std::mem::take(&mut buffers.scratch));
        let mut search = match view.graph {
            Some(_) if !self.is_scanned(parameters.ef) => Search::walk(scratch, parameters, None),
            _ => Search::scan(scratch, parameters, None),
        };
        let step = match search.resume(view, &mut Admission::All, work) {
            // A walk may look three times as far as most: see `stop_rule`. To begin it anew elsewhere would cost more.
            Step::More => search.resume(view, &mut Admission::All, &mut Work::new(2 * price)),
            done => done,
        };
        let statistics = search.statistics();
        buffers.scratch = search.scratch;
        match step {
            Step::Done(hits) => Some((hits, statistics)),
            Step::More => None,
        }
    }

    /// What a search is expected to cost, in units of work: one that would not come to its end is not begun.
    fn search_price(&self, ef: usize) -> u64 {
        let (distances, dimension) = match self.is_scanned(ef) {
            true => (self.live(), self.space.dimension()),
            false => (ef * DISTANCES_PER_RESULT, self.space.walk_price()),
        };
        distances as u64 * (dimension as u64 + OVERHEAD)
    }
}

/// Distances that a walk computes for each result it keeps: 18 at ef 47, 15 at ef 161 (100,000 × 384, M 16).
const DISTANCES_PER_RESULT: usize = 16;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::hnsw::Parameters;
    use crate::metric::Metric;
    use crate::storage::Storage;

    fn index_of(count: usize, dimension: usize) -> Index {
        let mut index = Index::new(Parameters {
            dimension,
            metric: Metric::L2,
            m: 8,
            ef_construction: 50,
            storage: Storage::F32,
            seed: 1,
        });
        for number in 0..count {
            index.insert(&vector(number as u64, dimension));
        }
        index
    }

    fn vector(seed: u64, dimension: usize) -> Vec<f32> {
        let component = |place: usize| {
            let mixed = (seed * 1_000 + place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed >> 40) as f32 / 1e6
        };
        (0..dimension).map(component).collect()
    }

    #[test]
    fn whoever_reads_in_place_finds_what_the_owner_finds_on_any_thread() {
        let mut buffers = SearchBuffers::default();
        // Small, of halves, of codes: one desk for all of them.
        for (count, dimension) in [(0, 8), (100, 8), (3_000, 8), (3_000, 100), (100, 8)] {
            let mut index = index_of(count, dimension);
            (0..count / 10).for_each(|slot| index.remove(crate::Slot::from_index(slot)));
            let queries: Vec<_> = (0..50u64).map(|seed| vector(1 << 40 | seed, dimension)).collect();
            let expected: Vec<_> = queries.iter().map(|query| index.search(query, 5, 30)).collect();
            let read = |buffers: &mut SearchBuffers| {
                for (query, expected) in queries.iter().zip(&expected) {
                    let found =
                        index.search_in_place(buffers, query, SearchParameters::nearest(5, 30), &mut Work::unlimited());
                    assert_eq!(found.map(|(hits, _)| hits).as_ref(), Some(expected));
                }
            };
            read(&mut buffers);
            thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(|| read(&mut SearchBuffers::default())))));
        }
    }

    #[test]
    fn what_takes_too_long_or_must_be_noted_is_left_to_the_owner() {
        let (mut index, mut buffers) = (index_of(2_000, 16), SearchBuffers::default());
        let query = vector(7, 16);
        let mut find = |index: &Index, query: &[f32], radius: Option<f32>, work: u64| {
            let mut parameters = SearchParameters::nearest(3, 30);
            parameters.radius = radius.unwrap_or(parameters.radius);
            let found = index.search_in_place(&mut buffers, query, parameters, &mut Work::new(work));
            found.map(|(hits, _)| hits.len())
        };
        assert_eq!(find(&index, &query, None, 1_000), None);
        assert_eq!(find(&index, &query, None, 1 << 20), Some(3));
        assert_eq!(find(&index, &query, Some(-1.0), 1 << 20), Some(0));
        let tiny = vec![1e-30; 16];
        assert_eq!(find(&index, &tiny, None, 1 << 20), None);
        index.search(&tiny, 3, 30);
        assert_eq!(find(&index, &tiny, None, 1 << 20), Some(3));
    }
}
