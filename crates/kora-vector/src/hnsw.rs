//! The public face: an index of vectors, searched by nearness.

pub(crate) mod capacity;
mod maintenance;
mod persist;

use crate::consolidate::{Consolidation, Urgency};
use crate::graph::{Census, Fault, Graph};
use crate::graph_parts::GraphParts;
pub use crate::hit::{Hit, Slot};
use crate::insert::{Insertion, Progress};
use crate::limits::{DIMENSION_MAX, EF_MAX, M_MAX, M_MIN, SLOTS_MAX};
use crate::meanwhile::Arrivals;
use crate::metric::Metric;
use crate::scratch::Scratch;
use crate::search::{Admission, IndexView, Search};
use crate::search_parameters::SearchParameters;
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::stop_rule::Growth;
use crate::storage::Storage;
use crate::work::{Step, Work};

pub use self::persist::{IndexCapture, IndexLoading};

/// What an index is made with, for life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Components of every vector.
    pub dimension: usize,
    /// How distance is measured.
    pub metric: Metric,
    /// Links per node and upper layer; twice as many on the base layer.
    pub m: usize,
    /// How many candidates an insertion looks at.
    pub ef_construction: usize,
    /// In what form the vectors are kept.
    pub storage: Storage,
    /// Seeds the levels: the same seed and the same operations make the same graph.
    pub seed: u64,
}

/// Where the memory of an index went, in bytes allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The vectors.
    pub vectors_bytes: usize,
    /// The links, and the few bits kept per slot.
    pub links_bytes: usize,
    /// Buffers kept for the next operation. Those of operations under way are not counted.
    pub scratch_bytes: usize,
}

/// An index of vectors: a few are scanned, many are walked as an HNSW graph. One thread changes it; others may search it
/// meanwhile only with [`Index::search_in_place`], while it is not being changed.
///
/// Searches and insertions can be done at once, or in slices that end when a [`Work`] is spent; any number of both may
/// be suspended while others run. A removed vector is walked and not returned.
///
/// A small index has no graph, and every search of it is exact. Once [`GRAPH_MIN`] vectors are live it grows one: each
/// insertion from then on links its own vector and helps with two of the old ones, so that none of them takes
/// long; until the last is linked, searches go on scanning.
///
/// Removed vectors leave the graph together, in small steps, and their slots are given out again: insertions do some
/// of that when one for twenty live is dead, and [`Index::tend`] does it when there is time. When many slots are
/// vacant, the vectors in the highest ones move to lower ones, and memory is given back.
pub struct Index {
    pub(crate) space: Space,
    states: SlotStates,
    pub(crate) consolidation: Consolidation,
    /// None while the index is small.
    built: Option<Box<GraphParts>>,
    /// None if no search has paused since it was last looked at.
    arrivals: Option<Box<Arrivals>>,
    seed: u64,
    ef_construction: u32,
    /// So many live vectors have no graph.
    small_max: u32,
    /// Counts what was done to the index: a paused search tells by it whether something was. It may wrap.
    changes: u32,
    m: u16,
    /// Distances that a walk computes per result it wants, in units of what a scan pays for one.
    walk_per_result: u8,
}

impl Index {
    /// An empty index. Panics on parameters outside [`limits`](crate::limits): a caller that takes them from outside checks them.
    pub fn new(parameters: Parameters) -> Index {
        Index::with_small_max(parameters, GRAPH_MIN - 1)
    }

    /// An index that grows a graph once so many vectors are live, and walks it whenever it is complete: for worlds that
    /// are simulated, where collections are small. With [`GRAPH_MIN`] or more it is as any other.
    pub fn with_graph_from(parameters: Parameters, graph_min: usize) -> Index {
        let mut index = Index::with_small_max(parameters, graph_min.clamp(1, GRAPH_MIN) - 1);
        if graph_min < GRAPH_MIN {
            index.walk_per_result = 0;
        }
        index
    }

