//! The links of a graph in a snapshot: written down some at a time while the graph changes, exactly as they were at the
//! beginning, and read back.
//!
//! Whatever changes a node begins with [`Graph::preserve`]. While links are written down, a node that was not yet is put aside as
//! it was. Pieces name their slots, so that their order does not matter.

use std::sync::atomic::Ordering::Relaxed;

use super::{Graph, Link, NONE, PINNED};
use crate::bits::{Bits, Words, each};
use crate::limits::LAYER_MAX;
use crate::persist::{LoadFault, Numbering, Source, fault_unless, words};
use crate::work::Step;

/// Links that are being written down.
pub(crate) struct LinkCapture {
    /// The next slot.
    next: u32,
    /// Slots from here on came later.
    end: u32,
    /// Slots that were looked at before their turn.
    saved: Bits,
    /// Those that were linked.
    linked: Bits,
    /// Nodes that were written before their turn.
    small: Vec<u8>,
}

impl Graph {
    /// Begins to write the links down, of slots below `slots`. What is written is what they are now.
    pub(crate) fn begin_capture(&mut self, slots: usize) {
        self.capture = Some(Box::new(LinkCapture {
            next: 0,
            end: slots as u32,
            saved: Bits::with_room(slots),
            linked: Bits::with_room(slots),
            small: Vec::new(),
        }));
    }

    /// Writes about so many more bytes of them. Done gives the nodes that were linked.
    pub(crate) fn capture_links(&mut self, bytes: usize, out: &mut Vec<u8>) -> Step<Bits> {
        let Some(mut capture) = self.capture.take() else {
            return Step::Done(Bits::default());
        };
        let bytes_max = out.len() + bytes;
        out.append(&mut capture.small);
        while capture.next < capture.end && out.len() < bytes_max {
            let slot = capture.next;
            capture.next += 1;
            if !capture.saved.holds(slot) && self.is_linked(slot) {
                capture.linked.set(slot);
                self.put_node(slot, out);
            }
        }
        if capture.next < capture.end {
            self.capture = Some(capture);
            return Step::More;
        }
        Step::Done(capture.linked)
    }

    /// Writes no more of them down.
    pub(crate) fn end_capture(&mut self) {
        self.capture = None;
    }

    /// To be called before a node is changed.
    #[inline(always)]
    pub(super) fn preserve(&mut self, slot: u32) {
        if self.capture.is_some() {
            self.preserve_now(slot);
        }
    }

    #[cold]
    fn preserve_now(&mut self, slot: u32) {
        let Some(mut capture) = self.capture.take() else { return };
        if (capture.next..capture.end).contains(&slot) && capture.saved.set(slot) && self.is_linked(slot) {
            capture.linked.set(slot);
            self.put_node(slot, &mut capture.small);
        }
        self.capture = Some(capture);
    }

    fn put_node(&self, slot: u32, out: &mut Vec<u8>) {
        let level = self.level(slot);
        out.extend_from_slice(&slot.to_le_bytes());
        out.push(level as u8);
        for layer in 0..=level {
            let host = self.host_word(layer, slot).load(Relaxed);
            out.extend_from_slice(&host.to_le_bytes());
            let count_at = out.len();
            out.extend_from_slice(&[0; 2]);
            let mut count = 0u16;
            for link in self.links(layer, slot) {
                out.extend_from_slice(&link.0.to_le_bytes());
                count += 1;
            }
            out[count_at..count_at + 2].copy_from_slice(&count.to_le_bytes());
        }
    }

    pub(crate) fn crowd(&self) -> usize {
        self.crowd
    }
}

/// A graph that is being read.
pub(crate) struct GraphLoading {
    graph: Graph,
    /// Nodes that were read.
    linked: Bits,
}

impl GraphLoading {
    /// Of so many slots.
    pub(crate) fn new(m: usize, slots: usize, (root, height): (u32, usize), crowd: usize) -> GraphLoading {
        let mut graph = Graph::new(m);
        (0..slots as u32).for_each(|slot| graph.open(slot, 0));
        (graph.root, graph.height, graph.crowd) = (Some(root), height, crowd);
        GraphLoading {
            graph,
            linked: Bits::with_room(slots),
        }
    }

    /// Reads some nodes.
    pub(crate) fn nodes(&mut self, numbering: &Numbering, source: &mut Source<'_>) -> Result<(), LoadFault> {
        while !source.is_empty() {
            let slot = numbering.of(source.u32()?)?;
            fault_unless(self.linked.set(slot), "a node of a graph is there twice")?;
            let level = usize::from(source.u8()?);
            fault_unless(
                level <= self.graph.height.min(LAYER_MAX),
                "a node stands above the highest layer",
            )?;
            let tower = self.graph.build_tower(level);
            self.graph.set_tower(slot, tower);
            for layer in 0..=level {
                let host = match source.u32()? {
                    NONE => NONE,
                    host => numbering.of(host)?,
                };
                self.graph.host_word(layer, slot).store(host, Relaxed);
                let count = usize::from(source.u16()?);
                fault_unless(
                    count <= self.graph.capacity(layer),
                    "a node has more links than there is room for",
                )?;
                let links = words(source.take(4 * count)?);
                for (place, link) in self.graph.list(layer, slot).iter().zip(links) {
                    let link = Link(link);
                    let target = numbering.of(link.slot())?;
                    place.store(Link::new(target, link.is_pinned()).0, Relaxed);
                }
            }
        }
        Ok(())
    }

