//! How a search for a vector goes that is being inserted: what an insertion learns on its way, which looks farther.
//!
//! Where vectors come in an order, an insertion finds its neighbours and a search for the same vector ends elsewhere: its beam is
//! smaller, and on the layers above it keeps a single node. So an insertion notes where such a search ends, and offers links to
//! the new node from there if it came farther itself. Where the insertion went astray (see `astray`), it begins again with a beam
//! on each layer, and links where a search left the way with what it would have had to find there. And the new node stands on the
//! layer above the base in any case: it may be the first of a group to which nothing else leads.
//!
//! Of 8,000 points along a path, in order, a search for itself does not find (L2, cosine; one index, ef 100, at the end of the
//! insertions): 414 and 301 without all this; 414 and 301 when a node above the base enters the layers below from all that it
//! found above, which alone mends 35,000 cities (185 lost) and a spiral (290); 277 and 301 with the links as well; none
//! with the second look, which 7 and 2 insertions took. Of 39,000 words in no order (GloVe, 50-d) 8 take it.

use crate::beam::{Beam, Candidate};
use crate::graph::Graph;

/// How a search for a vector goes.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Where it leaves each layer above those of the node; and where it ends on the highest of these, nearest first.
    stops: Vec<(usize, Candidate)>,
    /// Whether its end is known.
    has_ended: bool,
    /// Whether the insertion has begun again, more widely.
    is_wide: bool,
    /// Where the walk on the next layer begins.
    pub(crate) entries: Vec<Candidate>,
}

impl Route {
    pub(crate) fn clear(&mut self) {
        self.stops.clear();
        self.has_ended = false;
        self.is_wide = false;
    }

    /// It goes down from this layer here.
    pub(crate) fn pass(&mut self, layer: usize, at: Candidate) {
        self.stops.push((layer, at));
    }

    /// It ends here, on a layer where a single node is kept.
    pub(crate) fn end(&mut self, layer: usize, at: Candidate) {
        self.stops.push((layer, at));
        self.has_ended = true;
    }

    /// Looks whether it would end now, on the base layer, where the insertion goes on.
    pub(crate) fn watch(&mut self, beam: &mut Beam) {
        if !self.has_ended && beam.has_expanded(SEARCH_EF) {
            let nearest = beam.results().iter().take(STOPS_KEPT);
            self.stops.extend(nearest.map(|near| (0, near.unexpanded())));
            self.has_ended = true;
        }
    }

    /// Where it stopped on a layer, nearest first, if the insertion found a nearer node there.
    pub(crate) fn stops(&self, layer: usize, nearest: Candidate) -> impl Iterator<Item = Candidate> + '_ {
        let on_layer = move |(on, _): &&(usize, Candidate)| *on == layer;
        let first = self.stops.iter().find(on_layer);
        let is_short = first.is_some_and(|(_, stop)| nearest < *stop);
        let stops = self.stops.iter().filter(on_layer).filter(move |_| is_short);
        stops.map(|(_, stop)| *stop)
    }

    /// Whether the insertion may begin again: once, and if there are layers above the base.
    pub(crate) fn may_look_widely(&self, graph: &Graph) -> bool {
        !self.is_wide && graph.height() > 0
    }

    /// Whether it has begun again.
    pub(crate) fn is_wide(&self) -> bool {
        self.is_wide
    }

    /// It begins again.
    pub(crate) fn look_widely(&mut self) {
        self.is_wide = true;
        self.has_ended = true;
    }
}

/// Nodes that a search keeps on the base layer, at least: fewer than one at the default EF does over two shards, which ends with
/// 35 at the earliest (see `stop_rule`).
const SEARCH_EF: usize = 32;

/// Nodes where it ends that are offered a link to the new one. A guess: one link may be cut by the next offer.
const STOPS_KEPT: usize = 4;