    /// An index that has no graph up to this many live vectors.
    pub(crate) fn with_small_max(parameters: Parameters, small_max: usize) -> Index {
        let Parameters {
            dimension,
            metric,
            m,
            ef_construction,
            storage,
            seed,
        } = parameters;
        assert!((1..=DIMENSION_MAX).contains(&dimension), "dimension {dimension}");
        assert!((M_MIN..=M_MAX).contains(&m), "m {m}");
        assert!((1..=EF_MAX).contains(&ef_construction), "ef {ef_construction}");
        Index {
            space: Space::new(metric, dimension, storage),
            states: SlotStates::default(),
            consolidation: Consolidation::default(),
            built: None,
            arrivals: None,
            seed,
            ef_construction: ef_construction as u32,
            small_max: small_max as u32,
            changes: 0,
            m: m as u16,
            walk_per_result: WALK_PER_RESULT,
        }
    }

    /// What the index was made with.
    pub fn parameters(&self) -> Parameters {
        Parameters {
            dimension: self.space.dimension(),
            metric: self.space.metric(),
            m: usize::from(self.m),
            ef_construction: self.ef_construction as usize,
            storage: self.space.storage(),
            seed: self.seed,
        }
    }

    /// Stores a vector and begins to insert it. It is not found before the insertion is resumed to its end; giving the
    /// insertion up leaves the slot unused for as long as the index lives.
    ///
    /// Panics if the vector has not the index's dimension; it must have passed [`vet`](crate::vet).
    pub fn begin_insert(&mut self, vector: &[f32]) -> Insertion {
        self.begin(vector, None)
    }

    /// The same in the place of another vector, which the caller removes when this is done: a near one's links are taken
    /// over. Until then the other one is found.
    pub fn begin_replace(&mut self, before: Slot, vector: &[f32]) -> Insertion {
        self.begin(vector, Some(before.number()))
    }

    fn begin(&mut self, vector: &[f32], before: Option<u32>) -> Insertion {
        self.assert_fits(vector);
        self.note_change();
        let slot = self.states.take();
        assert!((slot as usize) < SLOTS_MAX, "an index holds at most {SLOTS_MAX} slots");
        let slots = self.space.len() as u32;
        self.space.put(slot, vector);
        if self.plants_next() {
            self.plant_graph(slots);
        }
        let mut predecessor = None;
        if let Some(built) = &mut self.built {
            predecessor = before.filter(|&before| built.graph.host(0, before).is_some());
            let level = match predecessor {
                Some(before) => built.graph.level(before),
                None => built.levels.draw(),
            };
            built.graph.open(slot, level);
        }
        let mut insertion = Insertion::new(self.take_scratch(), slot, self.ef_construction as usize);
        if let Some(predecessor) = predecessor {
            insertion.take_place_of(predecessor, self.consolidation.reader());
        }
        insertion.progress = Progress::Consolidating(self.share());
        insertion
    }

    /// Goes on with an insertion of this index. Done gives the slot, which is live from then on.
    pub fn resume_insert(&mut self, insertion: &mut Insertion, work: &mut Work) -> Step<Slot> {
        self.note_change();
        while let Progress::Consolidating(left) = insertion.progress {
            if left == 0 || !self.consolidates(Urgency::Insert) {
                insertion.progress = Progress::Linking;
                break;
            }
            let before = work.left();
            let _ = self.consolidate(Urgency::Insert, work);
            let spent = (before - work.left()).max(1);
            insertion.progress = Progress::Consolidating(left.saturating_sub(spent));
            if work.is_spent() {
                return Step::More;
            }
        }
        if insertion.progress == Progress::Linking {
            if let Some(built) = &mut self.built {
                let before = work.left();
                insertion.read(&self.consolidation);
                let step = insertion.resume(&self.space, &mut built.graph, &self.states, work);
                insertion.spent += before - work.left();
                if step == Step::More {
                    return Step::More;
                }
                built.insert_work = insertion.spent;
                if insertion.went_astray() {
                    built.proofs.hardest.note(insertion.slot().number());
                }
                built.learn(insertion, self.space.metric());
            }
            insertion.progress = Progress::Helping(LOOSE_PER_INSERT);
        }
        while let Progress::Helping(left) = insertion.progress
            && left > 0
            && self.has_unlinked()
        {
            if work.is_spent() {
                return Step::More;
            }
            if self.link_unlinked(work) == Step::Done(()) {
                insertion.progress = Progress::Helping(left - 1);
            }
        }
        let slot = insertion.slot().number();
        self.states.set_live(slot);
        if self.arrivals.as_mut().is_some_and(|arrivals| !arrivals.note(slot)) {
            self.arrivals = None;
        }
        if let Some(built) = &mut self.built {
            built.proofs.note_change();
        }
        self.keep_scratch(std::mem::take(&mut insertion.scratch));
        self.prove_some(work);
        Step::Done(insertion.slot())
    }