    /// All were read, and these slots are live. The graph, and which slots are linked.
    pub(crate) fn end(mut self, live: &Bits) -> Result<(Graph, Bits), LoadFault> {
        self.graph.linked_count = self.linked.count();
        self.check_root()?;
        self.check_lists(live)?;
        self.check_chains()?;
        Ok((self.graph, self.linked))
    }

    fn check_root(&self) -> Result<(), LoadFault> {
        let graph = &self.graph;
        let root = graph.root.filter(|&root| self.linked.holds(root));
        let root = root.ok_or(LoadFault {
            what: "the entry of a graph is not linked",
        })?;
        fault_unless(
            graph.level(root) == graph.height,
            "the entry of a graph does not stand on the highest layer",
        )?;
        let has_host = (0..=graph.height).any(|layer| graph.host(layer, root).is_some());
        fault_unless(!has_host, "the entry of a graph has a host")
    }

    /// Each list by itself and against its targets. The pinned links of a layer lead one to each node that has a host there, from
    /// that host: a pinned link's target knows its host, no list names a target twice, and there are as many.
    fn check_lists(&self, live: &Bits) -> Result<(), LoadFault> {
        let graph = &self.graph;
        let are_linked = each(live.words(), Words::One(0), 0).all(|slot| self.linked.holds(slot));
        fault_unless(are_linked, "a live slot is not linked")?;
        // For each slot, the last list that names it.
        let mut named = vec![0u32; graph.base.len()];
        let mut list = 0u32;
        let (mut pinned, mut hosted) = ([0usize; LAYER_MAX + 1], [0usize; LAYER_MAX + 1]);
        for slot in self.nodes_from_first() {
            for layer in 0..=graph.level(slot) {
                list = list.checked_add(1).unwrap_or_else(|| {
                    named.fill(0);
                    1
                });
                let is_hosted = graph.host(layer, slot).is_some();
                let is_in_tree = is_hosted || graph.root == Some(slot);
                // Whose insertion was under way is not live, and may not stand on all its layers yet.
                fault_unless(
                    is_in_tree || (layer > 0 && !live.holds(slot)),
                    "a node has no place in the tree",
                )?;
                hosted[layer] += usize::from(is_hosted);
                let mut pinned_here = 0;
                for link in graph.links(layer, slot) {
                    let target = link.slot();
                    fault_unless(target != slot, "a link leads to its own node")?;
                    fault_unless(
                        std::mem::replace(&mut named[target as usize], list) != list,
                        "a node has a link twice",
                    )?;
                    fault_unless(
                        is_in_tree && self.stands_in_tree(layer, target),
                        "a link leads to or from a node that is not in the tree",
                    )?;
                    if link.is_pinned() {
                        pinned_here += 1;
                        fault_unless(
                            graph.host(layer, target) == Some(slot),
                            "a pinned link's target has another host",
                        )?;
                    }
                }
                fault_unless(
                    pinned_here <= graph.pinned_max(layer),
                    "a node has more pinned links than it may have",
                )?;
                pinned[layer] += pinned_here;
            }
        }
        fault_unless(pinned == hosted, "a node's host has no pinned link to it")
    }

    #[inline]
    fn stands_in_tree(&self, layer: usize, slot: u32) -> bool {
        // On the base layer every node does: see above.
        self.linked.holds(slot)
            && (layer == 0
                || (self.graph.level(slot) >= layer
                    && (self.graph.host(layer, slot).is_some() || self.graph.root == Some(slot))))
    }

    /// On each layer every node's chain of hosts ends at the entry.
    fn check_chains(&self) -> Result<(), LoadFault> {
        let graph = &self.graph;
        let tall: Vec<u32> = self.nodes_from_first().filter(|&slot| graph.level(slot) > 0).collect();
        let (mut reaches, mut chain) = (Bits::with_room(graph.base.len()), Vec::new());
        for layer in 0..=graph.height {
            reaches.clear();
            reaches.set(graph.root.unwrap_or(0));
            let base = self.nodes_from_first().filter(|_| layer == 0);
            for slot in base.chain(
                tall.iter()
                    .copied()
                    .filter(|&slot| layer > 0 && graph.level(slot) >= layer),
            ) {
                let mut at = slot;
                // A chain that is longer than all chains together goes round.
                while !reaches.holds(at) {
                    let Some(host) = graph.host(layer, at) else { break };
                    fault_unless(chain.len() < self.linked.count(), "a chain of hosts goes round")?;
                    chain.push(at);
                    at = host;
                }
                fault_unless(
                    chain.is_empty() || reaches.holds(at),
                    "a chain of hosts does not end at the entry",
                )?;
                chain.drain(..).for_each(|passed| {
                    reaches.set(passed);
                });
            }
        }
        Ok(())
    }

    fn nodes_from_first(&self) -> impl Iterator<Item = u32> + '_ {
        each(self.linked.words(), Words::One(0), 0)
    }
}

const _: () = assert!(NONE == crate::persist::NONE && PINNED != 0, "files say it as lists do");
