//! Several searches of one index that go on together, a step of each in turn.
//!
//! A step of a walk is mostly waiting: for the lists of links of the nodes that it expands, and then for the vectors that those
//! name. A lone walk asks the caches for both a moment before it reads them. Of several walks each asks, and by the time that it
//! is its turn again, the others have computed, and what it asked for has come. What each of them finds is what it finds alone.

use crate::hnsw::{Hit, Index};
use crate::search::{Admission, IndexView, Search, SearchStage, open};
use crate::work::{Step, Work};

/// Searches of one index, each with a number of the caller's. They are begun with [`Index::begin_search`] or
/// [`Index::begin_exact`].
#[derive(Debug, Default)]
pub struct SearchGroup {
    members: Vec<Member>,
    /// How often something had been done to the index when it paused, if it has.
    paused_at: Option<u32>,
}

#[derive(Debug)]
struct Member {
    number: usize,
    search: Search,
    /// It paused for the first time when the group paused last.
    is_first_pause: bool,
}

/// A search of a group that is done: its number, and what it found as with [`Index::resume_search`]. As long as the search is
/// kept, no slot that it has found is given to another vector.
#[derive(Debug)]
pub struct Finished {
    /// The caller's.
    pub number: usize,
    /// Its statistics are those of its end.
    pub search: Search,
    /// Nearest first, equals by slot.
    pub hits: Vec<Hit>,
}

impl SearchGroup {
    /// Adds a search that has not been resumed.
    pub fn push(&mut self, number: usize, search: Search) {
        self.members.push(Member {
            number,
            search,
            is_first_pause: false,
        });
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True if none is under way.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// One step of each; those that are done are taken out.
    fn step(&mut self, view: IndexView<'_>, work: &mut Work) -> Vec<Finished> {
        for member in &mut self.members {
            member.search.look_ahead(view);
        }
        let (mut finished, mut place) = (Vec::new(), 0);
        while let Some(member) = self.members.get_mut(place) {
            match member.search.advance(view, &mut Admission::All, work) {
                Some(hits) => {
                    // The last one is where it was, and its turn is next.
                    let Member { number, search, .. } = self.members.swap_remove(place);
                    finished.push(Finished { number, search, hits });
                }
                None => place += 1,
            }
        }
        finished
    }
}

impl Index {
    /// How many searches are worth to go on together: as many as hide each other's waiting, and not so many that what they note
    /// of their ways leaves the caches.
    pub fn searches_together(&self) -> usize {
        let noted_bytes = self.slots() / 8 + BEAM_BYTES;
        (NOTED_BYTES_MAX / noted_bytes).clamp(2, TOGETHER_MAX)
    }

    /// Goes on with a group of searches until some are done, or the work is spent. Before anything else is done to this index,
    /// those that are left are paused: [`Index::pause_group`].
    pub fn resume_group(&mut self, group: &mut SearchGroup, work: &mut Work) -> Step<Vec<Finished>> {
        let view = self.view();
        // If nothing was done meanwhile, it is as if there had been no pause: what was found so far is right.
        let is_same = group.paused_at.take() == Some(self.changes());
        for Member {
            search, is_first_pause, ..
        } in &mut group.members
        {
            if std::mem::take(is_first_pause) && is_same {
                search.meanwhile = None;
            }
            if let Some(arrivals) = self.arrivals() {
                search.hear(arrivals, view, &Admission::All);
            }
            search.cover(view);
        }
        let mut finished = Vec::new();
        while finished.is_empty() && !group.is_empty() {
            finished = group.step(view, work);
            if work.is_spent() {
                break;
            }
        }
        if finished.is_empty() {
            return Step::More;
        }
        for one in &mut finished {
            self.keep_scratch(std::mem::take(&mut one.search.scratch));
        }
        Step::Done(finished)
    }

    /// Lets searches pause that are under way: vectors may come, go and move before they are resumed.
    pub fn pause_group(&mut self, group: &mut SearchGroup) {
        for member in &mut group.members {
            member.is_first_pause = !member.search.has_paused();
            self.pause(&mut member.search);
        }
        group.paused_at = Some(self.changes());
    }
}

impl Search {
    /// Asks the caches for what the next step measures.
    fn look_ahead(&mut self, view: IndexView<'_>) {
        let walk = &mut self.scratch.walk;
        match (&self.stage, view.graph) {
            (SearchStage::Beam, Some(graph)) => {
                walk.is_open = open(graph, view.states, 0, walk);
                if walk.is_open {
                    let fresh = walk.visited.fresh();
                    let tables = view.space.tables();
                    fresh.iter().for_each(|&slot| tables.prefetch_walked(slot));
                }
            }
            (SearchStage::Refine { hits }, _) => {
                let results = walk.beam.results();
                let soon = results
                    .iter()
                    .skip(hits.len())
                    .take(self.parameters.k.min(REFINED_SOON));
                soon.for_each(|near| view.space.prefetch(near.slot()));
            }
            _ => {}
        }
    }
}

/// More than so many hide nothing more: a step of one takes about a microsecond, and memory answers in a tenth of that.
const TOGETHER_MAX: usize = 8;

/// Bytes that the walks of a group may note together: half of a small second-level cache, where the vectors that they read
/// want the other half.
const NOTED_BYTES_MAX: usize = 128 << 10;

/// What a walk notes beside a bit for each slot: its candidates, the list of slots that it has seen, and distances.
const BEAM_BYTES: usize = 8 << 10;

/// Results that a step of reranking measures at most.
const REFINED_SOON: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hnsw::{Parameters, Slot};
    use crate::metric::Metric;
    use crate::search_parameters::SearchParameters;
    use crate::storage::Storage;