    /// Inserts a vector at once.
    pub fn insert(&mut self, vector: &[f32]) -> Slot {
        let mut insertion = self.begin_insert(vector);
        loop {
            if let Step::Done(slot) = self.resume_insert(&mut insertion, &mut Work::unlimited()) {
                return slot;
            }
        }
    }

    /// Removes a vector, which must be live. That marks it; its node stays for a while, to be walked.
    pub fn remove(&mut self, slot: Slot) {
        self.note_change();
        self.states.set_dead(slot.number());
        if let Some(built) = &mut self.built {
            built.proofs.note_change();
        }
    }

    /// Begins a search for the nearest to `query`. Where scanning every live vector is cheaper than a walk, it is scanned, and
    /// the answer is exact.
    ///
    /// Panics if the query has not the index's dimension, or a number of the aim is 0 or beyond its limit.
    pub fn begin_search(&mut self, query: &[f32], parameters: SearchParameters) -> Search {
        let parameters = self.with_effort(parameters);
        if self.is_scanned(parameters.ef) {
            let scratch = self.frame(query, &parameters);
            return Search::scan(scratch, parameters, Some(self.consolidation.reader()));
        }
        self.begin_walk(query, parameters)
    }

    /// Goes on with a search of this index. Done gives the hits, nearest first, equals by slot: the best `k`, and
    /// beyond them every further one found at the distance of the k-th, so that the caller may break such ties its own
    /// way.
    pub fn resume_search(&mut self, search: &mut Search, work: &mut Work) -> Step<Vec<Hit>> {
        self.resume(search, Admission::All, work)
    }

    /// The same, with only those slots for which `admits` holds: the search walks on through the others until it has
    /// found enough or seen all, and scans where few are admitted. `admits` is asked once per slot that is met, about
    /// live ones only, and must answer alike at every resumption.
    pub fn resume_search_where(
        &mut self,
        search: &mut Search,
        work: &mut Work,
        admits: &mut dyn FnMut(Slot) -> bool,
    ) -> Step<Vec<Hit>> {
        self.resume(search, Admission::If(admits), work)
    }

    /// Searches at once.
    pub fn search(&mut self, query: &[f32], k: usize, ef: usize) -> Vec<Hit> {
        let search = self.begin_search(query, SearchParameters::nearest(k, ef));
        self.finish(search)
    }

    /// Begins an exact search: every live vector is measured. To be resumed as any other.
    pub fn begin_exact(&mut self, query: &[f32], k: usize) -> Search {
        let parameters = SearchParameters::nearest(k, EF_MAX);
        let scratch = self.frame(query, &parameters);
        Search::scan(scratch, parameters, Some(self.consolidation.reader()))
    }

    /// Goes on with an exact search.
    pub fn resume_exact(&mut self, search: &mut Search, work: &mut Work) -> Step<Vec<Hit>> {
        self.resume_search(search, work)
    }

    /// Searches exactly, at once.
    pub fn exact(&mut self, query: &[f32], k: usize) -> Vec<Hit> {
        let search = self.begin_exact(query, k);
        self.finish(search)
    }

    /// Writes the vector that is kept in a slot, in place of what `vector` held: exactly as it was given under
    /// [`Storage::F32`], else as nearly as the storage has it. Panics if there is no such slot.
    pub fn copy_vector(&self, slot: Slot, vector: &mut Vec<f32>) {
        self.space.copy_vector(slot.number(), vector);
    }

    /// Whether the slot holds a vector that searches return.
    pub fn is_live(&self, slot: Slot) -> bool {
        slot.index() < self.states.slots() && self.states.is_live(slot.number())
    }

