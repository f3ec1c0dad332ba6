//! What an index has beside its vectors once it is not small any more.

use std::ops::Range;

use crate::graph::Graph;
use crate::insert::Insertion;
use crate::level::Levels;
use crate::limits::SCRATCH_KEPT_MAX;
use crate::metric::Metric;
use crate::proof::Proofs;
use crate::scratch::Scratch;
use crate::stop_rule::Growth;

/// What an index has beside its vectors once it has a graph.
pub(crate) struct GraphParts {
    pub(crate) graph: Graph,
    pub(crate) levels: Levels,
    /// How far walks look.
    pub(crate) growth: Growth,
    /// Slots from the time without a graph that are still to be linked. Some of them may be linked, dead or unfinished.
    pub(crate) unlinked: Range<u32>,
    /// The linking of the first loose slot, once begun.
    pub(crate) conversion: Option<Box<Insertion>>,
    /// Units of work that the last insertion took to be linked.
    pub(crate) insert_work: u64,
    pub(crate) proofs: Proofs,
    /// Invariant: at most `SCRATCH_KEPT_MAX`.
    #[expect(clippy::vec_box, reason = "an operation takes one by moving a pointer")]
    pub(crate) scratches: Vec<Box<Scratch>>,
}

impl GraphParts {
    pub(crate) fn new(m: usize, seed: u64) -> GraphParts {
        GraphParts {
            graph: Graph::new(m),
            levels: Levels::new(seed, m),
            growth: Growth::default(),
            unlinked: 0..0,
            conversion: None,
            insert_work: 0,
            proofs: Proofs::default(),
            scratches: Vec::new(),
        }
    }

    /// Learns from an insertion that is done.
    pub(crate) fn learn(&mut self, insertion: &mut Insertion, metric: Metric) {
        let m = self.graph.capacity(1);
        self.growth.observe(insertion.found(), m, metric);
    }

    pub(crate) fn keep_scratch(&mut self, scratch: Box<Scratch>) {
        if self.scratches.len() < SCRATCH_KEPT_MAX {
            self.scratches.push(scratch);
        }
    }

    pub(crate) fn scratch_bytes(&self) -> usize {
        self.scratches.iter().map(|scratch| scratch.bytes()).sum()
    }

    /// Frees a chunk of the graph, and all that is kept for operations; the bytes of the chunk, or none if there was none.
    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.scratches.clear();
        self.conversion = None;
        self.proofs = Proofs::default();
        self.graph.release_chunk()
    }
}
