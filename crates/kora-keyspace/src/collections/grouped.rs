//! Several searches of a part that go on together: see [`SearchGroup`].

use kora_vector::{Finished, SearchGroup, Step, Work};

use super::collection::Collection;

impl Collection {
    /// How many searches are worth to go on together.
    pub fn searches_together(&self) -> usize {
        self.index.searches_together()
    }

    /// Goes on with searches that were begun with [`Collection::begin_search`] or [`Collection::begin_exact`], until some
    /// are done or the work is spent. The keys of what each has found are to be found with a
    /// [`ResolveKeys`](super::ResolveKeys) and [`Collection::resolve_hits`] to the end, and the search is kept for so long.
    /// Before anything else happens to this part, the group is paused.
    pub fn resume_group(&mut self, group: &mut SearchGroup, work: &mut Work) -> Step<Vec<Finished>> {
        self.index.resume_group(group, work)
    }

    /// Lets the searches of a group pause: vectors may come and go before they are resumed.
    pub fn pause_group(&mut self, group: &mut SearchGroup) {
        self.index.pause_group(group);
    }
}