    /// Where the vector is by now that a search has found here: for as long as the search is kept. None if it was
    /// removed.
    pub fn find(&self, slot: Slot) -> Option<Slot> {
        self.states.resolve_live(slot.number()).map(Slot)
    }

    /// Vectors that have moved since this was asked last, in that order: from where, to where. They do so while
    /// insertions are resumed and in [`Index::tend`].
    pub fn take_moves(&mut self) -> Vec<(Slot, Slot)> {
        self.consolidation.take_moves()
    }

    /// The first live vector from a slot on, or else the first of all.
    pub(crate) fn live_behind(&self, from: usize) -> Option<Slot> {
        let mut live = self.states.live_from(from).chain(self.states.live_from(0));
        live.next().map(Slot)
    }

    pub(crate) fn graph_parts(&self) -> Option<&GraphParts> {
        self.built.as_deref()
    }

    /// How many vectors searches return.
    pub fn live(&self) -> usize {
        self.states.live_count()
    }

    /// How many were removed and still take their place.
    pub fn dead(&self) -> usize {
        self.states.removed()
    }

    /// How many slots there are, taken or vacant: every slot's number is below this.
    pub fn slots(&self) -> usize {
        self.states.slots()
    }

    /// How many of them are vacant, for the next insertions.
    pub fn vacant(&self) -> usize {
        self.states.vacant_count()
    }

    /// How much of the consolidation under way is done, as a share; none if none is under way.
    pub fn consolidated(&self) -> Option<f64> {
        let (done, all) = self.consolidation.progress()?;
        Some((done as f64 / all.max(1) as f64).min(1.0))
    }

    /// How many blocks of memory its tables are made of, each of two mebibytes at most.
    pub fn chunks(&self) -> usize {
        self.space.chunk_count() + self.graph().map_or(0, Graph::chunk_count)
    }

    /// How many layers the graph has; none while there is no graph.
    pub fn levels(&self) -> usize {
        self.graph().map_or(0, |graph| graph.height() + 1)
    }

