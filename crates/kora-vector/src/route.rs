//! How a search for a vector goes that is being inserted: what an insertion learns on its way, which looks farther.
//!
//! Where vectors come in an order, an insertion finds its neighbours and a search for the same vector ends elsewhere: its beam is
//! smaller, and on the layers above it keeps a single node. So an insertion notes where such a search ends, and lets the pinned
//! link to the new node begin there if it was not among the nearest. Where the insertion itself went astray (see `astray`), it
//! begins again with a beam on each layer, and links where a search left the way with what it would have had to find there.
//!
//! Of 8,000 points along a path, in order, a search for itself does not find (L2, cosine; one index, ef 100, at the end of the
//! insertions): 414 and 301 without all this; 414 and 301 when a node above the base enters the layers below from all that it
//! found above, which alone mends 35,000 cities (185 lost) and a spiral (290); 277 and 301 with the pinned links as well; none
//! with the second look, which 7 and 2 insertions took. Of 39,000 words in no order (GloVe, 50-d) 8 take it.

use crate::beam::{Beam, Candidate};
use crate::graph::Graph;

/// How a search for a vector goes.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Where it leaves each layer above those of the node.
    descent: Vec<(usize, Candidate)>,
    /// Where it ends on the highest layer of the node, nearest first. Empty before it is known.
    stop: Vec<Candidate>,
    /// Whether the insertion has begun again, more widely.
    is_wide: bool,
    /// Where the walk on the next layer begins.
    pub(crate) entries: Vec<Candidate>,
}

impl Route {
    pub(crate) fn clear(&mut self) {
        self.descent.clear();
        self.stop.clear();
        self.is_wide = false;
    }

    /// It goes down from this layer here.
    pub(crate) fn pass(&mut self, layer: usize, at: Candidate) {
        self.descent.push((layer, at));
    }

    /// It ends here, on a layer where a single node is kept.
    pub(crate) fn stop_at(&mut self, at: Candidate) {
        self.stop.push(at);
    }

    /// Looks whether it would end now, on the base layer, where the insertion goes on.
    pub(crate) fn watch(&mut self, beam: &mut Beam) {
        if self.stop.is_empty() && beam.has_expanded(SEARCH_EF) {
            let nearest = beam.results().iter().take(STOPS_KEPT);
            self.stop.extend(nearest.map(|near| near.unexpanded()));
        }
    }

    /// Where it ends, nearest first; none if that is where the insertion ended.
    pub(crate) fn stop(&self) -> Option<&[Candidate]> {
        (!self.stop.is_empty()).then_some(&self.stop)
    }

    /// Whether the insertion may begin again: once, and if there are layers above the base.
    pub(crate) fn may_look_widely(&self, graph: &Graph) -> bool {
        !self.is_wide && graph.height() > 0
    }

    /// It begins again.
    pub(crate) fn look_widely(&mut self) {
        self.is_wide = true;
    }

    /// Where the search left a layer, and the node that it would have had to find there, if that is nearer.
    pub(crate) fn missed(&self, layer: usize, nearest: Candidate) -> Option<(u32, u32)> {
        let (_, stop) = self.descent.iter().find(|(above, _)| *above == layer)?;
        (nearest < *stop).then_some((stop.slot(), nearest.slot()))
    }
}

/// Nodes that a search keeps on the base layer, at least: fewer than one at the default EF does over two shards, which ends with
/// 35 at the earliest (see `stop_rule`).
const SEARCH_EF: usize = 32;

/// Nodes where it ends of which one may hold the pinned link: the nearest that has room.
const STOPS_KEPT: usize = 4;