    fn vector(seed: u64, dimension: usize) -> Vec<f32> {
        let component = |place: usize| {
            let mixed = (seed * 1_000 + place as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed >> 40) as f32 / 1e6
        };
        (0..dimension).map(component).collect()
    }

    fn index_of(count: u64, dimension: usize, (metric, storage): (Metric, Storage)) -> Index {
        let mut index = Index::new(Parameters {
            dimension,
            metric,
            m: 8,
            ef_construction: 50,
            storage,
            seed: 1,
        });
        for number in 0..count {
            index.insert(&vector(number, dimension));
        }
        index
    }

    /// All queries in groups of so many, each slice with so much work, and `meanwhile` between two slices: their hits.
    fn search_all(
        index: &mut Index,
        queries: &[(Vec<f32>, SearchParameters)],
        (together, slice): (usize, u64),
        mut meanwhile: impl FnMut(&mut Index),
    ) -> Vec<Vec<Hit>> {
        let (mut group, mut next) = (SearchGroup::default(), 0);
        let mut found: Vec<Vec<Hit>> = vec![Vec::new(); queries.len()];
        loop {
            let mut work = Work::new(slice);
            loop {
                while group.len() < together && next < queries.len() {
                    let (query, parameters) = &queries[next];
                    group.push(next, index.begin_search(query, *parameters));
                    next += 1;
                }
                if group.is_empty() {
                    return found;
                }
                match index.resume_group(&mut group, &mut work) {
                    Step::Done(finished) => finished.into_iter().for_each(|one| found[one.number] = one.hits),
                    Step::More => break,
                }
            }
            index.pause_group(&mut group);
            meanwhile(index);
        }
    }

    #[test]
    fn a_group_finds_what_its_searches_find_alone() {
        for form in [
            (Metric::L2, Storage::F32),
            (Metric::Cosine, Storage::Q8),
            (Metric::InnerProduct, Storage::F16),
        ] {
            // Without a graph, on rows, on codes whose tails stand beside them.
            for (count, dimension) in [(0, 4), (300, 4), (3_000, 8), (2_000, 100), (1_500, 384)] {
                let mut index = index_of(count, dimension, form);
                (0..count as usize / 9).for_each(|slot| index.remove(Slot::from_index(3 * slot)));
                let query = |number: u64| {
                    let (k, ef) = [(1, 1), (5, 30), (10, 10), (100, 120)][number as usize % 4];
                    (vector(1 << 40 | number, dimension), SearchParameters::nearest(k, ef))
                };
                let queries: Vec<_> = (0..40).map(query).collect();
                let expected: Vec<Vec<Hit>> = queries
                    .iter()
                    .map(|(query, parameters)| index.search(query, parameters.k, parameters.ef))
                    .collect();
                for way in [(1, 1 << 30), (8, 1 << 30), (3, 20_000), (8, 1)] {
                    let found = search_all(&mut index, &queries, way, |_| {});
                    assert!(found == expected, "{form:?} {count} {dimension} {way:?}");
                }
            }
        }
    }

    #[test]
    fn what_comes_and_goes_between_slices_is_found_and_left_out() {
        let mut index = index_of(2_000, 8, (Metric::L2, Storage::F32));
        let queries: Vec<_> = (0..20u64)
            .map(|number| (vector(1 << 40 | number, 8), SearchParameters::nearest(3, 40)))
            .collect();
        let nearest: Vec<Slot> = queries
            .iter()
            .map(|(query, _)| index.search(query, 1, 40)[0].slot)
            .collect();
        let (mut is_first, mut came) = (true, Vec::new());
        let found = search_all(&mut index, &queries, (8, 4_000), |index| {
            if std::mem::take(&mut is_first) {
                for (place, (query, _)) in queries.iter().enumerate() {
                    if index.is_live(nearest[place]) {
                        index.remove(nearest[place]);
                    }
                    came.push(index.insert(query));
                }
            }
        });
        for (found, came) in found.iter().zip(&came) {
            assert_eq!((found[0].slot, found[0].distance), (*came, 0.0));
            assert!(found.iter().all(|hit| index.is_live(hit.slot)), "none of them is gone");
        }
    }
}
