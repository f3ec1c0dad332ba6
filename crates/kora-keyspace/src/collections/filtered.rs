//! Searching among the vectors of a part whose attributes pass a filter.

use std::sync::Arc;

use kora_filter::AskedFilter;
use kora_vector::{Search, SearchParameters, Statistics, Step, Work};

use super::collection::Collection;
use super::resolve_keys::ResolveKeys;

/// A search among the vectors that pass a filter, between two slices. First all attributes are tested that were not tested for
/// the same filter before; how many pass decides how it goes on.
pub struct FilteredSearch {
    vector: Box<[f32]>,
    parameters: SearchParameters,
    /// The filter's number among the part's attributes; none if there are none, so that nothing passes.
    filter: Option<u64>,
    search: Option<Search>,
    /// How many vectors passed when it ended.
    matches: usize,
    /// Slots whose attributes it has tested.
    tested: usize,
}

impl FilteredSearch {
    /// What it has cost, beside the tests.
    pub fn statistics(&self) -> Statistics {
        let nothing = Statistics {
            is_exact: true,
            ..Statistics::default()
        };
        self.search.as_ref().map_or(nothing, Search::statistics)
    }

    /// How many vectors passed when it ended.
    pub fn matches(&self) -> usize {
        self.matches
    }

    /// How many attributes it has tested: none if it was known which vectors pass.
    pub fn tested(&self) -> usize {
        self.tested
    }
}

impl Collection {
    /// Begins to search among the vectors that pass a filter. It holds its place in the index until its hits are resolved.
    pub fn begin_filtered(
        &mut self,
        vector: &[f32],
        parameters: SearchParameters,
        asked: &Arc<AskedFilter>,
    ) -> FilteredSearch {
        self.suspended += 1;
        FilteredSearch {
            vector: vector.into(),
            parameters,
            filter: self.attributes.as_mut().map(|attributes| attributes.use_filter(asked)),
            search: None,
            matches: 0,
            tested: 0,
        }
    }

    /// Goes on; what follows when it is done is as with [`Collection::resume_search`].
    pub fn resume_filtered(
        &mut self,
        filtered: &mut FilteredSearch,
        k: usize,
        bytes_left: usize,
        work: &mut Work,
    ) -> Step<ResolveKeys> {
        let nothing = || Step::Done(ResolveKeys::new(Vec::new(), k, bytes_left));
        let (Some(attributes), Some(number)) = (&mut self.attributes, filtered.filter) else {
            return nothing();
        };
        let before = attributes.tested(number);
        let is_tested = attributes.test(number, self.index.slots(), work);
        filtered.tested += attributes.tested(number) - before;
        if !is_tested {
            return Step::More;
        }
        let Some(matches) = attributes.matches(number) else {
            return nothing();
        };
        let search = filtered.search.get_or_insert_with(|| {
            self.index
                .begin_search_among(&filtered.vector, filtered.parameters, matches)
        });
        let Step::Done(hits) = self.index.resume_search_among(search, matches, work) else {
            return Step::More;
        };
        filtered.matches = matches.count();
        attributes.release_filter(number);
        Step::Done(ResolveKeys::new(hits, k, bytes_left))
    }
}