    /// The instruction set its distances are computed with.
    pub fn kernel(&self) -> &'static str {
        self.space.kernel_name()
    }

    /// Whether the graph is sound: see [`graph`](crate::graph) for what that means. Reads every link.
    pub fn check(&self) -> Result<(), Fault> {
        match &self.built {
            Some(built) => {
                let census = self.consolidation.census();
                let unlinked = built.unlinked.clone();
                built.graph.check(&self.states, &Census { unlinked, ..census })
            }
            None => Ok(()),
        }
    }

    /// Begins a search that walks if there is a graph and all are on it, whatever a scan would cost.
    pub(crate) fn begin_walk(&mut self, query: &[f32], parameters: SearchParameters) -> Search {
        let scratch = self.frame(query, &parameters);
        let reader = Some(self.consolidation.reader());
        match self.graph() {
            Some(_) if !self.has_unlinked() => Search::walk(scratch, parameters, reader),
            _ => Search::scan(scratch, parameters, reader),
        }
    }

    /// The aim with as many candidates as it takes among these vectors: see [`Growth::effort`].
    pub(crate) fn with_effort(&self, parameters: SearchParameters) -> SearchParameters {
        let ef = self
            .built
            .as_ref()
            .map_or(parameters.ef, |built| built.growth.effort(parameters.ef));
        SearchParameters { ef, ..parameters }
    }

    /// Whether scanning is the better way to search with a beam of `ef`.
    pub(crate) fn is_scanned(&self, ef: usize) -> bool {
        let Some(graph) = self.graph() else {
            return true;
        };
        // A walk that needs ef live results among the dead expands ef · linked/live nodes.
        let (live, linked) = (self.states.live_count() as u64, graph.linked_count() as u64);
        let per_result = u64::from(self.walk_per_result);
        self.has_unlinked() || live * live <= (ef as u64 * per_result).saturating_mul(linked)
    }

    pub(crate) fn resume(
        &mut self,
        search: &mut Search,
        mut admission: Admission<'_>,
        work: &mut Work,
    ) -> Step<Vec<Hit>> {
        if let Some(arrivals) = &self.arrivals {
            search.hear(arrivals, self.view(), &admission);
        }
        let step = search.resume(self.view(), &mut admission, work);
        if let Step::Done(_) = step {
            self.keep_scratch(std::mem::take(&mut search.scratch));
        } else {
            self.pause(search);
        }
        step
    }

    /// From now on a search that is under way is told what becomes live.
    pub(crate) fn pause(&mut self, search: &mut Search) {
        if !search.has_paused() {
            search.meanwhile = Some(self.arrivals.get_or_insert_default().begin());
        }
    }

    /// Something is done to the index.
    pub(crate) fn note_change(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    /// How often something was done to it.
    pub(crate) fn changes(&self) -> u32 {
        self.changes
    }

    /// What paused searches are to be told, if there is any.
    pub(crate) fn arrivals(&self) -> Option<&Arrivals> {
        self.arrivals.as_deref()
    }

    pub(crate) fn view(&self) -> IndexView<'_> {
        IndexView {
            space: &self.space,
            graph: self.graph(),
            states: &self.states,
            growth: self.built.as_ref().map_or_else(Growth::default, |built| built.growth),
        }
    }

    /// True if the next vector is one too many to be found without a graph.
    pub fn plants_next(&self) -> bool {
        self.built.is_none() && self.states.live_count() >= self.small_max as usize
    }

    /// Makes the graph, with room for every slot below `slots` and none of them linked.
    fn plant_graph(&mut self, slots: u32) {
        self.space.settle();
        let mut built = GraphParts::new(usize::from(self.m), self.seed);
        for slot in 0..slots {
            built.graph.open(slot, built.levels.draw());
        }
        built.unlinked = 0..slots;
        self.built = Some(Box::new(built));
    }

    fn graph(&self) -> Option<&Graph> {
        self.built.as_ref().map(|built| &built.graph)
    }

    /// Whether there is a graph and some are not on it yet.
    fn has_unlinked(&self) -> bool {
        self.built.as_ref().is_some_and(|built| !built.unlinked.is_empty())
    }

    /// Walks on codes of four bits, whatever its vectors will be. It is empty.
    #[cfg(test)]
    pub(crate) fn walk_on_four_bits(&mut self) {
        self.space.code_with_four_bits();
    }

    pub(crate) fn finish(&mut self, mut search: Search) -> Vec<Hit> {
        loop {
            if let Step::Done(hits) = self.resume_search(&mut search, &mut Work::unlimited()) {
                return hits;
            }
        }
    }

    pub(crate) fn frame(&mut self, query: &[f32], parameters: &SearchParameters) -> Box<Scratch> {
        self.assert_fits(query);
        parameters.check();
        let mut scratch = self.take_scratch();
        self.space.frame(query, &mut scratch.query);
        scratch
    }

    pub(crate) fn assert_fits(&self, vector: &[f32]) {
        assert_eq!(
            vector.len(),
            self.space.dimension(),
            "a vector has its index's dimension"
        );
        debug_assert!(
            vector.iter().all(|component| component.is_finite()),
            "a vector was vetted"
        );
    }

    fn take_scratch(&mut self) -> Box<Scratch> {
        let kept = self.built.as_mut().and_then(|built| built.scratches.pop());
        kept.unwrap_or_default()
    }

    pub(crate) fn keep_scratch(&mut self, scratch: Box<Scratch>) {
        if let Some(built) = &mut self.built {
            built.keep_scratch(scratch);
        }
    }
}

/// Distances that a walk computes per result it wants, in units of what a scan pays for one: about 14 at ef 100
/// (100,000 × 50), each some three times as dear as the scan's, whose rows come in order.
const WALK_PER_RESULT: u8 = 12;

/// An index of fewer live vectors has no graph. Below it a scan costs what a walk at ef 100 does, or less, and is exact
/// (50 dimensions: some 25 ns a vector against 40 µs; Zen 4, November 2026). The same figure as `WALK_PER_RESULT`
/// gives.
pub const GRAPH_MIN: usize = 1_024;

/// Loose vectors that an insertion links beside its own: the graph is complete after half as many inserts as it began
/// with.
const LOOSE_PER_INSERT: usize = 2;

#[cfg(test)]
mod tests;
